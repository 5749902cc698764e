/* SPDX-License-Identifier: GPL-2.0-or-later */
/* device.c: what a disk tells of itself, its write cache, and how it is told of a new size. */
#include "tests/lib/blk_rig.h"

#include "tests/lib/vu_rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static struct blk_rig rig;

static bool offers(uint64_t bit)
{
	return rig.f.offered & bit;
}

Test(blk_device, a_disk_tells_its_size_and_what_it_can_do)
{
	struct virtio_blk_config c;

	cr_assert(blk_rig_start(
	    &rig, &(struct blk_opt){.more = ",queues=3,queue-size=64", .ring_size = 64}));
	c = blk_config(&rig);
	cr_assert_eq(c.capacity, BLK_SIZE / 512);
	cr_assert_eq(c.seg_max, 62);
	cr_assert_eq(c.blk_size, 512);
	cr_assert_eq(c.num_queues, 3);
	cr_assert_eq(c.wce, 1);
	cr_assert_eq(c.max_discard_sectors, 0);
	cr_assert_gt(c.max_write_zeroes_sectors, 0);
	cr_assert_gt(c.max_write_zeroes_seg, 0);
	cr_assert_eq(vu_get_u64(&rig.f, VU_GET_QUEUE_NUM), 3);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t known = BLK_F(SEG_MAX) | BLK_F(BLK_SIZE) | BLK_F(FLUSH) | BLK_F(TOPOLOGY) |
		                 BLK_F(CONFIG_WCE) | BLK_F(MQ) | BLK_F(WRITE_ZEROES) |
		                 VU_F_LOG_ALL | VU_F_INDIRECT_DESC | VU_F_EVENT_IDX |
		                 VU_F_PROTOCOL | VU_F_VERSION_1 | VU_F_RING_PACKED;

		cr_assert_eq(offers(1ull << bit), !!(known & (1ull << bit)), "feature %u", bit);
	}
	blk_rig_end(&rig);
}

Test(blk_device, discard_is_offered_when_it_was_asked_for)
{
	struct virtio_blk_config c;

	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.more = ",discard=on"}));
	c = blk_config(&rig);
	cr_assert(offers(BLK_F(DISCARD)));
	cr_assert_gt(c.max_discard_sectors, 0);
	cr_assert_gt(c.max_discard_seg, 0);
	cr_assert_gt(c.discard_sector_alignment, 0);
	cr_assert_eq(c.write_zeroes_may_unmap, 1);
	blk_rig_end(&rig);
}

Test(blk_device, one_queue_is_not_several)
{
	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.more = ",queues=1"}));
	cr_assert_not(offers(BLK_F(MQ)));
	cr_assert(blk_serves(&rig));
	blk_rig_end(&rig);
}

Test(blk_device, o_direct_tells_the_blocks_that_it_needs)
{
	struct virtio_blk_config c;
	struct stat st;

	if (!blk_rig_start(
	        &rig,
	        &(struct blk_opt){.place = "/var/tmp", .flags = O_DIRECT, .more = ",cache=none"}))
		cr_skip("%s", rig.o.fs_skip);
	cr_assert_eq(stat(rig.image, &st), 0);
	c = blk_config(&rig);
	cr_assert_geq(c.blk_size, 512);
	cr_assert_eq(c.blk_size << c.physical_block_exp, (uint32_t)st.st_blksize);
	blk_rig_end(&rig);
}

/* ---- the write cache ---- */

static uint8_t set_write_cache(uint8_t value)
{
	uint8_t message[13] = {32, 0, 0, 0, 1};

	message[12] = value;
	vu_set(&rig.f, VU_SET_CONFIG, message, sizeof(message), -1);
	return blk_config(&rig).wce;
}

Test(blk_device, the_driver_turns_the_write_cache_off_and_on_and_a_reset_turns_it_back)
{
	cr_assert(blk_rig_start(&rig, NULL));
	cr_assert_eq(set_write_cache(0), 0);
	cr_assert(blk_serves(&rig));
	cr_assert_eq(set_write_cache(1), 1);
	cr_assert_eq(set_write_cache(0), 0);
	vu_set(&rig.f, VU_RESET_DEVICE, NULL, 0, -1);
	cr_assert_eq(blk_config(&rig).wce, 1);
	blk_rig_end(&rig);
}

Test(blk_device, a_disk_that_is_written_through_says_so)
{
	if (!blk_rig_start(&rig,
	                   &(struct blk_opt){.flags = O_DSYNC, .more = ",cache=writethrough"}))
		cr_skip("%s", rig.o.fs_skip);
	cr_assert_eq(blk_config(&rig).wce, 0);
	cr_assert(blk_serves(&rig));
	blk_rig_end(&rig);
}

Test(blk_device, nothing_else_of_the_configuration_can_be_written)
{
	uint8_t message[20] = {0, 0, 0, 0, 8};

	cr_assert(blk_rig_start(&rig, NULL));
	cr_assert_neq(vu_acked(&rig.f, VU_SET_CONFIG, message, sizeof(message), -1), 0);
	cr_assert_eq(blk_config(&rig).capacity, BLK_SIZE / 512);
	cr_assert(blk_serves(&rig));
	blk_rig_end(&rig);
}

/* ---- what is safe, and when: an image on a file system that answers no fsync(2) until it is let ---- */

static struct slow_fuse slow;

static void start_slow(uint64_t without)
{
	if (!blk_rig_start(&rig, &(struct blk_opt){.slow = &slow, .without = without}))
		cr_skip("%s", rig.o.fs_skip);
	slow_fuse_hold(&slow, 1ull << FUSE_FSYNC);
}

/* Whether it is answered before it is safe. */
static bool answers_at_once(struct blk_request *q)
{
	bool at_once;

	(void)blk_offer(&rig, 0, q);
	at_once = blk_wait(&rig, 0, 200);
	cr_assert_eq(slow_fuse_wait(&slow, at_once ? 0 : 1), true,
	             "nothing waits for fsync, and there is no answer");
	slow_fuse_release(&slow);
	cr_assert(at_once || blk_wait(&rig, 0, VU_PATIENCE_MS));
	cr_assert_eq(q->status, VIRTIO_BLK_S_OK);
	slow_fuse_hold(&slow, 1ull << FUSE_FSYNC);
	return at_once;
}

static uint8_t block[512];
static struct blk_request a_write = {
    .type = VIRTIO_BLK_T_OUT, .sector = 1, .out = block, .out_size = 512};
static struct blk_request a_flush = {.type = VIRTIO_BLK_T_FLUSH};

Test(blk_device, a_flush_is_answered_when_it_is_safe_and_a_write_without_a_write_cache)
{
	start_slow(0);
	cr_assert(answers_at_once(&a_write));
	cr_assert_not(answers_at_once(&a_flush));
	cr_assert_eq(set_write_cache(0), 0);
	cr_assert_not(answers_at_once(&a_write));
	cr_assert_eq(set_write_cache(1), 1);
	cr_assert(answers_at_once(&a_write));
	blk_rig_end(&rig);
}

Test(blk_device, a_driver_that_cannot_flush_has_no_write_cache)
{
	start_slow(BLK_F(FLUSH));
	cr_assert_not(answers_at_once(&a_write));
	blk_rig_end(&rig);
}
