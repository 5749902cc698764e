/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/checked.h"
#include "common/log.h"
#include "common/options.h"
#include "common/parse.h"
#include "common/sbuf.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>

Test(sbuf, text_that_does_not_fit_is_cut)
{
	char buffer[6];
	struct sbuf s = sbuf_over(buffer, sizeof(buffer));

	sbuf_add(&s, "%s", "abc");
	sbuf_add(&s, "%s", "defgh");
	cr_assert_str_eq(buffer, "abcde");
	sbuf_add(&s, "more");
	cr_assert_str_eq(buffer, "abcde");
}

Test(sbuf, bytes_of_a_peer_cannot_make_a_line_of_their_own)
{
	char buffer[64];
	struct sbuf s = sbuf_over(buffer, sizeof(buffer));

	sbuf_add_quoted(&s, "a\n\"\\\x1b", 5);
	cr_assert_str_eq(buffer, "\"a\\x0a\\x22\\x5c\\x1b\"");
}

Test(parse, only_plain_decimal_numbers_within_the_limit)
{
	static const char *const bad[] = {
	    "", " 1", "1 ", "+1", "-1", "0x10", "1e3", "12a", "18446744073709551616"};
	uint64_t v = 77;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_not(parse_u64(bad[i], UINT64_MAX, &v), "'%s' is taken", bad[i]);
	cr_assert_eq(v, 77);
	cr_assert(parse_u64("18446744073709551615", UINT64_MAX, &v));
	cr_assert_eq(v, UINT64_MAX);
	cr_assert(parse_u64("255", 255, &v));
	cr_assert_not(parse_u64("256", 255, &v));
}

Test(checked, sums_that_wrap_are_refused)
{
	size_t sum = 5;
	uint64_t sum64 = 6;

	cr_assert_not(checked_add_size(SIZE_MAX, 1, &sum));
	cr_assert_eq(sum, 5);
	cr_assert(checked_add_size(SIZE_MAX - 1, 1, &sum));
	cr_assert_eq(sum, SIZE_MAX);
	cr_assert_not(checked_add_u64(UINT64_MAX, 1, &sum64));
	cr_assert(checked_add_u64(1, 2, &sum64));
	cr_assert_eq(sum64, 3);
}

Test(log, levels_have_names_and_errors_too)
{
	enum log_level level = LOG_LEVEL_INFO;

	cr_assert(log_level_from_name("debug", &level));
	cr_assert_eq(level, LOG_LEVEL_DEBUG);
	cr_assert_not(log_level_from_name("Debug", &level));
	cr_assert_not(log_level_from_name("", &level));
	cr_assert_str_eq(errno_name(ENOENT), "ENOENT");
	cr_assert_str_eq(errno_name(-ENOENT), "ENOENT");
	cr_assert_str_eq(errno_name(99999), "errno?");
}

Test(options, a_table_parses_long_short_and_bad_ones)
{
	static const struct option_row rows[] = {
	    {"path", 'p', "DIR", "x"}, {"quiet", 'q', NULL, "y"}, {"only", 0, "N", "z"}};
	char *argv[] = {(char[]){"prog"}, (char[]){"-q"},   (char[]){"--only=3"}, (char[]){"-p"},
	                (char[]){"/d"},   (char[]){"rest"}, (char[]){"-q"},       NULL};
	const char *value;

	optind = 1;
	cr_assert_eq(options_next(rows, 3, 7, argv, &value), 1);
	cr_assert_eq(options_next(rows, 3, 7, argv, &value), 2);
	cr_assert_str_eq(value, "3");
	cr_assert_eq(options_next(rows, 3, 7, argv, &value), 0);
	cr_assert_str_eq(value, "/d");
	cr_assert_eq(options_next(rows, 3, 7, argv, &value), OPTIONS_END);
	cr_assert_eq(optind, 5);
	char *bad[] = {(char[]){"prog"}, (char[]){"--none"}, NULL};

	optind = 0;
	cr_assert_eq(options_next(rows, 3, 2, bad, &value), OPTIONS_BAD);
}
