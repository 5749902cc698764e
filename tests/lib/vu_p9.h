/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vu_p9.h: a p9_client whose requests go over a virtqueue.
 *
 * Each request has a buffer for itself and one for its reply; how they are cut into descriptors is the shape's to say, and
 * a test may change it between requests. A used length other than the reply's size fails the test.
 */
#ifndef VIRTFS_TESTS_LIB_VU_P9_H
#define VIRTFS_TESTS_LIB_VU_P9_H

#include "tests/lib/p9_client.h"
#include "tests/lib/vu_driver.h"

#define VU_P9_ROOM   16384 /* of each buffer, unless told otherwise */
#define VU_P9_PIECES 2048  /* of a request and its reply */

enum vu_way {
	VU_DIRECT,
	VU_INDIRECT,       /* one table */
	VU_FIRST_DIRECT,   /* the first piece direct, then a table */
	VU_READ_DIRECT_ALL /* the request's pieces direct, the reply's in a table */
};

struct vu_shape {
	enum vu_way way;
	uint32_t out_first, in_first; /* size of the first piece; 0: as the others */
	uint32_t out_piece, in_piece; /* of the others; 0: all that is left */
	uint32_t in_room;             /* for the reply; 0: the buffer's */
	bool none_for_reply;          /* no descriptor to write to */
	bool empty_between;           /* descriptors of no bytes before, between and after */
	bool straddle_out; /* the request lies across VU_LOW and VU_HIGH: one at a time */
	bool straddle_in;  /* the reply's buffer does; not both */
};

struct vu_p9_slot {
	bool busy;
	bool
	    killed; /* whoever had it was killed, and may have written more of a reply than the next one does */
	uint16_t tag;
	uint64_t out, in; /* of the request under way */
	uint64_t home;    /* the head's own buffers, one behind the other */
	uint32_t in_room;
};

struct vu_p9 {
	struct p9_link link;
	struct p9_client c;
	struct vu_ring *ring;
	uint32_t room;
	struct vu_shape shape;
	struct vu_p9_slot *slot; /* of each head */
	uint32_t straddle;       /* counts those */
	bool hold_kick;          /* offer, without telling the device */
	bool closed;             /* the ring serves no more: p9_wait() gives P9_GONE */
	unsigned zeros;          /* used elements of length 0 */
	uint16_t zero_tag;       /* whose the last one was */
	unsigned flying;         /* offered and not ended */
};

/** vu_p9_init() - Over that ring, with so much room (0: VU_P9_ROOM) for each request and for each reply. Nothing is sent. */
void vu_p9_init(struct vu_p9 *p, struct vu_ring *r, uint32_t room);
void vu_p9_end(struct vu_p9 *p);

/** vu_p9_forget() - After the ring was cleared: no request is under way. */
void vu_p9_forget(struct vu_p9 *p);

/** vu_p9_killed() - The device was killed with what is under way. */
void vu_p9_killed(struct vu_p9 *p);

/** vu_p9_offer() - Any bytes as a request, whose tag the test says. Return: its head. */
uint16_t vu_p9_offer(struct vu_p9 *p, const void *bytes, size_t size, uint16_t tag);

/** vu_p9_take() - Account for a used element and copy its reply (at most room bytes). Return: its length, perhaps 0. */
size_t vu_p9_take(struct vu_p9 *p, const struct vu_used_elem *e, uint8_t *buffer, size_t room);

/** vu_p9_in() / vu_p9_out() - Where a head's reply is written to and its request stands, as the test sees it. */
uint8_t *vu_p9_in(struct vu_p9 *p, uint16_t head);
uint8_t *vu_p9_out(struct vu_p9 *p, uint16_t head);

#endif
