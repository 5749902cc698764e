/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio_blk.c: where each field lies, against offsets written down from the specification and from Linux's header. */
#include "wire/virtio_blk.h"

#include <criterion/criterion.h>
#include <linux/virtio_blk.h>
#include <string.h>

static struct vblk_config_rep sample(void)
{
	return (struct vblk_config_rep){.capacity = 0x0102030405060708,
	                                .size_max = 0x11121314,
	                                .seg_max = 0x21222324,
	                                .cylinders = 0x3132,
	                                .heads = 0x33,
	                                .sectors = 0x34,
	                                .blk_size = 0x41424344,
	                                .physical_block_exp = 0x51,
	                                .alignment_offset = 0x52,
	                                .min_io_size = 0x5354,
	                                .opt_io_size = 0x61626364,
	                                .writeback = 0x71,
	                                .num_queues = 0x7273,
	                                .max_discard_sectors = 0x81828384,
	                                .max_discard_seg = 0x91929394,
	                                .discard_sector_alignment = 0xa1a2a3a4,
	                                .max_write_zeroes_sectors = 0xb1b2b3b4,
	                                .max_write_zeroes_seg = 0xc1c2c3c4,
	                                .write_zeroes_may_unmap = 0xd1,
	                                .max_secure_erase_sectors = 0xe1e2e3e4,
	                                .max_secure_erase_seg = 0xf1f2f3f4,
	                                .secure_erase_sector_alignment = 0x01f1f2f3};
}

/* The same field of Linux's struct has the same value, this host being little-endian. */
#define SAME(ours, theirs)                                                         \
	do {                                                                       \
		memcpy(&there, bytes + offsetof(struct virtio_blk_config, theirs), \
		       sizeof(((struct virtio_blk_config *)0)->theirs));           \
		cr_assert_eq(there, c.ours, #ours);                                \
		there = 0;                                                         \
	} while (0)

Test(virtio_blk, the_configuration_space_is_as_linux_has_it)
{
	const struct vblk_config_rep c = sample();
	uint8_t bytes[VBLK_CONFIG_SIZE + 8];
	struct wr w = wr_over(bytes, sizeof(bytes));
	uint64_t there = 0;

	cr_assert(vblk_config_rep_put(&w, &c));
	cr_assert_eq(w.used, VBLK_CONFIG_SIZE);
	SAME(capacity, capacity);
	SAME(size_max, size_max);
	SAME(seg_max, seg_max);
	SAME(cylinders, geometry.cylinders);
	SAME(heads, geometry.heads);
	SAME(sectors, geometry.sectors);
	SAME(blk_size, blk_size);
	SAME(physical_block_exp, physical_block_exp);
	SAME(alignment_offset, alignment_offset);
	SAME(min_io_size, min_io_size);
	SAME(opt_io_size, opt_io_size);
	SAME(writeback, wce);
	SAME(num_queues, num_queues);
	SAME(max_discard_sectors, max_discard_sectors);
	SAME(max_discard_seg, max_discard_seg);
	SAME(discard_sector_alignment, discard_sector_alignment);
	SAME(max_write_zeroes_sectors, max_write_zeroes_sectors);
	SAME(max_write_zeroes_seg, max_write_zeroes_seg);
	SAME(write_zeroes_may_unmap, write_zeroes_may_unmap);
	cr_assert_eq(bytes[VBLK_CONFIG_WRITEBACK], c.writeback);
	/* virtio 1.2 has these behind what Linux 6.1 knows. */
	cr_assert_eq(bytes[60], 0xe4);
	cr_assert_eq(bytes[64], 0xf4);
	cr_assert_eq(bytes[68], 0xf3);
	cr_assert_eq(bytes[71], 0x01);
}

Test(virtio_blk, a_head_and_a_segment_are_as_linux_has_them)
{
	const struct virtio_blk_outhdr head = {
	    .type = 13, .ioprio = 7, .sector = 0x123456789abcdef};
	const struct virtio_blk_discard_write_zeroes segment = {
	    .sector = 1, .num_sectors = 2, .flags = 3};
	struct vblk_head_req h;
	struct vblk_segment_req s;
	struct rd r = rd_over(&head, sizeof(head));

	cr_assert_eq(sizeof(head), VBLK_HEAD_SIZE);
	cr_assert(vblk_head_req_get(&r, &h));
	cr_assert_eq(h.type, VBLK_T_WRITE_ZEROES);
	cr_assert_eq(h.ioprio, 7);
	cr_assert_eq(h.sector, 0x123456789abcdef);
	r = rd_over(&segment, sizeof(segment));
	cr_assert_eq(sizeof(segment), VBLK_SEGMENT_SIZE);
	cr_assert(vblk_segment_req_get(&r, &s));
	cr_assert_eq(s.sector, 1);
	cr_assert_eq(s.count, 2);
	cr_assert_eq(s.flags, 3);
}

Test(virtio_blk, numbers_are_those_of_linux)
{
	cr_assert_eq(VBLK_F_SEG_MAX, VIRTIO_BLK_F_SEG_MAX);
	cr_assert_eq(VBLK_F_RO, VIRTIO_BLK_F_RO);
	cr_assert_eq(VBLK_F_BLK_SIZE, VIRTIO_BLK_F_BLK_SIZE);
	cr_assert_eq(VBLK_F_FLUSH, VIRTIO_BLK_F_FLUSH);
	cr_assert_eq(VBLK_F_TOPOLOGY, VIRTIO_BLK_F_TOPOLOGY);
	cr_assert_eq(VBLK_F_CONFIG_WCE, VIRTIO_BLK_F_CONFIG_WCE);
	cr_assert_eq(VBLK_F_MQ, VIRTIO_BLK_F_MQ);
	cr_assert_eq(VBLK_F_DISCARD, VIRTIO_BLK_F_DISCARD);
	cr_assert_eq(VBLK_F_WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES);
	cr_assert_eq(VBLK_T_IN, VIRTIO_BLK_T_IN);
	cr_assert_eq(VBLK_T_OUT, VIRTIO_BLK_T_OUT);
	cr_assert_eq(VBLK_T_FLUSH, VIRTIO_BLK_T_FLUSH);
	cr_assert_eq(VBLK_T_GET_ID, VIRTIO_BLK_T_GET_ID);
	cr_assert_eq(VBLK_T_DISCARD, VIRTIO_BLK_T_DISCARD);
	cr_assert_eq(VBLK_T_WRITE_ZEROES, VIRTIO_BLK_T_WRITE_ZEROES);
	cr_assert_eq(VBLK_SEGMENT_UNMAP, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	cr_assert_eq(VBLK_S_IOERR, VIRTIO_BLK_S_IOERR);
	cr_assert_eq(VBLK_S_UNSUPP, VIRTIO_BLK_S_UNSUPP);
	cr_assert_eq(VBLK_ID_SIZE, VIRTIO_BLK_ID_BYTES);
}
