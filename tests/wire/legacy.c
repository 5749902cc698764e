/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy.c: the proxy dialect against bytes as QEMU sends and expects them
 * (docs/protocol-legacy.md). */
#include "wire/legacy.h"

#include <criterion/criterion.h>
#include <endian.h>
#include <string.h>

#if __BYTE_ORDER == __LITTLE_ENDIAN

Test(legacy, an_open_of_qemu_is_understood)
{
	/* open("//f", O_RDWR), the NUL counted in, as QEMU 7.2 sends a fid's own path. */
	static const uint8_t wire[] = {4, 0, '/', '/', 'f', 0, 2, 0, 0, 0};
	struct rd r = rd_over(wire, sizeof(wire));
	struct legacy_open_req q;

	cr_assert(legacy_open_req_get(&r, &q));
	cr_assert_eq(q.path.size, 3);
	cr_assert_eq(memcmp(q.path.data, "//f", 3), 0);
	cr_assert_eq(q.flags, 2);
}

Test(legacy, a_path_without_its_nul_is_the_same)
{
	static const uint8_t wire[] = {3, 0, '/', '/', 'f', 2, 0, 0, 0};
	struct rd r = rd_over(wire, sizeof(wire));
	struct legacy_open_req q;

	cr_assert(legacy_open_req_get(&r, &q));
	cr_assert_eq(q.path.size, 3);
}

Test(legacy, a_status_is_a_header_and_four_bytes)
{
	static const uint8_t failure[] = {1, 0, 0, 0, 4, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff};
	static const uint8_t success[] = {0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0};
	uint8_t bytes[16];
	struct wr w = wr_over(bytes, sizeof(bytes));

	cr_assert(legacy_status_put(&w, -2));
	cr_assert_eq(w.used, sizeof(failure));
	cr_assert_eq(memcmp(bytes, failure, sizeof(failure)), 0);
	w = wr_over(bytes, sizeof(bytes));
	cr_assert(legacy_status_put(&w, 0));
	cr_assert_eq(memcmp(bytes, success, sizeof(success)), 0);
}

#endif

Test(legacy, bodies_have_the_sizes_that_qemu_unmarshals)
{
	uint8_t bytes[256];
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct legacy_lstat_rep stat = {0};
	struct legacy_statfs_rep statfs = {0};

	cr_assert(legacy_lstat_rep_put(&w, &stat));
	cr_assert_eq(w.used, 116);
	w = wr_over(bytes, sizeof(bytes));
	cr_assert(legacy_statfs_rep_put(&w, &statfs));
	cr_assert_eq(w.used, 88);
}

Test(legacy, twenty_requests_from_2_to_21)
{
	cr_assert_eq(legacy_table_count, 20);
	for (uint32_t i = 0; i < 20; i++)
		cr_assert_eq(legacy_table[i].number, i + 2);
	cr_assert_null(wt_find(legacy_table, legacy_table_count, 0));
	cr_assert_null(wt_find(legacy_table, legacy_table_count, 1));
	cr_assert_null(wt_find(legacy_table, legacy_table_count, 22));
}

Test(legacy, a_payload_over_the_limit_is_refused)
{
	uint8_t bytes[LEGACY_HEADER_SIZE];
	struct legacy_header h;

	for (uint32_t size = LEGACY_PAYLOAD_MAX - 1; size <= LEGACY_PAYLOAD_MAX + 1; size++) {
		struct wr w = wr_over(bytes, sizeof(bytes));
		struct rd r;

		legacy_header_put(&w, &(struct legacy_header){LEGACY_LSTAT, size});
		r = rd_over(bytes, sizeof(bytes));
		cr_assert_eq(legacy_header_get(&r, &h), size <= LEGACY_PAYLOAD_MAX);
	}
}

static bool takes_target(size_t size)
{
	static uint8_t bytes[LEGACY_PAYLOAD_MAX];
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct legacy_symlink_req q;
	struct rd r;

	wr_host32(&w, 0);
	wr_host32(&w, 0);
	wr_host16(&w, (uint16_t)size);
	memset(wr_space(&w, size), 't', size);
	wr_host16(&w, 1);
	wr_u8(&w, 'l');
	r = rd_over(bytes, w.used);
	return legacy_symlink_req_get(&r, &q);
}

Test(legacy, limits_of_a_target)
{
	cr_assert_not(takes_target(0));
	cr_assert(takes_target(1));
	cr_assert(takes_target(WT_TARGET_MAX));
	cr_assert_not(takes_target(WT_TARGET_MAX + 1));
}

static bool takes_xname(size_t size)
{
	uint8_t bytes[1024] = {0};
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct legacy_lremovexattr_req q;
	struct rd r;

	wr_host16(&w, 1);
	wr_u8(&w, '/');
	wr_host16(&w, (uint16_t)size);
	memset(wr_space(&w, size), 'x', size);
	r = rd_over(bytes, w.used);
	return legacy_lremovexattr_req_get(&r, &q);
}

Test(legacy, limits_of_an_attribute_name)
{
	cr_assert_not(takes_xname(0));
	cr_assert(takes_xname(1));
	cr_assert(takes_xname(WT_XNAME_MAX));
	cr_assert_not(takes_xname(WT_XNAME_MAX + 1));
}
