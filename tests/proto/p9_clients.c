/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_clients.c: many clients of one device: they see one file system, and nothing of each other's fids, tags and ends. */
#include "tests/lib/p9_rig.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true});
	rig_write(&rig.rig, "f", "text");
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(clients, .init = start, .fini = end, .timeout = 240);

static struct p9_client *const c = &rig.c;

static void settle(void)
{
	(void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

Test(clients, fids_and_tags_are_each_clients_own)
{
	struct p9_client other;
	uint16_t tag;

	p9_rig_connect(&rig, &other, false);
	p9_open(c, 1, "f", 2);
	P9(&other, getattr, .fid = 1, .expect_err = EBADF);
	p9_to(&other, 0, 1, "");
	cr_assert(S_ISDIR(P9(&other, getattr, .fid = 1).mode));
	/* A flush of the other's tag is of nothing. */
	tag = P9_SEND(c, STATFS, statfs, .fid = 0);
	P9(&other, flush, .oldtag = tag);
	cr_assert_eq(p9_wait(c, tag, P9_STATFS, NULL), 0);
	/* Neither is touched by the other's Tversion. */
	P9(&other, version, .msize = 8192, .version = "9P2000.L");
	cr_assert(p9_has(c, 1, 0, "text"));
	p9_client_end(&other);
	cr_assert(p9_has(c, 1, 0, "text"));
}

Test(clients, what_one_changes_the_other_sees)
{
	struct p9_client other;

	p9_rig_connect(&rig, &other, false);
	p9_open(c, 1, "f", 2);
	p9_open(&other, 1, "f", 2);
	p9_put(c, 1, 0, "TEXT and more");
	cr_assert(p9_has(&other, 1, 0, "TEXT and more"));
	cr_assert_eq(P9(&other, getattr, .fid = 1).size, 13);
	P9(&other, setattr, .fid = 1, .valid = 8, .size = 2);
	cr_assert_eq(P9(c, getattr, .fid = 1).size, 2);
	P9(c, unlinkat, .dirfid = 0, .name = "f");
	P9(&other, walk, .fid = 0, .newfid = 2, .names = "f", .expect_err = ENOENT);
	cr_assert_eq(P9(&other, getattr, .fid = 1).nlink, 0);
	p9_client_end(&other);
}

Test(clients, each_has_an_msize_of_its_own)
{
	struct p9_client other;

	p9_rig_connect(&rig, &other, true);
	p9_start(&other, 4096);
	p9_open(c, 1, "f", 2);
	p9_open(&other, 1, "f", 2);
	P9(c, setattr, .fid = 1, .valid = 8, .size = 65536);
	cr_assert_eq(P9(c, read, .fid = 1, .count = 65536).data.size, 65536);
	cr_assert_eq(P9(&other, read, .fid = 1, .count = 65536).data.size, 4096 - P9_READ_HEAD);
	p9_client_end(&other);
}

Test(clients, a_hundred_at_once)
{
	enum { MANY = 100 };
	static struct p9_client many[MANY];

	for (int i = 0; i < MANY; i++) {
		many[i].sock = -1;
		p9_rig_connect(&rig, &many[i], true);
		free(many[i].in);
		free(many[i].out);
		many[i].in = c->in; /* one room does: they take turns */
		many[i].out = c->out;
		p9_start(&many[i], 8192);
	}
	for (int i = 0; i < MANY; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%d", i);
		P9(&many[i], mkdir, .dfid = 0, .name = name, .mode = 0755);
	}
	for (int i = 0; i < MANY; i++) {
		P9(&many[i], getattr, .fid = 0);
		many[i].in = many[i].out = NULL;
		p9_client_end(&many[i]);
	}
	cr_assert(p9_alive(c));
}

static int at_their_end(const int *socks, int count)
{
	int ended = 0;

	for (int i = 0; i < count; i++) {
		struct pollfd p = {.fd = socks[i], .events = POLLIN};

		ended += poll(&p, 1, 0) > 0;
	}
	return ended;
}

Test(clients, too_many_are_turned_away_and_the_others_go_on)
{
	enum { MANY = 300 };
	static int socks[MANY];

	for (int i = 0; i < MANY; i++) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};

		socks[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig.listen_at);
		cr_assert_eq(connect(socks[i], (struct sockaddr *)&address, sizeof(address)), 0);
	}
	WAIT_WHILE(at_their_end(socks, MANY) < MANY - 255);
	cr_assert(p9_alive(c));
	cr_assert_eq(at_their_end(socks, MANY), MANY - 255);
	for (int i = 0; i < MANY; i++)
		fd_close(&socks[i]);
	settle();
	cr_assert(p9_alive(c));
}

static void come_and_go(int count)
{
	for (int i = 0; i < count; i++) {
		struct p9_client other;

		p9_rig_connect(&rig, &other, false);
		p9_open(&other, 1, "f", 2);
		for (uint32_t fid = 10; fid < 40; fid++)
			(void)P9_SEND(&other, WALK, walk, .fid = 0, .newfid = fid, .names = "f");
		(void)P9_SEND(&other, LOPEN, lopen, .fid = 10);
		(void)P9_SEND(&other, READ, read, .fid = 1, .count = 4096);
		(void)P9_SEND(&other, FSYNC, fsync, .fid = 1);
		(void)P9_SEND(&other, LOCK, lock, .fid = 1, .type = P9_LOCK_TYPE_RDLCK,
		              .client_id = "c");
		(void)P9_SEND(&other, XATTRWALK, xattrwalk, .fid = 1, .newfid = 50);
		if (i % 2)
			(void)p9_alive(&other);
		if (i % 3 == 0) /* and half a message */
			p9_send_raw(&other, "\x40\0\0\0\x74", 5);
		p9_client_end(&other);
	}
	settle();
	cr_assert(p9_alive(c));
}

Test(clients, one_that_goes_in_the_midst_leaves_nothing)
{
	int fds, again = 0;
	long kib, grown;

	come_and_go(50);
	fds = fd_count(rig.device);
	/* On a busy machine many are there at once, and the heap grows for them; what leaks does so each time. */
	do {
		kib = rss_kib(rig.device);
		come_and_go(450);
		WAIT_WHILE(fd_count(rig.device) > fds);
		cr_assert_leq(fd_count(rig.device), fds, "descriptors of clients that went stay");
		grown = rss_kib(rig.device) - kib;
	} while (grown >= 512 && !is_sanitized() && ++again < 5);
	cr_assert_lt(again, 5, "each time 450 clients leave much behind: %ld KiB of the last",
	             grown);
	/* And the helper has no more than before. */
	cr_assert_lt(fd_count(rig.rig.helper), 60);
}

Test(clients, one_that_does_not_read_its_replies_holds_up_nobody)
{
	struct p9_client other;
	int flags;

	P9(c, lopen, .fid = 0);
	p9_rig_connect(&rig, &other, false);
	p9_open(&other, 1, "f", 2);
	P9(&other, setattr, .fid = 1, .valid = 8, .size = 100000);
	flags = fcntl(other.sock, F_GETFL);
	cr_assert_eq(fcntl(other.sock, F_SETFL, flags | O_NONBLOCK), 0);
	for (uint16_t tag = 0; tag < 5000; tag++) {
		size_t size = p9_encode(&other, tag, P9_READ,
		                        &(struct p9_read_req){.fid = 1, .count = 100000});

		if (send(other.sock, other.out, size, MSG_NOSIGNAL) != (ssize_t)size)
			break;
	}
	for (int i = 0; i < 100; i++)
		cr_assert(p9_alive(c));
	if (!is_sanitized())
		cr_assert_lt(rss_kib(rig.device), 128 * 1024, "replies pile up");
	p9_client_end(&other);
	settle();
	cr_assert(p9_alive(c));
}

Test(clients, a_message_byte_by_byte)
{
	size_t size = p9_encode(c, 3, P9_STATFS, &(struct p9_statfs_req){.fid = 0});

	for (size_t i = 0; i < size; i++)
		p9_send_raw(c, c->out + i, 1);
	cr_assert_eq(p9_wait(c, 3, P9_STATFS, NULL), 0);
}

Test(clients, many_messages_in_one_piece)
{
	uint8_t bytes[300 * 11];
	size_t at = 0;

	for (uint16_t tag = 0; tag < 300; tag++) {
		size_t size = p9_encode(c, tag, P9_STATFS, &(struct p9_statfs_req){.fid = 0});

		memcpy(bytes + at, c->out, size);
		at += size;
	}
	p9_send_raw(c, bytes, at);
	for (uint16_t tag = 0; tag < 300; tag++)
		cr_assert_eq(p9_wait(c, tag, P9_STATFS, NULL), 0);
	cr_assert_eq(p9_kept_count(c), 0);
}
