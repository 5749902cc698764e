/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_byfid.c: Tremove and Trename of fids that came about by walks with dots in them. */
#include "tests/lib/p9_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static struct p9_rig rig;
static struct p9_client *const c = &rig.c;

static void prepare(struct rig *r)
{
	cr_assert_eq(mkdir(rig_path(r, "a"), 0755), 0);
	cr_assert_eq(mkdir(rig_path(r, "a/b"), 0755), 0);
	rig_write(r, "a/file", "x");
	rig_write(r, "a/b/file", "x");
	rig_write(r, "file", "x");
}

static void start(void)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.prepare = prepare});
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(by_fid, .init = start, .fini = end, .timeout = 120);

static bool exists(const char *name)
{
	return access(rig_path(&rig.rig, name), F_OK) == 0;
}

Test(by_fid, remove_after_going_up)
{
	p9_to(c, 0, 1, "a/b/../file");
	P9(c, remove, .fid = 1);
	cr_assert(!exists("a/file") && exists("a/b/file") && exists("file"));
}

Test(by_fid, remove_after_going_up_past_where_the_walk_began)
{
	p9_to(c, 0, 1, "a/b");
	p9_to(c, 1, 2, "../../file");
	P9(c, remove, .fid = 2);
	cr_assert(exists("a/file") && exists("a/b/file") && !exists("file"));
}

Test(by_fid, remove_after_going_up_at_the_top)
{
	p9_to(c, 0, 1, "../../a/./file");
	P9(c, remove, .fid = 1);
	cr_assert(!exists("a/file") && exists("file"));
}

Test(by_fid, rename_after_going_up)
{
	p9_to(c, 0, 1, "a/b/../file");
	P9(c, rename, .fid = 1, .dfid = 0, .name = "moved");
	cr_assert(!exists("a/file") && exists("moved"));
}

Test(by_fid, a_walk_that_ends_by_going_up_leaves_no_name)
{
	p9_to(c, 0, 1, "a/b/..");
	P9(c, remove, .fid = 1, .expect_err = EBUSY);
	cr_assert(exists("a/b"));
}

Test(by_fid, a_walk_of_a_dot_changes_no_name)
{
	p9_to(c, 0, 1, "a/b");
	cr_assert_eq(unlink(rig_path(&rig.rig, "a/b/file")), 0);
	p9_to(c, 0, 2, "a/b/.");
	P9(c, remove, .fid = 2);
	cr_assert(!exists("a/b") && exists("a"));
}

/* Between Tremove's look and its act there is no gap for the device: the helper does both. */
Test(by_fid, remove_is_refused_when_the_name_is_anothers_now)
{
	p9_to(c, 0, 1, "file");
	cr_assert_eq(rename(rig_path(&rig.rig, "a/file"), rig_path(&rig.rig, "file")), 0);
	P9(c, remove, .fid = 1, .expect_err = ESTALE);
	cr_assert(exists("file"));
}
