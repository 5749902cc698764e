/* SPDX-License-Identifier: GPL-2.0-or-later */
/* user.h: the argument of --user. */
#ifndef VIRTFS_LAUNCHER_USER_H
#define VIRTFS_LAUNCHER_USER_H

#include "common/compiler.h"
#include "launcher/spawn.h"

/** user_parse() - "UID:GID", two numbers: names are the host's to map. Says on standard error what is wrong. */
bool MUST_CHECK user_parse(const char *text, struct spawn_user *ret);

#endif
