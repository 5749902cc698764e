/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/p9_rig.h"

#include "common/cleanup.h"
#include "common/usock.h"
#include "tests/lib/proc.h"
#include "tests/lib/wait.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define ARGS_MAX 16

int fd_count(pid_t pid)
{
	char path[64];
	struct dirent *e;
	int n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	cr_assert_not_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return pid == getpid() ? n - 1 : n;
}

bool p9_rig_fds_soon(const struct p9_rig *r, int device, int helper)
{
	WAIT_WHILE(fd_count(r->device) > device || fd_count(r->rig.helper) > helper);
	return fd_count(r->device) <= device && fd_count(r->rig.helper) <= helper;
}

long rss_kib(pid_t pid)
{
	return strtol(proc_status(pid, "VmRSS"), NULL, 10);
}

/* Lets what is started next have so many descriptors; 0: as many as before. Return: the limit until now. */
static struct rlimit limit_files(unsigned files)
{
	struct rlimit before, low;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	if (files)
		low.rlim_cur = files;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	return before;
}

static void start_helper(struct p9_rig *r, const struct p9_rig_opt *o)
{
	struct rlimit before = limit_files(o->helper_files);

	r->rig.native = true;
	rig_serve(&r->rig, o->helper_args);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}

pid_t p9_rig_spawn(struct p9_rig *r, const char *const *args, const int *pass, int count)
{
	const char *argv[ARGS_MAX] = {getenv("VIRTFS_DEVICE")};
	AUTO_CLOSE int program = -1;
	size_t n = 1;
	pid_t pid;

	cr_assert_not_null(argv[0], "VIRTFS_DEVICE must name the program under test");
	/* A user who is not root may have no way to its path. */
	program = open(argv[0], O_PATH | O_CLOEXEC);
	cr_assert_geq(program, 0);
	for (; args[n - 1]; n++) {
		cr_assert_lt(n, ARGS_MAX - 1);
		argv[n] = args[n - 1];
	}
	if (r->rig.err < 0)
		r->rig.err = rig_log_file();
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(r->rig.err, STDERR_FILENO);
		for (int i = 0; i < count; i++)
			(void)fcntl(pass[i], F_SETFD, 0);
		rig_hide();
		if (r->device_child) {
			r->device_child();
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			(void)execveat(program, "", (char *const *)(uintptr_t)argv, environ,
			               AT_EMPTY_PATH);
		}
		(void)execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

/* Waits for the newline that says the device is ready. */
static void wait_ready(int fd)
{
	char byte = 0;

	cr_assert_eq(read(fd, &byte, 1), 1, "the device is never ready");
	cr_assert_eq(byte, '\n');
}

static void start_device(struct p9_rig *r, const struct p9_rig_opt *o)
{
	AUTO_CLOSE int helper = o->helper_sock > 0 ? o->helper_sock : fd_steal(&r->rig.sock);
	char numbers[4][12], listen_at[120];
	int handover[2], client[2] = {-1, -1}, ready[2];
	struct rlimit before;
	const char *args[ARGS_MAX] = {"--helper-fd", numbers[0],   "--handover-fd",
	                              numbers[1],    "--ready-fd", numbers[2]};

	cr_assert_eq(usock_pair(SOCK_SEQPACKET, handover), 0);
	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	if (o->listen) {
		(void)snprintf(r->listen_at, sizeof(r->listen_at), "%s/socket", r->rig.dir);
		(void)snprintf(listen_at, sizeof(listen_at), "unix:%s", r->listen_at);
		args[6] = "--listen";
		args[7] = listen_at;
	} else {
		cr_assert_eq(usock_pair(SOCK_STREAM, client), 0);
		(void)snprintf(numbers[3], sizeof(numbers[3]), "%d", client[1]);
		args[6] = "--fd";
		args[7] = numbers[3];
	}
	(void)snprintf(numbers[0], sizeof(numbers[0]), "%d", helper);
	(void)snprintf(numbers[1], sizeof(numbers[1]), "%d", handover[1]);
	(void)snprintf(numbers[2], sizeof(numbers[2]), "%d", ready[1]);
	for (size_t n = 0; o->device_args && o->device_args[n]; n++) {
		cr_assert_lt(n + 9, ARGS_MAX);
		args[8 + n] = o->device_args[n];
	}
	before = limit_files(o->device_files);
	r->device = p9_rig_spawn(r, args, (int[]){helper, handover[1], ready[1], client[1]},
	                         o->listen ? 3 : 4);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	r->handover = handover[0];
	fd_close(&handover[1]);
	fd_close(&client[1]);
	fd_close(&ready[1]);
	if (o->listen || o->helper_sock == 0)
		wait_ready(ready[0]);
	fd_close(&ready[0]);
	if (!o->listen)
		p9_client_init(&r->c, client[0]);
}

void p9_rig_start(struct p9_rig *r, const struct p9_rig_opt *o)
{
	static const struct p9_rig_opt usual;

	if (!o)
		o = &usual;
	*r = (struct p9_rig){.device = -1,
	                     .handover = -1,
	                     .listens = o->listen,
	                     .device_child = o->device_child,
	                     .c.sock = -1};
	r->fds_before = fd_count(getpid());
	rig_dirs(&r->rig);
	if (o->prepare)
		o->prepare(&r->rig);
	if (o->helper_sock > 0)
		r->fds_before--;
	else
		start_helper(r, o);
	start_device(r, o);
	if (o->listen)
		p9_rig_connect(r, &r->c, true);
	if (!o->raw)
		p9_start(&r->c, o->msize ? o->msize : P9_RIG_MSIZE);
}

void p9_rig_connect(struct p9_rig *r, struct p9_client *ret, bool raw)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->listen_at);
	cr_assert_eq(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	p9_client_init(ret, sock);
	if (!raw)
		p9_start(ret, P9_RIG_MSIZE);
}

void p9_rig_kill_helper(struct p9_rig *r)
{
	cr_assert_eq(kill(r->rig.helper, SIGKILL), 0);
	cr_assert_eq(rig_exit_status(r->rig.helper), 128 + SIGKILL);
	r->rig.helper = -1;
}

void p9_rig_hand_over_sock(struct p9_rig *r, int sock)
{
	cr_assert_eq(usock_send(r->handover, "h", 1, sock), 0);
	fd_close(&sock);
}

void p9_rig_hand_over(struct p9_rig *r)
{
	pid_t old = r->rig.helper;

	start_helper(r, &(struct p9_rig_opt){0});
	p9_rig_hand_over_sock(r, fd_steal(&r->rig.sock));
	/* The device lets the old one go, if it still lives. */
	if (old > 0)
		cr_assert_eq(rig_exit_status(old), 0);
}

void p9_rig_end(struct p9_rig *r)
{
	p9_client_end(&r->c);
	/* kill(2) of -1 is everybody's end. */
	cr_assert_gt(r->device, 0);
	if (r->listens)
		(void)kill(r->device, SIGTERM);
	cr_assert_eq(rig_exit_status(r->device), 0, "the device ends badly: %s", rig_log(&r->rig));
	fd_close(&r->handover);
	cr_assert_eq(rig_end(&r->rig), 0, "the helper ends badly: %s", r->rig.log);
	cr_assert_eq(fd_count(getpid()), r->fds_before, "the test leaks descriptors");
}
