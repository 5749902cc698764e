/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nodes.h: the files and open directories that a device of the native dialect holds, by number.
 *
 * A node is an O_PATH descriptor, so it stays the same file whatever happens to its names. Beyond a
 * budget of descriptors those that were not used for longest become file handles
 * (name_to_handle_at(2)), which never leave this process, and descriptors again when they are used.
 * A stream is an open directory; it keeps its descriptor.
 *
 * Numbers carry a generation, so that one given up is never taken for its successor. All functions
 * may be called from several threads.
 */
#ifndef VIRTFS_HELPER_NODES_H
#define VIRTFS_HELPER_NODES_H

#include "common/compiler.h"
#include "helper/export.h"

#include <stdbool.h>
#include <stdint.h>

enum node_kind { NODE_FILE, NODE_STREAM };

/** struct node_use - a node in use by one request; its descriptor stays open meanwhile */
struct node_use {
	int fd;
	uint32_t index;
};

#define NODE_USE_NONE    \
	{                \
		.fd = -1 \
	}
#define AUTO_NODE __attribute__((cleanup(nodes_done)))

/**
 * nodes_init() - Make the table
 *
 * max_nodes: how many there may be. max_fds: how many of them may be descriptors. Return: 0 or
 * -ENOMEM.
 */
int MUST_CHECK nodes_init(const struct export *x, uint32_t max_nodes, uint32_t max_fds);

/**
 * nodes_add() - Give a descriptor a number; it is the table's then, also on failure
 *
 * Return: 0; -ENFILE when there are max_nodes, or when no descriptor can be made a handle (the file
 * system has none).
 */
int MUST_CHECK nodes_add(int fd, enum node_kind kind, uint64_t *ret_nid);

/**
 * nodes_use() - Look a number up, for the time of a request
 *
 * Return: 0; -EBADF for a number that is none, or of another kind; -ESTALE when its file cannot be
 * opened again.
 */
int MUST_CHECK nodes_use(uint64_t nid, enum node_kind kind, struct node_use *ret);
void nodes_done(struct node_use *use);

/** nodes_lock_stream() - Only one request moves in an open directory at a time. */
void nodes_lock_stream(const struct node_use *use);
void nodes_unlock_stream(const struct node_use *use);

/** nodes_release() - Give a number up; what is in use goes when that ends. Numbers that are none
 * are passed over. */
void nodes_release(uint64_t nid);

/** nodes_most() - How many there may be. */
uint32_t nodes_most(void);

/** nodes_count() - How many there are, and how many of them are descriptors. */
void nodes_count(uint32_t *ret_nodes, uint32_t *ret_fds);

#endif
