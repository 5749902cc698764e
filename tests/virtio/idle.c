/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * idle.c: a guest that asks for nothing wakes nobody: no thread of the device or its helper runs in ten seconds.
 */
#include "tests/lib/proc.h"
#include "tests/lib/vu_rig.h"

#include <criterion/criterion.h>
#include <string.h>

#define IDLE_MS   10000
#define SETTLE_MS 1000
#define SETTLE    60 /* times */

static struct vu_rig rig;
static struct vu_ring *const ring = &rig.ring;
static struct p9_client *const c = &rig.p.c;

static void prepare(struct rig *r)
{
	rig_write(r, "f", "text");
}

static void start_with(uint64_t features)
{
	vu_rig_start(&rig, &(struct vu_rig_opt){.prepare = prepare, .more_features = features});
}

static void start(void)
{
	start_with(0);
}

static void start_packed(void)
{
	start_with(VU_F_RING_PACKED);
	cr_assert_not_null(ring->packed);
}

static void end(void)
{
	vu_rig_end(&rig);
}

TestSuite(idle, .init = start, .fini = end, .timeout = 300);
TestSuite(idle_packed, .init = start_packed, .fini = end, .timeout = 300);

struct switches {
	char of_device[8192], of_helper[8192];
};

static void look(struct switches *s)
{
	proc_switches(rig.device, s->of_device, sizeof(s->of_device));
	proc_switches(rig.rig.helper, s->of_helper, sizeof(s->of_helper));
}

static bool same(const struct switches *a, const struct switches *b)
{
	return strcmp(a->of_device, b->of_device) == 0 && strcmp(a->of_helper, b->of_helper) == 0;
}

static void must_rest(const char *after)
{
	static struct switches before, now;

	/* What is left to do of its own: until nothing has run for a while. */
	for (int i = 0; i < SETTLE; i++) {
		look(&before);
		vu_sleep_ms(SETTLE_MS);
		look(&now);
		if (same(&before, &now))
			break;
	}
	look(&before);
	vu_sleep_ms(IDLE_MS);
	look(&now);
	cr_assert_str_eq(now.of_device, before.of_device, "the device runs after %s", after);
	cr_assert_str_eq(now.of_helper, before.of_helper, "the helper runs after %s", after);
}

/* Requests, and what they leave: open files, a lock. */
static void busy_and_rest(void)
{
	struct p9_lock_rep a;

	for (uint32_t i = 0; i < 200; i++) {
		p9_to(c, 0, 10, "f");
		P9(c, lopen, .fid = 10, .flags = 2);
		cr_assert(p9_has(c, 10, 0, "text"));
		P9(c, clunk, .fid = 10);
	}
	must_rest("requests");
	cr_assert(p9_alive(c));
	for (uint32_t fid = 1; fid < 3; fid++)
		p9_open(c, fid, "f", 2);
	a = P9(c, lock, .fid = 1, .type = P9_LOCK_TYPE_WRLCK, .proc_id = 1, .client_id = "guest");
	cr_assert_eq(a.status, P9_LOCK_SUCCESS);
	must_rest("a lock and open files");
	cr_assert(p9_alive(c));
}

Test(idle, ten_seconds_without_a_wake_up_of_any_thread)
{
	busy_and_rest();
}

Test(idle_packed, ten_seconds_without_a_wake_up_of_any_thread)
{
	busy_and_rest();
}

Test(idle, nor_with_nobody_connected)
{
	vu_rig_down(&rig);
	vu_rig_baseline(&rig);
	must_rest("a disconnect");
	vu_rig_up(&rig, VU_RIG_SESSION);
}
