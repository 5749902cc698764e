/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: virtfs-device from its command line to its last request. */
#include "common/cleanup.h"
#include "common/complain.h"
#include "common/confine.h"
#include "common/cpus.h"
#include "common/ready.h"
#include "common/usock.h"
#include "control/control.h"
#include "virtio-9p/config.h"
#include "virtio-9p/control_share.h"
#include "virtio-9p/lockdown.h"
#include "virtio-9p/share.h"
#include "virtio-blk/control_block.h"
#include "virtio/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DRAIN_LOOK_NS 1000000 /* between two looks at what is under way */

struct device {
	struct loop *loop;
	struct share *share;     /* or NULL */
	struct disk_host *disks; /* or NULL */
	struct control *control; /* or NULL */
	const struct config *config;
	int listener, control_listener; /* or -1 */
	struct ready ready;
	bool ready_told, failed;
	const char *end;           /* why the device ends, as SHUTDOWN tells it */
	struct control_call *quit; /* which is answered when all else is, or time is up */
	uint64_t drain_until_ns;
	struct loop_timer drain_timer;
	bool was_quiet;
};

static struct device device = {.listener = -1, .control_listener = -1};

static void end(struct device *d, const char *why)
{
	d->end = why;
	loop_stop(d->loop);
}

static void be_ready(struct device *d)
{
	ready_tell(&d->ready);
	d->ready_told = true;
}

/* ---- the share ---- */

static void no_helper(struct device *d)
{
	log_error("the helper has died: requests fail with EIO%s",
	          d->config->handover_fd >= 0 || d->control ? " until a new one is handed in" : "");
	control_share_event(d->control, d->share, "SHARE_HELPER_GONE");
}

static void share_left(struct device *d)
{
	struct share_info info;

	share_get_info(d->share, &info);
	if (info.tag)
		control_share_event(d->control, d->share, "SHARE_DISCONNECTED");
	/* A connected --fd: the device ends with its client. */
	if (d->listener < 0 && info.clients == 0)
		end(d, "client-closed");
}

static void share_changed(void *context, enum share_change change)
{
	struct device *d = context;

	switch (change) {
	case SHARE_READY:
		be_ready(d);
		return;
	case SHARE_FAILED:
		d->failed = true;
		end(d, "host-error");
		return;
	case SHARE_NEW_HELPER:
		log_info("a new helper is in place");
		control_share_event(d->control, d->share, "SHARE_HELPER_READY");
		return;
	case SHARE_NO_HELPER:
		no_helper(d);
		return;
	case SHARE_CONNECTED:
		control_share_event(d->control, d->share, "SHARE_CONNECTED");
		return;
	case SHARE_LEFT:
		share_left(d);
		return;
	}
}

/* ---- disks ---- */

/* Whether an emulator has a disk, or may come for one. */
static bool serves_disks(const struct device *d)
{
	struct disk_info info;

	for (struct disk *i = d->disks ? disk_next(d->disks, NULL) : NULL; i;
	     i = disk_next(d->disks, i)) {
		disk_get_info(i, &info);
		if (info.listens || info.connected)
			return true;
	}
	return false;
}

/* Disks of a connected socket end with it, and the device with the last. */
static void disk_changed(void *context, struct disk *disk, bool connected)
{
	struct device *d = context;

	if (d->control)
		control_block_event(d->control, disk,
		                    connected ? "DISK_CONNECTED" : "DISK_DISCONNECTED");
	if (!connected && !d->share && !d->control && !serves_disks(d))
		end(d, "client-closed");
}

static void disk_failed(void *context, struct disk *disk, const struct disk_error *e)
{
	const struct device *d = context;

	if (d->control)
		control_block_error(d->control, disk, e);
}

/* ---- the control socket ---- */

static unsigned in_flight(const struct device *d)
{
	return (d->disks ? disk_host_in_flight(d->disks) : 0) +
	       (d->share ? share_in_flight(d->share) : 0);
}

static void answer_quit(const struct device *d, struct control_call *call)
{
	unsigned left = in_flight(d);

	control_return(
	    call, json_pack("{s:b, s:I}", "drained", left == 0, "in-flight", (json_int_t)left));
}

/* What has ended is told to drivers and clients in the loop's next turn: it ends in the one after that. */
static void drain(struct loop_timer *t)
{
	struct device *d = (struct device *)((char *)t - offsetof(struct device, drain_timer));
	bool quiet = in_flight(d) == 0;

	if ((quiet && d->was_quiet) || loop_now() >= d->drain_until_ns) {
		answer_quit(d, d->quit);
		end(d, "host-qmp-quit");
		return;
	}
	d->was_quiet = quiet;
	loop_timer_set(d->loop, t, loop_now() + DRAIN_LOOK_NS);
}

static void quit(void *context, struct control_call *call, unsigned wait_ms)
{
	struct device *d = context;
	uint64_t until = loop_now() + wait_ms * 1000000ull;

	/* Another may be in more of a hurry, but gives nobody more time. */
	if (d->quit) {
		if (until < d->drain_until_ns)
			d->drain_until_ns = until;
		answer_quit(d, call);
		return;
	}
	if (d->disks)
		disk_host_drain(d->disks);
	if (d->share)
		share_drain(d->share);
	d->quit = call;
	d->drain_until_ns = until;
	d->drain_timer.due = drain;
	loop_timer_set(d->loop, &d->drain_timer, loop_now());
}

static void deserted(void *context)
{
	struct device *d = context;

	log_info("the control socket is closed");
	if (!d->share && !serves_disks(d))
		end(d, "control-closed");
}

static int start_control(struct device *d, const struct config *c)
{
	static struct control_host host = {.quit = quit, .deserted = deserted};
	int r, type;

	host.uid = c->control_user.uid;
	host.context = d;
	r = control_new(d->loop, &host, &d->control);
	if (r == 0 && d->share)
		r = control_share_add(d->control, d->share);
	if (r == 0 && d->disks)
		r = control_block_add(d->control, d->disks);
	if (r < 0)
		return r;
	if (d->control_listener >= 0)
		return control_listen(d->control, d->control_listener);
	return usock_is_listening(c->control_fd, &type) ? control_listen(d->control, c->control_fd)
	                                                : control_serve(d->control, c->control_fd);
}

/* As QMP has it. */
static void tell_end(const struct device *d)
{
	control_event(
	    d->control, "SHUTDOWN",
	    json_pack("{s:b, s:s}", "guest", 0, "reason", d->end ? d->end : "host-error"));
}

/* ---- start ---- */

static void stop(int signal_number UNUSED)
{
	/* Nothing needs to be put in order: what is to be safe is safe when its request is answered. */
	_exit(EXIT_SUCCESS);
}

/* may_listen: connected or listening, else connected alone. */
static bool is_socket(const char *option, int fd, int wanted, bool may_listen)
{
	int type = 0;

	if ((usock_is_connected(fd, &type) || (may_listen && usock_is_listening(fd, &type))) &&
	    type == wanted)
		return true;
	log_error("--%s %d: must be a %sUnix socket of type %s%s", option, fd,
	          may_listen ? "" : "connected ",
	          wanted == SOCK_STREAM ? "SOCK_STREAM" : "SOCK_SEQPACKET",
	          may_listen ? ", connected or listening" : "");
	return false;
}

static int check_sockets(const struct config *c)
{
	if ((c->helper_fd >= 0 && !is_socket("helper-fd", c->helper_fd, SOCK_SEQPACKET, false)) ||
	    (c->handover_fd >= 0 &&
	     !is_socket("handover-fd", c->handover_fd, SOCK_SEQPACKET, false)) ||
	    (c->fd >= 0 && !is_socket("fd", c->fd, SOCK_STREAM, true)) ||
	    (c->control_fd >= 0 && !is_socket("control fd", c->control_fd, SOCK_SEQPACKET, true)))
		return -EINVAL;
	return 0;
}

/* To that user: what was just made there, and nothing that was put in its place. */
static int give_socket(const char *path, uid_t uid, gid_t gid)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
		return -ESTALE;
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* A socket that is uid's and gid's. */
static int listen_at(const char *path, int type, uid_t uid, gid_t gid, int *ret_listener)
{
	mode_t before = umask(077);
	int r = usock_listen(path, type, ret_listener);

	(void)umask(before);
	if (r == 0 && uid != geteuid())
		r = give_socket(path, uid, gid);
	if (r == -EADDRINUSE)
		log_error("%s: exists already; remove it first", path);
	else if (r < 0)
		log_error("cannot listen at %s: %s", path, errno_name(r));
	return r;
}

static int make_sockets(struct device *d, const struct config *c)
{
	int r = 0, type;

	if (c->listen_path)
		r = listen_at(c->listen_path, SOCK_STREAM, c->has_user ? c->user.uid : geteuid(),
		              c->user.gid, &d->listener);
	else if (c->fd >= 0 && usock_is_listening(c->fd, &type))
		d->listener = c->fd;
	if (r == 0 && c->control_path)
		r = listen_at(c->control_path, SOCK_SEQPACKET,
		              c->has_control_user ? c->control_user.uid : geteuid(),
		              c->control_user.gid, &d->control_listener);
	return r;
}

static int new_disk_host(struct device *d, enum config_io io)
{
	int r = disk_host_new(d->loop, io == IO_THREADS, &d->disks);

	if (r < 0 && io == IO_AUTO) {
		log_warning("no io_uring (%s): threads do the disks' work, which takes longer",
		            errno_name(r));
		r = disk_host_new(d->loop, true, &d->disks);
	}
	if (r < 0)
		log_error("cannot serve disks%s: %s",
		          io == IO_URING ? " with the io_uring of --io" : "", errno_name(r));
	return r;
}

static int start_disks(struct device *d, struct config *c)
{
	int r = new_disk_host(d, c->io);

	if (r == 0) {
		disk_host_watch(d->disks, disk_changed, d);
		disk_host_watch_errors(d->disks, disk_failed, d);
	}
	for (size_t i = 0; r == 0 && i < c->disks.count; i++) {
		struct disk_option *o = &c->disks.disk[i];

		if (o->socket_path)
			r = listen_at(o->socket_path, SOCK_STREAM,
			              c->has_user ? c->user.uid : geteuid(), c->user.gid,
			              &o->vhost_user_fd);
	}
	return r < 0 ? r : disk_options_attach(&c->disks, d->disks);
}

/* What takes a right that the device will not have. */
static int start(struct device *d, struct config *c)
{
	bool controlled = c->control_fd >= 0 || c->control_path;
	static struct share_host host = {.changed = share_changed};
	int r = loop_new(&d->loop);

	if (r < 0)
		return r;
	cpus_init();
	loop_poll_for(d->loop, (uint64_t)c->poll_us * 1000);
	complain_rate(c->log_rate);
	host.context = d;
	if (c->disks.count > 0 || controlled)
		r = start_disks(d, c);
	if (r == 0 && c->helper_fd >= 0)
		r = share_new(d->loop, c, d->listener, &host, &d->share);
	if (r == 0 && controlled) {
		r = start_control(d, c);
		if (r < 0)
			log_error("cannot start the control socket: %s", errno_name(r));
	}
	return r;
}

static enum lockdown_threads who_has_threads(const struct device *d)
{
	if (d->disks && disk_host_has_threads(d->disks))
		return LOCKDOWN_DISK_THREADS;
	return d->share && share_has_threads(d->share) ? LOCKDOWN_SHARE_THREADS
	                                               : LOCKDOWN_NO_THREADS;
}

/* From here on there are no rights, and then no calls that need any. */
static int lock_down(struct device *d)
{
	bool sees_ids = true;
	int r = lockdown_jail(d->config, &sees_ids);

	if (r == 0)
		r = lockdown_rights();
	if (r == 0 && d->disks) {
		r = disk_host_begin(d->disks);
		if (r < 0)
			log_error("cannot start threads: %s", errno_name(r));
	}
	if (r == 0 && d->share)
		r = share_start(d->share, sees_ids);
	return r < 0 ? r : lockdown_filter(d->config, who_has_threads(d));
}

static int serve(struct config *c)
{
	int syslog_fd = -1;
	int r = check_sockets(c);

	device.config = c;
	if (r == 0)
		r = lockdown_start(c);
	if (r == 0)
		r = make_sockets(&device, c);
	if (r == 0)
		r = guest_memory_guard();
	if (r < 0)
		return r;
	if (ready_prepare(&device.ready, c->ready_fd) < 0)
		log_warning("$NOTIFY_SOCKET cannot be used");
	if (c->syslog && log_open_syslog(&syslog_fd) < 0)
		log_warning("no system log: logging to standard error");
	r = start(&device, c);
	if (r < 0)
		return r;
	if (signal(SIGTERM, stop) == SIG_ERR || signal(SIGINT, stop) == SIG_ERR)
		return -errno;
	r = lock_down(&device);
	if (r < 0)
		return r;
	if (syslog_fd >= 0)
		log_to_syslog(syslog_fd);
	if (!device.share)
		be_ready(&device);
	r = loop_run(device.loop);
	if (device.control)
		tell_end(&device);
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
