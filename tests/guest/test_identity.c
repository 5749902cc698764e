/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identities: objects belong to who made them, and nobody gets at what is not theirs.
 */
#include "tests/guest/workload.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OTHER_UID = 2001, OTHER_GID = 2002, PARALLEL = 4, ROUNDS = 100 };

static void check_owner(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	check_ok(lstat(path, &st));
	if (st.st_uid != uid || st.st_gid != gid)
		fail("%s belongs to %u:%u, not %u:%u", path, st.st_uid, st.st_gid, uid, gid);
}

/* One object of each kind, made by whoever calls. */
static void make_one_each(void)
{
	make_text_file("file", "text");
	check_ok(mkdir("dir", 0755));
	check_ok(symlink("file", "link"));
	check_ok(mkfifo("fifo", 0644));
	check_ok(mknod("socket", S_IFSOCK | 0644, 0));
}

static void check_one_each(uid_t uid, gid_t gid)
{
	static const char *const names[] = {"file", "dir", "link", "fifo", "socket"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_owner(names[i], uid, gid);
}

static void own_what_one_makes(void)
{
	make_one_each();
	check_one_each(geteuid(), getegid());
}

static void become(uid_t uid, gid_t gid)
{
	check_ok(setgroups(0, NULL));
	check_ok(setresgid(gid, gid, gid));
	check_ok(setresuid(uid, uid, uid));
}

static void make_as_other_group(unsigned int number)
{
	(void)number;
	become(0, OTHER_GID);
	check_ok(mkdir("group", 0755));
	check_ok(chdir("group"));
	make_one_each();
	check_one_each(0, OTHER_GID);
}

static void make_as_other_user(unsigned int number)
{
	(void)number;
	become(OTHER_UID, OTHER_GID);
	check_ok(mkdir("user", 0755));
	check_ok(chdir("user"));
	make_one_each();
	check_one_each(OTHER_UID, OTHER_GID);
}

/* Each switch of identity must be undone completely, or what follows lacks a right. */
static void switch_between_identities(void)
{
	check_ok(chmod(".", 0777));
	for (int i = 0; i < 3; i++) {
		wait_for_child(start_child(make_as_other_group, 0));
		wait_for_child(start_child(make_as_other_user, 0));
		make_one_each();
		check_one_each(0, 0);
		check_ok(chown("file", OTHER_UID, OTHER_GID));
		check_ok(
		    mknod("device", has_device_nodes() ? S_IFCHR | 0600 : S_IFIFO | 0600, 0x103));
		check_owner("device", 0, 0);
		check_ok(remove_recursively(AT_FDCWD, "group"));
		check_ok(remove_recursively(AT_FDCWD, "user"));
		check_ok(unlink("file"));
		check_ok(rmdir("dir"));
		check_ok(unlink("link"));
		check_ok(unlink("fifo"));
		check_ok(unlink("socket"));
		check_ok(unlink("device"));
	}
}

static void make_many_as(unsigned int number)
{
	const uid_t uid = OTHER_UID + number;
	const gid_t gid = OTHER_GID + number;
	char name[48];

	become(uid, gid);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "%u-%u", number, i);
		make_text_file(name, name);
		check_owner(name, uid, gid);
		snprintf(name, sizeof(name), "dir-%u-%u", number, i);
		check_ok(mkdir(name, 0700));
		check_owner(name, uid, gid);
	}
}

static void identities_at_once(void)
{
	pid_t children[PARALLEL];

	check_ok(chmod(".", 01777));
	for (unsigned int i = 0; i < PARALLEL; i++)
		children[i] = start_child(make_many_as, i);
	for (unsigned int i = 0; i < PARALLEL; i++)
		wait_for_child(children[i]);
}

static void root_reads_everything(void)
{
	check_ok(mkdir("dir", 0700));
	make_text_file("dir/file", "text");
	check_ok(chmod("dir/file", 0));
	check_ok(chown("dir/file", OTHER_UID, OTHER_GID));
	check_ok(chown("dir", OTHER_UID, OTHER_GID));
	expect_text("dir/file", "text");
	make_text_file("dir/file", "root may write too");
	expect_text("dir/file", "root may write too");
}

static void obey_own_mode(void)
{
	make_text_file("file", "text");
	check_ok(chmod("file", 0200));
	check_errno(open("file", O_RDONLY), EACCES);
	check_ok(chmod("file", 0400));
	check_errno(open("file", O_WRONLY), EACCES);
	check_errno(truncate("file", 0), EACCES);
	expect_text("file", "text");
	check_ok(mkdir("dir", 0755));
	make_text_file("dir/file", "text");
	check_ok(chmod("dir", 0555));
	check_errno(open("dir/new", O_WRONLY | O_CREAT, 0644), EACCES);
	check_errno(mkdir("dir/new", 0755), EACCES);
	check_errno(unlink("dir/file"), EACCES);
	check_errno(rename("dir/file", "file"), EACCES);
	check_errno(symlink("x", "dir/link"), EACCES);
	check_ok(chmod("dir", 0));
	check_errno(open("dir/file", O_RDONLY), EACCES);
	check_errno(open("dir", O_RDONLY | O_DIRECTORY), EACCES);
	check_ok(chmod("dir", 0755));
	expect_text("dir/file", "text");
}

/* The parent of the tests' directories belongs to whoever started the program. */
static void leave_root_alone(void)
{
	struct stat st;

	check_ok(stat("..", &st));
	if (st.st_uid == geteuid() || (st.st_mode & 0022) != 0)
		skip_test("the directory of the tests does not belong to root alone");
	check_errno(open("../new", O_WRONLY | O_CREAT, 0644), EACCES);
	check_errno(mkdir("../new", 0755), EACCES);
	check_errno(chmod("..", 0777), EPERM);
	check_errno(chown("..", geteuid(), getegid()), EPERM);
	check_errno(utimensat(AT_FDCWD, "..", NULL, 0), EACCES);
	check_errno(rename("../readable", "stolen"), EACCES);
	check_errno(unlink("../readable"), EACCES);
	check_errno(open("../readable", O_WRONLY), EACCES);
	check_errno(chmod("../readable", 0666), EPERM);
	check_errno(open("../private", O_RDONLY), EACCES);
	check_errno(open("../closed/file", O_RDONLY), EACCES);
	expect_text("../readable", "");
}

#define ROOT_ONLY .audience = FOR_ROOT, .why_not = "only root changes its identity"
#define USER_ONLY .audience = FOR_USER, .why_not = "nothing is forbidden to root"

const struct test identity_tests[] = {
    {.name = "new objects belong to their maker", .run = own_what_one_makes},
    {.name = "identities change back and forth", .run = switch_between_identities, ROOT_ONLY},
    {.name = "four identities at the same time", .run = identities_at_once, ROOT_ONLY},
    {.name = "root reads and writes everything", .run = root_reads_everything, ROOT_ONLY},
    {.name = "modes bind their owner", .run = obey_own_mode, USER_ONLY},
    {.name = "a user cannot change what is root's", .run = leave_root_alone, USER_ONLY},
    {0},
};
