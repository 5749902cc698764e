/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge.c: lets the guest's 9P client use a virtio-serial port as its connection.
 *
 *	bridge PORT COMMAND [ARGUMENT...]
 *
 * The client wants a file that it can read, write and poll; a port's character device is not one of those for the kernel
 * itself. So descriptor 3 of COMMAND (mount -o trans=fd,rfdno=3,wfdno=3) is one end of a socketpair, and a process in
 * the background copies between the other end and the port until the client closes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[65536];

static bool write_all(int fd, const char *bytes, ssize_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, (size_t)size);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			bytes += n;
			size -= n;
		}
	}
	return true;
}

/* Copies what is there. Return: false at the end of either side. */
static bool copy(int from, int to)
{
	ssize_t n = read(from, buffer, sizeof(buffer));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	return n > 0 && write_all(to, buffer, n);
}

static void copy_both_ways(int sock, int port)
{
	struct pollfd p[2] = {{.fd = sock, .events = POLLIN}, {.fd = port, .events = POLLIN}};
	bool going = true;

	while (going && (poll(p, 2, -1) >= 0 || errno == EINTR)) {
		if (p[0].revents)
			going = copy(sock, port);
		if (going && p[1].revents)
			going = copy(port, sock);
	}
}

int main(int argc, char **argv)
{
	int pair[2], port;
	pid_t pid;

	if (argc < 3) {
		(void)fprintf(stderr, "Usage: bridge PORT COMMAND [ARGUMENT...]\n");
		return 2;
	}
	port = open(argv[1], O_RDWR | O_CLOEXEC);
	if (port < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		perror(argv[1]);
		return 1;
	}
	pid = fork();
	if (pid < 0) {
		perror("fork");
		return 1;
	}
	if (pid == 0) {
		/* Nobody waits for this one's output. */
		(void)setsid();
		(void)close(pair[1]);
		for (int fd = 0; fd <= 2; fd++)
			(void)close(fd);
		copy_both_ways(pair[0], port);
		_exit(0);
	}
	if (dup2(pair[1], 3) < 0 || (pair[1] == 3 && fcntl(3, F_SETFD, 0) < 0)) {
		perror("dup2");
		return 1;
	}
	(void)execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
