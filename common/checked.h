/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* checked.h: sums of untrusted sizes. Each returns false, and leaves *ret_sum alone, when the
 * result does not fit. */
#ifndef VIRTFS_COMMON_CHECKED_H
#define VIRTFS_COMMON_CHECKED_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool MUST_CHECK checked_add_size(size_t a, size_t b, size_t *ret_sum)
{
	size_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret_sum = sum;
	return true;
}

static inline bool MUST_CHECK checked_add_u64(uint64_t a, uint64_t b, uint64_t *ret_sum)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret_sum = sum;
	return true;
}

#endif
