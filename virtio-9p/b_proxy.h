/* SPDX-License-Identifier: GPL-2.0-or-later */
/* b_proxy.h: the backend that is a helper, through proxy-client, on the device's loop. */
#ifndef VIRTFS_VIRTIO_9P_B_PROXY_H
#define VIRTFS_VIRTIO_9P_B_PROXY_H

#include "common/loop.h"
#include "virtio-9p/backend.h"

/**
 * b_proxy_new() - Take over a connected SOCK_SEQPACKET socket of a helper
 *
 * gone is called, once, when the helper has died; the backend stays, and all its calls end with -EIO.
 * Return: 0 or -errno (sock is closed then).
 */
int MUST_CHECK b_proxy_new(struct loop *l, int sock, void (*gone)(void *context), void *context,
                           struct backend **ret);

/** b_proxy_free() - Outstanding calls end with -EIO. */
void b_proxy_free(struct backend *b);

#endif
