/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2.h: what the first cluster of a qcow2 image says (QEMU's docs/interop/qcow2.rst).
 *
 * A pure function over bytes that the caller has read. It finds out what an image needs and names; it follows none of the
 * tables that the header leads to, but holds their places against the file's size, the header and each other. A name is a
 * span of bytes: nobody here opens what it says, and who shows it escapes it (sbuf_add_quoted()).
 */
#ifndef VIRTFS_WIRE_QCOW2_H
#define VIRTFS_WIRE_QCOW2_H

#include "wire/types.h"

#define QCOW2_MAGIC       0x514649fbu
#define QCOW2_CLUSTER_MAX (1u << 21) /* so many bytes are enough for qcow2_parse() */

/* incompatible_features */
#define QCOW2_DIRTY       0x01u
#define QCOW2_CORRUPT     0x02u
#define QCOW2_DATA_FILE   0x04u
#define QCOW2_COMPRESSION 0x08u
#define QCOW2_EXTENDED_L2 0x10u

/* autoclear_features */
#define QCOW2_BITMAPS_VALID 0x01u
#define QCOW2_DATA_RAW      0x02u

/* crypt_method */
#define QCOW2_CRYPT_LUKS 2u

/* types of extensions */
#define QCOW2_EXT_END            0x00000000u
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXT_FEATURE_NAMES  0x6803f857u
#define QCOW2_EXT_BITMAPS        0x23852875u
#define QCOW2_EXT_LUKS           0x0537be77u
#define QCOW2_EXT_DATA_FILE      0x44415441u

#define QCOW2_EXTENSIONS_MAX 64

enum qcow2_refusal {
	QCOW2_OK,
#define FIELD(offset, bits, name, part)
#define REFUSAL(NAME, text) QCOW2_BAD_##NAME,
#include "wire/qcow2.def"
#undef REFUSAL
#undef FIELD
};

/** struct qcow2_header - the fields; those that a version lacks have the value that their absence means */
struct qcow2_header {
#define QCOW2_C_8                       uint8_t
#define QCOW2_C_32                      uint32_t
#define QCOW2_C_64                      uint64_t
#define FIELD(offset, bits, name, part) QCOW2_C_##bits name;
#define REFUSAL(NAME, text)
#include "wire/qcow2.def"
#undef REFUSAL
#undef FIELD
};

/** struct qcow2 - what was found; spans point into the bytes that were parsed, and are of size 0 where nothing is said */
struct qcow2 {
	struct qcow2_header header;
	uint32_t cluster_size;
	unsigned extensions;
	struct wt_str backing;        /* name of the backing file */
	struct wt_str backing_format; /* and its format */
	struct wt_str
	    data_file; /* name of the data file; without QCOW2_DATA_FILE it means nothing */
	uint64_t bad;  /* the value that was refused */
};

/**
 * qcow2_parse() - Read a header and its extensions
 *
 * bytes are the file's first ones: QCOW2_CLUSTER_MAX of them, or all that the file has. file_size is in bytes too.
 * Return: QCOW2_OK; else what is wrong, with ret->bad, and ret->header as far as it was read.
 */
enum qcow2_refusal MUST_CHECK qcow2_parse(const void *bytes, size_t size, uint64_t file_size,
                                          struct qcow2 *ret);

/** qcow2_explain() - What is wrong, in words. */
void qcow2_explain(const struct qcow2 *q, enum qcow2_refusal refusal, struct sbuf *s);

/** qcow2_dump() - All fields, for debug lines. */
void qcow2_dump(const struct qcow2 *q, struct sbuf *s);

enum qcow2_part { QCOW2_PART_V2, QCOW2_PART_V3, QCOW2_PART_ADDED };

/** struct qcow2_field - one line of the table, for tests and fuzzers */
struct qcow2_field {
	const char *name;
	unsigned offset, bits;
	enum qcow2_part part;
};

enum {
	QCOW2_FIELDS = 0
#define FIELD(offset, bits, name, part) +1
#define REFUSAL(NAME, text)
#include "wire/qcow2.def"
#undef REFUSAL
#undef FIELD
};

extern const struct qcow2_field qcow2_fields[QCOW2_FIELDS];

#endif
