/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_xattr.c: Txattrwalk reads a value as it was at the walk; Txattrcreate sets one at its clunk. */
#include "tests/lib/p9_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CREATE  1u
#define REPLACE 2u

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, NULL);
	rig_write(&rig.rig, "f", "text");
	p9_to(&rig.c, 0, 1, "f");
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(xattr, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

static void host_set(const char *name, const char *value)
{
	cr_assert_eq(lsetxattr(rig_path(&rig.rig, "f"), name, value, strlen(value), 0), 0, "%s",
	             strerror(errno));
}

/* The value on the host: its size, or -errno. */
static int host_has(const char *name, char value[64])
{
	ssize_t n = lgetxattr(rig_path(&rig.rig, "f"), name, value, 63);

	value[n < 0 ? 0 : n] = '\0';
	return n < 0 ? -errno : (int)n;
}

/* A clone of fid 1 becomes the attribute's. */
static void create(uint32_t fid, const char *name, uint64_t size, uint32_t flags)
{
	p9_to(c, 1, fid, "");
	P9(c, xattrcreate, .fid = fid, .name = name, .attr_size = size, .flags = flags);
}

static void gone(uint32_t fid)
{
	P9(c, clunk, .fid = fid, .expect_err = EBADF);
}

Test(xattr, a_value_is_read)
{
	host_set("user.a", "value");
	cr_assert_eq(P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "user.a").size, 5);
	cr_assert(p9_has(c, 2, 0, "value"));
	cr_assert(p9_has(c, 2, 2, "lue"));
	cr_assert_eq(P9(c, read, .fid = 2, .offset = 5, .count = 10).data.size, 0);
	cr_assert_eq(P9(c, read, .fid = 2, .offset = UINT32_MAX, .count = 10).data.size, 0);
	P9(c, read, .fid = 2, .offset = UINT64_MAX, .count = 10, .expect_err = EINVAL);
	P9(c, write, .fid = 2, .data = wt_str_of("x"), .expect_err = EBADF);
	P9(c, clunk, .fid = 2);
}

Test(xattr, a_value_is_as_it_was_at_the_walk)
{
	host_set("user.a", "before");
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "user.a");
	host_set("user.a", "after");
	cr_assert(p9_has(c, 2, 0, "before"));
}

Test(xattr, the_list_is_names_with_nul_between)
{
	uint64_t size;
	struct p9_read_rep a;

	host_set("user.a", "1");
	host_set("user.bb", "2");
	size = P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "").size;
	a = P9(c, read, .fid = 2, .count = 4096);
	cr_assert_eq(a.data.size, size);
	cr_assert_not_null(memmem(a.data.data, a.data.size, "user.a", 7));
	cr_assert_not_null(memmem(a.data.data, a.data.size, "user.bb", 8));
}

Test(xattr, what_is_missing_is_enodata)
{
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "user.none", .expect_err = ENODATA);
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "security.capability",
	   .expect_err = ENODATA);
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "system.posix_acl_access",
	   .expect_err = P9_ANY_ERROR);
	/* The newfid was never made. */
	gone(2);
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "");
}

Test(xattr, rules_of_the_new_fid)
{
	host_set("user.a", "1");
	P9(c, xattrwalk, .fid = 1, .newfid = 0, .name = "user.a", .expect_err = EINVAL);
	P9(c, xattrwalk, .fid = 1, .newfid = 1, .name = "user.a", .expect_err = EINVAL);
	P9(c, xattrwalk, .fid = 9, .newfid = 2, .name = "user.a", .expect_err = EBADF);
	P9(c, xattrwalk, .fid = 1, .newfid = P9_NOFID, .expect_err = P9_ANY_ERROR);
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "user.a");
	P9(c, xattrwalk, .fid = 2, .newfid = 3, .name = "user.a", .expect_err = EINVAL);
}

Test(xattr, of_an_open_and_unlinked_file)
{
	P9(c, lopen, .fid = 1, .flags = 2);
	host_set("user.a", "still");
	P9(c, unlinkat, .dirfid = 0, .name = "f");
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "user.a");
	cr_assert(p9_has(c, 2, 0, "still"));
}

Test(xattr, a_value_is_set_at_the_clunk)
{
	char value[64];

	create(2, "user.a", 8, 0);
	p9_put(c, 2, 0, "some");
	p9_put(c, 2, 4, "more");
	cr_assert_eq(host_has("user.a", value), -ENODATA);
	P9(c, clunk, .fid = 2);
	cr_assert_eq(host_has("user.a", value), 8);
	cr_assert_str_eq(value, "somemore");
	gone(2);
}

Test(xattr, an_empty_value_is_a_value)
{
	char value[64];

	create(2, "user.a", 0, 0);
	P9(c, clunk, .fid = 2);
	cr_assert_eq(host_has("user.a", value), 0, "an attribute with an empty value");
	create(2, "user.b", 0, CREATE);
	P9(c, clunk, .fid = 2);
	cr_assert_eq(host_has("user.b", value), 0);
}

/* As Linux says removexattr(2). */
Test(xattr, size_0_with_replace_removes)
{
	char value[64];

	host_set("user.a", "1");
	create(2, "user.a", 0, REPLACE);
	P9(c, clunk, .fid = 2);
	cr_assert_eq(host_has("user.a", value), -ENODATA);
	create(2, "user.a", 0, REPLACE);
	P9(c, clunk, .fid = 2, .expect_err = ENODATA);
	gone(2);
}

Test(xattr, flags_are_the_kernels)
{
	char value[64];

	host_set("user.a", "1");
	create(2, "user.a", 1, CREATE);
	p9_put(c, 2, 0, "2");
	P9(c, clunk, .fid = 2, .expect_err = EEXIST);
	gone(2);
	create(2, "user.b", 1, REPLACE);
	p9_put(c, 2, 0, "2");
	P9(c, clunk, .fid = 2, .expect_err = ENODATA);
	gone(2);
	create(2, "user.a", 1, REPLACE);
	p9_put(c, 2, 0, "3");
	P9(c, clunk, .fid = 2);
	cr_assert_eq(host_has("user.a", value), 1);
	cr_assert_str_eq(value, "3");
	p9_to(c, 1, 2, "");
	P9(c, xattrcreate, .fid = 2, .name = "user.a", .flags = 4, .expect_err = EINVAL);
}

Test(xattr, too_little_written_is_told_at_the_clunk)
{
	char value[64];

	create(2, "user.a", 8, 0);
	p9_put(c, 2, 0, "some");
	P9(c, clunk, .fid = 2, .expect_err = P9_ANY_ERROR);
	gone(2);
	cr_assert_eq(host_has("user.a", value), -ENODATA, "half a value was set");
}

Test(xattr, wild_offsets_are_refused)
{
	char value[64];

	create(2, "user.a", 4, 0);
	P9(c, write, .fid = 2, .offset = 1, .data = wt_str_of("x"), .expect_err = P9_ANY_ERROR);
	P9(c, write, .fid = 2, .offset = UINT64_MAX, .data = wt_str_of("xx"),
	   .expect_err = P9_ANY_ERROR);
	P9(c, write, .fid = 2, .offset = 1u << 31, .data = wt_str_of("xx"),
	   .expect_err = P9_ANY_ERROR);
	P9(c, write, .fid = 2, .offset = 0, .data = wt_str_of("12345"), .expect_err = P9_ANY_ERROR);
	p9_put(c, 2, 0, "123");
	P9(c, write, .fid = 2, .offset = 3, .data = wt_str_of("45"), .expect_err = P9_ANY_ERROR);
	P9(c, write, .fid = 2, .offset = 1, .data = wt_str_of("2"), .expect_err = P9_ANY_ERROR);
	p9_put(c, 2, 3, "4");
	P9(c, clunk, .fid = 2);
	cr_assert_eq(host_has("user.a", value), 4);
	cr_assert_str_eq(value, "1234");
}

Test(xattr, sizes_are_limited)
{
	p9_to(c, 1, 2, "");
	P9(c, xattrcreate, .fid = 2, .name = "user.a", .attr_size = 65537,
	   .expect_err = P9_ANY_ERROR);
	P9(c, xattrcreate, .fid = 2, .name = "user.a", .attr_size = UINT64_MAX,
	   .expect_err = P9_ANY_ERROR);
	P9(c, xattrcreate, .fid = 2, .name = "", .attr_size = 1, .expect_err = P9_ANY_ERROR);
	/* The fid is what it was. */
	P9(c, lopen, .fid = 2);
}

Test(xattr, no_more_is_held_than_a_limit)
{
	unsigned held = 0;

	for (uint32_t fid = 10; fid < 400; fid++) {
		uint16_t tag;
		int e;

		p9_to(c, 1, fid, "");
		tag = P9_SEND(c, XATTRCREATE, xattrcreate, .fid = fid, .name = "user.a",
		              .attr_size = 65536);
		e = p9_wait(c, tag, P9_XATTRCREATE, NULL);
		cr_assert(e == 0 || e == ENOSPC);
		held += e == 0;
	}
	cr_assert(held >= 64 && held < 300, "%u times 64 KiB are held", held);
	for (uint32_t fid = 10; fid < 400; fid++) {
		uint16_t tag = P9_SEND(c, CLUNK, clunk, .fid = fid);

		(void)p9_wait(c, tag, P9_CLUNK, NULL);
	}
	create(2, "user.a", 65536, 0);
}

Test(xattr, creation_is_for_unopened_fids)
{
	p9_open(c, 2, "f", 0);
	P9(c, xattrcreate, .fid = 2, .name = "user.a", .attr_size = 1, .expect_err = EINVAL);
	create(3, "user.a", 1, 0);
	P9(c, xattrcreate, .fid = 3, .name = "user.a", .attr_size = 1, .expect_err = EINVAL);
	P9(c, lopen, .fid = 3, .expect_err = EINVAL);
	P9(c, read, .fid = 3, .count = 1, .expect_err = EBADF);
	P9(c, xattrcreate, .fid = 9, .name = "user.a", .attr_size = 1, .expect_err = EBADF);
}

Test(xattr, acls)
{
	/* version 2; user::rwx group::r-x other::r-x: what chmod 755 would do, so nothing is stored. */
	static const uint8_t acl[] = {2, 0,   0,   0,   1,   0,  7, 0, 255, 255, 255, 255, 4,  0, 5,
	                              0, 255, 255, 255, 255, 32, 0, 5, 0,   255, 255, 255, 255};
	struct stat st;

	create(2, "system.posix_acl_access", sizeof(acl), 0);
	cr_assert_eq(P9(c, write, .fid = 2, .data = {.data = acl, .size = sizeof(acl)}).count,
	             sizeof(acl));
	P9(c, clunk, .fid = 2);
	cr_assert_eq(stat(rig_path(&rig.rig, "f"), &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0755u);
	/* Linux removes one by size 0 without a flag. */
	create(2, "system.posix_acl_access", 0, 0);
	{
		uint16_t tag = P9_SEND(c, CLUNK, clunk, .fid = 2);
		int e = p9_wait(c, tag, P9_CLUNK, NULL);

		cr_assert(e == 0 || e == ENODATA, "%d", e);
	}
}

Test(xattr, of_directories_and_links)
{
	P9(c, xattrwalk, .fid = 0, .newfid = 2);
	cr_assert_eq(symlink("f", rig_path(&rig.rig, "l")), 0);
	host_set("user.a", "of the file");
	p9_to(c, 0, 3, "l");
	P9(c, xattrwalk, .fid = 3, .newfid = 4, .name = "user.a", .expect_err = P9_ANY_ERROR);
	p9_to(c, 3, 5, "");
	P9(c, xattrcreate, .fid = 5, .name = "user.a", .attr_size = 1);
	p9_put(c, 5, 0, "x");
	P9(c, clunk, .fid = 5, .expect_err = P9_ANY_ERROR);
	cr_assert_eq(P9(c, xattrwalk, .fid = 1, .newfid = 6, .name = "user.a").size, 11);
}
