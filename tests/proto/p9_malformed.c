/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_malformed.c: messages that are none. Where a tag can be answered it is, with an error; else that client's session
 * ends, and no other's.
 */
#include "tests/lib/p9_rig.h"
#include "tests/lib/tables.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct p9_rig rig;
static struct p9_client other; /* goes on, whatever happens */

static void start(void)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true});
	p9_rig_connect(&rig, &other, false);
	rig_write(&rig.rig, "f", "text");
	p9_open(&other, 1, "f", 0);
}

static void end(void)
{
	cr_assert(p9_has(&other, 1, 0, "text"), "another client is affected");
	p9_client_end(&other);
	p9_rig_end(&rig);
}

TestSuite(malformed, .init = start, .fini = end, .timeout = 300);

static struct p9_client *const c = &rig.c;

static uint64_t message[TABLE_STRUCT_MAX / 8];
static struct sample sample;
static uint8_t bytes[1 << 18];

/* A message of random values whose type is that row's. Return: its size in bytes[]. */
static size_t sample_message(const struct table_row *row, uint64_t seed, uint16_t tag)
{
	struct wr w = wr_over(bytes + P9_HEAD_SIZE, sizeof(bytes) - P9_HEAD_SIZE);
	struct wr head = wr_over(bytes, P9_HEAD_SIZE);

	sample_init(&sample, seed);
	row->req.sample(&sample, message);
	cr_assert(row->req.side->put(&w, message));
	p9_head_put(&head, &(struct p9_head){(uint32_t)(P9_HEAD_SIZE + w.used),
	                                     (uint8_t)row->msg->number, tag});
	return P9_HEAD_SIZE + w.used;
}

static void set_size(size_t size)
{
	struct wr w = wr_over(bytes, sizeof(uint32_t));

	wr_le32(&w, (uint32_t)size);
}

static bool is_9p_request(const struct table_row *row)
{
	return strcmp(row->protocol, "p9") == 0 && p9_find((uint8_t)row->msg->number);
}

/* The session has ended: connects anew. */
static void reconnect(void)
{
	p9_client_end(c);
	p9_rig_connect(&rig, c, false);
}

static void must_be_refused(size_t size, uint16_t tag, const char *what, size_t at)
{
	struct p9_head h;
	struct rd body;

	p9_send_raw(c, bytes, size);
	cr_assert(p9_recv(c, &h, &body), "%s at %zu ends the session", what, at);
	cr_assert_eq(h.tag, tag);
	cr_assert_eq(h.type, P9_LERROR + 1, "%s at %zu is answered with type %u", what, at, h.type);
}

Test(malformed, cut_at_every_byte)
{
	for (size_t i = 0; i < table_row_count; i++) {
		const struct table_row *row = &table_rows[i];
		size_t whole, step;

		if (!is_9p_request(row))
			continue;
		whole = sample_message(row, 7, 50);
		step = whole > 400 ? whole / 200 : 1;
		for (size_t size = P9_HEAD_SIZE; size < whole; size += step) {
			(void)sample_message(row, 7, 50);
			if (size > 8192 || (row->msg->number == P9_FSYNC && size == 11))
				continue;
			set_size(size);
			must_be_refused(size, 50, row->msg->name, size);
		}
	}
	cr_assert(p9_alive(c));
}

Test(malformed, one_byte_too_many)
{
	for (size_t i = 0; i < table_row_count; i++) {
		size_t size;

		if (!is_9p_request(&table_rows[i]))
			continue;
		for (uint64_t seed = 0; seed < 4; seed++) {
			size = sample_message(&table_rows[i], seed, 51);
			if (size > 8000)
				continue;
			bytes[size] = 0;
			set_size(size + 1);
			must_be_refused(size + 1, 51, table_rows[i].msg->name, size);
		}
	}
	cr_assert(p9_alive(c));
}

Test(malformed, lengths_within_that_lie)
{
	/* The length of a string or of data is beyond the message: Twalk's count, its first name; Twrite's count. */
	for (size_t i = 0; i < table_row_count; i++) {
		const struct table_row *row = &table_rows[i];

		if (!is_9p_request(row))
			continue;
		for (uint64_t seed = 0; seed < 3; seed++) {
			size_t size = sample_message(row, seed, 52);

			for (size_t at = P9_HEAD_SIZE; at < size && at < 64; at++) {
				struct p9_head h;
				struct rd body;

				if (size > 8000)
					break;
				(void)sample_message(row, seed, 52);
				bytes[at] = 0xff;
				/* A field may take it, and then it is a good message: any reply will do. */
				p9_send_raw(c, bytes, size);
				cr_assert(p9_recv(c, &h, &body), "%s at %zu", row->msg->name, at);
				cr_assert_eq(h.tag, 52);
				if (h.type == P9_VERSION + 1 || row->msg->number == P9_VERSION)
					p9_start(c, P9_RIG_MSIZE);
			}
		}
		p9_start(c, P9_RIG_MSIZE);
	}
}

Test(malformed, unknown_types)
{
	for (unsigned type = 0; type < 256; type++) {
		struct wr w = wr_over(bytes, sizeof(bytes));

		if (p9_find((uint8_t)type))
			continue;
		p9_head_put(&w, &(struct p9_head){P9_HEAD_SIZE, (uint8_t)type, 60});
		p9_send_raw(c, bytes, w.used);
		cr_assert_eq(p9_wait(c, 60, P9_CLUNK, NULL), EOPNOTSUPP, "type %u", type);
	}
}

Test(malformed, a_size_below_the_heads_ends_the_session)
{
	for (uint32_t size = 0; size < P9_HEAD_SIZE; size++) {
		struct p9_head h;
		struct rd body;
		struct wr w = wr_over(bytes, sizeof(bytes));

		p9_head_put(&w, &(struct p9_head){size, P9_CLUNK, 1});
		wr_le32(&w, 1);
		p9_send_raw(c, bytes, w.used);
		cr_assert_not(p9_recv(c, &h, &body));
		reconnect();
	}
}

Test(malformed, a_size_above_msize_ends_the_session)
{
	static const uint32_t sizes[] = {P9_RIG_MSIZE + 1, 1u << 24, 1u << 31, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct p9_head h;
		struct rd body;
		struct wr w = wr_over(bytes, sizeof(bytes));

		p9_head_put(&w, &(struct p9_head){sizes[i], P9_WRITE, 1});
		p9_send_raw(c, bytes, w.used);
		cr_assert_not(p9_recv(c, &h, &body));
		reconnect();
	}
	/* Before Tversion nothing large is believed either. */
	p9_client_end(c);
	p9_rig_connect(&rig, c, true);
	{
		struct p9_head h;
		struct rd body;
		struct wr w = wr_over(bytes, sizeof(bytes));

		p9_head_put(&w, &(struct p9_head){65536, P9_VERSION, P9_NOTAG});
		p9_send_raw(c, bytes, w.used);
		cr_assert_not(p9_recv(c, &h, &body));
	}
	reconnect();
}

Test(malformed, a_tag_used_twice_at_once_ends_the_session)
{
	struct p9_head h;
	struct rd body;
	size_t size;

	/* Both in one piece, so that the first is not answered yet. */
	size = p9_encode(c, 9, P9_STATFS, &(struct p9_statfs_req){.fid = 0});
	memcpy(bytes, c->out, size);
	memcpy(bytes + size, c->out, size);
	p9_send_raw(c, bytes, 2 * size);
	while (p9_recv(c, &h, &body))
		cr_assert_eq(h.tag, 9);
	reconnect();
	cr_assert(p9_alive(c));
}

Test(malformed, a_session_may_end_at_every_byte_of_a_message)
{
	size_t size = sample_message(&table_rows[0], 1, 1);

	for (size_t at = 0; at < 40; at++) {
		size = p9_encode(
		    c, 1, P9_WALK,
		    &(struct p9_walk_req){
		        .fid = 0, .newfid = 5, .names = {.count = 1, .name = {wt_str_of("f")}}});
		p9_send_raw(c, c->out, at < size ? at : size);
		reconnect();
	}
}

Test(malformed, random_bytes)
{
	for (uint64_t seed = 1; seed < 200; seed++) {
		struct p9_head h;
		struct rd body;

		sample_init(&sample, seed);
		for (size_t i = 0; i < 600; i++)
			bytes[i] = (uint8_t)sample_next(&sample);
		/* A small size, so that it is a message. */
		bytes[0] = (uint8_t)(bytes[0] % 200 + 7);
		bytes[1] = bytes[2] = bytes[3] = 0;
		p9_send_raw(c, bytes, bytes[0]);
		if (!p9_recv(c, &h, &body))
			reconnect();
		else if (h.type == P9_VERSION + 1)
			p9_start(c, P9_RIG_MSIZE);
	}
	reconnect();
	cr_assert(p9_alive(c));
}

Test(malformed, whole_messages_of_random_values)
{
	for (uint64_t seed = 0; seed < 300; seed++) {
		for (size_t i = 0; i < table_row_count; i++) {
			const struct table_row *row = &table_rows[i];
			struct p9_head h;
			struct rd body;
			size_t size;

			if (!is_9p_request(row) || row->msg->number == P9_VERSION)
				continue;
			size = sample_message(row, seed, 70);
			if (size > 8192)
				continue;
			p9_send_raw(c, bytes, size);
			cr_assert(p9_recv(c, &h, &body), "T%s ends the session", row->msg->name);
			cr_assert_eq(h.tag, 70);
		}
	}
	reconnect();
}
