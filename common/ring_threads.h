/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring_threads.h: what a ring does where the host has no io_uring for us: a fixed number of threads, each of which waits for one
 * file at a time. Only common/ring.c uses it.
 */
#ifndef VIRTFS_COMMON_RING_THREADS_H
#define VIRTFS_COMMON_RING_THREADS_H

#include "common/compiler.h"
#include "common/ring.h"

/* More cannot be made later (the system call filter), and so many stuck operations hold up all others. */
#define RING_THREADS 64

struct ring_threads;

/** ring_threads_new() - Their operations end on the loop. kinds: a bit (RING_KIND) for each that they may do; for all others a thread
 * answers -EACCES, whoever asks. Return: 0 or -errno. */
#define RING_KIND(kind) (1u << (kind))
int MUST_CHECK ring_threads_new(struct loop *l, unsigned kinds, struct ring_threads **ret);

/** ring_threads_begin() - Make the threads. All have started when this returns. Return: 0 or -errno. */
int MUST_CHECK ring_threads_begin(struct ring_threads *t);

/** ring_threads_free() - Without operations under way. NULL is fine. */
void ring_threads_free(struct ring_threads *t);

/** ring_threads_start() - Start the operation that op->job tells. */
void ring_threads_start(struct ring_threads *t, struct ring_op *op);

/** ring_threads_cancel() - End an operation that no thread has begun. */
void ring_threads_cancel(struct ring_threads *t, struct ring_op *op);

#endif
