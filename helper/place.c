/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/place.h"

#include "common/cpus.h"

#include <errno.h>
#include <stdatomic.h>

static _Atomic uint32_t asked = CPUS_ANY;

int place_ask(uint32_t cpu)
{
	if (cpu != CPUS_ANY && !cpus_have(cpu))
		return -EINVAL;
	atomic_store(&asked, cpu);
	return 0;
}

void place_follow(uint32_t *at)
{
	uint32_t to = atomic_load_explicit(&asked, memory_order_relaxed);

	if (to == *at)
		return;
	*at = to;
	(void)cpus_keep_to(to);
}
