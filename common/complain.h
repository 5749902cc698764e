/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* complain.h: warnings that a guest or an emulator can bring about as often as it likes. */
#ifndef VIRTFS_COMMON_COMPLAIN_H
#define VIRTFS_COMMON_COMPLAIN_H

#include "common/compiler.h"

#include <stdint.h>

#define COMPLAIN_LINES     8 /* unless set otherwise */
#define COMPLAIN_PERIOD_NS 10000000000u

/** complain_rate() - So many lines of each kind in COMPLAIN_PERIOD_NS from now on. */
void complain_rate(unsigned lines);

/** struct complaints - how many lines were written of late; all zero at first */
struct complaints {
	uint64_t since_ns; /* CLOCK_MONOTONIC */
	unsigned lines, dropped;
};

/** complain() - log_warning(), but no more than complain_rate() said; what was left
 * out is counted in the next line that is written. */
void complain(struct complaints *c, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
