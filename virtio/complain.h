/* SPDX-License-Identifier: GPL-2.0-or-later */
/* complain.h: warnings that a guest or an emulator can bring about as often as it likes. */
#ifndef VIRTFS_VIRTIO_COMPLAIN_H
#define VIRTFS_VIRTIO_COMPLAIN_H

#include "common/compiler.h"

#include <stdint.h>

#define COMPLAIN_LINES     8
#define COMPLAIN_PERIOD_NS 10000000000u

/** struct complaints - how many lines were written of late; all zero at first */
struct complaints {
	uint64_t since_ns; /* CLOCK_MONOTONIC */
	unsigned lines, dropped;
};

/** complain() - log_warning(), but no more than COMPLAIN_LINES in COMPLAIN_PERIOD_NS; what was left
 * out is counted in the next line that is written. */
void complain(struct complaints *c, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
