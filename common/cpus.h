/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cpus.h: which processors this process may run on. */
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

#endif
