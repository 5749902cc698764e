/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio_queue.c: split rings, by what a driver may do (virtio 1.2, 2.6 and 2.7). */
#include "tests/lib/vq_bed.h"
#include "virtio/chain.h"

#include <fcntl.h>
#include <sys/mman.h>

/* ---- what is right ---- */

Test(queue, a_chain_comes_with_its_buffers_in_order)
{
	struct bed b;
	struct vq_chain *c;
	struct chain_cursor r;
	char text[16] = "";

	set_up(&b, 8, 0);
	pop_none(&b);
	memcpy(vring_at(&b.v, VRING_FREE), "one", 3);
	memcpy(vring_at(&b.v, VRING_FREE + 100), "two", 3);
	vring_desc(&b.v, VRING_DESC, 5, VRING_FREE, 3, VRING_NEXT, 2);
	vring_desc(&b.v, VRING_DESC, 2, VRING_FREE + 100, 3, VRING_NEXT, 7);
	vring_desc(&b.v, VRING_DESC, 7, VRING_FREE + 200, 50, VRING_WRITE | VRING_NEXT, 0);
	vring_desc(&b.v, VRING_DESC, 0, VRING_FREE + 300, 60, VRING_WRITE, 9999);
	vring_offer(&b.v, 5);
	c = pop(&b);
	cr_assert_eq(c->out_count, 2);
	cr_assert_eq(c->out_size, 6);
	cr_assert_eq(c->in_count, 2);
	cr_assert_eq(c->in_size, 110);
	cr_assert_eq(vq_in_flight(b.q), 1);
	r = chain_out(c);
	cr_assert_eq(chain_read(&r, text, sizeof(text)), 6);
	cr_assert_str_eq(text, "onetwo");
	r = chain_in(c);
	cr_assert_eq(chain_skip(&r, 49), 49);
	cr_assert_eq(chain_write(&r, "xyz", 3), 3);
	cr_assert_eq(*(char *)vring_at(&b.v, VRING_FREE + 249), 'x');
	cr_assert_eq(memcmp(vring_at(&b.v, VRING_FREE + 300), "yz", 2), 0);
	pop_none(&b);
	vq_push(b.q, c, 52);
	cr_assert_eq(vq_in_flight(b.q), 0);
	tear_down(&b);
}

Test(queue, the_driver_sees_what_is_used_when_it_is_published)
{
	struct bed b;
	struct vq_chain *first, *second;
	uint32_t len;

	set_up(&b, 8, 0);
	offer(&b, 4, VRING_FREE, 10, VRING_WRITE);
	offer(&b, 6, VRING_FREE, 10, VRING_WRITE);
	first = pop(&b);
	second = pop(&b);
	vq_push(b.q, second, 9);
	vq_push(b.q, first, 0);
	cr_assert_eq(*vring_used_idx(&b.v), 0);
	cr_assert_eq(told(b.call), 0);
	vq_publish(b.q);
	cr_assert_eq(*vring_used_idx(&b.v), 2);
	cr_assert_eq(told(b.call), 1, "one interrupt for both");
	cr_assert_eq(vring_used(&b.v, 0, &len), 6);
	cr_assert_eq(len, 9);
	cr_assert_eq(vring_used(&b.v, 1, &len), 4);
	cr_assert_eq(len, 0);
	vq_publish(b.q);
	cr_assert_eq(told(b.call), 0, "nothing new");
	tear_down(&b);
}

Test(queue, indices_go_on_after_65535)
{
	struct bed b;
	uint32_t len;

	make(&b, 8);
	*vring_avail_idx(&b.v) = *vring_used_idx(&b.v) = 65530;
	*vring_used_event(&b.v) = 65529;
	cr_assert_eq(start(&b, BOTH, 65530), 0);
	for (unsigned i = 0; i < 20; i++) {
		struct vq_chain *c;

		offer(&b, i % 8, VRING_FREE, i + 1, VRING_WRITE);
		c = pop(&b);
		cr_assert_eq(c->in_size, i + 1);
		pop_none(&b);
		vq_push(b.q, c, i);
		vq_publish(b.q);
		cr_assert_eq(*vring_used_idx(&b.v), (uint16_t)(65530 + i + 1));
		cr_assert_eq(vring_used(&b.v, 65530 + i, &len), i % 8);
		cr_assert_eq(len, i);
		cr_assert_eq(told(b.call), 1);
		*vring_used_event(&b.v) = *vring_used_idx(&b.v);
	}
	cr_assert_eq(vq_stop(b.q), (uint16_t)(65530 + 20));
	tear_down(&b);
}

Test(queue, a_full_ring_is_taken_and_given_back_in_any_order)
{
	struct bed b;
	struct vq_chain *all[256];
	uint32_t len;

	set_up(&b, 256, 0);
	for (unsigned i = 0; i < 256; i++)
		offer(&b, i * 7 % 256, VRING_FREE + i, 1, 0);
	for (unsigned i = 0; i < 256; i++)
		all[i] = pop(&b);
	pop_none(&b);
	cr_assert_eq(vq_in_flight(b.q), 256);
	for (unsigned i = 0; i < 256; i++)
		vq_push(b.q, all[i * 5 % 256], i);
	vq_publish(b.q);
	cr_assert_eq(*vring_used_idx(&b.v), 256);
	for (unsigned i = 0; i < 256; i++) {
		cr_assert_eq(vring_used(&b.v, i, &len), i * 5 % 256 * 7 % 256);
		cr_assert_eq(len, i);
	}
	tear_down(&b);
}

Test(queue, buffers_without_bytes_are_passed_over)
{
	struct bed b;
	struct vq_chain *c;

	set_up(&b, 8, 0);
	vring_desc(&b.v, VRING_DESC, 0, UINT64_MAX, 0, VRING_NEXT, 1);
	vring_desc(&b.v, VRING_DESC, 1, VRING_FREE, 4, VRING_NEXT, 2);
	vring_desc(&b.v, VRING_DESC, 2, 0, 0, VRING_WRITE, 0);
	vring_offer(&b.v, 0);
	c = pop(&b);
	cr_assert_eq(c->out_count, 1);
	cr_assert_eq(c->out_size, 4);
	cr_assert_eq(c->in_count, 0);
	cr_assert_eq(c->in_size, 0);
	vq_push(b.q, c, 0);
	tear_down(&b);
}

Test(queue, a_buffer_over_two_regions_is_two_pieces)
{
	struct bed b;
	struct vq_chain *c;
	struct chain_cursor r;

	set_up(&b, 8, 0);
	offer(&b, 0, VRING_GPA + VRING_REGION - 10, 30, VRING_WRITE);
	c = pop(&b);
	cr_assert_eq(c->in_count, 2);
	cr_assert_eq(c->in[0].iov_len, 10);
	cr_assert_eq(c->in[1].iov_len, 20);
	r = chain_in(c);
	cr_assert_eq(chain_skip(&r, 8), 8);
	cr_assert_eq(chain_write(&r, "abcd", 4), 4);
	cr_assert_eq(memcmp(vring_at(&b.v, VRING_GPA + VRING_REGION - 2), "abcd", 4), 0);
	vq_push(b.q, c, 0);
	tear_down(&b);
}

/* ---- indirect tables ---- */

Test(queue, an_indirect_table_may_be_longer_than_the_ring)
{
	struct bed b;
	struct vq_chain *c;

	set_up(&b, 2, BOTH);
	for (unsigned count = 1; count <= VQ_DESCS_MAX; count = count * 2 + (count == 1)) {
		fill_table(&b, count, 8);
		offer(&b, 1, TABLE, count * 16, VRING_INDIRECT);
		c = pop(&b);
		cr_assert_eq(c->out_count, count - 1);
		cr_assert_eq(c->out_size, (count - 1) * 8);
		cr_assert_eq(c->in_size, 8);
		vq_push(b.q, c, 8);
		vq_publish(b.q);
	}
	fill_table(&b, VQ_DESCS_MAX, 8);
	offer(&b, 0, TABLE, VQ_DESCS_MAX * 16, VRING_INDIRECT | VRING_WRITE);
	c = pop(&b);
	cr_assert_eq(c->out_count, VQ_DESCS_MAX - 1);
	vq_push(b.q, c, 8);
	tear_down(&b);
}

Test(queue, an_indirect_table_may_follow_direct_descriptors)
{
	struct bed b;
	struct vq_chain *c;

	set_up(&b, 8, BOTH);
	fill_table(&b, 3, 8);
	vring_desc(&b.v, VRING_DESC, 0, VRING_FREE, 100, VRING_NEXT, 1);
	vring_desc(&b.v, VRING_DESC, 1, TABLE, 48, VRING_INDIRECT, 0);
	vring_offer(&b.v, 0);
	c = pop(&b);
	cr_assert_eq(c->out_count, 3);
	cr_assert_eq(c->out_size, 116);
	cr_assert_eq(c->in_count, 1);
	vq_push(b.q, c, 0);
	tear_down(&b);
}

Test(queue, an_indirect_table_may_lie_in_two_regions_and_unaligned)
{
	struct bed b;
	struct vq_chain *c;
	const uint64_t table = VRING_GPA + VRING_REGION - 24 - 1;

	set_up(&b, 8, BOTH);
	for (unsigned i = 0; i < 3; i++)
		vring_desc(&b.v, table, i, VRING_FREE, i + 1, i < 2 ? VRING_NEXT : 0, i + 1);
	offer(&b, 0, table, 48, VRING_INDIRECT);
	c = pop(&b);
	cr_assert_eq(c->out_count, 3);
	cr_assert_eq(c->out_size, 6);
	vq_push(b.q, c, 0);
	tear_down(&b);
}

Test(queue, an_indirect_table_need_not_be_in_order_and_not_be_used_up)
{
	struct bed b;
	struct vq_chain *c;

	set_up(&b, 8, BOTH);
	vring_desc(&b.v, TABLE, 0, VRING_FREE, 1, VRING_NEXT, 3);
	vring_desc(&b.v, TABLE, 3, VRING_FREE, 2, VRING_NEXT, 1);
	vring_desc(&b.v, TABLE, 1, VRING_FREE, 4, 0, 3);
	offer(&b, 0, TABLE, 64, VRING_INDIRECT);
	c = pop(&b);
	cr_assert_eq(c->out_count, 3);
	cr_assert_eq(c->out_size, 7);
	vq_push(b.q, c, 0);
	tear_down(&b);
}

/* ---- notifications ---- */

/* The interrupts of one publication of n chains, from used.idx on, with that used_event. */
static uint64_t interrupts(struct bed *b, unsigned n, uint16_t event)
{
	for (unsigned i = 0; i < n; i++) {
		offer(b, i, VRING_FREE, 1, 0);
		vq_push(b->q, pop(b), 0);
	}
	*vring_used_event(&b->v) = event;
	vq_publish(b->q);
	return told(b->call);
}

Test(queue, an_event_is_met_by_the_range_that_was_used)
{
	struct bed b;

	make(&b, 8);
	*vring_avail_idx(&b.v) = *vring_used_idx(&b.v) = 65533;
	cr_assert_eq(start(&b, BOTH, 65533), 0);
	/* The first after a start is never left out: who knows what was told before. */
	cr_assert_eq(interrupts(&b, 1, 30000), 1); /* now 65534 */
	cr_assert_eq(interrupts(&b, 1, 65533), 0); /* 65535 */
	cr_assert_eq(interrupts(&b, 1, 65535), 1); /* 0 */
	cr_assert_eq(interrupts(&b, 1, 1), 0);     /* 1 */
	cr_assert_eq(interrupts(&b, 1, 1), 1);     /* 2 */
	cr_assert_eq(interrupts(&b, 1, 1), 0);     /* 3: it was met before */
	cr_assert_eq(interrupts(&b, 4, 3), 1);     /* 7 */
	cr_assert_eq(interrupts(&b, 4, 10), 1);    /* 11 */
	cr_assert_eq(interrupts(&b, 4, 15), 0);    /* 15 */
	cr_assert_eq(interrupts(&b, 4, 14), 0);    /* 19 */
	tear_down(&b);
}

Test(queue, without_events_a_flag_says_whether_to_interrupt)
{
	struct bed b;

	set_up(&b, 8, 0);
	*vring_avail_flags(&b.v) = 1;
	cr_assert_eq(interrupts(&b, 1, 0), 1, "the first after a start");
	cr_assert_eq(interrupts(&b, 3, 0), 0);
	*vring_avail_flags(&b.v) = 0;
	cr_assert_eq(interrupts(&b, 3, 0), 1);
	tear_down(&b);
}

Test(queue, kicks_are_asked_for_by_an_event)
{
	struct bed b;

	make(&b, 8);
	*vring_avail_idx(&b.v) = *vring_used_idx(&b.v) = 65535;
	cr_assert_eq(start(&b, BOTH, 65535), 0);
	cr_assert_not(vq_enable_notify(b.q));
	cr_assert_eq(vring_avail_event(&b.v), 65535);
	cr_assert_not(vq_pending(b.q));
	offer(&b, 0, VRING_FREE, 1, 0);
	cr_assert(vq_pending(b.q));
	vq_disable_notify(b.q);
	cr_assert(vq_enable_notify(b.q), "something came meanwhile");
	vq_push(b.q, pop(&b), 0);
	cr_assert_eq(vring_avail_event(&b.v), 65535, "pop does not ask");
	cr_assert_not(vq_enable_notify(b.q));
	cr_assert_eq(vring_avail_event(&b.v), 0);
	tear_down(&b);
}

Test(queue, kicks_are_asked_for_by_a_flag_without_events)
{
	struct bed b;

	set_up(&b, 8, 0);
	vq_disable_notify(b.q);
	cr_assert_eq(vring_used_flags(&b.v), 1);
	offer(&b, 0, VRING_FREE, 1, 0);
	cr_assert(vq_enable_notify(b.q));
	cr_assert_eq(vring_used_flags(&b.v), 0);
	vq_push(b.q, pop(&b), 0);
	cr_assert_not(vq_enable_notify(b.q));
	tear_down(&b);
}

Test(queue, interrupts_go_to_a_pipe_and_no_further_than_it_takes)
{
	struct bed b;
	int ends[2];
	uint64_t got[2];

	set_up(&b, 8, 0);
	cr_assert_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	vq_set_call(b.q, ends[1]);
	cr_assert_eq(interrupts(&b, 1, 0), 0);
	cr_assert_eq(read(ends[0], got, sizeof(got)), 8);
	cr_assert_eq(got[0], 1);
	for (int i = 0; i < 70000; i++)
		vq_interrupt(b.q);
	vq_set_call(b.q, -1);
	cr_assert_eq(interrupts(&b, 1, 0), 0);
	cr_assert_eq(*vring_used_idx(&b.v), 2);
	(void)close(ends[0]);
	tear_down(&b);
}

/* ---- life ---- */

Test(queue, sizes_and_places_that_a_ring_cannot_have)
{
	struct bed b;
	struct vq_setup s;

	make(&b, 8);
	s = (struct vq_setup){.desc = vring_uva(VRING_DESC),
	                      .avail = vring_uva(VRING_AVAIL),
	                      .used = vring_uva(VRING_USED),
	                      .map = b.map};
	cr_assert_eq(vq_start(b.q, &s), -EINVAL);
	s.size = 7;
	cr_assert_eq(vq_start(b.q, &s), -EINVAL);
	s.size = 65536;
	cr_assert_eq(vq_start(b.q, &s), -EINVAL);
	s.size = 8;
	s.desc += 8;
	cr_assert_eq(vq_start(b.q, &s), -EFAULT);
	s.desc = vring_uva(VRING_GPA + VRING_REGION - 8 * 16 + 16);
	cr_assert_eq(vq_start(b.q, &s), -EFAULT);
	s.desc = vring_uva(VRING_GPA + VRING_REGION - 8 * 16);
	s.avail++;
	cr_assert_eq(vq_start(b.q, &s), -EFAULT);
	s.avail = vring_uva(VRING_GPA + VRING_REGION - (4 + 8 * 2));
	s.used += 2;
	cr_assert_eq(vq_start(b.q, &s), -EFAULT);
	s.used = vring_uva(VRING_USED);
	s.features = BOTH;
	cr_assert_eq(vq_start(b.q, &s), -EFAULT, "no room for used_event");
	s.features = 0;
	cr_assert_eq(vq_start(b.q, &s), 0);
	tear_down(&b);
}

Test(queue, it_goes_on_where_it_stopped_and_takes_used_idx_from_the_guest)
{
	struct bed b;
	uint32_t base, len;

	set_up(&b, 8, BOTH);
	(void)interrupts(&b, 3, 0);
	base = vq_stop(b.q);
	cr_assert_eq(base, 3);
	cr_assert_not(vq_running(b.q));
	/* Another back end served it meanwhile. */
	*vring_used_idx(&b.v) = *vring_avail_idx(&b.v) = 6;
	cr_assert_eq(start(&b, BOTH, 6), 0);
	offer(&b, 1, VRING_FREE, 1, 0);
	vq_push(b.q, pop(&b), 77);
	vq_publish(b.q);
	cr_assert_eq(*vring_used_idx(&b.v), 7);
	cr_assert_eq(vring_used(&b.v, 6, &len), 1);
	cr_assert_eq(len, 77);
	tear_down(&b);
}

Test(queue, while_it_is_stopped_nothing_is_taken_but_all_can_be_given_back)
{
	struct bed b;
	struct vq_chain *c;

	set_up(&b, 8, BOTH);
	offer(&b, 0, VRING_FREE, 1, 0);
	offer(&b, 1, VRING_FREE, 1, 0);
	c = pop(&b);
	vq_stopping(b.q);
	pop_none(&b);
	cr_assert_not(vq_pending(b.q));
	vq_push(b.q, c, 5);
	vq_stopped(b.q);
	cr_assert_eq(b.stopped, 1);
	cr_assert_eq(vq_stop(b.q), 1);
	cr_assert_eq(*vring_used_idx(&b.v), 1, "what was pushed is published");
	cr_assert_eq(start(&b, BOTH, 1), 0);
	vq_discard(b.q, pop(&b));
	vq_publish(b.q);
	cr_assert_eq(*vring_used_idx(&b.v), 1);
	tear_down(&b);
}

Test(queue, a_chain_keeps_its_memory_when_the_map_changes)
{
	struct bed b;
	struct vq_chain *c;
	struct guest_map *next;
	struct guest_region gone = vring_region(1);

	set_up(&b, 8, BOTH);
	offer(&b, 0, VRING_GPA + VRING_REGION, 4, VRING_WRITE);
	c = pop(&b);
	cr_assert_eq(guest_map_remove(b.map, &gone, &next), 0);
	vq_set_map(b.q, next);
	guest_map_put(b.map);
	b.map = next;
	memcpy(c->in[0].iov_base, "safe", 4);
	cr_assert_eq(memcmp(vring_at(&b.v, VRING_GPA + VRING_REGION), "safe", 4), 0);
	vq_push(b.q, c, 4);
	offer(&b, 0, VRING_GPA + VRING_REGION, 4, VRING_WRITE);
	cr_assert_eq(vq_pop(b.q, &c), -EPROTO, "it is gone from the new one");
	tear_down(&b);
}

/* ---- the log ---- */

static bool is_marked(const uint8_t *log, uint64_t gpa)
{
	return log[gpa / 4096 / 8] & 1u << gpa / 4096 % 8;
}

Test(queue, what_is_written_is_logged)
{
	struct bed b;
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct shared_piece *log;
	uint8_t *bits;

	cr_assert_eq(ftruncate(fd, 4096), 0);
	cr_assert_eq(shared_piece_map(fd, 0, 4096, &log), 0);
	bits = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	set_up(&b, 8, BOTH);
	vq_set_log(b.q, log, true, VRING_USED);
	vring_desc(&b.v, VRING_DESC, 0, VRING_FREE, 4, VRING_NEXT, 1);
	vring_desc(&b.v, VRING_DESC, 1, VRING_FREE + 4096, 5000, VRING_WRITE, 0);
	vring_offer(&b.v, 0);
	vq_push(b.q, pop(&b), 1);
	vq_publish(b.q);
	cr_assert_not(is_marked(bits, VRING_FREE));
	cr_assert(is_marked(bits, VRING_FREE + 4096));
	cr_assert(is_marked(bits, VRING_FREE + 8192));
	cr_assert(is_marked(bits, VRING_USED));
	cr_assert_not(is_marked(bits, VRING_AVAIL));
	memset(bits, 0, 4096);
	vq_set_log(b.q, log, false, 0);
	offer(&b, 0, VRING_FREE, 1, VRING_WRITE);
	vq_push(b.q, pop(&b), 1);
	vq_publish(b.q);
	cr_assert(is_marked(bits, VRING_FREE));
	cr_assert_not(is_marked(bits, VRING_USED));
	memset(bits, 0, 4096);
	vq_set_log(b.q, NULL, true, VRING_USED);
	offer(&b, 0, VRING_FREE, 1, VRING_WRITE);
	vq_push(b.q, pop(&b), 1);
	vq_publish(b.q);
	for (unsigned i = 0; i < 4096; i++)
		cr_assert_eq(bits[i], 0);
	shared_piece_put(log);
	tear_down(&b);
}
