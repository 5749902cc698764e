/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/loop.h"

#include "common/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/epoll.h>
#include <time.h>

#define EVENTS_MAX  64
#define IDLE_MAX    8
#define IDLE_ROUNDS 4

/* Looking before sleeping. */
#define LOOKS_A_POLL 8         /* looks at memory between two that ask the kernel */
#define SCORE_MAX    8         /* of waits that were short lately */
#define SCORE_MISS   1         /* what a long one takes of them */
#define WAKE_NS      300000    /* what a wake-up may add to a wait that looking would have spared */
#define TAKEN_NS     500000    /* who keeps our CPU for so long after we gave way has work to do: */
#define AWAY_MIN_NS  2000000   /* then there is no looking for so long; twice that the next time, */
#define AWAY_MAX_NS  512000000 /* up to this; */
#define AWAY_SHRINK  256       /* each look that pays off takes such a part of it away */

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
	struct loop_poller *pollers;
	uint64_t poll_ns;
	int scores[2]; /* of waits for what may come at any time, and for what is under way */
	uint64_t away_ns, away_until;
};

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->poll_ns = LOOP_POLL_NS;
	l->away_ns = AWAY_MIN_NS;
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

/* Until nobody has given anybody anything to do; but whoever has without end does not keep events out. Return: who had. */
static bool run_idle(struct loop *l)
{
	bool again = true;

	for (int round = 0; again && round < IDLE_ROUNDS; round++) {
		again = false;
		for (int i = 0; i < l->idle_count; i++)
			again |= l->idle[i].call(l->idle[i].context);
	}
	return again;
}

void loop_idle(struct loop *l, bool (*idle)(void *context), void *context)
{
	BUG_ON(l->idle_count == IDLE_MAX);
	l->idle[l->idle_count].call = idle;
	l->idle[l->idle_count++].context = context;
}

void loop_poll_for(struct loop *l, uint64_t ns)
{
	l->poll_ns = ns;
}

void loop_poll(struct loop *l, struct loop_poller *p)
{
	p->next = l->pollers;
	l->pollers = p;
}

void loop_poll_remove(struct loop *l, struct loop_poller *p)
{
	struct loop_poller **link = &l->pollers;

	while (*link && *link != p)
		link = &(*link)->next;
	if (*link)
		*link = p->next;
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

static bool any_awaits(const struct loop *l)
{
	for (struct loop_poller *p = l->pollers; p; p = p->next) {
		if (p->awaits && p->awaits(p))
			return true;
	}
	return false;
}

static bool any_found(const struct loop *l)
{
	for (struct loop_poller *p = l->pollers; p; p = p->next) {
		if (p->look && p->look(p))
			return true;
	}
	return false;
}

static bool arm_all(const struct loop *l)
{
	bool came = false;

	for (struct loop_poller *p = l->pollers; p; p = p->next)
		came |= p->arm && p->arm(p);
	return came;
}

static bool any_busy(const struct loop *l)
{
	for (struct loop_poller *p = l->pollers; p; p = p->next) {
		if (p->busy && p->busy(p))
			return true;
	}
	return false;
}

static void stay_away(struct loop *l, uint64_t now)
{
	l->away_until = now + l->away_ns;
	l->away_ns = 2 * l->away_ns < AWAY_MAX_NS ? 2 * l->away_ns : AWAY_MAX_NS;
}

/*
 * Looks for a while, giving way before each few looks to whoever else wants this CPU. One who goes back to sleep soon, as
 * the helper after its reply, costs nothing; one who stays has work of its own, which looking would take the CPU from.
 * Return: whether there is something to do; events, perhaps.
 */
static bool look_for_a_while(struct loop *l, uint64_t from)
{
	uint64_t before = from, now;

	do {
		(void)sched_yield();
		now = loop_now();
		if (now - before > TAKEN_NS) {
			stay_away(l, now);
			return false;
		}
		before = now;
		for (int i = 0; i < LOOKS_A_POLL; i++) {
			if (any_found(l))
				return true;
		}
		l->event_count = epoll_wait(l->epoll, l->events, EVENTS_MAX, 0);
		if (l->event_count != 0)
			return true;
	} while (now - from < l->poll_ns);
	return false;
}

/* Short waits raise the score and long ones lower it, spent looking or asleep: so looking begins and ends by itself. */
static void learn(int *score, bool was_short)
{
	*score += was_short ? 1 : -SCORE_MISS;
	if (*score < 0)
		*score = 0;
	else if (*score > SCORE_MAX)
		*score = SCORE_MAX;
}

static void paid_off(struct loop *l)
{
	l->away_ns -= l->away_ns / AWAY_SHRINK;
	if (l->away_ns < AWAY_MIN_NS)
		l->away_ns = AWAY_MIN_NS;
}

/* busy: there is something to do whatever comes. */
static void wait_for_events(struct loop *l, bool busy)
{
	bool learns = l->pollers && l->poll_ns > 0 && !any_awaits(l);
	uint64_t from = learns ? loop_now() : 0;
	int *score = &l->scores[learns && any_busy(l)];

	l->event_count = 0;
	if (busy || any_found(l)) {
		l->event_count = epoll_wait(l->epoll, l->events, EVENTS_MAX, 0);
		return;
	}
	if (learns && *score > 0 && from > l->away_until && look_for_a_while(l, from)) {
		paid_off(l);
		learn(score, true);
		return;
	}
	if (arm_all(l))
		return;
	l->event_count = epoll_wait(l->epoll, l->events, EVENTS_MAX, time_left(l));
	if (learns)
		learn(score, loop_now() - from < l->poll_ns + WAKE_NS);
}

int loop_run(struct loop *l)
{
	while (!l->stopped) {
		bool busy = run_idle(l);

		if (l->stopped)
			break;
		wait_for_events(l, busy);
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
