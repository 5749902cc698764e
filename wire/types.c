/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/types.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

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

#define WT_INTEGER(T, C, read, write)                          \
	void wt_##T##_get(struct rd *r, C *v)                  \
	{                                                      \
		*v = read(r);                                  \
	}                                                      \
	void wt_##T##_put(struct wr *w, const C *v)            \
	{                                                      \
		write(w, *v);                                  \
	}                                                      \
	void wt_##T##_dump(struct sbuf *s, const C *v)         \
	{                                                      \
		sbuf_add(s, "0x%llx", (unsigned long long)*v); \
	}

WT_INTEGER(h32, uint32_t, rd_host32, wr_host32)
WT_INTEGER(h64, uint64_t, rd_host64, wr_host64)
WT_INTEGER(u8, uint8_t, rd_u8, wr_u8)
WT_INTEGER(u16, uint16_t, rd_le16, wr_le16)
WT_INTEGER(u32, uint32_t, rd_le32, wr_le32)
WT_INTEGER(u64, uint64_t, rd_le64, wr_le64)

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

/* ---- little-endian strings ---- */

void wt_str_get(struct rd *r, struct wt_str *v)
{
	size_t size = rd_le16(r);
	const uint8_t *data = rd_bytes(r, size);

	*v = (struct wt_str){.data = data, .size = data ? size : 0};
	if (v->size && memchr(v->data, 0, v->size)) {
		rd_fail(r);
		v->size = 0;
	}
}

void wt_str_put(struct wr *w, const struct wt_str *v)
{
	if (v->size > UINT16_MAX || (v->size && memchr(v->data, 0, v->size))) {
		wr_fail(w);
		return;
	}
	wr_le16(w, (uint16_t)v->size);
	wr_bytes(w, v->data, v->size);
}

void wt_str_dump(struct sbuf *s, const struct wt_str *v)
{
	wt_hblob_dump(s, v);
}

void wt_data_get(struct rd *r, struct wt_str *v)
{
	size_t size = rd_le32(r);
	const uint8_t *data = rd_bytes(r, size);

	*v = (struct wt_str){.data = data, .size = data ? size : 0};
}

void wt_data_put(struct wr *w, const struct wt_str *v)
{
	if (v->size > UINT32_MAX) {
		wr_fail(w);
		return;
	}
	wr_le32(w, (uint32_t)v->size);
	wr_bytes(w, v->data, v->size);
}

void wt_data_dump(struct sbuf *s, const struct wt_str *v)
{
	wt_hblob_dump(s, v);
}

bool wt_name_ok(const struct wt_str *s)
{
	if (s->size == 0 || s->size > WT_NAME_MAX || memchr(s->data, 0, s->size) ||
	    memchr(s->data, '/', s->size))
		return false;
	return !(s->data[0] == '.' && (s->size == 1 || (s->size == 2 && s->data[1] == '.')));
}

/* The types that are a string with limits: a decoder and an encoder that refuse what the limit
 * does. */
static bool target_ok(const struct wt_str *s)
{
	return s->size >= 1 && s->size <= WT_TARGET_MAX;
}

static bool xname_ok(const struct wt_str *s)
{
	return s->size >= 1 && s->size <= WT_XNAME_MAX;
}

#define WT_LIMITED_STRING(T, ok)                                   \
	void wt_##T##_get(struct rd *r, struct wt_str *v)          \
	{                                                          \
		wt_str_get(r, v);                                  \
		if (!ok(v)) {                                      \
			rd_fail(r);                                \
			v->size = 0;                               \
		}                                                  \
	}                                                          \
	void wt_##T##_put(struct wr *w, const struct wt_str *v)    \
	{                                                          \
		if (!ok(v))                                        \
			wr_fail(w);                                \
		else                                               \
			wt_str_put(w, v);                          \
	}                                                          \
	void wt_##T##_dump(struct sbuf *s, const struct wt_str *v) \
	{                                                          \
		wt_hblob_dump(s, v);                               \
	}

WT_LIMITED_STRING(name, wt_name_ok)
WT_LIMITED_STRING(target, target_ok)
WT_LIMITED_STRING(xname, xname_ok)

/* ---- structs ---- */

void wt_qid_get(struct rd *r, struct wt_qid *v)
{
	v->type = rd_u8(r);
	v->version = rd_le32(r);
	v->path = rd_le64(r);
}

void wt_qid_put(struct wr *w, const struct wt_qid *v)
{
	wr_u8(w, v->type);
	wr_le32(w, v->version);
	wr_le64(w, v->path);
}

void wt_qid_dump(struct sbuf *s, const struct wt_qid *v)
{
	sbuf_add(s, "%02x.%x.%llx", v->type, v->version, (unsigned long long)v->path);
}

void wt_time_get(struct rd *r, struct wt_time *v)
{
	v->sec = (int64_t)rd_le64(r);
	v->nsec = rd_le32(r);
}

void wt_time_put(struct wr *w, const struct wt_time *v)
{
	wr_le64(w, (uint64_t)v->sec);
	wr_le32(w, v->nsec);
}

void wt_time_dump(struct sbuf *s, const struct wt_time *v)
{
	sbuf_add(s, "%lld.%09u", (long long)v->sec, v->nsec);
}

static struct wt_time time_of(const struct statx_timestamp *t)
{
	return (struct wt_time){.sec = t->tv_sec, .nsec = t->tv_nsec};
}

void wt_attr_of(const struct statx *st, struct wt_attr *ret)
{
	*ret = (struct wt_attr){
	    .dev = makedev(st->stx_dev_major, st->stx_dev_minor),
	    .ino = st->stx_ino,
	    .mode = st->stx_mode,
	    .uid = st->stx_uid,
	    .gid = st->stx_gid,
	    .blksize = st->stx_blksize,
	    .nlink = st->stx_nlink,
	    .rdev = makedev(st->stx_rdev_major, st->stx_rdev_minor),
	    .size = st->stx_size,
	    .blocks = st->stx_blocks,
	    .atime = time_of(&st->stx_atime),
	    .mtime = time_of(&st->stx_mtime),
	    .ctime = time_of(&st->stx_ctime),
	};
	if (st->stx_mask & STATX_BTIME)
		ret->btime = time_of(&st->stx_btime);
}

void wt_attr_get(struct rd *r, struct wt_attr *v)
{
	v->dev = rd_le64(r);
	v->ino = rd_le64(r);
	v->mode = rd_le32(r);
	v->uid = rd_le32(r);
	v->gid = rd_le32(r);
	v->blksize = rd_le32(r);
	v->nlink = rd_le64(r);
	v->rdev = rd_le64(r);
	v->size = rd_le64(r);
	v->blocks = rd_le64(r);
	wt_time_get(r, &v->atime);
	wt_time_get(r, &v->mtime);
	wt_time_get(r, &v->ctime);
	wt_time_get(r, &v->btime);
}

void wt_attr_put(struct wr *w, const struct wt_attr *v)
{
	wr_le64(w, v->dev);
	wr_le64(w, v->ino);
	wr_le32(w, v->mode);
	wr_le32(w, v->uid);
	wr_le32(w, v->gid);
	wr_le32(w, v->blksize);
	wr_le64(w, v->nlink);
	wr_le64(w, v->rdev);
	wr_le64(w, v->size);
	wr_le64(w, v->blocks);
	wt_time_put(w, &v->atime);
	wt_time_put(w, &v->mtime);
	wt_time_put(w, &v->ctime);
	wt_time_put(w, &v->btime);
}

void wt_attr_dump(struct sbuf *s, const struct wt_attr *v)
{
	sbuf_add(s, "(dev 0x%llx ino %llu mode 0%o uid %u gid %u size %llu)",
	         (unsigned long long)v->dev, (unsigned long long)v->ino, v->mode, v->uid, v->gid,
	         (unsigned long long)v->size);
}

/* ---- lists: count[2] and as many; a count over the limit fails before anything is read ---- */

#define WT_LIST(T, C, item, member, max)                    \
	void wt_##T##_get(struct rd *r, C *v)               \
	{                                                   \
		v->count = rd_le16(r);                      \
		if (v->count > (max)) {                     \
			rd_fail(r);                         \
			v->count = 0;                       \
		}                                           \
		for (uint16_t i = 0; i < v->count; i++)     \
			wt_##item##_get(r, &v->member[i]);  \
	}                                                   \
	void wt_##T##_put(struct wr *w, const C *v)         \
	{                                                   \
		if (v->count > (max)) {                     \
			wr_fail(w);                         \
			return;                             \
		}                                           \
		wr_le16(w, v->count);                       \
		for (uint16_t i = 0; i < v->count; i++)     \
			wt_##item##_put(w, &v->member[i]);  \
	}                                                   \
	void wt_##T##_dump(struct sbuf *s, const C *v)      \
	{                                                   \
		sbuf_add(s, "[");                           \
		for (uint16_t i = 0; i < v->count; i++) {   \
			sbuf_add(s, "%s", i ? " " : "");    \
			wt_##item##_dump(s, &v->member[i]); \
		}                                           \
		sbuf_add(s, "]");                           \
	}

WT_LIST(names, struct wt_names, str, name, WT_NAMES_MAX)
WT_LIST(path, struct wt_names, name, name, WT_NAMES_MAX)
WT_LIST(qids, struct wt_qids, qid, qid, WT_NAMES_MAX)
WT_LIST(attrs, struct wt_attrs, attr, attr, WT_NAMES_MAX)
WT_LIST(nids, struct wt_nids, u64, nid, WT_NIDS_MAX)
