/* SPDX-License-Identifier: GPL-2.0-or-later */
/* quit.c: what is under way when the device is told to end is finished first, for as long as was said. */
#include "tests/lib/blk_rig.h"
#include "tests/lib/control_peer.h"

#include <criterion/criterion.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct blk_rig rig;
static struct slow_fuse slow;
static struct control_peer c, other;
static struct blk_request flush = {.type = VIRTIO_BLK_T_FLUSH};
static unsigned slot;

/* A device with a flush under way, which does not end before it is released. */
static void begin(void)
{
	if (!blk_rig_start(&rig, &(struct blk_opt){.slow = &slow, .control = true}))
		cr_skip("%s", rig.o.fs_skip);
	control_connect(&c, rig.control);
	control_connect(&other, rig.control);
	slow_fuse_hold(&slow, 1ull << FUSE_FSYNC);
	slot = blk_offer(&rig, 0, &flush);
	cr_assert(slow_fuse_wait(&slow, 1), "nothing waits for fsync");
}

static void end(void)
{
	cr_assert_eq(rig_exit_status(rig.device), 0);
	rig.device = -1;
	control_close(&c);
	if (rig.o.slow)
		control_close(&other);
	blk_rig_end(&rig);
}

/* quit, which has come by the time that another client was answered twice: once it was in its socket before. */
static void quit_within(unsigned ms)
{
	char command[100];

	(void)snprintf(command, sizeof(command),
	               "{'execute': 'quit', 'arguments': {'wait-ms': %u}}", ms);
	control_send(&c, command, NULL, 0);
	control_done(&other, "{'execute': 'query-version'}", NULL, 0);
	control_done(&other, "{'execute': 'query-version'}", NULL, 0);
}

/* The next answer is quit's, and says that. */
static void answered(struct control_peer *p, bool drained, json_int_t in_flight)
{
	json_t *got = control_answer(p), *r = json_object_get(got, "return");

	cr_assert_not_null(r);
	cr_assert_eq(json_is_true(json_object_get(r, "drained")), drained);
	cr_assert_eq(json_integer_value(json_object_get(r, "in-flight")), in_flight);
	json_decref(got);
}

Test(control_quit, requests_under_way_are_answered_before_the_end, .timeout = 120)
{
	uint8_t data[512];
	struct blk_request read = {.type = VIRTIO_BLK_T_IN, .in = data, .in_size = sizeof(data)};

	begin();
	quit_within(60000);
	/* It takes nothing any more: the read waits in the ring. */
	(void)blk_offer(&rig, 0, &read);
	cr_assert_not(blk_wait(&rig, 0, 300), "it was taken, or the flush has ended by itself");
	cr_assert_not(vu_readable(c.sock, 0), "quit is answered, and the flush is not");
	slow_fuse_release(&slow);
	cr_assert(blk_wait(&rig, 0, VU_PATIENCE_MS), "the flush was not answered");
	cr_assert_not(rig.slot[slot].busy);
	cr_assert_eq(flush.status, VIRTIO_BLK_S_OK);
	answered(&c, true, 0);
	json_decref(control_wait_event(&c, "SHUTDOWN"));
	cr_assert(control_closed(&c));
	cr_assert_not(blk_wait(&rig, 0, 0), "the read was taken");
	end();
}

static void ends_without_it(const char *command)
{
	begin();
	control_send(&c, command, NULL, 0);
	answered(&c, false, 1);
	json_decref(control_wait_event(&c, "SHUTDOWN"));
	/* The kernel has the process wait for what it has begun. */
	slow_fuse_release(&slow);
	cr_assert_not(blk_wait(&rig, 0, 0));
	end();
}

Test(control_quit, what_does_not_end_in_time_is_left_behind, .timeout = 120)
{
	ends_without_it("{'execute': 'quit', 'arguments': {'wait-ms': 50}}");
}

Test(control_quit, it_waits_a_second_unless_told_otherwise, .timeout = 120)
{
	uint64_t from = vu_now_ms();

	ends_without_it("{'execute': 'quit'}");
	cr_assert_geq(vu_now_ms() - from, 1000);
}

Test(control_quit, a_second_one_is_in_more_of_a_hurry, .timeout = 120)
{
	begin();
	quit_within(60000);
	cr_assert_not(vu_readable(c.sock, 0));
	control_send(&other, "{'execute': 'quit', 'arguments': {'wait-ms': 0}}", NULL, 0);
	answered(&other, false, 1);
	answered(&c, false, 1);
	slow_fuse_release(&slow);
	end();
}

Test(control_quit, with_nothing_under_way_it_is_at_once)
{
	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.control = true}));
	control_connect(&c, rig.control);
	cr_assert(blk_serves(&rig));
	control_send(&c, "{'execute': 'quit', 'arguments': {'wait-ms': 0}}", NULL, 0);
	answered(&c, true, 0);
	end();
}

/* ---- the share ---- */

static char control_option[120];
static const char *missing;

static void prepare(struct rig *dirs)
{
	(void)snprintf(control_option, sizeof(control_option), "unix:%s/control", dirs->dir);
	cr_assert_eq(mkdir(rig_path(dirs, "slow"), 0755), 0);
	missing = slow_fuse_start(&slow, rig_path(dirs, "slow"));
}

Test(control_quit, a_client_of_the_share_gets_its_answer, .timeout = 120)
{
	static const char *const args[] = {"--control", control_option, NULL};
	uint16_t before, behind;
	struct p9_rig p9;

	p9_rig_start(&p9,
	             &(struct p9_rig_opt){.device_args = args, .listen = true, .prepare = prepare});
	(void)umount2(rig_path(&p9.rig, "slow"), MNT_DETACH);
	if (missing) {
		p9_rig_end(&p9);
		cr_skip("%s", missing);
	}
	p9.fds_before += 2; /* the file system's */
	p9_open(&p9.c, 1, "slow/a", 2);
	control_connect(&c, control_option + strlen("unix:"));
	control_connect(&other, control_option + strlen("unix:"));
	slow_fuse_hold(&slow, 1ull << FUSE_FSYNC);
	before = P9_SEND(&p9.c, FSYNC, fsync, .fid = 1);
	cr_assert(slow_fuse_wait(&slow, 1), "nothing waits for fsync");
	quit_within(60000);
	behind = P9_SEND(&p9.c, GETATTR, getattr, .fid = 0);
	cr_assert(p9_quiet(&p9.c, 300), "it takes requests still");
	cr_assert_not(vu_readable(c.sock, 0));
	slow_fuse_release(&slow);
	cr_assert_eq(p9_wait(&p9.c, before, P9_FSYNC, NULL), 0);
	answered(&c, true, 0);
	cr_assert_eq(p9_wait(&p9.c, behind, P9_GETATTR, NULL), P9_GONE);
	control_close(&c);
	control_close(&other);
	p9_rig_end(&p9);
	slow_fuse_end(&slow);
}

Test(control_quit, the_time_is_a_whole_number_within_a_minute)
{
	static const char *const bad[] = {"-1", "60001", "1.5", "'1000'", "true", "null", "[1]"};

	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.control = true}));
	control_connect(&c, rig.control);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char command[100];

		(void)snprintf(command, sizeof(command),
		               "{'execute': 'quit', 'arguments': {'wait-ms': %s}}", bad[i]);
		control_refused(&c, "must be a whole number from 0 to 60000", command, NULL, 0);
	}
	cr_assert(blk_serves(&rig));
	control_close(&c);
	blk_rig_end(&rig);
}
