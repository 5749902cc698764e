/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packed.c: packed virtqueues (virtio 1.2, 2.8): requests of every length across the ring's end, suppressed notifications, a
 * pause, and what a driver may not do. What they have in common with split ones is tested by the suites of those, run again
 * with VIRTFS_RING=packed.
 */
#include "tests/lib/vu_packed.h"
#include "tests/lib/vu_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define NEXT     VU_DESC_NEXT
#define WRITE    VU_DESC_WRITE
#define INDIRECT VU_DESC_INDIRECT

static struct vu_rig rig;
static struct vu_front *const f = &rig.f;
static struct vu_ring *const ring = &rig.ring;
static uint64_t out, in; /* buffers, by id */

static void lay_out(void)
{
	out = vu_alloc(f, VU_FAR, 1024 * 64, 8);
	in = vu_alloc(f, VU_FAR, 1024 * 512, 8);
}

static void start(void)
{
	vu_rig_start(&rig,
	             &(struct vu_rig_opt){.more_features = VU_F_RING_PACKED, .ring_size = 64});
	lay_out();
}

static void end(void)
{
	vu_rig_end(&rig);
}

TestSuite(packed, .init = start, .fini = end, .timeout = 120);

static void again(uint16_t size)
{
	vu_rig_down(&rig);
	rig.o.ring_size = size;
	vu_rig_up(&rig, VU_RIG_SESSION);
	lay_out();
}

/* Tgetattr of the root in so many pieces. */
static unsigned pieces_of(uint16_t id, unsigned count, struct vu_sg *sg)
{
	size_t size = p9_encode(&rig.p.c, id, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	unsigned n = 0;

	memcpy(vu_at(f, out + 64ull * id, size), rig.p.c.out, size);
	for (; n + 2 < count; n++)
		sg[n] = (struct vu_sg){out + 64ull * id + n, 1, 0};
	sg[n] = (struct vu_sg){out + 64ull * id + n, (uint32_t)size - n, 0};
	sg[n + 1] = (struct vu_sg){in + 512ull * id, 512, WRITE};
	return n + 2;
}

/* Return: its id. */
static uint16_t offer(unsigned count)
{
	uint16_t id = ring->free_head;
	struct vu_sg sg[32];

	count = pieces_of(id, count, sg);
	cr_assert_eq(vu_ring_add(ring, sg, count), id);
	vu_ring_offer(ring, id);
	return id;
}

static uint16_t await(void)
{
	struct vu_used_elem e;

	cr_assert(vu_ring_used(ring, VU_PATIENCE_MS, &e), "a request does not end");
	cr_assert_eq(e.len, 160);
	cr_assert_eq(*(uint8_t *)vu_at(f, in + 512ull * e.id + 4, 1), P9_GETATTR + 1);
	vu_ring_free(ring, (uint16_t)e.id);
	return (uint16_t)e.id;
}

/* ---- what works ---- */

Test(packed, s3_requests_of_every_length_across_the_end)
{
	for (unsigned i = 0; i < 5000; i++) {
		uint16_t id = offer(2 + i % 19);

		cr_assert_eq(await(), id);
	}
}

Test(packed, s3_sizes_that_are_no_power_of_two)
{
	static const uint16_t sizes[] = {2, 3, 7, 65, 100};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		again(sizes[i]);
		for (unsigned k = 0; k < 300; k++) {
			(void)offer(2 + k % (sizes[i] - 1u) % 17);
			(void)await();
		}
	}
}

Test(packed, s3_a_full_ring)
{
	for (int round = 0; round < 200; round++) {
		bool under_way[64] = {0};

		for (int i = 0; i < 32; i++)
			under_way[offer(2)] = true;
		cr_assert_eq(ring->free_count, 0);
		for (int i = 0; i < 32; i++) {
			uint16_t id = await();

			cr_assert(under_way[id]);
			under_way[id] = false;
		}
	}
}

Test(packed, s3_tables)
{
	for (unsigned i = 0; i < 200; i++) {
		uint16_t id = ring->free_head;
		struct vu_sg sg[32];
		unsigned count = pieces_of(id, 2 + i % 19, sg);
		struct vu_pdesc *table;

		cr_assert_eq(vu_ring_add_indirect(ring, sg, count, 0), id);
		/* Of their flags WRITE alone means something, and ids nothing. */
		table = vu_at(f, vu_ring_table(ring, id, count), 16ull * count);
		for (unsigned k = 0; k < count; k++) {
			table[k].id = (uint16_t)(k * 3);
			table[k].flags |= k % 2 ? NEXT : 0;
		}
		vu_ring_offer(ring, id);
		cr_assert_eq(await(), id);
	}
}

Test(packed, s3_no_wake_up_is_lost)
{
	for (unsigned i = 0; i < 15000; i++) {
		(void)offer(2);
		(void)await();
		for (unsigned spin = 0; spin < i % 997 * 8; spin++)
			atomic_signal_fence(memory_order_seq_cst); /* that it is not left out */
		if (i % 512 == 0)
			vu_sleep_ms(2);
	}
}

/* A request, without wanting an interrupt. */
static void one_by_looking(void)
{
	uint64_t until = vu_now_ms() + VU_PATIENCE_MS;
	struct vu_used_elem e;

	(void)offer(2);
	while (!vu_ring_used(ring, 0, &e))
		cr_assert_lt(vu_now_ms(), until, "a request does not end");
	vu_ring_free(ring, (uint16_t)e.id);
}

Test(packed, s3_interrupts_are_sent_as_the_driver_wants_them)
{
	struct vu_packed *k = ring->packed;
	uint16_t at;
	bool wrap;

	vu_barrier(f);
	(void)vu_event_take(ring->call);
	k->driver->flags = VU_EVENT_DISABLE;
	for (int i = 0; i < 100; i++)
		one_by_looking();
	vu_barrier(f);
	cr_assert_eq(vu_event_take(ring->call), 0, "interrupts come though they are disabled");
	/* When the fourth request from now, of two descriptors each, has ended. */
	at = (uint16_t)(k->used + 6);
	wrap = k->used_wrap;
	if (at >= ring->size) {
		at = (uint16_t)(at - ring->size);
		wrap = !wrap;
	}
	k->driver->off_wrap = (uint16_t)(at | wrap << 15);
	__atomic_store_n(&k->driver->flags, VU_EVENT_DESC, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 3; i++)
		one_by_looking();
	vu_barrier(f);
	cr_assert_eq(vu_event_take(ring->call), 0, "an interrupt comes before the one asked for");
	one_by_looking();
	cr_assert(vu_readable(ring->call, VU_PATIENCE_MS), "the one asked for does not come");
}

Test(packed, s4_a_pause_and_on)
{
	for (unsigned i = 0; i < 100; i++) {
		uint32_t base;

		(void)offer(2 + i % 9);
		(void)await();
		base = vu_ring_pause(ring);
		cr_assert_eq(base, vu_packed_base(ring), "base %#x, but %#x is where it stands",
		             base, vu_packed_base(ring));
		vu_ring_go_on(ring, base);
	}
}

Test(packed, a_new_ring_whose_front_end_says_base_0)
{
	/* User-Mode Linux and libkrun say so of every ring; by the specification it is the second lap. */
	for (int i = 0; i < 3; i++) {
		vu_rig_down(&rig);
		vu_rig_up(&rig, VU_RIG_MEMORY);
		vu_ring_init(ring, f, 0, 64);
		vu_p9_init(&rig.p, ring, 0);
		rig.p.shape.way = VU_INDIRECT;
		vu_ring_go_on(ring, 0);
		p9_start(&rig.p.c, 8192);
		lay_out();
		for (unsigned k = 0; k < 100; k++) {
			(void)offer(2 + k % 19);
			(void)await();
		}
	}
}

Test(packed, s4_a_pause_at_the_very_end_of_the_first_lap)
{
	const struct vu_packed *k = ring->packed;

	/* Where base 0 means what it says. */
	while (k->avail != 0) {
		(void)offer(k->avail + 5 < ring->size ? 3 : (unsigned)(ring->size - k->avail));
		(void)await();
	}
	cr_assert_eq(vu_packed_base(ring), 0);
	cr_assert_eq(vu_ring_pause(ring), 0);
	vu_ring_go_on(ring, 0);
	for (unsigned i = 0; i < 100; i++) {
		(void)offer(2 + i % 9);
		(void)await();
	}
}

/* ---- what may not be ---- */

static void put(const struct vu_sg *sg, unsigned count)
{
	vu_ring_put(ring, vu_ring_add(ring, sg, count));
}

static void must_break(const char *what)
{
	vu_ring_publish(ring);
	vu_ring_kick_anyway(ring);
	cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS), "%s: the ring goes on", what);
	cr_assert(vu_answers(f), "%s: the connection is dead", what);
	again(64);
	(void)offer(4);
	(void)await();
}

Test(packed, a_chain_without_end)
{
	struct vu_packed *k = ring->packed;
	struct vu_sg sg[64];
	uint16_t first = k->avail;

	for (size_t i = 0; i < ARRAY_SIZE(sg); i++)
		sg[i] = (struct vu_sg){out, 1, 0};
	put(sg, 64);
	/* The last one says NEXT too: the next would be the first. */
	k->desc[(first + 63) % 64].flags |= NEXT;
	must_break("NEXT in each descriptor");
}

Test(packed, readable_after_writable)
{
	put((struct vu_sg[]){{in, 100, WRITE}, {out, 19, 0}}, 2);
	must_break("a readable piece after a writable one");
}

Test(packed, addresses_outside_memory)
{
	put((struct vu_sg[]){{VU_GAP_GPA, 19, 0}, {in, 512, WRITE}}, 2);
	must_break("in the gap");
	put((struct vu_sg[]){{out, 19, 0}, {UINT64_MAX - 3, 512, WRITE}}, 2);
	must_break("overflow");
}

Test(packed, an_id_beyond_the_ring_and_one_that_is_under_way)
{
	struct vu_packed *k = ring->packed;

	put((struct vu_sg[]){{out, 19, 0}, {in, 512, WRITE}}, 2);
	k->desc[(k->avail + 63) % 64].id = 64;
	must_break("an id beyond the ring");
	/* Two in one look, before either has ended. */
	k = ring->packed;
	for (int i = 0; i < 2; i++) {
		struct vu_sg sg[2];

		(void)pieces_of(ring->free_head, 2, sg);
		put(sg, 2);
		k->desc[(k->avail + 63) % 64].id = 9;
		k->desc[(k->avail + 62) % 64].id = 9;
	}
	vu_ring_publish(ring);
	vu_ring_kick_anyway(ring);
	cr_assert(vu_answers(f));
	again(64);
}

Test(packed, tables_that_cannot_be)
{
	uint64_t at = vu_alloc(f, VU_FAR, 4096, 16);
	struct vu_pdesc *table;

	put(&(struct vu_sg){at, 0, INDIRECT}, 1);
	must_break("length 0");
	put(&(struct vu_sg){at, 33, INDIRECT}, 1);
	must_break("length 33");
	put(&(struct vu_sg){VU_GAP_GPA, 32, INDIRECT}, 1);
	must_break("outside memory");
	put(&(struct vu_sg){at, UINT32_MAX - 15, INDIRECT}, 1);
	must_break("huge");
	put((struct vu_sg[]){{at, 32, INDIRECT}, {in, 512, WRITE}}, 2);
	must_break("INDIRECT and NEXT");
	table = vu_at(f, at, 4096);
	table[0] = (struct vu_pdesc){at, 32, 0, INDIRECT};
	table[1] = (struct vu_pdesc){in, 512, 0, WRITE};
	put(&(struct vu_sg){at, 32, INDIRECT}, 1);
	must_break("a table in a table");
}

Test(packed, rings_of_random_bytes)
{
	uint64_t seed = 88172645463325252ull;

	for (int round = 0; round < 200; round++) {
		for (uint16_t i = 0; i < ring->size; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			ring->packed->desc[i] = (struct vu_pdesc){
			    seed % 3 ? in + seed % 9000 : seed,
			    seed % 5 ? (uint32_t)(seed >> 8) % 5000 : (uint32_t)seed,
			    (uint16_t)(seed >> 20),
			    (uint16_t)((seed >> 40 & 7) |
			               (seed % 9 ? VU_DESC_AVAIL : VU_DESC_USED))};
		}
		*ring->packed->driver = (struct vu_pevent){(uint16_t)seed, (uint16_t)(seed >> 16)};
		vu_ring_kick_anyway(ring);
		cr_assert(vu_answers(f));
		again(64);
	}
}
