/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compiler.h: attributes and the few macros every file may use. */
#ifndef VIRTFS_COMMON_COMPILER_H
#define VIRTFS_COMMON_COMPILER_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST_CHECK              __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define UNUSED                  __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/**
 * BUG_ON() - End the process because of an error of our own
 *
 * Only for states that no peer, guest or configuration can bring about.
 */
#define BUG_ON(condition)                                                                          \
	do {                                                                                       \
		if (__builtin_expect(!!(condition), 0)) {                                          \
			(void)fprintf(stderr, "bug: %s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
