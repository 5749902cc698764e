/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_peer.h: QEMU's side of the proxy dialect, for tests and benchmarks. */
#ifndef VIRTFS_TESTS_LIB_LEGACY_PEER_H
#define VIRTFS_TESTS_LIB_LEGACY_PEER_H

#include "wire/legacy.h"

/* What a reply that cannot be read is answered with; no errno has this value. */
#define PEER_GONE (-100000)

/**
 * peer_call() - Send a request of the table and read its reply
 *
 * request: struct legacy_NAME_req. reply: struct legacy_NAME_rep, for requests of class body; its
 * spans are good until the next call. Return: what the reply says: 0 or more (a descriptor, for
 * requests of class descriptor; a length where size 0 was asked), -errno, or PEER_GONE.
 */
int peer_call(int sock, enum legacy_type type, const void *request, void *reply);

/** peer_send_raw() / peer_status() - The halves, for requests that no encoder would write. */
int peer_send_raw(int sock, uint32_t type, const void *payload, size_t size);
int peer_status(int sock);

/* Shorthands: the requests that most tests use. */
#define S(text) wt_str_of(text)
int peer_open(int sock, const char *path, int flags);
int peer_create(int sock, const char *path, int flags, uint32_t mode, uint32_t uid, uint32_t gid);
int peer_lstat(int sock, const char *path, struct legacy_lstat_rep *ret);
int peer_mkdir(int sock, const char *path, uint32_t mode, uint32_t uid, uint32_t gid);
int peer_mknod(int sock, const char *path, uint32_t mode, uint64_t rdev, uint32_t uid,
               uint32_t gid);
int peer_symlink(int sock, const char *target, const char *path);
int peer_chmod(int sock, const char *path, uint32_t mode);
int peer_chown(int sock, const char *path, uint32_t uid, uint32_t gid);
int peer_truncate(int sock, const char *path, uint64_t length);
int peer_rename(int sock, const char *from, const char *to);
int peer_link(int sock, const char *from, const char *to);
int peer_remove(int sock, const char *path);
int peer_readlink(int sock, const char *path, struct legacy_readlink_rep *ret);
int peer_setxattr(int sock, const char *path, const char *name, const char *value);

#endif
