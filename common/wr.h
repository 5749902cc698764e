/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wr.h: the writing cursor over a buffer of fixed size.
 *
 * A write that does not fit fails the cursor for good and writes nothing more, so an encoder puts
 * all its fields in a row and asks once, at the end.
 */
#ifndef VIRTFS_COMMON_WR_H
#define VIRTFS_COMMON_WR_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wr {
	uint8_t *start;
	size_t used;
	size_t room;
	bool bad;
};

static inline struct wr wr_over(void *buffer, size_t size)
{
	return (struct wr){.start = buffer, .used = 0, .room = size, .bad = false};
}

static inline void wr_fail(struct wr *w)
{
	w->bad = true;
	w->room = 0;
}

static inline bool MUST_CHECK wr_good(const struct wr *w)
{
	return !w->bad;
}

/** wr_space() - Claim size bytes; returns where to write them, or NULL (and the cursor fails) if
 * there is no room. */
uint8_t *wr_space(struct wr *w, size_t size);

void wr_bytes(struct wr *w, const void *bytes, size_t size);
void wr_u8(struct wr *w, uint8_t v);
void wr_le16(struct wr *w, uint16_t v);
void wr_le32(struct wr *w, uint32_t v);
void wr_le64(struct wr *w, uint64_t v);
void wr_host16(struct wr *w, uint16_t v);
void wr_host32(struct wr *w, uint32_t v);
void wr_host64(struct wr *w, uint64_t v);

#endif
