/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proc.h: what the kernel tells of a process (proc(5)). Each fails the test where it cannot. */
#ifndef VIRTFS_TESTS_LIB_PROC_H
#define VIRTFS_TESTS_LIB_PROC_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** proc_path() - /proc/PID/name; valid until the next call. */
const char *proc_path(pid_t pid, const char *name);

/** proc_status() - The value of a line of /proc/PID/status, without the spaces before it; "" if there is no such line. */
const char *proc_status(pid_t pid, const char *key);

/** proc_limit() - The hard limit of a line of /proc/PID/limits; UINT64_MAX: unlimited. */
uint64_t proc_limit(pid_t pid, const char *name);

/** proc_shares() - Whether it is in the same namespace ("mnt", "net" and so on) as this process. */
bool proc_shares(pid_t pid, const char *space);

/** proc_mounts_one() - Fails unless one whole file system alone is mounted where it is, without set-id, devices and exec. */
void proc_mounts_one(pid_t pid);

/** proc_switches() - A line for each thread of a process: its number, its name, and how often it went to sleep or was put aside.
 * As long as the text stays the same none of them has run. */
void proc_switches(pid_t pid, char *text, size_t room);

/** proc_child() - A child of a process, by the beginning of its name; -1 if there is none. */
pid_t proc_child(pid_t parent, const char *name);

#endif
