/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/sample.h"

#include <string.h>

void sample_init(struct sample *s, uint64_t seed)
{
	s->state = seed * 2654435761u + 1;
	s->used = 0;
}

/* xorshift64*: any fixed stream does. */
uint64_t sample_next(struct sample *s)
{
	s->state ^= s->state >> 12;
	s->state ^= s->state << 25;
	s->state ^= s->state >> 27;
	return s->state * 0x2545f4914f6cdd1du;
}

/* Bytes without NUL (a string ends there), between min and max of them; now and then exactly
 * either. */
static void sample_bytes(struct sample *s, struct wt_str *v, size_t min, size_t max, bool nul)
{
	size_t room = sizeof(s->bytes) - s->used;
	size_t size = min + sample_next(s) % 40;

	switch (sample_next(s) % 8) {
	case 0:
		size = min;
		break;
	case 1:
		size = max;
		break;
	default:
		break;
	}
	if (size > max)
		size = max;
	if (size > room)
		size = min;
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)sample_next(s);

		s->bytes[s->used + i] = byte || nul ? byte : 'n';
	}
	*v = (struct wt_str){.data = s->bytes + s->used, .size = size};
	s->used += size;
}

static bool same_bytes(const struct wt_str *a, const struct wt_str *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

void sample_h32(struct sample *s, uint32_t *v)
{
	*v = (uint32_t)sample_next(s);
}

bool same_h32(const uint32_t *a, const uint32_t *b)
{
	return *a == *b;
}

void sample_h64(struct sample *s, uint64_t *v)
{
	*v = sample_next(s);
}

bool same_h64(const uint64_t *a, const uint64_t *b)
{
	return *a == *b;
}

void sample_hpath(struct sample *s, struct wt_str *v)
{
	sample_bytes(s, v, 0, 5000, false);
}

bool same_hpath(const struct wt_str *a, const struct wt_str *b)
{
	return same_bytes(a, b);
}

void sample_htarget(struct sample *s, struct wt_str *v)
{
	sample_bytes(s, v, 1, WT_TARGET_MAX, false);
}

bool same_htarget(const struct wt_str *a, const struct wt_str *b)
{
	return same_bytes(a, b);
}

void sample_hxname(struct sample *s, struct wt_str *v)
{
	sample_bytes(s, v, 1, WT_XNAME_MAX, false);
}

bool same_hxname(const struct wt_str *a, const struct wt_str *b)
{
	return same_bytes(a, b);
}

void sample_hblob(struct sample *s, struct wt_str *v)
{
	sample_bytes(s, v, 0, 5000, true);
}

bool same_hblob(const struct wt_str *a, const struct wt_str *b)
{
	return same_bytes(a, b);
}

/* ---- little-endian types ---- */

#define INTEGER(T, C)                           \
	void sample_##T(struct sample *s, C *v) \
	{                                       \
		*v = (C)sample_next(s);         \
	}                                       \
	bool same_##T(const C *a, const C *b)   \
	{                                       \
		return *a == *b;                \
	}

INTEGER(u8, uint8_t)
INTEGER(u16, uint16_t)
INTEGER(u32, uint32_t)

void sample_u64(struct sample *s, uint64_t *v)
{
	*v = sample_next(s);
}

#define STRING(T, min, max, nul)                                      \
	void sample_##T(struct sample *s, struct wt_str *v)           \
	{                                                             \
		sample_bytes(s, v, min, max, nul);                    \
	}                                                             \
	bool same_##T(const struct wt_str *a, const struct wt_str *b) \
	{                                                             \
		return same_bytes(a, b);                              \
	}

STRING(str, 0, 5000, false)
STRING(data, 0, 5000, true)
STRING(target, 1, WT_TARGET_MAX, false)
STRING(xname, 1, WT_XNAME_MAX, false)

void sample_name(struct sample *s, struct wt_str *v)
{
	uint8_t *bytes = s->bytes + s->used;

	sample_bytes(s, v, 1, WT_NAME_MAX, false);
	for (size_t i = 0; i < v->size; i++) {
		if (bytes[i] == '/' || bytes[i] == '.')
			bytes[i] = 'x';
	}
}

bool same_name(const struct wt_str *a, const struct wt_str *b)
{
	return same_bytes(a, b);
}

void sample_qid(struct sample *s, struct wt_qid *v)
{
	sample_u8(s, &v->type);
	sample_u32(s, &v->version);
	sample_u64(s, &v->path);
}

bool same_qid(const struct wt_qid *a, const struct wt_qid *b)
{
	return a->type == b->type && a->version == b->version && a->path == b->path;
}

void sample_time(struct sample *s, struct wt_time *v)
{
	v->sec = (int64_t)sample_next(s);
	sample_u32(s, &v->nsec);
}

bool same_time(const struct wt_time *a, const struct wt_time *b)
{
	return a->sec == b->sec && a->nsec == b->nsec;
}

void sample_attr(struct sample *s, struct wt_attr *v)
{
	sample_u64(s, &v->dev);
	sample_u64(s, &v->ino);
	sample_u32(s, &v->mode);
	sample_u32(s, &v->uid);
	sample_u32(s, &v->gid);
	sample_u32(s, &v->blksize);
	sample_u64(s, &v->nlink);
	sample_u64(s, &v->rdev);
	sample_u64(s, &v->size);
	sample_u64(s, &v->blocks);
	sample_time(s, &v->atime);
	sample_time(s, &v->mtime);
	sample_time(s, &v->ctime);
	sample_time(s, &v->btime);
}

bool same_attr(const struct wt_attr *a, const struct wt_attr *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->mode == b->mode && a->uid == b->uid &&
	       a->gid == b->gid && a->blksize == b->blksize && a->nlink == b->nlink &&
	       a->rdev == b->rdev && a->size == b->size && a->blocks == b->blocks &&
	       same_time(&a->atime, &b->atime) && same_time(&a->mtime, &b->mtime) &&
	       same_time(&a->ctime, &b->ctime) && same_time(&a->btime, &b->btime);
}

#define LIST(T, C, item, member, max)                                     \
	void sample_##T(struct sample *s, C *v)                           \
	{                                                                 \
		v->count = (uint16_t)(sample_next(s) % ((max) + 1));      \
		for (uint16_t i = 0; i < v->count; i++)                   \
			sample_##item(s, &v->member[i]);                  \
	}                                                                 \
	bool same_##T(const C *a, const C *b)                             \
	{                                                                 \
		bool same = a->count == b->count;                         \
		for (uint16_t i = 0; same && i < a->count; i++)           \
			same = same_##item(&a->member[i], &b->member[i]); \
		return same;                                              \
	}

bool same_u64(const uint64_t *a, const uint64_t *b)
{
	return *a == *b;
}

LIST(names, struct wt_names, str, name, WT_NAMES_MAX)
LIST(path, struct wt_names, name, name, WT_NAMES_MAX)
LIST(qids, struct wt_qids, qid, qid, WT_NAMES_MAX)
LIST(attrs, struct wt_attrs, attr, attr, WT_NAMES_MAX)
LIST(nids, struct wt_nids, u64, nid, WT_NIDS_MAX)

/* ---- vhost-user ---- */

void sample_vregion(struct sample *s, struct wt_vregion *v)
{
	sample_u64(s, &v->gpa);
	sample_u64(s, &v->size);
	sample_u64(s, &v->uva);
	sample_u64(s, &v->offset);
}

bool same_vregion(const struct wt_vregion *a, const struct wt_vregion *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->uva == b->uva && a->offset == b->offset;
}

void sample_vregions(struct sample *s, struct wt_vregions *v)
{
	v->count = (uint32_t)(sample_next(s) % (WT_VREGIONS_MAX + 1));
	for (uint32_t i = 0; i < v->count; i++)
		sample_vregion(s, &v->region[i]);
}

bool same_vregions(const struct wt_vregions *a, const struct wt_vregions *b)
{
	bool same = a->count == b->count;

	for (uint32_t i = 0; same && i < a->count; i++)
		same = same_vregion(&a->region[i], &b->region[i]);
	return same;
}

void sample_vconfig(struct sample *s, struct wt_vconfig *v)
{
	v->offset = (uint32_t)(sample_next(s) % (WT_VCONFIG_MAX + 1));
	sample_u32(s, &v->flags);
	sample_bytes(s, &v->bytes, 0, WT_VCONFIG_MAX - v->offset, true);
}

bool same_vconfig(const struct wt_vconfig *a, const struct wt_vconfig *b)
{
	return a->offset == b->offset && a->flags == b->flags && same_bytes(&a->bytes, &b->bytes);
}

/* Never padded: cut by its padding one is whole again. tests/wire/vhost_user.c has the other form. */
void sample_vinflight(struct sample *s, struct wt_vinflight *v)
{
	sample_u64(s, &v->size);
	sample_u64(s, &v->offset);
	sample_u16(s, &v->queues);
	sample_u16(s, &v->queue_size);
	v->padded = false;
}

bool same_vinflight(const struct wt_vinflight *a, const struct wt_vinflight *b)
{
	return a->size == b->size && a->offset == b->offset && a->queues == b->queues &&
	       a->queue_size == b->queue_size && a->padded == b->padded;
}
