/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lockdown.h: how the device gives every right away; main.c calls these in this order. */
#ifndef VIRTFS_VIRTIO_9P_LOCKDOWN_H
#define VIRTFS_VIRTIO_9P_LOCKDOWN_H

#include "common/compiler.h"
#include "virtio-9p/config.h"

/**
 * lockdown_start() - Shake off what was inherited
 * Should:  close every descriptor but the standard streams and those of the options
 * Mustn't: keep the device from making its listening socket
 * Return: 0, or -errno after it logged what went wrong.
 */
int MUST_CHECK lockdown_start(const struct config *c);

/**
 * lockdown_serve() - Have no right at all
 * Should:  drop supplementary groups and every capability, leave the host's network, IPC and UTS namespaces where that
 *          is allowed, set no_new_privs, be undumpable, lower the limits, allow only the calls of seccomp/device.policy
 * Mustn't: run before the ring was made: the filter has no io_uring_setup
 * Return: 0, or -errno after it logged what went wrong.
 */
int MUST_CHECK lockdown_serve(void);

#endif
