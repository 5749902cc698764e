/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inflight.h: which requests of a split ring are under way, kept where a crash of ours does not
 * reach (vhost-user specification, "Inflight I/O tracking").
 *
 * We make the area and the front end keeps it; after a reconnection it comes back, and the requests
 * that were under way are taken again, in their order. The front end can write it: all that is read
 * from it is held against the ring's size.
 */
#ifndef VIRTFS_VIRTIO_INFLIGHT_H
#define VIRTFS_VIRTIO_INFLIGHT_H

#include "common/compiler.h"
#include "virtio/memory.h"

#include <stdbool.h>
#include <stdint.h>

struct inflight_ring; /* one queue's part of an area */

/** inflight_size() - Bytes of an area for so many queues. */
uint64_t inflight_size(unsigned queues, unsigned queue_size);

/** inflight_make() - A new area, all zero, in a file of its own that is the caller's. Return: 0 or
 * -errno. */
int MUST_CHECK inflight_make(unsigned queues, unsigned queue_size, int *ret_fd);

/** inflight_ring_of() - Queue number index of an area; NULL if the piece is too small for it or not
 * aligned to 8 bytes. */
struct inflight_ring *inflight_ring_of(const struct shared_piece *area, unsigned index,
                                       unsigned queue_size);

/** struct inflight_state - what we keep of it ourselves while the ring runs; all zero at first */
struct inflight_state {
	uint64_t counter;
	uint16_t *again; /* heads to take again, in order */
	unsigned again_count, again_next;
	uint16_t *batch; /* heads pushed and not published */
	unsigned batch_count;
};

/**
 * inflight_start() - Mend what a crash left and find what was under way
 *
 * size: the ring's, at most the area's; used_idx: the ring's. What was kept of a ring of another size
 * is forgotten. Return: 0 or -ENOMEM.
 */
int MUST_CHECK inflight_start(struct inflight_ring *r, struct inflight_state *s, unsigned size,
                              uint16_t used_idx);
void inflight_end(struct inflight_state *s);

void inflight_taken(struct inflight_ring *r, struct inflight_state *s, uint16_t head);
/** inflight_pushed() - Its used element is written. */
void inflight_pushed(struct inflight_ring *r, struct inflight_state *s, uint16_t head);
/** inflight_published() - used.idx is written. */
void inflight_published(struct inflight_ring *r, struct inflight_state *s, uint16_t used_idx);

#endif
