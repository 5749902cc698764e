/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_line.c: --disk, and what it says of what it does not take (rows F2, F4, F8, F12, F13, R6 and R8). */
#include "tests/lib/blk_rig.h"

#include "common/cleanup.h"
#include "common/sbuf.h"
#include "tests/lib/vu_rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[64];
static int err = -1, image = -1, image_ro = -1;

static void begin(void)
{
	char path[96];

	(void)snprintf(dir, sizeof(dir), "/dev/shm/blk.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/image", dir);
	image = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	image_ro = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(image >= 0 && image_ro >= 0);
	cr_assert_eq(ftruncate(image, 1 << 20), 0);
}

static void end(void)
{
	static const char *const names[] = {"image", "sock", "a", "b", "c", "d"};
	char path[128];

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	cr_assert_eq(rmdir(dir), 0);
	fd_close(&image);
	fd_close(&image_ro);
	fd_close(&err);
}

static const char *said(void)
{
	static char text[4096];
	ssize_t n = pread(err, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* IMAGE, RO and DIR in the text become what they are. */
static const char *disk(const char *text)
{
	static char out[512];
	struct sbuf s = sbuf_over(out, sizeof(out));

	while (*text) {
		if (strncmp(text, "IMAGE", 5) == 0)
			sbuf_add(&s, "%d", image);
		else if (strncmp(text, "RO", 2) == 0)
			sbuf_add(&s, "%d", image_ro);
		else if (strncmp(text, "DIR", 3) == 0)
			sbuf_add(&s, "%s", dir);
		else
			sbuf_add(&s, "%c", *text);
		text += *text == 'I' ? 5 : *text == 'R' ? 2 : *text == 'D' ? 3 : 1;
	}
	return out;
}

static void refused(const char *text, const char *why)
{
	const char *args[] = {getenv("VIRTFS_DEVICE"), "--disk", disk(text), NULL};
	pid_t pid;

	if (err >= 0)
		cr_assert_eq(ftruncate(err, 0) | (int)lseek(err, 0, SEEK_SET), 0);
	pid = vu_spawn(&err, args, (int[]){image, image_ro}, 2);
	cr_assert_eq(rig_exit_status(pid), 1, "--disk %s is taken", text);
	cr_assert_not_null(strstr(said(), why), "--disk %s: '%s'", text, said());
}

Test(blk_command_line, F4_the_format_has_to_be_said)
{
	begin();
	refused("id=a,fd=IMAGE,socket-path=DIR/sock", "ENOTSUP");
	refused("id=a,fd=IMAGE,format=,socket-path=DIR/sock", "no value");
	refused("id=a,fd=IMAGE,format=vmdk,socket-path=DIR/sock", "vmdk");
	end();
}

Test(blk_command_line, F8_F13_a_descriptor_is_a_plain_number_and_open)
{
	static const char *const bad[] = {
	    "",    "x", "4x", "-1", "+5", " 5", "0x5", "4294967300", "18446744073709551621",
	    "999", "0", "1",  "2",  "5 ", "5."};

	begin();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[128];

		(void)snprintf(text, sizeof(text), "id=a,format=raw,socket-path=DIR/sock,fd=%s",
		               bad[i]);
		refused(text, *bad[i] ? "EBADF" : "no value");
		(void)snprintf(text, sizeof(text), "id=a,format=raw,fd=IMAGE,vhost-user-fd=%s",
		               bad[i]);
		refused(text, *bad[i] ? "EBADF" : "no value");
	}
	end();
}

Test(blk_command_line, F12_R6_access_and_cache_are_those_of_the_descriptor)
{
	begin();
	refused("id=a,fd=RO,format=raw,socket-path=DIR/a", "reading");
	refused("id=a,fd=IMAGE,readonly=on,format=raw,socket-path=DIR/b", "reading only");
	refused("id=a,fd=IMAGE,cache=none,format=raw,socket-path=DIR/c", "O_DIRECT");
	refused("id=a,fd=IMAGE,cache=writethrough,format=raw,socket-path=DIR/d", "O_DSYNC");
	end();
}

Test(blk_command_line, what_is_not_known_is_told_with_what_is)
{
	begin();
	refused("id=a,fd=IMAGE,format=raw,socket-path=DIR/sock,file=x", "known are id, fd, format");
	refused("id=a,fd=IMAGE,format=raw,socket-path=DIR/sock,readonly", "KEY=VALUE");
	refused("id=a,fd=IMAGE,format=raw,socket-path=DIR/sock,readonly=yes", "on or off");
	refused("id=a,fd=IMAGE,format=raw,socket-path=DIR/sock,cache=unsafe",
	        "writeback, writethrough or none");
	refused("id=a,id=b,fd=IMAGE,format=raw,socket-path=DIR/sock", "twice");
	refused("id=a,fd=IMAGE,format=raw", "one of socket-path and vhost-user-fd");
	refused("fd=IMAGE,format=raw,socket-path=DIR/sock", "id is missing");
	refused("id=a,format=raw,socket-path=DIR/sock", "fd is missing");
	refused("id=a,fd=IMAGE,format=raw,socket-path=DIR/sock,queues=0", "from 1 to 64");
	refused("id=a,fd=IMAGE,format=raw,socket-path=DIR/sock,queues=65", "from 1 to 64");
	refused("id=a,fd=IMAGE,format=raw,socket-path=DIR/a,queue-size=100", "power of two");
	refused("id=a,fd=IMAGE,format=raw,socket-path=DIR/b,serial=more-than-twenty-bytes",
	        "20 bytes");
	refused("id=a,fd=RO,readonly=on,discard=on,format=raw,socket-path=DIR/c", "discard");
	refused("id=a,fd=IMAGE,format=raw,vhost-user-fd=RO", "SOCK_STREAM");
	end();
}

/* ---- several ---- */

static uint64_t features_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct vu_front f;
	uint64_t features;
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir, name);
	cr_assert_eq(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0, "%s", said());
	vu_front_init(&f);
	vu_front_use(&f, sock);
	features = vu_get_u64(&f, VU_GET_FEATURES);
	vu_front_end(&f);
	return features;
}

Test(blk_command_line, F2_R8_each_disk_is_as_it_was_said_whatever_came_before)
{
	AUTO_CLOSE int second = -1, second_ro = -1;
	char path[96], text[4][256], number[12], byte;
	const char *args[] = {getenv("VIRTFS_DEVICE"),
	                      "--disk",
	                      text[0],
	                      "--disk",
	                      text[1],
	                      "--disk",
	                      text[2],
	                      "--disk",
	                      text[3],
	                      "--ready-fd",
	                      number,
	                      NULL};
	int ready[2];
	pid_t pid;

	begin();
	(void)snprintf(path, sizeof(path), "%s/second", dir);
	second = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	second_ro = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(ftruncate(second, 1 << 20) | unlink(path), 0);
	for (unsigned i = 0; i < 4; i++) {
		int fd = i == 0 ? image_ro : i == 1 ? second : i == 2 ? dup(image_ro) : dup(second);

		(void)snprintf(text[i], sizeof(text[i]),
		               "id=%c,fd=%d,format=raw,readonly=%s,shared=%s,socket-path=%s/%c",
		               'a' + i, fd, i % 2 ? "off" : "on", i % 2 ? "on" : "off", dir,
		               'a' + i);
	}
	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	(void)snprintf(number, sizeof(number), "%d", ready[1]);
	/* dup(2) leaves the flag off: those are inherited anyway. */
	pid = vu_spawn(&err, args, (int[]){image_ro, second, ready[1]}, 3);
	fd_close(&ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "%s", said());
	fd_close(&ready[0]);
	for (unsigned i = 0; i < 4; i++) {
		char name[2] = {(char)('a' + i), '\0'};

		cr_assert_eq(!!(features_at(name) & BLK_F(RO)), i % 2 == 0, "disk %s", name);
	}
	(void)kill(pid, SIGTERM);
	cr_assert_eq(rig_exit_status(pid), 0);
	end();
}

Test(blk_command_line, a_connected_socket_ends_the_device_with_it)
{
	int pair[2];
	const char *args[] = {getenv("VIRTFS_DEVICE"), "--disk", NULL, NULL};
	char text[128];
	pid_t pid;

	begin();
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)snprintf(text, sizeof(text), "id=a,fd=%d,format=raw,vhost-user-fd=%d", image,
	               pair[1]);
	args[2] = text;
	pid = vu_spawn(&err, args, (int[]){image, pair[1]}, 2);
	fd_close(&pair[1]);
	fd_close(&pair[0]);
	cr_assert_eq(rig_exit_status(pid), 0, "%s", said());
	end();
}
