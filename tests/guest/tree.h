/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tree of files shaped like a kernel source: about 17 files a directory, seven levels of
 * directories at most, sizes spread evenly on a logarithmic scale (mean 14 KB), some symbolic
 * links and executables. The number of files determines every byte of it, so guest and host can
 * each check what the other one wrote.
 */
#ifndef TESTS_GUEST_TREE_H
#define TESTS_GUEST_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What was wrong, for the one who reports it. */
struct tree_fault {
	char text[1024];
};

/**
 * tree_create() - Make the tree of this many files as a new directory
 *
 * Return: 0, or -1 with the fault filled in.
 */
int tree_create(const char *root, uint32_t files, struct tree_fault *ret_fault);

/**
 * tree_verify() - Compare a directory with the tree of this many files
 * @owner: uid and gid that each object must have
 *
 * Checks the exact set of names, types, modes, owners and every byte.
 *
 * Return: 0, or -1 with the first difference in the fault.
 */
int tree_verify(const char *root, uint32_t files, uid_t uid, gid_t gid,
                struct tree_fault *ret_fault);

#endif
