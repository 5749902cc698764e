/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.c: guest memory in many regions, added, taken away and exchanged while rings run and requests are under way, and
 * files that shrink under the device.
 */
#include "tests/lib/b_synth.h"
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static struct vu_rig rig;
static struct vu_front *const f = &rig.f;
static struct vu_ring *const ring = &rig.ring;
static struct p9_client *const c = &rig.p.c;

static void start(void)
{
	vu_rig_start(&rig, NULL);
	rig_write(&rig.rig, "f", "some text");
}

static void end(void)
{
	vu_rig_end(&rig);
}

TestSuite(memory, .init = start, .fini = end, .timeout = 120);

/* A request in these very places. Return: the used length, or -1 for a ring that was given up. */
static int32_t request_at(uint64_t out, uint64_t in)
{
	size_t size = p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	struct vu_used_elem e;
	uint16_t head;

	memcpy(vu_at(f, out, size), c->out, size);
	head = vu_ring_add(
	    ring, (struct vu_sg[]){{out, (uint32_t)size, 0}, {in, 4096, VU_DESC_WRITE}}, 2);
	vu_ring_offer(ring, head);
	for (int i = 0; i < VU_PATIENCE_MS / 50; i++) {
		if (vu_ring_used(ring, 50, &e)) {
			vu_ring_free(ring, head);
			return (int32_t)e.len;
		}
		if (vu_ring_broken(ring, 0))
			return -1;
	}
	cr_assert_fail("the request does not end");
	return -1;
}

/* ---- as they come ---- */

Test(memory, s4_a_table_of_regions)
{
	vu_rig_down(&rig);
	rig.o.table_only = true;
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert_eq(request_at(VU_LOW_GPA + 0x200000, VU_HIGH_GPA), 160);
	cr_assert_eq(request_at(VU_FAR_GPA, VU_FAR_GPA + VU_FAR_SIZE - 4096), 160);
}

Test(memory, s4_many_regions)
{
	uint64_t slots = vu_get_u64(f, VU_GET_MAX_MEM_SLOTS);

	if (slots > 200)
		slots = 200;
	for (unsigned i = f->regions; i < slots; i++) {
		(void)vu_region_add(f, (1ull << 36) + i * 0x20000ull, 0x10000,
		                    0x7e0000000000 - i * 0x30000ull, i % 4 * 0x1000);
		vu_tell_added(f, i);
	}
	vu_barrier(f);
	for (unsigned i = 3; i < slots; i++) {
		cr_assert_eq(request_at(f->region[i].at.gpa, f->region[i].at.gpa + 0xf000), 160);
		if (i > 3)
			cr_assert_eq(
			    request_at(f->region[i].at.gpa + 0xff00, f->region[i - 1].at.gpa), 160);
	}
}

Test(memory, s4_guest_address_0_and_the_highest_are_addresses)
{
	(void)vu_region_add(f, 0, 0x10000, 0x1000, 0);
	(void)vu_region_add(f, UINT64_MAX - 0xfffff, 0x10000, 0x7e0000000000, 0);
	vu_tell_added(f, 3);
	vu_tell_added(f, 4);
	vu_barrier(f);
	cr_assert_eq(request_at(0, 0x1000), 160);
	cr_assert_eq(request_at(f->region[4].at.gpa, f->region[4].at.gpa + 0x8000), 160);
}

Test(memory, s4_regions_of_one_file_at_offsets)
{
	/* As QEMU splits a machine's memory below and above 4 GiB. */
	struct vu_region *one = vu_region_add(f, 1ull << 36, 0x40000, 0x7e0000000000, 0);
	struct vu_mem_one parts[2] = {{.entry = {1ull << 36, 0x20000, 0x7e0000000000, 0}},
	                              {.entry = {1ull << 37, 0x20000, 0x7d0000000000, 0x20000}}};
	uint8_t *second = one->host + 0x20000;
	size_t size = p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	struct vu_used_elem e;

	for (int i = 0; i < 2; i++)
		vu_set(f, VU_ADD_MEM_REG, &parts[i], sizeof(parts[i]), one->fd);
	vu_barrier(f);
	memcpy(second, c->out, size);
	vu_ring_offer(ring, vu_ring_add(ring,
	                                (struct vu_sg[]){{1ull << 37, (uint32_t)size, 0},
	                                                 {1ull << 36, 4096, VU_DESC_WRITE}},
	                                2));
	cr_assert(vu_ring_used(ring, VU_PATIENCE_MS, &e));
	cr_assert_eq(e.len, 160);
	cr_assert_eq(one->host[4], P9_GETATTR + 1);
}

Test(memory, s4_an_offset_within_a_page)
{
	struct vu_region *r = vu_region_add(f, 1ull << 36, 0x20000, 0x7e0000000000, 0);
	struct vu_mem_one part = {.entry = {1ull << 36, 0x10000, 0x7e0000000000, 0x888}};
	size_t size = p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	struct vu_used_elem e;

	/* mmap(2) wants whole pages: the device maps from the page's start, or refuses. */
	if (vu_acked(f, VU_ADD_MEM_REG, &part, sizeof(part), r->fd) != 0)
		return;
	memcpy(r->host + 0x888, c->out, size);
	vu_ring_offer(ring,
	              vu_ring_add(ring,
	                          (struct vu_sg[]){{1ull << 36, (uint32_t)size, 0},
	                                           {(1ull << 36) + 4096, 4096, VU_DESC_WRITE}},
	                          2));
	cr_assert(vu_ring_used(ring, VU_PATIENCE_MS, &e));
	cr_assert_eq(e.len, 160);
	cr_assert_eq(r->host[0x888 + 4096 + 4], P9_GETATTR + 1);
}

/* ---- changes ---- */

Test(memory, s4_regions_come_and_go_while_the_ring_runs)
{
	for (unsigned i = 0; i < 300; i++) {
		uint16_t tag = P9_SEND(c, GETATTR, getattr, .fid = 0);
		unsigned k;

		if (i == 0)
			(void)vu_region_add(f, 1ull << 36, 0x10000, 0x7e0000000000, 0);
		k = f->regions - 1;
		vu_tell_added(f, k);
		vu_barrier(f);
		cr_assert_eq(p9_wait(c, tag, P9_GETATTR, NULL), 0);
		cr_assert_eq(request_at(1ull << 36, (1ull << 36) + 0x8000), 160);
		tag = P9_SEND(c, GETATTR, getattr, .fid = 0);
		vu_tell_removed(f, k);
		cr_assert_eq(p9_wait(c, tag, P9_GETATTR, NULL), 0);
	}
}

Test(memory, s4_what_was_removed_is_no_memory_any_more)
{
	(void)vu_region_add(f, 1ull << 36, 0x10000, 0x7e0000000000, 0);
	vu_tell_added(f, 3);
	vu_barrier(f);
	cr_assert_eq(request_at(1ull << 36, (1ull << 36) + 0x8000), 160);
	vu_tell_removed(f, 3);
	vu_barrier(f);
	cr_assert_eq(request_at(1ull << 36, (1ull << 36) + 0x8000), -1, "removed memory is used");
	vu_rig_serves(&rig);
}

Test(memory, s4_a_table_replaces_all_that_was)
{
	for (int i = 0; i < 100; i++) {
		uint16_t tag = P9_SEND(c, GETATTR, getattr, .fid = 0);

		vu_tell_table(f, 0, 3);
		cr_assert_eq(p9_wait(c, tag, P9_GETATTR, NULL), 0);
	}
	(void)vu_region_add(f, 1ull << 36, 0x10000, 0x7e0000000000, 0);
	vu_tell_table(f, 0, 4);
	vu_barrier(f);
	cr_assert_eq(request_at(1ull << 36, (1ull << 36) + 0x8000), 160);
	vu_tell_table(f, 0, 3);
	vu_barrier(f);
	cr_assert_eq(request_at(1ull << 36, (1ull << 36) + 0x8000), -1, "replaced memory is used");
	vu_rig_serves(&rig);
}

Test(memory, a_ring_whose_memory_goes_away)
{
	vu_tell_removed(f, VU_LOW);
	if (vu_answers(f)) {
		vu_ring_kick_anyway(ring);
		vu_sleep_ms(50);
		cr_assert(vu_answers(f));
		vu_tell_added(f, VU_LOW);
	}
	vu_rig_down(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	vu_tell_table(f, VU_HIGH, 1);
	if (vu_answers(f)) {
		vu_ring_kick_anyway(ring);
		vu_sleep_ms(50);
		cr_assert(vu_answers(f));
	}
	vu_rig_down(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert(p9_alive(c));
}

Test(memory, no_memory_stays_mapped_after_a_disconnect)
{
	char path[64], line[512];
	FILE *maps;

	vu_rig_down(&rig);
	vu_rig_baseline(&rig);
	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)rig.device);
	maps = fopen(path, "re");
	cr_assert_not_null(maps);
	while (fgets(line, sizeof(line), maps))
		cr_assert_null(strstr(line, "memfd:guest"), "still mapped: %s", line);
	(void)fclose(maps);
}

/* Swaps the table while requests are stuck in a make-believe helper. */
Test(memory, a_table_swapped_with_requests_under_way)
{
	struct synth_helper helper;
	int pair[2];

	vu_rig_end(&rig);
	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	synth_helper_start(&helper, pair[1], 1, 0);
	vu_rig_start(&rig, &(struct vu_rig_opt){.helper_sock = pair[0], .table_only = true});
	for (int round = 0; round < 5; round++) {
		uint16_t tags[64];

		synth_helper_hold(&helper, RPC_WALK);
		for (uint32_t i = 0; i < 64; i++)
			tags[i] = P9_SEND(c, WALK, walk, .fid = 0, .newfid = 100 + i, .names = "d");
		cr_assert(synth_helper_wait_holding(&helper, 64));
		/* The same memory once more, with another region before it: as QEMU does when memory is plugged in. */
		if (round == 0)
			(void)vu_region_add(f, 1ull << 36, 0x10000, 0x7e0000000000, 0);
		vu_tell_table(f, 0, round % 2 ? 3 : 4);
		synth_helper_hold(&helper, 0);
		for (size_t i = 0; i < 64; i++) {
			int r = p9_wait(c, tags[i], P9_WALK, NULL);

			cr_assert(r == 0 || r == EIO || r == EINTR, "%d", r);
			if (r == 0)
				P9(c, clunk, .fid = (uint32_t)(100 + i));
		}
	}
	vu_rig_end(&rig);
	(void)synth_helper_end(&helper);
	vu_rig_start(&rig, NULL);
}

/* ---- files that shrink ---- */

static void anew(void)
{
	vu_rig_down(&rig);
	vu_rig_baseline(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert(p9_alive(c));
}

/* The device may give the connection up, for nobody needs such an emulator. It must live for the next. */
static void truncated(unsigned region, uint64_t to)
{
	cr_assert_eq(ftruncate(f->region[region].fd, (off_t)to), 0);
	/* Anything the device does now may meet a page that is not there. Only it may: nothing here is looked at. */
	for (int i = 0; i < 3; i++) {
		vu_ring_kick_anyway(ring);
		vu_sleep_ms(30);
	}
	anew();
}

Test(memory, a_file_truncated_under_the_rings)
{
	truncated(VU_LOW, 0);
}

/* Offers a request whose buffers are in a file that shrinks before the device is told. */
static void truncated_buffers(bool of_request, bool of_reply)
{
	uint64_t out = vu_alloc(f, VU_FAR, 4096, 4096), in = vu_alloc(f, VU_FAR, 8192, 4096);
	size_t size = p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	uint64_t at_out = of_request ? VU_HIGH_GPA + 0x10000 : out;
	uint64_t at_in = of_reply ? VU_HIGH_GPA + 0x20000 : in;
	uint16_t head;

	memcpy(vu_at(f, at_out, size), c->out, size);
	head = vu_ring_add(
	    ring, (struct vu_sg[]){{at_out, (uint32_t)size, 0}, {at_in, 4096, VU_DESC_WRITE}}, 2);
	vu_ring_put(ring, head);
	vu_ring_publish(ring);
	truncated(VU_HIGH, 0);
}

Test(memory, a_file_truncated_under_a_request)
{
	truncated_buffers(true, false);
}

Test(memory, a_file_truncated_under_a_reply)
{
	truncated_buffers(false, true);
}

Test(memory, a_file_truncated_under_the_data_of_a_read_and_a_write)
{
	struct p9_read_req read = {.fid = 1, .offset = 0, .count = 60000};
	static uint8_t bytes[60000];
	size_t size;

	for (int writes = 0; writes < 2; writes++) {
		struct vu_shape shape = rig.p.shape;
		uint64_t at = VU_HIGH_GPA + 0x10000;
		uint16_t head;
		uint64_t out = vu_alloc(f, VU_FAR, 4096, 4096);

		p9_make(c, 1, writes ? "w" : "r", 0644);
		if (!writes)
			cr_assert_eq(P9(c, write, .fid = 1, .data = {bytes, 10000}).count, 10000);
		if (writes) {
			struct p9_write_req write = {.fid = 1, .data = {bytes, sizeof(bytes)}};

			size = p9_encode(c, 3, P9_WRITE, &write);
			memcpy(vu_at(f, out, 23), c->out, 23);
			head = vu_ring_add(ring,
			                   (struct vu_sg[]){{out, 23, 0},
			                                    {at, (uint32_t)size - 23, 0},
			                                    {out + 64, 64, VU_DESC_WRITE}},
			                   3);
		} else {
			size = p9_encode(c, 3, P9_READ, &read);
			memcpy(vu_at(f, out, size), c->out, size);
			head = vu_ring_add(ring,
			                   (struct vu_sg[]){{out, (uint32_t)size, 0},
			                                    {out + 64, 11, VU_DESC_WRITE},
			                                    {at, 60000, VU_DESC_WRITE}},
			                   3);
		}
		vu_ring_put(ring, head);
		vu_ring_publish(ring);
		truncated(VU_HIGH, 0);
		rig.p.shape = shape;
	}
}

Test(memory, a_file_truncated_and_grown_again_and_again)
{
	for (int i = 0; i < 100; i++) {
		int fd = f->region[VU_HIGH].fd;

		vu_ring_offer(ring, vu_ring_add(ring,
		                                (struct vu_sg[]){
		                                    {VU_HIGH_GPA + 0x10000, 100, 0},
		                                    {VU_HIGH_GPA + 0x20000, 4096, VU_DESC_WRITE}},
		                                2));
		cr_assert_eq(ftruncate(fd, 0), 0);
		cr_assert_eq(ftruncate(fd, (off_t)VU_HIGH_SIZE), 0);
		if (!vu_answers(f)) {
			anew();
		} else if (i % 10 == 9 || vu_ring_broken(ring, 0)) {
			(void)vu_ring_stop(ring);
			vu_ring_clear(ring);
			vu_ring_start(ring);
		}
	}
	anew();
}

Test(memory, a_region_in_a_file_that_cannot_shrink)
{
	/* A sealed memfd, as careful emulators make it. */
	struct vu_region *r = vu_region_add(f, 1ull << 36, 0x10000, 0x7e0000000000, 0);
	struct vu_mem_one one = {.entry = r->at};
	int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_eq(ftruncate(fd, 0x10000), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	cr_assert_eq(vu_acked(f, VU_ADD_MEM_REG, &one, sizeof(one), fd), 0);
	fd_close(&fd);
}
