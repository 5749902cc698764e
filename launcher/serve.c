/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve.c: `virtfs serve DIR`: a helper and a device, each with just the sockets it needs.
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
#include "common/user.h"
#include "common/usock.h"
#include "launcher/helper.h"
#include "launcher/programs.h"
#include "launcher/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define GRACE_MS 5000

#define TAG_MAX 254

enum {
	OPT_VHOST_USER = HELPER_OPTIONS,
	OPT_TAG,
	OPT_LISTEN,
	OPT_FOREGROUND,
	OPT_USER,
	OPT_READY_FD,
	OPT_PRINT_QEMU_ARGS,
	OPT_POLL_US,
	OPT_LOG_LEVEL,
	OPT_HELP
};

static const struct option_row rows[] = {
    HELPER_OPTION_ROWS,
    [OPT_VHOST_USER] = {"vhost-user", 0, "PATH",
                        "be a virtio-9p device for the emulators that connect to PATH"},
    [OPT_TAG] = {"tag", 0, "TAG", "the device's mount tag"},
    [OPT_LISTEN] = {"listen", 0, "unix:PATH", "serve plain 9P to all who connect to PATH"},
    [OPT_FOREGROUND] = {"foreground", 0, NULL, "do not go into the background"},
    [OPT_USER] = {"user", 0, "NAME|UID[:GID]",
                  "have the device become this user, who owns the socket then"},
    [OPT_READY_FD] = {"ready-fd", 0, "N", "write a newline to descriptor N when ready"},
    [OPT_PRINT_QEMU_ARGS] = {"print-qemu-args", 0, NULL,
                             "print the arguments that QEMU 10.2 and later need, and exit"},
    [OPT_POLL_US] = {"poll-us", 0, "N",
                     "how long the device looks for a next request before it sleeps, in us"},
    [OPT_LOG_LEVEL] = {"log-level", 0, "LEVEL", "of both: error, warning, info or debug"},
    [OPT_HELP] = {"help", 'h', NULL, "print this"},
};

struct serve {
	struct helper helper;
	const char *poll_us, *seccomp;
	const char *listen, *vhost_user, *tag; /* either the first, or the others */
	const char *user;                      /* of the device; NULL: its default */
	bool foreground, print_args;
	int ready_fd;
	pid_t helper_pid, device;
};

static void print_help(void)
{
	(void)printf(
	    "Usage: virtfs serve DIR --vhost-user PATH --tag TAG [options]\n"
	    "       virtfs serve DIR --listen unix:PATH [options]\n"
	    "Serves DIR by 9P2000.L, to a guest (mount -t 9p -o trans=virtio,version=9p2000.L TAG "
	    "/mnt)\n"
	    "or over a socket (mount -t 9p -o trans=unix,version=9p2000.L PATH /mnt).\n\n");
	options_help(rows, ARRAY_SIZE(rows));
}

static bool take(struct serve *s, int option, const char *value)
{
	uint64_t n;

	switch (option) {
	case OPT_VHOST_USER:
		s->vhost_user = value;
		return true;
	case OPT_TAG:
		if (*value && strlen(value) <= TAG_MAX) {
			s->tag = value;
			return true;
		}
		log_error("--tag '%s': must be 1 to %d bytes long", value, TAG_MAX);
		return false;
	case OPT_PRINT_QEMU_ARGS:
		s->print_args = true;
		return true;
	case OPT_LISTEN:
		s->listen = value;
		return true;
	case OPT_FOREGROUND:
		s->foreground = true;
		return true;
	case OPT_USER:
		s->user = value;
		return user_parse("user", value, &(struct user){0});
	case OPT_READY_FD:
		if (parse_u64(value, INT_MAX, &n) && n > 2 && fcntl((int)n, F_GETFD) >= 0) {
			s->ready_fd = (int)n;
			return fcntl((int)n, F_SETFD, FD_CLOEXEC) == 0;
		}
		log_error("--ready-fd '%s': must be the number of an open descriptor, 3 or above",
		          value);
		return false;
	case OPT_POLL_US:
		s->poll_us = value;
		return true;
	case OPT_LOG_LEVEL:
		s->helper.log_level = value;
		return true;
	case HELPER_SECCOMP:
		s->seccomp = value; /* the device's too */
		return helper_take(&s->helper, HELPER_SECCOMP, value);
	default:
		return option != OPTIONS_BAD &&
		       helper_take(&s->helper, (enum helper_option)option, value);
	}
}

static bool check_together(const struct serve *s)
{
	if (!s->helper.dir || !s->vhost_user == !s->listen)
		log_error("must be: virtfs serve DIR (--vhost-user PATH --tag TAG | --listen "
		          "unix:PATH) [options]");
	else if (!s->vhost_user != !s->tag)
		log_error(
		    "--vhost-user and --tag go together: the socket, and what the guest mounts");
	else if (s->print_args && !s->vhost_user)
		log_error("--print-qemu-args goes with --vhost-user: QEMU does not use --listen");
	else if (s->vhost_user && strchr(s->vhost_user, ',') && s->print_args)
		log_error(
		    "--vhost-user '%s': QEMU's options cannot name a path with a comma so simply",
		    s->vhost_user);
	else
		return true;
	return false;
}

/* In the shell's quotes. */
static void print_quoted(const char *text)
{
	(void)putchar('\'');
	for (; *text; text++)
		(void)(*text == '\'' ? printf("'\\''") : putchar(*text));
	(void)putchar('\'');
}

/* The memory must be shared with the device; its size is -m's. */
static void print_qemu_args(const struct serve *s)
{
	(void)printf("-object memory-backend-memfd,id=virtfs-mem,share=on,size=1G "
	             "-machine memory-backend=virtfs-mem -m 1G -chardev ");
	(void)printf("socket,id=virtfs,path=");
	print_quoted(s->vhost_user);
	(void)printf(" -device vhost-user-test-device-pci,chardev=virtfs,virtio-id=9,num_vqs=1,"
	             "vq_size=128,config_size=%zu\n",
	             sizeof(uint16_t) + strlen(s->tag));
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
			if (s->helper.dir) {
				log_error("'%s': there is one DIR only, and it is '%s'",
				          argv[optind], s->helper.dir);
				return EXIT_FAILURE;
			}
			s->helper.dir = argv[optind++];
		} else if (!take(s, option, value)) {
			return EXIT_FAILURE;
		}
	}
	if (!check_together(s))
		return EXIT_FAILURE;
	if (!s->print_args)
		return -1;
	print_qemu_args(s);
	return EXIT_SUCCESS;
}

static int start(const char *folder, const char *name, const char **argv, const int *fds,
                 size_t count, pid_t *ret_pid)
{
	AUTO_FREE char *path = program_find(folder, name);
	int r = -ENOMEM;

	argv[0] = path;
	if (path)
		r = spawn_start(
		    &(struct spawn){
		        .argv = argv, .fds = fds, .fd_count = count, .own_session = true},
		    ret_pid);
	if (r < 0)
		log_error("cannot start %s: %s", path ? path : name, errno_name(r));
	return r;
}

static int start_device(struct serve *s, int sock, int ready)
{
	char number[12], ready_number[12];
	const char *argv[18] = {NULL, "--helper-fd", number, "--ready-fd", ready_number};
	const int fds[] = {sock, ready};
	size_t n = 5;

	argv[n++] = s->vhost_user ? "--socket-path" : "--listen";
	argv[n++] = s->vhost_user ? s->vhost_user : s->listen;
	if (s->tag) {
		argv[n++] = "--tag";
		argv[n++] = s->tag;
	}
	(void)snprintf(number, sizeof(number), "%d", sock);
	(void)snprintf(ready_number, sizeof(ready_number), "%d", ready);
	if (s->poll_us) {
		argv[n++] = "--poll-us";
		argv[n++] = s->poll_us;
	}
	if (s->helper.log_level) {
		argv[n++] = "--log-level";
		argv[n++] = s->helper.log_level;
	}
	if (s->seccomp) {
		argv[n++] = "--seccomp";
		argv[n++] = s->seccomp;
	}
	if (s->user) {
		argv[n++] = "--user";
		argv[n++] = s->user;
	}
	return start("virtio-9p", "virtfs-device", argv, fds, ARRAY_SIZE(fds), &s->device);
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
	r = helper_start(&s->helper, helper_end, &s->helper_pid);
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

/* The end of one brings that of the other about, which may be seen first: so whichever ends badly is told of. */
static void stop(pid_t pid, bool ask, const char *name)
{
	int status = spawn_stop(pid, ask, GRACE_MS);

	if (status != 0 && !(ask && status == 128 + SIGTERM))
		log_error("the %s ended with status %d", name, status);
}

static void stop_both(struct serve *s)
{
	if (s->device > 0)
		stop(s->device, true, "device");
	/* The helper sees the end of its connection and ends by itself. */
	if (s->helper_pid > 0)
		stop(s->helper_pid, s->device <= 0, "helper");
}

/* The socket's path was made by the device, which cannot reach it any more. */
static void remove_socket(const struct serve *s)
{
	const char *path = s->vhost_user ? s->vhost_user : s->listen + strlen("unix:");

	if (unlink(path) < 0 && errno != ENOENT)
		log_warning("cannot remove %s: %s", path, errno_name(errno));
}

/* Until either ends, or somebody wants us to. Return: the exit status. */
static int supervise(struct serve *s)
{
	int status = EXIT_SUCCESS;

	for (;;) {
		int got = spawn_wait(-1);

		if (got != SIGCHLD)
			break;
		if (spawn_reaped(s->helper_pid, &status)) {
			log_error("the helper ended with status %d", status);
			s->helper_pid = -1;
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
		log_error("cannot serve %s", s.helper.dir);
		stop_both(&s);
		return EXIT_FAILURE;
	}
	ready_tell(&ready);
	status = supervise(&s);
	remove_socket(&s);
	return status;
}
