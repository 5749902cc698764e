/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tables.h: all message tables, with what tests need of each line besides struct wt_msg. */
#ifndef VIRTFS_TESTS_LIB_TABLES_H
#define VIRTFS_TESTS_LIB_TABLES_H

#include "tests/lib/sample.h"
#include "wire/table.h"

struct table_side {
	const struct wt_side *side;
	void (*sample)(struct sample *s, void *message);
	bool (*same)(const void *a, const void *b);
};

struct table_row {
	const char *protocol;
	const struct wt_msg *msg;
	struct table_side req, rep;
};

extern struct table_row table_rows[];
extern const size_t table_row_count;

#define TABLE_STRUCT_MAX 8192 /* no message's struct is larger */

#endif
