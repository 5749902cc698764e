/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * teardown.c: a test passes when its teardown has passed too; part of every program of tests.
 *
 * To Criterion (2.4) a test has passed once its body has: what is asserted in .fini is printed, and the test is "ok" all the same;
 * so it is when .fini crashes. These hooks run in the process that counts.
 */
#include <criterion/criterion.h>
#include <criterion/hooks.h>

/* A test's message (otherwise that of a skipped one) while its body has passed, and its teardown not yet. */
static const char begun[] = "";

ReportHook(POST_TEST)(struct criterion_test_stats *t)
{
	if (t->test_status == CR_STATUS_PASSED)
		t->message = begun;
}

ReportHook(POST_FINI)(struct criterion_test_stats *t)
{
	if (t->message == begun && t->failed_asserts == 0)
		t->message = NULL;
}

ReportHook(POST_ALL)(struct criterion_global_stats *all)
{
	for (struct criterion_suite_stats *s = all->suites; s; s = s->next) {
		for (struct criterion_test_stats *t = s->tests; t; t = t->next) {
			if (t->message != begun)
				continue;
			t->message = NULL; /* Criterion would free it */
			if (t->test_status != CR_STATUS_PASSED)
				continue;
			t->test_status = CR_STATUS_FAILED;
			s->tests_passed--;
			s->tests_failed++;
			all->tests_passed--;
			all->tests_failed++;
		}
	}
}
