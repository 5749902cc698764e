/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * legacy_ops.h: what each request of the legacy dialect does.
 *
 * For every line of wire/legacy.def there is int legacy_answer_NAME(call, request, reply). It gets
 * a request whose every field was checked, acts, fills in the reply and returns 0 or -errno (the
 * host's numbers, as the dialect wants them).
 */
#ifndef VIRTFS_HELPER_LEGACY_OPS_H
#define VIRTFS_HELPER_LEGACY_OPS_H

#include "helper/export.h"
#include "wire/legacy.h"

#include <sys/types.h>

/* The largest extended attribute that a reply can carry: its length and it are the whole payload.
 */
#define LEGACY_XATTR_MAX (LEGACY_PAYLOAD_MAX - sizeof(uint16_t))

/** struct legacy_call - one request while it runs */
struct legacy_call {
	const struct export *x;
	int fd;           /* to be passed with the reply, or -1; closed after */
	bool only_length; /* the peer asked how long an attribute is: answer length, no body */
	int32_t length;
	char target[WT_TARGET_MAX + 1]; /* what a reply's spans point to */
	uint8_t xattr[LEGACY_XATTR_MAX];
};

#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep)                                \
	int MUST_CHECK legacy_answer_##name(struct legacy_call *c,               \
	                                    const struct legacy_##name##_req *q, \
	                                    struct legacy_##name##_rep *a);
#include "wire/legacy.def"
#undef MSG
#undef F

#endif
