/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop.c: the loop's looking before it sleeps: when it begins, when it ends, and that nothing is missed. */
#include "common/loop.h"
#include "common/cleanup.h"
#include "common/cpus.h"
#include "tests/lib/crowd.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define FEW 100 /* looks that come of waking up and going to sleep alone, at most */

static struct {
	struct loop *loop;
	struct loop_source source;
	struct loop_timer timer;
	struct loop_poller poller;
	unsigned events, events_max;
	unsigned looks, find_at;
	uint64_t look_ns; /* how long one takes */
	bool came_while_arming, awaits;
	bool steady; /* an event after a few looks, and when it goes to sleep */
	bool
	    busy; /* something is under way, until it first goes to sleep and one event more comes */
	bool more_at_arm; /* as many events again when it first goes to sleep after the last */
	unsigned looks_before, arms;
} t;

/* Events that are there at once, as many as asked for. */
static void signal_next(void)
{
	if (t.events < t.events_max)
		cr_assert_eq(write(t.source.fd, &(uint64_t){1}, sizeof(uint64_t)),
		             (ssize_t)sizeof(uint64_t));
}

static void ready(struct loop_source *s, uint32_t events)
{
	uint64_t n;

	cr_assert(events & EPOLLIN);
	cr_assert_eq(read(s->fd, &n, sizeof(n)), (ssize_t)sizeof(n));
	t.events++;
	if (!t.steady)
		signal_next();
}

static void spend(uint64_t ns)
{
	for (uint64_t from = loop_now(); loop_now() - from < ns;)
		;
}

static bool look(struct loop_poller *p)
{
	(void)p;
	spend(t.look_ns);
	if (t.steady && t.looks % 100 == 0)
		signal_next();
	if (++t.looks != t.find_at)
		return false;
	loop_stop(t.loop);
	return true;
}

static bool arm(struct loop_poller *p)
{
	bool came = t.came_while_arming;

	(void)p;
	t.arms++;
	if (t.steady)
		signal_next();
	if (t.busy && t.events == t.events_max) {
		t.busy = false;
		t.looks_before = t.looks;
		t.events_max++;
		signal_next();
	}
	if (t.more_at_arm && t.events == t.events_max) {
		t.more_at_arm = false;
		t.looks_before = t.looks;
		t.events_max *= 2;
		signal_next();
	}
	if (came)
		loop_stop(t.loop);
	return came;
}

static bool awaits(struct loop_poller *p)
{
	(void)p;
	return t.awaits;
}

static void due(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(t.loop);
}

static void start(void)
{
	cr_assert_eq(loop_new(&t.loop), 0);
	t.source = (struct loop_source){.fd = eventfd(0, EFD_CLOEXEC), .ready = ready};
	cr_assert_eq(loop_add(t.loop, &t.source, EPOLLIN), 0);
	t.timer.due = due;
	t.poller = (struct loop_poller){.look = look, .arm = arm, .awaits = awaits};
	loop_poll(t.loop, &t.poller);
}

static void end(void)
{
	loop_poll_remove(t.loop, &t.poller);
	loop_free(t.loop);
	fd_close(&t.source.fd);
}

TestSuite(looking, .init = start, .fini = end, .timeout = 60);

/* So many events one after the other, and then nothing for so long. */
static void run(unsigned events, uint64_t quiet_ns)
{
	t.events_max = events;
	signal_next();
	loop_timer_set(t.loop, &t.timer, loop_now() + quiet_ns);
	cr_assert_eq(loop_run(t.loop), 0);
	cr_assert(t.steady || t.events == t.events_max);
}

/* Where others want the processor it gives way: what it does in a quiet moment is waited for. */
static void seen(bool (*once)(void), const char *what)
{
	for (uint64_t until = loop_now() + 40000000000; !once();) {
		cr_assert_lt(loop_now(), until, "%s", what);
		end();
		memset(&t, 0, sizeof(t));
		start();
	}
}

static bool looks_often(void)
{
	run(20, 20000000);
	return t.looks > FEW;
}

Test(looking, begins_when_waits_are_short)
{
	seen(looks_often, "it never looked before it slept");
}

Test(looking, does_not_begin_without_short_waits)
{
	run(0, 20000000);
	cr_assert_lt(t.looks, FEW);
}

Test(looking, can_be_forbidden)
{
	loop_poll_for(t.loop, 0);
	run(20, 20000000);
	cr_assert_lt(t.looks, FEW);
}

Test(looking, does_not_keep_a_process_waiting_that_is_worked_for)
{
	t.awaits = true;
	run(20, 20000000);
	cr_assert_lt(t.looks, FEW);
}

static bool finds(void)
{
	t.find_at = 200;
	run(20, 500000000);
	return t.looks == t.find_at;
}

Test(looking, finds_what_no_descriptor_tells)
{
	seen(finds, "it did not look as often as it takes");
}

Test(looking, what_comes_before_the_sleep_is_not_missed)
{
	t.came_while_arming = true;
	run(0, 5000000000);
	cr_assert_eq(t.timer.at_ns != 0, true, "it slept until the timer");
}

Test(looking, ends_and_then_nothing_wakes_the_process)
{
	struct rusage before, after;
	unsigned looks;

	run(20, 20000000);
	looks = t.looks;
	loop_free(t.loop);
	cr_assert_eq(loop_new(&t.loop), 0);
	loop_poll(t.loop, &t.poller);
	cr_assert_eq(getrusage(RUSAGE_THREAD, &before), 0);
	loop_timer_set(t.loop, &t.timer, loop_now() + 500000000);
	cr_assert_eq(loop_run(t.loop), 0);
	cr_assert_eq(getrusage(RUSAGE_THREAD, &after), 0);
	cr_assert_leq(after.ru_nvcsw - before.ru_nvcsw, 3);
	cr_assert_leq(t.looks - looks, 3);
}

/* Who stays when we give way has the processor, so there are few looks; without giving way there would be 100,000 and more. All
 * keep to one processor, or the crowd might be elsewhere. */
Test(looking, gives_way_to_a_crowd)
{
	struct crowd crowd;

	cpus_init();
	cr_assert_eq(cpus_keep_to((uint32_t)sched_getcpu()), 0);
	crowd_start(&crowd);
	t.steady = true;
	t.look_ns = 2000;
	run(UINT_MAX, 1000000000);
	crowd_end(&crowd);
	cr_assert_lt(t.looks - t.arms, 20000);
}

static bool busy(struct loop_poller *p)
{
	(void)p;
	return t.busy;
}

static bool learns_apart(void)
{
	t.poller.busy = busy;
	t.busy = true;
	run(20, 20000000);
	cr_assert_eq(t.events, 21);
	cr_assert_lt(t.looks - t.looks_before, FEW, "it looked for what comes anyway");
	return t.looks_before > FEW;
}

/* What waits for a device are like says nothing of those for what the guest asks next. */
Test(looking, learns_what_is_under_way_apart)
{
	seen(learns_apart, "it did not look while something was under way");
}

static bool stays_away(void)
{
	t.look_ns = 70000;
	t.more_at_arm = true;
	run(20, 200000000);
	return t.looks_before > 60 && t.looks - t.looks_before < t.looks_before;
}

/* A look that takes very long looks like one during which another process ran. */
Test(looking, gives_way_to_others_for_a_while)
{
	seen(stays_away, "it did not look twice an event, or still does after it");
}
