/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cleanup.h: locals that clean up after themselves.
 *
 *	AUTO_CLOSE int fd = open(...);     closed at the end of the scope if >= 0
 *	return fd_steal(&fd);              handed to the caller instead
 */
#ifndef VIRTFS_COMMON_CLEANUP_H
#define VIRTFS_COMMON_CLEANUP_H

#include "common/compiler.h"

#include <stdlib.h>
#include <unistd.h>

/** fd_close() - Close *fd if it holds a descriptor, and forget it. Leaves errno alone. */
void fd_close(int *fd);

/** fd_steal() - Take the descriptor out of *fd; the caller owns it now. */
static inline int MUST_CHECK fd_steal(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/** fd_nonblock() - Let nobody who has this open file wait for it any more (O_NONBLOCK). Return: 0 or -errno. */
int MUST_CHECK fd_nonblock(int fd);

static inline void free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

#define AUTO_CLOSE __attribute__((cleanup(fd_close)))
#define AUTO_FREE  __attribute__((cleanup(free_pointer)))

#endif
