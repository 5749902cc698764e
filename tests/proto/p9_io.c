/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_io.c: Tread, Twrite and Tfsync. */
#include "tests/lib/p9_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, NULL);
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(io, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

static size_t read_size(uint32_t fid, uint64_t offset, uint32_t count)
{
	return P9(c, read, .fid = fid, .offset = offset, .count = count).data.size;
}

Test(io, a_short_read_is_the_end)
{
	p9_make(c, 1, "f", 0644);
	p9_put(c, 1, 0, "0123456789");
	cr_assert_eq(read_size(1, 0, 10), 10);
	cr_assert_eq(read_size(1, 0, 11), 10);
	cr_assert_eq(read_size(1, 5, 100), 5);
	cr_assert_eq(read_size(1, 10, 100), 0);
	cr_assert_eq(read_size(1, 1 << 30, 100), 0);
	cr_assert_eq(read_size(1, 0, 0), 0);
}

Test(io, offsets)
{
	p9_make(c, 1, "f", 0644);
	p9_put(c, 1, 4, "efgh");
	p9_put(c, 1, 0, "abcd");
	p9_put(c, 1, 2, "CDE");
	cr_assert_str_eq(rig_read(&rig.rig, "f"), "abCDEfgh");
	cr_assert(p9_has(c, 1, 3, "DEfgh"));
}

Test(io, a_count_beyond_msize_is_cut)
{
	static uint8_t data[2 * P9_RIG_MSIZE];
	uint32_t most = P9_RIG_MSIZE - P9_READ_HEAD;

	p9_make(c, 1, "f", 0644);
	for (uint64_t at = 0; at < sizeof(data); at += 65536)
		P9(c, write, .fid = 1, .offset = at, .data = {.data = data, .size = 65536});
	cr_assert_eq(read_size(1, 0, most), most);
	cr_assert_eq(read_size(1, 0, most + 1), most);
	cr_assert_eq(read_size(1, 0, 1u << 31), most);
	cr_assert_eq(read_size(1, 0, UINT32_MAX), most);
	cr_assert_eq(read_size(1, 0, UINT32_MAX - 10), most);
	cr_assert_eq(read_size(1, 0, UINT32_MAX - 11), most);
}

Test(io, offsets_beyond_what_a_file_has_are_refused)
{
	static const uint64_t far[] = {INT64_MAX, UINT64_MAX, UINT64_MAX - 1,
	                               (uint64_t)INT64_MAX + 1};

	p9_make(c, 1, "f", 0644);
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		P9(c, read, .fid = 1, .offset = far[i], .count = 100, .expect_err = EINVAL);
		P9(c, write, .fid = 1, .offset = far[i], .data = wt_str_of("xx"),
		   .expect_err = EFBIG);
	}
	cr_assert(p9_alive(c));
}

Test(io, holes_read_as_zero)
{
	struct p9_read_rep a;
	struct stat st;

	p9_make(c, 1, "f", 0644);
	p9_put(c, 1, 1ull << 32, "end");
	a = P9(c, read, .fid = 1, .offset = 1 << 20, .count = 65536);
	cr_assert_eq(a.data.size, 65536);
	for (size_t i = 0; i < a.data.size; i++)
		cr_assert_eq(a.data.data[i], 0);
	cr_assert_eq(stat(rig_path(&rig.rig, "f"), &st), 0);
	cr_assert_eq(st.st_size, (1ll << 32) + 3);
	cr_assert_lt(st.st_blocks, 1000);
}

Test(io, an_empty_write_changes_nothing)
{
	p9_make(c, 1, "f", 0644);
	p9_put(c, 1, 0, "text");
	cr_assert_eq(P9(c, write, .fid = 1, .offset = 100).count, 0);
	cr_assert_str_eq(rig_read(&rig.rig, "f"), "text");
}

Test(io, a_directory_is_not_read_or_written)
{
	p9_open(c, 1, "", 0);
	P9(c, read, .fid = 1, .count = 100, .expect_err = EISDIR);
	P9(c, write, .fid = 1, .data = wt_str_of("x"), .expect_err = EISDIR);
}

Test(io, an_unopened_fid_is_not_read_or_written)
{
	rig_write(&rig.rig, "f", "text");
	p9_to(c, 0, 1, "f");
	P9(c, read, .fid = 1, .count = 4, .expect_err = EBADF);
	P9(c, write, .fid = 1, .data = wt_str_of("x"), .expect_err = EBADF);
	P9(c, read, .fid = 9, .count = 4, .expect_err = EBADF);
	P9(c, write, .fid = 9, .data = wt_str_of("x"), .expect_err = EBADF);
}

Test(io, an_unlinked_file_is_read_and_written)
{
	p9_make(c, 1, "f", 0644);
	p9_put(c, 1, 0, "text");
	P9(c, unlinkat, .dirfid = 0, .name = "f");
	cr_assert(p9_has(c, 1, 0, "text"));
	p9_put(c, 1, 4, " more");
	cr_assert(p9_has(c, 1, 0, "text more"));
}

Test(io, many_parts_of_one_file_at_once)
{
	uint16_t tags[64];
	char want[64 * 8 + 1];

	p9_make(c, 1, "f", 0644);
	for (uint32_t i = 0; i < 64; i++) {
		(void)snprintf(want + 8 * i, 9, "%08u", i * 1234567u % 100000000u);
		tags[i] = P9_SEND(c, WRITE, write, .fid = 1, .offset = 8 * i,
		                  .data = wt_str_of(want + 8 * i));
	}
	for (int i = 63; i >= 0; i--)
		cr_assert_eq(p9_wait(c, tags[i], P9_WRITE, NULL), 0);
	cr_assert_str_eq(rig_read(&rig.rig, "f"), want);
	cr_assert_eq(p9_kept_count(c), 0);
}

Test(io, a_full_file_system_is_told)
{
	static uint8_t data[65536];

	rig_differs_on("xfs btrfs tmpfs", "the largest file");
	p9_make(c, 1, "f", 0644);
	/* No file has that size: the kernel says EFBIG, and nothing dies of a signal. */
	P9(c, write, .fid = 1, .offset = INT64_MAX - 65536, .data = {.data = data, .size = 65536},
	   .expect_err = EFBIG);
	cr_assert(p9_alive(c));
}

/* There the kernel sends SIGXFSZ besides the error. */
Test(io, past_the_limit_of_the_devices_files_is_an_error_and_no_more)
{
	const struct rlimit small = {.rlim_cur = 4096, .rlim_max = 4096};

	p9_make(c, 1, "f", 0644);
	cr_assert_eq(prlimit(rig.device, RLIMIT_FSIZE, &small, NULL), 0);
	P9(c, write, .fid = 1, .offset = 4096, .data = {.data = (const uint8_t *)"text", .size = 4},
	   .expect_err = EFBIG);
	p9_put(c, 1, 4090, "before");
	cr_assert(p9_has(c, 1, 4090, "before"));
}

Test(io, fsync)
{
	p9_make(c, 1, "f", 0644);
	p9_put(c, 1, 0, "x");
	P9(c, fsync, .fid = 1);
	P9(c, fsync, .fid = 1, .datasync = 1);
	p9_open(c, 2, "", 0);
	P9(c, fsync, .fid = 2);
	P9(c, fsync, .fid = 2, .datasync = 1);
	P9(c, fsync, .fid = 9, .expect_err = EBADF);
	P9(c, unlinkat, .dirfid = 0, .name = "f");
	P9(c, fsync, .fid = 1);
}

Test(io, fsync_of_old_clients_has_no_datasync)
{
	const uint8_t message[] = {11, 0, 0, 0, P9_FSYNC, 42, 0, 1, 0, 0, 0};

	p9_make(c, 1, "f", 0644);
	p9_send_raw(c, message, sizeof(message));
	cr_assert_eq(p9_wait(c, 42, P9_FSYNC, NULL), 0);
}
