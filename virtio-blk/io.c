/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io.c: what requests do to the image.
 *
 * A request goes in steps, each of which is one operation: what comes back short goes on where it ended. Reads and writes
 * that need not wait are done at once; all else is the ring's.
 */
#include "common/cleanup.h"
#include "virtio-blk/blk.h"
#include "virtio/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define HERE_MAX \
	(256u    \
	 << 10) /* bytes that are read or written at once: copying more would keep others waiting */
#define BOUNCE_SIZE (128u << 10)
#define ZEROS       (64u << 10)
#define ZERO_PIECES 16
#define PAGE        4096

static _Alignas(PAGE) uint8_t zeros[ZEROS]; /* never written */

static bool writes(const struct request *r)
{
	return r->type == VBLK_T_OUT;
}

/* ---- pieces of a read or write ---- */

/* Whether O_DIRECT takes these as they lie in the guest's memory. */
static bool are_aligned(const struct request *r, unsigned count)
{
	const struct image_info *file = r->queue->disk->file;

	for (unsigned i = 0; i < count; i++) {
		if (!guest_is_aligned(r->pieces[i], file->memory_align, file->block_size))
			return false;
	}
	return true;
}

static struct chain_cursor rest_of_data(const struct request *r)
{
	struct chain_cursor c = writes(r) ? chain_out(r->chain) : chain_in(r->chain);

	(void)chain_skip(&c, (writes(r) ? VBLK_HEAD_SIZE : 0) + r->done);
	return c;
}

/* The next step by way of memory of ours. Return: how many pieces; 0: out of memory. */
static unsigned take_bounce(struct request *r)
{
	struct chain_cursor c = rest_of_data(r);

	if (!r->bounce)
		r->bounce = aligned_alloc(PAGE, BOUNCE_SIZE);
	if (!r->bounce)
		return 0;
	r->step = r->size - r->done < BOUNCE_SIZE ? r->size - r->done : BOUNCE_SIZE;
	if (writes(r))
		(void)chain_read(&c, r->bounce, r->step);
	r->pieces[0] = (struct iovec){.iov_base = r->bounce, .iov_len = r->step};
	return 1;
}

static unsigned take_pieces(struct request *r)
{
	struct chain_cursor c = rest_of_data(r);
	unsigned n = chain_take(&c, r->size - r->done, r->pieces, PIECES_MAX, &r->step);

	if (r->bounce || (r->queue->disk->file->direct && !are_aligned(r, n)))
		return take_bounce(r);
	return n;
}

/* Does it without waiting, if that is possible. Return: whether; *ret: bytes, or -errno. */
static bool try_here(struct request *r, unsigned count, int *ret)
{
	struct disk *d = r->queue->disk;
	bool write = writes(r);
	int flags = d->in_memory ? 0 : RWF_NOWAIT;
	off_t at = (off_t)(r->offset + r->done);
	ssize_t n;

	if (r->step > HERE_MAX || r->size > HERE_MAX)
		return false;
	/* O_DIRECT does better in batches; O_DSYNC waits whatever is said. */
	if (!d->in_memory && (d->file->direct || d->no_look[write] || (write && d->file->sync)))
		return false;
	n = write ? pwritev2(d->file->fd, r->pieces, (int)count, at, flags)
	          : preadv2(d->file->fd, r->pieces, (int)count, at, flags);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0 && errno == EOPNOTSUPP) {
		d->no_look[write] = true;
		return false;
	}
	*ret = n < 0 ? -errno : (int)n;
	return true;
}

/* ---- steps ---- */

static void done(struct ring_op *op, int result);

static void fail(struct request *r, int error)
{
	static const char *const operations[] = {[VBLK_T_IN] = "read",
	                                         [VBLK_T_OUT] = "write",
	                                         [VBLK_T_FLUSH] = "flush",
	                                         [VBLK_T_DISCARD] = "discard",
	                                         [VBLK_T_WRITE_ZEROES] = "write-zeroes"};

	disk_failed(r->queue->disk, operations[r->type], -error);
	request_answer(r, VBLK_S_IOERR);
}

/* Hands the next operation to the ring, or keeps the request until there is room. */
static void submitted(struct request *r, int error)
{
	struct disk_host *h = r->queue->disk->host;

	if (error == 0)
		return;
	r->next = NULL;
	*h->waiting_end = r;
	h->waiting_end = &r->next;
}

static int submit_pieces(struct request *r, bool write, unsigned count, uint64_t at)
{
	struct disk *d = r->queue->disk;

	return write ? ring_writev(d->ring, &r->op, d->place, r->pieces, count, at)
	             : ring_readv(d->ring, &r->op, d->place, r->pieces, count, at);
}

/* The end of a request that went well: what the driver believes to be safe is made so. */
static void finish(struct request *r)
{
	struct disk *d = r->queue->disk;
	bool changes = r->type != VBLK_T_IN && r->type != VBLK_T_FLUSH;
	bool safe = d->in_memory || (writes(r) && d->file->sync) ||
	            (d->write_cache && (d->features & VIO_FEATURE(VBLK_F_FLUSH)));

	if (!changes || r->syncs || safe) {
		request_answer(r, VBLK_S_OK);
		return;
	}
	r->syncs = true;
	submitted(r, ring_fsync(d->ring, &r->op, d->place, true));
}

/* What a read or write brought. Return: whether the request goes on. */
static bool account(struct request *r, int result)
{
	struct chain_cursor c;

	if (result == -EAGAIN || result == -EINTR)
		return true;
	/* Nothing at all: the file has become shorter, or its medium is full. */
	if (result <= 0) {
		fail(r, result == 0 && writes(r) ? -ENOSPC : result);
		return false;
	}
	if (r->bounce && !writes(r)) {
		c = rest_of_data(r);
		(void)chain_write(&c, r->bounce, (size_t)result);
	}
	r->done += (size_t)result;
	return true;
}

static void read_or_write(struct request *r)
{
	while (r->done < r->size) {
		unsigned count = take_pieces(r);
		int result = -ENOMEM;

		if (count > 0 && !try_here(r, count, &result)) {
			submitted(r, submit_pieces(r, writes(r), count, r->offset + r->done));
			return;
		}
		if (!account(r, result))
			return;
	}
	finish(r);
}

/* ---- DISCARD and WRITE_ZEROES ---- */

/* The bytes of a segment as zeros that are written, where its file system knows no other way. */
static int write_zeros(struct request *r, const struct segment *s)
{
	uint64_t left = s->size - r->done;
	unsigned n = 0;

	for (; left > 0 && n < ZERO_PIECES; n++) {
		r->pieces[n] = (struct iovec){.iov_base = zeros,
		                              .iov_len = left < ZEROS ? (size_t)left : ZEROS};
		left -= r->pieces[n].iov_len;
	}
	return submit_pieces(r, true, n, s->offset + r->done);
}

static void next_segment(struct request *r)
{
	struct disk *d = r->queue->disk;
	const struct segment *s = &r->segment_list[r->segment];
	bool punch;

	while (r->segment < r->segments && r->done == s->size) {
		r->segment++;
		r->done = 0;
		s++;
	}
	if (r->segment == r->segments) {
		finish(r);
		return;
	}
	punch = s->unmap && !d->no_zero[true];
	r->plain = !punch && d->no_zero[false];
	r->punches = punch;
	submitted(r, r->plain ? write_zeros(r, s)
	                      : ring_fallocate(d->ring, &r->op, d->place,
	                                       FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE
	                                                                    : FALLOC_FL_ZERO_RANGE),
	                                       s->offset, s->size));
}

/* What came of a step of a segment. Return: whether the request goes on. */
static bool account_segment(struct request *r, int result)
{
	const struct segment *s = &r->segment_list[r->segment];

	if (result == -EINTR || result == -EAGAIN)
		return true;
	if (r->plain && result > 0) {
		r->done += (size_t)result;
		return true;
	}
	if (!r->plain && result == 0) {
		r->done = s->size;
		return true;
	}
	if (!r->plain && (result == -EOPNOTSUPP || result == -ENOSYS)) {
		if (r->type != VBLK_T_DISCARD) {
			r->queue->disk->no_zero[r->punches] = true;
			return true;
		}
		request_answer(r, VBLK_S_UNSUPP);
		return false;
	}
	fail(r, r->plain && result == 0 ? -ENOSPC : result);
	return false;
}

/* ---- beginning and going on ---- */

/* What is under way on a ring that lied ends with the step that it is at: nothing more goes to the guest's memory. */
static bool let_go(struct request *r)
{
	if (!vq_broken(r->queue->vq))
		return false;
	request_answer(r, VBLK_S_IOERR);
	return true;
}

static void done(struct ring_op *op, int result)
{
	struct request *r = (struct request *)op;

	if (let_go(r))
		return;
	if (r->syncs) {
		if (result == -EINTR || result == -EAGAIN)
			io_start(r);
		else if (result < 0)
			fail(r, result);
		else
			request_answer(r, VBLK_S_OK);
	} else if (r->segments > 0) {
		if (account_segment(r, result))
			next_segment(r);
	} else if (account(r, result)) {
		read_or_write(r);
	}
}

void io_start(struct request *r)
{
	struct disk *d = r->queue->disk;

	if (let_go(r))
		return;
	r->op.done = done;
	if (r->type == VBLK_T_FLUSH || r->syncs) {
		r->syncs = true;
		if (d->in_memory)
			request_answer(r, VBLK_S_OK);
		else
			submitted(r, ring_fsync(d->ring, &r->op, d->place, true));
	} else if (r->segments > 0) {
		next_segment(r);
	} else {
		read_or_write(r);
	}
}

bool io_retry(struct disk_host *h)
{
	struct request *r = h->waiting;

	if (!r)
		return false;
	h->waiting = NULL;
	h->waiting_end = &h->waiting;
	while (r) {
		struct request *next = r->next;

		io_start(r);
		r = next;
	}
	return true;
}
