/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.c: from a message to its operation and back; tags, Tversion and Tflush.
 *
 * Flush (intro(5), flush(5) of Plan 9): a request that ended before has been answered before; one that is under way is
 * given a moment to end by itself, because what it did has happened then and its reply should say so; after that it is
 * let go without a reply, and what it may still bring is given back. Rflush comes after either. So a request that is
 * stuck in a file system does not hold its flush.
 */
#include "virtio-9p/server.h"

#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the dispatch table: one row a line of p9.def ---- */

#define F(type, member)
#define MSG(number, NAME, name, policy, q, a)                     \
	static void run_##name(struct p9_req *req, struct rd *in) \
	{                                                         \
		struct p9_##name##_req m;                         \
		if (p9_##name##_req_get(in, &m))                  \
			op_##name(req, &m);                       \
		else                                              \
			p9_error(req, -EPROTO);                   \
	}
#include "wire/p9.def"
#undef MSG

#define MSG(number, NAME, name, policy, q, a) [number] = run_##name,
static void (*const runs[128])(struct p9_req *req, struct rd *in) = {
#include "wire/p9.def"
};
#undef MSG
#undef F

/* ---- the list of requests under way ---- */

static void list_add(struct p9_session *s, struct p9_req *req)
{
	req->prev = NULL;
	req->next = s->requests;
	if (s->requests)
		s->requests->prev = req;
	s->requests = req;
	req->listed = true;
	s->under_way++;
}

static void list_remove(struct p9_session *s, struct p9_req *req)
{
	if (req->prev)
		req->prev->next = req->next;
	else
		s->requests = req->next;
	if (req->next)
		req->next->prev = req->prev;
	req->listed = false;
}

static struct p9_req *find_tag(const struct p9_session *s, uint16_t tag)
{
	for (struct p9_req *r = s->requests; r; r = r->next) {
		if (r->head.tag == tag && !r->gone)
			return r;
	}
	return NULL;
}

/* ---- each message as a line of the log, at level debug ---- */

static uint64_t any_message[1024]; /* its struct */

/* What is read and written stays out of it. */
static void log_request(const struct p9_req *req, struct rd in)
{
	char text[512];
	struct sbuf s = sbuf_over(text, sizeof(text));

	if (!log_wants(LOG_LEVEL_DEBUG))
		return;
	if (!req->msg) {
		sbuf_add(&s, "a request of type %u, which is none", req->head.type);
	} else if (req->head.type == P9_WRITE) {
		uint32_t fid = rd_le32(&in);
		uint64_t offset = rd_le64(&in);

		sbuf_add(&s, "Twrite fid=0x%x offset=0x%llx count=0x%x", fid,
		         (unsigned long long)offset, rd_le32(&in));
	} else {
		sbuf_add(&s, "T%s", req->msg->name);
		if (req->msg->req.get(&in, any_message))
			req->msg->req.dump(&s, any_message);
	}
	log_line(LOG_LEVEL_DEBUG, "tag %u %s", req->head.tag, text);
}

/* size: that of the reply at req->out, but a Rread's data is elsewhere; 0: there is none. */
static void log_reply(const struct p9_req *req, size_t size)
{
	char text[512];
	struct sbuf s = sbuf_over(text, sizeof(text));
	struct rd r;

	if (!log_wants(LOG_LEVEL_DEBUG))
		return;
	if (size < P9_HEAD_SIZE) {
		log_line(LOG_LEVEL_DEBUG, "tag %u is not answered", req->head.tag);
		return;
	}
	if (req->out[sizeof(uint32_t)] == P9_LERROR + 1) {
		r = rd_over(req->out + P9_HEAD_SIZE, size - P9_HEAD_SIZE);
		sbuf_add(&s, "lerror ecode=%s", errno_name((int)rd_le32(&r)));
	} else if (req->head.type == P9_READ || req->head.type == P9_READDIR) {
		sbuf_add(&s, "%s count=0x%zx", req->msg->name, size - P9_READ_HEAD);
	} else {
		r = rd_over(req->out + P9_HEAD_SIZE, size - P9_HEAD_SIZE);
		sbuf_add(&s, "%s", req->msg->name);
		if (req->msg->rep.get(&r, any_message))
			req->msg->rep.dump(&s, any_message);
	}
	log_line(LOG_LEVEL_DEBUG, "tag %u R%s", req->head.tag, text);
}

/* ---- the end of a request ---- */

/* Answers a list of Tflushes, in their order. */
static void answer_flushes(struct p9_req *first)
{
	struct p9_flush_rep a = {0};

	while (first) {
		struct p9_req *f = first;

		first = f->next_flusher;
		p9_reply(f, &a);
	}
}

/* Gives the request back to the transport, and everything it held. */
static void finish(struct p9_req *req, size_t size)
{
	struct p9_session *s = req->session;
	struct p9_req *flushers;

	log_reply(req, req->gone ? 0 : size);
	if (req->newfid && req->newfid->state == FID_PENDING)
		fid_drop(s, req->newfid);
	fid_put(s, req->newfid);
	fid_put(s, req->newfid_old);
	fid_put(s, req->fid);
	req->fid = req->newfid = req->newfid_old = NULL;
	list_remove(s, req);
	s->abandoned -= req->abandoned;
	flushers = req->flushers;
	req->flushers = NULL;
	/* The reply goes before the Rflush of whoever asked for its end; after it the request is the transport's. */
	s->transport->reply(req, req->gone ? 0 : size);
	answer_flushes(flushers);
	s->under_way--;
	if (s->ending && s->under_way == 0)
		s->transport->ended(s);
}

void p9_reply_bytes(struct p9_req *req, size_t size)
{
	struct wr w = wr_over(req->out, P9_HEAD_SIZE);

	p9_head_put(
	    &w, &(struct p9_head){(uint32_t)size, (uint8_t)(req->head.type + 1), req->head.tag});
	finish(req, size);
}

void p9_error(struct p9_req *req, int error)
{
	uint32_t code = error < 0 ? (uint32_t)-error : EIO;
	struct wr w;

	if (!req->session->transport->room(req, P9_HEAD_SIZE + sizeof(code))) {
		finish(req, 0);
		return;
	}
	w = wr_over(req->out, P9_HEAD_SIZE + sizeof(code));
	p9_head_put(&w,
	            &(struct p9_head){P9_HEAD_SIZE + sizeof(code), P9_LERROR + 1, req->head.tag});
	wr_le32(&w, code);
	finish(req, w.used);
}

uint32_t p9_reply_max(const struct p9_req *req)
{
	/* Before Tversion: as much as the least client takes. */
	uint32_t most = req->session->msize ? req->session->msize : P9_MSIZE_MIN;

	return req->reply_max && req->reply_max < most ? req->reply_max : most;
}

void p9_reply(struct p9_req *req, const void *reply)
{
	struct wr w;

	if (!req->session->transport->room(req, P9_REPLY_ROOM)) {
		p9_error(req, -EMSGSIZE);
		return;
	}
	w = wr_over(req->out + P9_HEAD_SIZE, P9_REPLY_ROOM - P9_HEAD_SIZE);
	if (!req->msg->rep.put(&w, reply) || P9_HEAD_SIZE + w.used > p9_reply_max(req)) {
		p9_error(req, -EMSGSIZE);
		return;
	}
	p9_reply_bytes(req, P9_HEAD_SIZE + w.used);
}

/* ---- calls of the backend ---- */

void p9_changed(struct p9_server *s)
{
	s->changes++;
}

/* What operations get that have failed, or were let go: they may look at it, and find nothing. */
static const union rpc_reply no_reply;

static void call_done(void *context, int error, const union rpc_reply *reply, int fd)
{
	struct p9_req *req = context;

	req->calling = false;
	req->then(req, error, reply ? reply : &no_reply, fd);
}

void p9_call(struct p9_req *req, enum rpc_type type, const void *request, p9_then *then)
{
	struct backend *b = req->session->server->backend;
	int r;

	req->then = then;
	req->calling = true;
	r = b->ops->call(b, type, request, call_done, req, &req->call);
	if (r < 0) {
		req->calling = false;
		then(req, r, &no_reply, -1);
	}
}

void p9_then_done(struct p9_req *req, int error, const union rpc_reply *reply UNUSED, int fd UNUSED)
{
	uint64_t nothing[8] = {0}; /* no reply struct without fields is larger */

	if (error < 0)
		p9_error(req, error);
	else
		p9_reply(req, nothing);
}

void p9_then_changed(struct p9_req *req, int error, const union rpc_reply *reply, int fd)
{
	p9_changed(req->session->server);
	p9_then_done(req, error, reply, fd);
}

/* ---- letting go ---- */

/* Gives back what the peer has lent, if the kernel does not use it. */
static bool abandon(struct p9_req *req)
{
	struct p9_session *s = req->session;

	if (!s->transport->abandon)
		return true;
	if (req->lends || s->abandoned == P9_ABANDONED_MAX)
		return false;
	req->abandoned = true;
	s->abandoned++;
	s->transport->abandon(req);
	return true;
}

/*
 * Answers the flushes of a request that does not end. What waits on the ring keeps its memory until the kernel is done
 * with it; everything else is over at once.
 */
static void let_go(struct p9_req *req)
{
	struct backend *b = req->session->server->backend;

	if (req->gone)
		return;
	req->gone = true;
	if (req->calling) {
		b->ops->cancel(b, req->call);
		req->calling = false;
		/* The operation frees what it holds, and gets no reply sent. */
		req->then(req, -EINTR, &no_reply, -1);
	} else if (req->waiting_lock) {
		locks_forget_waiter(req);
		p9_error(req, -EINTR);
	} else if (req->on_ring) {
		struct p9_req *flushers = req->flushers;

		ring_cancel(req->session->server->ring, &req->op);
		if (!abandon(req))
			return; /* until it ends the flush waits */
		req->flushers = NULL;
		answer_flushes(flushers);
	}
}

static void arm_flush_timer(struct p9_session *s)
{
	uint64_t first = 0;

	for (struct p9_req *r = s->requests; r; r = r->next) {
		if (r->flush_until_ns && !r->gone && (first == 0 || r->flush_until_ns < first))
			first = r->flush_until_ns;
	}
	loop_timer_set(s->server->loop, &s->flush_timer, first);
}

static void flush_due(struct loop_timer *t)
{
	struct p9_session *s =
	    (struct p9_session *)((char *)t - offsetof(struct p9_session, flush_timer));
	uint64_t now = loop_now();

	for (struct p9_req *r = s->requests, *next; r; r = next) {
		next = r->next;
		if (r->flush_until_ns && r->flush_until_ns <= now && !r->gone) {
			let_go(r);
			/* That may have ended others too: from the start again. */
			next = s->requests;
		}
	}
	arm_flush_timer(s);
}

void op_flush(struct p9_req *r, const struct p9_flush_req *q)
{
	struct p9_session *s = r->session;
	struct p9_req *old = q->oldtag == r->head.tag ? NULL : find_tag(s, q->oldtag);
	struct p9_flush_rep a = {0};
	struct p9_req **link;

	if (!old) {
		p9_reply(r, &a);
		return;
	}
	for (link = &old->flushers; *link; link = &(*link)->next_flusher)
		;
	*link = r;
	r->next_flusher = NULL;
	if (old->waiting_lock) {
		let_go(old);
		return;
	}
	/* A Tflush ends with what it flushes, and is answered as every Tflush is. */
	if (old->head.type == P9_FLUSH)
		return;
	if (!old->flush_until_ns)
		old->flush_until_ns = loop_now() + P9_FLUSH_GRACE_NS;
	arm_flush_timer(s);
}

/* Lets go of all requests but one. */
static void drop_requests(struct p9_session *s, const struct p9_req *but)
{
	for (struct p9_req *r = s->requests, *next; r; r = next) {
		next = r->next;
		if (r == but || r->gone)
			continue;
		/* Flushes of it are requests of their own: they are dropped in their turn. */
		r->flushers = NULL;
		if (r->calling || r->waiting_lock || r->on_ring) {
			let_go(r);
		} else {
			r->gone = true; /* a Tflush that waits */
			finish(r, 0);
		}
		next = s->requests;
	}
}

void p9_session_let_go(struct p9_session *s)
{
	drop_requests(s, NULL);
}

/* As new, but for one request. */
static void start_anew(struct p9_session *s, const struct p9_req *but)
{
	drop_requests(s, but);
	fid_drop_all(s);
	s->msize = 0;
}

bool p9_session_is_full(const struct p9_session *s)
{
	return s->server->drains || s->under_way >= s->server->requests_max;
}

void p9_session_reset(struct p9_session *s)
{
	start_anew(s, NULL);
}

static bool starts_with(const struct wt_str *s, const char *text)
{
	return s->size >= strlen(text) && memcmp(s->data, text, strlen(text)) == 0;
}

void op_version(struct p9_req *r, const struct p9_version_req *q)
{
	struct p9_session *s = r->session;
	struct p9_version_rep a = {.msize = q->msize < P9_MSIZE_MAX ? q->msize : P9_MSIZE_MAX};

	start_anew(s, r);
	if (!starts_with(&q->version, "9P2000.L")) {
		a.version = wt_str_of("unknown");
	} else if (q->msize < P9_MSIZE_MIN) {
		p9_error(r, -EMSGSIZE);
		return;
	} else {
		s->msize = a.msize;
		a.version = wt_str_of("9P2000.L");
	}
	p9_reply(r, &a);
}

void op_lerror(struct p9_req *r, const struct p9_lerror_req *q UNUSED)
{
	p9_error(r, -EOPNOTSUPP);
}

/* ---- a message comes in ---- */

/* Tfsync of old clients ends before datasync: with it, it is today's. */
static void run_short_form(struct p9_req *req, struct rd in)
{
	uint8_t whole[2 * sizeof(uint32_t)] = {0};
	struct rd r = in;

	if (in.left == sizeof(uint32_t)) {
		memcpy(whole, in.at, in.left);
		r = rd_over(whole, sizeof(whole));
	}
	runs[req->head.type](req, &r);
}

/* A Twrite whose data stays with the transport. */
static void run_lent_write(struct p9_req *req, struct rd in)
{
	struct p9_write_req m;

	if (p9_write_part_get(&in, req->rest, &m))
		op_write(req, &m);
	else
		p9_error(req, -EPROTO);
}

/* What is answered as ever between a helper's death and the next one's hello. */
static bool goes_without_helper(uint8_t type)
{
	return type == P9_VERSION || type == P9_FLUSH || type == P9_CLUNK;
}

void p9_submit(struct p9_session *s, struct p9_req *req)
{
	struct rd in = rd_over(req->in, req->in_size);
	bool head_ok = p9_head_get(&in, &req->head);
	bool taken = head_ok && find_tag(s, req->head.tag);

	req->session = s;
	req->msg = head_ok ? p9_find(req->head.type) : NULL;
	list_add(s, req);
	if (!head_ok || req->head.size != req->in_size + req->rest || taken) {
		req->gone = true;
		finish(req, 0);
		if (!s->ending)
			s->transport->broken(s, taken ? "a tag is used twice at once"
			                              : "a message's size is wrong");
		return;
	}
	log_request(req, in);
	if (!req->msg) {
		p9_error(req, -EOPNOTSUPP);
	} else if (!s->server->ready && !goes_without_helper(req->head.type)) {
		p9_error(req, -EIO);
	} else if (req->head.type != P9_VERSION && s->msize == 0) {
		p9_error(req, -EPROTO);
	} else {
		if (req->rest)
			run_lent_write(req, in);
		else if (req->msg->policy & P9_SHORT_FORM)
			run_short_form(req, in);
		else
			runs[req->head.type](req, &in);
	}
}

/* ---- sessions ---- */

uint32_t p9_request_max(const struct p9_session *s)
{
	return s->msize ? s->msize : P9_REQUEST_FIRST;
}

int p9_session_init(struct p9_session *s, struct p9_server *server,
                    const struct p9_transport_ops *ops)
{
	*s = (struct p9_session){.server = server, .transport = ops};
	s->flush_timer.due = flush_due;
	s->next = server->sessions;
	server->sessions = s;
	return 0;
}

void p9_session_end(struct p9_session *s)
{
	struct p9_session **link = &s->server->sessions;

	s->ending = true;
	s->under_way++; /* so that the last request does not end it from within */
	drop_requests(s, NULL);
	fid_drop_all(s);
	loop_timer_set(s->server->loop, &s->flush_timer, 0);
	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	if (--s->under_way == 0)
		s->transport->ended(s);
}
