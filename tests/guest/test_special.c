/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that are neither regular nor directories. The guest's kernel handles them itself; the share
 * only has to keep what they are.
 */
#include "tests/guest/workload.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static void write_fifo(unsigned int number)
{
	int fd = open_file("fifo", O_WRONLY);

	(void)number;
	write_all(fd, "through the fifo", 16);
	check_ok(close(fd));
}

static void fifo(void)
{
	char text[32] = "";
	pid_t writer;
	int fd;

	check_ok(mkfifo("fifo", 0600));
	check_number(mode_of("fifo"), S_IFIFO | 0600);
	writer = start_child(write_fifo, 0);
	fd = open_file("fifo", O_RDONLY);
	check_number(read_all(fd, text, sizeof(text)), 16);
	check(strcmp(text, "through the fifo") == 0);
	check_ok(close(fd));
	wait_for_child(writer);
	check_ok(chmod("fifo", 0644));
	check_ok(rename("fifo", "moved"));
	check_number(mode_of("moved"), S_IFIFO | 0644);
	check_ok(unlink("moved"));
	expect_missing("moved");
}

static void socket_by_bind(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[8] = "";
	int server;

	check_ok(listener);
	check_ok(client);
	check_ok(bind(listener, (const struct sockaddr *)&address, sizeof(address)));
	check_ok(listen(listener, 1));
	check(S_ISSOCK(mode_of("socket")));
	check_ok(connect(client, (const struct sockaddr *)&address, sizeof(address)));
	server = check_fd(accept(listener, NULL, NULL));
	write_all(client, "ping", 4);
	check_number(read(server, text, sizeof(text)), 4);
	check_ok(close(listener));
	check_errno(bind(socket(AF_UNIX, SOCK_STREAM, 0), (const struct sockaddr *)&address,
	                 sizeof(address)),
	            EADDRINUSE);
	check_ok(unlink("socket"));
	expect_missing("socket");
}

static void socket_by_mknod(void)
{
	check_ok(mknod("socket", S_IFSOCK | 0640, 0));
	check_number(mode_of("socket"), S_IFSOCK | 0640);
}

static void regular_by_mknod(void)
{
	check_ok(mknod("file", S_IFREG | 0600, 0));
	check_number(mode_of("file"), S_IFREG | 0600);
	make_text_file("file", "text");
	expect_text("file", "text");
}

static void need_device_nodes(void)
{
	if (!has_device_nodes())
		skip_test("the helper is an ordinary user's, who makes no devices");
}

static void check_device(const char *path, mode_t mode, dev_t device)
{
	struct stat st;

	check_ok(lstat(path, &st));
	check_number(st.st_mode, mode);
	check_number(st.st_rdev, device);
	check_number(st.st_size, 0);
}

static void device_nodes(void)
{
	need_device_nodes();
	check_ok(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	umask(0);
	check_ok(mknod("loop", S_IFBLK | 0660, makedev(7, 0)));
	check_ok(mknod("large", S_IFCHR | 0600, makedev(240, 300)));
	check_device("null", S_IFCHR | 0644, makedev(1, 3));
	check_device("loop", S_IFBLK | 0660, makedev(7, 0));
	check_device("large", S_IFCHR | 0600, makedev(240, 300));
}

/* The guest opens its own device, not the host's. */
static void open_device(void)
{
	char byte;
	int fd;

	need_device_nodes();
	check_ok(mknod("null", S_IFCHR | 0600, makedev(1, 3)));
	fd = open_file("null", O_RDWR);
	write_all(fd, "x", 1);
	check_number(read(fd, &byte, 1), 0);
	check_ok(close(fd));
}

static void device_nodes_as_user(void)
{
	check_errno(mknod("null", S_IFCHR | 0666, makedev(1, 3)), EPERM);
	check_errno(mknod("loop", S_IFBLK | 0666, makedev(7, 0)), EPERM);
	expect_missing("null");
	expect_missing("loop");
}

static void remove_unopened(void)
{
	/* Nobody has the other end, so anything that opened it would wait for ever. */
	check_ok(mkfifo("fifo", 0666));
	check_ok(chmod("fifo", 0600));
	check_ok(
	    utimensat(AT_FDCWD, "fifo", (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 2}}, 0));
	check_ok(link("fifo", "other"));
	check_ok(unlink("fifo"));
	check_number(mode_of("other"), S_IFIFO | 0600);
	make_text_file("file", "the share still answers");
	expect_text("file", "the share still answers");
}

#define ROOT_ONLY .audience = FOR_ROOT, .why_not = "only root may make devices"

const struct test special_tests[] = {
    {.name = "a fifo is made and works", .run = fifo},
    {.name = "a fifo that nobody opens stops nothing", .run = remove_unopened},
    {.name = "a Unix socket is bound and works", .run = socket_by_bind},
    {.name = "mknod makes a socket", .run = socket_by_mknod},
    {.name = "mknod makes a regular file", .run = regular_by_mknod},
    {.name = "device nodes keep type, mode and numbers", .run = device_nodes, ROOT_ONLY},
    {.name = "a device node opens the guest's device", .run = open_device, ROOT_ONLY},
    {.name = "device nodes made by a user give EPERM",
     .run = device_nodes_as_user,
     .audience = FOR_USER,
     .why_not = "root may make devices"},
    {0},
};
