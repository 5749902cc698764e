/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rpc_floor.c: how long a request that does nothing takes, and what the kernel alone takes for it.
 *
 *	rpc-floor HELPER DIR SECONDS
 *
 * Prints microseconds per round trip, each timed for so long: "floor" is two processes that pass
 * packets of the same sizes over a SOCK_SEQPACKET pair and do nothing else; "null" a RPC_NOTHING to
 * the helper, from a loop like the floor's; "null-many" the same with 64 outstanding; "client" and
 * "client-many" are the device's way: proxy-client and the event loop.
 */
#include "common/cleanup.h"
#include "common/loop.h"
#include "common/usock.h"
#include "proxy-client/proxy_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdnoreturn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY     64
#define BLOCK    64 /* round trips between two looks at the clock */
#define WARM_UP  2000
#define OUT_SIZE 64

static noreturn void die(const char *what)
{
	(void)fprintf(stderr, "rpc-floor: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static uint64_t duration;

static void report(const char *name, uint64_t ns, uint64_t count)
{
	(void)printf("%s %.3f\n", name, (double)ns / 1000 / (double)count);
	(void)fflush(stdout);
}

/* ---- the floor ---- */

static void pair_with_child(int pair[2])
{
	if (usock_pair(SOCK_SEQPACKET, pair) < 0)
		die("socketpair");
	/* Out of the way of the number that the helper gets. */
	for (int i = 0; i < 2; i++) {
		int fd = fcntl(pair[i], F_DUPFD_CLOEXEC, 10);

		fd_close(&pair[i]);
		pair[i] = fd;
	}
}

static noreturn void echo(int sock)
{
	uint8_t bytes[OUT_SIZE] = {0};

	while (recv(sock, bytes, sizeof(bytes), 0) > 0) {
		if (send(sock, bytes, RPC_REPLY_HEAD, MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

/* One outstanding, for the floor and for the helper alike. */
static void ping_pong(const char *name, int sock)
{
	struct rpc_head h = {.tag = 1, .type = RPC_NOTHING};
	uint8_t out[RPC_REQUEST_HEAD], in[OUT_SIZE];
	struct wr w = wr_over(out, sizeof(out));
	uint64_t from = 0, now = 0, count = 0;

	rpc_request_head_put(&w, &h);
	for (int64_t i = -WARM_UP;; i++) {
		if (i >= 0 && i % BLOCK == 0) {
			now = loop_now();
			from = i ? from : now;
			count = (uint64_t)i;
			if (now - from >= duration)
				break;
		}
		if (send(sock, out, sizeof(out), MSG_NOSIGNAL) < 0 ||
		    recv(sock, in, sizeof(in), 0) != RPC_REPLY_HEAD)
			die(name);
	}
	report(name, now - from, count);
}

static void many(const char *name, int sock)
{
	struct rpc_head h = {.type = RPC_NOTHING};
	uint8_t out[RPC_REQUEST_HEAD], in[OUT_SIZE];
	uint64_t from = loop_now(), now = from, count = 0;

	for (unsigned free = MANY; now - from < duration; now = loop_now()) {
		int flags = 0;

		for (; free; free--) {
			struct wr w = wr_over(out, sizeof(out));

			h.tag++;
			rpc_request_head_put(&w, &h);
			if (send(sock, out, sizeof(out), MSG_NOSIGNAL) < 0)
				die(name);
		}
		/* Waits for the first, and takes what else is there. */
		for (; free < MANY && recv(sock, in, sizeof(in), flags) == RPC_REPLY_HEAD; free++) {
			flags = MSG_DONTWAIT;
			count++;
		}
	}
	report(name, now - from, count);
	for (unsigned left = MANY; left && recv(sock, in, sizeof(in), MSG_DONTWAIT) > 0; left--)
		;
}

/* ---- the device's way ---- */

struct client {
	struct loop *loop;
	struct pxc *pxc;
	struct loop_source source;
	uint64_t count, from, now;
	uint64_t skip;
};

static void answered(void *context, int error, const union rpc_reply *reply UNUSED, int fd UNUSED)
{
	static const struct rpc_nothing_req nothing;
	struct client *c = context;

	if (error == -EIO)
		return; /* closed at the end */
	if (error < 0)
		die("a call");
	if (c->skip > 0) {
		if (--c->skip == 0)
			c->from = loop_now();
	} else if (++c->count % BLOCK == 0) {
		c->now = loop_now();
		if (c->now - c->from >= duration)
			loop_stop(c->loop);
	}
	if (pxc_call(c->pxc, RPC_NOTHING, &nothing, answered, c, NULL) < 0)
		die("a call");
}

static void ready(struct loop_source *s, uint32_t events UNUSED)
{
	struct client *c = (struct client *)((char *)s - offsetof(struct client, source));

	pxc_receive(c->pxc);
}

static void by_client(const char *name, int sock, unsigned outstanding)
{
	struct client c = {.skip = WARM_UP};

	if (loop_new(&c.loop) < 0 || pxc_new(sock, &c.pxc) < 0)
		die("starting a client");
	c.source.fd = pxc_fd(c.pxc);
	c.source.ready = ready;
	if (loop_add(c.loop, &c.source, EPOLLIN) < 0)
		die("epoll");
	c.skip += outstanding;
	for (unsigned i = 0; i < outstanding; i++)
		answered(&c, 0, NULL, -1);
	if (loop_run(c.loop) < 0)
		die("epoll");
	report(name, c.now - c.from, c.count);
	pxc_free(c.pxc);
	loop_free(c.loop);
}

/* ---- the processes ---- */

static pid_t start_helper(const char *helper, const char *dir, int *ret_sock)
{
	int pair[2];
	pid_t pid;

	pair_with_child(pair);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (dup2(pair[1], 3) >= 0)
			(void)execl(helper, helper, "-n", "-p", dir, "-f", "3", "--log-level",
			            "warning", (char *)NULL);
		_exit(127);
	}
	fd_close(&pair[1]);
	*ret_sock = pair[0];
	return pid;
}

static void hello(int sock)
{
	uint8_t out[OUT_SIZE], in[1024];
	struct wr w = wr_over(out, sizeof(out));

	rpc_request_head_put(&w, &(struct rpc_head){.tag = 1, .type = RPC_HELLO});
	if (!rpc_hello_req_put(&w, &(struct rpc_hello_req){.version = RPC_VERSION}) ||
	    send(sock, out, w.used, MSG_NOSIGNAL) < 0 ||
	    recv(sock, in, sizeof(in), 0) <= RPC_REPLY_HEAD)
		die("hello");
}

static void with_helper(char **argv, const char *name, void (*run)(const char *name, int sock))
{
	int sock = -1;
	pid_t pid = start_helper(argv[1], argv[2], &sock);

	hello(sock);
	run(name, sock);
	fd_close(&sock);
	(void)waitpid(pid, NULL, 0);
}

static void client_one(const char *name, int sock)
{
	by_client(name, fcntl(sock, F_DUPFD_CLOEXEC, 10), 1);
}

static void client_many(const char *name, int sock)
{
	by_client(name, fcntl(sock, F_DUPFD_CLOEXEC, 10), MANY);
}

int main(int argc, char **argv)
{
	int pair[2];
	pid_t pid;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: rpc-floor HELPER DIR SECONDS\n");
		return EXIT_FAILURE;
	}
	duration = (uint64_t)(strtod(argv[3], NULL) * 1e9);
	pair_with_child(pair);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		fd_close(&pair[0]);
		echo(pair[1]);
	}
	fd_close(&pair[1]);
	ping_pong("floor", pair[0]);
	fd_close(&pair[0]);
	(void)waitpid(pid, NULL, 0);
	with_helper(argv, "null", ping_pong);
	with_helper(argv, "null-many", many);
	with_helper(argv, "client", client_one);
	with_helper(argv, "client-many", client_many);
	return EXIT_SUCCESS;
}
