/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/wr.h"

#include <endian.h>
#include <string.h>

uint8_t *wr_space(struct wr *w, size_t size)
{
	uint8_t *start = w->start + w->used;

	if (w->bad || size > w->room) {
		wr_fail(w);
		return NULL;
	}
	w->used += size;
	w->room -= size;
	return start;
}

void wr_bytes(struct wr *w, const void *bytes, size_t size)
{
	uint8_t *p = wr_space(w, size);

	if (p && size)
		memcpy(p, bytes, size);
}

void wr_u8(struct wr *w, uint8_t v)
{
	wr_bytes(w, &v, sizeof(v));
}

void wr_host16(struct wr *w, uint16_t v)
{
	wr_bytes(w, &v, sizeof(v));
}

void wr_host32(struct wr *w, uint32_t v)
{
	wr_bytes(w, &v, sizeof(v));
}

void wr_host64(struct wr *w, uint64_t v)
{
	wr_bytes(w, &v, sizeof(v));
}

void wr_le16(struct wr *w, uint16_t v)
{
	wr_host16(w, htole16(v));
}

void wr_le32(struct wr *w, uint32_t v)
{
	wr_host32(w, htole32(v));
}

void wr_le64(struct wr *w, uint64_t v)
{
	wr_host64(w, htole64(v));
}
