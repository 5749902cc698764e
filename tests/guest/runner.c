/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/runner.h"

#include "tests/guest/tap.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A share that hangs must give a failed test. The longest one writes tens of thousands of files. */
enum { TIME_LIMIT = 1800 };

int switch_identity(void)
{
	if (!options.switch_identity)
		return 0;
	if (setgroups(0, NULL) != 0 || setresgid(options.gid, options.gid, options.gid) != 0)
		return -1;
	return setresuid(options.uid, options.uid, options.uid);
}

static bool is_selected(const struct test *test)
{
	return options.only == NULL || fnmatch(options.only, test->name, 0) == 0;
}

static const char *reason_to_skip(const struct test *test)
{
	bool root = options.switch_identity ? options.uid == 0 : guest_is_root();

	if ((test->audience == FOR_ROOT && !root) || (test->audience == FOR_USER && root))
		return test->why_not;
	return NULL;
}

static _Noreturn void run_in_this_process(const struct test *test, int reason_fd)
{
	if (dup2(reason_fd, RUNNER_REASON_FD) == -1)
		_exit(RUNNER_FAILED);
	/* Its own group, so that the runner can end children that it has left behind. */
	check_ok(setpgid(0, 0));
	check_ok(switch_identity());
	alarm(TIME_LIMIT);
	test->run();
	_exit(0);
}

/* Wait for the process and put what it said into the reason; true when the test passed. */
static bool collect(pid_t child, int reason_fd, char *reason, bool *ret_skipped)
{
	ssize_t size;
	int status = 0;

	if (waitpid(child, &status, 0) != child)
		status = -1;
	kill(-child, SIGKILL);
	size = read(reason_fd, reason, RUNNER_REASON_SIZE - 1);
	reason[size > 0 ? size : 0] = '\0';
	*ret_skipped = WIFEXITED(status) && WEXITSTATUS(status) == RUNNER_SKIPPED;
	if (WIFSIGNALED(status))
		snprintf(reason, RUNNER_REASON_SIZE, "%s",
		         WTERMSIG(status) == SIGALRM ? "it took too long"
		                                     : strsignal(WTERMSIG(status)));
	else if (!*ret_skipped && status != 0 && reason[0] == '\0')
		snprintf(reason, RUNNER_REASON_SIZE, "it ended with status 0x%x",
		         (unsigned int)status);
	return status == 0;
}

static bool run_in_child(const struct test *test, char *reason, bool *ret_skipped)
{
	int ends[2];
	pid_t child;
	bool passed;

	*ret_skipped = false;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		snprintf(reason, RUNNER_REASON_SIZE, "pipe: %s", strerror(errno));
		return false;
	}
	child = fork();
	if (child == 0)
		run_in_this_process(test, ends[1]);
	if (child > 0) {
		passed = collect(child, ends[0], reason, ret_skipped);
	} else {
		snprintf(reason, RUNNER_REASON_SIZE, "fork: %s", strerror(errno));
		passed = false;
	}
	close(ends[0]);
	close(ends[1]);
	return passed;
}

/* Make an empty directory that belongs to the identity of the tests, and go there. */
static int enter_directory(const char *name)
{
	if (chdir(options.dir) != 0 || mkdir(name, 0755) != 0)
		return -1;
	if (options.switch_identity && chown(name, options.uid, options.gid) != 0)
		return -1;
	return chdir(name);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void run_test(const struct test *test, unsigned int number, bool shared)
{
	const char *why_skipped = reason_to_skip(test);
	char reason[RUNNER_REASON_SIZE];
	double start = now();
	bool skipped = false;
	bool passed;
	char name[32];

	if (why_skipped != NULL) {
		tap_skip(test->name, why_skipped);
		return;
	}
	snprintf(name, sizeof(name), "test-%u", number);
	if (shared ? chdir(options.dir) != 0 : enter_directory(name) != 0) {
		snprintf(reason, sizeof(reason), "no directory for it: %s", strerror(errno));
		passed = false;
	} else {
		passed = run_in_child(test, reason, &skipped);
	}
	/* What a test made must go away again; that too is the share's duty. */
	if (!shared && (chdir(options.dir) != 0 || remove_recursively(AT_FDCWD, name) != 0) &&
	    passed) {
		snprintf(reason, sizeof(reason), "its directory cannot be removed: %s",
		         strerror(errno));
		passed = false;
	}
	if (passed)
		tap_ok(test->name);
	else if (skipped)
		tap_skip(test->name, reason);
	else
		tap_not_ok(test->name, reason);
	if (now() - start >= 2)
		tap_note("that took %.1f s", now() - start);
}

unsigned int runner_run(const struct test *const *tables, bool shared)
{
	unsigned int number = 0;
	unsigned int count = 0;

	for (size_t i = 0; tables[i] != NULL; i++)
		for (const struct test *test = tables[i]; test->name != NULL; test++)
			count += is_selected(test);
	tap_plan(count);
	for (size_t i = 0; tables[i] != NULL; i++)
		for (const struct test *test = tables[i]; test->name != NULL; test++)
			if (is_selected(test))
				run_test(test, ++number, shared);
	return tap_failures();
}
