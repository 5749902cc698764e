/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cpus.h: which processors this process may run on, and whether all of them are wanted. */
#ifndef VIRTFS_COMMON_CPUS_H
#define VIRTFS_COMMON_CPUS_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>

#define CPUS_ANY UINT32_MAX

/** cpus_init() - Note those that the process may run on now; the others do nothing before it. */
void cpus_init(void);

/** cpus_count() - How many those are; 0 if they cannot be told. */
unsigned cpus_count(void);

/** cpus_have() - Whether a number is that of one of them. */
bool cpus_have(uint32_t cpu);

/** cpus_keep_to() - Let the calling thread run on that one alone, or on all again (CPUS_ANY). Return: 0 or -errno. */
int cpus_keep_to(uint32_t cpu);

/** struct cpus_load - a way to ask how many processes on this machine want a processor */
struct cpus_load {
	int fd; /* proc(5): loadavg; or -1: there is no knowing */
	unsigned cpus;
};

/** cpus_load_open() - Opens a file: before the process gives that right away. */
void cpus_load_open(struct cpus_load *l);
void cpus_load_close(struct cpus_load *l);

/** cpus_crowded() - Whether more want a processor now than there are, the caller counted. */
bool MUST_CHECK cpus_crowded(const struct cpus_load *l);

#endif
