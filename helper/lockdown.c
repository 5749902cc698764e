/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/lockdown.h"

#include "common/confine.h"
#include "common/daemon.h"
#include "common/landlock.h"
#include "common/log.h"
#include "helper/jail.h"
#include "seccomp/load.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
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
    CAP_DAC_READ_SEARCH, /* for file handles only: the first */
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
static int choose_capabilities(bool handles)
{
	bool have[ARRAY_SIZE(kept_caps)];

	if (capng_get_caps_process() != 0) {
		log_error("cannot read this process's capabilities");
		return -EPERM;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kept_caps); i++)
		have[i] = capng_have_capability(CAPNG_PERMITTED, kept_caps[i]) == 1;
	capng_clear(CAPNG_SELECT_ALL);
	for (size_t i = handles ? 0 : 1; i < ARRAY_SIZE(kept_caps); i++) {
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

static int must_have_proc(void)
{
	struct statfs fs;

	if (statfs("/proc/self/fd", &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC)
		return 0;
	log_error("/proc is not mounted: files cannot be reopened without /proc/self/fd");
	return -ENOENT;
}

int lockdown_daemon(enum sandbox mode, int *ret_pipe)
{
	int r = mode <= SANDBOX_NAMESPACE ? confine_unshare(CLONE_NEWPID) : 0;

	if (r < 0 && mode == SANDBOX_NAMESPACE)
		return failed(r, "--sandbox=namespace: no PID namespace of its own");
	if (r < 0)
		log_warning("no PID namespace of its own: %s", errno_name(r));
	r = daemon_fork(ret_pipe);
	return r < 0 ? failed(r, "cannot go into the background") : 0;
}

/* The first process of a PID namespace or a container dies of no signal that it does not handle. */
static void end_when_asked(int signal)
{
	_exit(128 + signal);
}

static int be_killable(void)
{
	static const int asked[] = {SIGTERM, SIGINT, SIGHUP};

	for (size_t i = 0; getpid() == 1 && i < ARRAY_SIZE(asked); i++) {
		if (signal(asked[i], end_when_asked) == SIG_ERR)
			return -errno;
	}
	return 0;
}

int lockdown_jail(struct export *x, enum sandbox mode, bool handles)
{
	int r = must_have_proc();

	if (r == 0)
		r = be_killable();
	if (r == 0)
		r = choose_capabilities(handles);
	if (r == 0)
		r = jail_leave_namespaces(mode);
	return r < 0 ? r : jail_enter(mode, x);
}

int lockdown_rights(const struct export *x, bool native, bool handles)
{
	unsigned fence = (x->readonly ? LANDLOCK_READ_ONLY : LANDLOCK_WRITE) |
	                 (handles ? LANDLOCK_BY_HANDLE : 0);
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
	r = landlock_allow_beneath(x->root, fence);
	if (r < 0)
		return failed(r, "cannot put the Landlock fence up");
	r = confine_undumpable();
	return r < 0 ? failed(r, "cannot become undumpable") : 0;
}

int lockdown_filter(enum lockdown_stage stage, enum seccomp_mode mode)
{
	static const enum seccomp_filter filters[] = {
	    [LOCKDOWN_ACCEPT] = SECCOMP_HELPER_ACCEPT,
	    [LOCKDOWN_SERVE] = SECCOMP_HELPER_SERVE,
	    [LOCKDOWN_NATIVE] = SECCOMP_HELPER_NATIVE,
	};
	int r = seccomp_load(filters[stage], mode);

	return r < 0 ? failed(r, "cannot load the system call filter") : 0;
}
