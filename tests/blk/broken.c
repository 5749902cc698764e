/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * broken.c: a driver lies on a ring while a read of it is under way: all else of the disk and of the device goes on, the read
 * answers nobody, and the ring serves again once it was begun anew. (What virtio/ sees to itself is in tests/virtio/broken.c.)
 */
#include "tests/lib/blk_rig.h"
#include "tests/lib/control_disk.h"

#include <criterion/criterion.h>
#include <linux/fuse.h>
#include <string.h>

static struct blk_rig rig;
static struct slow_fuse slow;
static struct control_peer c;

/* A buffer to read behind one to write, which no ring may have. */
static void lie(void)
{
	const struct vu_sg sg[] = {{VU_FAR_GPA, 100, VU_DESC_WRITE}, {VU_FAR_GPA + 4096, 19, 0}};
	struct vu_ring *ring = &rig.ring[0];

	vu_ring_put(ring, vu_ring_add(ring, sg, 2));
	vu_ring_publish(ring);
	vu_ring_kick_anyway(ring);
	cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS), "the ring goes on");
}

static void others_go_on(void)
{
	char id[VIRTIO_BLK_ID_BYTES];
	struct blk_request q = {.type = VIRTIO_BLK_T_GET_ID, .in = id, .in_size = sizeof(id)};

	for (unsigned i = 0; i < 50; i++) {
		(void)blk_offer(&rig, 1, &q);
		cr_assert(blk_wait(&rig, 1, VU_PATIENCE_MS), "the other ring stands still");
		cr_assert_eq(q.status, VIRTIO_BLK_S_OK);
		cr_assert_str_eq(id, "d0");
	}
	control_attach(&c, "other", NULL);
	control_detach(&c, "other");
}

static void by_base(void)
{
	(void)vu_ring_stop(&rig.ring[0]);
	vu_ring_clear(&rig.ring[0]);
	vu_ring_start(&rig.ring[0]);
}

static void by_reset(void)
{
	cr_assert_eq(vu_acked(&rig.f, VU_RESET_DEVICE, NULL, 0, -1), 0);
	vu_set_features(&rig.f, rig.f.features);
	for (unsigned i = 0; i < 2; i++) {
		vu_ring_clear(&rig.ring[i]);
		vu_ring_start(&rig.ring[i]);
	}
}

static void by_leaving(void)
{
	blk_rig_down(&rig);
	blk_rig_connect(&rig);
	blk_rig_rings(&rig);
}

/* A new image each time: nothing of it is in the page cache. */
static void lies_while_it_reads(bool packed, void (*again)(void))
{
	uint8_t data[512];
	struct blk_request read = {
	    .type = VIRTIO_BLK_T_IN, .sector = 1, .in = data, .in_size = sizeof(data)};
	unsigned slot;

	if (!blk_rig_start(
	        &rig,
	        &(struct blk_opt){.slow = &slow, .control = true, .queues = 2, .packed = packed}))
		cr_skip("%s", rig.o.fs_skip);
	control_connect(&c, rig.control);
	slow_fuse_hold(&slow, 1ull << FUSE_READ);
	slot = blk_offer(&rig, 0, &read);
	cr_assert(slow_fuse_wait(&slow, 1), "nothing waits for the read");
	lie();
	others_go_on();
	slow_fuse_release(&slow);
	cr_assert_not(blk_wait(&rig, 0, 300), "a broken ring answers");
	cr_assert_eq(*(uint8_t *)vu_at(&rig.f, rig.slot[slot].in + sizeof(data), 1), BLK_UNTOUCHED,
	             "the request's status is written");
	others_go_on();
	again();
	rig.slot[slot].busy = false;
	for (unsigned i = 0; i < 10; i++)
		cr_assert(blk_serves(&rig), "%s", blk_rig_log(&rig));
	others_go_on();
	control_close(&c);
	blk_rig_end(&rig);
}

Test(blk_broken, a_split_ring_until_it_is_stopped, .timeout = 60)
{
	lies_while_it_reads(false, by_base);
}

Test(blk_broken, a_split_ring_until_a_reset, .timeout = 60)
{
	lies_while_it_reads(false, by_reset);
}

Test(blk_broken, a_split_ring_until_the_next_connection, .timeout = 60)
{
	lies_while_it_reads(false, by_leaving);
}

Test(blk_broken, a_packed_ring_until_it_is_stopped, .timeout = 60)
{
	lies_while_it_reads(true, by_base);
}

Test(blk_broken, a_packed_ring_until_a_reset, .timeout = 60)
{
	lies_while_it_reads(true, by_reset);
}

Test(blk_broken, a_packed_ring_until_the_next_connection, .timeout = 60)
{
	lies_while_it_reads(true, by_leaving);
}
