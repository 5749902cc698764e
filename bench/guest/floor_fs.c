/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * floor_fs.c: just as much of 9P2000.L as bench/guest/ops.c and a Linux client need, from memory.
 *
 * Nothing is checked that a well-behaved client would not do: this is a figure to compare with, not
 * a server.
 */
#include "bench/guest/floor.h"

#include "wire/p9.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BUCKETS   (1u << 16)
#define FIDS      (1u << 16)
#define NAME_MAX_ 255
/* What our helper gets and gives for a walk of one name, rounded. */
#define HOP_ASKS    64
#define HOP_ANSWERS 160

struct node {
	struct node *next_in_bucket, *next_in_order, *children, *parent;
	uint64_t number, cookie;
	uint32_t mode, uid, gid, version;
	char name[NAME_MAX_ + 1];
	bool linked;
	unsigned fids;
	uint8_t *data;
	uint64_t size, room;
};

static struct node *buckets[BUCKETS];
static struct node *fids[FIDS];
static struct node root = {.number = 1, .mode = S_IFDIR | 0755, .linked = true, .fids = 1};
static uint64_t numbers = 1;
static int hop_sock = -1;

static _Noreturn void give_up(const char *what)
{
	(void)fprintf(stderr, "floor: %s\n", what);
	exit(EXIT_FAILURE);
}

/* What a second process costs, that is asked and answers. */
static void hop(void)
{
	char packet[HOP_ANSWERS] = "";

	if (hop_sock < 0)
		return;
	if (send(hop_sock, packet, HOP_ASKS, 0) != HOP_ASKS ||
	    recv(hop_sock, packet, sizeof(packet), 0) != HOP_ANSWERS)
		give_up("the second process is gone");
}

static unsigned bucket_of(const struct node *parent, const uint8_t *name, size_t size)
{
	uint64_t sum = parent->number * 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ name[i]) * 0x100000001b3u;
	return (unsigned)(sum >> 40) % BUCKETS;
}

static struct node *find(const struct node *parent, const struct wt_str *name)
{
	for (struct node *n = buckets[bucket_of(parent, name->data, name->size)]; n;
	     n = n->next_in_bucket)
		if (n->parent == parent && strlen(n->name) == name->size &&
		    memcmp(n->name, name->data, name->size) == 0)
			return n;
	return NULL;
}

static void link_node(struct node *n, struct node *parent, const struct wt_str *name)
{
	unsigned bucket;

	if (!wt_str_copy(name, n->name, sizeof(n->name)))
		give_up("a name is too long");
	bucket = bucket_of(parent, name->data, name->size);
	n->parent = parent;
	n->cookie = ++numbers;
	n->next_in_bucket = buckets[bucket];
	buckets[bucket] = n;
	n->next_in_order = parent->children;
	parent->children = n;
	n->linked = true;
}

static void free_if_unused(struct node *n)
{
	if (n->linked || n->fids > 0)
		return;
	free(n->data);
	free(n);
}

static void unlink_node(struct node *n)
{
	struct node **p = &buckets[bucket_of(n->parent, (const uint8_t *)n->name, strlen(n->name))];

	while (*p != n)
		p = &(*p)->next_in_bucket;
	*p = n->next_in_bucket;
	for (p = &n->parent->children; *p != n;)
		p = &(*p)->next_in_order;
	*p = n->next_in_order;
	n->linked = false;
}

static struct node *make(struct node *parent, const struct wt_str *name, uint32_t mode)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		give_up("out of memory");
	n->number = ++numbers;
	n->mode = mode;
	link_node(n, parent, name);
	return n;
}

static struct wt_qid qid_of(const struct node *n)
{
	return (struct wt_qid){.type = S_ISDIR(n->mode) ? P9_QTDIR : P9_QTFILE,
	                       .version = n->version + 1,
	                       .path = n->number};
}

static struct node *node_of(uint32_t fid)
{
	return fid < FIDS ? fids[fid] : NULL;
}

static void set_fid(uint32_t fid, struct node *n)
{
	struct node *old = node_of(fid);

	if (fid >= FIDS)
		give_up("more fids than a benchmark needs");
	fids[fid] = n;
	if (n)
		n->fids++;
	if (old) {
		old->fids--;
		free_if_unused(old);
	}
}

static void make_room(struct node *n, uint64_t size)
{
	if (size <= n->room)
		return;
	n->room = size * 2;
	n->data = realloc(n->data, n->room);
	if (!n->data)
		give_up("out of memory");
}

/* ---- the messages: each gets its T-message read and writes what its R-message holds. 0 or an
 * errno. ---- */

#define GET(name, m)                     \
	struct p9_##name##_req m;        \
	if (!p9_##name##_req_get(r, &m)) \
		return EINVAL;
#define PUT(name, ...) \
	(p9_##name##_rep_put(w, &(struct p9_##name##_rep){__VA_ARGS__}) ? 0 : EMSGSIZE)

static int version(struct rd *r, struct wr *w)
{
	GET(version, m)
	for (uint32_t i = 0; i < FIDS; i++)
		set_fid(i, NULL);
	return PUT(version, .msize = m.msize < FLOOR_MSIZE ? m.msize : FLOOR_MSIZE,
	           .version = wt_str_of("9P2000.L"));
}

static int attach(struct rd *r, struct wr *w)
{
	GET(attach, m)
	set_fid(m.fid, &root);
	return PUT(attach, .qid = qid_of(&root));
}

static int walk(struct rd *r, struct wr *w)
{
	struct p9_walk_rep rep = {.qids.count = 0};
	struct node *n;

	GET(walk, m)
	n = node_of(m.fid);
	if (!n)
		return EBADF;
	if (m.names.count > 0)
		hop();
	for (uint16_t i = 0; i < m.names.count; i++) {
		struct node *child = find(n, &m.names.name[i]);

		if (!child)
			break;
		n = child;
		rep.qids.qid[rep.qids.count++] = qid_of(n);
	}
	if (rep.qids.count == 0 && m.names.count > 0)
		return ENOENT;
	if (rep.qids.count == m.names.count)
		set_fid(m.newfid, n);
	return p9_walk_rep_put(w, &rep) ? 0 : EMSGSIZE;
}

static int getattr(struct rd *r, struct wr *w)
{
	struct node *n;

	GET(getattr, m)
	n = node_of(m.fid);
	if (!n)
		return EBADF;
	return PUT(getattr, .valid = P9_STATS_BASIC, .qid = qid_of(n), .mode = n->mode,
	           .uid = n->uid, .gid = n->gid, .nlink = S_ISDIR(n->mode) ? 2 : 1, .size = n->size,
	           .blksize = 4096, .blocks = n->size / 512, .mtime_sec = n->version);
}

static int setattr(struct rd *r, struct wr *w)
{
	struct node *n;

	(void)w;
	GET(setattr, m)
	n = node_of(m.fid);
	if (!n)
		return EBADF;
	hop();
	if (m.valid & 1)
		n->mode = (n->mode & S_IFMT) | (m.mode & 07777);
	if (m.valid & 8) {
		make_room(n, m.size);
		if (m.size > n->size)
			memset(n->data + n->size, 0, m.size - n->size);
		n->size = m.size;
	}
	n->version++;
	return 0;
}

static int lopen(struct rd *r, struct wr *w)
{
	struct node *n;

	GET(lopen, m)
	n = node_of(m.fid);
	if (!n)
		return EBADF;
	hop();
	return PUT(lopen, .qid = qid_of(n));
}

static int lcreate(struct rd *r, struct wr *w)
{
	struct node *n;

	GET(lcreate, m)
	n = node_of(m.fid);
	if (!n)
		return EBADF;
	hop();
	n = make(n, &m.name, S_IFREG | (m.mode & 07777));
	set_fid(m.fid, n);
	return PUT(lcreate, .qid = qid_of(n));
}

static int mkdir_(struct rd *r, struct wr *w)
{
	struct node *n;

	GET(mkdir, m)
	n = node_of(m.dfid);
	if (!n)
		return EBADF;
	hop();
	n = make(n, &m.name, S_IFDIR | (m.mode & 07777));
	return PUT(mkdir, .qid = qid_of(n));
}

static int unlinkat_(struct rd *r, struct wr *w)
{
	struct node *n;

	(void)w;
	GET(unlinkat, m)
	n = node_of(m.dirfid);
	n = n ? find(n, &m.name) : NULL;
	if (!n)
		return ENOENT;
	hop();
	unlink_node(n);
	free_if_unused(n);
	return 0;
}

static int renameat_(struct rd *r, struct wr *w)
{
	struct node *from, *to, *n, *victim;

	(void)w;
	GET(renameat, m)
	from = node_of(m.olddirfid);
	to = node_of(m.newdirfid);
	n = from && to ? find(from, &m.oldname) : NULL;
	if (!n)
		return ENOENT;
	hop();
	victim = find(to, &m.newname);
	if (victim == n)
		return 0;
	if (victim) {
		unlink_node(victim);
		free_if_unused(victim);
	}
	unlink_node(n);
	link_node(n, to, &m.newname);
	return 0;
}

static int read_(struct rd *r, struct wr *w)
{
	const struct node *n;
	uint64_t count;

	GET(read, m)
	n = node_of(m.fid);
	if (!n)
		return EBADF;
	count = m.offset < n->size ? n->size - m.offset : 0;
	if (count > m.count)
		count = m.count;
	return PUT(read, .data = {.data = count > 0 ? n->data + m.offset : NULL, .size = count});
}

static int write_(struct rd *r, struct wr *w)
{
	struct node *n;
	uint64_t end;

	GET(write, m)
	n = node_of(m.fid);
	if (!n)
		return EBADF;
	end = m.offset + m.data.size;
	make_room(n, end);
	if (m.offset > n->size)
		memset(n->data + n->size, 0, m.offset - n->size);
	if (m.data.size > 0)
		memcpy(n->data + m.offset, m.data.data, m.data.size);
	if (end > n->size)
		n->size = end;
	n->version++;
	return PUT(write, .count = (uint32_t)m.data.size);
}

/* The newest entry comes first and has the largest cookie: those after an offset are those below
 * it. */
static int readdir_(struct rd *r, struct wr *w)
{
	static uint8_t entries[FLOOR_MSIZE];
	struct wr out;
	const struct node *dir;

	GET(readdir, m)
	dir = node_of(m.fid);
	if (!dir)
		return EBADF;
	out = wr_over(entries, m.count < sizeof(entries) ? m.count : sizeof(entries));
	for (const struct node *n = dir->children; n; n = n->next_in_order) {
		struct p9_dirent e = {.qid = qid_of(n),
		                      .offset = n->cookie,
		                      .type = S_ISDIR(n->mode) ? 4 : 8,
		                      .name = wt_str_of(n->name)};

		if (m.offset != 0 && n->cookie >= m.offset)
			continue;
		if (out.room - out.used < P9_DIRENT_HEAD + e.name.size || !p9_dirent_put(&out, &e))
			break;
	}
	return PUT(readdir, .entries = {.data = entries, .size = out.used});
}

static int statfs_(struct rd *r, struct wr *w)
{
	GET(statfs, m)
	return PUT(statfs, .type = 0x01021997, .bsize = 4096, .blocks = 1u << 20, .bfree = 1u << 19,
	           .bavail = 1u << 19, .namelen = NAME_MAX_);
}

static int xattrwalk(struct rd *r, struct wr *w)
{
	(void)r, (void)w;
	return ENODATA;
}

static int clunk(struct rd *r, struct wr *w)
{
	(void)w;
	GET(clunk, m)
	if (!node_of(m.fid))
		return EBADF;
	set_fid(m.fid, NULL);
	return 0;
}

static int nothing(struct rd *r, struct wr *w)
{
	(void)r, (void)w;
	return 0;
}

static const struct {
	uint8_t type;
	int (*run)(struct rd *r, struct wr *w);
} handlers[] = {
    {P9_VERSION, version},    {P9_ATTACH, attach},   {P9_WALK, walk},
    {P9_GETATTR, getattr},    {P9_SETATTR, setattr}, {P9_LOPEN, lopen},
    {P9_LCREATE, lcreate},    {P9_MKDIR, mkdir_},    {P9_UNLINKAT, unlinkat_},
    {P9_RENAMEAT, renameat_}, {P9_READ, read_},      {P9_WRITE, write_},
    {P9_READDIR, readdir_},   {P9_STATFS, statfs_},  {P9_XATTRWALK, xattrwalk},
    {P9_CLUNK, clunk},        {P9_FSYNC, nothing},   {P9_FLUSH, nothing},
};

void floor_fs_init(int hop_to)
{
	hop_sock = hop_to;
}

size_t floor_fs_answer(const uint8_t *request, size_t size, uint8_t *reply)
{
	struct rd r = rd_over(request, size);
	struct wr w = wr_over(reply + P9_HEAD_SIZE, FLOOR_MSIZE - P9_HEAD_SIZE), head;
	struct p9_head h = {.size = 0};
	int error = EOPNOTSUPP;

	if (!p9_head_get(&r, &h))
		give_up("a request without a head");
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (handlers[i].type == h.type)
			error = handlers[i].run(&r, &w);
	if (error != 0) {
		w = wr_over(reply + P9_HEAD_SIZE, FLOOR_MSIZE - P9_HEAD_SIZE);
		if (!p9_lerror_rep_put(&w, &(struct p9_lerror_rep){.ecode = (uint32_t)error}))
			give_up("an error without room");
		h.type = P9_LERROR;
	}
	h.size = (uint32_t)(P9_HEAD_SIZE + w.used);
	h.type++;
	head = wr_over(reply, P9_HEAD_SIZE);
	p9_head_put(&head, &h);
	return h.size;
}
