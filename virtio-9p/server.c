/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server.c: what all sessions of a device share, and its helper. */
#include "virtio-9p/server.h"

#include "common/log.h"

#include <errno.h>

static void hello_done(void *context, int error, const union rpc_reply *reply, int fd UNUSED)
{
	struct p9_server *s = context;

	if (error < 0) {
		log_error("the helper does not say hello: %s", errno_name(error));
		if (s->on_ready)
			s->on_ready(s->on_ready_context);
		return;
	}
	s->root = dnode_new(s, reply->hello.root, &reply->hello.attr);
	s->local = reply->hello.flags & RPC_EXPORT_LOCAL;
	s->memory = reply->hello.flags & RPC_EXPORT_MEMORY;
	s->mapped = reply->hello.flags & RPC_EXPORT_MAPPED;
	s->ready = s->root != NULL;
	if (s->on_ready)
		s->on_ready(s->on_ready_context);
}

static int say_hello(struct p9_server *s, struct backend *b)
{
	const struct rpc_hello_req q = {.version = RPC_VERSION};

	s->backend = b;
	return b->ops->call(b, RPC_HELLO, &q, hello_done, s, NULL);
}

int p9_server_init(struct p9_server *s, struct loop *l, struct ring *r, struct backend *b,
                   void (*on_ready)(void *context), void *context)
{
	*s = (struct p9_server){.loop = l,
	                        .ring = r,
	                        .quotas.most = {[QUOTA_FIDS] = P9_FIDS_USUAL,
	                                        [QUOTA_XATTR_BYTES] = P9_XATTR_BYTES_USUAL,
	                                        [QUOTA_OPEN_FILES] = P9_OPEN_FILES_USUAL,
	                                        [QUOTA_LOCKS] = P9_LOCKS_USUAL},
	                        .requests_max = P9_REQUESTS_USUAL,
	                        .sees_ids = true,
	                        .on_ready = on_ready,
	                        .on_ready_context = context};
	locks_init(s);
	return say_hello(s, b);
}

int p9_server_new_helper(struct p9_server *s, struct backend *b)
{
	/* Nodes of the old helper stay until their fids go; none is ever used again. */
	s->epoch++;
	s->ready = false;
	dnode_put(s, s->root);
	s->root = NULL;
	return say_hello(s, b);
}

void p9_server_end(struct p9_server *s)
{
	dnode_put(s, s->root);
	s->root = NULL;
	qid_map_free(&s->qids);
}
