/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * surroundings.c: that the suite runs where it is told to ($VIRTFS_SURROUNDING, which `check` sets besides meson's setup), as the
 * kernel shows it of helper and device: a setup that does nothing would pass all other tests.
 */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/proc.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <linux/io_uring.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

static struct p9_rig rig;

TestSuite(surroundings, .timeout = 60);

/* Whether the suite is told to be in that one of them. */
static bool is_in(const char *name)
{
	const char *told = getenv("VIRTFS_SURROUNDING");

	return strcmp(told ? told : "", name) == 0;
}

static void start(void)
{
	p9_rig_start(&rig, NULL);
}

static const char *link_of(pid_t pid, const char *name)
{
	static char to[2][300];
	static unsigned turn;
	char *text = to[turn++ % 2];
	ssize_t n = readlink(proc_path(pid, name), text, sizeof(to[0]) - 1);

	cr_assert_gt(n, 0, "%s of %d", name, (int)pid);
	text[n] = '\0';
	return text;
}

/* Whether one of a process's descriptors is that; asked of a ring. */
static bool has_open(pid_t pid, const char *what)
{
	DIR *d = opendir(proc_path(pid, "fd"));
	struct dirent *e;
	bool found = false;

	cr_assert_not_null(d);
	while (!found && (e = readdir(d))) {
		char name[300];

		(void)snprintf(name, sizeof(name), "fd/%s", e->d_name);
		found = e->d_name[0] != '.' && strstr(link_of(pid, name), what);
	}
	(void)closedir(d);
	return found;
}

static bool helper_logs(const char *text)
{
	return strstr(rig_log(&rig.rig), text) != NULL;
}

Test(surroundings, the_name_is_known)
{
	static const char *const names[] = {
	    "",     "chroot", "none",  "no_openat2", "no_uring", "no_landlock",
	    "ext4", "xfs",    "btrfs", "tmpfs",      "rootless", "uring_disabled"};
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		known |= is_in(names[i]);
	cr_assert(known, "nothing here knows of %s", getenv("VIRTFS_SURROUNDING"));
}

Test(surroundings, the_helpers_root_and_mounts)
{
	start();
	if (is_in("chroot")) {
		cr_assert(proc_shares(rig.rig.helper, "mnt"));
		cr_assert_str_eq(link_of(rig.rig.helper, "root"), rig.rig.export);
	} else if (is_in("none")) {
		cr_assert(proc_shares(rig.rig.helper, "mnt"));
		cr_assert_str_eq(link_of(rig.rig.helper, "root"), "/");
	} else {
		cr_assert_not(proc_shares(rig.rig.helper, "mnt"));
		proc_mounts_one(rig.rig.helper);
	}
	p9_rig_end(&rig);
}

Test(surroundings, a_filter_hides_what_is_to_be_hidden)
{
	bool hidden = is_in("no_openat2") || is_in("no_landlock") || is_in("no_uring");

	start();
	cr_assert_str_eq(rig_proc(&rig.rig, "Seccomp_filters"), hidden ? "2" : "1");
	cr_assert_str_eq(proc_status(rig.device, "Seccomp_filters"), hidden ? "2" : "1");
	p9_rig_end(&rig);
}

Test(surroundings, openat2)
{
	struct rig legacy;
	struct legacy_lstat_rep st;

	rig_start(&legacy, NULL);
	cr_assert_eq(peer_lstat(legacy.sock, "/", &st), 0);
	cr_assert_eq(strstr(rig_log(&legacy), "paths are walked name by name") != NULL,
	             is_in("no_openat2"), "%s", legacy.log);
	cr_assert_eq(rig_end(&legacy), 0);
}

Test(surroundings, landlock)
{
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 2 && !is_in("no_landlock"))
		cr_skip_test("this kernel has no Landlock that allows renames");
	start();
	cr_assert_eq(helper_logs("virtfs-proxy-helper: info: Landlock is not to be had (ENOSYS)"),
	             is_in("no_landlock"), "%s", rig.rig.log);
	cr_assert_eq(helper_logs("virtfs-device: info: Landlock is not to be had (ENOSYS)"),
	             is_in("no_landlock"), "%s", rig.rig.log);
	p9_rig_end(&rig);
}

/* Whether this process could have a ring. */
static bool ring_is_to_be_had(void)
{
	struct io_uring_params p = {0};
	long ring = syscall(SYS_io_uring_setup, 1, &p);

	if (ring >= 0)
		(void)close((int)ring);
	return ring >= 0;
}

Test(surroundings, the_devices_ring_or_threads)
{
	bool without = is_in("no_uring") || is_in("uring_disabled");

	if (!without && !ring_is_to_be_had())
		cr_skip_test("this host has no io_uring for us");
	start();
	cr_assert_eq(has_open(rig.device, "[io_uring]"), !without);
	cr_assert_eq(helper_logs("no io_uring (EPERM): threads do its work"), without, "%s",
	             rig.rig.log);
	if (without)
		cr_assert_str_neq(proc_status(rig.device, "Threads"), "1");
	p9_rig_end(&rig);
}

Test(surroundings, the_kernels_own_switch)
{
	const char *path = "/proc/sys/kernel/io_uring_disabled";
	FILE *f = fopen(path, "re");
	int value = 0;

	if (!f && !is_in("uring_disabled"))
		cr_skip_test("this kernel (before 6.6) has no %s", path);
	cr_assert_not_null(f);
	cr_assert_eq(fscanf(f, "%d", &value), 1);
	(void)fclose(f);
	cr_assert_eq(value == 2, is_in("uring_disabled"), "%s is %d", path, value);
	cr_assert(value != 2 || !ring_is_to_be_had());
}

Test(surroundings, the_file_system)
{
	static const struct {
		const char *name;
		unsigned long type;
	} kinds[] = {{"ext4", EXT4_SUPER_MAGIC},
	             {"xfs", XFS_SUPER_MAGIC},
	             {"btrfs", BTRFS_SUPER_MAGIC},
	             {"tmpfs", TMPFS_MAGIC}};
	struct statfs fs;

	start();
	cr_assert_eq(statfs(rig.rig.export, &fs), 0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!is_in(kinds[i].name))
			continue;
		cr_assert_eq((unsigned long)fs.f_type, kinds[i].type, "the export's type is %lx",
		             (unsigned long)fs.f_type);
		cr_assert_str_eq(getenv("VIRTFS_FS"), kinds[i].name);
	}
	/* And it is that which the client sees. */
	p9_to(&rig.c, 0, 1, "");
	cr_assert_eq(P9(&rig.c, statfs, .fid = 1).type, (uint32_t)fs.f_type);
	p9_rig_end(&rig);
}

/* As they are mapped to the host's. */
static void read_map(pid_t pid, const char *name, unsigned long map[3])
{
	FILE *f = fopen(proc_path(pid, name), "re");

	cr_assert_not_null(f);
	cr_assert_eq(fscanf(f, "%lu %lu %lu", &map[0], &map[1], &map[2]), 3);
	(void)fclose(f);
}

Test(surroundings, the_users_ids)
{
	unsigned long ours[3], its[3];

	start();
	for (int i = 0; i < 2; i++) {
		read_map(getpid(), i ? "gid_map" : "uid_map", ours);
		read_map(rig.rig.helper, i ? "gid_map" : "uid_map", its);
		cr_assert_eq(ours[0], 0);
		cr_assert_arr_eq(ours, its, sizeof(ours));
		cr_assert_eq(ours[1] == 700000 && ours[2] == 65536, is_in("rootless"),
		             "%lu %lu %lu", ours[0], ours[1], ours[2]);
	}
	cr_assert_eq(getenv("VIRTFS_ROOTLESS") != NULL, is_in("rootless"));
	p9_rig_end(&rig);
}
