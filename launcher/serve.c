/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve.c: `virtfs serve DIR --listen unix:PATH`: a helper and a device, each with just the sockets it needs.
 *
 * Ends both when it ends, and ends when either does.
 */
#include "launcher/commands.h"

#include "common/cleanup.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/options.h"
#include "common/parse.h"
#include "common/ready.h"
#include "common/usock.h"
#include "launcher/programs.h"
#include "launcher/spawn.h"
#include "launcher/user.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define GRACE_MS 5000

enum { OPT_LISTEN, OPT_READONLY, OPT_FOREGROUND, OPT_USER, OPT_READY_FD, OPT_LOG_LEVEL, OPT_HELP };

static const struct option_row rows[] = {
    [OPT_LISTEN] = {"listen", 0, "unix:PATH", "serve all who connect to PATH (required)"},
    [OPT_READONLY] = {"readonly", 0, NULL, "refuse every change"},
    [OPT_FOREGROUND] = {"foreground", 0, NULL, "do not go into the background"},
    [OPT_USER] = {"user", 0, "UID:GID",
                  "run the device as this user, who must be able to make PATH"},
    [OPT_READY_FD] = {"ready-fd", 0, "N", "write a newline to descriptor N when ready"},
    [OPT_LOG_LEVEL] = {"log-level", 0, "LEVEL", "of both: error, warning, info or debug"},
    [OPT_HELP] = {"help", 'h', NULL, "print this"},
};

struct serve {
	const char *dir, *listen, *log_level;
	bool readonly, foreground, has_user;
	struct spawn_user user;
	int ready_fd;
	pid_t helper, device;
};

static void print_help(void)
{
	(void)printf(
	    "Usage: virtfs serve DIR --listen unix:PATH [options]\n"
	    "Serves DIR by 9P2000.L: mount -t 9p -o trans=unix,version=9p2000.L PATH /mnt\n\n");
	options_help(rows, ARRAY_SIZE(rows));
}

static bool take(struct serve *s, int option, const char *value)
{
	uint64_t n;

	switch (option) {
	case OPT_LISTEN:
		s->listen = value;
		return true;
	case OPT_READONLY:
		s->readonly = true;
		return true;
	case OPT_FOREGROUND:
		s->foreground = true;
		return true;
	case OPT_USER:
		s->has_user = true;
		return user_parse(value, &s->user);
	case OPT_READY_FD:
		if (parse_u64(value, INT_MAX, &n) && n > 2 && fcntl((int)n, F_GETFD) >= 0) {
			s->ready_fd = (int)n;
			return fcntl((int)n, F_SETFD, FD_CLOEXEC) == 0;
		}
		log_error("--ready-fd '%s': must be the number of an open descriptor, 3 or above",
		          value);
		return false;
	case OPT_LOG_LEVEL:
		s->log_level = value;
		return true;
	default:
		return false;
	}
}

/* Options may stand before and after DIR. Return: -1 to go on, or the exit status. */
static int parse(int argc, char **argv, struct serve *s)
{
	const char *value;

	for (;;) {
		int option = options_next(rows, ARRAY_SIZE(rows), argc, argv, &value);

		if (option == OPT_HELP) {
			print_help();
			return EXIT_SUCCESS;
		}
		if (option == OPTIONS_END) {
			if (optind == argc)
				break;
			if (s->dir) {
				log_error("'%s': there is one DIR only, and it is '%s'",
				          argv[optind], s->dir);
				return EXIT_FAILURE;
			}
			s->dir = argv[optind++];
		} else if (option == OPTIONS_BAD || !take(s, option, value)) {
			return EXIT_FAILURE;
		}
	}
	if (s->dir && s->listen)
		return -1;
	log_error("must be: virtfs serve DIR --listen unix:PATH [options]");
	return EXIT_FAILURE;
}

static int start(const char *folder, const char *name, const char **argv, const int *fds,
                 size_t count, const struct spawn_user *user, pid_t *ret_pid)
{
	AUTO_FREE char *path = program_find(folder, name);
	int r = -ENOMEM;

	argv[0] = path;
	if (path)
		r = spawn_start(&(struct spawn){.argv = argv,
		                                .fds = fds,
		                                .fd_count = count,
		                                .own_session = true,
		                                .user = user},
		                ret_pid);
	if (r < 0)
		log_error("cannot start %s: %s", path ? path : name, errno_name(r));
	return r;
}

static int start_helper(struct serve *s, int sock)
{
	char number[12];
	const char *argv[12] = {NULL, "-n", "-p", s->dir, "-f", number};
	size_t n = 6;

	(void)snprintf(number, sizeof(number), "%d", sock);
	if (s->readonly)
		argv[n++] = "--readonly";
	if (s->log_level) {
		argv[n++] = "--log-level";
		argv[n++] = s->log_level;
	}
	return start("helper", "virtfs-proxy-helper", argv, &sock, 1, NULL, &s->helper);
}

static int start_device(struct serve *s, int sock, int ready)
{
	char number[12], ready_number[12];
	const char *argv[12] = {NULL,      "--helper-fd", number,      "--listen",
	                        s->listen, "--ready-fd",  ready_number};
	const int fds[] = {sock, ready};
	size_t n = 7;

	(void)snprintf(number, sizeof(number), "%d", sock);
	(void)snprintf(ready_number, sizeof(ready_number), "%d", ready);
	if (s->log_level) {
		argv[n++] = "--log-level";
		argv[n++] = s->log_level;
	}
	return start("virtio-9p", "virtfs-device", argv, fds, ARRAY_SIZE(fds),
	             s->has_user ? &s->user : NULL, &s->device);
}

/* Starts both and waits until the device is ready. */
static int start_both(struct serve *s)
{
	AUTO_CLOSE int helper_end = -1;
	AUTO_CLOSE int device_end = -1;
	AUTO_CLOSE int ready = -1;
	AUTO_CLOSE int tell = -1;
	int pair[2], ends[2], r = usock_pair(SOCK_SEQPACKET, pair);
	char byte;

	if (r < 0)
		return r;
	helper_end = pair[0];
	device_end = pair[1];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	ready = ends[0];
	tell = ends[1];
	r = start_helper(s, helper_end);
	if (r == 0)
		r = start_device(s, device_end, tell);
	/* Only they hold these now, so each sees the other's end. */
	fd_close(&helper_end);
	fd_close(&device_end);
	fd_close(&tell);
	if (r < 0)
		return r;
	/* The end of the pipe without a byte: the device has ended, and has said why. */
	return read(ready, &byte, 1) == 1 ? 0 : -EIO;
}

static void stop_both(struct serve *s)
{
	if (s->device > 0)
		(void)spawn_stop(s->device, true, GRACE_MS);
	/* The helper sees the end of its connection and ends by itself. */
	if (s->helper > 0)
		(void)spawn_stop(s->helper, s->device <= 0, GRACE_MS);
}

/* The socket's path was made by the device, which cannot reach it any more. */
static void remove_socket(const struct serve *s)
{
	if (unlink(s->listen + strlen("unix:")) < 0 && errno != ENOENT)
		log_warning("cannot remove %s: %s", s->listen, errno_name(errno));
}

/* Until either ends, or somebody wants us to. Return: the exit status. */
static int supervise(struct serve *s)
{
	int status = EXIT_SUCCESS;

	for (;;) {
		int got = spawn_wait(-1);

		if (got != SIGCHLD)
			break;
		if (spawn_reaped(s->helper, &status)) {
			log_error("the helper ended with status %d", status);
			s->helper = -1;
			status = EXIT_FAILURE;
			break;
		}
		if (spawn_reaped(s->device, &status)) {
			log_error("the device ended with status %d", status);
			s->device = -1;
			status = EXIT_FAILURE;
			break;
		}
	}
	stop_both(s);
	return status;
}

int command_serve(int argc, char **argv)
{
	struct serve s = {.ready_fd = -1};
	struct ready ready = READY_NONE;
	int status = parse(argc, argv, &s), r = 0;

	if (status >= 0)
		return status;
	if (ready_prepare(&ready, s.ready_fd) < 0)
		log_warning("$NOTIFY_SOCKET cannot be used");
	if (!s.foreground)
		r = daemon_fork(&ready.parent);
	if (r == 0)
		r = spawn_block_signals();
	if (r == 0)
		r = start_both(&s);
	if (r < 0) {
		log_error("cannot serve %s", s.dir);
		stop_both(&s);
		return EXIT_FAILURE;
	}
	ready_tell(&ready);
	status = supervise(&s);
	remove_socket(&s);
	return status;
}
