/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c: virtfs-proxy-helper from its command line to its last request.
 *
 * The order is the safety: the export is opened before anything else and never looked up again;
 * every right that serving does not need is gone before a peer can say a word.
 */
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"
#include "common/ready.h"
#include "common/usock.h"
#include "helper/config.h"
#include "helper/cred.h"
#include "helper/daemon.h"
#include "helper/export.h"
#include "helper/legacy_serve.h"
#include "helper/lockdown.h"
#include "helper/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int open_export(const struct config *c, struct export *x)
{
	int r = export_open(c->path, x);

	x->readonly = c->readonly;
	if (r == -ENOTDIR)
		log_error("-p %s: not a directory (of a symbolic link, give the target instead)",
		          c->path);
	else if (r < 0)
		log_error("-p %s: %s", c->path, errno_name(r));
	return r;
}

/* The socket at -s PATH: its owner is -u and -g, its mode 0770, as the old helper made it. */
static int listen_at(const struct config *c, int *ret_listener)
{
	mode_t before = umask(007);
	int r = usock_listen(c->socket_path, ret_listener);

	(void)umask(before);
	if (r == 0 && lchown(c->socket_path, c->uid, c->gid) < 0)
		r = -errno;
	if (r == -EADDRINUSE)
		log_error("-s %s: exists already; remove it first", c->socket_path);
	else if (r < 0)
		log_error("-s %s: %s", c->socket_path, errno_name(r));
	return r;
}

/* Gets what -f or -s stands for: *ret_sock a connected socket, or *ret_listener one to accept from.
 */
static int open_endpoint(const struct config *c, int *ret_sock, int *ret_listener)
{
	int type = 0;

	if (c->socket_path)
		return listen_at(c, ret_listener);
	if (!usock_is_connected(c->fd, &type) || type != SOCK_STREAM) {
		log_error("-f %d: must be a connected Unix socket of type SOCK_STREAM", c->fd);
		return -EINVAL;
	}
	if (fcntl(c->fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	*ret_sock = c->fd;
	return 0;
}

/* The rest of the rights but the filter; in the process that will serve. */
static int close_jail(struct export *x)
{
	int r = lockdown_jail(x);

	if (r == 0)
		r = export_learn(x);
	if (r == 0)
		r = lockdown_rights();
	if (r == 0)
		r = cred_init();
	if (r == 0)
		node_init(x);
	return r;
}

static int wait_for_peer(int listener, struct ready *ready, int *ret_sock)
{
	int r = lockdown_filter(LOCKDOWN_ACCEPT);

	if (r < 0)
		return r;
	ready_tell(ready);
	r = usock_accept(listener, ret_sock);
	if (r < 0)
		log_error("cannot accept: %s", errno_name(r));
	return r;
}

/* Everything up to the first request; what a peer may be served with is in *x, *ret_sock or
 * *ret_listener then. */
static int start(const struct config *c, struct export *x, struct ready *ready, int *ret_sock,
                 int *ret_listener)
{
	AUTO_CLOSE int syslog_fd = -1;
	AUTO_CLOSE int null_fd = -1;
	int r = open_export(c, x);

	if (r == 0)
		r = lockdown_start(c, x);
	if (r == 0)
		r = open_endpoint(c, ret_sock, ret_listener);
	if (r < 0)
		return r;
	r = ready_prepare(ready, c->ready_fd);
	if (r < 0)
		log_warning("$NOTIFY_SOCKET cannot be used: %s", errno_name(r));
	if (c->syslog || !c->foreground) {
		r = log_open_syslog(&syslog_fd);
		if (r < 0)
			log_warning("no system log (%s): logging to standard error", errno_name(r));
	}
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0) {
		log_error("cannot open /dev/null: %s", errno_name(errno));
		return -errno;
	}
	r = c->foreground ? 0 : daemon_fork(&ready->parent);
	if (r == 0)
		r = close_jail(x);
	if (r < 0)
		return r;
	/* Errors so far were told to whoever started us; standard error stays if it is the only
	 * log. */
	daemon_null_stdio(null_fd, !c->foreground && syslog_fd >= 0);
	if (syslog_fd >= 0)
		log_to_syslog(fd_steal(&syslog_fd));
	return 0;
}

static int serve(const struct config *c)
{
	AUTO_CLOSE int sock = -1;
	AUTO_CLOSE int listener = -1;
	struct export x = EXPORT_NONE;
	struct ready ready = READY_NONE;
	int r = start(c, &x, &ready, &sock, &listener);

	if (r == 0 && listener >= 0)
		r = wait_for_peer(listener, &ready, &sock);
	if (r < 0)
		return r;
	fd_close(&listener);
	r = lockdown_filter(LOCKDOWN_SERVE);
	if (r < 0)
		return r;
	ready_tell(&ready);
	log_info("serving %s%s", c->path, x.readonly ? ", read-only" : "");
	return legacy_serve(sock, &x);
}

int main(int argc, char **argv)
{
	struct config c;

	log_init("virtfs-proxy-helper", LOG_LEVEL_INFO);
	if (confine_fill_stdio() < 0)
		return EXIT_FAILURE;
	switch (config_parse(argc, argv, &c)) {
	case CONFIG_DONE:
		return EXIT_SUCCESS;
	case CONFIG_BAD:
		return EXIT_FAILURE;
	case CONFIG_RUN:
		break;
	}
	log_init("virtfs-proxy-helper", c.log_level);
	return serve(&c) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
