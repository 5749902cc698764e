/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cred.h: acting as the guest's user while something is created.
 *
 * Only the file-system ids of this thread are switched (setfsuid(2), setfsgid(2)), by raw system
 *calls: glibc's would signal every thread. The kernel itself takes the file-system capabilities
 *away when fsuid leaves 0 and gives those of the permitted set back when it returns; which of them
 *act in between is set here. So a scope can neither lose a right for good nor carry one out. The
 *only file with setfsuid, setfsgid and capset.
 *
 *	AUTO_CRED struct cred_scope scope = CRED_NONE;
 *	r = cred_enter(&scope, uid, gid, CRED_OVERRIDE);
 */
#ifndef VIRTFS_HELPER_CRED_H
#define VIRTFS_HELPER_CRED_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>

enum cred_power {
	/*
	 * CAP_DAC_OVERRIDE stays: the guest's kernel has checked the permission already, with
	 * supplementary groups that nobody tells us of.
	 */
	CRED_OVERRIDE,
	/* No capability at all: the host's permission bits decide. For what the guest's kernel
	   could not check. */
	CRED_STRICT,
};

struct cred_scope {
	bool gid_switched, uid_switched;
};

#define CRED_NONE            \
	{                    \
		false, false \
	}
#define AUTO_CRED __attribute__((cleanup(cred_leave)))

/** cred_init() - Remember this thread's capabilities as those to come back to. Return: 0 or -errno.
 */
int MUST_CHECK cred_init(void);

/**
 * cred_enter() - Act as uid and gid until the scope ends
 *
 * UINT32_MAX for either says "not given" and leaves it 0. Uid 0 keeps all capabilities, as root in
 * the guest has them. Return: 0, or -EPERM when the ids cannot be taken on (not mapped in this user
 * namespace); then nothing is switched.
 */
int MUST_CHECK cred_enter(struct cred_scope *scope, uint32_t uid, uint32_t gid,
                          enum cred_power power);

/** cred_leave() - Back to what cred_init() saw; ends the process if the kernel should refuse that.
 */
void cred_leave(struct cred_scope *scope);

#endif
