/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * expand_rows.h: sample_NS_name_req(), same_NS_name_req() and so on out of a message table
 * (wire/table.h), and NS_rows[]. Included by tables.c once a protocol, with WT_NS and WT_DEF
 * defined.
 */

#define SIDE(side, fields)                                                      \
	static void WT_PASTE(sample, WT_ID(side))(struct sample * s, void *any) \
	{                                                                       \
		struct WT_ID(side) *m = any;                                    \
		(void)s;                                                        \
		m->wt_none = 0;                                                 \
		fields                                                          \
	}                                                                       \
	static_assert(sizeof(struct WT_ID(side)) <= TABLE_STRUCT_MAX,           \
	              "TABLE_STRUCT_MAX is too small");
#define F(type, member)                           sample_##type(s, &m->member);
#define MSG(number, NAME, name, policy, req, rep) SIDE(name##_req, req) SIDE(name##_rep, rep)
#include WT_DEF
#undef MSG
#undef SIDE
#undef F

#define SIDE(side, fields)                                                           \
	static bool WT_PASTE(same, WT_ID(side))(const void *left, const void *right) \
	{                                                                            \
		const struct WT_ID(side) *a = left, *b = right;                      \
		return a->wt_none == b->wt_none fields;                              \
	}
#define F(type, member)                           &&same_##type(&a->member, &b->member)
#define MSG(number, NAME, name, policy, req, rep) SIDE(name##_req, req) SIDE(name##_rep, rep)
#include WT_DEF
#undef MSG
#undef SIDE
#undef F

/* The rows stand in the table in the order of the file, so counting them finds each. */
#define F(type, member)
enum {
#define MSG(number, NAME, name, policy, q, a) WT_PASTE(ROW, WT_ID(name)),
#include WT_DEF
#undef MSG
};

static const struct table_row WT_ID(rows)[] = {
#define MSG(number, NAME, name, policy, q, a)                                                 \
	{WT_NAME,                                                                             \
	 &WT_ID(table)[WT_PASTE(ROW, WT_ID(name))],                                           \
	 {&WT_ID(table)[WT_PASTE(ROW, WT_ID(name))].req, WT_PASTE(sample, WT_ID(name##_req)), \
	  WT_PASTE(same, WT_ID(name##_req))},                                                 \
	 {&WT_ID(table)[WT_PASTE(ROW, WT_ID(name))].rep, WT_PASTE(sample, WT_ID(name##_rep)), \
	  WT_PASTE(same, WT_ID(name##_rep))}},
#include WT_DEF
#undef MSG
};
#undef F
#undef WT_NS
#undef WT_DEF
#undef WT_NAME
