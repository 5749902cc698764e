/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/log.h"

#include "common/cleanup.h"
#include "common/sbuf.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syslog.h>
#include <sys/un.h>

#define LINE_SIZE 2048

static struct {
	const char *program;
	enum log_level max_level;
	int fd;
	bool is_syslog;
	char pid[16];
} out = {.program = "virtfs", .max_level = LOG_LEVEL_INFO, .fd = STDERR_FILENO, .is_syslog = false};

static const struct {
	const char *name;
	int severity; /* RFC 5424, 6.2.1 */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};
static_assert(ARRAY_SIZE(levels) == LOG_LEVEL_DEBUG + 1, "every level has a name");

void log_init(const char *program, enum log_level max_level)
{
	out.program = program;
	out.max_level = max_level;
}

void log_set_level(enum log_level max_level)
{
	out.max_level = max_level;
}

bool log_level_from_name(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(levels[i].name, name) == 0) {
			*ret_level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

int log_open_syslog(int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

void log_know_pid(void)
{
	ssize_t n = readlink("/proc/self", out.pid, sizeof(out.pid) - 1);

	if (n > 0)
		out.pid[n] = '\0';
	else
		(void)snprintf(out.pid, sizeof(out.pid), "%d", (int)getpid());
}

void log_to_syslog(int fd)
{
	if (!out.pid[0])
		log_know_pid();
	out.fd = fd;
	out.is_syslog = true;
}

bool log_wants(enum log_level level)
{
	return level <= out.max_level;
}

void log_line(enum log_level level, const char *format, ...)
{
	char message[LINE_SIZE - 128], line[LINE_SIZE];
	struct sbuf s = sbuf_over(line, sizeof(line) - 1);
	int saved = errno;
	va_list args;

	if (!log_wants(level))
		return;
	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (out.is_syslog)
		sbuf_add(&s, "<%d>%s[%s]: %s", LOG_DAEMON | levels[level].severity, out.program,
		         out.pid, message);
	else
		sbuf_add(&s, "%s: %s: %s\n", out.program, levels[level].name, message);
	/* There is nobody to tell when the log itself fails. */
	if (write(out.fd, line, s.used) < 0)
		errno = saved;
	errno = saved;
}

const char *errno_name(int error)
{
	const char *name = strerrorname_np(error < 0 ? -error : error);

	return name ? name : "errno?";
}
