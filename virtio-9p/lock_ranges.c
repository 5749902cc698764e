/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/lock_ranges.h"

#include <errno.h>
#include <stdlib.h>

static void add(struct lock_ranges *r, uint64_t first, uint64_t last, bool write)
{
	struct lock_range *before = r->count ? &r->at[r->count - 1] : NULL;

	if (before && before->write == write && before->last + 1 == first)
		before->last = last; /* as the kernel joins them */
	else
		r->at[r->count++] = (struct lock_range){first, last, write};
}

int lock_ranges_set(const struct lock_ranges *old, const struct lock_range *range, bool unlock,
                    struct lock_ranges *ret)
{
	struct lock_ranges new = {.at = calloc((size_t)old->count + 2, sizeof(*new.at))};
	bool put = unlock;

	if (!new.at)
		return -ENOMEM;
	for (uint32_t i = 0; i < old->count; i++) {
		const struct lock_range *o = &old->at[i];

		if (o->first < range->first)
			add(&new, o->first, o->last < range->first ? o->last : range->first - 1,
			    o->write);
		if (!put && o->last >= range->first) {
			add(&new, range->first, range->last, range->write);
			put = true;
		}
		if (o->last > range->last)
			add(&new, o->first > range->last ? o->first : range->last + 1, o->last,
			    o->write);
	}
	if (!put)
		add(&new, range->first, range->last, range->write);
	*ret = new;
	return 0;
}

void lock_ranges_free(struct lock_ranges *r)
{
	free(r->at);
	*r = (struct lock_ranges){0};
}
