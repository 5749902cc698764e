/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/rd.h"

#include <endian.h>
#include <string.h>

const uint8_t *rd_bytes(struct rd *r, size_t size)
{
	const uint8_t *start = r->at;

	if (r->bad || size > r->left) {
		rd_fail(r);
		return NULL;
	}
	r->at += size;
	r->left -= size;
	return start;
}

uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);

	return p ? *p : 0;
}

uint16_t rd_host16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, sizeof(uint16_t));
	uint16_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

uint32_t rd_host32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, sizeof(uint32_t));
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

uint64_t rd_host64(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, sizeof(uint64_t));
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

uint16_t rd_le16(struct rd *r)
{
	return le16toh(rd_host16(r));
}

uint32_t rd_le32(struct rd *r)
{
	return le32toh(rd_host32(r));
}

uint64_t rd_le64(struct rd *r)
{
	return le64toh(rd_host64(r));
}

uint32_t rd_be32(struct rd *r)
{
	return be32toh(rd_host32(r));
}

uint64_t rd_be64(struct rd *r)
{
	return be64toh(rd_host64(r));
}
