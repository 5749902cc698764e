/* SPDX-License-Identifier: GPL-2.0-or-later */
/* args.c: JSON to a command's struct of arguments, row by row of its table. */
#include "control/internal.h"

#include "common/sbuf.h"

#include <inttypes.h>
#include <string.h>

#define SHOWN_MAX   40 /* bytes of a client's text that an error repeats */
#define LIKE_MAX    32 /* longer names are like no other */
#define DISTANCE    3  /* letters that a name may be off and still be like another */
#define PREFIX_SIZE 64

/* ---- what was wrong, and what is right ---- */

static void add_wanted(struct sbuf *s, const struct control_arg *row)
{
	switch (row->type) {
	case CONTROL_TEXT:
		sbuf_add(s, "a text of %" PRIu64 " to %" PRIu64 " bytes", row->min, row->max);
		return;
	case CONTROL_NUMBER:
		sbuf_add(s, "a whole number from %" PRIu64 " to %" PRIu64, row->min, row->max);
		return;
	case CONTROL_BOOL:
		sbuf_add(s, "true or false");
		return;
	case CONTROL_CHOICE:
		sbuf_add(s, "one of");
		for (size_t i = 0; row->choices[i]; i++)
			sbuf_add(s, "%s \"%s\"", i ? "," : "", row->choices[i]);
		return;
	case CONTROL_FD:
		sbuf_add(s, "{\"fd\": i}, the i-th descriptor of this packet from 0 on");
		return;
	case CONTROL_LIST:
		sbuf_add(s, "an array of %" PRIu64 " to %" PRIu64 " objects", row->min, row->max);
		return;
	}
}

static void add_found(struct sbuf *s, const json_t *found)
{
	size_t size;

	switch (json_typeof(found)) {
	case JSON_STRING:
		size = json_string_length(found);
		sbuf_add(s, "the text ");
		sbuf_add_quoted(s, json_string_value(found), size < SHOWN_MAX ? size : SHOWN_MAX);
		sbuf_add(s, "%s (%zu bytes)", size > SHOWN_MAX ? "..." : "", size);
		return;
	case JSON_INTEGER:
		sbuf_add(s, "the number %" JSON_INTEGER_FORMAT, json_integer_value(found));
		return;
	case JSON_REAL:
		sbuf_add(s, "a number with a fraction or an exponent");
		return;
	case JSON_ARRAY:
		sbuf_add(s, "an array of %zu", json_array_size(found));
		return;
	case JSON_OBJECT:
		sbuf_add(s, "an object");
		return;
	case JSON_TRUE:
	case JSON_FALSE:
		sbuf_add(s, json_is_true(found) ? "true" : "false");
		return;
	case JSON_NULL:
		sbuf_add(s, "null");
		return;
	}
}

static bool wrong(struct sbuf *why, const char *prefix, const struct control_arg *row,
                  const json_t *found)
{
	sbuf_add(why, "argument '%s%s': found ", prefix, row->name);
	add_found(why, found);
	sbuf_add(why, ", must be ");
	add_wanted(why, row);
	return false;
}

/* Levenshtein's distance, for names up to LIKE_MAX bytes. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[LIKE_MAX + 1];
	size_t n = strlen(b);

	for (unsigned i = 0; i <= n; i++)
		row[i] = i;
	for (unsigned i = 0; a[i]; i++) {
		unsigned diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 1; j <= n; j++) {
			unsigned best = diagonal + (a[i] != b[j - 1]);

			diagonal = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			row[j] = best;
		}
	}
	return row[n];
}

const char *control_nearest(const char *given, const char *(*name)(const void *context, size_t i),
                            const void *context, size_t count)
{
	unsigned best = DISTANCE + 1;
	const char *nearest = NULL;

	if (strlen(given) > LIKE_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const char *n = name(context, i);
		unsigned d = strlen(n) > LIKE_MAX ? best : distance(given, n);

		if (d < best) {
			best = d;
			nearest = n;
		}
	}
	return nearest;
}

static const char *row_name(const void *context, size_t i)
{
	return ((const struct control_arg *)context)[i].name;
}

static bool unknown(struct sbuf *why, const char *prefix, const char *given,
                    const struct control_arg *rows, size_t count)
{
	const char *nearest = control_nearest(given, row_name, rows, count);
	size_t size = strlen(given);

	sbuf_add(why, "unknown argument %s", prefix);
	sbuf_add_quoted(why, given, size < SHOWN_MAX ? size : SHOWN_MAX);
	if (nearest)
		sbuf_add(why, ": did you mean '%s'?", nearest);
	sbuf_add(why, count ? " known are:" : ": none is taken");
	for (size_t i = 0; i < count; i++)
		sbuf_add(why, "%s %s", i ? "," : "", rows[i].name);
	return false;
}

/* ---- decoding ---- */

/* {"fd": i}: that descriptor, which nothing else may name. */
static bool claim(struct control_call *call, const char *prefix, const struct control_arg *row,
                  const json_t *given, int *ret, struct sbuf *why)
{
	const json_t *index = json_object_get(given, "fd");
	json_int_t i = json_integer_value(index);

	if (!json_is_integer(index) || json_object_size(given) != 1)
		return wrong(why, prefix, row, given);
	if (i < 0 || (size_t)i >= call->fds.count) {
		sbuf_add(why,
		         "argument '%s%s': there is no descriptor %" JSON_INTEGER_FORMAT
		         ": the packet came with %zu, counted from 0",
		         prefix, row->name, i, call->fds.count);
		return false;
	}
	if (call->named[i]) {
		sbuf_add(why,
		         "argument '%s%s': descriptor %" JSON_INTEGER_FORMAT
		         " is named twice: each may be used once",
		         prefix, row->name, i);
		return false;
	}
	call->named[i] = true;
	*ret = (int)i;
	return true;
}

static bool decode(struct control_call *call, const char *prefix, const struct control_arg *rows,
                   size_t count, const json_t *given, uint8_t *to, struct sbuf *why);

static bool decode_list(struct control_call *call, const struct control_arg *row,
                        const json_t *given, uint8_t *to, struct sbuf *why)
{
	size_t count = json_array_size(given);

	if (!json_is_array(given) || count < row->min || count > row->max)
		return wrong(why, "", row, given);
	for (size_t i = 0; i < count; i++) {
		char prefix[PREFIX_SIZE];

		(void)snprintf(prefix, sizeof(prefix), "%s[%zu].", row->name, i);
		if (!decode(call, prefix, row->rows, row->row_count, json_array_get(given, i),
		            to + row->at + i * row->row_size, why))
			return false;
	}
	memcpy(to + row->count_at, &count, sizeof(count));
	return true;
}

static bool choose(const struct control_arg *row, const json_t *given, unsigned *ret)
{
	const char *text = json_string_value(given);

	for (unsigned i = 0; text && row->choices[i]; i++) {
		if (strcmp(row->choices[i], text) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* Puts what an argument is when it is not given. */
static void put_absent(const struct control_arg *row, uint8_t *to)
{
	const struct control_fd none = {.index = -1};
	unsigned choice = (unsigned)row->absent;
	bool truth = row->absent;

	if (row->type == CONTROL_NUMBER)
		memcpy(to + row->at, &row->absent, sizeof(row->absent));
	else if (row->type == CONTROL_CHOICE)
		memcpy(to + row->at, &choice, sizeof(choice));
	else if (row->type == CONTROL_BOOL)
		memcpy(to + row->at, &truth, sizeof(truth));
	else if (row->type == CONTROL_FD)
		memcpy(to + row->at, &none, sizeof(none));
}

static bool put(struct control_call *call, const char *prefix, const struct control_arg *row,
                const json_t *given, uint8_t *to, struct sbuf *why)
{
	const char *text = json_string_value(given);
	json_int_t number = json_integer_value(given);
	uint64_t n = (uint64_t)number;
	bool truth = json_is_true(given), good = true;
	struct control_fd fd;
	unsigned choice = 0;

	switch (row->type) {
	case CONTROL_TEXT:
		n = json_string_length(given);
		good = text && n >= row->min && n <= row->max;
		if (good)
			memcpy(to + row->at, &text, sizeof(text));
		break;
	case CONTROL_NUMBER:
		good = json_is_integer(given) && number >= 0 && n >= row->min && n <= row->max;
		if (good)
			memcpy(to + row->at, &n, sizeof(n));
		break;
	case CONTROL_BOOL:
		good = json_is_boolean(given);
		memcpy(to + row->at, &truth, sizeof(truth));
		break;
	case CONTROL_CHOICE:
		good = choose(row, given, &choice);
		memcpy(to + row->at, &choice, sizeof(choice));
		break;
	case CONTROL_FD:
		if (!claim(call, prefix, row, given, &fd.index, why))
			return false;
		memcpy(to + row->at, &fd, sizeof(fd));
		break;
	case CONTROL_LIST:
		return decode_list(call, row, given, to, why);
	}
	return good || wrong(why, prefix, row, given);
}

static bool known(const struct control_arg *rows, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return true;
	}
	return false;
}

static bool decode(struct control_call *call, const char *prefix, const struct control_arg *rows,
                   size_t count, const json_t *given, uint8_t *to, struct sbuf *why)
{
	const char *name;
	json_t *value;

	if (given && !json_is_object(given)) {
		sbuf_add(why, "%s%sfound ", prefix, *prefix ? " " : "arguments: ");
		add_found(why, given);
		sbuf_add(why, ", must be an object");
		return false;
	}
	/* jansson's iterators want what they could change. */
	json_object_foreach((json_t *)(uintptr_t)given, name, value)
	{
		if (!known(rows, count, name))
			return unknown(why, prefix, name, rows, count);
	}
	for (size_t i = 0; i < count; i++) {
		const json_t *found = json_object_get(given, rows[i].name);

		if (found) {
			if (!put(call, prefix, &rows[i], found, to, why))
				return false;
		} else if (rows[i].required) {
			sbuf_add(why, "argument '%s%s' is missing: ", prefix, rows[i].name);
			add_wanted(why, &rows[i]);
			return false;
		} else {
			put_absent(&rows[i], to);
		}
	}
	return true;
}

bool control_args(struct control_call *call, const struct control_command *command,
                  const json_t *given, struct sbuf *why)
{
	BUG_ON(command->args_size > sizeof(call->args));
	if (!decode(call, "", command->args, command->arg_count, given, call->args, why))
		return false;
	for (size_t i = 0; i < call->fds.count; i++) {
		if (!call->named[i]) {
			sbuf_add(
			    why,
			    "descriptor %zu of the packet is named by no argument: all must be", i);
			return false;
		}
	}
	return true;
}

/* ---- the tables themselves ---- */

static const char *type_name(const struct control_arg *row)
{
	static const char *const names[] = {
	    [CONTROL_TEXT] = "text",     [CONTROL_NUMBER] = "number", [CONTROL_BOOL] = "bool",
	    [CONTROL_CHOICE] = "choice", [CONTROL_FD] = "descriptor", [CONTROL_LIST] = "list"};

	return names[row->type];
}

static json_t *describe_choices(const struct control_arg *row)
{
	json_t *all = json_array();

	for (size_t i = 0; row->choices[i]; i++)
		(void)json_array_append_new(all, json_string(row->choices[i]));
	return all;
}

/* What it is when it is not given; NULL for what is nothing then. */
static json_t *describe_absent(const struct control_arg *row)
{
	if (row->required)
		return NULL;
	if (row->type == CONTROL_NUMBER && row->absent != CONTROL_NOT_GIVEN)
		return json_integer((json_int_t)row->absent);
	if (row->type == CONTROL_BOOL)
		return json_boolean(row->absent);
	return row->type == CONTROL_CHOICE ? json_string(row->choices[row->absent]) : NULL;
}

json_t *control_args_describe(const struct control_arg *rows, size_t count)
{
	json_t *all = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct control_arg *row = &rows[i];
		bool bounded = row->type == CONTROL_TEXT || row->type == CONTROL_NUMBER ||
		               row->type == CONTROL_LIST;

		/* "*": what is NULL is left out. */
		(void)json_array_append_new(
		    all,
		    json_pack("{s:s, s:s, s:b, s:o*, s:o*, s:o*, s:o*, s:o*, s:s}", "name",
		              row->name, "type", type_name(row), "required", row->required, "min",
		              bounded ? json_integer((json_int_t)row->min) : NULL, "max",
		              bounded ? json_integer((json_int_t)row->max) : NULL, "choices",
		              row->choices ? describe_choices(row) : NULL, "absent",
		              describe_absent(row), "members",
		              row->rows ? control_args_describe(row->rows, row->row_count) : NULL,
		              "help", row->help));
	}
	return all;
}
