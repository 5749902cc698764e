/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lockdown.h: how the device gives every right away; main.c calls these in this order. */
#ifndef VIRTFS_VIRTIO_9P_LOCKDOWN_H
#define VIRTFS_VIRTIO_9P_LOCKDOWN_H

#include "common/compiler.h"
#include "virtio-9p/config.h"

/**
 * lockdown_start() - Shake off what was inherited
 * Should:  close every descriptor but the standard streams and those of the options
 * Mustn't: keep the device from making its listening socket
 * Return: 0, or -errno after it logged what went wrong.
 */
int MUST_CHECK lockdown_start(const struct config *c);

/**
 * lockdown_jail() - See nothing of the host
 * Should:  leave the host's user, mount, network, IPC, UTS and cgroup namespaces; have an empty root; drop supplementary
 *          groups; be the user of --user; as far as --sandbox says. Logs a line for each wall that the host does not allow.
 * Mustn't: run before all that has a path was opened and the io_uring was made, nor after a thread was
 * *ret_all_ids: whether the owners of files are still seen as they are.
 * Return: 0, or -errno after it logged what went wrong.
 */
int MUST_CHECK lockdown_jail(const struct config *c, bool *ret_all_ids);

/**
 * lockdown_rights() - Have no right at all
 * Should:  give every capability away, set no_new_privs, be undumpable, lower the limits, let Landlock deny everything
 * Mustn't: run after a thread was made: capabilities and Landlock are a thread's
 * Return: 0, or -errno after it logged what went wrong.
 */
int MUST_CHECK lockdown_rights(void);

/** enum lockdown_threads - whose threads read and write instead of an io_uring; those of disks may do all that those of a share may */
enum lockdown_threads { LOCKDOWN_NO_THREADS, LOCKDOWN_SHARE_THREADS, LOCKDOWN_DISK_THREADS };

/**
 * lockdown_filter() - Allow only the calls of seccomp/device.policy, to all threads
 * Mustn't: run before the last thread was made: the filter allows no more
 * Return: 0, or -errno after it logged what went wrong.
 */
int MUST_CHECK lockdown_filter(const struct config *c, enum lockdown_threads threads);

#endif
