/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vu_stream.c: from the bytes of the socket to messages, and their replies back.
 *
 * One message at a time: it is received as it comes, decoded, waits until the rings that it changes
 * have stopped, takes effect, and its reply is gone before the next is looked at.
 */
#include "common/cleanup.h"
#include "common/log.h"
#include "common/usock.h"
#include "virtio/vu.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

/* ---- the table's lines ---- */

static const char *name_of(const struct vu_device *d)
{
	return d->msg->name;
}

union vhu_reply {
#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep) struct vhu_##name##_rep name;
#include "wire/vhost_user.def"
#undef MSG
#undef F
};

/* Runs the message and puts its reply's fields. */
#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep)                   \
	static int run_##name(struct vu_device *d, struct wr *w)    \
	{                                                           \
		union vhu_reply a = {0};                            \
		int r = vu_on_##name(d, &d->request.name, &a.name); \
                                                                    \
		if (r == 0 && ((policy)&VHU_REPLIES))               \
			BUG_ON(!vhu_##name##_rep_put(w, &a.name));  \
		return r;                                           \
	}
#include "wire/vhost_user.def"
#undef MSG
#define MSG(number, NAME, name, policy, req, rep) [number] = run_##name,
static int (*const runs[])(struct vu_device *d, struct wr *w) = {
#include "wire/vhost_user.def"
};
#undef MSG
#undef F

/* ---- replies ---- */

/* Sends what is left of the reply. Return: whether it is gone. */
static bool flush(struct vu_device *d)
{
	while (d->out_sent < d->out_size) {
		ssize_t n =
		    usock_send_some_fd(d->sock.fd, d->out + d->out_sent, d->out_size - d->out_sent,
		                       d->out_sent == 0 ? d->out_fd : -1);

		if (n == -EAGAIN) {
			d->state = VU_SENDING;
			loop_change(d->loop, &d->sock, EPOLLOUT);
			return false;
		}
		if (n < 0) {
			vu_close(d);
			return false;
		}
		d->out_sent += (size_t)n;
	}
	fd_close(&d->out_fd);
	d->out_size = d->out_sent = 0;
	d->state = VU_READING;
	loop_change(d->loop, &d->sock, EPOLLIN);
	return true;
}

/* ---- a whole message ---- */

static bool wants_ack(const struct vu_device *d)
{
	return (d->header.flags & VHU_NEED_REPLY) && vu_has_protocol(d, VHU_P_REPLY_ACK);
}

/* The rings are as the message wants them: it takes effect. The socket is on the loop. */
static void run(struct vu_device *d)
{
	struct wr w = wr_over(d->out + VHU_HEADER_SIZE, VHU_PAYLOAD_MAX);
	struct wr head = wr_over(d->out, VHU_HEADER_SIZE);
	bool replies = d->msg->policy & VHU_REPLIES;
	int r = runs[d->msg->number](d, &w), started;

	fdbag_close(&d->fds);
	vu_check_damage(d);
	if (d->state == VU_CLOSING)
		return;
	if (r < 0 && (replies || !wants_ack(d))) {
		vu_fail(d, "%s failed: %s", name_of(d), errno_name(r));
		return;
	}
	if (r < 0)
		complain(&d->complaints, "%s of the emulator is refused: %s", name_of(d),
		         errno_name(r));
	started = vu_rings_start(d);
	if (d->state == VU_CLOSING)
		return;
	if (!replies && wants_ack(d)) {
		wr_host64(&w, r < 0 || started < 0);
		replies = true;
	}
	d->have = 0;
	if (replies) {
		vhu_header_put(&head, &(struct vhu_header){.request = d->msg->number,
		                                           .flags = VHU_VERSION | VHU_REPLY,
		                                           .size = (uint32_t)w.used});
		d->out_size = VHU_HEADER_SIZE + w.used;
	}
	(void)flush(d);
}

/* Begins to stop the rings that the message changes. */
static void stop_rings(struct vu_device *d)
{
	const union vhu_request *q = &d->request;
	struct vu_ring *r = d->msg->policy & VHU_RING ? &d->rings[q->get_vring_base.index] : NULL;

	switch ((enum vhu_type)d->msg->number) {
	case VHU_SET_MEM_TABLE:
	case VHU_REM_MEM_REG:
	case VHU_RESET_DEVICE:
	case VHU_SET_INFLIGHT_FD:
		vu_rings_stop(d);
		return;
	case VHU_SET_FEATURES:
		/* Logging may be switched while they run. */
		if ((q->set_features.value ^ d->features) & ~VIO_FEATURE(VHU_F_LOG_ALL))
			vu_rings_stop(d);
		return;
	case VHU_SET_VRING_NUM:
	case VHU_SET_VRING_BASE:
	case VHU_GET_VRING_BASE:
		vu_ring_stop(r);
		return;
	case VHU_SET_VRING_ENABLE:
		if (q->set_vring_enable.value == 0)
			vu_ring_stop(r);
		return;
	case VHU_SET_VRING_ADDR:
		if (q->set_vring_addr.desc != r->addr.desc ||
		    q->set_vring_addr.avail != r->addr.avail ||
		    q->set_vring_addr.used != r->addr.used)
			vu_ring_stop(r);
		return;
	case VHU_GET_FEATURES:
	case VHU_SET_OWNER:
	case VHU_RESET_OWNER:
	case VHU_SET_LOG_BASE:
	case VHU_SET_LOG_FD:
	case VHU_SET_VRING_KICK:
	case VHU_SET_VRING_CALL:
	case VHU_SET_VRING_ERR:
	case VHU_GET_PROTOCOL_FEATURES:
	case VHU_SET_PROTOCOL_FEATURES:
	case VHU_GET_QUEUE_NUM:
	case VHU_SET_BACKEND_REQ_FD:
	case VHU_GET_CONFIG:
	case VHU_SET_CONFIG:
	case VHU_GET_INFLIGHT_FD:
	case VHU_GET_MAX_MEM_SLOTS:
	case VHU_ADD_MEM_REG:
		return;
	}
}

/* How many descriptors the message must have with it. */
static size_t fds_needed(const struct vu_device *d)
{
	if (d->msg->policy & VHU_ONE_FD)
		return 1;
	if (d->msg->policy & VHU_REGION_FDS)
		return d->request.set_mem_table.regions.count;
	if (d->msg->policy & VHU_FD_BY_BIT)
		return d->request.set_vring_kick.value & VHU_VRING_NO_FD ? 0 : 1;
	return 0;
}

/* Decodes the message that is there. Return: NULL, or what is wrong with it. */
static const char *decode(struct vu_device *d)
{
	struct rd r = rd_over(d->in + VHU_HEADER_SIZE, d->header.size);

	if (!d->msg->req.get(&r, &d->request))
		return "has a payload that it cannot have";
	if ((d->msg->policy & VHU_RING) && d->request.get_vring_base.index >= d->info->queues)
		return "is for a ring that does not exist";
	if ((d->msg->policy & VHU_FD_BY_BIT) &&
	    (d->request.set_vring_kick.value & VHU_VRING_INDEX) >= d->info->queues)
		return "is for a ring that does not exist";
	if (d->fds.count < fds_needed(d))
		return "comes without its descriptor";
	return NULL;
}

static void take_message(struct vu_device *d)
{
	const char *wrong = decode(d);

	if (wrong) {
		vu_fail(d, "%s %s", name_of(d), wrong);
		return;
	}
	log_debug("vhost-user: %s", name_of(d));
	stop_rings(d);
	if (d->state == VU_CLOSING)
		return;
	if (!vu_rings_stopping(d)) {
		run(d);
		return;
	}
	/* Off the loop, which would tell of a hangup again and again. */
	loop_remove(d->loop, &d->sock);
	d->state = VU_WAITING;
}

/* ---- bytes ---- */

/* Moves what came along into the message's bag. */
static void keep_fds(struct vu_device *d, struct fdbag *came)
{
	for (size_t i = 0; i < came->count && d->fds.count < WT_VREGIONS_MAX; i++)
		d->fds.fds[d->fds.count++] = fdbag_take(came, i);
}

/* Receives once. Return: whether there may be more. */
static bool receive(struct vu_device *d)
{
	AUTO_FDBAG struct fdbag came = FDBAG_EMPTY;
	size_t want = VHU_HEADER_SIZE + (d->have < VHU_HEADER_SIZE ? 0 : d->header.size);
	/* No byte of the next message, whose descriptors would come with it. */
	ssize_t n = usock_recv(d->sock.fd, d->in + d->have, want - d->have, &came);

	if (n == -EAGAIN)
		return false;
	if (n == -EBADMSG) {
		vu_fail(d, "descriptors of a message were lost on their way");
		return false;
	}
	if (n <= 0) {
		if (d->have > 0)
			vu_fail(d, "it ends within a message");
		vu_close(d);
		return false;
	}
	keep_fds(d, &came);
	d->have += (size_t)n;
	return true;
}

static void read_header(struct vu_device *d)
{
	struct rd r = rd_over(d->in, VHU_HEADER_SIZE);

	if (!vhu_header_get(&r, &d->header)) {
		vu_fail(d, "a message has a header that cannot be");
		return;
	}
	d->msg = wt_find(vhu_table, vhu_table_count, d->header.request);
	if (!d->msg)
		vu_fail(d, "there is no message %u", d->header.request);
}

static void read_messages(struct vu_device *d)
{
	while (d->state == VU_READING && receive(d)) {
		if (d->have == VHU_HEADER_SIZE)
			read_header(d);
		if (d->state == VU_READING && d->have >= VHU_HEADER_SIZE &&
		    d->have == VHU_HEADER_SIZE + d->header.size)
			take_message(d);
	}
}

void vu_sock_ready(struct loop_source *s, uint32_t events UNUSED)
{
	struct vu_device *d = (struct vu_device *)((char *)s - offsetof(struct vu_device, sock));

	if (d->state == VU_SENDING && !flush(d))
		return;
	read_messages(d);
}

void vu_go_on(struct loop_timer *t)
{
	struct vu_device *d = (struct vu_device *)((char *)t - offsetof(struct vu_device, go_on));
	int r;

	if (vu_rings_stopping(d))
		return;
	if (d->state == VU_CLOSING) {
		vu_finish_close(d);
		return;
	}
	if (d->state != VU_WAITING)
		return;
	r = loop_add(d->loop, &d->sock, EPOLLIN);
	if (r < 0) {
		vu_fail(d, "%s", errno_name(r));
		return;
	}
	d->state = VU_READING;
	run(d);
	read_messages(d);
}
