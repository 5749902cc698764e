/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tables.c: every message of every table, in both directions: it comes back as it went, no shorter
 * and no longer one is taken, and its text names its fields. A new line in a table is tested here
 * without a line of work.
 */
#include "tests/lib/tables.h"

#include <criterion/criterion.h>
#include <string.h>

#define SEEDS            64
#define SIZE_MAX_ENCODED 70000

/* Encodes sample number seed. Return: its size. */
static size_t encode(const struct table_side *t, struct sample *s, uint64_t seed, void *message,
                     uint8_t *bytes)
{
	struct wr w = wr_over(bytes, SIZE_MAX_ENCODED);

	sample_init(s, seed);
	memset(message, 0, TABLE_STRUCT_MAX);
	t->sample(s, message);
	cr_assert(t->side->put(&w, message));
	return w.used;
}

/* A decoder sees exactly size bytes, in memory of their own, so that a sanitizer sees one read too
 * many. */
static bool decode(const struct table_side *t, const uint8_t *bytes, size_t size, void *message,
                   uint8_t **ret_copy)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct rd r;

	cr_assert_not_null(copy);
	memcpy(copy, bytes, size);
	r = rd_over(copy, size);
	*ret_copy = copy;
	return t->side->get(&r, message);
}

static void round_trip(const struct table_row *row, const struct table_side *t)
{
	static struct sample s;
	static uint8_t bytes[SIZE_MAX_ENCODED];
	static uint64_t went[TABLE_STRUCT_MAX / 8], came[TABLE_STRUCT_MAX / 8];

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		size_t size = encode(t, &s, seed, went, bytes);
		uint8_t *copy;

		cr_assert(decode(t, bytes, size, came, &copy), "%s %s: seed %d is refused",
		          row->protocol, row->msg->name, (int)seed);
		cr_assert(t->same(went, came), "%s %s: seed %d comes back as another",
		          row->protocol, row->msg->name, (int)seed);
		free(copy);
	}
}

static void truncation(const struct table_row *row, const struct table_side *t)
{
	static struct sample s;
	static uint8_t bytes[SIZE_MAX_ENCODED];
	static uint64_t went[TABLE_STRUCT_MAX / 8], came[TABLE_STRUCT_MAX / 8];

	for (uint64_t seed = 0; seed < 4; seed++) {
		size_t size = encode(t, &s, seed, went, bytes);
		uint8_t *copy;

		for (size_t cut = 0; cut < size; cut++) {
			cr_assert_not(decode(t, bytes, cut, came, &copy),
			              "%s %s: %zu of %zu bytes are taken", row->protocol,
			              row->msg->name, cut, size);
			free(copy);
		}
		bytes[size] = 0;
		cr_assert_not(decode(t, bytes, size + 1, came, &copy),
		              "%s %s: a byte too many is taken", row->protocol, row->msg->name);
		free(copy);
	}
}

static void no_room(const struct table_row *row, const struct table_side *t)
{
	static struct sample s;
	static uint8_t bytes[SIZE_MAX_ENCODED];
	static uint64_t message[TABLE_STRUCT_MAX / 8];
	size_t size = encode(t, &s, 3, message, bytes);

	for (size_t room = 0; room < size; room++) {
		struct wr w = wr_over(bytes, room);

		cr_assert_not(t->side->put(&w, message), "%s %s: %zu bytes are put into %zu",
		              row->protocol, row->msg->name, size, room);
	}
}

static void each_side(void (*test)(const struct table_row *row, const struct table_side *t))
{
	cr_assert_gt(table_row_count, 0);
	for (size_t i = 0; i < table_row_count; i++) {
		test(&table_rows[i], &table_rows[i].req);
		test(&table_rows[i], &table_rows[i].rep);
	}
}

Test(tables, every_message_comes_back_as_it_went)
{
	each_side(round_trip);
}

Test(tables, no_shorter_and_no_longer_message_is_taken)
{
	each_side(truncation);
}

Test(tables, no_message_is_put_where_it_does_not_fit)
{
	each_side(no_room);
}

static void text_names_fields(const struct table_row *row, const struct table_side *t)
{
	static struct sample s;
	static uint64_t message[TABLE_STRUCT_MAX / 8];
	char text[4096], tiny[8];
	struct sbuf out = sbuf_over(text, sizeof(text)), small = sbuf_over(tiny, sizeof(tiny));

	sample_init(&s, 5);
	t->sample(&s, message);
	t->side->dump(&out, message);
	cr_assert(t->side->size <= 1 || strchr(text, '='), "%s %s: no field in \"%s\"",
	          row->protocol, row->msg->name, text);
	for (const char *p = text; *p; p++)
		cr_assert(*p >= 0x20 && *p < 0x7f);
	t->side->dump(&small, message);
	cr_assert_lt(strlen(tiny), sizeof(tiny));
}

Test(tables, debug_text_is_plain_and_bounded)
{
	each_side(text_names_fields);
}

Test(tables, numbers_and_names_are_unique_in_a_protocol)
{
	for (size_t i = 0; i < table_row_count; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct table_row *a = &table_rows[i], *b = &table_rows[j];

			if (strcmp(a->protocol, b->protocol) != 0)
				continue;
			cr_assert_neq(a->msg->number, b->msg->number);
			cr_assert_neq(strcmp(a->msg->name, b->msg->name), 0);
		}
	}
}
