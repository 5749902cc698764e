/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/config.h"

#include "common/complain.h"
#include "common/options.h"
#include "common/parse.h"
#include "virtio-9p/server.h"
#include "virtio-9p/t_virtio.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUESTS_MOST    1024u
#define XATTR_BYTES_MOST (1ull << 30)
#define LOCKS_MOST       (1u << 20)
#define LOG_RATE_MOST    1000u
#define LISTEN_FDS_START 3 /* sd_listen_fds(3) */
#define USER_NOBODY      65534

enum {
	OPT_HELPER_FD,
	OPT_HANDOVER_FD,
	OPT_LISTEN,
	OPT_SOCKET_PATH,
	OPT_FD,
	OPT_TAG,
	OPT_DISK,
	OPT_CONTROL,
	OPT_CONTROL_USER,
	OPT_READY_FD,
	OPT_MAX_FIDS,
	OPT_MAX_REQUESTS,
	OPT_MAX_XATTR_BYTES,
	OPT_MAX_OPEN_FILES,
	OPT_MAX_LOCKS,
	OPT_LOG_RATE,
	OPT_POLL_US,
	OPT_USER,
	OPT_SANDBOX,
	OPT_IO,
	OPT_SECCOMP,
	OPT_LOG_LEVEL,
	OPT_SYSLOG,
	OPT_PRINT_CAPABILITIES,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option_row rows[] = {
    [OPT_HELPER_FD] =
        {"helper-fd", 0, "N",
         "the SOCK_SEQPACKET socket to virtfs-proxy-helper; there is no share without"},
    [OPT_HANDOVER_FD] = {"handover-fd", 0, "N",
                         "take sockets of new helpers from this SOCK_SEQPACKET socket"},
    [OPT_LISTEN] = {"listen", 0, "unix:PATH", "serve 9P to all who connect to PATH"},
    [OPT_SOCKET_PATH] = {"socket-path", 0, "PATH",
                         "be a vhost-user device for the emulators that connect to PATH"},
    [OPT_FD] = {"fd", 0, "N",
                "the stream socket N instead of a path; when it is connected, end with it"},
    [OPT_TAG] = {"tag", 0, "TAG",
                 "mount tag of the vhost-user device; --fd N is for an emulator then"},
    [OPT_DISK] = {"disk", 0, "KEY=VALUE,...",
                  "a vhost-user block device of an image that was passed; again for more"},
    [OPT_CONTROL] = {"control", 0, "fd:N|unix:PATH",
                     "take commands (virtfs-control(7)) from that SOCK_SEQPACKET socket"},
    [OPT_CONTROL_USER] = {"control-user", 0, "NAME|UID[:GID]",
                          "take them from this user too, besides root and this process's own"},
    [OPT_READY_FD] = {"ready-fd", 0, "N", "write a newline to descriptor N when ready"},
    [OPT_MAX_FIDS] = {"max-fids", 0, "N", "fids all clients together may have (default 2097152)"},
    [OPT_MAX_REQUESTS] = {"max-requests", 0, "N",
                          "requests each client may have under way (default 512)"},
    [OPT_MAX_XATTR_BYTES] = {"max-xattr-bytes", 0, "N",
                             "bytes of attribute values that fids may hold (default 8388608)"},
    [OPT_MAX_OPEN_FILES] = {"max-open-files", 0, "N",
                            "files and directories clients may have open (default 61440)"},
    [OPT_MAX_LOCKS] = {"max-locks", 0, "N",
                       "ranges of files that clients may have locked (default 8192)"},
    [OPT_LOG_RATE] = {"log-rate", 0, "N",
                      "warnings of each kind that clients may bring about in 10 s (default 8)"},
    [OPT_POLL_US] =
        {"poll-us", 0, "N",
         "look for requests for N microseconds before sleeping (default 500; 0: never)"},
    [OPT_USER] = {"user", 0, "NAME|UID[:GID]",
                  "as root: become this user, who owns the socket too (default 65534:65534)"},
    [OPT_SANDBOX] = {"sandbox", 0, "MODE",
                     "auto (default: as far as the host allows), namespace (demand it) or none"},
    [OPT_IO] = {"io", 0, "HOW",
                "auto (default: io_uring, threads where there is none), io_uring or threads"},
    [OPT_SECCOMP] = {"seccomp", 0, "MODE",
                     "what a system call that is not allowed does: kill (default), log or trap"},
    [OPT_LOG_LEVEL] = {"log-level", 0, "LEVEL", "error, warning, info (default) or debug"},
    [OPT_SYSLOG] = {"syslog", 0, NULL, "log to the system log"},
    [OPT_PRINT_CAPABILITIES] = {"print-capabilities", 0, NULL,
                                "print what this build can do, as JSON"},
    [OPT_VERSION] = {"version", 0, NULL, "print the version"},
    [OPT_HELP] = {"help", 'h', NULL, "print this"},
};

static void print_help(void)
{
	(void)printf(
	    "Usage: virtfs-device --helper-fd N --tag TAG (--socket-path PATH | --fd N) [options]\n"
	    "       virtfs-device --helper-fd N (--listen unix:PATH | --fd N) [options]\n"
	    "       virtfs-device --disk id=ID,fd=N,format=raw,socket-path=PATH... [options]\n"
	    "       virtfs-device --control (fd:N | unix:PATH) [options]\n"
	    "A virtio-9p device over vhost-user, or a 9P2000.L server on a socket, that asks\n"
	    "virtfs-proxy-helper for what it needs of files; and virtio-blk devices of images "
	    "that\n"
	    "are passed to it.\n\n");
	options_help(rows, ARRAY_SIZE(rows));
}

static bool descriptor(int option, const char *text, int *ret)
{
	uint64_t n;

	if (!parse_u64(text, INT_MAX, &n) || n < 3) {
		log_error("--%s '%s': must be the number of a descriptor, 3 or above",
		          rows[option].name, text);
		return false;
	}
	if (fcntl((int)n, F_GETFD) < 0) {
		log_error("--%s %s: is no open descriptor", rows[option].name, text);
		return false;
	}
	*ret = (int)n;
	return true;
}

static bool control(struct config *c, const char *value)
{
	if (c->control_fd >= 0 || c->control_path) {
		log_error("one --control is enough");
		return false;
	}
	if (strncmp(value, "fd:", 3) == 0)
		return descriptor(OPT_CONTROL, value + 3, &c->control_fd);
	if (strncmp(value, "unix:", 5) != 0 || !value[5]) {
		log_error("--control '%s': must be fd:N or unix:PATH", value);
		return false;
	}
	c->control_path = value + 5;
	return true;
}

/* The overflow user is whoever a user namespace does not know. */
static bool control_user(const char *text, struct user *ret)
{
	if (!user_parse("control-user", text, ret))
		return false;
	if (ret->uid != USER_NOBODY)
		return true;
	log_error("--control-user '%s': must not be user %d, whom too many look like", text,
	          USER_NOBODY);
	return false;
}

/* Options that are a number between two others; what of. */
static const struct number {
	uint64_t least, most;
	const char *of;
} numbers[] = {
    [OPT_MAX_FIDS] = {1, CONFIG_FIDS_MOST, "fids"},
    [OPT_MAX_REQUESTS] = {1, REQUESTS_MOST, "requests"},
    [OPT_MAX_XATTR_BYTES] = {0, XATTR_BYTES_MOST, "bytes"},
    [OPT_MAX_OPEN_FILES] = {1, P9_OPEN_FILES_USUAL, "files"},
    [OPT_MAX_LOCKS] = {0, LOCKS_MOST, "locks"},
    [OPT_LOG_RATE] = {0, LOG_RATE_MOST, "lines"},
    [OPT_POLL_US] = {0, CONFIG_POLL_US_MOST, "microseconds"},
};

static bool number(int option, const char *text, uint64_t *ret)
{
	const struct number *n = &numbers[option];

	if (parse_u64(text, n->most, ret) && *ret >= n->least)
		return true;
	log_error("--%s '%s': must be a decimal number of %s from %llu to %llu", rows[option].name,
	          text, n->of, (unsigned long long)n->least, (unsigned long long)n->most);
	return false;
}

static bool number32(int option, const char *text, uint32_t *ret)
{
	uint64_t n = 0;
	bool good = number(option, text, &n);

	*ret = (uint32_t)n;
	return good;
}

static bool tag(const char *text, const char **ret)
{
	size_t size = strlen(text);

	if (size == 0 || size > T_VIRTIO_TAG_MAX) {
		log_error("--tag '%s': must be 1 to %d bytes long", text, T_VIRTIO_TAG_MAX);
		return false;
	}
	*ret = text;
	return true;
}

static bool user(const char *text, struct user *ret)
{
	if (!user_parse("user", text, ret))
		return false;
	if (ret->uid != 0 && ret->gid != 0)
		return true;
	log_error("--user '%s': must not be root, nor of root's group", text);
	return false;
}

/* One of a list of words: its place, or -1 after it said which there are. */
static int one_of(int option, const char *text, const char *const *words, const char *all)
{
	for (int i = 0; words[i]; i++) {
		if (strcmp(text, words[i]) == 0)
			return i;
	}
	log_error("--%s '%s': must be %s", rows[option].name, text, all);
	return -1;
}

static bool sandbox(const char *text, enum config_sandbox *ret)
{
	static const char *const words[] = {[SANDBOX_AUTO] = "auto",
	                                    [SANDBOX_NAMESPACE] = "namespace",
	                                    [SANDBOX_NONE] = "none",
	                                    NULL};
	int i = one_of(OPT_SANDBOX, text, words, "auto, namespace or none");

	*ret = (enum config_sandbox)i;
	return i >= 0;
}

static bool io(const char *text, enum config_io *ret)
{
	static const char *const words[] = {
	    [IO_AUTO] = "auto", [IO_URING] = "io_uring", [IO_THREADS] = "threads", NULL};
	int i = one_of(OPT_IO, text, words, "auto, io_uring or threads");

	*ret = (enum config_io)i;
	return i >= 0;
}

static bool path_once(struct config *c, const char *path)
{
	if (c->listen_path) {
		log_error("one of --listen and --socket-path is enough");
		return false;
	}
	if (!*path) {
		log_error("--socket-path '': must be the path of a socket to make");
		return false;
	}
	c->listen_path = path;
	return true;
}

static bool take(struct config *c, int option, const char *value)
{
	switch (option) {
	case OPT_HELPER_FD:
		return descriptor(option, value, &c->helper_fd);
	case OPT_HANDOVER_FD:
		return descriptor(option, value, &c->handover_fd);
	case OPT_FD:
		return descriptor(option, value, &c->fd);
	case OPT_CONTROL:
		return control(c, value);
	case OPT_CONTROL_USER:
		c->has_control_user = true;
		return control_user(value, &c->control_user);
	case OPT_READY_FD:
		return descriptor(option, value, &c->ready_fd);
	case OPT_MAX_FIDS:
		return number(option, value, &c->most[QUOTA_FIDS]);
	case OPT_MAX_XATTR_BYTES:
		return number(option, value, &c->most[QUOTA_XATTR_BYTES]);
	case OPT_MAX_OPEN_FILES:
		return number(option, value, &c->most[QUOTA_OPEN_FILES]);
	case OPT_MAX_LOCKS:
		return number(option, value, &c->most[QUOTA_LOCKS]);
	case OPT_MAX_REQUESTS:
		return number32(option, value, &c->max_requests);
	case OPT_LOG_RATE:
		return number32(option, value, &c->log_rate);
	case OPT_POLL_US:
		return number32(option, value, &c->poll_us);
	case OPT_USER:
		c->has_user = true;
		return user(value, &c->user);
	case OPT_SANDBOX:
		return sandbox(value, &c->sandbox);
	case OPT_SECCOMP:
		return seccomp_mode_parse(value, &c->seccomp);
	case OPT_IO:
		return io(value, &c->io);
	case OPT_LISTEN:
		if (strncmp(value, "unix:", 5) != 0 || !value[5]) {
			log_error("--listen '%s': must be unix:PATH", value);
			return false;
		}
		return path_once(c, value + 5);
	case OPT_SOCKET_PATH:
		c->vhost_user = true;
		return path_once(c, value);
	case OPT_DISK:
		return disk_option_add(&c->disks, value);
	case OPT_TAG:
		return tag(value, &c->tag);
	case OPT_SYSLOG:
		c->syslog = true;
		return true;
	case OPT_LOG_LEVEL:
		if (log_level_from_name(value, &c->log_level))
			return true;
		log_error("--log-level '%s': must be error, warning, info or debug", value);
		return false;
	default:
		return false;
	}
}

/* A socket that the service manager has made (sd_listen_fds(3)), or -1. */
static int activated(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t n;

	if (!pid || !fds || !parse_u64(pid, INT_MAX, &n) || n != (uint64_t)getpid() ||
	    !parse_u64(fds, INT_MAX, &n) || n == 0)
		return -1;
	if (n > 1)
		log_warning("LISTEN_FDS is %s: only the first is used", fds);
	return LISTEN_FDS_START;
}

/* Options that need or exclude each other. */
static bool check_together(struct config *c)
{
	bool shares =
	    c->helper_fd >= 0 || c->handover_fd >= 0 || c->fd >= 0 || c->listen_path || c->tag;

	if (!shares && (c->disks.count > 0 || c->control_fd >= 0 || c->control_path))
		return true;
	if (c->fd < 0 && !c->listen_path)
		c->fd = activated();
	if (c->helper_fd < 0)
		log_error("--helper-fd is missing: give the socket to virtfs-proxy-helper%s",
		          shares ? "" : ", or --control");
	else if ((c->fd >= 0) == (c->listen_path != NULL))
		log_error("one of --socket-path, --listen and --fd is needed (or LISTEN_FDS): "
		          "where to serve");
	else if (c->vhost_user && !c->tag)
		log_error("--tag is missing: a vhost-user device needs a mount tag");
	else if (c->tag && c->listen_path && !c->vhost_user)
		log_error(
		    "--tag does not go with --listen, which serves plain 9P: use --socket-path");
	else
		return true;
	return false;
}

static void print_capabilities(void)
{
	(void)printf("{\n  \"type\": \"9p\",\n  \"types\": [\"9p\", \"block\"],\n  "
	             "\"version\": \"" VIRTFS_VERSION "\",\n"
	             "  \"transports\": [\"vhost-user\", \"socket\"],\n"
	             "  \"features\": [\"control\", \"disk\", \"handover\", \"ready-fd\"]\n}\n");
}

/* With it all other options and arguments mean nothing, wrong ones too (vhost-user specification, "Backend program
 * conventions"). */
static bool wants_capabilities(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--print-capabilities") == 0)
			return true;
	return false;
}

enum config_result config_parse(int argc, char **argv, struct config *ret)
{
	const char *value;
	int option;

	*ret = (struct config){.helper_fd = -1,
	                       .handover_fd = -1,
	                       .fd = -1,
	                       .control_fd = -1,
	                       .ready_fd = -1,
	                       .most = {[QUOTA_FIDS] = P9_FIDS_USUAL,
	                                [QUOTA_XATTR_BYTES] = P9_XATTR_BYTES_USUAL,
	                                [QUOTA_OPEN_FILES] = P9_OPEN_FILES_USUAL,
	                                [QUOTA_LOCKS] = P9_LOCKS_USUAL},
	                       .max_requests = P9_REQUESTS_USUAL,
	                       .log_rate = COMPLAIN_LINES,
	                       .poll_us = LOOP_POLL_NS / 1000,
	                       .user = {.uid = USER_NOBODY, .gid = USER_NOBODY},
	                       .log_level = LOG_LEVEL_INFO};
	if (wants_capabilities(argc, argv)) {
		print_capabilities();
		return CONFIG_DONE;
	}
	while ((option = options_next(rows, ARRAY_SIZE(rows), argc, argv, &value)) != OPTIONS_END) {
		switch (option) {
		case OPT_HELP:
			print_help();
			return CONFIG_DONE;
		case OPT_VERSION:
			(void)printf("virtfs-device " VIRTFS_VERSION "\n");
			return CONFIG_DONE;
		case OPT_PRINT_CAPABILITIES:
			print_capabilities();
			return CONFIG_DONE;
		default:
			if (option == OPTIONS_BAD || !take(ret, option, value)) {
				(void)fprintf(stderr, "Try 'virtfs-device --help'.\n");
				return CONFIG_BAD;
			}
		}
	}
	if (optind < argc)
		log_error("'%s': there are no arguments, only options; is a dash missing?",
		          argv[optind]);
	else if (check_together(ret))
		return CONFIG_RUN;
	return CONFIG_BAD;
}
