/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/hidden.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))

int hide_call(long number, long flags, int error)
{
	/* With any flags the second comparison is skipped. */
	struct sock_filter steps[] = {
	    LOAD(nr),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3),
	    LOAD(args[2]),
	    BPF_JUMP(BPF_JMP | (flags == HIDDEN_ANY ? BPF_JGE : BPF_JEQ) | BPF_K,
	             flags == HIDDEN_ANY ? 0 : (uint32_t)flags, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_SIZE(steps), .filter = steps};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}

int hide_by_name(const char *name)
{
	static const struct {
		const char *name;
		long number;
		int error;
	} calls[] = {
	    {"openat2", SYS_openat2, ENOSYS},
	    {"unshare", SYS_unshare, EPERM},
	    {"landlock", SYS_landlock_create_ruleset, ENOSYS},
	    {"io_uring", SYS_io_uring_setup, EPERM},
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (strcmp(calls[i].name, name) == 0)
			return hide_call(calls[i].number, HIDDEN_ANY, calls[i].error);
	}
	return -EINVAL;
}
