/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/ring_threads.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define STACK_SIZE (256 << 10)

struct queue {
	struct ring_op *first, **last;
};

struct ring_threads {
	struct loop *loop;
	struct loop_source completions;
	unsigned kinds; /* that they do */
	pthread_t thread[RING_THREADS];
	unsigned count;       /* of threads */
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work, ready;
	struct queue waiting, done;
	bool told; /* the loop, of what is done */
	bool ends;
	unsigned started;
};

static void put(struct queue *q, struct ring_op *op)
{
	op->job.next = NULL;
	*q->last = op;
	q->last = &op->job.next;
}

static struct ring_op *take(struct queue *q)
{
	struct ring_op *op = q->first;

	q->first = op->job.next;
	if (!q->first)
		q->last = &q->first;
	return op;
}

/* In the modes that the filter lets through: another is an error of its caller's, and not the end of the process. */
static int allocate(const struct ring_job *j)
{
	if (j->mode != (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE) &&
	    j->mode != (FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return fallocate(j->fd, j->mode, (off_t)j->offset, (off_t)j->size);
}

/* What these threads may not do they do not, wherever the job comes from: there is no restriction of the kernel's as an io_uring has. */
static ssize_t run_once(const struct ring_threads *t, const struct ring_job *j)
{
	if (!(t->kinds & RING_KIND(j->kind))) {
		errno = EACCES;
		return -1;
	}
	switch (j->kind) {
	case RING_READ:
		return preadv2(j->fd, j->pieces, (int)j->count, (off_t)j->offset, 0);
	case RING_WRITE:
		return pwritev2(j->fd, j->pieces, (int)j->count, (off_t)j->offset, 0);
	case RING_SYNC:
		return fsync(j->fd);
	case RING_SYNC_DATA:
		return fdatasync(j->fd);
	case RING_ALLOCATE:
		return allocate(j);
	case RING_CLOSE:
		return close(j->fd);
	}
	return -1;
}

static int run(const struct ring_threads *t, const struct ring_job *j)
{
	ssize_t n = run_once(t, j);

	return n < 0 ? -errno : (int)n;
}

/* Called with the lock. The event cannot fail to be written: it is read before it is written once more. */
static void finish(struct ring_threads *t, struct ring_op *op, int result)
{
	uint64_t one = 1;

	op->job.result = result;
	put(&t->done, op);
	if (!t->told)
		t->told = write(t->completions.fd, &one, sizeof(one)) == sizeof(one);
}

static void *work(void *context)
{
	struct ring_threads *t = context;

	(void)pthread_mutex_lock(&t->lock);
	t->started++;
	(void)pthread_cond_signal(&t->ready);
	for (;;) {
		struct ring_op *op;
		int result;

		while (!t->waiting.first && !t->ends)
			(void)pthread_cond_wait(&t->work, &t->lock);
		if (t->ends)
			break;
		op = take(&t->waiting);
		(void)pthread_mutex_unlock(&t->lock);
		result = run(t, &op->job);
		(void)pthread_mutex_lock(&t->lock);
		finish(t, op, result);
	}
	(void)pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void complete(struct loop_source *s, uint32_t events UNUSED)
{
	struct ring_threads *t =
	    (struct ring_threads *)((char *)s - offsetof(struct ring_threads, completions));
	struct ring_op *op, *next;
	uint64_t count;

	if (read(s->fd, &count, sizeof(count)) < 0)
		return;
	(void)pthread_mutex_lock(&t->lock);
	op = t->done.first;
	t->done = (struct queue){.last = &t->done.first};
	t->told = false;
	(void)pthread_mutex_unlock(&t->lock);
	for (; op; op = next) {
		next = op->job.next; /* its owner may free it */
		op->done(op, op->job.result);
	}
}

/* All signals are the loop's; but that of the filter, when it only names the call, is who called's. */
static int start_all(struct ring_threads *t)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int e = pthread_attr_init(&attributes);

	if (e != 0)
		return -e;
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSYS);
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	while (e == 0 && t->count < RING_THREADS) {
		e = pthread_create(&t->thread[t->count], &attributes, work, t);
		t->count += e == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	return -e;
}

int ring_threads_new(struct loop *l, unsigned kinds, struct ring_threads **ret)
{
	struct ring_threads *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->loop = l;
	t->kinds = kinds;
	(void)pthread_mutex_init(&t->lock, NULL);
	(void)pthread_cond_init(&t->work, NULL);
	(void)pthread_cond_init(&t->ready, NULL);
	t->waiting.last = &t->waiting.first;
	t->done.last = &t->done.first;
	t->completions.ready = complete;
	t->completions.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = t->completions.fd < 0 ? -errno : loop_add(l, &t->completions, EPOLLIN);
	if (r < 0) {
		fd_close(&t->completions.fd);
		free(t);
		return r;
	}
	*ret = t;
	return 0;
}

int ring_threads_begin(struct ring_threads *t)
{
	int r = start_all(t);

	(void)pthread_mutex_lock(&t->lock);
	while (t->started < t->count)
		(void)pthread_cond_wait(&t->ready, &t->lock);
	(void)pthread_mutex_unlock(&t->lock);
	return r;
}

void ring_threads_free(struct ring_threads *t)
{
	if (!t)
		return;
	(void)pthread_mutex_lock(&t->lock);
	t->ends = true;
	(void)pthread_cond_broadcast(&t->work);
	(void)pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->count; i++)
		(void)pthread_join(t->thread[i], NULL);
	loop_remove(t->loop, &t->completions);
	fd_close(&t->completions.fd);
	(void)pthread_mutex_destroy(&t->lock);
	(void)pthread_cond_destroy(&t->work);
	(void)pthread_cond_destroy(&t->ready);
	free(t);
}

void ring_threads_start(struct ring_threads *t, struct ring_op *op)
{
	(void)pthread_mutex_lock(&t->lock);
	put(&t->waiting, op);
	(void)pthread_cond_signal(&t->work);
	(void)pthread_mutex_unlock(&t->lock);
}

void ring_threads_cancel(struct ring_threads *t, struct ring_op *op)
{
	struct ring_op **link = &t->waiting.first;

	(void)pthread_mutex_lock(&t->lock);
	while (*link && *link != op)
		link = &(*link)->job.next;
	if (*link) {
		*link = op->job.next;
		if (t->waiting.last == &op->job.next)
			t->waiting.last = link;
		finish(t, op, -ECANCELED);
	}
	(void)pthread_mutex_unlock(&t->lock);
}
