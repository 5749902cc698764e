/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.c: calls under way are slots; a tag is a slot's number and its generation, so that no late
 * reply meets another call. Calls beyond what the helper takes at once, and packets that do not fit
 * the socket, wait in a list.
 *
 * Calls that change something do not get all slots: a file system that takes no changes for a while
 * (frozen, or full of dirty pages) does not keep reading from going on, there or elsewhere.
 */
#include "proxy-client/proxy_client.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MAX   64 /* as the helper has threads (RPC_CALLS_MAX) */
#define CHANGES_MAX 60 /* of them: calls that change something */
#define SLOT_BITS   8
#define NO_SLOT     UINT32_MAX

enum kind { LOOKS, CHANGES, KINDS };

struct call {
	pxc_done *done; /* NULL: cancelled */
	void *context;
	uint32_t id; /* the caller's name for it: a call that waited gets its tag later */
	uint32_t tag;
	uint16_t type;
	struct call *next; /* of waiting calls */
	size_t size;       /* of the packet that waits */
	uint8_t packet[];
};

struct pxc {
	int sock;
	bool dead;
	uint32_t counter;
	uint32_t under_way[KINDS];
	struct call *slots[CALLS_MAX];
	struct {
		struct call *first, *last;
	} waiting[KINDS];
	uint64_t *released; /* nodes to give up with the next batch */
	size_t released_count, released_room;
	uint8_t in[RPC_PACKET_MAX];
	uint8_t out[RPC_PACKET_MAX];
};

int pxc_new(int sock, struct pxc **ret)
{
	struct pxc *p = calloc(1, sizeof(*p));
	int r = p ? fd_nonblock(sock) : -ENOMEM;

	if (r < 0) {
		free(p);
		fd_close(&sock);
		return r;
	}
	p->sock = sock;
	*ret = p;
	return 0;
}

static void finish(struct call *c, int error, const union rpc_reply *reply, int fd)
{
	pxc_done *done = c->done;
	void *context = c->context;

	free(c);
	if (done)
		done(context, error, reply, fd);
}

/* The helper is gone: everybody who waits is told. */
static void die(struct pxc *p)
{
	p->dead = true;
	for (uint32_t i = 0; i < CALLS_MAX; i++) {
		struct call *c = p->slots[i];

		p->slots[i] = NULL;
		if (c)
			finish(c, -EIO, NULL, -1);
	}
	for (enum kind k = LOOKS; k < KINDS; k++) {
		p->under_way[k] = 0;
		while (p->waiting[k].first) {
			struct call *c = p->waiting[k].first;

			p->waiting[k].first = c->next;
			finish(c, -EIO, NULL, -1);
		}
		p->waiting[k].last = NULL;
	}
	p->released_count = 0;
}

void pxc_free(struct pxc *p)
{
	if (!p)
		return;
	die(p);
	fd_close(&p->sock);
	free(p->released);
	free(p);
}

int pxc_fd(const struct pxc *p)
{
	return p->sock;
}

unsigned pxc_under_way(const struct pxc *p)
{
	return p->under_way[LOOKS] + p->under_way[CHANGES];
}

static enum kind kind_of(uint16_t type)
{
	return rpc_find(type)->policy & RPC_WRITES ? CHANGES : LOOKS;
}

static bool has_place(const struct pxc *p, enum kind k)
{
	return pxc_under_way(p) < CALLS_MAX &&
	       (k != CHANGES || p->under_way[CHANGES] < CHANGES_MAX);
}

bool pxc_wants_output(const struct pxc *p)
{
	return (p->waiting[LOOKS].first && has_place(p, LOOKS)) ||
	       (p->waiting[CHANGES].first && has_place(p, CHANGES));
}

bool pxc_alive(const struct pxc *p)
{
	return !p->dead;
}

/* Sends a call's packet. Return: 0, -EAGAIN, or -errno when the helper is gone. */
static int send_call(struct pxc *p, struct call *c, const void *packet, size_t size)
{
	uint32_t i = c->tag & ((1u << SLOT_BITS) - 1);
	int r = usock_send(p->sock, packet, size, -1);

	if (r < 0)
		return r;
	p->slots[i] = c;
	p->under_way[kind_of(c->type)]++;
	return 0;
}

static uint32_t free_slot(const struct pxc *p, enum kind k)
{
	for (uint32_t i = 0; has_place(p, k) && i < CALLS_MAX; i++) {
		if (!p->slots[i])
			return i;
	}
	return NO_SLOT;
}

/* Gives a call a tag and writes it into its packet. */
static void tag_call(struct pxc *p, struct call *c, uint8_t *packet, uint32_t slot)
{
	struct wr w = wr_over(packet, sizeof(uint32_t));

	c->tag = ++p->counter << SLOT_BITS | slot;
	wr_le32(&w, c->tag);
}

static void wait_in_list(struct pxc *p, struct call *c)
{
	enum kind k = kind_of(c->type);

	c->next = NULL;
	if (p->waiting[k].last)
		p->waiting[k].last->next = c;
	else
		p->waiting[k].first = c;
	p->waiting[k].last = c;
}

/* Sends the first that waits. Return: whether to go on. */
static bool send_first(struct pxc *p, enum kind k)
{
	struct call *c = p->waiting[k].first, *next;
	uint32_t slot = c ? free_slot(p, k) : NO_SLOT;
	int r;

	if (slot == NO_SLOT)
		return false;
	next = c->next;
	tag_call(p, c, c->packet, slot);
	r = send_call(p, c, c->packet, c->size);
	if (r < 0) {
		if (r != -EAGAIN)
			die(p);
		return false;
	}
	p->waiting[k].first = next;
	if (!next)
		p->waiting[k].last = NULL;
	return true;
}

/* Sends what waits, as far as it goes. */
static void send_waiting(struct pxc *p)
{
	for (enum kind k = LOOKS; k < KINDS && !p->dead; k++) {
		while (send_first(p, k))
			;
	}
}

/* A late reply of a cancelled call: its node is nobody's. */
static void give_back(struct pxc *p, uint16_t type, const union rpc_reply *a)
{
	switch (type) {
	case RPC_WALK:
		pxc_release(p, a->walk.node);
		break;
	case RPC_CREATE:
		pxc_release(p, a->create.node);
		break;
	case RPC_OPENDIR:
		pxc_release(p, a->opendir.stream);
		break;
	case RPC_PARENT:
		pxc_release(p, a->parent.parent);
		break;
	case RPC_HELLO:
		pxc_release(p, a->hello.root);
		break;
	default:
		break;
	}
}

/* One packet of the helper, which is trusted to keep to the protocol, but not to be free of faults.
 */
static int take_reply(struct pxc *p, size_t size, struct fdbag *bag)
{
	struct rd r = rd_over(p->in, size);
	const struct wt_msg *msg;
	union rpc_reply reply;
	struct rpc_head h;
	struct call *c;
	uint32_t slot;
	int fd, error;

	if (!rpc_reply_head_get(&r, &h))
		return -EPROTO;
	slot = h.tag & ((1u << SLOT_BITS) - 1);
	c = slot < CALLS_MAX ? p->slots[slot] : NULL;
	msg = rpc_find(h.type);
	if (!c || c->tag != h.tag || c->type != h.type || !msg || h.error > 4095)
		return -EPROTO;
	if (h.error == 0 && !msg->rep.get(&r, &reply))
		return -EPROTO;
	fd = fdbag_take(bag, 0);
	if ((h.error == 0 && (msg->policy & RPC_GIVES_FD)) != (fd >= 0 || bag->lost)) {
		fd_close(&fd);
		return -EPROTO;
	}
	p->slots[slot] = NULL;
	p->under_way[kind_of(c->type)]--;
	/* What it opened found no room here: a failure of that call alone. */
	error = bag->lost ? -EMFILE : -(int)h.error;
	if (h.error == 0 && (!c->done || error < 0))
		give_back(p, c->type, &reply);
	if (!c->done)
		fd_close(&fd);
	finish(c, error, &reply, fd);
	return 0;
}

void pxc_receive(struct pxc *p)
{
	while (!p->dead) {
		AUTO_FDBAG struct fdbag bag = FDBAG_EMPTY;
		ssize_t n = usock_recv(p->sock, p->in, sizeof(p->in), &bag);

		if (n == -EAGAIN)
			break;
		if (n <= 0 || take_reply(p, (size_t)n, &bag) < 0) {
			die(p);
			return;
		}
		send_waiting(p);
		/* Each packet is the reply of a call: without one under way there is none to look for. */
		if (pxc_under_way(p) == 0)
			break;
	}
	send_waiting(p);
}

int pxc_call(struct pxc *p, enum rpc_type type, const void *request, pxc_done *done, void *context,
             uint32_t *ret_call)
{
	struct wr w = wr_over(p->out, sizeof(p->out));
	const struct wt_msg *msg = rpc_find(type);
	enum kind k = kind_of((uint16_t)type);
	uint32_t slot = p->waiting[k].first ? NO_SLOT : free_slot(p, k);
	struct call *c;
	int r = -EAGAIN;

	rpc_request_head_put(&w, &(struct rpc_head){.type = (uint16_t)type});
	if (!msg->req.put(&w, request))
		return -EMSGSIZE;
	/* Only a call that has to wait needs its packet kept. */
	c = malloc(sizeof(*c) + w.used);
	if (!c)
		return -ENOMEM;
	*c =
	    (struct call){.done = done, .context = context, .type = (uint16_t)type, .size = w.used};
	c->id = ++p->counter;
	tag_call(p, c, p->out, slot == NO_SLOT ? 0 : slot);
	if (ret_call)
		*ret_call = c->id;
	if (p->dead) {
		finish(c, -EIO, NULL, -1);
		return 0;
	}
	if (slot != NO_SLOT)
		r = send_call(p, c, p->out, w.used);
	if (r == -EAGAIN) {
		memcpy(c->packet, p->out, w.used);
		wait_in_list(p, c);
	} else if (r < 0) {
		finish(c, -EIO, NULL, -1);
		die(p);
	}
	return 0;
}

void pxc_cancel(struct pxc *p, uint32_t call)
{
	for (uint32_t i = 0; i < CALLS_MAX; i++) {
		if (p->slots[i] && p->slots[i]->id == call)
			p->slots[i]->done = NULL;
	}
	for (enum kind k = LOOKS; k < KINDS; k++) {
		for (struct call *c = p->waiting[k].first; c; c = c->next) {
			if (c->id == call)
				c->done = NULL;
		}
	}
}

void pxc_release(struct pxc *p, uint64_t nid)
{
	if (nid == 0 || p->dead)
		return;
	if (p->released_count == p->released_room) {
		size_t room = p->released_room ? 2 * p->released_room : WT_NIDS_MAX;
		uint64_t *more = reallocarray(p->released, room, sizeof(*more));

		if (!more)
			return; /* the helper keeps that node until we end */
		p->released = more;
		p->released_room = room;
	}
	p->released[p->released_count++] = nid;
	if (p->released_count % WT_NIDS_MAX == 0)
		pxc_flush(p);
}

/* Sends the last of the list. Return: 0 or -errno. */
static int send_released(struct pxc *p, size_t count)
{
	struct wr w = wr_over(p->out, sizeof(p->out));
	struct rpc_release_req q;

	q.nodes.count = (uint16_t)count;
	memcpy(q.nodes.nid, p->released + p->released_count - count, count * sizeof(*p->released));
	rpc_request_head_put(&w, &(struct rpc_head){.type = RPC_RELEASE});
	BUG_ON(!rpc_release_req_put(&w, &q));
	return usock_send(p->sock, p->out, w.used, -1);
}

void pxc_flush(struct pxc *p)
{
	while (p->released_count > 0 && !p->dead) {
		size_t count = p->released_count < WT_NIDS_MAX ? p->released_count : WT_NIDS_MAX;
		int r = send_released(p, count);

		if (r == -EAGAIN)
			return; /* the next flush tries again */
		if (r < 0)
			die(p);
		else
			p->released_count -= count;
	}
}

size_t pxc_to_release(const struct pxc *p)
{
	return p->released_count;
}
