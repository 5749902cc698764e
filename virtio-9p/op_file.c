/* SPDX-License-Identifier: GPL-2.0-or-later */
/* op_file.c: Tlopen, Tlcreate, Tread, Twrite, Tfsync and Treaddir. */
#include "virtio-9p/server.h"

#include "common/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* ---- opening ---- */

/* What a Tlopen may carry besides: creation is done by other messages, the rest means nothing here. */
#define OPEN_FLAGS                                                                                \
	(RPC_O_ACCMODE | RPC_O_TRUNC | RPC_O_APPEND | RPC_O_NONBLOCK | RPC_O_SYNC | RPC_O_DSYNC | \
	 RPC_O_NOATIME)

static void opened(struct p9_req *r, const struct wt_attr *attr)
{
	struct p9_lopen_rep a = {0}; /* iounit 0: as much as fits a message */

	if (qid_of(&r->session->server->qids, attr, &a.qid))
		p9_reply(r, &a);
	else
		p9_error(r, -ENFILE);
}

/* The fid is an open file from now on. */
static void have_file(struct p9_req *r, int fd)
{
	const struct p9_server *s = r->session->server;
	struct fid *f = r->fid;
	bool on_root = f->node->dev == s->root->dev;

	f->state = FID_FILE;
	f->fd = fd;
	f->flags = r->u.open.flags;
	f->local = s->local && on_root;
	f->memory = s->memory && on_root;
}

static void open_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd)
{
	struct fid *f = r->fid;

	p9_changed(r->session->server);
	if (error < 0) {
		f->state = FID_WALKED;
		p9_error(r, error);
		return;
	}
	have_file(r, fd);
	opened(r, &reply->open.attr);
}

static void opendir_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	struct fid *f = r->fid;

	if (error < 0) {
		f->state = FID_WALKED;
		p9_error(r, error);
		return;
	}
	f->state = FID_DIR;
	f->stream = reply->opendir.stream;
	opened(r, &reply->opendir.attr);
}

void op_lopen(struct p9_req *r, const struct p9_lopen_req *q)
{
	int e = fid_get(r, q->fid);
	struct fid *f = r->fid;

	if (e == 0 && f->state != FID_WALKED)
		e = -EINVAL;
	if (e == 0 && S_ISDIR(f->node->mode) && (q->flags & RPC_O_ACCMODE) != 0)
		e = -EISDIR;
	if (e == 0 && !S_ISDIR(f->node->mode) && (q->flags & RPC_O_DIRECTORY))
		e = -ENOTDIR;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	f->state = FID_OPENING;
	if (S_ISDIR(f->node->mode)) {
		p9_call(r, RPC_OPENDIR, &(struct rpc_opendir_req){.node = f->node->nid},
		        opendir_done);
		return;
	}
	r->u.open.flags = q->flags & OPEN_FLAGS;
	p9_changed(r->session->server);
	p9_call(r, RPC_OPEN, &(struct rpc_open_req){.node = f->node->nid, .flags = r->u.open.flags},
	        open_done);
}

static void create_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd)
{
	struct p9_server *s = r->session->server;
	struct fid *f = r->fid;
	struct dnode *n;

	p9_changed(s);
	f->state = FID_WALKED;
	if (error < 0) {
		p9_error(r, error);
		return;
	}
	n = dnode_new(s, reply->create.node, &reply->create.attr);
	if (!n) {
		fd_close(&fd);
		p9_error(r, -ENOMEM);
		return;
	}
	fid_name(s, f, f->node, strndup((const char *)r->u.open.name.data, r->u.open.name.size));
	dnode_put(s, f->node);
	f->node = n;
	have_file(r, fd);
	opened(r, &reply->create.attr);
}

/* Names in messages that make or remove one: what is none is refused as QEMU refuses it. */
static int check_name(const struct wt_str *name)
{
	if (wt_name_ok(name))
		return 0;
	if (name->size > WT_NAME_MAX)
		return -ENAMETOOLONG;
	return name->size && name->data[0] == '.' && name->size <= 2 ? -EEXIST : -ENOENT;
}

void op_lcreate(struct p9_req *r, const struct p9_lcreate_req *q)
{
	int e = fid_get(r, q->fid);
	struct fid *f = r->fid;

	if (e == 0)
		e = f->state == FID_WALKED ? check_name(&q->name) : -EINVAL;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	f->state = FID_OPENING;
	r->u.open.flags = q->flags & OPEN_FLAGS;
	r->u.open.name = q->name;
	p9_changed(r->session->server);
	p9_call(r, RPC_CREATE,
	        &(struct rpc_create_req){.dir = f->node->nid,
	                                 .name = q->name,
	                                 .flags = (q->flags & (OPEN_FLAGS | RPC_O_EXCL)),
	                                 .mode = q->mode,
	                                 .uid = f->uid,
	                                 .gid = q->gid},
	        create_done);
}

/* ---- data ---- */

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

static void io_end(struct p9_req *r, int result)
{
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

	r->on_ring = false;
	io_part(r, result);
}

static int io_by_ring(struct p9_req *r, void *bytes, size_t size, uint64_t offset)
{
	struct ring *ring = r->session->server->ring;
	int e;

	if (!ring)
		return -EOPNOTSUPP;
	r->op.done = io_ring_done;
	e = r->u.io.writes ? ring_write(ring, &r->op, r->fid->fd, bytes, size, offset)
	                   : ring_read(ring, &r->op, r->fid->fd, bytes, size, offset);
	r->on_ring = e == 0;
	return e;
}

static ssize_t io_now(const struct p9_req *r, const struct iovec *part, off_t offset, int flags)
{
	int fd = r->fid->fd;

	return r->u.io.writes ? pwritev2(fd, part, 1, offset, flags)
	                      : preadv2(fd, part, 1, offset, flags);
}

/*
 * The next part: at once if it does not have to wait, else by the ring. What the ring cannot take (none to be had here, or
 * full) is done at once after all; as is what never waits, on a tmpfs that does not know how to say so.
 */
static void io_on(struct p9_req *r)
{
	uint32_t done = r->u.io.done;
	uint8_t *bytes =
	    (r->u.io.writes ? (uint8_t *)(uintptr_t)r->u.io.bytes : r->out + P9_READ_HEAD) + done;
	struct iovec part = {.iov_base = bytes, .iov_len = r->u.io.count - done};
	off_t offset = (off_t)(r->u.io.offset + done);
	ssize_t n = io_now(r, &part, offset, r->fid->memory ? 0 : RWF_NOWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EOPNOTSUPP)) {
		if (io_by_ring(r, bytes, part.iov_len, (uint64_t)offset) == 0)
			return;
		n = io_now(r, &part, offset, 0);
	}
	io_part(r, n < 0 ? -errno : n);
}

static void read_xattr(struct p9_req *r, uint64_t offset, uint32_t count)
{
	const struct fid_xattr *x = r->fid->xattr;
	size_t size = offset < x->size ? x->size - (size_t)offset : 0;

	if (size > count)
		size = count;
	if (size)
		memcpy(r->out + P9_READ_HEAD, x->bytes + offset, size);
	io_end(r, (int)size);
}

void op_read(struct p9_req *r, const struct p9_read_req *q)
{
	uint32_t most = r->session->msize - P9_READ_HEAD;
	uint32_t count = q->count < most ? q->count : most;
	int e = fid_get(r, q->fid);

	r->u.io.writes = false;
	if (e == 0 && r->fid->state == FID_DIR)
		e = -EISDIR;
	else if (e == 0 && r->fid->state != FID_FILE && r->fid->state != FID_XATTR_READ)
		e = -EBADF;
	if (e == 0 && q->offset > (uint64_t)INT64_MAX - count)
		e = -EINVAL;
	if (e == 0 && !r->session->transport->room(r, P9_READ_HEAD + count))
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
		io_on(r);
}

static void write_xattr(struct p9_req *r, const struct p9_write_req *q)
{
	struct fid_xattr *x = r->fid->xattr;

	if (q->offset != x->used || q->data.size > x->size - x->used) {
		p9_error(r, q->offset == x->used ? -ENOSPC : -EINVAL);
		return;
	}
	if (q->data.size)
		memcpy(x->bytes + x->used, q->data.data, q->data.size);
	x->used += q->data.size;
	p9_reply(r, &(struct p9_write_rep){.count = (uint32_t)q->data.size});
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
	r->u.io.offset = q->offset;
	r->u.io.count = (uint32_t)q->data.size;
	r->u.io.done = 0;
	r->u.io.bytes = q->data.data;
	if (q->data.size == 0)
		io_end(r, 0);
	else
		io_on(r);
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

/* ---- directories ---- */

static bool put_entry(struct p9_req *r, struct wr *w, const struct rpc_dirent *e)
{
	const struct fid *f = r->fid;
	uint64_t ino = e->ino;
	struct p9_dirent out = {.offset = e->offset, .type = e->type, .name = e->name};

	/* Above where it was attached is nothing: ".." there is itself, and the host's inode stays the host's. */
	if (e->name.size == 2 && memcmp(e->name.data, "..", 2) == 0 &&
	    f->node->dev == f->top->dev && f->node->ino == f->top->ino)
		ino = f->node->ino;
	out.qid.type = e->type == DT_DIR ? P9_QTDIR : e->type == DT_LNK ? P9_QTSYMLINK : P9_QTFILE;
	return qid_path(&r->session->server->qids, f->node->dev, ino, &out.qid.path) &&
	       p9_dirent_put(w, &out);
}

static void readdir_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	struct rd in;
	struct wr w, head;
	struct rpc_dirent e;
	size_t whole = 0;

	if (error == 0 && !r->session->transport->room(r, P9_READ_HEAD + r->u.dir.count))
		error = -ENOMEM;
	if (error < 0) {
		p9_error(r, error);
		return;
	}
	in = rd_over(reply->readdir.entries.data, reply->readdir.entries.size);
	w = wr_over(r->out + P9_READ_HEAD, r->u.dir.count);
	while (in.left > 0 && rpc_dirent_get(&in, &e) && put_entry(r, &w, &e))
		whole = w.used;
	if (reply->readdir.entries.size > 0 && whole == 0) {
		p9_error(
		    r,
		    -EINVAL); /* there is an entry, and no room for it: 0 bytes would say "the end" */
		return;
	}
	head = wr_over(r->out + P9_HEAD_SIZE, sizeof(uint32_t));
	wr_le32(&head, (uint32_t)whole);
	p9_reply_bytes(r, P9_READ_HEAD + whole);
}

void op_readdir(struct p9_req *r, const struct p9_readdir_req *q)
{
	uint32_t most = r->session->msize - P9_READ_HEAD;
	int e = fid_get(r, q->fid);

	if (e == 0 && r->fid->state != FID_DIR)
		e = r->fid->node && S_ISDIR(r->fid->node->mode) ? -EBADF : -ENOTDIR;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	r->u.dir.count = q->count < most ? q->count : most;
	/* The helper's entries are a little shorter than ours; what does not fit is asked for again. */
	p9_call(r, RPC_READDIR,
	        &(struct rpc_readdir_req){
	            .stream = r->fid->stream, .offset = q->offset, .size = r->u.dir.count + 8},
	        readdir_done);
}
