/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ring_files.c: a ring for files of its own table: what it reaches, and what it may do. */
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
	cr_assert_eq(ring_new_files(loop, 8, 4, writes, &ring), 0);
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

Test(ring_files, what_it_has_in_its_table_it_writes_and_reads)
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

Test(ring_files, it_reaches_nothing_by_the_number_of_a_descriptor)
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

Test(ring_files, a_ring_that_does_not_write_does_not)
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
