/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rd.h: the reading cursor, the only way to look at bytes that a peer sent.
 *
 * A read past the end fails the cursor for good: every later read gives zero and moves nothing, so
 * a decoder reads all its fields in a row and asks once, at the end. Spans point into the caller's
 * buffer and live as long as that.
 */
#ifndef VIRTFS_COMMON_RD_H
#define VIRTFS_COMMON_RD_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static inline struct rd rd_over(const void *bytes, size_t size)
{
	return (struct rd){.at = bytes, .left = size, .bad = false};
}

/** rd_fail() - Mark the message as malformed, as a field type does whose limit is passed. */
static inline void rd_fail(struct rd *r)
{
	r->bad = true;
	r->left = 0;
}

/** rd_end() - Ask whether all reads were good *and* no byte is left. */
static inline bool MUST_CHECK rd_end(const struct rd *r)
{
	return !r->bad && r->left == 0;
}

static inline bool MUST_CHECK rd_good(const struct rd *r)
{
	return !r->bad;
}

/** rd_bytes() - Step over size bytes; returns where they start, or NULL (and the cursor fails) if
 * they are not there. */
const uint8_t *rd_bytes(struct rd *r, size_t size);

uint8_t rd_u8(struct rd *r);

/* Little-endian, as 9P, virtio and vhost-user have it. */
uint16_t rd_le16(struct rd *r);
uint32_t rd_le32(struct rd *r);
uint64_t rd_le64(struct rd *r);

/* Big-endian, as qcow2 has it. */
uint32_t rd_be32(struct rd *r);
uint64_t rd_be64(struct rd *r);

/* The byte order of this host, as QEMU's proxy dialect has it. */
uint16_t rd_host16(struct rd *r);
uint32_t rd_host32(struct rd *r);
uint64_t rd_host64(struct rd *r);

#endif
