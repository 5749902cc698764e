/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packed.c: disks by packed rings (virtio 1.2, 2.8). What requests do is what other suites see, which are run with such rings too
 * (meson.build); this is about the rings: their end, their size, a pause, what a driver may not do.
 */
#include "tests/lib/blk_rig.h"
#include "tests/lib/vu_packed.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

static struct blk_rig rig;

/* So many writes under way at once, then so many reads of what they wrote. */
static void round_of(unsigned count, bool indirect)
{
	static uint8_t there[BLK_SLOTS][4096], back[BLK_SLOTS][4096];
	static struct blk_request q[BLK_SLOTS];
	static uint32_t seed;

	for (unsigned way = 0; way < 2; way++) {
		for (unsigned i = 0; i < count; i++) {
			q[i] =
			    (struct blk_request){.type = way ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
			                         .sector = 8 * i,
			                         .indirect = indirect};
			if (!way)
				blk_fill(there[i], 4096, seed++);
			q[i].out = way ? NULL : there[i];
			q[i].out_size = way ? 0 : 4096;
			q[i].in = way ? back[i] : NULL;
			q[i].in_size = way ? 4096 : 0;
			(void)blk_offer(&rig, 0, &q[i]);
		}
		for (unsigned i = 0; i < count; i++)
			cr_assert(blk_wait(&rig, 0, VU_PATIENCE_MS), "%s", blk_rig_log(&rig));
		for (unsigned i = 0; i < count; i++) {
			cr_assert_eq(q[i].status, VIRTIO_BLK_S_OK);
			cr_assert_eq(q[i].used_size, way ? 4097 : 1);
		}
	}
	cr_assert_eq(memcmp(there, back, count * sizeof(there[0])), 0);
}

Test(blk_packed, several_under_way_across_the_ring_s_end)
{
	static const uint16_t sizes[] = {7, 64, 100};

	/* Three descriptors each, so that chains lie across the end. */
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		cr_assert(
		    blk_rig_start(&rig, &(struct blk_opt){.packed = true, .ring_size = sizes[s]}));
		cr_assert_not_null(rig.ring[0].packed);
		for (unsigned i = 0; i < 50; i++) {
			round_of(1 + i % (sizes[s] / 3u), false);
			round_of(1 + i % (sizes[s] < BLK_SLOTS ? sizes[s] : BLK_SLOTS), true);
		}
		cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
		blk_rig_end(&rig);
	}
}

Test(blk_packed, those_that_wait_for_a_medium_end_in_any_order)
{
	if (!blk_rig_start(&rig, &(struct blk_opt){.packed = true,
	                                           .place = "/var/tmp",
	                                           .flags = O_DIRECT,
	                                           .more = ",cache=none"}))
		cr_skip("%s", rig.o.fs_skip);
	for (unsigned i = 0; i < 10; i++) {
		round_of(BLK_SLOTS / 2, i % 2);
		cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
	}
	blk_rig_end(&rig);
}

Test(blk_packed, a_pause_goes_on_where_it_was)
{
	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.packed = true, .ring_size = 7}));
	for (unsigned i = 0; i < 30; i++) {
		const struct vu_packed *at = rig.ring[0].packed;

		round_of(1 + i % 2, false);
		cr_assert_eq(vu_ring_stop(&rig.ring[0]),
		             (uint16_t)(at->avail | (unsigned)at->avail_wrap << 15));
		/* Its base is where both sides are by now, in the middle of the ring. */
		vu_ring_start(&rig.ring[0]);
	}
	blk_rig_end(&rig);
}

Test(blk_packed, a_read_only_disk_refuses)
{
	uint8_t data[4096] = {1}, back[4096] = {1};

	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.packed = true, .readonly = true}));
	for (unsigned i = 0; i < 100; i++) {
		cr_assert_eq(blk_write(&rig, 8, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
		cr_assert_eq(blk_read(&rig, 8, back, sizeof(back)), VIRTIO_BLK_S_OK);
		cr_assert_eq(back[0], 0);
	}
	blk_rig_end(&rig);
}

Test(blk_packed, a_chain_without_room_breaks_the_ring_until_it_is_started_anew)
{
	uint8_t data[512] = {0};
	struct blk_request q = {.type = VIRTIO_BLK_T_IN, .in = data, .in_size = 512, .out_less = 1};

	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.packed = true}));
	for (unsigned i = 0; i < 5; i++) {
		cr_assert(blk_breaks(&rig, &q));
		round_of(20, i % 2);
	}
	blk_rig_end(&rig);
}
