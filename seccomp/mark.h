/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mark.h: what stands in a compiled filter for what happens to other calls, until load.c puts the action there. */
#ifndef VIRTFS_SECCOMP_MARK_H
#define VIRTFS_SECCOMP_MARK_H

#define SECCOMP_MARK 0xffff /* of SECCOMP_RET_TRACE, which no filter of ours returns otherwise */

#endif
