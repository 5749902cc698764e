/* SPDX-License-Identifier: GPL-2.0-or-later */
/* op_file.c: Tlopen, Tlcreate and Treaddir. */
#include "virtio-9p/server.h"

#include "common/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

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

static void not_opened(struct p9_req *r, int error)
{
	r->fid->state = FID_WALKED;
	fid_uncount(r->session, r->fid);
	p9_error(r, error);
}

static void open_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd)
{
	p9_changed(r->session->server);
	if (error < 0) {
		not_opened(r, error);
		return;
	}
	have_file(r, fd);
	opened(r, &reply->open.attr);
}

static void opendir_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	struct fid *f = r->fid;

	if (error < 0) {
		not_opened(r, error);
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
	if (e == 0)
		e = fid_count_open(r->session, f);
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
	if (error < 0) {
		not_opened(r, error);
		return;
	}
	n = dnode_new(s, reply->create.node, &reply->create.attr);
	if (!n) {
		fd_close(&fd);
		not_opened(r, -ENOMEM);
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
	if (e == 0)
		e = fid_count_open(r->session, f);
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
	uint32_t most = p9_reply_max(r);
	int e = fid_get(r, q->fid);

	most -= most < P9_READ_HEAD ? most : P9_READ_HEAD;
	if (e == 0 && r->fid->state != FID_DIR)
		e = r->fid->node && S_ISDIR(r->fid->node->mode) ? -EBADF : -ENOTDIR;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	r->u.dir.count = q->count < most ? q->count : most;
	if (r->u.dir.count > RPC_PACKET_MAX)
		r->u.dir.count = RPC_PACKET_MAX; /* more than a call brings */
	/* The helper's entries are a little shorter than ours; what does not fit is asked for again. */
	p9_call(r, RPC_READDIR,
	        &(struct rpc_readdir_req){
	            .stream = r->fid->stream, .offset = q->offset, .size = r->u.dir.count + 8},
	        readdir_done);
}
