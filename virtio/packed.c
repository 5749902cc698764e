/* SPDX-License-Identifier: GPL-2.0-or-later */
/* packed.c: the packed ring (virtio 1.2, 2.8). Integers of the guest's are little-endian. */
#include "virtio/ring.h"

#include <endian.h>
#include <errno.h>

struct packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

/* Event suppression: off:15 and wrap:1 of a position in the ring, and what flags say of it. */
struct packed_event {
	uint16_t position;
	uint16_t flags;
};

#define DESC_AVAIL    0x80u
#define DESC_USED     0x8000u
#define EVENT_ENABLE  0x0u
#define EVENT_DISABLE 0x1u
#define EVENT_DESC    0x2u
#define WRAP          0x8000u

#define GET(x)    __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SET(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define BARRIER() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Whether nothing was ever used in it: a device sets USED in the first lap, and a driver only in the second. */
static bool is_new(const struct packed_desc *ring, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (le16toh(GET(ring[i].flags)) & DESC_USED)
			return false;
	return true;
}

static int packed_start(struct vq *q, const struct vq_setup *s)
{
	uint32_t base = s->base;
	uint16_t next = base & 0x7fffu, used = base >> 16 & 0x7fffu;

	q->packed.ring = guest_map_ring(s->map, s->desc, s->size * sizeof(struct packed_desc), 16);
	q->packed.driver = guest_map_ring(s->map, s->avail, sizeof(struct packed_event), 4);
	q->packed.device = guest_map_ring(s->map, s->used, sizeof(struct packed_event), 4);
	if (!q->packed.ring || !q->packed.driver || !q->packed.device)
		return -EFAULT;
	if (next >= s->size || used >= s->size)
		return -EINVAL;
	/* User-Mode Linux and libkrun say 0 of a ring that is new, as for a split one: they mean its first lap. */
	if (base == 0 && is_new(q->packed.ring, s->size))
		base = WRAP | WRAP << 16;
	q->packed.next = next;
	q->packed.next_wrap = base & WRAP;
	q->packed.used_next = used;
	q->packed.used_wrap = base >> 16 & WRAP;
	q->packed.pushed_slots = 0;
	return 0;
}

static bool is_available(uint16_t flags, bool wrap)
{
	return !!(flags & DESC_AVAIL) == wrap && !!(flags & DESC_USED) != wrap;
}

/* Moves a position on by n, which is at most the ring's size. */
static void advance(const struct vq *q, uint16_t *at, bool *wrap, unsigned n)
{
	unsigned to = *at + n;

	if (to >= q->size) {
		to -= q->size;
		*wrap = !*wrap;
	}
	*at = (uint16_t)to;
}

static struct desc read_desc(const struct packed_desc *from, uint16_t flags)
{
	return (struct desc){.addr = le64toh(GET(from->addr)),
	                     .len = le32toh(GET(from->len)),
	                     .flags = flags,
	                     .next = le16toh(GET(from->id))};
}

/* Copies the chain at the position into q->table. Return: how many descriptors, or 0 when it is
 * longer than one may be. */
static unsigned read_chain(struct vq *q, uint16_t flags)
{
	uint16_t at = q->packed.next;
	bool wrap = q->packed.next_wrap;
	unsigned count = 0;

	for (;;) {
		q->table[count++] = read_desc(&q->packed.ring[at], flags);
		if (!(flags & DESC_NEXT))
			return count;
		if (count == q->size || count == VQ_DESCS_MAX)
			return 0;
		/* The driver made the first one available last, so the others are there. */
		advance(q, &at, &wrap, 1);
		flags = le16toh(GET(q->packed.ring[at].flags));
	}
}

static const char *add_descs(struct vq *q, struct vq_chain *c, unsigned count)
{
	const char *why = NULL;

	if (count == 1 && (q->table[0].flags & DESC_INDIRECT)) {
		struct desc d = q->table[0]; /* the table's copy takes its place */

		return chain_add_table(q, c, &d, true);
	}
	for (unsigned i = 0; i < count && !why; i++) {
		if (q->table[i].flags & DESC_INDIRECT)
			return "an indirect table is part of a longer chain";
		why = chain_add(q, c, &q->table[i]);
	}
	return why;
}

static int packed_pop(struct vq *q, struct vq_chain **ret)
{
	uint16_t flags =
	    le16toh(__atomic_load_n(&q->packed.ring[q->packed.next].flags, __ATOMIC_ACQUIRE));
	struct vq_chain *c;
	const char *why;
	unsigned count;
	uint16_t id;

	if (!is_available(flags, q->packed.next_wrap))
		return 0;
	count = read_chain(q, flags);
	if (count == 0)
		return vq_break(q, "a chain has a loop or is too long");
	id = q->table[count - 1].next;
	if (id >= q->size)
		return vq_break(q, "a chain's id is not below the ring's size");
	c = chain_begin(q, id);
	if (!c)
		return vq_break(q, "a chain is available that is under way");
	why = add_descs(q, c, count);
	if (why)
		return vq_break(q, why);
	c->slots = (uint16_t)count;
	advance(q, &q->packed.next, &q->packed.next_wrap, count);
	chain_end(q, c);
	*ret = c;
	return 1;
}

/* The used ring's part is the ring itself here: where it is in the guest the map tells. */
static void log_write(struct vq *q, void *at, size_t size)
{
	if (q->log && q->log_ring)
		dirty_log_mark_iov(q->log, q->map, (struct iovec){at, size});
}

static void packed_push(struct vq *q, struct vq_chain *c, uint32_t written)
{
	struct packed_desc *d = &q->packed.ring[q->packed.used_next];
	uint16_t flags = (uint16_t)((q->packed.used_wrap ? DESC_AVAIL | DESC_USED : 0) |
	                            (written ? DESC_WRITE : 0));

	SET(d->id, htole16(c->id));
	SET(d->len, htole32(written));
	/* The driver looks at them in order: while the first is held back it sees none. */
	if (q->pushed == 0) {
		q->packed.first = q->packed.used_next;
		q->packed.first_flags = flags;
	} else {
		__atomic_store_n(&d->flags, htole16(flags), __ATOMIC_RELEASE);
	}
	log_write(q, d, sizeof(*d));
	advance(q, &q->packed.used_next, &q->packed.used_wrap, c->slots);
	q->packed.pushed_slots = (uint16_t)(q->packed.pushed_slots + c->slots);
}

static bool packed_publish(struct vq *q)
{
	uint16_t now = q->packed.used_next, before = (uint16_t)(now - q->packed.pushed_slots);
	uint16_t flags, position, event;

	__atomic_store_n(&q->packed.ring[q->packed.first].flags, htole16(q->packed.first_flags),
	                 __ATOMIC_RELEASE);
	q->packed.pushed_slots = 0;
	/* The driver writes what it wants and then looks at the ring: one of us sees the other. */
	BARRIER();
	flags = le16toh(__atomic_load_n(&q->packed.driver->flags, __ATOMIC_ACQUIRE));
	if (!q->event_idx || (flags & 3) != EVENT_DESC)
		return (flags & 3) != EVENT_DISABLE;
	position = le16toh(GET(q->packed.driver->position));
	event = position & 0x7fffu;
	if (!!(position & WRAP) != q->packed.used_wrap)
		event = (uint16_t)(event - q->size);
	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

static bool packed_pending(const struct vq *q)
{
	return is_available(le16toh(GET(q->packed.ring[q->packed.next].flags)),
	                    q->packed.next_wrap);
}

static bool packed_notify(struct vq *q, bool wanted)
{
	struct packed_event *e = q->packed.device;
	uint16_t flags = (uint16_t)(wanted ? EVENT_ENABLE : EVENT_DISABLE);

	if (wanted && q->event_idx) {
		flags = EVENT_DESC;
		SET(e->position,
		    htole16((uint16_t)(q->packed.next | (q->packed.next_wrap ? WRAP : 0))));
	}
	__atomic_store_n(&e->flags, htole16(flags), __ATOMIC_RELEASE);
	log_write(q, e, sizeof(*e));
	if (!wanted)
		return false;
	BARRIER();
	return packed_pending(q);
}

static uint32_t packed_base(const struct vq *q)
{
	return q->packed.next | (q->packed.next_wrap ? WRAP : 0) |
	       (uint32_t)(q->packed.used_next | (q->packed.used_wrap ? WRAP : 0)) << 16;
}

const struct ring_ops packed_ring = {.start = packed_start,
                                     .pop = packed_pop,
                                     .push = packed_push,
                                     .publish = packed_publish,
                                     .pending = packed_pending,
                                     .notify = packed_notify,
                                     .base = packed_base};
