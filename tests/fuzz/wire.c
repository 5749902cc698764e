/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.c: every decoder of every message table. Input: row, direction, then the message.
 *
 * What is taken must come back from its encoder as the same message.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/lib/tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t first[TABLE_STRUCT_MAX / 8], second[TABLE_STRUCT_MAX / 8];
	static uint8_t bytes[1 << 18];
	const struct table_row *row;
	const struct table_side *t;
	char text[256];
	struct sbuf s = sbuf_over(text, sizeof(text));
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct rd r;

	if (size < 2)
		return 0;
	row = &table_rows[data[0] % table_row_count];
	t = data[1] & 1 ? &row->rep : &row->req;
	r = rd_over(data + 2, size - 2);
	if (!t->side->get(&r, first))
		return 0;
	t->side->dump(&s, first);
	CHECK(t->side->put(&w, first));
	r = rd_over(bytes, w.used);
	CHECK(t->side->get(&r, second));
	CHECK(t->same(first, second));
	return 0;
}
