/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/control_peer.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PACKET_ROOM 262144
#define WAIT_MS     20000
#define ARGS_MAX    16

/* ---- packets ---- */

int control_send_bytes(struct control_peer *c, const void *bytes, size_t size, const int *fds,
                       size_t count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDBAG_MAX)];
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (count > 0) {
		struct cmsghdr *h;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		h = CMSG_FIRSTHDR(&msg);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(h), fds, sizeof(int) * count);
	}
	return sendmsg(c->sock, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void control_send(struct control_peer *c, const char *command, const int *fds, size_t count)
{
	AUTO_FREE char *json = strdup(command);
	int r;

	for (char *p = json; *p; p++) {
		if (*p == '\'')
			*p = '"';
	}
	r = control_send_bytes(c, json, strlen(json), fds, count);
	cr_assert_eq(r, 0, "%s: %s", command, strerror(-r));
}

json_t *control_recv(struct control_peer *c)
{
	static char packet[PACKET_ROOM];
	struct pollfd p = {.fd = c->sock, .events = POLLIN};
	json_error_t error;
	json_t *got;
	ssize_t n;

	cr_assert_eq(poll(&p, 1, WAIT_MS), 1, "the device says nothing");
	n = recv(c->sock, packet, sizeof(packet), MSG_TRUNC);
	if (n <= 0)
		return NULL;
	cr_assert_leq((size_t)n, sizeof(packet));
	got = json_loadb(packet, (size_t)n, JSON_REJECT_DUPLICATES, &error);
	cr_assert_not_null(got, "no JSON: %.*s", (int)n, packet);
	return got;
}

json_t *control_answer(struct control_peer *c)
{
	json_t *got;

	while ((got = control_recv(c)) && json_object_get(got, "event")) {
		cr_assert_lt(c->event_count, CONTROL_EVENTS_KEPT);
		c->events[c->event_count++] = got;
	}
	return got;
}

json_t *control_wait_event(struct control_peer *c, const char *name)
{
	for (unsigned i = 0;; i++) {
		json_t *data, *e = i < c->event_count ? c->events[i] : control_recv(c);

		cr_assert_not_null(e, "the device has closed, without %s", name);
		if (strcmp(json_string_value(json_object_get(e, "event")), name) == 0) {
			cr_assert(json_is_integer(
			    json_object_get(json_object_get(e, "timestamp"), "microseconds")));
			data = json_incref(json_object_get(e, "data"));
			if (i < c->event_count) {
				c->event_count--;
				memmove(c->events + i, c->events + i + 1,
				        (c->event_count - i) * sizeof(c->events[0]));
			}
			json_decref(e);
			return data;
		}
		if (i == c->event_count)
			c->events[c->event_count++] = e;
	}
}

json_t *control_ok(struct control_peer *c, const char *command, const int *fds, size_t count)
{
	json_t *got, *value;

	control_send(c, command, fds, count);
	got = control_answer(c);
	cr_assert_not_null(got, "%s: the device has closed", command);
	value = json_incref(json_object_get(got, "return"));
	if (!value)
		cr_assert_fail(
		    "%s: %s", command,
		    json_string_value(json_object_get(json_object_get(got, "error"), "desc")));
	json_decref(got);
	return value;
}

void control_done(struct control_peer *c, const char *command, const int *fds, size_t count)
{
	json_decref(control_ok(c, command, fds, count));
}

void control_expect_error(struct control_peer *c, const char *text)
{
	json_t *got = control_answer(c);
	const char *why;

	cr_assert_not_null(got, "wanted '%s': the device has closed", text);
	why = json_string_value(json_object_get(json_object_get(got, "error"), "desc"));
	cr_assert_not_null(why, "wanted '%s': it was done", text);
	cr_assert_not_null(strstr(why, text), "wanted '%s', got: %s", text, why);
	json_decref(got);
}

void control_refused(struct control_peer *c, const char *text, const char *command, const int *fds,
                     size_t count)
{
	control_send(c, command, fds, count);
	control_expect_error(c, text);
}

bool control_closed(struct control_peer *c)
{
	json_t *got;

	while ((got = control_recv(c)))
		json_decref(got);
	return true;
}

/* ---- clients ---- */

void control_take(struct control_peer *c, int sock)
{
	*c = (struct control_peer){.sock = sock};
	c->greeting = control_recv(c);
	cr_assert_not_null(c->greeting, "the device does not greet");
}

void control_reach(struct control_peer *c, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	cr_assert_eq(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0, "%s: %s", path,
	             strerror(errno));
	*c = (struct control_peer){.sock = sock};
}

void control_connect(struct control_peer *c, const char *path)
{
	control_reach(c, path);
	control_take(c, c->sock);
}

void control_close(struct control_peer *c)
{
	fd_close(&c->sock);
	json_decref(c->greeting);
	c->greeting = NULL;
	for (unsigned i = 0; i < c->event_count; i++)
		json_decref(c->events[i]);
	c->event_count = 0;
}

/* ---- the device ---- */

static uid_t wanted_user;

static void become(void)
{
	if (setresgid(wanted_user, wanted_user, wanted_user) < 0 ||
	    setresuid(wanted_user, wanted_user, wanted_user) < 0)
		_exit(126);
}

void control_rig_start(struct control_rig *r, const struct control_rig_opt *o)
{
	static const struct control_rig_opt usual;
	char control[160], ready_fd[12];
	const char *args[ARGS_MAX] = {"--control", control, "--ready-fd", ready_fd};
	int pair[2] = {-1, -1}, ready[2];
	char byte = 0;

	if (!o)
		o = &usual;
	*r = (struct control_rig){.listens = o->listen,
	                          .fds_before = fd_count(getpid()),
	                          .p9.handover = -1,
	                          .p9.c.sock = -1};
	rig_dirs(&r->p9.rig);
	wanted_user = o->as;
	if (o->as)
		r->p9.device_child = become;
	if (o->as)
		cr_assert_eq(chown(r->p9.rig.dir, o->as, o->as), 0);
	(void)snprintf(r->at, sizeof(r->at), "%s/control", r->p9.rig.dir);
	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	(void)snprintf(control, sizeof(control), "unix:%s", r->at);
	if (!o->listen) {
		cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
		(void)snprintf(control, sizeof(control), "fd:%d", pair[1]);
	}
	(void)snprintf(ready_fd, sizeof(ready_fd), "%d", ready[1]);
	for (size_t n = 0; o->args && o->args[n]; n++) {
		cr_assert_lt(n + 5, ARGS_MAX);
		args[4 + n] = o->args[n];
	}
	r->p9.device = p9_rig_spawn(&r->p9, args, (int[]){ready[1], pair[1]}, o->listen ? 1 : 2);
	fd_close(&pair[1]);
	fd_close(&ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "the device is never ready: %s",
	             rig_log(&r->p9.rig));
	fd_close(&ready[0]);
	r->c.sock = -1;
	if (o->listen && !o->as)
		control_connect(&r->c, r->at);
	else if (!o->listen)
		control_take(&r->c, pair[0]);
	r->fds_device = fd_count(r->p9.device);
}

void control_limit_files(const struct control_rig *r, unsigned files)
{
	struct rlimit l;

	cr_assert_eq(prlimit(r->p9.device, RLIMIT_NOFILE, NULL, &l), 0);
	l.rlim_cur = files ? files : l.rlim_max;
	cr_assert_eq(prlimit(r->p9.device, RLIMIT_NOFILE, &l, NULL), 0);
}

void control_rig_end(struct control_rig *r)
{
	control_close(&r->c);
	if (r->listens)
		(void)kill(r->p9.device, SIGTERM);
	cr_assert_eq(rig_exit_status(r->p9.device), 0, "the device ends badly: %s",
	             rig_log(&r->p9.rig));
	(void)rig_end(&r->p9.rig);
	cr_assert_eq(fd_count(getpid()), r->fds_before, "the test leaks descriptors");
}
