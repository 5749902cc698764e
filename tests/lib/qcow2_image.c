/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/qcow2_image.h"

#include <string.h>

enum { CLUSTER_REFCOUNTS = 1, CLUSTER_L1 = 3, CLUSTER_BITMAPS = 4, CLUSTER_LUKS = 5 };

void put_be(uint8_t *out, unsigned bits, uint64_t value)
{
	for (unsigned i = bits / 8; i-- > 0; value >>= 8)
		out[i] = (uint8_t)value;
}

void qcow2_poke(uint8_t *image, const char *field, uint64_t value)
{
	size_t i = 0;

	while (i < QCOW2_FIELDS && strcmp(qcow2_fields[i].name, field) != 0)
		i++;
	BUG_ON(i == QCOW2_FIELDS);
	put_be(image + qcow2_fields[i].offset, qcow2_fields[i].bits, value);
}

static uint8_t *put_extension(uint8_t *at, uint32_t type, const void *data, uint32_t size)
{
	put_be(at, 32, type);
	put_be(at + 4, 32, size);
	if (data)
		memcpy(at + 8, data, size);
	return at + 8 + ((size + 7) & ~7u);
}

static uint8_t *put_text(uint8_t *at, uint32_t type, const char *text)
{
	return text ? put_extension(at, type, text, (uint32_t)strlen(text)) : at;
}

static uint8_t *put_extensions(const struct qcow2_plan *plan, uint8_t *at, uint32_t cluster)
{
	uint8_t body[24] = {0};

	at = put_text(at, QCOW2_EXT_BACKING_FORMAT, plan->backing_format);
	at = put_text(at, QCOW2_EXT_DATA_FILE, plan->data_file);
	if (plan->bitmaps) {
		put_be(body, 32, 1);
		put_be(body + 8, 64, 32);
		put_be(body + 16, 64, CLUSTER_BITMAPS * cluster);
		at = put_extension(at, QCOW2_EXT_BITMAPS, body, 24);
	}
	if (plan->luks) {
		put_be(body, 64, CLUSTER_LUKS * cluster);
		put_be(body + 8, 64, cluster + 1);
		at = put_extension(at, QCOW2_EXT_LUKS, body, 16);
	}
	for (unsigned i = 0; i < plan->extras; i++)
		at = put_extension(at, plan->extra[i].type, plan->extra[i].data,
		                   plan->extra[i].size);
	return put_extension(at, QCOW2_EXT_END, NULL, 0);
}

uint32_t qcow2_make(const struct qcow2_plan *plan, uint8_t *out)
{
	unsigned version = plan->version ? plan->version : 3,
	         bits = plan->cluster_bits ? plan->cluster_bits : 16;
	uint64_t size = plan->size ? plan->size : QCOW2_PLAN_SIZE;
	uint32_t cluster = 1u << bits, header = version == 2 ? 72 : 112;
	uint64_t covered =
	    (uint64_t)cluster / (plan->incompatible & QCOW2_EXTENDED_L2 ? 16 : 8) * cluster;
	uint8_t *end;

	memset(out, 0, QCOW2_CLUSTER_MAX);
	qcow2_poke(out, "magic", QCOW2_MAGIC);
	qcow2_poke(out, "version", version);
	qcow2_poke(out, "cluster_bits", bits);
	qcow2_poke(out, "size", size);
	qcow2_poke(out, "crypt_method", plan->luks ? QCOW2_CRYPT_LUKS : 0);
	qcow2_poke(out, "l1_size", (size + covered - 1) / covered);
	qcow2_poke(out, "l1_table_offset", CLUSTER_L1 * cluster);
	qcow2_poke(out, "refcount_table_offset", CLUSTER_REFCOUNTS * cluster);
	qcow2_poke(out, "refcount_table_clusters", 1);
	if (version != 2) {
		qcow2_poke(out, "incompatible_features", plan->incompatible);
		qcow2_poke(out, "autoclear_features",
		           plan->autoclear | (plan->bitmaps ? QCOW2_BITMAPS_VALID : 0));
		qcow2_poke(out, "refcount_order", 4);
		qcow2_poke(out, "header_length", header);
		qcow2_poke(out, "compression_type", plan->incompatible & QCOW2_COMPRESSION ? 1 : 0);
	}
	end = put_extensions(plan, out + header, cluster);
	if (plan->backing) {
		qcow2_poke(out, "backing_file_offset", (uint64_t)(end - out));
		qcow2_poke(out, "backing_file_size", strlen(plan->backing));
		memcpy(end, plan->backing, strlen(plan->backing));
	}
	return cluster;
}

static bool is_inside(const struct wt_str *s, const uint8_t *bytes, size_t least, size_t end,
                      size_t most)
{
	size_t at;

	if (s->size == 0)
		return true;
	at = (size_t)(s->data - bytes);
	return at >= least && at <= end && s->size <= end - at && s->size <= most &&
	       !memchr(s->data, 0, s->size);
}

static bool is_place(uint64_t offset, uint64_t size, uint32_t cluster, uint64_t file_size)
{
	return size == 0 || (offset >= cluster && offset % cluster == 0 && offset < file_size &&
	                     size <= INT64_MAX - offset);
}

const char *qcow2_strange(const struct qcow2 *q, const uint8_t *bytes, uint64_t file_size)
{
	const struct qcow2_header *h = &q->header;
	uint32_t c = q->cluster_size;

	if (h->magic != QCOW2_MAGIC || (h->version != 2 && h->version != 3))
		return "magic and version";
	if (c < 512 || c > QCOW2_CLUSTER_MAX || c != 1u << h->cluster_bits || c > file_size)
		return "cluster size";
	if (h->header_length < 72 || h->header_length > c || h->refcount_order > 6)
		return "header length, refcount order";
	if (h->incompatible_features > 0x1f || (h->autoclear_features & QCOW2_DATA_RAW &&
	                                        !(h->incompatible_features & QCOW2_DATA_FILE)))
		return "features";
	if (!is_inside(&q->backing, bytes, h->header_length, c, 1023) ||
	    !is_inside(&q->backing_format, bytes, h->header_length, c, 15) ||
	    !is_inside(&q->data_file, bytes, h->header_length, c, 4095))
		return "names";
	if (q->backing.size > 0 && (h->autoclear_features & QCOW2_DATA_RAW))
		return "backing of what is raw";
	if (h->size > INT64_MAX || h->l1_size > 4u << 20 || (h->size > 0 && h->l1_size == 0))
		return "size";
	if (!is_place(h->l1_table_offset, h->l1_size * UINT64_C(8), c, file_size) ||
	    !is_place(h->refcount_table_offset, h->refcount_table_clusters, c, file_size) ||
	    !is_place(h->snapshots_offset, h->nb_snapshots, c, file_size))
		return "places of tables";
	if (h->refcount_table_clusters == 0 ||
	    (uint64_t)h->refcount_table_clusters * c > 8u << 20 || h->nb_snapshots > 65536)
		return "sizes of tables";
	if (h->crypt_method == 1 || h->crypt_method > 2)
		return "encryption";
	return NULL;
}
