/* SPDX-License-Identifier: GPL-2.0-or-later */
/* op_names.c: messages that make, change and remove names. */
#include "virtio-9p/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_dots(const struct wt_str *name)
{
	return name->size && name->size <= 2 && memcmp(name->data, "..", name->size) == 0;
}

/* A name for what is made or removed; dots: the errno for "." and "..". */
static int check_name(const struct wt_str *name, int dots)
{
	if (wt_name_ok(name))
		return 0;
	if (name->size > WT_NAME_MAX)
		return -ENAMETOOLONG;
	return is_dots(name) ? dots : -ENOENT;
}

/* The fid of a directory to make or remove a name in, open or not. */
static int get_dir(struct p9_req *r, uint32_t number, const struct wt_str *name, int dots)
{
	int e = fid_get(r, number);

	if (e < 0)
		return e;
	if (r->fid->state == FID_XATTR_READ || r->fid->state == FID_XATTR_WRITE)
		return -EINVAL;
	return check_name(name, dots);
}

/* Rsymlink, Rmknod and Rmkdir are a qid each. */
static void made(struct p9_req *r, int error, const struct wt_attr *attr)
{
	struct p9_mkdir_rep a = {0};

	p9_changed(r->session->server);
	if (error == 0 && !qid_of(&r->session->server->qids, attr, &a.qid))
		error = -ENFILE;
	if (error < 0)
		p9_error(r, error);
	else
		p9_reply(r, &a);
}

static void symlink_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	made(r, error, &reply->symlink.attr);
}

static void mknod_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	made(r, error, &reply->mknod.attr);
}

static void mkdir_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	made(r, error, &reply->mkdir.attr);
}

void op_symlink(struct p9_req *r, const struct p9_symlink_req *q)
{
	int e = get_dir(r, q->dfid, &q->name, -EEXIST);

	if (e == 0 && (q->target.size == 0 || q->target.size > WT_TARGET_MAX))
		e = q->target.size ? -ENAMETOOLONG : -ENOENT;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	p9_changed(r->session->server);
	p9_call(r, RPC_SYMLINK,
	        &(struct rpc_symlink_req){.dir = r->fid->node->nid,
	                                  .name = q->name,
	                                  .target = q->target,
	                                  .uid = r->fid->uid,
	                                  .gid = q->gid},
	        symlink_done);
}

void op_mknod(struct p9_req *r, const struct p9_mknod_req *q)
{
	int e = get_dir(r, q->dfid, &q->name, -EEXIST);

	if (e < 0) {
		p9_error(r, e);
		return;
	}
	p9_changed(r->session->server);
	p9_call(r, RPC_MKNOD,
	        &(struct rpc_mknod_req){.dir = r->fid->node->nid,
	                                .name = q->name,
	                                .mode = q->mode,
	                                .major = q->major,
	                                .minor = q->minor,
	                                .uid = r->fid->uid,
	                                .gid = q->gid},
	        mknod_done);
}

void op_mkdir(struct p9_req *r, const struct p9_mkdir_req *q)
{
	int e = get_dir(r, q->dfid, &q->name, -EEXIST);

	if (e < 0) {
		p9_error(r, e);
		return;
	}
	p9_changed(r->session->server);
	p9_call(r, RPC_MKDIR,
	        &(struct rpc_mkdir_req){.dir = r->fid->node->nid,
	                                .name = q->name,
	                                .mode = q->mode,
	                                .uid = r->fid->uid,
	                                .gid = q->gid},
	        mkdir_done);
}

/* The second fid of a message: only its node is needed, for as long as the call. */
static int other_node(struct p9_req *r, uint32_t number, uint64_t *ret_nid)
{
	const struct fid *f = fid_find(r->session, number);

	if (!f || f->state == FID_PENDING || !f->node)
		return -EBADF;
	if (!dnode_live(r->session->server, f->node))
		return -EIO;
	*ret_nid = f->node->nid;
	return 0;
}

void op_link(struct p9_req *r, const struct p9_link_req *q)
{
	struct rpc_link_req link = {.name = q->name};
	int e = get_dir(r, q->dfid, &q->name, -EEXIST);

	if (e == 0)
		e = other_node(r, q->fid, &link.node);
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	link.dir = r->fid->node->nid;
	p9_changed(r->session->server);
	p9_call(r, RPC_LINK, &link, p9_then_changed);
}

void op_renameat(struct p9_req *r, const struct p9_renameat_req *q)
{
	struct rpc_rename_req rename = {.name = q->oldname, .new_name = q->newname};
	int e = get_dir(r, q->olddirfid, &q->oldname, -EBUSY);

	if (e == 0)
		e = check_name(&q->newname, -EBUSY);
	if (e == 0)
		e = other_node(r, q->newdirfid, &rename.new_dir);
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	rename.dir = r->fid->node->nid;
	p9_changed(r->session->server);
	p9_call(r, RPC_RENAME, &rename, p9_then_changed);
}

void op_unlinkat(struct p9_req *r, const struct p9_unlinkat_req *q)
{
	int e = get_dir(r, q->dirfid, &q->name, q->name.size == 1 ? -EINVAL : -ENOTEMPTY);

	if (e == 0 && (q->flags & ~RPC_REMOVE_DIR))
		e = -EINVAL;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	p9_changed(r->session->server);
	p9_call(
	    r, RPC_UNLINK,
	    &(struct rpc_unlink_req){.dir = r->fid->node->nid, .name = q->name, .flags = q->flags},
	    p9_then_changed);
}

/*
 * Tremove and Trename name a file by its fid alone. What is known of its name is where its last walk began and how that
 * went: the directory is walked to again, and the name looked at, before anything is done to it.
 */
static void by_fid_end(struct p9_req *r, int error)
{
	struct p9_server *s = r->session->server;

	dnode_put(s, r->u.names.parent);
	r->u.names.parent = NULL;
	p9_changed(s);
	p9_then_done(r, error, NULL, -1);
}

static void by_fid_done(struct p9_req *r, int error, const union rpc_reply *reply UNUSED,
                        int fd UNUSED)
{
	const struct wt_str *name = &r->u.names.new_name;

	if (error == 0 && !r->u.names.removes)
		fid_name(r->session->server, r->fid, r->newfid_old->node,
		         strndup((const char *)name->data, name->size));
	by_fid_end(r, error);
}

static void by_fid_rename(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	struct p9_server *s = r->session->server;
	const struct wt_attr *attr = &reply->walk.attrs.attr[0];
	bool same;

	if (error < 0) {
		by_fid_end(r, error);
		return;
	}
	same = attr->dev == r->fid->node->dev && attr->ino == r->fid->node->ino;
	s->backend->ops->release(s->backend, reply->walk.node);
	if (!same)
		by_fid_end(r, -ESTALE);
	else
		p9_call(r, RPC_RENAME,
		        &(struct rpc_rename_req){.dir = r->u.names.parent->nid,
		                                 .name = r->u.names.name,
		                                 .new_dir = r->newfid_old->node->nid,
		                                 .new_name = r->u.names.new_name},
		        by_fid_done);
}

/* The directory is there: what is left is the name in it. */
static void by_fid_act(struct p9_req *r)
{
	const struct dnode *n = r->fid->node;
	struct rpc_walk_req q = {.from = r->u.names.parent->nid, .path.count = 1};

	if (r->u.names.removes) {
		p9_call(r, RPC_UNLINK,
		        &(struct rpc_unlink_req){
		            .dir = r->u.names.parent->nid,
		            .name = r->u.names.name,
		            .flags = (n->mode & 0170000) == 0040000 ? RPC_REMOVE_DIR : 0,
		            .dev = n->dev,
		            .ino = n->ino},
		        by_fid_done);
		return;
	}
	q.path.name[0] = r->u.names.name;
	p9_call(r, RPC_WALK, &q, by_fid_rename);
}

static void by_fid_walked(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	const struct rpc_walk_rep *a = &reply->walk;

	if (error == 0 && a->node == 0)
		error = -ENOENT;
	if (error == 0) {
		r->u.names.parent =
		    dnode_new(r->session->server, a->node, &a->attrs.attr[a->attrs.count - 1]);
		if (!r->u.names.parent)
			error = -ENOMEM;
	}
	if (error < 0)
		by_fid_end(r, error);
	else
		by_fid_act(r);
}

/* Splits the fid's path at its slashes; the last name is what it is about. */
static void by_fid_start(struct p9_req *r)
{
	struct rpc_walk_req q = {.path.count = 0};
	const char *at = r->fid->path;

	r->u.names.parent = NULL;
	if (!at || !r->fid->base || !dnode_live(r->session->server, r->fid->base)) {
		by_fid_end(r, -EBUSY); /* the root of an attach has no name */
		return;
	}
	q.from = r->fid->base->nid;
	for (const char *slash; (slash = strchr(at, '/')) && q.path.count < WT_NAMES_MAX;
	     at = slash + 1)
		q.path.name[q.path.count++] =
		    (struct wt_str){.data = (const uint8_t *)at, .size = (size_t)(slash - at)};
	r->u.names.name = wt_str_of(at);
	if (!wt_name_ok(&r->u.names.name)) {
		by_fid_end(r, -EINVAL);
	} else if (q.path.count > 0) {
		p9_call(r, RPC_WALK, &q, by_fid_walked);
	} else {
		r->u.names.parent = dnode_hold(r->fid->base);
		by_fid_act(r);
	}
}

/* The fid is clunked whatever is answered. */
void op_remove(struct p9_req *r, const struct p9_remove_req *q)
{
	int e = fid_get(r, q->fid);

	if (e < 0) {
		p9_error(r, e);
		return;
	}
	fid_drop(r->session, r->fid);
	r->u.names.removes = true;
	by_fid_start(r);
}

void op_rename(struct p9_req *r, const struct p9_rename_req *q)
{
	int e = fid_get(r, q->fid);
	struct fid *dir = fid_find(r->session, q->dfid);

	if (e == 0 && (!dir || dir->state == FID_PENDING || !dir->node))
		e = -EBADF;
	if (e == 0 && !dnode_live(r->session->server, dir->node))
		e = -EIO;
	if (e == 0)
		e = check_name(&q->name, -EBUSY);
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	fid_hold(dir);
	r->newfid_old = dir;
	r->u.names.removes = false;
	r->u.names.new_name = q->name;
	by_fid_start(r);
}
