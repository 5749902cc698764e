/* SPDX-License-Identifier: GPL-2.0-or-later */
/* builtin.c: the commands that every device has. */
#include "control/internal.h"

#include "common/log.h"

#define QUIT_WAIT_MS      1000 /* unless told otherwise */
#define QUIT_WAIT_MS_MOST 60000

static void query_version(struct control_call *call, const void *args UNUSED, void *context UNUSED)
{
	control_return(call,
	               json_pack("{s:s, s:s}", "package", "virtfs", "version", VIRTFS_VERSION));
}

static void query_commands(struct control_call *call, const void *args UNUSED, void *context)
{
	const struct control *c = context;
	json_t *all = json_array();

	for (size_t t = 0; t < c->table_count; t++) {
		for (size_t i = 0; i < c->tables[t].count; i++) {
			const struct control_command *row = &c->tables[t].rows[i];

			(void)json_array_append_new(
			    all, json_pack("{s:s, s:s, s:o}", "name", row->name, "help", row->help,
			                   "arguments",
			                   control_args_describe(row->args, row->arg_count)));
		}
	}
	control_return(call, all);
}

/* ---- log-level ---- */

struct log_level_args {
	unsigned level;
};

static const char *const log_levels[] = {[LOG_LEVEL_ERROR] = "error",
                                         [LOG_LEVEL_WARNING] = "warning",
                                         [LOG_LEVEL_INFO] = "info",
                                         [LOG_LEVEL_DEBUG] = "debug",
                                         NULL};

static const struct control_arg log_level_rows[] = {
    CONTROL_ARG_CHOICE(struct log_level_args, level, "level", CONTROL_REQUIRED, log_levels,
                       "lines of more detail than this are not written"),
};

static void log_level(struct control_call *call, const void *args, void *context UNUSED)
{
	log_set_level((enum log_level)((const struct log_level_args *)args)->level);
	control_return(call, json_object());
}

/* ---- quit ---- */

struct quit_args {
	uint64_t wait_ms;
};

static const struct control_arg quit_rows[] = {
    CONTROL_ARG_NUMBER(struct quit_args, wait_ms, "wait-ms", CONTROL_ABSENT(QUIT_WAIT_MS), 0,
                       QUIT_WAIT_MS_MOST,
                       "how long requests under way may take to end; then it ends without them"),
};

static void quit(struct control_call *call, const void *args, void *context)
{
	const struct control *c = context;

	c->host.quit(c->host.context, call, (unsigned)((const struct quit_args *)args)->wait_ms);
}

const struct control_command control_builtin[] = {
    {.name = "query-version", .help = "the program and its version", .run = query_version},
    {.name = "query-commands", .help = "all commands with their arguments", .run = query_commands},
    {.name = "log-level",
     .help = "how much goes to the log",
     CONTROL_ARGS(log_level_rows, struct log_level_args),
     .run = log_level},
    {.name = "quit",
     .help = "take no more requests, answer those under way, then this, and end the process",
     CONTROL_ARGS(quit_rows, struct quit_args),
     .run = quit},
};
const size_t control_builtin_count = ARRAY_SIZE(control_builtin);
