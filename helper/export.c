/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/export.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

int export_open(const char *path, struct export *ret)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ret->root = fd;
	return 0;
}

bool export_is_host_root(const struct export *x)
{
	struct stat root, st;

	return stat("/", &root) == 0 && fstat(x->root, &st) == 0 && root.st_dev == st.st_dev &&
	       root.st_ino == st.st_ino;
}

const char *export_remark(const struct export *x)
{
	struct statvfs fs;
	struct stat st;

	/* Who may not enter it meets nothing of what is in it. */
	if (fstat(x->root, &st) < 0 || fstatvfs(x->root, &fs) < 0 ||
	    !(st.st_mode & (S_IXGRP | S_IXOTH)))
		return NULL;
	if (!(fs.f_flag & ST_NOSUID))
		return "set-id programs that a guest makes there work for the host's users: mount "
		       "it nosuid,nodev, or "
		       "close it to them (mode 0700)";
	if (!(fs.f_flag & ST_NODEV))
		return "devices that a guest makes there work for the host's users: mount it "
		       "nodev, or close it to them "
		       "(mode 0700)";
	return NULL;
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
