/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lockdown.h: how the helper gives its rights away, step by step; main.c calls them in this order.
 *
 * Each returns 0, or -errno after it logged what went wrong; the caller exits non-zero then.
 */
#ifndef VIRTFS_HELPER_LOCKDOWN_H
#define VIRTFS_HELPER_LOCKDOWN_H

#include "common/compiler.h"
#include "helper/config.h"
#include "helper/export.h"

enum lockdown_stage {
	LOCKDOWN_ACCEPT, /* waits for its one peer: what serving needs, and accept4 and seccomp */
	LOCKDOWN_SERVE,
	LOCKDOWN_NATIVE, /* serving the native dialect */
};

/**
 * lockdown_start() - Shake off what was inherited
 * Should:  close every descriptor but the standard streams, the export's and those of the options;
 * drop supplementary groups; clear the umask; ignore SIGPIPE and SIGXFSZ, which a peer could raise
 * Mustn't: need /proc, or touch the export
 * Needs:   root (of some user namespace; idmap.h)
 */
int MUST_CHECK lockdown_start(const struct config *c, const struct export *x);

/**
 * lockdown_daemon() - Go into the background (daemon.h), as the first process of a PID namespace where that is to be had
 *
 * SANDBOX_NAMESPACE: or not at all.
 */
int MUST_CHECK lockdown_daemon(enum sandbox mode, int *ret_pipe);

/**
 * lockdown_jail() - Make the export our only file system
 * Should:  leave the host's network, IPC and UTS namespaces; make the export the root as mode has it (jail.h); as the
 *          first process of a PID namespace end by SIGTERM, SIGINT and SIGHUP
 * Mustn't: look the export's path up again; run before the process that will serve was forked
 * handles: also choose CAP_DAC_READ_SEARCH, for nodes that live as file handles (native dialect)
 */
int MUST_CHECK lockdown_jail(struct export *x, enum sandbox mode, bool handles);

/**
 * lockdown_rights() - Keep the capabilities chosen, and no way to get more
 * Should:  empty the bounding, inheritable and ambient sets, set no_new_privs, be undumpable, lower
 *          the limits, put a Landlock fence around the export where the kernel has one
 * Mustn't: run after threads were started: the fence holds the one that puts it up, and its children
 * Keeps:   CAP_CHOWN (Tsetattr of owners), CAP_DAC_OVERRIDE (the guest's kernel checks
 * permissions), CAP_FOWNER (chmod, utimes of other owners' files), CAP_FSETID (set-id bits that the
 * guest's root sets), CAP_MKNOD (devices made by the guest's root), CAP_SETUID and CAP_SETGID
 * (creating as the guest's user); handles: CAP_DAC_READ_SEARCH, and Landlock lets be what it would take from files found by handle
 */
int MUST_CHECK lockdown_rights(const struct export *x, bool native, bool handles);

/** lockdown_filter() - Allow only the system calls of seccomp/helper.policy for that stage; mode: what others do. */
int MUST_CHECK lockdown_filter(enum lockdown_stage stage, enum seccomp_mode mode);

#endif
