/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * place.h: on which processor requests are worked on.
 *
 * A device that waits for each call asks for the processor that it is on itself (RPC_PLACE): no idle one is woken then.
 * Threads follow one by one, when they take their next request.
 */
#ifndef VIRTFS_HELPER_PLACE_H
#define VIRTFS_HELPER_PLACE_H

#include "common/compiler.h"

#include <stdint.h>

/** place_ask() - From now on that one, or any (CPUS_ANY). -EINVAL for one that the process may not use. */
int MUST_CHECK place_ask(uint32_t cpu);

/** place_follow() - Let the calling thread go where was asked for last; *at is its own note, CPUS_ANY at first. */
void place_follow(uint32_t *at);

#endif
