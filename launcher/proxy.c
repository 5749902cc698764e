/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proxy.c: `virtfs proxy DIR -- COMMAND`, for QEMU up to 9.1.
 *
 * Makes a socketpair, gives one end to virtfs-proxy-helper and the other to COMMAND, and ends both
 * when either ends.
 */
#include "launcher/commands.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/options.h"
#include "common/user.h"
#include "common/usock.h"
#include "launcher/helper.h"
#include "launcher/spawn.h"

#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define GRACE_MS 5000

enum { OPT_USER = HELPER_OPTIONS, OPT_HELPER, OPT_NAME, OPT_LOG_LEVEL, OPT_HELP };

#define NAME_SIZE 32

static const struct option_row rows[] = {
    HELPER_OPTION_ROWS,
    [OPT_USER] = {"user", 0, "NAME|UID[:GID]",
                  "run COMMAND as this user, without capabilities and groups"},
    [OPT_HELPER] = {"helper", 0, "PATH",
                    "the helper to start (default: virtfs-proxy-helper of this build)"},
    [OPT_NAME] = {"name", 0, "NAME",
                  "what stands for the descriptor in COMMAND: {NAME} (default: fd)"},
    [OPT_LOG_LEVEL] = {"log-level", 0, "LEVEL", "of the helper: error, warning, info or debug"},
    [OPT_HELP] = {"help", 'h', NULL, "print this"},
};

struct proxy {
	struct helper helper;
	const char *name;
	bool has_user;
	struct user user;
	char **command;
};

static void print_help(void)
{
	(void)printf("Usage: virtfs proxy [options] DIR -- COMMAND [ARGUMENT...]\n"
	             "Runs COMMAND beside a helper that serves DIR; {fd} in its arguments becomes "
	             "the number of the\n"
	             "socket to the helper: -fsdev proxy,id=share,sock_fd={fd}\n\n");
	options_help(rows, ARRAY_SIZE(rows));
}

static bool parse_name(const char *text, struct proxy *p)
{
	p->name = text;
	if (*text && strlen(text) < NAME_SIZE && !strpbrk(text, "{}"))
		return true;
	log_error("--name '%s': must be 1 to %d characters, no braces among them", text,
	          NAME_SIZE - 1);
	return false;
}

/* Return: -1 to go on, or the exit status. */
static int parse(int argc, char **argv, struct proxy *p)
{
	const char *value;
	int option;

	while ((option = options_next(rows, ARRAY_SIZE(rows), argc, argv, &value)) != OPTIONS_END) {
		switch (option) {
		case OPT_HELPER:
			p->helper.program = value;
			break;
		case OPT_NAME:
			if (!parse_name(value, p))
				return EXIT_FAILURE;
			break;
		case OPT_USER:
			if (!user_parse("user", value, &p->user))
				return EXIT_FAILURE;
			p->has_user = true;
			break;
		case OPT_LOG_LEVEL:
			p->helper.log_level = value;
			break;
		case OPT_HELP:
			print_help();
			return EXIT_SUCCESS;
		default:
			if (option == OPTIONS_BAD ||
			    !helper_take(&p->helper, (enum helper_option)option, value))
				return EXIT_FAILURE;
		}
	}
	if (optind + 2 >= argc || strcmp(argv[optind + 1], "--") != 0) {
		log_error("must be: virtfs proxy [options] DIR -- COMMAND [ARGUMENT...]");
		return EXIT_FAILURE;
	}
	p->helper.dir = argv[optind];
	p->command = &argv[optind + 2];
	return -1;
}

/* text with every {name} replaced by number; the caller frees it. NULL when out of memory. */
static char *fill_in(const char *text, const char *name, int number)
{
	char mark[NAME_SIZE + 2], digits[16], *result = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&result, &size);

	if (!out)
		return NULL;
	(void)snprintf(mark, sizeof(mark), "{%s}", name);
	(void)snprintf(digits, sizeof(digits), "%d", number);
	for (const char *found; (found = strstr(text, mark)); text = found + strlen(mark)) {
		(void)fwrite(text, 1, (size_t)(found - text), out);
		(void)fputs(digits, out);
	}
	(void)fputs(text, out);
	if (fclose(out) != 0) {
		free(result);
		return NULL;
	}
	return result;
}

static int start_command(const struct proxy *p, int sock, pid_t *ret_pid)
{
	size_t count = 0;
	char **argv;
	int r = -1;

	while (p->command[count])
		count++;
	argv = calloc(count + 1, sizeof(*argv));
	if (!argv)
		return -1;
	for (size_t i = 0; i < count; i++) {
		argv[i] = fill_in(p->command[i], p->name, sock);
		if (!argv[i])
			goto out;
	}
	/* An outer `virtfs proxy` may have left a socket for the command: what is not ours passes
	 * on. */
	r = spawn_start(&(struct spawn){.argv = (const char *const *)argv,
	                                .fds = &sock,
	                                .fd_count = 1,
	                                .keep_inherited = true,
	                                .user = p->has_user ? &p->user : NULL},
	                ret_pid);
	if (r < 0)
		log_error("cannot start %s: %s", argv[0], errno_name(r));
out:
	for (size_t i = 0; i < count; i++)
		free(argv[i]);
	free(argv);
	return r;
}

/* Sees both through to their ends. Return: the exit status. */
static int supervise(pid_t helper, pid_t command)
{
	bool helper_runs = true;

	for (;;) {
		int got = spawn_wait(-1), status = 0;

		if (got != SIGCHLD) {
			(void)kill(command, got);
			continue;
		}
		if (spawn_reaped(command, &status)) {
			/* The helper sees the end of its connection and ends by itself. */
			if (helper_runs)
				(void)spawn_stop(helper, false, GRACE_MS);
			return status;
		}
		if (!helper_runs || !spawn_reaped(helper, &status))
			continue;
		helper_runs = false;
		/* 0: the command closed its end, and may have more to do. */
		if (status != 0) {
			log_error("the helper ended with status %d before the command", status);
			(void)spawn_stop(command, true, GRACE_MS);
			return status;
		}
	}
}

int command_proxy(int argc, char **argv)
{
	struct proxy p = {.name = "fd"};
	int status = parse(argc, argv, &p), pair[2];
	pid_t helper = -1, command = -1;

	if (status >= 0)
		return status;
	if (spawn_block_signals() < 0 || usock_pair(SOCK_STREAM, pair) < 0) {
		log_error("cannot make a socketpair");
		return EXIT_FAILURE;
	}
	if (helper_start(&p.helper, pair[0], &helper) < 0)
		return EXIT_FAILURE;
	fd_close(&pair[0]);
	if (start_command(&p, pair[1], &command) < 0) {
		fd_close(&pair[1]);
		(void)spawn_stop(helper, true, GRACE_MS);
		return 127;
	}
	fd_close(&pair[1]);
	return supervise(helper, command);
}
