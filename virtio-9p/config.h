/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config.h: the command line of virtfs-device, checked. */
#ifndef VIRTFS_VIRTIO_9P_CONFIG_H
#define VIRTFS_VIRTIO_9P_CONFIG_H

#include "common/compiler.h"
#include "common/log.h"
#include "common/user.h"
#include "seccomp/mode.h"
#include "virtio-9p/disk_option.h"
#include "virtio-9p/quota.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_FIDS_MOST    (16u << 20)
#define CONFIG_POLL_US_MOST 10000u

enum config_sandbox {
	SANDBOX_AUTO,      /* what the host does not allow is told and left out */
	SANDBOX_NAMESPACE, /* what it does not allow is a reason not to start */
	SANDBOX_NONE,      /* no namespaces, and the host's root directory */
};

enum config_io {
	IO_AUTO,    /* threads where there is no io_uring to be had */
	IO_URING,   /* that is a reason not to start */
	IO_THREADS, /* threads in any case */
};

struct config {
	int helper_fd;            /* or -1: there is no share */
	int handover_fd;          /* or -1 */
	int fd;                   /* a client, a front end or a listening socket of such; or -1 */
	const char *listen_path;  /* or NULL: where to listen, with tag for front ends */
	const char *tag;          /* mount tag of a virtio-9p device; NULL: plain 9P */
	bool vhost_user;          /* --socket-path was given */
	int control_fd;           /* a client of the control socket, or a listening socket; or -1 */
	const char *control_path; /* where to listen for such, or NULL */
	bool has_control_user;    /* --control-user was given */
	struct user control_user; /* whose commands are taken, besides root's and our own */
	int ready_fd;             /* or -1 */
	uint64_t most[QUOTAS];    /* of what all clients together may have */
	uint32_t max_requests;    /* under way, of each client */
	uint32_t log_rate;        /* warnings that they bring about, in ten seconds */
	uint32_t poll_us;         /* how long to look before sleeping */
	bool has_user;            /* --user was given */
	struct user user;         /* to be, when started as root */
	enum config_sandbox sandbox;
	enum config_io io;
	enum seccomp_mode seccomp;
	bool syslog;
	enum log_level log_level;
	struct disk_options disks;
};

enum config_result { CONFIG_RUN, CONFIG_DONE, CONFIG_BAD };

enum config_result MUST_CHECK config_parse(int argc, char **argv, struct config *ret);

#endif
