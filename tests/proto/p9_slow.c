/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_slow.c: "slow" in the export is a FUSE file system that answers when the test lets it. What waits for it holds up
 * nothing else, a Tflush is answered, and device and helper end all the same.
 */
#include "tests/lib/p9_rig.h"
#include "tests/lib/slow_fuse.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"
#include "common/loop.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define BOUND_MS \
	10000 /* what does not wait takes far less, also on a busy machine; what waits does so for ever */
#define OP(name) (1ull << FUSE_##name)

static struct p9_rig rig;
static struct p9_client *const c = &rig.c;
static struct p9_client other;
static struct slow_fuse slow;
static const char *missing;

static void mount_slow(struct rig *r)
{
	cr_assert_eq(mkdir(rig_path(r, "slow"), 0755), 0);
	rig_write(r, "f", "text");
	rig_mounts();
	missing = slow_fuse_start(&slow, rig_path(r, "slow"));
}

/* Two clients; fid 1 is the slow root, 2 its file "a", 3 "a" open, 4 "b" open, 5 the root open. */
static void start(void)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true, .prepare = mount_slow});
	rig.fds_before += 2; /* the file system's */
	rig_unmount(rig_path(&rig.rig, "slow"));
	if (missing) {
		rig.fds_before -= 2;
		p9_rig_end(&rig);
		cr_skip_test("%s", missing);
	}
	p9_rig_connect(&rig, &other, false);
	p9_to(c, 0, 1, "slow");
	p9_to(c, 1, 2, "a");
	p9_to(c, 1, 3, "a");
	P9(c, lopen, .fid = 3, .flags = 2);
	p9_to(c, 1, 4, "b");
	P9(c, lopen, .fid = 4, .flags = 2);
	p9_to(c, 1, 5, "");
	P9(c, lopen, .fid = 5);
	p9_open(&other, 9, "f", 2);
}

static void end(void)
{
	if (missing)
		return;
	p9_client_end(&other);
	slow_fuse_release(&slow);
	if (rig.device > 0)
		p9_rig_end(&rig);
	else
		(void)rig_end(&rig.rig);
	slow_fuse_end(&slow);
}

TestSuite(slow, .init = start, .fini = end, .timeout = 120);

static uint64_t start_ns;

static void bound(const char *what)
{
	uint64_t ms = (loop_now() - start_ns) / 1000000;

	cr_assert_lt(ms, BOUND_MS, "%s takes %llu ms", what, (unsigned long long)ms);
	start_ns = loop_now();
}

static void others_go_on(void)
{
	start_ns = loop_now();
	for (int i = 0; i < 5; i++) {
		p9_make(&other, 50, "new", 0644);
		P9(&other, fsync, .fid = 50);
		P9(&other, setattr, .fid = 50, .valid = 8, .size = 3);
		P9(&other, getattr, .fid = 50);
		P9(&other, clunk, .fid = 50);
		P9(&other, unlinkat, .dirfid = 0, .name = "new");
		cr_assert(p9_has(&other, 9, 0, "text"));
		p9_to(&other, 0, 51, "");
		P9(&other, lopen, .fid = 51);
		P9(&other, readdir, .fid = 51, .count = 4096);
		P9(&other, clunk, .fid = 51);
		bound("what another client does elsewhere");
		P9(c, walk, .fid = 0, .newfid = 52, .names = "f");
		P9(c, statfs, .fid = 52);
		P9(c, clunk, .fid = 52);
		bound("what the client does elsewhere");
	}
}

/* What waits for the file system, each by another request of its. */
static const struct {
	uint64_t op;
	uint8_t type;
	union {
		struct p9_walk_req walk;
		struct p9_getattr_req getattr;
		struct p9_setattr_req setattr;
		struct p9_lopen_req lopen;
		struct p9_read_req read;
		struct p9_write_req write;
		struct p9_fsync_req fsync;
		struct p9_readdir_req readdir;
		struct p9_statfs_req statfs;
		struct p9_clunk_req clunk;
	} q;
} waits[] = {
    {OP(LOOKUP),
     P9_WALK,
     {.walk = {.fid = 1, .newfid = 20, .names = {1, {{.data = (const uint8_t *)"b", .size = 1}}}}}},
    {OP(GETATTR), P9_GETATTR, {.getattr = {.fid = 2}}},
    {OP(SETATTR), P9_SETATTR, {.setattr = {.fid = 2, .valid = 1, .mode = 0600}}},
    {OP(OPEN), P9_LOPEN, {.lopen = {.fid = 2}}},
    {OP(READ), P9_READ, {.read = {.fid = 3, .count = 100}}},
    {OP(WRITE),
     P9_WRITE,
     {.write = {.fid = 3, .data = {.data = (const uint8_t *)"TEXT", .size = 4}}}},
    {OP(FSYNC), P9_FSYNC, {.fsync = {.fid = 3}}},
    {OP(READDIR), P9_READDIR, {.readdir = {.fid = 5, .count = 4096}}},
    {OP(STATFS), P9_STATFS, {.statfs = {.fid = 1}}},
};

Test(slow, what_waits_delays_no_other_and_ends_when_it_may)
{
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		uint16_t tag;

		slow_fuse_hold(&slow, waits[i].op);
		tag = p9_send(c, waits[i].type, &waits[i].q);
		cr_assert(slow_fuse_wait(&slow, 1), "wait %zu: the file system is not asked", i);
		others_go_on();
		cr_assert_eq(p9_kept_count(c), 0, "wait %zu is answered", i);
		slow_fuse_release(&slow);
		cr_assert_eq(p9_wait(c, tag, waits[i].type, NULL), 0, "wait %zu", i);
	}
	cr_assert(p9_has(c, 3, 0, "TEXT"));
	cr_assert_eq(P9(c, getattr, .fid = 2).mode & 07777, 0600);
}

Test(slow, what_waits_can_be_flushed_and_leaves_nothing)
{
	int device = fd_count(rig.device), helper = fd_count(rig.rig.helper);

	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		uint16_t tag;

		slow_fuse_hold(&slow, waits[i].op);
		tag = p9_send(c, waits[i].type, &waits[i].q);
		cr_assert(slow_fuse_wait(&slow, 1), "wait %zu: the file system is not asked", i);
		start_ns = loop_now();
		P9(c, flush, .oldtag = tag);
		bound("a flush");
		cr_assert_eq(p9_kept_count(c), 0, "wait %zu is answered", i);
		/* The tag is free. */
		p9_send_tag(c, tag, P9_STATFS, &(struct p9_statfs_req){.fid = 0});
		cr_assert_eq(p9_wait(c, tag, P9_STATFS, NULL), 0);
		slow_fuse_release(&slow);
		cr_assert(p9_quiet(c, 100), "wait %zu is answered after its Rflush", i);
	}
	cr_assert(p9_rig_fds_soon(&rig, device, helper), "descriptors stay: %d of %d, %d of %d",
	          fd_count(rig.device), device, fd_count(rig.rig.helper), helper);
	/* The fids are as they were. */
	P9(c, walk, .fid = 1, .newfid = 20, .names = "b");
	P9(c, lopen, .fid = 2);
	P9(c, readdir, .fid = 5, .count = 4096);
	p9_put(c, 3, 0, "once more");
	cr_assert(p9_has(c, 3, 0, "once more"));
}

/* Closing asks a FUSE file system, and waits for it: so it is not the loop that closes. */
Test(slow, a_clunk_does_not_wait_for_the_close)
{
	int device = fd_count(rig.device);

	slow_fuse_hold(&slow, OP(FLUSH));
	start_ns = loop_now();
	P9(c, clunk, .fid = 3);
	P9(c, clunk, .fid = 4);
	bound("clunking open files");
	cr_assert(slow_fuse_wait(&slow, 2));
	others_go_on();
	/* Here the helper closes too, after it has passed the descriptor. */
	P9(c, lopen, .fid = 2, .flags = 2);
	bound("opening a file whose closing waits");
	cr_assert(slow_fuse_wait(&slow, 3));
	others_go_on();
	slow_fuse_release(&slow);
	P9(c, clunk, .fid = 2);
	WAIT_WHILE(fd_count(rig.device) > device - 2);
	cr_assert_eq(fd_count(rig.device), device - 2);
}

Test(slow, forty_that_wait_delay_no_other)
{
	enum { MANY = 40 };
	uint16_t tags[MANY];

	slow_fuse_hold(&slow, OP(GETATTR) | OP(READ));
	for (uint32_t i = 0; i < MANY; i++)
		tags[i] = i % 2 ? P9_SEND(c, GETATTR, getattr, .fid = 2)
		                : P9_SEND(c, READ, read, .fid = i % 4 ? 3 : 4, .count = 10);
	cr_assert(slow_fuse_wait(&slow, MANY / 2));
	others_go_on();
	for (uint32_t i = 0; i < MANY; i += 3)
		P9(c, flush, .oldtag = tags[i]);
	bound("flushing a third of them");
	slow_fuse_release(&slow);
	for (uint32_t i = 0; i < MANY; i++) {
		if (i % 3)
			cr_assert_eq(p9_wait(c, tags[i], i % 2 ? P9_GETATTR : P9_READ, NULL), 0);
	}
	cr_assert_eq(p9_kept_count(c), 0);
}

static void send_all(void)
{
	slow_fuse_hold(&slow, UINT64_MAX & ~(OP(INTERRUPT) | OP(FORGET) | OP(BATCH_FORGET)));
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
		(void)p9_send(c, waits[i].type, &waits[i].q);
	cr_assert(slow_fuse_wait(&slow, 5));
	cr_assert(p9_quiet(c, 100));
}

Test(slow, a_client_that_goes_while_its_requests_wait_leaves_nothing)
{
	int device = fd_count(rig.device);

	send_all();
	p9_client_end(c);
	start_ns = loop_now();
	p9_rig_connect(&rig, c, false);
	bound("attaching");
	others_go_on();
	slow_fuse_release(&slow);
	/* The session's three open descriptors were two files; the directory is the helper's. */
	WAIT_WHILE(fd_count(rig.device) > device - 2);
	cr_assert_eq(fd_count(rig.device), device - 2);
}

/* Where the file system lets go of callers that are killed. */
Test(slow, both_end_when_the_device_is_told_to)
{
	slow.gives_up = true;
	send_all();
	/* An ending process closes its files, which FUSE waits for; only what io_uring leaves behind makes it give that up. */
	if (getenv("VIRTFS_HIDE") && strcmp(getenv("VIRTFS_HIDE"), "io_uring") == 0)
		slow_fuse_hold(&slow, slow.hold & ~OP(FLUSH));
	/* end() sends SIGTERM and waits for both, with all that waits still waiting. */
	start_ns = loop_now();
	cr_assert_eq(kill(rig.device, SIGTERM), 0);
	cr_assert_eq(rig_exit_status(rig.device), 0);
	cr_assert_eq(rig_exit_status(rig.rig.helper), 0);
	bound("ending");
	rig.rig.helper = -1;
	rig.device = -1;
}

Test(slow, both_end_when_the_helper_is_killed)
{
	uint16_t tags[4];

	slow.gives_up = true;
	slow_fuse_hold(&slow, OP(GETATTR));
	for (int i = 0; i < 4; i++)
		tags[i] = P9_SEND(c, GETATTR, getattr, .fid = 2);
	cr_assert(slow_fuse_wait(&slow, 4));
	start_ns = loop_now();
	p9_rig_kill_helper(&rig);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(p9_wait(c, tags[i], P9_GETATTR, NULL), EIO);
	bound("the end of a helper whose requests wait");
}
