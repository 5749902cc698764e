/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/p9.h"

#define WT_NS  p9
#define WT_DEF "wire/p9.def"
#include "wire/expand_code.h"

bool p9_head_get(struct rd *r, struct p9_head *h)
{
	h->size = rd_le32(r);
	h->type = rd_u8(r);
	h->tag = rd_le16(r);
	return rd_good(r) && h->size >= P9_HEAD_SIZE;
}

void p9_head_put(struct wr *w, const struct p9_head *h)
{
	wr_le32(w, h->size);
	wr_u8(w, h->type);
	wr_le16(w, h->tag);
}

bool p9_write_part_get(struct rd *r, size_t rest, struct p9_write_req *ret)
{
	uint32_t count;

	ret->fid = rd_le32(r);
	ret->offset = rd_le64(r);
	count = rd_le32(r);
	ret->data = (struct wt_str){.size = count};
	return rd_good(r) && r->left == 0 && count == rest;
}

const struct wt_msg *p9_find(uint8_t type)
{
	const struct wt_msg *msg = wt_find(p9_table, p9_table_count, type);

	return msg && !(msg->policy & P9_REPLY_ONLY) ? msg : NULL;
}

bool p9_dirent_get(struct rd *r, struct p9_dirent *e)
{
	wt_qid_get(r, &e->qid);
	e->offset = rd_le64(r);
	e->type = rd_u8(r);
	wt_str_get(r, &e->name);
	return rd_good(r);
}

bool p9_dirent_put(struct wr *w, const struct p9_dirent *e)
{
	wt_qid_put(w, &e->qid);
	wr_le64(w, e->offset);
	wr_u8(w, e->type);
	wt_str_put(w, &e->name);
	return wr_good(w);
}
