/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/daemon.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

static void wait_for_child(int ready, pid_t child)
{
	int status = 0;
	char byte;

	if (read(ready, &byte, 1) == 1)
		_exit(EXIT_SUCCESS);
	if (waitpid(child, &status, 0) == child && WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	_exit(EXIT_FAILURE);
}

int daemon_fork(int *ret_pipe)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		int r = -errno;

		fd_close(&ends[0]);
		fd_close(&ends[1]);
		return r;
	}
	if (child > 0) {
		fd_close(&ends[1]);
		wait_for_child(ends[0], child);
	}
	fd_close(&ends[0]);
	*ret_pipe = ends[1];
	return setsid() < 0 ? -errno : 0;
}

void daemon_null_stdio(int null_fd, bool error_too)
{
	/* These cannot fail: both numbers are of open descriptors. */
	(void)dup2(null_fd, STDIN_FILENO);
	(void)dup2(null_fd, STDOUT_FILENO);
	if (error_too)
		(void)dup2(null_fd, STDERR_FILENO);
}
