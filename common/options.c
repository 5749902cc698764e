/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/options.h"

#include "common/sbuf.h"

#include <getopt.h>

#define FIRST_VALUE 256 /* above every short option's letter */

int options_next(const struct option_row *rows, size_t count, int argc, char **argv,
                 const char **ret_value)
{
	struct option longs[OPTIONS_MAX + 1] = {0};
	char letters[2 * OPTIONS_MAX + 2];
	struct sbuf s = sbuf_over(letters, sizeof(letters));
	int got;

	BUG_ON(count > OPTIONS_MAX);
	sbuf_add(&s, "+"); /* stop at the first argument that is no option */
	for (size_t i = 0; i < count; i++) {
		longs[i].name = rows[i].name;
		longs[i].has_arg = rows[i].argument ? required_argument : no_argument;
		longs[i].val = FIRST_VALUE + (int)i;
		if (rows[i].letter)
			sbuf_add(&s, "%c%s", rows[i].letter, rows[i].argument ? ":" : "");
	}
	got = getopt_long(argc, argv, letters, longs, NULL);
	*ret_value = optarg;
	if (got == -1)
		return OPTIONS_END;
	if (got >= FIRST_VALUE)
		return got - FIRST_VALUE;
	for (size_t i = 0; i < count; i++) {
		if (rows[i].letter && rows[i].letter == got)
			return (int)i;
	}
	return OPTIONS_BAD;
}

void options_help(const struct option_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char left[64];
		struct sbuf s = sbuf_over(left, sizeof(left));

		if (rows[i].letter)
			sbuf_add(&s, "-%c, ", rows[i].letter);
		else
			sbuf_add(&s, "    ");
		sbuf_add(&s, "--%s", rows[i].name);
		if (rows[i].argument)
			sbuf_add(&s, " %s", rows[i].argument);
		(void)printf("  %-28s %s\n", left, rows[i].help);
	}
}
