/* SPDX-License-Identifier: GPL-2.0-or-later */
/* split.c: the split ring (virtio 1.2, 2.7). Integers of the guest's are little-endian. */
#include "virtio/ring.h"

#include <endian.h>
#include <errno.h>

struct split_desc {
	uint64_t addr;
	uint64_t rest; /* len[4] flags[2] next[2] */
};

struct split_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
};

struct split_used {
	uint16_t flags;
	uint16_t idx;
	struct {
		uint32_t id;
		uint32_t len;
	} ring[];
};

#define AVAIL_NO_INTERRUPT 0x1u
#define USED_NO_NOTIFY     0x1u

/* Each access to the guest's memory is one load or store that the compiler neither repeats nor
 * leaves out. */

static int split_start(struct vq *q, const struct vq_setup *s)
{
	size_t event = q->event_idx ? sizeof(uint16_t) : 0, n = s->size;
	struct split_avail *avail;
	struct split_used *used;

	if ((n & (n - 1)) != 0 || s->base > UINT16_MAX)
		return -EINVAL;
	q->split.desc = guest_map_ring(s->map, s->desc, n * sizeof(struct split_desc), 16);
	avail = guest_map_ring(s->map, s->avail, sizeof(*avail) + n * sizeof(*avail->ring) + event,
	                       sizeof(uint16_t));
	used = guest_map_ring(s->map, s->used, sizeof(*used) + n * sizeof(*used->ring) + event,
	                      sizeof(uint32_t));
	if (!q->split.desc || !avail || !used)
		return -EFAULT;
	q->split.avail = avail;
	q->split.used = used;
	q->split.used_event = event ? &avail->ring[n] : NULL;
	q->split.avail_event = event ? (uint16_t *)&used->ring[n] : NULL;
	/* Not our own count: another back end may have served this ring before. */
	q->split.used_next = q->split.used_shown = le16toh(GET(used->idx));
	q->split.next = (uint16_t)s->base;
	q->split.inflight = s->inflight;
	if (s->inflight) {
		int r = inflight_start(s->inflight, &q->split.track, q->size, q->split.used_next);

		if (r < 0)
			return r;
		/* A front end that lost us does not know how far we had come. */
		q->split.next = (uint16_t)(q->split.used_next + q->split.track.again_count);
	}
	q->split.seen = q->split.next;
	return 0;
}

static void split_end(struct vq *q)
{
	inflight_end(&q->split.track);
}

static struct desc read_desc(const struct split_desc *from)
{
	uint64_t addr = GET(from->addr), rest = le64toh(GET(from->rest));

	return (struct desc){.addr = le64toh(addr),
	                     .len = (uint32_t)rest,
	                     .flags = (uint16_t)(rest >> 32),
	                     .next = (uint16_t)(rest >> 48)};
}

/* Follows the chain that starts at head. Return: NULL, or what is wrong with it. */
static const char *add_descs(struct vq *q, struct vq_chain *c, unsigned head)
{
	for (unsigned i = 0; i < q->size; i++) {
		struct desc d = read_desc(&q->split.desc[head]);
		const char *why;

		if (d.flags & DESC_INDIRECT) {
			if (d.flags & DESC_NEXT)
				return "a chain goes on after an indirect table";
			return chain_add_table(q, c, &d, false);
		}
		why = chain_add(q, c, &d);
		if (why)
			return why;
		if (!(d.flags & DESC_NEXT))
			return NULL;
		head = d.next;
		if (head >= q->size)
			return "a descriptor's next is outside of the ring";
	}
	return "a chain has a loop";
}

static int next_head(struct vq *q, uint16_t *ret)
{
	uint16_t next = q->split.next;

	if (q->split.track.again_next < q->split.track.again_count) {
		*ret = q->split.track.again[q->split.track.again_next++];
		return 2;
	}
	if (next == q->split.seen) {
		uint16_t idx = le16toh(__atomic_load_n(&q->split.avail->idx, __ATOMIC_ACQUIRE));

		if (idx == next)
			return 0;
		if ((uint16_t)(idx - next) > q->size)
			return vq_break(q, "more is available than the ring holds");
		q->split.seen = idx;
	}
	*ret = le16toh(GET(q->split.avail->ring[next & (q->size - 1)]));
	if (*ret >= q->size)
		return vq_break(q, "a chain starts outside of the ring");
	q->split.next++;
	return 1;
}

static int split_pop(struct vq *q, struct vq_chain **ret)
{
	uint16_t head = 0;
	int found = next_head(q, &head);
	struct vq_chain *c;
	const char *why;

	if (found <= 0)
		return found;
	c = chain_begin(q, head);
	if (!c)
		return vq_break(q, "a chain is available that is under way");
	why = add_descs(q, c, head);
	if (why)
		return vq_break(q, why);
	if (q->split.inflight && found == 1)
		inflight_taken(q->split.inflight, &q->split.track, head);
	chain_end(q, c);
	*ret = c;
	return 1;
}

static void split_push(struct vq *q, struct vq_chain *c, uint32_t written)
{
	struct split_used *u = q->split.used;
	unsigned at = q->split.used_next & (q->size - 1);

	SET(u->ring[at].id, htole32(c->id));
	SET(u->ring[at].len, htole32(written));
	q->split.used_next++;
	if (q->split.inflight)
		inflight_pushed(q->split.inflight, &q->split.track, c->id);
	ring_log(q, offsetof(struct split_used, ring) + at * sizeof(u->ring[0]),
	         sizeof(u->ring[0]));
}

static bool split_publish(struct vq *q, unsigned pushed UNUSED)
{
	uint16_t shown = q->split.used_shown, now = q->split.used_next, event;

	__atomic_store_n(&q->split.used->idx, htole16(now), __ATOMIC_RELEASE);
	ring_log(q, offsetof(struct split_used, idx), sizeof(uint16_t));
	q->split.used_shown = now;
	if (q->split.inflight)
		inflight_published(q->split.inflight, &q->split.track, now);
	/* The driver writes what it wants and then looks at used.idx: one of us sees the other. */
	BARRIER();
	if (!q->event_idx)
		return !(le16toh(GET(q->split.avail->flags)) & AVAIL_NO_INTERRUPT);
	event = le16toh(GET(*q->split.used_event));
	return (uint16_t)(now - event - 1) < (uint16_t)(now - shown);
}

static bool split_pending(const struct vq *q)
{
	return q->split.next != q->split.seen ||
	       q->split.track.again_next < q->split.track.again_count ||
	       le16toh(GET(q->split.avail->idx)) != q->split.next;
}

static bool split_notify(struct vq *q, bool wanted)
{
	if (q->event_idx) {
		/* Not wanting is to leave the event where it was: behind. */
		if (!wanted)
			return false;
		SET(*q->split.avail_event, htole16(q->split.next));
		ring_log(
		    q, offsetof(struct split_used, ring) + q->size * sizeof(q->split.used->ring[0]),
		    sizeof(uint16_t));
	} else {
		SET(q->split.used->flags, htole16((uint16_t)(wanted ? 0 : USED_NO_NOTIFY)));
		ring_log(q, offsetof(struct split_used, flags), sizeof(uint16_t));
	}
	if (!wanted)
		return false;
	BARRIER();
	return split_pending(q);
}

static uint32_t split_base(const struct vq *q)
{
	return q->split.next;
}

const struct ring_ops split_ring = {.start = split_start,
                                    .end = split_end,
                                    .pop = split_pop,
                                    .push = split_push,
                                    .publish = split_publish,
                                    .pending = split_pending,
                                    .notify = split_notify,
                                    .base = split_base};
