/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load.h: puts a system call filter on. Included by the lockdown.c files only.
 *
 * The filters are compiled from *.policy when the program is built. What a filter does with other calls is chosen when it
 * starts: kill ends the process, log lets them through and has the kernel log them, trap ends the process after naming the call
 * on standard error.
 */
#ifndef VIRTFS_SECCOMP_LOAD_H
#define VIRTFS_SECCOMP_LOAD_H

#include "common/compiler.h"

#include <stdbool.h>

enum seccomp_filter {
	SECCOMP_HELPER_ACCEPT,
	SECCOMP_HELPER_SERVE,
	SECCOMP_HELPER_NATIVE,
	SECCOMP_DEVICE_SERVE,
	SECCOMP_DEVICE_THREADS,
};

/** seccomp_mode() - Choose "kill", "log" or "trap" for the filters to come; until then it is what meson's option
 * seccomp_mode says. Return: false for another word. */
bool MUST_CHECK seccomp_mode(const char *name);

/**
 * seccomp_load() - Put a filter on all threads of this process; it can never be taken off, only
 * narrowed
 *
 * no_new_privs must be set. Return: 0 or -errno.
 */
int MUST_CHECK seccomp_load(enum seccomp_filter which);

#endif
