/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/ring.h"

#include "common/cleanup.h"
#include "common/ring_threads.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* Threads of the kernel that may wait for files at once: one stuck write to each of so many files delays no other. */
#define WORKERS 512

struct ring {
	struct io_uring uring;
	struct loop_source completions;
	struct ring_threads *threads; /* instead; then nothing else of this is in use */
	bool to_submit;
};

static const uint8_t allowed[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
                                  IORING_OP_CLOSE, IORING_OP_ASYNC_CANCEL};

static int restrict_ring(struct io_uring *uring)
{
	struct io_uring_restriction r[ARRAY_SIZE(allowed) + 1] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		r[i].opcode = IORING_RESTRICTION_SQE_OP;
		r[i].sqe_op = allowed[i];
	}
	r[ARRAY_SIZE(allowed)].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	r[ARRAY_SIZE(allowed)].sqe_flags = IOSQE_ASYNC;
	return io_uring_register_restrictions(uring, r, ARRAY_SIZE(r));
}

/* Ends what is complete. Return: whether anything was. */
static bool reap(struct ring *r)
{
	struct io_uring_cqe *cqe;
	bool any = false;

	for (; io_uring_peek_cqe(&r->uring, &cqe) == 0; any = true) {
		struct ring_op *op = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&r->uring, cqe);
		if (!op) /* of a cancellation */
			continue;
		op->done(op, result);
	}
	return any;
}

static void complete(struct loop_source *s, uint32_t events UNUSED)
{
	struct ring *r = (struct ring *)((char *)s - offsetof(struct ring, completions));
	uint64_t count;

	if (read(s->fd, &count, sizeof(count)) < 0)
		return;
	(void)reap(r);
}

static bool submit(void *ring)
{
	struct ring *r = ring;

	if (!r->to_submit)
		return false;
	r->to_submit = false;
	(void)io_uring_submit(&r->uring);
	/* Most is complete at once; the event that still comes for it finds nothing then. */
	return reap(r);
}

int ring_new(struct loop *l, unsigned entries, struct ring **ret)
{
	struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED};
	struct ring *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	e = io_uring_queue_init_params(entries, &r->uring, &p);
	if (e < 0) {
		free(r);
		return e;
	}
	/* Older kernels know no such number; then four a processor wait at once. */
	(void)io_uring_register_iowq_max_workers(&r->uring, (unsigned[]){WORKERS, 0});
	r->completions.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->completions.ready = complete;
	e = r->completions.fd < 0 ? -errno
	                          : io_uring_register_eventfd(&r->uring, r->completions.fd);
	if (e == 0)
		e = restrict_ring(&r->uring);
	if (e == 0)
		e = io_uring_enable_rings(&r->uring);
	if (e == 0)
		e = loop_add(l, &r->completions, EPOLLIN);
	if (e < 0) {
		fd_close(&r->completions.fd);
		io_uring_queue_exit(&r->uring);
		free(r);
		return e;
	}
	loop_idle(l, submit, r);
	*ret = r;
	return 0;
}

int ring_new_threads(struct loop *l, struct ring **ret)
{
	AUTO_FREE struct ring *r = calloc(1, sizeof(*r));
	int e = r ? ring_threads_new(l, &r->threads) : -ENOMEM;

	if (e < 0)
		return e;
	*ret = r;
	r = NULL;
	return 0;
}

/* Return: whether threads do it. */
static bool given(const struct ring *r, struct ring_op *op, struct ring_job job)
{
	if (!r->threads)
		return false;
	op->job = job;
	ring_threads_start(r->threads, op);
	return true;
}

static struct io_uring_sqe *start(struct ring *r)
{
	struct io_uring_sqe *sqe;

	sqe = io_uring_get_sqe(&r->uring);
	if (!sqe) {
		(void)io_uring_submit(&r->uring);
		sqe = io_uring_get_sqe(&r->uring);
	}
	if (!sqe)
		return NULL;
	r->to_submit = true;
	return sqe;
}

int ring_readv(struct ring *r, struct ring_op *op, int fd, const struct iovec *pieces,
               unsigned count, uint64_t offset)
{
	struct io_uring_sqe *sqe;

	if (given(r, op,
	          (struct ring_job){.kind = RING_READ,
	                            .fd = fd,
	                            .pieces = pieces,
	                            .count = count,
	                            .offset = offset}))
		return 0;
	sqe = start(r);
	if (!sqe)
		return -EBUSY;
	io_uring_prep_readv(sqe, fd, pieces, count, offset);
	sqe->flags |= op->never_here ? IOSQE_ASYNC : 0;
	io_uring_sqe_set_data(sqe, op);
	return 0;
}

int ring_writev(struct ring *r, struct ring_op *op, int fd, const struct iovec *pieces,
                unsigned count, uint64_t offset)
{
	struct io_uring_sqe *sqe;

	if (given(r, op,
	          (struct ring_job){.kind = RING_WRITE,
	                            .fd = fd,
	                            .pieces = pieces,
	                            .count = count,
	                            .offset = offset}))
		return 0;
	sqe = start(r);
	if (!sqe)
		return -EBUSY;
	io_uring_prep_writev(sqe, fd, pieces, count, offset);
	sqe->flags |= op->never_here ? IOSQE_ASYNC : 0;
	io_uring_sqe_set_data(sqe, op);
	return 0;
}

int ring_fsync(struct ring *r, struct ring_op *op, int fd, bool data_only)
{
	struct io_uring_sqe *sqe;

	if (given(r, op,
	          (struct ring_job){.kind = data_only ? RING_SYNC_DATA : RING_SYNC, .fd = fd}))
		return 0;
	sqe = start(r);
	if (!sqe)
		return -EBUSY;
	io_uring_prep_fsync(sqe, fd, data_only ? IORING_FSYNC_DATASYNC : 0);
	io_uring_sqe_set_data(sqe, op);
	return 0;
}

int ring_close(struct ring *r, struct ring_op *op, int fd)
{
	struct io_uring_sqe *sqe;

	if (given(r, op, (struct ring_job){.kind = RING_CLOSE, .fd = fd}))
		return 0;
	sqe = start(r);
	if (!sqe)
		return -EBUSY;
	io_uring_prep_close(sqe, fd);
	sqe->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data(sqe, op);
	return 0;
}

void ring_cancel(struct ring *r, struct ring_op *op)
{
	struct io_uring_sqe *sqe;

	if (r->threads) {
		ring_threads_cancel(r->threads, op);
		return;
	}
	sqe = start(r);
	if (!sqe)
		return;
	io_uring_prep_cancel(sqe, op, 0);
	io_uring_sqe_set_data(sqe, NULL);
}
