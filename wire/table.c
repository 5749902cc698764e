/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/table.h"

const struct wt_msg *wt_find(const struct wt_msg *table, size_t count, uint32_t number)
{
	for (size_t i = 0; i < count; i++) {
		if (table[i].number == number)
			return &table[i];
	}
	return NULL;
}
