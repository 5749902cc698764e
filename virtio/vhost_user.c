/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio/vhost_user.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/usock.h"
#include "virtio/vu.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/epoll.h>

uint64_t vu_features(const struct vu_device *d)
{
	return d->info->features | VIO_FEATURE(VHU_F_LOG_ALL) |
	       VIO_FEATURE(VHU_F_PROTOCOL_FEATURES);
}

uint64_t vu_protocol_features(void)
{
	return VIO_FEATURE(VHU_P_MQ) | VIO_FEATURE(VHU_P_LOG_SHMFD) | VIO_FEATURE(VHU_P_REPLY_ACK) |
	       VIO_FEATURE(VHU_P_BACKEND_REQ) | VIO_FEATURE(VHU_P_CONFIG) |
	       VIO_FEATURE(VHU_P_RESET_DEVICE) | VIO_FEATURE(VHU_P_CONFIGURE_MEM_SLOTS) |
	       VIO_FEATURE(VHU_P_INFLIGHT_SHMFD);
}

bool vu_has_protocol(const struct vu_device *d, enum vhu_protocol_feature bit)
{
	return d->protocol & VIO_FEATURE(bit);
}

/* ---- the end of a connection ---- */

void vu_close(struct vu_device *d)
{
	if (d->state == VU_UNCONNECTED || d->state == VU_CLOSING)
		return;
	/* While it waits the socket is off the loop already. */
	if (d->state != VU_WAITING)
		loop_remove(d->loop, &d->sock);
	d->state = VU_CLOSING;
	vu_rings_stop(d);
	if (!vu_rings_stopping(d))
		loop_timer_set(d->loop, &d->go_on, 1);
}

void vu_fail(struct vu_device *d, const char *format, ...)
{
	char why[256];
	va_list args;

	if (d->state == VU_UNCONNECTED || d->state == VU_CLOSING)
		return;
	va_start(args, format);
	(void)vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	complain(&d->complaints, "the emulator's connection is closed: %s", why);
	vu_close(d);
}

void vu_check_damage(struct vu_device *d)
{
	if (d->damage == guest_memory_damage())
		return;
	d->damage = guest_memory_damage();
	if ((d->map && guest_memory_damaged(d->map)) || (d->log && shared_piece_damaged(d->log)) ||
	    (d->inflight && shared_piece_damaged(d->inflight)))
		vu_fail(d, "it has taken memory away that it had shared");
}

/* Back to how vu_new() left it. */
static void forget(struct vu_device *d)
{
	loop_timer_set(d->loop, &d->go_on, 0);
	loop_timer_set(d->loop, &d->look, 0);
	fd_close(&d->sock.fd);
	fd_close(&d->backend_req);
	fd_close(&d->out_fd);
	fdbag_close(&d->fds);
	guest_map_put(d->map);
	shared_piece_put(d->log);
	shared_piece_put(d->inflight);
	d->map = NULL;
	d->log = d->inflight = NULL;
	d->state = VU_UNCONNECTED;
	d->has_features = false;
	d->features = d->protocol = 0;
	d->have = d->out_size = d->out_sent = 0;
}

void vu_finish_close(struct vu_device *d)
{
	int r;

	vu_rings_forget(d);
	forget(d);
	d->ops->reset(d->context);
	r = acceptor_resume(&d->acceptor);
	if (r < 0)
		log_error("cannot wait for another emulator: %s", errno_name(r));
	if (d->closed)
		d->closed(d->context);
}

/* ---- the start of one ---- */

int vu_serve(struct vu_device *d, int sock)
{
	AUTO_CLOSE int fd = sock;
	int r;

	if (d->state != VU_UNCONNECTED)
		return -EBUSY;
	r = fd_nonblock(fd);
	if (r == 0)
		r = guest_map_new(&d->map);
	if (r < 0)
		return r;
	d->sock.fd = fd_steal(&fd);
	d->sock.ready = vu_sock_ready;
	r = loop_add(d->loop, &d->sock, EPOLLIN);
	if (r < 0) {
		guest_map_put(d->map);
		d->map = NULL;
		fd_close(&d->sock.fd);
		return r;
	}
	d->state = VU_READING;
	d->damage = guest_memory_damage();
	acceptor_pause(&d->acceptor);
	if (d->ops->connected)
		d->ops->connected(d->context);
	return 0;
}

static struct vu_device *of_acceptor(struct acceptor *a)
{
	return (struct vu_device *)((char *)a - offsetof(struct vu_device, acceptor));
}

static int front_end_came(struct acceptor *a, int sock)
{
	return vu_serve(of_acceptor(a), sock);
}

static void front_end_failed(struct acceptor *a, int error)
{
	complain(&of_acceptor(a)->complaints, "cannot take an emulator on: %s", errno_name(error));
}

int vu_listen(struct vu_device *d, int listener)
{
	int r = acceptor_start(&d->acceptor, d->loop, listener);

	if (r == 0 && d->state != VU_UNCONNECTED)
		acceptor_pause(&d->acceptor);
	return r;
}

bool vu_connected(const struct vu_device *d)
{
	return d->state != VU_UNCONNECTED;
}

void vu_config_changed(struct vu_device *d)
{
	uint8_t bytes[VHU_HEADER_SIZE];
	struct wr w = wr_over(bytes, sizeof(bytes));
	ssize_t n;

	if (d->backend_req < 0 || !vu_has_protocol(d, VHU_P_CONFIG))
		return;
	vhu_header_put(
	    &w, &(struct vhu_header){.request = VHU_BACKEND_CONFIG_CHANGE, .flags = VHU_VERSION});
	n = usock_send_some(d->backend_req, bytes, w.used);
	/* A full socket holds news of a change already; half a message cannot be mended. */
	if (n != (ssize_t)w.used && n != -EAGAIN) {
		complain(&d->complaints,
		         "the emulator cannot be told of a change of configuration");
		fd_close(&d->backend_req);
	}
}

/* ---- the device ---- */

int vu_new(struct loop *l, const struct vio_device_info *info, const struct vio_device_ops *ops,
           void *context, void (*closed)(void *context), struct vu_device **ret)
{
	struct vu_device *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->loop = l;
	d->info = info;
	d->ops = ops;
	d->context = context;
	d->closed = closed;
	d->acceptor =
	    (struct acceptor){.take = front_end_came, .failed = front_end_failed, .source.fd = -1};
	d->sock.fd = d->backend_req = d->out_fd = -1;
	d->go_on.due = vu_go_on;
	d->look.due = vu_look;
	r = vu_rings_new(d);
	if (r < 0) {
		vu_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

void vu_free(struct vu_device *d)
{
	if (!d)
		return;
	if (d->state == VU_READING || d->state == VU_SENDING)
		loop_remove(d->loop, &d->sock);
	acceptor_end(&d->acceptor);
	vu_rings_free(d);
	forget(d);
	free(d);
}
