/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/vhost_user.h"

#define WT_NS  vhu
#define WT_DEF "wire/vhost_user.def"
#include "wire/expand_code.h"

bool vhu_header_get(struct rd *r, struct vhu_header *h)
{
	h->request = rd_host32(r);
	h->flags = rd_host32(r);
	h->size = rd_host32(r);
	if (!rd_good(r) || (h->flags & VHU_VERSION_MASK) != VHU_VERSION || (h->flags & VHU_REPLY))
		return false;
	return h->size <= VHU_PAYLOAD_MAX;
}

void vhu_header_put(struct wr *w, const struct vhu_header *h)
{
	wr_host32(w, h->request);
	wr_host32(w, h->flags);
	wr_host32(w, h->size);
}
