/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/lockdown.h"

#include "common/confine.h"
#include "seccomp/load.h"

#include <cap-ng.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* Open files of guests are descriptors here. */
#define MAX_FILES 65536

static int failed(int r, const char *what)
{
	log_error("%s: %s", what, errno_name(r));
	return r;
}

int lockdown_start(const struct config *c)
{
	int keep[] = {STDIN_FILENO,   STDOUT_FILENO, STDERR_FILENO, c->helper_fd,
	              c->handover_fd, c->fd,         c->ready_fd};
	int r = confine_close_others(keep, ARRAY_SIZE(keep));

	if (r < 0)
		return failed(r, "cannot close inherited descriptors");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return failed(-errno, "cannot ignore signals");
	return 0;
}

int lockdown_serve(void)
{
	int r;

	if (geteuid() == 0) {
		r = confine_drop_groups();
		if (r < 0 && r != -EPERM)
			return failed(r, "cannot drop supplementary groups");
		/* Fewer namespaces than asked for are not worth failing for: no call of the policy reaches any. */
		r = confine_unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
		if (r < 0)
			log_info("no namespaces of its own: %s", errno_name(r));
	}
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return failed(-EPERM, "cannot give capabilities away");
	r = confine_limits(MAX_FILES);
	if (r == 0)
		r = confine_no_new_privs();
	if (r == 0)
		r = confine_undumpable();
	if (r < 0)
		return failed(r, "cannot lower the limits");
	r = seccomp_load(SECCOMP_DEVICE_SERVE);
	return r < 0 ? failed(r, "cannot load the system call filter") : 0;
}
