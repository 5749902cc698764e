/* SPDX-License-Identifier: GPL-2.0-or-later */
/* packed.c: the packed ring (virtio 1.2, 2.8). Integers of the guest's are little-endian. */
#include "virtio/ring.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

/* Event suppression: off:15 and wrap:1 of a position in the ring, and what flags say of it. */
struct packed_event {
	uint16_t position;
	uint16_t flags;
};

/* A used element but for its flags, which show it to the driver: those of a batch are written together, so that none is seen
 * before our notes say so, or left over from a batch that a crash of ours cut off. */
struct packed_held {
	uint16_t at, flags;
};

#define EVENT_ENABLE  0x0u
#define EVENT_DISABLE 0x1u
#define EVENT_DESC    0x2u
#define WRAP          0x8000u

/* Whether nothing was ever used in it: a device sets USED in the first lap, and a driver only in the second. */
static bool is_new(const struct packed_desc *ring, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (le16toh(GET(ring[i].flags)) & DESC_USED)
			return false;
	return true;
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

/* Goes on where a back end left off that may have been killed. */
static int resume(struct vq *q)
{
	struct inflight_packed_state *track = &q->packed.track;
	int r = inflight_packed_start(
	    q->packed.inflight, track, q->size, q->packed.ring,
	    (struct inflight_place){q->packed.used_next, q->packed.used_wrap});

	if (r < 0)
		return r;
	/* A front end that lost us does not know how far we had come. */
	q->packed.next = q->packed.used_next = track->used.at;
	q->packed.next_wrap = q->packed.used_wrap = track->used.wrap;
	q->packed.slots = track->slots;
	/* What was written of a batch that was not shown would be seen when the next is. */
	for (unsigned i = 0; i < track->slots; i++) {
		SET(q->packed.ring[q->packed.next].flags,
		    htole16((uint16_t)(q->packed.next_wrap ? DESC_AVAIL : DESC_USED)));
		advance(q, &q->packed.next, &q->packed.next_wrap, 1);
	}
	return 0;
}

static void packed_end(struct vq *q)
{
	inflight_packed_end(&q->packed.track);
	free(q->packed.held);
	q->packed.held = NULL;
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
	q->packed.slots = q->packed.pushed_slots = 0;
	q->packed.held = calloc(s->size, sizeof(*q->packed.held));
	if (!q->packed.held)
		return -ENOMEM;
	q->packed.inflight = s->inflight_packed;
	q->packed.track = (struct inflight_packed_state){0};
	if (q->packed.inflight) {
		int r = resume(q);

		if (r < 0)
			packed_end(q);
		return r;
	}
	return 0;
}

static bool is_available(uint16_t flags, bool wrap)
{
	return !!(flags & DESC_AVAIL) == wrap && !!(flags & DESC_USED) != wrap;
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

/* Copies the next chain into q->table, those first that were under way before. Return: how many descriptors, 0 if there is none,
 * or -errno. */
static int next_chain(struct vq *q, bool *ret_again)
{
	unsigned count = q->packed.inflight ? inflight_packed_again(&q->packed.track, q->table) : 0;
	uint16_t flags;

	*ret_again = count > 0;
	if (count == 0) {
		flags = le16toh(
		    __atomic_load_n(&q->packed.ring[q->packed.next].flags, __ATOMIC_ACQUIRE));
		if (!is_available(flags, q->packed.next_wrap))
			return 0;
		count = read_chain(q, flags);
		if (count == 0)
			return vq_break(q, "a chain has a loop or is too long");
		if (q->packed.slots + count > q->size)
			return vq_break(q, "more is available than the ring holds");
	}
	if (count > VQ_DESCS_MAX)
		return vq_break(q, "a chain has a loop or is too long");
	return (int)count;
}

static int packed_pop(struct vq *q, struct vq_chain **ret)
{
	bool again;
	int count = next_chain(q, &again);
	struct vq_chain *c;
	struct desc first;
	const char *why;
	uint16_t id;

	if (count <= 0)
		return count;
	first = q->table[0];
	id = q->table[count - 1].next;
	if (id >= q->size)
		return vq_break(q, "a chain's id is not below the ring's size");
	c = chain_begin(q, id);
	if (!c)
		return vq_break(q, "a chain is available that is under way");
	why = add_descs(q, c, (unsigned)count);
	if (why)
		return vq_break(q, why);
	c->slots = (uint16_t)count;
	if (again) {
		inflight_packed_resumed(&q->packed.track, id);
	} else {
		q->table[0] = first; /* an indirect table took its place */
		if (q->packed.inflight)
			inflight_packed_taken(q->packed.inflight, &q->packed.track, q->table,
			                      (unsigned)count);
		q->packed.slots += (unsigned)count;
		advance(q, &q->packed.next, &q->packed.next_wrap, (unsigned)count);
	}
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

	SET(d->id, htole16(c->id));
	SET(d->len, htole32(written));
	q->packed.held[q->pushed] = (struct packed_held){
	    .at = q->packed.used_next,
	    .flags = (uint16_t)((q->packed.used_wrap ? DESC_AVAIL | DESC_USED : 0) |
	                        (written ? DESC_WRITE : 0))};
	if (q->packed.inflight)
		inflight_packed_pushed(&q->packed.track, c->id);
	advance(q, &q->packed.used_next, &q->packed.used_wrap, c->slots);
	q->packed.pushed_slots = (uint16_t)(q->packed.pushed_slots + c->slots);
}

/* The driver looks at them in order: until the first is there it sees none. */
static void show(struct vq *q, unsigned count)
{
	while (count-- > 0) {
		struct packed_desc *d = &q->packed.ring[q->packed.held[count].at];

		__atomic_store_n(&d->flags, htole16(q->packed.held[count].flags), __ATOMIC_RELEASE);
		log_write(q, d, sizeof(*d));
	}
}

static bool packed_publish(struct vq *q, unsigned pushed)
{
	uint16_t now = q->packed.used_next, before = (uint16_t)(now - q->packed.pushed_slots);
	uint16_t flags, position, event;

	if (q->packed.inflight)
		inflight_packed_show(q->packed.inflight, &q->packed.track,
		                     (struct inflight_place){now, q->packed.used_wrap});
	show(q, pushed);
	if (q->packed.inflight)
		inflight_packed_shown(q->packed.inflight, &q->packed.track);
	q->packed.slots -= q->packed.pushed_slots;
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
	return q->packed.track.again_next < q->packed.track.again_count ||
	       is_available(le16toh(GET(q->packed.ring[q->packed.next].flags)),
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
                                     .end = packed_end,
                                     .pop = packed_pop,
                                     .push = packed_push,
                                     .publish = packed_publish,
                                     .pending = packed_pending,
                                     .notify = packed_notify,
                                     .base = packed_base};
