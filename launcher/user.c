/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/user.h"

#include "common/log.h"
#include "common/parse.h"

#include <string.h>

bool user_parse(const char *text, struct spawn_user *ret)
{
	const char *colon = strchr(text, ':');
	char uid[16];
	uint64_t u, g;

	if (colon && (size_t)(colon - text) < sizeof(uid)) {
		memcpy(uid, text, (size_t)(colon - text));
		uid[colon - text] = '\0';
		if (parse_u64(uid, UINT32_MAX - 1, &u) &&
		    parse_u64(colon + 1, UINT32_MAX - 1, &g)) {
			*ret = (struct spawn_user){.uid = (uid_t)u, .gid = (gid_t)g};
			return true;
		}
	}
	log_error("--user '%s': must be two numbers, UID:GID", text);
	return false;
}
