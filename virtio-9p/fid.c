/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fid.c: the table of a session's fids, the nodes they hold, and the attributes that walks brought. */
#include "virtio-9p/server.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdlib.h>

#define BUCKETS_FIRST 64
#define RECENT_LIFE_NS \
	2000000 /* one operation of a client; longer and a host's change might go unseen */

/* ---- nodes ---- */

struct dnode *dnode_new(struct p9_server *s, uint64_t nid, const struct wt_attr *attr)
{
	struct dnode *n = malloc(sizeof(*n));

	if (!n) {
		s->backend->ops->release(s->backend, nid);
		return NULL;
	}
	*n = (struct dnode){.nid = nid,
	                    .dev = attr->dev,
	                    .ino = attr->ino,
	                    .mode = attr->mode,
	                    .refs = 1,
	                    .epoch = s->epoch};
	return n;
}

struct dnode *dnode_hold(struct dnode *n)
{
	if (n)
		n->refs++;
	return n;
}

bool dnode_live(const struct p9_server *s, const struct dnode *n)
{
	return n->epoch == s->epoch;
}

void dnode_put(struct p9_server *s, struct dnode *n)
{
	if (!n || --n->refs)
		return;
	if (dnode_live(s, n))
		s->backend->ops->release(s->backend, n->nid);
	recent_forget(s, n);
	free(n);
}

/* ---- attributes ---- */

static struct recent_attr *recent_slot(struct p9_server *s, const struct dnode *n)
{
	return &s->recent[((uintptr_t)n >> 5) % P9_RECENT];
}

void recent_put(struct p9_server *s, const struct dnode *n, const struct wt_attr *attr,
                uint64_t changes)
{
	*recent_slot(s, n) = (struct recent_attr){
	    .node = n, .until_ns = loop_now() + RECENT_LIFE_NS, .changes = changes, .attr = *attr};
}

bool recent_get(struct p9_server *s, const struct dnode *n, struct wt_attr *ret)
{
	const struct recent_attr *r = recent_slot(s, n);

	if (r->node != n || r->changes != s->changes || loop_now() > r->until_ns)
		return false;
	*ret = r->attr;
	return true;
}

void recent_forget(struct p9_server *s, const struct dnode *n)
{
	struct recent_attr *r = recent_slot(s, n);

	if (r->node == n)
		r->node = NULL;
}

/* ---- fids ---- */

static struct fid **bucket_of(const struct p9_session *s, uint32_t number)
{
	return &s->buckets[(number * 2654435761u) & (s->bucket_count - 1)];
}

static bool grow(struct p9_session *s)
{
	uint32_t before = s->bucket_count, count = before ? 2 * before : BUCKETS_FIRST;
	struct fid **old = s->buckets, **new = calloc(count, sizeof(struct fid *));

	if (!new)
		return before > 0; /* longer lists do as well */
	s->buckets = new;
	s->bucket_count = count;
	for (uint32_t i = 0; i < before; i++) {
		for (struct fid *f = old[i], *next; f; f = next) {
			struct fid **b = bucket_of(s, f->number);

			next = f->next;
			f->next = *b;
			*b = f;
		}
	}
	free(old);
	return true;
}

struct fid *fid_find(struct p9_session *s, uint32_t number)
{
	if (!s->buckets)
		return NULL;
	for (struct fid *f = *bucket_of(s, number); f; f = f->next) {
		if (f->number == number)
			return f;
	}
	return NULL;
}

int fid_get(struct p9_req *req, uint32_t number)
{
	struct fid *f = fid_find(req->session, number);

	if (!f || f->state == FID_PENDING)
		return -EBADF;
	if (f->node && !dnode_live(req->session->server, f->node))
		return -EIO;
	fid_hold(f);
	req->fid = f;
	return 0;
}

int fid_new(struct p9_session *s, uint32_t number, struct fid **ret)
{
	struct fid *f, **b;

	if (number == P9_NOFID || fid_find(s, number))
		return -EINVAL;
	if (s->fid_count >= s->bucket_count && !grow(s))
		return -ENOMEM;
	if (!quota_take(&s->server->quotas, &s->used, QUOTA_FIDS, 1))
		return -EMFILE;
	f = malloc(sizeof(*f));
	if (!f) {
		quota_give(&s->server->quotas, &s->used, QUOTA_FIDS, 1);
		return -ENOMEM;
	}
	*f = (struct fid){
	    .number = number, .refs = 1, .listed = true, .fd = -1, .state = FID_PENDING};
	b = bucket_of(s, number);
	f->next = *b;
	*b = f;
	s->fid_count++;
	*ret = f;
	return 0;
}

void fid_become(struct fid *f, struct dnode *node, const struct fid *parent)
{
	f->node = dnode_hold(node);
	f->top = dnode_hold(parent ? parent->top : node);
	f->uid = parent ? parent->uid : f->uid;
	f->state = FID_WALKED;
}

void fid_name(struct p9_server *s, struct fid *f, struct dnode *base, char *path)
{
	struct dnode *old = f->base;

	f->base = dnode_hold(base);
	dnode_put(s, old);
	free(f->path);
	f->path = path;
}

int fid_count_open(struct p9_session *s, struct fid *f)
{
	f->counted = quota_take(&s->server->quotas, &s->used, QUOTA_OPEN_FILES, 1);
	return f->counted ? 0 : -EMFILE;
}

void fid_uncount(struct p9_session *s, struct fid *f)
{
	if (f->counted)
		quota_give(&s->server->quotas, &s->used, QUOTA_OPEN_FILES, 1);
	f->counted = false;
}

void fid_hold(struct fid *f)
{
	f->refs++;
}

void fid_put(struct p9_session *s, struct fid *f)
{
	struct p9_server *server = s->server;

	if (!f || --f->refs)
		return;
	fid_uncount(s, f);
	if (f->fd >= 0)
		close_file(server, f->fd, f->local);
	if (f->stream && f->node && dnode_live(server, f->node))
		server->backend->ops->release(server->backend, f->stream);
	if (f->xattr) {
		quota_give(&server->quotas, &s->used, QUOTA_XATTR_BYTES, f->xattr->size);
		free(f->xattr->bytes);
		free(f->xattr);
	}
	dnode_put(server, f->node);
	dnode_put(server, f->top);
	dnode_put(server, f->base);
	free(f->path);
	free(f);
}

void fid_drop(struct p9_session *s, struct fid *f)
{
	struct fid **link = bucket_of(s, f->number);

	if (!f->listed)
		return;
	while (*link != f)
		link = &(*link)->next;
	*link = f->next;
	f->listed = false;
	s->fid_count--;
	quota_give(&s->server->quotas, &s->used, QUOTA_FIDS, 1);
	locks_release_fid(s->server, f);
	fid_put(s, f);
}

void fid_drop_all(struct p9_session *s)
{
	for (uint32_t i = 0; i < s->bucket_count; i++) {
		while (s->buckets[i])
			fid_drop(s, s->buckets[i]);
	}
	free(s->buckets);
	s->buckets = NULL;
	s->bucket_count = 0;
}
