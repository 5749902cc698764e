/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpus.c: keeping to a processor. */
#include "common/cpus.h"
#include "common/compiler.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>

TestSuite(cpus, .timeout = 60);

Test(cpus, a_thread_keeps_to_any_one_that_it_may_use_and_gets_all_back)
{
	cpu_set_t before, now;

	cr_assert_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	cpus_init();
	cr_assert_eq(cpus_count(), (unsigned)CPU_COUNT(&before));
	for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cr_assert_eq(cpus_have(cpu), CPU_ISSET(cpu, &before) != 0);
		if (!cpus_have(cpu)) {
			cr_assert_eq(cpus_keep_to(cpu), -EINVAL);
			continue;
		}
		cr_assert_eq(cpus_keep_to(cpu), 0);
		cr_assert_eq(sched_getcpu(), (int)cpu);
		cr_assert_eq(sched_getaffinity(0, sizeof(now), &now), 0);
		cr_assert_eq(CPU_COUNT(&now), 1);
	}
	cr_assert_eq(cpus_keep_to(CPUS_ANY), 0);
	cr_assert_eq(sched_getaffinity(0, sizeof(now), &now), 0);
	cr_assert(CPU_EQUAL(&now, &before));
}

Test(cpus, none_that_is_not_there)
{
	cpus_init();
	cr_assert_not(cpus_have(CPU_SETSIZE));
	cr_assert_not(cpus_have(CPUS_ANY));
	cr_assert_eq(cpus_keep_to(CPU_SETSIZE), -EINVAL);
}
