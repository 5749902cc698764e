/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inflight.h: which requests of a ring are under way, kept where a crash of ours does not reach
 * (vhost-user specification, "Inflight I/O tracking").
 *
 * We make the area and the front end keeps it; after a reconnection it comes back, and the requests
 * that were under way are taken again, in their order. The front end can write it: all that is read
 * from it is held against the ring's size, once, at the start; while the ring runs it is only written.
 */
#ifndef VIRTFS_VIRTIO_INFLIGHT_H
#define VIRTFS_VIRTIO_INFLIGHT_H

#include "common/compiler.h"
#include "virtio/memory.h"

#include <stdbool.h>
#include <stdint.h>

struct desc;            /* ring.h */
struct packed_desc;     /* ring.h */
struct inflight_ring;   /* one queue's part of an area, when the ring is a split one */
struct inflight_packed; /* and when it is a packed one */

/** inflight_size() / inflight_packed_size() - Bytes of an area for so many queues. The second holds
 * either. */
uint64_t inflight_size(unsigned queues, unsigned queue_size);
uint64_t inflight_packed_size(unsigned queues, unsigned queue_size);

/** inflight_make() - A new area for rings of either format, all zero, in a file of its own that is
 * the caller's. Return: 0 or -errno. */
int MUST_CHECK inflight_make(unsigned queues, unsigned queue_size, int *ret_fd);

/** inflight_ring_of() / inflight_packed_of() - Queue number index of an area; NULL if the piece is
 * too small for it or not aligned to 8 bytes. */
struct inflight_ring *inflight_ring_of(const struct shared_piece *area, unsigned index,
                                       unsigned queue_size);
struct inflight_packed *inflight_packed_of(const struct shared_piece *area, unsigned index,
                                           unsigned queue_size);

/** inflight_forget() / inflight_packed_forget() - Nothing is under way: the ring is a new one. */
void inflight_forget(struct inflight_ring *r);
void inflight_packed_forget(struct inflight_packed *r);

/** inflight_sort() - By their first number. */
void inflight_sort(uint64_t (*a)[2], size_t count);

/* ---- split rings ---- */

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

/* ---- packed rings ---- */

/** struct inflight_place - a position in the ring, and the lap's wrap counter */
struct inflight_place {
	uint16_t at;
	bool wrap;
};

struct inflight_entry; /* what the area has of a descriptor */

/** struct inflight_packed_state - what we keep of it ourselves while the ring runs; all zero at first */
struct inflight_packed_state {
	unsigned size;
	uint64_t counter;
	uint16_t *next; /* of each entry: in its chain, or in the list of those that are free */
	uint16_t *head, *last; /* of each id under way: its chain's entries */
	uint16_t free;         /* the list's first; not below size: none */
	struct inflight_place used;
	unsigned slots;               /* that the chains to be taken again have in the ring */
	struct inflight_entry *found; /* the area, as it was at the start */
	uint16_t *again;              /* first entries of chains to take again, in order */
	unsigned again_count, again_next;
	uint16_t *batch; /* ids pushed and not published */
	unsigned batch_count;
};

/**
 * inflight_packed_start() - Mend what a crash left and find what was under way
 *
 * used: where the front end says that the device uses the ring next; what the area says goes before,
 * and is in s->used. The chains to be taken again are in the s->slots from there on. Return: 0,
 * -EINVAL when the area says what cannot be, or -ENOMEM.
 */
int MUST_CHECK inflight_packed_start(struct inflight_packed *r, struct inflight_packed_state *s,
                                     unsigned size, struct packed_desc *ring,
                                     struct inflight_place used);
void inflight_packed_end(struct inflight_packed_state *s);

/** inflight_packed_again() - The descriptors of the next chain to take again; at most VQ_DESCS_MAX.
 * Return: how many; 0 when there is none left; VQ_DESCS_MAX + 1 for too many. */
unsigned inflight_packed_again(struct inflight_packed_state *s, struct desc *table);
/** inflight_packed_resumed() - That chain is under way, with this id. */
void inflight_packed_resumed(struct inflight_packed_state *s, uint16_t id);
/** inflight_packed_taken() - A new one is; with the others it has at most as many descriptors as the ring. */
void inflight_packed_taken(struct inflight_packed *r, struct inflight_packed_state *s,
                           const struct desc *table, unsigned count);
/** inflight_packed_pushed() - It was used; the driver cannot see that yet. */
void inflight_packed_pushed(struct inflight_packed_state *s, uint16_t id);
/** inflight_packed_show() / inflight_packed_shown() - Before the flags of what was pushed are written, and after it. */
void inflight_packed_show(struct inflight_packed *r, struct inflight_packed_state *s,
                          struct inflight_place used);
void inflight_packed_shown(struct inflight_packed *r, struct inflight_packed_state *s);

#endif
