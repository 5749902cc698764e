/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * t_virtio.h: the virtio-9p device (virtio id 9): a guest's 9P client by a virtqueue.
 *
 * One queue and one session. A chain is a T-message and the room for its reply. Only the message's head is copied out of
 * the guest's memory: a Twrite's data is written to the file from where it lies, and an Rread's read to where it belongs.
 */
#ifndef VIRTFS_VIRTIO_9P_T_VIRTIO_H
#define VIRTFS_VIRTIO_9P_T_VIRTIO_H

#include "virtio-9p/server.h"

/* virtio 1.2 has no chapter on it; the Linux header is virtio_9p.h. */
#define VIRTIO_ID_9P          9
#define VIRTIO_9P_F_MOUNT_TAG 0
#define T_VIRTIO_TAG_MAX      254 /* with its length it fits the configuration space */
#define T_VIRTIO_QUEUE_MAX    1024
#define T_VIRTIO_STOP_NS \
	1000000000 /* what requests may take to end by themselves when the queue stops */

struct t_virtio;

/**
 * t_virtio_new() - A device without a front end
 *
 * tag: the mount tag, 1 to T_VIRTIO_TAG_MAX bytes; it is copied. changed is called whenever a front end has come or left. Return: 0
 * or -errno.
 */
int MUST_CHECK t_virtio_new(struct loop *l, struct p9_server *server, const char *tag,
                            void (*changed)(void *context, bool connected), void *context,
                            struct t_virtio **ret);

/** t_virtio_listen() - Take vhost-user front ends on, one after the other. Owns the socket. Return: 0 or -errno. */
int MUST_CHECK t_virtio_listen(struct t_virtio *t, int listener);

/** t_virtio_serve() - Serve the one that is connected. Owns the socket. Return: 0 or -errno. */
int MUST_CHECK t_virtio_serve(struct t_virtio *t, int sock);

/** t_virtio_free() - End it, with no front end there. NULL is fine. */
void t_virtio_free(struct t_virtio *t);

/** t_virtio_connected() - Whether there is a front end. */
bool t_virtio_connected(const struct t_virtio *t);

#endif
