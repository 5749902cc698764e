/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/place.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

static cpu_set_t all;
static _Atomic uint32_t asked; /* a processor's number + 1; 0: any */

void place_init(void)
{
	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		CPU_ZERO(&all);
}

int place_ask(uint32_t cpu)
{
	if (cpu != UINT32_MAX && (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &all)))
		return -EINVAL;
	atomic_store(&asked, cpu + 1);
	return 0;
}

void place_follow(uint32_t *at)
{
	uint32_t to = atomic_load_explicit(&asked, memory_order_relaxed);
	cpu_set_t one;

	if (to == *at)
		return;
	*at = to;
	CPU_ZERO(&one);
	if (to > 0)
		CPU_SET(to - 1, &one);
	(void)sched_setaffinity(0, sizeof(one), to > 0 ? &one : &all);
}
