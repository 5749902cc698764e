/* SPDX-License-Identifier: GPL-2.0-or-later */
/* landlock.c: what the fence of common/landlock.c lets through; each case in a process of its own, a child. */
#include "common/landlock.h"

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"
#include "tests/lib/hidden.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char dir[64];
static int inside = -1, outside = -1, log_fd = -1;

static void make_dirs(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/virtfs-unit.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(mkdir("inside", 0755), 0);
	cr_assert_eq(mkdir("inside/a", 0755), 0);
	cr_assert_eq(mkdir("inside/b", 0755), 0);
	cr_assert_eq(mkdir("outside", 0755), 0);
	for (size_t i = 0; i < 2; i++) {
		AUTO_CLOSE int fd =
		    open(i ? "inside/f" : "outside/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);

		/* No program: were it looked into, it would be ENOEXEC. */
		cr_assert_eq(write(fd, "no program", 10), 10);
	}
	inside = open("inside", O_PATH | O_DIRECTORY | O_CLOEXEC);
	outside = open("outside", O_PATH | O_DIRECTORY | O_CLOEXEC);
	log_fd = memfd_create("stderr", MFD_CLOEXEC);
	cr_assert(inside >= 0 && outside >= 0 && log_fd >= 0);
}

static void remove_dirs(void)
{
	char command[100];

	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(landlock, .init = make_dirs, .fini = remove_dirs, .timeout = 30);

static const char *log_text(void)
{
	static char text[1024];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Runs body in a child, its standard error in the log. Return: its result, or 255 for a signal. */
static int in_child(int (*body)(void))
{
	int status = 0;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)dup2(log_fd, STDERR_FILENO);
		log_init("test", LOG_LEVEL_INFO);
		_exit(body());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static long abi(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

static void need_landlock(long version)
{
	if (abi() < version)
		cr_skip_test("this kernel's Landlock is version %ld: %ld is needed", abi(),
		             version);
}

/* Each step that goes wrong ends the child with its line's number, so that a failure tells which. */
#define MUST(condition)                        \
	do {                                   \
		if (!(condition))              \
			return __LINE__ % 255; \
	} while (0)

static bool opens(int at, const char *name, int flags)
{
	AUTO_CLOSE int fd = openat(at, name, flags | O_CLOEXEC, 0600);

	return fd >= 0;
}

static int beneath(void)
{
	char text[4];
	AUTO_CLOSE int before = openat(outside, "f", O_RDONLY | O_CLOEXEC);

	MUST(confine_no_new_privs() == 0 && landlock_allow_beneath(inside, LANDLOCK_WRITE) == 0);
	MUST(opens(inside, "f", O_RDWR) && opens(inside, ".", O_RDONLY | O_DIRECTORY));
	MUST(opens(inside, "a/new", O_RDWR | O_CREAT | O_EXCL));
	MUST(truncate("inside/a/new", 9) == 0);
	MUST(renameat(inside, "a/new", inside, "b/new") == 0);
	MUST(linkat(inside, "b/new", inside, "a/again", 0) == 0);
	MUST(mkdirat(inside, "a/d", 0700) == 0 && renameat(inside, "a/d", inside, "b/d") == 0);
	MUST(mkfifo("inside/a/p", 0600) == 0 && symlinkat("x", inside, "a/s") == 0);
	MUST(unlinkat(inside, "a/p", 0) == 0 && unlinkat(inside, "b/d", AT_REMOVEDIR) == 0);
	/* Neither by a path, nor by a descriptor that leads there. */
	MUST(!opens(outside, "f", O_RDONLY) && errno == EACCES);
	MUST(!opens(AT_FDCWD, "/etc/passwd", O_RDONLY) && errno == EACCES);
	MUST(!opens(outside, ".", O_RDONLY | O_DIRECTORY) && errno == EACCES);
	MUST(mkdirat(outside, "d", 0700) < 0 && errno == EACCES);
	MUST(unlinkat(outside, "f", 0) < 0 && errno == EACCES);
	MUST(renameat(inside, "f", outside, "g") < 0 && linkat(outside, "f", inside, "g", 0) < 0);
	MUST(execl("inside/f", "f", NULL) < 0 && errno == EACCES);
	/* What was open stays. */
	MUST(read(before, text, sizeof(text)) == sizeof(text));
	return 0;
}

Test(landlock, only_what_lies_beneath)
{
	need_landlock(2);
	cr_assert_eq(in_child(beneath), 0);
}

static int reading(void)
{
	MUST(confine_no_new_privs() == 0 &&
	     landlock_allow_beneath(inside, LANDLOCK_READ_ONLY) == 0);
	MUST(opens(inside, "f", O_RDONLY) && opens(inside, ".", O_RDONLY | O_DIRECTORY));
	MUST(!opens(inside, "f", O_WRONLY) && errno == EACCES);
	MUST(!opens(inside, "g", O_WRONLY | O_CREAT) && errno == EACCES);
	MUST(mkdirat(inside, "d", 0700) < 0 && unlinkat(inside, "f", 0) < 0);
	MUST(renameat(inside, "f", inside, "g") < 0 && errno == EACCES);
	MUST(abi() < 3 || (truncate("inside/f", 0) < 0 && errno == EACCES));
	return 0;
}

Test(landlock, only_for_reading)
{
	need_landlock(2);
	cr_assert_eq(in_child(reading), 0);
}

static int nothing(void)
{
	MUST(confine_no_new_privs() == 0 && landlock_deny_all() == 0);
	MUST(!opens(inside, "f", O_RDONLY) && !opens(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY));
	MUST(!opens(inside, "g", O_WRONLY | O_CREAT) && errno == EACCES);
	return 0;
}

Test(landlock, nothing_at_all)
{
	need_landlock(1);
	cr_assert_eq(in_child(nothing), 0);
}

static int network(void)
{
	struct sockaddr_in port = {.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	AUTO_CLOSE int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(confine_no_new_privs() == 0 && landlock_deny_all() == 0);
	MUST(bind(sock, (struct sockaddr *)&port, sizeof(port)) < 0 && errno == EACCES);
	port.sin_port = htons(9);
	MUST(connect(sock, (struct sockaddr *)&port, sizeof(port)) < 0 && errno == EACCES);
	return 0;
}

Test(landlock, no_tcp)
{
	need_landlock(4);
	cr_assert_eq(in_child(network), 0);
}

static int signals(void)
{
	MUST(confine_no_new_privs() == 0 && landlock_deny_all() == 0);
	MUST(kill(getpid(), 0) == 0);
	MUST(kill(getppid(), 0) < 0 && errno == EPERM);
	return 0;
}

Test(landlock, no_signals_to_others)
{
	need_landlock(6);
	cr_assert_eq(in_child(signals), 0);
}

static int without(void)
{
	MUST(hide_call(SYS_landlock_create_ruleset, HIDDEN_ANY, ENOSYS) == 0);
	MUST(landlock_deny_all() == 0 && landlock_allow_beneath(inside, LANDLOCK_WRITE) == 0);
	MUST(opens(outside, "f", O_RDONLY));
	return 0;
}

Test(landlock, a_kernel_without_it_is_no_error)
{
	cr_assert_eq(in_child(without), 0);
	cr_assert_not_null(strstr(log_text(), "Landlock is not to be had (ENOSYS)"));
}

/* The question for corrections is unknown to kernels before 6.15: then they are not there. */
static int by_handle(void)
{
	MUST(hide_call(SYS_landlock_create_ruleset, 2, EINVAL) == 0);
	MUST(landlock_allow_beneath(inside, LANDLOCK_WRITE | LANDLOCK_BY_HANDLE) == 0);
	MUST(opens(outside, "f", O_RDWR) && opens(inside, "f", O_RDWR));
	MUST(!opens(outside, ".", O_RDONLY | O_DIRECTORY) && errno == EACCES);
	MUST(!opens(outside, "g", O_WRONLY | O_CREAT) && unlinkat(outside, "f", 0) < 0);
	MUST(execl("outside/f", "f", NULL) < 0 && errno == EACCES);
	return 0;
}

Test(landlock, files_by_handle_on_an_uncorrected_kernel)
{
	need_landlock(2);
	cr_assert_eq(in_child(by_handle), 0);
	cr_assert_not_null(strstr(log_text(), "Landlock holds directories, not files"));
}

static int by_handle_read_only(void)
{
	MUST(hide_call(SYS_landlock_create_ruleset, 2, EINVAL) == 0);
	MUST(landlock_allow_beneath(inside, LANDLOCK_READ_ONLY | LANDLOCK_BY_HANDLE) == 0);
	MUST(opens(outside, "f", O_RDONLY) && !opens(inside, "f", O_RDWR));
	return 0;
}

Test(landlock, files_by_handle_are_not_written_where_nothing_is)
{
	need_landlock(2);
	cr_assert_eq(in_child(by_handle_read_only), 0);
}
