/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2.c: headers of qcow2 images, good ones and every kind of bad one. */
#include "wire/qcow2.h"

#include "tests/lib/qcow2_image.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define C          UINT64_C(65536) /* the cluster of a plan that says none */
#define FILE_SIZE  (8 * C)
#define FIRST_BYTE 112u /* behind the header of version 3 */

static uint8_t image[QCOW2_CLUSTER_MAX];
static struct qcow2 q;

/* Parses size bytes at a place of just that size, so that a sanitizer sees a look beyond. */
static enum qcow2_refusal parse_cut(size_t size, uint64_t file_size)
{
	uint8_t *copy = malloc(size ? size : 1);
	enum qcow2_refusal r;

	cr_assert_not_null(copy);
	memcpy(copy, image, size);
	r = qcow2_parse(copy, size, file_size, &q);
	if (r == QCOW2_OK)
		cr_assert_null(qcow2_strange(&q, copy, file_size), "%s",
		               qcow2_strange(&q, copy, file_size));
	free(copy);
	return r;
}

static enum qcow2_refusal parse(void)
{
	return parse_cut(C, FILE_SIZE);
}

static void make(const struct qcow2_plan *plan)
{
	cr_assert_eq(qcow2_make(plan, image), C);
}

static const char *text_of(enum qcow2_refusal r)
{
	static char text[512];
	struct sbuf s = sbuf_over(text, sizeof(text));

	qcow2_explain(&q, r, &s);
	return text;
}

#define is(expected)                                                                \
	do {                                                                        \
		enum qcow2_refusal got = parse();                                   \
		cr_assert_eq(got, expected, "%s, not %s", text_of(got), #expected); \
	} while (0)

/* What a name is while the bytes are still there. */
static void name_is(const struct wt_str *s, size_t offset, const char *text)
{
	(void)parse_cut(C, FILE_SIZE);
	cr_assert_eq(s->size, strlen(text));
	cr_assert_eq(memcmp(image + offset, text, s->size), 0);
}

Test(qcow2, the_table_has_every_byte_of_the_header)
{
	unsigned at = 0;

	for (size_t i = 0; i < QCOW2_FIELDS; i++) {
		const struct qcow2_field *f = &qcow2_fields[i];

		cr_assert_eq(f->offset, at, "%s", f->name);
		at += f->bits / 8;
		cr_assert_eq(f->part, at <= 72    ? QCOW2_PART_V2
		                      : at <= 104 ? QCOW2_PART_V3
		                                  : QCOW2_PART_ADDED);
	}
	cr_assert_eq(at, 105);
}

Test(qcow2, good_ones_of_both_versions_and_all_cluster_sizes)
{
	for (unsigned version = 2; version <= 3; version++) {
		for (unsigned bits = 9; bits <= 21; bits++) {
			uint32_t size = qcow2_make(
			    &(struct qcow2_plan){.version = version, .cluster_bits = bits}, image);
			enum qcow2_refusal r = parse_cut(size, 8 * (uint64_t)size);

			cr_assert_eq(r, QCOW2_OK, "%u: %s", bits, text_of(r));
			cr_assert_eq(q.header.version, version);
			cr_assert_eq(q.cluster_size, size);
			cr_assert_eq(q.header.size, QCOW2_PLAN_SIZE);
			cr_assert_eq(q.header.refcount_order, 4);
			cr_assert_eq(q.header.header_length, version == 2 ? 72 : 112);
			cr_assert_eq(q.backing.size + q.data_file.size + q.backing_format.size +
			                 q.extensions,
			             0);
		}
	}
}

Test(qcow2, extended_entries_want_clusters_of_16_KiB)
{
	for (unsigned bits = 9; bits <= 21; bits++) {
		uint32_t size = qcow2_make(
		    &(struct qcow2_plan){.cluster_bits = bits, .incompatible = QCOW2_EXTENDED_L2},
		    image);

		cr_assert_eq(parse_cut(size, 8 * (uint64_t)size),
		             bits < 14 ? QCOW2_BAD_CLUSTER_BITS : QCOW2_OK);
	}
}

Test(qcow2, what_version_3_has_says_nothing_in_version_2)
{
	make(&(struct qcow2_plan){
	    .version = 2, .backing = "base", .backing_format = "raw", .data_file = "d"});
	is(QCOW2_OK);
	cr_assert_eq(q.header.incompatible_features | q.header.autoclear_features |
	                 q.header.compression_type,
	             0);
	cr_assert_eq(q.extensions, 2);
	name_is(&q.backing, 72 + 16 + 16 + 8, "base");
	name_is(&q.backing_format, 72 + 8, "raw");
	name_is(&q.data_file, 72 + 16 + 8, "d");
}

Test(qcow2, all_that_version_3_can_say)
{
	make(&(struct qcow2_plan){.incompatible = QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_DATA_FILE |
	                                          QCOW2_COMPRESSION | QCOW2_EXTENDED_L2,
	                          .backing = "base",
	                          .backing_format = "qcow2",
	                          .data_file = "data",
	                          .luks = true,
	                          .bitmaps = true});
	qcow2_poke(image, "compatible_features", UINT64_MAX);
	is(QCOW2_OK);
	cr_assert_eq(q.extensions, 4);
	cr_assert_eq(q.header.incompatible_features, 0x1f);
	cr_assert_eq(q.header.autoclear_features, QCOW2_BITMAPS_VALID);
	cr_assert_eq(q.header.compression_type, 1);
	name_is(&q.data_file, FIRST_BYTE + 16 + 8, "data");
	make(&(struct qcow2_plan){QCOW2_PLAN_RAW, .data_file = "data"});
	is(QCOW2_OK);
	cr_assert_eq(q.header.autoclear_features, QCOW2_DATA_RAW);
}

Test(qcow2, a_field_behind_those_that_are_known_changes_nothing)
{
	make(&(struct qcow2_plan){.version = 3});
	memset(image + 105, 0xff, 7);
	is(QCOW2_OK);
	qcow2_poke(image, "header_length", 4096);
	memset(image + 105, 0xff, 4096 - 105);
	is(QCOW2_OK);
}

Test(qcow2, a_header_of_104_bytes_has_no_compression_type)
{
	make(&(struct qcow2_plan){.version = 3});
	qcow2_poke(image, "header_length", 104);
	is(QCOW2_OK);
	qcow2_poke(image, "incompatible_features", QCOW2_COMPRESSION);
	is(QCOW2_BAD_COMPRESSION);
	/* What is there instead is an extension. */
	qcow2_poke(image, "incompatible_features", 0);
	put_be(image + 104, 32, QCOW2_EXT_BACKING_FORMAT);
	put_be(image + 108, 32, 3);
	memcpy(image + 112, "raw", 3);
	is(QCOW2_OK);
	cr_assert_eq(q.extensions, 1);
}

Test(qcow2, every_truncation_is_refused)
{
	static const struct qcow2_plan plans[] = {
	    {.version = 2, .cluster_bits = 12, .backing = "b"},
	    {.cluster_bits = 12,
	     .backing = "b",
	     .backing_format = "raw",
	     .data_file = "d",
	     .bitmaps = true}};

	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		uint32_t size = qcow2_make(&plans[i], image);

		cr_assert_eq(parse_cut(size, 8 * size), QCOW2_OK);
		for (uint32_t cut = 0; cut < size; cut++) {
			cr_assert_eq(parse_cut(cut, 8 * size), QCOW2_BAD_SHORT);
			cr_assert_eq(parse_cut(cut, cut), QCOW2_BAD_SHORT);
			cr_assert_neq(parse_cut(size, cut), QCOW2_OK);
		}
	}
}

Test(qcow2, tables_are_within_the_file)
{
	make(&(struct qcow2_plan){.luks = true, .bitmaps = true});
	/* The last is that of LUKS, in two clusters; of the second one byte. */
	for (uint64_t size = C; size < FILE_SIZE; size += 511)
		cr_assert_eq(parse_cut(C, size) == QCOW2_OK, size > 6 * C, "%llu",
		             (unsigned long long)size);
	/* A table's last cluster need not be there whole. */
	make(&(struct qcow2_plan){.version = 3});
	qcow2_poke(image, "refcount_table_offset", 7 * C);
	cr_assert_eq(parse_cut(C, 7 * C), QCOW2_BAD_REFCOUNT_OFFSET);
	cr_assert_eq(parse_cut(C, 7 * C + 1), QCOW2_OK);
}

/* ---- one field at a time ---- */

#define MAX32 UINT32_MAX
#define MAX64 UINT64_MAX
#define TOP32 (UINT32_C(1) << 31)
#define TOP64 (UINT64_C(1) << 63)

static const struct {
	const char *field;
	enum qcow2_refusal refusal;
	uint64_t values[10]; /* up to the first 0 behind the first */
} pokes[] = {
    {"magic", QCOW2_BAD_MAGIC, {0, 1, MAX32, 0xfb494651, 0x514649fa}},
    {"version", QCOW2_BAD_VERSION, {0, 1, 4, MAX32, MAX32 - 1, TOP32, 0x03000000}},
    {"cluster_bits", QCOW2_BAD_CLUSTER_BITS, {0, 1, 8, 22, 31, 32, 64, MAX32, MAX32 - 1, TOP32}},
    {"cluster_bits", QCOW2_BAD_SHORT, {17, 21}},
    {"backing_file_offset",
     QCOW2_BAD_BACKING_OFFSET,
     {1, 72, 111, C + 1, MAX32, MAX64, MAX64 - 1, TOP64, TOP64 - 1}},
    {"backing_file_offset", QCOW2_OK, {0, 112, 120, 121, C}},
    {"backing_file_offset", QCOW2_BAD_EXTENSION_LENGTH, {113, 119}},
    {"backing_file_size", QCOW2_OK, {0, 1, 1024, MAX32, TOP32}}, /* undefined without an offset */
    {"size", QCOW2_OK, {0, 1, 511, 512, 513, QCOW2_PLAN_SIZE + 1, C *C / 8}},
    {"size", QCOW2_BAD_L1_SIZE, {C * C / 8 + 1, UINT64_C(1) << 32, TOP64 - 1, TOP64 - 512}},
    {"size", QCOW2_BAD_SIZE, {TOP64, TOP64 + 1, MAX64, MAX64 - 1}},
    {"crypt_method", QCOW2_BAD_CRYPT, {1, 3, MAX32, MAX32 - 1, TOP32}},
    {"crypt_method", QCOW2_BAD_LUKS, {2}},
    {"l1_size",
     QCOW2_BAD_L1_SIZE,
     {0, (4u << 20) + 1, MAX32, MAX32 - 1, TOP32, TOP32 - 1, 1u << 29}},
    {"l1_size", QCOW2_BAD_L1_OFFSET, {(4u << 20) - 1, 4u << 20, 5 * C / 8 + 1}},
    {"l1_size", QCOW2_OK, {1, 2, 5 * C / 8}},
    {"l1_table_offset",
     QCOW2_BAD_L1_OFFSET,
     {0, 1, 3 * C + 1, 3 * C - 512, 8 * C, MAX64, MAX64 - 1, MAX64 - C + 1, TOP64, TOP64 - C}},
    {"l1_table_offset", QCOW2_BAD_OVERLAP, {C}},
    {"l1_table_offset", QCOW2_OK, {2 * C, 7 * C}},
    {"refcount_table_offset",
     QCOW2_BAD_REFCOUNT_OFFSET,
     {0, 1, C + 1, C - 512, 8 * C, MAX64, MAX64 - 1, MAX64 - C + 1, TOP64, TOP64 - C}},
    {"refcount_table_offset", QCOW2_BAD_OVERLAP, {3 * C}},
    {"refcount_table_clusters",
     QCOW2_BAD_REFCOUNT_CLUSTERS,
     {0, 129, MAX32, MAX32 - 1, TOP32, 1u << 16, 1u << 29}},
    {"refcount_table_clusters", QCOW2_BAD_REFCOUNT_OFFSET, {8, 128}},
    {"refcount_table_clusters", QCOW2_BAD_OVERLAP, {3, 7}},
    {"refcount_table_clusters", QCOW2_OK, {1, 2}},
    {"nb_snapshots", QCOW2_BAD_SNAPSHOTS, {65537, MAX32, MAX32 - 1, TOP32, 1u << 29}},
    {"nb_snapshots", QCOW2_BAD_SNAPSHOTS_OFFSET, {1, 65535, 65536}},
    {"snapshots_offset",
     QCOW2_BAD_SNAPSHOTS_OFFSET,
     {1, 511, C + 1, MAX64, MAX64 - 1, TOP64 + 1, TOP64, MAX64 - C + 1}},
    {"snapshots_offset", QCOW2_OK, {0, C, TOP64 - C}}, /* there are none */
    {"incompatible_features",
     QCOW2_BAD_INCOMPATIBLE,
     {0x20, 0x21, TOP64, MAX64, MAX64 - 1, TOP32, UINT64_C(1) << 32}},
    {"incompatible_features", QCOW2_BAD_COMPRESSION, {8, 0x1f}},
    {"incompatible_features", QCOW2_OK, {0, 1, 2, 3, 4, 7, 0x10, 0x17}},
    {"compatible_features", QCOW2_OK, {0, 1, 2, MAX64, MAX64 - 1, TOP64}},
    {"autoclear_features", QCOW2_BAD_RAW_NOT_EXTERNAL, {2, 3, MAX64, MAX64 - 1, TOP64 | 2}},
    {"autoclear_features", QCOW2_BAD_BITMAPS, {1, TOP64 | 1}},
    {"autoclear_features", QCOW2_OK, {0, 4, TOP64, MAX64 - 3}}, /* unknown ones may be cleared */
    {"refcount_order", QCOW2_BAD_REFCOUNT_ORDER, {7, 8, 31, 32, 63, 64, MAX32, MAX32 - 1, TOP32}},
    {"refcount_order", QCOW2_OK, {0, 1, 4, 6}},
    {"header_length",
     QCOW2_BAD_HEADER_LENGTH,
     {0, 1, 72, 103, 105, 113, C + 8, MAX32, MAX32 - 7, TOP32}},
    {"header_length", QCOW2_OK, {104, 112, 120, C - 8, C}},
    {"compression_type", QCOW2_BAD_COMPRESSION, {1, 2, 0x7f, 0x80, 0xff}},
};

Test(qcow2, one_field_at_a_time)
{
	for (size_t i = 0; i < ARRAY_SIZE(pokes); i++) {
		for (size_t k = 0;
		     k < ARRAY_SIZE(pokes[i].values) && (k == 0 || pokes[i].values[k] != 0); k++) {
			enum qcow2_refusal r;

			make(&(struct qcow2_plan){.version = 3});
			qcow2_poke(image, pokes[i].field, pokes[i].values[k]);
			r = parse();
			cr_assert_eq(r, pokes[i].refusal, "%s = 0x%llx: %s", pokes[i].field,
			             (unsigned long long)pokes[i].values[k], text_of(r));
		}
	}
}

/* Each field with each of these, over all that an image can have: none may be taken that is strange. */
Test(qcow2, no_field_leads_anywhere)
{
	static const struct qcow2_plan plans[] = {
	    {.version = 2, .cluster_bits = 9, .backing = "b", .backing_format = "raw"},
	    {.version = 3,
	     .cluster_bits = 16,
	     .backing = "b",
	     .backing_format = "qcow2",
	     .bitmaps = true,
	     .luks = true},
	    {.version = 3, .cluster_bits = 14, QCOW2_PLAN_RAW, .data_file = "d"},
	    {.version = 3,
	     .cluster_bits = 15,
	     .incompatible = QCOW2_EXTENDED_L2 | QCOW2_COMPRESSION}};
	unsigned taken = 0, refused = 0;

	for (size_t p = 0; p < ARRAY_SIZE(plans); p++) {
		uint32_t size = qcow2_make(&plans[p], image);

		for (size_t i = 0; i < QCOW2_FIELDS; i++) {
			const struct qcow2_field *f = &qcow2_fields[i];
			uint8_t before[8];

			memcpy(before, image + f->offset, f->bits / 8);
			for (unsigned bit = 0; bit <= f->bits; bit++) {
				uint64_t one = bit < 64 ? UINT64_C(1) << bit : 0;
				const uint64_t values[] = {one,
				                           one - 1,
				                           one + 1,
				                           ~one,
				                           (uint64_t)size << bit % 40,
				                           ((uint64_t)size << bit % 40) - 1,
				                           ((uint64_t)size << bit % 40) + 8};

				for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
					put_be(image + f->offset, f->bits, values[k]);
					if (parse_cut(size, 8 * (uint64_t)size) == QCOW2_OK)
						taken++;
					else
						refused++;
				}
			}
			memcpy(image + f->offset, before, f->bits / 8);
		}
	}
	cr_assert(taken > 500 && refused > 5000, "%u taken, %u refused", taken, refused);
}

/* ---- extensions ---- */

static void extension_is(uint32_t type, uint32_t size, uint64_t autoclear,
                         enum qcow2_refusal refusal)
{
	enum qcow2_refusal r;

	make(&(struct qcow2_plan){.version = 3});
	qcow2_poke(image, "autoclear_features", autoclear);
	put_be(image + FIRST_BYTE, 32, type);
	put_be(image + FIRST_BYTE + 4, 32, size);
	memset(image + FIRST_BYTE + 8, 'a', size < 5000 ? size : 0);
	r = parse();
	cr_assert_eq(r, refusal, "0x%x of %u bytes: %s", type, size, text_of(r));
}

Test(qcow2, lengths_of_extensions)
{
	static const uint32_t types[] = {1,
	                                 MAX32,
	                                 QCOW2_EXT_BACKING_FORMAT,
	                                 QCOW2_EXT_FEATURE_NAMES,
	                                 QCOW2_EXT_BITMAPS,
	                                 QCOW2_EXT_LUKS,
	                                 QCOW2_EXT_DATA_FILE};
	const uint32_t room = (uint32_t)C - FIRST_BYTE - 8;
	const uint32_t beyond[] = {room + 1,  room + 8,  (uint32_t)C, TOP32, TOP32 - 1,
	                           MAX32 - 8, MAX32 - 7, MAX32 - 1,   MAX32};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(beyond); k++)
			extension_is(types[i], beyond[k], 0, QCOW2_BAD_EXTENSION_LENGTH);
	}
	extension_is(1, 0, 0, QCOW2_OK);
	extension_is(1, 1, 0, QCOW2_OK);
	extension_is(1, room, 0, QCOW2_OK);
	extension_is(QCOW2_EXT_END, room + 1, 0, QCOW2_OK); /* it is the end, whatever it says */
	extension_is(QCOW2_EXT_BACKING_FORMAT, 0, 0, QCOW2_OK);
	extension_is(QCOW2_EXT_BACKING_FORMAT, 15, 0, QCOW2_OK);
	extension_is(QCOW2_EXT_BACKING_FORMAT, 16, 0, QCOW2_BAD_BACKING_FORMAT);
	extension_is(QCOW2_EXT_DATA_FILE, 0, 0, QCOW2_BAD_DATA_NAME);
	extension_is(QCOW2_EXT_DATA_FILE, 1, 0, QCOW2_OK);
	extension_is(QCOW2_EXT_DATA_FILE, 4095, 0, QCOW2_OK);
	extension_is(QCOW2_EXT_DATA_FILE, 4096, 0, QCOW2_BAD_DATA_NAME);
	extension_is(QCOW2_EXT_FEATURE_NAMES, 0, 0, QCOW2_OK);
	extension_is(QCOW2_EXT_FEATURE_NAMES, 96, 0, QCOW2_OK);
	extension_is(QCOW2_EXT_FEATURE_NAMES, 47, 0, QCOW2_BAD_FEATURE_NAMES);
	extension_is(QCOW2_EXT_FEATURE_NAMES, 49, 0, QCOW2_BAD_FEATURE_NAMES);
	extension_is(QCOW2_EXT_BITMAPS, 24, 0,
	             QCOW2_OK); /* out of date without its bit, whatever is in it */
	extension_is(QCOW2_EXT_BITMAPS, 24, 1, QCOW2_BAD_BITMAPS);
	extension_is(QCOW2_EXT_BITMAPS, 23, 0, QCOW2_BAD_BITMAPS);
	extension_is(QCOW2_EXT_BITMAPS, 25, 0, QCOW2_BAD_BITMAPS);
	extension_is(QCOW2_EXT_BITMAPS, 0, 0, QCOW2_BAD_BITMAPS);
	extension_is(QCOW2_EXT_LUKS, 16, 0, QCOW2_BAD_LUKS); /* nothing is encrypted */
	/* A bad one before a good one, and in the last bytes that there are. */
	make(&(struct qcow2_plan){
	    .extra = (struct qcow2_extra[]){{QCOW2_EXT_FEATURE_NAMES, 47, NULL}, {1, 0, NULL}},
	    .extras = 2});
	is(QCOW2_BAD_FEATURE_NAMES);
	extension_is(1, room - 8, 0, QCOW2_OK);
	put_be(image + C - 8, 32, QCOW2_EXT_DATA_FILE);
	is(QCOW2_BAD_DATA_NAME);
}

Test(qcow2, each_extension_is_there_once_at_most)
{
	static const uint8_t zeros[24], names[] = "abc";
	static const struct qcow2_extra extras[] = {{QCOW2_EXT_BACKING_FORMAT, 1, names},
	                                            {QCOW2_EXT_DATA_FILE, 1, names},
	                                            {QCOW2_EXT_FEATURE_NAMES, 0, NULL},
	                                            {QCOW2_EXT_BITMAPS, 24, zeros},
	                                            {0x12345678, 3, names},
	                                            {1, 0, NULL}};
	struct qcow2_extra both[ARRAY_SIZE(extras) + 1];

	for (unsigned i = 0; i < ARRAY_SIZE(extras); i++) {
		memcpy(both, extras, sizeof(extras));
		both[ARRAY_SIZE(extras)] = extras[i];
		make(&(struct qcow2_plan){.extra = both, .extras = ARRAY_SIZE(extras)});
		is(QCOW2_OK);
		cr_assert_eq(q.extensions, ARRAY_SIZE(extras));
		make(&(struct qcow2_plan){.extra = both, .extras = ARRAY_SIZE(both)});
		is(QCOW2_BAD_EXTENSION_TWICE);
		cr_assert_eq(q.bad, extras[i].type);
	}
	make(&(struct qcow2_plan){.luks = true,
	                          .extra = (struct qcow2_extra[]){{QCOW2_EXT_LUKS, 16, zeros}},
	                          .extras = 1});
	is(QCOW2_BAD_EXTENSION_TWICE);
}

Test(qcow2, a_cluster_full_of_extensions_costs_no_time)
{
	struct qcow2_extra many[QCOW2_EXTENSIONS_MAX + 1];

	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct qcow2_extra){i + 1, 0, NULL};
	make(&(struct qcow2_plan){.extra = many, .extras = QCOW2_EXTENSIONS_MAX});
	is(QCOW2_OK);
	make(&(struct qcow2_plan){.extra = many, .extras = ARRAY_SIZE(many)});
	is(QCOW2_BAD_EXTENSIONS);
	(void)qcow2_make(&(struct qcow2_plan){.cluster_bits = 21}, image);
	for (size_t at = FIRST_BYTE; at < QCOW2_CLUSTER_MAX; at += 8)
		put_be(image + at, 32, at);
	cr_assert_eq(parse_cut(QCOW2_CLUSTER_MAX, 8 * QCOW2_CLUSTER_MAX), QCOW2_BAD_EXTENSIONS);
}

Test(qcow2, extensions_end_at_the_backing_files_name)
{
	/* The name is what an extension would be: type and length of the data file's. */
	make(&(struct qcow2_plan){.extra = (struct qcow2_extra[]){{1, 8, NULL}}, .extras = 1});
	memcpy(image + FIRST_BYTE + 16, "DATA\1\1\1\1", 8);
	qcow2_poke(image, "backing_file_offset", FIRST_BYTE + 16);
	qcow2_poke(image, "backing_file_size", 8);
	is(QCOW2_OK);
	cr_assert_eq(q.data_file.size, 0);
	name_is(&q.backing, FIRST_BYTE + 16, "DATA\1\1\1\1");
	/* An extension does not go into it, not even its padding. */
	put_be(image + FIRST_BYTE + 4, 32, 9);
	is(QCOW2_BAD_EXTENSION_LENGTH);
	put_be(image + FIRST_BYTE + 4, 32, 8);
	qcow2_poke(image, "backing_file_offset", FIRST_BYTE + 15);
	image[FIRST_BYTE + 15] = 'x';
	is(QCOW2_BAD_EXTENSION_LENGTH);
}

Test(qcow2, a_version_2_name_right_behind_the_header)
{
	make(&(struct qcow2_plan){.version = 2});
	qcow2_poke(image, "backing_file_offset", 72);
	qcow2_poke(image, "backing_file_size", 1023);
	memset(image + 72, 'x', 1023);
	is(QCOW2_OK);
	cr_assert_eq(q.backing.size, 1023);
	qcow2_poke(image, "backing_file_size", 1024);
	is(QCOW2_BAD_BACKING_SIZE);
	qcow2_poke(image, "backing_file_size", 0);
	is(QCOW2_OK);
	cr_assert_eq(q.backing.size, 0);
}

Test(qcow2, a_backing_name_is_within_the_first_cluster_and_has_no_NUL)
{
	make(&(struct qcow2_plan){.version = 3});
	memset(image + C - 100, 'x', 100);
	qcow2_poke(image, "backing_file_offset", C - 100);
	qcow2_poke(image, "backing_file_size", 100);
	is(QCOW2_OK);
	qcow2_poke(image, "backing_file_size", 101);
	is(QCOW2_BAD_BACKING_SIZE);
	qcow2_poke(image, "backing_file_size", MAX32);
	is(QCOW2_BAD_BACKING_SIZE);
	qcow2_poke(image, "backing_file_size", 100);
	for (unsigned at = 1; at <= 100; at += 33) {
		image[C - at] = 0;
		is(QCOW2_BAD_BACKING_NUL);
		image[C - at] = 'x';
	}
}

Test(qcow2, names_in_extensions_have_no_NUL)
{
	make(&(struct qcow2_plan){
	    .extra = (struct qcow2_extra[]){{QCOW2_EXT_BACKING_FORMAT, 4, "ra\0w"}}, .extras = 1});
	is(QCOW2_BAD_BACKING_FORMAT);
	make(&(struct qcow2_plan){
	    .extra = (struct qcow2_extra[]){{QCOW2_EXT_DATA_FILE, 4, "ra\0w"}}, .extras = 1});
	is(QCOW2_BAD_DATA_NAME);
}

Test(qcow2, the_bitmaps_extension)
{
	static const struct {
		unsigned at, bits;
		uint64_t value;
		enum qcow2_refusal refusal;
	} rows[] = {
	    {0, 32, 0, QCOW2_BAD_BITMAPS},
	    {0, 32, 65536, QCOW2_BAD_BITMAPS},
	    {0, 32, MAX32, QCOW2_BAD_BITMAPS},
	    {0, 32, 2, QCOW2_BAD_BITMAPS},
	    {4, 32, 1, QCOW2_BAD_BITMAPS},
	    {8, 64, 0, QCOW2_BAD_BITMAPS},
	    {8, 64, 23, QCOW2_BAD_BITMAPS},
	    {8, 64, (64u << 20) + 1, QCOW2_BAD_BITMAPS},
	    {8, 64, MAX64, QCOW2_BAD_BITMAPS},
	    {8, 64, 64u << 20, QCOW2_BAD_BITMAPS_OFFSET},
	    {16, 64, 0, QCOW2_BAD_BITMAPS_OFFSET},
	    {16, 64, 4 * C + 1, QCOW2_BAD_BITMAPS_OFFSET},
	    {16, 64, 8 * C, QCOW2_BAD_BITMAPS_OFFSET},
	    {16, 64, MAX64 - C + 1, QCOW2_BAD_BITMAPS_OFFSET},
	    {16, 64, TOP64, QCOW2_BAD_BITMAPS_OFFSET},
	    {16, 64, 3 * C, QCOW2_BAD_OVERLAP},
	    {16, 64, C, QCOW2_BAD_OVERLAP},
	    {16, 64, 7 * C, QCOW2_OK},
	    {8, 64, 24, QCOW2_OK},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make(&(struct qcow2_plan){.bitmaps = true});
		is(QCOW2_OK);
		put_be(image + FIRST_BYTE + 8 + rows[i].at, rows[i].bits, rows[i].value);
		is(rows[i].refusal);
	}
	/* The most that there may be, and one more. */
	for (uint32_t more = 0; more < 2; more++) {
		make(&(struct qcow2_plan){.bitmaps = true});
		put_be(image + FIRST_BYTE + 8, 32, 65535 + more);
		put_be(image + FIRST_BYTE + 16, 64, 64u << 20);
		cr_assert_eq(parse_cut(C, 128u << 20), more ? QCOW2_BAD_BITMAPS : QCOW2_OK);
	}
}

Test(qcow2, the_LUKS_extension)
{
	static const struct {
		unsigned at;
		uint64_t value;
		enum qcow2_refusal refusal;
	} rows[] = {
	    {8, 0, QCOW2_BAD_LUKS_OFFSET},
	    {8, MAX64, QCOW2_BAD_LUKS_OFFSET},
	    {8, 3 * C + 1, QCOW2_BAD_LUKS_OFFSET},
	    {8, 3 * C, QCOW2_OK},
	    {0, 0, QCOW2_BAD_LUKS_OFFSET},
	    {0, 5 * C + 512, QCOW2_BAD_LUKS_OFFSET},
	    {0, TOP64, QCOW2_BAD_LUKS_OFFSET},
	    {0, MAX64 - C + 1, QCOW2_BAD_LUKS_OFFSET},
	    {0, C, QCOW2_BAD_OVERLAP},
	    {0, 2 * C, QCOW2_BAD_OVERLAP},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make(&(struct qcow2_plan){.luks = true});
		is(QCOW2_OK);
		put_be(image + FIRST_BYTE + 8 + rows[i].at, 64, rows[i].value);
		is(rows[i].refusal);
	}
	make(&(struct qcow2_plan){.luks = true});
	put_be(image + FIRST_BYTE + 4, 32, 15);
	is(QCOW2_BAD_LUKS);
	make(&(struct qcow2_plan){.luks = true});
	qcow2_poke(image, "crypt_method", 0);
	is(QCOW2_BAD_LUKS);
}

Test(qcow2, features_that_exclude_each_other)
{
	make(&(struct qcow2_plan){QCOW2_PLAN_RAW, .backing = "b"});
	is(QCOW2_BAD_RAW_WITH_BACKING);
	make(&(struct qcow2_plan){QCOW2_PLAN_RAW, .backing = ""});
	is(QCOW2_OK);
	make(&(struct qcow2_plan){QCOW2_PLAN_RAW});
	qcow2_poke(image, "snapshots_offset", 6 * C);
	is(QCOW2_OK);
	qcow2_poke(image, "nb_snapshots", 1);
	is(QCOW2_BAD_SNAPSHOTS);
	make(&(struct qcow2_plan){.incompatible = QCOW2_COMPRESSION});
	is(QCOW2_OK);
	for (unsigned type = 0; type < 256; type++) {
		qcow2_poke(image, "compression_type", type);
		cr_assert_eq(parse(), type == 1 ? QCOW2_OK : QCOW2_BAD_COMPRESSION);
	}
	/* An entry of 16 bytes: a table of L2 reaches half as far. */
	make(&(struct qcow2_plan){.incompatible = QCOW2_EXTENDED_L2, .size = C * C / 8});
	is(QCOW2_OK);
	cr_assert_eq(q.header.l1_size, 2);
	qcow2_poke(image, "l1_size", 1);
	is(QCOW2_BAD_L1_SIZE);
}

/* ---- what was wrong in others: facts by their CVE numbers, as QEMU's fixes of 2014 describe them ---- */

Test(qcow2, CVE_2014_0143_0144_sizes_whose_bytes_overflow)
{
	/* Times 8 or the cluster size each of these is small in 32 bits. */
	static const char *const fields[] = {"l1_size", "refcount_table_clusters", "nb_snapshots"};
	static const uint64_t values[] = {1u << 29, (1u << 29) + 1, (1u << 16) + 1, 1u << 28,
	                                  MAX32};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
			make(&(struct qcow2_plan){.version = 3});
			qcow2_poke(image, fields[i], values[k]);
			cr_assert_neq(parse(), QCOW2_OK, "%s = %llu", fields[i],
			              (unsigned long long)values[k]);
		}
	}
}

Test(qcow2, CVE_2014_0144_header_backing_and_extension_lengths)
{
	make(&(struct qcow2_plan){.backing = "b"});
	qcow2_poke(image, "header_length", C + 8);
	is(QCOW2_BAD_HEADER_LENGTH);
	make(&(struct qcow2_plan){.backing = "b"});
	qcow2_poke(image, "backing_file_size", TOP32);
	is(QCOW2_BAD_BACKING_SIZE);
	/* The backing name before the end of the header, so that the extensions would have less than no room. */
	make(&(struct qcow2_plan){.backing = "b"});
	qcow2_poke(image, "backing_file_offset", 8);
	is(QCOW2_BAD_BACKING_OFFSET);
	extension_is(QCOW2_EXT_BACKING_FORMAT, MAX32, 0, QCOW2_BAD_EXTENSION_LENGTH);
}

Test(qcow2, CVE_2014_0145_0146_0147_tables_of_snapshots_and_refcounts)
{
	make(&(struct qcow2_plan){.version = 2});
	qcow2_poke(image, "nb_snapshots", 1);
	is(QCOW2_BAD_SNAPSHOTS_OFFSET);
	qcow2_poke(image, "snapshots_offset", MAX64 - C + 1);
	is(QCOW2_BAD_SNAPSHOTS_OFFSET);
	qcow2_poke(image, "snapshots_offset", C);
	is(QCOW2_BAD_OVERLAP);
	qcow2_poke(image, "snapshots_offset", 5 * C);
	is(QCOW2_OK);
	qcow2_poke(image, "nb_snapshots", 65536);
	is(QCOW2_BAD_SNAPSHOTS_OFFSET);
	make(&(struct qcow2_plan){.version = 2});
	qcow2_poke(image, "refcount_table_offset", TOP64);
	is(QCOW2_BAD_REFCOUNT_OFFSET);
}

Test(qcow2, CVE_2024_4467_a_name_is_bytes_and_nothing_else)
{
	static const char evil[] = "json:{\"driver\":\"file\",\"filename\":\"/etc/shadow\"}";
	char text[1024];
	struct sbuf s = sbuf_over(text, sizeof(text));

	make(&(struct qcow2_plan){
	    .incompatible = QCOW2_DATA_FILE, .data_file = evil, .backing = "nbd:h\n\x1b[2J"});
	cr_assert_eq(qcow2_parse(image, C, FILE_SIZE, &q), QCOW2_OK);
	cr_assert_eq(q.data_file.size, strlen(evil));
	qcow2_dump(&q, &s);
	cr_assert(strstr(text, "data_file=\"json:{\\x22driver\\x22:"), "%s", text);
	cr_assert(strstr(text, "backing=\"nbd:h\\x0a\\x1b[2J\""), "%s", text);
	cr_assert(strstr(text, "cluster_bits=0x10 size=0x100000 "), "%s", text);
}

Test(qcow2, a_refusal_says_what_was_found)
{
	memset(image, 0, 4);
	cr_assert_eq(parse_cut(4, FILE_SIZE), QCOW2_BAD_MAGIC);
	make(&(struct qcow2_plan){.version = 3});
	qcow2_poke(image, "cluster_bits", 99);
	cr_assert_eq(parse(), QCOW2_BAD_CLUSTER_BITS);
	cr_assert_str_eq(
	    text_of(QCOW2_BAD_CLUSTER_BITS),
	    "cluster_bits is not 9 to 21, or not 14 or more with extended L2 entries (0x63)");
}
