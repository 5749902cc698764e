/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * legacy_serve.c: bytes from the socket to a request, a request to its handler, the result to a
 * reply.
 *
 * Peer -> take_request() -> run() by the dispatch table: decode, legacy_answer_NAME(), encode ->
 * send_reply() -> peer. A request that is framed well but malformed inside gets -ENOBUFS, as the
 * old helper answers it.
 */
#include "helper/legacy_serve.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/usock.h"
#include "helper/legacy_ops.h"

#include <errno.h>
#include <string.h>

/* ---- the dispatch table: one row a line of legacy.def ---- */

#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep)                                    \
	static int run_##name(struct legacy_call *c, struct rd *in, struct wr *body) \
	{                                                                            \
		struct legacy_##name##_req q;                                        \
		struct legacy_##name##_rep a = {0};                                  \
		int r = legacy_##name##_req_get(in, &q) ? 0 : -ENOBUFS;              \
		if (r == 0)                                                          \
			r = legacy_answer_##name(c, &q, &a);                         \
		if (r == 0 && !c->only_length && !legacy_##name##_rep_put(body, &a)) \
			r = -ENOBUFS;                                                \
		return r;                                                            \
	}
#include "wire/legacy.def"
#undef MSG

#define MSG(number, NAME, name, policy, req, rep) [number] = run_##name,
static int (*const runs[])(struct legacy_call *c, struct rd *in, struct wr *body) = {
#include "wire/legacy.def"
};
#undef MSG
#undef F

/* ---- one connection ---- */

struct connection {
	int sock;
	const struct export *x;
	size_t have; /* bytes in in[] */
	uint8_t in[LEGACY_MESSAGE_MAX];
	uint8_t out[LEGACY_MESSAGE_MAX];
	struct legacy_call call;
};

static struct connection connection; /* too large for a stack, and there is only one */

/* A debug line: the request as it came and what became of it. */
static void trace(const struct wt_msg *msg, struct rd in, int result)
{
	union {
#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep) struct legacy_##name##_req name;
#include "wire/legacy.def"
#undef MSG
#undef F
	} any;
	char text[1024];
	struct sbuf s = sbuf_over(text, sizeof(text));

	if (!log_wants(LOG_LEVEL_DEBUG))
		return;
	if (msg->req.get(&in, &any))
		msg->req.dump(&s, &any);
	else
		sbuf_add(&s, " malformed");
	log_line(LOG_LEVEL_DEBUG, "%s%s -> %s", msg->name, text,
	         result < 0 ? errno_name(result) : "ok");
}

static int run(struct connection *conn, const struct wt_msg *msg, struct rd in, struct wr *body)
{
	if (conn->x->readonly && (msg->policy & LEGACY_WRITES))
		return -EROFS;
	return runs[msg->number](&conn->call, &in, body);
}

/* The four bytes of an OPEN or CREATE, and the descriptor with them. */
static int send_fd_reply(struct connection *conn, int result)
{
	AUTO_CLOSE int fd = fd_steal(&conn->call.fd);
	int32_t status = result < 0 ? result : LEGACY_FD_FOLLOWS;
	int r = usock_send(conn->sock, &status, sizeof(status), fd);

	if (r == 0 || fd < 0 || r == -EPIPE || r == -ECONNRESET)
		return r;
	/* The descriptor could not be passed (-ETOOMANYREFS): the peer gets that as the request's
	 * error. */
	status = r;
	return usock_send(conn->sock, &status, sizeof(status), -1);
}

static int send_status_reply(struct connection *conn, int32_t status)
{
	uint8_t reply[LEGACY_HEADER_SIZE + sizeof(status)];
	struct wr w = wr_over(reply, sizeof(reply));

	BUG_ON(!legacy_status_put(&w, status));
	return usock_send(conn->sock, reply, w.used, -1);
}

static int answer(struct connection *conn, const struct wt_msg *msg, struct rd in)
{
	struct wr body = wr_over(conn->out + LEGACY_HEADER_SIZE, LEGACY_PAYLOAD_MAX);
	struct wr header = wr_over(conn->out, LEGACY_HEADER_SIZE);
	int result;

	conn->call.x = conn->x;
	conn->call.fd = -1;
	conn->call.only_length = false;
	result = run(conn, msg, in, &body);
	trace(msg, in, result);

	if (msg->policy & LEGACY_GIVES_FD)
		return send_fd_reply(conn, result);
	if (result < 0 || !(msg->policy & LEGACY_GIVES_BODY))
		return send_status_reply(conn, result);
	if (conn->call.only_length)
		return send_status_reply(conn, conn->call.length);
	legacy_header_put(&header, &(struct legacy_header){LEGACY_SUCCESS, (uint32_t)body.used});
	return usock_send(conn->sock, conn->out, LEGACY_HEADER_SIZE + body.used, -1);
}

/*
 * Looks for a whole request at the start of in[]. Return: its size with the header, 0 if more bytes
 * are needed, or -EPROTO.
 */
static ssize_t take_request(struct connection *conn, const struct wt_msg **ret_msg,
                            struct rd *ret_in)
{
	struct rd r = rd_over(conn->in, conn->have);
	struct legacy_header h;
	bool fits;

	if (conn->have < LEGACY_HEADER_SIZE)
		return 0;
	fits = legacy_header_get(&r, &h);
	*ret_msg = wt_find(legacy_table, legacy_table_count, h.type);
	if (!*ret_msg) {
		log_error("request of unknown type %u (%u to %u are known): closing", h.type,
		          legacy_table[0].number, legacy_table[legacy_table_count - 1].number);
		return -EPROTO;
	}
	if (!fits) {
		log_error("%s request of %u bytes (%d at most): closing", (*ret_msg)->name, h.size,
		          LEGACY_PAYLOAD_MAX);
		return -EPROTO;
	}
	if (r.left < h.size)
		return 0;
	*ret_in = rd_over(r.at, h.size);
	return (ssize_t)(LEGACY_HEADER_SIZE + h.size);
}

/* Answers all requests that are in in[] as a whole. */
static int answer_all(struct connection *conn)
{
	const struct wt_msg *msg;
	struct rd in;
	ssize_t size;

	while ((size = take_request(conn, &msg, &in)) > 0) {
		int r = answer(conn, msg, in);

		if (r < 0)
			return r;
		conn->have -= (size_t)size;
		memmove(conn->in, conn->in + size, conn->have);
	}
	return (int)size;
}

int legacy_serve(int sock, const struct export *x)
{
	struct connection *conn = &connection;

	conn->sock = sock;
	conn->x = x;
	conn->have = 0;
	for (;;) {
		ssize_t n =
		    usock_recv(sock, conn->in + conn->have, sizeof(conn->in) - conn->have, NULL);
		int r;

		if (n == 0 || n == -ECONNRESET)
			break;
		if (n < 0) {
			log_error("cannot receive: %s", errno_name((int)n));
			return (int)n;
		}
		conn->have += (size_t)n;
		r = answer_all(conn);
		if (r == -EPIPE || r == -ECONNRESET) {
			conn->have = 0; /* nobody is left to answer */
			break;
		}
		if (r < 0) {
			if (r != -EPROTO)
				log_error("cannot reply: %s", errno_name(r));
			return r;
		}
	}
	if (conn->have) {
		log_error("the peer closed inside a request: %zu bytes are left", conn->have);
		return -EPROTO;
	}
	log_info("the peer closed");
	return 0;
}
