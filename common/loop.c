/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/loop.h"

#include "common/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <time.h>

#define EVENTS_MAX 64
#define IDLE_MAX   8

struct loop {
	int epoll;
	bool stopped;
	struct loop_timer *timers;
	struct epoll_event events[EVENTS_MAX];
	int event_count;
	struct {
		bool (*call)(void *context);
		void *context;
	} idle[IDLE_MAX];
	int idle_count;
};

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		free(l);
		return -errno;
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	fd_close(&l->epoll);
	free(l);
}

int loop_add(struct loop *l, struct loop_source *s, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = s};

	s->events = events;
	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &e) < 0 ? -errno : 0;
}

void loop_change(struct loop *l, struct loop_source *s, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = s};

	if (s->events == events)
		return;
	s->events = events;
	BUG_ON(epoll_ctl(l->epoll, EPOLL_CTL_MOD, s->fd, &e) < 0);
}

void loop_remove(struct loop *l, struct loop_source *s)
{
	(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	/* What was reported in the same wait is not for it any more. */
	for (int i = 0; i < l->event_count; i++) {
		if (l->events[i].data.ptr == s)
			l->events[i].data.ptr = NULL;
	}
}

uint64_t loop_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t at_ns)
{
	struct loop_timer **link = &l->timers;

	while (*link && *link != t)
		link = &(*link)->next;
	if (*link && at_ns == 0)
		*link = t->next;
	else if (!*link && at_ns != 0) {
		t->next = NULL;
		*link = t;
	}
	t->at_ns = at_ns;
}

void loop_idle_remove(struct loop *l, void *context)
{
	for (int i = 0; i < l->idle_count; i++) {
		if (l->idle[i].context == context)
			l->idle[i--] = l->idle[--l->idle_count];
	}
}

/* Until nobody has given anybody anything to do. */
static void run_idle(struct loop *l)
{
	bool again;

	do {
		again = false;
		for (int i = 0; i < l->idle_count; i++)
			again |= l->idle[i].call(l->idle[i].context);
	} while (again);
}

void loop_idle(struct loop *l, bool (*idle)(void *context), void *context)
{
	BUG_ON(l->idle_count == IDLE_MAX);
	l->idle[l->idle_count].call = idle;
	l->idle[l->idle_count++].context = context;
}

/* How long to wait: -1 for ever, else ms, rounded up. */
static int time_left(const struct loop *l)
{
	uint64_t first = UINT64_MAX, now;

	if (!l->timers)
		return -1;
	for (const struct loop_timer *t = l->timers; t; t = t->next)
		first = t->at_ns < first ? t->at_ns : first;
	now = loop_now();
	if (first <= now)
		return 0;
	first = (first - now + 999999) / 1000000;
	return first > INT_MAX ? INT_MAX : (int)first;
}

static void run_timers(struct loop *l)
{
	uint64_t now = l->timers ? loop_now() : 0;

	/* A callback may set and unset timers: the list is looked through from its start after
	 * each. */
	for (struct loop_timer *t = l->timers; t;) {
		if (t->at_ns > now) {
			t = t->next;
			continue;
		}
		loop_timer_set(l, t, 0);
		t->due(t);
		t = l->timers;
	}
}

int loop_run(struct loop *l)
{
	while (!l->stopped) {
		run_idle(l);
		l->event_count = epoll_wait(l->epoll, l->events, EVENTS_MAX, time_left(l));
		if (l->event_count < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < l->event_count; i++) {
			struct loop_source *s = l->events[i].data.ptr;

			if (s)
				s->ready(s, l->events[i].events);
		}
		l->event_count = 0;
		run_timers(l);
	}
	return 0;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
}
