/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio_packed.c: packed rings (virtio 1.2, 2.8), from a driver's side. */
#include "tests/lib/vq_packed.h"
#include "virtio/chain.h"

#include <sys/mman.h>

Test(packed, a_chain_comes_and_goes)
{
	struct driver d;
	struct vq_chain *c;
	uint32_t len;

	begin(&d, 8, BOTH);
	pop_none(&d.b);
	offer_packed(&d, 3, 5);
	cr_assert(vq_pending(d.b.q));
	c = pop(&d.b);
	cr_assert_eq(c->out_count, 2);
	cr_assert_eq(c->in_count, 1);
	cr_assert_eq(c->id, 5);
	pop_none(&d.b);
	vq_push(d.b.q, c, 1);
	cr_assert_eq(take_used(&d, 3, &len), UINT32_MAX, "before it is published");
	vq_publish(d.b.q);
	cr_assert_eq(take_used(&d, 3, &len), 5);
	cr_assert_eq(len, 1);
	cr_assert_eq(told(d.b.call), 1);
	cr_assert_eq(take_used(&d, 1, &len), UINT32_MAX);
	tear_down(&d.b);
}

/* A size that is no power of two, and chains of all lengths over its end, again and again. */
Test(packed, the_ring_goes_round)
{
	struct driver d;
	uint32_t len;

	begin(&d, 7, BOTH);
	for (unsigned i = 0; i < 500; i++) {
		unsigned count = i % 7 + 1;
		struct vq_chain *c;

		offer_packed(&d, count, i % 7);
		c = pop(&d.b);
		cr_assert_eq(c->out_count + c->in_count, count);
		pop_none(&d.b);
		vq_push(d.b.q, c, i);
		vq_publish(d.b.q);
		cr_assert_eq(take_used(&d, count, &len), i % 7);
		cr_assert_eq(len, i);
		if (i % 50 == 0) {
			cr_assert_eq(vq_stop(d.b.q), base(&d));
			cr_assert_eq(start(&d.b, PACKED, base(&d)), 0);
		}
	}
	tear_down(&d.b);
}

Test(packed, several_are_given_back_at_once_and_in_another_order)
{
	struct driver d;
	struct vq_chain *c[4];
	uint32_t len;

	begin(&d, 8, BOTH);
	for (unsigned i = 0; i < 4; i++)
		offer_packed(&d, 2, i);
	for (unsigned i = 0; i < 4; i++)
		c[i] = pop(&d.b);
	for (unsigned i = 0; i < 4; i++)
		vq_push(d.b.q, c[3 - i], i);
	cr_assert_eq(take_used(&d, 2, &len), UINT32_MAX);
	vq_publish(d.b.q);
	cr_assert_eq(told(d.b.call), 1);
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(take_used(&d, 2, &len), 3 - i);
		cr_assert_eq(len, i);
	}
	tear_down(&d.b);
}

Test(packed, an_indirect_table_is_read_in_order)
{
	struct driver d;
	struct vq_chain *c;
	uint32_t len;

	begin(&d, 2, BOTH);
	/* The id means nothing, and neither does NEXT. */
	for (unsigned i = 0; i < 100; i++)
		vring_desc(&d.b.v, TABLE, i, VRING_FREE, 2, 9999,
		           i % 2 * VRING_NEXT | (i < 99 ? 0 : VRING_WRITE));
	put(&d, 0, true, TABLE, 1600, 1, VRING_INDIRECT);
	c = pop(&d.b);
	cr_assert_eq(c->out_count, 99);
	cr_assert_eq(c->in_count, 1);
	vq_push(d.b.q, c, 2);
	vq_publish(d.b.q);
	cr_assert_eq(take_used(&d, 1, &len), 1);
	tear_down(&d.b);
}

/* ---- notifications ---- */

Test(packed, kicks_are_asked_for_by_flags_or_a_position)
{
	struct driver d;

	begin(&d, 8, BOTH);
	vq_disable_notify(d.b.q);
	cr_assert_eq(event(&d, VRING_USED)[1], 1);
	cr_assert_not(vq_enable_notify(d.b.q));
	cr_assert_eq(event(&d, VRING_USED)[0], 0x8000);
	cr_assert_eq(event(&d, VRING_USED)[1], 2);
	offer_packed(&d, 8, 0);
	cr_assert(vq_enable_notify(d.b.q));
	vq_push(d.b.q, pop(&d.b), 0);
	cr_assert_not(vq_enable_notify(d.b.q));
	cr_assert_eq(event(&d, VRING_USED)[0], 0, "the ring has gone round");
	tear_down(&d.b);
	begin(&d, 8, 0);
	vq_disable_notify(d.b.q);
	cr_assert_eq(event(&d, VRING_USED)[1], 1);
	cr_assert_not(vq_enable_notify(d.b.q));
	cr_assert_eq(event(&d, VRING_USED)[1], 0);
	tear_down(&d.b);
}

/* Interrupts of n chains of one descriptor, when the driver waits for that position (-1: always, -2:
 * never). */
static uint64_t interrupts(struct driver *d, unsigned n, int position, bool wrap)
{
	uint32_t len;

	event(d, VRING_AVAIL)[0] = (uint16_t)((unsigned)position | (wrap ? 0x8000u : 0));
	event(d, VRING_AVAIL)[1] = (uint16_t)(position == -1 ? 0 : position == -2 ? 1 : 2);
	for (unsigned i = 0; i < n; i++) {
		offer_packed(d, 1, i);
		vq_push(d->b.q, pop(&d->b), 0);
	}
	vq_publish(d->b.q);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(take_used(d, 1, &len), i);
	return told(d->b.call);
}

Test(packed, interrupts_come_as_the_driver_wants_them)
{
	struct driver d;

	begin(&d, 8, BOTH);
	cr_assert_eq(interrupts(&d, 1, -2, true), 1, "the first after a start is never left out");
	cr_assert_eq(interrupts(&d, 1, -1, true), 1);
	cr_assert_eq(interrupts(&d, 1, -2, true), 0); /* now 3 */
	cr_assert_eq(interrupts(&d, 2, 2, true), 0);  /* 5: it was met before */
	cr_assert_eq(interrupts(&d, 2, 5, true), 1);  /* 7 */
	cr_assert_eq(interrupts(&d, 2, 0, false), 1); /* 1, round the end */
	cr_assert_eq(interrupts(&d, 2, 7, true), 0);  /* 3 */
	cr_assert_eq(interrupts(&d, 2, 7, false), 0); /* 5 */
	cr_assert_eq(interrupts(&d, 3, 7, false), 1); /* 0 */
	cr_assert_eq(interrupts(&d, 8, 3, true), 1);  /* 0, all round */
	cr_assert_eq(interrupts(&d, 2, 0, true), 0);  /* 2: a round ago */
	tear_down(&d.b);
}

Test(packed, a_position_means_always_where_events_were_not_negotiated)
{
	struct driver d;

	begin(&d, 8, VIO_FEATURE(VIO_F_INDIRECT_DESC));
	cr_assert_eq(interrupts(&d, 1, -1, true), 1);
	cr_assert_eq(interrupts(&d, 1, 7, true), 1);
	cr_assert_eq(interrupts(&d, 1, -2, true), 0);
	tear_down(&d.b);
}

/* ---- what breaks it ---- */

static void broken(struct driver *d)
{
	struct vq_chain *c;

	cr_assert_eq(vq_pop(d->b.q, &c), -EPROTO);
	cr_assert_eq(told(d->b.error), 1);
	cr_assert_not(vq_pending(d->b.q));
	cr_assert_eq(vq_in_flight(d->b.q), 0);
	(void)vq_stop(d->b.q);
	memset(d->b.v.memory, 0, VRING_REGION);
	cr_assert_eq(start(&d->b, PACKED, 0x80008000), 0);
	pop_none(&d->b);
	tear_down(&d->b);
}

Test(packed, a_chain_with_a_loop)
{
	struct driver d;

	begin(&d, 8, BOTH);
	for (unsigned i = 0; i < 8; i++)
		put(&d, i, true, VRING_FREE, 1, 0, VRING_NEXT);
	broken(&d);
}

Test(packed, a_chain_longer_than_any_may_be)
{
	struct driver d;

	begin(&d, 2048, BOTH);
	for (unsigned i = 0; i <= VQ_DESCS_MAX; i++)
		put(&d, i, true, VRING_FREE, 1, 0, i < VQ_DESCS_MAX ? VRING_NEXT : 0);
	broken(&d);
}

Test(packed, an_id_that_the_ring_does_not_have)
{
	struct driver d;

	begin(&d, 8, BOTH);
	offer_packed(&d, 1, 8);
	broken(&d);
}

Test(packed, an_id_that_is_under_way)
{
	struct driver d;
	struct vq_chain *c, *none;

	begin(&d, 8, BOTH);
	offer_packed(&d, 1, 3);
	c = pop(&d.b);
	offer_packed(&d, 1, 3);
	cr_assert_eq(vq_pop(d.b.q, &none), -EPROTO);
	vq_push(d.b.q, c, 0);
	tear_down(&d.b);
}

Test(packed, a_buffer_to_read_after_one_to_write)
{
	struct driver d;

	begin(&d, 8, BOTH);
	put(&d, 1, true, VRING_FREE, 1, 0, 0);
	put(&d, 0, true, VRING_FREE, 1, 0, VRING_NEXT | VRING_WRITE);
	broken(&d);
}

Test(packed, an_indirect_table_in_a_longer_chain)
{
	struct driver d;

	begin(&d, 8, BOTH);
	put(&d, 1, true, TABLE, 16, 0, VRING_INDIRECT);
	put(&d, 0, true, VRING_FREE, 1, 0, VRING_NEXT);
	broken(&d);
}

Test(packed, an_indirect_table_within_another)
{
	struct driver d;

	begin(&d, 8, BOTH);
	vring_desc(&d.b.v, TABLE, 0, TABLE, 16, 0, VRING_INDIRECT);
	put(&d, 0, true, TABLE, 16, 0, VRING_INDIRECT);
	broken(&d);
}

Test(packed, an_indirect_table_of_no_size)
{
	struct driver d;

	begin(&d, 8, BOTH);
	put(&d, 0, true, TABLE, 0, 0, VRING_INDIRECT);
	broken(&d);
}

Test(packed, a_base_outside_of_the_ring_and_parts_outside_of_the_guest)
{
	struct driver d;
	struct vq_setup s;

	begin(&d, 8, BOTH);
	(void)vq_stop(d.b.q);
	cr_assert_eq(start(&d.b, PACKED, 8), -EINVAL);
	cr_assert_eq(start(&d.b, PACKED, 8u << 16), -EINVAL);
	s = (struct vq_setup){.size = 8,
	                      .features = PACKED,
	                      .desc = vring_uva(VRING_DESC),
	                      .avail = vring_uva(VRING_AVAIL) + 2,
	                      .used = vring_uva(VRING_USED),
	                      .map = d.b.map};
	cr_assert_eq(vq_start(d.b.q, &s), -EFAULT);
	s.avail = vring_uva(VRING_GPA + VRING_REGION);
	cr_assert_eq(vq_start(d.b.q, &s), -EFAULT);
	s.avail = vring_uva(VRING_AVAIL);
	s.desc = vring_uva(VRING_GPA + VRING_REGION - 7 * 16);
	cr_assert_eq(vq_start(d.b.q, &s), -EFAULT);
	tear_down(&d.b);
}

Test(packed, what_is_written_is_logged)
{
	struct driver d;
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct shared_piece *log;
	uint8_t *bits;

	cr_assert_eq(ftruncate(fd, 4096), 0);
	cr_assert_eq(shared_piece_map(fd, 0, 4096, &log), 0);
	bits = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	begin(&d, 8, BOTH);
	vq_set_log(d.b.q, log, true, 0);
	offer_packed(&d, 2, 0);
	vq_push(d.b.q, pop(&d.b), 1);
	vq_publish(d.b.q);
	cr_assert_eq(bits[VRING_DESC / 4096 / 8], 1u << VRING_DESC / 4096 % 8);
	cr_assert_eq(bits[VRING_USED / 4096 / 8], 0);
	cr_assert_not(vq_enable_notify(d.b.q));
	cr_assert_eq(bits[VRING_USED / 4096 / 8], 1u << VRING_USED / 4096 % 8);
	cr_assert_eq(bits[VRING_FREE / 4096 / 8], 1u << VRING_FREE / 4096 % 8);
	shared_piece_put(log);
	tear_down(&d.b);
}
