/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/tables.h"

#include "wire/legacy.h"
#include "wire/p9.h"
#include "wire/rpc.h"

#include <string.h>

#define WT_NS   legacy
#define WT_NAME "legacy"
#define WT_DEF  "wire/legacy.def"
#include "tests/lib/expand_rows.h"

#define WT_NS   rpc
#define WT_NAME "rpc"
#define WT_DEF  "wire/rpc.def"
#include "tests/lib/expand_rows.h"

#define WT_NS   p9
#define WT_NAME "p9"
#define WT_DEF  "wire/p9.def"
#include "tests/lib/expand_rows.h"

struct table_row table_rows[ARRAY_SIZE(legacy_rows) + ARRAY_SIZE(rpc_rows) + ARRAY_SIZE(p9_rows)];
const size_t table_row_count = ARRAY_SIZE(table_rows);

/* Runs before main: the rows of all protocols in one array. */
__attribute__((constructor)) static void collect(void)
{
	struct table_row *to = table_rows;

	memcpy(to, legacy_rows, sizeof(legacy_rows));
	memcpy(to + ARRAY_SIZE(legacy_rows), rpc_rows, sizeof(rpc_rows));
	memcpy(to + ARRAY_SIZE(legacy_rows) + ARRAY_SIZE(rpc_rows), p9_rows, sizeof(p9_rows));
}
