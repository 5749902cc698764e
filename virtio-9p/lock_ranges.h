/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock_ranges.h: which ranges of a file an owner has locked, as fcntl(2) splits and replaces them. The kernel keeps as many,
 * in memory that nobody is charged for, so they are counted.
 */
#ifndef VIRTFS_VIRTIO_9P_LOCK_RANGES_H
#define VIRTFS_VIRTIO_9P_LOCK_RANGES_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>

struct lock_range {
	uint64_t first, last; /* bytes; last is UINT64_MAX for "to the end" */
	bool write;
};

/** struct lock_ranges - in order, none over another; all zero: none */
struct lock_ranges {
	struct lock_range *at;
	uint32_t count;
};

/**
 * lock_ranges_set() - What they are when a range is locked, or unlocked
 *
 * The result is ret's, old stays as it is; both are to be freed by lock_ranges_free(). Return: 0 or -ENOMEM.
 */
int MUST_CHECK lock_ranges_set(const struct lock_ranges *old, const struct lock_range *range,
                               bool unlock, struct lock_ranges *ret);
void lock_ranges_free(struct lock_ranges *r);

#endif
