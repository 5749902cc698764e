/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frozen.h: an ext4 of a loop device that can be frozen, so that whoever changes something there is stuck.
 *
 * Frozen it is watched by a process that thaws it when the test ends, however it ends, and after a minute: nobody else could.
 */
#ifndef VIRTFS_TESTS_LIB_FROZEN_H
#define VIRTFS_TESTS_LIB_FROZEN_H

#include "common/compiler.h"

#include <stdbool.h>
#include <sys/types.h>

struct frozen {
	int dir; /* its root */
	int guard_pipe;
	pid_t guard;
};

#define FROZEN_NONE                          \
	{                                    \
		.dir = -1, .guard_pipe = -1, \
	}

/**
 * frozen_mount() - Make one, with its image in a directory, and mount it
 *
 * Return: NULL, or what is missing here for that.
 */
const char *MUST_CHECK frozen_mount(struct frozen *f, const char *image_dir, const char *at);

/** frozen_freeze() / frozen_thaw() - The test fails where that cannot be. */
void frozen_freeze(struct frozen *f);
void frozen_thaw(struct frozen *f);

/** frozen_end() - Thaw it and let go of it; it goes with the last mount and descriptor of anybody. */
void frozen_end(struct frozen *f);

#endif
