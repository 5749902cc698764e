/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* expand_decl.h: declarations out of a message table; see table.h. Included once by each protocol's
 * header, which defines WT_NS, WT_NS_UPPER and WT_DEF before; they are undefined after. */

enum WT_ID(type) {
#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep) WT_ENUM(NAME) = (number),
#include WT_DEF
#undef MSG
#undef F
};

/* The first member keeps a message without fields a struct; nobody reads it. */
#define F(type, member) WT_C_##type member;
#define MSG(number, NAME, name, policy, req, rep) \
	struct WT_ID(name##_req) {                \
		uint8_t wt_none;                  \
		req                               \
	};                                        \
	struct WT_ID(name##_rep) {                \
		uint8_t wt_none;                  \
		rep                               \
	};
#include WT_DEF
#undef MSG
#undef F

#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep)                                                 \
	bool MUST_CHECK WT_ID(name##_req_get)(struct rd * r, struct WT_ID(name##_req) * m);       \
	bool MUST_CHECK WT_ID(name##_req_put)(struct wr * w, const struct WT_ID(name##_req) * m); \
	bool MUST_CHECK WT_ID(name##_rep_get)(struct rd * r, struct WT_ID(name##_rep) * m);       \
	bool MUST_CHECK WT_ID(name##_rep_put)(struct wr * w, const struct WT_ID(name##_rep) * m);
#include WT_DEF
#undef MSG
#undef F

enum {
	WT_ID(table_count) = 0
#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep) +1
#include WT_DEF
#undef MSG
#undef F
};

extern const struct wt_msg WT_ID(table)[WT_ID(table_count)];

#undef WT_NS_UPPER
#undef WT_NS
#undef WT_DEF
