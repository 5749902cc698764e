/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/path.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct path path; /* too large for the stack of a test that recurses into Criterion */

static const char *taken(const char *from)
{
	struct wt_str s = wt_str_of(from);

	return path_take(&s, &path) == 0 ? path.text : NULL;
}

Test(path, is_brought_into_one_form)
{
	cr_assert_str_eq(taken("/"), "");
	cr_assert_str_eq(taken("//a//b/"), "a/b");
	cr_assert_str_eq(taken("a/./b"), "a/b");
	cr_assert_str_eq(taken("/a/../b"), "b");
	cr_assert_str_eq(taken("/a/b/../../c"), "c");
	cr_assert_str_eq(taken("/..."), "...");
	cr_assert_str_eq(taken("/.a/..b"), ".a/..b");
}

Test(path, never_climbs_above_the_root)
{
	cr_assert_str_eq(taken(".."), "");
	cr_assert_str_eq(taken("/../../etc/passwd"), "etc/passwd");
	cr_assert_str_eq(taken("/a/../../../b"), "b");
	cr_assert_str_eq(taken("//..//..//"), "");
}

Test(path, parent_and_name_are_told_apart)
{
	cr_assert_not_null(taken("/a/bc/def"));
	cr_assert_eq(path.parent, 4);
	cr_assert_str_eq(path.text + path.name, "def");
	cr_assert_not_null(taken("/x"));
	cr_assert_eq(path.parent, 0);
	cr_assert_str_eq(path.text + path.name, "x");
	cr_assert_not_null(taken("/"));
	cr_assert_eq(path.size, 0);
}

Test(path, has_limits)
{
	static char text[70000];
	struct wt_str s = {.data = (const uint8_t *)text};

	cr_assert_eq(path_take(&s, &path), -ENOENT, "the empty path");
	memset(text, 'n', sizeof(text));
	s.size = 255;
	cr_assert_eq(path_take(&s, &path), 0);
	s.size = 256;
	cr_assert_eq(path_take(&s, &path), -ENAMETOOLONG);
	for (size_t i = 0; i < sizeof(text); i += 2)
		text[i] = '/';
	s.size = UINT16_MAX;
	cr_assert_eq(path_take(&s, &path), 0, "the longest string of the dialect");
	cr_assert_eq(path.size, UINT16_MAX - 2);
	cr_assert_eq(strlen(path.text), path.size);
}
