/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rpc_serve.c: packets from the socket to a request, a request to its handler, the result to a
 * reply.
 *
 * Theory of operation: a few threads block in recvmsg on the one socket; who gets a packet runs it
 * and replies. So a request wakes one thread, by the kernel alone, and the device's burst is taken
 * off by the same hot threads. A request can get stuck in the file system, though. When nobody is
 * left to receive, the supervisor (the main thread) is woken, and as long as that lasts without
 * anything being finished it sends one more thread to the socket every few milliseconds. There are
 * as many as there may be requests under way, so each finds one. Threads that come back when enough
 * receive go to wait again.
 */
#include "helper/rpc_serve.h"

#include "common/cleanup.h"
#include "common/cpus.h"
#include "common/log.h"
#include "common/usock.h"
#include "helper/nodes.h"
#include "helper/place.h"
#include "helper/rpc_ops.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define RECEIVERS  2       /* that is how many processors it takes to keep a device busy */
#define STACK_SIZE 262144  /* virtual; a request touches a few pages */
#define TICK_NS    5000000 /* how long all may be busy without an end of a request */
#define CALM_TICKS 20      /* the supervisor sleeps again after so many ticks with a receiver */

/* ---- the dispatch table: one row a line of rpc.def ---- */

#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep)                                 \
	static int run_##name(struct rpc_call *c, struct rd *in, struct wr *body) \
	{                                                                         \
		struct rpc_##name##_req q;                                        \
		struct rpc_##name##_rep a;                                        \
		int r = rpc_##name##_req_get(in, &q) ? 0 : -EPROTO;               \
		memset(&a, 0, sizeof(a));                                         \
		if (r == 0)                                                       \
			r = rpc_answer_##name(c, &q, &a);                         \
		if (r == 0 && !rpc_##name##_rep_put(body, &a))                    \
			r = -EMSGSIZE;                                            \
		return r;                                                         \
	}
#include "wire/rpc.def"
#undef MSG

#define MSG(number, NAME, name, policy, req, rep) [number] = run_##name,
static int (*const runs[])(struct rpc_call *c, struct rd *in, struct wr *body) = {
#include "wire/rpc.def"
};
#undef MSG
#undef F

/* ---- what the threads share ---- */

struct worker {
	struct rpc_call call;
	uint32_t place;
	uint8_t in[RPC_PACKET_MAX];
	uint8_t out[RPC_PACKET_MAX];
};

static struct {
	int sock;
	const struct export *x;
	atomic_bool greeted;
	atomic_int receiving;  /* threads at the socket */
	atomic_ulong finished; /* requests */
	atomic_bool asleep;    /* the supervisor waits for starving */
	atomic_bool ending;
	atomic_int result;
	sem_t standby;  /* threads that do not receive wait here */
	sem_t starving; /* wakes the supervisor */
	sem_t started; /* threads that have come so far; libc starts them with calls that the filter
	                  forbids */
} shared;

/* Large and touched only where used: memory that is not resident until a thread has run. */
static struct worker workers[RPC_CALLS_MAX];

static void end(int result)
{
	if (atomic_exchange(&shared.ending, true))
		return;
	atomic_store(&shared.result, result);
	(void)sem_post(&shared.starving);
}

/* A debug line: the request as it came and what became of it. */
static void trace(const struct wt_msg *msg, struct rd in, int result)
{
	union {
#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep) struct rpc_##name##_req name;
#include "wire/rpc.def"
#undef MSG
#undef F
	} any;
	char text[1024];
	struct sbuf s = sbuf_over(text, sizeof(text));

	if (msg->req.get(&in, &any))
		msg->req.dump(&s, &any);
	else
		sbuf_add(&s, " malformed");
	log_line(LOG_LEVEL_DEBUG, "%s%s -> %s", msg->name, text,
	         result < 0 ? errno_name(result) : "ok");
}

static int run(struct worker *w, const struct wt_msg *msg, struct rd in, struct wr *body)
{
	int r;

	if (!(msg->policy & RPC_ANY_TIME) && !atomic_load(&shared.greeted))
		return -EPROTO;
	if (shared.x->readonly && (msg->policy & RPC_WRITES))
		return -EROFS;
	r = runs[msg->number](&w->call, &in, body);
	if (r == 0 && msg->number == RPC_HELLO)
		atomic_store(&shared.greeted, true);
	return r;
}

static int reply(struct worker *w, const struct rpc_head *head, size_t body, int result)
{
	struct wr out = wr_over(w->out, RPC_REPLY_HEAD);
	AUTO_CLOSE int fd = fd_steal(&w->call.fd);
	struct rpc_head h = {.tag = head->tag, .type = head->type, .error = (uint32_t)-result};
	int r;

	rpc_reply_head_put(&out, &h);
	r = usock_send(shared.sock, w->out, out.used + (result < 0 ? 0 : body),
	               result < 0 ? -1 : fd);
	if (r == 0 || r == -EPIPE || r == -ECONNRESET)
		return r;
	/* The descriptor could not be passed (-ETOOMANYREFS): that is the request's error then. */
	h.error = (uint32_t)-r;
	out = wr_over(w->out, RPC_REPLY_HEAD);
	rpc_reply_head_put(&out, &h);
	return usock_send(shared.sock, w->out, out.used, -1);
}

/* One packet. Return: 0, or -errno when the connection is over. */
static int serve_packet(struct worker *w, size_t size)
{
	struct wr body = wr_over(w->out + RPC_REPLY_HEAD, sizeof(w->out) - RPC_REPLY_HEAD);
	struct rd in = rd_over(w->in, size);
	const struct wt_msg *msg;
	struct rpc_head head;
	int result;

	if (!rpc_request_head_get(&in, &head)) {
		log_error("a packet of %zu bytes is no request: closing", size);
		return -EPROTO;
	}
	msg = rpc_find(head.type);
	w->call.x = shared.x;
	w->call.fd = -1;
	result = msg ? run(w, msg, in, &body) : -EOPNOTSUPP;
	if (msg && log_wants(LOG_LEVEL_DEBUG))
		trace(msg, in, result);
	if (msg && (msg->policy & RPC_NO_REPLY))
		return 0;
	return reply(w, &head, body.used, result);
}

/* ---- threads ---- */

/* Leaves the socket; when nobody is left there the supervisor is to know. */
static void leave_socket(void)
{
	if (atomic_fetch_sub(&shared.receiving, 1) == 1 && atomic_exchange(&shared.asleep, false))
		(void)sem_post(&shared.starving);
}

static bool serve_one(struct worker *w)
{
	ssize_t n = usock_recv(shared.sock, w->in, sizeof(w->in), NULL);
	int r;

	leave_socket();
	place_follow(&w->place);
	if (n == 0 || n == -ECONNRESET) {
		end(0);
		return false;
	}
	if (n < 0) {
		log_error("cannot receive: %s", errno_name((int)n));
		end((int)n);
		return false;
	}
	r = serve_packet(w, (size_t)n);
	atomic_fetch_add(&shared.finished, 1);
	if (r < 0)
		end(r == -EPIPE || r == -ECONNRESET ? 0 : r);
	return r == 0;
}

static void wait_on(sem_t *s)
{
	while (sem_wait(s) < 0 && errno == EINTR)
		;
}

/* Never returns: the process ends as a whole. */
static void *work(void *worker)
{
	(void)sem_post(&shared.started);
	for (;;) {
		wait_on(&shared.standby);
		if (atomic_load(&shared.ending))
			continue;
		atomic_fetch_add(&shared.receiving, 1);
		do {
			if (!serve_one(worker))
				break;
		} while (atomic_fetch_add(&shared.receiving, 1) < RECEIVERS);
		atomic_fetch_sub(&shared.receiving, 1);
	}
	return NULL;
}

int rpc_prepare(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	cpus_init();
	if (sem_init(&shared.standby, 0, 0) < 0 || sem_init(&shared.starving, 0, 0) < 0 ||
	    sem_init(&shared.started, 0, 0) < 0)
		return -errno;
	r = pthread_attr_init(&attr);
	if (r == 0)
		r = pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (r == 0)
		r = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (size_t i = 0; i < RPC_CALLS_MAX; i++)
		workers[i].place = CPUS_ANY;
	for (size_t i = 0; r == 0 && i < RPC_CALLS_MAX; i++)
		r = pthread_create(&thread, &attr, work, &workers[i]);
	for (size_t i = 0; r == 0 && i < RPC_CALLS_MAX; i++)
		wait_on(&shared.started);
	return -r;
}

/* Waits a tick. */
static void tick(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += TICK_NS;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	while (sem_clockwait(&shared.starving, CLOCK_MONOTONIC, &t) < 0 && errno == EINTR)
		;
}

/* Nobody received a moment ago: looks on until somebody has done so for a while. */
static void watch(void)
{
	unsigned long before = atomic_load(&shared.finished);

	for (int calm = 0; calm < CALM_TICKS && !atomic_load(&shared.ending);) {
		unsigned long now;

		tick();
		now = atomic_load(&shared.finished);
		if (atomic_load(&shared.receiving) > 0) {
			calm++;
		} else {
			calm = 0;
			if (now == before)
				(void)sem_post(&shared.standby);
		}
		before = now;
	}
}

int rpc_serve(int sock, const struct export *x)
{
	shared.sock = sock;
	shared.x = x;
	atomic_store(&shared.asleep, true);
	for (int i = 0; i < RECEIVERS; i++)
		(void)sem_post(&shared.standby);
	while (!atomic_load(&shared.ending)) {
		atomic_store(&shared.asleep, true);
		/* Between the last look and this store somebody may have left as the last. */
		if (atomic_load(&shared.receiving) > 0)
			wait_on(&shared.starving);
		atomic_store(&shared.asleep, false);
		watch();
	}
	if (atomic_load(&shared.result) == 0)
		log_info("the peer closed");
	return atomic_load(&shared.result);
}
