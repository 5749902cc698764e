/* SPDX-License-Identifier: GPL-2.0-or-later */
/* device_walls.c: what a serving device still has, as the kernel tells it, and how it starts where the host allows less. */
#include "tests/lib/hidden.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/proc.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"
#include "common/loop.h"
#include "virtio-9p/lockdown.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ARGS(...)  ((const char *const[]){__VA_ARGS__, NULL})
#define NO_CAPS    "0000000000000000"
#define SOME_UID   12345
#define SOME_OWNER 4242
#define MANY_FILES (1 << 17) /* more than a device has */

static struct p9_rig rig;
static struct p9_client *const c = &rig.c;

TestSuite(device_walls, .timeout = 60);

static const char *status(const char *key)
{
	return proc_status(rig.device, key);
}

/* It has answered Tattach, so all that it gives away is gone. */
static void start(const char *const *args, void (*device_child)(void))
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.device_args = args, .device_child = device_child});
}

static void must_have_no_right(void)
{
	cr_assert_str_eq(status("CapEff"), NO_CAPS);
	cr_assert_str_eq(status("CapPrm"), NO_CAPS);
	cr_assert_str_eq(status("CapInh"), NO_CAPS);
	cr_assert_str_eq(status("CapAmb"), NO_CAPS);
	cr_assert_str_eq(status("NoNewPrivs"), "1");
	cr_assert_str_eq(status("Seccomp"), "2");
}

static void must_be_apart(void)
{
	static const char *const spaces[] = {"user", "mnt", "net", "ipc", "uts", "cgroup"};

	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++)
		cr_assert_not(proc_shares(rig.device, spaces[i]), "the %s namespace is the host's",
		              spaces[i]);
}

static void root_must_be_empty(void)
{
	DIR *d = opendir(proc_path(rig.device, "root"));
	struct dirent *e;

	cr_assert_not_null(d);
	while ((e = readdir(d)))
		cr_assert(e->d_name[0] == '.', "its root has %s", e->d_name);
	(void)closedir(d);
	cr_assert_lt(mkdir(proc_path(rig.device, "root/new"), 0755), 0);
	cr_assert_lt(mkdir(proc_path(rig.device, "cwd/new"), 0755), 0);
}

static void be_in_groups(void)
{
	static const gid_t groups[] = {4, 27};

	if (setgroups(ARRAY_SIZE(groups), groups) < 0)
		_exit(99);
}

static void be_somebody(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(SOME_UID, SOME_UID, SOME_UID) < 0 ||
	    setresuid(SOME_UID, SOME_UID, SOME_UID) < 0)
		_exit(99);
}

Test(device_walls, nobody_and_no_right)
{
	start(NULL, be_in_groups);
	must_have_no_right();
	cr_assert_str_eq(status("CapBnd"), NO_CAPS);
	cr_assert_str_eq(status("Seccomp_filters"), "1");
	cr_assert_str_eq(status("Uid"), "65534\t65534\t65534\t65534");
	cr_assert_str_eq(status("Gid"), "65534\t65534\t65534\t65534");
	cr_assert(strspn(status("Groups"), " ") == strlen(status("Groups")));
	p9_rig_end(&rig);
}

Test(device_walls, namespaces_of_its_own)
{
	start(NULL, NULL);
	must_be_apart();
	p9_rig_end(&rig);
}

Test(device_walls, an_empty_root_and_nothing_else_mounted)
{
	char line[1024];
	int mounts = 0;
	FILE *f;

	start(NULL, NULL);
	root_must_be_empty();
	f = fopen(proc_path(rig.device, "mountinfo"), "re");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f)) {
		cr_assert_not_null(strstr(line, " ro,nosuid,nodev,noexec"), "%s", line);
		mounts++;
	}
	(void)fclose(f);
	cr_assert_eq(mounts, 1);
	p9_rig_end(&rig);
}

/* Whatever the tests are held to themselves, where they may. */
static void have_no_limits(void)
{
	static const __rlimit_resource_t without[] = {RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_MEMLOCK,
	                                              RLIMIT_MSGQUEUE};

	for (size_t i = 0; i < ARRAY_SIZE(without); i++)
		(void)setrlimit(without[i], &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
	(void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){MANY_FILES, MANY_FILES});
}

Test(device_walls, limits)
{
	start(NULL, have_no_limits);
	cr_assert_eq(proc_limit(rig.device, "Max core file size"), 0);
	cr_assert_leq(proc_limit(rig.device, "Max open files"), 65536);
	cr_assert_leq(proc_limit(rig.device, "Max processes"), 1024);
	cr_assert_eq(proc_limit(rig.device, "Max locked memory"), 0);
	cr_assert_eq(proc_limit(rig.device, "Max msgqueue size"), 0);
	p9_rig_end(&rig);
}

/* Another process of its user cannot look into it: the kernel gives the files of an undumpable process in /proc to root. */
static void must_be_closed_to(uid_t uid)
{
	struct stat st;
	int end;
	pid_t pid;

	cr_assert_eq(stat(proc_path(rig.device, "mem"), &st), 0);
	cr_assert_eq(st.st_uid, 0);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
		    setresuid(uid, uid, uid) < 0)
			_exit(99);
		if (open(proc_path(rig.device, "mem"), O_RDONLY) >= 0 || errno != EACCES)
			_exit(1);
		_exit(ptrace(PTRACE_SEIZE, rig.device, 0, 0) < 0 && errno == EPERM ? 0 : 2);
	}
	cr_assert_eq(waitpid(pid, &end, 0), pid);
	cr_assert_eq(end, 0);
}

Test(device_walls, undumpable)
{
	start(NULL, NULL);
	must_be_closed_to(65534);
	p9_rig_end(&rig);
	/* A change of the user, which root's device makes, would do this by itself. */
	start(NULL, be_somebody);
	must_be_closed_to(SOME_UID);
	p9_rig_end(&rig);
}

/* As a careless starter leaves them to it. */
static void have_more_open(void)
{
	if (open("/", O_RDONLY | O_DIRECTORY) < 0 || open("/proc/self/exe", O_RDONLY) < 0)
		_exit(99);
}

/* Sockets, the ring, what it waits on, and standard streams: nothing that leads anywhere. */
Test(device_walls, every_descriptor_is_accounted_for)
{
	static const char *const kinds[] = {"socket:", "anon_inode:", "/dev/null", "/memfd:log"};
	struct dirent *e;
	DIR *d;

	start(NULL, have_more_open);
	d = opendir(proc_path(rig.device, "fd"));
	cr_assert_not_null(d);
	while ((e = readdir(d))) {
		char link[320], path[320];
		bool known = false;
		ssize_t n;

		if (e->d_name[0] == '.' || e->d_name[0] - '0' <= 1)
			continue; /* input and output are the test's */
		(void)snprintf(path, sizeof(path), "fd/%s", e->d_name);
		n = readlink(proc_path(rig.device, path), link, sizeof(link) - 1);
		cr_assert_gt(n, 0);
		link[n] = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			known |= strncmp(link, kinds[i], strlen(kinds[i])) == 0;
		cr_assert(known, "descriptor %s is %s", e->d_name, link);
	}
	(void)closedir(d);
	p9_rig_end(&rig);
}

/* ---- Landlock, which the kernel does not show ---- */

/* The device's own steps, with a descriptor that it should not have: what else is in the way is left out. */
static int look_beside(const char *outside)
{
	const struct config config = {.sandbox = SANDBOX_NONE, .user = {65534, 65534}};
	int dir = open(outside, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool all_ids;

	if (dir < 0 || faccessat(dir, "canary", R_OK, 0) < 0 ||
	    lockdown_jail(&config, &all_ids) < 0 || lockdown_rights() < 0)
		return 99;
	if (faccessat(dir, "canary", R_OK, 0) < 0)
		return 98; /* something else keeps it off */
	if (openat(dir, "canary", O_RDONLY) >= 0 || errno != EACCES)
		return 1;
	return openat(dir, ".", O_RDONLY) < 0 && errno == EACCES ? 0 : 2;
}

Test(device_walls, a_directorys_descriptor_opens_nothing)
{
	int end;
	pid_t pid;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0)
		cr_skip_test("this kernel has no Landlock");
	start(NULL, NULL);
	pid = fork();
	if (pid == 0)
		_exit(look_beside(rig.rig.outside));
	cr_assert_eq(waitpid(pid, &end, 0), pid);
	cr_assert_eq(WEXITSTATUS(end), 0, "status %d", WEXITSTATUS(end));
	p9_rig_end(&rig);
}

/* ---- whose it is ---- */

static void make_owned(struct rig *r)
{
	rig_write(r, "f", "text");
	cr_assert_eq(chown(rig_path(r, "f"), SOME_OWNER, SOME_OWNER + 1), 0);
}

static void owners_must_be_seen(void)
{
	struct p9_getattr_rep st;

	make_owned(&rig.rig);
	p9_open(c, 1, "f", 2);
	st = P9(c, getattr, .fid = 1);
	cr_assert_eq(st.uid, SOME_OWNER, "%u", st.uid);
	cr_assert_eq(st.gid, SOME_OWNER + 1, "%u", st.gid);
	p9_put(c, 1, 0, "more");
	cr_assert(p9_has(c, 1, 0, "more"));
	P9(c, fsync, .fid = 1);
	p9_make(c, 2, "g", 0644);
	cr_assert_eq(P9(c, getattr, .fid = 2).uid, 0);
}

Test(device_walls, who_owns_open_files_is_seen)
{
	start(NULL, NULL);
	owners_must_be_seen();
	p9_rig_end(&rig);
}

Test(device_walls, the_user_can_be_chosen)
{
	struct stat st;

	p9_rig_start(
	    &rig, &(struct p9_rig_opt){.device_args = ARGS("--user", "1234:5678"), .listen = true});
	cr_assert_str_eq(status("Uid"), "1234\t1234\t1234\t1234");
	cr_assert_str_eq(status("Gid"), "5678\t5678\t5678\t5678");
	must_have_no_right();
	cr_assert_eq(stat(rig.listen_at, &st), 0);
	cr_assert_eq(st.st_uid, 1234);
	cr_assert_eq(st.st_gid, 5678);
	p9_rig_end(&rig);
	start(ARGS("--user", "daemon"), NULL);
	cr_assert_str_eq(status("Uid"), "1\t1\t1\t1");
	p9_rig_end(&rig);
}

Test(device_walls, an_ordinary_users_device_has_the_same_walls)
{
	start(ARGS("--sandbox", "namespace"), be_somebody);
	must_have_no_right();
	must_be_closed_to(SOME_UID);
	cr_assert_str_eq(status("CapBnd"), NO_CAPS);
	cr_assert_str_eq(status("Uid"), "12345\t12345\t12345\t12345");
	must_be_apart();
	root_must_be_empty();
	owners_must_be_seen();
	p9_rig_end(&rig);
}

Test(device_walls, without_namespaces_all_else_is_there)
{
	start(ARGS("--sandbox", "none"), NULL);
	must_have_no_right();
	cr_assert_str_eq(status("Uid"), "65534\t65534\t65534\t65534");
	cr_assert(proc_shares(rig.device, "net"));
	cr_assert(proc_shares(rig.device, "mnt"));
	cr_assert(proc_shares(rig.device, "user"));
	owners_must_be_seen();
	p9_rig_end(&rig);
}

/* ---- hosts that allow less ---- */

static void without_unshare(void)
{
	if (hide_call(SYS_unshare, HIDDEN_ANY, EPERM) < 0)
		_exit(99);
}

static void without_pivot(void)
{
	if (hide_call(SYS_pivot_root, HIDDEN_ANY, EPERM) < 0)
		_exit(99);
}

static void without_fsopen(void)
{
	be_somebody();
	if (hide_call(SYS_fsopen, HIDDEN_ANY, ENOSYS) < 0)
		_exit(99);
}

static void must_be_told(const char *wall)
{
	char line[200];

	(void)snprintf(line, sizeof(line),
	               "virtfs-device: warning: the host does not allow %s: ", wall);
	cr_assert_not_null(strstr(rig_log(&rig.rig), line), "%s", rig.rig.log);
}

Test(device_walls, without_unshare_root_is_left_by_chroot)
{
	start(NULL, without_unshare);
	must_have_no_right();
	root_must_be_empty();
	cr_assert_str_eq(status("Uid"), "65534\t65534\t65534\t65534");
	must_be_told("a user namespace");
	must_be_told("a network namespace");
	must_be_told("a mount namespace");
	must_be_told("an empty root that is a mount");
	owners_must_be_seen();
	p9_rig_end(&rig);
}

Test(device_walls, without_pivot_root_it_is_chroot)
{
	start(NULL, without_pivot);
	must_be_apart();
	root_must_be_empty();
	must_be_told("an empty root that is a mount");
	p9_rig_end(&rig);
	start(NULL, without_fsopen);
	must_be_apart();
	root_must_be_empty();
	p9_rig_end(&rig);
}

static void must_refuse(const char *why, const char *const *more, void (*device_child)(void))
{
	char helper[12], client[12];
	const char *args[8] = {"--helper-fd", helper, "--fd", client, more[0], more[1]};
	int packets[2], stream[2], end;

	rig = (struct p9_rig){.device_child = device_child, .c.sock = -1};
	rig_dirs(&rig.rig);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, packets), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	(void)snprintf(helper, sizeof(helper), "%d", packets[0]);
	(void)snprintf(client, sizeof(client), "%d", stream[0]);
	end = rig_exit_status(p9_rig_spawn(&rig, args, (int[]){packets[0], stream[0]}, 2));
	cr_assert_eq(end, 1, "status %d: %s", end, rig_log(&rig.rig));
	cr_assert_not_null(strstr(rig_log(&rig.rig), why), "wanted '%s', got: %s", why,
	                   rig.rig.log);
	for (int i = 0; i < 2; i++) {
		fd_close(&packets[i]);
		fd_close(&stream[i]);
	}
	(void)rig_end(&rig.rig);
}

Test(device_walls, what_is_demanded_and_not_allowed_ends_the_start)
{
	static const char *const demand[] = {"--sandbox", "namespace", NULL};

	must_refuse("error: the host does not allow a user namespace", demand, without_unshare);
	must_refuse("error: the host does not allow an empty root", demand, without_pivot);
	must_refuse("only root can become another user", ARGS("--user", "1:1"), be_somebody);
	must_refuse("must not be root", ARGS("--user", "0:1"), NULL);
	must_refuse("must not be root", ARGS("--user", "1:0"), NULL);
	must_refuse("--user 'no-such-user'", ARGS("--user", "no-such-user"), NULL);
	must_refuse("--user '1:x': must be", ARGS("--user", "1:x"), NULL);
	must_refuse("--sandbox 'strong': must be", ARGS("--sandbox", "strong"), NULL);
}

/* ---- who started it ---- */

static bool is_gone(pid_t pid)
{
	char path[64];
	FILE *f;
	char state = 'X';

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%*d %*s %c", &state) != 1)
		state = 'X';
	if (f)
		(void)fclose(f);
	return state == 'X' || state == 'Z';
}

/* It asked to die with its starter before it changed its ids, which the kernel takes for the end of that. */
Test(device_walls, dies_with_who_started_it)
{
	struct {
		pid_t device;
		char dir[sizeof(rig.rig.dir)];
	} told = {0};
	int ends[2];
	pid_t pid;

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true});
		told.device = rig.device;
		memcpy(told.dir, rig.rig.dir, sizeof(told.dir));
		(void)(write(ends[1], &told, sizeof(told)) == sizeof(told));
		(void)kill(getpid(), SIGKILL);
	}
	fd_close(&ends[1]);
	cr_assert_eq(read(ends[0], &told, sizeof(told)), (ssize_t)sizeof(told));
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	WAIT_WHILE(!is_gone(told.device));
	cr_assert(is_gone(told.device));
	fd_close(&ends[0]);
	rig.rig = (struct rig){.helper = -1, .sock = -1, .err = -1};
	memcpy(rig.rig.dir, told.dir, sizeof(told.dir));
	(void)rig_end(&rig.rig);
}

/* ---- hosts without io_uring ---- */

static void without_ring(void)
{
	if (hide_call(SYS_io_uring_setup, HIDDEN_ANY, EPERM) < 0)
		_exit(99);
}

static unsigned long threads(void)
{
	return strtoul(status("Threads"), NULL, 10);
}

/* What capabilities, identity and filters are is each thread's own. */
static void each_thread_must_have_no_right(void)
{
	static const char *const same[] = {"CapEff", "CapPrm",     "CapBnd",  "Uid",
	                                   "Gid",    "NoNewPrivs", "Seccomp", "Seccomp_filters"};
	DIR *d = opendir(proc_path(rig.device, "task"));
	struct dirent *e;

	cr_assert_not_null(d);
	must_have_no_right();
	while ((e = readdir(d))) {
		pid_t thread = (pid_t)strtol(e->d_name, NULL, 10);

		for (size_t i = 0; thread && i < ARRAY_SIZE(same); i++) {
			char mine[128];

			(void)snprintf(mine, sizeof(mine), "%s", proc_status(thread, same[i]));
			cr_assert_str_eq(mine, status(same[i]), "%s of thread %d", same[i],
			                 (int)thread);
		}
	}
	(void)closedir(d);
}

Test(device_walls, threads_of_a_host_without_io_uring_have_no_right_either)
{
	start(NULL, without_ring);
	cr_assert_not_null(strstr(rig_log(&rig.rig), "no io_uring (EPERM)"), "%s", rig.rig.log);
	cr_assert_gt(threads(), 1);
	owners_must_be_seen();
	each_thread_must_have_no_right();
	p9_rig_end(&rig);
	start(ARGS("--io", "threads"), NULL);
	cr_assert_gt(threads(), 1);
	p9_rig_end(&rig);
	start(ARGS("--io", "io_uring"), NULL);
	cr_assert_eq(threads(), 1);
	p9_rig_end(&rig);
	must_refuse("cannot have the io_uring of --io: EPERM", ARGS("--io", "io_uring"),
	            without_ring);
	must_refuse("--io 'aio': must be auto, io_uring or threads", ARGS("--io", "aio"), NULL);
}
