/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/place.h"

#include "common/loop.h"

#include <sched.h>
#include <string.h>

#define SINGLES_MAX  64 /* so many calls one at a time, and a place is kept to */
#define SINGLES_LOST 8  /* what a call beside another takes of them */
#define PLACE_NS     50000000

/* Those that we may run on: asked once, while that is allowed and before we choose one ourselves. */
static cpu_set_t all;
static bool known;

void place_init(struct place *p)
{
	/* More processors than the set has room for: then none is ever chosen. */
	if (!known && sched_getaffinity(0, sizeof(all), &all) < 0)
		CPU_ZERO(&all);
	known = true;
	memset(p, 0, sizeof(*p));
	p->own = p->told = PLACE_ANY;
}

void place_leave(struct place *p)
{
	if (p->own != PLACE_ANY)
		(void)sched_setaffinity(0, sizeof(all), &all);
	p->own = PLACE_ANY;
}

/* Keeps to where we are now. */
static void stay(struct place *p)
{
	int at = sched_getcpu();
	unsigned cpu = (unsigned)at;
	cpu_set_t one;

	if (at < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &all))
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) == 0)
		p->own = cpu;
}

bool place_call(struct place *p, unsigned under_way, uint32_t *ret_cpu)
{
	uint64_t now;

	if (under_way > 0)
		p->singles = p->singles > SINGLES_LOST ? p->singles - SINGLES_LOST : 0;
	else if (p->singles < SINGLES_MAX)
		p->singles++;
	if (p->singles == 0) {
		place_leave(p);
	} else if (p->own != PLACE_ANY) {
		/* From here to the next call the scheduler may move us. */
		if (loop_now() >= p->until_ns)
			place_leave(p);
		return false;
	} else if (p->singles == SINGLES_MAX && CPU_COUNT(&all) > 1) {
		now = loop_now();
		stay(p);
		p->until_ns = now + PLACE_NS;
	}
	if (p->own == p->told || (p->own == PLACE_ANY && p->singles > 0))
		return false;
	*ret_cpu = p->told = p->own;
	return true;
}
