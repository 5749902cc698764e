/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ready.h: tells whoever started us that we can be used now.
 *
 * Each way is used when asked for: a newline on a descriptor that is closed then (--ready-fd, as s6
 * has it; likewise to a daemon's parent), and sd_notify(3)'s READY=1 to $NOTIFY_SOCKET. All are
 * opened before the sandbox closes and used after.
 */
#ifndef VIRTFS_COMMON_READY_H
#define VIRTFS_COMMON_READY_H

#include "common/compiler.h"

struct ready {
	int fd;     /* --ready-fd, or -1 */
	int parent; /* a pipe to the process that waits in the foreground for a daemon, or -1 */
	int notify; /* connected to $NOTIFY_SOCKET, or -1 */
};

#define READY_NONE                                   \
	{                                            \
		.fd = -1, .parent = -1, .notify = -1 \
	}

/** ready_prepare() - Connect to $NOTIFY_SOCKET if it is set. Owns fd (or -1) from now on. Return: 0
 * or -errno. */
int MUST_CHECK ready_prepare(struct ready *r, int fd);

/** ready_tell() - Say it, once, and close them. */
void ready_tell(struct ready *r);

#endif
