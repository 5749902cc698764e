/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packed.c: packed virtqueues (virtio 1.2, 2.8), where the device offers them, with a driver of its own: requests of every
 * length across the ring's end, suppressed notifications, a pause, and what a driver may not do.
 */
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define NEXT     1
#define WRITE    2
#define INDIRECT 4
#define AVAIL    (1u << 7)
#define USED     (1u << 15)

/* Of the event suppression areas. */
#define EVENT_ENABLE  0
#define EVENT_DISABLE 1
#define EVENT_DESC    2

struct pdesc {
	uint64_t addr;
	uint32_t len;
	uint16_t id, flags;
};

struct pevent {
	uint16_t off_wrap, flags;
};

static struct vu_rig rig;
static struct vu_front *const f = &rig.f;
static struct p9_client client;

static struct {
	uint16_t size;
	uint64_t gpa;
	struct pdesc *desc;
	struct pevent *driver, *device;
	int kick, call, err;
	uint16_t avail, used; /* next slots */
	bool avail_wrap, used_wrap;
	uint16_t slots_of[1024]; /* of each id; 0: not under way */
	uint16_t free;
	uint64_t kicks;
} q;

static uint64_t out, in; /* buffers, by id */

/* ---- the driver ---- */

static void lay_out(uint16_t size)
{
	q.size = q.free = size;
	q.gpa = vu_alloc(f, VU_LOW, 16ull * size + 8, 16);
	q.desc = vu_at(f, q.gpa, 16ull * size);
	q.driver = vu_at(f, q.gpa + 16ull * size, 4);
	q.device = vu_at(f, q.gpa + 16ull * size + 4, 4);
	q.avail = q.used = 0;
	q.avail_wrap = q.used_wrap = true;
	memset(q.slots_of, 0, sizeof(q.slots_of));
	out = vu_alloc(f, VU_FAR, 1024 * 64, 8);
	in = vu_alloc(f, VU_FAR, 1024 * 512, 8);
}

static void tell(uint32_t request, uint32_t value)
{
	vu_set(f, request, &(struct vu_state){0, value}, sizeof(struct vu_state), -1);
}

static uint32_t base(void)
{
	return (uint32_t)(q.avail | q.avail_wrap << 15) | (uint32_t)(q.used | q.used_wrap << 15)
	                                                      << 16;
}

static void run_from(uint32_t from)
{
	struct vu_addr a = {.desc = vu_uva(f, q.gpa),
	                    .avail = vu_uva(f, q.gpa + 16ull * q.size),
	                    .used = vu_uva(f, q.gpa + 16ull * q.size + 4)};

	tell(VU_SET_VRING_NUM, q.size);
	tell(VU_SET_VRING_BASE, from);
	vu_set(f, VU_SET_VRING_ADDR, &a, sizeof(a), -1);
	vu_set(f, VU_SET_VRING_KICK, &(uint64_t){0}, 8, q.kick);
	vu_set(f, VU_SET_VRING_CALL, &(uint64_t){0}, 8, q.call);
	vu_set(f, VU_SET_VRING_ERR, &(uint64_t){0}, 8, q.err);
	tell(VU_SET_VRING_ENABLE, 1);
}

static void run(void)
{
	run_from(base());
}

static void step(uint16_t *slot, bool *wrap)
{
	if (++*slot == q.size) {
		*slot = 0;
		*wrap = !*wrap;
	}
}

/* Writes a chain whose first descriptor is made available last. */
static void put(uint16_t id, const struct vu_sg *sg, unsigned count)
{
	uint16_t first = q.avail, first_flags = 0;

	cr_assert_leq(count, q.free);
	for (unsigned i = 0; i < count; i++) {
		unsigned flags =
		    sg[i].flags | (i + 1 < count ? NEXT : 0u) | (q.avail_wrap ? AVAIL : USED);

		q.desc[q.avail].addr = sg[i].gpa;
		q.desc[q.avail].len = sg[i].size;
		q.desc[q.avail].id = id;
		if (i == 0)
			first_flags = (uint16_t)flags;
		else
			q.desc[q.avail].flags = (uint16_t)flags;
		step(&q.avail, &q.avail_wrap);
	}
	q.slots_of[id] = (uint16_t)count;
	q.free = (uint16_t)(q.free - count);
	__atomic_store_n(&q.desc[first].flags, first_flags, __ATOMIC_RELEASE);
}

static void kick_anyway(void)
{
	q.kicks++;
	cr_assert_eq(write(q.kick, &(uint64_t){1}, 8), 8);
}

/* Of count descriptors that were just made available. */
static void kick(unsigned count)
{
	struct pevent e;
	uint16_t event, now = q.avail;
	bool wanted;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(&e, q.device, sizeof(e));
	if (e.flags != EVENT_DESC) {
		wanted = e.flags == EVENT_ENABLE;
	} else {
		event = e.off_wrap & 0x7fff;
		if ((e.off_wrap >> 15) != q.avail_wrap)
			event = (uint16_t)(event - q.size);
		wanted = (uint16_t)(now - event - 1) < (uint16_t)count;
	}
	if (wanted)
		kick_anyway();
}

static bool take(uint16_t *ret_id, uint32_t *ret_len)
{
	uint16_t flags = __atomic_load_n(&q.desc[q.used].flags, __ATOMIC_ACQUIRE), slots;

	if (!!(flags & AVAIL) != q.used_wrap || !!(flags & USED) != q.used_wrap)
		return false;
	*ret_id = q.desc[q.used].id;
	*ret_len = q.desc[q.used].len;
	cr_assert_lt(*ret_id, ARRAY_SIZE(q.slots_of));
	slots = q.slots_of[*ret_id];
	cr_assert_gt(slots, 0, "id %u ends, and is not under way", *ret_id);
	q.slots_of[*ret_id] = 0;
	q.free = (uint16_t)(q.free + slots);
	while (slots--)
		step(&q.used, &q.used_wrap);
	return true;
}

/* Waits by interrupt alone. */
static bool used(int ms, uint16_t *ret_id, uint32_t *ret_len)
{
	uint64_t until = vu_now_ms() + (uint64_t)ms;

	for (;;) {
		uint64_t now;

		if (take(ret_id, ret_len))
			return true;
		now = vu_now_ms();
		if (now >= until || !vu_readable(q.call, (int)(until - now))) {
			cr_assert_not(take(ret_id, ret_len),
			              "no interrupt told of a request's end");
			return false;
		}
		(void)vu_event_take(q.call);
	}
}

/* Tgetattr of the root in so many pieces. */
static unsigned pieces_of(uint16_t id, unsigned count, struct vu_sg *sg)
{
	size_t size = p9_encode(&client, id, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	unsigned n = 0;

	memcpy(vu_at(f, out + 64ull * id, size), client.out, size);
	for (; n + 2 < count; n++)
		sg[n] = (struct vu_sg){out + 64ull * id + n, 1, 0};
	sg[n] = (struct vu_sg){out + 64ull * id + n, (uint32_t)size - n, 0};
	sg[n + 1] = (struct vu_sg){in + 512ull * id, 512, WRITE};
	return n + 2;
}

static void offer(uint16_t id, unsigned count)
{
	struct vu_sg sg[32];

	count = pieces_of(id, count, sg);
	put(id, sg, count);
	kick(count);
}

static void await(uint16_t *ret_id)
{
	uint32_t len;

	cr_assert(used(VU_PATIENCE_MS, ret_id, &len), "a request does not end");
	cr_assert_eq(len, 160);
	cr_assert_eq(*(uint8_t *)vu_at(f, in + 512ull * *ret_id + 4, 1), P9_GETATTR + 1);
}

/* A 9P session, its messages in chains of two. */
static void session(void)
{
	struct p9_version_req version = {.msize = 8192, .version = wt_str_of("9P2000.L")};
	struct p9_attach_req attach = {.fid = 0, .afid = P9_NOFID};
	uint64_t room = vu_alloc(f, VU_FAR, 8192, 8);

	for (int i = 0; i < 2; i++) {
		size_t size = i ? p9_encode(&client, 1, P9_ATTACH, &attach)
		                : p9_encode(&client, P9_NOTAG, P9_VERSION, &version);
		uint16_t id;
		uint32_t len;

		memcpy(vu_at(f, room, size), client.out, size);
		put(0, (struct vu_sg[]){{room, (uint32_t)size, 0}, {room + 4096, 4096, WRITE}}, 2);
		kick(2);
		cr_assert(used(VU_PATIENCE_MS, &id, &len));
		cr_assert_eq(len, i ? 20 : 21);
	}
}

static void up_from(uint16_t size, bool zero)
{
	vu_front_init(f);
	vu_front_use(f, vu_rig_connect(&rig));
	vu_greet(f, VU_ALL_FEATURES | VU_F_RING_PACKED, VU_ALL_PROTOCOL);
	vu_memory(f);
	vu_tell_memory(f);
	lay_out(size);
	run_from(zero ? 0 : base());
	session();
}

static void up(uint16_t size)
{
	up_from(size, false);
}

static void start(void)
{
	vu_rig_start(&rig, &(struct vu_rig_opt){.until = VU_RIG_CONNECTED});
	if (!(vu_get_u64(f, VU_GET_FEATURES) & VU_F_RING_PACKED))
		cr_skip_test("the device does not offer packed rings");
	vu_rig_down(&rig);
	p9_client_init(&client, -1);
	q.kick = vu_eventfd();
	q.call = vu_eventfd();
	q.err = vu_eventfd();
	up(64);
}

static void end(void)
{
	if (client.out) {
		p9_client_end(&client);
		fd_close(&q.kick);
		fd_close(&q.call);
		fd_close(&q.err);
	}
	vu_rig_end(&rig);
}

TestSuite(packed, .init = start, .fini = end, .timeout = 120);

static void again(uint16_t size)
{
	vu_rig_down(&rig);
	(void)vu_event_take(q.call);
	(void)vu_event_take(q.err);
	(void)vu_event_take(q.kick);
	up(size);
}

/* ---- what works ---- */

Test(packed, s3_requests_of_every_length_across_the_end)
{
	for (unsigned i = 0; i < 5000; i++) {
		uint16_t id;

		offer((uint16_t)(i % 50), 2 + i % 19);
		await(&id);
		cr_assert_eq(id, i % 50);
	}
}

Test(packed, s3_sizes_that_are_no_power_of_two)
{
	static const uint16_t sizes[] = {2, 3, 7, 65, 100};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		again(sizes[i]);
		for (unsigned k = 0; k < 300; k++) {
			uint16_t id;

			offer((uint16_t)(k % sizes[i]), 2 + k % (sizes[i] - 1u) % 17);
			await(&id);
		}
	}
}

Test(packed, s3_a_full_ring)
{
	for (int round = 0; round < 200; round++) {
		bool back[32] = {0};

		for (uint16_t i = 0; i < 32; i++)
			offer(i, 2);
		for (int i = 0; i < 32; i++) {
			uint16_t id;

			await(&id);
			cr_assert_not(back[id]);
			back[id] = true;
		}
	}
}

Test(packed, s3_tables)
{
	uint64_t at = vu_alloc(f, VU_FAR, 16 * 64, 16);

	for (unsigned i = 0; i < 200; i++) {
		struct vu_sg sg[32];
		unsigned count = pieces_of(5, 2 + i % 19, sg);
		struct pdesc *table = vu_at(f, at, 16ull * count);
		uint16_t id;

		/* Entries follow each other; of their flags WRITE alone means something. */
		for (unsigned k = 0; k < count; k++)
			table[k] =
			    (struct pdesc){sg[k].gpa, sg[k].size, (uint16_t)(k * 3), sg[k].flags};
		put(5, &(struct vu_sg){at, 16 * count, INDIRECT}, 1);
		kick(1);
		await(&id);
		cr_assert_eq(id, 5);
	}
}

Test(packed, s3_no_wake_up_is_lost)
{
	for (unsigned i = 0; i < 15000; i++) {
		uint16_t id;

		offer((uint16_t)(i % 50), 2);
		await(&id);
		for (unsigned spin = 0; spin < i % 997 * 8; spin++)
			atomic_signal_fence(memory_order_seq_cst); /* that it is not left out */
		if (i % 512 == 0)
			vu_sleep_ms(2);
	}
}

static void poll_used(unsigned count)
{
	uint64_t until = vu_now_ms() + VU_PATIENCE_MS;

	while (count) {
		uint16_t id;
		uint32_t len;

		if (take(&id, &len))
			count--;
		else
			cr_assert_lt(vu_now_ms(), until, "a request does not end");
	}
}

Test(packed, s3_interrupts_are_sent_as_the_driver_wants_them)
{
	vu_barrier(f);
	(void)vu_event_take(q.call);
	q.driver->flags = EVENT_DISABLE;
	for (uint16_t i = 0; i < 100; i++) {
		offer(i % 50, 2);
		poll_used(1);
	}
	vu_barrier(f);
	cr_assert_eq(vu_event_take(q.call), 0, "interrupts come though they are disabled");
	/* When the fourth request from now, of two descriptors each, has ended. */
	{
		uint16_t at = (uint16_t)(q.used + 6);
		bool wrap = q.used_wrap;

		if (at >= q.size) {
			at = (uint16_t)(at - q.size);
			wrap = !wrap;
		}
		q.driver->off_wrap = (uint16_t)(at | wrap << 15);
		__atomic_store_n(&q.driver->flags, EVENT_DESC, __ATOMIC_SEQ_CST);
	}
	for (int i = 0; i < 3; i++) {
		offer(1, 2);
		poll_used(1);
	}
	vu_barrier(f);
	cr_assert_eq(vu_event_take(q.call), 0, "an interrupt comes before the one asked for");
	offer(1, 2);
	poll_used(1);
	cr_assert(vu_readable(q.call, VU_PATIENCE_MS), "the one asked for does not come");
}

Test(packed, s4_a_pause_and_on)
{
	for (int i = 0; i < 100; i++) {
		uint8_t answer[4096];
		struct vu_state s;
		uint16_t id;

		offer(1, 2 + (unsigned)i % 9);
		await(&id);
		cr_assert(vu_send(f, VU_GET_VRING_BASE, 0, &(struct vu_state){0, 0}, 8, -1));
		cr_assert_eq(vu_reply(f, VU_GET_VRING_BASE, answer), 8);
		memcpy(&s, answer, sizeof(s));
		cr_assert_eq(s.value, base(), "base %#x, but %#x is where it stands", s.value,
		             base());
		run();
	}
}

Test(packed, a_new_ring_whose_front_end_says_base_0)
{
	/* User-Mode Linux and libkrun say so of every ring; by the specification it is the second lap. */
	for (int i = 0; i < 3; i++) {
		vu_rig_down(&rig);
		up_from(64, true);
		for (unsigned k = 0; k < 100; k++) {
			uint16_t id;

			offer((uint16_t)(k % 50), 2 + k % 19);
			await(&id);
		}
	}
}

Test(packed, s4_a_pause_at_the_very_end_of_the_first_lap)
{
	uint8_t answer[4096];
	struct vu_state s;
	uint16_t id;

	/* Where base 0 means what it says. The session took four slots. */
	while (q.avail != 0) {
		offer(1, q.avail + 5 < q.size ? 3 : (unsigned)(q.size - q.avail));
		await(&id);
	}
	cr_assert_eq(base(), 0);
	cr_assert(vu_send(f, VU_GET_VRING_BASE, 0, &(struct vu_state){0, 0}, 8, -1));
	cr_assert_eq(vu_reply(f, VU_GET_VRING_BASE, answer), 8);
	memcpy(&s, answer, sizeof(s));
	cr_assert_eq(s.value, 0);
	run();
	for (unsigned i = 0; i < 100; i++) {
		offer(1, 2 + i % 9);
		await(&id);
	}
}

/* ---- what may not be ---- */

static void must_break(const char *what)
{
	kick_anyway();
	cr_assert(vu_readable(q.err, VU_PATIENCE_MS), "%s: the ring goes on", what);
	cr_assert(vu_answers(f), "%s: the connection is dead", what);
	again(64);
	offer(3, 4);
	{
		uint16_t id;

		await(&id);
	}
}

Test(packed, a_chain_without_end)
{
	struct vu_sg sg[64];

	for (size_t i = 0; i < ARRAY_SIZE(sg); i++)
		sg[i] = (struct vu_sg){out, 1, 0};
	put(0, sg, 64);
	/* The last one says NEXT too: the next would be the first. */
	q.desc[(q.avail + 63) % 64].flags |= NEXT;
	must_break("NEXT in each descriptor");
}

Test(packed, readable_after_writable)
{
	put(0, (struct vu_sg[]){{in, 100, WRITE}, {out, 19, 0}}, 2);
	must_break("a readable piece after a writable one");
}

Test(packed, addresses_outside_memory)
{
	put(0, (struct vu_sg[]){{VU_GAP_GPA, 19, 0}, {in, 512, WRITE}}, 2);
	must_break("in the gap");
	put(0, (struct vu_sg[]){{out, 19, 0}, {UINT64_MAX - 3, 512, WRITE}}, 2);
	must_break("overflow");
}

Test(packed, tables_that_cannot_be)
{
	uint64_t at = vu_alloc(f, VU_FAR, 4096, 16);
	struct pdesc *table = vu_at(f, at, 4096);

	put(0, &(struct vu_sg){at, 0, INDIRECT}, 1);
	must_break("length 0");
	put(0, &(struct vu_sg){at, 33, INDIRECT}, 1);
	must_break("length 33");
	put(0, &(struct vu_sg){VU_GAP_GPA, 32, INDIRECT}, 1);
	must_break("outside memory");
	put(0, &(struct vu_sg){at, UINT32_MAX - 15, INDIRECT}, 1);
	must_break("huge");
	put(0, (struct vu_sg[]){{at, 32, INDIRECT}, {in, 512, WRITE}}, 2);
	must_break("INDIRECT and NEXT");
	table = vu_at(f, at, 4096);
	table[0] = (struct pdesc){at, 32, 0, INDIRECT};
	table[1] = (struct pdesc){in, 512, 0, WRITE};
	put(0, &(struct vu_sg){at, 32, INDIRECT}, 1);
	must_break("a table in a table");
}

Test(packed, rings_of_random_bytes)
{
	uint64_t seed = 88172645463325252ull;

	for (int round = 0; round < 200; round++) {
		for (uint16_t i = 0; i < q.size; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			q.desc[i] = (struct pdesc){
			    seed % 3 ? in + seed % 9000 : seed,
			    seed % 5 ? (uint32_t)(seed >> 8) % 5000 : (uint32_t)seed,
			    (uint16_t)(seed >> 20),
			    (uint16_t)((seed >> 40 & 7) | (seed % 9 ? AVAIL : USED))};
		}
		*q.driver = (struct pevent){(uint16_t)seed, (uint16_t)(seed >> 16)};
		kick_anyway();
		cr_assert(vu_answers(f));
		again(64);
	}
}
