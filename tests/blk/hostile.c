/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hostile.c: drivers that lie, stop in the middle of things, or send anything at all: the device serves on. */
#include "tests/lib/blk_rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static struct blk_rig rig;

Test(blk_hostile, a_chain_without_room_for_head_or_status_breaks_the_queue)
{
	uint8_t data[512] = {0};

	cr_assert(blk_rig_start(&rig, NULL));
	for (uint32_t less = 1; less <= 16; less++) {
		struct blk_request q = {
		    .type = VIRTIO_BLK_T_IN, .in = data, .in_size = 512, .out_less = less};

		cr_assert(blk_breaks(&rig, &q), "%u bytes are missing of the head", less);
	}
	cr_assert(
	    blk_breaks(&rig, &(struct blk_request){.type = VIRTIO_BLK_T_FLUSH, .no_status = true}));
	cr_assert(blk_breaks(
	    &rig, &(struct blk_request){
	              .type = VIRTIO_BLK_T_OUT, .out = data, .out_size = 512, .no_status = true}));
	blk_rig_end(&rig);
}

Test(blk_hostile, the_last_byte_to_write_is_the_status_whatever_else_is_missing)
{
	uint8_t data[512];
	struct blk_request q = {
	    .type = VIRTIO_BLK_T_IN, .in = data, .in_size = 511, .no_status = true};

	cr_assert(blk_rig_start(&rig, NULL));
	memset(data, 0, sizeof(data));
	(void)blk_do(&rig, &q);
	cr_assert_eq(data[510], VIRTIO_BLK_S_IOERR);
	cr_assert_eq(data[509], BLK_UNTOUCHED);
	blk_rig_end(&rig);
}

/* Buffers outside of the guest's memory, loops and the like are virtio/'s, tested in tests/virtio/; one shows that it is in use. */
Test(blk_hostile, a_buffer_outside_of_the_guest_s_memory_breaks_the_queue)
{
	struct vu_sg sg[] = {
	    {VU_LOW_GPA, 16, 0}, {VU_GAP_GPA, 512, VU_DESC_WRITE}, {VU_LOW_GPA, 1, VU_DESC_WRITE}};

	cr_assert(blk_rig_start(&rig, NULL));
	vu_ring_offer(&rig.ring[0], vu_ring_add(&rig.ring[0], sg, 3));
	cr_assert(vu_ring_broken(&rig.ring[0], VU_PATIENCE_MS));
	(void)vu_ring_stop(&rig.ring[0]);
	vu_ring_clear(&rig.ring[0]);
	vu_ring_start(&rig.ring[0]);
	cr_assert(blk_serves(&rig));
	blk_rig_end(&rig);
}

static uint64_t state = 7;

static uint32_t any(uint32_t below)
{
	return (uint32_t)(blk_random(&state) % below);
}

static const uint32_t types[] = {0, 1, 4, 8, 11, 13, 14, 2, 0x80000000};

static void any_request(struct blk_request *q, uint8_t *data)
{
	*q = (struct blk_request){.type = types[any(9)],
	                          .sector = any(3) ? any(20000) : UINT64_MAX - any(3),
	                          .out = data,
	                          .out_size = any(3) ? any(5) * 512 : any(3000),
	                          .in_size = any(3) ? any(5) * 512 : any(3000),
	                          .out_piece = any(2) ? 0 : 40 + any(1000),
	                          .in_piece = any(2) ? 0 : 40 + any(1000),
	                          .out_odd = any(64),
	                          .in_odd = any(64),
	                          .indirect = true};
	if (q->type == 11 || q->type == 13)
		q->out_size = 16 * any(18);
	for (uint32_t i = 0; i < q->out_size; i++)
		data[i] = (uint8_t)any(any(2) ? 256 : 2);
}

static void storm(const struct blk_opt *o)
{
	static struct blk_request q[32];
	static uint8_t data[32][4096];

	if (!blk_rig_start(&rig, o))
		cr_skip("%s", rig.o.fs_skip);
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned i = 0; i < 32; i++) {
			any_request(&q[i], data[i]);
			(void)blk_offer(&rig, 0, &q[i]);
		}
		for (unsigned i = 0; i < 32; i++)
			cr_assert(blk_wait(&rig, 0, VU_PATIENCE_MS), "round %u", round);
		for (unsigned i = 0; i < 32; i++)
			cr_assert_leq(q[i].status, VIRTIO_BLK_S_UNSUPP);
	}
	cr_assert(blk_serves(&rig));
	blk_rig_end(&rig);
}

Test(blk_hostile, every_request_that_can_be_answered_is)
{
	storm(&(struct blk_opt){.more = ",discard=on"});
}

Test(blk_hostile, every_request_that_can_be_answered_is_without_the_page_cache)
{
	storm(&(struct blk_opt){
	    .place = "/var/tmp", .flags = O_DIRECT, .more = ",discard=on,cache=none"});
}

Test(blk_hostile, every_request_that_can_be_answered_is_on_a_read_only_disk)
{
	storm(&(struct blk_opt){.readonly = true});
}

/* ---- in the middle of things ---- */

static void offer_many(struct blk_request *q, uint8_t *data)
{
	for (unsigned i = 0; i < BLK_SLOTS; i++) {
		q[i] =
		    (struct blk_request){.type = i % 3 == 2 ? VIRTIO_BLK_T_FLUSH : VIRTIO_BLK_T_OUT,
		                         .sector = 8 * i,
		                         .out = data,
		                         .out_size = i % 3 == 2 ? 0 : 65536,
		                         .indirect = true};
		(void)blk_offer(&rig, 0, &q[i]);
	}
}

static void stop_in_the_middle(void (*stop)(void))
{
	static struct blk_request q[BLK_SLOTS];
	static uint8_t data[65536];

	if (!blk_rig_start(&rig, &(struct blk_opt){.place = "/var/tmp",
	                                           .flags = O_DSYNC,
	                                           .more = ",cache=writethrough"}))
		cr_skip("%s", rig.o.fs_skip);
	for (unsigned round = 0; round < 5; round++) {
		offer_many(q, data);
		stop();
		for (unsigned i = 0; i < BLK_SLOTS; i++)
			rig.slot[i].busy = false;
		cr_assert(blk_serves(&rig));
	}
	blk_rig_end(&rig);
}

static void by_get_base(void)
{
	uint16_t base = vu_ring_stop(&rig.ring[0]);

	/* All that was taken has been answered by now. */
	if (!rig.o.packed)
		cr_assert_eq(rig.ring[0].used->idx, base);
	vu_ring_clear(&rig.ring[0]);
	vu_ring_start(&rig.ring[0]);
}

static void by_reset(void)
{
	cr_assert_eq(vu_acked(&rig.f, VU_RESET_DEVICE, NULL, 0, -1), 0);
	vu_set_features(&rig.f, rig.f.features);
	vu_ring_clear(&rig.ring[0]);
	vu_ring_start(&rig.ring[0]);
}

static void by_leaving(void)
{
	blk_rig_down(&rig);
	blk_rig_connect(&rig);
	blk_rig_rings(&rig);
}

Test(blk_hostile, a_queue_stops_when_its_requests_have_ended)
{
	stop_in_the_middle(by_get_base);
}

Test(blk_hostile, a_reset_in_the_middle_of_requests)
{
	stop_in_the_middle(by_reset);
}

Test(blk_hostile, an_emulator_that_leaves_in_the_middle_of_requests)
{
	stop_in_the_middle(by_leaving);
}
