/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * document.c: docs/protocol-control.md has the commands and arguments that query-commands tells of, as it tells them.
 *
 * With $VIRTFS_WRITE set they are put there instead. $VIRTFS_PAGE is the page.
 */
#include "tests/lib/control_peer.h"

#include "common/cleanup.h"
#include "common/sbuf.h"

#include <criterion/criterion.h>
#include <string.h>

#define BEGIN "<!-- commands, by tests/control/document.c -->\n"
#define END   "<!-- end of commands -->\n"

static char wanted[65536], page[131072];

static const char *text_of(const json_t *o, const char *member)
{
	const char *text = json_string_value(json_object_get(o, member));

	return text ? text : "";
}

static json_int_t number_of(const json_t *o, const char *member)
{
	return json_integer_value(json_object_get(o, member));
}

static void put_type(struct sbuf *s, const json_t *row)
{
	const char *type = text_of(row, "type");
	const json_t *choices = json_object_get(row, "choices");

	sbuf_add(s, "%s", type);
	for (size_t i = 0; i < json_array_size(choices); i++)
		sbuf_add(s, "%s `%s`", i ? "," : ":",
		         json_string_value(json_array_get(choices, i)));
	if (json_object_get(row, "max"))
		sbuf_add(s, ", %lld to %lld%s", (long long)number_of(row, "min"),
		         (long long)number_of(row, "max"),
		         strcmp(type, "text") == 0 ? " bytes" : "");
}

static void put_absent(struct sbuf *s, const json_t *row)
{
	const json_t *absent = json_object_get(row, "absent");

	if (json_is_true(json_object_get(row, "required")))
		sbuf_add(s, "required");
	else if (json_is_string(absent))
		sbuf_add(s, "`%s`", json_string_value(absent));
	else if (json_is_integer(absent))
		sbuf_add(s, "%lld", (long long)json_integer_value(absent));
	else if (absent)
		sbuf_add(s, json_is_true(absent) ? "true" : "false");
}

static void put_rows(struct sbuf *s, const char *prefix, const json_t *rows)
{
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);
		char deeper[64];

		sbuf_add(s, "| `%s%s` | ", prefix, text_of(row, "name"));
		put_type(s, row);
		sbuf_add(s, " | ");
		put_absent(s, row);
		sbuf_add(s, " | %s |\n", text_of(row, "help"));
		(void)snprintf(deeper, sizeof(deeper), "%s%s[].", prefix, text_of(row, "name"));
		put_rows(s, deeper, json_object_get(row, "members"));
	}
}

static void put_commands(struct sbuf *s, const json_t *all)
{
	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *command = json_array_get(all, i),
		             *rows = json_object_get(command, "arguments");

		sbuf_add(s, "\n### %s\n\n%s.\n", text_of(command, "name"),
		         text_of(command, "help"));
		if (json_array_size(rows) > 0)
			sbuf_add(s,
			         "\n| argument | type | when absent | what |\n|---|---|---|---|\n");
		put_rows(s, "", rows);
	}
	sbuf_add(s, "\n");
}

static char control_option[100];
static const char *const args[] = {"--control", control_option, NULL};

static void prepare(struct rig *dirs)
{
	(void)snprintf(control_option, sizeof(control_option), "unix:%s/control", dirs->dir);
}

/* What query-commands of a device tells that has all there is. */
static void ask(void)
{
	struct sbuf s = sbuf_over(wanted, sizeof(wanted));
	struct control_peer c;
	struct p9_rig rig;
	json_t *all;

	p9_rig_start(&rig, &(struct p9_rig_opt){.device_args = args, .prepare = prepare});
	control_connect(&c, control_option + strlen("unix:"));
	all = control_ok(&c, "{'execute': 'query-commands'}", NULL, 0);
	put_commands(&s, all);
	json_decref(all);
	control_close(&c);
	p9_rig_end(&rig);
}

static void write_page(const char *path, const char *begin, const char *end)
{
	FILE *f = fopen(path, "we");

	cr_assert_not_null(f);
	(void)fprintf(f, "%.*s%s%s", (int)(begin - page), page, wanted, end);
	cr_assert_eq(fclose(f), 0);
}

Test(control_document, has_all_commands_as_they_are, .timeout = 60)
{
	const char *path = getenv("VIRTFS_PAGE");
	char *begin, *end;
	FILE *f;

	cr_assert_not_null(path, "VIRTFS_PAGE must name docs/protocol-control.md");
	ask();
	f = fopen(path, "re");
	cr_assert_not_null(f);
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	(void)fclose(f);
	begin = strstr(page, BEGIN);
	end = strstr(page, END);
	cr_assert(begin && end && begin < end, "the page has no place for them");
	begin += strlen(BEGIN);
	if (getenv("VIRTFS_WRITE"))
		write_page(path, begin, end);
	else if (strlen(wanted) != (size_t)(end - begin) ||
	         memcmp(begin, wanted, strlen(wanted)) != 0)
		cr_assert_fail("docs/protocol-control.md has other commands: run this test with "
		               "VIRTFS_WRITE=1");
}
