/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inject.h: has another process make a system call, as if it had been taken over (ptrace(2); root's right, x86_64 only). */
#ifndef VIRTFS_TESTS_LIB_INJECT_H
#define VIRTFS_TESTS_LIB_INJECT_H

#include "common/compiler.h"

#include <sys/types.h>

#if defined(__x86_64__)
#define INJECT_WORKS 1
#else
#define INJECT_WORKS 0
#endif

#define INJECT_TRAPPED 1000

/**
 * inject_call() - One call without arguments, out of where its first thread waits in another
 *
 * That other call goes on afterwards. Return: 0, and in *ret what the call returned; 128 and the number of the signal that ended
 * the process in it, which is waited for then; or INJECT_TRAPPED when it got SIGSYS to handle.
 */
int MUST_CHECK inject_call(pid_t pid, long number, long *ret);

#endif
