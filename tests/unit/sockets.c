/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/ready.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

Test(usock, a_descriptor_travels_with_its_message)
{
	int pair[2];
	char byte;
	struct fdbag bag = FDBAG_EMPTY;

	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	cr_assert_eq(usock_send(pair[0], "x", 1, STDIN_FILENO), 0);
	cr_assert_eq(usock_recv(pair[1], &byte, 1, &bag), 1);
	cr_assert_eq(bag.count, 1);
	int fd = fdbag_take(&bag, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(fdbag_take(&bag, 0), -1, "taken once");
	cr_assert_eq(fdbag_take(&bag, 1), -1);
}

Test(usock, descriptors_nobody_wants_do_not_stay)
{
	int pair[2], before;
	char byte;
	struct fdbag bag = FDBAG_EMPTY;

	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	before = count_fds();
	cr_assert_eq(usock_send(pair[0], "x", 1, STDIN_FILENO), 0);
	cr_assert_eq(usock_recv(pair[1], &byte, 1, NULL), 1);
	cr_assert_eq(usock_send(pair[0], "x", 1, STDIN_FILENO), 0);
	cr_assert_eq(usock_recv(pair[1], &byte, 1, &bag), 1);
	fdbag_close(&bag);
	cr_assert_eq(count_fds(), before);
}

Test(usock, a_packet_longer_than_the_buffer_is_an_error_and_leaks_nothing)
{
	int pair[2], before;
	char byte;
	struct fdbag bag = FDBAG_EMPTY;

	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	before = count_fds();
	cr_assert_eq(usock_send(pair[0], "xy", 2, STDIN_FILENO), 0);
	cr_assert_eq(usock_recv(pair[1], &byte, 1, &bag), -EBADMSG);
	cr_assert_eq(usock_send(pair[0], "xy", 2, -1), 0);
	cr_assert_eq(usock_recv(pair[1], &byte, 1, NULL), -EBADMSG);
	cr_assert_eq(count_fds(), before);
}

Test(usock, a_descriptor_that_finds_no_room_is_told)
{
	struct fdbag bag = FDBAG_EMPTY;
	struct rlimit limit;
	int pair[2];
	char byte;

	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	cr_assert_eq(usock_send(pair[0], "x", 1, STDIN_FILENO), 0);
	cr_assert_eq(usock_send(pair[0], "y", 1, STDIN_FILENO), 0);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_max = limit.rlim_max}), 0);
	cr_assert_eq(usock_recv(pair[1], &byte, 1, &bag), 1);
	cr_assert(bag.lost && bag.count == 0 && byte == 'x');
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_eq(usock_recv(pair[1], &byte, 1, &bag), 1);
	cr_assert(!bag.lost && bag.count == 1 && byte == 'y');
	fdbag_close(&bag);
}

Test(usock, a_gone_peer_is_an_error_not_a_signal)
{
	int pair[2];
	char byte;

	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	fd_close(&pair[1]);
	cr_assert_eq(usock_send(pair[0], "x", 1, -1), -EPIPE);
	cr_assert_eq(usock_recv(pair[0], &byte, 1, NULL), 0);
}

Test(usock, a_listening_socket_never_replaces_what_is_there)
{
	char dir[] = "/tmp/virtfs-unit.XXXXXX", path[64], longer[200];
	int fd = -1, again = -1, peer, got = -1, type = 0;

	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/sock", dir);
	cr_assert_eq(usock_listen(path, SOCK_STREAM, &fd), 0);
	cr_assert_eq(usock_listen(path, SOCK_STREAM, &again), -EADDRINUSE);
	cr_assert_not(usock_is_connected(fd, &type));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	cr_assert_eq(usock_listen(longer, SOCK_STREAM, &again), -ENAMETOOLONG);

	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	peer = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(connect(peer, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(usock_accept(fd, &got), 0);
	cr_assert(usock_is_connected(got, &type));
	cr_assert_eq(type, SOCK_STREAM);
	cr_assert_not(usock_is_connected(STDIN_FILENO, &type));
	(void)unlink(path);
	(void)rmdir(dir);
}

Test(confine, all_descriptors_but_those_kept_are_closed)
{
	int a = dup(STDERR_FILENO), b = dup(STDERR_FILENO), c = dup(STDERR_FILENO);
	int keep[] = {c, STDERR_FILENO, -1, a, STDIN_FILENO, STDOUT_FILENO, a};

	cr_assert_eq(confine_close_others(keep, ARRAY_SIZE(keep)), 0);
	cr_assert_geq(fcntl(a, F_GETFD), 0);
	cr_assert_geq(fcntl(c, F_GETFD), 0);
	cr_assert_lt(fcntl(b, F_GETFD), 0);
	_exit(0);
}

Test(confine, closed_standard_streams_become_dev_null)
{
	(void)close(STDIN_FILENO);
	(void)close(STDOUT_FILENO);
	cr_assert_eq(confine_fill_stdio(), 0);
	cr_assert_eq(write(STDOUT_FILENO, "x", 1), 1);
	cr_assert_eq(read(STDIN_FILENO, &(char){0}, 1), 0);
}

Test(ready, tells_a_descriptor_and_a_service_manager)
{
	char name[64], text[64] = "";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ready r = READY_NONE;
	int manager = socket(AF_UNIX, SOCK_DGRAM, 0), ends[2];

	(void)snprintf(name, sizeof(name), "@virtfs-unit-%d", (int)getpid());
	memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
	cr_assert_eq(bind(manager, (struct sockaddr *)&address,
	                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
	             0);
	(void)setenv("NOTIFY_SOCKET", name, 1);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(ready_prepare(&r, ends[1]), 0);
	ready_tell(&r);
	cr_assert_eq(read(ends[0], text, sizeof(text)), 1);
	cr_assert_eq(text[0], '\n');
	cr_assert_eq(read(ends[0], text, sizeof(text)), 0, "the descriptor is closed after");
	cr_assert_eq(recv(manager, text, sizeof(text), 0), 7);
	cr_assert_eq(memcmp(text, "READY=1", 7), 0);
	(void)setenv("NOTIFY_SOCKET", "relative", 1);
	cr_assert_eq(ready_prepare(&r, -1), -EINVAL);
}
