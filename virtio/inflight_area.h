/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inflight_area.h: what the areas of both ring formats have in common; for inflight.c and inflight_packed.c. */
#ifndef VIRTFS_VIRTIO_INFLIGHT_AREA_H
#define VIRTFS_VIRTIO_INFLIGHT_AREA_H

#include "virtio/ring.h"

#define VERSION    1
#define QUEUE_STEP 64 /* each queue's part starts at a multiple of it, in its own cache line */

/* The order of these writes is what a successor relies on, should we end between any two. */
#define BETWEEN() BARRIER()

/** inflight_part_size() - Bytes of one queue's part: a head, and an entry for each descriptor. */
static inline uint64_t inflight_part_size(size_t head, size_t entry, unsigned queue_size)
{
	uint64_t size = head + queue_size * (uint64_t)entry;

	return (size + QUEUE_STEP - 1) / QUEUE_STEP * QUEUE_STEP;
}

#endif
