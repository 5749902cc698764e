/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock.c: one lock on a file.
 *
 *	guest-lock fcntl|flock try|wait|hold FILE
 *
 * try: exits with 0 if the lock can be had at once, with 1 if not. wait: the same, when it can be had. hold: waits, prints
 * "held", and keeps it until it is killed. Anything else that goes wrong is status 2.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int lock(int fd, const char *how, bool waits)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (strcmp(how, "flock") == 0)
		return flock(fd, waits ? LOCK_EX : LOCK_EX | LOCK_NB);
	return fcntl(fd, waits ? F_SETLKW : F_SETLK, &l);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 4) {
		(void)fprintf(stderr, "Usage: guest-lock fcntl|flock try|wait|hold FILE\n");
		return 2;
	}
	fd = open(argv[3], O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror(argv[3]);
		return 2;
	}
	if (lock(fd, argv[1], strcmp(argv[2], "try") != 0) < 0) {
		perror("lock");
		return errno == EAGAIN || errno == EACCES ? 1 : 2;
	}
	if (strcmp(argv[2], "hold") == 0) {
		(void)puts("held");
		(void)fflush(stdout);
		(void)pause();
	}
	return 0;
}
