/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config.h: the command line of virtfs-proxy-helper, checked. */
#ifndef VIRTFS_HELPER_CONFIG_H
#define VIRTFS_HELPER_CONFIG_H

#include "common/compiler.h"
#include "common/log.h"
#include "helper/idmap.h"
#include "seccomp/mode.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** enum sandbox - what keeps the helper in the export */
enum sandbox {
	SANDBOX_BEST, /* a mount namespace, or chroot where that is not to be had */
	SANDBOX_NAMESPACE,
	SANDBOX_CHROOT,
	SANDBOX_NONE, /* nothing changes the root: files are looked up beneath the export */
};

struct config {
	const char *path;        /* of the export */
	int fd;                  /* connected socket, or -1 */
	const char *socket_path; /* where to listen, or NULL */
	uid_t uid;               /* owner of the socket at socket_path */
	gid_t gid;
	bool foreground;
	bool readonly;
	bool whole_host; /* the export may be / */
	enum sandbox sandbox;
	enum seccomp_mode seccomp;
	struct idmap_want ids;
	bool syslog;
	enum log_level log_level;
	int ready_fd;       /* or -1 */
	uint32_t max_nodes; /* of the native dialect */
	bool file_handles;  /* nodes beyond the descriptors live as handles */
};

enum config_result {
	CONFIG_RUN,
	CONFIG_DONE, /* the question (--help, --version, …) was answered: exit 0 */
	CONFIG_BAD,  /* the reason is on standard error: exit 1 */
};

enum config_result MUST_CHECK config_parse(int argc, char **argv, struct config *ret);

#endif
