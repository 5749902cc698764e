/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/tap.h"

#include <stdarg.h>
#include <stdio.h>

static unsigned int results;
static unsigned int failures;

/* A reason may hold a file's name, and a file's name may hold anything. */
static void print_clean(const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte < 0x20 || byte == 0x7f || byte == '\\')
			printf("\\x%02x", byte);
		else
			putchar(byte);
	}
}

static void print_result(const char *verdict, const char *name, const char *mark, const char *why)
{
	printf("%s %u - %s", verdict, ++results, name);
	if (why != NULL) {
		printf(" # %s", mark);
		print_clean(why);
	}
	putchar('\n');
	fflush(stdout);
}

void tap_plan(unsigned int count)
{
	printf("1..%u\n", count);
	fflush(stdout);
}

void tap_ok(const char *name)
{
	print_result("ok", name, "", NULL);
}

void tap_skip(const char *name, const char *why)
{
	print_result("ok", name, "SKIP ", why);
}

void tap_not_ok(const char *name, const char *why)
{
	failures++;
	print_result("not ok", name, "", why);
}

void tap_note(const char *format, ...)
{
	va_list arguments;

	fputs("# ", stdout);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

unsigned int tap_failures(void)
{
	return failures;
}
