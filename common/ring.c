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
#define WORKERS       512
#define FILES_WORKERS 64 /* likewise, of a ring with files */

struct ring {
	struct io_uring uring;
	struct loop *loop;
	struct loop_source completions;
	struct ring_threads *threads; /* instead; then nothing else of this is in use, but */
	int *table;                   /* of a ring with files, by threads: its descriptors, or -1 */
	unsigned table_size;
	struct loop_poller poller; /* of a ring with files */
	unsigned under_way;
	bool to_submit;
	bool files; /* it has a table of them */
};

/** struct rules - what a ring may do, for good */
struct rules {
	const uint8_t *ops;
	size_t count;
	uint8_t flags;      /* IOSQE_ that an operation may have */
	uint8_t must_flags; /* that each has */
	bool update_files;
};

#define OPS_MAX 8

/* Completions wait until they are asked for: nobody is interrupted, and they come in batches. */
#define LAZY (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG)

static const uint8_t any_file[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
                                   IORING_OP_CLOSE, IORING_OP_ASYNC_CANCEL};
static const uint8_t own_files[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
                                    IORING_OP_FALLOCATE};
static const uint8_t only_read[] = {IORING_OP_READV, IORING_OP_FSYNC};

static int restrict_ring(struct io_uring *uring, const struct rules *rules)
{
	struct io_uring_restriction r[OPS_MAX + 3] = {0};
	unsigned n = 0;

	for (size_t i = 0; i < rules->count; i++) {
		r[n].opcode = IORING_RESTRICTION_SQE_OP;
		r[n++].sqe_op = rules->ops[i];
	}
	r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	r[n++].sqe_flags = rules->flags;
	if (rules->must_flags) {
		r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
		r[n++].sqe_flags = rules->must_flags;
	}
	if (rules->update_files) {
		r[n].opcode = IORING_RESTRICTION_REGISTER_OP;
		r[n++].register_op = IORING_REGISTER_FILES_UPDATE;
	}
	return io_uring_register_restrictions(uring, r, n);
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
		r->under_way--;
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

/* ---- a ring with files: it is not interrupted by what is complete, but asks for it when it is called anyway ---- */

static bool has_completions(const struct ring *r)
{
	return io_uring_cq_ready(&r->uring) > 0 ||
	       (__atomic_load_n(r->uring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN);
}

static bool look(struct loop_poller *p)
{
	const struct ring *r = (struct ring *)((char *)p - offsetof(struct ring, poller));

	return r->under_way > 0 && has_completions(r);
}

static bool busy(struct loop_poller *p)
{
	return ((struct ring *)((char *)p - offsetof(struct ring, poller)))->under_way > 0;
}

/* Only before a sleep is there to be an event. */
static bool arm(struct loop_poller *p)
{
	struct ring *r = (struct ring *)((char *)p - offsetof(struct ring, poller));

	if (r->under_way == 0)
		return false;
	(void)io_uring_cq_eventfd_toggle(&r->uring, true);
	/* The kernel completes and then looks at this: one of us sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return look(p);
}

static bool submit_and_look(void *ring)
{
	struct ring *r = ring;

	if (!r->to_submit && !look(&r->poller))
		return false;
	(void)io_uring_cq_eventfd_toggle(&r->uring, false);
	if (r->to_submit)
		(void)io_uring_submit_and_get_events(&r->uring);
	else
		(void)io_uring_get_events(&r->uring);
	r->to_submit = false;
	return reap(r);
}

/* The idle call that follows does the rest. */
static void wake(struct loop_source *s, uint32_t events UNUSED)
{
	uint64_t count;

	(void)!read(s->fd, &count, sizeof(count));
}

/* Places without files: a kernel before 5.19 has no shorter way to say so. */
static int make_table(struct io_uring *uring, unsigned files)
{
	AUTO_FREE int *none = malloc(files * sizeof(*none));

	if (!none)
		return -ENOMEM;
	for (unsigned i = 0; i < files; i++)
		none[i] = -1;
	return io_uring_register_files(uring, none, files);
}

static int make(struct loop *l, unsigned entries, unsigned files, const struct rules *rules,
                struct ring **ret)
{
	struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED | (files ? LAZY : 0)};
	struct ring *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	e = io_uring_queue_init_params(entries, &r->uring, &p);
	/* A kernel before 6.1 does not know how to be lazy. */
	if (e == -EINVAL && files) {
		p = (struct io_uring_params){.flags = IORING_SETUP_R_DISABLED};
		e = io_uring_queue_init_params(entries, &r->uring, &p);
	}
	if (e < 0) {
		free(r);
		return e;
	}
	r->loop = l;
	r->files = files > 0;
	/* Older kernels know no such number; then four a processor wait at once. */
	(void)io_uring_register_iowq_max_workers(&r->uring,
	                                         (unsigned[]){files ? FILES_WORKERS : WORKERS, 0});
	r->completions.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->completions.ready = files ? wake : complete;
	e = r->completions.fd < 0 ? -errno
	                          : io_uring_register_eventfd(&r->uring, r->completions.fd);
	if (e == 0 && files > 0)
		e = make_table(&r->uring, files);
	if (e == 0)
		e = restrict_ring(&r->uring, rules);
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
	loop_idle(l, files ? submit_and_look : submit, r);
	*ret = r;
	return 0;
}

int ring_new(struct loop *l, unsigned entries, struct ring **ret)
{
	static const struct rules rules = {
	    .ops = any_file, .count = ARRAY_SIZE(any_file), .flags = IOSQE_ASYNC};

	return make(l, entries, 0, &rules, ret);
}

int ring_new_files(struct loop *l, unsigned entries, unsigned files, bool writes, struct ring **ret)
{
	const struct rules rules = {.ops = writes ? own_files : only_read,
	                            .count = writes ? ARRAY_SIZE(own_files) : ARRAY_SIZE(only_read),
	                            .flags = IOSQE_FIXED_FILE,
	                            .must_flags = IOSQE_FIXED_FILE,
	                            .update_files = true};
	int e = make(l, entries, files, &rules, ret);

	if (e < 0)
		return e;
	(*ret)->poller = (struct loop_poller){.look = look, .arm = arm, .busy = busy};
	loop_poll(l, &(*ret)->poller);
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	if (r->threads) {
		ring_threads_free(r->threads);
		free(r->table);
		free(r);
		return;
	}
	if (r->files)
		loop_poll_remove(r->loop, &r->poller);
	loop_idle_remove(r->loop, r);
	loop_remove(r->loop, &r->completions);
	fd_close(&r->completions.fd);
	io_uring_queue_exit(&r->uring);
	free(r);
}

int ring_file(struct ring *r, unsigned place, int fd)
{
	int e;

	if (!r->threads) {
		e = io_uring_register_files_update(&r->uring, place, &fd, 1);
		return e < 0 ? e : 0;
	}
	if (place >= r->table_size)
		return -EINVAL;
	r->table[place] = fd;
	return 0;
}

/* ---- by threads ---- */

static int make_threads(struct loop *l, unsigned kinds, struct ring **ret)
{
	AUTO_FREE struct ring *r = calloc(1, sizeof(*r));
	int e = r ? ring_threads_new(l, kinds, &r->threads) : -ENOMEM;

	if (e < 0)
		return e;
	*ret = r;
	r = NULL;
	return 0;
}

int ring_new_threads(struct loop *l, struct ring **ret)
{
	return make_threads(l,
	                    RING_KIND(RING_READ) | RING_KIND(RING_WRITE) | RING_KIND(RING_SYNC) |
	                        RING_KIND(RING_SYNC_DATA) | RING_KIND(RING_CLOSE),
	                    ret);
}

int ring_new_files_threads(struct loop *l, unsigned files, bool writes, struct ring **ret)
{
	const unsigned reads =
	                   RING_KIND(RING_READ) | RING_KIND(RING_SYNC) | RING_KIND(RING_SYNC_DATA),
	               changes = RING_KIND(RING_WRITE) | RING_KIND(RING_ALLOCATE);
	struct ring *r;
	int e = make_threads(l, writes ? reads | changes : reads, &r);

	if (e < 0)
		return e;
	r->table = malloc(files * sizeof(*r->table));
	if (!r->table) {
		ring_free(r);
		return -ENOMEM;
	}
	r->files = true;
	r->table_size = files;
	for (unsigned i = 0; i < files; i++)
		r->table[i] = -1;
	*ret = r;
	return 0;
}

int ring_begin(struct ring *r)
{
	return r->threads ? ring_threads_begin(r->threads) : 0;
}

/* Return: whether threads do it. */
static bool given(const struct ring *r, struct ring_op *op, struct ring_job job)
{
	if (!r->threads)
		return false;
	op->job = job;
	/* A place that does not exist is one without a file: EBADF, as an io_uring has it. */
	if (r->files)
		op->job.fd =
		    job.fd >= 0 && (unsigned)job.fd < r->table_size ? r->table[job.fd] : -1;
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
	r->under_way++;
	return sqe;
}

/* What each operation has in common, when all else of it is said. */
static int started(const struct ring *r, struct ring_op *op, struct io_uring_sqe *sqe, bool apart)
{
	sqe->flags |= r->files ? IOSQE_FIXED_FILE : 0;
	sqe->flags |= apart ? IOSQE_ASYNC : 0;
	io_uring_sqe_set_data(sqe, op);
	return 0;
}

static int start_data(struct ring *r, struct ring_op *op, enum ring_kind kind, int fd,
                      const struct iovec *pieces, unsigned count, uint64_t offset)
{
	struct io_uring_sqe *sqe;

	if (given(r, op,
	          (struct ring_job){
	              .kind = kind, .fd = fd, .pieces = pieces, .count = count, .offset = offset}))
		return 0;
	sqe = start(r);
	if (!sqe)
		return -EBUSY;
	if (kind == RING_READ)
		io_uring_prep_readv(sqe, fd, pieces, count, offset);
	else
		io_uring_prep_writev(sqe, fd, pieces, count, offset);
	return started(r, op, sqe, op->never_here);
}

int ring_readv(struct ring *r, struct ring_op *op, int fd, const struct iovec *pieces,
               unsigned count, uint64_t offset)
{
	return start_data(r, op, RING_READ, fd, pieces, count, offset);
}

int ring_writev(struct ring *r, struct ring_op *op, int fd, const struct iovec *pieces,
                unsigned count, uint64_t offset)
{
	return start_data(r, op, RING_WRITE, fd, pieces, count, offset);
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
	return started(r, op, sqe, false);
}

int ring_fallocate(struct ring *r, struct ring_op *op, int place, int mode, uint64_t offset,
                   uint64_t size)
{
	struct io_uring_sqe *sqe;

	if (given(r, op,
	          (struct ring_job){.kind = RING_ALLOCATE,
	                            .fd = place,
	                            .mode = mode,
	                            .offset = offset,
	                            .size = size}))
		return 0;
	sqe = start(r);
	if (!sqe)
		return -EBUSY;
	io_uring_prep_fallocate(sqe, place, mode, (off_t)offset, (off_t)size);
	return started(r, op, sqe, false);
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
	return started(r, op, sqe, true);
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
