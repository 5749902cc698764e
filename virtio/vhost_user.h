/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_user.h: a device offered to an emulator over a vhost-user socket (vhost-user specification;
 * what each front end really sends is in docs/architecture.md).
 *
 * One front end at a time. It may send its messages in any order; a ring runs as soon as all that it
 * needs is there. Whatever changes what a running ring stands on (GET_VRING_BASE, disabling it, a new
 * memory table, a reset, the front end's end) first stops it: the device ends its requests, then the
 * message takes effect and is answered, and later ones wait so long. A message that makes no sense
 * ends the connection with a warning; the device is there for the next.
 *
 * The process must have called guest_memory_guard() and ignore SIGPIPE.
 */
#ifndef VIRTFS_VIRTIO_VHOST_USER_H
#define VIRTFS_VIRTIO_VHOST_USER_H

#include "common/compiler.h"
#include "common/loop.h"
#include "virtio/device.h"

struct vu_device;

/**
 * vu_new() - A device without a front end
 *
 * info and ops are the caller's and stay. closed (or NULL) is called when a connection has ended, its
 * rings are stopped and ops->reset is done; it may call vu_serve() but not vu_free(). Return: 0 or
 * -errno.
 */
int MUST_CHECK vu_new(struct loop *l, const struct vio_device_info *info,
                      const struct vio_device_ops *ops, void *context,
                      void (*closed)(void *context), struct vu_device **ret);

/** vu_listen() - Take front ends on at a listening socket, one after the other. Owns it. Return: 0 or
 * -errno. */
int MUST_CHECK vu_listen(struct vu_device *d, int listener);

/** vu_serve() - Serve one over a connected socket. Owns it. Return: 0, -EBUSY while there is another,
 * or -errno. */
int MUST_CHECK vu_serve(struct vu_device *d, int sock);

/** vu_connected() - Whether there is a front end. */
bool vu_connected(const struct vu_device *d);

/** vu_close() - End the connection as if the front end had. closed is called, now or later. */
void vu_close(struct vu_device *d);

/** vu_config_changed() - Tell the front end, if it wants to know, to read the configuration anew. */
void vu_config_changed(struct vu_device *d);

/** vu_free() - End at once, without a call of ops or closed; no chain may be out. NULL is fine. */
void vu_free(struct vu_device *d);

#endif
