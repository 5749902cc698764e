/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/acceptor.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

#define AGAIN_NS 1000000000

static void try_later(struct acceptor *a, int error)
{
	acceptor_pause(a);
	a->failed(a, error);
	loop_timer_set(a->loop, &a->again, loop_now() + AGAIN_NS);
}

static void again_due(struct loop_timer *t)
{
	struct acceptor *a = (struct acceptor *)((char *)t - offsetof(struct acceptor, again));
	int r = acceptor_resume(a);

	if (r < 0)
		try_later(a, r);
}

static void ready(struct loop_source *s, uint32_t events UNUSED)
{
	struct acceptor *a = (struct acceptor *)((char *)s - offsetof(struct acceptor, source));
	int sock = -1, r = usock_accept(s->fd, &sock);

	if (r == 0)
		r = a->take(a, sock);
	/* He waits there still, most likely for a descriptor of ours. */
	if (r < 0 && r != -EAGAIN)
		try_later(a, r);
}

int acceptor_start(struct acceptor *a, struct loop *l, int listener)
{
	int r = fd_nonblock(listener);

	a->loop = l;
	a->source = (struct loop_source){.fd = listener, .ready = ready};
	a->again.due = again_due;
	a->listening = false;
	if (r == 0)
		r = acceptor_resume(a);
	if (r < 0)
		fd_close(&a->source.fd);
	return r;
}

void acceptor_pause(struct acceptor *a)
{
	if (a->source.fd < 0)
		return;
	loop_timer_set(a->loop, &a->again, 0);
	if (a->listening)
		loop_remove(a->loop, &a->source);
	a->listening = false;
}

int acceptor_resume(struct acceptor *a)
{
	int r;

	if (a->source.fd < 0 || a->listening)
		return 0;
	r = loop_add(a->loop, &a->source, EPOLLIN);
	a->listening = r == 0;
	return r;
}

void acceptor_end(struct acceptor *a)
{
	acceptor_pause(a);
	fd_close(&a->source.fd);
}
