/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/export.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

int export_open(const char *path, struct export *ret)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ret->root = fd;
	return 0;
}

int export_learn(struct export *x)
{
	struct statfs fs;

	if (fstatfs(x->root, &fs) < 0)
		return -errno;
	switch (fs.f_type) {
	case EXT4_SUPER_MAGIC: /* ext2 and ext3 too */
	case BTRFS_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
		x->has_generations = true;
		x->is_local = true;
		break;
	case TMPFS_MAGIC:
		x->is_local = true;
		break;
	default:
		break;
	}
	return 0;
}
