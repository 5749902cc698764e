/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring.h: reads, writes and syncs of open files that may have to wait, by io_uring; the only file
 * with liburing.h.
 *
 * What a ring does no system call filter sees. So it is made before the filter, and restricted
 * (IORING_REGISTER_RESTRICTIONS) to the operations that are listed with its making, none of which opens anything.
 */
#ifndef VIRTFS_COMMON_RING_H
#define VIRTFS_COMMON_RING_H

#include "common/compiler.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct ring;

enum ring_kind { RING_READ, RING_WRITE, RING_SYNC, RING_SYNC_DATA, RING_ALLOCATE, RING_CLOSE };

/** struct ring_job - what an operation is, where threads do it (ring_threads.h); a ring's own */
struct ring_job {
	struct ring_op *next;
	const struct iovec *pieces;
	uint64_t offset, size; /* size: of RING_ALLOCATE, as mode is */
	unsigned count;
	enum ring_kind kind;
	int fd, mode, result;
};

/** struct ring_op - one operation under way; part of its owner's struct, which must stay until done
 * is called */
struct ring_op {
	void (*done)(struct ring_op *op, int result); /* a count, 0, or -errno */
	bool
	    never_here; /* a read or write that a thread of the kernel's must do: its file may wait where it should not */
	struct ring_job job;
};

/** ring_new() - A ring for so many operations at once on any descriptor, all of those below but ring_fallocate(); its
 * completions on the loop. Return: 0 or -errno. */
int MUST_CHECK ring_new(struct loop *l, unsigned entries, struct ring **ret);

/**
 * ring_new_files() - A ring for files of its own table only, which has so many places
 *
 * What is called fd below is a place in the table then. It reads and syncs; only if writes is set can it write and
 * allocate. Its completions are looked for while the loop looks before it sleeps. Return: 0 or -errno.
 */
int MUST_CHECK ring_new_files(struct loop *l, unsigned entries, unsigned files, bool writes,
                              struct ring **ret);

/** ring_free() - Of a ring with files, and without operations under way. NULL is fine. */
void ring_free(struct ring *r);

/** ring_file() - Put a file into a place of the table, or take out what is there (-1). The caller keeps fd. Return: 0 or
 * -errno. */
int MUST_CHECK ring_file(struct ring *r, unsigned place, int fd);

/**
 * ring_new_threads() - The same as ring_new() for a host that has no io_uring for us: by threads of this process (ring_threads.h)
 *
 * Slower, and RING_THREADS operations that are stuck hold up all others. Cancelling ends only what waits for a thread.
 * Nothing is done before ring_begin(). Return: 0 or -errno.
 */
int MUST_CHECK ring_new_threads(struct loop *l, struct ring **ret);

/** ring_new_files_threads() - Likewise the same as ring_new_files(): a thread looks at what its ring may do before it does it. */
int MUST_CHECK ring_new_files_threads(struct loop *l, unsigned files, bool writes,
                                      struct ring **ret);

/** ring_begin() - Start its threads, which an io_uring has not: when capabilities are gone, which threads have each, and before the
 * filter, which must allow their calls. Return: 0 or -errno. */
int MUST_CHECK ring_begin(struct ring *r);

/*
 * Each starts an operation; pieces (at most IOV_MAX) must stay until done is called. Return: 0, or -EBUSY when there are too
 * many; done is not called then.
 */
int MUST_CHECK ring_readv(struct ring *r, struct ring_op *op, int fd, const struct iovec *pieces,
                          unsigned count, uint64_t offset);
int MUST_CHECK ring_writev(struct ring *r, struct ring_op *op, int fd, const struct iovec *pieces,
                           unsigned count, uint64_t offset);
int MUST_CHECK ring_fsync(struct ring *r, struct ring_op *op, int fd, bool data_only);
/** ring_fallocate() - Of a ring with files that writes; mode as of fallocate(2), of which threads know holes and zeros. */
int MUST_CHECK ring_fallocate(struct ring *r, struct ring_op *op, int place, int mode,
                              uint64_t offset, uint64_t size);
int MUST_CHECK ring_close(struct ring *r, struct ring_op *op, int fd);

/** ring_cancel() - Ask for an early end; done is called in any case, with -ECANCELED if it came in
 * time. */
void ring_cancel(struct ring *r, struct ring_op *op);

#endif
