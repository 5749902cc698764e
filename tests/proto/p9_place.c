/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_place.c: device and helper share a processor while calls go one at a time, and only then. */
#include "tests/lib/p9_rig.h"
#include "tests/lib/rpc_peer.h"

#include "common/cleanup.h"
#include "common/sbuf.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

TestSuite(place, .timeout = 120);

static unsigned cpus_of_all(void)
{
	cpu_set_t all;

	cr_assert_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	return (unsigned)CPU_COUNT(&all);
}

static void need_two(void)
{
	if (cpus_of_all() < 2)
		cr_skip_test("one processor alone leaves no choice");
}

/* Threads of a process that keep to one processor; *ret_cpu is that of the last such. */
static unsigned kept(pid_t pid, int *ret_cpu)
{
	char path[64];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	cr_assert_not_null(d);
	while ((e = readdir(d))) {
		cpu_set_t set;

		if (e->d_name[0] == '.' ||
		    sched_getaffinity((pid_t)strtol(e->d_name, NULL, 10), sizeof(set), &set) < 0)
			continue;
		if (CPU_COUNT(&set) != 1)
			continue;
		n++;
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (CPU_ISSET((size_t)cpu, &set))
				*ret_cpu = cpu;
		}
	}
	(void)closedir(d);
	return n;
}

Test(place, one_at_a_time_shares_a_processor_and_many_do_not)
{
	struct p9_rig rig;
	int device = -1, helper = -2;
	uint16_t tags[64];
	bool shared = false;

	need_two();
	p9_rig_start(&rig, NULL);
	rig_write(&rig.rig, "f", "x");
	/* A place is for a moment: it is looked for more than once. */
	for (int i = 0; i < 2000 && !shared; i++) {
		p9_to(&rig.c, 0, 1, "f");
		P9(&rig.c, clunk, .fid = 1);
		shared = i > 200 && kept(rig.device, &device) == 1 &&
		         kept(rig.rig.helper, &helper) > 0 && device == helper;
	}
	cr_assert(shared);
	for (int round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 64; i++)
			tags[i] =
			    P9_SEND(&rig.c, WALK, walk, .fid = 0, .newfid = 100 + i, .names = "f");
		for (uint32_t i = 0; i < 64; i++)
			cr_assert_eq(p9_wait(&rig.c, tags[i], P9_WALK, NULL), 0);
		for (uint32_t i = 0; i < 64; i++)
			P9(&rig.c, clunk, .fid = 100 + i);
	}
	cr_assert_eq(kept(rig.device, &device), 0);
	p9_rig_end(&rig);
}

Test(place, the_helper_goes_where_it_may_only)
{
	struct rig rig;
	int cpu = -1;
	unsigned before, placed;
	cpu_set_t all;
	uint32_t one = 0;

	need_two();
	rig_dirs(&rig);
	rig.native = true;
	rig_serve(&rig, NULL);
	cr_assert_neq(rpc_hello(rig.sock), 0);
	cr_assert_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(one, &all))
		one++;
	before = kept(rig.helper, &cpu);
	cr_assert_eq(RPC(rig.sock, PLACE, place, .cpu = 100000), -EINVAL);
	cr_assert_eq(RPC(rig.sock, PLACE, place, .cpu = UINT32_MAX - 1), -EINVAL);
	cr_assert_eq(RPC(rig.sock, PLACE, place, .cpu = CPU_SETSIZE), -EINVAL);
	cr_assert_eq(kept(rig.helper, &cpu), before);
	cr_assert_eq(RPC(rig.sock, PLACE, place, .cpu = one), 0);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(
		    rpc_do(rig.sock, RPC_NOTHING, &(struct rpc_nothing_req){0}, NULL, NULL), 0);
	placed = kept(rig.helper, &cpu);
	cr_assert_gt(placed, before);
	cr_assert_eq((uint32_t)cpu, one);
	cr_assert_eq(RPC(rig.sock, PLACE, place, .cpu = UINT32_MAX), 0);
	/* A thread follows when it takes a request; one that took none since stays where it sleeps. */
	for (int i = 0; i < 10000 && kept(rig.helper, &cpu) == placed; i++)
		cr_assert_eq(
		    rpc_do(rig.sock, RPC_NOTHING, &(struct rpc_nothing_req){0}, NULL, NULL), 0);
	cr_assert_lt(kept(rig.helper, &cpu), placed);
	cr_assert_eq(rig_end(&rig), 0);
}
