/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpus.c: keeping to a processor; whether more want one than there are. */
#include "common/cpus.h"
#include "common/compiler.h"
#include "tests/lib/crowd.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

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

Test(cpus, more_than_there_are_is_a_crowd)
{
	struct cpus_load load;
	struct crowd crowd;
	unsigned seen = 0;

	cpus_load_open(&load);
	cr_assert_geq(load.fd, 0);
	cr_assert_eq(fcntl(load.fd, F_GETFD), FD_CLOEXEC);
	crowd_start(&crowd);
	for (int i = 0; i < 100; i++) {
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		seen += cpus_crowded(&load);
	}
	crowd_end(&crowd);
	cpus_load_close(&load);
	cr_assert_gt(seen, 90);
}

Test(cpus, as_many_as_there_are_is_none)
{
	struct cpus_load load;

	cpus_load_open(&load);
	load.cpus = 100000; /* of a machine that has them */
	cr_assert_not(cpus_crowded(&load));
	cpus_load_close(&load);
	cr_assert_eq(load.fd, -1);
	cr_assert_not(cpus_crowded(&load), "where there is no knowing");
}
