/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hidden.h: the kernel without some system call, as an older one is, or as a container's filter makes it. */
#ifndef VIRTFS_TESTS_LIB_HIDDEN_H
#define VIRTFS_TESTS_LIB_HIDDEN_H

#include "common/compiler.h"

#define HIDDEN_ANY (-1)

/**
 * hide_call() - From now on a call fails with error, in this process and in what it starts
 *
 * flags: only when its third argument is that; HIDDEN_ANY: always. Sets no_new_privs. Return: 0 or -errno.
 */
int MUST_CHECK hide_call(long number, long flags, int error);

/** hide_by_name() - The same of "openat2" (ENOSYS), "unshare" (EPERM), "landlock" (ENOSYS) or "io_uring" (EPERM); -EINVAL of another. */
int MUST_CHECK hide_by_name(const char *name);

#endif
