/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vring.h: a driver's side of a virtqueue, in memory that is shared by a descriptor.
 *
 * The guest has two regions that touch, in one file: gpa VRING_GPA on, VRING_REGION bytes each. The
 * rings lie in the first; what stands at a gpa is found by vring_at().
 */
#ifndef VIRTFS_TESTS_LIB_VRING_H
#define VIRTFS_TESTS_LIB_VRING_H

#include "virtio/memory.h"

#include <stdbool.h>
#include <stdint.h>

#define VRING_GPA    0x100000u
#define VRING_UVA    0x7f0000000000u
#define VRING_REGION 0x100000u
#define VRING_DESC   (VRING_GPA + 0x10000u)
#define VRING_AVAIL  (VRING_GPA + 0xa0000u)
#define VRING_USED   (VRING_GPA + 0xb1000u)
#define VRING_FREE   (VRING_GPA + 0xf8000u) /* from here on nothing of ours lies, up to the end */
#define VRING_END    (VRING_GPA + 2 * VRING_REGION)

#define VRING_NEXT     1u
#define VRING_WRITE    2u
#define VRING_INDIRECT 4u

struct vring_desc_bytes {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vring {
	int fd; /* the memory, 2 * VRING_REGION bytes */
	uint8_t *memory;
	unsigned size;
};

/** vring_make() - Memory of zeros with a ring of that size. Ends the program when it cannot. */
void vring_make(struct vring *v, unsigned size);
void vring_free(struct vring *v);

/** vring_region() - Region 0 or 1, as a front end tells of it. */
struct guest_region vring_region(unsigned i);

/** vring_map() - Both, mapped as a device does. */
struct guest_map *vring_map(const struct vring *v);

void *vring_at(const struct vring *v, uint64_t gpa);
static inline uint64_t vring_uva(uint64_t gpa)
{
	return gpa - VRING_GPA + VRING_UVA;
}

/** vring_desc() - Write descriptor number i of the table at gpa (VRING_DESC or an indirect one). */
void vring_desc(const struct vring *v, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
                unsigned flags, unsigned next);

/** vring_offer() - Put a head into the available ring and show it. */
void vring_offer(const struct vring *v, unsigned head);

uint16_t *vring_avail_flags(const struct vring *v);
uint16_t *vring_avail_idx(const struct vring *v);
uint16_t *vring_used_event(const struct vring *v);
uint16_t vring_used_flags(const struct vring *v);
uint16_t *vring_used_idx(const struct vring *v);
uint16_t vring_avail_event(const struct vring *v);

/** vring_used() - Element number i (modulo the ring's size) of the used ring: its id, and its length
 * in *ret_len. */
uint32_t vring_used(const struct vring *v, unsigned i, uint32_t *ret_len);

#endif
