/* SPDX-License-Identifier: GPL-2.0-or-later */
/* op_walk.c: Tauth, Tattach, Twalk and Tclunk: how fids come and go. */
#include "virtio-9p/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void op_auth(struct p9_req *r, const struct p9_auth_req *q UNUSED)
{
	p9_error(r, -ENOENT); /* what clients take for "not needed" */
}

/* ---- the walk itself: used by Tattach (with a name) and Twalk ---- */

static void walk_on(struct p9_req *r);

static bool is_name(const struct wt_str *s, const char *text)
{
	return s->size == strlen(text) && memcmp(s->data, text, s->size) == 0;
}

static bool same_place(const struct dnode *a, const struct dnode *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

/* The names from the next on that one WALK can take. */
static uint16_t plain_names(const struct p9_req *r)
{
	const struct wt_names *names = &r->u.walk.names;
	uint16_t from = r->u.walk.qids.count, n = 0;

	while (from + n < names->count && wt_name_ok(&names->name[from + n]))
		n++;
	return n;
}

/* The names from there on with slashes between, for Tremove and Trename, which name a file by its fid alone. */
static char *joined(const struct wt_names *names, uint16_t from)
{
	size_t size = 1;
	char *path, *to;

	for (uint16_t i = from; i < names->count; i++)
		size += names->name[i].size + 1;
	path = to = from < names->count ? malloc(size) : NULL;
	for (uint16_t i = from; path && i < names->count; i++) {
		if (is_name(&names->name[i], "."))
			continue;
		if (to > path)
			*to++ = '/';
		memcpy(to, names->name[i].data, names->name[i].size);
		to += names->name[i].size;
	}
	if (path)
		*to = '\0';
	return path;
}

/* What the fid's name is now: the way from where the walk began, or from where it last went up. */
static void walk_name(struct p9_req *r, struct fid *f, struct dnode *began)
{
	fid_name(r->session->server, f, r->u.walk.up ? r->u.walk.up : began,
	         joined(&r->u.walk.names, r->u.walk.up_at));
}

static void walk_end(struct p9_req *r, int error)
{
	struct p9_server *s = r->session->server;
	struct p9_walk_rep a = {.qids = r->u.walk.qids};
	struct dnode *here = r->u.walk.here, *up = r->u.walk.up;
	bool whole = a.qids.count == r->u.walk.names.count;

	r->u.walk.here = NULL;
	if (error < 0 && a.qids.count == 0) {
		dnode_put(s, up);
		dnode_put(s, here);
		p9_error(r, error);
		return;
	}
	if (whole && r->newfid_old) {
		/* newfid is fid: it moves, unless it was opened meanwhile. */
		struct fid *f = r->newfid_old;

		if (f->state != FID_WALKED) {
			dnode_put(s, up);
			dnode_put(s, here);
			p9_error(r, -EINVAL);
			return;
		}
		if (a.qids.count > 0)
			walk_name(r, f, f->node);
		dnode_put(s, f->node);
		f->node = dnode_hold(here);
	} else if (whole) {
		fid_become(r->newfid, here, r->fid);
		if (r->fid && a.qids.count > 0)
			walk_name(r, r->newfid, r->fid->node);
		else if (r->fid)
			fid_name(s, r->newfid, r->fid->base,
			         r->fid->path ? strdup(r->fid->path) : NULL);
	}
	dnode_put(s, up);
	dnode_put(s, here);
	p9_reply(r, &a);
}

/* Notes a step's end: here is where the walk stands now, with these attributes. */
static bool walk_step(struct p9_req *r, const struct wt_attr *attr)
{
	struct wt_qids *qids = &r->u.walk.qids;

	return qid_of(&r->session->server->qids, attr, &qids->qid[qids->count++]);
}

static void walk_stand_on(struct p9_req *r, uint64_t nid, const struct wt_attr *attr)
{
	struct p9_server *s = r->session->server;
	struct dnode *n = dnode_new(s, nid, attr);

	dnode_put(s, r->u.walk.here);
	r->u.walk.here = n;
	if (n && r->u.walk.changes == s->changes)
		recent_put(s, n, attr, s->changes);
}

/* What the names before said is no way to a file below here any more. */
static void walk_went_up(struct p9_req *r)
{
	dnode_put(r->session->server, r->u.walk.up);
	r->u.walk.up = dnode_hold(r->u.walk.here);
	r->u.walk.up_at = r->u.walk.qids.count;
}

static void walk_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	const struct rpc_walk_rep *a = &reply->walk;

	if (error < 0) {
		walk_end(r, error);
		return;
	}
	for (uint16_t i = 0; i < a->attrs.count && i < r->u.walk.asked; i++) {
		if (!walk_step(r, &a->attrs.attr[i])) {
			r->session->server->backend->ops->release(r->session->server->backend,
			                                          a->node);
			walk_end(r, -ENFILE);
			return;
		}
	}
	if (a->attrs.count < r->u.walk.asked || a->node == 0) {
		walk_end(r, -ENOENT);
		return;
	}
	walk_stand_on(r, a->node, &a->attrs.attr[a->attrs.count - 1]);
	walk_on(r);
}

static void parent_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	if (error < 0 || !walk_step(r, &reply->parent.attr)) {
		walk_end(r, error < 0 ? error : -ENFILE);
		return;
	}
	walk_stand_on(r, reply->parent.parent, &reply->parent.attr);
	walk_went_up(r);
	walk_on(r);
}

static void stay_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd UNUSED)
{
	if (error == 0 && !S_ISDIR(reply->getattr.attr.mode))
		error = -ENOTDIR;
	if (error < 0 || !walk_step(r, &reply->getattr.attr)) {
		walk_end(r, error < 0 ? error : -ENFILE);
		return;
	}
	if (!is_name(&r->u.walk.names.name[r->u.walk.qids.count - 1], "."))
		walk_went_up(r); /* at the top, where that is no step */
	walk_on(r);
}

/* Goes on with the next names, as many as one call takes. */
static void walk_on(struct p9_req *r)
{
	const struct wt_names *names = &r->u.walk.names;
	const struct wt_str *name = &names->name[r->u.walk.qids.count];
	struct dnode *here = r->u.walk.here;
	const struct dnode *top = r->fid ? r->fid->top : here;

	if (!here) {
		walk_end(r, -ENOMEM);
		return;
	}
	if (r->u.walk.qids.count == names->count) {
		walk_end(r, 0);
		return;
	}
	r->u.walk.changes = r->session->server->changes;
	r->u.walk.asked = plain_names(r);
	if (r->u.walk.asked > 0) {
		struct rpc_walk_req q = {.from = here->nid, .path.count = r->u.walk.asked};

		memcpy(q.path.name, name, r->u.walk.asked * sizeof(*name));
		p9_call(r, RPC_WALK, &q, walk_done);
	} else if (is_name(name, "..") && !same_place(here, top)) {
		p9_call(r, RPC_PARENT, &(struct rpc_parent_req){.node = here->nid}, parent_done);
	} else if (is_name(name, ".") || is_name(name, "..")) {
		p9_call(r, RPC_GETATTR, &(struct rpc_getattr_req){.node = here->nid}, stay_done);
	} else {
		walk_end(r, name->size > WT_NAME_MAX ? -ENAMETOOLONG : -ENOENT);
	}
}

void op_walk(struct p9_req *r, const struct p9_walk_req *q)
{
	struct p9_session *s = r->session;
	int e = fid_get(r, q->fid);

	if (e == 0 &&
	    (!r->fid->node || r->fid->state == FID_XATTR_READ || r->fid->state == FID_XATTR_WRITE))
		e = -EINVAL;
	if (e == 0 && q->newfid == q->fid) {
		if (r->fid->state != FID_WALKED)
			e = -EINVAL;
		r->newfid_old = r->fid;
		fid_hold(r->fid);
	} else if (e == 0) {
		e = fid_new(s, q->newfid, &r->newfid);
		if (e == 0)
			fid_hold(r->newfid);
	}
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	r->u.walk.names = q->names;
	r->u.walk.qids.count = 0;
	r->u.walk.up = NULL;
	r->u.walk.up_at = 0;
	r->u.walk.here = dnode_hold(r->fid->node);
	walk_on(r);
}

/* ---- attaching ---- */

static void attach_end(struct p9_req *r, const struct wt_attr *attr, struct dnode *node)
{
	struct p9_attach_rep a = {0};

	if (!qid_of(&r->session->server->qids, attr, &a.qid)) {
		p9_error(r, -ENFILE);
		return;
	}
	fid_become(r->newfid, node, NULL);
	p9_reply(r, &a);
}

static void attach_root_done(struct p9_req *r, int error, const union rpc_reply *reply,
                             int fd UNUSED)
{
	if (error < 0)
		p9_error(r, error);
	else
		attach_end(r, &reply->getattr.attr, r->session->server->root);
}

static void attach_walk_done(struct p9_req *r, int error, const union rpc_reply *reply,
                             int fd UNUSED)
{
	const struct rpc_walk_rep *a = &reply->walk;
	struct p9_server *s = r->session->server;
	struct dnode *n;

	if (error == 0 && a->node == 0)
		error = -ENOENT;
	if (error < 0) {
		p9_error(r, error);
		return;
	}
	n = dnode_new(s, a->node, &a->attrs.attr[a->attrs.count - 1]);
	if (!n)
		p9_error(r, -ENOMEM);
	else if (!S_ISDIR(n->mode))
		p9_error(r, -ENOTDIR);
	else
		attach_end(r, &a->attrs.attr[a->attrs.count - 1], n);
	dnode_put(s, n);
}

/* "a//b/" is a, b. Return: false for more names than a walk takes, and for what is no name. */
static bool split(const struct wt_str *path, struct wt_names *ret)
{
	const uint8_t *at = path->data, *end = at ? at + path->size : NULL;

	ret->count = 0;
	while (at < end) {
		const uint8_t *slash = memchr(at, '/', (size_t)(end - at));
		struct wt_str name = {.data = at, .size = (size_t)((slash ? slash : end) - at)};

		at = slash ? slash + 1 : end;
		if (name.size == 0)
			continue;
		if (ret->count == WT_NAMES_MAX || !wt_name_ok(&name))
			return false;
		ret->name[ret->count++] = name;
	}
	return true;
}

void op_attach(struct p9_req *r, const struct p9_attach_req *q)
{
	struct p9_server *s = r->session->server;
	struct rpc_walk_req walk = {.from = s->root->nid};
	int e = q->afid == P9_NOFID ? fid_new(r->session, q->fid, &r->newfid) : -EINVAL;

	if (e == 0) {
		fid_hold(r->newfid);
		r->newfid->uid =
		    q->n_uname == P9_NONUNAME && is_name(&q->uname, "root") ? 0 : q->n_uname;
		if (!split(&q->aname, &walk.path))
			e = -ENOENT;
	}
	if (e < 0)
		p9_error(r, e);
	else if (walk.path.count > 0)
		p9_call(r, RPC_WALK, &walk, attach_walk_done);
	else
		p9_call(r, RPC_GETATTR, &(struct rpc_getattr_req){.node = s->root->nid},
		        attach_root_done);
}
