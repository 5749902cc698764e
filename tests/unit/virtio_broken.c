/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio_broken.c: what a driver may not do breaks the queue (virtio 1.2, 2.6 and 2.7). */
#include "tests/lib/vq_bed.h"
#include "virtio/chain.h"

#include <sys/mman.h>

/* The queue is broken, says so once, and touches nothing until it is started again. */
static void assert_broken(struct bed *b)
{
	struct vq_chain *c;
	uint16_t idx = *vring_used_idx(&b->v);

	cr_assert_eq(vq_pop(b->q, &c), -EPROTO);
	cr_assert(vq_broken(b->q));
	cr_assert_eq(told(b->error), 1);
	cr_assert_eq(vq_pop(b->q, &c), -EPROTO);
	cr_assert_eq(told(b->error), 0);
	cr_assert_not(vq_pending(b->q));
	cr_assert_not(vq_enable_notify(b->q));
	vq_publish(b->q);
	cr_assert_eq(*vring_used_idx(&b->v), idx);
	cr_assert_eq(told(b->call), 0);
	cr_assert_eq(vq_in_flight(b->q), 0);
	(void)vq_stop(b->q);
	*vring_avail_idx(&b->v) = 0;
	*vring_used_idx(&b->v) = 0;
	cr_assert_eq(start(b, BOTH, 0), 0);
	cr_assert_not(vq_broken(b->q));
	pop_none(b);
	tear_down(b);
}

Test(broken, more_available_than_the_ring_holds)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	*vring_avail_idx(&b.v) = 9;
	assert_broken(&b);
}

Test(broken, avail_idx_that_goes_back)
{
	struct bed b;
	struct vq_chain *c;

	set_up(&b, 8, BOTH);
	offer(&b, 0, VRING_FREE, 1, 0);
	c = pop(&b);
	vq_push(b.q, c, 0);
	vq_publish(b.q);
	(void)told(b.call);
	*vring_avail_idx(&b.v) = 0;
	assert_broken(&b);
}

Test(broken, a_head_outside_of_the_ring)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	vring_offer(&b.v, 8);
	assert_broken(&b);
}

Test(broken, a_next_outside_of_the_ring)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	vring_desc(&b.v, VRING_DESC, 0, VRING_FREE, 1, VRING_NEXT, 8);
	vring_offer(&b.v, 0);
	assert_broken(&b);
}

Test(broken, a_chain_with_a_loop)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	vring_desc(&b.v, VRING_DESC, 0, VRING_FREE, 1, VRING_NEXT, 1);
	vring_desc(&b.v, VRING_DESC, 1, VRING_FREE, 1, VRING_NEXT, 0);
	vring_offer(&b.v, 0);
	assert_broken(&b);
}

Test(broken, a_chain_with_a_loop_in_a_ring_of_one)
{
	struct bed b;

	set_up(&b, 1, BOTH);
	vring_desc(&b.v, VRING_DESC, 0, VRING_FREE, 1, VRING_NEXT, 0);
	vring_offer(&b.v, 0);
	assert_broken(&b);
}

Test(broken, a_head_that_is_under_way_and_what_is_given_back_after_it)
{
	struct bed b;
	struct vq_chain *c, *none;
	uint32_t len;

	set_up(&b, 8, BOTH);
	offer(&b, 3, VRING_FREE, 1, 0);
	c = pop(&b);
	vring_offer(&b.v, 3);
	cr_assert_eq(vq_pop(b.q, &none), -EPROTO);
	vq_push(b.q, c, 7);
	vq_publish(b.q);
	cr_assert_eq(told(b.error), 1);
	cr_assert_eq(told(b.call), 0);
	cr_assert_eq(vq_in_flight(b.q), 0);
	cr_assert_eq(*vring_used_idx(&b.v), 0, "a broken queue's ring is not written");
	cr_assert_eq(vring_used(&b.v, 0, &len), 0);
	cr_assert_eq(len, 0);
	tear_down(&b);
}

Test(broken, no_buffer_of_what_is_under_way_is_written)
{
	struct bed b;
	struct vq_chain *c, *none;
	struct chain_cursor before, in, out;
	struct iovec piece;
	size_t size;
	char text[3] = "";

	set_up(&b, 8, BOTH);
	memcpy(vring_at(&b.v, VRING_FREE), "abc", 3);
	memcpy(vring_at(&b.v, VRING_FREE + 64), "untouched", 9);
	vring_desc(&b.v, VRING_DESC, 0, VRING_FREE, 3, VRING_NEXT, 1);
	vring_desc(&b.v, VRING_DESC, 1, VRING_FREE + 64, 64, VRING_WRITE, 0);
	vring_offer(&b.v, 0);
	c = pop(&b);
	before = chain_in(c);
	cr_assert_eq(before.left, 64);
	vring_offer(&b.v, 8);
	cr_assert_eq(vq_pop(b.q, &none), -EPROTO);
	in = chain_in(c);
	cr_assert_eq(chain_skip(&in, 1), 0);
	cr_assert_eq(chain_write(&in, "xyz", 3), 0);
	cr_assert_eq(chain_take(&in, 3, &piece, 1, &size), 0);
	cr_assert_eq(size, 0);
	/* What the driver wrote can be read. */
	out = chain_out(c);
	cr_assert_eq(chain_read(&out, text, 3), 3);
	cr_assert_eq(memcmp(text, "abc", 3), 0);
	vq_push(b.q, c, 3);
	cr_assert_eq(memcmp(vring_at(&b.v, VRING_FREE + 64), "untouched", 9), 0);
	tear_down(&b);
}

Test(broken, a_chain_longer_than_any_may_be)
{
	struct bed b;

	set_up(&b, 2048, BOTH);
	for (unsigned i = 0; i < VQ_DESCS_MAX + 1; i++)
		vring_desc(&b.v, VRING_DESC, i, VRING_FREE, 1, i < VQ_DESCS_MAX ? VRING_NEXT : 0,
		           i + 1);
	vring_offer(&b.v, 0);
	assert_broken(&b);
}

Test(broken, a_buffer_to_read_after_one_to_write)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	vring_desc(&b.v, VRING_DESC, 0, VRING_FREE, 1, VRING_WRITE | VRING_NEXT, 1);
	vring_desc(&b.v, VRING_DESC, 1, VRING_FREE, 1, 0, 0);
	vring_offer(&b.v, 0);
	assert_broken(&b);
}

Test(broken, a_buffer_to_read_after_an_empty_one_to_write)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	vring_desc(&b.v, VRING_DESC, 0, VRING_FREE, 0, VRING_WRITE | VRING_NEXT, 1);
	vring_desc(&b.v, VRING_DESC, 1, VRING_FREE, 1, 0, 0);
	vring_offer(&b.v, 0);
	assert_broken(&b);
}

Test(broken, a_buffer_outside_of_the_guest)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	offer(&b, 0, VRING_END - 1, 2, 0);
	assert_broken(&b);
}

Test(broken, a_buffer_whose_end_wraps_around)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	offer(&b, 0, UINT64_MAX - 1, 4, 0);
	assert_broken(&b);
}

/* A chain of 256 buffers that are the same 16 MiB, the last of them shorter by that. */
static void offer_gigabytes(struct bed *b, uint32_t shorter)
{
	const struct guest_region large = {
	    .gpa = 1u << 30, .size = 1u << 24, .uva = 1u << 30, .offset = 0};
	int fd = memfd_create("large", MFD_CLOEXEC);
	struct guest_map *more;

	make(b, 8);
	cr_assert_eq(ftruncate(fd, 1 << 24), 0);
	cr_assert_eq(guest_map_add(b->map, &large, fd, &more), 0);
	(void)close(fd);
	guest_map_put(b->map);
	b->map = more;
	cr_assert_eq(start(b, BOTH, 0), 0);
	for (unsigned i = 0; i < 256; i++)
		vring_desc(&b->v, TABLE, i, 1u << 30, (1u << 24) - (i == 255 ? shorter : 0),
		           i < 255 ? VRING_NEXT : 0, i + 1);
	offer(b, 0, TABLE, 256 * 16, VRING_INDIRECT);
}

Test(broken, buffers_of_four_gigabytes)
{
	struct bed b;

	offer_gigabytes(&b, 0);
	assert_broken(&b);
}

Test(broken, not_yet_by_a_byte_less)
{
	struct bed b;
	struct vq_chain *c;

	offer_gigabytes(&b, 1);
	c = pop(&b);
	cr_assert_eq(c->out_size, UINT32_MAX);
	vq_push(b.q, c, 0);
	tear_down(&b);
}

Test(broken, not_by_as_many_pieces_as_descriptors_can_be)
{
	struct bed b;
	struct vq_chain *c;

	set_up(&b, 8, BOTH);
	for (unsigned i = 0; i < VQ_DESCS_MAX; i++)
		vring_desc(&b.v, TABLE, i, VRING_GPA + VRING_REGION - 1, 2,
		           i + 1 < VQ_DESCS_MAX ? VRING_NEXT : 0, i + 1);
	offer(&b, 0, TABLE, VQ_DESCS_MAX * 16, VRING_INDIRECT);
	c = pop(&b);
	cr_assert_eq(c->out_count, 2 * VQ_DESCS_MAX);
	vq_push(b.q, c, 0);
	tear_down(&b);
}

Test(broken, an_indirect_table_that_was_not_negotiated)
{
	struct bed b;

	set_up(&b, 8, VIO_FEATURE(VIO_F_EVENT_IDX));
	fill_table(&b, 2, 8);
	offer(&b, 0, TABLE, 32, VRING_INDIRECT);
	assert_broken(&b);
}

Test(broken, an_indirect_table_within_another)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	fill_table(&b, 2, 8);
	vring_desc(&b.v, TABLE, 1, TABLE, 32, VRING_INDIRECT, 0);
	offer(&b, 0, TABLE, 32, VRING_INDIRECT);
	assert_broken(&b);
}

Test(broken, a_chain_that_goes_on_after_its_indirect_table)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	fill_table(&b, 2, 8);
	vring_desc(&b.v, VRING_DESC, 0, TABLE, 32, VRING_INDIRECT | VRING_NEXT, 1);
	vring_desc(&b.v, VRING_DESC, 1, VRING_FREE, 1, VRING_WRITE, 0);
	vring_offer(&b.v, 0);
	assert_broken(&b);
}

Test(broken, an_indirect_table_of_no_size)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	offer(&b, 0, TABLE, 0, VRING_INDIRECT);
	assert_broken(&b);
}

Test(broken, an_indirect_table_with_part_of_a_descriptor)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	fill_table(&b, 2, 8);
	offer(&b, 0, TABLE, 33, VRING_INDIRECT);
	assert_broken(&b);
}

Test(broken, an_indirect_table_that_is_too_long)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	fill_table(&b, 1, 8);
	offer(&b, 0, TABLE, (VQ_DESCS_MAX + 1) * 16, VRING_INDIRECT);
	assert_broken(&b);
}

Test(broken, an_indirect_table_outside_of_the_guest)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	offer(&b, 0, VRING_END - 16, 32, VRING_INDIRECT);
	assert_broken(&b);
}

Test(broken, an_indirect_table_that_goes_on_outside_of_itself)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	vring_desc(&b.v, TABLE, 0, VRING_FREE, 1, VRING_NEXT, 2);
	offer(&b, 0, TABLE, 32, VRING_INDIRECT);
	assert_broken(&b);
}

Test(broken, an_indirect_table_with_a_loop)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	vring_desc(&b.v, TABLE, 0, VRING_FREE, 1, VRING_NEXT, 1);
	vring_desc(&b.v, TABLE, 1, VRING_FREE, 1, VRING_NEXT, 0);
	offer(&b, 0, TABLE, 32, VRING_INDIRECT);
	assert_broken(&b);
}

Test(broken, too_many_descriptors_before_and_in_an_indirect_table)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	fill_table(&b, VQ_DESCS_MAX, 8);
	vring_desc(&b.v, VRING_DESC, 0, VRING_FREE, 1, VRING_NEXT, 1);
	vring_desc(&b.v, VRING_DESC, 1, TABLE, VQ_DESCS_MAX * 16, VRING_INDIRECT, 0);
	vring_offer(&b.v, 0);
	assert_broken(&b);
}

Test(broken, the_device_may_break_it_too)
{
	struct bed b;

	set_up(&b, 8, BOTH);
	cr_assert_eq(vq_break(b.q, "a request has no header"), -EPROTO);
	assert_broken(&b);
}

Test(broken, memory_that_the_emulator_took_away)
{
	struct bed b;
	struct vq_chain *c;

	cr_assert_eq(guest_memory_guard(), 0);
	set_up(&b, 8, BOTH);
	offer(&b, 0, VRING_FREE, 1, 0);
	cr_assert_eq(ftruncate(b.v.fd, VRING_REGION), 0);
	c = pop(&b);
	vq_push(b.q, c, 0);
	cr_assert_eq(ftruncate(b.v.fd, 0), 0);
	vq_publish(b.q);
	cr_assert_eq(vq_pop(b.q, &c), -EPROTO);
	cr_assert_eq(told(b.error), 1);
	(void)vq_stop(b.q);
	cr_assert_eq(start(&b, BOTH, 0), -EFAULT);
	vq_free(b.q);
	guest_map_put(b.map);
}
