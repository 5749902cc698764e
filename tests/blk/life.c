/* SPDX-License-Identifier: GPL-2.0-or-later */
/* life.c: disks that come, change their size and go, in this very process (rows F11 and T6, and what disk.h says). */
#include "tests/lib/images.h"
#include "virtio-blk/blk.h"
#include "virtio-blk/disk.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct loop *loop;
static struct disk_host *host;
static unsigned gone;
static char text[IMAGE_WHY_MAX];
static struct sbuf why;

static unsigned fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static void begin(void)
{
	images_start();
	images_make("image", 1 << 20, NULL, 0);
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(disk_host_new(loop, getenv("VIRTFS_HIDE") != NULL, &host), 0);
	cr_assert_eq(disk_host_begin(host), 0);
	why = sbuf_over(text, sizeof(text));
	gone = 0;
}

static void end(void)
{
	disk_host_free(host);
	loop_free(loop);
	images_end();
}

static int listener(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "sock"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unlink(address.sun_path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)) | listen(fd, 1), 0);
	return fd;
}

static struct disk_spec spec(const char *id, bool readonly)
{
	struct image_spec s =
	    images_spec("raw", images_open("image", readonly ? O_RDONLY : O_RDWR), readonly);

	return (struct disk_spec){.id = id, .image = images_taken(&s), .vhost_user_fd = listener()};
}

static struct disk *attached(const struct disk_spec *s)
{
	struct disk *d = NULL;

	cr_assert_eq(disk_new(host, s, &why, &d), 0, "%s", text);
	return d;
}

static void went(void *context)
{
	cr_assert_null(disk_find(host, "a"));
	gone++;
	loop_stop(context);
}

Test(blk_life, F11_every_descriptor_is_closed_once_when_the_disk_goes)
{
	struct disk_spec s;
	struct disk_info info;
	unsigned before;
	struct disk *d;

	begin();
	before = fds();
	s = spec("a", false);
	d = attached(&s);
	cr_assert_eq(fcntl(s.vhost_user_fd, F_GETFD), -1,
	             "the socket is the disk's own by another number");
	cr_assert_eq(disk_find(host, "a"), d);
	cr_assert_eq(disk_next(host, NULL), d);
	disk_get_info(d, &info);
	cr_assert_str_eq(info.id, "a");
	cr_assert(info.listens && !info.connected);
	disk_close(d, went, loop);
	cr_assert_null(disk_find(host, "a"));
	cr_assert_null(disk_next(host, NULL));
	cr_assert_eq(loop_run(loop), 0);
	cr_assert_eq(gone, 1);
	cr_assert_eq(fds(), before);
	end();
}

Test(blk_life, a_disk_with_a_front_end_goes_and_the_front_end_is_told)
{
	struct disk_spec s;
	int pair[2];
	char byte;

	begin();
	s = spec("a", true);
	fd_close(&s.vhost_user_fd);
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	s.vhost_user_fd = pair[0];
	disk_close(attached(&s), went, loop);
	cr_assert_eq(loop_run(loop), 0);
	cr_assert_eq(gone, 1);
	cr_assert_eq(recv(pair[1], &byte, 1, MSG_DONTWAIT), 0, "the connection is open");
	fd_close(&pair[1]);
	end();
}

static void refused(const struct disk_spec *s, int error, const char *reason)
{
	struct disk *d;
	unsigned before = fds();

	why = sbuf_over(text, sizeof(text));
	cr_assert_eq(disk_new(host, s, &why, &d), -error);
	cr_assert_not_null(strstr(text, reason), "%s", text);
	cr_assert_eq(fds(), before, "a disk that was refused took or left descriptors");
	cr_assert_geq(fcntl(s->vhost_user_fd, F_GETFD), 0);
}

Test(blk_life, what_is_refused_is_the_caller_s_as_before)
{
	struct disk_spec s, good;
	struct disk *d;
	int pair[2];

	begin();
	good = spec("a", true);
	s = good;
	s.id = "";
	refused(&s, EINVAL, "1 to 63");
	s.id = "0123456789012345678901234567890123456789012345678901234567890123";
	refused(&s, EINVAL, "1 to 63");
	s = good;
	s.serial = "123456789012345678901";
	refused(&s, EINVAL, "20 bytes");
	s = good;
	s.queue_size = 3;
	refused(&s, EINVAL, "power of two");
	s.queue_size = 2048;
	refused(&s, EINVAL, "power of two");
	s = good;
	s.queues = DISK_QUEUES_MAX + 1;
	refused(&s, EINVAL, "queues");
	s = good;
	s.discard = true;
	refused(&s, EINVAL, "read-only");
	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	s = good;
	s.vhost_user_fd = pair[0];
	refused(&s, ENOTSOCK, "SOCK_STREAM");
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	d = attached(&good);
	s = spec("a", true);
	refused(&s, EEXIST, "already");
	image_close(s.image);
	fd_close(&s.vhost_user_fd);
	disk_close(d, went, loop);
	cr_assert_eq(loop_run(loop), 0);
	end();
}

Test(blk_life, places_are_used_again)
{
	begin();
	for (unsigned i = 0; i < 2 * DISKS_MAX; i++) {
		struct disk_spec s = spec("a", i % 2);

		disk_close(attached(&s), i + 1 < 2 * DISKS_MAX ? NULL : went, loop);
		(void)disk_host_idle(host);
	}
	cr_assert_eq(gone, 1);
	end();
}

Test(blk_life, as_many_disks_as_there_may_be_and_one_more)
{
	static struct disk *d[DISKS_MAX];
	struct disk_spec s;
	char id[8];

	begin();
	for (unsigned i = 0; i < DISKS_MAX; i++) {
		(void)snprintf(id, sizeof(id), "%u", i);
		s = spec(id, true);
		d[i] = attached(&s);
	}
	s = spec("a", true);
	refused(&s, ENOSPC, "256");
	image_close(s.image);
	fd_close(&s.vhost_user_fd);
	for (unsigned i = 0; i < DISKS_MAX; i++)
		disk_close(d[i], i + 1 < DISKS_MAX ? NULL : went, loop);
	cr_assert_eq(loop_run(loop), 0);
	end();
}

static void resized(struct disk *d, uint64_t bytes, int error, uint64_t size)
{
	struct disk_info info;

	cr_assert_eq(disk_resize(d, bytes, &why), -error, "%s", text);
	disk_get_info(d, &info);
	cr_assert_eq(info.size, size);
}

Test(blk_life, a_new_size_is_at_most_the_file_s)
{
	struct disk_spec s;
	struct disk *d;

	begin();
	s = spec("a", false);
	d = attached(&s);
	resized(d, 2 << 20, ENOSPC, 1 << 20);
	resized(d, 1000, EINVAL, 1 << 20);
	cr_assert_eq(truncate("image", 3 << 20), 0);
	resized(d, 2 << 20, 0, 2 << 20);
	resized(d, 0, 0, 3 << 20);
	cr_assert_eq(truncate("image", 1000), 0);
	resized(d, 0, EINVAL, 3 << 20);
	disk_close(d, went, loop);
	cr_assert_eq(loop_run(loop), 0);
	end();
}
