/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rpc_names.c: requests that make, change and remove names. */
#include "helper/rpc_ops.h"

#include "common/cleanup.h"
#include "helper/cred.h"
#include "helper/node.h"
#include "helper/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* What making a name starts with: the directory, and who makes it. */
static int begin(uint64_t nid, uint32_t uid, uint32_t gid, struct node_use *dir,
                 struct cred_scope *scope)
{
	int r = nodes_use(nid, NODE_FILE, dir);

	return r < 0 ? r : cred_enter(scope, uid, gid, CRED_OVERRIDE);
}

int rpc_answer_mkdir(struct rpc_call *c UNUSED, const struct rpc_mkdir_req *q,
                     struct rpc_mkdir_rep *a)
{
	const struct fname name = fname_of(&q->name);
	AUTO_NODE struct node_use dir = NODE_USE_NONE;
	AUTO_CRED struct cred_scope scope = CRED_NONE;
	int r = begin(q->dir, q->uid, q->gid, &dir, &scope);

	if (r < 0)
		return r;
	if (mkdirat(dir.fd, name.text, q->mode & 07777) < 0)
		return -errno;
	return node_attr_at(dir.fd, name.text, &a->attr);
}

int rpc_answer_symlink(struct rpc_call *c, const struct rpc_symlink_req *q,
                       struct rpc_symlink_rep *a)
{
	const struct fname name = fname_of(&q->name);
	AUTO_NODE struct node_use dir = NODE_USE_NONE;
	AUTO_CRED struct cred_scope scope = CRED_NONE;
	int r = begin(q->dir, q->uid, q->gid, &dir, &scope);

	if (r < 0)
		return r;
	if (!wt_str_copy(&q->target, c->target, sizeof(c->target)))
		return -ENAMETOOLONG;
	if (symlinkat(c->target, dir.fd, name.text) < 0)
		return -errno;
	return node_attr_at(dir.fd, name.text, &a->attr);
}

int rpc_answer_mknod(struct rpc_call *c UNUSED, const struct rpc_mknod_req *q,
                     struct rpc_mknod_rep *a)
{
	const struct fname name = fname_of(&q->name);
	AUTO_NODE struct node_use dir = NODE_USE_NONE;
	AUTO_CRED struct cred_scope scope = CRED_NONE;
	int r = begin(q->dir, q->uid, q->gid, &dir, &scope);

	if (r < 0)
		return r;
	if (mknodat(dir.fd, name.text, q->mode & (S_IFMT | 07777), makedev(q->major, q->minor)) < 0)
		return -errno;
	return node_attr_at(dir.fd, name.text, &a->attr);
}

int rpc_answer_link(struct rpc_call *c, const struct rpc_link_req *q, struct rpc_link_rep *a UNUSED)
{
	const struct fname name = fname_of(&q->name);
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	AUTO_NODE struct node_use dir = NODE_USE_NONE;
	int r = nodes_use(q->node, NODE_FILE, &node);

	if (r == 0)
		r = nodes_use(q->dir, NODE_FILE, &dir);
	return r < 0 ? r : node_link(c->x, node.fd, dir.fd, name.text);
}

int rpc_answer_rename(struct rpc_call *c UNUSED, const struct rpc_rename_req *q,
                      struct rpc_rename_rep *a UNUSED)
{
	const struct fname name = fname_of(&q->name), new_name = fname_of(&q->new_name);
	AUTO_NODE struct node_use dir = NODE_USE_NONE;
	AUTO_NODE struct node_use new_dir = NODE_USE_NONE;
	int r = nodes_use(q->dir, NODE_FILE, &dir);

	if (r == 0)
		r = nodes_use(q->new_dir, NODE_FILE, &new_dir);
	if (r < 0)
		return r;
	return renameat(dir.fd, name.text, new_dir.fd, new_name.text) < 0 ? -errno : 0;
}

/* Whether the name is that file's now. */
static int check_identity(int dir, const char *name, uint64_t dev, uint64_t ino)
{
	struct wt_attr attr;
	int r = node_attr_at(dir, name, &attr);

	if (r == 0 && (attr.dev != dev || attr.ino != ino))
		r = -ESTALE;
	return r;
}

int rpc_answer_unlink(struct rpc_call *c UNUSED, const struct rpc_unlink_req *q,
                      struct rpc_unlink_rep *a UNUSED)
{
	const struct fname name = fname_of(&q->name);
	AUTO_NODE struct node_use dir = NODE_USE_NONE;
	int r = nodes_use(q->dir, NODE_FILE, &dir);

	if (r < 0)
		return r;
	if (q->flags & ~RPC_REMOVE_DIR)
		return -EINVAL;
	if (q->ino != 0)
		r = check_identity(dir.fd, name.text, q->dev, q->ino);
	if (r < 0)
		return r;
	return unlinkat(dir.fd, name.text, q->flags ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
}

int rpc_answer_readlink(struct rpc_call *c, const struct rpc_readlink_req *q,
                        struct rpc_readlink_rep *a)
{
	AUTO_NODE struct node_use node = NODE_USE_NONE;
	int r = nodes_use(q->node, NODE_FILE, &node);
	ssize_t n;

	if (r < 0)
		return r;
	n = readlinkat(node.fd, "", c->target, sizeof(c->target));
	if (n < 0)
		return errno == ENOENT ? -EINVAL
		                       : -errno; /* readlinkat(2) of "" on what is no link */
	if ((size_t)n >= sizeof(c->target))
		return -ENAMETOOLONG;
	a->target = (struct wt_str){.data = (const uint8_t *)c->target, .size = (size_t)n};
	return 0;
}
