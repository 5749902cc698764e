/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_walk.c: Twalk: how far it comes, what it makes of fids, and where it never leads. */
#include "tests/lib/p9_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIXTEEN "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d"

static struct p9_rig rig;

static void start(void)
{
	char path[40] = "";

	p9_rig_start(&rig, NULL);
	for (int i = 0; i < 17; i++) {
		(void)snprintf(path + 2 * i, sizeof(path) - 2 * (size_t)i, "d/");
		cr_assert_eq(mkdir(rig_path(&rig.rig, path), 0755), 0);
	}
	rig_write(&rig.rig, "d/file", "text");
	rig_write(&rig.rig, "file", "text");
	cr_assert_eq(symlink("d", rig_path(&rig.rig, "link")), 0);
	cr_assert_eq(symlink("..", rig_path(&rig.rig, "d/up")), 0);
	cr_assert_eq(symlink("/etc", rig_path(&rig.rig, "etc")), 0);
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(walk, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

static uint64_t ino_of(const char *name)
{
	struct stat st;

	cr_assert_eq(lstat(rig_path(&rig.rig, name), &st), 0);
	return st.st_ino;
}

/* Twalk with names given one by one, so that they may hold anything. */
static int walk_to(uint32_t fid, uint32_t newfid, const struct wt_str *names, uint16_t count,
                   struct p9_walk_rep *a)
{
	struct p9_walk_req q = {.fid = fid, .newfid = newfid, .names.count = count};

	memcpy(q.names.name, names, count * sizeof(*names));
	return p9_wait(c, p9_send(c, P9_WALK, &q), P9_WALK, a);
}

Test(walk, no_names_clone)
{
	struct p9_walk_rep a = P9(c, walk, .fid = 0, .newfid = 1);

	cr_assert_eq(a.qids.count, 0);
	cr_assert_eq(P9(c, getattr, .fid = 1).qid.path, ino_of("."));
	P9(c, clunk, .fid = 0);
	P9(c, getattr, .fid = 1);
}

Test(walk, each_step_gives_a_qid)
{
	struct p9_walk_rep a = P9(c, walk, .fid = 0, .newfid = 1, .names = "d/d/d");

	cr_assert_eq(a.qids.count, 3);
	cr_assert_eq(a.qids.qid[0].path, ino_of("d"));
	cr_assert_eq(a.qids.qid[1].path, ino_of("d/d"));
	cr_assert_eq(a.qids.qid[2].path, ino_of("d/d/d"));
	cr_assert_eq(a.qids.qid[2].type, P9_QTDIR);
	a = P9(c, walk, .fid = 0, .newfid = 2, .names = "d/file");
	cr_assert_eq(a.qids.qid[1].type, P9_QTFILE);
	a = P9(c, walk, .fid = 0, .newfid = 3, .names = "link");
	cr_assert_eq(a.qids.qid[0].type, P9_QTSYMLINK);
}

Test(walk, sixteen_names_go_at_once)
{
	struct p9_walk_rep a = P9(c, walk, .fid = 0, .newfid = 1, .names = SIXTEEN);

	cr_assert_eq(a.qids.count, 16);
	cr_assert_eq(a.qids.qid[15].path, ino_of(SIXTEEN));
	p9_to(c, 1, 2, "d");
}

Test(walk, seventeen_names_are_refused)
{
	struct wr w;
	struct p9_head h;
	struct rd body;

	w = wr_over(c->out, P9_CLIENT_ROOM);
	p9_head_put(&w, &(struct p9_head){7 + 4 + 4 + 2 + 17 * 3, P9_WALK, 77});
	wr_le32(&w, 0);
	wr_le32(&w, 1);
	wr_le16(&w, 17);
	for (int i = 0; i < 17; i++) {
		wr_le16(&w, 1);
		wr_u8(&w, 'd');
	}
	p9_send_raw(c, c->out, w.used);
	cr_assert(p9_recv(c, &h, &body));
	cr_assert_eq(h.type, P9_LERROR + 1);
	cr_assert_eq(h.tag, 77);
	P9(c, getattr, .fid = 1, .expect_err = EBADF);
}

Test(walk, a_first_name_that_fails_is_an_error)
{
	P9(c, walk, .fid = 0, .newfid = 1, .names = "none", .expect_err = ENOENT);
	P9(c, walk, .fid = 0, .newfid = 1, .names = "none/d", .expect_err = ENOENT);
	P9(c, getattr, .fid = 1, .expect_err = EBADF);
	p9_to(c, 0, 2, "file");
	P9(c, walk, .fid = 2, .newfid = 1, .names = "x", .expect_err = ENOTDIR);
}

Test(walk, a_later_name_that_fails_shows_in_the_count_and_makes_no_fid)
{
	struct p9_walk_rep a = P9(c, walk, .fid = 0, .newfid = 1, .names = "d/d/none/d");

	cr_assert_eq(a.qids.count, 2);
	P9(c, getattr, .fid = 1, .expect_err = EBADF);
	a = P9(c, walk, .fid = 0, .newfid = 1, .names = "d/file/x");
	cr_assert_eq(a.qids.count, 2);
	P9(c, clunk, .fid = 1, .expect_err = EBADF); /* as Linux does after a short Rwalk */
	a = P9(c, walk, .fid = 0, .newfid = 1, .names = "d/link/x");
	cr_assert_eq(a.qids.count, 1);
	p9_to(c, 0, 1, "d");
}

Test(walk, in_place_it_moves_the_fid)
{
	p9_to(c, 0, 1, "d");
	p9_to(c, 1, 1, "d");
	cr_assert_eq(P9(c, getattr, .fid = 1).qid.path, ino_of("d/d"));
	p9_to(c, 1, 1, "..");
	cr_assert_eq(P9(c, getattr, .fid = 1).qid.path, ino_of("d"));
	p9_to(c, 1, 1, "");
	cr_assert_eq(P9(c, getattr, .fid = 1).qid.path, ino_of("d"));
}

Test(walk, in_place_it_leaves_the_fid_when_it_fails)
{
	p9_to(c, 0, 1, "d");
	P9(c, walk, .fid = 1, .newfid = 1, .names = "none", .expect_err = ENOENT);
	cr_assert_eq(P9(c, walk, .fid = 1, .newfid = 1, .names = "d/none").qids.count, 1);
	cr_assert_eq(P9(c, getattr, .fid = 1).qid.path, ino_of("d"));
}

Test(walk, in_place_an_open_fid_is_refused)
{
	p9_open(c, 1, "d", 0);
	P9(c, walk, .fid = 1, .newfid = 1, .names = "d", .expect_err = EINVAL);
	P9(c, walk, .fid = 1, .newfid = 1, .expect_err = EINVAL);
	P9(c, readdir, .fid = 1, .count = 4096);
}

Test(walk, from_an_open_fid_it_goes)
{
	p9_open(c, 1, "d", 0);
	p9_to(c, 1, 2, "d/d");
	p9_to(c, 1, 3, "");
	P9(c, lopen, .fid = 3);
	p9_open(c, 4, "file", 0);
	p9_to(c, 4, 5, "");
	P9(c, lopen, .fid = 5);
	cr_assert(p9_has(c, 5, 0, "text"));
}

Test(walk, a_newfid_in_use_is_refused_and_stays_what_it_was)
{
	p9_to(c, 0, 1, "d");
	P9(c, walk, .fid = 0, .newfid = 1, .names = "file", .expect_err = EINVAL);
	P9(c, walk, .fid = 0, .newfid = 1, .expect_err = EINVAL);
	cr_assert_eq(P9(c, getattr, .fid = 1).qid.path, ino_of("d"));
	P9(c, walk, .fid = 0, .newfid = P9_NOFID, .expect_err = P9_ANY_ERROR);
}

Test(walk, an_unknown_fid_is_refused)
{
	P9(c, walk, .fid = 9, .newfid = 1, .expect_err = EBADF);
	P9(c, walk, .fid = 9, .newfid = 9, .names = "d", .expect_err = EBADF);
	P9(c, walk, .fid = P9_NOFID, .newfid = 1, .expect_err = EBADF);
}

Test(walk, dots_go_up_and_stay)
{
	struct p9_walk_rep a = P9(c, walk, .fid = 0, .newfid = 1, .names = "d/d/../../file");

	cr_assert_eq(a.qids.count, 5);
	cr_assert_eq(a.qids.qid[2].path, ino_of("d"));
	cr_assert_eq(a.qids.qid[3].path, ino_of("."));
	cr_assert_eq(a.qids.qid[4].path, ino_of("file"));
	a = P9(c, walk, .fid = 0, .newfid = 2, .names = "d/./file");
	cr_assert_eq(a.qids.count, 3);
	cr_assert_eq(a.qids.qid[1].path, ino_of("d"));
}

Test(walk, dots_at_the_root_stay_there)
{
	struct p9_walk_rep a = P9(c, walk, .fid = 0, .newfid = 1, .names = "../../..");

	cr_assert_eq(a.qids.count, 3);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(a.qids.qid[i].path, ino_of("."));
	P9(c, walk, .fid = 0, .newfid = 2, .names = "../outside", .expect_err = 0);
	P9(c, getattr, .fid = 2, .expect_err = EBADF);
}

Test(walk, dots_at_the_root_of_a_sub_directory_stay_there)
{
	struct p9_walk_rep a;

	P9(c, attach, .fid = 5, .afid = P9_NOFID, .aname = "d/d");
	a = P9(c, walk, .fid = 5, .newfid = 6, .names = "../..");
	cr_assert_eq(a.qids.count, 2);
	cr_assert_eq(a.qids.qid[1].path, ino_of("d/d"));
	a = P9(c, walk, .fid = 5, .newfid = 7, .names = "d/../../../d/../..");
	cr_assert_eq(a.qids.count, 7);
	cr_assert_eq(a.qids.qid[6].path, ino_of("d/d"));
	P9(c, walk, .fid = 7, .newfid = 8, .names = "file", .expect_err = ENOENT);
	P9(c, walk, .fid = 5, .newfid = 8, .names = "../file", .expect_err = 0);
	P9(c, getattr, .fid = 8, .expect_err = EBADF);
}

/* The host moved a directory away while the guest stood in it: the way up is as it is now, but never above the export. */
Test(walk, dots_from_a_directory_moved_out_of_the_export_fail)
{
	char away[120];

	p9_to(c, 0, 1, "d/d/d");
	(void)snprintf(away, sizeof(away), "%s/away", rig.rig.outside);
	cr_assert_eq(rename(rig_path(&rig.rig, "d/d"), away), 0);
	P9(c, walk, .fid = 1, .newfid = 2, .names = "..", .expect_err = P9_ANY_ERROR);
	P9(c, walk, .fid = 1, .newfid = 2, .names = "../../canary", .expect_err = P9_ANY_ERROR);
	cr_assert_eq(rename(away, rig_path(&rig.rig, "d/d")), 0);
	p9_to(c, 1, 2, "..");
}

Test(walk, of_a_file_dots_are_refused)
{
	p9_to(c, 0, 1, "file");
	P9(c, walk, .fid = 1, .newfid = 2, .names = "..", .expect_err = ENOTDIR);
	P9(c, walk, .fid = 1, .newfid = 2, .names = ".", .expect_err = ENOTDIR);
}

Test(walk, names_with_slashes_and_empty_ones_are_refused)
{
	static const char *const bad[] = {"", "/", " /", "d/d", "/d", "d/", "../d", "./file"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct wt_str names[] = {wt_str_of(bad[i]), wt_str_of("d")};
		struct p9_walk_rep a;

		cr_assert_eq(walk_to(0, 1, names, 1, &a), ENOENT, "'%s'", bad[i]);
		cr_assert_eq(walk_to(0, 1, names, 2, &a), ENOENT, "'%s'", bad[i]);
	}
}

Test(walk, a_name_with_nul_is_malformed)
{
	const struct wt_str name = {.data = (const uint8_t *)"d\0d", .size = 3};
	struct wr w = wr_over(c->out, P9_CLIENT_ROOM);
	struct p9_head h;
	struct rd body;

	p9_head_put(&w, &(struct p9_head){7 + 4 + 4 + 2 + 5, P9_WALK, 5});
	wr_le32(&w, 0);
	wr_le32(&w, 1);
	wr_le16(&w, 1);
	wr_le16(&w, 3);
	wr_bytes(&w, name.data, name.size);
	p9_send_raw(c, c->out, w.used);
	cr_assert(p9_recv(c, &h, &body));
	cr_assert_eq(h.type, P9_LERROR + 1);
	cr_assert(p9_alive(c));
}

Test(walk, long_names)
{
	static uint8_t text[256];
	const struct wt_str longest = {.data = text, .size = 255},
	                    more = {.data = text, .size = 256};
	struct p9_walk_rep a;

	memset(text, 'n', sizeof(text));
	cr_assert_eq(walk_to(0, 1, &longest, 1, &a), ENOENT);
	cr_assert_eq(walk_to(0, 1, &more, 1, &a), ENAMETOOLONG);
}

Test(walk, a_symbolic_link_is_not_followed)
{
	P9(c, walk, .fid = 0, .newfid = 1, .names = "link/file", .expect_err = 0);
	P9(c, getattr, .fid = 1, .expect_err = EBADF);
	P9(c, walk, .fid = 0, .newfid = 1, .names = "etc/passwd", .expect_err = 0);
	P9(c, getattr, .fid = 1, .expect_err = EBADF);
	p9_to(c, 0, 1, "etc");
	P9(c, walk, .fid = 1, .newfid = 2, .names = "passwd", .expect_err = ENOTDIR);
	P9(c, walk, .fid = 1, .newfid = 2, .names = "..", .expect_err = ENOTDIR);
	cr_assert(S_ISLNK(P9(c, getattr, .fid = 1).mode));
}

Test(walk, an_attribute_fid_leads_nowhere)
{
	p9_to(c, 0, 1, "d");
	P9(c, xattrwalk, .fid = 1, .newfid = 2);
	P9(c, walk, .fid = 2, .newfid = 3, .names = "d", .expect_err = EINVAL);
	P9(c, walk, .fid = 2, .newfid = 3, .expect_err = EINVAL);
}
