/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * place.h: device and helper on one processor while calls go one at a time.
 *
 * The device waits then while the helper works: on one processor that is a switch from one to the other, and on two it is
 * a wake-up of an idle one each way, which takes ten times as long (docs/architecture.md). With several calls under way
 * both have work, and the scheduler places them as it likes.
 *
 * A place is for a moment only. The scheduler is asked anew where the device should be, so that nobody is kept beside a
 * busy neighbour.
 */
#ifndef VIRTFS_VIRTIO_9P_PLACE_H
#define VIRTFS_VIRTIO_9P_PLACE_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>

struct place {
	int singles;   /* of the last calls: how many went out with none under way */
	uint32_t own;  /* where we keep to, or CPUS_ANY */
	uint32_t told; /* what the helper was told last */
	uint64_t until_ns;
};

/** place_init() - Before the first call of a helper. */
void place_init(struct place *p);

/** place_leave() - Be free of a place, as when the helper is given up. */
void place_leave(struct place *p);

/**
 * place_call() - Note that a call goes out, with so many under way
 *
 * Return: whether the helper is to be told (RPC_PLACE) of a change first, which is *ret_cpu then.
 */
bool MUST_CHECK place_call(struct place *p, unsigned under_way, uint32_t *ret_cpu);

#endif
