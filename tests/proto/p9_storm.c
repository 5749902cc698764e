/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_storm.c: three clients with 128 requests each in flight, of all kinds, on a helper with its threads. A part of them is
 * for a FUSE file system that answers after random times; some are flushed. Every tag is answered once, and at the end there
 * is nothing left.
 *
 * check runs it with device and helper built with the thread sanitizer too, and then a data race ends either.
 */
#include "tests/lib/p9_rig.h"
#include "tests/lib/slow_fuse.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#define CLIENTS   3
#define IN_FLIGHT 128
#define REQUESTS  20000 /* of each client */
#define FIDS      64    /* whose numbers are used at random, whatever they are */

static struct p9_rig rig;
static struct p9_client clients[CLIENTS];
static struct slow_fuse slow;
static const char *missing;
static atomic_bool over;

/* What is awaited under each tag of each client. */
static struct await {
	bool awaited, is_flush;
	uint16_t of; /* the tag that is flushed */
} tags[CLIENTS][65536];

static uint64_t random_state = 1;

static uint32_t any(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % below;
}

static void prepare(struct rig *r)
{
	cr_assert_eq(mkdir(rig_path(r, "slow"), 0755), 0);
	cr_assert_eq(mkdir(rig_path(r, "d"), 0755), 0);
	rig_write(r, "f", "text");
	rig_write(r, "d/g", "text");
	rig_mounts();
	missing = slow_fuse_start(&slow, rig_path(r, "slow"));
}

/* Random times: what comes while the file system holds all waits for the next release. */
static void *delay(void *context UNUSED)
{
	for (uint32_t i = 1; !atomic_load(&over); i = i * 1103515245 + 12345) {
		slow_fuse_hold(&slow, i >> 16 & 1 ? UINT64_MAX & ~(1ull << FUSE_INTERRUPT) : 0);
		(void)nanosleep(&(struct timespec){.tv_nsec = (i >> 17) % 10 * 1000000}, NULL);
		slow_fuse_release(&slow);
	}
	return NULL;
}

static const char *any_path(void)
{
	static const char *const paths[] = {"f",    "d/g",    "d",      "",
	                                    "slow", "slow/a", "slow/b", "none"};

	return paths[any(ARRAY_SIZE(paths))];
}

static const char *any_name(void)
{
	static const char *const names[] = {"n0", "n1", "n2", "n3"};

	return names[any(ARRAY_SIZE(names))];
}

static uint16_t send_any(struct p9_client *c)
{
	uint32_t fid = any(FIDS), other = 1 + any(FIDS - 1);

	switch (any(20)) {
	case 0:
	case 1:
	case 2:
	case 3:
		return P9_SEND(c, WALK, walk, .fid = 0, .newfid = other, .names = any_path());
	case 4:
		return P9_SEND(c, WALK, walk, .fid = fid, .newfid = other, .names = "");
	case 5:
	case 6:
		return P9_SEND(c, CLUNK, clunk, .fid = other);
	case 7:
		return P9_SEND(c, GETATTR, getattr, .fid = fid);
	case 8:
		return P9_SEND(c, LOPEN, lopen, .fid = other, .flags = any(3));
	case 9:
		return P9_SEND(c, LCREATE, lcreate, .fid = other, .name = any_name(), .flags = 2,
		               .mode = 0644);
	case 10:
		return P9_SEND(c, READ, read, .fid = fid, .offset = any(8), .count = 100);
	case 11:
		return P9_SEND(c, WRITE, write, .fid = fid, .offset = any(8),
		               .data = wt_str_of("text"));
	case 12:
		return P9_SEND(c, READDIR, readdir, .fid = fid, .count = 4096);
	case 13:
		return P9_SEND(c, SETATTR, setattr, .fid = fid, .valid = 1, .mode = 0755);
	case 14:
		return P9_SEND(c, UNLINKAT, unlinkat, .dirfid = 0, .name = any_name());
	case 15:
		return P9_SEND(c, RENAMEAT, renameat, .olddirfid = 0, .oldname = any_name(),
		               .newdirfid = 0, .newname = any_name());
	case 16:
		return P9_SEND(c, XATTRWALK, xattrwalk, .fid = fid, .newfid = other);
	case 17:
		return P9_SEND(c, STATFS, statfs, .fid = fid);
	case 18:
		return P9_SEND(c, FSYNC, fsync, .fid = fid);
	default:
		return P9_SEND(c, MKDIR, mkdir, .dfid = 0, .name = any_name(), .mode = 0755);
	}
}

/* One reply. Return: how many requests ended with it; what was flushed may have none, but none after its Rflush. */
static unsigned take_one(uint32_t i)
{
	struct await *a;
	struct p9_head h;
	struct rd body;

	cr_assert(p9_recv(&clients[i], &h, &body), "the session has ended");
	a = &tags[i][h.tag];
	cr_assert(a->awaited, "tag %u is answered twice, or after its Rflush", h.tag);
	a->awaited = false;
	if (!a->is_flush || !tags[i][a->of].awaited)
		return 1;
	tags[i][a->of].awaited = false;
	return 2;
}

static unsigned send_one(uint32_t i)
{
	uint16_t tag = send_any(&clients[i]), flush;

	tags[i][tag] = (struct await){.awaited = true};
	if (any(10))
		return 1;
	flush = P9_SEND(&clients[i], FLUSH, flush, .oldtag = tag);
	tags[i][flush] = (struct await){.awaited = true, .is_flush = true, .of = tag};
	return 2;
}

static void storm(void)
{
	unsigned flying[CLIENTS] = {0};

	for (unsigned sent = 0; sent < REQUESTS; sent++) {
		for (uint32_t i = 0; i < CLIENTS; i++) {
			flying[i] += send_one(i);
			while (flying[i] >= IN_FLIGHT)
				flying[i] -= take_one(i);
		}
	}
	for (uint32_t i = 0; i < CLIENTS; i++) {
		while (flying[i] > 0)
			flying[i] -= take_one(i);
	}
}

static void start(void)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true, .prepare = prepare});
	rig.fds_before += 2; /* the file system's */
	rig_unmount(rig_path(&rig.rig, "slow"));
	if (missing) {
		rig.fds_before -= 2;
		p9_rig_end(&rig);
		cr_skip_test("%s", missing);
	}
}

static void end(void)
{
	if (missing)
		return;
	p9_rig_end(&rig);
	slow_fuse_end(&slow);
}

TestSuite(storm, .init = start, .fini = end, .timeout = 300);

Test(storm, every_tag_is_answered_once)
{
	pthread_t delays;
	int device, helper;

	device = fd_count(rig.device);
	helper = fd_count(rig.rig.helper);
	cr_assert_eq(pthread_create(&delays, NULL, delay, NULL), 0);
	for (int i = 0; i < CLIENTS; i++)
		p9_rig_connect(&rig, &clients[i], false);
	storm();
	atomic_store(&over, true);
	cr_assert_eq(pthread_join(delays, NULL), 0);
	for (int i = 0; i < CLIENTS; i++) {
		cr_assert(p9_quiet(&clients[i], 100), "a reply too many");
		p9_client_end(&clients[i]);
	}
	WAIT_WHILE(fd_count(rig.device) > device || fd_count(rig.rig.helper) > helper);
	cr_assert_eq(fd_count(rig.device), device, "descriptors stay in the device");
	cr_assert_eq(fd_count(rig.rig.helper), helper, "descriptors stay in the helper");
	cr_assert(p9_alive(&rig.c));
}
