/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * containment.c: nothing outside the export is reached, by links, by "..", by magic links or by
 * races.
 *
 * Outside lies a canary: a request that reads, changes or even sees it fails the test. The canary
 * stands both beside the export and at the same absolute path from inside (a helper that is merely
 * chrooted finds nothing there).
 */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/race.h"
#include "tests/lib/rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static struct rig rig;

static const char *canary_path(void)
{
	static char path[120];

	(void)snprintf(path, sizeof(path), "%s/canary", rig.outside);
	return path;
}

static void canary_must_be_untouched(void)
{
	struct stat st;
	char text[16] = "";
	AUTO_CLOSE int fd = open(canary_path(), O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0, "the canary is gone");
	cr_assert_eq(read(fd, text, sizeof(text) - 1), 6);
	cr_assert_str_eq(text, "canary");
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_mode, S_IFREG | 0644);
	cr_assert_eq(st.st_uid, 0);
	cr_assert_eq(st.st_nlink, 1);
	cr_assert_lt(fgetxattr(fd, "user.a", NULL, 0), 0);
	AUTO_CLOSE int dir = open(rig.outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_lt(faccessat(dir, "new", F_OK, 0), 0, "something was made outside");
}

static void start(void)
{
	rig_start(&rig, NULL);
}

static void end(void)
{
	canary_must_be_untouched();
	cr_assert_eq(rig_end(&rig), 0);
}

TestSuite(containment, .init = start, .fini = end, .timeout = 60);

/* Every request of the dialect, with path leading to the canary's directory or to the canary
 * itself. */
static void every_request_fails(const char *dir)
{
	char file[256], new[256];
	struct legacy_lstat_rep st;
	struct legacy_readlink_rep link;
	struct legacy_statfs_rep fs;
	struct legacy_lgetxattr_rep value;
	struct legacy_llistxattr_rep names;
	int fd;

	(void)snprintf(file, sizeof(file), "%s/canary", dir);
	(void)snprintf(new, sizeof(new), "%s/new", dir);
	for (int mode = O_RDONLY; mode <= O_RDWR; mode++) {
		fd = peer_open(rig.sock, file, mode);
		cr_assert_lt(fd, 0, "%s opened", file);
	}
	cr_assert_lt(peer_open(rig.sock, dir, O_DIRECTORY), 0, "%s opened", dir);
	cr_assert_lt(peer_create(rig.sock, new, O_RDWR, 0644, 0, 0), 0);
	cr_assert_lt(peer_create(rig.sock, file, O_RDWR | O_TRUNC, 0644, 0, 0), 0);
	cr_assert_lt(peer_mknod(rig.sock, new, S_IFIFO | 0600, 0, 0, 0), 0);
	cr_assert_lt(peer_mkdir(rig.sock, new, 0700, 0, 0), 0);
	cr_assert_lt(peer_symlink(rig.sock, "x", new), 0);
	cr_assert_lt(peer_link(rig.sock, file, "//stolen"), 0);
	rig_write(&rig, "mine", "");
	cr_assert_lt(peer_link(rig.sock, "//mine", new), 0);
	cr_assert_lt(peer_lstat(rig.sock, file, &st), 0, "%s is seen", file);
	cr_assert_lt(peer_readlink(rig.sock, file, &link), 0);
	cr_assert_lt(
	    peer_call(rig.sock, LEGACY_STATFS, &(struct legacy_statfs_req){.path = S(file)}, &fs),
	    0);
	cr_assert_lt(peer_chmod(rig.sock, file, 0777), 0);
	cr_assert_lt(peer_chown(rig.sock, file, 1, 1), 0);
	cr_assert_lt(peer_truncate(rig.sock, file, 0), 0);
	cr_assert_lt(
	    peer_call(rig.sock, LEGACY_UTIME, &(struct legacy_utime_req){.path = S(file)}, NULL),
	    0);
	cr_assert_lt(peer_rename(rig.sock, file, "//stolen"), 0);
	cr_assert_lt(peer_rename(rig.sock, "//mine", new), 0);
	cr_assert_lt(peer_remove(rig.sock, file), 0);
	cr_assert_lt(peer_call(rig.sock, LEGACY_LGETXATTR,
	                       &(struct legacy_lgetxattr_req){
	                           .size = 9, .path = S(file), .name = S("user.a")},
	                       &value),
	             0);
	cr_assert_lt(peer_call(rig.sock, LEGACY_LLISTXATTR,
	                       &(struct legacy_llistxattr_req){.size = 9, .path = S(file)}, &names),
	             0);
	cr_assert_lt(peer_setxattr(rig.sock, file, "user.a", "v"), 0);
	cr_assert_lt(
	    peer_call(rig.sock, LEGACY_LREMOVEXATTR,
	              &(struct legacy_lremovexattr_req){.path = S(file), .name = S("user.a")},
	              NULL),
	    0);
	cr_assert_eq(peer_remove(rig.sock, "//mine"), 0);
}

Test(containment, symbolic_links_that_point_out)
{
	cr_assert_eq(symlink(rig.outside, rig_path(&rig, "absolute")), 0);
	cr_assert_eq(symlink("../outside", rig_path(&rig, "relative")), 0);
	cr_assert_eq(symlink("absolute", rig_path(&rig, "chained")), 0);
	every_request_fails("//absolute");
	every_request_fails("//relative");
	every_request_fails("//chained");
	every_request_fails("//absolute//.");
}

/* Links of the guest's own that stay inside are not followed either: resolving them is the guest's
 * work. */
Test(containment, symbolic_links_that_stay_inside_are_not_followed)
{
	cr_assert_eq(mkdir(rig_path(&rig, "d"), 0755), 0);
	rig_write(&rig, "d/canary", "x");
	cr_assert_eq(symlink("d", rig_path(&rig, "s")), 0);
	cr_assert_eq(peer_open(rig.sock, "//s//canary", O_RDONLY), -ELOOP);
	cr_assert_eq(peer_mkdir(rig.sock, "//s//e", 0755, 0, 0), -ELOOP);
	cr_assert_eq(peer_remove(rig.sock, "//s//canary"), -ELOOP);
}

Test(containment, a_final_link_is_not_followed)
{
	struct legacy_lstat_rep st;

	cr_assert_eq(symlink(canary_path(), rig_path(&rig, "s")), 0);
	for (int mode = O_RDONLY; mode <= O_RDWR; mode++) {
		cr_assert_eq(peer_open(rig.sock, "//s", mode), -ELOOP);
		cr_assert_eq(peer_create(rig.sock, "//s", mode | O_TRUNC, 0644, 0, 0), -ELOOP);
	}
	cr_assert_lt(peer_chmod(rig.sock, "//s", 0777), 0);
	cr_assert_lt(peer_truncate(rig.sock, "//s", 0), 0);
	cr_assert_lt(peer_setxattr(rig.sock, "//s", "user.a", "v"), 0);
	cr_assert_eq(peer_chown(rig.sock, "//s", 1, 1), 0);
	cr_assert_eq(peer_lstat(rig.sock, "//s", &st), 0);
	cr_assert(S_ISLNK(st.mode));
}

Test(containment, climbing_by_dots_ends_at_the_root)
{
	char path[300];
	struct legacy_lstat_rep root, st;

	every_request_fails("//../outside");
	every_request_fails("/..//..//outside");
	(void)snprintf(path, sizeof(path), "/../../../../../..%s", rig.outside);
	every_request_fails(path);
	every_request_fails("../outside");
	cr_assert_eq(mkdir(rig_path(&rig, "d"), 0755), 0);
	every_request_fails("//d//..//..//outside");
	cr_assert_eq(peer_lstat(rig.sock, "/", &root), 0);
	cr_assert_eq(peer_lstat(rig.sock, "/../..", &st), 0);
	cr_assert_eq(st.ino, root.ino);
	cr_assert_eq(st.dev, root.dev);
}

Test(containment, absolute_paths_are_the_exports)
{
	every_request_fails(rig.outside);
}

Test(containment, proc_and_its_magic_links)
{
	cr_assert_eq(symlink("/proc/self/root", rig_path(&rig, "root")), 0);
	cr_assert_eq(symlink("/proc/1/cwd", rig_path(&rig, "cwd")), 0);
	every_request_fails("//root");
	every_request_fails("//cwd");
	every_request_fails("/proc/self/root");
	every_request_fails("/proc/self/fd/3/../outside");
	cr_assert_lt(peer_open(rig.sock, "/proc/self/mem", O_RDWR), 0);
	cr_assert_lt(peer_open(rig.sock, "/self/fd/0", O_RDWR), 0);
	cr_assert_lt(peer_open(rig.sock, "0", O_RDWR), 0, "the working directory is in reach");
	cr_assert_lt(peer_open(rig.sock, "3", O_DIRECTORY), 0, "the working directory is in reach");
}

/* A directory's descriptor goes to the emulator: it must lead nowhere but into the export. */
Test(containment, a_directory_descriptor_is_no_way_up)
{
	struct stat st, top;
	AUTO_CLOSE int dir = peer_open(rig.sock, "/", O_DIRECTORY);

	cr_assert_geq(dir, 0);
	rig_needs_namespace("the emulator's own rights decide");
	if (strstr(rig_log(&rig), "only chroot holds the export"))
		cr_skip_test("no mount namespaces here: the emulator's own rights decide");
	cr_assert_lt(openat(dir, "../outside/canary", O_RDONLY), 0);
	cr_assert_lt(openat(dir, "../../../../../../etc/passwd", O_RDONLY), 0);
	AUTO_CLOSE int up = openat(dir, "..", O_PATH);

	cr_assert_geq(up, 0);
	cr_assert_eq(fstat(up, &st), 0);
	cr_assert_eq(stat(rig.export, &top), 0);
	cr_assert_eq(st.st_ino, top.st_ino);
}

/* ---- races ---- */

/* "a", a directory with a file "canary" of its own, and "b", a link to the canary's directory, are exchanged for ever. */
static void race(void (*request)(void), const char *link_to)
{
	cr_assert_eq(mkdir(rig_path(&rig, "a"), 0755), 0);
	rig_write(&rig, "a/canary", "inside");
	cr_assert_eq(symlink(link_to, rig_path(&rig, "b")), 0);
	race_start(RACE_EXCHANGE, rig_path(&rig, "a"), rig_path(&rig, "b"));
	for (int i = 0; i < 20000 || race_is_young(); i++)
		request();
	race_end();
}

static void open_and_look(void)
{
	char text[8] = "";
	AUTO_CLOSE int fd = peer_open(rig.sock, "//a//canary", O_RDWR);

	if (fd < 0)
		return;
	cr_assert_eq(read(fd, text, sizeof(text) - 1), 6);
	cr_assert_str_eq(text, "inside", "the canary was opened");
}

static void change_modes(void)
{
	(void)peer_chmod(rig.sock, "//a//canary", 0640);
	(void)peer_chown(rig.sock, "//a//canary", 12, 13);
	(void)peer_setxattr(rig.sock, "//a//canary", "user.a", "v");
}

static void make_and_remove(void)
{
	(void)peer_mkdir(rig.sock, "//a//new", 0755, 0, 0);
	(void)peer_link(rig.sock, "//a//canary", "//stolen");
	/* Before it goes again. */
	canary_must_be_untouched();
	(void)peer_remove(rig.sock, "//stolen");
	(void)peer_remove(rig.sock, "//a//new");
}

Test(containment, race_of_open_against_a_link)
{
	race(open_and_look, rig.outside);
}

Test(containment, race_of_open_against_a_relative_link)
{
	race(open_and_look, "../outside");
}

Test(containment, race_of_changes_against_a_link)
{
	race(change_modes, "../outside");
}

Test(containment, race_of_creation_against_a_link)
{
	race(make_and_remove, "../outside");
}

/* The last name: a file against a link to the canary, then a FIFO, at whose opening a helper would
 * hang. */
static void open_last(void)
{
	char text[8] = "";
	AUTO_CLOSE int fd = peer_open(rig.sock, "//a", O_RDWR);

	if (fd < 0)
		return;
	cr_assert_eq(read(fd, text, sizeof(text) - 1), 6);
	cr_assert_str_eq(text, "inside", "the canary was opened");
}

Test(containment, race_of_a_file_against_a_link_and_a_fifo)
{
	rig_write(&rig, "a", "inside");
	for (int round = 0; round < 2; round++) {
		if (round == 0)
			cr_assert_eq(symlink(canary_path(), rig_path(&rig, "b")), 0);
		else
			cr_assert_eq(mkfifo(rig_path(&rig, "b"), 0666), 0);
		race_start(RACE_EXCHANGE, rig_path(&rig, "a"), rig_path(&rig, "b"));
		for (int i = 0; i < 20000 || race_is_young(); i++)
			open_last();
		race_end();
		struct stat st;

		/* Whichever name the file has now, the other goes. */
		cr_assert_eq(lstat(rig_path(&rig, "a"), &st), 0);
		if (!S_ISREG(st.st_mode))
			cr_assert_eq(rename(rig_path(&rig, "b"), rig_path(&rig, "a")), 0);
		else
			cr_assert_eq(unlink(rig_path(&rig, "b")), 0);
	}
}
