/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/legacy.h"

#define WT_NS  legacy
#define WT_DEF "wire/legacy.def"
#include "wire/expand_code.h"

bool legacy_header_get(struct rd *r, struct legacy_header *h)
{
	h->type = rd_host32(r);
	h->size = rd_host32(r);
	return rd_good(r) && h->size <= LEGACY_PAYLOAD_MAX;
}

void legacy_header_put(struct wr *w, const struct legacy_header *h)
{
	wr_host32(w, h->type);
	wr_host32(w, h->size);
}

bool legacy_status_put(struct wr *w, int32_t status)
{
	legacy_header_put(w, &(struct legacy_header){
	                         .type = status < 0 ? LEGACY_ERROR : LEGACY_SUCCESS,
	                         .size = sizeof(status),
	                     });
	wr_host32(w, (uint32_t)status);
	return wr_good(w);
}
