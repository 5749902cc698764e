/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spawn.h: starts the other programs with exactly the descriptors they need, and sees them end. */
#ifndef VIRTFS_LAUNCHER_SPAWN_H
#define VIRTFS_LAUNCHER_SPAWN_H

#include "common/compiler.h"
#include "common/user.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct spawn {
	const char *const *argv; /* argv[0] is looked up in $PATH if it has no slash */
	const int *fds;          /* kept open besides the standard streams, at their numbers */
	size_t fd_count;
	bool own_pids;    /* the first process of a PID namespace, where that is to be had: it must
	                            handle the signals that are to end it */
	bool own_session; /* out of reach of the terminal's signals */
	bool keep_inherited;     /* also what this process was given to pass on (all else of ours is
	                        close-on-exec) */
	const struct user *user; /* to run as, without supplementary groups; NULL: as we are */
};

/**
 * spawn_start() - Start a program
 *
 * It gets SIGTERM if this process dies (until it changes its ids, which the kernel takes as the end
 * of that), and the signal mask that spawn_block_signals() found. Return: 0, or -errno when it
 * could not be executed.
 */
int MUST_CHECK spawn_start(const struct spawn *s, pid_t *ret_pid);

/** spawn_block_signals() - From now on SIGCHLD, SIGTERM, SIGINT and SIGHUP wait for spawn_wait().
 */
int MUST_CHECK spawn_block_signals(void);

/**
 * spawn_wait() - Wait for a signal or a child's end
 *
 * timeout_ms: -1 waits for ever. Return: the signal's number, 0 when time is up.
 */
int spawn_wait(int timeout_ms);

/** spawn_reaped() - Whether that child has ended; *ret_status is as a shell has it then (128 +
 * signal). */
bool MUST_CHECK spawn_reaped(pid_t pid, int *ret_status);

/** spawn_stop() - End a child: ask it by SIGTERM, wait up to grace_ms, then SIGKILL. Return: its
 * status. */
int spawn_stop(pid_t pid, bool ask, int grace_ms);

#endif
