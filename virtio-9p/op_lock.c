/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * op_lock.c: Tlock and Tgetlock, as locks of the host.
 *
 * A lock's owner is a client's process (client_id, proc_id) on one file, through whatever fids. Each owner has an open
 * file description of its own, and its locks are that one's (OFD locks, fcntl(2)): so owners conflict with each other,
 * with other mounts and with programs of the host, and all goes when the description is closed. It is a duplicate of
 * the fid's where that reads and writes and no other owner has it, else a fresh one from the helper.
 *
 * A lock that has to wait is tried again when another is given up here, and every few milliseconds, because the host
 * tells nobody; its reply waits as long. Linux would ask only every 30 seconds again.
 */
#include "virtio-9p/lock_ranges.h"
#include "virtio-9p/server.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS 20000000

struct lock_owner {
	struct lock_owner *next;
	struct p9_session *session;
	uint64_t dev, ino;
	uint32_t proc_id;
	uint32_t refs; /* fids that use it, and requests */
	int fd;
	bool local; /* as its file's fid */
	struct lock_ranges ranges;
	size_t id_size;
	uint8_t id[];
};

/* A fid's part in an owner. */
struct lock_use {
	struct lock_use *next;
	struct lock_owner *owner;
};

/* ---- owners ---- */

static bool is_owner(const struct lock_owner *o, const struct p9_req *r, uint32_t proc_id,
                     const struct wt_str *id)
{
	return o->session == r->session && o->dev == r->fid->node->dev &&
	       o->ino == r->fid->node->ino && o->proc_id == proc_id && o->id_size == id->size &&
	       (id->size == 0 || memcmp(o->id, id->data, id->size) == 0);
}

static void owner_put(struct p9_server *s, struct lock_owner *o)
{
	struct lock_owner **link = &s->owners;

	if (!o || --o->refs)
		return;
	while (*link != o)
		link = &(*link)->next;
	*link = o->next;
	close_file(s, o->fd, o->local);
	quota_give(&s->quotas, &o->session->used, QUOTA_OPEN_FILES, 1);
	quota_give(&s->quotas, &o->session->used, QUOTA_LOCKS, o->ranges.count);
	lock_ranges_free(&o->ranges);
	free(o);
}

/* Notes that a fid uses an owner. */
static bool use_owner(struct fid *f, struct lock_owner *o)
{
	struct lock_use *u;

	for (u = f->locks; u; u = u->next) {
		if (u->owner == o)
			return true;
	}
	u = malloc(sizeof(*u));
	if (!u)
		return false;
	*u = (struct lock_use){.next = f->locks, .owner = o};
	f->locks = u;
	o->refs++;
	return true;
}

/* fd is the owner's, also on failure. Return: 0 or -errno. */
static int owner_new(struct p9_req *r, uint32_t proc_id, const struct wt_str *id, int fd,
                     struct lock_owner **ret)
{
	struct p9_server *s = r->session->server;
	bool counted = quota_take(&s->quotas, &r->session->used, QUOTA_OPEN_FILES, 1);
	struct lock_owner *o = counted ? malloc(sizeof(*o) + id->size) : NULL;

	if (!o) {
		fd_close(&fd);
		if (counted)
			quota_give(&s->quotas, &r->session->used, QUOTA_OPEN_FILES, 1);
		return counted ? -ENOMEM : -ENOLCK;
	}
	*o = (struct lock_owner){
	    .next = s->owners,
	    .session = r->session,
	    .dev = r->fid->node->dev,
	    .ino = r->fid->node->ino,
	    .proc_id = proc_id,
	    .refs = 1,
	    .fd = fd,
	    .local = r->fid->local,
	    .id_size = id->size,
	};
	if (id->size)
		memcpy(o->id, id->data, id->size);
	s->owners = o;
	*ret = o;
	return 0;
}

void locks_release_fid(struct p9_server *s, struct fid *f)
{
	bool any = f->locks;

	while (f->locks) {
		struct lock_use *u = f->locks;

		f->locks = u->next;
		owner_put(s, u->owner);
		free(u);
	}
	if (any)
		locks_retry(s);
}

/* ---- the host's lock ---- */

static bool range_of(uint64_t start, uint64_t length, struct flock *ret)
{
	if (start > INT64_MAX || length > (uint64_t)INT64_MAX - start)
		return false;
	ret->l_whence = SEEK_SET;
	ret->l_start = (off_t)start;
	ret->l_len = (off_t)length; /* 0: to the end, in both worlds */
	return true;
}

/* Sets or gives up a lock, unless there would be more ranges than may be. */
static int set_lock(struct lock_owner *o, struct flock *l, bool unlock)
{
	const struct lock_range range = {
	    .first = (uint64_t)l->l_start,
	    .last = l->l_len ? (uint64_t)l->l_start + (uint64_t)l->l_len - 1 : UINT64_MAX,
	    .write = l->l_type == F_WRLCK};
	struct quotas *q = &o->session->server->quotas;
	struct quota_use *u = &o->session->used;
	struct lock_ranges new, old = o->ranges;
	uint32_t more;
	int r = lock_ranges_set(&old, &range, unlock, &new);

	if (r < 0)
		return r;
	more = new.count > old.count ? new.count - old.count : 0;
	if (!quota_take(q, u, QUOTA_LOCKS, more)) {
		r = -ENOLCK;
	} else if (fcntl(o->fd, F_OFD_SETLK, l) < 0) {
		r = errno == EACCES ? -EAGAIN : -errno;
		quota_give(q, u, QUOTA_LOCKS, more);
	} else {
		quota_give(q, u, QUOTA_LOCKS, old.count + more - new.count);
		o->ranges = new;
		new = old;
	}
	lock_ranges_free(&new);
	return r;
}

/* Return: 0, -EAGAIN for a conflict, or another -errno. */
static int try_lock(struct lock_owner *o, const struct p9_lock_req *q)
{
	static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	struct flock l = {.l_type = types[q->type]};

	if (!range_of(q->start, q->length, &l))
		return -EINVAL;
	return set_lock(o, &l, q->type == P9_LOCK_TYPE_UNLCK);
}

static void lock_end(struct p9_req *r, int error)
{
	struct p9_server *s = r->session->server;
	struct p9_lock_rep a = {.status = P9_LOCK_SUCCESS};
	bool gave_up = r->u.lock.q.type == P9_LOCK_TYPE_UNLCK;

	owner_put(s, r->u.lock.owner);
	r->u.lock.owner = NULL;
	if (error == -EAGAIN)
		a.status = P9_LOCK_BLOCKED;
	if (error < 0 && error != -EAGAIN)
		p9_error(r, error);
	else
		p9_reply(r, &a);
	if (gave_up)
		locks_retry(s);
}

/* ---- waiting ---- */

static void retry_due(struct loop_timer *t)
{
	locks_retry((struct p9_server *)((char *)t - offsetof(struct p9_server, lock_timer)));
}

void locks_init(struct p9_server *s)
{
	s->lock_timer.due = retry_due;
}

static void wait_for_lock(struct p9_req *r)
{
	struct p9_server *s = r->session->server;
	struct p9_req **link = &s->lock_waiters;

	while (*link)
		link = &(*link)->next_waiter;
	*link = r;
	r->next_waiter = NULL;
	r->waiting_lock = true;
	if (s->lock_waiter_count++ == 0)
		loop_timer_set(s->loop, &s->lock_timer, loop_now() + RETRY_NS);
}

/* Takes a request off the list; its owner is let go too. */
void locks_forget_waiter(struct p9_req *r)
{
	struct p9_server *s = r->session->server;
	struct p9_req **link = &s->lock_waiters;

	while (*link != r)
		link = &(*link)->next_waiter;
	*link = r->next_waiter;
	r->waiting_lock = false;
	s->lock_waiter_count--;
	owner_put(s, r->u.lock.owner);
	r->u.lock.owner = NULL;
}

void locks_retry(struct p9_server *s)
{
	/* In the order they came. Granting one may end others' waits, so the list is looked through anew each time. */
	for (struct p9_req *r = s->lock_waiters; r;) {
		int e = try_lock(r->u.lock.owner, &r->u.lock.q);

		if (e == -EAGAIN) {
			r = r->next_waiter;
			continue;
		}
		r->u.lock.owner->refs++; /* for lock_end() */
		struct lock_owner *o = r->u.lock.owner;

		locks_forget_waiter(r);
		r->u.lock.owner = o;
		lock_end(r, e);
		r = s->lock_waiters;
	}
	loop_timer_set(s->loop, &s->lock_timer, s->lock_waiters ? loop_now() + RETRY_NS : 0);
}

void locks_put_off(struct p9_session *s)
{
	for (struct p9_req *r = s->server->lock_waiters, *next; r; r = next) {
		struct lock_owner *o = r->u.lock.owner;

		next = r->next_waiter;
		if (r->session != s)
			continue;
		o->refs++; /* for lock_end() */
		locks_forget_waiter(r);
		r->u.lock.owner = o;
		lock_end(r, -EAGAIN);
		next = s->server->lock_waiters;
	}
}

/* ---- the messages ---- */

static void lock_on(struct p9_req *r)
{
	const struct p9_lock_req *q = &r->u.lock.q;
	struct p9_server *s = r->session->server;
	/* The fid may be clunked by now, and what it uses given up. */
	int e = !r->fid->listed ? -EBADF : !use_owner(r->fid, r->u.lock.owner) ? -ENOMEM : 0;

	if (e == 0)
		e = try_lock(r->u.lock.owner, q);
	if (e == -EAGAIN && (q->flags & P9_LOCK_FLAGS_BLOCK) &&
	    s->lock_waiter_count < P9_LOCKS_WAIT_MAX && r->fid->listed)
		wait_for_lock(r);
	else
		lock_end(r, e);
}

static void getlock_on(struct p9_req *r)
{
	const struct p9_getlock_req *q = &r->u.getlock.q;
	/* Linux asks with type UNLCK: whether anything is in the way. */
	struct flock l = {.l_type = q->type == P9_LOCK_TYPE_RDLCK ? F_RDLCK : F_WRLCK};
	struct p9_getlock_rep a = {.type = P9_LOCK_TYPE_UNLCK,
	                           .start = q->start,
	                           .length = q->length,
	                           .proc_id = q->proc_id,
	                           .client_id = q->client_id};
	int e = range_of(q->start, q->length, &l) ? 0 : -EINVAL;

	if (e == 0 && fcntl(r->u.getlock.owner->fd, F_OFD_GETLK, &l) < 0)
		e = -errno;
	owner_put(r->session->server, r->u.getlock.owner);
	r->u.getlock.owner = NULL;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	if (l.l_type != F_UNLCK) {
		a.type = l.l_type == F_RDLCK ? P9_LOCK_TYPE_RDLCK : P9_LOCK_TYPE_WRLCK;
		a.start = (uint64_t)l.l_start;
		a.length = (uint64_t)l.l_len;
		a.proc_id = l.l_pid > 0 ? (uint32_t)l.l_pid : 0;
	}
	p9_reply(r, &a);
}

/* What a request needs to know of its owner, for both messages. */
struct lock_subject {
	uint32_t proc_id;
	struct wt_str client_id;
	struct lock_owner **owner;
	void (*go_on)(struct p9_req *r);
};

static struct lock_subject subject_of(struct p9_req *r)
{
	if (r->head.type == P9_LOCK)
		return (struct lock_subject){r->u.lock.q.proc_id, r->u.lock.q.client_id,
		                             &r->u.lock.owner, lock_on};
	return (struct lock_subject){r->u.getlock.q.proc_id, r->u.getlock.q.client_id,
	                             &r->u.getlock.owner, getlock_on};
}

static struct lock_owner *find_owner(const struct p9_req *r, const struct lock_subject *s)
{
	for (struct lock_owner *o = r->session->server->owners; o; o = o->next) {
		if (is_owner(o, r, s->proc_id, &s->client_id))
			return o;
	}
	return NULL;
}

static void fresh_done(struct p9_req *r, int error, const union rpc_reply *reply UNUSED, int fd)
{
	struct lock_subject s = subject_of(r);
	struct lock_owner *o = find_owner(r, &s);

	if (error == 0 && o) {
		/* Another request of the same owner was faster. */
		fd_close(&fd);
		o->refs++;
	} else if (error == 0) {
		error = owner_new(r, s.proc_id, &s.client_id, fd, &o);
	}
	if (error < 0) {
		p9_error(r, error);
		return;
	}
	*s.owner = o;
	s.go_on(r);
}

static void open_again(struct p9_req *r, uint32_t flags, p9_then *then)
{
	p9_call(r, RPC_OPEN, &(struct rpc_open_req){.node = r->fid->node->nid, .flags = flags},
	        then);
}

static void wide_done(struct p9_req *r, int error, const union rpc_reply *reply, int fd)
{
	/* A read-only export, or a program that runs: then as the fid has it. */
	if (error < 0 && !r->gone && dnode_live(r->session->server, r->fid->node))
		open_again(r, r->fid->flags & RPC_O_ACCMODE, fresh_done);
	else
		fresh_done(r, error, reply, fd);
}

/* Finds the owner, or makes it, and goes on. Its descriptor can read and write: the owner may come by another fid next. */
static void with_owner(struct p9_req *r)
{
	struct lock_subject s = subject_of(r);
	struct lock_owner *o = find_owner(r, &s);
	const struct fid *f = r->fid;
	int fd;

	if (o) {
		o->refs++;
		*s.owner = o;
		s.go_on(r);
	} else if (f->locks || (f->flags & RPC_O_ACCMODE) != RPC_O_RDWR) {
		open_again(r, RPC_O_RDWR, wide_done);
	} else {
		fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
		fresh_done(r, fd < 0 ? -errno : 0, NULL, fd);
	}
}

static int get_open_file(struct p9_req *r, uint32_t number)
{
	int e = fid_get(r, number);

	return e < 0 ? e : r->fid->state == FID_FILE ? 0 : -EBADF;
}

/* As fcntl(2): a read lock needs a descriptor that reads, a write lock one that writes. */
static bool mode_allows(const struct fid *f, uint8_t type)
{
	uint32_t mode = f->flags & RPC_O_ACCMODE;

	return type == P9_LOCK_TYPE_UNLCK ||
	       (type == P9_LOCK_TYPE_RDLCK ? mode != RPC_O_WRONLY : mode != 0);
}

void op_lock(struct p9_req *r, const struct p9_lock_req *q)
{
	int e = get_open_file(r, q->fid);

	if (e == 0 && (q->type > P9_LOCK_TYPE_UNLCK ||
	               (q->flags & ~(P9_LOCK_FLAGS_BLOCK | P9_LOCK_FLAGS_RECLAIM))))
		e = -EINVAL;
	if (e == 0 && !mode_allows(r->fid, q->type))
		e = -EBADF;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	r->u.lock.q = *q;
	r->u.lock.owner = NULL;
	with_owner(r);
}

void op_getlock(struct p9_req *r, const struct p9_getlock_req *q)
{
	int e = get_open_file(r, q->fid);

	if (e == 0 && q->type > P9_LOCK_TYPE_UNLCK)
		e = -EINVAL;
	if (e < 0) {
		p9_error(r, e);
		return;
	}
	r->u.getlock.q = *q;
	r->u.getlock.owner = NULL;
	with_owner(r);
}
