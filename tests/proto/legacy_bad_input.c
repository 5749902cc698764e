/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_bad_input.c: what is malformed gets the dialect's reply where it has one, else the
 * connection ends cleanly. */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/rig.h"
#include "tests/lib/tables.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static struct rig rig;

static void start(void)
{
	rig_start(&rig, NULL);
}

TestSuite(bad_input, .init = start, .timeout = 30);

static int log_lines(const char *level)
{
	const char *log = rig_log(&rig);
	char mark[64];
	int n = 0;

	(void)snprintf(mark, sizeof(mark), ": %s: ", level);
	for (const char *p = log; (p = strstr(p, mark)); p++)
		n++;
	return n;
}

/* The connection has ended: no reply, one line that says why, and a status that a supervisor
 * notices. */
static void must_have_ended(const char *reason)
{
	char byte;

	cr_assert_eq(usock_recv(rig.sock, &byte, 1, NULL), 0, "a reply came");
	cr_assert_eq(rig_exit_status(rig.helper), 1);
	cr_assert_eq(log_lines("error"), 1, "log:\n%s", rig.log);
	cr_assert_not_null(strstr(rig.log, reason), "log:\n%s", rig.log);
	rig.helper = -1;
	cr_assert_eq(rig_end(&rig), 0);
}

static void must_still_serve(void)
{
	struct legacy_lstat_rep st;

	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
	cr_assert_eq(log_lines("error"), 0, "log:\n%s", rig.log);
}

Test(bad_input, unknown_type_low)
{
	cr_assert_eq(peer_send_raw(rig.sock, 0, "", 0), 0);
	must_have_ended("unknown type 0");
}

Test(bad_input, unknown_type_high)
{
	cr_assert_eq(peer_send_raw(rig.sock, 22, "", 0), 0);
	must_have_ended("unknown type 22");
}

Test(bad_input, unknown_type_huge)
{
	cr_assert_eq(peer_send_raw(rig.sock, UINT32_MAX, "", 0), 0);
	must_have_ended("unknown type 4294967295");
}

Test(bad_input, payload_over_the_limit)
{
	const uint32_t header[2] = {LEGACY_LSTAT, LEGACY_PAYLOAD_MAX + 1};

	cr_assert_eq(usock_send(rig.sock, header, sizeof(header), -1), 0);
	must_have_ended("lstat request of 65537 bytes");
}

Test(bad_input, payload_that_would_wrap)
{
	const uint32_t header[2] = {LEGACY_LSTAT, UINT32_MAX};

	cr_assert_eq(usock_send(rig.sock, header, sizeof(header), -1), 0);
	must_have_ended("lstat request of 4294967295 bytes");
}

static void close_after(const void *bytes, size_t size)
{
	cr_assert_eq(usock_send(rig.sock, bytes, size, -1), 0);
	cr_assert_eq(shutdown(rig.sock, SHUT_WR), 0);
	must_have_ended("inside a request");
}

Test(bad_input, end_inside_a_header)
{
	close_after("\x08\0\0", 3);
}

Test(bad_input, end_inside_a_payload)
{
	const uint32_t header[3] = {LEGACY_LSTAT, 100, 0};

	close_after(header, sizeof(header));
}

/* Every request of the table, cut at every byte, with its header telling the cut size. */
Test(bad_input, every_truncated_request_gets_enobufs_in_its_class)
{
	static struct sample s;
	static uint64_t message[TABLE_STRUCT_MAX / 8];
	static uint8_t bytes[LEGACY_PAYLOAD_MAX];

	for (size_t i = 0; i < table_row_count; i++) {
		const struct wt_msg *msg = table_rows[i].msg;
		struct wr w = wr_over(bytes, sizeof(bytes));

		if (strcmp(table_rows[i].protocol, "legacy") != 0)
			continue;
		sample_init(&s, i + 1);
		table_rows[i].req.sample(&s, message);
		cr_assert(msg->req.put(&w, message));
		for (size_t cut = 0; cut < w.used; cut += 1 + cut / 64) {
			cr_assert_eq(peer_send_raw(rig.sock, msg->number, bytes, cut), 0);
			if (msg->policy & LEGACY_GIVES_FD) {
				int32_t status = 0;

				cr_assert_eq(usock_recv(rig.sock, &status, 4, NULL), 4);
				cr_assert_eq(status, -ENOBUFS);
			} else {
				cr_assert_eq(peer_status(rig.sock), -ENOBUFS, "%s cut at %zu",
				             msg->name, cut);
			}
		}
	}
	must_still_serve();
	cr_assert_eq(rig_end(&rig), 0);
}

Test(bad_input, a_byte_too_many_gets_enobufs)
{
	static const uint8_t payload[] = {1, 0, '/', 'x'};

	cr_assert_eq(peer_send_raw(rig.sock, LEGACY_LSTAT, payload, sizeof(payload)), 0);
	cr_assert_eq(peer_status(rig.sock), -ENOBUFS);
	must_still_serve();
	cr_assert_eq(rig_end(&rig), 0);
}

Test(bad_input, a_string_that_claims_more_than_there_is)
{
	static const uint8_t payload[] = {0xff, 0xff, '/', 'x'};

	cr_assert_eq(peer_send_raw(rig.sock, LEGACY_LSTAT, payload, sizeof(payload)), 0);
	cr_assert_eq(peer_status(rig.sock), -ENOBUFS);
	must_still_serve();
	cr_assert_eq(rig_end(&rig), 0);
}

Test(bad_input, strings_with_and_without_their_nul_are_the_same)
{
	static const uint8_t with[] = {3, 0, '/', 'f', 0}, without[] = {2, 0, '/', 'f'};
	static const uint8_t inside[] = {5, 0, '/', 'f', 0, 'x', 'y'};
	struct legacy_lstat_rep st;

	rig_write(&rig, "f", "");
	cr_assert_eq(peer_lstat(rig.sock, "/f", &st), 0);
	cr_assert_eq(peer_send_raw(rig.sock, LEGACY_REMOVE, with, sizeof(with)), 0);
	cr_assert_eq(peer_status(rig.sock), 0);
	rig_write(&rig, "f", "");
	cr_assert_eq(peer_send_raw(rig.sock, LEGACY_REMOVE, without, sizeof(without)), 0);
	cr_assert_eq(peer_status(rig.sock), 0);
	rig_write(&rig, "f", "");
	cr_assert_eq(peer_send_raw(rig.sock, LEGACY_REMOVE, inside, sizeof(inside)), 0);
	cr_assert_eq(peer_status(rig.sock), 0, "the first NUL ends a string");
	cr_assert_eq(rig_end(&rig), 0);
}

Test(bad_input, a_request_in_single_bytes)
{
	uint8_t bytes[64];
	struct wr w = wr_over(bytes, sizeof(bytes));
	const struct legacy_mkdir_req q = {.path = S("//d"), .mode = 0755};

	legacy_header_put(&w, &(struct legacy_header){LEGACY_MKDIR, 4 + 4 + 2 + 3 + 4});
	cr_assert(legacy_mkdir_req_put(&w, &q));
	for (size_t i = 0; i < w.used; i++) {
		cr_assert_eq(usock_send(rig.sock, bytes + i, 1, -1), 0);
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	cr_assert_eq(peer_status(rig.sock), 0);
	cr_assert_eq(rig_end(&rig), 0);
}

Test(bad_input, requests_sent_ahead_are_answered_in_order)
{
	static uint8_t bytes[32768];
	struct wr w = wr_over(bytes, sizeof(bytes));

	for (int i = 0; i < 500; i++) {
		char name[16];
		struct legacy_mkdir_req q = {.mode = 0755};

		(void)snprintf(name, sizeof(name), "/d%03d", i / 2);
		q.path = S(name);
		legacy_header_put(&w, &(struct legacy_header){LEGACY_MKDIR, 4 + 4 + 2 + 5 + 4});
		cr_assert(legacy_mkdir_req_put(&w, &q));
	}
	cr_assert_eq(usock_send(rig.sock, bytes, w.used, -1), 0);
	for (int i = 0; i < 500; i++)
		cr_assert_eq(peer_status(rig.sock), i % 2 ? -EEXIST : 0, "reply %d", i);
	cr_assert_eq(rig_end(&rig), 0);
}

Test(bad_input, the_largest_request_is_answered)
{
	static uint8_t payload[LEGACY_PAYLOAD_MAX];
	struct wr w = wr_over(payload, sizeof(payload));

	/* path and value fill the payload to its last byte. */
	wr_host16(&w, 2);
	wr_bytes(&w, "/f", 2);
	wr_host16(&w, 6);
	wr_bytes(&w, "user.a", 6);
	wr_host16(&w, (uint16_t)(sizeof(payload) - 22));
	memset(wr_space(&w, sizeof(payload) - 22), 'v', sizeof(payload) - 22);
	wr_host32(&w, (uint32_t)(sizeof(payload) - 22));
	wr_host32(&w, 0);
	cr_assert_eq(w.used, sizeof(payload));
	rig_write(&rig, "f", "");
	cr_assert_eq(peer_send_raw(rig.sock, LEGACY_LSETXATTR, payload, sizeof(payload)), 0);
	int r = peer_status(rig.sock);

	cr_assert(r == 0 || r == -ENOSPC || r == -E2BIG, "got %d", r);
	must_still_serve();
	cr_assert_eq(rig_end(&rig), 0);
}

Test(bad_input, descriptors_sent_along_are_dropped)
{
	const uint32_t header[2] = {LEGACY_LSTAT, 3};
	uint8_t bytes[11];
	struct legacy_lstat_rep st;
	char before[32];

	memcpy(bytes, header, 8);
	memcpy(bytes + 8, "\1\0/", 3);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
	(void)snprintf(before, sizeof(before), "%s", rig_proc(&rig, "FDSize"));
	for (int i = 0; i < 3000; i++) {
		struct rd body;
		uint8_t reply[124];
		size_t have = 0;

		cr_assert_eq(usock_send(rig.sock, bytes, sizeof(bytes), STDERR_FILENO), 0);
		while (have < sizeof(reply)) {
			ssize_t n = usock_recv(rig.sock, reply + have, sizeof(reply) - have, NULL);

			cr_assert_gt(n, 0);
			have += (size_t)n;
		}
		body = rd_over(reply, sizeof(reply));
		cr_assert_eq(rd_host32(&body), LEGACY_SUCCESS);
	}
	cr_assert_str_eq(rig_proc(&rig, "FDSize"), before, "the table of descriptors has grown");
	must_still_serve();
	cr_assert_eq(rig_end(&rig), 0);
}

Test(bad_input, a_peer_that_dies_with_a_reply_on_the_way)
{
	for (int i = 0; i < 200; i++)
		cr_assert_eq(peer_send_raw(rig.sock, LEGACY_LSTAT, "\1\0/", 3), 0);
	cr_assert_eq(rig_end(&rig), 0, "a vanished peer is no fault of the helper");
}
