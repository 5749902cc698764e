/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vu_held.h: a device, its ring, and a helper that the test plays and that holds calls back (b_synth.h): for what is under way. */
#ifndef VIRTFS_TESTS_LIB_VU_HELD_H
#define VIRTFS_TESTS_LIB_VU_HELD_H

#include "tests/lib/b_synth.h"
#include "tests/lib/vu_rig.h"

#include "common/usock.h"

#include <criterion/criterion.h>
#include <sys/socket.h>

/** vu_held_start() - more_features: as of struct vu_rig_opt; the ring is a packed one with VU_F_RING_PACKED. */
static inline void vu_held_start(struct vu_rig *rig, struct synth_helper *helper,
                                 uint64_t more_features)
{
	int pair[2];

	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	synth_helper_start(helper, pair[1], 1, 0);
	vu_rig_start(rig,
	             &(struct vu_rig_opt){.helper_sock = pair[0], .more_features = more_features});
	cr_assert_eq(rig->ring.packed != NULL, (more_features & VU_F_RING_PACKED) != 0);
}

static inline void vu_held_end(struct vu_rig *rig, struct synth_helper *helper)
{
	vu_rig_end(rig);
	(void)synth_helper_end(helper);
	cr_assert_eq(atomic_load(&helper->synth.faults), 0, "nodes are not used as they should be");
}

#endif
