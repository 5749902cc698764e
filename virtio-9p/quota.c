/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/quota.h"

#define SHARE_OF_OTHERS 8 /* one part in so many is kept from each client for the others */

bool quota_take(struct quotas *q, struct quota_use *u, enum quota_kind kind, uint64_t n)
{
	uint64_t most = q->most[kind], mine = q->shared ? most - most / SHARE_OF_OTHERS : most;

	/* The most may have become less than what is used. */
	if (q->used[kind] > most || n > most - q->used[kind] || u->used[kind] > mine ||
	    n > mine - u->used[kind])
		return false;
	q->used[kind] += n;
	u->used[kind] += n;
	return true;
}

void quota_give(struct quotas *q, struct quota_use *u, enum quota_kind kind, uint64_t n)
{
	q->used[kind] -= n;
	u->used[kind] -= n;
}
