/* SPDX-License-Identifier: GPL-2.0-or-later */
/* race.h: a thread of the host that renames for as long as others look up. */
#ifndef VIRTFS_TESTS_LIB_RACE_H
#define VIRTFS_TESTS_LIB_RACE_H

#include <stdbool.h>

enum race_kind {
	RACE_EXCHANGE, /* a and b are each other, again and again */
	RACE_MOVE,     /* a becomes b, and a again */
};

/** race_start() - Begin with these paths, which exist (b of RACE_MOVE does not). One race at a time. */
void race_start(enum race_kind kind, const char *a, const char *b);

/** race_is_young() - Whether there were too few renames to tell anything: on a busy machine they may be slow to begin. */
bool race_is_young(void);

/** race_end() - Stop; a of RACE_MOVE is a again. The test fails where there were too few renames to tell anything. */
void race_end(void);

#endif
