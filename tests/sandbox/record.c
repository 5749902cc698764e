/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.c: runs PROGRAM in its place, and writes down which lines of its policy it uses.
 *
 * PROGRAM was built with filters that stop at each allowed call and tell the line of the policy (SECCOMP_RET_TRACE). It keeps the
 * process's number, so tests see nothing of this: who traces is a grandchild. "NAME LINE*16+PLACE" goes to $VIRTFS_RECORD.
 */
#include "common/compiler.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOLD_MAX 65536

static uint8_t told[TOLD_MAX];

static void write_down(int out)
{
	for (unsigned i = 0; i < TOLD_MAX; i++) {
		char line[64];
		int size = snprintf(line, sizeof(line), "%s %u\n", NAME, i);

		if (told[i] && write(out, line, (size_t)size) != size)
			_exit(1);
	}
}

/* A stop of a thread: what it was for, and on it goes. */
static void stopped(pid_t pid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	unsigned long data = 0;

	if (event == PTRACE_EVENT_SECCOMP && ptrace(PTRACE_GETEVENTMSG, pid, 0, &data) == 0 &&
	    data < TOLD_MAX)
		told[data] = 1;
	if (event == PTRACE_EVENT_STOP &&
	    (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU))
		(void)ptrace(PTRACE_LISTEN, pid, 0, 0);
	else
		(void)ptrace(PTRACE_CONT, pid, 0, event ? 0 : sig);
}

static void trace(pid_t program, int go, int out)
{
	const unsigned long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE |
	                              PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	int status;
	pid_t pid;

	if (ptrace(PTRACE_SEIZE, program, 0, options) < 0)
		_exit(1);
	(void)close(go); /* that is the word */
	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (pid > 0 && WIFSTOPPED(status))
			stopped(pid, status);
	}
	write_down(out);
	_exit(0);
}

/* The tracer has nothing of the test's but the pipe and the file: the end of a socket is to be seen. */
static void be_tracer(pid_t program, int go, int out)
{
	int null = open("/dev/null", O_RDWR);

	if (fork() != 0)
		_exit(0);
	(void)setsid();
	if (dup2(go, 3) < 0 || dup2(out, 4) < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(null, 2) < 0 || close_range(5, ~0u, 0) < 0)
		_exit(1);
	trace(program, 3, 4);
}

int main(int argc UNUSED, char **argv)
{
	const char *path = getenv("VIRTFS_RECORD");
	int ends[2], out, low;
	pid_t self = getpid(), child;
	char byte;

	out = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	/* Above what the tracer's are moved to. */
	low = out < 0 ? -1 : fcntl(out, F_DUPFD_CLOEXEC, 20);
	if (low < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return 125;
	child = fork();
	if (child == 0)
		be_tracer(self, fcntl(ends[1], F_DUPFD_CLOEXEC, 30), low);
	(void)close(ends[1]);
	(void)close(out);
	(void)close(low);
	(void)waitpid(child, NULL, 0);
	if (child < 0 || read(ends[0], &byte, 1) != 0)
		return 125;
	(void)close(ends[0]);
	(void)execv(PROGRAM, argv);
	return 127;
}
