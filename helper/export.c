/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/export.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int export_open(const char *path, struct export *ret)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ret->root = fd;
	return 0;
}

/* File systems whose files are doors into the kernel or into processes, whoever holds them open. */
static const unsigned long kernel_interfaces[] = {
    PROC_SUPER_MAGIC, SYSFS_MAGIC,  DEBUGFS_MAGIC,  TRACEFS_MAGIC,  SECURITYFS_MAGIC,
    SELINUX_MAGIC,    BPF_FS_MAGIC, PSTOREFS_MAGIC, EFIVARFS_MAGIC,
};

bool export_is_kernel_interface(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(kernel_interfaces); i++) {
		if ((unsigned long)fs.f_type == kernel_interfaces[i])
			return true;
	}
	return false;
}

int export_learn(struct export *x)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(x->root, &fs) < 0 || fstat(x->root, &st) < 0)
		return -errno;
	if (export_is_kernel_interface(x->root))
		return -EACCES;
	x->dev = st.st_dev;
	switch (fs.f_type) {
	case EXT4_SUPER_MAGIC: /* ext2 and ext3 too */
	case BTRFS_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
		x->has_generations = true;
		x->is_local = true;
		break;
	case TMPFS_MAGIC:
		x->is_memory = true;
		x->is_local = true;
		break;
	default:
		break;
	}
	return 0;
}
