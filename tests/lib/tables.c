/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/tables.h"

#include "wire/legacy.h"

/* ---- QEMU's proxy dialect ---- */

#define SIDE(side, fields)                                            \
	static void sample_legacy_##side(struct sample *s, void *any) \
	{                                                             \
		struct legacy_##side *m = any;                        \
		(void)s;                                              \
		m->wt_none = 0;                                       \
		fields                                                \
	}                                                             \
	static_assert(sizeof(struct legacy_##side) <= TABLE_STRUCT_MAX, #side);

#define F(type, member)                           sample_##type(s, &m->member);
#define MSG(number, NAME, name, policy, req, rep) SIDE(name##_req, req) SIDE(name##_rep, rep)
#include "wire/legacy.def"
#undef MSG
#undef SIDE
#undef F

#define SIDE(side, fields)                                                  \
	static bool same_legacy_##side(const void *left, const void *right) \
	{                                                                   \
		const struct legacy_##side *a = left, *b = right;           \
		return a->wt_none == b->wt_none fields;                     \
	}

#define F(type, member)                           &&same_##type(&a->member, &b->member)
#define MSG(number, NAME, name, policy, req, rep) SIDE(name##_req, req) SIDE(name##_rep, rep)
#include "wire/legacy.def"
#undef MSG
#undef SIDE
#undef F

#define F(type, member)
/* The lines stand in the table in the order of the file, so counting them finds each. */
enum {
#define MSG(number, NAME, name, policy, req, rep) LEGACY_ROW_##name,
#include "wire/legacy.def"
#undef MSG
};

const struct table_row table_rows[] = {
#define MSG(number, NAME, name, policy, q, a)                               \
	{"legacy",                                                          \
	 &legacy_table[LEGACY_ROW_##name],                                  \
	 {&legacy_table[LEGACY_ROW_##name].req, sample_legacy_##name##_req, \
	  same_legacy_##name##_req},                                        \
	 {&legacy_table[LEGACY_ROW_##name].rep, sample_legacy_##name##_rep, \
	  same_legacy_##name##_rep}},
#include "wire/legacy.def"
#undef MSG
};
#undef F

const size_t table_row_count = ARRAY_SIZE(table_rows);
