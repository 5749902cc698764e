/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: virtfs-device from its command line to its last request. */
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/ready.h"
#include "common/usock.h"
#include "virtio-9p/b_proxy.h"
#include "virtio-9p/config.h"
#include "virtio-9p/lockdown.h"
#include "virtio-9p/t_socket.h"
#include "virtio-9p/t_virtio.h"
#include "virtio/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define RING_ENTRIES 256

struct device {
	struct loop *loop;
	struct ring *ring;
	struct backend *helper;
	struct p9_server server;
	struct t_socket *clients;
	struct t_virtio *guest;
	struct disk_host *disks;
	const struct config *config;
	int listener;
	struct loop_source handover;
	struct ready ready;
	bool serves_one; /* a connected --fd: ends with its client */
	bool ready_told, failed;
};

static struct device device;

/* ---- the helper ---- */

static void helper_gone(void *context)
{
	struct device *d = context;

	if (d->ready_told) {
		log_error("the helper has died: requests fail with EIO%s",
		          d->handover.fd >= 0 ? " until a new one is handed in" : "");
		return;
	}
	d->failed = true;
	loop_stop(d->loop);
}

static void handover_ready(struct loop_source *s, uint32_t events UNUSED)
{
	AUTO_FDBAG struct fdbag bag = FDBAG_EMPTY;
	struct backend *next = NULL, *old = device.helper;
	char byte;
	ssize_t n = usock_recv(s->fd, &byte, 1, &bag);
	int sock = fdbag_take(&bag, 0), type = 0, r = -EINVAL;

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		loop_remove(device.loop, s);
		fd_close(&s->fd);
		fd_close(&sock);
		return;
	}
	if (sock >= 0 && usock_is_connected(sock, &type) && type == SOCK_SEQPACKET)
		r = b_proxy_new(device.loop, fd_steal(&sock), helper_gone, &device, &next);
	fd_close(&sock);
	if (r == 0)
		r = p9_server_new_helper(&device.server, next);
	if (r < 0) {
		log_error("a helper was handed in that cannot be used: %s", errno_name(r));
		return;
	}
	device.helper = next;
	b_proxy_free(old);
}

/* ---- clients ---- */

static void client_closed(void *context, unsigned left)
{
	struct device *d = context;

	if (d->serves_one && left == 0)
		loop_stop(d->loop);
}

static void front_end_closed(void *context)
{
	client_closed(context, 0);
}

static int open_clients(struct device *d)
{
	int r = t_socket_new(d->loop, &d->server, client_closed, d, &d->clients);

	if (r < 0)
		return r;
	return d->serves_one ? t_socket_serve(d->clients, d->config->fd)
	                     : t_socket_listen(d->clients, d->listener);
}

static int open_device(struct device *d)
{
	int r = t_virtio_new(d->loop, &d->server, d->config->tag, front_end_closed, d, &d->guest);

	if (r < 0)
		return r;
	return d->serves_one ? t_virtio_serve(d->guest, d->config->fd)
	                     : t_virtio_listen(d->guest, d->listener);
}

/* The helper has said hello, or cannot: the first time the device is ready by that. */
static void helper_ready(void *context)
{
	struct device *d = context;

	if (!d->server.ready) {
		d->failed = !d->ready_told;
		if (d->failed)
			loop_stop(d->loop);
		return;
	}
	if (d->ready_told) {
		log_info("a new helper is in place");
		return;
	}
	/* Who connected before now waits in the socket: there was nothing to answer with. */
	if ((d->config->tag ? open_device(d) : open_clients(d)) < 0) {
		d->failed = true;
		loop_stop(d->loop);
		return;
	}
	ready_tell(&d->ready);
	d->ready_told = true;
}

/* ---- start ---- */

static void stop(int signal_number UNUSED)
{
	/* Nothing needs to be put in order: what is to be safe is safe when its request is answered. */
	_exit(EXIT_SUCCESS);
}

static int check_sockets(const struct config *c)
{
	int type = 0;

	if (c->helper_fd < 0)
		return 0;
	if (!usock_is_connected(c->helper_fd, &type) || type != SOCK_SEQPACKET) {
		log_error("--helper-fd %d: must be a connected Unix socket of type SOCK_SEQPACKET",
		          c->helper_fd);
		return -EINVAL;
	}
	if (c->handover_fd >= 0 &&
	    (!usock_is_connected(c->handover_fd, &type) || type != SOCK_SEQPACKET)) {
		log_error(
		    "--handover-fd %d: must be a connected Unix socket of type SOCK_SEQPACKET",
		    c->handover_fd);
		return -EINVAL;
	}
	if (c->fd >= 0 &&
	    ((!usock_is_connected(c->fd, &type) && !usock_is_listening(c->fd, &type)) ||
	     type != SOCK_STREAM)) {
		log_error(
		    "--fd %d: must be a Unix socket of type SOCK_STREAM, connected or listening",
		    c->fd);
		return -EINVAL;
	}
	return 0;
}

/* To the user of --user: what was just made there, and nothing that was put in its place. */
static int give_socket(const char *path, const struct user *user)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
		return -ESTALE;
	return fchownat(fd, "", user->uid, user->gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int listen_at(const struct config *c, const char *path, int *ret_listener)
{
	mode_t before = umask(077);
	int r = usock_listen(path, ret_listener);

	(void)umask(before);
	if (r == 0 && c->has_user && c->user.uid != geteuid())
		r = give_socket(path, &c->user);
	if (r == -EADDRINUSE)
		log_error("%s: exists already; remove it first", path);
	else if (r < 0)
		log_error("cannot listen at %s: %s", path, errno_name(r));
	return r;
}

static int start_ring(struct device *d)
{
	int r;

	if (d->config->io == IO_THREADS)
		return 0;
	r = ring_new(d->loop, RING_ENTRIES, &d->ring);
	if (r == 0)
		return 0;
	d->ring = NULL;
	if (d->config->io == IO_URING) {
		log_error("cannot have the io_uring of --io: %s", errno_name(r));
		return r;
	}
	log_warning("no io_uring (%s): threads do its work, which takes longer", errno_name(r));
	return 0;
}

/* Disks of a connected socket end with it, and the device with the last. */
static void disk_left(void *context, struct disk *disk UNUSED)
{
	struct device *d = context;
	struct disk_info info;

	if (d->config->helper_fd >= 0)
		return;
	for (struct disk *i = disk_next(d->disks, NULL); i; i = disk_next(d->disks, i)) {
		disk_get_info(i, &info);
		if (info.listens || info.connected)
			return;
	}
	loop_stop(d->loop);
}

static int start_disks(struct device *d, struct config *c)
{
	int r = disk_host_new(d->loop, &d->disks);

	if (r < 0)
		log_error("cannot serve disks without io_uring: %s", errno_name(r));
	for (size_t i = 0; r == 0 && i < c->disks.count; i++) {
		struct disk_option *o = &c->disks.disk[i];

		if (o->socket_path)
			r = listen_at(c, o->socket_path, &o->vhost_user_fd);
	}
	return r < 0 ? r : disk_options_attach(&c->disks, d->disks, disk_left, d);
}

/* What takes a right that the device will not have. */
static int start(struct device *d, struct config *c, int listener)
{
	int r = loop_new(&d->loop);

	d->config = c;
	d->listener = listener;
	d->serves_one = listener < 0;
	if (r < 0)
		return r;
	loop_poll_for(d->loop, (uint64_t)c->poll_us * 1000);
	if (c->disks.count > 0)
		r = start_disks(d, c);
	return r < 0 || c->helper_fd < 0 ? r : start_ring(d);
}

/* Threads have the rights that there are when they are made: so they are made when there are none. */
static int start_threads(struct device *d)
{
	int r = ring_new_threads(d->loop, &d->ring);

	if (r < 0)
		log_error("cannot start threads: %s", errno_name(r));
	return r;
}

static int start_server(struct device *d, bool sees_ids)
{
	int r = b_proxy_new(d->loop, d->config->helper_fd, helper_gone, d, &d->helper);

	d->handover.fd = d->config->handover_fd;
	d->handover.ready = handover_ready;
	if (r == 0 && d->handover.fd >= 0) {
		r = fd_nonblock(d->handover.fd);
		if (r == 0)
			r = loop_add(d->loop, &d->handover, EPOLLIN);
	}
	if (r == 0)
		r = p9_server_init(&d->server, d->loop, d->ring, d->helper, helper_ready, d);
	d->server.fids_max = d->config->max_fids;
	d->server.sees_ids = sees_ids;
	if (r < 0)
		log_error("cannot start: %s", errno_name(r));
	return r;
}

/* From here on there are no rights, and then no calls that need any. */
static int lock_down(struct device *d)
{
	bool sees_ids = true, threads;
	int r = lockdown_jail(d->config, &sees_ids);

	if (r == 0)
		r = lockdown_rights();
	threads = r == 0 && d->config->helper_fd >= 0 && !d->ring;
	if (threads)
		r = start_threads(d);
	if (r == 0 && d->config->helper_fd >= 0)
		r = start_server(d, sees_ids);
	return r < 0 ? r : lockdown_filter(threads);
}

static int serve(struct config *c)
{
	int listener = -1, syslog_fd = -1;
	int r = check_sockets(c), type;

	if (r == 0)
		r = lockdown_start(c);
	if (r == 0 && c->listen_path)
		r = listen_at(c, c->listen_path, &listener);
	else if (r == 0 && c->fd >= 0 && usock_is_listening(c->fd, &type))
		listener = c->fd;
	if (r == 0 && (c->tag || c->disks.count > 0))
		r = guest_memory_guard();
	if (r < 0)
		return r;
	if (ready_prepare(&device.ready, c->ready_fd) < 0)
		log_warning("$NOTIFY_SOCKET cannot be used");
	if (c->syslog && log_open_syslog(&syslog_fd) < 0)
		log_warning("no system log: logging to standard error");
	r = start(&device, c, listener);
	if (r < 0)
		return r;
	if (signal(SIGTERM, stop) == SIG_ERR || signal(SIGINT, stop) == SIG_ERR)
		return -errno;
	r = lock_down(&device);
	if (r < 0)
		return r;
	if (syslog_fd >= 0)
		log_to_syslog(syslog_fd);
	if (c->helper_fd < 0)
		ready_tell(&device.ready);
	r = loop_run(device.loop);
	if (r == 0 && device.failed) {
		log_error("the helper does not answer");
		r = -EIO;
	}
	return r;
}

int main(int argc, char **argv)
{
	static struct config c; /* the device keeps it */

	log_init("virtfs-device", LOG_LEVEL_INFO);
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
	log_init("virtfs-device", c.log_level);
	return serve(&c) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
