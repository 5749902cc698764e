/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * confine.h: single steps towards fewer rights; each program's lockdown.c puts them in its order.
 *
 * Unless it says otherwise each returns 0 or -errno and changes nothing on failure.
 */
#ifndef VIRTFS_COMMON_CONFINE_H
#define VIRTFS_COMMON_CONFINE_H

#include "common/compiler.h"
#include "common/user.h"

#include <stdbool.h>
#include <stddef.h>

/** confine_close_others() - Close every descriptor that is not in keep (keep is sorted by the call;
 * -1 is ignored). */
int MUST_CHECK confine_close_others(int *keep, size_t count);

/** confine_fill_stdio() - Put /dev/null where descriptor 0, 1 or 2 is closed, so that none of ours
 * gets its number. */
int MUST_CHECK confine_fill_stdio(void);

/**
 * confine_drop_groups() - Have no supplementary group
 *
 * -EPERM where the user namespace forbids setgroups(2) (user_namespaces(7)) and there were some to
 * drop.
 */
int MUST_CHECK confine_drop_groups(void);

/** confine_unshare() - Leave the host's namespaces of these kinds (CLONE_NEW..., clone(2)). */
int MUST_CHECK confine_unshare(int kinds);

/**
 * confine_pivot() - Make tree, a mount that is mounted nowhere (open_tree(2), fsmount(2)), the root and all that is mounted
 *
 * In a mount namespace of one's own whose mounts are private. The working directory is the new root then.
 */
int MUST_CHECK confine_pivot(int tree);

/**
 * confine_empty_root() - Have a root directory that is empty and read-only, and nothing else mounted
 *
 * In a mount namespace of one's own, with CAP_SYS_ADMIN over it. -EINVAL where the root is no mount (after a chroot(2)).
 */
int MUST_CHECK confine_empty_root(void);

/**
 * confine_empty_chroot() - Have a root directory that was removed: nothing is in it, and nothing can be made in it
 *
 * With CAP_SYS_CHROOT. Keeps nobody in who has a descriptor of a directory outside, or that capability later.
 */
int MUST_CHECK confine_empty_chroot(void);

/** confine_become() - Be this user and group for good; who dies is still told of by prctl(2) PR_SET_PDEATHSIG. */
int MUST_CHECK confine_become(const struct user *user);

/** confine_no_new_privs() - prctl(2) PR_SET_NO_NEW_PRIVS: no exec gives rights any more. */
int MUST_CHECK confine_no_new_privs(void);

/** confine_undumpable() - prctl(2) PR_SET_DUMPABLE 0: no ptrace by the same user, no core,
 * /proc/PID is root's. */
int MUST_CHECK confine_undumpable(void);

/** confine_limits() - No core files, at most max_files descriptors, no locked memory, no message
 * queues. */
int MUST_CHECK confine_limits(unsigned max_files);

/** confine_threads() - So many processes and threads at most, of this user in this user namespace. */
int MUST_CHECK confine_threads(unsigned max);

#endif
