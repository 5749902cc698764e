/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commands.h: the subcommands of virtfs(1). Each gets the arguments from its own name on and
 * returns the exit status. */
#ifndef VIRTFS_LAUNCHER_COMMANDS_H
#define VIRTFS_LAUNCHER_COMMANDS_H

#include "common/compiler.h"

int MUST_CHECK command_proxy(int argc, char **argv);
int MUST_CHECK command_serve(int argc, char **argv);

#endif
