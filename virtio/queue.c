/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue.c: what both formats of a ring have in common: chains, their pool, and the queue's life. */
#include "virtio/queue.h"

#include "common/cleanup.h"
#include "common/complain.h"
#include "virtio/ring.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define PIECES_FIRST 16 /* of a chain's array when it is first used; doubled when it is too small */
#define PIECES_MAX   2048 /* descriptors that straddle regions are several pieces */

static struct complaints complaints;

/* ---- life ---- */

int vq_new(unsigned index, void (*stopped)(struct vq *q, void *context), void *context,
           struct vq **ret)
{
	struct vq *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->table = calloc(VQ_DESCS_MAX, sizeof(*q->table));
	if (!q->table) {
		free(q);
		return -ENOMEM;
	}
	q->index = index;
	q->call = q->error = -1;
	q->on_stopped = stopped;
	q->on_stopped_context = context;
	*ret = q;
	return 0;
}

static void free_chains(struct vq *q)
{
	for (unsigned i = 0; i < q->chain_count; i++)
		free(q->chains[i].pieces);
	free(q->chains);
	q->chains = NULL;
	q->chain_count = 0;
}

void vq_free(struct vq *q)
{
	if (!q)
		return;
	if (q->ops)
		(void)vq_stop(q);
	vq_set_log(q, NULL, false, 0);
	free_chains(q);
	fd_close(&q->call);
	fd_close(&q->error);
	free(q->table);
	free(q);
}

int vq_start(struct vq *q, const struct vq_setup *s)
{
	const struct ring_ops *ops =
	    s->features & VIO_FEATURE(VIO_F_RING_PACKED) ? &packed_ring : &split_ring;
	int r;

	BUG_ON(q->ops);
	if (s->size == 0 || s->size > VQ_SIZE_MAX)
		return -EINVAL;
	if (q->chain_count != s->size) {
		free_chains(q);
		q->chains = calloc(s->size, sizeof(*q->chains));
		if (!q->chains)
			return -ENOMEM;
		q->chain_count = s->size;
		for (unsigned i = 0; i < s->size; i++)
			q->chains[i].id = (uint16_t)i;
	}
	q->size = s->size;
	q->event_idx = s->features & VIO_FEATURE(VIO_F_EVENT_IDX);
	q->indirect = s->features & VIO_FEATURE(VIO_F_INDIRECT_DESC);
	q->broken = q->stopping = q->signalled = false;
	q->pushed = 0;
	q->damage = guest_memory_damage();
	if (guest_memory_damaged(s->map))
		return -EFAULT;
	r = ops->start(q, s);
	if (r < 0)
		return r;
	q->map = guest_map_hold(s->map);
	q->ops = ops;
	return 0;
}

bool vq_running(const struct vq *q)
{
	return q->ops;
}

bool vq_broken(const struct vq *q)
{
	return q->broken;
}

void vq_stopping(struct vq *q)
{
	q->stopping = true;
}

void vq_stopped(struct vq *q)
{
	BUG_ON(q->in_flight > 0);
	q->on_stopped(q, q->on_stopped_context);
}

uint32_t vq_stop(struct vq *q)
{
	uint32_t base;

	BUG_ON(!q->ops || q->in_flight > 0);
	vq_publish(q);
	base = q->ops->base(q);
	q->ops->end(q);
	q->ops = NULL;
	guest_map_put(q->map);
	q->map = NULL;
	return base;
}

void vq_set_map(struct vq *q, struct guest_map *map)
{
	(void)guest_map_hold(map);
	guest_map_put(q->map);
	q->map = map;
}

void vq_set_log(struct vq *q, struct shared_piece *log, bool ring, uint64_t ring_gpa)
{
	if (log)
		(void)shared_piece_hold(log);
	shared_piece_put(q->log);
	q->log = log;
	q->log_ring = ring;
	q->log_gpa = ring_gpa;
}

void ring_log(struct vq *q, size_t offset, size_t size)
{
	/* A sum that wraps around marks a page that was not written: no harm. */
	if (q->log && q->log_ring)
		dirty_log_mark(q->log, q->log_gpa + offset, size);
}

/* An eventfd adds the number, a pipe or socket (User-Mode Linux) carries its bytes. What cannot be
 * written is not needed: something is there to be read already, or nobody reads. */
static void tell(int fd)
{
	static const uint64_t one = 1;

	if (fd >= 0)
		(void)!write(fd, &one, sizeof(one));
}

void vq_set_call(struct vq *q, int fd)
{
	fd_close(&q->call);
	q->call = fd;
}

void vq_set_error(struct vq *q, int fd)
{
	fd_close(&q->error);
	q->error = fd;
	/* Who comes late is told too. */
	if (q->ops && q->broken)
		tell(q->error);
}

unsigned vq_index(const struct vq *q)
{
	return q->index;
}

unsigned vq_size(const struct vq *q)
{
	return q->size;
}

unsigned vq_in_flight(const struct vq *q)
{
	return q->in_flight;
}

void vq_interrupt(struct vq *q)
{
	tell(q->call);
}

int vq_break(struct vq *q, const char *why)
{
	if (!q->broken) {
		q->broken = true;
		complain(&complaints, "queue %u is broken: %s", q->index, why);
		tell(q->error);
	}
	return -EPROTO;
}

/* ---- chains ---- */

struct vq_chain *chain_begin(struct vq *q, uint16_t id)
{
	struct vq_chain *c = &q->chains[id];

	if (c->taken)
		return NULL;
	c->out_count = c->in_count = 0;
	c->out_size = c->in_size = 0;
	c->descs = 0;
	c->writable = false;
	return c;
}

static bool make_room(struct vq_chain *c)
{
	unsigned room = c->room ? c->room * 2 : PIECES_FIRST;
	struct iovec *pieces;

	if (room > PIECES_MAX)
		return false;
	pieces = realloc(c->pieces, room * sizeof(*pieces));
	if (!pieces)
		return false;
	c->pieces = pieces;
	c->room = room;
	return true;
}

const char *chain_add(struct vq *q, struct vq_chain *c, const struct desc *d)
{
	bool write = d->flags & DESC_WRITE;
	unsigned used = c->out_count + c->in_count;
	int n;

	if (++c->descs > VQ_DESCS_MAX)
		return "a chain has too many descriptors";
	if (!write && c->writable)
		return "a buffer to read comes after one to write";
	c->writable = write;
	if (d->len == 0)
		return NULL;
	if ((uint64_t)c->out_size + c->in_size + d->len > UINT32_MAX)
		return "a chain is longer than 4 GiB";
	do {
		if (used == c->room && !make_room(c))
			return "a chain has too many pieces";
		n = guest_map_find(q->map, d->addr, d->len, c->pieces + used, c->room - used);
		/* It is in several regions: there is room for one piece, not for all. */
		if (n == -ENOBUFS && !make_room(c))
			return "a chain has too many pieces";
	} while (n == -ENOBUFS);
	if (n < 0)
		return "a buffer is outside of the guest's memory";
	if (write) {
		c->in_count += (unsigned)n;
		c->in_size += d->len;
	} else {
		c->out_count += (unsigned)n;
		c->out_size += d->len;
	}
	return NULL;
}

/* The guest's bytes become numbers. In a packed ring's tables the last two fields change places:
 * id[2] flags[2]. */
static void put_in_order(struct desc *table, unsigned count, bool packed)
{
	for (unsigned i = 0; i < count; i++) {
		uint16_t flags = le16toh(table[i].flags), next = le16toh(table[i].next);

		table[i].addr = le64toh(table[i].addr);
		table[i].len = le32toh(table[i].len);
		table[i].flags = packed ? next : flags;
		table[i].next = packed ? flags : next;
	}
}

const char *chain_add_table(struct vq *q, struct vq_chain *c, const struct desc *d, bool packed)
{
	unsigned count = d->len / (unsigned)sizeof(*q->table), next = 0;

	if (!q->indirect)
		return "an indirect table, which was not negotiated";
	if (d->len == 0 || d->len % sizeof(*q->table) != 0)
		return "an indirect table has a size that is none";
	if (count > VQ_DESCS_MAX)
		return "an indirect table is too long";
	if (guest_map_read(q->map, d->addr, q->table, d->len) < 0)
		return "an indirect table is outside of the guest's memory";
	put_in_order(q->table, count, packed);
	for (unsigned i = 0; i < count; i++) {
		const struct desc *e = &q->table[next];
		const char *why;

		if (e->flags & DESC_INDIRECT)
			return "an indirect table is inside another";
		why = chain_add(q, c, e);
		if (why)
			return why;
		if (packed) {
			next++;
			continue;
		}
		if (!(e->flags & DESC_NEXT))
			return NULL;
		next = e->next;
		if (next >= count)
			return "an indirect table goes on outside of itself";
	}
	return packed ? NULL : "an indirect table has a loop";
}

void chain_end(struct vq *q, struct vq_chain *c)
{
	c->out = c->pieces;
	c->in = c->in_count ? c->pieces + c->out_count : NULL;
	c->queue = q;
	c->map = guest_map_hold(q->map);
	c->taken = true;
	q->in_flight++;
}

static void give_back(struct vq *q, struct vq_chain *c)
{
	BUG_ON(!c->taken);
	c->taken = false;
	guest_map_put(c->map);
	c->map = NULL;
	q->in_flight--;
}

/* ---- for devices ---- */

int vq_pop(struct vq *q, struct vq_chain **ret)
{
	if (q->broken)
		return -EPROTO;
	if (!q->ops || q->stopping)
		return 0;
	if (q->damage != guest_memory_damage()) {
		q->damage = guest_memory_damage();
		if (guest_memory_damaged(q->map))
			return vq_break(q, "the emulator has taken memory of the guest away");
	}
	return q->ops->pop(q, ret);
}

void vq_push(struct vq *q, struct vq_chain *c, uint32_t written)
{
	if (!q->broken) {
		/* What may have been written is noted, not only what was. */
		for (unsigned i = 0; q->log && i < c->in_count; i++)
			dirty_log_mark_iov(q->log, c->map, c->in[i]);
		/* A driver that is right never has so many out. */
		if (q->pushed == q->size)
			vq_publish(q);
		q->ops->push(q, c, written);
		q->pushed++;
	}
	give_back(q, c);
}

void vq_discard(struct vq *q, struct vq_chain *c)
{
	give_back(q, c);
}

void vq_publish(struct vq *q)
{
	unsigned pushed = q->pushed;
	bool interrupt;

	if (pushed == 0)
		return;
	q->pushed = 0;
	if (q->broken)
		return;
	interrupt = q->ops->publish(q, pushed);
	if (interrupt || !q->signalled)
		tell(q->call);
	q->signalled = true;
}

bool vq_pending(const struct vq *q)
{
	return q->ops && !q->broken && !q->stopping && q->ops->pending(q);
}

bool vq_enable_notify(struct vq *q)
{
	return q->ops && !q->broken && !q->stopping && q->ops->notify(q, true);
}

void vq_disable_notify(struct vq *q)
{
	if (q->ops && !q->broken)
		(void)q->ops->notify(q, false);
}
