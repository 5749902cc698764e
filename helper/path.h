/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * path.h: a path of the legacy dialect, brought into the one form that the file system is asked
 * for.
 *
 * Slashes are folded, "." dropped and ".." taken back against the name before it, at the root
 * against nothing, all before any file is touched. Symbolic links are never followed on the way, so
 * this names the same file as walking would, and no ".." ever reaches the kernel.
 */
#ifndef VIRTFS_HELPER_PATH_H
#define VIRTFS_HELPER_PATH_H

#include "common/compiler.h"
#include "wire/types.h"

#define PATH_SIZE \
	65537 /* the longest string of the dialect, one slash more and a NUL take its place */

struct path {
	size_t parent; /* length of the directory's part of text: 0 at the root */
	size_t name;   /* where the last name starts; text[name] is NUL for the root itself */
	size_t size;
	char text[PATH_SIZE]; /* "a/b/c", without a slash in front */
};

/**
 * path_take() - Normalise what a peer sent
 *
 * Return: 0, -ENOENT for the empty path, -ENAMETOOLONG for a name over NAME_MAX.
 */
int MUST_CHECK path_take(const struct wt_str *from, struct path *ret);

#endif
