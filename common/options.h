/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.h: a program's options as a table, from which parsing, --help and the check against the
 * manual page come.
 */
#ifndef VIRTFS_COMMON_OPTIONS_H
#define VIRTFS_COMMON_OPTIONS_H

#include "common/compiler.h"

#include <stddef.h>

struct option_row {
	const char *name;     /* long name, without the dashes */
	char letter;          /* short name, or 0 */
	const char *argument; /* what it takes, as --help shows it, or NULL */
	const char *help;
};

#define OPTIONS_MAX 40

enum { OPTIONS_END = -1, OPTIONS_BAD = -2 };

/**
 * options_next() - The next option of a command line
 *
 * Options end at the first argument that is none, and at "--"; optind (getopt(3)) tells where.
 * Return: its index in rows with *ret_value the argument (or NULL), OPTIONS_END, or OPTIONS_BAD
 * after the reason was written to standard error.
 */
int MUST_CHECK options_next(const struct option_row *rows, size_t count, int argc, char **argv,
                            const char **ret_value);

/** options_help() - Write the table to standard output as --help shows it. */
void options_help(const struct option_row *rows, size_t count);

#endif
