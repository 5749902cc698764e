/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rd.h"
#include "common/wr.h"

#include <criterion/criterion.h>
#include <string.h>

Test(rd, a_read_past_the_end_fails_for_good)
{
	static const uint8_t bytes[] = {1, 2, 3};
	struct rd r = rd_over(bytes, sizeof(bytes));

	cr_assert_eq(rd_le16(&r), 0x0201);
	cr_assert_eq(rd_le32(&r), 0);
	cr_assert_not(rd_good(&r));
	cr_assert_eq(rd_u8(&r), 0, "a failed cursor gives nothing more, though a byte is left");
	cr_assert_not(rd_end(&r));
}

Test(rd, bytes_of_a_size_that_would_wrap_are_refused)
{
	static const uint8_t bytes[] = {1, 2, 3};
	struct rd r = rd_over(bytes, sizeof(bytes));

	cr_assert_null(rd_bytes(&r, SIZE_MAX));
	cr_assert_not(rd_good(&r));
}

Test(rd, the_end_is_every_byte_read)
{
	static const uint8_t bytes[] = {1, 2};
	struct rd r = rd_over(bytes, sizeof(bytes));

	cr_assert_not(rd_end(&r));
	cr_assert_eq(rd_le16(&r), 0x0201);
	cr_assert(rd_end(&r));
}

Test(rd, little_endian_integers)
{
	static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	struct rd r = rd_over(bytes, sizeof(bytes));

	cr_assert_eq(rd_u8(&r), 1);
	cr_assert_eq(rd_le16(&r), 0x0302);
	cr_assert_eq(rd_le32(&r), 0x07060504);
	cr_assert_eq(rd_le64(&r), 0x0f0e0d0c0b0a0908u);
	cr_assert(rd_end(&r));
}

Test(rd, big_endian_integers)
{
	static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
	struct rd r = rd_over(bytes, sizeof(bytes));

	cr_assert_eq(rd_be32(&r), 0x01020304);
	cr_assert_eq(rd_be64(&r), 0x05060708090a0b0cu);
	cr_assert(rd_end(&r));
	cr_assert_eq(rd_be32(&r), 0);
	cr_assert_not(rd_good(&r));
}

Test(wr, what_does_not_fit_is_not_written_at_all)
{
	uint8_t bytes[4] = {9, 9, 9, 9};
	struct wr w = wr_over(bytes, 3);

	wr_le16(&w, 0x0201);
	wr_le16(&w, 0x0403);
	cr_assert_not(wr_good(&w));
	wr_u8(&w, 7);
	cr_assert_eq(memcmp(bytes, (uint8_t[]){1, 2, 9, 9}, 4), 0);
	cr_assert_eq(w.used, 2);
}

Test(wr, integers_come_back)
{
	uint8_t bytes[32];
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct rd r;

	wr_u8(&w, 0xfe);
	wr_le16(&w, 0xfedc);
	wr_le32(&w, 0xfedcba98);
	wr_le64(&w, 0xfedcba9876543210u);
	wr_host16(&w, 0x1234);
	wr_host32(&w, 0x12345678);
	wr_host64(&w, 0x123456789abcdef0u);
	r = rd_over(bytes, w.used);
	cr_assert_eq(rd_u8(&r), 0xfe);
	cr_assert_eq(rd_le16(&r), 0xfedc);
	cr_assert_eq(rd_le32(&r), 0xfedcba98);
	cr_assert_eq(rd_le64(&r), 0xfedcba9876543210u);
	cr_assert_eq(rd_host16(&r), 0x1234);
	cr_assert_eq(rd_host32(&r), 0x12345678);
	cr_assert_eq(rd_host64(&r), 0x123456789abcdef0u);
	cr_assert(rd_end(&r));
}
