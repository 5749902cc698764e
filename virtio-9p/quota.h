/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * quota.h: how much of what clients make the device hold there may be, for all of them together.
 *
 * Where several clients may come, one alone gets no more than seven eighths of each: the others go on while it is at its limit.
 */
#ifndef VIRTFS_VIRTIO_9P_QUOTA_H
#define VIRTFS_VIRTIO_9P_QUOTA_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>

enum quota_kind {
	QUOTA_FIDS,
	QUOTA_XATTR_BYTES, /* of values that fids hold */
	QUOTA_OPEN_FILES,  /* and open directories, and what owners of locks have open */
	QUOTA_LOCKS,       /* ranges of files that are locked */
	QUOTAS
};

/** struct quotas - of a device */
struct quotas {
	uint64_t most[QUOTAS], used[QUOTAS];
	bool shared; /* by several clients */
};

/** struct quota_use - a client's part; all zero at first */
struct quota_use {
	uint64_t used[QUOTAS];
};

/** quota_take() - n more for a client. Return: false, and nothing is taken, where that is too many. */
bool MUST_CHECK quota_take(struct quotas *q, struct quota_use *u, enum quota_kind kind, uint64_t n);

/** quota_give() - n of what was taken are given back. */
void quota_give(struct quotas *q, struct quota_use *u, enum quota_kind kind, uint64_t n);

#endif
