/* SPDX-License-Identifier: GPL-2.0-or-later */
/* device_floods.c: a device that was taken over, and sends its helper more than anybody would. */
#include "tests/lib/hostile.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/tables.h"
#include "tests/lib/vu_front.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void start(void)
{
	hostile_start(NULL);
}

TestSuite(device_floods, .init = start, .fini = hostile_end, .timeout = 300);

static uint8_t packet[RPC_PACKET_MAX];

#define FLOOD 65536

/* Requests of many types, some of which bring descriptors, as many outstanding as the sockets hold. */
Test(device_floods, with_65536_requests_each_is_answered_once)
{
	static uint8_t answered[FLOOD];
	uint32_t sent = 0, got = 0;
	uint64_t file;
	int fds;

	rig_write(&hostile.rig, "f", "text");
	file = rpc_walk(hostile.rig.sock, hostile.root, "f", NULL);
	fds = fd_count(hostile.rig.helper);
	cr_assert_eq(fcntl(hostile.rig.sock, F_SETFL, O_NONBLOCK), 0);
	while (got < FLOOD) {
		struct rpc_head h;
		int r;

		while (sent < FLOOD) {
			const struct hostile_call any[] = {
			    {RPC_OPEN, &(struct rpc_open_req){.node = file, .flags = 2}},
			    {RPC_GETATTR, &(struct rpc_getattr_req){.node = file}},
			    {RPC_READLINK, &(struct rpc_readlink_req){.node = hostile.root}},
			    {RPC_STATFS, &(struct rpc_statfs_req){.node = hostile.root}},
			    {RPC_MKDIR,
			     &(struct rpc_mkdir_req){.dir = hostile.root, .name = WT_STR("dir")}},
			    {RPC_UNLINK, &(struct rpc_unlink_req){.dir = hostile.root,
			                                          .name = WT_STR("dir"),
			                                          .flags = RPC_REMOVE_DIR}},
			    {RPC_LISTXATTR,
			     &(struct rpc_listxattr_req){.node = file, .size = 65536}},
			    {RPC_FSYNC, &(struct rpc_fsync_req){.node = hostile.root + 1}},
			};
			const struct hostile_call *a = &any[sent % ARRAY_SIZE(any)];
			size_t size = rpc_packet(packet, sent, a->type, a->request);

			r = usock_send(hostile.rig.sock, packet, size, -1);
			if (r == -EAGAIN)
				break;
			cr_assert_eq(r, 0);
			sent++;
		}
		r = rpc_recv(hostile.rig.sock, &h, NULL, NULL);
		cr_assert_neq(r, RPC_GONE, "%s", rig_log(&hostile.rig));
		cr_assert(h.tag < FLOOD && !answered[h.tag], "tag %u", h.tag);
		answered[h.tag] = 1;
		got++;
	}
	canary_attack(FLOOD);
	cr_assert_eq(fcntl(hostile.rig.sock, F_SETFL, 0), 0);
	cr_assert_leq(fd_count(hostile.rig.helper), fds, "descriptors stay behind in the helper");
}

/*
 * Descriptors in flight are counted for all of root's processes together (unix(7)): a device that asks for them and takes
 * none off its socket must not use that up for other guests' helpers.
 */
Test(device_floods, a_device_that_does_not_read_holds_few_descriptors)
{
	enum { FEW = 300 };
	struct rig other;
	struct rpc_head h;
	uint64_t file, their_root;
	unsigned sent = 0, held = 0;
	int status;

	rig_write(&hostile.rig, "f", "text");
	file = rpc_walk(hostile.rig.sock, hostile.root, "f", NULL);
	cr_assert_eq(fcntl(hostile.rig.sock, F_SETFL, O_NONBLOCK), 0);
	for (int idle = 0; idle < 50 && sent < FLOOD;) {
		size_t size = rpc_packet(packet, sent, RPC_OPEN,
		                         &(struct rpc_open_req){.node = file, .flags = 0});

		if (usock_send(hostile.rig.sock, packet, size, -1) == 0) {
			sent++;
			idle = 0;
		} else {
			(void)usleep(2000);
			idle++;
		}
	}
	cr_assert_lt(sent, FLOOD, "nothing holds the device up");
	/* Meanwhile another guest's helper opens as ever. */
	rig_dirs(&other);
	other.native = true;
	rig_serve(&other, NULL);
	rig_write(&other, "f", "theirs");
	their_root = rpc_hello(other.sock);
	for (int i = 0; i < 200; i++) {
		const struct rpc_open_req q = {.node = rpc_walk(other.sock, their_root, "f", NULL),
		                               .flags = 2};
		AUTO_CLOSE int fd = -1;

		cr_assert_eq(rpc_do(other.sock, RPC_OPEN, &q, NULL, &fd), 0);
		cr_assert_geq(fd, 0);
	}
	cr_assert_eq(rig_end(&other), 0);
	/* What was in flight at once is what is there without the helper's going on. */
	cr_assert_eq(kill(hostile.rig.helper, SIGSTOP), 0);
	cr_assert_eq(waitpid(hostile.rig.helper, &status, WUNTRACED), hostile.rig.helper);
	cr_assert(WIFSTOPPED(status));
	for (;;) {
		struct pollfd p = {.fd = hostile.rig.sock, .events = POLLIN};
		AUTO_CLOSE int fd = -1;

		if (poll(&p, 1, 0) == 0)
			break;
		cr_assert_neq(rpc_recv(hostile.rig.sock, &h, NULL, &fd), RPC_GONE);
		held += fd >= 0;
	}
	cr_assert_eq(kill(hostile.rig.helper, SIGCONT), 0);
	cr_assert_lt(held, FEW, "%u descriptors were in flight", held);
	for (unsigned left = sent - held; left > 0; left--)
		cr_assert_neq(rpc_recv(hostile.rig.sock, &h, NULL, NULL), RPC_GONE);
	cr_assert_eq(fcntl(hostile.rig.sock, F_SETFL, 0), 0);
	canary_attack(sent);
}

/* As many descriptors as a packet may carry, of many kinds, with each packet: the kernel drops them all. */
Test(device_floods, a_flood_of_descriptors)
{
	enum { MOST = 253, PACKETS = 400 };
	struct vu_front f = {.sock = hostile.rig.sock};
	int fds[MOST], before, dir = open(hostile.rig.dir, O_RDONLY | O_CLOEXEC);
	int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < MOST; i++)
		fds[i] = i % 4 == 0   ? hostile.rig.err
		         : i % 4 == 1 ? dir
		         : i % 4 == 2 ? memory
		                      : hostile.rig.sock;
	before = fd_count(hostile.rig.helper);
	for (uint32_t i = 0; i < PACKETS; i++) {
		size_t size = i % 2
		                  ? rpc_packet(packet, i, RPC_NOTHING, &(struct rpc_nothing_req){0})
		                  : rpc_packet(packet, i, RPC_GETATTR,
		                               &(struct rpc_getattr_req){.node = hostile.root});
		struct rpc_head h;

		cr_assert(vu_send_raw(&f, packet, size, fds, 1 + i % MOST));
		cr_assert_eq(rpc_recv(hostile.rig.sock, &h, NULL, NULL), 0);
		canary_attack(1 + i % MOST);
	}
	cr_assert_eq(fd_count(hostile.rig.helper), before);
	fd_close(&dir);
	fd_close(&memory);
}

/* ---- a storm ---- */

#define STORM_THREADS 4
#define STORM_EACH    (is_sanitized() ? 2000u : 10000u)

static bool is_request(const struct table_row *row)
{
	return strcmp(row->protocol, "rpc") == 0;
}

/* Requests of random values by several threads at once, on nodes that there are, and nodes given up in between. */
static void *storm(void *number)
{
	unsigned long first = (unsigned long)(uintptr_t)number * STORM_EACH;
	uint64_t message[TABLE_STRUCT_MAX / 8];
	uint8_t *bytes = malloc(RPC_PACKET_MAX);
	struct sample *s = malloc(sizeof(*s));

	for (unsigned long i = 0; i < STORM_EACH; i++) {
		const struct table_row *row;
		struct wr w = wr_over(bytes, RPC_PACKET_MAX), node;

		sample_init(s, first + i);
		do {
			row = &table_rows[sample_next(s) % table_row_count];
		} while (!is_request(row));
		row->req.sample(s, message);
		rpc_request_head_put(&w, &(struct rpc_head){.tag = (uint32_t)(first + i),
		                                            .type = (uint16_t)row->msg->number});
		if (!row->req.side->put(&w, message))
			continue;
		node = wr_over(bytes + RPC_REQUEST_HEAD, sizeof(uint64_t));
		if (w.used >= RPC_REQUEST_HEAD + sizeof(uint64_t) &&
		    row->msg->number != RPC_HELLO && row->msg->number != RPC_RELEASE)
			wr_le64(&node, hostile.root + i % 4);
		if (usock_send(hostile.rig.sock, bytes, w.used, -1) < 0)
			break;
	}
	free(s);
	free(bytes);
	return NULL;
}

Test(device_floods, a_storm_of_random_requests_by_several_threads)
{
	pthread_t threads[STORM_THREADS];
	struct rpc_head h = {0};
	unsigned long replies = 0;

	hostile_make_kinds();
	for (uintptr_t i = 0; i < STORM_THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, storm, (void *)i), 0);
	for (;;) {
		struct pollfd p = {.fd = hostile.rig.sock, .events = POLLIN};
		AUTO_CLOSE int fd = -1;
		struct stat st;

		if (poll(&p, 1, 1000) == 0)
			break;
		cr_assert_neq(rpc_recv(hostile.rig.sock, &h, NULL, &fd), RPC_GONE, "%s",
		              rig_log(&hostile.rig));
		replies++;
		if (fd >= 0)
			cr_assert(fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
	}
	for (size_t i = 0; i < STORM_THREADS; i++)
		cr_assert_eq(pthread_join(threads[i], NULL), 0);
	cr_assert_gt(replies, STORM_THREADS * STORM_EACH / 2);
	canary_attack(replies);
	/* Numbers were given up at random too, perhaps the root's: it can be had again. */
	hostile.root = rpc_hello(hostile.rig.sock);
	cr_assert_neq(hostile.root, 0);
}
