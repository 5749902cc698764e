/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rpc_attr.c: requests that read and change attributes. */
#include "helper/rpc_ops.h"

#include "helper/node.h"
#include "helper/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

int rpc_answer_getattr(struct rpc_call *c UNUSED, const struct rpc_getattr_req *q,
                       struct rpc_getattr_rep *a)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	int r = nodes_use(q->node, NODE_FILE, &node);

	return r < 0 ? r : node_attr(node.fd, &a->attr);
}

static struct timespec time_to_set(uint32_t valid, uint32_t set, uint32_t then,
                                   const struct wt_time *t)
{
	if (!(valid & set))
		return (struct timespec){.tv_nsec = UTIME_OMIT};
	if (!(valid & then))
		return (struct timespec){.tv_nsec = UTIME_NOW};
	return (struct timespec){.tv_sec = t->sec, .tv_nsec = t->nsec};
}

/*
 * In the order that leaves what was asked for: an owner's change takes set-id bits away, so the
 * mode comes after it, and a truncation sets times.
 */
static int set(const struct export *x, int node, const struct rpc_setattr_req *q)
{
	const struct timespec times[2] = {
	    time_to_set(q->valid, RPC_SET_ATIME, RPC_SET_ATIME_THEN, &q->atime),
	    time_to_set(q->valid, RPC_SET_MTIME, RPC_SET_MTIME_THEN, &q->mtime),
	};
	int r = 0;

	/* The time of change alone is what a change of owner to the same one sets. */
	if ((q->valid & (RPC_SET_UID | RPC_SET_GID)) || q->valid == RPC_SET_CTIME) {
		uid_t uid = q->valid & RPC_SET_UID ? q->uid : (uid_t)-1;
		gid_t gid = q->valid & RPC_SET_GID ? q->gid : (gid_t)-1;

		if (fchownat(node, "", uid, gid, AT_EMPTY_PATH) < 0)
			return -errno;
	}
	if (q->valid & RPC_SET_MODE)
		r = node_chmod(x, node, q->mode & 07777);
	if (r == 0 && (q->valid & RPC_SET_SIZE))
		r = q->size > INT64_MAX ? -EFBIG : node_truncate(x, node, (off_t)q->size);
	if (r == 0 && (q->valid & (RPC_SET_ATIME | RPC_SET_MTIME)))
		r = node_utimes(x, node, times);
	return r;
}

int rpc_answer_setattr(struct rpc_call *c, const struct rpc_setattr_req *q,
                       struct rpc_setattr_rep *a UNUSED)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	int r = nodes_use(q->node, NODE_FILE, &node);

	return r < 0 ? r : set(c->x, node.fd, q);
}

int rpc_answer_statfs(struct rpc_call *c UNUSED, const struct rpc_statfs_req *q,
                      struct rpc_statfs_rep *a)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	struct statfs fs;
	int r = nodes_use(q->node, NODE_FILE, &node);

	if (r < 0)
		return r;
	if (fstatfs(node.fd, &fs) < 0)
		return -errno;
	a->type = (uint32_t)fs.f_type;
	a->bsize = (uint32_t)fs.f_bsize;
	a->blocks = fs.f_blocks;
	a->bfree = fs.f_bfree;
	a->bavail = fs.f_bavail;
	a->files = fs.f_files;
	a->ffree = fs.f_ffree;
	a->fsid = (uint32_t)fs.f_fsid.__val[0] | (uint64_t)(uint32_t)fs.f_fsid.__val[1] << 32;
	a->namelen = (uint32_t)fs.f_namelen;
	return 0;
}

/* ---- extended attributes ---- */

struct xname {
	char text[WT_XNAME_MAX + 1];
};

static bool xname_of(const struct wt_str *name, struct xname *ret)
{
	return wt_str_copy(name, ret->text, sizeof(ret->text));
}

static size_t ask_size(const struct rpc_call *c, uint32_t wanted)
{
	return wanted < sizeof(c->bytes) ? wanted : sizeof(c->bytes);
}

/* size 0 asks for the length alone. */
static int answer_bytes(struct rpc_call *c, ssize_t n, uint32_t wanted, uint32_t *ret_length,
                        struct wt_str *ret)
{
	if (n < 0)
		return (int)n;
	*ret_length = (uint32_t)n;
	*ret = (struct wt_str){.data = c->bytes, .size = wanted ? (size_t)n : 0};
	return 0;
}

int rpc_answer_getxattr(struct rpc_call *c, const struct rpc_getxattr_req *q,
                        struct rpc_getxattr_rep *a)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	struct xname name;
	int r = nodes_use(q->node, NODE_FILE, &node);

	if (r < 0)
		return r;
	if (!xname_of(&q->name, &name))
		return -ERANGE;
	return answer_bytes(c, node_getxattr(node.fd, name.text, c->bytes, ask_size(c, q->size)),
	                    q->size, &a->length, &a->value);
}

int rpc_answer_listxattr(struct rpc_call *c, const struct rpc_listxattr_req *q,
                         struct rpc_listxattr_rep *a)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	int r = nodes_use(q->node, NODE_FILE, &node);

	if (r < 0)
		return r;
	return answer_bytes(c, node_listxattr(node.fd, (char *)c->bytes, ask_size(c, q->size)),
	                    q->size, &a->length, &a->names);
}

int rpc_answer_setxattr(struct rpc_call *c UNUSED, const struct rpc_setxattr_req *q,
                        struct rpc_setxattr_rep *a UNUSED)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	struct xname name;
	int r = nodes_use(q->node, NODE_FILE, &node);

	if (r < 0)
		return r;
	if (!xname_of(&q->name, &name))
		return -ERANGE;
	return node_setxattr(node.fd, name.text, q->value.data, q->value.size, (int)q->flags);
}

int rpc_answer_removexattr(struct rpc_call *c UNUSED, const struct rpc_removexattr_req *q,
                           struct rpc_removexattr_rep *a UNUSED)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	struct xname name;
	int r = nodes_use(q->node, NODE_FILE, &node);

	if (r < 0)
		return r;
	return xname_of(&q->name, &name) ? node_removexattr(node.fd, name.text) : -ERANGE;
}
