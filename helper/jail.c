/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/jail.h"

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

/* Linux before 5.12 has no mount_setattr: then the export's own mount gets its options, and mounts
 * inside it keep theirs. */
static int set_options_old_way(bool readonly)
{
	unsigned long flags =
	    MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC | (readonly ? MS_RDONLY : 0);

	log_warning("mount_setattr is not to be had: mounts inside the export keep their options");
	return mount(NULL, "/", NULL, flags, NULL) < 0 ? -errno : 0;
}

/*
 * In our own mount namespace, working directory the export: pivots into a clone of it. *ret_proc is
 * a clone of /proc/self/fd alone: ".." in it leads nowhere, as it would on the host's /proc.
 */
static int pivot(bool readonly, int *ret_proc)
{
	struct mount_attr attributes = {
	    .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
	                (readonly ? (uint64_t)MOUNT_ATTR_RDONLY : 0),
	};
	AUTO_CLOSE int tree = -1;
	AUTO_CLOSE int proc = -1;
	bool old_way = false;
	int r;

	/* Private: a mount that the host makes in the export later would come with the host's
	 * options. */
	if (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0)
		return -errno;
	proc = open_tree(AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	tree = open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (proc < 0 || tree < 0)
		return -errno;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) <
	    0) {
		if (errno != ENOSYS)
			return -errno;
		old_way = true;
	}
	r = confine_pivot(tree);
	if (r < 0)
		return r;
	*ret_proc = fd_steal(&proc);
	return old_way ? set_options_old_way(readonly) : 0;
}

int jail_leave_namespaces(enum sandbox mode)
{
	static const struct {
		int flag;
		const char *name;
	} spaces[] = {{CLONE_NEWNET, "network"}, {CLONE_NEWIPC, "IPC"}, {CLONE_NEWUTS, "UTS"}};

	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
		int r = confine_unshare(spaces[i].flag);

		if (r == 0)
			continue;
		if (mode == SANDBOX_NAMESPACE) {
			log_error(
			    "--sandbox=namespace: no %s namespace of its own is to be had (%s)",
			    spaces[i].name, errno_name(r));
			return r;
		}
		log_warning("no %s namespace of its own: %s", spaces[i].name, errno_name(r));
	}
	return 0;
}

/* The export as root of a mount namespace. */
static int enter_namespace(bool strict, bool readonly, int *ret_proc)
{
	int r = confine_unshare(CLONE_NEWNS);

	if (r < 0) {
		log_line(strict ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
		         "%sno mount namespace of its own: %s",
		         strict ? "--sandbox=namespace: " : "", errno_name(r));
		return r;
	}
	r = pivot(readonly, ret_proc);
	if (r < 0)
		log_line(strict ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
		         "%scannot pivot into the export: %s",
		         strict ? "--sandbox=namespace: " : "", errno_name(r));
	return r;
}

static int open_proc(int *ret_proc)
{
	*ret_proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_proc < 0 ? -errno : 0;
}

static int enter_chroot(int *ret_proc)
{
	int r = open_proc(ret_proc);

	log_warning("only chroot holds the export: see NOT PROMISED in docs/threat-model.md");
	if (r == 0 && chroot(".") < 0)
		r = -errno;
	if (r < 0)
		log_error("cannot make the export the root: %s", errno_name(r));
	return r;
}

/* The new root has a descriptor of its own; the old one may belong to another mount namespace. */
static int open_root(struct export *x)
{
	fd_close(&x->root);
	if (chdir("/") < 0)
		return -errno;
	x->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return x->root < 0 ? -errno : 0;
}

int jail_enter(enum sandbox mode, struct export *x)
{
	AUTO_CLOSE int proc = -1;
	int r = -EPERM;

	/* unshare(2) moves the working directory to the new namespace; a descriptor would stay in
	 * the old one. */
	if (fchdir(x->root) < 0) {
		r = -errno;
		log_error("the export cannot be entered (%s): who started it has no right to",
		          errno_name(r));
		return r;
	}
	if (mode == SANDBOX_NONE) {
		log_warning("--sandbox=none: the root stays the host's: see NOT PROMISED in "
		            "docs/threat-model.md");
		r = open_proc(&proc);
	}
	if (mode == SANDBOX_BEST || mode == SANDBOX_NAMESPACE)
		r = enter_namespace(mode == SANDBOX_NAMESPACE, x->readonly, &proc);
	if (mode == SANDBOX_CHROOT || (mode == SANDBOX_BEST && r < 0))
		r = enter_chroot(&proc);
	if (r == 0 && mode != SANDBOX_NONE)
		r = open_root(x);
	if (r == 0 && fchdir(proc) < 0)
		r = -errno;
	x->proc_fds = fd_steal(&proc);
	return r;
}
