/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/types.h"

#include <string.h>

struct wt_str wt_str_of(const char *text)
{
	return (struct wt_str){.data = (const uint8_t *)text, .size = strlen(text)};
}

bool wt_str_copy(const struct wt_str *s, char *buffer, size_t size)
{
	if (s->size >= size) {
		if (size)
			buffer[0] = '\0';
		return false;
	}
	if (s->size)
		memcpy(buffer, s->data, s->size);
	buffer[s->size] = '\0';
	return true;
}

/* ---- integers ---- */

void wt_h32_get(struct rd *r, uint32_t *v)
{
	*v = rd_host32(r);
}

void wt_h32_put(struct wr *w, const uint32_t *v)
{
	wr_host32(w, *v);
}

void wt_h32_dump(struct sbuf *s, const uint32_t *v)
{
	sbuf_add(s, "0x%x", *v);
}

void wt_h64_get(struct rd *r, uint64_t *v)
{
	*v = rd_host64(r);
}

void wt_h64_put(struct wr *w, const uint64_t *v)
{
	wr_host64(w, *v);
}

void wt_h64_dump(struct sbuf *s, const uint64_t *v)
{
	sbuf_add(s, "0x%llx", (unsigned long long)*v);
}

/* ---- counted bytes ---- */

void wt_hblob_get(struct rd *r, struct wt_str *v)
{
	size_t size = rd_host16(r);
	const uint8_t *data = rd_bytes(r, size);

	*v = (struct wt_str){.data = data, .size = data ? size : 0};
}

void wt_hblob_put(struct wr *w, const struct wt_str *v)
{
	if (v->size > UINT16_MAX) {
		wr_fail(w);
		return;
	}
	wr_host16(w, (uint16_t)v->size);
	wr_bytes(w, v->data, v->size);
}

void wt_hblob_dump(struct sbuf *s, const struct wt_str *v)
{
	size_t shown = v->size < 64 ? v->size : 64;

	sbuf_add_quoted(s, v->data, shown);
	if (shown < v->size)
		sbuf_add(s, "... (%zu bytes)", v->size);
}

/* Reads a string, cuts it at its first NUL, and holds what is left against the type's limits. */
static void get_string(struct rd *r, struct wt_str *v, size_t min, size_t max)
{
	const uint8_t *nul;

	wt_hblob_get(r, v);
	nul = v->size ? memchr(v->data, 0, v->size) : NULL;
	if (nul)
		v->size = (size_t)(nul - v->data);
	if (v->size < min || v->size > max) {
		rd_fail(r);
		v->size = 0;
	}
}

static void put_string(struct wr *w, const struct wt_str *v, size_t min, size_t max)
{
	if (v->size < min || v->size > max)
		wr_fail(w);
	else
		wt_hblob_put(w, v);
}

void wt_hpath_get(struct rd *r, struct wt_str *v)
{
	get_string(r, v, 0, UINT16_MAX);
}

void wt_hpath_put(struct wr *w, const struct wt_str *v)
{
	put_string(w, v, 0, UINT16_MAX);
}

void wt_hpath_dump(struct sbuf *s, const struct wt_str *v)
{
	wt_hblob_dump(s, v);
}

void wt_htarget_get(struct rd *r, struct wt_str *v)
{
	get_string(r, v, 1, WT_TARGET_MAX);
}

void wt_htarget_put(struct wr *w, const struct wt_str *v)
{
	put_string(w, v, 1, WT_TARGET_MAX);
}

void wt_htarget_dump(struct sbuf *s, const struct wt_str *v)
{
	wt_hblob_dump(s, v);
}

void wt_hxname_get(struct rd *r, struct wt_str *v)
{
	get_string(r, v, 1, WT_XNAME_MAX);
}

void wt_hxname_put(struct wr *w, const struct wt_str *v)
{
	put_string(w, v, 1, WT_XNAME_MAX);
}

void wt_hxname_dump(struct sbuf *s, const struct wt_str *v)
{
	wt_hblob_dump(s, v);
}
