/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_xattr.c: requests about extended attributes. */
#include "helper/legacy_ops.h"

#include "common/cleanup.h"
#include "helper/node.h"

#include <errno.h>

/* A name as the system calls want it. The decoder has held it against its limit already. */
struct xname {
	char text[WT_XNAME_MAX + 1];
};

static bool xname_of(const struct wt_str *name, struct xname *ret)
{
	return wt_str_copy(name, ret->text, sizeof(ret->text));
}

/* How much to ask the kernel for: 0 asks for the length alone. */
static size_t ask_size(const struct legacy_call *c, uint32_t wanted)
{
	return wanted < sizeof(c->xattr) ? wanted : sizeof(c->xattr);
}

/* Makes the result of a query the reply: a length when that was asked, else the bytes. */
static int answer_bytes(struct legacy_call *c, ssize_t n, uint32_t wanted, struct wt_str *ret)
{
	if (n < 0)
		return (int)n;
	*ret = (struct wt_str){.data = c->xattr, .size = (size_t)n};
	c->only_length = wanted == 0;
	c->length = (int32_t)n;
	return 0;
}

int legacy_answer_lgetxattr(struct legacy_call *c, const struct legacy_lgetxattr_req *q,
                            struct legacy_lgetxattr_rep *a)
{
	AUTO_CLOSE int node = -1;
	struct xname name;
	int r = node_at(c->x, &q->path, &node);

	if (r < 0)
		return r;
	if (!xname_of(&q->name, &name))
		return -ERANGE;
	return answer_bytes(c, node_getxattr(node, name.text, c->xattr, ask_size(c, q->size)),
	                    q->size, &a->value);
}

int legacy_answer_llistxattr(struct legacy_call *c, const struct legacy_llistxattr_req *q,
                             struct legacy_llistxattr_rep *a)
{
	AUTO_CLOSE int node = -1;
	int r = node_at(c->x, &q->path, &node);

	if (r < 0)
		return r;
	return answer_bytes(c, node_listxattr(node, (char *)c->xattr, ask_size(c, q->size)),
	                    q->size, &a->names);
}

int legacy_answer_lsetxattr(struct legacy_call *c, const struct legacy_lsetxattr_req *q,
                            struct legacy_lsetxattr_rep *a UNUSED)
{
	AUTO_CLOSE int node = -1;
	struct xname name;
	int r;

	/* QEMU sends a value of 65,536 bytes with the length 0, all that 16 bits hold of it. */
	if (q->size > UINT16_MAX)
		return -E2BIG;
	if (q->size != q->value.size)
		return -EINVAL;
	r = node_at(c->x, &q->path, &node);
	if (r < 0)
		return r;
	if (!xname_of(&q->name, &name))
		return -ERANGE;
	return node_setxattr(node, name.text, q->value.data, q->value.size, (int)q->flags);
}

int legacy_answer_lremovexattr(struct legacy_call *c, const struct legacy_lremovexattr_req *q,
                               struct legacy_lremovexattr_rep *a UNUSED)
{
	AUTO_CLOSE int node = -1;
	struct xname name;
	int r = node_at(c->x, &q->path, &node);

	if (r < 0)
		return r;
	return xname_of(&q->name, &name) ? node_removexattr(node, name.text) : -ERANGE;
}
