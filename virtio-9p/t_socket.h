/* SPDX-License-Identifier: GPL-2.0-or-later */
/* t_socket.h: the transport that is plain 9P over a stream socket, for any number of clients. */
#ifndef VIRTFS_VIRTIO_9P_T_SOCKET_H
#define VIRTFS_VIRTIO_9P_T_SOCKET_H

#include "virtio-9p/server.h"

#define T_SOCKET_CLIENTS 256

struct t_socket;

/** t_socket_new() - closed is called whenever a client has gone, with how many are left. Return: 0 or -ENOMEM. */
int MUST_CHECK t_socket_new(struct loop *l, struct p9_server *server,
                            void (*closed)(void *context, unsigned left), void *context,
                            struct t_socket **ret);

/** t_socket_listen() - Accept clients from a listening socket, which is this transport's from now on. */
int MUST_CHECK t_socket_listen(struct t_socket *t, int listener);

/** t_socket_serve() - Serve a connected socket, which is this transport's from now on. */
int MUST_CHECK t_socket_serve(struct t_socket *t, int sock);

/** t_socket_count() - How many clients there are. */
unsigned t_socket_count(const struct t_socket *t);

void t_socket_free(struct t_socket *t);

#endif
