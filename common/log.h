/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h: one line a message, by one write(2), to standard error or to the system log.
 *
 * The system log is reached through a socket opened before the sandbox closes (syslog(3) would open
 * it again later, which a sandboxed process may not). Nothing here allocates memory. Bytes of a
 * peer go through sbuf_add_quoted() first, so that no peer writes lines of its own.
 */
#ifndef VIRTFS_COMMON_LOG_H
#define VIRTFS_COMMON_LOG_H

#include "common/compiler.h"

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/** log_init() - Name the program in each line; messages above max_level are dropped. */
void log_init(const char *program, enum log_level max_level);

/** log_set_level() - From now on drop messages above this level. */
void log_set_level(enum log_level max_level);

/** log_level_from_name() - "error", "warning", "info" or "debug"; false if it is none of these. */
bool MUST_CHECK log_level_from_name(const char *name, enum log_level *ret_level);

/** log_open_syslog() - Connect to /dev/log, before the sandbox puts it out of reach. Return: 0 or
 * -errno. */
int MUST_CHECK log_open_syslog(int *ret_fd);

/**
 * log_know_pid() - Remember this process's number for the system log, as the host has it
 *
 * To be called after the last fork and before the sandbox: in a PID namespace getpid(2) tells another.
 */
void log_know_pid(void);

/** log_to_syslog() - Send all further lines there; fd is from log_open_syslog() and stays open for
 * good. */
void log_to_syslog(int fd);

bool log_wants(enum log_level level);

void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

/** errno_name() - "ENOENT" for ENOENT or -ENOENT; "errno?" for what is none. */
const char *errno_name(int error);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                          \
	do {                                                    \
		if (log_wants(LOG_LEVEL_DEBUG))                 \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
