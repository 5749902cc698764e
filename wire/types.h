/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * types.h: the field types of all message tables, each with its limits.
 *
 * For a type T of a table's F(T, field) there are here
 *	WT_C_T			the C type of the struct's member,
 *	wt_T_get(r, &v)		the decoder, which fails the cursor when a limit is passed,
 *	wt_T_put(w, &v)		the encoder, which fails it likewise,
 *	wt_T_dump(s, v)		the text of a value for debug lines.
 * tests/lib/sample.h adds for each a generator of values and a comparison.
 *
 * Spans (struct wt_str) point into the message that was decoded; nothing in them is NUL-terminated.
 */
#ifndef VIRTFS_WIRE_TYPES_H
#define VIRTFS_WIRE_TYPES_H

#include "common/compiler.h"
#include "common/rd.h"
#include "common/sbuf.h"
#include "common/wr.h"

#include <stddef.h>
#include <stdint.h>

/** struct wt_str - bytes inside a message; data may be NULL when size is 0 */
struct wt_str {
	const uint8_t *data;
	size_t size;
};

/** wt_str_of() - The bytes of a C string, without its NUL. */
struct wt_str wt_str_of(const char *text);

/**
 * wt_str_copy() - Copy s into a C string
 *
 * Return: true, or false when it does not fit in size bytes with its NUL (buffer is then the empty
 * string).
 */
bool MUST_CHECK wt_str_copy(const struct wt_str *s, char *buffer, size_t size);

/* ---- QEMU's proxy dialect: integers and string lengths in the host's byte order ---- */

#define WT_C_h32 uint32_t
#define WT_C_h64 uint64_t

/* A string up to its first NUL, if it has one: QEMU counts the NUL in for some paths and leaves it
 * out for others. */
#define WT_C_hpath   struct wt_str /* at most 65,535 bytes */
#define WT_C_htarget struct wt_str /* of a symbolic link: 1 to WT_TARGET_MAX bytes */
#define WT_C_hxname  struct wt_str /* of an extended attribute: 1 to WT_XNAME_MAX bytes */
/* Any bytes, NUL among them. */
#define WT_C_hblob struct wt_str

#define WT_TARGET_MAX 4095
#define WT_XNAME_MAX  255

#define WT_TYPE(T)                                          \
	void wt_##T##_get(struct rd *r, WT_C_##T *v);       \
	void wt_##T##_put(struct wr *w, const WT_C_##T *v); \
	void wt_##T##_dump(struct sbuf *s, const WT_C_##T *v);

WT_TYPE(h32)
WT_TYPE(h64)
WT_TYPE(hpath)
WT_TYPE(htarget)
WT_TYPE(hxname)
WT_TYPE(hblob)

#endif
