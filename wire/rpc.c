/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/rpc.h"

#define WT_NS  rpc
#define WT_DEF "wire/rpc.def"
#include "wire/expand_code.h"

bool rpc_request_head_get(struct rd *r, struct rpc_head *h)
{
	h->tag = rd_le32(r);
	h->type = rd_le16(r);
	h->error = 0;
	if (rd_le16(r) != 0)
		rd_fail(r);
	return rd_good(r);
}

void rpc_request_head_put(struct wr *w, const struct rpc_head *h)
{
	wr_le32(w, h->tag);
	wr_le16(w, h->type);
	wr_le16(w, 0);
}

bool rpc_reply_head_get(struct rd *r, struct rpc_head *h)
{
	if (!rpc_request_head_get(r, h))
		return false;
	h->error = rd_le32(r);
	return rd_good(r);
}

void rpc_reply_head_put(struct wr *w, const struct rpc_head *h)
{
	rpc_request_head_put(w, h);
	wr_le32(w, h->error);
}

const struct wt_msg *rpc_find(uint32_t type)
{
	/* The numbers run without a gap from 1, in the table's order: a test holds them to it. */
	return type >= 1 && type <= rpc_table_count ? &rpc_table[type - 1] : NULL;
}

bool rpc_dirent_get(struct rd *r, struct rpc_dirent *e)
{
	e->ino = rd_le64(r);
	e->offset = rd_le64(r);
	e->type = rd_u8(r);
	wt_str_get(r, &e->name);
	if (e->name.size == 0 || e->name.size > WT_NAME_MAX)
		rd_fail(r);
	return rd_good(r);
}

bool rpc_dirent_put(struct wr *w, const struct rpc_dirent *e)
{
	wr_le64(w, e->ino);
	wr_le64(w, e->offset);
	wr_u8(w, e->type);
	wt_str_put(w, &e->name);
	return wr_good(w);
}
