/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * t_socket.c: bytes of a stream to requests, and replies back.
 *
 * Messages that are in the client's buffer as a whole are copied out of it into a request of their own; one that is
 * larger than what is left there is received straight into its request. Small replies are gathered and go out in one
 * call before the loop waits; large ones go from where they are. A client that does not take its replies is not read from.
 *
 * A client that waits for each reply sleeps while its request is in the socket, and Linux wakes it when the request is
 * taken out, for there is room to write now: a wake-up for nothing. So such a request is looked at where it is, and
 * taken out when its reply is on its way. The loop tells of what comes, not of what is there (EPOLLET).
 */
#include "virtio-9p/t_socket.h"

#include "common/acceptor.h"
#include "common/cleanup.h"
#include "common/complain.h"
#include "common/log.h"
#include "common/usock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define IN_SIZE     65536
#define GATHER_SIZE 65536
#define SMALL_REPLY 4096
#define SMALL_OUT   320 /* room for most replies within the request itself */
#define PEEK_SIZE   4096
#define PUMP_ROUNDS 4
#define EVENTS      ((uint32_t)EPOLLIN | EPOLLRDHUP | EPOLLET)

struct request {
	struct p9_req req;
	struct client *client;
	struct request *next; /* of replies that wait */
	size_t reply_size;
	uint8_t *large_out;
	uint8_t small_out[SMALL_OUT];
	uint8_t in[];
};

struct client {
	struct p9_session session;
	struct t_socket *t;
	struct client *next;
	struct loop_source source;
	bool closing, blocked;
	bool ends;     /* it will send no more */
	bool readable; /* there may be more in the socket */
	size_t peeked; /* bytes in the socket that were looked at already */
	bool in_flush_list;
	struct client *next_to_flush;
	struct request *first, *last; /* replies to send, in order */
	size_t first_sent;            /* bytes of the first's reply that are gone */
	struct request *partial;      /* a large message that is coming in */
	size_t partial_have;
	size_t have, taken; /* in buffer: bytes, and those that became requests */
	uint8_t buffer[IN_SIZE];
};

struct t_socket {
	struct loop *loop;
	struct p9_server *server;
	struct acceptor acceptor;
	struct client *clients, *to_flush;
	unsigned count;
	struct complaints complaints;
	void (*closed)(void *context, unsigned left);
	void *context;
	uint8_t gather[GATHER_SIZE];
};

static void update_events(struct client *c);
static void take_messages(struct client *c);
static void pump(struct client *c);
static bool may_read(const struct client *c);
static void client_close(struct client *c, const char *why);

/* ---- replies ---- */

static void free_request(struct request *q)
{
	free(q->large_out);
	free(q);
}

static bool room(struct p9_req *req, size_t size)
{
	struct request *q = (struct request *)req;

	if (size <= SMALL_OUT) {
		req->out = q->small_out;
		req->out_room = SMALL_OUT;
		return true;
	}
	if (q->large_out && req->out_room >= size && req->out == q->large_out)
		return true;
	free(q->large_out);
	q->large_out = malloc(size);
	req->out = q->large_out;
	req->out_room = q->large_out ? size : 0;
	return q->large_out;
}

static bool data_room(struct p9_req *req, size_t size)
{
	return room(req, P9_READ_HEAD + size);
}

static unsigned payload(struct p9_req *req, bool from_client, size_t offset, size_t size,
                        struct iovec *pieces, unsigned room UNUSED)
{
	struct request *q = (struct request *)req;
	uint8_t *data = from_client ? q->in + P9_WRITE_HEAD : req->out + P9_READ_HEAD;

	pieces[0] = (struct iovec){.iov_base = data + offset, .iov_len = size};
	return 1;
}

static void drop_first(struct client *c)
{
	struct request *q = c->first;

	c->first = q->next;
	if (!c->first)
		c->last = NULL;
	c->first_sent = 0;
	free_request(q);
}

/* Takes n bytes off the replies that wait. */
static void sent(struct client *c, size_t n)
{
	while (n > 0) {
		size_t left = c->first->reply_size - c->first_sent;

		if (n < left) {
			c->first_sent += n;
			return;
		}
		n -= left;
		drop_first(c);
	}
}

/* A large reply goes while its bytes are still in the processor's cache; what is left, or wrong, is for the flush. */
static void send_now(struct client *c)
{
	struct request *q = c->first;
	ssize_t n = usock_send_some(c->source.fd, q->req.out + c->first_sent,
	                            q->reply_size - c->first_sent);

	c->blocked = n == -EAGAIN || (n > 0 && (size_t)n < q->reply_size);
	if (n > 0)
		sent(c, (size_t)n);
	update_events(c);
}

static void reply(struct p9_req *req, size_t size)
{
	struct request *q = (struct request *)req;
	struct client *c = q->client;

	if (size == 0 || c->closing) {
		free_request(q);
		return;
	}
	q->reply_size = size;
	q->next = NULL;
	if (c->last)
		c->last->next = q;
	else
		c->first = q;
	c->last = q;
	if (!c->in_flush_list) {
		c->in_flush_list = true;
		c->next_to_flush = c->t->to_flush;
		c->t->to_flush = c;
	}
	if (size > SMALL_REPLY && c->first == q && !c->blocked)
		send_now(c);
}

/* Takes out of the socket what was looked at there. */
static void take_peeked(struct client *c)
{
	struct t_socket *t = c->t;

	while (c->peeked > 0 && !c->closing) {
		ssize_t n = usock_recv(c->source.fd, t->gather, c->peeked, NULL);

		if (n <= 0)
			client_close(c, "its socket does not hold what it held");
		else
			c->peeked -= (size_t)n;
	}
}

static void flush_client(struct client *c)
{
	struct t_socket *t = c->t;

	c->blocked = false;
	while (c->first && !c->closing) {
		size_t size = 0, skip = c->first_sent;
		ssize_t n;

		for (const struct request *q = c->first; q && q->reply_size - skip <= SMALL_REPLY &&
		                                         size + q->reply_size - skip <= GATHER_SIZE;
		     q = q->next) {
			memcpy(t->gather + size, q->req.out + skip, q->reply_size - skip);
			size += q->reply_size - skip;
			skip = 0;
		}
		n = size ? usock_send_some(c->source.fd, t->gather, size)
		         : usock_send_some(c->source.fd, c->first->req.out + c->first_sent,
		                           c->first->reply_size - c->first_sent);
		if (n == -EAGAIN) {
			c->blocked = true;
			break;
		}
		if (n < 0) {
			client_close(c, NULL);
			return;
		}
		sent(c, (size_t)n);
	}
	if (!c->closing)
		take_peeked(c);
	update_events(c);
}

/* One use of a client: it outlives what happens in between. */
static void hold(struct client *c)
{
	c->session.under_way++;
}

static void let_go(struct client *c)
{
	if (--c->session.under_way == 0 && c->closing)
		c->session.transport->ended(&c->session);
}

/* Sends what is answered, and takes what waited for that: messages that are in the buffer already. */
static bool flush_all(void *context)
{
	struct t_socket *t = context;
	bool took = false;

	while (t->to_flush) {
		struct client *c = t->to_flush;

		t->to_flush = c->next_to_flush;
		c->in_flush_list = false;
		hold(c);
		if (!c->blocked)
			flush_client(c);
		if ((c->have > c->taken || c->readable) && may_read(c)) {
			pump(c);
			took = true;
		}
		let_go(c);
	}
	return took;
}

/* ---- requests ---- */

static struct request *new_request(struct client *c, size_t size)
{
	struct request *q = malloc(sizeof(*q) + size);

	if (!q)
		return NULL;
	memset(q, 0, offsetof(struct request, small_out));
	q->client = c;
	q->req.in = q->in;
	q->req.in_size = size;
	return q;
}

/* The size[4] of the message that starts at p. Return: false if it is more than this session may send. */
static bool message_size(const struct client *c, const uint8_t *p, size_t *ret)
{
	struct rd r = rd_over(p, sizeof(uint32_t));

	*ret = rd_le32(&r);
	return *ret >= P9_HEAD_SIZE && *ret <= p9_request_max(&c->session);
}

/* Makes requests of what is in the buffer. */
static void take_messages(struct client *c)
{
	while (!c->partial && may_read(c)) {
		size_t left = c->have - c->taken, size = 0;
		struct request *q;

		if (left < sizeof(uint32_t))
			break;
		if (!message_size(c, c->buffer + c->taken, &size)) {
			client_close(c, "a message's size is out of bounds");
			return;
		}
		if (left < size && size <= IN_SIZE / 2)
			break;
		q = new_request(c, size);
		if (!q) {
			client_close(c, "out of memory");
			return;
		}
		if (left >= size) {
			memcpy(q->in, c->buffer + c->taken, size);
			c->taken += size;
			p9_submit(&c->session, &q->req);
		} else {
			memcpy(q->in, c->buffer + c->taken, left);
			c->taken += left;
			c->partial = q;
			c->partial_have = left;
		}
	}
	if (c->taken == c->have) {
		c->taken = c->have = 0;
	} else if (c->taken > 0) {
		memmove(c->buffer, c->buffer + c->taken, c->have - c->taken);
		c->have -= c->taken;
		c->taken = 0;
	}
}

/* A request that is alone stays in the socket for now. Return: whether that is what was there. */
static bool peek(struct client *c)
{
	ssize_t n;

	if (c->ends || c->session.under_way > 1 || c->have > 0 || c->partial)
		return false;
	n = usock_peek(c->source.fd, c->buffer, PEEK_SIZE);
	if (n <= 0 || n == PEEK_SIZE)
		return false;
	c->have = c->peeked = (size_t)n;
	c->readable = false;
	return true;
}

/* Receives once. */
static void receive(struct client *c)
{
	struct request *q = c->partial;
	uint8_t *to = q ? q->in + c->partial_have : c->buffer + c->have;
	size_t size = q ? q->req.in_size - c->partial_have : IN_SIZE - c->have;
	ssize_t n = usock_recv(c->source.fd, to, size, NULL);

	/* A short read has emptied the socket; of its end there may have been word already. */
	c->readable = c->ends || n == (ssize_t)size;
	if (n == -EAGAIN) {
		c->readable = false;
		return;
	}
	if (n <= 0) {
		client_close(c, NULL);
		return;
	}
	if (!q) {
		c->have += (size_t)n;
	} else {
		c->partial_have += (size_t)n;
		if (c->partial_have == q->req.in_size) {
			c->partial = NULL;
			p9_submit(&c->session, &q->req);
		}
	}
}

/* Takes messages, from the buffer and from the socket, as long as there are any and it may. */
static void pump(struct client *c)
{
	take_messages(c);
	/* The rest is for when these have been answered. */
	for (int i = 0; i < PUMP_ROUNDS && c->readable && may_read(c); i++) {
		take_peeked(c);
		if (c->closing)
			break;
		if (!peek(c))
			receive(c);
		take_messages(c);
	}
	/* Several that get stuck would fill the socket, and half a message is no request: only one that is alone stays. */
	if (c->have > 0 || c->partial || c->session.under_way > 2)
		take_peeked(c);
}

/* Whoever takes messages holds the client, which counts as one. More wait in the socket. */
static bool is_full(const struct client *c)
{
	const struct p9_server *server = c->session.server;

	return server->drains || c->session.under_way > server->requests_max;
}

static bool may_read(const struct client *c)
{
	return !c->closing && !c->blocked && !is_full(c);
}

static void update_events(struct client *c)
{
	if (!c->closing)
		loop_change(c->t->loop, &c->source, EVENTS | (c->blocked ? EPOLLOUT : 0));
}

static void client_ready(struct loop_source *s, uint32_t events)
{
	struct client *c = (struct client *)((char *)s - offsetof(struct client, source));

	hold(c);
	c->readable = true;
	c->ends |= events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	if (events & EPOLLOUT)
		flush_client(c);
	if (may_read(c))
		pump(c);
	if (!c->closing && (events & (EPOLLHUP | EPOLLERR)) && !(events & EPOLLIN))
		client_close(c, NULL);
	update_events(c);
	let_go(c);
}

/* ---- clients ---- */

static void broken(struct p9_session *session, const char *why)
{
	client_close((struct client *)session, why);
}

/* All requests are back: the memory may go. */
static void ended(struct p9_session *session)
{
	struct client *c = (struct client *)session;
	struct t_socket *t = c->t;
	struct client **link = &t->clients;

	if (c->in_flush_list)
		for (struct client **f = &t->to_flush; *f; f = &(*f)->next_to_flush)
			if (*f == c) {
				*f = c->next_to_flush;
				break;
			}
	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	while (c->first)
		drop_first(c);
	if (c->partial)
		free_request(c->partial);
	fd_close(&c->source.fd);
	free(c);
	t->count--;
	t->closed(t->context, t->count);
}

static void client_close(struct client *c, const char *why)
{
	if (c->closing)
		return;
	if (why)
		complain(&c->t->complaints, "a client's connection is closed: %s", why);
	c->closing = true;
	loop_remove(c->t->loop, &c->source);
	p9_session_end(&c->session);
}

static const struct p9_transport_ops ops = {.room = room,
                                            .data_room = data_room,
                                            .payload = payload,
                                            .reply = reply,
                                            .broken = broken,
                                            .ended = ended};

int t_socket_serve(struct t_socket *t, int sock)
{
	struct client *c = calloc(1, sizeof(*c));
	int r = c ? fd_nonblock(sock) : -ENOMEM;

	if (r == 0) {
		c->t = t;
		c->source.fd = sock;
		c->source.ready = client_ready;
		r = loop_add(t->loop, &c->source, EVENTS);
	}
	if (r == 0)
		r = p9_session_init(&c->session, t->server, &ops);
	if (r < 0) {
		fd_close(&sock);
		free(c);
		return r;
	}
	c->next = t->clients;
	t->clients = c;
	t->count++;
	return 0;
}

static struct t_socket *of_acceptor(struct acceptor *a)
{
	return (struct t_socket *)((char *)a - offsetof(struct t_socket, acceptor));
}

static int client_came(struct acceptor *a, int sock)
{
	struct t_socket *t = of_acceptor(a);

	if (t->count < T_SOCKET_CLIENTS)
		return t_socket_serve(t, sock);
	complain(&t->complaints, "a client is turned away: there are %u", t->count);
	fd_close(&sock);
	return 0;
}

static void client_failed(struct acceptor *a, int error)
{
	complain(&of_acceptor(a)->complaints, "cannot take a client on: %s", errno_name(error));
}

int t_socket_listen(struct t_socket *t, int listener)
{
	t->server->quotas.shared = true;
	return acceptor_start(&t->acceptor, t->loop, listener);
}

int t_socket_new(struct loop *l, struct p9_server *server,
                 void (*closed)(void *context, unsigned left), void *context, struct t_socket **ret)
{
	struct t_socket *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->loop = l;
	t->server = server;
	t->acceptor =
	    (struct acceptor){.take = client_came, .failed = client_failed, .source.fd = -1};
	t->closed = closed;
	t->context = context;
	loop_idle(l, flush_all, t);
	*ret = t;
	return 0;
}

unsigned t_socket_count(const struct t_socket *t)
{
	return t->count;
}

void t_socket_free(struct t_socket *t)
{
	if (!t)
		return;
	while (t->clients)
		client_close(t->clients, NULL);
	acceptor_end(&t->acceptor);
	loop_idle_remove(t->loop, t);
	free(t);
}
