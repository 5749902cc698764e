/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * types.h: the field types of all message tables, each with its limits.
 *
 * For a type T of a table's F(T, field) there are here
 *	WT_C_T			the C type of the struct's member,
 *	wt_T_get(r, &v)		the decoder, which fails the cursor when a limit is passed,
 *	wt_T_put(w, &v)		the encoder, which fails it likewise,
 *	wt_T_dump(s, v)		the text of a value for debug lines.
 * tests/lib/sample.h adds for each a generator of values and a comparison.
 *
 * Spans (struct wt_str) point into the message that was decoded; nothing in them is NUL-terminated.
 */
#ifndef VIRTFS_WIRE_TYPES_H
#define VIRTFS_WIRE_TYPES_H

#include "common/compiler.h"
#include "common/rd.h"
#include "common/sbuf.h"
#include "common/wr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** struct wt_str - bytes inside a message; data may be NULL when size is 0 */
struct wt_str {
	const uint8_t *data;
	size_t size;
};

/** wt_str_of() - The bytes of a C string, without its NUL. */
struct wt_str wt_str_of(const char *text);

/**
 * wt_str_copy() - Copy s into a C string
 *
 * Return: true, or false when it does not fit in size bytes with its NUL (buffer is then the empty
 * string).
 */
bool MUST_CHECK wt_str_copy(const struct wt_str *s, char *buffer, size_t size);

/* ---- QEMU's proxy dialect: integers and string lengths in the host's byte order ---- */

#define WT_C_h32 uint32_t
#define WT_C_h64 uint64_t

/* A string up to its first NUL, if it has one: QEMU counts the NUL in for some paths and leaves it
 * out for others. */
#define WT_C_hpath   struct wt_str /* at most 65,535 bytes */
#define WT_C_htarget struct wt_str /* of a symbolic link: 1 to WT_TARGET_MAX bytes */
#define WT_C_hxname  struct wt_str /* of an extended attribute: 1 to WT_XNAME_MAX bytes */
/* Any bytes, NUL among them. */
#define WT_C_hblob struct wt_str

#define WT_TARGET_MAX 4095
#define WT_XNAME_MAX  255

/* ---- vhost-user: the host's byte order ---- */

/* A region of guest memory: addresses in the guest and in the front end, and where in its file it
 * starts. */
struct wt_vregion {
	uint64_t gpa, size, uva, offset;
};
#define WT_C_vregion struct wt_vregion

/* count[4] 0[4] and as many regions; whole unused regions may follow, up to the limit. Only as a
 * last field. */
#define WT_VREGIONS_MAX 8
struct wt_vregions {
	uint32_t count;
	struct wt_vregion region[WT_VREGIONS_MAX];
};
#define WT_C_vregions struct wt_vregions

/* offset[4] size[4] flags[4] and size bytes of a device's configuration space. */
#define WT_VCONFIG_MAX 4096 /* no space is larger, but a guest may look behind its end */
struct wt_vconfig {
	uint32_t offset, flags;
	struct wt_str bytes;
};
#define WT_C_vconfig struct wt_vconfig

/* The area that outlives us: size[8] offset[8] queues[2] queue_size[2]. C front ends send their
 * struct whole, with four bytes of padding: then so do we. Only as a last field. */
struct wt_vinflight {
	uint64_t size, offset;
	uint16_t queues, queue_size;
	bool padded;
};
#define WT_C_vinflight struct wt_vinflight

/* ---- little-endian formats: 9P2000.L and the native RPC ---- */

#define WT_C_u8  uint8_t
#define WT_C_u16 uint16_t
#define WT_C_u32 uint32_t
#define WT_C_u64 uint64_t

/* A 9P string, len[2] and bytes. Any bytes but NUL: what a name may be is for the operation to say,
 * with its errno. */
#define WT_C_str struct wt_str

/* The names of a Twalk: count[2] and as many strings. */
#define WT_NAMES_MAX 16 /* MAXWELEM of 9P2000 */
struct wt_names {
	uint16_t count;
	struct wt_str name[WT_NAMES_MAX];
};
#define WT_C_names struct wt_names

/* What identifies a file: type[1] version[4] path[8]. */
struct wt_qid {
	uint8_t type;
	uint32_t version;
	uint64_t path;
};
#define WT_C_qid struct wt_qid

struct wt_qids {
	uint16_t count;
	struct wt_qid qid[WT_NAMES_MAX];
};
#define WT_C_qids struct wt_qids

/* count[4] and as many bytes: data of reads and writes, directory entries, values. */
#define WT_C_data struct wt_str

/* One name in a directory: 1 to WT_NAME_MAX bytes, no NUL, no '/', neither "." nor "..". */
#define WT_C_name   struct wt_str
#define WT_NAME_MAX 255

/* The names of a walk: each as above. */
#define WT_C_path struct wt_names

/* As htarget and hxname, without a NUL. */
#define WT_C_target struct wt_str
#define WT_C_xname  struct wt_str

/* A file as the helper tells of it. Times are of CLOCK_REALTIME; btime_sec and btime_nsec are 0
 * where unknown. */
struct wt_time {
	int64_t sec;
	uint32_t nsec;
};
struct wt_attr {
	uint64_t dev, ino;
	uint32_t mode, uid, gid, blksize;
	uint64_t nlink, rdev, size, blocks;
	struct wt_time atime, mtime, ctime, btime;
};
#define WT_C_time struct wt_time
#define WT_C_attr struct wt_attr

/** wt_attr_of() - The attributes that statx(2) told, asked for WT_ATTR_STATX. Without a time of birth that is 0. */
#define WT_ATTR_STATX (STATX_BASIC_STATS | STATX_BTIME)
struct statx;
void wt_attr_of(const struct statx *st, struct wt_attr *ret);

struct wt_attrs {
	uint16_t count;
	struct wt_attr attr[WT_NAMES_MAX];
};
#define WT_C_attrs struct wt_attrs

/* Numbers of nodes, count[2] and as many. */
#define WT_NIDS_MAX 512
struct wt_nids {
	uint16_t count;
	uint64_t nid[WT_NIDS_MAX];
};
#define WT_C_nids struct wt_nids

#define WT_TYPE(T)                                          \
	void wt_##T##_get(struct rd *r, WT_C_##T *v);       \
	void wt_##T##_put(struct wr *w, const WT_C_##T *v); \
	void wt_##T##_dump(struct sbuf *s, const WT_C_##T *v);

WT_TYPE(h32)
WT_TYPE(h64)
WT_TYPE(hpath)
WT_TYPE(htarget)
WT_TYPE(hxname)
WT_TYPE(hblob)
WT_TYPE(vregion)
WT_TYPE(vregions)
WT_TYPE(vconfig)
WT_TYPE(vinflight)
WT_TYPE(u8)
WT_TYPE(u16)
WT_TYPE(u32)
WT_TYPE(u64)
WT_TYPE(str)
WT_TYPE(names)
WT_TYPE(qid)
WT_TYPE(qids)
WT_TYPE(data)
WT_TYPE(name)
WT_TYPE(path)
WT_TYPE(target)
WT_TYPE(xname)
WT_TYPE(time)
WT_TYPE(attr)
WT_TYPE(attrs)
WT_TYPE(nids)

/** wt_name_ok() - Whether s is one name in a directory, as the type name wants it. */
bool MUST_CHECK wt_name_ok(const struct wt_str *s);

#endif
