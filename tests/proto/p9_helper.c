/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_helper.c: what a device does when its helper dies, is replaced, or talks nonsense. */
#include "tests/lib/b_synth.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/wait.h"

#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTSTANDING 64

static struct p9_rig rig;

TestSuite(helper, .timeout = 240);

static struct p9_client *const c = &rig.c;

static void settle(void)
{
	(void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

static int attach(uint32_t fid)
{
	return p9_wait(c, P9_SEND(c, ATTACH, attach, .fid = fid, .afid = P9_NOFID), P9_ATTACH,
	               NULL);
}

/* A Tattach of the root succeeds soon. */
static void must_attach(uint32_t fid)
{
	int error;

	WAIT_WHILE((error = attach(fid)) == EIO);
	cr_assert_eq(error, 0, "%s", strerror(error));
}

/* Stops it, and waits until all its threads have. */
static void stop_helper(void)
{
	int status;

	cr_assert_eq(kill(rig.rig.helper, SIGSTOP), 0);
	cr_assert_eq(waitpid(rig.rig.helper, &status, WUNTRACED), rig.rig.helper);
	cr_assert(WIFSTOPPED(status));
}

Test(helper, killed_with_64_requests_under_way_each_is_answered_eio_once)
{
	uint16_t tags[OUTSTANDING];

	p9_rig_start(&rig, NULL);
	stop_helper();
	for (uint32_t i = 0; i < OUTSTANDING; i++)
		tags[i] = P9_SEND(c, WALK, walk, .fid = 0, .newfid = 10 + i, .names = "none");
	cr_assert(p9_quiet(c, 50));
	p9_rig_kill_helper(&rig);
	for (uint32_t i = 0; i < OUTSTANDING; i++)
		cr_assert_eq(p9_wait(c, tags[i], P9_WALK, NULL), EIO);
	cr_assert_eq(p9_kept_count(c), 0);
	cr_assert(p9_quiet(c, 50));
	P9(c, statfs, .fid = 0, .expect_err = EIO);
	P9(c, clunk, .fid = 0);
	p9_rig_end(&rig);
}

/* More than the helper takes at once: some never reached it. */
Test(helper, killed_with_400_requests_under_way)
{
	uint16_t tags[400];

	p9_rig_start(&rig, NULL);
	stop_helper();
	for (uint32_t i = 0; i < 400; i++)
		tags[i] = P9_SEND(c, STATFS, statfs, .fid = 0);
	cr_assert(p9_quiet(c, 50));
	p9_rig_kill_helper(&rig);
	for (uint32_t i = 0; i < 400; i++)
		cr_assert_eq(p9_wait(c, tags[i], P9_STATFS, NULL), EIO);
	p9_rig_end(&rig);
}

Test(helper, killed_at_any_moment)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true});
	for (int round = 0; round < 30; round++) {
		uint16_t tags[OUTSTANDING];

		rig_write(&rig.rig, "f", "text");
		p9_open(c, 1, "f", 2);
		for (uint32_t i = 0; i < OUTSTANDING; i++)
			tags[i] = i % 3 == 0 ? P9_SEND(c, WALK, walk, .fid = 0, .newfid = 10 + i,
			                               .names = "f")
			          : i % 3 == 1
			              ? P9_SEND(c, XATTRWALK, xattrwalk, .fid = 1, .newfid = 10 + i)
			              : P9_SEND(c, STATFS, statfs, .fid = 1);
		(void)nanosleep(&(struct timespec){.tv_nsec = round * 50000}, NULL);
		p9_rig_kill_helper(&rig);
		for (uint32_t i = 0; i < OUTSTANDING; i++) {
			int e = p9_wait(c, tags[i],
			                i % 3 == 0   ? P9_WALK
			                : i % 3 == 1 ? P9_XATTRWALK
			                             : P9_STATFS,
			                NULL);

			cr_assert(e == 0 || e == EIO, "%s", strerror(e));
		}
		cr_assert_eq(p9_kept_count(c), 0);
		p9_rig_hand_over(&rig);
		p9_client_end(c);
		p9_rig_connect(&rig, c, true);
		P9(c, version, .msize = P9_RIG_MSIZE, .version = "9P2000.L");
		c->msize = P9_RIG_MSIZE;
		must_attach(0);
	}
	WAIT_WHILE(fd_count(rig.device) >= 20);
	cr_assert_lt(fd_count(rig.device), 20, "descriptors of dead helpers stay");
	p9_rig_end(&rig);
}

Test(helper, a_new_one_serves_new_attaches_and_old_fids_fail)
{
	p9_rig_start(&rig, NULL);
	rig_write(&rig.rig, "f", "text");
	P9(c, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	p9_to(c, 0, 1, "f");
	p9_open(c, 2, "f", 2);
	p9_open(c, 3, "", 0);
	p9_to(c, 0, 4, "f");
	P9(c, xattrcreate, .fid = 4, .name = "user.a", .attr_size = 1);
	p9_put(c, 4, 0, "x");
	p9_to(c, 0, 5, "d");
	p9_rig_kill_helper(&rig);
	p9_rig_hand_over(&rig);
	must_attach(100);
	p9_to(c, 100, 101, "f");
	P9(c, lopen, .fid = 101, .flags = 2);
	cr_assert(p9_has(c, 101, 0, "text"));
	P9(c, getattr, .fid = 0, .expect_err = EIO);
	P9(c, walk, .fid = 0, .newfid = 9, .names = "f", .expect_err = EIO);
	P9(c, lopen, .fid = 1, .expect_err = EIO);
	P9(c, readdir, .fid = 3, .count = 4096, .expect_err = EIO);
	P9(c, mkdir, .dfid = 5, .name = "x", .mode = 0755, .expect_err = EIO);
	/* Also where the dead fid is the second of a message. */
	P9(c, link, .dfid = 100, .fid = 1, .name = "x", .expect_err = EIO);
	P9(c, renameat, .olddirfid = 100, .oldname = "f", .newdirfid = 5, .newname = "x",
	   .expect_err = EIO);
	p9_to(c, 100, 102, "f");
	P9(c, rename, .fid = 102, .dfid = 5, .name = "x", .expect_err = EIO);
	cr_assert_str_eq(rig_read(&rig.rig, "f"), "text");
	/* They are clunked as others; a value that was never set is told. */
	P9(c, clunk, .fid = 4, .expect_err = EIO);
	P9(c, clunk, .fid = 4, .expect_err = EBADF);
	for (uint32_t fid = 0; fid < 4; fid++)
		P9(c, clunk, .fid = fid);
	p9_rig_end(&rig);
}

Test(helper, a_new_one_can_take_the_place_of_one_that_lives)
{
	p9_rig_start(&rig, NULL);
	for (int i = 0; i < 5; i++) {
		p9_rig_hand_over(&rig); /* waits for the old one's end */
		must_attach(100 + (uint32_t)i);
	}
	P9(c, getattr, .fid = 103, .expect_err = EIO);
	P9(c, getattr, .fid = 104);
	p9_rig_end(&rig);
}

Test(helper, what_is_no_helper_is_turned_away)
{
	int pair[2];

	p9_rig_start(&rig, NULL);
	/* A stream; a pipe; nothing at all. */
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	p9_rig_hand_over_sock(&rig, pair[0]);
	cr_assert_eq(close(pair[1]), 0);
	cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
	p9_rig_hand_over_sock(&rig, pair[0]);
	cr_assert_eq(close(pair[1]), 0);
	cr_assert_eq(usock_send(rig.handover, "h", 1, -1), 0);
	settle();
	cr_assert(p9_alive(c), "the helper that is there was given up for nothing");
	p9_rig_end(&rig);
}

Test(helper, one_that_dies_at_once_can_be_followed_by_another)
{
	uint32_t fid = 9;
	int pair[2], error;

	p9_rig_start(&rig, NULL);
	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	cr_assert_eq(close(pair[1]), 0);
	p9_rig_hand_over_sock(&rig, pair[0]);
	/* Until the device knows, it attaches by the helper of before. */
	WAIT_WHILE((error = attach(fid)) == 0 && fid++);
	cr_assert_eq(error, EIO, "%s", strerror(error));
	cr_assert_eq(rig_exit_status(rig.rig.helper), 0);
	rig.rig.helper = -1;
	p9_rig_hand_over(&rig);
	must_attach(fid);
	p9_rig_end(&rig);
}

Test(helper, the_end_of_the_handover_socket_ends_nothing)
{
	p9_rig_start(&rig, NULL);
	cr_assert_eq(close(rig.handover), 0);
	rig.handover = -1;
	settle();
	cr_assert(p9_alive(c));
	p9_rig_end(&rig);
}

/* A helper is trusted to keep to the protocol, but if it does not, that is the end of it and of nothing else. */
Test(helper, nonsense_is_the_end_of_the_helper_only)
{
	for (int how = 0; how < DAMAGES; how++) {
		static struct synth_helper fake;
		uint16_t tags[8];
		int pair[2];

		cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
		synth_helper_start(&fake, pair[1], 1, 0);
		p9_rig_start(&rig, &(struct p9_rig_opt){.helper_sock = pair[0]});
		p9_to(c, 0, 1, "f");
		atomic_store(&fake.damage, how);
		atomic_store(&fake.break_reply, how == DAMAGE_NO_FD ? 1 : 3);
		if (how == DAMAGE_NO_FD) {
			P9(c, lopen, .fid = 1, .expect_err = EIO);
		} else {
			for (int i = 0; i < 8; i++)
				tags[i] = P9_SEND(c, STATFS, statfs, .fid = 0);
			for (int i = 0; i < 8; i++) {
				int e = p9_wait(c, tags[i], P9_STATFS, NULL);

				cr_assert(e == 0 || e == EIO, "damage %d: %d", how, e);
			}
		}
		P9(c, statfs, .fid = 0, .expect_err = EIO);
		p9_rig_end(&rig);
		(void)synth_helper_end(&fake);
	}
}
