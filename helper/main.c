/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c: virtfs-proxy-helper from its command line to its last request.
 *
 * The order is the safety: the export is opened before anything else and never looked up again;
 * every right that serving does not need is gone before a peer can say a word.
 */
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/ready.h"
#include "common/usock.h"
#include "helper/config.h"
#include "helper/cred.h"
#include "helper/export.h"
#include "helper/idmap.h"
#include "helper/legacy_serve.h"
#include "helper/lockdown.h"
#include "helper/node.h"
#include "helper/nodes.h"
#include "helper/rpc_ops.h"
#include "helper/rpc_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Descriptors that requests under way and the process itself need, beside nodes: three a request at
 * the most. */
#define FILES_RESERVED (3 * RPC_CALLS_MAX + 64)

static int open_export(const struct config *c, struct export *x)
{
	int r = export_open(c->path, x);

	x->readonly = c->readonly;
	if (r == -ENOTDIR) {
		log_error("-p %s: not a directory", c->path);
	} else if (r < 0) {
		log_error("-p %s: %s", c->path, errno_name(r));
	} else if (export_is_host_root(x) && !c->whole_host) {
		log_error("-p %s: is the host's root directory: give --whole-host if all of the "
		          "host is to be shared",
		          c->path);
		r = -EPERM;
	}
	if (r == 0 && !c->readonly && export_remark(x))
		log_info("%s: %s", c->path, export_remark(x));
	return r;
}

/* The socket at -s PATH: its owner is -u and -g, its mode 0770, as the old helper made it. */
static int listen_at(const struct config *c, int *ret_listener)
{
	mode_t before = umask(007);
	int r = usock_listen(c->socket_path, SOCK_STREAM, ret_listener);

	(void)umask(before);
	if (r == 0 && lchown(c->socket_path, c->uid, c->gid) < 0) {
		r = -errno;
		(void)unlink(c->socket_path);
		log_error("-s %s: cannot give it to uid %u, gid %u: %s", c->socket_path, c->uid,
		          c->gid, errno_name(r));
		return r;
	}
	if (r == -EADDRINUSE)
		log_error("-s %s: exists already; remove it first", c->socket_path);
	else if (r < 0)
		log_error("-s %s: %s", c->socket_path, errno_name(r));
	return r;
}

/* Who is to be served: the socket's type is the dialect. */
struct endpoint {
	int sock;     /* connected, or -1 */
	int listener; /* to accept from, or -1 */
	bool native;
};

#define ENDPOINT_NONE                      \
	{                                  \
		.sock = -1, .listener = -1 \
	}

/* Gets what -f or -s stands for. */
static int open_endpoint(const struct config *c, struct endpoint *ret)
{
	int type = 0;

	if (c->socket_path)
		return listen_at(c, &ret->listener);
	if (!usock_is_connected(c->fd, &type) || (type != SOCK_STREAM && type != SOCK_SEQPACKET)) {
		log_error("-f %d: must be a connected Unix socket of type SOCK_STREAM (QEMU's "
		          "dialect) or SOCK_SEQPACKET "
		          "(virtfs-device's)",
		          c->fd);
		return -EINVAL;
	}
	/* Who made it may have left it non-blocking. */
	if (fcntl(c->fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(c->fd, F_SETFL, 0) < 0)
		return -errno;
	ret->sock = c->fd;
	ret->native = type == SOCK_SEQPACKET;
	return 0;
}

/* What the native dialect needs made before the filter forbids it. */
static int prepare_native(const struct config *c, const struct export *x)
{
	struct rlimit files;
	int r;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	if (files.rlim_cur < FILES_RESERVED + FILES_RESERVED) {
		log_error("RLIMIT_NOFILE is %llu: must be %d or more",
		          (unsigned long long)files.rlim_cur, FILES_RESERVED + FILES_RESERVED);
		return -EMFILE;
	}
	r = nodes_init(x, c->max_nodes, (uint32_t)files.rlim_cur - FILES_RESERVED);
	return r < 0 ? r : rpc_prepare();
}

/* The rest of the rights but the filter; in the process that will serve. */
static int close_jail(const struct config *c, struct export *x, bool native)
{
	bool handles = native && c->file_handles;
	int r = lockdown_jail(x, c->sandbox, handles);

	if (r == 0)
		r = export_learn(x);
	if (r == -EACCES)
		log_error(
		    "the export is procfs, sysfs or the like: files of the kernel are not shared");
	if (r == 0)
		r = lockdown_rights(x, native, handles);
	if (r == 0)
		r = cred_init();
	if (r == 0)
		node_init(x);
	if (r == 0 && native)
		r = prepare_native(c, x);
	return r;
}

static int wait_for_peer(int listener, enum seccomp_mode mode, struct ready *ready, int *ret_sock)
{
	int r = lockdown_filter(LOCKDOWN_ACCEPT, mode);

	if (r < 0)
		return r;
	ready_tell(ready);
	r = usock_accept(listener, ret_sock);
	if (r < 0)
		log_error("cannot accept: %s", errno_name(r));
	return r;
}

/* Where log lines and the word that we are ready will go, opened while that is possible. */
static int open_channels(const struct config *c, struct ready *ready, int *ret_syslog,
                         int *ret_null)
{
	int r = ready_prepare(ready, c->ready_fd);

	if (r < 0)
		log_warning("$NOTIFY_SOCKET cannot be used: %s", errno_name(r));
	if (c->syslog || !c->foreground) {
		r = log_open_syslog(ret_syslog);
		if (r < 0)
			log_warning("no system log (%s): logging to standard error", errno_name(r));
	}
	*ret_null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (*ret_null >= 0)
		return 0;
	log_error("cannot open /dev/null: %s", errno_name(errno));
	return -errno;
}

/* Numbers that are no descriptor would become one of ours. */
static int check_descriptors(const struct config *c)
{
	if (c->fd >= 0 && fcntl(c->fd, F_GETFD) < 0)
		log_error("-f %d: must be a connected Unix socket, and is no open descriptor",
		          c->fd);
	else if (c->ready_fd >= 0 && fcntl(c->ready_fd, F_GETFD) < 0)
		log_error("--ready-fd %d: is no open descriptor", c->ready_fd);
	else
		return 0;
	return -EBADF;
}

static int map_ids(const struct config *c, struct export *x)
{
	x->is_mapped = idmap_wanted(&c->ids);
	return x->is_mapped ? idmap_enter(&c->ids) : 0;
}

/* Everything up to the first request. */
static int start(const struct config *c, struct export *x, struct ready *ready,
                 struct endpoint *peer)
{
	AUTO_CLOSE int syslog_fd = -1;
	AUTO_CLOSE int null_fd = -1;
	int r = check_descriptors(c);

	if (r == 0)
		r = open_export(c, x);
	if (r == 0)
		r = map_ids(c, x);
	if (r == 0)
		r = lockdown_start(c, x);
	if (r == 0)
		r = open_endpoint(c, peer);
	if (r == 0)
		r = open_channels(c, ready, &syslog_fd, &null_fd);
	if (r == 0 && !c->foreground)
		r = lockdown_daemon(c->sandbox, &ready->parent);
	log_know_pid();
	if (r == 0)
		r = close_jail(c, x, peer->native);
	if (r < 0)
		return r;
	/* Errors so far were told to whoever started us; standard error stays if it is the only
	 * log. */
	daemon_null_stdio(null_fd, !c->foreground && syslog_fd >= 0);
	if (syslog_fd >= 0)
		log_to_syslog(fd_steal(&syslog_fd));
	return 0;
}

/*
 * A peer that does not read must not pile descriptors up: those under way in all of root's sockets
 * are counted together (unix(7), ETOOMANYREFS), so it would block other guests' helpers.
 */
static void limit_replies(int sock)
{
	if (setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)) < 0)
		log_warning("cannot limit the socket's buffer: %s", errno_name(errno));
}

static int serve(const struct config *c)
{
	struct export x = EXPORT_NONE;
	struct ready ready = READY_NONE;
	struct endpoint peer = ENDPOINT_NONE;
	int r = start(c, &x, &ready, &peer);

	if (r == 0 && peer.listener >= 0)
		r = wait_for_peer(peer.listener, c->seccomp, &ready, &peer.sock);
	if (r < 0)
		return r;
	fd_close(&peer.listener);
	if (!peer.native)
		limit_replies(peer.sock);
	r = lockdown_filter(peer.native ? LOCKDOWN_NATIVE : LOCKDOWN_SERVE, c->seccomp);
	if (r < 0)
		return r;
	ready_tell(&ready);
	log_info("serving %s%s", c->path, x.readonly ? ", read-only" : "");
	return peer.native ? rpc_serve(peer.sock, &x) : legacy_serve(peer.sock, &x);
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
