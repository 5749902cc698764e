/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostile_chains.c: what a driver may not put into a ring. The device gives the ring up, says so by the error descriptor,
 * touches nothing any more, and serves again after the ring was stopped and started, or by a new connection.
 */
#include "tests/lib/vu_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct vu_rig rig;
static struct vu_ring *const ring = &rig.ring;
static struct p9_client *const c = &rig.p.c;
static uint64_t out, in; /* a good request, and room for its reply */
static uint32_t size;

static void prepare(void)
{
	out = vu_alloc(&rig.f, VU_FAR, 4096, 8);
	in = vu_alloc(&rig.f, VU_FAR, 65536, 8);
	size = (uint32_t)p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	memcpy(vu_at(&rig.f, out, size), c->out, size);
}

static void start(void)
{
	vu_rig_start(&rig, NULL);
	prepare();
}

static void end(void)
{
	vu_rig_end(&rig);
}

/* The device must give up, and leave all memory as it is but for the used ring's flags; and then serve again. */
static void must_break(const char *what)
{
	uint16_t used = ring->used->idx;

	vu_ring_kick_anyway(ring);
	cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS), "%s: the ring goes on", what);
	cr_assert_eq(ring->used->idx, used, "%s: it ended as if it were a request", what);
	cr_assert(vu_answers(&rig.f), "%s: the connection is dead", what);
	/* Nor is anything else taken until the ring is started anew. */
	vu_ring_clear(ring);
	vu_ring_offer(
	    ring,
	    vu_ring_add(ring, (struct vu_sg[]){{out, size, 0}, {in, 4096, VU_DESC_WRITE}}, 2));
	vu_ring_kick_anyway(ring);
	vu_sleep_ms(30);
	cr_assert_eq(ring->used->idx, 0, "%s: a broken ring is served", what);
	vu_rig_serves(&rig);
	prepare();
}

/* Or it is a request like others. */
static void must_end(const char *what, uint32_t length)
{
	struct vu_used_elem e;

	vu_ring_kick_anyway(ring);
	cr_assert(vu_ring_used(ring, VU_PATIENCE_MS, &e), "%s: it does not end", what);
	cr_assert_eq(e.len, length, "%s: %u bytes", what, e.len);
	cr_assert_eq(vu_event_take(ring->err), 0, "%s: the ring is given up", what);
	vu_rig_serves(&rig);
}

static void put(uint16_t head)
{
	vu_ring_put(ring, head);
	vu_ring_publish(ring);
}

/* The usual chain, to be spoilt: ring->desc[head] is the request, its next the reply's room. */
static uint16_t good(void)
{
	return vu_ring_add(ring, (struct vu_sg[]){{out, size, 0}, {in, 4096, VU_DESC_WRITE}}, 2);
}

static struct vu_desc *reply_of(uint16_t head)
{
	return &ring->desc[ring->desc[head].next];
}

/* The same in a table of three entries. */
static struct vu_desc *good_table(uint16_t *ret_head)
{
	*ret_head = vu_ring_add_indirect(
	    ring, (struct vu_sg[]){{out, 8, 0}, {out + 8, size - 8, 0}, {in, 4096, VU_DESC_WRITE}},
	    3, 0);
	return vu_at(&rig.f, vu_ring_table(ring, *ret_head, 3), 48);
}

TestSuite(hostile, .init = start, .fini = end, .timeout = 120);

/* ---- chains ---- */

Test(hostile, a_loop_of_one)
{
	uint16_t head = good();

	ring->desc[head].next = head;
	put(head);
	must_break("a descriptor that is its own next");
}

/* Nothing but the count of descriptors ends it: no room is used up. */
Test(hostile, a_loop_of_one_without_bytes)
{
	uint16_t head = good();

	ring->desc[head].len = 0;
	ring->desc[head].next = head;
	put(head);
	must_break("a descriptor of no bytes that is its own next");
}

Test(hostile, a_loop_of_all)
{
	for (uint16_t i = 0; i < ring->size; i++)
		ring->desc[i] =
		    (struct vu_desc){out, 1, VU_DESC_NEXT, (uint16_t)((i + 1) % ring->size)};
	put(0);
	must_break("a chain through the whole ring and round");
}

Test(hostile, a_loop_of_writable_ones)
{
	uint16_t head = good();
	struct vu_desc *d = reply_of(head);

	d->flags |= VU_DESC_NEXT;
	d->next = ring->desc[head].next;
	put(head);
	must_break("a loop in the reply's room");
}

Test(hostile, a_loop_in_a_table)
{
	uint16_t head;
	struct vu_desc *table = good_table(&head);

	table[2].flags |= VU_DESC_NEXT;
	table[2].next = 2;
	put(head);
	must_break("a loop in a table");
}

Test(hostile, a_next_beyond_the_ring)
{
	uint16_t head = good();

	ring->desc[head].next = ring->size;
	put(head);
	must_break("next == size");
}

Test(hostile, a_next_far_beyond_the_ring)
{
	uint16_t head = good();

	ring->desc[head].next = 0xffff;
	put(head);
	must_break("next == 65535");
}

Test(hostile, a_next_beyond_the_table)
{
	uint16_t head;
	struct vu_desc *table = good_table(&head);

	table[0].next = 3;
	put(head);
	must_break("next == the table's length");
}

/* The device is told of half the ring that lies there, so that what is beyond its end would be good descriptors. */
static void halve(void)
{
	vu_rig_down(&rig);
	rig.o.ring_size = 256;
	vu_rig_up(&rig, VU_RIG_SESSION);
	prepare();
	(void)vu_ring_stop(ring);
	ring->size = 128;
	ring->used_event = &ring->avail->ring[128];
	ring->avail_event = (uint16_t *)(void *)&ring->used->ring[128];
	vu_ring_clear(ring);
	vu_ring_start(ring);
}

Test(hostile, a_next_beyond_the_ring_where_a_good_one_lies)
{
	uint16_t head;

	halve();
	head = good();
	ring->desc[200] = *reply_of(head);
	ring->desc[head].next = 200;
	put(head);
	must_break("next == 200 of 128");
}

Test(hostile, a_head_beyond_the_ring_where_a_good_one_lies)
{
	uint16_t head;

	halve();
	head = good();
	ring->desc[200] = ring->desc[head];
	put(200);
	must_break("head == 200 of 128");
}

Test(hostile, a_next_into_the_table_of_the_request_before)
{
	struct vu_sg sg[6];
	struct vu_used_elem e;
	struct vu_desc *table;
	uint16_t head;

	/* Its sixth entry is the room for a reply; the next table has three, the second of which goes on there. */
	for (uint32_t i = 0; i < 5; i++)
		sg[i] = (struct vu_sg){out + i, i < 4 ? 1 : size - 4, 0};
	sg[5] = (struct vu_sg){in, 4096, VU_DESC_WRITE};
	head = vu_ring_add_indirect(ring, sg, 6, 0);
	vu_ring_offer(ring, head);
	cr_assert(vu_ring_used(ring, VU_PATIENCE_MS, &e));
	cr_assert_eq(e.len, 160);
	vu_ring_free(ring, head);
	table = good_table(&head);
	table[5] = table[2];
	table[1].next = 5;
	put(head);
	must_break("next == 5 of 3");
}

Test(hostile, a_head_beyond_the_ring)
{
	put(ring->size);
	must_break("head == size");
}

Test(hostile, a_head_far_beyond_the_ring)
{
	put(0xffff);
	must_break("head == 65535");
}

Test(hostile, readable_after_writable)
{
	put(vu_ring_add(
	    ring, (struct vu_sg[]){{out, size, 0}, {in, 4096, VU_DESC_WRITE}, {out, 4, 0}}, 3));
	must_break("a readable piece after a writable one");
}

Test(hostile, readable_after_writable_in_a_table)
{
	put(vu_ring_add_indirect(ring, (struct vu_sg[]){{in, 4096, VU_DESC_WRITE}, {out, size, 0}},
	                         2, 0));
	must_break("a readable piece after a writable one in a table");
}

/* ---- addresses ---- */

static void bad_address(const char *what, uint64_t at, uint32_t length, bool of_reply)
{
	uint16_t head = good();
	struct vu_desc *d = of_reply ? reply_of(head) : &ring->desc[head];

	d->addr = at;
	d->len = length;
	put(head);
	must_break(what);
}

Test(hostile, an_address_below_all_memory)
{
	bad_address("address 0", 0, 16, false);
	bad_address("a reply's address 0", 0, 16, true);
}

Test(hostile, an_address_in_a_gap)
{
	bad_address("in the gap", VU_GAP_GPA, 16, false);
	bad_address("a reply in the gap", VU_GAP_GPA + 0x1000, 4096, true);
}

Test(hostile, a_buffer_that_begins_before_memory)
{
	bad_address("begins 1 byte before", VU_LOW_GPA - 1, 16, false);
	bad_address("a reply begins 1 byte before", VU_FAR_GPA - 1, 4096, true);
}

Test(hostile, a_buffer_that_reaches_beyond_memory)
{
	bad_address("ends 1 byte beyond", VU_GAP_GPA - 15, 16, false);
	bad_address("a reply ends 1 byte beyond", VU_GAP_GPA - 4095, 4096, true);
	bad_address("ends 1 byte beyond the last", VU_FAR_GPA + VU_FAR_SIZE - 4095, 4096, true);
}

Test(hostile, an_address_above_all_memory)
{
	bad_address("above", VU_FAR_GPA + VU_FAR_SIZE, 16, false);
	bad_address("a reply above", 1ull << 62, 4096, true);
}

Test(hostile, an_address_and_length_that_overflow)
{
	bad_address("2^64 - 1", UINT64_MAX, 16, false);
	bad_address("2^64 - 8", UINT64_MAX - 7, 16, true);
	bad_address("2^64 - 2^32", UINT64_MAX - UINT32_MAX + 1, UINT32_MAX, true);
	bad_address("wraps into memory", UINT64_MAX, (uint32_t)VU_LOW_GPA + 100, false);
}

Test(hostile, a_length_beyond_the_region)
{
	bad_address("4 GiB - 1 of a request", out, UINT32_MAX, false);
	bad_address("4 GiB - 1 of a reply", in, UINT32_MAX, true);
}

Test(hostile, user_addresses_are_no_guest_addresses)
{
	bad_address("a user address", vu_uva(&rig.f, out), size, false);
}

Test(hostile, lengths_whose_sum_overflows)
{
	struct vu_sg sg[64];

	/* Each is in memory, and 64 of them are more than 2^32 bytes. */
	for (size_t i = 0; i < ARRAY_SIZE(sg); i++)
		sg[i] = (struct vu_sg){VU_FAR_GPA, (uint32_t)VU_FAR_SIZE, i ? VU_DESC_WRITE : 0};
	put(vu_ring_add(ring, sg, ARRAY_SIZE(sg)));
	must_break("16 GiB in one request");
}

/* ---- tables ---- */

static void bad_table(const char *what, uint64_t at, uint32_t length, uint16_t more_flags)
{
	uint16_t head;

	(void)good_table(&head);
	if (at)
		ring->desc[head].addr = at;
	ring->desc[head].len = length;
	ring->desc[head].flags |= more_flags;
	put(head);
	must_break(what);
}

Test(hostile, a_table_of_no_bytes)
{
	bad_table("length 0", 0, 0, 0);
}

Test(hostile, a_table_of_an_odd_length)
{
	bad_table("length 47", 0, 47, 0);
	bad_table("length 1", 0, 1, 0);
	bad_table("length 17", 0, 17, 0);
	bad_table("length 49: three good entries and a byte", 0, 49, 0);
}

Test(hostile, a_huge_table)
{
	bad_table("a table of 2^28 - 1 entries", 0, UINT32_MAX - 15, 0);
	bad_table("a table of 2^24 entries, in memory", VU_FAR_GPA, (uint32_t)VU_FAR_SIZE, 0);
}

Test(hostile, a_table_outside_memory)
{
	bad_table("in the gap", VU_GAP_GPA, 48, 0);
	bad_table("partly outside", VU_GAP_GPA - 32, 48, 0);
	bad_table("overflow", UINT64_MAX - 15, 48, 0);
}

Test(hostile, a_table_with_next)
{
	bad_table("INDIRECT and NEXT", 0, 48, VU_DESC_NEXT);
}

Test(hostile, a_table_in_a_table)
{
	uint16_t head;
	struct vu_desc *table = good_table(&head);

	table[1] = (struct vu_desc){ring->desc[head].addr, 48, VU_DESC_INDIRECT, 0};
	put(head);
	must_break("a table in a table");
}

Test(hostile, a_table_where_a_buffer_is_due)
{
	uint16_t head;
	struct vu_desc *table = good_table(&head);

	/* A good request, were it not for the flag. */
	table[1].flags |= VU_DESC_INDIRECT;
	put(head);
	must_break("INDIRECT in a table");
}

Test(hostile, a_table_that_is_its_own)
{
	uint16_t head;
	struct vu_desc *table = good_table(&head);

	table[0] = (struct vu_desc){ring->desc[head].addr, 48, VU_DESC_INDIRECT, 0};
	put(head);
	must_break("a table that is its own entry");
}

Test(hostile, a_table_that_is_the_ring)
{
	uint16_t head;

	(void)good_table(&head);
	ring->desc[head].addr = ring->desc_gpa;
	ring->desc[head].len = 16u * ring->size;
	put(head);
	must_break("the ring's own descriptors as a table");
}

Test(hostile, a_table_nobody_negotiated)
{
	uint16_t head;

	vu_rig_down(&rig);
	rig.o.without = VU_F_INDIRECT_DESC;
	vu_rig_up(&rig, VU_RIG_SESSION);
	out = vu_alloc(&rig.f, VU_FAR, 4096, 8);
	in = vu_alloc(&rig.f, VU_FAR, 4096, 8);
	(void)good_table(&head);
	put(head);
	must_break("INDIRECT without the feature");
}

Test(hostile, a_table_of_1024_entries_is_none_too_many)
{
	struct vu_sg sg[1024];

	for (uint32_t i = 0; i < 1024; i++)
		sg[i] = (struct vu_sg){in + i, 1, VU_DESC_WRITE};
	for (uint32_t i = 0; i < size; i++)
		sg[i] = (struct vu_sg){out + i, 1, 0};
	put(vu_ring_add_indirect(ring, sg, 1024, 0));
	must_end("1024 entries", 160);
}

/* ---- the available ring ---- */

Test(hostile, an_index_one_beyond_the_ring)
{
	ring->avail_idx = (uint16_t)(ring->avail_idx + ring->size + 1);
	vu_ring_publish(ring);
	must_break("size + 1 at once");
}

Test(hostile, an_index_far_away)
{
	ring->avail_idx = (uint16_t)(ring->avail_idx + 32768);
	vu_ring_publish(ring);
	must_break("32768 at once");
}

Test(hostile, an_index_that_goes_back)
{
	ring->avail_idx--;
	vu_ring_publish(ring);
	must_break("one back");
}

Test(hostile, the_same_head_twice)
{
	/* Neither is an error the device must see; if both are served, it is two requests of one tag. */
	uint16_t head = good();

	vu_ring_put(ring, head);
	vu_ring_put(ring, head);
	vu_ring_publish(ring);
	vu_ring_kick_anyway(ring);
	for (int i = 0; i < 2; i++) {
		struct vu_used_elem e;

		if (!vu_ring_used(ring, 1000, &e))
			break;
		cr_assert_eq(e.id, head);
		cr_assert(e.len == 160 || e.len == 11 || e.len == 7, "%u bytes", e.len);
	}
	cr_assert(vu_answers(&rig.f));
	vu_rig_serves(&rig);
}

Test(hostile, every_slot_holds_the_same_head)
{
	uint16_t head = good();

	for (uint16_t i = 0; i < ring->size; i++)
		vu_ring_put(ring, head);
	vu_ring_publish(ring);
	vu_ring_kick_anyway(ring);
	vu_sleep_ms(100);
	cr_assert(vu_answers(&rig.f));
	vu_rig_serves(&rig);
}

Test(hostile, good_requests_before_a_bad_one_end)
{
	unsigned ended = 0;
	struct vu_used_elem e;

	/* They may end or not: but the index does not pass the bad one, and each ends once. */
	for (int i = 0; i < 10; i++)
		vu_ring_put(ring, good());
	vu_ring_put(ring, 0x4000);
	vu_ring_put(ring, good());
	vu_ring_publish(ring);
	vu_ring_kick_anyway(ring);
	cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS));
	vu_barrier(&rig.f);
	while (vu_ring_used(ring, 0, &e))
		ended++;
	cr_assert_leq(ended, 10);
	vu_rig_serves(&rig);
}

/* ---- aliases ---- */

Test(hostile, a_reply_over_the_request)
{
	uint16_t head = good();

	reply_of(head)->addr = out;
	put(head);
	must_end("the reply's room is the request", 160);
}

Test(hostile, a_reply_over_the_descriptors)
{
	uint16_t head = good();

	reply_of(head)->addr = ring->desc_gpa;
	reply_of(head)->len = 16u * ring->size;
	put(head);
	must_end("the reply's room is the descriptor table", 160);
}

Test(hostile, a_reply_over_the_available_ring)
{
	uint16_t head = good();

	reply_of(head)->addr = ring->avail_gpa;
	reply_of(head)->len = 256;
	put(head);
	vu_ring_kick_anyway(ring);
	vu_sleep_ms(100);
	cr_assert(vu_answers(&rig.f));
	vu_rig_serves(&rig);
}

Test(hostile, a_reply_over_the_used_ring)
{
	uint16_t head = good();

	reply_of(head)->addr = ring->used_gpa;
	reply_of(head)->len = 512;
	put(head);
	vu_ring_kick_anyway(ring);
	vu_sleep_ms(100);
	cr_assert(vu_answers(&rig.f));
	vu_rig_serves(&rig);
}

Test(hostile, the_rings_are_the_request)
{
	uint16_t head = good();

	ring->desc[head].addr = ring->used_gpa;
	put(head);
	vu_ring_kick_anyway(ring);
	vu_sleep_ms(100);
	cr_assert(vu_answers(&rig.f));
	vu_rig_serves(&rig);
}

Test(hostile, requests_that_share_their_room_for_replies)
{
	for (int round = 0; round < 20; round++) {
		struct vu_used_elem e;

		for (uint16_t i = 0; i < 60; i++) {
			uint64_t at = out + 64ull * i;

			size = (uint32_t)p9_encode(c, i, P9_GETATTR,
			                           &(struct p9_getattr_req){.fid = 0});
			memcpy(vu_at(&rig.f, at, size), c->out, size);
			vu_ring_put(ring, vu_ring_add(ring,
			                              (struct vu_sg[]){{at, size, 0},
			                                               {in, 4096, VU_DESC_WRITE}},
			                              2));
		}
		vu_ring_publish(ring);
		vu_ring_kick_anyway(ring);
		for (int i = 0; i < 60; i++) {
			cr_assert(vu_ring_used(ring, VU_PATIENCE_MS, &e));
			cr_assert_eq(e.len, 160);
			vu_ring_free(ring, (uint16_t)e.id);
		}
	}
	vu_rig_serves(&rig);
}

/* ---- random ---- */

Test(hostile, rings_of_random_bytes)
{
	uint64_t seed = 88172645463325252ull;

	for (int round = 0; round < 200; round++) {
		uint16_t count = (uint16_t)(1 + seed % 128);

		for (uint16_t i = 0; i < ring->size; i++) {
			struct vu_desc *d = &ring->desc[i];

			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			*d = (struct vu_desc){
			    seed % 3 ? in + seed % 9000 : seed,
			    seed % 5 ? (uint32_t)(seed >> 8) % 5000 : (uint32_t)seed,
			    (uint16_t)(seed % 7 ? seed >> 40 & 3 : seed >> 40 & 0xffff),
			    (uint16_t)(seed % 11 ? (seed >> 20) % ring->size : seed)};
			ring->avail->ring[i] =
			    (uint16_t)((seed >> 33) % (seed % 9 ? ring->size : ring->size + 1u));
		}
		/* A table now and then, and requests that mean something. */
		memcpy(vu_at(&rig.f, in, 16384), ring->desc, 16ull * ring->size);
		memcpy(vu_at(&rig.f, in + 4096, size), c->out, size);
		ring->avail_idx = (uint16_t)(ring->avail_idx + count);
		vu_ring_publish(ring);
		vu_ring_kick_anyway(ring);
		cr_assert(vu_answers(&rig.f));
		if (round % 10 == 9)
			vu_rig_renew(&rig);
		else {
			(void)vu_ring_stop(ring);
			vu_ring_clear(ring);
			vu_ring_start(ring);
		}
	}
	vu_rig_serves(&rig);
}
