/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* userns.h: a user namespace of one's own (user_namespaces(7)), which gives the other namespaces to who is not root too. */
#ifndef VIRTFS_COMMON_USERNS_H
#define VIRTFS_COMMON_USERNS_H

#include "common/compiler.h"

#include <stdbool.h>

/**
 * userns_enter() - Be in a user namespace of one's own, with every capability in it
 *
 * Every id is itself there: all that there were, if this process may map them (*ret_all_ids), else its own two; the owners
 * of all other files are seen as the overflow ids then. Only for a process of one thread. /proc must be mounted.
 * Return: 0, or -errno with nothing changed.
 */
int MUST_CHECK userns_enter(bool *ret_all_ids);

#endif
