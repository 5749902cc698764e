/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resident.c: what the device holds: memory beside the guest's, and descriptors.
 */
#include "tests/lib/vu_rig.h"
#include "tests/lib/wait.h"

#include <criterion/criterion.h>
#include <string.h>

#define FIDS 1000

static struct vu_rig rig;
static struct vu_p9 *const p = &rig.p;
static struct p9_client *const c = &rig.p.c;

static void start(void)
{
	char name[16];

	vu_rig_start(&rig, &(struct vu_rig_opt){.until = VU_RIG_RING, .room = 524288});
	for (unsigned i = 0; i < FIDS; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		rig_write(&rig.rig, name, "text");
	}
	p->shape = (struct vu_shape){.way = VU_INDIRECT, .out_piece = 4096, .in_piece = 4096};
	p9_start(c, 512000);
}

static void end(void)
{
	vu_rig_end(&rig);
}

TestSuite(resident, .init = start, .fini = end, .timeout = 300);

static long beside_guest_memory(void)
{
	return vu_rig_device_proc(&rig, "VmRSS") - vu_rig_device_proc(&rig, "RssShmem");
}

static void walk_all(bool open)
{
	for (uint32_t i = 0; i < FIDS; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%u", i);
		p9_to(c, 0, 1 + i, name);
		if (open)
			P9(c, lopen, .fid = 1 + i);
	}
}

Test(resident, s4_below_16_mib_with_1000_fids)
{
	if (is_sanitized())
		cr_skip_test("a sanitizer's build needs memory of its own");
	walk_all(false);
	cr_assert_lt(beside_guest_memory(), 16384, "%ld KiB", beside_guest_memory());
	/* With a ring full of large requests under way, too. */
	for (int round = 0; round < 3; round++) {
		static uint8_t data[480000];
		uint16_t tags[100];

		p9_make(c, 5000, "large", 0644);
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
			tags[i] = P9_SEND(c, WRITE, write, .fid = 5000, .offset = i * sizeof(data),
			                  .data = {data, sizeof(data)});
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
			cr_assert_eq(p9_wait(c, tags[i], P9_WRITE, NULL), 0);
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
			tags[i] = P9_SEND(c, READ, read, .fid = 5000, .offset = i * sizeof(data),
			                  .count = sizeof(data));
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
			cr_assert_eq(p9_wait(c, tags[i], P9_READ, NULL), 0);
		P9(c, remove, .fid = 5000);
	}
	cr_log_info("%ld KiB", beside_guest_memory());
	cr_assert_lt(beside_guest_memory(), 16384, "%ld KiB after large requests",
	             beside_guest_memory());
}

Test(resident, fids_that_are_open_give_their_descriptors_back)
{
	int before = vu_fd_count(rig.device);

	walk_all(true);
	cr_assert_geq(vu_fd_count(rig.device), before + FIDS);
	for (uint32_t i = 0; i < FIDS; i++)
		P9(c, clunk, .fid = 1 + i);
	WAIT_WHILE(vu_fd_count(rig.device) > before);
	cr_assert_eq(vu_fd_count(rig.device), before);
}

Test(resident, a_disconnect_gives_back_what_open_fids_held)
{
	walk_all(true);
	vu_rig_down(&rig);
	vu_rig_baseline(&rig);
	cr_assert_eq(vu_rig_device_proc(&rig, "RssShmem") / 1024, 0,
	             "guest memory is still mapped");
}
