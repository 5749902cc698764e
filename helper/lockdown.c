/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/lockdown.h"

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"
#include "seccomp/load.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

/*
 * Serving takes a handful. The kernel also holds the number of descriptors in flight of a user
 * against the sender's limit, and those of all root's processes count there (unix(7),
 * ETOOMANYREFS).
 */
#define MAX_FILES        4096
#define MAX_FILES_NATIVE 65536 /* nodes are descriptors as long as there are any */

static const capng_type_t kept_sets = (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
static const unsigned kept_caps[] = {
    CAP_DAC_READ_SEARCH, /* native only: the first */
    CAP_CHOWN,           CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
    CAP_MKNOD,           CAP_SETGID,       CAP_SETUID,
};

/* Logs and passes an error on. */
static int failed(int r, const char *what)
{
	log_error("%s: %s", what, errno_name(r));
	return r;
}

/*
 * libcap-ng looks at /proc, which is out of reach later, and keeps the process's number, which a
 * fork changes: the sets are worked out here, between the two, and applied by lockdown_rights().
 */
static int choose_capabilities(bool native)
{
	bool have[ARRAY_SIZE(kept_caps)];

	if (capng_get_caps_process() != 0) {
		log_error("cannot read this process's capabilities");
		return -EPERM;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kept_caps); i++)
		have[i] = capng_have_capability(CAPNG_PERMITTED, kept_caps[i]) == 1;
	capng_clear(CAPNG_SELECT_ALL);
	for (size_t i = native ? 0 : 1; i < ARRAY_SIZE(kept_caps); i++) {
		if (!have[i]) {
			log_warning("CAP_%s is not to be had: some requests will fail with EPERM",
			            capng_capability_to_name(kept_caps[i]));
		} else if (capng_update(CAPNG_ADD, kept_sets, kept_caps[i]) != 0) {
			log_error("cannot choose capabilities");
			return -EPERM;
		}
	}
	return 0;
}

int lockdown_start(const struct config *c, const struct export *x)
{
	int keep[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, c->fd, c->ready_fd, x->root};
	int r;

	if (geteuid() != 0) {
		log_error("must be started as root, or as root of a user namespace (unshare -r): "
		          "it acts for all "
		          "the guest's users");
		return -EPERM;
	}
	r = confine_close_others(keep, ARRAY_SIZE(keep));
	if (r < 0)
		return failed(r, "cannot close inherited descriptors");
	(void)umask(0);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return failed(-errno, "cannot ignore signals");
	r = confine_drop_groups();
	if (r == -EPERM)
		log_warning(
		    "supplementary groups stay: this user namespace does not allow setgroups");
	else if (r < 0)
		return failed(r, "cannot drop supplementary groups");
	/* Real and saved ids too, so that setfsuid(0) is always the way back. */
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return failed(-errno, "cannot become root entirely");
	return 0;
}

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
	if (move_mount(tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(tree) < 0)
		return -errno;
	/* pivot_root(2), NOTES: the old root is stacked on the new one and taken off at once. */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return -errno;
	*ret_proc = fd_steal(&proc);
	return old_way ? set_options_old_way(readonly) : 0;
}

/* Namespaces that may be missing without the jail being open. */
static void leave_other_namespaces(void)
{
	static const struct {
		int flag;
		const char *name;
	} spaces[] = {{CLONE_NEWNET, "network"}, {CLONE_NEWIPC, "IPC"}, {CLONE_NEWUTS, "UTS"}};

	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
		int r = confine_unshare(spaces[i].flag);

		if (r < 0)
			log_warning("no %s namespace of its own: %s", spaces[i].name,
			            errno_name(r));
	}
}

/* Makes the working directory the root. *ret_proc: /proc/self/fd, to find descriptors by name. */
static int enter_root(bool readonly, int *ret_proc)
{
	int r = confine_unshare(CLONE_NEWNS);

	if (r < 0)
		log_warning("no mount namespace of its own: %s", errno_name(r));
	if (r == 0) {
		r = pivot(readonly, ret_proc);
		if (r == 0)
			return 0;
		log_warning("cannot pivot into the export: %s", errno_name(r));
	}
	log_warning("only chroot holds the export: see NOT PROMISED in docs/threat-model.md");
	*ret_proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_proc < 0)
		return -errno;
	return chroot(".") < 0 ? -errno : 0;
}

static int must_have_proc(void)
{
	struct statfs fs;

	if (statfs("/proc/self/fd", &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC)
		return 0;
	log_error("/proc is not mounted: files cannot be reopened without /proc/self/fd");
	return -ENOENT;
}

int lockdown_jail(struct export *x, bool native)
{
	AUTO_CLOSE int proc = -1;
	int r = must_have_proc();

	if (r == 0)
		r = choose_capabilities(native);
	if (r < 0)
		return r;
	leave_other_namespaces();
	/* unshare(2) moves the working directory to the new namespace; a descriptor would stay in
	 * the old one. */
	if (fchdir(x->root) < 0)
		return failed(-errno, "cannot enter the export");
	r = enter_root(x->readonly, &proc);
	if (r < 0)
		return failed(r, "cannot make the export the root");
	fd_close(&x->root);
	if (chdir("/") < 0)
		return failed(-errno, "cannot enter the new root");
	x->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (x->root < 0 || fchdir(proc) < 0)
		return failed(-errno, "cannot open the new root");
	x->proc_fds = fd_steal(&proc);
	return 0;
}

int lockdown_rights(bool native)
{
	int r = confine_limits(native ? MAX_FILES_NATIVE : MAX_FILES);

	if (r < 0)
		return failed(r, "cannot lower the resource limits");
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
		log_warning("the capability bounding set stays: CAP_SETPCAP is not to be had");
	if (capng_apply(CAPNG_SELECT_CAPS) != 0 || capng_apply(CAPNG_SELECT_AMBIENT) != 0) {
		log_error("cannot give capabilities away");
		return -EPERM;
	}
	r = confine_no_new_privs();
	if (r < 0)
		return failed(r, "cannot set no_new_privs");
	r = confine_undumpable();
	return r < 0 ? failed(r, "cannot become undumpable") : 0;
}

int lockdown_filter(enum lockdown_stage stage)
{
	static const enum seccomp_filter filters[] = {
	    [LOCKDOWN_ACCEPT] = SECCOMP_HELPER_ACCEPT,
	    [LOCKDOWN_SERVE] = SECCOMP_HELPER_SERVE,
	    [LOCKDOWN_NATIVE] = SECCOMP_HELPER_NATIVE,
	};
	int r = seccomp_load(filters[stage]);

	return r < 0 ? failed(r, "cannot load the system call filter") : 0;
}
