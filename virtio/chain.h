/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chain.h: a cursor over the buffers of a chain (or any list of iovecs), in order, however they are
 * cut.
 */
#ifndef VIRTFS_VIRTIO_CHAIN_H
#define VIRTFS_VIRTIO_CHAIN_H

#include "common/compiler.h"
#include "virtio/queue.h"

#include <stddef.h>
#include <sys/uio.h>

struct chain_cursor {
	const struct iovec *iov; /* the list's rest, its first one without offset bytes */
	unsigned count;
	size_t offset;
	size_t left; /* bytes */
};

/** chain_out() / chain_in() - What the driver wrote, from its start; where the device may write, which is nowhere once the queue is
 * broken. */
struct chain_cursor chain_out(const struct vq_chain *c);
struct chain_cursor chain_in(const struct vq_chain *c);

/* Each goes on by at most n bytes. Return: by how many; less than n only at the end. */
size_t chain_read(struct chain_cursor *c, void *to, size_t n);
size_t chain_write(struct chain_cursor *c, const void *from, size_t n);
size_t chain_skip(struct chain_cursor *c, size_t n);

/**
 * chain_take() - The next n bytes as they lie in memory, for preadv(2) and its like
 *
 * Goes on by what it gave: less than n at the end of the chain, or when room iovecs are filled.
 * Return: how many iovecs were filled; *ret_size: the bytes in them.
 */
unsigned chain_take(struct chain_cursor *c, size_t n, struct iovec *to, unsigned room,
                    size_t *ret_size);

#endif
