/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_flush.c: Tflush, and requests that are stuck. The device is real; its helper is the make-believe one, which answers
 * when the test says so.
 */
#include "tests/lib/b_synth.h"
#include "tests/lib/p9_rig.h"

#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static struct p9_rig rig;
static struct synth_helper helper;

static void start_with(uint64_t delay_max_ns)
{
	int pair[2];

	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	synth_helper_start(&helper, pair[1], 1, delay_max_ns);
	p9_rig_start(&rig, &(struct p9_rig_opt){.helper_sock = pair[0]});
}

static void start(void)
{
	start_with(0);
}

static void end(void)
{
	p9_rig_end(&rig);
	(void)synth_helper_end(&helper);
	cr_assert_eq(atomic_load(&helper.synth.faults), 0, "nodes are not used as they should be");
}

TestSuite(flush, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

static void hold(int type)
{
	synth_helper_hold(&helper, type);
}

static uint16_t stuck_walk(uint32_t newfid)
{
	uint16_t tag = P9_SEND(c, WALK, walk, .fid = 0, .newfid = newfid, .names = "d");

	cr_assert(synth_helper_wait_holding(&helper, 1));
	return tag;
}

static uint64_t ms_since(uint64_t start_ns)
{
	return (loop_now() - start_ns) / 1000000;
}

Test(flush, rule_an_unknown_tag_is_answered_at_once)
{
	P9(c, flush, .oldtag = 12345);
	P9(c, flush, .oldtag = P9_NOTAG);
}

Test(flush, rule_of_a_request_that_has_ended_it_is_answered_at_once)
{
	uint16_t tag = P9_SEND(c, STATFS, statfs, .fid = 0);

	cr_assert_eq(p9_wait(c, tag, P9_STATFS, NULL), 0);
	P9(c, flush, .oldtag = tag);
}

Test(flush, rule_of_its_own_tag_it_is_answered_at_once)
{
	p9_send_tag(c, 77, P9_FLUSH, &(struct p9_flush_req){.oldtag = 77});
	cr_assert_eq(p9_wait(c, 77, P9_FLUSH, NULL), 0);
	cr_assert(p9_alive(c));
}

Test(flush, rule_a_stuck_request_does_not_hold_its_flush)
{
	uint64_t start_ns;
	uint16_t tag;

	hold(RPC_WALK);
	tag = stuck_walk(1);
	start_ns = loop_now();
	P9(c, flush, .oldtag = tag);
	cr_assert_lt(ms_since(start_ns), 10000);
	cr_assert_eq(p9_kept_count(c), 0, "the request was answered too");
}

Test(flush, rule_no_late_reply_follows_rflush)
{
	uint16_t tag;

	hold(RPC_WALK);
	tag = stuck_walk(1);
	P9(c, flush, .oldtag = tag);
	hold(0);
	cr_assert(p9_quiet(c, 200), "a reply came after Rflush");
	cr_assert(p9_alive(c));
}

Test(flush, rule_the_tag_is_free_after_rflush)
{
	uint16_t tag;

	hold(RPC_WALK);
	tag = stuck_walk(1);
	P9(c, flush, .oldtag = tag);
	p9_send_tag(c, tag, P9_STATFS, &(struct p9_statfs_req){.fid = 0});
	cr_assert_eq(p9_wait(c, tag, P9_STATFS, NULL), 0);
	hold(0);
	cr_assert(p9_quiet(c, 200));
}

/* On a busy machine the grace may pass; then the walk is undone. */
Test(flush, rule_a_reply_that_is_sent_comes_before_rflush)
{
	unsigned told = 0;

	for (int i = 0; i < 20 || (told == 0 && i < 2000); i++) {
		uint16_t walk = P9_SEND(c, WALK, walk, .fid = 0, .newfid = 1, .names = "d");
		uint16_t flush = P9_SEND(c, FLUSH, flush, .oldtag = walk);

		cr_assert_eq(p9_wait(c, flush, P9_FLUSH, NULL), 0);
		if (p9_kept_count(c) == 1) {
			cr_assert_eq(p9_wait(c, walk, P9_WALK, NULL), 0);
			P9(c, clunk, .fid = 1);
			told++;
		} else {
			P9(c, clunk, .fid = 1, .expect_err = EBADF);
		}
	}
	cr_assert_gt(told, 0, "the walks ended, and none said so");
}

Test(flush, rule_what_had_effect_is_told)
{
	unsigned told = 0;

	for (int i = 0; i < 10 || (told == 0 && i < 1000); i++) {
		uint16_t mkdir, flush;

		hold(RPC_MKDIR);
		mkdir = P9_SEND(c, MKDIR, mkdir, .dfid = 0, .name = "d", .mode = 0755);
		cr_assert(synth_helper_wait_holding(&helper, 1));
		flush = P9_SEND(c, FLUSH, flush, .oldtag = mkdir);
		hold(0);
		cr_assert_eq(p9_wait(c, flush, P9_FLUSH, NULL), 0);
		if (p9_kept_count(c) == 1 && p9_wait(c, mkdir, P9_MKDIR, NULL) == 0)
			told++;
	}
	cr_assert_gt(told, 0, "the directories were made, and none was told");
}

Test(flush, rule_several_flushes_are_answered_in_order)
{
	uint16_t tag, flushes[5];

	hold(RPC_WALK);
	tag = stuck_walk(1);
	for (int i = 0; i < 5; i++)
		flushes[i] = P9_SEND(c, FLUSH, flush, .oldtag = tag);
	for (int i = 0; i < 5; i++) {
		struct p9_head h;
		struct rd body;

		cr_assert(p9_recv(c, &h, &body));
		cr_assert_eq(h.type, P9_FLUSH + 1);
		cr_assert_eq(h.tag, flushes[i], "Rflush %d is out of order", i);
	}
	hold(0);
	cr_assert(p9_quiet(c, 150));
}

Test(flush, rule_a_flush_can_be_flushed)
{
	uint16_t tag, first, second, third;

	hold(RPC_WALK);
	tag = stuck_walk(1);
	first = P9_SEND(c, FLUSH, flush, .oldtag = tag);
	second = P9_SEND(c, FLUSH, flush, .oldtag = first);
	third = P9_SEND(c, FLUSH, flush, .oldtag = second);
	cr_assert_eq(p9_wait(c, third, P9_FLUSH, NULL), 0);
	cr_assert_eq(p9_kept_count(c), 2, "each Tflush is answered, in their order");
	cr_assert_eq(p9_wait(c, second, P9_FLUSH, NULL), 0);
	cr_assert_eq(p9_wait(c, first, P9_FLUSH, NULL), 0);
	hold(0);
	(void)nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
	cr_assert(p9_alive(c));
}

Test(flush, rule_a_fid_of_a_flushed_walk_does_not_exist)
{
	uint16_t tag;

	hold(RPC_WALK);
	tag = stuck_walk(1);
	P9(c, flush, .oldtag = tag);
	P9(c, getattr, .fid = 1, .expect_err = EBADF);
	hold(0);
	(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	P9(c, getattr, .fid = 1, .expect_err = EBADF);
	p9_to(c, 0, 1, "d");
}

Test(flush, rule_a_fid_of_a_flushed_attach_does_not_exist)
{
	uint16_t tag;

	hold(RPC_WALK);
	tag = P9_SEND(c, ATTACH, attach, .fid = 1, .afid = P9_NOFID, .aname = "d");
	cr_assert(synth_helper_wait_holding(&helper, 1));
	P9(c, flush, .oldtag = tag);
	hold(0);
	(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	P9(c, getattr, .fid = 1, .expect_err = EBADF);
	P9(c, attach, .fid = 1, .afid = P9_NOFID);
}

Test(flush, rule_a_fid_of_a_flushed_xattrwalk_does_not_exist)
{
	uint16_t tag;

	hold(RPC_LISTXATTR);
	tag = P9_SEND(c, XATTRWALK, xattrwalk, .fid = 0, .newfid = 1);
	cr_assert(synth_helper_wait_holding(&helper, 1));
	P9(c, flush, .oldtag = tag);
	hold(0);
	(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	P9(c, clunk, .fid = 1, .expect_err = EBADF);
}

Test(flush, a_flushed_open_leaves_the_fid_closed)
{
	int before;
	uint16_t tag;

	p9_to(c, 0, 1, "f");
	before = fd_count(rig.device);
	hold(RPC_OPEN);
	tag = P9_SEND(c, LOPEN, lopen, .fid = 1);
	cr_assert(synth_helper_wait_holding(&helper, 1));
	P9(c, lopen, .fid = 1, .expect_err = EINVAL); /* one is under way */
	P9(c, flush, .oldtag = tag);
	hold(0);
	(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	cr_assert_eq(fd_count(rig.device), before, "the descriptor of a flushed open stays");
	P9(c, lopen, .fid = 1);
	P9(c, read, .fid = 1, .count = 10);
}

Test(flush, a_flushed_creation_leaves_the_fid_a_directory)
{
	uint16_t tag;

	p9_to(c, 0, 1, "");
	hold(RPC_CREATE);
	tag = P9_SEND(c, LCREATE, lcreate, .fid = 1, .name = "f", .flags = 2, .mode = 0644);
	cr_assert(synth_helper_wait_holding(&helper, 1));
	P9(c, flush, .oldtag = tag);
	hold(0);
	P9(c, lopen, .fid = 1);
	P9(c, readdir, .fid = 1, .count = 4096);
}

Test(flush, a_clunk_during_an_open_leaves_nothing_open)
{
	int before = fd_count(rig.device);
	uint16_t tag;

	p9_to(c, 0, 1, "f");
	hold(RPC_OPEN);
	tag = P9_SEND(c, LOPEN, lopen, .fid = 1);
	cr_assert(synth_helper_wait_holding(&helper, 1));
	P9(c, clunk, .fid = 1);
	hold(0);
	(void)p9_wait(c, tag, P9_LOPEN, NULL);
	P9(c, getattr, .fid = 1, .expect_err = EBADF);
	(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	cr_assert_eq(fd_count(rig.device), before);
}

Test(flush, a_stuck_request_delays_no_other)
{
	uint64_t start_ns;

	hold(RPC_STATFS);
	for (uint32_t i = 0; i < 32; i++)
		(void)P9_SEND(c, STATFS, statfs, .fid = 0);
	cr_assert(synth_helper_wait_holding(&helper, 32));
	start_ns = loop_now();
	for (int i = 0; i < 20; i++) {
		p9_to(c, 0, 1, "d/f");
		P9(c, clunk, .fid = 1);
	}
	cr_assert_lt(ms_since(start_ns), 10000);
	hold(0);
}

Test(flush, all_stuck_requests_can_be_flushed)
{
	uint16_t tags[100];

	hold(RPC_STATFS);
	for (uint32_t i = 0; i < 100; i++)
		tags[i] = P9_SEND(c, STATFS, statfs, .fid = 0);
	/* More than the helper takes at once: the rest waits in the device, and is flushed there. */
	cr_assert(synth_helper_wait_holding(&helper, 64));
	for (uint32_t i = 0; i < 100; i++)
		(void)P9_SEND(c, FLUSH, flush, .oldtag = tags[i]);
	for (uint32_t i = 0; i < 100; i++) {
		struct p9_head h;
		struct rd body;

		cr_assert(p9_recv(c, &h, &body));
		cr_assert_eq(h.type, P9_FLUSH + 1);
	}
	hold(0);
	cr_assert(p9_quiet(c, 100));
	cr_assert(p9_alive(c));
}

Test(flush, a_client_that_goes_with_requests_stuck_leaves_nothing)
{
	hold(RPC_WALK);
	for (uint32_t i = 1; i < 40; i++)
		(void)P9_SEND(c, WALK, walk, .fid = 0, .newfid = i, .names = "d");
	cr_assert(synth_helper_wait_holding(&helper, 39));
	/* end() does the rest: the device must end, and the nodes be given back or gone with it. */
}

/* ---- random delays ---- */

#define IN_FLIGHT 128

static uint16_t send_one(uint32_t i)
{
	switch (i % 8) {
	case 0:
		return P9_SEND(c, GETATTR, getattr, .fid = 0);
	case 1:
		return P9_SEND(c, STATFS, statfs, .fid = 0);
	case 2:
		return P9_SEND(c, WALK, walk, .fid = 0, .newfid = 1000 + i, .names = "d/d/f");
	case 3:
		return P9_SEND(c, WALK, walk, .fid = 0, .newfid = 1000 + i, .names = "x");
	case 4:
		return P9_SEND(c, MKDIR, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	case 5:
		return P9_SEND(c, XATTRWALK, xattrwalk, .fid = 0, .newfid = 1000 + i, .name = "u");
	case 6:
		return P9_SEND(c, READ, read, .fid = 1, .count = 4096);
	default:
		return P9_SEND(c, ATTACH, attach, .fid = 1000 + i, .afid = P9_NOFID);
	}
}

/* What is awaited under each tag. */
static struct {
	bool awaited;
	bool is_flush;
	uint16_t of; /* the tag that is flushed */
} tags[65536];

/* One reply. A request that was flushed may go without one, but never have it after its Rflush. */
static unsigned take_one(void)
{
	unsigned ended = 1;
	struct p9_head h;
	struct rd body;

	cr_assert(p9_recv(c, &h, &body));
	cr_assert(tags[h.tag].awaited, "tag %u is answered twice, or after its Rflush", h.tag);
	tags[h.tag].awaited = false;
	if (tags[h.tag].is_flush && tags[tags[h.tag].of].awaited) {
		tags[tags[h.tag].of].awaited = false;
		ended++;
	}
	return ended;
}

static void in_flight(bool flushes)
{
	end();
	start_with(20000000);
	p9_open(c, 1, "f", 0);
	for (int round = 0; round < 10; round++) {
		unsigned sent = 0;

		memset(tags, 0, sizeof(tags));
		for (uint32_t i = 0; i < IN_FLIGHT; i++, sent++) {
			uint16_t tag = send_one(i);

			tags[tag].awaited = true;
			if (flushes && i % 3 == 0) {
				uint16_t flush = P9_SEND(c, FLUSH, flush, .oldtag = tag);

				tags[flush].awaited = tags[flush].is_flush = true;
				tags[flush].of = tag;
				sent++;
			}
		}
		while (sent > 0)
			sent -= take_one();
		p9_start(c, P9_RIG_MSIZE);
		p9_open(c, 1, "f", 0);
	}
	cr_assert(p9_quiet(c, 100));
}

Test(flush, with_128_in_flight_every_tag_is_answered_once)
{
	in_flight(false);
}

Test(flush, with_128_in_flight_and_flushes_every_tag_is_answered_once)
{
	in_flight(true);
}
