/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/frozen.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGE_SIZE 16777216
#define GUARD_MS   60000
#define LOOP_TRIES 20 /* others may take the free one in between */

static bool run_mkfs(const char *image)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execl("/sbin/mkfs.ext4", "mkfs.ext4", "-q", "-F", image, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* Return: a loop device that goes with its last user, or -1. Its path is put to name. */
static int loop_of(const char *image, char *name, size_t size)
{
	AUTO_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	AUTO_CLOSE int file = open(image, O_RDWR | O_CLOEXEC);

	for (int i = 0; control >= 0 && file >= 0 && i < LOOP_TRIES; i++) {
		struct loop_config c = {.fd = (__u32)file, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
		AUTO_CLOSE int loop = -1;
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		(void)snprintf(name, size, "/dev/loop%d", number);
		loop = number < 0 ? -1 : open(name, O_RDWR | O_CLOEXEC);
		if (loop < 0)
			return -1;
		if (ioctl(loop, LOOP_CONFIGURE, &c) == 0)
			return fd_steal(&loop);
	}
	return -1;
}

const char *frozen_mount(struct frozen *f, const char *image_dir, const char *at)
{
	AUTO_CLOSE int file = -1;
	AUTO_CLOSE int loop = -1;
	char image[256], name[32];

	*f = (struct frozen)FROZEN_NONE;
	(void)snprintf(image, sizeof(image), "%s/image", image_dir);
	file = open(image, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (file < 0 || ftruncate(file, IMAGE_SIZE) < 0 || !run_mkfs(image))
		return "mkfs.ext4 (package e2fsprogs) does not work here";
	loop = loop_of(image, name, sizeof(name));
	if (loop < 0)
		return "no loop device is to be had";
	if (mount(name, at, "ext4", 0, NULL) < 0)
		return "ext4 cannot be mounted";
	f->dir = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(f->dir, 0);
	return NULL;
}

/* Waits for the test to say that it has thawed, or to end. */
static void guard(int dir, int pipe_end)
{
	struct pollfd p = {.fd = pipe_end, .events = POLLIN};
	char byte;

	if (poll(&p, 1, GUARD_MS) <= 0 || read(pipe_end, &byte, 1) != 1)
		(void)ioctl(dir, FITHAW, 0);
	_exit(0);
}

void frozen_freeze(struct frozen *f)
{
	int ends[2];

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	f->guard = fork();
	cr_assert_geq(f->guard, 0);
	if (f->guard == 0) {
		(void)setsid(); /* whoever ends all of the test's group ends not this one */
		/* Nothing else of the test's may stay open here: others wait for its end. */
		(void)dup2(f->dir, 0);
		(void)dup2(ends[0], 1);
		(void)close_range(2, UINT32_MAX, 0);
		guard(0, 1);
	}
	fd_close(&ends[0]);
	f->guard_pipe = ends[1];
	cr_assert_eq(ioctl(f->dir, FIFREEZE, 0), 0, "%s", strerror(errno));
}

void frozen_thaw(struct frozen *f)
{
	cr_assert_eq(ioctl(f->dir, FITHAW, 0), 0, "%s", strerror(errno));
	cr_assert_eq(write(f->guard_pipe, "t", 1), 1);
	fd_close(&f->guard_pipe);
	cr_assert_eq(waitpid(f->guard, NULL, 0), f->guard);
}

void frozen_end(struct frozen *f)
{
	if (f->guard_pipe >= 0)
		frozen_thaw(f);
	fd_close(&f->dir);
}
