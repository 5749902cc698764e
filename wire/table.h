/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.h: what one line of a message table becomes.
 *
 * A table (wire/NAME.def) holds one line a message:
 *
 *	MSG(number, NAME, name, policy, request fields, reply fields)
 *
 * with fields F(type, member), the types being those of wire/types.h and policy an expression of
 *the protocol's own flags. A protocol defines WT_NS (its prefix), WT_NS_UPPER and WT_DEF (the
 *table's file) and includes
 *
 *	wire/expand_decl.h	in its header: the enum, struct NS_name_req and NS_name_rep, and the
 *prototypes wire/expand_code.h	in its .c file: decoders, encoders, dumps, and NS_table[], a struct
 *wt_msg a line
 *
 * The other uses of the same line are the dispatch rows (they include the table with macros of
 *their own) and the round-trip and truncation tests and fuzz seeds (tests/wire/, which walk
 *NS_table and tests/lib/sample.h).
 *
 * A decoder returns true only if every field is within its limits and no byte is left.
 */
#ifndef VIRTFS_WIRE_TABLE_H
#define VIRTFS_WIRE_TABLE_H

#include "wire/types.h"

#define WT_PASTE_(a, b) a##_##b
#define WT_PASTE(a, b)  WT_PASTE_(a, b)
#define WT_ID(name)     WT_PASTE(WT_NS, name)
#define WT_ENUM(NAME)   WT_PASTE(WT_NS_UPPER, NAME)

/** struct wt_side - one direction of a message, for code that treats all messages alike */
struct wt_side {
	size_t size; /* of the struct */
	bool (*get)(struct rd *r, void *message);
	bool (*put)(struct wr *w, const void *message);
	void (*dump)(struct sbuf *s, const void *message);
};

struct wt_msg {
	const char *name;
	uint32_t number;
	uint32_t policy;
	struct wt_side req, rep;
};

/** wt_find() - The message of that number, or NULL. */
const struct wt_msg *wt_find(const struct wt_msg *table, size_t count, uint32_t number);

#endif
