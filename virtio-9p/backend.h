/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend.h: what does the 9P server's file operations: the helper behind proxy-client, or a tests' make-believe.
 *
 * The operations are the messages of wire/rpc.def, asynchronous: see proxy_client.h for what a call promises.
 */
#ifndef VIRTFS_VIRTIO_9P_BACKEND_H
#define VIRTFS_VIRTIO_9P_BACKEND_H

#include "common/compiler.h"
#include "proxy-client/proxy_client.h"

struct backend;

struct backend_ops {
	int (*call)(struct backend *b, enum rpc_type type, const void *request, pxc_done *done,
	            void *context, uint32_t *ret_call);
	void (*cancel)(struct backend *b, uint32_t call);
	void (*release)(struct backend *b, uint64_t nid);
};

struct backend {
	const struct backend_ops *ops;
};

#endif
