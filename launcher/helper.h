/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helper.h: the options of virtfs-proxy-helper that virtfs(1) passes on, and how it is started. */
#ifndef VIRTFS_LAUNCHER_HELPER_H
#define VIRTFS_LAUNCHER_HELPER_H

#include "common/options.h"

#include <stdbool.h>
#include <sys/types.h>

/* The first of a command's own options is HELPER_OPTIONS. */
enum helper_option {
	HELPER_READONLY,
	HELPER_SANDBOX,
	HELPER_SECCOMP,
	HELPER_SUBIDS,
	HELPER_UID_MAP,
	HELPER_GID_MAP,
	HELPER_WHOLE_HOST,
	HELPER_FILE_HANDLES,
	HELPER_OPTIONS,
};

/* Their rows of the command's table. */
#define HELPER_OPTION_ROWS                                                                     \
	[HELPER_READONLY] = {"readonly", 0, NULL, "refuse every change"},                      \
	[HELPER_SANDBOX] = {"sandbox", 0, "MODE", "of the helper: namespace, chroot or none"}, \
	[HELPER_SECCOMP] = {"seccomp", 0, "MODE",                                              \
	                    "of a system call that is not allowed: kill, log or trap"},        \
	[HELPER_SUBIDS] = {"subids", 0, NULL,                                                  \
	                   "not as root: act for the ids of /etc/subuid and /etc/subgid"},     \
	[HELPER_UID_MAP] = {"uid-map", 0,                                                      \
	                    ":IN:OUT:COUNT:", "guest's users IN and on are the host's OUT"},   \
	[HELPER_GID_MAP] = {"gid-map", 0, ":IN:OUT:COUNT:", "the same of groups"},             \
	[HELPER_WHOLE_HOST] = {"whole-host", 0, NULL, "let DIR be /"},                         \
	[HELPER_FILE_HANDLES] = {"inode-file-handles", 0, "MODE",                              \
	                         "of the helper: prefer or never"}

#define HELPER_ARGS_MAX 96

/** struct helper - what it is to be started with; zero to begin with */
struct helper {
	const char *program;   /* NULL: that of this build */
	const char *dir;       /* the export */
	const char *log_level; /* or NULL */
	const char *more[HELPER_ARGS_MAX];
	size_t count;
};

/** helper_take() - Keep an option for it; value must live as long as h. Return: false when there are too many. */
bool MUST_CHECK helper_take(struct helper *h, enum helper_option option, const char *value);

/** helper_start() - Start it with that socket. Return: 0, or -errno after it logged why. */
int MUST_CHECK helper_start(const struct helper *h, int sock, pid_t *ret_pid);

#endif
