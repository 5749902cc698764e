/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c: what the device notes in the dirty log, by which a guest is moved to another host while it runs: each page that the
 * device writes to, at once, and none beyond the log.
 */
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE     4096
#define LOG_SIZE (1u << 20) /* 32 GiB of guest addresses */

static struct vu_rig rig;
static struct vu_front *const f = &rig.f;
static struct vu_ring *const ring = &rig.ring;
static struct p9_client *const c = &rig.p.c;

static int log_fd;
static uint8_t *bits;

static void start(void)
{
	vu_rig_start(&rig, NULL);
	if (!(f->offered & VU_F_LOG_ALL) || !(f->protocol_offered & VU_P_LOG_SHMFD))
		cr_skip_test("the device does not offer a dirty log");
	vu_rig_down(&rig);
	rig.o.more_protocol = VU_P_LOG_SHMFD;
	vu_rig_up(&rig, VU_RIG_SESSION);
	rig_write(&rig.rig, "f", "some text");
	log_fd = memfd_create("log", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(log_fd, LOG_SIZE + 8192), 0);
	bits = mmap(NULL, LOG_SIZE + 8192, PROT_READ | PROT_WRITE, MAP_SHARED, log_fd, 0);
	cr_assert_neq(bits, MAP_FAILED);
}

static void end(void)
{
	if (bits) {
		(void)munmap(bits, LOG_SIZE + 8192);
		fd_close(&log_fd);
	}
	vu_rig_end(&rig);
}

TestSuite(dirty, .init = start, .fini = end, .timeout = 60);

/* The log begins at that offset of its file. */
static uint64_t give_log(uint64_t size, uint64_t offset)
{
	uint64_t where[2] = {size, offset}, answer[512];

	/* It has a reply of its own, whatever was asked. */
	cr_assert(vu_send(f, VU_SET_LOG_BASE, 0, where, sizeof(where), log_fd));
	cr_assert_eq(vu_reply(f, VU_SET_LOG_BASE, answer), 8);
	return answer[0];
}

/* QEMU's order: the base, the feature, and the addresses of the ring once more. */
static void log_on(void)
{
	struct vu_addr a = {.flags = 1,
	                    .desc = vu_uva(f, ring->desc_gpa),
	                    .used = vu_uva(f, ring->used_gpa),
	                    .avail = vu_uva(f, ring->avail_gpa),
	                    .log = ring->used_gpa};

	vu_set_features(f, f->features | VU_F_LOG_ALL);
	vu_set(f, VU_SET_VRING_ADDR, &a, sizeof(a), -1);
	vu_barrier(f);
}

static bool dirty(uint64_t offset, uint64_t gpa)
{
	return bits[offset + gpa / PAGE / 8] >> (gpa / PAGE % 8) & 1;
}

static unsigned count(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < LOG_SIZE + 8192; i++)
		n += (unsigned)__builtin_popcount(bits[i]);
	return n;
}

static uint16_t getattr_into(uint64_t in)
{
	uint64_t out = vu_alloc(f, VU_FAR, PAGE, PAGE);
	size_t size = p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	struct vu_used_elem e;
	uint16_t head;

	memcpy(vu_at(f, out, size), c->out, size);
	head = vu_ring_add(
	    ring, (struct vu_sg[]){{out, (uint32_t)size, 0}, {in, 4000, VU_DESC_WRITE}}, 2);
	vu_ring_offer(ring, head);
	cr_assert(vu_ring_used(ring, VU_PATIENCE_MS, &e));
	cr_assert_eq(e.len, 160);
	vu_ring_free(ring, head);
	return head;
}

Test(dirty, s4_pages_that_are_written_are_noted)
{
	uint64_t in = vu_alloc(f, VU_FAR, 2 * PAGE, PAGE) + PAGE - 100; /* across two pages */

	cr_assert_eq(give_log(LOG_SIZE, 0), 0);
	log_on();
	memset(bits, 0, LOG_SIZE);
	(void)getattr_into(in);
	cr_assert(dirty(0, in) && dirty(0, in + 159), "the reply's pages are not noted");
	cr_assert(dirty(0, ring->used_gpa), "the used ring is not noted");
	/* These alone: a log that is all ones would move the guest for ever. */
	cr_assert_leq(count(), 4, "%u pages are noted", count());
}

Test(dirty, s4_data_of_a_read_is_noted)
{
	static uint8_t data[12000];

	p9_make(c, 1, "new", 0644);
	cr_assert_eq(P9(c, write, .fid = 1, .data = {data, sizeof(data)}).count, sizeof(data));
	cr_assert_eq(give_log(LOG_SIZE, 0), 0);
	log_on();
	memset(bits, 0, LOG_SIZE);
	rig.p.shape = (struct vu_shape){.way = VU_INDIRECT, .in_first = 11, .in_piece = PAGE};
	cr_assert_eq(P9(c, read, .fid = 1, .count = sizeof(data)).data.size, sizeof(data));
	for (unsigned i = 0; i < 3; i++) {
		bool found = false;

		for (uint16_t h = 0; h < ring->size; h++) {
			uint64_t at = rig.p.slot[h].in;

			found = found || (at && dirty(0, at + 11 + i * PAGE));
		}
		cr_assert(found, "page %u of the data is not noted", i);
	}
}

Test(dirty, s4_used_elements_on_another_page_than_the_index_are_noted)
{
	uint64_t element;

	vu_rig_down(&rig);
	rig.o.ring_size = 1024;
	vu_rig_up(&rig, VU_RIG_SESSION);
	for (int i = 0; i < 700; i++)
		cr_assert(p9_alive(c));
	cr_assert_eq(give_log(LOG_SIZE, 0), 0);
	log_on();
	memset(bits, 0, LOG_SIZE);
	element = ring->used_gpa + 4 + 8ull * (ring->used_idx % ring->size);
	cr_assert_neq(element / PAGE, ring->used_gpa / PAGE);
	(void)getattr_into(vu_alloc(f, VU_FAR, PAGE, PAGE));
	cr_assert(dirty(0, element), "the element's page is not noted");
	cr_assert(dirty(0, ring->used_gpa), "the index's page is not noted");
}

Test(dirty, s4_nothing_is_noted_before_and_after)
{
	cr_assert_eq(give_log(LOG_SIZE, 0), 0);
	(void)getattr_into(vu_alloc(f, VU_FAR, PAGE, PAGE));
	cr_assert_eq(count(), 0, "noted before LOG_ALL");
	log_on();
	(void)getattr_into(vu_alloc(f, VU_FAR, PAGE, PAGE));
	cr_assert_gt(count(), 0);
	vu_set_features(f, f->features & ~VU_F_LOG_ALL);
	vu_tell_addr(ring);
	vu_barrier(f);
	memset(bits, 0, LOG_SIZE);
	(void)getattr_into(vu_alloc(f, VU_FAR, PAGE, PAGE));
	cr_assert_eq(count(), 0, "noted after LOG_ALL was taken back");
}

Test(dirty, s4_a_log_at_an_offset)
{
	uint64_t in = vu_alloc(f, VU_FAR, PAGE, PAGE);

	cr_assert_eq(give_log(LOG_SIZE, 4096), 0);
	log_on();
	(void)getattr_into(in);
	cr_assert(dirty(4096, in));
	for (size_t i = 0; i < 4096; i++)
		cr_assert_eq(bits[i], 0, "noted before the log's start");
}

Test(dirty, pages_beyond_the_log_are_not_noted)
{
	uint64_t answer = give_log(VU_GAP_GPA / PAGE / 8, 0); /* too short for VU_FAR */

	if (answer != 0)
		return; /* refused */
	log_on();
	(void)getattr_into(vu_alloc(f, VU_FAR, PAGE, PAGE));
	for (size_t i = VU_GAP_GPA / PAGE / 8; i < LOG_SIZE + 8192; i++)
		cr_assert_eq(bits[i], 0, "byte %zu beyond the log is written", i);
	cr_assert(vu_answers(f));
}

Test(dirty, a_log_whose_file_shrinks)
{
	cr_assert_eq(give_log(LOG_SIZE, 0), 0);
	log_on();
	cr_assert_eq(ftruncate(log_fd, 0), 0);
	vu_ring_kick_anyway(ring);
	(void)P9_SEND(c, CLUNK, clunk, .fid = 9);
	vu_sleep_ms(50);
	vu_rig_down(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert(p9_alive(c));
}

Test(dirty, logs_that_come_one_after_the_other)
{
	int before;

	cr_assert_eq(give_log(LOG_SIZE, 0), 0);
	log_on();
	vu_barrier(f);
	before = vu_fd_count(rig.device);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(give_log(LOG_SIZE, (uint64_t)(i % 2) * 4096), 0);
		(void)getattr_into(vu_alloc(f, VU_FAR, PAGE, PAGE));
	}
	cr_assert_leq(vu_fd_count(rig.device), before);
}
