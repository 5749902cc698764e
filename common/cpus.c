/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/cpus.h"

#include <errno.h>
#include <sched.h>

static cpu_set_t all;

void cpus_init(void)
{
	/* More processors than the set has room for: then there is none to keep to. */
	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		CPU_ZERO(&all);
}

unsigned cpus_count(void)
{
	return (unsigned)CPU_COUNT(&all);
}

bool cpus_have(uint32_t cpu)
{
	return cpu < CPU_SETSIZE && CPU_ISSET(cpu, &all);
}

int cpus_keep_to(uint32_t cpu)
{
	cpu_set_t one;

	if (cpu != CPUS_ANY && !cpus_have(cpu))
		return -EINVAL;
	CPU_ZERO(&one);
	if (cpu != CPUS_ANY)
		CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), cpu != CPUS_ANY ? &one : &all) < 0 ? -errno : 0;
}
