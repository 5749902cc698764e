/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/place.h"

#include "common/cpus.h"
#include "common/loop.h"

#include <sched.h>

#define SINGLES_MAX  64 /* so many calls one at a time, and a place is kept to */
#define SINGLES_LOST 8  /* what a call beside another takes of them */
#define PLACE_NS     50000000

void place_init(struct place *p)
{
	*p = (struct place){.own = CPUS_ANY, .told = CPUS_ANY};
}

void place_leave(struct place *p)
{
	if (p->own != CPUS_ANY)
		(void)cpus_keep_to(CPUS_ANY);
	p->own = CPUS_ANY;
}

/* Keeps to where we are now. */
static void stay(struct place *p)
{
	int at = sched_getcpu();

	if (at >= 0 && cpus_keep_to((uint32_t)at) == 0)
		p->own = (uint32_t)at;
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
	} else if (p->own != CPUS_ANY) {
		/* From here to the next call the scheduler may move us. */
		if (loop_now() >= p->until_ns)
			place_leave(p);
		return false;
	} else if (p->singles == SINGLES_MAX && cpus_count() > 1) {
		now = loop_now();
		stay(p);
		p->until_ns = now + PLACE_NS;
	}
	if (p->own == p->told || (p->own == CPUS_ANY && p->singles > 0))
		return false;
	*ret_cpu = p->told = p->own;
	return true;
}
