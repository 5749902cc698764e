/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/ready.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int connect_notify(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	AUTO_CLOSE int fd = -1;

	/* sd_notify(3): an absolute path, or an abstract name written with a leading '@'. */
	if ((path[0] != '/' && path[0] != '@') || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address,
	            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int ready_prepare(struct ready *r, int fd)
{
	const char *path = getenv("NOTIFY_SOCKET");

	*r = (struct ready){.fd = fd, .parent = -1, .notify = -1};
	return path && *path ? connect_notify(path, &r->notify) : 0;
}

void ready_tell(struct ready *r)
{
	static const char message[] = "READY=1";

	if (r->fd >= 0 && write(r->fd, "\n", 1) != 1)
		log_warning("could not write to the descriptor of --ready-fd: %s",
		            errno_name(errno));
	if (r->parent >= 0 && write(r->parent, "\n", 1) != 1)
		log_warning("could not tell the parent: %s", errno_name(errno));
	if (r->notify >= 0 && write(r->notify, message, strlen(message)) < 0)
		log_warning("could not tell the service manager: %s", errno_name(errno));
	fd_close(&r->fd);
	fd_close(&r->parent);
	fd_close(&r->notify);
}
