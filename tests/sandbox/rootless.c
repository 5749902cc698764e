/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rootless.c: a helper that an ordinary user starts: what it may, what the guest sees, and what it may not. */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/proc.h"
#include "tests/lib/rig.h"
#include "tests/lib/rpc_peer.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"
#include "common/compiler.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define USER    54321u
#define FIRST   700000u /* of the subordinate ids */
#define SUBIDS  2000u
#define UNKNOWN 65534u
#define KEEP    UINT32_MAX

static struct rig rig;

TestSuite(rootless, .timeout = 60);

static void start_as_user(const char *const *args)
{
	struct legacy_lstat_rep st;

	rig_dirs(&rig);
	rig.user = USER;
	rig_serve(&rig, args);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0, "%s", rig_log(&rig));
	cr_assert_eq(st.uid, 0, "the user is the guest's root");
	cr_assert_eq(st.gid, 0);
}

static struct stat host_stat(const char *name)
{
	struct stat st;

	cr_assert_eq(lstat(rig_path(&rig, name), &st), 0);
	return st;
}

static void must_be_owned(const char *name, uint32_t uid, uint32_t gid)
{
	struct stat st = host_stat(name);

	cr_assert_eq(st.st_uid, uid, "%s belongs to %u", name, st.st_uid);
	cr_assert_eq(st.st_gid, gid, "%s belongs to group %u", name, st.st_gid);
}

static int make_file(const char *path, uint32_t uid, uint32_t gid)
{
	int fd = peer_create(rig.sock, path, O_RDWR, 0640, uid, gid);
	int r = fd < 0 ? fd : 0;

	fd_close(&fd);
	return r;
}

Test(rootless, the_guests_root_is_the_user)
{
	start_as_user(NULL);
	cr_assert_eq(make_file("//f", 0, 0), 0);
	must_be_owned("f", USER, USER);
	cr_assert_eq(peer_mkdir(rig.sock, "//d", 0755, 0, 0), 0);
	must_be_owned("d", USER, USER);
	cr_assert_eq(peer_mknod(rig.sock, "//p", S_IFIFO | 0600, 0, 0, 0), 0);
	cr_assert_eq(peer_chown(rig.sock, "//f", 0, 0), 0);
	cr_assert_eq(peer_chmod(rig.sock, "//f", 04755), 0);
	cr_assert_eq(host_stat("f").st_mode & 07777, 04755);
	cr_assert_eq(peer_remove(rig.sock, "//f"), 0);
	cr_assert_eq(rig_end(&rig), 0);
}

Test(rootless, ids_that_are_not_mapped)
{
	start_as_user(NULL);
	cr_assert_eq(make_file("//f", 1000, 0), -EPERM);
	cr_assert_eq(make_file("//f", 0, 1000), -EPERM);
	cr_assert_eq(peer_mkdir(rig.sock, "//d", 0755, 1000, 1000), -EPERM);
	cr_assert_eq(make_file("//f", 0, 0), 0,
	             "and after all these the user's rights are the same");
	cr_assert_eq(peer_chown(rig.sock, "//f", 1000, KEEP), -EINVAL);
	cr_assert_eq(peer_chown(rig.sock, "//f", KEEP, 1000), -EINVAL);
	must_be_owned("f", USER, USER);
	cr_assert_eq(rig_end(&rig), 0);
}

Test(rootless, files_of_others_are_used_as_far_as_anybody_may)
{
	struct legacy_lstat_rep st;
	int fd;

	start_as_user(NULL);
	rig_write(&rig, "public", "text");
	rig_write(&rig, "secret", "text");
	cr_assert_eq(chmod(rig_path(&rig, "secret"), 0600), 0);
	cr_assert_eq(peer_lstat(rig.sock, "//secret", &st), 0);
	cr_assert_eq(st.uid, UNKNOWN);
	cr_assert_eq(st.gid, UNKNOWN);
	fd = peer_open(rig.sock, "//public", O_RDONLY);
	cr_assert_geq(fd, 0);
	fd_close(&fd);
	cr_assert_eq(peer_open(rig.sock, "//public", O_RDWR), -EACCES);
	cr_assert_eq(peer_open(rig.sock, "//secret", O_RDONLY), -EACCES);
	cr_assert_eq(peer_chmod(rig.sock, "//secret", 0644), -EPERM);
	cr_assert_eq(peer_chown(rig.sock, "//secret", 0, 0), -EPERM);
	cr_assert_eq(rig_end(&rig), 0);
}

Test(rootless, no_devices)
{
	start_as_user(NULL);
	cr_assert_eq(peer_mknod(rig.sock, "//n", S_IFCHR | 0666, makedev(1, 3), 0, 0), -EPERM);
	cr_assert_eq(peer_mknod(rig.sock, "//n", S_IFBLK | 0666, makedev(7, 0), 0, 0), -EPERM);
	cr_assert_eq(rig_end(&rig), 0);
}

/* The walls are those that root's helper has. */
Test(rootless, the_walls_stand)
{
	start_as_user(ARGS("--sandbox", "namespace"));
	cr_assert_str_eq(rig_proc(&rig, "CapEff"), "00000000080000db");
	cr_assert_str_eq(rig_proc(&rig, "CapBnd"), "0000000000000000");
	cr_assert_str_eq(rig_proc(&rig, "NoNewPrivs"), "1");
	cr_assert_str_eq(rig_proc(&rig, "Seccomp"), "2");
	cr_assert_str_eq(rig_proc(&rig, "Uid"), "54321\t54321\t54321\t54321");
	proc_mounts_one(rig.helper);
	cr_assert_eq(rig_end(&rig), 0);
}

Test(rootless, other_sandboxes)
{
	start_as_user(ARGS("--sandbox", "chroot"));
	cr_assert_eq(make_file("//f", 0, 0), 0);
	cr_assert_eq(rig_end(&rig), 0);
	start_as_user(ARGS("--sandbox", "none"));
	cr_assert_eq(make_file("//f", 0, 0), 0);
	must_be_owned("f", USER, USER);
	cr_assert_eq(rig_end(&rig), 0);
}

static void must_not_serve(const char *const *args, const char *reason)
{
	rig_dirs(&rig);
	rig.user = USER;
	rig_serve(&rig, args);
	cr_assert_eq(rig_exit_status(rig.helper), 1);
	rig.helper = -1;
	cr_assert_not_null(strstr(rig_log(&rig), reason), "wanted '%s', got: %s", reason, rig.log);
	cr_assert_eq(rig_end(&rig), 0);
}

Test(rootless, where_there_are_no_user_namespaces)
{
	cr_assert_eq(setenv("VIRTFS_HIDE", "unshare", 1), 0);
	must_not_serve(NULL, "no user namespace is to be had (EPERM)");
}

Test(rootless, an_export_that_the_user_may_not_enter)
{
	rig_dirs(&rig);
	rig.user = USER;
	cr_assert_eq(chmod(rig.dir, 0755), 0);
	cr_assert_eq(chmod(rig.outside, 0700), 0);
	(void)snprintf(rig.export, sizeof(rig.export), "%s", rig.outside);
	/* rig_serve() makes the export the user's. */
	rig.user = 0;
	rig_serve(&rig, ARGS("--uid-map", ":0:54321:1:", "--gid-map", ":0:54321:1:"));
	cr_assert_eq(rig_exit_status(rig.helper), 1);
	rig.helper = -1;
	cr_assert_not_null(strstr(rig_log(&rig), "the export cannot be entered (EACCES)"), "%s",
	                   rig.log);
	cr_assert_eq(rig_end(&rig), 0);
}

/* ---- with maps ---- */

/* Root may map what it likes: no file of the host's says so. */
Test(rootless, root_in_a_user_namespace)
{
	struct legacy_lstat_rep st;

	rig_dirs(&rig);
	cr_assert_eq(chmod(rig.dir, 0755), 0);
	cr_assert_eq(chown(rig.export, FIRST, FIRST), 0);
	rig_serve(&rig, ARGS("--uid-map", ":0:700000:1000:", "--uid-map",
	                     ":1000:800000:1:", "--gid-map", ":0:700000:2000:"));
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0, "%s", rig_log(&rig));
	cr_assert_eq(make_file("//a", 0, 0), 0);
	must_be_owned("a", FIRST, FIRST);
	cr_assert_eq(peer_mkdir(rig.sock, "//d", 01777, 0, 0), 0);
	cr_assert_eq(make_file("//d//b", 1000, 999), 0);
	must_be_owned("d/b", 800000, FIRST + 999);
	cr_assert_eq(make_file("//d//c", 1001, 0), -EPERM);
	cr_assert_eq(peer_chown(rig.sock, "//a", 7, 8), 0);
	must_be_owned("a", FIRST + 7, FIRST + 8);
	cr_assert_eq(peer_mknod(rig.sock, "//n", S_IFCHR | 0666, makedev(1, 3), 0, 0), -EPERM);
	cr_assert_eq(rig_end(&rig), 0);
}

/* Has a line more in a file, for this test and what it starts alone: in a mount namespace of its own. */
static void add_line(const char *path, const char *line)
{
	char copy[] = "/tmp/virtfs-line.XXXXXX", text[65536];
	AUTO_CLOSE int from = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
	AUTO_CLOSE int to = mkostemp(copy, O_CLOEXEC);
	ssize_t n = read(from, text, sizeof(text));

	cr_assert(from >= 0 && to >= 0 && n >= 0 && n < (ssize_t)sizeof(text));
	cr_assert_eq(write(to, text, (size_t)n), n);
	cr_assert_eq(write(to, line, strlen(line)), (ssize_t)strlen(line));
	cr_assert_eq(fchmod(to, 0644), 0);
	cr_assert_eq(mount(copy, path, NULL, MS_BIND, NULL), 0);
	cr_assert_eq(unlink(copy), 0);
}

static void start_with_subids(void)
{
	if (access("/usr/bin/newuidmap", X_OK) != 0)
		cr_skip_test("the package uidmap is not installed");
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	add_line("/etc/subuid", "54321:700000:1000\n54321:800000:1000\n54322:900000:1000\n");
	add_line("/etc/subgid", "virtfs-test:700000:2000\n");
	add_line("/etc/passwd", "virtfs-test:x:54321:54321::/:/bin/false\n");
}

Test(rootless, subordinate_ids_are_the_guests_other_users, .init = start_with_subids)
{
	start_as_user(ARGS("--subids"));
	cr_assert_not(strstr(rig_log(&rig), "warning"), "%s", rig.log);
	cr_assert_eq(peer_mkdir(rig.sock, "//d", 01777, 0, 0), 0);
	must_be_owned("d", USER, USER);
	cr_assert_eq(make_file("//d//a", 1, 1), 0);
	must_be_owned("d/a", FIRST, FIRST);
	cr_assert_eq(make_file("//d//b", 1001, 1001), 0);
	must_be_owned("d/b", 800000, FIRST + 1000);
	cr_assert_eq(make_file("//d//c", 2000, 2000), 0);
	must_be_owned("d/c", 800999, FIRST + 1999);
	cr_assert_eq(make_file("//d//e", 2001, 2000), -EPERM);
	cr_assert_eq(peer_chown(rig.sock, "//d//a", 2001, KEEP), -EINVAL);
	cr_assert_eq(peer_chown(rig.sock, "//d//a", 5, 6), 0);
	must_be_owned("d/a", FIRST + 4, FIRST + 5);
	cr_assert_eq(rig_end(&rig), 0);
}

/* Ids that nobody gave the user. */
Test(rootless, ids_of_others_are_not_to_be_had, .init = start_with_subids)
{
	must_not_serve(ARGS("--uid-map", ":0:0:1:"), "--uid-map: the ids cannot be mapped so");
	must_not_serve(ARGS("--gid-map", ":0:0:1:"), "--gid-map: the ids cannot be mapped so");
}

Test(rootless, maps_of_subordinate_ids, .init = start_with_subids)
{
	start_as_user(ARGS("--uid-map", ":0:54321:1:", "--uid-map", ":1000:700000:10:", "--gid-map",
	                   ":0:54321:1:"));
	cr_assert_eq(make_file("//a", 0, 0), 0);
	cr_assert_eq(peer_chown(rig.sock, "//a", 1009, KEEP), 0);
	must_be_owned("a", FIRST + 9, USER);
	cr_assert_eq(rig_end(&rig), 0);
	must_not_serve(ARGS("--uid-map", ":0:54321:1:", "--uid-map", ":1000:900000:10:"),
	               "--uid-map: the ids cannot be mapped so");
}

Test(rootless, subids_that_nobody_gave)
{
	must_not_serve(ARGS("--subids"), "/etc/subuid has no line for user 54321");
}

/* ---- the native dialect ---- */

/* No node is lost where the kernel would not open a handle again: one more than there are descriptors is refused. */
Test(rootless, nodes_beyond_the_descriptors)
{
	struct rlimit before, low;
	uint64_t root, node = 0, first = 0;
	int made = 0, error = 0;
	union rpc_reply hello;
	char name[16];

	rig_dirs(&rig);
	rig.user = USER;
	rig.native = true;
	for (int i = 0; i < 400; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		rig_write(&rig, name, "");
	}
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){.rlim_cur = 600, .rlim_max = before.rlim_max};
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	rig_serve(&rig, NULL);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_assert_eq(rpc_do(rig.sock, RPC_HELLO, &(struct rpc_hello_req){.version = RPC_VERSION},
	                    &hello, NULL),
	             0, "%s", rig_log(&rig));
	cr_assert(hello.hello.flags & RPC_EXPORT_MAPPED,
	          "the device would ask open files for their owners");
	root = hello.hello.root;
	cr_assert(strstr(rig_log(&rig), "files cannot be found by handle"));
	for (int i = 0; i < 400; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		node = rpc_walk(rig.sock, root, name, &error);
		if (node == 0)
			break;
		first = first ? first : node;
		made++;
	}
	cr_assert(made > 50 && made < 400, "%d nodes", made);
	cr_assert_eq(error, -ENFILE);
	cr_assert_eq(RPC(rig.sock, GETATTR, getattr, .node = first), 0, "the first is as it was");
	rpc_give_up(rig.sock, first);
	/* Two threads take packets: the release may be a moment behind. */
	WAIT_WHILE(!rpc_walk(rig.sock, root, "f399", &error));
	cr_assert_eq(error, 0, "there is no room again");
	cr_assert_eq(rig_end(&rig), 0);
}

#define MAP ":0:700000:1000:"

/* A file system that the device would ask itself, with a file of the guest's user 5. */
static void fill_memory(struct rig *r)
{
	rig_mounts();
	cr_assert_eq(mount("none", r->export, "tmpfs", 0, "size=1m"), 0);
	rig_write(r, "f", "text");
	cr_assert_eq(chown(rig_path(r, "f"), FIRST + 5, FIRST + 6), 0);
	cr_assert_eq(chown(r->export, FIRST, FIRST), 0);
	cr_assert_eq(chmod(r->dir, 0755), 0);
}

/* The kernel tells the device, which is in another user namespace, the host's numbers: RPC_EXPORT_MAPPED. */
Test(rootless, who_owns_an_open_file_is_the_helpers_to_say)
{
	static struct p9_rig both;
	struct p9_getattr_rep st;

	p9_rig_start(&both,
	             &(struct p9_rig_opt){.helper_args = ARGS("--uid-map", MAP, "--gid-map", MAP),
	                                  .prepare = fill_memory});
	rig_unmount(both.rig.export);
	p9_open(&both.c, 1, "f", 2);
	p9_put(&both.c, 1, 0, "more"); /* nothing is remembered of it */
	st = P9(&both.c, getattr, .fid = 1);
	cr_assert_eq(st.uid, 5, "%u", st.uid);
	cr_assert_eq(st.gid, 6, "%u", st.gid);
	p9_rig_end(&both);
}
