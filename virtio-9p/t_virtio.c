/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * t_virtio.c: chains of a virtqueue to requests, and replies to the guest's buffers.
 *
 * The queue is looked at in the idle call: all that waits is taken, and what was answered meanwhile is published together,
 * with one interrupt. Before the loop sleeps it asks the driver for kicks, and looks once more.
 */
#include "virtio-9p/t_virtio.h"

#include "virtio/chain.h"
#include "virtio/vhost_user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL_MAX 8192 /* a T-message without a Twrite's data is not larger */
#define ERROR_SIZE  11   /* of an Rlerror */

struct request {
	struct p9_req req;
	struct t_virtio *t;
	struct vq_chain *chain;
	struct request *next; /* of those that are free */
	bool in_place;        /* the reply's data is where it belongs; req.out is its head alone */
	uint8_t *large_out;
	uint8_t out[P9_REPLY_ROOM];
	uint8_t in[CONTROL_MAX];
};

struct t_virtio {
	struct p9_session session;
	struct loop *loop;
	struct vu_device *front;
	struct vq *queue; /* while it runs */
	bool stopping;
	struct loop_poller poller;
	struct loop_timer stop_timer;
	struct request *free;
	void (*changed)(void *context, bool connected);
	void *context;
	size_t tag_size;
	char tag[T_VIRTIO_TAG_MAX];
};

/* ---- requests ---- */

static struct request *new_request(struct t_virtio *t, struct vq_chain *chain)
{
	struct request *q = t->free;

	if (q)
		t->free = q->next;
	else
		q = malloc(sizeof(*q));
	if (!q)
		return NULL;
	memset(q, 0, offsetof(struct request, out));
	q->t = t;
	q->chain = chain;
	q->req.in = q->in;
	q->req.reply_max = chain->in_size < UINT32_MAX ? (uint32_t)chain->in_size : UINT32_MAX;
	return q;
}

static void free_request(struct request *q)
{
	struct t_virtio *t = q->t;

	free(q->large_out);
	q->next = t->free;
	t->free = q;
}

static void forget_requests(struct t_virtio *t)
{
	while (t->free) {
		struct request *q = t->free;

		t->free = q->next;
		free(q);
	}
}

/* ---- replies ---- */

static bool room(struct p9_req *req, size_t size)
{
	struct request *q = (struct request *)req;

	q->in_place = false;
	if (size <= sizeof(q->out)) {
		req->out = q->out;
		req->out_room = sizeof(q->out);
		return true;
	}
	free(q->large_out);
	q->large_out = malloc(size);
	req->out = q->large_out;
	req->out_room = q->large_out ? size : 0;
	return q->large_out;
}

static bool data_room(struct p9_req *req, size_t size UNUSED)
{
	bool r = room(req, P9_READ_HEAD);

	((struct request *)req)->in_place = r;
	return r;
}

static unsigned payload(struct p9_req *req, bool from_client, size_t offset, size_t size,
                        struct iovec *pieces, unsigned room)
{
	const struct request *q = (const struct request *)req;
	struct chain_cursor c = from_client ? chain_out(q->chain) : chain_in(q->chain);
	size_t taken;

	(void)chain_skip(&c, (from_client ? P9_WRITE_HEAD : P9_READ_HEAD) + offset);
	return chain_take(&c, size, pieces, room, &taken);
}

/* An Rlerror at q->out. Return: its size. */
static size_t put_error(struct request *q, uint16_t tag, int error)
{
	struct wr w = wr_over(q->out, sizeof(q->out));

	p9_head_put(&w, &(struct p9_head){ERROR_SIZE, P9_LERROR + 1, tag});
	wr_le32(&w, (uint32_t)-error);
	q->req.out = q->out;
	q->in_place = false;
	return w.used;
}

/* Gives the chain back; 0 bytes: without a reply, which only a flushed request may be. A broken ring gets none. */
static void give_back(struct request *q, size_t size)
{
	struct t_virtio *t = q->t;
	struct chain_cursor c = chain_in(q->chain);

	if (size > q->chain->in_size) {
		vq_discard(t->queue, q->chain);
		(void)vq_break(t->queue, "there is no room for the reply");
	} else {
		(void)chain_write(&c, q->req.out, q->in_place && size > 0 ? P9_READ_HEAD : size);
		vq_push(t->queue, q->chain, (uint32_t)size);
	}
	q->chain = NULL;
}

/* The last request of a queue that is to stop has ended. */
static void stop_if_done(struct t_virtio *t)
{
	struct vq *queue = t->queue;

	if (!t->stopping || vq_in_flight(queue) > 0)
		return;
	vq_publish(queue);
	t->stopping = false;
	t->queue = NULL;
	loop_timer_set(t->loop, &t->stop_timer, 0);
	vq_stopped(queue);
}

/* Answers it. */
static void answer(struct request *q, size_t size)
{
	struct t_virtio *t = q->t;

	/* Let go because the queue stops, and not flushed: the driver may start it anew, and wait for this. */
	if (size == 0 && t->stopping)
		size = put_error(q, q->req.head.tag, -EIO);
	give_back(q, size);
	stop_if_done(t);
}

static void abandon(struct p9_req *req)
{
	answer((struct request *)req, 0);
}

static void reply(struct p9_req *req, size_t size)
{
	struct request *q = (struct request *)req;

	if (q->chain)
		answer(q, size);
	free_request(q);
}

static void broken(struct p9_session *session, const char *why)
{
	(void)vq_break(((struct t_virtio *)session)->queue, why);
}

static void ended(struct p9_session *session)
{
	struct t_virtio *t = (struct t_virtio *)session;

	forget_requests(t);
	free(t);
}

static const struct p9_transport_ops transport = {.room = room,
                                                  .data_room = data_room,
                                                  .payload = payload,
                                                  .abandon = abandon,
                                                  .reply = reply,
                                                  .broken = broken,
                                                  .ended = ended};

/* ---- requests from the ring ---- */

/* Copies the message, but for a Twrite's data. Return: 0, or -errno for what is no message the server could take. */
static int copy_message(struct request *q, uint16_t *ret_tag)
{
	struct chain_cursor c = chain_out(q->chain);
	size_t size = chain_read(&c, q->in, P9_WRITE_HEAD);
	struct rd r = rd_over(q->in, size);
	struct p9_head h;

	if (!p9_head_get(&r, &h) || h.size != q->chain->out_size) {
		*ret_tag = h.tag;
		return -EPROTO;
	}
	*ret_tag = h.tag;
	if (h.size > p9_request_max(&q->t->session))
		return -EMSGSIZE;
	if (h.type == P9_WRITE && h.size > P9_WRITE_HEAD)
		q->req.rest = h.size - P9_WRITE_HEAD;
	else if (h.size > sizeof(q->in))
		return -EMSGSIZE;
	else
		size += chain_read(&c, q->in + size, h.size - size);
	q->req.in_size = size;
	return 0;
}

static void take(struct t_virtio *t, struct vq_chain *chain)
{
	struct request *q = new_request(t, chain);
	uint16_t tag = P9_NOTAG;
	int r;

	if (!q || chain->out_size < P9_HEAD_SIZE || chain->in_size < P9_HEAD_SIZE) {
		vq_discard(t->queue, chain);
		(void)vq_break(t->queue, q ? "a chain is too short for a message and its reply"
		                           : "out of memory");
		if (q)
			free_request(q);
		return;
	}
	r = copy_message(q, &tag);
	if (r == 0) {
		p9_submit(&t->session, &q->req);
	} else {
		give_back(q, put_error(q, tag, r));
		free_request(q);
	}
}

/* As many requests may be under way as a session may have: more wait in the ring. */
static bool may_take(const struct t_virtio *t)
{
	return t->queue && !p9_session_is_full(&t->session);
}

/* Takes what is in the ring, and publishes what was answered. */
static bool idle(void *context)
{
	struct t_virtio *t = context;
	struct vq_chain *chain;
	unsigned taken = 0;

	if (!t->queue)
		return false;
	vq_disable_notify(t->queue);
	while (may_take(t) && taken < T_VIRTIO_QUEUE_MAX && vq_pop(t->queue, &chain) > 0) {
		take(t, chain);
		taken++;
	}
	if (t->queue)
		vq_publish(t->queue);
	/* What is under way on a ring that lied is for nobody. */
	if (t->queue && vq_broken(t->queue))
		p9_session_let_go(&t->session);
	return taken > 0;
}

static bool look(struct loop_poller *p)
{
	struct t_virtio *t = (struct t_virtio *)((char *)p - offsetof(struct t_virtio, poller));

	return may_take(t) && !t->stopping && vq_pending(t->queue);
}

static bool arm(struct loop_poller *p)
{
	struct t_virtio *t = (struct t_virtio *)((char *)p - offsetof(struct t_virtio, poller));

	/* What waits while it is full is taken when something has ended, which needs no kick. */
	return may_take(t) && !t->stopping && vq_enable_notify(t->queue);
}

/* ---- the device ---- */

static size_t config(void *context, uint8_t *out, size_t room)
{
	const struct t_virtio *t = context;
	struct wr w = wr_over(out, room);

	wr_le16(&w, (uint16_t)t->tag_size);
	wr_bytes(&w, t->tag, t->tag_size);
	return w.used;
}

static void start(void *context, struct vq *q, uint64_t features UNUSED)
{
	struct t_virtio *t = context;

	t->queue = q;
	t->stopping = false;
}

/* The idle call that follows takes what there is. */
static void kick(void *context UNUSED, struct vq *q UNUSED)
{
}

static void stop_due(struct loop_timer *timer)
{
	struct t_virtio *t =
	    (struct t_virtio *)((char *)timer - offsetof(struct t_virtio, stop_timer));

	p9_session_let_go(&t->session);
}

/*
 * A pause of the guest stops the queue too, and goes on with it later: so requests are given time to end as ever, and the
 * session stays.
 */
static void stop(void *context, struct vq *q)
{
	struct t_virtio *t = context;

	t->stopping = true;
	locks_put_off(&t->session);
	if (vq_broken(q))
		p9_session_let_go(&t->session);
	if (t->queue)
		loop_timer_set(t->loop, &t->stop_timer, loop_now() + T_VIRTIO_STOP_NS);
	stop_if_done(t);
}

static void reset(void *context)
{
	struct t_virtio *t = context;

	p9_session_reset(&t->session);
}

static void front_came(void *context)
{
	struct t_virtio *t = context;

	t->changed(t->context, true);
}

static void front_closed(void *context)
{
	struct t_virtio *t = context;

	t->changed(t->context, false);
}

static const struct vio_device_ops device = {.connected = front_came,
                                             .config = config,
                                             .start = start,
                                             .kick = kick,
                                             .stop = stop,
                                             .reset = reset};

static const struct vio_device_info info = {
    .virtio_id = VIRTIO_ID_9P,
    .features =
        VIO_FEATURES_RING | VIO_FEATURE(VIO_F_RING_PACKED) | VIO_FEATURE(VIRTIO_9P_F_MOUNT_TAG),
    .queues = 1,
    .queue_size_max = T_VIRTIO_QUEUE_MAX,
};

int t_virtio_new(struct loop *l, struct p9_server *server, const char *tag,
                 void (*changed)(void *context, bool connected), void *context,
                 struct t_virtio **ret)
{
	struct t_virtio *t = calloc(1, sizeof(*t));
	int r = t ? p9_session_init(&t->session, server, &transport) : -ENOMEM;

	if (r == 0)
		r = vu_new(l, &info, &device, t, front_closed, &t->front);
	if (r < 0) {
		free(t);
		return r;
	}
	t->loop = l;
	t->changed = changed;
	t->context = context;
	t->tag_size = strnlen(tag, sizeof(t->tag));
	memcpy(t->tag, tag, t->tag_size);
	t->stop_timer.due = stop_due;
	t->poller = (struct loop_poller){.look = look, .arm = arm};
	loop_poll(l, &t->poller);
	loop_idle(l, idle, t);
	*ret = t;
	return 0;
}

int t_virtio_listen(struct t_virtio *t, int listener)
{
	return vu_listen(t->front, listener);
}

int t_virtio_serve(struct t_virtio *t, int sock)
{
	return vu_serve(t->front, sock);
}

void t_virtio_free(struct t_virtio *t)
{
	if (!t)
		return;
	BUG_ON(t->queue);
	loop_idle_remove(t->loop, t);
	loop_poll_remove(t->loop, &t->poller);
	vu_free(t->front);
	/* With its last request, which may be on the ring yet. */
	p9_session_end(&t->session);
}

bool t_virtio_connected(const struct t_virtio *t)
{
	return vu_connected(t->front);
}
