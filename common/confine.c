/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/confine.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int compare_fds(const void *a, const void *b)
{
	const int *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

int confine_close_others(int *keep, size_t count)
{
	unsigned from = 0;

	qsort(keep, count, sizeof(*keep), compare_fds);
	for (size_t i = 0; i < count; i++) {
		if (keep[i] < 0 || (unsigned)keep[i] < from)
			continue;
		if ((unsigned)keep[i] > from && close_range(from, (unsigned)keep[i] - 1, 0) < 0)
			return -errno;
		from = (unsigned)keep[i] + 1;
	}
	return close_range(from, UINT_MAX, 0) < 0 ? -errno : 0;
}

int confine_fill_stdio(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* The lowest free number is this one: all below are open. */
		if (open("/dev/null", O_RDWR) != fd)
			return -EBADF;
	}
	return 0;
}

int confine_drop_groups(void)
{
	if (setgroups(0, NULL) == 0 || getgroups(0, NULL) == 0)
		return 0;
	return -errno;
}

int confine_unshare(int kinds)
{
	return unshare(kinds) < 0 ? -errno : 0;
}

/* An empty file system, mounted nowhere. */
static int make_empty(int *ret_tree)
{
	AUTO_CLOSE int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0555", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	*ret_tree =
	    fsmount(fs, FSMOUNT_CLOEXEC,
	            MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return *ret_tree < 0 ? -errno : 0;
}

int confine_pivot(int tree)
{
	if (move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(tree) < 0)
		return -errno;
	/* pivot_root(2), NOTES: the old root is stacked on the new one and taken off at once. */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return -errno;
	return chdir("/") < 0 ? -errno : 0;
}

int confine_empty_root(void)
{
	AUTO_CLOSE int tree = -1;
	int r = make_empty(&tree);

	if (r < 0)
		return r;
	if (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0)
		return -errno;
	return confine_pivot(tree);
}

int confine_empty_chroot(void)
{
	char path[] = "/tmp/virtfs.XXXXXX";
	AUTO_CLOSE int dir = -1;
	int r = 0;

	if (!mkdtemp(path))
		return -errno;
	dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		r = -errno;
	if (rmdir(path) < 0)
		return -errno;
	if (r < 0)
		return r;
	return fchdir(dir) < 0 || chroot(".") < 0 ? -errno : 0;
}

int confine_become(const struct user *user)
{
	int signal_number = 0;
	pid_t parent = getppid();

	if (prctl(PR_GET_PDEATHSIG, &signal_number) < 0 ||
	    setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	/* The kernel takes new ids for the end of it (PR_SET_PDEATHSIG(2const)). */
	if (prctl(PR_SET_PDEATHSIG, signal_number) < 0)
		return -errno;
	if (signal_number && getppid() != parent)
		(void)raise(signal_number);
	return 0;
}

int confine_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int confine_undumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

struct limit {
	__rlimit_resource_t resource;
	rlim_t max;
};

static int lower(const struct limit *limits, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct rlimit now;

		if (getrlimit(limits[i].resource, &now) < 0)
			return -errno;
		if (now.rlim_max > limits[i].max)
			now.rlim_max = limits[i].max;
		if (now.rlim_cur > now.rlim_max)
			now.rlim_cur = now.rlim_max;
		if (setrlimit(limits[i].resource, &now) < 0)
			return -errno;
	}
	return 0;
}

int confine_limits(unsigned max_files)
{
	const struct limit limits[] = {
	    {RLIMIT_CORE, 0},
	    {RLIMIT_NOFILE, max_files},
	    {RLIMIT_MEMLOCK, 0},
	    {RLIMIT_MSGQUEUE, 0},
	};

	return lower(limits, ARRAY_SIZE(limits));
}

int confine_threads(unsigned max)
{
	return lower(&(struct limit){RLIMIT_NPROC, max}, 1);
}
