/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rpc_ops.h: what each request of the native dialect does.
 *
 * For every line of wire/rpc.def there is int rpc_answer_NAME(call, request, reply). It gets a
 * request whose every field was checked, acts, fills in the reply and returns 0 or -errno. Each
 * runs in one of several threads.
 */
#ifndef VIRTFS_HELPER_RPC_OPS_H
#define VIRTFS_HELPER_RPC_OPS_H

#include "helper/export.h"
#include "wire/rpc.h"

/** struct rpc_call - one request while it runs, in its thread's room */
struct rpc_call {
	const struct export *x;
	int fd;                         /* to be passed with the reply, or -1; closed after */
	char target[WT_TARGET_MAX + 1]; /* what a reply's spans point to: a link's target, */
	uint8_t bytes[RPC_XATTR_MAX];   /* a value or entries, */
	uint8_t dents[RPC_XATTR_MAX];   /* and entries as the kernel gives them */
};

#define RPC_CALLS_MAX 64 /* requests under way at once: as many threads are there */

/** struct fname - a name as the system calls want it */
struct fname {
	char text[WT_NAME_MAX + 1];
};

/** fname_of() - The decoder has held the name against its limits, so it fits. */
struct fname fname_of(const struct wt_str *name);

#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep)                                              \
	int MUST_CHECK rpc_answer_##name(struct rpc_call *c, const struct rpc_##name##_req *q, \
	                                 struct rpc_##name##_rep *a);
#include "wire/rpc.def"
#undef MSG
#undef F

#endif
