/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * p9.h: 9P2000.L: size[4] type[1] tag[2] and the fields of p9.def, little-endian; size counts
 * itself.
 */
#ifndef VIRTFS_WIRE_P9_H
#define VIRTFS_WIRE_P9_H

#include "wire/table.h"

#define P9_HEAD_SIZE   7
#define P9_MSIZE_MIN   4096 /* what the Linux client accepts at least */
#define P9_READ_HEAD   11   /* of Rread and Rreaddir: head and count[4] */
#define P9_WRITE_HEAD  23   /* of Twrite: head, fid[4], offset[8] and count[4] */
#define P9_IOHDRSZ     24   /* what the Linux client keeps free of an msize */
#define P9_DIRENT_HEAD 24   /* qid[13] offset[8] type[1] name's length[2] */

#define P9_NOTAG    UINT16_MAX
#define P9_NOFID    UINT32_MAX
#define P9_NONUNAME UINT32_MAX

#define P9_QTDIR     0x80
#define P9_QTSYMLINK 0x02
#define P9_QTFILE    0x00

#define P9_STATS_BASIC 0x7ffu
#define P9_STATS_BTIME 0x800u

#define P9_LOCK_TYPE_RDLCK    0
#define P9_LOCK_TYPE_WRLCK    1
#define P9_LOCK_TYPE_UNLCK    2
#define P9_LOCK_SUCCESS       0
#define P9_LOCK_BLOCKED       1
#define P9_LOCK_ERROR         2
#define P9_LOCK_FLAGS_BLOCK   1u
#define P9_LOCK_FLAGS_RECLAIM 2u

enum p9_policy {
	P9_REPLY_ONLY = 1,
	P9_SHORT_FORM = 2, /* old clients leave out the last field (Tfsync's datasync) */
};

#define WT_NS       p9
#define WT_NS_UPPER P9
#define WT_DEF      "wire/p9.def"
#include "wire/expand_decl.h"

struct p9_head {
	uint32_t size;
	uint8_t type;
	uint16_t tag;
};

bool MUST_CHECK p9_head_get(struct rd *r, struct p9_head *h);
void p9_head_put(struct wr *w, const struct p9_head *h);

/** p9_write_part_get() - A Twrite's fields without its data, of which so many bytes are elsewhere. */
bool MUST_CHECK p9_write_part_get(struct rd *r, size_t rest, struct p9_write_req *ret);

/** p9_find() - The line of a T-message's type, or NULL for none and for what is a reply only. */
const struct wt_msg *p9_find(uint8_t type);

struct p9_dirent {
	struct wt_qid qid;
	uint64_t offset;
	uint8_t type;
	struct wt_str name;
};

bool MUST_CHECK p9_dirent_get(struct rd *r, struct p9_dirent *e);
bool MUST_CHECK p9_dirent_put(struct wr *w, const struct p9_dirent *e);

#endif
