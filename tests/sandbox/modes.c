/* SPDX-License-Identifier: GPL-2.0-or-later */
/* modes.c: --sandbox: what each mode keeps, that a mode asked for is kept or refused, and what of the export is looked at. */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/rig.h"

#include "common/cleanup.h"
#include "common/usock.h"
#include "helper/export.h"
#include "helper/lockdown.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct rig rig;

TestSuite(modes, .timeout = 60);

static bool logged(const char *text)
{
	return strstr(rig_log(&rig), text) != NULL;
}

/* Serves in that mode, and tells where a link of the helper's in /proc leads: its root or a namespace. */
static const char *start(const char *mode, const char *link_name)
{
	static char to[256];
	struct legacy_lstat_rep st;
	char path[64];
	ssize_t n;

	rig_start(&rig, mode ? ARGS("--sandbox", mode) : NULL);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0, "%s", rig_log(&rig));
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)rig.helper, link_name);
	n = readlink(path, to, sizeof(to) - 1);
	cr_assert_gt(n, 0);
	to[n] = '\0';
	return to;
}

static const char *our_mounts(void)
{
	static char to[64];
	ssize_t n = readlink("/proc/self/ns/mnt", to, sizeof(to) - 1);

	cr_assert_gt(n, 0);
	to[n] = '\0';
	return to;
}

Test(modes, a_namespace_is_kept)
{
	cr_assert_str_neq(start("namespace", "ns/mnt"), our_mounts());
	cr_assert_eq(rig_end(&rig), 0);
}

Test(modes, chroot_changes_the_root_and_not_the_mounts)
{
	char root[256];

	cr_assert_str_eq(start("chroot", "ns/mnt"), our_mounts());
	cr_assert(logged("only chroot holds the export"));
	cr_assert_eq(rig_end(&rig), 0);
	(void)snprintf(root, sizeof(root), "%s", start("chroot", "root"));
	cr_assert_str_eq(root, rig.export);
	cr_assert_eq(rig_end(&rig), 0);
}

Test(modes, none_changes_neither)
{
	cr_assert_str_eq(start("none", "ns/mnt"), our_mounts());
	cr_assert(logged("--sandbox=none: the root stays the host's"));
	cr_assert_eq(rig_end(&rig), 0);
	cr_assert_str_eq(start("none", "root"), "/");
	cr_assert_eq(rig_end(&rig), 0);
}

static void must_not_serve(const char *const *args, const char *reason)
{
	rig_dirs(&rig);
	rig_serve(&rig, args);
	cr_assert_eq(rig_exit_status(rig.helper), 1);
	rig.helper = -1;
	cr_assert(logged(reason), "wanted '%s', got: %s", reason, rig.log);
	cr_assert_eq(rig_end(&rig), 0);
}

/* As where a container's filter forbids namespaces. */
Test(modes, a_mode_that_is_asked_for_is_kept_or_refused)
{
	cr_assert_eq(setenv("VIRTFS_HIDE", "unshare", 1), 0);
	must_not_serve(ARGS("--sandbox", "namespace"),
	               "error: --sandbox=namespace: no network namespace");
	(void)start(NULL, "root");
	cr_assert(logged("warning: no mount namespace of its own: EPERM"));
	cr_assert(logged("only chroot holds the export"));
	cr_assert_eq(rig_end(&rig), 0);
}

/* ---- Landlock ---- */

static long landlock_version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

Test(modes, without_landlock_the_helper_serves_and_says_so)
{
	cr_assert_eq(setenv("VIRTFS_HIDE", "landlock", 1), 0);
	(void)start(NULL, "root");
	cr_assert(logged("info: Landlock is not to be had (ENOSYS)"));
	cr_assert_eq(rig_end(&rig), 0);
}

Test(modes, with_landlock_nothing_is_said)
{
	if (landlock_version() < 2)
		cr_skip_test("this kernel has no Landlock that allows renames");
	(void)start(NULL, "root");
	cr_assert_not(logged("Landlock"));
	cr_assert_eq(rig_end(&rig), 0);
}

/* A helper that was taken over, before its filter: what it reaches by names of the host, or up from where it stands. */
static int reach_out(enum sandbox mode)
{
	static const char *const ways[] = {"/etc/passwd", "/proc/self/status",
	                                   "../../../etc/passwd", "../status", "../../1/status"};
	char name[] = "f", *const args[] = {name, NULL};
	struct export x = EXPORT_NONE;
	char canary[100];
	int fd;

	(void)snprintf(canary, sizeof(canary), "%s/canary", rig.outside);
	if (export_open(rig.export, &x) < 0 || lockdown_jail(&x, mode, false) < 0 ||
	    lockdown_rights(&x, false, false) < 0)
		return 99;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (open(ways[i], O_RDONLY | O_CLOEXEC) >= 0)
			return (int)i + 1;
	}
	if (open(canary, O_RDWR | O_CLOEXEC) >= 0 || unlink(canary) == 0 ||
	    mkdir(rig.outside, 0700) == 0 || rename(canary, "/tmp/stolen") == 0)
		return 20;
	(void)execl("/bin/sh", "sh", "-c", "exit 23", NULL);
	if (errno != EACCES && errno != ENOENT)
		return 21;
	/* And yet the export is there. What is executable in it is not looked into: that would be ENOEXEC. */
	fd = openat(x.root, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	if (fd < 0 || write(fd, "no program", 10) != 10)
		return 22;
	fd_close(&fd);
	if (syscall(SYS_execveat, x.root, "f", args, environ, 0) >= 0 || errno != EACCES)
		return 24;
	return unlinkat(x.root, "f", 0) == 0 ? 0 : 25;
}

Test(modes, a_taken_over_helper_gets_nowhere)
{
	if (landlock_version() < 2)
		cr_skip_test("this kernel has no Landlock that allows renames");
	for (enum sandbox mode = SANDBOX_NAMESPACE; mode <= SANDBOX_NONE; mode++) {
		pid_t pid;

		rig_dirs(&rig);
		pid = fork();
		cr_assert_geq(pid, 0);
		if (pid == 0)
			_exit(reach_out(mode));
		cr_assert_eq(rig_exit_status(pid), 0, "mode %d", mode);
		cr_assert_eq(rig_end(&rig), 0);
	}
}

/* ---- the export ---- */

Test(modes, the_hosts_root_is_served_if_asked_for)
{
	static const char *const modes[] = {"namespace", "chroot", "none"};
	struct legacy_lstat_rep st;
	struct stat etc;

	rig_dirs(&rig);
	cr_assert_eq(stat("/etc", &etc), 0);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		(void)snprintf(rig.export, sizeof(rig.export), "/");
		rig_serve(&rig, ARGS("--whole-host", "--readonly", "--sandbox", modes[i]));
		cr_assert_eq(peer_lstat(rig.sock, "//etc", &st), 0, "%s", rig_log(&rig));
		cr_assert_eq(st.ino, etc.st_ino);
		cr_assert_lt(peer_open(rig.sock, "/proc/self/mem", O_RDONLY), 0);
		fd_close(&rig.sock);
		cr_assert_eq(rig_exit_status(rig.helper), 0);
	}
	rig.helper = -1;
	(void)rig_end(&rig);
}

Test(modes, a_link_to_the_export_is_followed_once)
{
	struct legacy_lstat_rep st;
	struct stat top;

	rig_dirs(&rig);
	cr_assert_eq(stat(rig.export, &top), 0);
	cr_assert_eq(chdir(rig.dir), 0);
	cr_assert_eq(symlink("export", "link"), 0);
	(void)snprintf(rig.export, sizeof(rig.export), "%s/link", rig.dir);
	rig_serve(&rig, NULL);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
	cr_assert_eq(st.ino, top.st_ino);
	cr_assert_eq(rig_end(&rig), 0);
}

/* The export's name becomes that of a link to the host's root, or the other way round. */
static void exchange_names(void)
{
	char other[128];

	(void)snprintf(other, sizeof(other), "%s/other", rig.dir);
	(void)syscall(SYS_renameat2, AT_FDCWD, rig.export, AT_FDCWD, other,
	              2 /* RENAME_EXCHANGE */);
}

/* A helper that stops at each of its system calls. */
static pid_t spawn_traced(int sock)
{
	char number[12];
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid > 0)
		return pid;
	(void)snprintf(number, sizeof(number), "%d", sock);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(rig.err, STDERR_FILENO);
	(void)fcntl(sock, F_SETFD, 0);
	rig_hide();
	(void)ptrace(PTRACE_TRACEME, 0, 0, 0);
	(void)execl(getenv("VIRTFS_HELPER"), "helper", "-n", "-p", rig.export, "-f", number, NULL);
	_exit(127);
}

static void next_stop(pid_t pid)
{
	int status;

	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSTOPPED(status), "%x: %s", (unsigned)status, rig_log(&rig));
}

static bool is_export(pid_t pid, uint64_t address)
{
	char text[sizeof(rig.export)] = "";
	size_t size = strlen(rig.export) + 1;
	struct iovec to = {.iov_base = text, .iov_len = size};
	struct iovec from = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};

	return process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)size &&
	       strcmp(text, rig.export) == 0;
}

/* Lets it run until it has made its first call with the export's path. */
static void run_to_first_look(pid_t pid)
{
	bool looks = false;

	next_stop(pid); /* exec */
	cr_assert_eq(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL),
	             0);
	while (!looks) {
		struct __ptrace_syscall_info call = {0};

		cr_assert_eq(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
		next_stop(pid);
		cr_assert_gt(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(call), &call), 0);
		looks = call.op == PTRACE_SYSCALL_INFO_ENTRY &&
		        (is_export(pid, call.entry.args[0]) || is_export(pid, call.entry.args[1]));
	}
	cr_assert_eq(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
	next_stop(pid);
}

/* What was looked at first is what is served, however soon another stands in its place. */
Test(modes, an_export_that_is_exchanged_after_the_first_look)
{
	struct legacy_lstat_rep st;
	struct stat top;
	int pair[2];

	rig_dirs(&rig);
	rig.err = rig_log_file();
	cr_assert_eq(stat(rig.export, &top), 0);
	cr_assert_eq(chdir(rig.dir), 0);
	cr_assert_eq(symlink("/", "other"), 0);
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	rig.sock = pair[0];
	rig.helper = spawn_traced(pair[1]);
	fd_close(&pair[1]);
	run_to_first_look(rig.helper);
	exchange_names();
	cr_assert_eq(ptrace(PTRACE_DETACH, rig.helper, 0, 0), 0);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0, "%s", rig_log(&rig));
	cr_assert_eq(st.ino, top.st_ino);
	cr_assert_eq(st.dev, top.st_dev);
	cr_assert_eq(rig_end(&rig), 0);
}

static atomic_bool racing;

static void *exchange(void *unused)
{
	while (atomic_load(&racing))
		exchange_names();
	return unused;
}

/* What was checked is what is served: never the host's root. */
Test(modes, an_export_that_is_exchanged_meanwhile)
{
	struct legacy_lstat_rep st;
	unsigned served = 0, refused = 0;
	struct stat top;
	char other[128];
	pthread_t thread;

	rig_dirs(&rig);
	cr_assert_eq(stat(rig.export, &top), 0);
	(void)snprintf(other, sizeof(other), "%s/other", rig.dir);
	cr_assert_eq(symlink("/", other), 0);
	atomic_store(&racing, true);
	cr_assert_eq(pthread_create(&thread, NULL, exchange, NULL), 0);
	for (int i = 0; i < 60 || (i < 2000 && (served == 0 || refused == 0)); i++) {
		rig_serve(&rig, NULL);
		if (peer_lstat(rig.sock, "/", &st) == 0) {
			cr_assert_eq(st.ino, top.st_ino);
			cr_assert_eq(st.dev, top.st_dev);
			served++;
		} else {
			refused++;
		}
		fd_close(&rig.sock);
		(void)rig_exit_status(rig.helper);
	}
	atomic_store(&racing, false);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	rig.helper = -1;
	cr_assert(served > 0 && refused > 0, "%u times served, %u refused: the race was not run",
	          served, refused);
	(void)rig_end(&rig);
}

/* Of a helper that waits at -s: another directory stands in the export's place before anybody connects. */
Test(modes, an_export_that_is_replaced_later)
{
	struct legacy_lstat_rep st;
	struct stat top;
	char moved[128];

	rig_start(&rig, NULL);
	cr_assert_eq(stat(rig.export, &top), 0);
	(void)snprintf(moved, sizeof(moved), "%s/moved", rig.dir);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
	cr_assert_eq(rename(rig.export, moved), 0);
	cr_assert_eq(symlink(rig.outside, rig.export), 0);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
	cr_assert_eq(st.ino, top.st_ino);
	cr_assert_lt(peer_lstat(rig.sock, "//canary", &st), 0);
	cr_assert_eq(rig_end(&rig), 0);
}

static bool remarked(unsigned long mount_flags, mode_t mode, const char *option)
{
	rig_dirs(&rig);
	cr_assert_eq(mount("none", rig.export, "tmpfs", mount_flags, NULL), 0);
	cr_assert_eq(chmod(rig.export, mode), 0);
	rig_serve(&rig, option ? ARGS(option) : NULL);
	fd_close(&rig.sock);
	cr_assert_eq(rig_exit_status(rig.helper), 0, "%s", rig_log(&rig));
	rig.helper = -1;
	cr_assert_eq(umount(rig.export), 0);
	cr_assert_eq(rig_end(&rig), 0);
	return strstr(rig.log, "that a guest makes there") != NULL;
}

Test(modes, what_a_guest_could_leave_for_the_host_is_remarked)
{
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert(remarked(0, 0755, NULL));
	cr_assert(strstr(rig.log, "nosuid,nodev"));
	cr_assert(remarked(MS_NODEV, 0755, NULL));
	cr_assert(remarked(MS_NOSUID, 0711, NULL));
	cr_assert_not(remarked(MS_NOSUID | MS_NODEV, 0755, NULL));
	cr_assert_not(remarked(0, 0700, NULL));
	cr_assert_not(remarked(0, 0755, "--readonly"));
}
