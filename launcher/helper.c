/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/helper.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "launcher/programs.h"
#include "launcher/spawn.h"

#include <errno.h>

#define FIXED_ARGS 8 /* the program, -n, -p DIR, -f N, --log-level LEVEL */

bool helper_take(struct helper *h, enum helper_option option, const char *value)
{
	static const char *const flags[] = {
	    [HELPER_READONLY] = "--readonly",     [HELPER_SANDBOX] = "--sandbox",
	    [HELPER_SECCOMP] = "--seccomp",       [HELPER_SUBIDS] = "--subids",
	    [HELPER_UID_MAP] = "--uid-map",       [HELPER_GID_MAP] = "--gid-map",
	    [HELPER_WHOLE_HOST] = "--whole-host", [HELPER_FILE_HANDLES] = "--inode-file-handles",
	};

	static_assert(ARRAY_SIZE(flags) == HELPER_OPTIONS, "every option has its flag");
	if (h->count + 2 > HELPER_ARGS_MAX) {
		log_error("%s: too many options", flags[option]);
		return false;
	}
	h->more[h->count++] = flags[option];
	if (value)
		h->more[h->count++] = value;
	return true;
}

int helper_start(const struct helper *h, int sock, pid_t *ret_pid)
{
	AUTO_FREE char *found = h->program ? NULL : program_find("helper", "virtfs-proxy-helper");
	const char *argv[FIXED_ARGS + HELPER_ARGS_MAX + 1] = {h->program ? h->program : found, "-n",
	                                                      "-p", h->dir, "-f"};
	char number[12];
	size_t n = 5;
	int r = -ENOMEM;

	(void)snprintf(number, sizeof(number), "%d", sock);
	argv[n++] = number;
	if (h->log_level) {
		argv[n++] = "--log-level";
		argv[n++] = h->log_level;
	}
	for (size_t i = 0; i < h->count; i++)
		argv[n++] = h->more[i];
	if (argv[0])
		r = spawn_start(&(struct spawn){.argv = argv,
		                                .fds = &sock,
		                                .fd_count = 1,
		                                .own_session = true,
		                                .own_pids = true},
		                ret_pid);
	if (r < 0)
		log_error("cannot start %s: %s", argv[0] ? argv[0] : "the helper", errno_name(r));
	return r;
}
