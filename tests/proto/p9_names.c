/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_names.c: messages that make, change and remove names; and names that are none. */
#include "tests/lib/p9_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, NULL);
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(names, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

static bool host_stat(const char *name, struct stat *ret)
{
	return lstat(rig_path(&rig.rig, name), ret) == 0;
}

static bool exists(const char *name)
{
	struct stat st;

	return host_stat(name, &st);
}

Test(names, mkdir_makes_a_directory_of_the_user)
{
	struct stat st;
	struct p9_mkdir_rep a;

	P9(c, attach, .fid = 1, .afid = P9_NOFID, .n_uname = 1000);
	a = P9(c, mkdir, .dfid = 1, .name = "d", .mode = 01751, .gid = 100);
	cr_assert(host_stat("d", &st));
	cr_assert_eq(st.st_mode, S_IFDIR | 01751u);
	cr_assert(st.st_uid == 1000 && st.st_gid == 100);
	cr_assert(a.qid.path == st.st_ino && a.qid.type == P9_QTDIR);
	P9(c, mkdir, .dfid = 1, .name = "d", .mode = 0755, .expect_err = EEXIST);
}

Test(names, mknod_makes_every_kind)
{
	static const uint32_t kinds[] = {S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};

	rig_needs_root("device nodes");
	P9(c, attach, .fid = 1, .afid = P9_NOFID, .n_uname = 0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char name[2] = {(char)('a' + (char)i), '\0'};
		struct p9_mknod_rep a;
		struct stat st;

		a = P9(c, mknod, .dfid = 1, .name = name, .mode = kinds[i] | 0640, .major = 259,
		       .minor = 300, .gid = 7);
		cr_assert(host_stat(name, &st));
		cr_assert_eq(st.st_mode, kinds[i] | 0640);
		cr_assert_eq(st.st_gid, 7u);
		cr_assert_eq(a.qid.type, P9_QTFILE);
		if (i >= 3)
			cr_assert_eq(st.st_rdev, makedev(259, 300));
		p9_to(c, 1, 2, name);
		cr_assert_eq(P9(c, getattr, .fid = 2).mode, kinds[i] | 0640);
		P9(c, clunk, .fid = 2);
	}
	P9(c, mknod, .dfid = 1, .name = "a", .mode = S_IFIFO | 0640, .expect_err = EEXIST);
	P9(c, mknod, .dfid = 1, .name = "x", .mode = S_IFDIR | 0640, .expect_err = P9_ANY_ERROR);
	P9(c, mknod, .dfid = 1, .name = "x", .mode = S_IFLNK | 0640, .expect_err = P9_ANY_ERROR);
	cr_assert_not(exists("x"));
}

/* The guest's kernel lets only its root make devices; here the user's number alone decides nothing more. */
Test(names, a_fifo_of_a_user_is_the_users)
{
	struct stat st;

	P9(c, attach, .fid = 1, .afid = P9_NOFID, .n_uname = 1000);
	P9(c, mknod, .dfid = 1, .name = "p", .mode = S_IFIFO | 0600, .gid = 1000);
	cr_assert(host_stat("p", &st) && st.st_uid == 1000);
}

Test(names, symlinks_hold_any_text)
{
	static const char *const targets[] = {"x", "/etc/passwd", "../../outside/canary", " ",
	                                      "a//b/"};
	static char longest[4097];

	rig_differs_on("xfs", "links hold 1,024 bytes");
	memset(longest, 'l', sizeof(longest) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		struct p9_readlink_rep a;
		char name[2] = {(char)('a' + (char)i), '\0'}, got[64] = "";

		cr_assert_eq(P9(c, symlink, .dfid = 0, .name = name, .target = targets[i]).qid.type,
		             P9_QTSYMLINK);
		p9_to(c, 0, 1, name);
		a = P9(c, readlink, .fid = 1);
		cr_assert(wt_str_copy(&a.target, got, sizeof(got)));
		cr_assert_str_eq(got, targets[i]);
		P9(c, clunk, .fid = 1);
	}
	P9(c, symlink, .dfid = 0, .name = "e", .target = "x", .expect_err = EEXIST);
	P9(c, symlink, .dfid = 0, .name = "z", .target = "", .expect_err = ENOENT);
	P9(c, symlink, .dfid = 0, .name = "z", .target = longest, .expect_err = ENAMETOOLONG);
	longest[4095] = '\0';
	P9(c, symlink, .dfid = 0, .name = "z", .target = longest);
	p9_to(c, 0, 1, "z");
	cr_assert_eq(P9(c, readlink, .fid = 1).target.size, 4095);
	rig_write(&rig.rig, "f", "");
	p9_to(c, 0, 2, "f");
	P9(c, readlink, .fid = 2, .expect_err = EINVAL);
	P9(c, readlink, .fid = 0, .expect_err = EINVAL);
}

Test(names, link_gives_a_file_another_name)
{
	struct stat a, b;

	rig_write(&rig.rig, "f", "text");
	cr_assert_eq(symlink("f", rig_path(&rig.rig, "l")), 0);
	p9_to(c, 0, 1, "f");
	P9(c, link, .dfid = 0, .fid = 1, .name = "g");
	cr_assert(host_stat("f", &a) && host_stat("g", &b) && a.st_ino == b.st_ino);
	cr_assert_eq(P9(c, getattr, .fid = 1).nlink, 2);
	P9(c, link, .dfid = 0, .fid = 1, .name = "g", .expect_err = EEXIST);
	/* Of a link it is the link itself. */
	p9_to(c, 0, 2, "l");
	P9(c, link, .dfid = 0, .fid = 2, .name = "m");
	cr_assert(host_stat("m", &a) && S_ISLNK(a.st_mode));
	P9(c, link, .dfid = 0, .fid = 0, .name = "d", .expect_err = EPERM);
	P9(c, link, .dfid = 0, .fid = 9, .name = "h", .expect_err = EBADF);
	P9(c, link, .dfid = 9, .fid = 1, .name = "h", .expect_err = EBADF);
	P9(c, link, .dfid = 1, .fid = 1, .name = "h", .expect_err = ENOTDIR);
}

Test(names, renameat_within_and_between_directories)
{
	rig_write(&rig.rig, "f", "one");
	rig_write(&rig.rig, "g", "two");
	P9(c, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	p9_to(c, 0, 1, "d");
	P9(c, renameat, .olddirfid = 0, .oldname = "f", .newdirfid = 0, .newname = "h");
	P9(c, renameat, .olddirfid = 0, .oldname = "h", .newdirfid = 1, .newname = "f");
	cr_assert_str_eq(rig_read(&rig.rig, "d/f"), "one");
	P9(c, renameat, .olddirfid = 0, .oldname = "g", .newdirfid = 1, .newname = "f");
	cr_assert_str_eq(rig_read(&rig.rig, "d/f"), "two");
	P9(c, renameat, .olddirfid = 0, .oldname = "none", .newdirfid = 1, .newname = "x",
	   .expect_err = ENOENT);
	P9(c, renameat, .olddirfid = 0, .oldname = "d", .newdirfid = 1, .newname = "x",
	   .expect_err = EINVAL);
	P9(c, renameat, .olddirfid = 9, .oldname = "d", .newdirfid = 1, .newname = "x",
	   .expect_err = EBADF);
	P9(c, renameat, .olddirfid = 0, .oldname = "d", .newdirfid = 9, .newname = "x",
	   .expect_err = EBADF);
	P9(c, renameat, .olddirfid = 1, .oldname = "f", .newdirfid = 0, .newname = "d",
	   .expect_err = P9_ANY_ERROR);
}

Test(names, rename_by_fid)
{
	p9_make(c, 1, "f", 0644);
	p9_put(c, 1, 0, "text");
	p9_to(c, 0, 2, "f");
	P9(c, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	p9_to(c, 0, 3, "d");
	P9(c, rename, .fid = 2, .dfid = 3, .name = "g");
	cr_assert_str_eq(rig_read(&rig.rig, "d/g"), "text");
	P9(c, rename, .fid = 0, .dfid = 3, .name = "x", .expect_err = P9_ANY_ERROR);
	P9(c, rename, .fid = 9, .dfid = 3, .name = "x", .expect_err = EBADF);
	P9(c, rename, .fid = 2, .dfid = 9, .name = "x", .expect_err = EBADF);
}

Test(names, rename_by_fid_twice)
{
	rig_write(&rig.rig, "f", "text");
	p9_to(c, 0, 1, "f");
	P9(c, rename, .fid = 1, .dfid = 0, .name = "g");
	P9(c, rename, .fid = 1, .dfid = 0, .name = "h");
	cr_assert_str_eq(rig_read(&rig.rig, "h"), "text");
	P9(c, remove, .fid = 1);
	cr_assert_not(exists("h"));
}

/* What has the old name meanwhile is another file: it is not touched. */
Test(names, rename_and_remove_by_fid_spare_a_strangers_file)
{
	rig_write(&rig.rig, "f", "mine");
	p9_to(c, 0, 1, "f");
	p9_to(c, 0, 2, "f");
	cr_assert_eq(rename(rig_path(&rig.rig, "f"), rig_path(&rig.rig, "old")), 0);
	rig_write(&rig.rig, "f", "a stranger's");
	P9(c, rename, .fid = 1, .dfid = 0, .name = "x", .expect_err = P9_ANY_ERROR);
	P9(c, remove, .fid = 2, .expect_err = P9_ANY_ERROR);
	cr_assert_str_eq(rig_read(&rig.rig, "f"), "a stranger's");
	cr_assert_str_eq(rig_read(&rig.rig, "old"), "mine");
}

Test(names, unlinkat_files_and_directories)
{
	rig_write(&rig.rig, "f", "");
	P9(c, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	P9(c, mkdir, .dfid = 0, .name = "full", .mode = 0755);
	rig_write(&rig.rig, "full/f", "");
	P9(c, unlinkat, .dirfid = 0, .name = "d", .expect_err = EISDIR);
	P9(c, unlinkat, .dirfid = 0, .name = "f", .flags = 0x200, .expect_err = ENOTDIR);
	P9(c, unlinkat, .dirfid = 0, .name = "full", .flags = 0x200, .expect_err = ENOTEMPTY);
	P9(c, unlinkat, .dirfid = 0, .name = "f", .flags = 1, .expect_err = EINVAL);
	P9(c, unlinkat, .dirfid = 0, .name = "f", .flags = 0x201, .expect_err = EINVAL);
	P9(c, unlinkat, .dirfid = 0, .name = "none", .expect_err = ENOENT);
	P9(c, unlinkat, .dirfid = 9, .name = "f", .expect_err = EBADF);
	P9(c, unlinkat, .dirfid = 0, .name = "f");
	P9(c, unlinkat, .dirfid = 0, .name = "d", .flags = 0x200);
	cr_assert_not(exists("f"));
	cr_assert_not(exists("d"));
}

Test(names, unlinkat_leaves_the_objects_fids)
{
	p9_make(c, 1, "f", 0644);
	p9_to(c, 0, 2, "f");
	P9(c, unlinkat, .dirfid = 0, .name = "f");
	P9(c, getattr, .fid = 1);
	P9(c, getattr, .fid = 2);
	P9(c, clunk, .fid = 1);
	P9(c, clunk, .fid = 2);
}

Test(names, unlinkat_from_an_open_directory)
{
	p9_open(c, 1, "", 0);
	rig_write(&rig.rig, "f", "");
	P9(c, unlinkat, .dirfid = 1, .name = "f");
	P9(c, mkdir, .dfid = 1, .name = "d", .mode = 0755);
	P9(c, unlinkat, .dirfid = 1, .name = "d", .flags = 0x200);
}

Test(names, remove_takes_the_fid_with_it)
{
	rig_write(&rig.rig, "f", "");
	P9(c, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	P9(c, mkdir, .dfid = 0, .name = "full", .mode = 0755);
	rig_write(&rig.rig, "full/f", "");
	p9_to(c, 0, 1, "f");
	p9_to(c, 0, 2, "d");
	p9_to(c, 0, 3, "full");
	P9(c, remove, .fid = 1);
	P9(c, remove, .fid = 2);
	P9(c, remove, .fid = 3, .expect_err = ENOTEMPTY);
	for (uint32_t fid = 1; fid < 4; fid++)
		P9(c, clunk, .fid = fid, .expect_err = EBADF);
	cr_assert_not(exists("f"));
	cr_assert_not(exists("d"));
	p9_to(c, 0, 1, "");
	P9(c, remove, .fid = 1, .expect_err = P9_ANY_ERROR);
	P9(c, remove, .fid = 1, .expect_err = EBADF);
}

Test(names, remove_after_a_walk_in_place)
{
	P9(c, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	rig_write(&rig.rig, "d/f", "");
	p9_to(c, 0, 1, "d");
	p9_to(c, 1, 1, "f");
	P9(c, remove, .fid = 1);
	cr_assert_not(exists("d/f"));
	cr_assert(exists("d"));
}

Test(names, remove_of_what_lcreate_made)
{
	p9_make(c, 1, "f", 0644);
	P9(c, remove, .fid = 1);
	cr_assert_not(exists("f"));
}

Test(names, remove_of_a_clone_and_through_several_names)
{
	P9(c, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	rig_write(&rig.rig, "d/f", "");
	p9_to(c, 0, 1, "d/f");
	p9_to(c, 1, 2, "");
	P9(c, remove, .fid = 2);
	cr_assert_not(exists("d/f"));
	P9(c, remove, .fid = 1, .expect_err = ENOENT);
}

/* "", ".", ".." and what has a slash: never a name to make or remove, whatever the message. */
Test(names, bad_names_are_refused_everywhere)
{
	static const char *const bad[] = {"",   ".",  "..",         "/",  "a/b",
	                                  "/a", "a/", "../outside", "./a"};

	rig_write(&rig.rig, "f", "");
	p9_to(c, 0, 1, "f");
	P9(c, mkdir, .dfid = 0, .name = "a", .mode = 0755);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *n = bad[i];
		int e = P9_ANY_ERROR;

		P9(c, mkdir, .dfid = 0, .name = n, .mode = 0755, .expect_err = e);
		P9(c, mknod, .dfid = 0, .name = n, .mode = S_IFIFO | 0600, .expect_err = e);
		P9(c, symlink, .dfid = 0, .name = n, .target = "x", .expect_err = e);
		P9(c, link, .dfid = 0, .fid = 1, .name = n, .expect_err = e);
		P9(c, unlinkat, .dirfid = 0, .name = n, .expect_err = e);
		P9(c, unlinkat, .dirfid = 0, .name = n, .flags = 0x200, .expect_err = e);
		P9(c, renameat, .olddirfid = 0, .oldname = n, .newdirfid = 0, .newname = "x",
		   .expect_err = e);
		P9(c, renameat, .olddirfid = 0, .oldname = "f", .newdirfid = 0, .newname = n,
		   .expect_err = e);
		P9(c, rename, .fid = 1, .dfid = 0, .name = n, .expect_err = e);
	}
	cr_assert(exists("f"));
	cr_assert(exists("a"));
	cr_assert_not(exists("x"));
}

Test(names, names_of_256_bytes_are_too_long)
{
	static char name[257];

	memset(name, 'n', 256);
	P9(c, mkdir, .dfid = 0, .name = name, .mode = 0755, .expect_err = ENAMETOOLONG);
	P9(c, unlinkat, .dirfid = 0, .name = name, .expect_err = ENAMETOOLONG);
	p9_to(c, 0, 1, "");
	P9(c, lcreate, .fid = 1, .name = name, .flags = 2, .mode = 0644,
	   .expect_err = ENAMETOOLONG);
	name[255] = '\0';
	P9(c, mkdir, .dfid = 0, .name = name, .mode = 0755);
	P9(c, unlinkat, .dirfid = 0, .name = name, .flags = 0x200);
}

Test(names, any_other_bytes_are_a_name)
{
	static const char *const odd[] = {"...", " ",   "\n", "\\", "\xff\xfe",
	                                  ".x",  "..x", "*",  "-rf"};

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		P9(c, mkdir, .dfid = 0, .name = odd[i], .mode = 0755);
		cr_assert(exists(odd[i]));
		P9(c, unlinkat, .dirfid = 0, .name = odd[i], .flags = 0x200);
	}
}

Test(names, attribute_fids_are_no_directories)
{
	P9(c, xattrwalk, .fid = 0, .newfid = 1);
	P9(c, mkdir, .dfid = 1, .name = "d", .mode = 0755, .expect_err = EINVAL);
	P9(c, unlinkat, .dirfid = 1, .name = "d", .expect_err = EINVAL);
	P9(c, symlink, .dfid = 1, .name = "d", .target = "x", .expect_err = EINVAL);
}

Test(names, read_only_exports_refuse_every_change)
{
	static const char *const readonly[] = {"--readonly", NULL};
	struct p9_rig r;
	struct p9_client *ro = &r.c;

	p9_rig_start(&r, &(struct p9_rig_opt){.helper_args = readonly});
	rig_write(&r.rig, "f", "text");
	p9_to(ro, 0, 1, "f");
	P9(ro, mkdir, .dfid = 0, .name = "d", .mode = 0755, .expect_err = EROFS);
	P9(ro, mknod, .dfid = 0, .name = "d", .mode = S_IFIFO, .expect_err = EROFS);
	P9(ro, symlink, .dfid = 0, .name = "d", .target = "x", .expect_err = EROFS);
	P9(ro, link, .dfid = 0, .fid = 1, .name = "d", .expect_err = EROFS);
	P9(ro, renameat, .olddirfid = 0, .oldname = "f", .newdirfid = 0, .newname = "g",
	   .expect_err = EROFS);
	P9(ro, rename, .fid = 1, .dfid = 0, .name = "g", .expect_err = EROFS);
	P9(ro, unlinkat, .dirfid = 0, .name = "f", .expect_err = EROFS);
	P9(ro, setattr, .fid = 1, .valid = 1, .mode = 0600, .expect_err = EROFS);
	P9(ro, lopen, .fid = 1, .flags = 1, .expect_err = EROFS);
	P9(ro, lopen, .fid = 1, .flags = 01000, .expect_err = EROFS);
	P9(ro, xattrcreate, .fid = 1, .name = "user.a", .attr_size = 0);
	P9(ro, clunk, .fid = 1, .expect_err = EROFS);
	p9_to(ro, 0, 2, "");
	P9(ro, lcreate, .fid = 2, .name = "n", .flags = 2, .mode = 0644, .expect_err = EROFS);
	p9_open(ro, 3, "f", 0);
	cr_assert(p9_has(ro, 3, 0, "text"));
	p9_to(ro, 0, 4, "f");
	P9(ro, remove, .fid = 4, .expect_err = EROFS);
	p9_rig_end(&r);
}
