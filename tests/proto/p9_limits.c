/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_limits.c: each cap of the device and the helper is reached. Who asks for more is told by its errno, others go on, and
 * what is given up can be had again.
 */
#include "tests/lib/b_synth.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/wait.h"

#include "common/complain.h"
#include "common/loop.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct p9_rig rig;
static struct p9_client *const c = &rig.c;

TestSuite(limits, .timeout = 240);

static void start(const char *const *helper_args, const char *const *device_args)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true,
	                                        .helper_args = helper_args,
	                                        .device_args = device_args});
	rig_write(&rig.rig, "f", "text");
	cr_assert_eq(mkdir(rig_path(&rig.rig, "d"), 0755), 0);
}

static int walk_to(struct p9_client *client, uint32_t newfid, const char *names)
{
	uint16_t tag = P9_SEND(client, WALK, walk, .fid = 0, .newfid = newfid, .names = names);

	return p9_wait(client, tag, P9_WALK, NULL);
}

/* Walks to a file until that fails, from fid 1 on. Return: how often it went. */
static uint32_t walk_until(struct p9_client *client, const char *names, int error)
{
	for (uint32_t fid = 1;; fid++) {
		int e = walk_to(client, fid, names);

		if (e == error)
			return fid - 1;
		cr_assert_eq(e, 0, "walk %u: %s", fid, strerror(e));
	}
}

/* The same in a moment: releases go in batches, after the clunk. */
static bool walks_soon(struct p9_client *client, uint32_t newfid)
{
	int error;

	WAIT_WHILE((error = walk_to(client, newfid, "f")) != 0);
	return error == 0;
}

static int attach(struct p9_client *client, uint32_t fid)
{
	return p9_wait(client, P9_SEND(client, ATTACH, attach, .fid = fid, .afid = P9_NOFID),
	               P9_ATTACH, NULL);
}

/* ---- fids ---- */

Test(limits, fids_of_all_clients_together)
{
	struct p9_client other;

	start(NULL, ARGS("--max-fids", "100"));
	p9_rig_connect(&rig, &other, false);
	p9_open(&other, 1, "f", 2);
	/* One client has seven eighths at the most, its root among them. */
	cr_assert_eq(walk_until(c, "f", EMFILE), 87);
	/* No message makes one more for it. */
	P9(c, walk, .fid = 0, .newfid = 200, .names = "", .expect_err = EMFILE);
	P9(c, attach, .fid = 200, .afid = P9_NOFID, .expect_err = EMFILE);
	P9(c, xattrwalk, .fid = 1, .newfid = 200, .expect_err = EMFILE);
	/* The other works on, until there are no more at all. */
	for (uint32_t fid = 200; fid < 210; fid++)
		cr_assert_eq(walk_to(&other, fid, "f"), 0);
	cr_assert_eq(walk_to(&other, 210, "f"), EMFILE);
	cr_assert(p9_has(&other, 1, 0, "text"));
	/* What needs no new one goes on. */
	P9(c, lopen, .fid = 87);
	P9(c, walk, .fid = 86, .newfid = 86, .names = "");
	P9(c, getattr, .fid = 86);
	/* One clunked is one to be had, by anybody. */
	P9(c, clunk, .fid = 50);
	cr_assert_eq(walk_to(&other, 210, "f"), 0);
	cr_assert_eq(walk_to(c, 50, "f"), EMFILE);
	P9(&other, clunk, .fid = 210);
	P9(c, attach, .fid = 50, .afid = P9_NOFID);
	p9_client_end(&other);
	p9_rig_connect(&rig, &other, true);
	P9(&other, version, .msize = P9_RIG_MSIZE, .version = "9P2000.L");
	other.msize = P9_RIG_MSIZE;
	WAIT_WHILE(attach(&other, 0) == EMFILE);
	cr_assert_eq(walk_until(&other, "f", EMFILE), 11,
	             "fids of a client that went are not free");
	p9_client_end(&other);
	P9(c, version, .msize = P9_RIG_MSIZE, .version = "9P2000.L");
	P9(c, attach, .fid = 0, .afid = P9_NOFID);
	cr_assert_eq(walk_until(c, "f", EMFILE), 87);
	p9_rig_end(&rig);
}

/* ---- nodes ---- */

/* fid 0 is the root as the device has it, by the helper's hello; clones share their node. */
Test(limits, nodes_of_the_helper)
{
	struct p9_client other;
	int error;

	start(ARGS("--max-nodes", "50"), NULL);
	p9_rig_connect(&rig, &other, false);
	p9_open(&other, 1, "f", 2);
	cr_assert_eq(walk_until(c, "f", ENFILE), 48);
	cr_assert_eq(walk_to(&other, 200, "f"), ENFILE);
	P9(c, walk, .fid = 0, .newfid = 200, .names = "d/none", .expect_err = 0);
	/* An open directory is one more too; an open file is none. */
	P9(c, walk, .fid = 0, .newfid = 201, .names = "");
	P9(c, lopen, .fid = 201, .expect_err = ENFILE);
	P9(c, lopen, .fid = 48, .flags = 2);
	cr_assert(p9_has(c, 48, 0, "text"));
	for (uint32_t fid = 300; fid < 400; fid++)
		P9(c, walk, .fid = 48, .newfid = fid, .names = "");
	/* What makes no node goes on, for both. */
	P9(c, mkdir, .dfid = 201, .name = "made", .mode = 0755);
	P9(&other, unlinkat, .dirfid = 0, .name = "made", .flags = 0x200);
	cr_assert(p9_has(&other, 1, 0, "text"));
	P9(c, getattr, .fid = 1);
	/* What is clunked can be had again, by anybody. */
	P9(c, clunk, .fid = 1);
	cr_assert(walks_soon(&other, 200), "a node that was given up is not free");
	cr_assert_eq(walk_to(c, 1, "f"), ENFILE);
	P9(&other, clunk, .fid = 200);
	WAIT_WHILE((error = p9_wait(c, P9_SEND(c, LOPEN, lopen, .fid = 201), P9_LOPEN, NULL)) ==
	           ENFILE);
	cr_assert_eq(error, 0, "%s", strerror(error));
	P9(c, readdir, .fid = 201, .count = 4096);
	p9_client_end(&other);
	p9_rig_end(&rig);
}

/* ---- requests under way ---- */

/*
 * The helper is the make-believe one. It holds one kind of call; those that are not held are answered, as long as the device
 * has a call left: 64, so one client's stuck requests must be fewer for others to go on.
 */
Test(limits, requests_under_way_of_one_client_wait_in_its_socket)
{
	enum { MANY = 500, MOST = 300 };
	static struct synth_helper helper;
	static uint16_t tags[MANY];
	struct p9_client other;
	int pair[2];

	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	synth_helper_start(&helper, pair[1], 1, 0);
	p9_rig_start(&rig, &(struct p9_rig_opt){.helper_sock = pair[0],
	                                        .listen = true,
	                                        .device_args = ARGS("--max-requests", "300")});
	p9_rig_connect(&rig, &other, false);
	p9_open(&other, 1, "f", 0);
	synth_helper_hold(&helper, RPC_STATFS);
	for (uint32_t i = 0; i < MANY; i++)
		tags[i] = P9_SEND(c, STATFS, statfs, .fid = 0);
	cr_assert(synth_helper_wait_holding(&helper, 64));
	/* The helper has 64; what another client asks of the device alone is answered. */
	for (int i = 0; i < 20; i++) {
		P9(&other, read, .fid = 1, .count = 100);
		P9(&other, flush, .oldtag = 1);
		P9(&other, walk, .fid = 0, .newfid = 2, .names = "");
		P9(&other, clunk, .fid = 2);
	}
	/* Of the client's own nothing more is read: a Tflush behind them is not answered before one has ended. */
	{
		uint16_t flush = P9_SEND(c, FLUSH, flush, .oldtag = 9999);

		cr_assert(p9_quiet(c, 300), "more than %d are under way", MOST);
		synth_helper_hold(&helper, 0);
		for (uint32_t i = 0; i < MANY; i++)
			cr_assert_eq(p9_wait(c, tags[i], P9_STATFS, NULL), 0);
		cr_assert_eq(p9_wait(c, flush, P9_FLUSH, NULL), 0);
	}
	cr_assert_eq(p9_kept_count(c), 0);
	/* One fewer than the most is read on, so a Tflush is answered among them. */
	synth_helper_hold(&helper, RPC_STATFS);
	for (uint32_t i = 0; i < MOST - 1; i++)
		tags[i] = P9_SEND(c, STATFS, statfs, .fid = 0);
	P9(c, flush, .oldtag = tags[MOST - 2]);
	synth_helper_hold(&helper, 0);
	for (uint32_t i = 0; i < MOST - 2; i++)
		cr_assert_eq(p9_wait(c, tags[i], P9_STATFS, NULL), 0);
	cr_assert(p9_quiet(c, 100));
	p9_client_end(&other);
	p9_rig_end(&rig);
	(void)synth_helper_end(&helper);
	cr_assert_eq(atomic_load(&helper.synth.faults), 0);
}

/* ---- attribute values ---- */

#define VALUE  65536u
#define VALUES 64u /* of --max-xattr-bytes */
#define OF_ONE (VALUES - VALUES / 8)

static int xattrcreate(struct p9_client *client, uint32_t fid, uint32_t size)
{
	uint16_t tag;

	P9(client, walk, .fid = 0, .newfid = fid, .names = "");
	tag = P9_SEND(client, XATTRCREATE, xattrcreate, .fid = fid, .name = "user.a",
	              .attr_size = size);
	return p9_wait(client, tag, P9_XATTRCREATE, NULL);
}

Test(limits, attribute_values_held_by_fids)
{
	struct p9_client other;

	start(NULL, ARGS("--max-xattr-bytes", "4194304"));
	p9_rig_connect(&rig, &other, false);
	p9_open(&other, 1, "f", 2);
	for (uint32_t i = 0; i < OF_ONE; i++)
		cr_assert_eq(xattrcreate(c, 1000 + i, VALUE), 0, "value %u", i);
	cr_assert_eq(xattrcreate(c, 2000, 1), ENOSPC);
	cr_assert_eq(xattrcreate(c, 2001, 0), 0, "no value takes no room");
	/* The other client has the rest. */
	for (uint32_t i = OF_ONE; i < VALUES; i++)
		cr_assert_eq(xattrcreate(&other, 1000 + i, VALUE), 0, "value %u", i);
	cr_assert_eq(xattrcreate(&other, 2000, 1), ENOSPC);
	/* Values that are read are held too. */
	cr_assert_eq(setxattr(rig_path(&rig.rig, "f"), "user.b", "v", 1, 0), 0);
	P9(&other, xattrwalk, .fid = 1, .newfid = 3, .name = "user.b", .expect_err = ENOSPC);
	P9(&other, getattr, .fid = 3, .expect_err = EBADF);
	/* The fid that was refused is as it was; others go on. */
	P9(c, lopen, .fid = 2000);
	cr_assert(p9_has(&other, 1, 0, "text"));
	p9_put(c, 1000, 0, "part of a value");
	/* A byte given up is a byte to be had. */
	P9(c, clunk, .fid = 1000, .expect_err = EINVAL);
	cr_assert_eq(xattrcreate(&other, 2001, VALUE), 0);
	cr_assert_eq(xattrcreate(&other, 2002, 1), ENOSPC);
	p9_client_end(c);
	p9_rig_connect(&rig, c, false);
	WAIT_WHILE(xattrcreate(c, 1, VALUE) == ENOSPC && (P9(c, clunk, .fid = 1), true));
	for (uint32_t i = 1; i < OF_ONE - 1; i++)
		cr_assert_eq(xattrcreate(c, 1000 + i, VALUE), 0, "value %u", i);
	cr_assert_eq(xattrcreate(c, 2000, 1), ENOSPC);
	p9_client_end(&other);
	p9_rig_end(&rig);
}

/* ---- open files ---- */

static int open_at(struct p9_client *client, uint32_t fid, const char *names)
{
	p9_to(client, 0, fid, names);
	return p9_wait(client, P9_SEND(client, LOPEN, lopen, .fid = fid), P9_LOPEN, NULL);
}

Test(limits, open_files)
{
	struct p9_client other;

	start(NULL, ARGS("--max-open-files", "16"));
	p9_rig_connect(&rig, &other, false);
	/* Directories are among them, and an owner of locks has one open too. */
	for (uint32_t fid = 1; fid <= 13; fid++)
		cr_assert_eq(open_at(c, fid, fid % 2 ? "f" : "d"), 0);
	P9(c, lock, .fid = 1, .type = P9_LOCK_TYPE_RDLCK, .proc_id = 1, .client_id = "c");
	P9(c, lock, .fid = 1, .type = P9_LOCK_TYPE_RDLCK, .proc_id = 2, .client_id = "c",
	   .expect_err = ENOLCK);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(open_at(c, 20, i ? "f" : "d"), EMFILE);
		P9(c, clunk, .fid = 20);
	}
	p9_to(c, 0, 21, "");
	P9(c, lcreate, .fid = 21, .name = "new", .flags = 2, .mode = 0644, .expect_err = EMFILE);
	cr_assert_eq(access(rig_path(&rig.rig, "new"), F_OK), -1, "made, and not opened");
	/* The other client works on. */
	cr_assert_eq(open_at(&other, 1, "f"), 0);
	cr_assert(p9_has(&other, 1, 0, "text"));
	cr_assert_eq(open_at(&other, 2, "d"), 0);
	cr_assert_eq(open_at(&other, 3, "f"), EMFILE);
	/* What is closed, or could not be opened, can be had again. */
	P9(c, clunk, .fid = 1);
	P9(c, clunk, .fid = 2);
	for (int i = 0; i < 20; i++) {
		P9(c, lcreate, .fid = 21, .name = "f", .flags = 0202, .expect_err = EEXIST);
		P9(c, lopen, .fid = 21, .flags = 1, .expect_err = EISDIR);
	}
	P9(c, lcreate, .fid = 21, .name = "new", .flags = 2, .mode = 0644);
	cr_assert_eq(open_at(&other, 4, "f"), 0);
	p9_client_end(&other);
	p9_rig_end(&rig);
}

/* ---- ranges that are locked ---- */

static int lock_bytes(struct p9_client *client, uint8_t type, uint64_t start, uint64_t length)
{
	uint16_t tag = P9_SEND(client, LOCK, lock, .fid = 1, .type = type, .start = start,
	                       .length = length, .proc_id = 1, .client_id = "c");
	struct p9_lock_rep a = {.status = 255};
	int e = p9_wait(client, tag, P9_LOCK, &a);

	cr_assert(e || a.status == P9_LOCK_SUCCESS);
	return e;
}

Test(limits, ranges_that_are_locked)
{
	enum { RANGES = 80, OF_ONE_CLIENT = 70 };
	struct p9_client other;

	start(NULL, ARGS("--max-locks", "80"));
	rig_write(&rig.rig, "g", "text");
	p9_rig_connect(&rig, &other, false);
	p9_open(c, 1, "f", 2);
	p9_open(&other, 1, "g", 2);
	for (uint64_t i = 0; i < OF_ONE_CLIENT; i++)
		cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_WRLCK, 10 * i, 5), 0);
	cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_WRLCK, 9000, 1), ENOLCK);
	cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_UNLCK, 2, 1), ENOLCK, "a hole makes two of one");
	cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_RDLCK, 2, 1), ENOLCK, "another kind makes three");
	/* What makes no more is granted: again, longer, shorter, or two into one. */
	cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_WRLCK, 10, 5), 0);
	cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_WRLCK, 10, 7), 0);
	cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_UNLCK, 16, 1), 0);
	cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_WRLCK, 15, 5), 0, "joins two");
	cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_WRLCK, 9000, 1), 0);
	cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_WRLCK, 9010, 1), ENOLCK);
	/* The other client works on, to its own end. */
	for (uint64_t i = 0; i < RANGES - OF_ONE_CLIENT; i++)
		cr_assert_eq(lock_bytes(&other, P9_LOCK_TYPE_WRLCK, 10 * i, 5), 0);
	cr_assert_eq(lock_bytes(&other, P9_LOCK_TYPE_WRLCK, 9000, 1), ENOLCK);
	/* All in one are one; what is given up can be had again. */
	cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_WRLCK, 0, 0), 0);
	for (uint64_t i = 0; i < RANGES - OF_ONE_CLIENT; i++)
		cr_assert_eq(lock_bytes(&other, P9_LOCK_TYPE_WRLCK, 1000 + 10 * i, 5), 0);
	P9(c, clunk, .fid = 1);
	p9_open(c, 1, "f", 2);
	for (uint64_t i = 0; i < OF_ONE_CLIENT - 10; i++)
		cr_assert_eq(lock_bytes(c, P9_LOCK_TYPE_RDLCK, 10 * i, 5), 0);
	p9_client_end(&other);
	p9_rig_end(&rig);
}

/* ---- what clients have the device write to its log ---- */

Test(limits, lines_of_the_log)
{
	enum { BAD_CLIENTS = 100, LINES = 3 }; /* of one period; a slow machine sees two */
	uint64_t began = loop_now();
	unsigned lines = 0, most;
	const char *line;

	start(NULL, ARGS("--log-rate", "3"));
	for (int i = 0; i < BAD_CLIENTS; i++) {
		struct p9_client bad;
		struct p9_head h;
		struct rd body;

		p9_rig_connect(&rig, &bad, true);
		p9_send_raw(&bad, "\3\0\0\0bad", 7);
		cr_assert_not(p9_recv(&bad, &h, &body));
		p9_client_end(&bad);
	}
	most = LINES * (1 + (unsigned)((loop_now() - began) / COMPLAIN_PERIOD_NS));
	line = rig_log(&rig.rig);
	while ((line = strstr(line, "a client's connection is closed"))) {
		lines++;
		line++;
	}
	cr_assert(lines >= LINES && lines <= most, "%u lines", lines);
	cr_assert(p9_alive(c));
	p9_rig_end(&rig);
}

/* Whether the lines stand in the log in that order, perhaps with others between them. */
static void must_log(const char *const *lines)
{
	const char *at = rig_log(&rig.rig);

	for (; *lines; lines++) {
		at = strstr(at, *lines);
		cr_assert_not_null(at, "'%s' is missing: %s", *lines, rig.rig.log);
		at += strlen(*lines);
	}
}

/* Requests and replies, but not what is in the files. */
Test(limits, messages_in_the_log)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.device_args = ARGS("--log-level", "debug")});
	p9_make(c, 1, "f", 0644);
	p9_put(c, 1, 0, "secret");
	cr_assert(p9_has(c, 1, 0, "secret"));
	cr_assert_eq(walk_to(c, 2, "missing"), ENOENT);
	cr_assert_eq(p9_wait(c, P9_SEND(c, CLUNK, clunk, .fid = 7), P9_CLUNK, NULL), EBADF);
	p9_send_raw(c, "\7\0\0\0\143\1\0", 7); /* type 99 */
	cr_assert_eq(p9_wait(c, 1, P9_CLUNK, NULL), EOPNOTSUPP);
	must_log(ARGS("debug: tag 65535 Tversion msize=0x20000 version=\"9P2000.L\"\n",
	              " Rversion msize=0x20000 ", " Tlcreate ",
	              " Rlcreate qid=", " Twrite fid=0x1 offset=0x0 count=0x6\n",
	              " Rwrite count=0x6\n", " Tread fid=0x1 offset=0x0 count=0x",
	              " Rread count=0x6\n", " Twalk fid=0x0 newfid=0x2 names=[\"missing\"]\n",
	              " Rlerror ecode=ENOENT\n", " Tclunk fid=0x7\n", " Rlerror ecode=EBADF\n",
	              "tag 1 a request of type 99, which is none\n",
	              "tag 1 Rlerror ecode=EOPNOTSUPP\n"));
	cr_assert_null(strstr(rig.rig.log, "secret"));
	p9_rig_end(&rig);
}

/* ---- locks that wait ---- */

#define WAITING 64u

static uint16_t send_lock(struct p9_client *client, uint32_t proc, uint8_t type, uint32_t flags)
{
	return P9_SEND(client, LOCK, lock, .fid = 1, .type = type, .flags = flags, .proc_id = proc,
	               .client_id = "guest");
}

static uint8_t lock(struct p9_client *client, uint32_t proc, uint8_t type, uint32_t flags)
{
	struct p9_lock_rep a = {.status = 255};

	cr_assert_eq(p9_wait(client, send_lock(client, proc, type, flags), P9_LOCK, &a), 0);
	return a.status;
}

Test(limits, locks_that_wait)
{
	struct p9_lock_rep a;
	struct p9_client other;
	uint16_t tags[WAITING + 1];

	start(NULL, NULL);
	p9_rig_connect(&rig, &other, false);
	p9_open(c, 1, "f", 2);
	p9_open(&other, 1, "f", 2);
	cr_assert_eq(lock(c, 1000, P9_LOCK_TYPE_WRLCK, 0), P9_LOCK_SUCCESS);
	for (uint32_t i = 0; i < WAITING; i++)
		tags[i] = send_lock(c, i, P9_LOCK_TYPE_RDLCK, P9_LOCK_FLAGS_BLOCK);
	cr_assert(p9_quiet(c, 100), "fewer than %u may wait", WAITING);
	/* One more is told to come again, whoever asks. */
	cr_assert_eq(lock(c, 500, P9_LOCK_TYPE_RDLCK, P9_LOCK_FLAGS_BLOCK), P9_LOCK_BLOCKED);
	cr_assert_eq(lock(&other, 1, P9_LOCK_TYPE_RDLCK, P9_LOCK_FLAGS_BLOCK), P9_LOCK_BLOCKED);
	cr_assert(p9_has(&other, 1, 0, "text"));
	/* One that is flushed makes room for another. */
	P9(c, flush, .oldtag = tags[0]);
	tags[WAITING] = send_lock(&other, 1, P9_LOCK_TYPE_RDLCK, P9_LOCK_FLAGS_BLOCK);
	cr_assert(p9_quiet(&other, 100));
	cr_assert_eq(lock(c, 500, P9_LOCK_TYPE_RDLCK, P9_LOCK_FLAGS_BLOCK), P9_LOCK_BLOCKED);
	/* All that wait get theirs. */
	cr_assert_eq(lock(c, 1000, P9_LOCK_TYPE_UNLCK, 0), P9_LOCK_SUCCESS);
	for (uint32_t i = 1; i <= WAITING; i++) {
		cr_assert_eq(p9_wait(i < WAITING ? c : &other, tags[i], P9_LOCK, &a), 0);
		cr_assert_eq(a.status, P9_LOCK_SUCCESS, "lock %u", i);
	}
	/* And as many may wait again. */
	for (uint32_t i = 0; i < WAITING; i++)
		tags[i] = send_lock(c, 2000 + i, P9_LOCK_TYPE_WRLCK, P9_LOCK_FLAGS_BLOCK);
	cr_assert(p9_quiet(c, 100));
	p9_client_end(&other);
	p9_rig_end(&rig);
}

/* ---- descriptors of the device ---- */

Test(limits, open_files_beyond_the_devices_descriptors)
{
	struct p9_client other;
	uint32_t fid = 1;
	int e = 0;

	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true, .device_files = 100});
	rig_write(&rig.rig, "f", "text");
	p9_rig_connect(&rig, &other, false);
	p9_open(&other, 1, "f", 2);
	for (; fid < 200; fid++) {
		p9_to(c, 0, fid, "f");
		e = p9_wait(c, P9_SEND(c, LOPEN, lopen, .fid = fid), P9_LOPEN, NULL);
		if (e)
			break;
	}
	cr_assert(e == EMFILE || e == ENFILE, "%s", strerror(e));
	cr_assert_gt(fid, 50);
	/* That open failed, and nothing else. */
	cr_assert(p9_has(&other, 1, 0, "text"));
	P9(&other, walk, .fid = 0, .newfid = 2, .names = "f");
	P9(&other, mkdir, .dfid = 0, .name = "made", .mode = 0755);
	cr_assert(p9_has(c, 1, 0, "text"));
	P9(c, lopen, .fid = fid, .expect_err = P9_ANY_ERROR);
	P9(c, clunk, .fid = 1);
	P9(c, lopen, .fid = fid);
	cr_assert(p9_has(c, fid, 0, "text"));
	p9_client_end(&other);
	p9_rig_end(&rig);
}

/* ---- file systems that qids have numbers for ---- */

#define MOUNTS 300 /* 254 have a number of their own in qids, the rest have one for each file */

static void mount_many(struct rig *r)
{
	char name[16];

	rig_mounts();
	cr_assert_eq(mkdir(rig_path(r, "m"), 0755), 0);
	cr_assert_eq(mount("none", rig_path(r, "m"), "tmpfs", 0, "size=1m"), 0);
	for (int i = 0; i < MOUNTS; i++) {
		(void)snprintf(name, sizeof(name), "m/%d", i);
		cr_assert_eq(mkdir(rig_path(r, name), 0755), 0);
		cr_assert_eq(mount("none", rig_path(r, name), "tmpfs", 0, "size=1m"), 0);
	}
}

Test(limits, qids_of_more_file_systems_than_have_numbers)
{
	static uint64_t paths[MOUNTS];

	rig_needs_root("mounts");
	p9_rig_start(&rig, &(struct p9_rig_opt){.prepare = mount_many});
	rig_unmount(rig_path(&rig.rig, "m"));
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < MOUNTS; i++) {
			char name[16];
			uint64_t path;

			(void)snprintf(name, sizeof(name), "m/%u", i);
			p9_to(c, 0, 1, name);
			path = P9(c, getattr, .fid = 1).qid.path;
			P9(c, clunk, .fid = 1);
			for (uint32_t k = 0; k < i && round == 0; k++)
				cr_assert_neq(path, paths[k], "mounts %u and %u", i, k);
			cr_assert(round == 0 || path == paths[i], "mount %u is another now", i);
			paths[i] = path;
		}
	}
	p9_rig_end(&rig);
}

/* Those wait that the device has no descriptor for, and are served when there is one; nobody else notices. */
Test(limits, a_client_beyond_the_devices_descriptors_waits)
{
	enum { MANY = 110 };
	static struct p9_client others[MANY];
	unsigned n = 0, last;

	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true, .device_files = 100});
	rig_write(&rig.rig, "f", "text");
	p9_open(c, 1, "f", 0);
	do {
		cr_assert_lt(n, MANY, "nobody has to wait");
		p9_rig_connect(&rig, &others[n], true);
		(void)P9_SEND(&others[n], VERSION, version, .msize = 8192, .version = "9P2000.L");
		last = n++;
	} while (!p9_quiet(&others[last], 2000));
	cr_assert_gt(n, 50);
	cr_assert(p9_has(c, 1, 0, "text"));
	cr_assert_lt(strlen(rig_log(&rig.rig)), 4096, "the log is flooded");
	p9_client_end(&others[0]);
	cr_assert_not(p9_quiet(&others[last], 5000), "the client is never served");
	for (unsigned i = 1; i < n; i++)
		p9_client_end(&others[i]);
	p9_rig_end(&rig);
}
