/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the tests of a table, each in a process and a directory of its own.
 */
#ifndef TESTS_GUEST_RUNNER_H
#define TESTS_GUEST_RUNNER_H

#include "tests/guest/workload.h"

#include <stdbool.h>

/* Between the runner and the process of a test: where the reason goes and what the status says. */
enum {
	RUNNER_REASON_FD = 3,
	RUNNER_REASON_SIZE = 1024,
	RUNNER_FAILED = 1,
	RUNNER_SKIPPED = 77,
};

/**
 * runner_run() - Run the tests of these tables that the options select
 * @tables: ends with NULL
 * @shared: run in options.dir itself, for a share on which no directory can be made
 *
 * Return: the number of tests that failed.
 */
unsigned int runner_run(const struct test *const *tables, bool shared);

/**
 * switch_identity() - Become options.uid and options.gid for good, without other groups
 *
 * Return: 0, or -1 with errno.
 */
int switch_identity(void);

#endif
