/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crowd.h: as many processes that never rest as there are processors, where the test may run; it is one more. */
#ifndef VIRTFS_TESTS_LIB_CROWD_H
#define VIRTFS_TESTS_LIB_CROWD_H

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define CROWD_MAX 1024

struct crowd {
	pid_t pids[CROWD_MAX];
	long count;
};

static inline void crowd_start(struct crowd *c)
{
	c->count = sysconf(_SC_NPROCESSORS_ONLN);
	cr_assert(c->count > 0 && c->count <= CROWD_MAX);
	for (long i = 0; i < c->count; i++) {
		c->pids[i] = fork();
		cr_assert_geq(c->pids[i], 0);
		if (c->pids[i] == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (volatile unsigned n = 0;; n++)
				;
		}
	}
}

static inline void crowd_end(const struct crowd *c)
{
	for (long i = 0; i < c->count; i++) {
		(void)kill(c->pids[i], SIGKILL);
		(void)waitpid(c->pids[i], NULL, 0);
	}
}

#endif
