/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vu_packed.h: what vu_driver.c does when its ring is a packed one (virtio 1.2, 2.8).
 *
 * A head is the buffer's id then, and an indirect table is a chain's only descriptor.
 */
#ifndef VIRTFS_TESTS_LIB_VU_PACKED_H
#define VIRTFS_TESTS_LIB_VU_PACKED_H

#include "tests/lib/vu_driver.h"

/* Of a descriptor's flags, besides NEXT, WRITE and INDIRECT. */
#define VU_DESC_AVAIL 0x80u
#define VU_DESC_USED  0x8000u

/* Of the event suppression areas. */
#define VU_EVENT_ENABLE  0
#define VU_EVENT_DISABLE 1
#define VU_EVENT_DESC    2

struct vu_pdesc {
	uint64_t addr;
	uint32_t len;
	uint16_t id, flags;
};

struct vu_pevent {
	uint16_t off_wrap, flags;
};

/** struct vu_packed - the test's own knowledge of the ring */
struct vu_packed {
	struct vu_pdesc *desc;             /* in guest memory, to be lied in */
	struct vu_pevent *driver, *device; /* likewise */
	uint16_t avail, used;              /* next to offer, next to see */
	bool avail_wrap, used_wrap;
	struct vu_pdesc **chain; /* of each id, as it will stand in the ring */
	uint16_t *slots;         /* how many those are */
	bool *offered;
	bool
	    held; /* something was put and not published: its first descriptor's flags are held back */
	uint16_t held_at, held_flags;
	uint16_t unkicked; /* descriptors published since the last decision to kick */
};

void vu_packed_init(struct vu_ring *r);
void vu_packed_end(struct vu_ring *r);
void vu_packed_clear(struct vu_ring *r);
uint32_t vu_packed_base(const struct vu_ring *r);
uint16_t vu_packed_add(struct vu_ring *r, const struct vu_sg *sg, unsigned count);
uint16_t vu_packed_add_indirect(struct vu_ring *r, const struct vu_sg *sg, unsigned count);
void vu_packed_free(struct vu_ring *r, uint16_t id);
void vu_packed_put(struct vu_ring *r, uint16_t id);
void vu_packed_publish(struct vu_ring *r);
bool vu_packed_wants_kick(struct vu_ring *r);
bool vu_packed_ended(const struct vu_ring *r);
bool vu_packed_take(struct vu_ring *r, struct vu_used_elem *ret);
/** vu_packed_want() - An interrupt for the next used one. */
void vu_packed_want(struct vu_ring *r);

#endif
