/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rpc_bad_input.c: packets that are no requests, and requests that should not be: from a device that was taken over. */
#include "tests/lib/p9_rig.h"
#include "tests/lib/rpc_peer.h"
#include "tests/lib/tables.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rig rig;
static uint64_t root;
static bool broken; /* the connection is to end with an error */

static void start(void)
{
	rig_dirs(&rig);
	rig.native = true;
	rig_serve(&rig, NULL);
	root = rpc_hello(rig.sock);
}

static void end(void)
{
	int status = rig_end(&rig);

	cr_assert_eq(status, broken ? 1 : 0);
}

TestSuite(rpc_bad, .init = start, .fini = end, .timeout = 120);
TestSuite(rpc_unborn, .fini = end, .timeout = 120);

static uint8_t packet[2 * RPC_PACKET_MAX];
static uint64_t message[TABLE_STRUCT_MAX / 8];
static struct sample sample;

static bool is_rpc(const struct table_row *row)
{
	return strcmp(row->protocol, "rpc") == 0;
}

static bool goes_on(void)
{
	return RPC(rig.sock, GETATTR, getattr, .node = root) == 0;
}

static void send_packet(size_t size)
{
	cr_assert_eq(usock_send(rig.sock, packet, size, -1), 0);
}

static size_t sample_packet(const struct table_row *row, uint64_t seed)
{
	struct wr w = wr_over(packet, RPC_PACKET_MAX);

	sample_init(&sample, seed);
	row->req.sample(&sample, message);
	rpc_request_head_put(&w, &(struct rpc_head){.tag = 7, .type = (uint16_t)row->msg->number});
	cr_assert(row->req.side->put(&w, message));
	return w.used;
}

Test(rpc_bad, cut_at_every_byte)
{
	for (size_t i = 0; i < table_row_count; i++) {
		const struct table_row *row = &table_rows[i];
		size_t whole, step;

		if (!is_rpc(row) || (row->msg->policy & RPC_NO_REPLY))
			continue;
		whole = sample_packet(row, 5);
		step = whole > 400 ? whole / 200 : 1;
		for (size_t size = RPC_REQUEST_HEAD; size < whole; size += step) {
			struct rpc_head h;

			(void)sample_packet(row, 5);
			send_packet(size);
			cr_assert_eq(rpc_recv(rig.sock, &h, NULL, NULL), -EPROTO, "%s at %zu",
			             row->msg->name, size);
			cr_assert_eq(h.tag, 7);
		}
	}
	cr_assert(goes_on());
}

Test(rpc_bad, one_byte_too_many)
{
	for (size_t i = 0; i < table_row_count; i++) {
		const struct table_row *row = &table_rows[i];
		struct rpc_head h;
		size_t size;

		if (!is_rpc(row) || (row->msg->policy & RPC_NO_REPLY))
			continue;
		size = sample_packet(row, 6);
		packet[size] = 0;
		send_packet(size + 1);
		cr_assert_eq(rpc_recv(rig.sock, &h, NULL, NULL), -EPROTO, "%s", row->msg->name);
	}
	cr_assert(goes_on());
}

Test(rpc_bad, unknown_types)
{
	for (uint32_t type = 0; type < 65536; type += type < 300 ? 1 : 777) {
		struct wr w = wr_over(packet, sizeof(packet));
		struct rpc_head h;

		if (type >= 1 && type <= rpc_table_count)
			continue;
		rpc_request_head_put(&w, &(struct rpc_head){.tag = type, .type = (uint16_t)type});
		send_packet(w.used);
		cr_assert_eq(rpc_recv(rig.sock, &h, NULL, NULL), -EOPNOTSUPP);
		cr_assert_eq(h.tag, type);
	}
}

static void must_close(size_t size)
{
	struct rpc_head h;

	broken = true;
	send_packet(size);
	cr_assert_eq(rpc_recv(rig.sock, &h, NULL, NULL), RPC_GONE);
}

Test(rpc_bad, a_packet_without_a_whole_head_ends_it)
{
	must_close(RPC_REQUEST_HEAD - 1);
}

Test(rpc_bad, a_head_with_more_than_there_is_ends_it)
{
	packet[6] = 1;
	must_close(RPC_REQUEST_HEAD);
}

/* The kernel cuts what does not fit: it must not pass for a shorter packet. */
Test(rpc_bad, a_packet_that_is_too_long_does_nothing)
{
	const struct rpc_setxattr_req q = {.node = root, .name = wt_str_of("user.a")};
	int room = 4 * RPC_PACKET_MAX;
	struct rpc_head h;
	size_t size;
	int r;

	rig_needs_root("a larger socket buffer");
	cr_assert_eq(setsockopt(rig.sock, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)), 0);
	size = rpc_packet(packet, 3, RPC_SETXATTR, &q);
	memset(packet + size, 0, sizeof(packet) - size);
	cr_assert_eq(usock_send(rig.sock, packet, RPC_PACKET_MAX + 1000, -1), 0);
	r = rpc_recv(rig.sock, &h, NULL, NULL);
	cr_assert(r == RPC_GONE || r == -EPROTO, "%d", r);
	broken = r == RPC_GONE;
}

Test(rpc_unborn, nothing_before_hello)
{
	rig_dirs(&rig);
	rig.native = true;
	rig_serve(&rig, NULL);
	for (size_t i = 0; i < table_row_count; i++) {
		const struct table_row *row = &table_rows[i];
		struct rpc_head h;

		if (!is_rpc(row) || row->msg->number == RPC_HELLO ||
		    (row->msg->policy & RPC_NO_REPLY))
			continue;
		send_packet(sample_packet(row, 8));
		cr_assert_eq(rpc_recv(rig.sock, &h, NULL, NULL), -EPROTO, "%s", row->msg->name);
	}
	rpc_give_up(rig.sock, 1);
	cr_assert_eq(RPC(rig.sock, HELLO, hello, .version = RPC_VERSION + 1), -EPROTONOSUPPORT);
	cr_assert_eq(RPC(rig.sock, HELLO, hello, .version = 0), -EPROTONOSUPPORT);
	cr_assert_eq(RPC(rig.sock, NOTHING, nothing, 0), -EPROTO, "a refused HELLO is none");
	root = rpc_hello(rig.sock);
	cr_assert(goes_on());
}

/* A name as raw bytes in a MKDIR, because no encoder would write it. */
static int mkdir_raw(const void *name, size_t size)
{
	struct wr w = wr_over(packet, sizeof(packet));
	struct rpc_head h;

	rpc_request_head_put(&w, &(struct rpc_head){.tag = 1, .type = RPC_MKDIR});
	wr_le64(&w, root);
	wr_le16(&w, (uint16_t)size);
	wr_bytes(&w, name, size);
	for (int i = 0; i < 3; i++)
		wr_le32(&w, 0755);
	send_packet(w.used);
	return rpc_recv(rig.sock, &h, NULL, NULL);
}

static int walk_raw(const void *name, size_t size)
{
	struct wr w = wr_over(packet, sizeof(packet));
	struct rpc_head h;

	rpc_request_head_put(&w, &(struct rpc_head){.tag = 1, .type = RPC_WALK});
	wr_le64(&w, root);
	wr_le16(&w, 1);
	wr_le16(&w, (uint16_t)size);
	wr_bytes(&w, name, size);
	send_packet(w.used);
	return rpc_recv(rig.sock, &h, NULL, NULL);
}

Test(rpc_bad, names_that_are_none)
{
	static const struct {
		const char *text;
		size_t size;
	} rows[] = {{"", 0},     {".", 1},    {"..", 2},  {"/", 1},    {"a/b", 3},
	            {"../x", 4}, {"/etc", 4}, {"a/", 2},  {"a\0b", 3}, {"\0", 1},
	            {"..\0", 3}, {"./x", 3},  {"x/..", 4}};
	static char longest[300];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_assert_eq(mkdir_raw(rows[i].text, rows[i].size), -EPROTO, "row %zu", i);
		cr_assert_eq(walk_raw(rows[i].text, rows[i].size), -EPROTO, "row %zu", i);
	}
	memset(longest, 'n', sizeof(longest));
	cr_assert_eq(mkdir_raw(longest, 256), -EPROTO);
	cr_assert_eq(mkdir_raw(longest, 255), 0);
	cr_assert_eq(walk_raw(longest, 255), 0);
	cr_assert_eq(rmdir(rig_path(&rig, "x")), -1);
}

Test(rpc_bad, descriptors_that_are_sent_are_dropped)
{
	int before;

	cr_assert(goes_on());
	before = fd_count(rig.helper);
	for (int i = 0; i < 100; i++) {
		size_t size = rpc_packet(packet, 1, RPC_NOTHING, &(struct rpc_nothing_req){0});
		struct rpc_head h;

		cr_assert_eq(usock_send(rig.sock, packet, size, rig.err), 0);
		cr_assert_eq(rpc_recv(rig.sock, &h, NULL, NULL), 0);
	}
	cr_assert_eq(fd_count(rig.helper), before);
}

Test(rpc_bad, thousands_outstanding_are_each_answered_once)
{
	enum { MANY = 20000 };
	static uint8_t answered[MANY];
	uint32_t sent = 0, got = 0;

	cr_assert_eq(fcntl(rig.sock, F_SETFL, O_NONBLOCK), 0);
	while (got < MANY) {
		while (sent < MANY) {
			size_t size = rpc_packet(packet, sent, RPC_GETATTR,
			                         &(struct rpc_getattr_req){.node = root});
			int r = usock_send(rig.sock, packet, size, -1);

			if (r == -EAGAIN)
				break;
			cr_assert_eq(r, 0);
			sent++;
		}
		{
			struct rpc_head h;

			cr_assert_eq(rpc_recv(rig.sock, &h, NULL, NULL), 0);
			cr_assert(h.tag < MANY && !answered[h.tag]);
			answered[h.tag] = 1;
			got++;
		}
	}
	cr_assert_eq(fcntl(rig.sock, F_SETFL, 0), 0);
	cr_assert(goes_on());
}

/* A device that takes no replies must not make the helper grow; and its end is noticed. */
Test(rpc_bad, a_peer_that_does_not_read_is_not_served_for_ever)
{
	long before = rss_kib(rig.helper);

	cr_assert_eq(fcntl(rig.sock, F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 100000; i++) {
		size_t size =
		    rpc_packet(packet, 1, RPC_GETATTR, &(struct rpc_getattr_req){.node = root});

		if (usock_send(rig.sock, packet, size, -1) < 0)
			(void)usleep(100);
		if (i > 2000 && usock_send(rig.sock, packet, size, -1) == -EAGAIN)
			break;
	}
	if (!is_sanitized())
		cr_assert_lt(rss_kib(rig.helper) - before, 24 * 1024);
}

Test(rpc_bad, whole_requests_of_random_values_stay_inside)
{
	struct stat st;

	for (uint64_t seed = 0; seed < 400; seed++) {
		for (size_t i = 0; i < table_row_count; i++) {
			const struct table_row *row = &table_rows[i];
			struct rpc_head h;
			AUTO_CLOSE int fd = -1;

			if (!is_rpc(row) || (row->msg->policy & RPC_NO_REPLY))
				continue;
			{
				size_t size = sample_packet(row, seed);
				struct wr w = wr_over(packet + RPC_REQUEST_HEAD, 8);

				/* On a node that there is. */
				if (seed % 2 && size >= RPC_REQUEST_HEAD + 8 &&
				    row->msg->number != RPC_HELLO)
					wr_le64(&w, root);
				send_packet(size);
			}
			cr_assert_neq(rpc_recv(rig.sock, &h, NULL, &fd), RPC_GONE, "%s %d",
			              row->msg->name, (int)seed);
			cr_assert_eq(h.tag, 7);
			if (fd >= 0)
				cr_assert(fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
		}
	}
	cr_assert(goes_on());
	(void)chmod(rig.export, 0755);
}
