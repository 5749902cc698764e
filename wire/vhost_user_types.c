/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhost_user_types.c: the field types that only vhost-user has. */
#include "wire/types.h"

#define REGION_SIZE 32

void wt_vregion_get(struct rd *r, struct wt_vregion *v)
{
	v->gpa = rd_host64(r);
	v->size = rd_host64(r);
	v->uva = rd_host64(r);
	v->offset = rd_host64(r);
}

void wt_vregion_put(struct wr *w, const struct wt_vregion *v)
{
	wr_host64(w, v->gpa);
	wr_host64(w, v->size);
	wr_host64(w, v->uva);
	wr_host64(w, v->offset);
}

void wt_vregion_dump(struct sbuf *s, const struct wt_vregion *v)
{
	sbuf_add(s, "(gpa 0x%llx size 0x%llx uva 0x%llx offset 0x%llx)", (unsigned long long)v->gpa,
	         (unsigned long long)v->size, (unsigned long long)v->uva,
	         (unsigned long long)v->offset);
}

void wt_vregions_get(struct rd *r, struct wt_vregions *v)
{
	v->count = rd_host32(r);
	(void)rd_host32(r);
	if (v->count > WT_VREGIONS_MAX) {
		rd_fail(r);
		v->count = 0;
	}
	for (uint32_t i = 0; i < v->count; i++)
		wt_vregion_get(r, &v->region[i]);
	for (uint32_t i = v->count; i < WT_VREGIONS_MAX && r->left >= REGION_SIZE; i++)
		(void)rd_bytes(r, REGION_SIZE);
}

void wt_vregions_put(struct wr *w, const struct wt_vregions *v)
{
	if (v->count > WT_VREGIONS_MAX) {
		wr_fail(w);
		return;
	}
	wr_host32(w, v->count);
	wr_host32(w, 0);
	for (uint32_t i = 0; i < v->count; i++)
		wt_vregion_put(w, &v->region[i]);
}

void wt_vregions_dump(struct sbuf *s, const struct wt_vregions *v)
{
	sbuf_add(s, "[");
	for (uint32_t i = 0; i < v->count; i++) {
		sbuf_add(s, "%s", i ? " " : "");
		wt_vregion_dump(s, &v->region[i]);
	}
	sbuf_add(s, "]");
}

static bool config_ok(uint32_t offset, size_t size)
{
	return offset <= WT_VCONFIG_MAX && size <= WT_VCONFIG_MAX - offset;
}

void wt_vconfig_get(struct rd *r, struct wt_vconfig *v)
{
	uint32_t size;
	const uint8_t *data;

	v->offset = rd_host32(r);
	size = rd_host32(r);
	v->flags = rd_host32(r);
	if (!config_ok(v->offset, size))
		rd_fail(r);
	data = rd_bytes(r, size);
	v->bytes = (struct wt_str){.data = data, .size = data ? size : 0};
}

void wt_vconfig_put(struct wr *w, const struct wt_vconfig *v)
{
	if (!config_ok(v->offset, v->bytes.size)) {
		wr_fail(w);
		return;
	}
	wr_host32(w, v->offset);
	wr_host32(w, (uint32_t)v->bytes.size);
	wr_host32(w, v->flags);
	wr_bytes(w, v->bytes.data, v->bytes.size);
}

void wt_vconfig_dump(struct sbuf *s, const struct wt_vconfig *v)
{
	sbuf_add(s, "(offset %u flags 0x%x ", v->offset, v->flags);
	wt_hblob_dump(s, &v->bytes);
	sbuf_add(s, ")");
}

void wt_vinflight_get(struct rd *r, struct wt_vinflight *v)
{
	v->size = rd_host64(r);
	v->offset = rd_host64(r);
	v->queues = rd_host16(r);
	v->queue_size = rd_host16(r);
	v->padded = r->left == sizeof(uint32_t);
	if (v->padded)
		(void)rd_host32(r);
}

void wt_vinflight_put(struct wr *w, const struct wt_vinflight *v)
{
	wr_host64(w, v->size);
	wr_host64(w, v->offset);
	wr_host16(w, v->queues);
	wr_host16(w, v->queue_size);
	if (v->padded)
		wr_host32(w, 0);
}

void wt_vinflight_dump(struct sbuf *s, const struct wt_vinflight *v)
{
	sbuf_add(s, "(size 0x%llx offset 0x%llx queues %u queue_size %u)",
	         (unsigned long long)v->size, (unsigned long long)v->offset, v->queues,
	         v->queue_size);
}
