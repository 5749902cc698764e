/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/rpc_peer.h"

#include "common/cleanup.h"
#include "common/usock.h"
#include "tests/lib/rig.h"

#include <poll.h>
#include <string.h>

#define PATIENCE_MS 30000

static uint8_t in[RPC_PACKET_MAX], out[RPC_PACKET_MAX];

size_t rpc_packet(uint8_t *buffer, uint32_t tag, enum rpc_type type, const void *request)
{
	struct wr w = wr_over(buffer, RPC_PACKET_MAX);

	rpc_request_head_put(&w, &(struct rpc_head){.tag = tag, .type = (uint16_t)type});
	BUG_ON(!rpc_find(type)->req.put(&w, request));
	return w.used;
}

int rpc_send(int sock, uint32_t tag, enum rpc_type type, const void *request)
{
	return usock_send(sock, out, rpc_packet(out, tag, type, request), -1);
}

int rpc_recv(int sock, struct rpc_head *ret_head, union rpc_reply *ret, int *ret_fd)
{
	AUTO_FDBAG struct fdbag bag = FDBAG_EMPTY;
	struct pollfd p = {.fd = sock, .events = POLLIN};
	const struct wt_msg *msg;
	union rpc_reply any;
	ssize_t n = poll(&p, 1, PATIENCE_MS) == 1 ? usock_recv(sock, in, sizeof(in), &bag) : 0;
	struct rd r = rd_over(in, n > 0 ? (size_t)n : 0);
	int fd;

	if (!rpc_reply_head_get(&r, ret_head))
		return RPC_GONE;
	fd = fdbag_take(&bag, 0);
	if (rig_watch)
		rig_watch(in, (size_t)n, fd);
	if (ret_fd)
		*ret_fd = fd;
	else
		fd_close(&fd);
	msg = rpc_find(ret_head->type);
	if (ret_head->error)
		return rd_end(&r) ? -(int)ret_head->error : RPC_GONE;
	return msg && msg->rep.get(&r, ret ? ret : &any) ? 0 : RPC_GONE;
}

int rpc_do(int sock, enum rpc_type type, const void *request, union rpc_reply *ret, int *ret_fd)
{
	static uint32_t tag;
	struct rpc_head h;
	int r;

	if (rpc_send(sock, ++tag, type, request) < 0)
		return RPC_GONE;
	r = rpc_recv(sock, &h, ret, ret_fd);
	return r == RPC_GONE || (h.tag == tag && h.type == type) ? r : RPC_GONE;
}

uint64_t rpc_hello(int sock)
{
	union rpc_reply a;
	int r = rpc_do(sock, RPC_HELLO, &(struct rpc_hello_req){.version = RPC_VERSION}, &a, NULL);

	return r == 0 ? a.hello.root : 0;
}

uint64_t rpc_walk(int sock, uint64_t from, const char *names, int *ret_error)
{
	struct rpc_walk_req q = {.from = from};
	union rpc_reply a;
	int r;

	while (*names && q.path.count < WT_NAMES_MAX) {
		size_t size = strcspn(names, "/");

		q.path.name[q.path.count++] =
		    (struct wt_str){.data = (const uint8_t *)names, .size = size};
		names += size + (names[size] == '/');
	}
	r = rpc_do(sock, RPC_WALK, &q, &a, NULL);
	if (ret_error)
		*ret_error = r;
	return r == 0 ? a.walk.node : 0;
}

void rpc_give_up(int sock, uint64_t nid)
{
	struct rpc_release_req q = {.nodes.count = 1, .nodes.nid = {nid}};

	BUG_ON(rpc_send(sock, 0, RPC_RELEASE, &q) < 0);
}
