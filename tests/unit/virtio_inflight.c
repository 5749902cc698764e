/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio_inflight.c: requests that were under way when we ended are taken again, once, in their order. */
#include "tests/lib/vq_bed.h"
#include "virtio/inflight.h"

#include <sys/mman.h>

#define SIZE 8

/* The layout that another back end must find too (vhost-user specification, "Inflight I/O tracking"). */
struct area {
	uint64_t features;
	uint16_t version, desc_num, last_batch_head, used_idx;
	struct {
		uint8_t inflight, padding[5];
		uint16_t next;
		uint64_t counter;
	} desc[SIZE];
};

struct track {
	struct bed b;
	int fd;
	struct shared_piece *piece;
	struct area *area;
};

/* What a process that was killed held; here it stays, so that no leak checker minds. */
static struct track t;
static struct vq *dead[8];
static unsigned dead_count;

static int start_tracked(uint32_t base)
{
	const struct vq_setup s = {.size = t.b.v.size,
	                           .features = BOTH,
	                           .desc = vring_uva(VRING_DESC),
	                           .avail = vring_uva(VRING_AVAIL),
	                           .used = vring_uva(VRING_USED),
	                           .base = base,
	                           .map = t.b.map,
	                           .inflight = inflight_ring_of(t.piece, 0, SIZE)};

	return vq_start(t.b.q, &s);
}

static void begin(void)
{
	make(&t.b, SIZE);
	cr_assert_eq(inflight_make(1, SIZE, &t.fd), 0);
	cr_assert_eq(shared_piece_map(t.fd, 0, inflight_size(1, SIZE), &t.piece), 0);
	t.area = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	cr_assert_neq(t.area, MAP_FAILED);
	cr_assert_eq(start_tracked(0), 0);
}

/* Another process takes over from where this one was killed. */
static void crash(void)
{
	dead[dead_count++] = t.b.q;
	cr_assert_eq(vq_new(3, on_stopped, &t.b, &t.b.q), 0);
}

static struct vq_chain *take(unsigned head)
{
	struct vq_chain *c;

	offer(&t.b, head, VRING_FREE, 1, VRING_WRITE);
	c = pop(&t.b);
	cr_assert_eq(c->id, head);
	return c;
}

static unsigned marked(void)
{
	unsigned set = 0;

	for (unsigned i = 0; i < SIZE; i++)
		set |= (unsigned)(t.area->desc[i].inflight & 1) << i;
	return set;
}

Test(inflight, an_area_is_as_the_specification_has_it)
{
	struct vq_chain *a, *b;

	begin();
	cr_assert_eq(inflight_size(1, SIZE), 192, "144, rounded up");
	cr_assert_eq(t.area->version, 1);
	cr_assert_eq(t.area->desc_num, SIZE);
	a = take(4);
	b = take(2);
	cr_assert_eq(marked(), 1u << 4 | 1u << 2);
	cr_assert_lt(t.area->desc[4].counter, t.area->desc[2].counter);
	vq_push(t.b.q, b, 0);
	vq_push(t.b.q, a, 0);
	cr_assert_eq(t.area->last_batch_head, 4);
	cr_assert_eq(t.area->desc[4].next, 2);
	cr_assert_eq(marked(), 1u << 4 | 1u << 2, "until it is published");
	vq_publish(t.b.q);
	cr_assert_eq(marked(), 0);
	cr_assert_eq(t.area->used_idx, 2);
}

Test(inflight, what_was_under_way_comes_first_and_in_its_order)
{
	begin();
	(void)take(6);
	vq_push(t.b.q, take(1), 0);
	vq_publish(t.b.q);
	(void)take(3);
	(void)take(0);
	offer(&t.b, 7, VRING_FREE, 1, 0);
	crash();
	/* Whatever the front end thinks of our base. */
	cr_assert_eq(start_tracked(1), 0);
	cr_assert(vq_pending(t.b.q));
	cr_assert_eq(pop(&t.b)->id, 6);
	cr_assert(vq_enable_notify(t.b.q));
	cr_assert_eq(pop(&t.b)->id, 3);
	cr_assert_eq(pop(&t.b)->id, 0);
	cr_assert_eq(pop(&t.b)->id, 7);
	pop_none(&t.b);
	cr_assert_not(vq_pending(t.b.q));
	/* Again, with what was new; and once more with only some of them taken. */
	crash();
	cr_assert_eq(start_tracked(0), 0);
	cr_assert_eq(pop(&t.b)->id, 6);
	crash();
	cr_assert_eq(start_tracked(0), 0);
	cr_assert_eq(pop(&t.b)->id, 6);
	cr_assert_eq(pop(&t.b)->id, 3);
	cr_assert_eq(pop(&t.b)->id, 0);
	cr_assert_eq(pop(&t.b)->id, 7);
	pop_none(&t.b);
}

Test(inflight, what_was_pushed_and_not_published_is_taken_again)
{
	struct vq_chain *c;

	begin();
	c = take(5);
	vq_push(t.b.q, c, 0);
	crash();
	cr_assert_eq(start_tracked(0), 0);
	c = pop(&t.b);
	cr_assert_eq(c->id, 5);
	vq_push(t.b.q, c, 0);
	vq_publish(t.b.q);
	cr_assert_eq(*vring_used_idx(&t.b.v), 1);
	pop_none(&t.b);
}

Test(inflight, what_was_published_is_struck_off)
{
	struct vq_chain *a, *b;

	begin();
	(void)take(7);
	a = take(5);
	b = take(6);
	vq_push(t.b.q, a, 0);
	vq_push(t.b.q, b, 0);
	/* We end right after the driver saw both. */
	*vring_used_idx(&t.b.v) = 2;
	crash();
	cr_assert_eq(start_tracked(0), 0);
	cr_assert_eq(marked(), 1u << 7);
	cr_assert_eq(t.area->used_idx, 2);
	cr_assert_eq(pop(&t.b)->id, 7);
	pop_none(&t.b);
	take(5);
}

Test(inflight, a_ring_that_ends_well_leaves_nothing)
{
	begin();
	for (unsigned i = 0; i < 3 * SIZE; i++) {
		vq_push(t.b.q, take(i % SIZE), 0);
		vq_publish(t.b.q);
	}
	cr_assert_eq(vq_stop(t.b.q), 3 * SIZE);
	cr_assert_eq(start_tracked(3 * SIZE), 0);
	pop_none(&t.b);
	cr_assert_eq(vq_stop(t.b.q), 3 * SIZE);
	tear_down(&t.b);
	shared_piece_put(t.piece);
}

Test(inflight, what_is_discarded_is_still_under_way_for_the_next)
{
	begin();
	vq_discard(t.b.q, take(2));
	cr_assert_eq(marked(), 1u << 2);
	(void)vq_stop(t.b.q);
	cr_assert_eq(start_tracked(0), 0);
	cr_assert_eq(pop(&t.b)->id, 2);
}

Test(inflight, a_ring_of_another_size_begins_anew)
{
	begin();
	(void)take(2);
	crash();
	t.b.v.size = 4;
	cr_assert_eq(start_tracked(0), 0);
	cr_assert_eq(t.area->desc_num, 4);
	cr_assert_eq(marked(), 0);
}

/* The front end can write all of it. */
Test(inflight, whatever_stands_in_the_area_does_no_harm)
{
	uint32_t state = 1;

	begin();
	for (unsigned turn = 0; turn < 2000; turn++) {
		struct vq_chain *c;
		unsigned n = 0;

		(void)vq_stop(t.b.q);
		for (size_t i = 0; i < sizeof(*t.area); i++) {
			state = state * 1664525u + 1013904223u;
			((uint8_t *)t.area)[i] = (uint8_t)(state >> 24);
		}
		if (turn % 4 > 0)
			t.area->version = 1;
		if (turn % 4 > 1)
			t.area->desc_num = SIZE;
		if (turn % 4 > 1)
			t.area->used_idx = (uint16_t)(*vring_used_idx(&t.b.v) - turn % 9);
		if (turn % 4 > 2)
			t.area->last_batch_head %= SIZE;
		for (unsigned i = 0; i < SIZE; i++)
			vring_desc(&t.b.v, VRING_DESC, i, VRING_FREE, 1, 0, 0);
		*vring_avail_idx(&t.b.v) = *vring_used_idx(&t.b.v);
		cr_assert_eq(start_tracked(0), 0);
		while (vq_pop(t.b.q, &c) == 1) {
			n++;
			vq_push(t.b.q, c, 0);
		}
		cr_assert_leq(n, SIZE);
		vq_publish(t.b.q);
	}
}

Test(inflight, an_area_that_is_too_small_has_no_such_ring)
{
	begin();
	cr_assert_not_null(inflight_ring_of(t.piece, 0, SIZE));
	cr_assert_null(inflight_ring_of(t.piece, 1, SIZE));
	cr_assert_null(inflight_ring_of(t.piece, 0, 128));
	cr_assert_null(inflight_ring_of(t.piece, UINT32_MAX, 32768));
}

Test(inflight, more_is_pushed_than_the_ring_holds_by_a_driver_that_offers_a_head_again)
{
	begin();
	for (unsigned i = 0; i < 5 * SIZE; i++)
		vq_push(t.b.q, take(0), 0);
	vq_publish(t.b.q);
	cr_assert_eq(*vring_used_idx(&t.b.v), 5 * SIZE);
	cr_assert_eq(marked(), 0);
}
