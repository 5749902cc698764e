/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/cred.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct __user_cap_data_struct base[_LINUX_CAPABILITY_U32S_3];

static int set_effective(uint32_t low, uint32_t high)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {base[0], base[1]};

	data[0].effective = low;
	data[1].effective = high;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* setfsuid(2) tells nothing of failure: asking with an invalid id afterwards gives the one in
 * force. */
static bool switch_fsuid(uint32_t uid)
{
	(void)syscall(SYS_setfsuid, uid);
	return (uint32_t)syscall(SYS_setfsuid, UINT32_MAX) == uid;
}

static bool switch_fsgid(uint32_t gid)
{
	(void)syscall(SYS_setfsgid, gid);
	return (uint32_t)syscall(SYS_setfsgid, UINT32_MAX) == gid;
}

int cred_init(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &header, base) < 0 ? -errno : 0;
}

int cred_enter(struct cred_scope *scope, uint32_t uid, uint32_t gid, enum cred_power power)
{
	uint32_t low = 0;

	if (gid != UINT32_MAX && gid != 0) {
		scope->gid_switched = true;
		if (!switch_fsgid(gid))
			goto refused;
	}
	if (uid == UINT32_MAX || uid == 0)
		return 0;
	scope->uid_switched = true;
	if (!switch_fsuid(uid))
		goto refused;
	if (power == CRED_OVERRIDE)
		low = base[0].effective & CAP_TO_MASK(CAP_DAC_OVERRIDE);
	if (set_effective(low, 0) < 0)
		goto refused;
	return 0;
refused:
	cred_leave(scope);
	return -EPERM;
}

void cred_leave(struct cred_scope *scope)
{
	int saved = errno;

	if (scope->uid_switched) {
		BUG_ON(!switch_fsuid(0));
		BUG_ON(set_effective(base[0].effective, base[1].effective) < 0);
	}
	if (scope->gid_switched)
		BUG_ON(!switch_fsgid(0));
	*scope = (struct cred_scope)CRED_NONE;
	errno = saved;
}
