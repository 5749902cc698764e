/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* expand_code.h: definitions out of a message table; see table.h. Included once by each protocol's
 * .c file. */

/* ---- decoders ---- */

#define F(type, member) wt_##type##_get(r, &m->member);
#define MSG(number, NAME, name, policy, req, rep)                               \
	bool WT_ID(name##_req_get)(struct rd * r, struct WT_ID(name##_req) * m) \
	{                                                                       \
		m->wt_none = 0;                                                 \
		req return rd_end(r);                                           \
	}                                                                       \
	bool WT_ID(name##_rep_get)(struct rd * r, struct WT_ID(name##_rep) * m) \
	{                                                                       \
		m->wt_none = 0;                                                 \
		rep return rd_end(r);                                           \
	}
#include WT_DEF
#undef MSG
#undef F

/* ---- encoders ---- */

#define F(type, member) wt_##type##_put(w, &m->member);
#define MSG(number, NAME, name, policy, req, rep)                                     \
	bool WT_ID(name##_req_put)(struct wr * w, const struct WT_ID(name##_req) * m) \
	{                                                                             \
		(void)m;                                                              \
		req return wr_good(w);                                                \
	}                                                                             \
	bool WT_ID(name##_rep_put)(struct wr * w, const struct WT_ID(name##_rep) * m) \
	{                                                                             \
		(void)m;                                                              \
		rep return wr_good(w);                                                \
	}
#include WT_DEF
#undef MSG
#undef F

/* ---- the same without their types, and the debug text ---- */

#define F(type, member)               \
	sbuf_add(s, " " #member "="); \
	wt_##type##_dump(s, &m->member);
#define WT_SIDE(side, fields)                                                \
	static bool WT_ID(side##_get_any)(struct rd * r, void *m)            \
	{                                                                    \
		return WT_ID(side##_get)(r, m);                              \
	}                                                                    \
	static bool WT_ID(side##_put_any)(struct wr * w, const void *m)      \
	{                                                                    \
		return WT_ID(side##_put)(w, m);                              \
	}                                                                    \
	static void WT_ID(side##_dump_any)(struct sbuf * s, const void *any) \
	{                                                                    \
		const struct WT_ID(side) *m = any;                           \
		(void)m;                                                     \
		(void)s;                                                     \
		fields                                                       \
	}
#define MSG(number, NAME, name, policy, req, rep) WT_SIDE(name##_req, req) WT_SIDE(name##_rep, rep)
#include WT_DEF
#undef MSG
#undef WT_SIDE
#undef F

/* ---- the table ---- */

#define F(type, member)
#define WT_SIDE(side)                                                                     \
	{                                                                                 \
		sizeof(struct WT_ID(side)), WT_ID(side##_get_any), WT_ID(side##_put_any), \
		    WT_ID(side##_dump_any)                                                \
	}
#define MSG(number, NAME, name, policy, req, rep) \
	{#name, (number), (policy), WT_SIDE(name##_req), WT_SIDE(name##_rep)},
const struct wt_msg WT_ID(table)[WT_ID(table_count)] = {
#include WT_DEF
};
#undef MSG
#undef WT_SIDE
#undef F
