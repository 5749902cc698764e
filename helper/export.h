/* SPDX-License-Identifier: GPL-2.0-or-later */
/* export.h: the directory shared, as every operation needs it. */
#ifndef VIRTFS_HELPER_EXPORT_H
#define VIRTFS_HELPER_EXPORT_H

#include "common/compiler.h"

#include <stdbool.h>
#include <sys/types.h>

struct export
{
	int root;     /* O_PATH; after lockdown_jail() also the process's root */
	dev_t dev;    /* of the root */
	int proc_fds; /* O_PATH of /proc/self/fd, also the working directory: node.c reopens files
	                 through it */
	bool readonly;
	bool is_mapped; /* served in a user namespace: owners are as that maps them */
	bool is_memory; /* a tmpfs: nothing of it ever waits */
	bool is_local;  /* reads, writes and fstat of an open file wait for nothing but its disk */
	bool has_generations; /* the file system answers FS_IOC_GETVERSION */
};

#define EXPORT_NONE                        \
	{                                  \
		.root = -1, .proc_fds = -1 \
	}

/**
 * export_open() - Look path up, once and for all
 *
 * Symbolic links are followed, the last one too. Return: 0 or -errno.
 */
int MUST_CHECK export_open(const char *path, struct export *ret);

/** export_is_kernel_interface() - Whether fd is of procfs, sysfs or the like: never opened for a
 * guest. */
bool MUST_CHECK export_is_kernel_interface(int fd);

/** export_is_host_root() - Whether it is the root directory of this process, under whatever name. */
bool MUST_CHECK export_is_host_root(const struct export *x);

/** export_remark() - What a guest could leave there for others of the host, in words for the log; NULL: nothing. */
const char *export_remark(const struct export *x);

/**
 * export_learn() - Find out what the export's file system can do; its root has its final descriptor
 *
 * Return: 0 or -errno; -EACCES for an export that is procfs, sysfs or the like.
 */
int MUST_CHECK export_learn(struct export *x);

#endif
