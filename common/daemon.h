/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daemon.h: into the background, as the old helper goes without -n; the starter waits until the
 * daemon is ready. */
#ifndef VIRTFS_COMMON_DAEMON_H
#define VIRTFS_COMMON_DAEMON_H

#include "common/compiler.h"

#include <stdbool.h>

/**
 * daemon_fork() - Go on in a child with a session of its own
 *
 * The parent waits for a byte on the other end of *ret_pipe and exits with 0, or with the child's
 * status if it ends before. Return: 0 in the child, or -errno in the only process there is.
 */
int MUST_CHECK daemon_fork(int *ret_pipe);

/** daemon_null_stdio() - Put null_fd in the place of standard input and output, and of standard
 * error if error_too. */
void daemon_null_stdio(int null_fd, bool error_too);

#endif
