/* SPDX-License-Identifier: GPL-2.0-or-later */
/* call.c: a packet to a command that runs, and what became of it to an answer. */
#include "control/internal.h"

#include "common/log.h"
#include "common/sbuf.h"

#include <stdarg.h>
#include <string.h>

#define TEXT_MAX 1024

/* ---- answers ---- */

/* Bytes of a client or of jansson may be in it: what is not plain ASCII goes. */
json_t *control_refusal(const char *class, const char *text)
{
	char plain[TEXT_MAX];
	size_t n = 0;

	for (; text[n] && n < sizeof(plain) - 1; n++)
		plain[n] = text[n] >= 0x20 && text[n] < 0x7f ? text[n] : '?';
	plain[n] = '\0';
	return json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", plain);
}

static void free_call(struct control_call *call)
{
	json_decref(call->packet);
	json_decref(call->answer);
	free(call);
}

/* Once its function has returned and it is answered: sends the answer, and lets the client's next command in. */
static void finish(struct control_call *call)
{
	struct control_client *client = call->client;

	if (!call->returned || !call->answer)
		return;
	if (client) {
		if (call->id)
			(void)json_object_set(call->answer, "id", call->id);
		client->call = NULL;
		control_client_send(client, call->answer);
		control_client_go_on(client);
	}
	free_call(call);
}

static void answer(struct control_call *call, json_t *message)
{
	BUG_ON(call->answer);
	call->answer = message ? message : control_refusal(CONTROL_GENERIC_ERROR, "out of memory");
	/* Not even that: the client would wait for ever. */
	if (!call->answer) {
		call->answer = json_null();
		if (call->client)
			control_client_cut_off(call->client, "out of memory");
	}
	finish(call);
}

void control_return(struct control_call *call, json_t *value)
{
	/* json_pack() gives value back if it fails. */
	answer(call, json_pack("{s:o}", "return", value));
}

void control_error(struct control_call *call, const char *class, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_debug("control: refused: %s", text);
	answer(call, control_refusal(class, text));
}

int control_fd_take(struct control_call *call, struct control_fd fd)
{
	return fd.index < 0 ? -1 : fdbag_take(&call->fds, (size_t)fd.index);
}

int control_fd_look(const struct control_call *call, struct control_fd fd)
{
	return fd.index < 0 ? -1 : call->fds.fds[fd.index];
}

void control_fd_gone(struct control_call *call, struct control_fd fd)
{
	if (fd.index >= 0)
		call->fds.fds[fd.index] = -1;
}

const void *control_call_args(const struct control_call *call)
{
	return call->args;
}

void control_call_event(struct control_call *call, const char *name, json_t *data)
{
	control_event(call->control, name, data);
}

/* ---- commands ---- */

/* jansson's own limit is 2048 deep, by recursion. */
static bool too_deep(const uint8_t *bytes, size_t size)
{
	bool in_text = false;
	int depth = 0;

	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '"')
			in_text = !in_text;
		else if (in_text)
			i += bytes[i] == '\\';
		else if (bytes[i] == '{' || bytes[i] == '[')
			depth++;
		else if (bytes[i] == '}' || bytes[i] == ']')
			depth--;
		if (depth > CONTROL_DEPTH_MAX)
			return true;
	}
	return false;
}

/* The packet to call->packet and call->id. */
static bool parse(struct control_call *call, const uint8_t *bytes, size_t size, struct sbuf *why)
{
	json_error_t error;
	const char *name;
	json_t *value;

	if (size == 0 || too_deep(bytes, size)) {
		sbuf_add(why, size ? "JSON is nested more than %d deep" : "the packet is empty",
		         CONTROL_DEPTH_MAX);
		return false;
	}
	call->packet = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error);
	if (!call->packet) {
		sbuf_add(why, "no JSON at byte %d: %s", error.position, error.text);
		return false;
	}
	call->id = json_object_get(call->packet, "id");
	if (!json_is_object(call->packet)) {
		sbuf_add(why, "a command must be an object: {\"execute\": ..., \"arguments\": "
		              "{...}, \"id\": ...}");
		return false;
	}
	json_object_foreach(call->packet, name, value)
	{
		if (strcmp(name, "execute") != 0 && strcmp(name, "arguments") != 0 &&
		    strcmp(name, "id") != 0) {
			sbuf_add(why, "unknown member ");
			sbuf_add_quoted(why, name, strnlen(name, 40));
			sbuf_add(why, ": known are: execute, arguments, id");
			return false;
		}
	}
	if (json_is_string(json_object_get(call->packet, "execute")))
		return true;
	sbuf_add(why, "'execute' is missing or no text: it must name a command");
	return false;
}

static const char *command_name(const void *context, size_t i)
{
	const struct control *c = context;

	for (size_t t = 0; t < c->table_count; t++) {
		if (i < c->tables[t].count)
			return c->tables[t].rows[i].name;
		i -= c->tables[t].count;
	}
	return "";
}

static void not_found(struct control_call *call, const char *name)
{
	const struct control *c = call->control;
	const char *nearest;
	char text[128];
	struct sbuf shown = sbuf_over(text, sizeof(text));
	size_t count = 0;

	for (size_t t = 0; t < c->table_count; t++)
		count += c->tables[t].count;
	nearest = control_nearest(name, command_name, c, count);
	sbuf_add_quoted(&shown, name, strnlen(name, 40));
	control_error(call, CONTROL_COMMAND_NOT_FOUND,
	              "unknown command %s: %s%s%squery-commands tells which there are", text,
	              nearest ? "did you mean '" : "", nearest ? nearest : "",
	              nearest ? "'? " : "");
}

static void dispatch(struct control_call *call, const uint8_t *bytes, size_t size)
{
	char text[TEXT_MAX];
	struct sbuf why = sbuf_over(text, sizeof(text));
	const struct control_command *command;
	const char *name;
	void *context;

	if (!parse(call, bytes, size, &why)) {
		control_error(call, CONTROL_GENERIC_ERROR, "%s", text);
		return;
	}
	name = json_string_value(json_object_get(call->packet, "execute"));
	command = control_find(call->control, name, &context);
	if (!command)
		not_found(call, name);
	else if (!control_args(call, command, json_object_get(call->packet, "arguments"), &why))
		control_error(call, CONTROL_GENERIC_ERROR, "%s: %s", name, text);
	else
		command->run(call, call->args, context);
}

void control_run(struct control_client *client, const uint8_t *bytes, size_t size,
                 struct fdbag *fds)
{
	struct control_call *call = calloc(1, sizeof(*call));

	if (!call) {
		fdbag_close(fds);
		control_client_cut_off(client, "out of memory");
		return;
	}
	call->control = client->control;
	call->client = client;
	client->call = call;
	call->fds = *fds;
	fds->count = 0;
	dispatch(call, bytes, size);
	/* What nobody took goes before the answer does, and without one too. */
	fdbag_close(&call->fds);
	call->returned = true;
	finish(call);
}
