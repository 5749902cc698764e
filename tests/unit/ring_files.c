/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ring_files.c: a ring for files of its own table: what it reaches, and what it may do; and threads that take its place. */
#include "common/ring.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>

static struct loop *loop;
static struct ring *ring;
static int file = -1, result;
static bool threads;

static void done(struct ring_op *op UNUSED, int r)
{
	result = r;
	loop_stop(loop);
}

static struct ring_op op = {.done = done};
static char bytes[4] = "abc";
static struct iovec piece = {.iov_base = bytes, .iov_len = sizeof(bytes)};

/* A loop runs once: each operation has its own, and its own ring. */
static void begin(bool writes)
{
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(threads ? ring_new_files_threads(loop, 4, writes, &ring)
	                     : ring_new_files(loop, 8, 4, writes, &ring),
	             0);
	cr_assert_eq(ring_begin(ring), 0);
	if (file < 0)
		file = memfd_create("file", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(file, 4096), 0);
	cr_assert_eq(ring_file(ring, 2, file), 0);
}

static int ended(int started)
{
	cr_assert_eq(started, 0);
	result = -1000;
	cr_assert_eq(loop_run(loop), 0);
	ring_free(ring);
	loop_free(loop);
	return result;
}

static void writes_and_reads(void)
{
	begin(true);
	cr_assert_eq(ended(ring_writev(ring, &op, 2, &piece, 1, 100)), 4);
	memset(bytes, 0, sizeof(bytes));
	begin(true);
	cr_assert_eq(ended(ring_readv(ring, &op, 2, &piece, 1, 100)), 4);
	cr_assert_str_eq(bytes, "abc");
	begin(true);
	cr_assert_eq(ended(ring_fsync(ring, &op, 2, true)), 0);
	begin(true);
	cr_assert_eq(ended(ring_fallocate(ring, &op, 2, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                                  0, 4096)),
	             0);
	begin(true);
	cr_assert_eq(ended(ring_readv(ring, &op, 2, &piece, 1, 100)), 4);
	cr_assert_eq(bytes[0], 0);
	fd_close(&file);
}

static void reaches_nothing_by_a_descriptor(void)
{
	begin(true);
	cr_assert_eq(ended(ring_readv(ring, &op, file, &piece, 1, 0)), -EBADF);
	begin(true);
	cr_assert_eq(ring_file(ring, 2, -1), 0);
	cr_assert_eq(ended(ring_readv(ring, &op, 2, &piece, 1, 0)), -EBADF, "it was taken out");
	begin(true);
	cr_assert_lt(ring_file(ring, 4, file), 0, "there are four places");
	cr_assert_eq(ended(ring_readv(ring, &op, 3, &piece, 1, 0)), -EBADF);
	fd_close(&file);
}

static void does_not_write(void)
{
	begin(false);
	cr_assert_eq(ended(ring_writev(ring, &op, 2, &piece, 1, 0)), -EACCES);
	begin(false);
	cr_assert_eq(ended(ring_fallocate(ring, &op, 2, 0, 0, 8192)), -EACCES);
	begin(false);
	cr_assert_eq(ended(ring_close(ring, &op, 2)), -EACCES);
	begin(false);
	cr_assert_eq(ended(ring_readv(ring, &op, 2, &piece, 1, 0)), 4);
	begin(false);
	cr_assert_eq(ended(ring_fsync(ring, &op, 2, true)), 0);
	fd_close(&file);
}

Test(ring_files, what_it_has_in_its_table_it_writes_and_reads)
{
	writes_and_reads();
}

Test(ring_files, it_reaches_nothing_by_the_number_of_a_descriptor)
{
	reaches_nothing_by_a_descriptor();
}

Test(ring_files, a_ring_that_does_not_write_does_not)
{
	does_not_write();
}

/* ---- threads ---- */

Test(ring_files, what_threads_have_in_their_table_they_write_and_read)
{
	threads = true;
	writes_and_reads();
}

Test(ring_files, threads_reach_nothing_by_the_number_of_a_descriptor)
{
	threads = true;
	reaches_nothing_by_a_descriptor();
}

/* The descriptor would let them: it is their own guard that does not. */
Test(ring_files, threads_that_do_not_write_do_not)
{
	threads = true;
	does_not_write();
}

#define MANY 1000

static unsigned left = MANY;

static void one_less(struct ring_op *o UNUSED, int r)
{
	cr_assert_eq(r, (int)sizeof(bytes));
	if (--left == 0)
		loop_stop(loop);
}

Test(ring_files, more_than_there_are_threads_are_all_done)
{
	static struct ring_op ops[MANY];

	threads = true;
	begin(true);
	for (unsigned i = 0; i < MANY; i++) {
		ops[i].done = one_less;
		cr_assert_eq(ring_writev(ring, &ops[i], 2, &piece, 1, i * sizeof(bytes)), 0);
	}
	cr_assert_eq(loop_run(loop), 0);
	ring_free(ring);
	loop_free(loop);
	fd_close(&file);
}
