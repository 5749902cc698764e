/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/lockdown.h"

#include "common/confine.h"
#include "common/landlock.h"
#include "common/userns.h"
#include "seccomp/load.h"

#include <cap-ng.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#define MAX_FILES 65536 /* open files of guests are descriptors here */
#define MAX_THREADS \
	1024 /* the kernel's for what waits on the ring (WORKERS of common/ring.c), and some */

/* In it the threads that count are our own; elsewhere all of the user's do. */
static bool in_user_namespace;

static int failed(int r, const char *what)
{
	log_error("%s: %s", what, errno_name(r));
	return r;
}

int lockdown_start(const struct config *c)
{
	int keep[8 + DISK_OPTIONS_FDS_MAX] = {STDIN_FILENO,  STDOUT_FILENO,  STDERR_FILENO,
	                                      c->helper_fd,  c->handover_fd, c->fd,
	                                      c->control_fd, c->ready_fd};
	size_t disks = disk_options_fds(&c->disks, keep + 8, DISK_OPTIONS_FDS_MAX);
	int r = confine_close_others(keep, 8 + disks);

	if (r < 0)
		return failed(r, "cannot close inherited descriptors");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return failed(-errno, "cannot ignore signals");
	return 0;
}

/* ---- what the host may not allow ---- */

/* Return: 0 to go on without a wall, or r where all are demanded. */
static int without(const struct config *c, const char *wall, int r)
{
	bool demanded = c->sandbox == SANDBOX_NAMESPACE;

	log_line(demanded ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "the host does not allow %s: %s",
	         wall, errno_name(r));
	return demanded ? r : 0;
}

/* *ret_mounts: whether there is a mount namespace. */
static int leave_namespaces(const struct config *c, bool *ret_mounts, bool *ret_all_ids)
{
	static const struct {
		int kind;
		const char *wall;
	} spaces[] = {{CLONE_NEWNET, "a network namespace"},
	              {CLONE_NEWIPC, "an IPC namespace"},
	              {CLONE_NEWUTS, "a UTS namespace"},
	              {CLONE_NEWCGROUP, "a cgroup namespace"},
	              {CLONE_NEWNS, "a mount namespace"}};
	int r = userns_enter(ret_all_ids);

	in_user_namespace = r == 0;
	if (r < 0)
		r = without(c, "a user namespace", r);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(spaces); i++) {
		r = confine_unshare(spaces[i].kind);
		*ret_mounts |= r == 0 && spaces[i].kind == CLONE_NEWNS;
		if (r < 0)
			r = without(c, spaces[i].wall, r);
	}
	return r;
}

static int leave_root(const struct config *c, bool has_mounts)
{
	int r = has_mounts ? confine_empty_root() : -EPERM;

	if (r == 0)
		return 0;
	r = without(c, "an empty root that is a mount", r);
	if (r < 0)
		return r;
	r = confine_empty_chroot();
	return r < 0 ? without(c, "an empty root by chroot", r) : 0;
}

static int leave_user(const struct config *c)
{
	int r;

	if (geteuid() != 0) {
		if (!c->has_user || c->user.uid == geteuid())
			return 0;
		log_error("--user: only root can become another user");
		return -EPERM;
	}
	r = confine_become(&c->user);
	if (r == 0)
		return 0;
	return c->has_user ? failed(r, "cannot be the user of --user")
	                   : without(c, "a user that is not root", r);
}

int lockdown_jail(const struct config *c, bool *ret_all_ids)
{
	bool has_mounts = false;
	int r = 0;

	*ret_all_ids = true;
	/* libcap-ng looks at /proc first, which is out of reach later. */
	capng_clear(CAPNG_SELECT_ALL);
	if (c->sandbox != SANDBOX_NONE) {
		r = leave_namespaces(c, &has_mounts, ret_all_ids);
		if (r == 0)
			r = leave_root(c, has_mounts);
	}
	if (r < 0)
		return r;
	/* An ordinary user's namespace has no setgroups(2), and groups open nothing where nothing can be opened. */
	r = confine_drop_groups();
	if (r < 0 && r != -EPERM)
		return failed(r, "cannot drop supplementary groups");
	/* Needs CAP_SETPCAP; without it there is nothing to be had by the set either (no_new_privs). */
	(void)capng_apply(CAPNG_SELECT_BOUNDS);
	return leave_user(c);
}

/* ---- what it always allows ---- */

int lockdown_rights(void)
{
	int r = confine_limits(MAX_FILES);

	if (r == 0 && in_user_namespace)
		r = confine_threads(MAX_THREADS);
	if (r < 0)
		return failed(r, "cannot lower the limits");
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0 || capng_apply(CAPNG_SELECT_AMBIENT) != 0)
		return failed(-EPERM, "cannot give capabilities away");
	r = confine_no_new_privs();
	if (r == 0)
		r = confine_undumpable();
	if (r < 0)
		return failed(r, "cannot become undumpable");
	r = landlock_deny_all();
	return r < 0 ? failed(r, "cannot use Landlock") : 0;
}

int lockdown_filter(const struct config *c, enum lockdown_threads threads)
{
	static const enum seccomp_filter filters[] = {
	    [LOCKDOWN_NO_THREADS] = SECCOMP_DEVICE_SERVE,
	    [LOCKDOWN_SHARE_THREADS] = SECCOMP_DEVICE_THREADS,
	    [LOCKDOWN_DISK_THREADS] = SECCOMP_DEVICE_DISKS,
	};
	int r = seccomp_load(filters[threads], c->seccomp);

	return r < 0 ? failed(r, "cannot load the system call filter") : 0;
}
