/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load.h: puts a system call filter on. Included by the lockdown.c files only.
 *
 * The filters are compiled from *.policy when the program is built. What a filter does with other calls is said when it is put on
 * (mode.h).
 */
#ifndef VIRTFS_SECCOMP_LOAD_H
#define VIRTFS_SECCOMP_LOAD_H

#include "common/compiler.h"
#include "seccomp/mode.h"

enum seccomp_filter {
	SECCOMP_HELPER_ACCEPT,
	SECCOMP_HELPER_SERVE,
	SECCOMP_HELPER_NATIVE,
	SECCOMP_DEVICE_SERVE,
	SECCOMP_DEVICE_THREADS,
	SECCOMP_DEVICE_DISKS,
};

/**
 * seccomp_load() - Put a filter on all threads of this process; it can never be taken off, only
 * narrowed
 *
 * no_new_privs must be set. A second filter needs the mode of the first. Return: 0 or -errno.
 */
int MUST_CHECK seccomp_load(enum seccomp_filter which, enum seccomp_mode mode);

#endif
