/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/spawn.h"

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define SPAWN_FDS_MAX 16

static sigset_t waited_for, original_mask;

/* fork(2), into a PID namespace if that is wanted and to be had. */
static pid_t fork_into(bool own_pids)
{
	struct clone_args args = {.flags = CLONE_NEWPID, .exit_signal = SIGCHLD};
	pid_t pid = own_pids ? (pid_t)syscall(SYS_clone3, &args, sizeof(args)) : -1;

	return pid < 0 ? fork() : pid;
}

/* It waits at the pipe until we executed something; its number cannot be seen from another PID namespace. */
static bool parent_is_gone(pid_t parent, int report)
{
	struct pollfd p = {.fd = report};

	return getpid() == 1 ? poll(&p, 1, 0) != 0 : getppid() != parent;
}

/* In the child: everything between fork and exec. Return: only on failure, -errno. */
static int become(const struct spawn *s, int report, pid_t parent)
{
	int keep[SPAWN_FDS_MAX + 4] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, report};

	if (s->fd_count > SPAWN_FDS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < s->fd_count; i++) {
		keep[4 + i] = s->fds[i];
		if (fcntl(s->fds[i], F_SETFD, 0) < 0)
			return -errno;
	}
	if (!s->keep_inherited) {
		int r = confine_close_others(keep, 4 + s->fd_count);

		if (r < 0)
			return r;
	}
	if (s->own_session && setsid() < 0)
		return -errno;
	/* Leaving uid 0 takes every capability along. */
	if (s->user &&
	    (setgroups(0, NULL) < 0 || setresgid(s->user->gid, s->user->gid, s->user->gid) < 0 ||
	     setresuid(s->user->uid, s->user->uid, s->user->uid) < 0))
		return -errno;
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return -errno;
	if (parent_is_gone(parent, report)) /* it died before we asked to be told */
		return -ESRCH;
	if (sigprocmask(SIG_SETMASK, &original_mask, NULL) < 0)
		return -errno;
	(void)execvp(s->argv[0], (char *const *)(uintptr_t)s->argv);
	return -errno;
}

int spawn_start(const struct spawn *s, pid_t *ret_pid)
{
	pid_t parent = getpid(), pid;
	int ends[2], error = 0;
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork_into(s->own_pids);
	if (pid == 0) {
		error = become(s, ends[1], parent);
		if (write(ends[1], &error, sizeof(error)) < 0)
			_exit(126);
		_exit(127);
	}
	if (pid < 0)
		error = -errno;
	fd_close(&ends[1]);
	/* exec closes the pipe: then there is nothing to read. */
	n = pid < 0 ? 0 : read(ends[0], &error, sizeof(error));
	fd_close(&ends[0]);
	if (n > 0)
		(void)waitpid(pid, NULL, 0);
	if (error < 0)
		return error;
	*ret_pid = pid;
	return 0;
}

int spawn_block_signals(void)
{
	/* Inherited as ignored it would never be reported. */
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR)
		return -errno;
	if (sigemptyset(&waited_for) < 0 || sigaddset(&waited_for, SIGCHLD) < 0 ||
	    sigaddset(&waited_for, SIGTERM) < 0 || sigaddset(&waited_for, SIGINT) < 0 ||
	    sigaddset(&waited_for, SIGHUP) < 0 ||
	    sigprocmask(SIG_BLOCK, &waited_for, &original_mask) < 0)
		return -errno;
	return 0;
}

int spawn_wait(int timeout_ms)
{
	struct timespec t = {.tv_sec = timeout_ms / 1000,
	                     .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
	int got;

	do {
		got = timeout_ms < 0 ? sigwaitinfo(&waited_for, NULL)
		                     : sigtimedwait(&waited_for, NULL, &t);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? 0 : got;
}

bool spawn_reaped(pid_t pid, int *ret_status)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid)
		return false;
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return true;
}

int spawn_stop(pid_t pid, bool ask, int grace_ms)
{
	int status = 0;

	if (ask)
		(void)kill(pid, SIGTERM);
	for (int waited = 0; waited < grace_ms; waited += 50) {
		if (spawn_reaped(pid, &status))
			return status;
		(void)spawn_wait(50);
	}
	log_warning("process %d does not end: killing it", (int)pid);
	(void)kill(pid, SIGKILL);
	while (!spawn_reaped(pid, &status))
		(void)spawn_wait(50);
	return status;
}
