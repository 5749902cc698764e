/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/inject.h"

#include "tests/lib/proc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#if defined(__x86_64__)

#define SYSCALL_SIZE 2 /* 0f 05 */

/* The next stop of it, or its end. */
static int next(pid_t pid)
{
	int status = 0;

	cr_assert_eq(waitpid(pid, &status, __WALL), pid, "%s", strerror(errno));
	return status;
}

static void stop(pid_t pid)
{
	cr_assert_eq(ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
	cr_assert(WIFSTOPPED(next(pid)));
}

/* Stops it where it waits in a system call: that goes on when the registers are as they were. */
static void stop_in_call(pid_t pid, struct user_regs_struct *regs)
{
	for (int i = 0; i < 1000; i++) {
		stop(pid);
		cr_assert_eq(ptrace(PTRACE_GETREGS, pid, 0, regs), 0);
		if ((long)regs->orig_rax >= 0)
			return;
		cr_assert_eq(ptrace(PTRACE_CONT, pid, 0, 0), 0);
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	cr_assert_fail("process %d waits for nothing", (int)pid);
}

static bool has_sigsys(pid_t pid, const char *set)
{
	return strtoull(proc_status(pid, set), NULL, 16) >> (SIGSYS - 1) & 1;
}

int inject_call(pid_t pid, long number, long *ret)
{
	struct user_regs_struct before, regs;
	int status;

	cr_assert_eq(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD), 0, "%s", strerror(errno));
	stop_in_call(pid, &before);
	regs = before;
	regs.rip -= SYSCALL_SIZE;
	regs.rax = (unsigned long)number;
	regs.orig_rax = (unsigned long)-1; /* nothing to go on with meanwhile */
	cr_assert_eq(ptrace(PTRACE_SETREGS, pid, 0, &regs), 0);
	cr_assert_eq(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
	status = next(pid);
	cr_assert(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80), "%x",
	          (unsigned)status);
	/* It is about to make the call; the filter is asked after this. */
	cr_assert_eq(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
	status = next(pid);
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	cr_assert(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80), "%x",
	          (unsigned)status);
	if (has_sigsys(pid, "SigPnd")) {
		bool handled = has_sigsys(pid, "SigCgt");

		cr_assert_eq(ptrace(handled ? PTRACE_DETACH : PTRACE_CONT, pid, 0, 0), 0);
		if (handled)
			return INJECT_TRAPPED;
		status = next(pid);
		cr_assert(WIFSIGNALED(status), "%x", (unsigned)status);
		return 128 + WTERMSIG(status);
	}
	cr_assert_eq(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
	*ret = (long)regs.rax;
	/* Only a stop for a signal is left by the way that has an interrupted call go on. */
	cr_assert_eq(ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
	cr_assert_eq(ptrace(PTRACE_CONT, pid, 0, 0), 0);
	cr_assert(WIFSTOPPED(next(pid)));
	cr_assert_eq(ptrace(PTRACE_SETREGS, pid, 0, &before), 0);
	cr_assert_eq(ptrace(PTRACE_DETACH, pid, 0, 0), 0);
	return 0;
}

#else

int inject_call(pid_t pid UNUSED, long number UNUSED, long *ret UNUSED)
{
	cr_assert_fail("not on this machine");
	return -1;
}

#endif
