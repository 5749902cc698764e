/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rig.h: a helper as users start it, on a fresh directory, with a peer's end of its socket in the
 * test's hand.
 *
 * Every function fails the test (cr_assert) where it cannot do its work. The helper is
 * $VIRTFS_HELPER. Suites are run in other surroundings by the environment: $VIRTFS_SANDBOX is the helper's --sandbox where the
 * test gives none, $VIRTFS_HIDE names a system call that the kernel refuses helper, device and launcher (hidden.h), $TMPDIR is where
 * the directories are made (another file system), and the test itself may be run in a user namespace (in-userns.sh).
 * $VIRTFS_SURROUNDING is the name of all that; proto/surroundings.c sees that it is so.
 */
#ifndef VIRTFS_TESTS_LIB_RIG_H
#define VIRTFS_TESTS_LIB_RIG_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct rig {
	char dir[64];     /* the test's own; removed at the end */
	char export[80];  /* dir/export: what the helper serves */
	char outside[80]; /* dir/outside: what nobody may reach; holds the file "canary" */
	pid_t helper;
	int sock;    /* the peer's end; -1 when closed */
	bool native; /* SOCK_SEQPACKET; set between rig_dirs() and rig_serve() */
	uid_t
	    user; /* above 0: the helper is started as this user and group; set likewise, the directories are the user's */
	int err;  /* a file with what the helper wrote to standard error */
	char log[65536];
};

/** rig_dirs() - Make the directories alone. */
void rig_dirs(struct rig *r);

/** rig_start() - Make them and start `virtfs-proxy-helper -n -p EXPORT -f N` with more arguments,
 * NULL at the end. */
void rig_start(struct rig *r, const char *const *more);

/** rig_serve() - Start the helper alone, after rig_dirs(). */
void rig_serve(struct rig *r, const char *const *more);

/** rig_spawn() - Run the helper with just these arguments; pass_fd (or -1) stays open for it. */
pid_t rig_spawn(struct rig *r, const char *const *args, int pass_fd);

/** rig_exit_status() - Wait for a process, at most 10 s. Return: its exit status, or 128 + the
 * signal. */
int rig_exit_status(pid_t pid);

/** rig_end() - Close the socket, wait for the helper and remove the directories. Return: the
 * helper's exit status; what it wrote to standard error stays in log. */
int rig_end(struct rig *r);

/** rig_log() - What the helper wrote to standard error so far. */
const char *rig_log(struct rig *r);

/** rig_log_file() - A file in memory for what one or several programs write at once; each write goes to its end. */
int rig_log_file(void);

/** rig_path() - A path in the export, as the host sees it; valid until the fourth call from now. */
const char *rig_path(const struct rig *r, const char *name);

/** rig_write() / rig_read() - Make a file of the export with that text; read one (cut at 4095
 * bytes). */
void rig_write(const struct rig *r, const char *name, const char *text);
const char *rig_read(const struct rig *r, const char *name);

/** rig_proc() - The value of a line of the helper's /proc/PID/status, without the spaces before it.
 */
const char *rig_proc(const struct rig *r, const char *key);

/** rig_watch - Called with all that comes back to a peer or a client of these tests, and a descriptor or -1; may be NULL. */
extern void (*rig_watch)(const void *bytes, size_t size, int fd);

/** rig_hide() - In a process before it is a program under test: what $VIRTFS_HIDE names the kernel has not. */
void rig_hide(void);

/** rig_filters() - How many filters a helper has, as its "Seccomp_filters" tells, that has put on so many of its own. */
const char *rig_filters(unsigned own);

/**
 * rig_mounts() / rig_unmount() - Before a test mounts something in the export; and when the helper serves, of a path in it
 *
 * The helper has a copy then, and the host's tree is rid of it, so that a test that fails leaves nothing there. Where the helper has
 * no mounts of its own (--sandbox=chroot, none) the test has some of its own instead, and rig_end() unmounts.
 */
void rig_mounts(void);
void rig_unmount(const char *path);

/** rig_needs_root() - Skip the test where it is run without the rights of the host's root; why: what it needs root for. */
void rig_needs_root(const char *why);

/** rig_needs_namespace() - Skip it where the helper is told to be without a mount namespace; why: what would be missing. */
void rig_needs_namespace(const char *why);

/** rig_differs_on() - Skip it where the export is on one of these file systems ($VIRTFS_FS, on-fs.sh); what: what is different. */
void rig_differs_on(const char *kinds, const char *what);

/** is_sanitized() - Whether the programs take more memory and time than they do: a sanitizer's, or $VIRTFS_SANITIZED says so. */
bool is_sanitized(void);

#endif
