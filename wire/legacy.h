/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * legacy.h: the dialect that QEMU's `-fsdev proxy` speaks with its helper (QEMU 1.1 to 9.1).
 *
 * One request at a time over a stream socket: a header of type and payload size, then the payload.
 *Every integer is in the host's byte order and unaligned. Replies come in three classes, told apart
 *by the request:
 *
 *	descriptor	four bytes, without a header: INT_MAX and one descriptor, or a negative
 *errno status		header {0 or 1, 4} and four bytes: 0 or a negative errno (a length, where
 *size 0 was asked) body		header {0, n} and the body of the table, or on error as a
 *status
 */
#ifndef VIRTFS_WIRE_LEGACY_H
#define VIRTFS_WIRE_LEGACY_H

#include "wire/table.h"

#define LEGACY_HEADER_SIZE   8
#define LEGACY_PAYLOAD_MAX   65536
#define LEGACY_MESSAGE_MAX   (LEGACY_HEADER_SIZE + LEGACY_PAYLOAD_MAX)
#define LEGACY_SUCCESS       0u
#define LEGACY_ERROR         1u
#define LEGACY_FD_FOLLOWS    INT32_MAX
#define LEGACY_ID_KEEP       UINT32_MAX /* a uid or gid that says nothing */
#define LEGACY_XATTR_CREATE  1
#define LEGACY_XATTR_REPLACE 2

enum legacy_policy {
	LEGACY_GIVES_FD = 1,
	LEGACY_GIVES_BODY = 2,
	LEGACY_WRITES = 4, /* refused where the export is read-only */
};

#define WT_NS       legacy
#define WT_NS_UPPER LEGACY
#define WT_DEF      "wire/legacy.def"
#include "wire/expand_decl.h"

struct legacy_header {
	uint32_t type;
	uint32_t size; /* of the payload alone */
};

/** legacy_header_get() - Read a request's or reply's header; false if size is over
 * LEGACY_PAYLOAD_MAX or bytes lack. */
bool MUST_CHECK legacy_header_get(struct rd *r, struct legacy_header *h);

void legacy_header_put(struct wr *w, const struct legacy_header *h);

/** legacy_status_put() - A whole reply of class status. status: 0 or greater for success, -errno
 * for failure. */
bool MUST_CHECK legacy_status_put(struct wr *w, int32_t status);

#endif
