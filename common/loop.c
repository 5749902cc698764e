/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/loop.h"

#include "common/cleanup.h"
#include "common/cpus.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <time.h>

#define EVENTS_MAX  64
#define IDLE_MAX    8
#define IDLE_ROUNDS 4

/* Looking before sleeping. */
#define LOOKS_A_POLL 8      /* looks at memory between two that ask the kernel */
#define SCORE_MAX    8      /* of waits that were short lately */
#define SCORE_MISS   1      /* what a long one takes of them */
#define WAKE_NS      300000 /* what a wake-up may add to a wait that looking would have spared */
#define CROWD_NS     50000  /* how often to ask whether more want a CPU than there are */
#define CROWD_SURE   32 /* times that they do, less two for each that they do not, are a crowd; */
#define CROWD_NONE   2
#define CROWD_AGAIN  16     /* where that count goes on when looking begins anew */
#define TAKEN_NS     500000 /* a look that takes so long is one too: another had our CPU meanwhile; */
#define AWAY_MIN_NS  2000000  /* then there is no looking for so long; twice that the next time, */
#define AWAY_MAX_NS  64000000 /* up to this */

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
	int score;
	struct cpus_load load;
	uint64_t asked_ns; /* when it was last asked for a crowd */
	int crowd;         /* how often there was one lately, less how often there was none */
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
	l->load.fd = -1;
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	fd_close(&l->epoll);
	cpus_load_close(&l->load);
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

void loop_mind_crowds(struct loop *l)
{
	cpus_load_close(&l->load);
	cpus_load_open(&l->load);
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

/* Whether others wait for a CPU most of the time: looking takes it from them. Some always do, for a moment. */
static bool crowded(struct loop *l, uint64_t now)
{
	if (now - l->asked_ns < CROWD_NS)
		return false;
	l->asked_ns = now;
	if (!cpus_crowded(&l->load)) {
		l->crowd = l->crowd > CROWD_NONE ? l->crowd - CROWD_NONE : 0;
		return false;
	}
	if (l->crowd < CROWD_SURE)
		l->crowd++;
	return l->crowd == CROWD_SURE;
}

static void stay_away(struct loop *l, uint64_t now)
{
	l->away_until = now + l->away_ns;
	l->crowd = CROWD_AGAIN;
	l->away_ns = 2 * l->away_ns < AWAY_MAX_NS ? 2 * l->away_ns : AWAY_MAX_NS;
}

/* Looks for a while. Return: whether there is something to do; events, perhaps. */
static bool look_for_a_while(struct loop *l, uint64_t from)
{
	uint64_t before = from, now;

	/* At first there may be those who go on with what was just done. */
	l->asked_ns = from;
	do {
		for (int i = 0; i < LOOKS_A_POLL; i++) {
			if (any_found(l))
				return true;
		}
		l->event_count = epoll_wait(l->epoll, l->events, EVENTS_MAX, 0);
		if (l->event_count != 0)
			return true;
		now = loop_now();
		if (now - before > TAKEN_NS || crowded(l, now)) {
			stay_away(l, now);
			return false;
		}
		before = now;
	} while (now - from < l->poll_ns);
	return false;
}

/* Short waits raise the score and long ones lower it, spent looking or asleep: so looking begins and ends by itself. */
static void learn(struct loop *l, bool was_short)
{
	l->score += was_short ? 1 : -SCORE_MISS;
	if (l->score < 0)
		l->score = 0;
	else if (l->score > SCORE_MAX)
		l->score = SCORE_MAX;
}

/* busy: there is something to do whatever comes. */
static void wait_for_events(struct loop *l, bool busy)
{
	bool learns = l->pollers && l->poll_ns > 0 && !any_awaits(l);
	uint64_t from = learns ? loop_now() : 0;

	l->event_count = 0;
	if (busy || any_found(l)) {
		l->event_count = epoll_wait(l->epoll, l->events, EVENTS_MAX, 0);
		return;
	}
	if (learns && l->score > 0 && from > l->away_until && look_for_a_while(l, from)) {
		if (l->crowd < CROWD_AGAIN)
			l->away_ns = l->away_ns / 2 > AWAY_MIN_NS ? l->away_ns / 2 : AWAY_MIN_NS;
		learn(l, true);
		return;
	}
	if (arm_all(l))
		return;
	l->event_count = epoll_wait(l->epoll, l->events, EVENTS_MAX, time_left(l));
	if (learns)
		learn(l, loop_now() - from < l->poll_ns + WAKE_NS);
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
