/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stuck.c: reads and writes that wait for a FUSE file system, with the guest's own buffers under them, while the ring is
 * stopped, reset or taken away. The front end does not wait for them, and what they do when they end is nobody's memory.
 */
#include "tests/lib/slow_fuse.h"
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define BOUND_MS 5000
#define READS    20

static struct vu_rig rig;
static struct vu_ring *const ring = &rig.ring;
static struct vu_p9 *const p = &rig.p;
static struct p9_client *const c = &rig.p.c;
static struct slow_fuse slow;
static const char *missing;

static void mount_slow(struct rig *r)
{
	cr_assert_eq(mkdir(rig_path(r, "slow"), 0755), 0);
	rig_write(r, "f", "text");
	missing = slow_fuse_start(&slow, rig_path(r, "slow"));
	slow.file[0].size = SLOW_FILE_SIZE;
	memset(slow.file[0].data, 's', SLOW_FILE_SIZE);
}

static void open_files(void)
{
	p9_to(c, 0, 1, "slow/a");
	P9(c, lopen, .fid = 1, .flags = 2);
	p9_open(c, 2, "f", 2);
}

static void start(void)
{
	vu_rig_start(&rig, &(struct vu_rig_opt){.prepare = mount_slow});
	rig.fds_before += 2; /* the file system's */
	(void)umount2(rig_path(&rig.rig, "slow"), MNT_DETACH);
	if (missing) {
		rig.fds_before -= 2;
		vu_rig_end(&rig);
		cr_skip_test("%s", missing);
	}
	p->shape = (struct vu_shape){.way = VU_INDIRECT, .in_first = 11, .in_piece = 4096};
	open_files();
}

static void end(void)
{
	if (missing)
		return;
	slow_fuse_release(&slow);
	vu_rig_end(&rig);
	slow_fuse_end(&slow);
}

TestSuite(stuck, .init = start, .fini = end, .timeout = 120);

/* Reads of the slow file that are under way in the kernel. */
static void fly(void)
{
	slow_fuse_hold(&slow, 1ull << FUSE_READ | 1ull << FUSE_WRITE);
	for (uint32_t i = 0; i < READS; i++)
		(void)P9_SEND(c, READ, read, .fid = 1, .count = 4096);
	cr_assert(slow_fuse_wait(&slow, 1));
	cr_assert(p9_has(c, 2, 0, "text"), "others wait");
}

static uint64_t since;

static void bound(const char *what)
{
	cr_assert_lt(vu_now_ms() - since, BOUND_MS, "%s takes %lu ms", what,
	             (unsigned long)(vu_now_ms() - since));
}

/* The reads end, into whatever is under them now: it must not be the guest's. A ring that runs may be written itself: it is not in
 * VU_FAR, where the buffers are. */
static void must_be_untouched(const char *after, bool runs)
{
	const unsigned first = runs ? VU_FAR : VU_LOW;
	uint8_t *copy[3];

	for (unsigned k = first; k < 3; k++)
		copy[k] = vu_memory_copy(&rig.f, k);
	slow_fuse_release(&slow);
	vu_sleep_ms(300);
	for (unsigned k = first; k < 3; k++) {
		cr_assert(vu_memory_same(&rig.f, k, copy[k]),
		          "a read ended in guest memory after %s", after);
		free(copy[k]);
	}
}

static void anew(void)
{
	vu_rig_down(&rig);
	vu_rig_baseline(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	open_files();
	cr_assert(p9_has(c, 2, 0, "text"));
}

Test(stuck, s3_get_vring_base_does_not_wait_for_a_read)
{
	fly();
	since = vu_now_ms();
	cr_assert(vu_ring_all_ended(ring, vu_ring_pause(ring)));
	bound("GET_VRING_BASE");
	must_be_untouched("GET_VRING_BASE", false);
	anew();
}

Test(stuck, s3_reset_device_does_not_wait_for_a_read)
{
	fly();
	since = vu_now_ms();
	cr_assert_eq(vu_acked(&rig.f, VU_RESET_DEVICE, NULL, 0, -1), 0);
	bound("RESET_DEVICE");
	must_be_untouched("RESET_DEVICE", false);
	anew();
}

Test(stuck, the_next_front_end_does_not_wait_for_a_read)
{
	struct vu_front other;

	fly();
	fd_close(&rig.f.sock);
	vu_front_init(&other);
	vu_front_use(&other, vu_rig_connect(&rig));
	since = vu_now_ms();
	vu_barrier(&other);
	bound("the next connection");
	must_be_untouched("a disconnect", false);
	vu_front_end(&other);
	anew();
}

Test(stuck, s27_a_read_that_was_flushed_is_not_written_to_the_guest)
{
	struct vu_used_elem e;
	uint8_t reply[8192];
	uint16_t tag;
	size_t size;
	bool flushed = false;

	slow_fuse_hold(&slow, 1ull << FUSE_READ);
	size = p9_encode(c, 500, P9_READ, &(struct p9_read_req){.fid = 1, .count = 4096});
	(void)vu_p9_offer(p, c->out, size, 500);
	cr_assert(slow_fuse_wait(&slow, 1));
	tag = 501;
	size = p9_encode(c, tag, P9_FLUSH, &(struct p9_flush_req){.oldtag = 500});
	(void)vu_p9_offer(p, c->out, size, tag);
	since = vu_now_ms();
	while (!flushed) {
		cr_assert(vu_ring_used(ring, BOUND_MS, &e),
		          "Rflush waits for a read that is stuck");
		size = vu_p9_take(p, &e, reply, sizeof(reply));
		flushed = size == P9_HEAD_SIZE && reply[4] == P9_FLUSH + 1;
	}
	bound("Tflush");
	cr_assert_eq(p->flying, 0, "the read's descriptors do not come back before Rflush");
	must_be_untouched("Rflush", true);
	anew();
}

Test(stuck, sigterm_does_not_wait_for_a_read)
{
	fly();
	since = vu_now_ms();
	cr_assert_eq(kill(rig.device, SIGTERM), 0);
	cr_assert(vu_closes(&rig.f));
	bound("SIGTERM");
	slow_fuse_release(&slow);
	cr_assert_eq(rig_exit_status(rig.device), 0);
	rig.device = -1;
}
