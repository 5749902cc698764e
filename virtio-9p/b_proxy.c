/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/b_proxy.h"

#include "virtio-9p/place.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>

/* A release of its own for each clunk would wake the helper as often as a call does. */
#define RELEASE_BATCH    64
#define RELEASE_DELAY_NS 20000000

struct b_proxy {
	struct backend backend;
	struct loop *loop;
	struct pxc *pxc;
	struct loop_source source;
	struct loop_timer release_timer;
	struct loop_poller poller;
	struct place place;
	bool listening;
	void (*gone)(void *context);
	void *context;
};

/* After anything that may have closed the socket or filled it. */
static void look(struct b_proxy *p)
{
	if (!p->listening)
		return;
	if (!pxc_alive(p->pxc)) {
		p->listening = false;
		loop_remove(p->loop, &p->source);
		p->gone(p->context);
		return;
	}
	loop_change(p->loop, &p->source, pxc_wants_output(p->pxc) ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void ready(struct loop_source *s, uint32_t events UNUSED)
{
	struct b_proxy *p = (struct b_proxy *)((char *)s - offsetof(struct b_proxy, source));

	pxc_receive(p->pxc);
	look(p);
}

static bool idle(void *context)
{
	struct b_proxy *p = context;

	size_t count = pxc_to_release(p->pxc);

	if (count >= RELEASE_BATCH)
		pxc_flush(p->pxc);
	else if (count > 0 && !p->release_timer.at_ns)
		loop_timer_set(p->loop, &p->release_timer, loop_now() + RELEASE_DELAY_NS);
	look(p);
	return false;
}

/* The helper is woken on this CPU at best: it is not to find it busy with looking. */
static bool awaits(struct loop_poller *poller)
{
	const struct b_proxy *p =
	    (const struct b_proxy *)((char *)poller - offsetof(struct b_proxy, poller));

	return pxc_under_way(p->pxc) > 0;
}

static void release_due(struct loop_timer *t)
{
	struct b_proxy *p = (struct b_proxy *)((char *)t - offsetof(struct b_proxy, release_timer));

	pxc_flush(p->pxc);
	look(p);
}

static int call(struct backend *b, enum rpc_type type, const void *request, pxc_done *done,
                void *context, uint32_t *ret_call)
{
	struct b_proxy *p = (struct b_proxy *)b;
	struct rpc_place_req place;

	/* A helper that cannot go there works where it is. */
	if (place_call(&p->place, pxc_under_way(p->pxc), &place.cpu) &&
	    pxc_call(p->pxc, RPC_PLACE, &place, NULL, NULL, NULL) < 0)
		place_leave(&p->place);
	return pxc_call(p->pxc, type, request, done, context, ret_call);
}

static void cancel(struct backend *b, uint32_t id)
{
	pxc_cancel(((struct b_proxy *)b)->pxc, id);
}

static void release(struct backend *b, uint64_t nid)
{
	pxc_release(((struct b_proxy *)b)->pxc, nid);
}

static const struct backend_ops ops = {.call = call, .cancel = cancel, .release = release};

int b_proxy_new(struct loop *l, int sock, void (*gone)(void *context), void *context,
                struct backend **ret)
{
	struct b_proxy *p = calloc(1, sizeof(*p));
	int r = p ? pxc_new(sock, &p->pxc) : -ENOMEM;

	if (r < 0) {
		free(p);
		return r;
	}
	p->backend.ops = &ops;
	p->loop = l;
	p->gone = gone;
	p->context = context;
	p->source.fd = pxc_fd(p->pxc);
	p->source.ready = ready;
	p->release_timer.due = release_due;
	r = loop_add(l, &p->source, EPOLLIN);
	if (r < 0) {
		pxc_free(p->pxc);
		free(p);
		return r;
	}
	p->listening = true;
	loop_idle(l, idle, p);
	place_init(&p->place);
	p->poller.awaits = awaits;
	loop_poll(l, &p->poller);
	*ret = &p->backend;
	return 0;
}

void b_proxy_free(struct backend *b)
{
	struct b_proxy *p = (struct b_proxy *)b;

	if (!p)
		return;
	if (p->listening)
		loop_remove(p->loop, &p->source);
	p->listening = false;
	loop_idle_remove(p->loop, p);
	loop_poll_remove(p->loop, &p->poller);
	place_leave(&p->place);
	loop_timer_set(p->loop, &p->release_timer, 0);
	pxc_free(p->pxc);
	free(p);
}
