/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fdbag.h: the descriptors that came with one message.
 *
 * The receiver takes those it wants; fdbag_close() closes what nobody took, so none can leak
 * however the message ends.
 */
#ifndef VIRTFS_COMMON_FDBAG_H
#define VIRTFS_COMMON_FDBAG_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>

#define FDBAG_MAX 253 /* SCM_MAX_FD: the kernel passes no more in one message */

struct fdbag {
	size_t count;
	bool lost; /* some came that this process has no room for: then there is none in the bag */
	int fds[FDBAG_MAX];
};

#define FDBAG_EMPTY        \
	{                  \
		.count = 0 \
	}
#define AUTO_FDBAG __attribute__((cleanup(fdbag_close)))

/** fdbag_take() - Take descriptor number i out of the bag. Return: it (the caller's now), or -1 if
 * there is none. */
int MUST_CHECK fdbag_take(struct fdbag *bag, size_t i);

/** fdbag_close() - Close all that was not taken; the bag is empty then. */
void fdbag_close(struct fdbag *bag);

#endif
