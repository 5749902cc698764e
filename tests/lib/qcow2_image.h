/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2_image.h: first clusters of qcow2 images, made by hand, and what must be so of one that was taken. */
#ifndef VIRTFS_TESTS_LIB_QCOW2_IMAGE_H
#define VIRTFS_TESTS_LIB_QCOW2_IMAGE_H

#include "wire/qcow2.h"

/** struct qcow2_extra - an extension of any type */
struct qcow2_extra {
	uint32_t type;
	uint32_t size;    /* as it is said */
	const void *data; /* NULL: zeros */
};

/** struct qcow2_plan - what the header says; what is 0 or NULL is as qemu-img would have it, or left out */
struct qcow2_plan {
	unsigned version, cluster_bits; /* 3, 16 */
	uint64_t size;                  /* QCOW2_PLAN_SIZE */
	uint64_t incompatible, autoclear;
	const char *backing, *backing_format, *data_file;
	bool luks, bitmaps; /* with all that belongs to it */
	const struct qcow2_extra *extra;
	unsigned extras;
};

#define QCOW2_PLAN_SIZE (1u << 20)

/* What a plan with a data file that is raw needs. */
#define QCOW2_PLAN_RAW .incompatible = QCOW2_DATA_FILE, .autoclear = QCOW2_DATA_RAW

/** qcow2_make() - Write the first cluster to out, which has room for QCOW2_CLUSTER_MAX. Return: its size in bytes; the
 * tables that it leads to end at 8 times that. */
uint32_t qcow2_make(const struct qcow2_plan *plan, uint8_t *out);

/** qcow2_poke() - Change one field of it. */
void qcow2_poke(uint8_t *image, const char *field, uint64_t value);

/** put_be() - Write the low bits of value, big-endian. */
void put_be(uint8_t *out, unsigned bits, uint64_t value);

/** qcow2_strange() - What is not as it must be of an image that qcow2_parse() took; NULL if there is nothing. */
const char *qcow2_strange(const struct qcow2 *q, const uint8_t *bytes, uint64_t file_size);

#endif
