/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk_option.h: --disk of virtfs-device: disks that are there from the start. */
#ifndef VIRTFS_VIRTIO_9P_DISK_OPTION_H
#define VIRTFS_VIRTIO_9P_DISK_OPTION_H

#include "common/compiler.h"
#include "virtio-blk/disk.h"

#include <stdbool.h>
#include <stddef.h>

#define DISK_OPTIONS_MAX 64

/** struct disk_option - one --disk; texts are the command line's, or parts of a copy that stays */
struct disk_option {
	const char *id, *format, *serial;
	const char *socket_path; /* or NULL: vhost_user_fd */
	int fd, data_fd;         /* data_fd: or -1 */
	int vhost_user_fd;
	bool readonly, discard, shared;
	enum disk_cache cache;
	unsigned queues, queue_size; /* 0: not said */
};

struct disk_options {
	struct disk_option disk[DISK_OPTIONS_MAX];
	size_t count;
};

/** disk_option_add() - One more, by its text; false after the reason was logged. */
bool MUST_CHECK disk_option_add(struct disk_options *all, const char *text);

/** disk_options_fds() - The descriptors that they name, to be kept: at most room. Return: how many. */
#define DISK_OPTIONS_FDS_MAX (3 * DISK_OPTIONS_MAX)
static inline size_t disk_options_fds(const struct disk_options *all, int *fds, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < all->count && n + 3 <= room; i++) {
		fds[n++] = all->disk[i].fd;
		fds[n++] = all->disk[i].data_fd;
		fds[n++] = all->disk[i].vhost_user_fd;
	}
	return n;
}

/** disk_options_attach() - Make the disks; those with a socket_path have its listener as vhost_user_fd by now. Return: 0, or -errno after the reason was logged. */
int MUST_CHECK disk_options_attach(const struct disk_options *all, struct disk_host *h);

#endif
