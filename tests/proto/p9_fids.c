/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_fids.c: what a fid is in each of its states, and what it stays when its file is renamed or unlinked. */
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
	/* meson's, and it makes all memory resident that is asked for. */
	(void)unsetenv("MALLOC_PERTURB_");
	p9_rig_start(&rig, NULL);
	rig_write(&rig.rig, "f", "text");
	cr_assert_eq(mkdir(rig_path(&rig.rig, "d"), 0755), 0);
	rig_write(&rig.rig, "d/g", "more");
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(fids, .init = start, .fini = end, .timeout = 240);

static struct p9_client *const c = &rig.c;

Test(fids, rule_an_unopened_fid_does_what_needs_no_opening)
{
	p9_to(c, 0, 1, "f");
	P9(c, getattr, .fid = 1);
	P9(c, setattr, .fid = 1, .valid = 1, .mode = 0600);
	P9(c, statfs, .fid = 1);
	P9(c, fsync, .fid = 1);
	P9(c, xattrwalk, .fid = 1, .newfid = 2);
	p9_to(c, 1, 3, "");
	P9(c, read, .fid = 1, .count = 1, .expect_err = EBADF);
	P9(c, write, .fid = 1, .expect_err = EBADF);
	P9(c, readdir, .fid = 1, .count = 100, .expect_err = ENOTDIR);
	P9(c, lock, .fid = 1, .expect_err = EBADF);
}

Test(fids, rule_numbers_are_free_after_rclunk)
{
	for (int i = 0; i < 100; i++) {
		p9_to(c, 0, 1, i % 2 ? "f" : "d");
		P9(c, lopen, .fid = 1);
		P9(c, clunk, .fid = 1);
	}
	P9(c, clunk, .fid = 1, .expect_err = EBADF);
	P9(c, clunk, .fid = P9_NOFID, .expect_err = EBADF);
}

Test(fids, rule_numbers_may_be_any)
{
	static const uint32_t numbers[] = {1, 255, 65536, 1u << 31, UINT32_MAX - 1};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		p9_to(c, 0, numbers[i], "f");
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		P9(c, clunk, .fid = numbers[i]);
}

Test(fids, rule_tags_are_free_after_their_reply)
{
	for (int i = 0; i < 100; i++) {
		p9_send_tag(c, 5, P9_STATFS, &(struct p9_statfs_req){.fid = 0});
		cr_assert_eq(p9_wait(c, 5, P9_STATFS, NULL), 0);
	}
}

Test(fids, rule_an_open_fid_is_not_opened_again)
{
	p9_open(c, 1, "f", 2);
	P9(c, lopen, .fid = 1, .expect_err = EINVAL);
	P9(c, lcreate, .fid = 1, .name = "x", .flags = 2, .mode = 0644, .expect_err = EINVAL);
	P9(c, xattrcreate, .fid = 1, .name = "user.a", .attr_size = 1, .expect_err = EINVAL);
	cr_assert(p9_has(c, 1, 0, "text"));
}

Test(fids, rule_an_open_unlinked_file_does_everything)
{
	struct p9_getattr_rep a;

	p9_open(c, 1, "f", 2);
	P9(c, unlinkat, .dirfid = 0, .name = "f");
	cr_assert(p9_has(c, 1, 0, "text"));
	p9_put(c, 1, 4, "!");
	a = P9(c, getattr, .fid = 1);
	cr_assert(a.nlink == 0 && a.size == 5);
	P9(c, setattr, .fid = 1, .valid = 8, .size = 2);
	P9(c, setattr, .fid = 1, .valid = 1, .mode = 0600);
	P9(c, setattr, .fid = 1, .valid = 0x30);
	P9(c, xattrwalk, .fid = 1, .newfid = 2);
	P9(c, fsync, .fid = 1);
	P9(c, lock, .fid = 1, .type = P9_LOCK_TYPE_WRLCK, .client_id = "c");
	p9_to(c, 1, 3, "");
	P9(c, lopen, .fid = 3, .flags = 2);
	cr_assert(p9_has(c, 3, 0, "te"));
	/* A link would give it a name again; Linux forbids that for what has none. */
	P9(c, link, .dfid = 0, .fid = 1, .name = "again", .expect_err = P9_ANY_ERROR);
}

Test(fids, rule_identity_follows_renames_by_any_fid)
{
	p9_to(c, 0, 1, "d/g");
	p9_open(c, 2, "d/g", 2);
	p9_to(c, 0, 3, "d");
	P9(c, renameat, .olddirfid = 3, .oldname = "g", .newdirfid = 0, .newname = "h");
	P9(c, renameat, .olddirfid = 0, .oldname = "d", .newdirfid = 0, .newname = "e");
	P9(c, setattr, .fid = 1, .valid = 1, .mode = 0612);
	P9(c, lopen, .fid = 1);
	cr_assert(p9_has(c, 1, 0, "more"));
	p9_put(c, 2, 0, "MORE");
	cr_assert_str_eq(rig_read(&rig.rig, "h"), "MORE");
	/* The directory too: what is made in it is where it is now. */
	P9(c, mkdir, .dfid = 3, .name = "sub", .mode = 0755);
	cr_assert_eq(access(rig_path(&rig.rig, "e/sub"), F_OK), 0);
}

Test(fids, rule_identity_follows_renames_by_the_host)
{
	p9_to(c, 0, 1, "d/g");
	p9_to(c, 0, 2, "d");
	cr_assert_eq(rename(rig_path(&rig.rig, "d"), rig_path(&rig.rig, "e")), 0);
	cr_assert_eq(rename(rig_path(&rig.rig, "e/g"), rig_path(&rig.rig, "h")), 0);
	cr_assert_eq(mkdir(rig_path(&rig.rig, "d"), 0755), 0);
	rig_write(&rig.rig, "d/g", "another");
	P9(c, lopen, .fid = 1);
	cr_assert(p9_has(c, 1, 0, "more"));
	P9(c, walk, .fid = 2, .newfid = 3, .names = "g", .expect_err = ENOENT);
}

Test(fids, rule_a_clunk_takes_the_fid_even_if_it_fails)
{
	p9_to(c, 0, 1, "f");
	P9(c, xattrcreate, .fid = 1, .name = "user.a", .attr_size = 5);
	P9(c, clunk, .fid = 1, .expect_err = P9_ANY_ERROR);
	P9(c, clunk, .fid = 1, .expect_err = EBADF);
	p9_to(c, 0, 1, "f");
}

Test(fids, rule_an_attribute_fid_reads_and_no_more)
{
	P9(c, xattrwalk, .fid = 0, .newfid = 1);
	P9(c, read, .fid = 1, .count = 10);
	P9(c, write, .fid = 1, .data = wt_str_of("x"), .expect_err = EBADF);
	P9(c, lopen, .fid = 1, .expect_err = EINVAL);
	P9(c, getattr, .fid = 1, .expect_err = EINVAL);
	P9(c, statfs, .fid = 1, .expect_err = EINVAL);
	P9(c, readlink, .fid = 1, .expect_err = EINVAL);
	P9(c, fsync, .fid = 1, .expect_err = 0);
	P9(c, lock, .fid = 1, .expect_err = EBADF);
}

Test(fids, rule_an_open_directory_gives_its_entries_and_no_more)
{
	p9_open(c, 1, "d", 0);
	cr_assert_gt(P9(c, readdir, .fid = 1, .count = 4096).entries.size, 0);
	P9(c, read, .fid = 1, .count = 1, .expect_err = EISDIR);
	P9(c, write, .fid = 1, .data = wt_str_of("x"), .expect_err = EISDIR);
	P9(c, lock, .fid = 1, .expect_err = EBADF);
	P9(c, lopen, .fid = 1, .expect_err = EINVAL);
	P9(c, lcreate, .fid = 1, .name = "x", .flags = 2, .mode = 0644, .expect_err = EINVAL);
	P9(c, xattrcreate, .fid = 1, .name = "user.a", .attr_size = 1, .expect_err = EINVAL);
	/* As a place and as a file it is what it was. */
	P9(c, getattr, .fid = 1);
	P9(c, setattr, .fid = 1, .valid = 1, .mode = 0700);
	P9(c, fsync, .fid = 1);
	P9(c, mkdir, .dfid = 1, .name = "e", .mode = 0755);
	p9_to(c, 1, 2, "e");
}

Test(fids, rule_an_attribute_that_is_made_takes_its_value_and_no_more)
{
	p9_to(c, 0, 1, "f");
	P9(c, xattrcreate, .fid = 1, .name = "user.a", .attr_size = 4);
	p9_put(c, 1, 0, "some");
	P9(c, read, .fid = 1, .count = 4, .expect_err = EBADF);
	P9(c, lopen, .fid = 1, .expect_err = EINVAL);
	P9(c, lcreate, .fid = 1, .name = "x", .flags = 2, .mode = 0644, .expect_err = EINVAL);
	P9(c, xattrcreate, .fid = 1, .name = "user.b", .attr_size = 1, .expect_err = EINVAL);
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .expect_err = EINVAL);
	P9(c, getattr, .fid = 1, .expect_err = EINVAL);
	P9(c, setattr, .fid = 1, .valid = 1, .mode = 0700, .expect_err = EINVAL);
	P9(c, readdir, .fid = 1, .count = 4096, .expect_err = P9_ANY_ERROR);
	P9(c, lock, .fid = 1, .expect_err = EBADF);
	P9(c, walk, .fid = 1, .newfid = 3, .names = "", .expect_err = P9_ANY_ERROR);
	P9(c, clunk, .fid = 1);
	p9_to(c, 0, 1, "f");
	cr_assert_eq(P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "user.a").size, 4);
}

Test(fids, a_thousand_take_helper_and_device_together_to_less_than_12_mib)
{
	for (uint32_t fid = 1; fid <= 1000; fid++)
		p9_to(c, 0, fid, fid % 2 ? "d/g" : "f");
	for (uint32_t fid = 1; fid <= 1000; fid += 10)
		P9(c, lopen, .fid = fid, .flags = 2);
	if (is_sanitized())
		cr_skip_test("a sanitizer takes more memory than that");
	cr_assert_lt(rss_kib(rig.device) + rss_kib(rig.rig.helper), 12 * 1024);
}

/* Dentries of a guest keep fids: they come in hundreds of thousands. */
Test(fids, many_fids)
{
	rig_needs_root("file handles");
	enum { MANY = 50000, AT_ONCE = 100 };
	long before = rss_kib(rig.device);

	for (uint32_t fid = 1; fid <= MANY; fid += AT_ONCE) {
		uint16_t tags[AT_ONCE];

		for (uint32_t i = 0; i < AT_ONCE; i++)
			tags[i] = P9_SEND(c, WALK, walk, .fid = 0, .newfid = fid + i,
			                  .names = i % 2 ? "d/g" : "f");
		for (uint32_t i = 0; i < AT_ONCE; i++)
			cr_assert_eq(p9_wait(c, tags[i], P9_WALK, NULL), 0);
	}
	for (uint32_t fid = 1; fid <= MANY; fid += 1777)
		P9(c, getattr, .fid = fid);
	if (!is_sanitized())
		cr_assert_lt(rss_kib(rig.device) - before, 32 * 1024);
	P9(c, version, .msize = 8192, .version = "9P2000.L");
	P9(c, getattr, .fid = 1, .expect_err = EBADF);
}

Test(fids, pipelined_requests_see_each_other_in_order)
{
	/* As far as no request waits for the helper: a fid is taken at once, so its number cannot be taken twice. */
	uint16_t one = P9_SEND(c, WALK, walk, .fid = 0, .newfid = 1, .names = "f");
	uint16_t two = P9_SEND(c, WALK, walk, .fid = 0, .newfid = 1, .names = "d");

	cr_assert_eq(p9_wait(c, one, P9_WALK, NULL), 0);
	cr_assert_eq(p9_wait(c, two, P9_WALK, NULL), EINVAL);
	cr_assert(S_ISREG(P9(c, getattr, .fid = 1).mode));
}

Test(fids, a_fid_clunked_under_a_request_ends_it_well)
{
	for (int i = 0; i < 200; i++) {
		uint16_t tags[4];

		p9_open(c, 1, "f", 2);
		tags[0] = P9_SEND(c, READ, read, .fid = 1, .count = 100);
		tags[1] = P9_SEND(c, GETATTR, getattr, .fid = 1);
		tags[2] = P9_SEND(c, FSYNC, fsync, .fid = 1);
		tags[3] = P9_SEND(c, CLUNK, clunk, .fid = 1);
		cr_assert_eq(p9_wait(c, tags[3], P9_CLUNK, NULL), 0);
		for (int k = 0; k < 3; k++)
			cr_assert_eq(p9_wait(c, tags[k],
			                     k == 0   ? P9_READ
			                     : k == 1 ? P9_GETATTR
			                              : P9_FSYNC,
			                     NULL),
			             0);
	}
	cr_assert_eq(p9_kept_count(c), 0);
}
