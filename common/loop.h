/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * loop.h: one thread that waits for descriptors and for a moment in time (epoll(7)).
 *
 * A source is part of its owner's struct; the loop keeps no memory for it. A callback may take any
 * source off the loop, its own too.
 */
#ifndef VIRTFS_COMMON_LOOP_H
#define VIRTFS_COMMON_LOOP_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>

struct loop_source {
	int fd;                                                /* the owner's */
	void (*ready)(struct loop_source *s, uint32_t events); /* EPOLLIN and so on */
	uint32_t events;
};

/** struct loop_timer - a moment at which something is to be done; 0: none */
struct loop_timer {
	uint64_t at_ns; /* CLOCK_MONOTONIC */
	void (*due)(struct loop_timer *t);
	struct loop_timer *next;
};

struct loop;

/** loop_new() - Return: 0 or -errno. */
int MUST_CHECK loop_new(struct loop **ret);
void loop_free(struct loop *l);

/** loop_add() - Wait for events on s->fd. Return: 0 or -errno. */
int MUST_CHECK loop_add(struct loop *l, struct loop_source *s, uint32_t events);

/** loop_change() - Wait for other events from now on; does nothing if they are the same. */
void loop_change(struct loop *l, struct loop_source *s, uint32_t events);
void loop_remove(struct loop *l, struct loop_source *s);

/** loop_now() - CLOCK_MONOTONIC, in ns. */
uint64_t loop_now(void);

/** loop_timer_set() - Call t->due once at that time, or never (0). Timers are few: they are a list.
 */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t at_ns);

/**
 * loop_idle() - Call this before each wait: the place for what goes out in batches
 *
 * It returns whether it did anything that may have given others something to do; then all are called once more.
 */
void loop_idle(struct loop *l, bool (*idle)(void *context), void *context);

/** loop_idle_remove() - Call it no more. */
void loop_idle_remove(struct loop *l, void *context);

/**
 * struct loop_poller - what takes part in looking before sleeping; each member may be NULL
 *
 * Being woken costs more than many looks, so the loop goes on looking for a while after the last event, where that has paid
 * off lately; it gives way to others who want the CPU (sched_yield(2)), and does not look for a while where one has kept it.
 */
struct loop_poller {
	/* Whether there is something to do that no descriptor has told; idle calls will do it. */
	bool (*look)(struct loop_poller *p);
	/* Before a sleep: ask for an event from now on. Return: whether something came just before, so no sleep. */
	bool (*arm)(struct loop_poller *p);
	/* Whether something is under way in a process that had better run on this CPU: then there is no looking. */
	bool (*awaits)(struct loop_poller *p);
	/* Whether the kernel is at work for it: what such waits are like is learnt apart from others. */
	bool (*busy)(struct loop_poller *p);
	struct loop_poller *next;
};

/** loop_poll_for() - Look for so long at most (LOOP_POLL_NS at first); 0: never. */
#define LOOP_POLL_NS 500000
void loop_poll_for(struct loop *l, uint64_t ns);

void loop_poll(struct loop *l, struct loop_poller *p);
void loop_poll_remove(struct loop *l, struct loop_poller *p);

/** loop_run() - Until loop_stop(). Return: 0, or -errno when waiting fails. */
int MUST_CHECK loop_run(struct loop *l);
void loop_stop(struct loop *l);

#endif
