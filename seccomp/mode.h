/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mode.h: what a filter does with a call that it does not allow: the value of --seccomp, of helper and device. */
#ifndef VIRTFS_SECCOMP_MODE_H
#define VIRTFS_SECCOMP_MODE_H

#include "common/compiler.h"

#include <stdbool.h>

enum seccomp_mode {
	SECCOMP_AS_BUILT, /* what meson's option seccomp_mode says */
	SECCOMP_KILL,     /* the process ends by SIGSYS */
	SECCOMP_LOG,      /* the call is made, and the kernel logs it */
	SECCOMP_TRAP,     /* the process names the call in its log and ends */
};

/** seccomp_mode_parse() - "kill", "log" or "trap". Return: false for another word, after it logged which there are. */
bool MUST_CHECK seccomp_mode_parse(const char *text, enum seccomp_mode *ret);

#endif
