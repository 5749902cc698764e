/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_attach.c: Tauth and Tattach: which directory a session begins at, and as whom. */
#include "tests/lib/p9_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, NULL);
	cr_assert_eq(mkdir(rig_path(&rig.rig, "sub"), 0755), 0);
	cr_assert_eq(mkdir(rig_path(&rig.rig, "sub/deep"), 0755), 0);
	rig_write(&rig.rig, "file", "text");
	cr_assert_eq(symlink("sub", rig_path(&rig.rig, "link")), 0);
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(attach, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

static ino_t ino_of(const char *name)
{
	struct stat st;

	cr_assert_eq(stat(rig_path(&rig.rig, name), &st), 0);
	return st.st_ino;
}

Test(attach, the_root_is_the_export)
{
	static const char *const names[] = {"", "/", "//", "///"};

	for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct p9_attach_rep a =
		    P9(c, attach, .fid = 10 + i, .afid = P9_NOFID, .aname = names[i]);

		cr_assert_eq(a.qid.type, P9_QTDIR);
		cr_assert_eq(a.qid.path, ino_of("."));
		cr_assert_neq(a.qid.version, 0, "version 0 keeps Linux from caching");
	}
}

Test(attach, aname_is_a_directory_of_the_export)
{
	static const char *const names[] = {"sub/deep", "/sub/deep", "//sub//deep/"};

	for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct p9_attach_rep a =
		    P9(c, attach, .fid = 10 + i, .afid = P9_NOFID, .aname = names[i]);

		cr_assert_eq(a.qid.path, ino_of("sub/deep"));
	}
}

Test(attach, what_is_no_directory_of_the_export_is_refused)
{
	static const struct {
		const char *aname;
		int error;
	} rows[] = {{"none", ENOENT},       {"sub/none/x", ENOENT},
	            {"file", ENOTDIR},      {"file/x", P9_ANY_ERROR},
	            {"link", P9_ANY_ERROR}, {"link/deep", P9_ANY_ERROR},
	            {"..", P9_ANY_ERROR},   {"sub/../../outside", P9_ANY_ERROR},
	            {".", P9_ANY_ERROR},    {"a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r", P9_ANY_ERROR}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		P9(c, attach, .fid = 5, .afid = P9_NOFID, .aname = rows[i].aname,
		   .expect_err = rows[i].error);
		P9(c, getattr, .fid = 5, .expect_err = EBADF);
	}
	P9(c, attach, .fid = 5, .afid = P9_NOFID);
}

Test(attach, two_attaches_stand_side_by_side)
{
	P9(c, attach, .fid = 1, .afid = P9_NOFID, .uname = "user", .n_uname = 1000);
	P9(c, attach, .fid = 2, .afid = P9_NOFID, .uname = "user", .n_uname = 2000);
	P9(c, mkdir, .dfid = 1, .name = "a", .mode = 0755, .gid = 1000, .expect_err = 0);
	P9(c, mkdir, .dfid = 2, .name = "b", .mode = 0755, .gid = 2000);
	for (int i = 0; i < 2; i++) {
		struct stat st;

		cr_assert_eq(stat(rig_path(&rig.rig, i ? "b" : "a"), &st), 0);
		cr_assert_eq(st.st_uid, i ? 2000u : 1000u, "the attach says whose it is");
	}
	P9(c, clunk, .fid = 1);
	P9(c, getattr, .fid = 2);
}

Test(attach, a_fid_in_use_is_refused_and_stays_what_it_was)
{
	P9(c, attach, .fid = 0, .afid = P9_NOFID, .aname = "sub", .expect_err = EINVAL);
	cr_assert_eq(P9(c, getattr, .fid = 0).qid.path, ino_of("."));
	P9(c, attach, .fid = P9_NOFID, .afid = P9_NOFID, .expect_err = P9_ANY_ERROR);
}

Test(attach, an_afid_is_refused)
{
	P9(c, attach, .fid = 1, .afid = 7, .expect_err = P9_ANY_ERROR);
	P9(c, attach, .fid = 1, .afid = 0, .expect_err = P9_ANY_ERROR);
	P9(c, attach, .fid = 1, .afid = P9_NOFID);
}

Test(attach, tauth_says_that_none_is_needed)
{
	P9(c, auth, .afid = 7, .uname = "root", .n_uname = 0, .expect_err = ENOENT);
	P9(c, getattr, .fid = 7, .expect_err = EBADF);
}

Test(attach, the_number_goes_before_the_name)
{
	struct stat st;

	P9(c, attach, .fid = 1, .afid = P9_NOFID, .uname = "root", .n_uname = 1234);
	P9(c, mkdir, .dfid = 1, .name = "d", .mode = 0755, .gid = 99);
	cr_assert_eq(stat(rig_path(&rig.rig, "d"), &st), 0);
	cr_assert_eq(st.st_uid, 1234u);
	cr_assert_eq(st.st_gid, 99u);
}

Test(attach, the_name_root_without_a_number_is_0)
{
	struct stat st;

	P9(c, attach, .fid = 1, .afid = P9_NOFID, .uname = "root", .n_uname = P9_NONUNAME);
	P9(c, mkdir, .dfid = 1, .name = "d", .mode = 0755, .gid = 0);
	cr_assert_eq(stat(rig_path(&rig.rig, "d"), &st), 0);
	cr_assert_eq(st.st_uid, 0u);
}

/* As Linux mounts: uname "nobody", n_uname ~0; it makes nothing with that, but must get it. */
Test(attach, nobody_without_a_number_may_look)
{
	P9(c, attach, .fid = 1, .afid = P9_NOFID, .uname = "nobody", .n_uname = P9_NONUNAME);
	P9(c, getattr, .fid = 1);
	p9_to(c, 1, 2, "file");
}
