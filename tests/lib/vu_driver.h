/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vu_driver.h: the driver's side of a virtqueue (virtio 1.2, 2.7) in the memory of a vu_front: a split one, or a packed one
 * (vu_packed.h) if the front end has acknowledged that.
 *
 * It does what Linux's driver does, waits by interrupt alone (so a lost one shows), and lies only where a test writes into
 * its tables. What it must know for itself it keeps outside guest memory.
 */
#ifndef VIRTFS_TESTS_LIB_VU_DRIVER_H
#define VIRTFS_TESTS_LIB_VU_DRIVER_H

#include "tests/lib/vu_front.h"

#define VU_DESC_NEXT     1
#define VU_DESC_WRITE    2
#define VU_DESC_INDIRECT 4
#define VU_NO_INTERRUPT  1 /* avail->flags */
#define VU_NO_NOTIFY     1 /* used->flags */

struct vu_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vu_avail {
	uint16_t flags, idx, ring[];
};

struct vu_used_elem {
	uint32_t id, len;
};

struct vu_used {
	uint16_t flags, idx;
	struct vu_used_elem ring[];
};

/** struct vu_sg - a piece of a buffer; flags: VU_DESC_WRITE or 0 */
struct vu_sg {
	uint64_t gpa;
	uint32_t size;
	uint16_t flags;
};

struct vu_packed;

struct vu_ring {
	struct vu_front *f;
	struct vu_packed *packed; /* NULL: a split ring, and the next six are its own */
	uint16_t index, size;
	bool event_idx;
	/* in guest memory, to be lied in */
	uint64_t desc_gpa, avail_gpa, used_gpa;
	struct vu_desc *desc;
	struct vu_avail *avail;
	struct vu_used *used;
	uint16_t *used_event, *avail_event;
	/* the test's own */
	int kick, call, err; /* what the test writes or reads */
	int call_sent;       /* what is sent for CALL; call itself unless that is a socket */
	uint16_t avail_idx, used_idx; /* next to offer, next to see */
	uint16_t kicked_idx;          /* avail_idx at the last decision to kick */
	uint16_t free_head, free_count;
	uint16_t *next;  /* of each descriptor, free or not */
	uint64_t *table; /* each head's indirect table */
	uint32_t *table_size;
	uint64_t kicks; /* sent */
};

#define VU_END 0xffffu

/** vu_ring_init() - Lay a ring of that size out in VU_LOW; event_idx as the front end's features say. */
void vu_ring_init(struct vu_ring *r, struct vu_front *f, uint16_t index, uint16_t size);

/** vu_ring_use_sockets() - Give the back end a stream socket as its call descriptor, as User-Mode Linux does. */
void vu_ring_use_sockets(struct vu_ring *r);

void vu_ring_end(struct vu_ring *r);

/** vu_ring_clear() - Empty, as after a reset: indices 0 in guest memory too, all descriptors free. */
void vu_ring_clear(struct vu_ring *r);

/** vu_ring_set_base() - Of a split ring: clear, and let all indices begin there. */
void vu_ring_set_base(struct vu_ring *r, uint16_t base);

/* ---- telling the back end ---- */

void vu_tell_num(struct vu_ring *r);
void vu_tell_base(struct vu_ring *r);
void vu_tell_addr(struct vu_ring *r);
void vu_tell_kick(struct vu_ring *r);
void vu_tell_call(struct vu_ring *r);
void vu_tell_err(struct vu_ring *r);
void vu_tell_enable(struct vu_ring *r, bool enable);

/** vu_ring_start() - All of it, in that order. */
void vu_ring_start(struct vu_ring *r);

/** vu_ring_stop() - GET_VRING_BASE. Return: the index that the back end would take next; of a packed ring its place alone. */
uint16_t vu_ring_stop(struct vu_ring *r);

/** vu_ring_pause() - The same. Return: the whole value, for SET_VRING_BASE. */
uint32_t vu_ring_pause(struct vu_ring *r);

/** vu_ring_go_on() - Start it again from there, as after QEMU's stop and cont. */
void vu_ring_go_on(struct vu_ring *r, uint32_t base);

/** vu_ring_all_ended() - Whether all has ended that the back end took before it stopped with that base. */
bool vu_ring_all_ended(const struct vu_ring *r, uint32_t base);

/* ---- requests ---- */

/** vu_ring_add() - Descriptors for these pieces, one each. Nothing is offered. Return: their head. */
uint16_t vu_ring_add(struct vu_ring *r, const struct vu_sg *sg, unsigned count);

/** vu_ring_add_indirect() - The first pieces (direct of them) one descriptor each, the others in a table. Return: the head. */
uint16_t vu_ring_add_indirect(struct vu_ring *r, const struct vu_sg *sg, unsigned count,
                              unsigned direct);

/** vu_ring_table() - Guest memory for an indirect table of so many entries, that head's for good. Return: where. */
uint64_t vu_ring_table(struct vu_ring *r, uint16_t head, uint32_t entries);

/** vu_ring_free() - Take back the descriptors of a head. */
void vu_ring_free(struct vu_ring *r, uint16_t head);

/** vu_ring_put() - Write it into the next slot of the available ring, not telling yet. */
void vu_ring_put(struct vu_ring *r, uint16_t head);

/** vu_ring_publish() - Make all that was put visible: avail->idx. */
void vu_ring_publish(struct vu_ring *r);

/** vu_ring_kick() - Notify the device if it wants that. */
void vu_ring_kick(struct vu_ring *r);
/** vu_ring_kick_anyway() - Whatever it wants. */
void vu_ring_kick_anyway(struct vu_ring *r);

/** vu_ring_offer() - Put, publish, kick. */
void vu_ring_offer(struct vu_ring *r, uint16_t head);

/**
 * vu_ring_used() - The next used element, waiting for it so long
 *
 * Fails the test if there is one and no interrupt told of it (but for ms 0, which does not wait). The caller frees the
 * head. Return: false when none came.
 */
bool vu_ring_used(struct vu_ring *r, int ms, struct vu_used_elem *ret);

/** vu_ring_ended() - Whether there is a used element that was not seen. */
bool vu_ring_ended(const struct vu_ring *r);

/** vu_ring_broken() - Whether the device says by the error descriptor that it gave the ring up; waits so long. */
bool vu_ring_broken(struct vu_ring *r, int ms);

/** vu_eventfd() - A new one. vu_event_take() - read it: how often it was signalled, 0 for not at all. */
int vu_eventfd(void);
uint64_t vu_event_take(int fd);

#endif
