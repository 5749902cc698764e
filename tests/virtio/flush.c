/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flush.c: cancelled requests on a ring, where each holds descriptors that must come back. The device is real; its helper
 * is the make-believe one, which answers when the test says so.
 */
#include "tests/lib/b_synth.h"
#include "tests/lib/vu_rig.h"

#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static struct vu_rig rig;
static struct synth_helper helper;
static struct vu_ring *const ring = &rig.ring;
static struct vu_p9 *const p = &rig.p;
static struct p9_client *const c = &rig.p.c;

static void start_with(uint64_t delay_max_ns)
{
	int pair[2];

	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	synth_helper_start(&helper, pair[1], 1, delay_max_ns);
	vu_rig_start(&rig, &(struct vu_rig_opt){.helper_sock = pair[0]});
}

static void start(void)
{
	start_with(0);
}

static void end(void)
{
	vu_rig_end(&rig);
	(void)synth_helper_end(&helper);
	cr_assert_eq(atomic_load(&helper.synth.faults), 0, "nodes are not used as they should be");
}

TestSuite(flush_ring, .init = start, .fini = end, .timeout = 120);

static void hold(int type)
{
	synth_helper_hold(&helper, type);
}

/* A request in the test's own hand. Return: its head. */
static uint16_t offer(uint16_t tag, enum p9_type type, const void *request)
{
	return vu_p9_offer(p, c->out, p9_encode(c, tag, type, request), tag);
}

static uint16_t offer_walk(uint16_t tag, uint32_t newfid)
{
	return offer(
	    tag, P9_WALK,
	    &(struct p9_walk_req){.fid = 0, .newfid = newfid, .names = {1, {wt_str_of("d")}}});
}

struct ended {
	uint32_t id, length;
	uint8_t type;
	uint16_t tag;
};

/* The next used element. Return: false when none comes in that time. */
static bool next(int ms, struct ended *ret)
{
	struct vu_used_elem e;
	uint8_t reply[1024];
	struct p9_head h = {0};

	if (!vu_ring_used(ring, ms, &e))
		return false;
	if (vu_p9_take(p, &e, reply, sizeof(reply))) {
		struct rd r = rd_over(reply, e.len);

		cr_assert(p9_head_get(&r, &h));
		cr_assert_eq(h.size, e.len);
	}
	*ret = (struct ended){e.id, e.len, h.type, h.tag};
	return true;
}

Test(flush_ring, s27_the_old_descriptor_comes_back_before_rflush)
{
	struct ended first, second;
	uint16_t walk, flush;

	hold(RPC_WALK);
	walk = offer_walk(500, 1);
	cr_assert(synth_helper_wait_holding(&helper, 1));
	flush = offer(501, P9_FLUSH, &(struct p9_flush_req){.oldtag = 500});
	cr_assert(next(VU_PATIENCE_MS, &first) && next(VU_PATIENCE_MS, &second));
	cr_assert_eq(first.id, walk, "Rflush came before the flushed request's descriptors");
	cr_assert_eq(second.id, flush);
	cr_assert_eq(second.type, P9_FLUSH + 1);
	/* Nothing, or the reply itself. */
	cr_assert(first.length == 0 || first.tag == 500);
	hold(0);
	cr_assert_not(next(200, &first), "something ends twice");
	cr_assert(p9_alive(c));
}

Test(flush_ring, s27_a_stuck_request_does_not_hold_its_flush)
{
	uint64_t before;
	struct ended e;

	hold(RPC_WALK);
	(void)offer_walk(500, 1);
	cr_assert(synth_helper_wait_holding(&helper, 1));
	before = vu_now_ms();
	(void)offer(501, P9_FLUSH, &(struct p9_flush_req){.oldtag = 500});
	cr_assert(next(VU_PATIENCE_MS, &e) && next(VU_PATIENCE_MS, &e));
	cr_assert_lt(vu_now_ms() - before, 10000);
	cr_assert(p9_alive(c), "other requests wait");
}

Test(flush_ring, s27_the_buffers_are_not_written_after_rflush)
{
	struct ended e;
	uint8_t *copy;

	hold(RPC_WALK);
	for (uint16_t i = 0; i < 60; i++)
		(void)offer_walk((uint16_t)(500 + i), 100u + i);
	cr_assert(synth_helper_wait_holding(&helper, 60));
	for (uint16_t i = 0; i < 60; i++)
		(void)offer((uint16_t)(600 + i), P9_FLUSH,
		            &(struct p9_flush_req){.oldtag = (uint16_t)(500 + i)});
	for (int i = 0; i < 120; i++)
		cr_assert(next(VU_PATIENCE_MS, &e));
	copy = vu_memory_copy(&rig.f, VU_FAR);
	hold(0);
	vu_sleep_ms(200);
	cr_assert(vu_memory_same(&rig.f, VU_FAR, copy));
	free(copy);
	cr_assert_not(next(0, &e));
	cr_assert_eq(p->flying, 0);
}

Test(flush_ring, s27_the_tag_and_the_descriptors_can_be_used_at_once)
{
	for (int i = 0; i < 10; i++) {
		struct ended e = {0};

		hold(RPC_WALK);
		(void)offer_walk(500, 1);
		cr_assert(synth_helper_wait_holding(&helper, 1));
		(void)offer(501, P9_FLUSH, &(struct p9_flush_req){.oldtag = 500});
		while (e.type != P9_FLUSH + 1)
			cr_assert(next(VU_PATIENCE_MS, &e));
		/* The very next request has the same tag and the same descriptors. */
		(void)offer(500, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
		hold(0);
		cr_assert(next(VU_PATIENCE_MS, &e));
		cr_assert_eq(e.tag, 500);
		cr_assert_eq(e.type, P9_GETATTR + 1);
		cr_assert_not(next(20, &e));
	}
}

Test(flush_ring, s27_used_length_0_only_for_what_was_flushed)
{
	/* Some flushed, some not, in random order and time: each descriptor comes back once, with nothing only if flushed. */
	uint64_t seed = 88172645463325252ull;

	vu_rig_end(&rig);
	(void)synth_helper_end(&helper);
	start_with(3000000);
	for (int round = 0; round < 60; round++) {
		bool flushed[128] = {0}, back[128] = {0};
		uint16_t head_of[60];
		unsigned flying = 0;
		struct ended e;

		for (uint16_t i = 0; i < 60; i++) {
			uint16_t head = offer_walk((uint16_t)(1000 + i), 100u + i);

			head_of[i] = head;
			flying++;
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			if (seed % 3 == 0) {
				flushed[head] = true;
				(void)offer((uint16_t)(2000 + i), P9_FLUSH,
				            &(struct p9_flush_req){.oldtag = (uint16_t)(1000 + i)});
				flying++;
			}
		}
		for (; flying; flying--) {
			cr_assert(next(VU_PATIENCE_MS, &e), "%u never end", flying);
			cr_assert_not(back[e.id], "descriptor %u comes back twice", e.id);
			back[e.id] = true;
			if (e.length == 0)
				cr_assert(flushed[e.id],
				          "a request that nobody flushed ends with nothing");
			if (e.type == P9_FLUSH + 1)
				cr_assert(back[head_of[e.tag - 2000]],
				          "Rflush comes before what it flushes");
		}
		cr_assert_not(next(0, &e));
		for (uint32_t i = 0; i < 60; i++) {
			uint16_t tag = P9_SEND(c, CLUNK, clunk, .fid = 100 + i);
			int r = p9_wait(c, tag, P9_CLUNK, NULL);

			cr_assert(r == 0 || r == EBADF);
		}
	}
}

Test(flush_ring, s27_several_flushes_of_one_request)
{
	struct ended e;

	hold(RPC_WALK);
	(void)offer_walk(500, 1);
	cr_assert(synth_helper_wait_holding(&helper, 1));
	for (uint16_t i = 0; i < 5; i++)
		(void)offer((uint16_t)(600 + i), P9_FLUSH, &(struct p9_flush_req){.oldtag = 500});
	cr_assert(next(VU_PATIENCE_MS, &e));
	cr_assert(e.length == 0 || e.tag == 500);
	for (uint16_t i = 0; i < 5; i++) {
		cr_assert(next(VU_PATIENCE_MS, &e));
		cr_assert_eq(e.tag, 600 + i);
	}
	hold(0);
	cr_assert_not(next(100, &e));
}

Test(flush_ring, a_flush_of_nothing_is_answered)
{
	P9(c, flush, .oldtag = 12345);
	P9(c, flush, .oldtag = P9_NOTAG);
	cr_assert_eq(p->zeros, 0);
}

Test(flush_ring, a_whole_ring_flushed_by_a_new_version)
{
	/* There is no descriptor left for a Tflush: Tversion does it all, and is one of the 128. */
	struct ended e;
	unsigned ended = 0;
	bool version = false;

	hold(RPC_WALK);
	for (uint16_t i = 0; i < 127; i++)
		(void)offer_walk((uint16_t)(500 + i), 100u + i);
	cr_assert(synth_helper_wait_holding(&helper, 64));
	(void)offer(P9_NOTAG, P9_VERSION,
	            &(struct p9_version_req){.msize = 8192, .version = wt_str_of("9P2000.L")});
	while (ended < 128) {
		cr_assert(next(VU_PATIENCE_MS, &e), "%u of 128 end", ended);
		ended++;
		if (e.type == P9_VERSION + 1)
			version = true;
		else
			cr_assert_not(version && e.length != 0,
			              "a reply of the old session follows Rversion");
	}
	cr_assert(version);
	hold(0);
	cr_assert_not(next(100, &e));
}
