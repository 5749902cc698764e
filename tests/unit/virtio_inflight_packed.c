/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio_inflight_packed.c: what virtio_inflight.c has of split rings, of packed ones. */
#include "tests/lib/vq_packed.h"
#include "virtio/inflight.h"

#include <sys/mman.h>

#define SIZE 8

/* The layout that another back end must find too (vhost-user specification, "Inflight I/O tracking"). */
struct area {
	uint64_t features;
	uint16_t version, desc_num, free_head, old_free_head, used_idx, old_used_idx;
	uint8_t used_wrap_counter, old_used_wrap_counter, padding[7];
	struct {
		uint8_t inflight, padding;
		uint16_t next, last, num;
		uint64_t counter;
		uint16_t id, flags;
		uint32_t len;
		uint64_t addr;
	} desc[SIZE];
};

static struct driver d;
static struct shared_piece *piece;
static struct area *area;

/* What a process that was killed held; here it stays, so that no leak checker minds. */
static struct vq *dead[300];
static unsigned dead_count;

static int start_tracked(uint32_t from)
{
	const struct vq_setup s = {.size = d.b.v.size,
	                           .features = PACKED,
	                           .desc = vring_uva(VRING_DESC),
	                           .avail = vring_uva(VRING_AVAIL),
	                           .used = vring_uva(VRING_USED),
	                           .base = from,
	                           .map = d.b.map,
	                           .inflight_packed = inflight_packed_of(piece, 0, SIZE)};

	return vq_start(d.b.q, &s);
}

static void set_up_tracked(void)
{
	int fd;

	d = (struct driver){.wrap = true, .used_wrap = true};
	make(&d.b, SIZE);
	cr_assert_eq(inflight_make(1, SIZE, &fd), 0);
	cr_assert_eq(shared_piece_map(fd, 0, inflight_packed_size(1, SIZE), &piece), 0);
	area = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert_neq(area, MAP_FAILED);
	(void)close(fd);
	cr_assert_eq(start_tracked(0x80008000), 0);
}

/* Another process takes over from where this one was killed. */
static void crash(void)
{
	dead[dead_count++] = d.b.q;
	cr_assert_eq(vq_new(3, on_stopped, &d.b, &d.b.q), 0);
}

/* The base that QEMU says after a crash is an old one. */
static void crash_and_start(void)
{
	crash();
	cr_assert_eq(start_tracked(0x80008000), 0);
}

static struct vq_chain *take(unsigned count, unsigned id)
{
	struct vq_chain *c;

	offer_packed(&d, count, id);
	c = pop(&d.b);
	cr_assert_eq(c->id, id);
	return c;
}

static struct vq_chain *take_again(unsigned count, unsigned id)
{
	struct vq_chain *c = pop(&d.b);

	cr_assert_eq(c->id, id);
	cr_assert_eq(c->out_count, count - 1);
	cr_assert_eq(c->in_count, 1);
	for (unsigned i = 0; i < c->out_count; i++)
		cr_assert_eq(c->out[i].iov_len, 1);
	return c;
}

static void used_is(unsigned count, uint32_t id)
{
	uint32_t len;

	cr_assert_eq(take_used(&d, count, &len), id);
}

static void used_none(void)
{
	uint32_t len;

	cr_assert_eq(take_used(&d, 1, &len), UINT32_MAX);
}

static unsigned marked(void)
{
	unsigned set = 0;

	for (unsigned i = 0; i < SIZE; i++)
		set |= (unsigned)(area->desc[i].inflight & 1) << i;
	return set;
}

TestSuite(inflight_packed, .init = set_up_tracked);

Test(inflight_packed, an_area_is_as_the_specification_has_it)
{
	struct vq_chain *a, *b;

	cr_assert_eq(offsetof(struct area, desc), 32);
	cr_assert_eq(inflight_packed_size(1, SIZE), 320, "288, rounded up");
	cr_assert_geq(inflight_packed_size(1, SIZE), inflight_size(1, SIZE));
	cr_assert_eq(area->version, 1);
	cr_assert_eq(area->desc_num, SIZE);
	cr_assert_eq(area->used_idx, 0);
	cr_assert_eq(area->used_wrap_counter, 1);
	cr_assert_eq(area->free_head, 0);
	cr_assert_eq(area->desc[SIZE - 1].next, SIZE, "the list's end");
	a = take(3, 5);
	b = take(2, 4);
	cr_assert_eq(marked(), 1u << 0 | 1u << 3, "a chain's first entry");
	cr_assert_eq(area->desc[0].num, 3);
	cr_assert_eq(area->desc[0].last, 2);
	cr_assert_eq(area->desc[3].num, 2);
	cr_assert_eq(area->desc[3].last, 4);
	cr_assert_lt(area->desc[0].counter, area->desc[3].counter);
	cr_assert_eq(area->desc[2].id, 5);
	cr_assert_eq(area->desc[2].addr, VRING_FREE + 2);
	cr_assert_eq(area->desc[2].len, 1);
	cr_assert_eq(area->desc[2].flags & 3, VRING_WRITE);
	cr_assert_eq(area->free_head, 5);
	cr_assert_eq(area->old_free_head, 5);
	vq_push(d.b.q, b, 0);
	vq_push(d.b.q, a, 0);
	cr_assert_eq(marked(), 1u << 0 | 1u << 3, "until it is published");
	cr_assert_eq(area->used_idx, 0);
	used_none();
	vq_publish(d.b.q);
	cr_assert_eq(marked(), 0);
	cr_assert_eq(area->used_idx, 5);
	cr_assert_eq(area->old_used_idx, 5);
	cr_assert_eq(area->free_head, 0);
	cr_assert_eq(area->desc[2].next, 3);
	cr_assert_eq(area->desc[4].next, 5);
	used_is(2, 4);
	used_is(3, 5);
}

Test(inflight_packed, what_was_under_way_comes_first_and_in_its_order)
{
	struct vq_chain *c;

	(void)take(2, 6);
	c = take(1, 1);
	vq_push(d.b.q, c, 0);
	vq_publish(d.b.q);
	used_is(1, 1);
	(void)take(3, 3);
	(void)take(1, 0);
	offer_packed(&d, 1, 7);
	crash_and_start();
	cr_assert(vq_pending(d.b.q));
	(void)take_again(2, 6);
	cr_assert(vq_enable_notify(d.b.q));
	(void)take_again(3, 3);
	(void)take_again(1, 0);
	cr_assert_eq(pop(&d.b)->id, 7);
	pop_none(&d.b);
	cr_assert_not(vq_pending(d.b.q));
	/* Again, with what was new; and once more with only some of them taken. */
	crash_and_start();
	(void)take_again(2, 6);
	crash_and_start();
	c = take_again(2, 6);
	vq_push(d.b.q, take_again(3, 3), 0);
	vq_publish(d.b.q);
	used_is(3, 3);
	crash_and_start();
	c = take_again(2, 6);
	(void)take_again(1, 0);
	cr_assert_eq(pop(&d.b)->id, 7);
	pop_none(&d.b);
	vq_push(d.b.q, c, 0);
	vq_publish(d.b.q);
	used_is(2, 6);
	used_none();
}

Test(inflight_packed, descriptors_come_from_the_area_and_not_from_the_ring)
{
	struct vq_chain *a, *b;

	/* The second's used element stands where the first's descriptors stood. */
	a = take(2, 1);
	b = take(1, 2);
	vq_push(d.b.q, b, 0);
	vq_publish(d.b.q);
	used_is(1, 2);
	for (unsigned i = 0; i < SIZE; i++)
		if (i != d.used)
			vring_desc(&d.b.v, VRING_DESC, i, UINT64_MAX, 77, 77, 0);
	crash_and_start();
	a = take_again(2, 1);
	vq_push(d.b.q, a, 0);
	vq_publish(d.b.q);
	used_is(2, 1);
}

Test(inflight_packed, an_indirect_table_is_taken_again)
{
	for (unsigned i = 0; i < 3; i++)
		vring_desc(&d.b.v, TABLE, i, VRING_FREE + i, 1, 0, i < 2 ? 0 : VRING_WRITE);
	put(&d, d.next, d.wrap, TABLE, 48, 2, VRING_INDIRECT);
	step(&d, &d.next, &d.wrap);
	(void)pop(&d.b);
	crash_and_start();
	vq_push(d.b.q, take_again(3, 2), 0);
	vq_publish(d.b.q);
	used_is(1, 2);
}

Test(inflight_packed, what_was_pushed_and_not_published_is_taken_again)
{
	struct vq_chain *a = take(2, 5), *b = take(3, 6);

	vq_push(d.b.q, b, 0);
	vq_push(d.b.q, a, 0);
	crash_and_start();
	a = take_again(2, 5);
	(void)take_again(3, 6);
	pop_none(&d.b);
	vq_push(d.b.q, a, 0);
	vq_publish(d.b.q);
	used_is(2, 5);
	used_none();
}

/* ---- an end in the middle of a batch's publication ---- */

static struct area before;
static uint8_t ring_before[SIZE * 16], ring_after[SIZE * 16];

/* Two chains of a batch, of the four that are under way, as the area and the ring were before it and are after it. */
static void batch(void)
{
	struct vq_chain *c[3];
	void *ring = vring_at(&d.b.v, VRING_DESC);

	(void)take(1, 0);
	c[0] = take(2, 1);
	c[1] = take(1, 2);
	(void)take(2, 3);
	vq_push(d.b.q, c[1], 0);
	vq_push(d.b.q, c[0], 0);
	memcpy(&before, area, sizeof(before));
	memcpy(ring_before, ring, sizeof(ring_before));
	vq_publish(d.b.q);
	memcpy(ring_after, ring, sizeof(ring_after));
	cr_assert_eq(area->used_idx, 3);
}

/* All four are to be taken, and then the driver gets each once, though another is first. */
static void none_was_shown(void)
{
	struct vq_chain *c[4];

	crash_and_start();
	cr_assert_eq(area->used_idx, 0);
	cr_assert_eq(area->old_used_idx, 0);
	c[0] = take_again(1, 0);
	c[1] = take_again(2, 1);
	c[2] = take_again(1, 2);
	c[3] = take_again(2, 3);
	pop_none(&d.b);
	used_none();
	vq_push(d.b.q, c[0], 0);
	vq_publish(d.b.q);
	used_is(1, 0);
	used_none();
	for (unsigned i = 3; i > 0; i--) {
		vq_push(d.b.q, c[i], 0);
		vq_publish(d.b.q);
		used_is(i == 2 ? 1 : 2, i);
		used_none();
	}
}

static void both_were_shown(void)
{
	struct vq_chain *a, *b;

	crash_and_start();
	cr_assert_eq(area->used_idx, 3);
	cr_assert_eq(area->old_used_idx, 3);
	a = take_again(1, 0);
	b = take_again(2, 3);
	pop_none(&d.b);
	cr_assert_eq(marked(), 1u << 0 | 1u << 4);
	used_is(1, 2);
	used_is(2, 1);
	used_none();
	/* Their entries are free: the ring can be filled. */
	(void)take(5, 7);
	vq_push(d.b.q, a, 0);
	vq_push(d.b.q, b, 0);
	vq_publish(d.b.q);
	used_is(1, 0);
	used_is(2, 3);
}

Test(inflight_packed, an_end_before_the_used_index_is_noted)
{
	struct area after;

	batch();
	after = *area;
	*area = before;
	/* The links, and the list's head. */
	for (unsigned i = 0; i < SIZE; i++)
		area->desc[i].next = after.desc[i].next;
	area->free_head = after.free_head;
	memcpy(vring_at(&d.b.v, VRING_DESC), ring_before, sizeof(ring_before));
	none_was_shown();
}

Test(inflight_packed, an_end_before_the_ring_is_written)
{
	struct area after;

	batch();
	after = *area;
	*area = before;
	for (unsigned i = 0; i < SIZE; i++)
		area->desc[i].next = after.desc[i].next;
	area->free_head = after.free_head;
	area->used_idx = after.used_idx;
	memcpy(vring_at(&d.b.v, VRING_DESC), ring_before, sizeof(ring_before));
	none_was_shown();
}

Test(inflight_packed, an_end_with_only_the_last_of_the_batch_in_the_ring)
{
	struct area after;
	uint8_t *ring = vring_at(&d.b.v, VRING_DESC);

	batch();
	after = *area;
	*area = before;
	for (unsigned i = 0; i < SIZE; i++)
		area->desc[i].next = after.desc[i].next;
	area->free_head = after.free_head;
	area->used_idx = after.used_idx;
	memcpy(ring, ring_before, 16);
	memcpy(ring + 16, ring_after + 16, sizeof(ring_after) - 16);
	none_was_shown();
}

Test(inflight_packed, an_end_before_what_was_shown_is_struck_off)
{
	struct area after;

	batch();
	after = *area;
	for (unsigned i = 0; i < SIZE; i++)
		area->desc[i].inflight = before.desc[i].inflight;
	area->old_free_head = before.free_head;
	area->old_used_idx = before.used_idx;
	cr_assert_eq(after.old_used_idx, 3);
	both_were_shown();
}

Test(inflight_packed, an_end_before_the_pairs_are_made_one)
{
	batch();
	area->old_free_head = before.free_head;
	area->old_used_idx = before.used_idx;
	both_were_shown();
}

Test(inflight_packed, an_end_after_a_batch_that_the_driver_has_reused)
{
	unsigned used = 0;

	batch();
	area->old_free_head = before.free_head;
	area->old_used_idx = before.used_idx;
	crash();
	used_is(1, 2);
	used_is(2, 1);
	/* Two in the second half, then over the end into the slots of the batch. */
	offer_packed(&d, 2, 1);
	offer_packed(&d, 2, 2);
	cr_assert_eq(start_tracked(0x80008000), 0);
	vq_push(d.b.q, take_again(1, 0), 0);
	vq_push(d.b.q, take_again(2, 3), 0);
	while (used++ < 2)
		vq_push(d.b.q, pop(&d.b), 0);
	pop_none(&d.b);
	vq_publish(d.b.q);
	used_is(1, 0);
	used_is(2, 3);
	used_is(2, 1);
	used_is(2, 2);
}

Test(inflight_packed, a_batch_of_the_whole_ring)
{
	struct vq_chain *c[SIZE];

	for (unsigned i = 0; i < SIZE; i++)
		c[i] = take(1, i);
	for (unsigned i = 0; i < SIZE; i++)
		vq_push(d.b.q, c[i], 0);
	before = *area;
	vq_publish(d.b.q);
	cr_assert_eq(area->used_idx, 0);
	cr_assert_eq(area->used_wrap_counter, 0);
	/* We end right after the driver saw them. */
	area->old_free_head = before.free_head;
	area->old_used_wrap_counter = 1;
	for (unsigned i = 0; i < SIZE; i++)
		area->desc[i].inflight = 1;
	crash_and_start();
	cr_assert_eq(marked(), 0);
	pop_none(&d.b);
	for (unsigned i = 0; i < SIZE; i++)
		used_is(1, i);
	vq_push(d.b.q, take(SIZE, 3), 0);
	vq_publish(d.b.q);
	used_is(SIZE, 3);
}

/* ---- other starts ---- */

Test(inflight_packed, a_ring_goes_round_through_ends_and_stops)
{
	unsigned turn = 0;

	for (unsigned i = 0; i < 200; i++) {
		unsigned count = i % (SIZE - 1) + 1;
		struct vq_chain *c = take(count, i % SIZE);

		if (i % 5 == 3) {
			crash_and_start();
			c = take_again(count, i % SIZE);
		}
		vq_push(d.b.q, c, 0);
		if (i % 7 == 3) {
			crash_and_start();
			vq_push(d.b.q, take_again(count, i % SIZE), 0);
		}
		vq_publish(d.b.q);
		used_is(count, i % SIZE);
		if (i % 9 == 3) {
			cr_assert_eq(vq_stop(d.b.q), base(&d));
			cr_assert_eq(start_tracked(turn++ % 2 ? base(&d) : 0x80008000), 0);
		}
		cr_assert_eq(marked(), 0);
	}
}

Test(inflight_packed, what_is_discarded_is_still_under_way_for_the_next)
{
	vq_discard(d.b.q, take(2, 2));
	cr_assert_eq(marked(), 1);
	(void)vq_stop(d.b.q);
	cr_assert_eq(start_tracked(0), 0);
	(void)take_again(2, 2);
}

Test(inflight_packed, a_ring_of_another_size_or_that_is_new_begins_anew)
{
	struct inflight_packed *r = inflight_packed_of(piece, 0, SIZE);

	(void)take(3, 2);
	crash();
	d.b.v.size = 4;
	cr_assert_eq(start_tracked(0x00010001), 0);
	cr_assert_eq(area->desc_num, 4);
	cr_assert_eq(marked(), 0);
	cr_assert_eq(area->used_idx, 1, "where the front end says");
	cr_assert_eq(area->used_wrap_counter, 0);
	crash();
	inflight_packed_forget(r);
	cr_assert_eq(start_tracked(0x80008000), 0);
	cr_assert_eq(area->used_idx, 0);
	cr_assert_eq(area->used_wrap_counter, 1);
}

Test(inflight_packed, no_more_is_taken_than_the_ring_holds)
{
	struct vq_chain *c;

	(void)take(SIZE, 1);
	/* The same slots once more, in the next lap. */
	offer_packed(&d, 2, 2);
	cr_assert_eq(vq_pop(d.b.q, &c), -EPROTO);
	cr_assert_eq(told(d.b.error), 1);
}

/* ---- the front end can write all of it ---- */

static void refused(const char *why)
{
	crash();
	cr_assert_eq(start_tracked(0x80008000), -EINVAL, "%s", why);
	/* It is like one that never ran. */
	cr_assert_not(vq_running(d.b.q));
	vq_free(d.b.q);
	cr_assert_eq(vq_new(3, on_stopped, &d.b, &d.b.q), 0);
	*area = before;
}

Test(inflight_packed, an_area_that_cannot_be_is_refused)
{
	(void)take(2, 1);
	(void)take(3, 2);
	before = *area;
	area->used_idx = area->old_used_idx = SIZE;
	refused("used outside of the ring");
	area->old_used_idx = 65535;
	refused("used before outside of the ring");
	area->desc[6].next = 5;
	refused("a loop in the free list");
	area->desc[5].next = 5;
	refused("a free entry that is its own next");
	area->free_head = area->old_free_head = 3;
	refused("a free list that goes over half of what is under way");
	area->free_head = area->old_free_head = 6;
	refused("an entry that is nowhere");
	area->free_head = area->old_free_head = 60000;
	refused("no free list");
	area->desc[0].num = 0;
	refused("a chain of nothing");
	area->desc[0].num = 3;
	refused("a chain that is longer than its last says");
	area->desc[0].num = 65535;
	refused("a chain longer than the ring");
	area->desc[0].next = 0;
	refused("a chain with a loop");
	area->desc[2].next = 1;
	refused("a chain that goes over another");
	area->desc[2].next = 9999;
	refused("a chain that goes on outside");
	area->desc[2].last = 9999;
	refused("a last outside");
	area->desc[1].inflight = 1;
	refused("a chain within another");
	area->desc[2].inflight = 0;
	refused("a chain that nobody has");
	crash_and_start();
	(void)take_again(2, 1);
	(void)take_again(3, 2);
}

Test(inflight_packed, descriptors_that_cannot_be_break_the_ring)
{
	struct vq_chain *c;

	(void)take(2, 1);
	before = *area;
	for (unsigned lie = 0; lie < 6; lie++) {
		*area = before;
		switch (lie) {
		case 0:
			area->desc[0].addr = UINT64_MAX;
			break;
		case 1:
			area->desc[1].len = UINT32_MAX;
			break;
		case 2:
			area->desc[1].id = SIZE;
			break;
		case 3:
			area->desc[0].flags |= VRING_WRITE;
			area->desc[1].flags = 0;
			break;
		case 4:
			area->desc[1].flags |= VRING_INDIRECT;
			break;
		default:
			area->desc[0].counter = UINT64_MAX;
			break;
		}
		crash_and_start();
		cr_assert_eq(vq_pop(d.b.q, &c), lie == 5 ? 1 : -EPROTO, "lie %u", lie);
		cr_assert_eq(vq_broken(d.b.q), lie != 5);
	}
}

Test(inflight_packed, two_of_one_id_break_the_ring)
{
	struct vq_chain *c;

	(void)take(1, 1);
	(void)take(1, 2);
	area->desc[1].id = 1;
	crash_and_start();
	(void)take_again(1, 1);
	cr_assert_eq(vq_pop(d.b.q, &c), -EPROTO);
}

Test(inflight_packed, what_is_written_to_the_area_later_means_nothing)
{
	struct vq_chain *a, *b;

	(void)take(2, 1);
	(void)take(2, 2);
	crash_and_start();
	memset(area, 0xff, sizeof(*area));
	a = take_again(2, 1);
	b = take_again(2, 2);
	memset(area->desc, 0x7f, sizeof(area->desc));
	for (unsigned i = 0; i < 50; i++) {
		struct vq_chain *c = take(3, 3);

		vq_push(d.b.q, c, 0);
		vq_publish(d.b.q);
		used_is(3, 3);
	}
	vq_push(d.b.q, b, 0);
	vq_push(d.b.q, a, 0);
	vq_publish(d.b.q);
	used_is(2, 2);
	used_is(2, 1);
}

static uint16_t some(bool sensible)
{
	return sensible ? SIZE : UINT16_MAX;
}

Test(inflight_packed, whatever_stands_in_the_area_does_no_harm)
{
	uint32_t state = 1, started = 0;

	for (unsigned turn = 0; turn < 20000; turn++) {
		struct vq_chain *c;
		unsigned n = 0;

		if (vq_running(d.b.q))
			(void)vq_stop(d.b.q);
		for (size_t i = 0; i < sizeof(*area); i++) {
			state = state * 1664525u + 1013904223u;
			((uint8_t *)area)[i] = (uint8_t)(state >> 24);
		}
		area->version = turn % 8 > 0;
		area->desc_num = turn % 8 > 1 ? SIZE : area->desc_num;
		area->used_idx %= some(turn % 8 > 2);
		area->old_used_idx %= some(turn % 8 > 2);
		for (unsigned i = 0; i < SIZE && turn % 8 > 3; i++) {
			area->desc[i].addr = VRING_FREE;
			area->desc[i].id %= SIZE;
			area->desc[i].inflight &= 1;
			area->desc[i].num %= SIZE;
			area->desc[i].last = (uint16_t)(turn % 8 > 6 ? i + area->desc[i].num - 1u
			                                             : area->desc[i].last % SIZE);
			area->desc[i].next =
			    (uint16_t)(turn % 8 > 4 ? i + 1 : area->desc[i].next % (SIZE + 1));
		}
		area->free_head %= some(turn % 8 > 3);
		area->old_free_head %= some(turn % 8 > 3);
		memset(vring_at(&d.b.v, VRING_DESC), 0, SIZE * 16);
		if (start_tracked(0x80008000) < 0)
			continue;
		started++;
		while (vq_pop(d.b.q, &c) == 1) {
			n++;
			vq_push(d.b.q, c, 0);
		}
		cr_assert_leq(n, SIZE);
		vq_publish(d.b.q);
	}
	cr_assert_gt(started, 2500, "hardly any of it was looked at: %u", started);
}

Test(inflight_packed, an_area_that_is_too_small_has_no_such_ring)
{
	cr_assert_not_null(inflight_packed_of(piece, 0, SIZE));
	cr_assert_null(inflight_packed_of(piece, 1, SIZE));
	cr_assert_null(inflight_packed_of(piece, 0, 128));
	cr_assert_null(inflight_packed_of(piece, UINT32_MAX, 32768));
}
