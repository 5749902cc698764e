/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * op_io.c: Tread, Twrite and Tfsync: data between an open file and the transport's memory.
 *
 * The data is not copied on the way: the file is read into, and written from, where the transport has it
 * (p9_transport_ops.payload), which for a guest is the guest's memory. But where a file system may never answer, as one of
 * a network or of another program, a guest's memory is not left to it: there the data is copied.
 */
#include "virtio-9p/server.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* A descriptor that is being closed by the ring. */
struct closing {
	struct ring_op op;
	int fd;
};

static void close_done(struct ring_op *op, int result)
{
	struct closing *c = (struct closing *)op;

	/* Not even tried: then here. After any other error the descriptor is gone (close(2)). */
	if (result == -EINVAL || result == -EACCES || result == -ECANCELED)
		fd_close(&c->fd);
	free(c);
}

void close_file(struct p9_server *s, int fd, bool local)
{
	/* Closing may wait for another machine. */
	struct closing *c = local || !s->ring ? NULL : calloc(1, sizeof(*c));

	if (c) {
		c->op.done = close_done;
		c->fd = fd;
		if (ring_close(s->ring, &c->op, fd) == 0)
			return;
		free(c);
	}
	fd_close(&fd);
}

/* ---- reading and writing a file ---- */

static void copy_value(struct p9_req *r, uint8_t *value, size_t count, bool from_client);

static void io_end(struct p9_req *r, int result)
{
	if (r->u.io.copy && !r->u.io.writes && result > 0 && !r->gone)
		copy_value(r, r->u.io.copy, (size_t)result, false);
	free(r->u.io.copy);
	r->u.io.copy = NULL;
	if (r->u.io.writes)
		p9_changed(r->session->server);
	if (result < 0) {
		p9_error(r, result);
	} else if (r->u.io.writes) {
		p9_reply(r, &(struct p9_write_rep){.count = (uint32_t)result});
	} else {
		struct wr w = wr_over(r->out + P9_HEAD_SIZE, sizeof(uint32_t));

		wr_le32(&w, (uint32_t)result);
		p9_reply_bytes(r, P9_READ_HEAD + (size_t)result);
	}
}

static void io_on(struct p9_req *r);

/* Takes in a part's end. A short read goes on until the end of the file: clients take short for the end. */
static void io_part(struct p9_req *r, ssize_t result)
{
	if (result == -EINTR && !r->gone) {
		io_on(r);
	} else if (r->gone) {
		io_end(r, -EINTR);
	} else if (result < 0) {
		io_end(r, r->u.io.done ? (int)r->u.io.done : (int)result);
	} else {
		r->u.io.done += (uint32_t)result;
		if (result == 0 || r->u.io.done == r->u.io.count)
			io_end(r, (int)r->u.io.done);
		else
			io_on(r);
	}
}

static void io_ring_done(struct ring_op *op, int result)
{
	struct p9_req *r = (struct p9_req *)((char *)op - offsetof(struct p9_req, op));

	r->on_ring = r->lends = false;
	free(r->u.io.pieces);
	r->u.io.pieces = NULL;
	io_part(r, result);
}

/* The ring looks at the pieces when it is next submitted to: they must stay so long. */
static int io_by_ring(struct p9_req *r, const struct iovec *pieces, unsigned count, uint64_t offset)
{
	struct ring *ring = r->session->server->ring;
	int e;

	if (!ring)
		return -EOPNOTSUPP;
	r->u.io.pieces = calloc(count, sizeof(*pieces));
	if (!r->u.io.pieces)
		return -ENOMEM;
	memcpy(r->u.io.pieces, pieces, count * sizeof(*pieces));
	r->op.done = io_ring_done;
	/* Tried without waiting, a file of FUSE waits all the same. */
	r->op.never_here = !r->fid->local;
	e = r->u.io.writes ? ring_writev(ring, &r->op, r->fid->fd, r->u.io.pieces, count, offset)
	                   : ring_readv(ring, &r->op, r->fid->fd, r->u.io.pieces, count, offset);
	r->on_ring = e == 0;
	r->lends = e == 0 && !r->u.io.copy;
	if (e < 0) {
		free(r->u.io.pieces);
		r->u.io.pieces = NULL;
	}
	return e;
}

static ssize_t io_now(const struct p9_req *r, const struct iovec *pieces, unsigned count,
                      off_t offset, int flags)
{
	int fd = r->fid->fd;

	return r->u.io.writes ? pwritev2(fd, pieces, (int)count, offset, flags)
	                      : preadv2(fd, pieces, (int)count, offset, flags);
}

/* Where the data lies from there on. Return: how many pieces. */
static unsigned where(struct p9_req *r, uint32_t done, struct iovec *pieces)
{
	uint32_t left = r->u.io.count - done;

	if (!r->u.io.copy)
		return r->session->transport->payload(r, r->u.io.writes, done, left, pieces,
		                                      P9_PIECES_MAX);
	pieces[0] = (struct iovec){.iov_base = r->u.io.copy + done, .iov_len = left};
	return 1;
}

/* For a guest's read or write that may never end: memory of ours. Return: 0 or -ENOMEM. */
static int make_copy(struct p9_req *r)
{
	if (!r->session->transport->abandon || r->fid->local)
		return 0;
	r->u.io.copy = malloc(r->u.io.count);
	if (!r->u.io.copy)
		return -ENOMEM;
	if (r->u.io.writes)
		copy_value(r, r->u.io.copy, r->u.io.count, true);
	return 0;
}

static void io_start(struct p9_req *r)
{
	int e = make_copy(r);

	if (e < 0)
		io_end(r, e);
	else
		io_on(r);
}

/*
 * The next part: at once if it does not have to wait, else by the ring; without a ring at once after all. A tmpfs never
 * waits, but does not know how to say so. A frozen file system holds up a write whatever its flags.
 */
static void io_on(struct p9_req *r)
{
	struct iovec *pieces = r->session->server->pieces;
	uint32_t done = r->u.io.done;
	unsigned count = where(r, done, pieces);
	off_t offset = (off_t)(r->u.io.offset + done);
	bool waits = r->u.io.writes && !r->fid->memory;
	ssize_t n = 0;

	if (!waits) {
		n = io_now(r, pieces, count, offset, r->fid->memory ? 0 : RWF_NOWAIT);
		waits = n < 0 && (errno == EAGAIN || errno == EOPNOTSUPP);
	}
	if (waits) {
		if (io_by_ring(r, pieces, count, (uint64_t)offset) == 0)
			return;
		n = io_now(r, pieces, count, offset, 0);
	}
	io_part(r, n < 0 ? -errno : n);
}

/* ---- values of attributes ---- */

/* Copies between a value and the payload, all of count bytes. */
static void copy_value(struct p9_req *r, uint8_t *value, size_t count, bool from_client)
{
	struct iovec *pieces = r->session->server->pieces;

	for (size_t done = 0; done < count;) {
		unsigned n = r->session->transport->payload(r, from_client, done, count - done,
		                                            pieces, P9_PIECES_MAX);

		if (n == 0)
			return; /* the transport wants no more */
		for (unsigned i = 0; i < n; i++) {
			if (from_client)
				memcpy(value + done, pieces[i].iov_base, pieces[i].iov_len);
			else
				memcpy(pieces[i].iov_base, value + done, pieces[i].iov_len);
			done += pieces[i].iov_len;
		}
	}
}

static void read_xattr(struct p9_req *r, uint64_t offset, uint32_t count)
{
	const struct fid_xattr *x = r->fid->xattr;
	size_t size = offset < x->size ? x->size - (size_t)offset : 0;

	if (size > count)
		size = count;
	if (size)
		copy_value(r, x->bytes + offset, size, false);
	io_end(r, (int)size);
}

static void write_xattr(struct p9_req *r, const struct p9_write_req *q)
{
	struct fid_xattr *x = r->fid->xattr;

	if (q->offset != x->used || q->data.size > x->size - x->used) {
		p9_error(r, q->offset == x->used ? -ENOSPC : -EINVAL);
		return;
	}
	if (q->data.size)
		copy_value(r, x->bytes + x->used, q->data.size, true);
	x->used += q->data.size;
	p9_reply(r, &(struct p9_write_rep){.count = (uint32_t)q->data.size});
}

/* ---- the messages ---- */

void op_read(struct p9_req *r, const struct p9_read_req *q)
{
	uint32_t most = r->session->msize - P9_READ_HEAD;
	uint32_t count = q->count < most ? q->count : most;
	int e = fid_get(r, q->fid);

	r->u.io.writes = false;
	r->u.io.copy = NULL;
	if (e == 0 && r->fid->state == FID_DIR)
		e = -EISDIR;
	else if (e == 0 && r->fid->state != FID_FILE && r->fid->state != FID_XATTR_READ)
		e = -EBADF;
	if (e == 0 && q->offset > (uint64_t)INT64_MAX - count)
		e = -EINVAL;
	/* Less than was asked for would look like the end of the file. */
	if (e == 0 && P9_READ_HEAD + count > p9_reply_max(r))
		e = -EMSGSIZE;
	if (e == 0 && !r->session->transport->data_room(r, count))
		e = -ENOMEM;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	r->u.io.offset = q->offset;
	r->u.io.count = count;
	r->u.io.done = 0;
	if (r->fid->state == FID_XATTR_READ)
		read_xattr(r, q->offset, count);
	else if (count == 0)
		io_end(r, 0);
	else
		io_start(r);
}

void op_write(struct p9_req *r, const struct p9_write_req *q)
{
	int e = fid_get(r, q->fid);

	if (e == 0 && r->fid->state == FID_XATTR_WRITE) {
		write_xattr(r, q);
		return;
	}
	if (e == 0 && r->fid->state == FID_DIR)
		e = -EISDIR;
	else if (e == 0 && r->fid->state != FID_FILE)
		e = -EBADF;
	if (e == 0 && q->offset > (uint64_t)INT64_MAX - q->data.size)
		e = -EFBIG;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	p9_changed(r->session->server);
	r->u.io.writes = true;
	r->u.io.copy = NULL;
	r->u.io.offset = q->offset;
	r->u.io.count = (uint32_t)q->data.size;
	r->u.io.done = 0;
	if (q->data.size == 0)
		io_end(r, 0);
	else
		io_start(r);
}

static void fsync_done(struct ring_op *op, int result)
{
	struct p9_req *r = (struct p9_req *)((char *)op - offsetof(struct p9_req, op));

	r->on_ring = false;
	p9_then_done(r, result, NULL, -1);
}

void op_fsync(struct p9_req *r, const struct p9_fsync_req *q)
{
	int e = fid_get(r, q->fid);
	struct ring *ring = r->session->server->ring;

	if (e == 0 && !r->fid->node)
		e = -EINVAL;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	r->op.done = fsync_done;
	if (r->fid->state == FID_FILE && ring &&
	    ring_fsync(ring, &r->op, r->fid->fd, q->datasync) == 0) {
		r->on_ring = true;
		return;
	}
	p9_call(r, RPC_FSYNC,
	        &(struct rpc_fsync_req){.node = r->fid->node->nid, .datasync = q->datasync},
	        p9_then_done);
}
