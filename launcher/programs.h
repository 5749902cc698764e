/* SPDX-License-Identifier: GPL-2.0-or-later */
/* programs.h: where the programs are that the launcher starts. */
#ifndef VIRTFS_LAUNCHER_PROGRAMS_H
#define VIRTFS_LAUNCHER_PROGRAMS_H

#include "common/compiler.h"

/**
 * program_find() - Find virtfs-proxy-helper and the like
 *
 * Beside the launcher as it is installed or built, else in the directory that the build was
 * configured with. dir: its folder in the build. Return: a path, the caller's to free; NULL when
 * out of memory.
 */
char *MUST_CHECK program_find(const char *dir, const char *name);

#endif
