/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/usock.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

union fd_space {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* Has a descriptor (or -1: none) go along with the message. */
static void pass(struct msghdr *msg, union fd_space *s, int fd)
{
	struct cmsghdr *c;

	if (fd < 0)
		return;
	msg->msg_control = s->bytes;
	msg->msg_controllen = sizeof(s->bytes);
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
}

int usock_send(int sock, const void *bytes, size_t size, int pass_fd)
{
	union fd_space space = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	pass(&msg, &space, pass_fd);
	do {
		ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	} while (iov.iov_len > 0);
	return 0;
}

ssize_t usock_send_some_fd(int sock, const void *bytes, size_t size, int pass_fd)
{
	union fd_space space = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	pass(&msg, &space, pass_fd);
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t usock_send_some(int sock, const void *bytes, size_t size)
{
	return usock_send_some_fd(sock, bytes, size, -1);
}

/* Moves the descriptors of one control message into the bag. */
static void take_rights(const struct cmsghdr *c, struct fdbag *bag)
{
	size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		if (bag->count < FDBAG_MAX)
			bag->fds[bag->count++] = fd;
		else
			fd_close(&fd);
	}
}

ssize_t usock_recv(int sock, void *buffer, size_t size, struct fdbag *bag)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDBAG_MAX)];
	} control;
	struct iovec iov = {.iov_base = buffer, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (bag) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
	}
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!bag)
		return msg.msg_flags & MSG_TRUNC ? -EBADMSG : n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			take_rights(c, bag);
	}
	bag->lost = msg.msg_flags & MSG_CTRUNC;
	if (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
		fdbag_close(bag);
	return msg.msg_flags & MSG_TRUNC ? -EBADMSG : n;
}

ssize_t usock_peek(int sock, void *buffer, size_t size)
{
	struct iovec iov = {.iov_base = buffer, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	do {
		n = recvmsg(sock, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int usock_pair(int type, int ret_pair[2])
{
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_pair) < 0 ? -errno : 0;
}

int usock_listen(const char *path, int type, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	AUTO_CLOSE int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int usock_accept(int listener, int *ret_fd)
{
	int fd;

	do {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

bool usock_is_connected(int fd, int *ret_type)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	int domain = 0, type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){sizeof(domain)}) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}) < 0)
		return false;
	if (domain != AF_UNIX || getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
		return false;
	*ret_type = type;
	return true;
}

bool usock_is_listening(int fd, int *ret_type)
{
	int domain = 0, type = 0, listens = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){sizeof(domain)}) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &(socklen_t){sizeof(listens)}) < 0)
		return false;
	if (domain != AF_UNIX || !listens)
		return false;
	*ret_type = type;
	return true;
}

int usock_peer_uid(int fd, uid_t *ret_uid)
{
	struct ucred peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &(socklen_t){sizeof(peer)}) < 0)
		return -errno;
	*ret_uid = peer.uid;
	return 0;
}
