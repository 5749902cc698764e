/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/qcow2.h"

#include "common/checked.h"

#include <string.h>

#define V2_LENGTH 72u
#define V3_LENGTH 104u

#define BACKING_MAX        1023u
#define BACKING_FORMAT_MAX 15u
#define DATA_NAME_MAX      4095u
#define L1_BYTES_MAX       (32u << 20)
#define REFCOUNT_BYTES_MAX (8u << 20)
#define SNAPSHOTS_MAX      65536u
#define SNAPSHOT_LEAST     40u
#define BITMAPS_MAX        65535u
#define BITMAP_LEAST       24u
#define BITMAP_BYTES_MAX   (64u << 20)
#define FEATURE_NAME_SIZE  48u

#define INCOMPATIBLE_KNOWN \
	(QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_DATA_FILE | QCOW2_COMPRESSION | QCOW2_EXTENDED_L2)

/* Where a table is in the file. */
struct range {
	uint64_t offset, size;
};
enum {
	RANGE_HEADER,
	RANGE_L1,
	RANGE_REFCOUNTS,
	RANGE_SNAPSHOTS,
	RANGE_BITMAPS,
	RANGE_LUKS,
	RANGES
};

struct parser {
	struct qcow2 *q;
	const uint8_t *bytes; /* the first cluster */
	uint64_t file_end;    /* of the file's last cluster, whole */
	uint32_t extensions_end;
	struct range range[RANGES];
	unsigned seen;
	uint32_t types[QCOW2_EXTENSIONS_MAX];
	bool has_bitmaps, has_luks;
};

static enum qcow2_refusal refuse(struct qcow2 *q, enum qcow2_refusal why, uint64_t bad)
{
	q->bad = bad;
	return why;
}

/* ---- the table ---- */

static void read_fields(struct rd *r, struct qcow2_header *h, enum qcow2_part wanted)
{
#define QCOW2_RD_8  rd_u8
#define QCOW2_RD_32 rd_be32
#define QCOW2_RD_64 rd_be64
#define FIELD(offset, bits, name, part)  \
	if (QCOW2_PART_##part == wanted) \
		h->name = QCOW2_RD_##bits(r);
#define REFUSAL(NAME, text)
#include "wire/qcow2.def"
#undef REFUSAL
#undef FIELD
}

const struct qcow2_field qcow2_fields[QCOW2_FIELDS] = {
#define FIELD(offset, bits, name, part) {#name, (offset), (bits), QCOW2_PART_##part},
#define REFUSAL(NAME, text)
#include "wire/qcow2.def"
#undef REFUSAL
#undef FIELD
};

void qcow2_dump(const struct qcow2 *q, struct sbuf *s)
{
#define FIELD(offset, bits, name, part) \
	sbuf_add(s, #name "=0x%llx ", (unsigned long long)q->header.name);
#define REFUSAL(NAME, text)
#include "wire/qcow2.def"
#undef REFUSAL
#undef FIELD
	sbuf_add(s, "extensions=%u backing=", q->extensions);
	wt_hblob_dump(s, &q->backing);
	sbuf_add(s, " backing_format=");
	wt_hblob_dump(s, &q->backing_format);
	sbuf_add(s, " data_file=");
	wt_hblob_dump(s, &q->data_file);
}

void qcow2_explain(const struct qcow2 *q, enum qcow2_refusal refusal, struct sbuf *s)
{
	static const char *const texts[] = {
	    [QCOW2_OK] = "nothing is wrong",
#define FIELD(offset, bits, name, part)
#define REFUSAL(NAME, text) [QCOW2_BAD_##NAME] = (text),
#include "wire/qcow2.def"
#undef REFUSAL
#undef FIELD
	};

	sbuf_add(s, "%s (0x%llx)", texts[refusal], (unsigned long long)q->bad);
}

/* ---- the header ---- */

static enum qcow2_refusal read_header(struct rd r, uint64_t file_size, struct qcow2 *q)
{
	struct qcow2_header *h = &q->header;
	size_t size = r.left;

	read_fields(&r, h, QCOW2_PART_V2);
	if (size < sizeof(h->magic))
		return refuse(q, QCOW2_BAD_SHORT, size);
	if (h->magic != QCOW2_MAGIC)
		return refuse(q, QCOW2_BAD_MAGIC, h->magic);
	if (!rd_good(&r))
		return refuse(q, QCOW2_BAD_SHORT, size);
	if (h->version != 2 && h->version != 3)
		return refuse(q, QCOW2_BAD_VERSION, h->version);
	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return refuse(q, QCOW2_BAD_CLUSTER_BITS, h->cluster_bits);
	q->cluster_size = 1u << h->cluster_bits;
	if (size < q->cluster_size || file_size < q->cluster_size)
		return refuse(q, QCOW2_BAD_SHORT, size);
	h->refcount_order = 4;
	h->header_length = V2_LENGTH;
	if (h->version == 2)
		return QCOW2_OK;
	read_fields(&r, h, QCOW2_PART_V3);
	if (h->header_length < V3_LENGTH || h->header_length % 8 != 0 ||
	    h->header_length > q->cluster_size)
		return refuse(q, QCOW2_BAD_HEADER_LENGTH, h->header_length);
	/* A field that is not known, as one behind these or in their padding, changes nothing without a feature's bit. */
	if (h->header_length > V3_LENGTH)
		read_fields(&r, h, QCOW2_PART_ADDED);
	return QCOW2_OK;
}

static enum qcow2_refusal check_features(struct qcow2 *q)
{
	const struct qcow2_header *h = &q->header;
	uint64_t unknown = h->incompatible_features & ~(uint64_t)INCOMPATIBLE_KNOWN;
	bool external = h->incompatible_features & QCOW2_DATA_FILE;
	uint8_t compression = h->incompatible_features & QCOW2_COMPRESSION ? 1 : 0;

	if (unknown)
		return refuse(q, QCOW2_BAD_INCOMPATIBLE, unknown);
	if ((h->incompatible_features & QCOW2_EXTENDED_L2) && h->cluster_bits < 14)
		return refuse(q, QCOW2_BAD_CLUSTER_BITS, h->cluster_bits);
	if (h->compression_type != compression)
		return refuse(q, QCOW2_BAD_COMPRESSION, h->compression_type);
	if (h->refcount_order > 6)
		return refuse(q, QCOW2_BAD_REFCOUNT_ORDER, h->refcount_order);
	if (h->crypt_method != 0 && h->crypt_method != QCOW2_CRYPT_LUKS)
		return refuse(q, QCOW2_BAD_CRYPT, h->crypt_method);
	if ((h->autoclear_features & QCOW2_DATA_RAW) && !external)
		return refuse(q, QCOW2_BAD_RAW_NOT_EXTERNAL, h->autoclear_features);
	if (h->nb_snapshots > SNAPSHOTS_MAX || (h->nb_snapshots > 0 && external))
		return refuse(q, QCOW2_BAD_SNAPSHOTS, h->nb_snapshots);
	return QCOW2_OK;
}

/* ---- tables in the file ---- */

/* Notes a table that has clusters of its own behind the first. Nothing is noted of one without bytes. */
static bool MUST_CHECK put_range(struct parser *p, unsigned which, uint64_t offset, uint64_t size)
{
	uint64_t end;

	if (offset % p->q->cluster_size != 0 || !checked_add_u64(offset, size, &end) ||
	    end > INT64_MAX)
		return false;
	if (size == 0)
		return true;
	p->range[which] = (struct range){.offset = offset, .size = size};
	return offset != 0 && end <= p->file_end;
}

static uint64_t l1_entries_needed(const struct qcow2 *q)
{
	uint64_t entry = q->header.incompatible_features & QCOW2_EXTENDED_L2 ? 16 : 8;
	uint64_t covered = q->cluster_size / entry * q->cluster_size;

	return q->header.size / covered + (q->header.size % covered != 0);
}

static enum qcow2_refusal check_tables(struct parser *p)
{
	struct qcow2 *q = p->q;
	const struct qcow2_header *h = &q->header;
	uint64_t l1_bytes = (uint64_t)h->l1_size * 8;
	uint64_t refcount_bytes = (uint64_t)h->refcount_table_clusters * q->cluster_size;

	if (h->size > INT64_MAX)
		return refuse(q, QCOW2_BAD_SIZE, h->size);
	if (l1_bytes > L1_BYTES_MAX || h->l1_size < l1_entries_needed(q))
		return refuse(q, QCOW2_BAD_L1_SIZE, h->l1_size);
	if (!put_range(p, RANGE_L1, h->l1_table_offset, l1_bytes))
		return refuse(q, QCOW2_BAD_L1_OFFSET, h->l1_table_offset);
	if (refcount_bytes == 0 || refcount_bytes > REFCOUNT_BYTES_MAX)
		return refuse(q, QCOW2_BAD_REFCOUNT_CLUSTERS, h->refcount_table_clusters);
	if (!put_range(p, RANGE_REFCOUNTS, h->refcount_table_offset, refcount_bytes))
		return refuse(q, QCOW2_BAD_REFCOUNT_OFFSET, h->refcount_table_offset);
	if (!put_range(p, RANGE_SNAPSHOTS, h->snapshots_offset,
	               (uint64_t)h->nb_snapshots * SNAPSHOT_LEAST))
		return refuse(q, QCOW2_BAD_SNAPSHOTS_OFFSET, h->snapshots_offset);
	return QCOW2_OK;
}

static enum qcow2_refusal check_overlap(struct parser *p)
{
	for (unsigned i = 0; i < RANGES; i++) {
		for (unsigned k = 0; k < i; k++) {
			const struct range *a = &p->range[i], *b = &p->range[k];

			if (a->offset < b->offset + b->size && b->offset < a->offset + a->size)
				return refuse(p->q, QCOW2_BAD_OVERLAP, a->offset);
		}
	}
	return QCOW2_OK;
}

/* ---- the backing file's name ---- */

static bool has_nul(const struct wt_str *s)
{
	return s->size > 0 && memchr(s->data, 0, s->size);
}

static enum qcow2_refusal read_backing(struct parser *p)
{
	struct qcow2 *q = p->q;
	const struct qcow2_header *h = &q->header;

	p->extensions_end = q->cluster_size;
	if (h->backing_file_offset == 0)
		return QCOW2_OK;
	if (h->backing_file_offset < h->header_length || h->backing_file_offset > q->cluster_size)
		return refuse(q, QCOW2_BAD_BACKING_OFFSET, h->backing_file_offset);
	p->extensions_end = (uint32_t)h->backing_file_offset;
	if (h->backing_file_size > BACKING_MAX ||
	    h->backing_file_size > q->cluster_size - p->extensions_end)
		return refuse(q, QCOW2_BAD_BACKING_SIZE, h->backing_file_size);
	q->backing =
	    (struct wt_str){.data = p->bytes + p->extensions_end, .size = h->backing_file_size};
	if (has_nul(&q->backing))
		return refuse(q, QCOW2_BAD_BACKING_NUL, h->backing_file_offset);
	if (q->backing.size > 0 && (h->autoclear_features & QCOW2_DATA_RAW))
		return refuse(q, QCOW2_BAD_RAW_WITH_BACKING, h->autoclear_features);
	return QCOW2_OK;
}

/* ---- extensions ---- */

static enum qcow2_refusal read_name(struct parser *p, struct rd *r, struct wt_str *ret,
                                    size_t least, size_t most, enum qcow2_refusal why)
{
	size_t size = r->left;

	if (size < least || size > most)
		return refuse(p->q, why, size);
	*ret = (struct wt_str){.data = rd_bytes(r, size), .size = size};
	return has_nul(ret) ? refuse(p->q, why, size) : QCOW2_OK;
}

static enum qcow2_refusal read_bitmaps(struct parser *p, struct rd *r)
{
	uint32_t count = rd_be32(r), reserved = rd_be32(r);
	uint64_t size = rd_be64(r), offset = rd_be64(r);

	if (!rd_end(r))
		return refuse(p->q, QCOW2_BAD_BITMAPS, count);
	/* Without this bit the rest is out of date, and means nothing. */
	if (!(p->q->header.autoclear_features & QCOW2_BITMAPS_VALID))
		return QCOW2_OK;
	if (count < 1 || count > BITMAPS_MAX || reserved != 0 || size > BITMAP_BYTES_MAX ||
	    size < (uint64_t)count * BITMAP_LEAST)
		return refuse(p->q, QCOW2_BAD_BITMAPS, count);
	if (!put_range(p, RANGE_BITMAPS, offset, size))
		return refuse(p->q, QCOW2_BAD_BITMAPS_OFFSET, offset);
	p->has_bitmaps = true;
	return QCOW2_OK;
}

static enum qcow2_refusal read_luks(struct parser *p, struct rd *r)
{
	uint64_t offset = rd_be64(r), size = rd_be64(r);

	if (!rd_end(r) || p->q->header.crypt_method != QCOW2_CRYPT_LUKS)
		return refuse(p->q, QCOW2_BAD_LUKS, p->q->header.crypt_method);
	if (size == 0 || !put_range(p, RANGE_LUKS, offset, size))
		return refuse(p->q, QCOW2_BAD_LUKS_OFFSET, offset);
	p->has_luks = true;
	return QCOW2_OK;
}

static enum qcow2_refusal read_extension(struct parser *p, uint32_t type, struct rd r)
{
	struct qcow2 *q = p->q;

	for (unsigned i = 0; i < q->extensions; i++) {
		if (p->types[i] == type)
			return refuse(q, QCOW2_BAD_EXTENSION_TWICE, type);
	}
	if (q->extensions == QCOW2_EXTENSIONS_MAX)
		return refuse(q, QCOW2_BAD_EXTENSIONS, type);
	p->types[q->extensions++] = type;
	switch (type) {
	case QCOW2_EXT_BACKING_FORMAT:
		return read_name(p, &r, &q->backing_format, 0, BACKING_FORMAT_MAX,
		                 QCOW2_BAD_BACKING_FORMAT);
	case QCOW2_EXT_DATA_FILE:
		return read_name(p, &r, &q->data_file, 1, DATA_NAME_MAX, QCOW2_BAD_DATA_NAME);
	case QCOW2_EXT_FEATURE_NAMES:
		return r.left % FEATURE_NAME_SIZE == 0 ? QCOW2_OK
		                                       : refuse(q, QCOW2_BAD_FEATURE_NAMES, r.left);
	case QCOW2_EXT_BITMAPS:
		return read_bitmaps(p, &r);
	case QCOW2_EXT_LUKS:
		return read_luks(p, &r);
	default:
		return QCOW2_OK;
	}
}

static enum qcow2_refusal read_extensions(struct parser *p)
{
	uint32_t at = p->q->header.header_length;
	struct rd all = rd_over(p->bytes + at, p->extensions_end - at);
	enum qcow2_refusal why = QCOW2_OK;

	while (all.left > 0 && why == QCOW2_OK) {
		uint32_t type = rd_be32(&all), size = rd_be32(&all);
		size_t padded = ((size_t)size + 7) & ~(size_t)7;
		const uint8_t *data;

		if (!rd_good(&all))
			return refuse(p->q, QCOW2_BAD_EXTENSION_LENGTH, 0);
		if (type == QCOW2_EXT_END)
			break;
		data = rd_bytes(&all, padded);
		if (!data)
			return refuse(p->q, QCOW2_BAD_EXTENSION_LENGTH, size);
		why = read_extension(p, type, rd_over(data, size));
	}
	return why;
}

static enum qcow2_refusal check_missing(struct qcow2 *q, const struct parser *p)
{
	if ((q->header.autoclear_features & QCOW2_BITMAPS_VALID) && !p->has_bitmaps)
		return refuse(q, QCOW2_BAD_BITMAPS, 0);
	if (q->header.crypt_method == QCOW2_CRYPT_LUKS && !p->has_luks)
		return refuse(q, QCOW2_BAD_LUKS, q->header.crypt_method);
	return QCOW2_OK;
}

enum qcow2_refusal qcow2_parse(const void *bytes, size_t size, uint64_t file_size,
                               struct qcow2 *ret)
{
	struct parser p = {.q = ret, .bytes = bytes};
	enum qcow2_refusal why;

	*ret = (struct qcow2){.cluster_size = 0};
	why = read_header(rd_over(bytes, size), file_size, ret);
	if (why == QCOW2_OK)
		why = check_features(ret);
	if (why != QCOW2_OK)
		return why;
	/* The last cluster may have been written in part only. */
	p.file_end = file_size > UINT64_MAX - ret->cluster_size
	                 ? UINT64_MAX
	                 : file_size + (-file_size & (ret->cluster_size - 1));
	why = check_tables(&p);
	if (why == QCOW2_OK)
		why = read_backing(&p);
	if (why == QCOW2_OK)
		why = read_extensions(&p);
	if (why == QCOW2_OK)
		why = check_missing(ret, &p);
	return why == QCOW2_OK ? check_overlap(&p) : why;
}
