/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio_memory.c: where a guest's addresses lead, and that memory stays as long as it is held. */
#include "tests/lib/vring.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int add(const struct guest_map *m, int fd, uint64_t gpa, uint64_t size, uint64_t uva,
               uint64_t offset, struct guest_map **ret)
{
	const struct guest_region r = {.gpa = gpa, .size = size, .uva = uva, .offset = offset};

	return guest_map_add(m, &r, fd, ret);
}

Test(memory, an_address_is_found_in_its_region)
{
	struct vring v;
	struct guest_map *m;
	struct iovec iov[4];

	vring_make(&v, 8);
	m = vring_map(&v);
	memcpy(vring_at(&v, VRING_FREE), "here", 4);
	cr_assert_eq(guest_map_find(m, VRING_FREE, 4, iov, 4), 1);
	cr_assert_eq(iov[0].iov_len, 4);
	cr_assert_eq(memcmp(iov[0].iov_base, "here", 4), 0);
	cr_assert_eq(guest_map_find(m, VRING_GPA, 2 * VRING_REGION, iov, 4), 2);
	guest_map_put(m);
	vring_free(&v);
}

Test(memory, a_buffer_over_two_regions_is_two_pieces)
{
	struct vring v;
	struct guest_map *m;
	struct iovec iov[2];
	char text[8] = "";

	vring_make(&v, 8);
	m = vring_map(&v);
	memcpy(vring_at(&v, VRING_GPA + VRING_REGION - 3), "abcdef", 6);
	cr_assert_eq(guest_map_find(m, VRING_GPA + VRING_REGION - 3, 6, iov, 2), 2);
	cr_assert_eq(iov[0].iov_len, 3);
	cr_assert_eq(iov[1].iov_len, 3);
	cr_assert_eq(memcmp(iov[0].iov_base, "abc", 3), 0);
	cr_assert_eq(memcmp(iov[1].iov_base, "def", 3), 0);
	cr_assert_eq(guest_map_find(m, VRING_GPA + VRING_REGION - 3, 6, iov, 1), -ENOBUFS);
	cr_assert_eq(guest_map_read(m, VRING_GPA + VRING_REGION - 3, text, 6), 0);
	cr_assert_str_eq(text, "abcdef");
	guest_map_put(m);
	vring_free(&v);
}

Test(memory, nothing_outside_is_found)
{
	struct vring v;
	struct guest_map *m;
	struct iovec iov[4];
	char byte;

	vring_make(&v, 8);
	m = vring_map(&v);
	cr_assert_eq(guest_map_find(m, VRING_GPA - 1, 1, iov, 4), -EFAULT);
	cr_assert_eq(guest_map_find(m, VRING_GPA - 1, 2, iov, 4), -EFAULT);
	cr_assert_eq(guest_map_find(m, VRING_END, 1, iov, 4), -EFAULT);
	cr_assert_eq(guest_map_find(m, VRING_END - 1, 2, iov, 4), -EFAULT);
	cr_assert_eq(guest_map_find(m, VRING_END - 1, 1, iov, 4), 1);
	cr_assert_eq(guest_map_find(m, VRING_GPA, UINT64_MAX, iov, 4), -EFAULT);
	cr_assert_eq(guest_map_find(m, UINT64_MAX, 1, iov, 4), -EFAULT);
	cr_assert_eq(guest_map_find(m, UINT64_MAX - 1, 4, iov, 4), -EFAULT);
	cr_assert_eq(guest_map_read(m, VRING_END, &byte, 1), -EFAULT);
	cr_assert_eq(guest_map_read(m, VRING_END - 1, &byte, 1), 0);
	cr_assert_eq(guest_map_read(m, UINT64_MAX, &byte, 1), -EFAULT);
	guest_map_put(m);
	vring_free(&v);
}

Test(memory, nothing_comes_after_the_last_address)
{
	struct vring v;
	struct guest_map *m, *first, *both;
	struct iovec iov[4];
	char bytes[8];

	vring_make(&v, 8);
	cr_assert_eq(guest_map_new(&m), 0);
	cr_assert_eq(add(m, v.fd, 0, 4096, 4096, 0, &first), 0);
	cr_assert_eq(add(first, v.fd, UINT64_MAX - 4096, 4096, 1 << 20, 0, &both), 0);
	cr_assert_eq(guest_map_find(both, UINT64_MAX - 1, 1, iov, 4), 1);
	cr_assert_eq(guest_map_find(both, UINT64_MAX - 1, 2, iov, 4), -EFAULT);
	cr_assert_eq(guest_map_find(both, UINT64_MAX - 1, 8, iov, 4), -EFAULT);
	cr_assert_eq(guest_map_read(both, UINT64_MAX - 1, bytes, 8), -EFAULT);
	guest_map_put(m);
	guest_map_put(first);
	guest_map_put(both);
	vring_free(&v);
}

Test(memory, a_ring_is_in_one_region_and_aligned)
{
	struct vring v;
	struct guest_map *m;

	vring_make(&v, 8);
	m = vring_map(&v);
	cr_assert_not_null(guest_map_ring(m, VRING_UVA, 16, 16));
	cr_assert_null(guest_map_ring(m, VRING_UVA + 8, 16, 16));
	cr_assert_not_null(guest_map_ring(m, VRING_UVA + VRING_REGION - 16, 16, 16));
	cr_assert_null(guest_map_ring(m, VRING_UVA + VRING_REGION - 16, 17, 16));
	cr_assert_null(guest_map_ring(m, VRING_UVA + VRING_REGION, 16, 16));
	cr_assert_null(guest_map_ring(m, VRING_UVA - 16, 16, 16));
	cr_assert_null(guest_map_ring(m, VRING_UVA, UINT64_MAX, 16));
	cr_assert_null(guest_map_ring(m, VRING_GPA, 16, 16), "a guest's address is none of its");
	guest_map_put(m);
	vring_free(&v);
}

Test(memory, regions_that_overlap_or_wrap_around_are_refused)
{
	struct vring v;
	struct guest_map *m, *next = NULL;

	vring_make(&v, 8);
	m = vring_map(&v);
	cr_assert_eq(add(m, v.fd, VRING_GPA, 4096, 0, 0, &next), -EEXIST);
	cr_assert_eq(add(m, v.fd, VRING_GPA - 4095, 4096, 0, 0, &next), -EEXIST);
	cr_assert_eq(add(m, v.fd, VRING_END - 1, 4096, 0, 0, &next), -EEXIST);
	cr_assert_eq(add(m, v.fd, 0, 4096, VRING_UVA + 1, 0, &next), -EEXIST);
	cr_assert_eq(add(m, v.fd, 0, 4096, VRING_UVA - 1, 0, &next), -EEXIST);
	cr_assert_eq(add(m, v.fd, UINT64_MAX - 4095, 4096, 0, 0, &next), -EINVAL);
	cr_assert_eq(add(m, v.fd, 0, 4096, UINT64_MAX - 4094, 0, &next), -EINVAL);
	cr_assert_eq(add(m, v.fd, 0, 0, 0, 0, &next), -EINVAL);
	cr_assert_eq(add(m, v.fd, VRING_END, 4096, 0, 0, &next), 0);
	cr_assert_eq(guest_map_count(next), 3);
	guest_map_put(next);
	guest_map_put(m);
	vring_free(&v);
}

Test(memory, a_region_beyond_its_file_or_of_no_file_is_refused)
{
	struct vring v;
	struct guest_map *m, *next = NULL;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), ends[2];
	char path[64];
	int readonly;

	vring_make(&v, 8);
	cr_assert_eq(guest_map_new(&m), 0);
	cr_assert_eq(add(m, v.fd, 0, 4096, 0, 2 * VRING_REGION - 4095, &next), -EINVAL);
	cr_assert_eq(add(m, v.fd, 0, 4096, 0, UINT64_MAX - 4094, &next), -EINVAL);
	cr_assert_eq(add(m, v.fd, 0, UINT64_MAX, 0, 0, &next), -EINVAL);
	cr_assert_eq(add(m, v.fd, 0, 2 * VRING_REGION + 1, 0, 0, &next), -EINVAL);
	cr_assert_eq(add(m, null, 0, 4096, 0, 0, &next), -EINVAL);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(add(m, ends[0], 0, 4096, 0, 0, &next), -EINVAL);
	cr_assert_eq(add(m, -1, 0, 4096, 0, 0, &next), -EBADF);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", v.fd);
	readonly = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(add(m, readonly, 0, 4096, 0, 0, &next), -EACCES);
	cr_assert_eq(add(m, v.fd, 0, 4096, 0, 2 * VRING_REGION - 4096, &next), 0);
	guest_map_put(next);
	guest_map_put(m);
	vring_free(&v);
}

Test(memory, an_offset_within_a_page_is_met)
{
	struct vring v;
	struct guest_map *m, *next;
	char text[5] = "";

	vring_make(&v, 8);
	memcpy(v.memory + 5003, "here", 4);
	cr_assert_eq(guest_map_new(&m), 0);
	cr_assert_eq(add(m, v.fd, 0x1000, 100, 0, 5003, &next), 0);
	cr_assert_eq(guest_map_read(next, 0x1000, text, 4), 0);
	cr_assert_str_eq(text, "here");
	guest_map_put(next);
	guest_map_put(m);
	vring_free(&v);
}

Test(memory, sixty_four_regions_and_no_more)
{
	struct vring v;
	struct guest_map *m, *next;
	struct iovec iov[GUEST_REGIONS_MAX];

	vring_make(&v, 8);
	cr_assert_eq(guest_map_new(&m), 0);
	for (unsigned i = 0; i < GUEST_REGIONS_MAX; i++) {
		/* Not in order. */
		unsigned k = i * 37 % GUEST_REGIONS_MAX;

		cr_assert_eq(
		    add(m, v.fd, k * 4096ull, 4096, (k + 1) * 65536ull, k * 4096ull, &next), 0);
		guest_map_put(m);
		m = next;
		v.memory[k * 4096] = (uint8_t)k;
	}
	cr_assert_eq(add(m, v.fd, 1 << 30, 4096, 1, 0, &next), -ENOSPC);
	cr_assert_eq(guest_map_find(m, 0, 64 * 4096, iov, GUEST_REGIONS_MAX), 64);
	for (unsigned i = 0; i < GUEST_REGIONS_MAX; i++)
		cr_assert_eq(*(uint8_t *)iov[i].iov_base, i);
	guest_map_put(m);
	vring_free(&v);
}

Test(memory, a_region_is_removed_by_all_that_names_it)
{
	struct vring v;
	struct guest_map *m, *next = NULL;
	struct guest_region r = vring_region(0), other = r;
	struct iovec iov;

	vring_make(&v, 8);
	m = vring_map(&v);
	other.gpa++;
	cr_assert_eq(guest_map_remove(m, &other, &next), -ENOENT);
	other = r;
	other.uva++;
	cr_assert_eq(guest_map_remove(m, &other, &next), -ENOENT);
	other = r;
	other.size++;
	cr_assert_eq(guest_map_remove(m, &other, &next), -ENOENT);
	other = r;
	other.offset++;
	cr_assert_eq(guest_map_remove(m, &other, &next), 0);
	cr_assert_eq(guest_map_find(next, VRING_GPA, 1, &iov, 1), -EFAULT);
	cr_assert_eq(guest_map_find(next, VRING_GPA + VRING_REGION, 1, &iov, 1), 1);
	cr_assert_eq(guest_map_find(m, VRING_GPA, 1, &iov, 1), 1, "the old map is as it was");
	guest_map_put(next);
	guest_map_put(m);
	vring_free(&v);
}

static bool is_mapped(void *at)
{
	unsigned char in_core;

	return mincore((void *)((uintptr_t)at & ~(uintptr_t)4095), 4096, &in_core) == 0;
}

Test(memory, memory_stays_mapped_until_the_last_map_of_it_goes)
{
	struct vring v;
	struct guest_map *m, *next = NULL;
	struct guest_region r = vring_region(1);
	struct iovec first, second;

	vring_make(&v, 8);
	m = vring_map(&v);
	cr_assert_eq(guest_map_find(m, VRING_GPA, 1, &first, 1), 1);
	cr_assert_eq(guest_map_find(m, VRING_GPA + VRING_REGION, 1, &second, 1), 1);
	cr_assert_eq(guest_map_remove(m, &r, &next), 0);
	(void)guest_map_hold(m);
	guest_map_put(m);
	cr_assert(is_mapped(second.iov_base));
	guest_map_put(m);
	cr_assert_not(is_mapped(second.iov_base));
	cr_assert(is_mapped(first.iov_base));
	guest_map_put(next);
	cr_assert_not(is_mapped(first.iov_base));
	vring_free(&v);
}

Test(memory, memory_that_the_emulator_takes_away_reads_as_zeros_and_is_noted)
{
	struct vring v;
	struct guest_map *m, *other;
	struct vring w;
	char byte = 1;
	unsigned before = guest_memory_damage();

	cr_assert_eq(guest_memory_guard(), 0);
	vring_make(&v, 8);
	vring_make(&w, 8);
	m = vring_map(&v);
	other = vring_map(&w);
	*(char *)vring_at(&v, VRING_END - 1) = 'x';
	cr_assert_eq(ftruncate(v.fd, 4096), 0);
	cr_assert_eq(guest_memory_damage(), before);
	cr_assert_eq(guest_map_read(m, VRING_END - 1, &byte, 1), 0);
	cr_assert_eq(byte, 0);
	cr_assert_gt(guest_memory_damage(), before);
	cr_assert(guest_memory_damaged(m));
	cr_assert_not(guest_memory_damaged(other));
	before = guest_memory_damage();
	/* The page is there now; the next one is not. */
	cr_assert_eq(guest_map_read(m, VRING_END - 2, &byte, 1), 0);
	cr_assert_eq(guest_memory_damage(), before);
	cr_assert_eq(guest_map_read(m, VRING_END - 4097, &byte, 1), 0);
	cr_assert_gt(guest_memory_damage(), before);
	guest_map_put(m);
	guest_map_put(other);
	vring_free(&w);
}

Test(memory, a_fault_elsewhere_ends_the_process, .signal = SIGBUS)
{
	struct vring v;

	cr_assert_eq(guest_memory_guard(), 0);
	vring_make(&v, 8);
	cr_assert_eq(ftruncate(v.fd, 4096), 0);
	*(volatile uint8_t *)(v.memory + 8192) = 1;
}

Test(memory, a_sent_signal_ends_the_process, .signal = SIGBUS)
{
	struct vring v;
	struct guest_map *m;

	cr_assert_eq(guest_memory_guard(), 0);
	vring_make(&v, 8);
	m = vring_map(&v);
	cr_assert_not_null(m);
	(void)raise(SIGBUS);
}

/* ---- the log ---- */

static struct shared_piece *make_log(size_t size, uint8_t **ret_bytes)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct shared_piece *p;

	cr_assert(fd >= 0 && ftruncate(fd, 4096) == 0);
	cr_assert_eq(shared_piece_map(fd, 0, size, &p), 0);
	*ret_bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert_neq(*ret_bytes, MAP_FAILED);
	(void)close(fd);
	return p;
}

Test(memory, each_page_written_is_a_bit_of_the_log)
{
	uint8_t *bytes;
	struct shared_piece *log = make_log(2, &bytes);

	dirty_log_mark(log, 4096, 1);
	cr_assert_eq(bytes[0], 0x02);
	dirty_log_mark(log, 3 * 4096 - 1, 2);
	cr_assert_eq(bytes[0], 0x02 | 0x04 | 0x08);
	dirty_log_mark(log, 7 * 4096, 8192);
	cr_assert_eq(bytes[0], 0x8e);
	cr_assert_eq(bytes[1], 0x01);
	dirty_log_mark(log, 5 * 4096, 0);
	cr_assert_eq(bytes[0], 0x8e);
	shared_piece_put(log);
}

Test(memory, nothing_is_written_behind_the_log)
{
	uint8_t *bytes;
	struct shared_piece *log = make_log(2, &bytes);

	dirty_log_mark(log, 15 * 4096, 2 * 4096);
	dirty_log_mark(log, 16 * 4096, 1);
	dirty_log_mark(log, UINT64_MAX, 1);
	dirty_log_mark(log, UINT64_MAX - 1, 4);
	dirty_log_mark(log, 0, UINT64_MAX);
	cr_assert_eq(bytes[0], 0xff);
	cr_assert_eq(bytes[1], 0xff);
	cr_assert_eq(bytes[2], 0);
	shared_piece_put(log);
}

Test(memory, a_buffer_is_logged_where_the_guest_has_it)
{
	uint8_t *bytes;
	struct shared_piece *log = make_log(4096, &bytes);
	struct vring v;
	struct guest_map *m;
	struct iovec iov[2];

	vring_make(&v, 8);
	m = vring_map(&v);
	cr_assert_eq(guest_map_find(m, VRING_GPA + VRING_REGION - 1, 2, iov, 2), 2);
	dirty_log_mark_iov(log, m, iov[0]);
	cr_assert_eq(bytes[0x1ff000 / 4096 / 8], 0x80);
	cr_assert_eq(bytes[0x200000 / 4096 / 8], 0);
	dirty_log_mark_iov(log, m, iov[1]);
	cr_assert_eq(bytes[0x200000 / 4096 / 8], 0x01);
	guest_map_put(m);
	shared_piece_put(log);
	vring_free(&v);
}
