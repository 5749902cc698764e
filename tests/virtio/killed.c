/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * killed.c: a device that is killed under load, and another that goes on with the area of the requests under way: each ends
 * once, in split rings and in packed ones. The guest lives on meanwhile, and offers more.
 *
 * What the killed device wrote into a reply's buffer may be more than what the next one replies: that is nobody's fault.
 */
#include "tests/lib/b_synth.h"
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define ROUNDS 15

static struct vu_rig rig;
static struct synth_helper helper;
static struct vu_front *const f = &rig.f;
static struct vu_ring *const ring = &rig.ring;
static struct vu_p9 *const p = &rig.p;
static struct p9_client *const c = &rig.p.c;

static struct vu_inflight info;
static int area_fd = -1;
static uint8_t *area;
static uint64_t seed = 88172645463325252ull;

static uint32_t random_below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % n;
}

static void get_area(void)
{
	struct vu_inflight ask = {.queues = 1, .queue_size = 128};
	uint8_t answer[4096];

	cr_assert(vu_send(f, VU_GET_INFLIGHT_FD, 0, &ask, 20, -1));
	cr_assert_eq(vu_reply_fd(f, VU_GET_INFLIGHT_FD, answer, &area_fd), 20);
	memcpy(&info, answer, 20);
	cr_assert_geq(area_fd, 0);
	area =
	    mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, area_fd, (off_t)info.offset);
	cr_assert_neq(area, MAP_FAILED);
}

static void set_area(void)
{
	vu_set(f, VU_SET_INFLIGHT_FD, &info, 20, area_fd);
}

/* How many are under way, as the area says. */
static unsigned noted(void)
{
	size_t head = ring->packed ? 32 : 16, entry = ring->packed ? 32 : 16;
	unsigned n = 0;

	for (size_t i = 0; i < 128; i++)
		n += area[head + i * entry];
	return n;
}

static int new_helper(void)
{
	int pair[2];

	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	synth_helper_start(&helper, pair[1], 1, 0);
	return pair[0];
}

static void start_with(uint64_t features)
{
	vu_rig_start(&rig, &(struct vu_rig_opt){.helper_sock = new_helper(),
	                                        .until = VU_RIG_MEMORY,
	                                        .more_features = features,
	                                        .more_protocol = VU_P_INFLIGHT});
	get_area();
	set_area();
	vu_ring_init(ring, f, 0, 128);
	vu_p9_init(p, ring, 0);
	p->shape.way = VU_INDIRECT;
	vu_ring_start(ring);
	p9_start(c, 8192);
}

static void start(void)
{
	start_with(0);
}

static void start_packed(void)
{
	start_with(VU_F_RING_PACKED);
	cr_assert_not_null(ring->packed);
}

static void end(void)
{
	(void)munmap(area, info.size);
	fd_close(&area_fd);
	vu_rig_end(&rig);
	(void)synth_helper_end(&helper);
}

TestSuite(killed, .init = start, .fini = end, .timeout = 120);
TestSuite(killed_packed, .init = start_packed, .fini = end, .timeout = 120);

static void offer(int type)
{
	static uint16_t tag;
	const struct p9_getattr_req getattr = {.fid = 0};
	const struct p9_walk_req walk = {
	    .fid = 0, .newfid = 100u + tag % 1000, .names = {1, {wt_str_of("d")}}};
	size_t size;

	tag = (uint16_t)(tag % 60000 + 1);
	size = p9_encode(c, tag, (uint8_t)type, type == P9_WALK ? (const void *)&walk : &getattr);
	/* Sometimes a chain of descriptors in the ring itself. */
	p->shape.way = random_below(4) == 0 && ring->free_count > 4 ? VU_DIRECT : VU_INDIRECT;
	(void)vu_p9_offer(p, c->out, size, tag);
}

static unsigned take(int ms)
{
	struct vu_used_elem e;
	uint8_t reply[512];
	unsigned n = 0;

	while (p->flying && vu_ring_used(ring, ms, &e)) {
		cr_assert_geq(vu_p9_take(p, &e, reply, sizeof(reply)), P9_HEAD_SIZE);
		n++;
	}
	return n;
}

/* Some are stuck in the helper, the others come and go until the device is killed. */
static void load(void)
{
	unsigned stuck = random_below(60), ended = 0;

	synth_helper_hold(&helper, RPC_WALK);
	for (unsigned i = 0; i < stuck; i++)
		offer(P9_WALK);
	while (ended < 300) {
		for (unsigned burst = random_below(60); burst > 0 && ring->free_count; burst--)
			offer(P9_GETATTR);
		ended += take(0);
		(void)sched_yield();
	}
	while (ring->free_count)
		offer(P9_GETATTR);
	for (uint32_t spin = random_below(100000); spin > 0; spin--)
		__atomic_signal_fence(__ATOMIC_SEQ_CST); /* that it is not left out */
}

/* Another device and helper; the front end knows no better base than the first one. */
static void go_on(void)
{
	vu_rig_next_device(&rig, new_helper());
	vu_front_use(f, vu_rig_connect(&rig));
	vu_greet(f, VU_ALL_FEATURES | rig.o.more_features, VU_ALL_PROTOCOL | VU_P_INFLIGHT);
	vu_tell_memory(f);
	set_area();
	vu_ring_go_on(ring, ring->packed ? 0x80008000 : 0);
}

static void rounds(void)
{
	unsigned resubmitted = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct vu_used_elem e;

		load();
		vu_rig_kill_device(&rig);
		(void)synth_helper_end(&helper);
		(void)take(0);
		vu_p9_killed(p);
		for (unsigned more = random_below(8); more > 0 && ring->free_count; more--)
			offer(P9_GETATTR);
		resubmitted += noted();
		go_on();
		(void)take(VU_PATIENCE_MS);
		cr_assert_eq(p->flying, 0, "%u are lost in round %u", p->flying, i);
		vu_barrier(f);
		cr_assert_eq(noted(), 0);
		cr_assert_not(vu_ring_used(ring, 20, &e), "one ends twice");
		c->msize = 0;
		p9_start(c, 8192);
		cr_assert(p9_alive(c));
	}
	cr_assert_gt(resubmitted, ROUNDS, "hardly any was under way: %u", resubmitted);
}

Test(killed, s4_under_load_each_request_ends_once)
{
	rounds();
}

Test(killed_packed, s4_under_load_each_request_ends_once)
{
	rounds();
}

/* ---- what is under way is over with a reset ---- */

static void reset_by(bool message)
{
	struct vu_used_elem e;
	uint32_t base;

	for (unsigned i = 0; i < 20; i++)
		cr_assert(p9_alive(c));
	synth_helper_hold(&helper, RPC_WALK);
	for (unsigned i = 0; i < 20; i++)
		offer(P9_WALK);
	cr_assert(synth_helper_wait_holding(&helper, 20));
	/* A lie, so that they stay in the area. */
	vu_ring_put(ring, vu_ring_add(ring, (struct vu_sg[]){{VU_GAP_GPA, 19, 0}}, 1));
	vu_ring_publish(ring);
	vu_ring_kick_anyway(ring);
	cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS));
	base = vu_ring_pause(ring);
	if (message)
		cr_assert_eq(vu_acked(f, VU_RESET_DEVICE, NULL, 0, -1), 0);
	cr_assert_eq(noted(), 20);
	synth_helper_hold(&helper, 0);
	vu_ring_clear(ring);
	/* It can be the very place where the last one stopped. */
	if (message && !ring->packed)
		vu_ring_set_base(ring, (uint16_t)base);
	vu_p9_forget(p);
	vu_ring_start(ring);
	cr_assert_not(vu_ring_used(ring, 50, &e), "id %u of before the reset ends", e.id);
	c->msize = 0;
	p9_start(c, 8192);
	cr_assert(p9_alive(c));
	vu_barrier(f);
	cr_assert_eq(noted(), 0);
}

Test(killed, a_reset_forgets_what_was_under_way)
{
	reset_by(true);
}

Test(killed, a_new_ring_knows_nothing_of_the_last)
{
	reset_by(false);
}

Test(killed_packed, a_reset_forgets_what_was_under_way)
{
	reset_by(true);
}

Test(killed_packed, a_new_ring_knows_nothing_of_the_last)
{
	reset_by(false);
}

/* ---- lies ---- */

Test(killed_packed, an_area_of_lies)
{
	for (unsigned lie = 0; lie < 40; lie++) {
		vu_rig_down(&rig);
		vu_rig_up(&rig, VU_RIG_MEMORY);
		memset(area, lie == 0 ? 0xff : 0, info.size);
		if (lie > 0)
			memcpy(area + 8, (uint16_t[]){1, 128}, 4);
		for (size_t i = 12; i < info.size && lie > 1;
		     i += 1 + random_below(lie < 20 ? 9 : 900))
			area[i] = (uint8_t)random_below(lie % 2 ? 256 : 130);
		set_area();
		vu_ring_init(ring, f, 0, 128);
		vu_p9_init(p, ring, 0);
		vu_ring_start(ring);
		vu_ring_kick_anyway(ring);
		cr_assert(vu_answers(f), "the device is gone");
	}
	vu_rig_down(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert(p9_alive(c));
}
