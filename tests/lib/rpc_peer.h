/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rpc_peer.h: a device's side of the native dialect, one call at a time, for tests of the helper alone. */
#ifndef VIRTFS_TESTS_LIB_RPC_PEER_H
#define VIRTFS_TESTS_LIB_RPC_PEER_H

#include "wire/rpc.h"

/* What is returned for a reply that cannot be read; no errno has this value. */
#define RPC_GONE (-100000)

/** rpc_send() - Send a struct rpc_NAME_req under that tag. Return: 0 or -errno. */
int rpc_send(int sock, uint32_t tag, enum rpc_type type, const void *request);

/** rpc_packet() - A request's packet in buffer, which has room for RPC_PACKET_MAX. Return: its size. */
size_t rpc_packet(uint8_t *buffer, uint32_t tag, enum rpc_type type, const void *request);

/** rpc_recv() - The next reply. Return: 0, -errno of it, or RPC_GONE. Spans are good until the next. */
int rpc_recv(int sock, struct rpc_head *ret_head, union rpc_reply *ret, int *ret_fd);

/** rpc_do() - Both; ret and ret_fd may be NULL. A descriptor that nobody wants is closed. */
int rpc_do(int sock, enum rpc_type type, const void *request, union rpc_reply *ret, int *ret_fd);

#define RPC(sock, NAME, name, ...) \
	rpc_do((sock), RPC_##NAME, &(struct rpc_##name##_req){__VA_ARGS__}, NULL, NULL)

/** rpc_hello() - The root's node, or 0. */
uint64_t rpc_hello(int sock);

/** rpc_walk() - Walk by names with slashes between. Return: the node, or 0 with *ret_error. */
uint64_t rpc_walk(int sock, uint64_t from, const char *names, int *ret_error);

/** rpc_give_up() - RELEASE of one node. */
void rpc_give_up(int sock, uint64_t nid);

#endif
