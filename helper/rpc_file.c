/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rpc_file.c: requests that find, open and read. */
#include "helper/rpc_ops.h"

#include "common/cleanup.h"
#include "helper/cred.h"
#include "helper/node.h"
#include "helper/nodes.h"
#include "helper/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A name that exists at one look and not at the next is tried again so often. */
#define CREATE_TRIES 8

struct fname fname_of(const struct wt_str *name)
{
	struct fname n;

	if (!wt_str_copy(name, n.text, sizeof(n.text)))
		n.text[0] = '\0'; /* the kernel refuses the empty name */
	return n;
}

int rpc_answer_hello(struct rpc_call *c, const struct rpc_hello_req *q, struct rpc_hello_rep *a)
{
	int root = -1;
	int r = node_child(c->x->root, ".", &root);

	if (r == 0)
		r = node_attr(root, &a->attr);
	if (r == 0 && q->version != RPC_VERSION)
		r = -EPROTONOSUPPORT;
	if (r < 0) {
		fd_close(&root);
		return r;
	}
	a->version = RPC_VERSION;
	a->packet_max = RPC_PACKET_MAX;
	a->calls_max = RPC_CALLS_MAX;
	a->nodes_max = nodes_most();
	a->flags =
	    (c->x->readonly ? RPC_EXPORT_READONLY : 0) | (c->x->is_local ? RPC_EXPORT_LOCAL : 0) |
	    (c->x->is_memory ? RPC_EXPORT_MEMORY : 0) | (c->x->is_mapped ? RPC_EXPORT_MAPPED : 0);
	return nodes_add(root, NODE_FILE, &a->root);
}

int rpc_answer_nothing(struct rpc_call *c UNUSED, const struct rpc_nothing_req *q UNUSED,
                       struct rpc_nothing_rep *a UNUSED)
{
	return 0;
}

int rpc_answer_place(struct rpc_call *c UNUSED, const struct rpc_place_req *q,
                     struct rpc_place_rep *a UNUSED)
{
	return place_ask(q->cpu);
}

/* One step of a walk: here becomes the child, and its attributes are noted. */
static int step(int from, int *here, const struct wt_str *name, struct wt_attr *ret)
{
	const struct fname n = fname_of(name);
	int next = -1;
	int r = node_child(*here >= 0 ? *here : from, n.text, &next);

	if (r < 0)
		return r;
	fd_close(here);
	*here = next;
	return node_attr(next, ret);
}

int rpc_answer_walk(struct rpc_call *c UNUSED, const struct rpc_walk_req *q, struct rpc_walk_rep *a)
{
	AUTO_NODE struct node_use from = NODE_USE_NONE;
	AUTO_CLOSE int here = -1;
	int r = nodes_use(q->from, NODE_FILE, &from);

	a->node = 0;
	if (r < 0)
		return r;
	for (a->attrs.count = 0; a->attrs.count < q->path.count; a->attrs.count++) {
		r = step(from.fd, &here, &q->path.name[a->attrs.count],
		         &a->attrs.attr[a->attrs.count]);
		/* Only a failure of the first name is the walk's; later ones show in how far it
		 * came. */
		if (r < 0)
			return a->attrs.count == 0 ? r : 0;
	}
	if (here < 0)
		return -EINVAL;
	return nodes_add(fd_steal(&here), NODE_FILE, &a->node);
}

int rpc_answer_parent(struct rpc_call *c, const struct rpc_parent_req *q, struct rpc_parent_rep *a)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	AUTO_CLOSE int up = -1;
	int r = nodes_use(q->node, NODE_FILE, &node);

	if (r == 0)
		r = node_parent(c->x, node.fd, &up);
	if (r == 0)
		r = node_attr(up, &a->attr);
	return r < 0 ? r : nodes_add(fd_steal(&up), NODE_FILE, &a->parent);
}

/* ---- opening ---- */

static int host_flags(const struct export *x, uint32_t flags, int *ret)
{
	static const struct {
		uint32_t rpc;
		int host;
	} bits[] = {
	    {RPC_O_TRUNC, O_TRUNC},         {RPC_O_APPEND, O_APPEND}, {RPC_O_NONBLOCK, O_NONBLOCK},
	    {RPC_O_DIRECTORY, O_DIRECTORY}, {RPC_O_SYNC, O_SYNC},     {RPC_O_DSYNC, O_DSYNC},
	    {RPC_O_NOATIME, O_NOATIME},
	};
	static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR};
	uint32_t mode = flags & RPC_O_ACCMODE;

	if (mode == RPC_O_ACCMODE)
		return -EINVAL;
	if (x->readonly && (mode != 0 || (flags & RPC_O_TRUNC)))
		return -EROFS;
	*ret = modes[mode];
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		if ((flags & bits[i].rpc) == bits[i].rpc)
			*ret |= bits[i].host;
	}
	return 0;
}

/* Opens a regular file, and nothing else: the descriptor goes to the device. */
static int open_regular(const struct export *x, int node, int flags, struct wt_attr *ret,
                        int *ret_fd)
{
	int r = node_attr(node, ret);

	if (r < 0)
		return r;
	switch (ret->mode & S_IFMT) {
	case S_IFREG:
		return node_reopen(x, node, flags, ret_fd);
	case S_IFDIR:
		return -EISDIR;
	case S_IFLNK:
		return -ELOOP;
	default:
		return -ENXIO;
	}
}

int rpc_answer_open(struct rpc_call *c, const struct rpc_open_req *q, struct rpc_open_rep *a)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	int flags = 0;
	int r = host_flags(c->x, q->flags, &flags);

	if (r == 0)
		r = nodes_use(q->node, NODE_FILE, &node);
	if (r == 0)
		r = open_regular(c->x, node.fd, flags, &a->attr, &c->fd);
	/* A truncation shows in the attributes. */
	if (r == 0 && (flags & O_TRUNC))
		r = node_attr(node.fd, &a->attr);
	return r;
}

/* As legacy_file.c's open_existing(): nobody has checked a permission. */
static int open_existing(struct rpc_call *c, int dir, const char *name,
                         const struct rpc_create_req *q, int flags, struct wt_attr *ret)
{
	AUTO_CRED struct cred_scope scope = CRED_NONE;
	AUTO_CLOSE int node = -1;
	int r = cred_enter(&scope, q->uid, q->gid, CRED_STRICT);

	if (r == 0)
		r = node_child(dir, name, &node);
	return r < 0 ? r : open_regular(c->x, node, flags, ret, &c->fd);
}

static int create_new(struct rpc_call *c, int dir, const char *name, const struct rpc_create_req *q,
                      int flags)
{
	AUTO_CRED struct cred_scope scope = CRED_NONE;
	struct place place = {.dir = dir, .owned = -1};
	int r = cred_enter(&scope, q->uid, q->gid, CRED_OVERRIDE);

	(void)snprintf(place.name, sizeof(place.name), "%s", name);
	return r < 0 ? r : node_create(&place, flags, q->mode & 07777, &c->fd);
}

static int create(struct rpc_call *c, int dir, const struct rpc_create_req *q, int flags,
                  struct wt_attr *ret)
{
	const struct fname name = fname_of(&q->name);
	int r = -EEXIST;

	for (int i = 0; i < CREATE_TRIES; i++) {
		r = create_new(c, dir, name.text, q, flags & ~O_DIRECTORY);
		if (r == 0)
			return 0;
		if (r != -EEXIST || (q->flags & RPC_O_EXCL))
			return r;
		r = open_existing(c, dir, name.text, q, flags, ret);
		if (r != -ENOENT)
			return r;
	}
	return -EEXIST;
}

int rpc_answer_create(struct rpc_call *c, const struct rpc_create_req *q, struct rpc_create_rep *a)
{
	AUTO_NODE struct node_use dir = NODE_USE_NONE;
	AUTO_CLOSE int node = -1;
	int flags = 0;
	int r = host_flags(c->x, q->flags, &flags);

	if (r == 0)
		r = nodes_use(q->dir, NODE_FILE, &dir);
	if (r == 0)
		r = create(c, dir.fd, q, flags, &a->attr);
	if (r == 0)
		r = node_attr(c->fd, &a->attr);
	if (r == 0)
		r = node_path_of(c->x, c->fd, &node);
	return r < 0 ? r : nodes_add(fd_steal(&node), NODE_FILE, &a->node);
}

int rpc_answer_fsync(struct rpc_call *c, const struct rpc_fsync_req *q,
                     struct rpc_fsync_rep *a UNUSED)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	AUTO_CLOSE int fd = -1;
	int r = nodes_use(q->node, NODE_FILE, &node);

	if (r == 0)
		r = node_reopen(c->x, node.fd, O_RDONLY | O_NONBLOCK, &fd);
	if (r < 0)
		return r;
	return (q->datasync ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
}

/* ---- directories ---- */

int rpc_answer_opendir(struct rpc_call *c, const struct rpc_opendir_req *q,
                       struct rpc_opendir_rep *a)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	AUTO_CLOSE int fd = -1;
	int r = nodes_use(q->node, NODE_FILE, &node);

	if (r == 0)
		r = node_attr(node.fd, &a->attr);
	if (r == 0)
		r = node_reopen(c->x, node.fd, O_RDONLY | O_DIRECTORY, &fd);
	return r < 0 ? r : nodes_add(fd_steal(&fd), NODE_STREAM, &a->stream);
}

/* Reads the kernel's entries from offset on. Return: their bytes, or -errno. */
static ssize_t read_entries(const struct node_use *stream, uint64_t offset, void *buffer,
                            size_t size)
{
	ssize_t n = -1;

	nodes_lock_stream(stream);
	if (lseek(stream->fd, (off_t)offset, SEEK_SET) >= 0)
		n = syscall(SYS_getdents64, stream->fd, buffer, size);
	if (n < 0)
		n = -errno;
	nodes_unlock_stream(stream);
	return n;
}

/* One of the kernel's entries (getdents64(2)): ino[8] off[8] reclen[2] type[1] and a name ended by
 * NUL. */
static bool take_entry(struct rd *r, struct rpc_dirent *ret)
{
	size_t left = r->left;
	uint16_t size;
	const uint8_t *rest, *nul;

	ret->ino = rd_host64(r);
	ret->offset = rd_host64(r);
	size = rd_host16(r);
	ret->type = rd_u8(r);
	rest = rd_bytes(r, size - (left - r->left));
	nul = rest ? memchr(rest, 0, size - 19u) : NULL;
	if (!nul)
		return false;
	ret->name = (struct wt_str){.data = rest, .size = (size_t)(nul - rest)};
	return true;
}

int rpc_answer_readdir(struct rpc_call *c, const struct rpc_readdir_req *q,
                       struct rpc_readdir_rep *a)
{
	AUTO_NODE struct node_use stream = NODE_USE_NONE;
	size_t size = q->size < sizeof(c->dents) ? q->size : sizeof(c->dents);
	struct wr w = wr_over(c->bytes, sizeof(c->bytes));
	struct rpc_dirent e;
	struct rd r;
	ssize_t n;
	int error = nodes_use(q->stream, NODE_STREAM, &stream);

	if (error < 0)
		return error;
	if (q->offset > INT64_MAX)
		return -EINVAL;
	n = read_entries(&stream, q->offset, c->dents, size);
	if (n < 0)
		return (int)n;
	/* Ours are shorter than the kernel's: what was read fits. */
	r = rd_over(c->dents, (size_t)n);
	while (r.left > 0 && take_entry(&r, &e)) {
		if (!rpc_dirent_put(&w, &e))
			return -EIO;
	}
	a->entries = (struct wt_str){.data = c->bytes, .size = w.used};
	return 0;
}

int rpc_answer_release(struct rpc_call *c UNUSED, const struct rpc_release_req *q,
                       struct rpc_release_rep *a UNUSED)
{
	for (uint16_t i = 0; i < q->nodes.count; i++)
		nodes_release(q->nodes.nid[i]);
	return 0;
}
