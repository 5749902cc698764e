/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node.h: finding a file beneath the export, and acting on what was found.
 *
 * The only file with openat2(2), openat(2) and uses of /proc/self/fd. The type gate is here: an
 * object is found with O_PATH, which opens nothing, looked at, and opened only if it is a regular
 * file or a directory. A FIFO, a socket or a device is never opened, and a symbolic link never
 * followed, whatever a guest or a process on the host puts in the way meanwhile.
 *
 * All return 0 (or a count) or -errno.
 */
#ifndef VIRTFS_HELPER_NODE_H
#define VIRTFS_HELPER_NODE_H

#include "common/compiler.h"
#include "helper/export.h"
#include "wire/types.h"

#include <limits.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/** struct place - a name in a directory; the name is "." for the export's root itself */
struct place {
	int dir;   /* O_PATH */
	int owned; /* the same when it is to be closed, else -1 */
	char name[NAME_MAX + 1];
};

#define AUTO_PLACE __attribute__((cleanup(place_close)))
#define PLACE_NONE                     \
	{                              \
		.dir = -1, .owned = -1 \
	}

/** node_init() - Find out whether the kernel has openat2(2); after the export has its final
 * descriptors. */
void node_init(const struct export *x);

/**
 * place_find() - The directory that a path of the legacy dialect leads to, and the last name
 *
 * Paths longer than PATH_MAX are walked in steps. -ELOOP where a symbolic link is on the way.
 */
int MUST_CHECK place_find(const struct export *x, const struct wt_str *path, struct place *ret);
void place_close(struct place *p);

/** node_find() - An O_PATH descriptor of the object itself, whatever its type; the caller's to
 * close. */
int MUST_CHECK node_find(const struct place *p, int *ret_node);

/** node_at() - place_find() and node_find() in one. */
int MUST_CHECK node_at(const struct export *x, const struct wt_str *path, int *ret_node);

/**
 * node_reopen() - Open the object for input and output, if its type allows
 *
 * flags: as open(2)'s, without those that create. -ENXIO for FIFOs, sockets and devices, -ELOOP for
 * symbolic links, -EACCES for files of procfs, sysfs and the like.
 */
int MUST_CHECK node_reopen(const struct export *x, int node, int flags, int *ret_fd);

/** node_create() - Make and open a regular file that did not exist; -EEXIST if anything has the
 * name. */
int MUST_CHECK node_create(const struct place *p, int flags, mode_t mode, int *ret_fd);

/** node_chmod() - -EOPNOTSUPP for a symbolic link, which has no mode of its own on Linux. */
int MUST_CHECK node_chmod(const struct export *x, int node, mode_t mode);

/** node_truncate() - -EISDIR for a directory, -EINVAL for what is no regular file. */
int MUST_CHECK node_truncate(const struct export *x, int node, off_t length);

/* Extended attributes, of the object itself (a symbolic link's too). Names and values as in
 * xattr(7). */
ssize_t MUST_CHECK node_getxattr(int node, const char *name, void *value, size_t size);
ssize_t MUST_CHECK node_listxattr(int node, char *names, size_t size);
int MUST_CHECK node_setxattr(int node, const char *name, const void *value, size_t size, int flags);
int MUST_CHECK node_removexattr(int node, const char *name);

/* ---- of the native dialect: by node instead of by path ---- */

/** node_child() - O_PATH of one name in a directory's node. -ENOTDIR if that is none. */
int MUST_CHECK node_child(int dir, const char *name, int *ret_node);

/**
 * node_parent() - O_PATH of the directory above
 *
 * The root's is the root. -EXDEV when the directory was moved out of the export meanwhile.
 */
int MUST_CHECK node_parent(const struct export *x, int dir, int *ret_node);

/** node_path_of() - O_PATH of the file that is open as fd. */
int MUST_CHECK node_path_of(const struct export *x, int fd, int *ret_node);

/** node_attr() - All attributes, of an O_PATH or an open descriptor. */
int MUST_CHECK node_attr(int node, struct wt_attr *ret);

/** node_attr_at() - The same of one name in a directory's node, which is not followed. */
int MUST_CHECK node_attr_at(int dir, const char *name, struct wt_attr *ret);

/** node_utimes() - As utimensat(2), of the object itself. */
int MUST_CHECK node_utimes(const struct export *x, int node, const struct timespec times[2]);

/** node_link() - Give the object one more name. */
int MUST_CHECK node_link(const struct export *x, int node, int dir, const char *name);

/** struct node_handle - what open_by_handle_at(2) finds a file by; it never leaves this process */
#define NODE_HANDLE_SIZE 48 /* enough for ext4, xfs, btrfs, tmpfs and overlayfs */
struct node_handle {
	uint8_t mount; /* which of the mounts that node.c holds a descriptor of */
	uint8_t size;
	int type;
	uint8_t bytes[NODE_HANDLE_SIZE];
};

/** node_handles_try() - Find out whether files may be opened by handle; node_to_handle() has none otherwise. */
void node_handles_try(const struct export *x);

/** node_to_handle() - -EOPNOTSUPP where the file system has none, -EOVERFLOW where they are too
 * long. */
int MUST_CHECK node_to_handle(const struct export *x, int node, struct node_handle *ret);

/** node_from_handle() - O_PATH of that file; -ESTALE when it is gone. Needs CAP_DAC_READ_SEARCH. */
int MUST_CHECK node_from_handle(const struct node_handle *handle, int *ret_node);

#endif
