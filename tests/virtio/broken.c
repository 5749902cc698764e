/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * broken.c: a ring that a lie of the guest's broke. What was under way on it writes nothing to the guest any more, and the ring
 * works again, on the same connection, whichever way the front end begins it anew; split rings and packed ones.
 */
#include "tests/lib/slow_fuse.h"
#include "tests/lib/vu_held.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define HELD 40

static struct vu_rig rig;
static struct synth_helper helper;
static struct vu_front *const f = &rig.f;
static struct vu_ring *const ring = &rig.ring;
static struct vu_p9 *const p = &rig.p;
static struct p9_client *const c = &rig.p.c;

static void start(void)
{
	vu_held_start(&rig, &helper, 0);
}

static void start_packed(void)
{
	vu_held_start(&rig, &helper, VU_F_RING_PACKED);
}

static void end(void)
{
	vu_held_end(&rig, &helper);
}

TestSuite(broken, .init = start, .fini = end, .timeout = 120);
TestSuite(broken_packed, .init = start_packed, .fini = end, .timeout = 120);

/* A buffer to read after one to write, which no ring may have. */
static void lie(void)
{
	const struct vu_sg sg[] = {{VU_FAR_GPA, 100, VU_DESC_WRITE}, {VU_FAR_GPA + 4096, 19, 0}};

	vu_ring_put(ring, vu_ring_add(ring, sg, 2));
	vu_ring_publish(ring);
	vu_ring_kick_anyway(ring);
}

static void fly(void)
{
	synth_helper_hold(&helper, RPC_WALK);
	for (uint32_t i = 0; i < HELD; i++)
		(void)P9_SEND(c, WALK, walk, .fid = 0, .newfid = 1000 + i, .names = "d");
	cr_assert(synth_helper_wait_holding(&helper, HELD));
}

static void fly_and_lie(void)
{
	fly();
	lie();
	cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS), "the ring goes on");
}

/* Whatever do_it does: guest memory stays as it is, and no interrupt comes. */
static void untouched(void (*do_it)(void), const char *after)
{
	uint8_t *copy[3];

	for (unsigned k = 0; k < 3; k++)
		copy[k] = vu_memory_copy(f, k);
	(void)vu_event_take(ring->call);
	do_it();
	vu_sleep_ms(200);
	for (unsigned k = 0; k < 3; k++) {
		cr_assert(vu_memory_same(f, k, copy[k]), "guest memory is written after %s", after);
		free(copy[k]);
	}
	cr_assert_eq(vu_event_take(ring->call), 0, "an interrupt comes after %s", after);
}

static void let_go(void)
{
	synth_helper_hold(&helper, 0);
	for (int i = 0; i < 10; i++)
		vu_ring_kick_anyway(ring);
	cr_assert(vu_answers(f));
}

/* ---- nothing is written ---- */

static void nothing_is_written(void)
{
	fly_and_lie();
	untouched(let_go, "the ring broke");
	cr_assert_not(vu_ring_broken(ring, 0), "it is told twice");
	vu_rig_serves(&rig);
}

Test(broken, s3_nothing_is_written_by_what_was_under_way)
{
	nothing_is_written();
}

Test(broken_packed, s3_nothing_is_written_by_what_was_under_way)
{
	nothing_is_written();
}

/* What the device finds wrong itself breaks the ring too: here a tag that is under way already. */
static void by_the_device(void)
{
	size_t size = p9_encode(
	    c, 7, P9_WALK,
	    &(struct p9_walk_req){.fid = 0, .newfid = 99, .names = {1, {wt_str_of("d")}}});

	fly();
	for (int i = 0; i < 2; i++)
		(void)vu_p9_offer(p, c->out, size, 7);
	cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS));
	untouched(let_go, "the device gave the ring up");
	vu_rig_serves(&rig);
}

Test(broken, nor_when_the_device_gives_it_up)
{
	by_the_device();
}

Test(broken_packed, nor_when_the_device_gives_it_up)
{
	by_the_device();
}

static int late;

static void tell_late(void)
{
	vu_set(f, VU_SET_VRING_ERR, &(uint64_t){0}, 8, late);
	vu_barrier(f);
}

Test(broken, an_error_descriptor_that_comes_late_is_told_too)
{
	late = vu_eventfd();
	fly_and_lie();
	untouched(tell_late, "SET_VRING_ERR");
	cr_assert_eq(vu_event_take(late), 1);
	synth_helper_hold(&helper, 0);
	vu_rig_serves(&rig);
	fd_close(&late);
}

/* ---- it works again ---- */

static void empty(void)
{
	synth_helper_hold(&helper, 0);
	vu_ring_clear(ring);
	vu_p9_forget(p);
	c->msize = 0;
}

static void serves(void)
{
	struct vu_used_elem e;

	p9_start(c, 8192);
	for (uint32_t i = 0; i < 2 * HELD; i++) {
		P9(c, walk, .fid = 0, .newfid = 100 + i, .names = "d");
		cr_assert(p9_alive(c));
	}
	cr_assert_not(vu_ring_used(ring, 20, &e), "id %u ends, and was not offered", e.id);
	cr_assert_not(vu_ring_broken(ring, 0));
}

static void get_vring_base(void)
{
	(void)vu_ring_pause(ring);
	empty();
	vu_ring_start(ring);
}

/* Not even asked where it stands. */
static void base_and_kick(void)
{
	empty();
	vu_tell_base(ring);
	vu_tell_kick(ring);
}

static void reset_device(void)
{
	cr_assert_eq(vu_acked(f, VU_RESET_DEVICE, NULL, 0, -1), 0);
	empty();
	vu_ring_start(ring);
}

/* User-Mode Linux: a ring that is disabled, features that are the same, and all of the ring's anew. */
static void bind_again(void)
{
	vu_tell_enable(ring, false);
	vu_barrier(f);
	empty();
	vu_set_features(f, f->features);
	vu_ring_start(ring);
}

/* A driver that takes less of what is offered, and the one that comes after it. */
static void other_features(void)
{
	uint64_t features = f->features;

	/* A ring that may run would read what is being cleared. */
	vu_tell_enable(ring, false);
	vu_set_features(f, features & ~VU_F_EVENT_IDX);
	vu_barrier(f);
	ring->event_idx = false;
	empty();
	vu_ring_start(ring);
	serves();
	vu_tell_enable(ring, false);
	vu_set_features(f, features);
	vu_barrier(f);
	ring->event_idx = true;
	empty();
	vu_ring_start(ring);
}

static void each_way(void)
{
	static void (*const ways[])(void) = {get_vring_base, base_and_kick, reset_device,
	                                     bind_again, other_features};

	for (size_t i = 0; i < 3 * ARRAY_SIZE(ways); i++) {
		fly_and_lie();
		ways[i % ARRAY_SIZE(ways)]();
		serves();
	}
}

Test(broken, s4_it_works_again_whichever_way_it_begins_anew)
{
	each_way();
}

Test(broken_packed, s4_it_works_again_whichever_way_it_begins_anew)
{
	each_way();
}

/* ---- data ---- */

static struct slow_fuse slow;
static const char *missing;

static void mount_slow(struct rig *r)
{
	cr_assert_eq(mkdir(rig_path(r, "slow"), 0755), 0);
	missing = slow_fuse_start(&slow, rig_path(r, "slow"));
	slow.file[0].size = SLOW_FILE_SIZE;
	memset(slow.file[0].data, 's', SLOW_FILE_SIZE);
}

static void start_slow(uint64_t features)
{
	vu_rig_start(&rig, &(struct vu_rig_opt){.prepare = mount_slow, .more_features = features});
	rig.fds_before += 2; /* the file system's */
	(void)umount2(rig_path(&rig.rig, "slow"), MNT_DETACH);
	if (missing) {
		rig.fds_before -= 2;
		vu_rig_end(&rig);
		cr_skip_test("%s", missing);
	}
}

static void release(void)
{
	slow_fuse_release(&slow);
	vu_sleep_ms(100);
	cr_assert(vu_answers(f));
}

static void data(uint64_t features)
{
	start_slow(features);
	p9_to(c, 0, 1, "slow/a");
	P9(c, lopen, .fid = 1, .flags = 2);
	slow_fuse_hold(&slow, 1ull << FUSE_READ | 1ull << FUSE_WRITE);
	for (int i = 0; i < 10; i++)
		(void)P9_SEND(c, READ, read, .fid = 1, .count = 4096);
	cr_assert(slow_fuse_wait(&slow, 1));
	lie();
	cr_assert(vu_ring_broken(ring, VU_PATIENCE_MS));
	untouched(release, "a read of a file ended on a broken ring");
	vu_rig_serves(&rig);
	vu_rig_end(&rig);
	slow_fuse_end(&slow);
}

Test(broken_data, s3_no_data_is_written_either, .timeout = 120)
{
	data(0);
}

Test(broken_data, s3_no_data_is_written_either_in_a_packed_ring, .timeout = 120)
{
	data(VU_F_RING_PACKED);
}
