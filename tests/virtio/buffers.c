/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * buffers.c: requests and replies in descriptors of every cut. The specification leaves the framing to the driver: none of
 * these is an error.
 */
#include "tests/lib/vu_packed.h"
#include "tests/lib/vu_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct vu_rig rig;
static struct vu_p9 *const p = &rig.p;
static struct p9_client *const c = &rig.p.c;

static void start(void)
{
	vu_rig_start(&rig, NULL);
	rig_write(&rig.rig, "f", "some text");
}

static void end(void)
{
	cr_assert_eq(p->flying, 0, "a request has not ended");
	cr_assert_eq(p->zeros, 0, "a request ended with nothing written");
	vu_rig_end(&rig);
}

TestSuite(buffers, .init = start, .fini = end, .timeout = 120);

/* One request of each kind of reply: empty, fixed, strings, data, an error. */
static void some_requests(void)
{
	struct p9_getattr_rep a;

	p9_to(c, 0, 1, "f");
	a = P9(c, getattr, .fid = 1, .request_mask = P9_STATS_BASIC);
	cr_assert_eq(a.size, 9);
	P9(c, lopen, .fid = 1);
	cr_assert(p9_has(c, 1, 0, "some text"));
	P9(c, read, .fid = 9, .count = 10, .expect_err = EBADF);
	P9(c, clunk, .fid = 1);
	p9_to(c, 0, 1, "");
	P9(c, lopen, .fid = 1);
	cr_assert_gt(P9(c, readdir, .fid = 1, .count = 4000).entries.size, 24);
	P9(c, clunk, .fid = 1);
}

Test(buffers, s24_used_length_is_the_size_of_the_reply)
{
	/* Which vu_p9 and p9_client look at in every test; here with the exact room, and with more. */
	static const uint32_t rooms[] = {160, 161, 4096, 16384};

	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		struct p9_head h;
		struct rd body;

		p->shape.in_room = rooms[i];
		(void)P9_SEND(c, GETATTR, getattr, .fid = 0, .request_mask = P9_STATS_BASIC);
		cr_assert(p9_recv(c, &h, &body));
		cr_assert_eq(h.size, 160);
	}
	p->shape.in_room = 11;
	P9(c, clunk, .fid = 77, .expect_err = EBADF);
}

Test(buffers, s24_indirect_tables_may_be_longer_than_the_ring)
{
	/* 512 KiB in pieces of a page, and tables of up to a thousand entries, on a ring of 128. */
	p->shape.way = VU_INDIRECT;
	p->shape.in_room = 16000;
	for (uint32_t piece = 16; piece < 200; piece += 61) {
		p->shape.in_piece = piece;
		some_requests();
	}
	p->shape.in_piece = 0;
	p->shape.out_piece = 1;
	p->shape.in_room = 600;
	p->shape.in_piece = 1;
	some_requests();
}

Test(buffers, s24_without_indirect_a_request_may_fill_the_ring)
{
	p->shape.way = VU_DIRECT;
	p->shape.in_room = 4096;
	p->shape.in_piece = 34;
	P9(c, getattr, .fid = 0);
	p->shape.in_room = 109 * 30;
	p->shape.in_piece = 30;
	p->shape.out_piece = 1; /* 19 of them: all 128 descriptors */
	P9(c, getattr, .fid = 0);
	cr_assert_eq(rig.ring.free_count, 128);
}

Test(buffers, s24_an_answer_of_eleven_bytes_before_pages_of_data)
{
	/* Linux's zero-copy read: the head of Rread in a piece of its own, the data in pages. */
	p->shape = (struct vu_shape){.way = VU_INDIRECT, .in_first = 11, .in_piece = 4096};
	some_requests();
	P9(c, getattr, .fid = 0); /* 160 bytes across the two */
}

Test(buffers, s24_data_of_a_write_in_pieces_of_its_own)
{
	p->shape = (struct vu_shape){.way = VU_INDIRECT, .out_first = 23, .out_piece = 3};
	p9_make(c, 1, "new", 0644);
	p9_put(c, 1, 0, "written in pieces");
	cr_assert_str_eq(rig_read(&rig.rig, "new"), "written in pieces");
}

Test(buffers, s3_a_request_may_be_split_at_every_byte)
{
	size_t size =
	    p9_encode(c, 1, P9_WALK,
	              &(struct p9_walk_req){.fid = 0, .newfid = 1, .names = {1, {wt_str_of("f")}}});

	for (uint32_t at = 1; at < size; at++) {
		p->shape.out_first = at;
		p->shape.way = at % 2 ? VU_INDIRECT : VU_DIRECT;
		p9_to(c, 0, 1, "f");
		P9(c, clunk, .fid = 1);
	}
	p->shape.out_first = 0;
	for (uint32_t piece = 1; piece < 8; piece++) {
		p->shape.out_piece = piece;
		some_requests();
	}
}

Test(buffers, s3_a_reply_may_be_split_at_every_byte)
{
	p->shape.in_room = 4096;
	for (uint32_t at = 1; at < 170; at++) {
		p->shape.in_first = at;
		P9(c, getattr, .fid = 0);
	}
	for (uint32_t at = 1; at < 24; at++) {
		p->shape.in_first = at;
		some_requests();
	}
}

Test(buffers, s3_replies_into_pieces_of_one_byte)
{
	p->shape = (struct vu_shape){.way = VU_INDIRECT, .in_room = 900, .in_piece = 1};
	P9(c, getattr, .fid = 0);
	p9_open(c, 1, "f", 0);
	cr_assert(p9_has(c, 1, 0, "some text"));
}

Test(buffers, s3_descriptors_of_no_bytes_are_harmless)
{
	p->shape = (struct vu_shape){
	    .way = VU_INDIRECT, .empty_between = true, .out_piece = 6, .in_piece = 512};
	some_requests();
	p->shape.way = VU_DIRECT;
	some_requests();
}

Test(buffers, s3_direct_descriptors_followed_by_one_table)
{
	vu_rig_split_only(&rig, "chain of descriptors and a table");
	p->shape = (struct vu_shape){.way = VU_FIRST_DIRECT, .out_piece = 7};
	some_requests();
	p->shape = (struct vu_shape){.way = VU_READ_DIRECT_ALL, .in_piece = 1024, .out_piece = 7};
	some_requests();
}

Test(buffers, s3_the_write_flag_of_a_table_means_nothing)
{
	uint64_t out = vu_alloc(&rig.f, VU_FAR, 4096, 8), in = vu_alloc(&rig.f, VU_FAR, 4096, 8);
	uint32_t size = (uint32_t)p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	struct vu_sg sg[] = {{out, size, 0}, {in, 4096, VU_DESC_WRITE}};
	uint16_t head = vu_ring_add_indirect(&rig.ring, sg, 2, 0);
	struct vu_used_elem e;

	memcpy(vu_at(&rig.f, out, size), c->out, size);
	if (rig.ring.packed)
		rig.ring.packed->chain[head][0].flags |= VU_DESC_WRITE;
	else
		rig.ring.desc[head].flags |= VU_DESC_WRITE;
	vu_ring_offer(&rig.ring, head);
	cr_assert(vu_ring_used(&rig.ring, VU_PATIENCE_MS, &e));
	cr_assert_eq(e.len, 160);
	vu_ring_free(&rig.ring, head);
}

Test(buffers, s3_a_request_may_lie_across_two_regions)
{
	for (int i = 0; i < 30; i++) {
		p->shape = (struct vu_shape){.way = VU_INDIRECT, .straddle_out = true};
		P9(c, getattr, .fid = 0);
	}
	some_requests();
}

Test(buffers, s3_a_reply_may_lie_across_two_regions)
{
	for (int i = 0; i < 30; i++) {
		p->shape = (struct vu_shape){.way = VU_INDIRECT, .straddle_in = true};
		P9(c, getattr, .fid = 0);
	}
	some_requests();
}

Test(buffers, data_may_lie_across_two_regions)
{
	static const char text[] = "a line of text that is written and read across the border";

	p9_make(c, 1, "new", 0644);
	for (int i = 0; i < 13; i++) {
		p->shape = (struct vu_shape){.way = VU_INDIRECT, .straddle_out = true};
		p9_put(c, 1, 0, text);
		p->shape = (struct vu_shape){.way = VU_INDIRECT, .straddle_in = true};
		cr_assert(p9_has(c, 1, 0, text));
	}
	cr_assert_str_eq(rig_read(&rig.rig, "new"), text);
}

/* An entry of a table of either format. */
static struct vu_desc entry(uint64_t gpa, size_t size, uint16_t flags, uint16_t next)
{
	if (rig.ring.packed)
		return (struct vu_desc){gpa, (uint32_t)size, 0, flags};
	return (struct vu_desc){gpa, (uint32_t)size, flags, next};
}

Test(buffers, a_table_may_lie_across_two_regions)
{
	uint64_t at = VU_HIGH_GPA - 16; /* one entry before the border, the others behind */
	struct vu_desc *first = vu_at(&rig.f, at, 16);
	struct vu_desc *others = vu_at(&rig.f, VU_HIGH_GPA, 32);
	uint64_t out = vu_alloc(&rig.f, VU_FAR, 4096, 8), in = vu_alloc(&rig.f, VU_FAR, 4096, 8);
	size_t size = p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	struct vu_used_elem e;
	uint16_t head;

	memcpy(vu_at(&rig.f, out, size), c->out, size);
	*first = entry(out, 10, VU_DESC_NEXT, 1);
	others[0] = entry(out + 10, size - 10, VU_DESC_NEXT, 2);
	others[1] = entry(in, 4096, VU_DESC_WRITE, 0);
	head = vu_ring_add(&rig.ring, &(struct vu_sg){at, 48, VU_DESC_INDIRECT}, 1);
	vu_ring_offer(&rig.ring, head);
	cr_assert(vu_ring_used(&rig.ring, VU_PATIENCE_MS, &e));
	cr_assert_eq(e.len, 160);
	vu_ring_free(&rig.ring, head);
}

Test(buffers, entries_of_a_table_may_stand_in_any_order)
{
	uint64_t out = vu_alloc(&rig.f, VU_FAR, 4096, 8), in = vu_alloc(&rig.f, VU_FAR, 4096, 8);
	size_t size = p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	struct vu_used_elem e;
	struct vu_desc *table;
	uint16_t head;

	vu_rig_split_only(&rig, "links in their tables");
	head = vu_ring_add_indirect(&rig.ring, (struct vu_sg[]){{out, 8, 0}, {0, 0, 0}, {0, 0, 0}},
	                            3, 0);
	table = vu_at(&rig.f, vu_ring_table(&rig.ring, head, 3), 48);
	memcpy(vu_at(&rig.f, out, size), c->out, size);
	table[0] = (struct vu_desc){out, 8, VU_DESC_NEXT, 2};
	table[2] = (struct vu_desc){out + 8, (uint32_t)size - 8, VU_DESC_NEXT, 1};
	table[1] = (struct vu_desc){in, 4096, VU_DESC_WRITE, 99}; /* no NEXT: next means nothing */
	vu_ring_offer(&rig.ring, head);
	cr_assert(vu_ring_used(&rig.ring, VU_PATIENCE_MS, &e));
	cr_assert_eq(e.len, 160);
	vu_ring_free(&rig.ring, head);
}

Test(buffers, descriptors_of_a_request_need_not_be_in_order)
{
	/* After some requests of several descriptors the free ones are scattered. */
	uint16_t tags[20];

	p->shape = (struct vu_shape){.way = VU_DIRECT, .out_piece = 5};
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
			tags[i] = P9_SEND(c, GETATTR, getattr, .fid = 0);
		for (size_t i = ARRAY_SIZE(tags); i-- > 0;)
			cr_assert_eq(p9_wait(c, tags[i], P9_GETATTR, NULL), 0);
	}
}

Test(buffers, a_full_ring_of_128_requests_completes)
{
	for (int round = 0; round < 20; round++) {
		uint16_t tags[128];

		p->shape.way = VU_INDIRECT; /* one descriptor each */
		for (size_t i = 0; i < 128; i++)
			tags[i] = round % 2 ? P9_SEND(c, STATFS, statfs, .fid = 0)
			                    : P9_SEND(c, WALK, walk, .fid = 0,
			                              .newfid = (uint32_t)(100 + i), .names = "f");
		cr_assert_eq(rig.ring.free_count, 0);
		for (size_t i = 0; i < 128; i++)
			cr_assert_eq(p9_wait(c, tags[i], round % 2 ? P9_STATFS : P9_WALK, NULL), 0);
		for (size_t i = 0; round % 2 == 0 && i < 128; i++)
			tags[i] = P9_SEND(c, CLUNK, clunk, .fid = (uint32_t)(100 + i));
		for (size_t i = 0; round % 2 == 0 && i < 128; i++)
			cr_assert_eq(p9_wait(c, tags[i], P9_CLUNK, NULL), 0);
	}
	cr_assert_eq(p9_kept_count(c), 0);
}

Test(buffers, a_full_ring_is_offered_with_one_index_and_one_kick)
{
	uint16_t tags[128];
	uint64_t kicks;

	p->hold_kick = true;
	kicks = rig.ring.kicks;
	for (size_t i = 0; i < 128; i++)
		tags[i] = P9_SEND(c, STATFS, statfs, .fid = 0);
	p->hold_kick = false;
	vu_ring_kick_anyway(&rig.ring);
	for (size_t i = 0; i < 128; i++)
		cr_assert_eq(p9_wait(c, tags[i], P9_STATFS, NULL), 0);
	cr_assert_eq(rig.ring.kicks, kicks + 1);
}

Test(buffers, indices_go_round_past_65535)
{
	for (unsigned i = 0; i < 66000; i += 100) {
		uint16_t tags[100];

		for (size_t k = 0; k < 100; k++)
			tags[k] = P9_SEND(c, CLUNK, clunk, .fid = 50);
		for (size_t k = 0; k < 100; k++)
			cr_assert_eq(p9_wait(c, tags[k], P9_CLUNK, NULL), EBADF);
	}
	some_requests();
}

/* ---- other rings ---- */

static void with(const struct vu_rig_opt *o)
{
	vu_rig_end(&rig);
	vu_rig_start(&rig, o);
	rig_write(&rig.rig, "f", "some text");
}

Test(buffers, rings_of_every_size)
{
	for (uint16_t size = 2; size && size <= 1024; size = (uint16_t)(size * 2)) {
		with(&(struct vu_rig_opt){.ring_size = size});
		for (unsigned i = 0; i < 3; i++)
			some_requests();
	}
}

Test(buffers, large_messages)
{
	static uint8_t data[500000], back[500000];

	with(&(struct vu_rig_opt){.until = VU_RIG_RING, .room = 524288});
	p->shape = (struct vu_shape){.way = VU_INDIRECT,
	                             .out_first = 23,
	                             .in_first = 11,
	                             .out_piece = 4096,
	                             .in_piece = 4096};
	p9_start(c, 512000);
	cr_assert_eq(c->msize, 512000);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 4096);
	p9_make(c, 1, "large", 0644);
	for (int i = 0; i < 3; i++) {
		struct p9_write_rep w =
		    P9(c, write, .fid = 1, .offset = 0, .data = {data, sizeof(data)});
		struct p9_read_rep r;

		cr_assert_eq(w.count, sizeof(data));
		r = P9(c, read, .fid = 1, .offset = 0, .count = sizeof(back));
		cr_assert_eq(r.data.size, sizeof(data));
		cr_assert_eq(memcmp(r.data.data, data, sizeof(data)), 0);
	}
	/* Short at the end of the file. */
	cr_assert_eq(P9(c, read, .fid = 1, .offset = 499000, .count = 500000).data.size, 1000);
	cr_assert_eq(P9(c, read, .fid = 1, .offset = 500000, .count = 500000).data.size, 0);
	(void)back;
}
