/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/user.h"

#include "common/log.h"
#include "common/parse.h"

#include <pwd.h>
#include <string.h>

#define ID_MAX (UINT32_MAX - 1) /* the last one means "none" to the kernel */

static bool parse_both(const char *text, const char *colon, struct user *ret)
{
	char first[16];
	uint64_t uid, gid;

	if ((size_t)(colon - text) >= sizeof(first))
		return false;
	memcpy(first, text, (size_t)(colon - text));
	first[colon - text] = '\0';
	if (!parse_u64(first, ID_MAX, &uid) || !parse_u64(colon + 1, ID_MAX, &gid))
		return false;
	*ret = (struct user){.uid = (uid_t)uid, .gid = (gid_t)gid};
	return true;
}

bool user_parse(const char *option, const char *text, struct user *ret)
{
	const char *colon = strchr(text, ':');
	const struct passwd *p;
	uint64_t uid;

	if (colon) {
		if (parse_both(text, colon, ret))
			return true;
		log_error("--%s '%s': must be NAME, UID, or two numbers UID:GID", option, text);
		return false;
	}
	p = parse_u64(text, ID_MAX, &uid) ? getpwuid((uid_t)uid) : getpwnam(text);
	if (p) {
		*ret = (struct user){.uid = p->pw_uid, .gid = p->pw_gid};
		return true;
	}
	log_error("--%s '%s': this host has no such user; a number alone needs one too, UID:GID "
	          "does not",
	          option, text);
	return false;
}
