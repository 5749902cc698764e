/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/tables.h"

#include "wire/legacy.h"
#include "wire/p9.h"
#include "wire/rpc.h"
#include "wire/vhost_user.h"
#include "wire/virtio_blk.h"

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

#define WT_NS   vhu
#define WT_NAME "vhost-user"
#define WT_DEF  "wire/vhost_user.def"
#include "tests/lib/expand_rows.h"

#define WT_NS   vblk
#define WT_NAME "virtio-blk"
#define WT_DEF  "wire/virtio_blk.def"
#include "tests/lib/expand_rows.h"

struct table_row table_rows[ARRAY_SIZE(legacy_rows) + ARRAY_SIZE(rpc_rows) + ARRAY_SIZE(p9_rows) +
                            ARRAY_SIZE(vhu_rows) + ARRAY_SIZE(vblk_rows)];
const size_t table_row_count = ARRAY_SIZE(table_rows);

/* Runs before main: the rows of all protocols in one array. */
__attribute__((constructor)) static void collect(void)
{
	struct table_row *to = table_rows;

	memcpy(to, legacy_rows, sizeof(legacy_rows));
	to += ARRAY_SIZE(legacy_rows);
	memcpy(to, rpc_rows, sizeof(rpc_rows));
	to += ARRAY_SIZE(rpc_rows);
	memcpy(to, p9_rows, sizeof(p9_rows));
	to += ARRAY_SIZE(p9_rows);
	memcpy(to, vhu_rows, sizeof(vhu_rows));
	to += ARRAY_SIZE(vhu_rows);
	memcpy(to, vblk_rows, sizeof(vblk_rows));
}
