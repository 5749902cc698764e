/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Results in the Test Anything Protocol, one line each, as soon as they are known.
 */
#ifndef TESTS_GUEST_TAP_H
#define TESTS_GUEST_TAP_H

void tap_plan(unsigned int count);
void tap_ok(const char *name);
void tap_skip(const char *name, const char *why);
void tap_not_ok(const char *name, const char *why);
void tap_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How many results were "not ok". */
unsigned int tap_failures(void);

#endif
