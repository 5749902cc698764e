/* SPDX-License-Identifier: GPL-2.0-or-later */
/* op_meta.c: Tgetattr, Tsetattr, Tstatfs, Treadlink, Txattrwalk, Txattrcreate and Tclunk, which sets what that began. */
#include "virtio-9p/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A fid that stands for a file, in whatever state. */
static int get_file(struct p9_req *r, uint32_t number)
{
	int e = fid_get(r, number);

	if (e < 0)
		return e;
	return r->fid->state == FID_XATTR_READ || r->fid->state == FID_XATTR_WRITE ? -EINVAL : 0;
}

/* ---- attributes ---- */

/* Linux's device numbers as its 9P client takes them (new_encode_dev). */
static uint64_t encode_dev(uint64_t dev)
{
	uint64_t maj = major(dev), min = minor(dev);

	return (min & 0xff) | maj << 8 | (min & ~(uint64_t)0xff) << 12;
}

static void answer_attr(struct p9_req *r, const struct wt_attr *attr)
{
	struct p9_getattr_rep a = {
	    .valid = P9_STATS_BASIC,
	    .mode = attr->mode,
	    .uid = attr->uid,
	    .gid = attr->gid,
	    .nlink = attr->nlink,
	    .rdev = encode_dev(attr->rdev),
	    .size = attr->size,
	    .blksize = attr->blksize,
	    .blocks = attr->blocks,
	    .atime_sec = (uint64_t)attr->atime.sec,
	    .atime_nsec = attr->atime.nsec,
	    .mtime_sec = (uint64_t)attr->mtime.sec,
	    .mtime_nsec = attr->mtime.nsec,
	    .ctime_sec = (uint64_t)attr->ctime.sec,
	    .ctime_nsec = attr->ctime.nsec,
	    .btime_sec = (uint64_t)attr->btime.sec,
	    .btime_nsec = attr->btime.nsec,
	};

	if (attr->btime.sec || attr->btime.nsec)
		a.valid |= P9_STATS_BTIME;
	if (qid_of(&r->session->server->qids, attr, &a.qid))
		p9_reply(r, &a);
	else
		p9_error(r, -ENFILE);
}

static void getattr_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	if (error < 0)
		p9_error(r, error);
	else
		answer_attr(r, &reply->getattr.attr);
}

/* An open file is asked itself. */
static bool stat_open(int fd, struct wt_attr *ret)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, WT_ATTR_STATX, &st) < 0)
		return false;
	wt_attr_of(&st, ret);
	return true;
}

void op_getattr(struct p9_req *r, const struct p9_getattr_req *q)
{
	struct p9_server *s = r->session->server;
	int e = get_file(r, q->fid);
	struct wt_attr attr;

	if (e < 0)
		p9_error(r, e);
	else if ((s->sees_ids && !s->mapped && r->fid->state == FID_FILE && r->fid->local &&
	          stat_open(r->fid->fd, &attr)) ||
	         recent_get(s, r->fid->node, &attr))
		answer_attr(r, &attr);
	else
		p9_call(r, RPC_GETATTR, &(struct rpc_getattr_req){.node = r->fid->node->nid},
		        getattr_done);
}

void op_setattr(struct p9_req *r, const struct p9_setattr_req *q)
{
	int e = get_file(r, q->fid);

	if (e == 0 && (q->atime_nsec >= 1000000000 || q->mtime_nsec >= 1000000000))
		e = -EINVAL;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	p9_changed(r->session->server);
	p9_call(r, RPC_SETATTR,
	        &(struct rpc_setattr_req){
	            .node = r->fid->node->nid,
	            .valid = q->valid,
	            .mode = q->mode,
	            .uid = q->uid,
	            .gid = q->gid,
	            .size = q->size,
	            .atime = {.sec = (int64_t)q->atime_sec, .nsec = (uint32_t)q->atime_nsec},
	            .mtime = {.sec = (int64_t)q->mtime_sec, .nsec = (uint32_t)q->mtime_nsec},
	        },
	        p9_then_changed);
}

static void statfs_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	const struct rpc_statfs_rep *s = &reply->statfs;

	if (error < 0) {
		p9_error(r, error);
		return;
	}
	p9_reply(r, &(struct p9_statfs_rep){.type = s->type,
	                                    .bsize = s->bsize,
	                                    .blocks = s->blocks,
	                                    .bfree = s->bfree,
	                                    .bavail = s->bavail,
	                                    .files = s->files,
	                                    .ffree = s->ffree,
	                                    .fsid = s->fsid,
	                                    .namelen = s->namelen});
}

void op_statfs(struct p9_req *r, const struct p9_statfs_req *q)
{
	int e = get_file(r, q->fid);

	if (e < 0)
		p9_error(r, e);
	else
		p9_call(r, RPC_STATFS, &(struct rpc_statfs_req){.node = r->fid->node->nid},
		        statfs_done);
}

static void readlink_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	if (error < 0)
		p9_error(r, error);
	else
		p9_reply(r, &(struct p9_readlink_rep){.target = reply->readlink.target});
}

void op_readlink(struct p9_req *r, const struct p9_readlink_req *q)
{
	int e = get_file(r, q->fid);

	if (e < 0)
		p9_error(r, e);
	else
		p9_call(r, RPC_READLINK, &(struct rpc_readlink_req){.node = r->fid->node->nid},
		        readlink_done);
}

/* ---- extended attributes ---- */

static int xattr_new(struct p9_session *s, size_t size, struct fid_xattr **ret)
{
	struct fid_xattr *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->bytes = malloc(size ? size : 1);
	if (!x->bytes || !quota_take(&s->server->quotas, &s->used, QUOTA_XATTR_BYTES, size)) {
		int r = x->bytes ? -ENOSPC : -ENOMEM;

		free(x->bytes);
		free(x);
		return r;
	}
	x->size = size;
	*ret = x;
	return 0;
}

static void xattrwalk_end(struct p9_req *r, int error, const struct wt_str *value)
{
	if (error == 0)
		error = xattr_new(r->session, value->size, &r->newfid->xattr);
	if (error < 0) {
		p9_error(r, error);
		return;
	}
	if (value->size)
		memcpy(r->newfid->xattr->bytes, value->data, value->size);
	fid_become(r->newfid, r->fid->node, r->fid);
	r->newfid->state = FID_XATTR_READ;
	p9_reply(r, &(struct p9_xattrwalk_rep){.size = value->size});
}

static void getxattr_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	xattrwalk_end(r, error, &reply->getxattr.value);
}

static void listxattr_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	xattrwalk_end(r, error, &reply->listxattr.names);
}

void op_xattrwalk(struct p9_req *r, const struct p9_xattrwalk_req *q)
{
	int e = get_file(r, q->fid);

	if (e == 0)
		e = fid_new(r->session, q->newfid, &r->newfid);
	if (e == 0)
		fid_hold(r->newfid);
	if (e == 0 && q->name.size > WT_XNAME_MAX)
		e = -ERANGE;
	if (e < 0)
		p9_error(r, e);
	else if (q->name.size == 0)
		p9_call(
		    r, RPC_LISTXATTR,
		    &(struct rpc_listxattr_req){.node = r->fid->node->nid, .size = RPC_XATTR_MAX},
		    listxattr_done);
	else
		p9_call(r, RPC_GETXATTR,
		        &(struct rpc_getxattr_req){
		            .node = r->fid->node->nid, .name = q->name, .size = RPC_XATTR_MAX},
		        getxattr_done);
}

void op_xattrcreate(struct p9_req *r, const struct p9_xattrcreate_req *q)
{
	int e = fid_get(r, q->fid);

	if (e == 0 && r->fid->state != FID_WALKED)
		e = -EINVAL;
	if (e == 0 && (q->name.size == 0 || q->name.size > WT_XNAME_MAX))
		e = -ERANGE;
	if (e == 0 && q->attr_size > RPC_XATTR_MAX)
		e = -E2BIG;
	if (e == 0 && (q->flags & ~3u))
		e = -EINVAL;
	if (e == 0)
		e = xattr_new(r->session, (size_t)q->attr_size, &r->fid->xattr);
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	r->fid->xattr->flags = q->flags;
	if (!wt_str_copy(&q->name, r->fid->xattr->name, sizeof(r->fid->xattr->name))) {
		p9_error(r, -ERANGE);
		return;
	}
	r->fid->state = FID_XATTR_WRITE;
	p9_then_done(r, 0, NULL, -1);
}

#define XATTR_REPLACE_FLAG 2

/* An empty value is a value; but Linux removes by creating one of size 0 that replaces, and ACLs by size 0 alone. */
static bool means_removal(const struct fid_xattr *x)
{
	return x->size == 0 &&
	       (x->flags == XATTR_REPLACE_FLAG || strncmp(x->name, "system.posix_acl_", 17) == 0);
}

static void set_xattr(struct p9_req *r)
{
	const struct fid_xattr *x = r->fid->xattr;
	uint64_t nid = r->fid->node->nid;

	p9_changed(r->session->server);
	if (x->used != x->size)
		p9_error(r, -EINVAL);
	else if (means_removal(x))
		p9_call(r, RPC_REMOVEXATTR,
		        &(struct rpc_removexattr_req){.node = nid, .name = wt_str_of(x->name)},
		        p9_then_changed);
	else
		p9_call(r, RPC_SETXATTR,
		        &(struct rpc_setxattr_req){.node = nid,
		                                   .name = wt_str_of(x->name),
		                                   .value = {.data = x->bytes, .size = x->size},
		                                   .flags = x->flags},
		        p9_then_changed);
}

/* The fid is gone whatever is answered. */
void op_clunk(struct p9_req *r, const struct p9_clunk_req *q)
{
	struct fid *f = fid_find(r->session, q->fid);

	if (!f || f->state == FID_PENDING) {
		p9_error(r, -EBADF);
		return;
	}
	fid_hold(f);
	r->fid = f;
	fid_drop(r->session, f);
	if (f->state == FID_XATTR_WRITE && !dnode_live(r->session->server, f->node))
		p9_error(r, -EIO); /* the value went with the helper */
	else if (f->state == FID_XATTR_WRITE)
		set_xattr(r);
	else
		p9_then_done(r, 0, NULL, -1);
}
