/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/vu_p9.h"

#include <criterion/criterion.h>
#include <string.h>

#define UNTOUCHED 0xa5 /* what a reply's buffer is filled with */
#define FILLED    512  /* so many bytes of it */

/* ---- pieces ---- */

struct pieces {
	struct vu_sg sg[VU_P9_PIECES];
	unsigned count, out;
};

static void add(struct pieces *p, uint64_t gpa, uint32_t size, uint16_t flags)
{
	cr_assert_lt(p->count, VU_P9_PIECES);
	p->sg[p->count++] = (struct vu_sg){gpa, size, flags};
}

static void cut(struct pieces *p, const struct vu_shape *s, uint64_t gpa, uint32_t size,
                uint16_t flags)
{
	uint32_t first = flags ? s->in_first : s->out_first;
	uint32_t others = flags ? s->in_piece : s->out_piece;

	if (s->empty_between)
		add(p, gpa, 0, flags);
	for (uint32_t at = 0, n = first ? first : others; at < size; at += n, n = others) {
		if (n == 0 || n > size - at)
			n = size - at;
		add(p, gpa + at, n, flags);
		if (s->empty_between)
			add(p, 0, 0, flags); /* of no bytes: its address means nothing */
		if (n == size - at)
			break;
	}
}

/* ---- requests ---- */

/* Guest memory that may be in two regions. */
static void copy(struct vu_front *f, uint64_t gpa, void *bytes, size_t size, bool to_guest)
{
	size_t first = size;

	if (gpa < VU_HIGH_GPA && gpa + size > VU_HIGH_GPA)
		first = VU_HIGH_GPA - gpa;
	if (to_guest)
		memcpy(vu_at(f, gpa, first), bytes, first);
	else
		memcpy(bytes, vu_at(f, gpa, first), first);
	if (first < size)
		copy(f, gpa + first, (uint8_t *)bytes + first, size - first, to_guest);
}

static void buffers(struct vu_p9 *p, struct vu_p9_slot *s)
{
	/* The last bytes of the one region and the first of the next; a little elsewhere each time. */
	uint64_t across = VU_HIGH_GPA - 1 - p->straddle++ % 13;

	if (s->home == 0)
		s->home = vu_alloc(p->ring->f, VU_FAR, 2ull * p->room, 8);
	s->out = p->shape.straddle_out ? across : s->home;
	s->in = p->shape.straddle_in ? across : s->home + p->room;
}

static void fill(struct vu_p9 *p, const struct vu_p9_slot *s)
{
	uint8_t bytes[FILLED];

	memset(bytes, UNTOUCHED, sizeof(bytes));
	copy(p->ring->f, s->in, bytes, sizeof(bytes), true);
}

/* What the device wrote beyond what it says that it wrote. */
static void check_behind(struct vu_p9 *p, const struct vu_p9_slot *s, size_t used)
{
	uint8_t bytes[FILLED];

	copy(p->ring->f, s->in, bytes, sizeof(bytes), false);
	for (size_t i = used; i < sizeof(bytes); i++)
		cr_assert_eq(bytes[i], UNTOUCHED, "the device wrote byte %zu, and says it used %zu",
		             i, used);
}

static uint16_t add_pieces(struct vu_p9 *p, const struct pieces *all)
{
	switch (p->shape.way) {
	case VU_INDIRECT:
		return vu_ring_add_indirect(p->ring, all->sg, all->count, 0);
	case VU_FIRST_DIRECT:
		return vu_ring_add_indirect(p->ring, all->sg, all->count, 1);
	case VU_READ_DIRECT_ALL:
		return vu_ring_add_indirect(p->ring, all->sg, all->count, all->out);
	case VU_DIRECT:
	default:
		return vu_ring_add(p->ring, all->sg, all->count);
	}
}

uint16_t vu_p9_offer(struct vu_p9 *p, const void *bytes, size_t size, uint16_t tag)
{
	/* Where the head will be is known before: the first free descriptor. */
	struct vu_p9_slot *s = &p->slot[p->ring->free_head];
	struct vu_front *f = p->ring->f;
	static struct pieces all;
	uint16_t head;

	cr_assert_gt(p->ring->free_count, 0, "the ring is full");
	cr_assert_leq(size, p->room, "a request of %zu bytes, but buffers of %u", size, p->room);
	buffers(p, s);
	s->busy = true;
	s->killed = false;
	s->tag = tag;
	s->in_room = p->shape.none_for_reply ? 0 : p->shape.in_room ? p->shape.in_room : p->room;
	copy(f, s->out, (void *)(uintptr_t)bytes, size, true);
	fill(p, s);
	all.count = 0;
	cut(&all, &p->shape, s->out, (uint32_t)size, 0);
	all.out = all.count;
	if (!p->shape.none_for_reply)
		cut(&all, &p->shape, s->in, s->in_room, VU_DESC_WRITE);
	head = add_pieces(p, &all);
	cr_assert_eq(s, &p->slot[head]);
	p->flying++;
	if (p->hold_kick) {
		vu_ring_put(p->ring, head);
		vu_ring_publish(p->ring);
	} else {
		vu_ring_offer(p->ring, head);
	}
	return head;
}

size_t vu_p9_take(struct vu_p9 *p, const struct vu_used_elem *e, uint8_t *buffer, size_t room)
{
	struct vu_p9_slot *s = &p->slot[e->id];
	size_t size = e->len < room ? e->len : room;

	cr_assert(s->busy, "descriptor %u ends, and is not under way", e->id);
	cr_assert_leq(e->len, s->in_room, "%u bytes used of a buffer of %u", e->len, s->in_room);
	copy(p->ring->f, s->in, buffer, size, false);
	if (!s->killed)
		check_behind(p, s, e->len);
	s->busy = false;
	p->flying--;
	vu_ring_free(p->ring, (uint16_t)e->id);
	if (e->len == 0) {
		p->zeros++;
		p->zero_tag = s->tag;
	}
	return e->len;
}

uint8_t *vu_p9_in(struct vu_p9 *p, uint16_t head)
{
	return vu_at(p->ring->f, p->slot[head].in, 1);
}

uint8_t *vu_p9_out(struct vu_p9 *p, uint16_t head)
{
	return vu_at(p->ring->f, p->slot[head].out, 1);
}

/* ---- the link of the client ---- */

static struct vu_p9 *p9_of(struct p9_link *link)
{
	return (struct vu_p9 *)(void *)((uint8_t *)link - offsetof(struct vu_p9, link));
}

static void link_send(struct p9_link *link, const void *bytes, size_t size)
{
	struct vu_p9 *p = p9_of(link);
	struct rd r = rd_over(bytes, size);
	struct p9_head h;

	cr_assert(p9_head_get(&r, &h));
	(void)vu_p9_offer(p, bytes, size, h.tag);
}

static size_t link_recv(struct p9_link *link, uint8_t *buffer, size_t room)
{
	struct vu_p9 *p = p9_of(link);
	struct vu_used_elem e;
	size_t n;

	if (p->closed)
		return 0;
	do {
		cr_assert(vu_ring_used(p->ring, VU_PATIENCE_MS, &e), "no reply comes");
		n = vu_p9_take(p, &e, buffer, room);
	} while (n == 0);
	return n;
}

static bool link_quiet(struct p9_link *link, int ms)
{
	vu_sleep_ms((unsigned)ms);
	return !vu_ring_ended(p9_of(link)->ring);
}

void vu_p9_init(struct vu_p9 *p, struct vu_ring *r, uint32_t room)
{
	*p = (struct vu_p9){.link = {link_send, link_recv, link_quiet},
	                    .ring = r,
	                    .room = room ? room : VU_P9_ROOM,
	                    .slot = calloc(r->size, sizeof(struct vu_p9_slot))};
	cr_assert_not_null(p->slot);
	p9_client_init(&p->c, -1);
	p->c.link = &p->link;
}

void vu_p9_forget(struct vu_p9 *p)
{
	for (uint16_t i = 0; i < p->ring->size; i++)
		p->slot[i].busy = false;
	p->flying = 0;
}

void vu_p9_killed(struct vu_p9 *p)
{
	for (uint16_t i = 0; i < p->ring->size; i++)
		p->slot[i].killed = p->slot[i].busy;
}

void vu_p9_end(struct vu_p9 *p)
{
	p9_client_end(&p->c);
	free(p->slot);
	p->slot = NULL;
}
