/* SPDX-License-Identifier: GPL-2.0-or-later */
/* jail.h: what keeps a helper in its export, by name and by ".."; lockdown.c calls it. */
#ifndef VIRTFS_HELPER_JAIL_H
#define VIRTFS_HELPER_JAIL_H

#include "common/compiler.h"
#include "helper/config.h"
#include "helper/export.h"

/**
 * jail_leave_namespaces() - Leave the host's network, IPC and UTS namespaces
 *
 * Return: 0; -errno where SANDBOX_NAMESPACE asks for one that is not to be had. Other modes warn and go on.
 */
int MUST_CHECK jail_leave_namespaces(enum sandbox mode);

/**
 * jail_enter() - Make the export the root as mode has it; the export's descriptors become the final ones
 *
 * SANDBOX_NAMESPACE: a clone of the export's mounts, without set-id, devices and exec (and read-only if the export is), is
 * all that is mounted; x->proc_fds is a clone of /proc/self/fd, out of which no ".." leads. SANDBOX_CHROOT and
 * SANDBOX_NONE: x->proc_fds is the host's. SANDBOX_BEST: the first of these that can be had. The working directory
 * becomes x->proc_fds. Return: 0, or -errno after it logged what went wrong.
 */
int MUST_CHECK jail_enter(enum sandbox mode, struct export *x);

#endif
