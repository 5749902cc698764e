/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostile_9p.c: well-formed chains with 9P messages that lie about their size, and with too little room for a reply. What
 * can be answered is, with a whole message; else the ring is given up. A reply is never cut.
 */
#include "tests/lib/tables.h"
#include "tests/lib/vu_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct vu_rig rig;
static struct vu_ring *const ring = &rig.ring;
static struct p9_client *const c = &rig.p.c;

static void start(void)
{
	vu_rig_start(&rig, NULL);
	rig_write(&rig.rig, "f", "some text");
}

static void end(void)
{
	vu_rig_serves(&rig);
	vu_rig_end(&rig);
}

TestSuite(hostile9p, .init = start, .fini = end, .timeout = 300);

#define BROKEN UINT32_MAX

static uint8_t reply[65536];

/* Any bytes as a request, and room for its reply. Return: the used length, or BROKEN; the ring is renewed in that case. */
static uint32_t ask(const void *bytes, uint32_t size, uint32_t room)
{
	const uint64_t out = VU_FAR_GPA + VU_FAR_SIZE / 2, in = out + (1 << 20); /* nobody else's */
	struct vu_sg sg[2] = {{0, size, 0}, {0, room, VU_DESC_WRITE}};
	struct vu_used_elem e;
	uint16_t head;

	memcpy(vu_at(&rig.f, out, size), bytes, size);
	memset(vu_at(&rig.f, in, room + 64), 0xa5, room + 64);
	sg[0].gpa = out;
	sg[1].gpa = in;
	head = vu_ring_add(ring, sg, 2);
	vu_ring_offer(ring, head);
	for (int i = 0; i < VU_PATIENCE_MS / 20; i++) {
		const uint8_t *behind = vu_at(&rig.f, in + room, 64);

		if (vu_ring_used(ring, 20, &e)) {
			for (int k = 0; k < 64; k++)
				cr_assert_eq(behind[k], 0xa5, "written beyond the room");
			cr_assert_leq(e.len, room);
			memcpy(reply, vu_at(&rig.f, in, e.len), e.len < sizeof(reply) ? e.len : 0);
			vu_ring_free(ring, head);
			return e.len;
		}
		if (vu_ring_broken(ring, 0)) {
			for (int k = 0; k < 64; k++)
				cr_assert_eq(behind[k], 0xa5, "written beyond the room");
			cr_assert_not(vu_ring_ended(ring), "used, and broken");
			cr_assert(vu_answers(&rig.f));
			vu_rig_renew(&rig);
			return BROKEN;
		}
	}
	cr_assert_fail("the request of %u bytes, with room for %u, neither ends nor breaks", size,
	               room);
	return 0;
}

/* What came is a whole message to that tag. Return: its type. */
static uint8_t whole(uint32_t length, uint16_t tag)
{
	struct rd r = rd_over(reply, length);
	struct p9_head h;

	cr_assert_neq(length, 0, "a request that was not flushed ended with nothing written");
	cr_assert(p9_head_get(&r, &h), "%u bytes are no reply", length);
	cr_assert_eq(h.size, length, "a reply of %u bytes in a length of %u", h.size, length);
	cr_assert_eq(h.tag, tag);
	return h.type;
}

static uint32_t getattr(void)
{
	return (uint32_t)p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
}

static void set_size(uint32_t size)
{
	struct wr w = wr_over(c->out, 4);

	wr_le32(&w, size);
}

Test(hostile9p, s3_fewer_readable_bytes_than_a_head)
{
	for (uint32_t size = 0; size < P9_HEAD_SIZE; size++) {
		(void)getattr();
		set_size(size);
		cr_assert_eq(ask(c->out, size, 4096), BROKEN, "%u bytes", size);
		(void)getattr();
		cr_assert_eq(ask(c->out, size, 4096), BROKEN, "%u bytes", size);
	}
}

Test(hostile9p, s3_a_size_unlike_the_readable_bytes)
{
	static const uint32_t lies[] = {
	    0, 1, 6, 7, 8, 18, 20, 4096, 16384, 131072, 131073, 1u << 24, 1u << 31, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		uint32_t size = getattr(), length;

		cr_assert_neq(size, lies[i]);
		set_size(lies[i]);
		length = ask(c->out, size, 4096);
		if (length != BROKEN)
			cr_assert_eq(whole(length, 3), P9_LERROR + 1, "size %u", lies[i]);
		cr_assert(p9_alive(c));
	}
}

Test(hostile9p, s3_messages_above_msize)
{
	static uint8_t large[300000];
	struct p9_write_req q = {.fid = 1, .data = {large, 0}};
	static const uint32_t counts[] = {16384 - 23 + 1, 17000, 65536, 262144};

	p9_make(c, 1, "new", 0644);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		uint32_t size, length;

		q.data.size = counts[i];
		size = (uint32_t)p9_encode(c, 3, P9_WRITE, &q);
		cr_assert_gt(size, c->msize);
		length = ask(c->out, size, 4096);
		if (length != BROKEN)
			cr_assert_eq(whole(length, 3), P9_LERROR + 1, "%u bytes of data",
			             counts[i]);
		if (length == BROKEN)
			p9_open(c, 1, "new", 2);
	}
	cr_assert_str_eq(rig_read(&rig.rig, "new"), "");
}

Test(hostile9p, s3_a_writes_count_unlike_its_data)
{
	uint8_t data[100] = {0};
	static const uint32_t counts[] = {0,         1, 99, 101, 4096, 1u << 20, UINT32_MAX - 22,
	                                  UINT32_MAX};

	p9_make(c, 1, "new", 0644);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		uint32_t size = (uint32_t)p9_encode(
		    c, 3, P9_WRITE, &(struct p9_write_req){.fid = 1, .data = {data, sizeof(data)}});
		struct wr w = wr_over(c->out + 19, 4);

		wr_le32(&w, counts[i]);
		cr_assert_eq(whole(ask(c->out, size, 4096), 3), P9_LERROR + 1, "count %u",
		             counts[i]);
	}
	cr_assert_str_eq(rig_read(&rig.rig, "new"), "");
	P9(c, clunk, .fid = 1);
}

/* ---- room for replies ---- */

Test(hostile9p, s3_no_room_for_a_reply)
{
	cr_assert_eq(ask(c->out, getattr(), 0), BROKEN);
	{
		uint32_t size = getattr();
		uint64_t out = vu_alloc(&rig.f, VU_FAR, 4096, 8);

		memcpy(vu_at(&rig.f, out, size), c->out, size);
		vu_ring_offer(ring, vu_ring_add(ring, &(struct vu_sg){out, size, 0}, 1));
		cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS));
	}
	vu_rig_renew(&rig);
}

Test(hostile9p, s3_nothing_readable)
{
	uint64_t in = vu_alloc(&rig.f, VU_FAR, 4096, 8);

	vu_ring_offer(ring, vu_ring_add(ring, &(struct vu_sg){in, 4096, VU_DESC_WRITE}, 1));
	cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS));
	vu_rig_renew(&rig);
	vu_ring_offer(ring,
	              vu_ring_add(ring, (struct vu_sg[]){{in, 0, 0}, {in, 0, VU_DESC_WRITE}}, 2));
	cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS));
	vu_rig_renew(&rig);
}

/* For any room from nothing to enough: a whole reply, a whole error, or (only below an error's size) a broken ring. */
static void every_room(const char *what, uint32_t size, uint32_t enough)
{
	static uint8_t message[65536];

	memcpy(message, c->out, size);
	for (uint32_t room = 0; room <= enough + 3; room++) {
		uint32_t length = ask(message, size, room);

		if (length == BROKEN) {
			cr_assert_lt(room, P9_HEAD_SIZE + 4, "%s: %u bytes suffice for an error",
			             what, room);
			p9_open(c, 1, "f", 0);
			continue;
		}
		if (whole(length, 3) == P9_LERROR + 1)
			cr_assert_lt(room, enough, "%s: an error, and %u bytes suffice", what,
			             room);
	}
}

Test(hostile9p, s21_reply_buffers_of_every_size)
{
	p9_open(c, 1, "f", 0);
	every_room("Tgetattr", getattr(), 160);
	every_room("Tstatfs",
	           (uint32_t)p9_encode(c, 3, P9_STATFS, &(struct p9_statfs_req){.fid = 0}), 67);
	every_room("Tread",
	           (uint32_t)p9_encode(c, 3, P9_READ, &(struct p9_read_req){.fid = 1, .count = 4}),
	           15);
	every_room("Tflush",
	           (uint32_t)p9_encode(c, 3, P9_FLUSH, &(struct p9_flush_req){.oldtag = 9}), 7);
}

Test(hostile9p, s21_readdir_into_every_size)
{
	p9_to(c, 0, 2, "");
	P9(c, lopen, .fid = 2);
	for (uint32_t room = 11; room < 300; room++) {
		uint32_t size = (uint32_t)p9_encode(
		    c, 3, P9_READDIR, &(struct p9_readdir_req){.fid = 2, .count = 4096});
		uint32_t length = ask(c->out, size, room);

		cr_assert_neq(length, BROKEN, "room %u", room);
		(void)whole(length, 3);
		size = (uint32_t)p9_encode(c, 3, P9_READDIR,
		                           &(struct p9_readdir_req){.fid = 2, .count = room - 11});
		length = ask(c->out, size, room);
		cr_assert_neq(length, BROKEN, "room %u", room);
		(void)whole(length, 3);
	}
}

Test(hostile9p, s21_a_read_of_more_than_there_is_room_for)
{
	p9_open(c, 1, "f", 0);
	for (uint32_t room = 11; room < 40; room++) {
		uint32_t size = (uint32_t)p9_encode(c, 3, P9_READ,
		                                    &(struct p9_read_req){.fid = 1, .count = 4096});
		uint32_t length = ask(c->out, size, room);

		cr_assert_neq(length, BROKEN);
		(void)whole(length, 3);
		/* A count that overflows with the head is no small read. */
		size = (uint32_t)p9_encode(
		    c, 3, P9_READ,
		    &(struct p9_read_req){.fid = 1, .count = UINT32_MAX - room % 23});
		length = ask(c->out, size, room);
		cr_assert_neq(length, BROKEN);
		(void)whole(length, 3);
	}
}

/* ---- sessions ---- */

Test(hostile9p, requests_before_a_version)
{
	vu_rig_down(&rig);
	vu_rig_up(&rig, VU_RIG_RING);
	cr_assert_eq(whole(ask(c->out, getattr(), 4096), 3), P9_LERROR + 1);
	p9_start(c, 8192);
	cr_assert(p9_alive(c));
}

Test(hostile9p, a_tag_used_twice_at_once)
{
	uint64_t out = vu_alloc(&rig.f, VU_FAR, 4096, 8), in = vu_alloc(&rig.f, VU_FAR, 65536, 8);
	uint32_t size = (uint32_t)p9_encode(c, 3, P9_STATFS, &(struct p9_statfs_req){.fid = 0});
	bool broken = false;
	unsigned ended = 0;

	memcpy(vu_at(&rig.f, out, size), c->out, size);
	for (uint64_t i = 0; i < 10; i++)
		vu_ring_put(ring,
		            vu_ring_add(ring,
		                        (struct vu_sg[]){{out, size, 0},
		                                         {in + 4096 * i, 4096, VU_DESC_WRITE}},
		                        2));
	vu_ring_publish(ring);
	vu_ring_kick_anyway(ring);
	for (int i = 0; i < VU_PATIENCE_MS / 20 && ended < 10 && !broken; i++) {
		struct vu_used_elem e;

		while (vu_ring_used(ring, 20, &e)) {
			cr_assert_neq(e.len, 0, "nobody flushed it");
			ended++;
		}
		broken = vu_ring_broken(ring, 0);
	}
	cr_assert(broken || ended == 10, "%u of 10 ended, and the ring is not given up", ended);
	vu_rig_renew(&rig);
}

Test(hostile9p, messages_of_random_values)
{
	static uint64_t message[TABLE_STRUCT_MAX / 8];
	static struct sample sample;
	static uint8_t bytes[1 << 18];

	for (uint64_t seed = 1; seed < 60; seed++) {
		for (size_t i = 0; i < table_row_count; i++) {
			const struct table_row *row = &table_rows[i];
			struct wr w = wr_over(bytes + P9_HEAD_SIZE, sizeof(bytes) - P9_HEAD_SIZE);
			struct wr head = wr_over(bytes, P9_HEAD_SIZE);
			uint32_t length;

			if (strcmp(row->protocol, "p9") != 0 ||
			    !p9_find((uint8_t)row->msg->number) || row->msg->number == P9_VERSION)
				continue;
			sample_init(&sample, seed);
			row->req.sample(&sample, message);
			cr_assert(row->req.side->put(&w, message));
			if (w.used > 8000)
				continue;
			p9_head_put(&head, &(struct p9_head){(uint32_t)(P9_HEAD_SIZE + w.used),
			                                     (uint8_t)row->msg->number, 70});
			length =
			    ask(bytes, (uint32_t)(P9_HEAD_SIZE + w.used), 11 + seed * 31 % 8192);
			cr_assert_neq(length, BROKEN, "T%s", row->msg->name);
			(void)whole(length, 70);
			/* And cut, with a size that says so. */
			if (w.used > 1) {
				head = wr_over(bytes, 4);
				wr_le32(&head, (uint32_t)(P9_HEAD_SIZE + w.used - 1));
				length = ask(bytes, (uint32_t)(P9_HEAD_SIZE + w.used - 1), 4096);
				cr_assert_neq(length, BROKEN, "T%s cut", row->msg->name);
				(void)whole(length, 70);
			}
		}
	}
}

Test(hostile9p, unknown_types)
{
	for (unsigned type = 0; type < 256; type++) {
		struct wr w = wr_over(c->out, P9_HEAD_SIZE);

		if (p9_find((uint8_t)type))
			continue;
		p9_head_put(&w, &(struct p9_head){P9_HEAD_SIZE, (uint8_t)type, 60});
		cr_assert_eq(whole(ask(c->out, P9_HEAD_SIZE, 4096), 60), P9_LERROR + 1, "type %u",
		             type);
	}
}
