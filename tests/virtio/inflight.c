/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inflight.c: the area in which the device notes what it has under way, so that another back end can go on with it.
 */
#include "tests/lib/b_synth.h"
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define FLIGHT 20

static struct vu_rig rig;
static struct synth_helper helper;
static struct vu_front *const f = &rig.f;
static struct vu_ring *const ring = &rig.ring;
static struct vu_p9 *const p = &rig.p;
static struct p9_client *const c = &rig.p.c;

/* As QEMU's docs/interop/vhost-user.rst has it for split rings. */
struct area_desc {
	uint8_t inflight, padding[5];
	uint16_t next;
	uint64_t counter;
};

struct area {
	uint64_t features;
	uint16_t version, desc_num, last_batch_head, used_idx;
	struct area_desc desc[];
};

static struct vu_inflight info;
static int area_fd = -1;
static struct area *area;

static void get_area(void)
{
	struct vu_inflight ask = {.queues = 1, .queue_size = 128};
	uint8_t answer[4096];

	cr_assert(vu_send(f, VU_GET_INFLIGHT_FD, 0, &ask, 20, -1));
	cr_assert_eq(vu_reply_fd(f, VU_GET_INFLIGHT_FD, answer, &area_fd), 20);
	memcpy(&info, answer, 20);
	cr_assert_geq(area_fd, 0, "no descriptor came");
	cr_assert_geq(info.size, sizeof(struct area) + 128 * sizeof(struct area_desc));
	cr_assert_eq(info.queues, 1);
	cr_assert_eq(info.queue_size, 128);
	area =
	    mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, area_fd, (off_t)info.offset);
	cr_assert_neq(area, MAP_FAILED);
}

static void set_area(void)
{
	vu_set(f, VU_SET_INFLIGHT_FD, &info, 20, area_fd);
}

static void ring_up(void)
{
	vu_ring_init(ring, f, 0, 128);
	vu_p9_init(p, ring, 0);
	p->shape.way = VU_INDIRECT;
	vu_ring_start(ring);
}

static void start(void)
{
	int pair[2];

	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	synth_helper_start(&helper, pair[1], 1, 0);
	vu_rig_start(&rig, &(struct vu_rig_opt){.helper_sock = pair[0],
	                                        .until = VU_RIG_MEMORY,
	                                        .more_protocol = VU_P_INFLIGHT});
	if (!(f->protocol & VU_P_INFLIGHT))
		cr_skip_test("the device does not offer INFLIGHT_SHMFD");
	get_area();
}

static void end(void)
{
	if (area) {
		(void)munmap(area, info.size);
		fd_close(&area_fd);
	}
	vu_rig_end(&rig);
	(void)synth_helper_end(&helper);
}

TestSuite(inflight, .init = start, .fini = end, .timeout = 60);

static unsigned noted(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 128; i++)
		n += area->desc[i].inflight;
	return n;
}

static void fly(uint16_t heads[FLIGHT])
{
	synth_helper_hold(&helper, RPC_WALK);
	for (uint16_t i = 0; i < FLIGHT; i++) {
		size_t size =
		    p9_encode(c, (uint16_t)(100 + i), P9_WALK,
		              &(struct p9_walk_req){
		                  .fid = 0, .newfid = 100u + i, .names = {1, {wt_str_of("d")}}});

		heads[i] = vu_p9_offer(p, c->out, size, (uint16_t)(100 + i));
	}
	cr_assert(synth_helper_wait_holding(&helper, FLIGHT));
}

Test(inflight, the_area_comes_zeroed)
{
	const uint8_t *bytes = (const uint8_t *)area;

	for (size_t i = 0; i < info.size; i++)
		cr_assert(bytes[i] == 0 || (i >= 8 && i < 12), "byte %zu is %u", i, bytes[i]);
}

Test(inflight, s4_what_is_under_way_is_noted_and_what_has_ended_is_not)
{
	uint16_t heads[FLIGHT];
	struct vu_used_elem e;
	uint8_t reply[64];

	set_area();
	ring_up();
	p9_start(c, 8192);
	cr_assert_eq(noted(), 0);
	fly(heads);
	cr_assert_eq(noted(), FLIGHT);
	for (unsigned i = 0; i < FLIGHT; i++) {
		cr_assert_eq(area->desc[heads[i]].inflight, 1);
		if (i)
			cr_assert_gt(area->desc[heads[i]].counter,
			             area->desc[heads[i - 1]].counter);
	}
	synth_helper_hold(&helper, 0);
	for (unsigned i = 0; i < FLIGHT; i++) {
		cr_assert(vu_ring_used(ring, VU_PATIENCE_MS, &e));
		(void)vu_p9_take(p, &e, reply, sizeof(reply));
	}
	vu_barrier(f);
	cr_assert_eq(noted(), 0);
	cr_assert_eq(area->used_idx, ring->used->idx);
}

Test(inflight, s4_another_back_end_goes_on_with_what_is_noted)
{
	bool back[128] = {0};
	unsigned ended = 0;
	struct vu_used_elem e;

	/* The area, the ring and its memory as a back end left them that died with three requests under way. */
	ring_up();
	p9_start(c, 8192);
	for (int i = 0; i < 10; i++)
		cr_assert(p9_alive(c));
	(void)vu_ring_stop(ring);
	p->hold_kick = true;
	area->version = 1;
	area->desc_num = 128;
	area->used_idx = ring->used->idx;
	for (uint16_t i = 0; i < 3; i++) {
		size_t size = p9_encode(c, (uint16_t)(50 + i), P9_GETATTR,
		                        &(struct p9_getattr_req){.fid = 0});
		uint16_t head = vu_p9_offer(p, c->out, size, (uint16_t)(50 + i));

		area->desc[head].inflight = 1;
		area->desc[head].counter = i + 1;
		back[head] = true;
	}
	set_area();
	vu_tell_num(ring);
	vu_set(f, VU_SET_VRING_BASE, &(struct vu_state){0, ring->used->idx},
	       sizeof(struct vu_state), -1);
	vu_tell_addr(ring);
	vu_tell_kick(ring);
	vu_tell_call(ring);
	vu_tell_err(ring);
	vu_tell_enable(ring, true);
	while (ended < 3) {
		cr_assert(vu_ring_used(ring, VU_PATIENCE_MS, &e), "%u of 3 end", ended);
		cr_assert(back[e.id], "descriptor %u was not under way", e.id);
		cr_assert_eq(e.len, 160);
		back[e.id] = false;
		ended++;
	}
	cr_assert_eq(noted(), 0);
	cr_assert_not(vu_ring_used(ring, 50, &e), "one ends twice");
}

Test(inflight, an_area_of_lies)
{
	for (int lie = 0; lie < 6; lie++) {
		if (lie) {
			vu_rig_down(&rig);
			vu_rig_up(&rig, VU_RIG_MEMORY);
		}
		memset(area, 0, info.size);
		area->version = 1;
		area->desc_num = 128;
		switch (lie) {
		case 0:
			memset(area, 0xff, info.size);
			break;
		case 1:
			area->desc_num = 65535;
			break;
		case 2:
			area->last_batch_head = 65535;
			area->used_idx = 3;
			break;
		case 3:
			for (int i = 0; i < 128; i++)
				area->desc[i].inflight = 1;
			break;
		case 4:
			area->version = 77;
			break;
		default:
			for (int i = 0; i < 128; i++)
				area->desc[i] =
				    (struct area_desc){1, {0}, (uint16_t)(i * 513), UINT64_MAX};
			area->used_idx = 65535;
			break;
		}
		set_area();
		ring_up();
		vu_ring_kick_anyway(ring);
		vu_sleep_ms(30);
		(void)vu_answers(f);
	}
	vu_rig_down(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert(p9_alive(c));
}

Test(inflight, an_area_whose_file_shrinks)
{
	set_area();
	ring_up();
	p9_start(c, 8192);
	if (ftruncate(area_fd, 0) < 0)
		return; /* it is sealed, which is better still */
	(void)munmap(area, info.size);
	area = NULL;
	fd_close(&area_fd);
	for (int i = 0; i < 5; i++) {
		size_t size =
		    p9_encode(c, (uint16_t)i, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});

		(void)vu_p9_offer(p, c->out, size, (uint16_t)i);
	}
	vu_sleep_ms(50);
	cr_assert(vu_answers(f), "the device is gone");
	vu_rig_down(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert(p9_alive(c));
}
