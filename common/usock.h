/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usock.h: Unix sockets, and the only callers of recvmsg(2) and sendmsg(2).
 *
 * Descriptors travel as SCM_RIGHTS (unix(7)). Every descriptor received is close-on-exec.
 */
#ifndef VIRTFS_COMMON_USOCK_H
#define VIRTFS_COMMON_USOCK_H

#include "common/compiler.h"
#include "common/fdbag.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * usock_send() - Send size bytes, and pass_fd with them unless it is -1
 *
 * On a stream all of it is sent, waiting where the socket is full; on SOCK_SEQPACKET it is one
 * packet. The caller keeps pass_fd. Never raises SIGPIPE. Return: 0 or -errno (-EPIPE, -ECONNRESET:
 * the peer is gone).
 */
int MUST_CHECK usock_send(int sock, const void *bytes, size_t size, int pass_fd);

/**
 * usock_send_some() - Send as much of a stream's bytes as the socket takes now
 *
 * For non-blocking sockets. Return: how many were taken, or -errno (-EAGAIN: none).
 */
ssize_t MUST_CHECK usock_send_some(int sock, const void *bytes, size_t size);

/** usock_send_some_fd() - The same, with pass_fd (or -1) along with the first byte. The caller keeps
 * it. */
ssize_t MUST_CHECK usock_send_some_fd(int sock, const void *bytes, size_t size, int pass_fd);

/**
 * usock_recv() - Receive what is there, at most size bytes, waiting for the first
 *
 * With bag NULL descriptors are not asked for and the kernel drops them; else those that came are
 * put into the empty bag. If it lacks any because this process has too many open, it is empty and
 * says so (lost). Return: number of bytes, 0 when the peer has closed, or -errno (-EBADMSG: a packet
 * that was longer than size).
 */
ssize_t MUST_CHECK usock_recv(int sock, void *buffer, size_t size, struct fdbag *bag);

/** usock_peek() - What is there, without taking it and without waiting. Return: as usock_recv(). */
ssize_t MUST_CHECK usock_peek(int sock, void *buffer, size_t size);

/** usock_pair() - A connected pair of sockets of that type (SOCK_STREAM, SOCK_SEQPACKET). Return: 0
 * or -errno. */
int MUST_CHECK usock_pair(int type, int ret_pair[2]);

/**
 * usock_listen() - Make a listening socket of that type (SOCK_STREAM, SOCK_SEQPACKET) at path
 *
 * Nothing may exist at path: it is never removed for the caller. The socket's mode is 0777 without
 * umask bits. Return: 0 or -errno (-EADDRINUSE: something exists there; -ENAMETOOLONG: path is
 * longer than a socket's may be).
 */
int MUST_CHECK usock_listen(const char *path, int type, int *ret_fd);

/** usock_accept() - Wait for one peer. Return: 0 or -errno. */
int MUST_CHECK usock_accept(int listener, int *ret_fd);

/** usock_is_listening() - Whether fd is a listening Unix socket; *ret_type is its type. */
bool MUST_CHECK usock_is_listening(int fd, int *ret_type);

/** usock_is_connected() - Whether fd is a connected (not a listening) Unix socket; *ret_type is its
 * SOCK_ type then. */
bool MUST_CHECK usock_is_connected(int fd, int *ret_type);

/** usock_peer_uid() - Whose the other side of a connected Unix socket is: of when it was connected (SO_PEERCRED). Return: 0
 * or -errno. */
int MUST_CHECK usock_peer_uid(int fd, uid_t *ret_uid);

#endif
