/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * landlock.h: Landlock (landlock(7)), a fence of the kernel's that an unprivileged process puts around itself.
 *
 * It is a second fence: where the kernel has none, or one that would forbid what is legitimate, the log says so at level
 * info and the call succeeds. It holds the calling thread and those that it starts, and can only be narrowed.
 * no_new_privs must be set (confine_no_new_privs()).
 */
#ifndef VIRTFS_COMMON_LANDLOCK_H
#define VIRTFS_COMMON_LANDLOCK_H

#include "common/compiler.h"

/** landlock_deny_all() - Open no file and no directory, make and remove none, use no TCP, signal nobody outside.
 * Open descriptors stay as they are. Return: 0 or -errno. */
int MUST_CHECK landlock_deny_all(void);

/* What landlock_allow_beneath() leaves; execution and ioctl(2) of devices never. Reading is always allowed. */
enum landlock_kind {
	LANDLOCK_READ_ONLY = 0,
	LANDLOCK_WRITE =
	    1 << 0, /* files and directories of all types are made, changed, removed and renamed */
	/*
	 * Files are found by handle too. A file that is found so may have no known parent, which kernels before the
	 * correction of Landlock's erratum 3 (Linux 6.19) take for a place outside: opening files is not restricted
	 * by those then, only directories and what is made and removed.
	 */
	LANDLOCK_BY_HANDLE = 1 << 1,
};

/**
 * landlock_allow_beneath() - As landlock_deny_all(), but for what lies beneath a directory
 *
 * dir: a descriptor, O_PATH will do; stays the caller's. kinds: of enum landlock_kind. Attributes (chmod, chown,
 * utimes, extended ones) are none of Landlock's. Kernels before 5.19, which would forbid renames between directories, put up
 * no fence. Return: 0 or -errno.
 */
int MUST_CHECK landlock_allow_beneath(int dir, unsigned kinds);

#endif
