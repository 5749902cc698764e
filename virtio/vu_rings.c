/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vu_rings.c: which rings run: started when all that they need is told, stopped with the device's
 * consent. */
#include "common/cleanup.h"
#include "common/log.h"
#include "virtio/inflight.h"
#include "virtio/vu.h"

#include <errno.h>
#include <sys/epoll.h>

#define LOOK_NS 1000000u /* how often at rings without a kick */

static void on_stopped(struct vq *q, void *context);

int vu_rings_new(struct vu_device *d)
{
	d->rings = calloc(d->info->queues, sizeof(*d->rings));
	if (!d->rings)
		return -ENOMEM;
	for (unsigned i = 0; i < d->info->queues; i++) {
		int r = vq_new(i, on_stopped, &d->rings[i], &d->rings[i].q);

		if (r < 0)
			return r;
		d->rings[i].device = d;
		d->rings[i].kick.fd = -1;
	}
	return 0;
}

void vu_rings_free(struct vu_device *d)
{
	for (unsigned i = 0; d->rings && i < d->info->queues; i++) {
		vu_ring_drop_kick(&d->rings[i]);
		vq_free(d->rings[i].q);
	}
	free(d->rings);
}

void vu_rings_forget(struct vu_device *d)
{
	for (unsigned i = 0; i < d->info->queues; i++) {
		struct vu_ring *r = &d->rings[i];

		vu_ring_drop_kick(r);
		vq_set_call(r->q, -1);
		vq_set_error(r->q, -1);
		vq_set_log(r->q, NULL, false, 0);
		*r = (struct vu_ring){.device = d, .q = r->q, .kick.fd = -1};
	}
}

/* ---- kicks ---- */

static void kick(struct vu_ring *r)
{
	struct vu_device *d = r->device;

	d->ops->kick(d->context, r->q);
	vu_check_damage(d);
}

static void kick_ready(struct loop_source *s, uint32_t events UNUSED)
{
	struct vu_ring *r = (struct vu_ring *)((char *)s - offsetof(struct vu_ring, kick));
	uint64_t count;
	ssize_t n = read(s->fd, &count, sizeof(count));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		/* It would be ready for ever. */
		complain(&r->device->complaints, "queue %u: its kick's descriptor is at its end",
		         vq_index(r->q));
		loop_remove(r->device->loop, s);
		fd_close(&s->fd);
		return;
	}
	kick(r);
}

void vu_look(struct loop_timer *t)
{
	struct vu_device *d = (struct vu_device *)((char *)t - offsetof(struct vu_device, look));
	bool again = false;

	for (unsigned i = 0; i < d->info->queues; i++) {
		struct vu_ring *r = &d->rings[i];

		if (r->state != VU_RING_RUNNING || r->kick.fd >= 0)
			continue;
		again = true;
		if (vq_pending(r->q))
			kick(r);
	}
	if (again)
		loop_timer_set(d->loop, &d->look, loop_now() + LOOK_NS);
}

/* Starts to wait for the kicks of a ring that runs. */
static int listen_to_kicks(struct vu_ring *r)
{
	struct vu_device *d = r->device;

	if (r->kick.fd >= 0) {
		r->kick.ready = kick_ready;
		return loop_add(d->loop, &r->kick, EPOLLIN);
	}
	loop_timer_set(d->loop, &d->look, loop_now() + LOOK_NS);
	return 0;
}

void vu_ring_drop_kick(struct vu_ring *r)
{
	if (r->kick.fd >= 0 && r->state == VU_RING_RUNNING)
		loop_remove(r->device->loop, &r->kick);
	fd_close(&r->kick.fd);
	r->has_kick = false;
}

int vu_ring_set_kick(struct vu_ring *r, int fd)
{
	int error = 0;

	vu_ring_drop_kick(r);
	r->kick.fd = fd;
	if (r->state == VU_RING_RUNNING)
		error = listen_to_kicks(r);
	if (error < 0)
		fd_close(&r->kick.fd);
	r->has_kick = error == 0;
	/* What came before it was listened to was perhaps told by the old one. */
	if (error == 0 && r->state == VU_RING_RUNNING)
		kick(r);
	return error;
}

/* ---- stopping ---- */

static void on_stopped(struct vq *q, void *context)
{
	struct vu_ring *r = context;
	struct vu_device *d = r->device;

	BUG_ON(r->state != VU_RING_STOPPING);
	r->base = vq_stop(q);
	r->state = VU_RING_STOPPED;
	/* Not from here: the device is in the middle of something. */
	if ((d->state == VU_WAITING || d->state == VU_CLOSING) && !vu_rings_stopping(d))
		loop_timer_set(d->loop, &d->go_on, 1);
}

void vu_ring_stop(struct vu_ring *r)
{
	struct vu_device *d = r->device;

	if (r->state != VU_RING_RUNNING)
		return;
	if (r->kick.fd >= 0)
		loop_remove(d->loop, &r->kick);
	r->state = VU_RING_STOPPING;
	vq_stopping(r->q);
	d->ops->stop(d->context, r->q);
}

void vu_rings_stop(struct vu_device *d)
{
	for (unsigned i = 0; i < d->info->queues; i++)
		vu_ring_stop(&d->rings[i]);
}

bool vu_rings_stopping(const struct vu_device *d)
{
	for (unsigned i = 0; i < d->info->queues; i++) {
		if (d->rings[i].state == VU_RING_STOPPING)
			return true;
	}
	return false;
}

/* ---- starting ---- */

static void set_log(struct vu_ring *r)
{
	const struct vu_device *d = r->device;
	bool on = d->features & VIO_FEATURE(VHU_F_LOG_ALL);

	vq_set_log(r->q, on ? d->log : NULL, r->addr.flags & VHU_VRING_LOG, r->addr.log);
}

void vu_rings_set_log(struct vu_device *d)
{
	for (unsigned i = 0; i < d->info->queues; i++)
		set_log(&d->rings[i]);
}

/* Without VHOST_USER_F_PROTOCOL_FEATURES rings need not be enabled. */
static bool is_enabled(const struct vu_ring *r)
{
	if (r->has_enable)
		return r->enabled;
	return !(r->device->features & VIO_FEATURE(VHU_F_PROTOCOL_FEATURES));
}

static bool can_run(const struct vu_ring *r)
{
	const struct vu_device *d = r->device;

	/* The device may have ended the connection while another ring was started. */
	if (d->state == VU_CLOSING)
		return false;
	return r->state == VU_RING_STOPPED && !r->failed && d->has_features && is_enabled(r) &&
	       r->num > 0 && r->has_addr && r->has_kick && guest_map_count(d->map) > 0;
}

/* Finds the part of the inflight area that is this ring's, if there is one. Return: 0, or -EINVAL for an area that is too small. */
static int find_inflight(const struct vu_ring *r, struct vq_setup *s)
{
	const struct vu_device *d = r->device;
	unsigned index = vq_index(r->q), size = d->inflight_queue_size;

	if (!d->inflight || index >= d->inflight_queues)
		return 0;
	if (r->num > size)
		return -EINVAL;
	if (d->features & VIO_FEATURE(VIO_F_RING_PACKED))
		s->inflight_packed = inflight_packed_of(d->inflight, index, size);
	else
		s->inflight = inflight_ring_of(d->inflight, index, size);
	if (!s->inflight && !s->inflight_packed)
		return -EINVAL;
	/* What was under way in another ring is nothing to a new one. */
	if (r->fresh && s->inflight_packed)
		inflight_packed_forget(s->inflight_packed);
	else if (r->fresh)
		inflight_forget(s->inflight);
	return 0;
}

static int start(struct vu_ring *r)
{
	struct vu_device *d = r->device;
	struct vq_setup s = {.size = r->num,
	                     .features = d->features,
	                     .desc = r->addr.desc,
	                     .avail = r->addr.avail,
	                     .used = r->addr.used,
	                     .base = r->base,
	                     .map = d->map};
	int error;

	error = find_inflight(r, &s);
	if (error == 0)
		error = vq_start(r->q, &s);
	if (error < 0)
		return error;
	error = listen_to_kicks(r);
	if (error < 0) {
		(void)vq_stop(r->q);
		return error;
	}
	set_log(r);
	r->state = VU_RING_RUNNING;
	r->ran = true;
	r->fresh = false;
	d->ops->start(d->context, r->q, d->features & d->info->features);
	/* The descriptor may be another than what told of the last requests and replies. */
	vq_interrupt(r->q);
	kick(r);
	return 0;
}

int vu_rings_start(struct vu_device *d)
{
	int last = 0;

	for (unsigned i = 0; i < d->info->queues; i++) {
		int error = can_run(&d->rings[i]) ? start(&d->rings[i]) : 0;

		if (error < 0) {
			d->rings[i].failed = true;
			complain(&d->complaints, "queue %u cannot be started: %s", i,
			         errno_name(error));
			last = error;
		}
	}
	return last;
}

void vu_rings_renew(struct vu_device *d)
{
	for (unsigned i = 0; i < d->info->queues; i++)
		d->rings[i].fresh = d->rings[i].ran;
}

void vu_rings_retry(struct vu_device *d)
{
	for (unsigned i = 0; i < d->info->queues; i++)
		d->rings[i].failed = false;
}
