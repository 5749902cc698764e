/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"
#include "common/usock.h"
#include "tests/lib/proc.h"
#include "tests/lib/wait.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define ARGS_MAX 12

void vu_rig_split_only(const struct vu_rig *r, const char *why)
{
	if (r->f.features & VU_F_RING_PACKED)
		cr_skip_test("packed rings have no %s", why);
}

int vu_fd_count(pid_t pid)
{
	char path[64];
	struct dirent *e;
	int n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	cr_assert_not_null(d, "the process is gone");
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return pid == getpid() ? n - 1 : n;
}

long vu_rig_device_proc(const struct vu_rig *r, const char *key)
{
	const char *value = proc_status(r->device, key);

	cr_assert_str_neq(value, "", "/proc/PID/status has no line %s", key);
	return strtol(value, NULL, 10);
}

/* ---- the programs ---- */

pid_t vu_spawn(int *err, const char *const *args, const int *pass, int count)
{
	pid_t pid;

	cr_assert_not_null(args[0], "VIRTFS_DEVICE must name the program under test");
	if (*err < 0)
		*err = rig_log_file();
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(*err, STDERR_FILENO);
		for (int i = 0; i < count; i++)
			(void)fcntl(pass[i], F_SETFD, 0);
		rig_hide();
		(void)execv(args[0], (char *const *)(uintptr_t)args);
		_exit(127);
	}
	return pid;
}

static void start_device(struct vu_rig *r)
{
	AUTO_CLOSE int helper = r->o.helper_sock > 0 ? r->o.helper_sock : fd_steal(&r->rig.sock);
	const char *tag = r->o.tag ? r->o.tag : VU_RIG_TAG;
	char numbers[3][12], byte = 0;
	const char *args[ARGS_MAX] = {getenv("VIRTFS_DEVICE"),
	                              "--helper-fd",
	                              numbers[0],
	                              "--ready-fd",
	                              numbers[1],
	                              "--tag",
	                              tag,
	                              "--socket-path",
	                              r->path};
	int pair[2] = {-1, -1}, ready[2];

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	if (r->o.inherited) {
		cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
		(void)snprintf(numbers[2], sizeof(numbers[2]), "%d", pair[1]);
		args[7] = "--fd";
		args[8] = numbers[2];
	} else {
		(void)snprintf(r->path, sizeof(r->path), "%s/vhost-user", r->rig.dir);
	}
	(void)snprintf(numbers[0], sizeof(numbers[0]), "%d", helper);
	(void)snprintf(numbers[1], sizeof(numbers[1]), "%d", ready[1]);
	r->device =
	    vu_spawn(&r->rig.err, args, (int[]){helper, ready[1], pair[1]}, pair[1] < 0 ? 2 : 3);
	r->peer = pair[0];
	fd_close(&pair[1]);
	fd_close(&ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "the device is never ready: %s",
	             rig_log(&r->rig));
	fd_close(&ready[0]);
	r->device_fds = vu_fd_count(r->device);
}

void vu_rig_start(struct vu_rig *r, const struct vu_rig_opt *o)
{
	const char *kind = getenv("VIRTFS_RING");

	*r = (struct vu_rig){.device = -1, .peer = -1, .fds_before = vu_fd_count(getpid())};
	r->f.sock = -1;
	if (o)
		r->o = *o;
	if (kind && strcmp(kind, "packed") == 0)
		r->o.more_features |= VU_F_RING_PACKED;
	rig_dirs(&r->rig);
	if (r->o.prepare)
		r->o.prepare(&r->rig);
	if (r->o.helper_sock > 0) {
		r->fds_before--;
	} else {
		r->rig.native = true;
		rig_serve(&r->rig, NULL);
	}
	start_device(r);
	if (r->o.until != VU_RIG_DEVICE)
		vu_rig_up(r, r->o.until);
}

void vu_rig_kill_device(struct vu_rig *r)
{
	(void)kill(r->device, SIGKILL);
	cr_assert_eq(waitpid(r->device, NULL, 0), r->device);
	(void)unlink(r->path);
}

void vu_rig_next_device(struct vu_rig *r, int helper_sock)
{
	r->o.helper_sock = helper_sock;
	start_device(r);
}

/* ---- connections ---- */

int vu_rig_connect(struct vu_rig *r)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock;

	if (r->peer >= 0)
		return fd_steal(&r->peer);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->path);
	cr_assert_eq(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0,
	             "cannot connect to the device: %s", rig_log(&r->rig));
	return sock;
}

static void ring_up(struct vu_rig *r)
{
	vu_ring_init(&r->ring, &r->f, 0, r->o.ring_size ? r->o.ring_size : 128);
	vu_p9_init(&r->p, &r->ring, r->o.room);
	r->p.shape.way = r->f.features & VU_F_INDIRECT_DESC ? VU_INDIRECT : VU_DIRECT;
	vu_ring_start(&r->ring);
}

void vu_rig_up(struct vu_rig *r, enum vu_rig_until until)
{
	uint64_t protocol = VU_ALL_PROTOCOL | r->o.more_protocol;

	vu_front_init(&r->f);
	vu_front_use(&r->f, vu_rig_connect(r));
	if (until >= VU_RIG_CONNECTED)
		return;
	if (r->o.table_only)
		protocol &= ~VU_P_MEM_SLOTS;
	vu_greet(&r->f, (VU_ALL_FEATURES | r->o.more_features) & ~r->o.without, protocol);
	vu_memory(&r->f);
	vu_tell_memory(&r->f);
	if (until >= VU_RIG_MEMORY)
		return;
	ring_up(r);
	if (until == VU_RIG_SESSION)
		p9_start(&r->p.c, VU_RIG_MSIZE < r->p.room ? VU_RIG_MSIZE : r->p.room);
}

void vu_rig_down(struct vu_rig *r)
{
	if (r->p.slot)
		vu_p9_end(&r->p);
	if (r->ring.f)
		vu_ring_end(&r->ring);
	if (r->f.region)
		vu_front_end(&r->f);
}

void vu_rig_renew(struct vu_rig *r)
{
	uint32_t room = r->p.room;

	(void)vu_ring_stop(&r->ring);
	vu_ring_clear(&r->ring);
	vu_p9_end(&r->p);
	vu_p9_init(&r->p, &r->ring, room);
	r->p.shape.way = r->f.features & VU_F_INDIRECT_DESC ? VU_INDIRECT : VU_DIRECT;
	vu_ring_start(&r->ring);
	p9_start(&r->p.c, VU_RIG_MSIZE < room ? VU_RIG_MSIZE : room);
	cr_assert(p9_alive(&r->p.c));
}

void vu_rig_serves(struct vu_rig *r)
{
	if (r->p.slot)
		vu_rig_renew(r);
	vu_rig_down(r);
	vu_rig_baseline(r);
	vu_rig_up(r, VU_RIG_SESSION);
	cr_assert(p9_alive(&r->p.c));
}

void vu_rig_baseline(struct vu_rig *r)
{
	int now;

	WAIT_WHILE((now = vu_fd_count(r->device)) > r->device_fds);
	cr_assert_leq(now, r->device_fds, "the device had %d descriptors, and keeps %d",
	              r->device_fds, now);
}

void vu_rig_end(struct vu_rig *r)
{
	int status;

	vu_rig_down(r);
	fd_close(&r->peer);
	if (r->device > 0 && !r->o.inherited) {
		vu_rig_baseline(r);
		(void)kill(r->device, SIGTERM);
	}
	if (r->device > 0)
		cr_assert_eq(rig_exit_status(r->device), 0, "the device ends badly: %s",
		             rig_log(&r->rig));
	status = rig_end(&r->rig);
	cr_assert_eq(status, 0, "the helper ends with status %d: %s", status, r->rig.log);
	cr_assert_eq(vu_fd_count(getpid()), r->fds_before, "the test leaks descriptors");
}
