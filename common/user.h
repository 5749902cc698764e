/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* user.h: an option's argument that is a user. */
#ifndef VIRTFS_COMMON_USER_H
#define VIRTFS_COMMON_USER_H

#include "common/compiler.h"

#include <stdbool.h>
#include <sys/types.h>

struct user {
	uid_t uid;
	gid_t gid;
};

/**
 * user_parse() - "NAME", "UID" or "UID:GID"
 *
 * A name is looked up on this host, for its group too; a number without a group has the group that the host's user of that
 * number has. Logs what is wrong, by the name of the option.
 */
bool MUST_CHECK user_parse(const char *option, const char *text, struct user *ret);

#endif
