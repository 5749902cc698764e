/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/vu_packed.h"

#include <criterion/criterion.h>
#include <string.h>

static_assert(sizeof(struct vu_pdesc) == 16, "a descriptor as it lies in memory");

void vu_packed_init(struct vu_ring *r)
{
	struct vu_packed *k = calloc(1, sizeof(*k));

	cr_assert_not_null(k);
	r->packed = k;
	r->desc_gpa = vu_alloc(r->f, VU_LOW, sizeof(struct vu_pdesc) * r->size, 16);
	r->avail_gpa = vu_alloc(r->f, VU_LOW, sizeof(struct vu_pevent), 4);
	r->used_gpa = vu_alloc(r->f, VU_LOW, sizeof(struct vu_pevent), 4);
	k->desc = vu_at(r->f, r->desc_gpa, sizeof(struct vu_pdesc) * r->size);
	k->driver = vu_at(r->f, r->avail_gpa, sizeof(struct vu_pevent));
	k->device = vu_at(r->f, r->used_gpa, sizeof(struct vu_pevent));
	k->chain = calloc(r->size, sizeof(struct vu_pdesc *));
	k->slots = calloc(r->size, sizeof(k->slots[0]));
	k->offered = calloc(r->size, sizeof(k->offered[0]));
	cr_assert(k->chain && k->slots && k->offered);
}

void vu_packed_end(struct vu_ring *r)
{
	struct vu_packed *k = r->packed;

	for (uint16_t i = 0; i < r->size; i++)
		free(k->chain[i]);
	free(k->chain);
	free(k->slots);
	free(k->offered);
	free(k);
}

void vu_packed_clear(struct vu_ring *r)
{
	struct vu_packed *k = r->packed;

	memset(k->desc, 0, sizeof(k->desc[0]) * r->size);
	memset(k->driver, 0, sizeof(*k->driver));
	memset(k->device, 0, sizeof(*k->device));
	memset(k->offered, 0, r->size * sizeof(k->offered[0]));
	k->avail = k->used = k->unkicked = 0;
	k->avail_wrap = k->used_wrap = true;
	k->held = false;
}

uint32_t vu_packed_base(const struct vu_ring *r)
{
	const struct vu_packed *k = r->packed;

	return (uint32_t)(k->avail | k->avail_wrap << 15) | (uint32_t)(k->used | k->used_wrap << 15)
	                                                        << 16;
}

/* ---- offering ---- */

static uint16_t take_id(struct vu_ring *r, unsigned slots)
{
	uint16_t id = r->free_head;

	cr_assert_leq(slots, r->free_count, "the test uses more descriptors than there are");
	r->free_head = r->next[id];
	r->free_count = (uint16_t)(r->free_count - slots);
	r->packed->slots[id] = (uint16_t)slots;
	free(r->packed->chain[id]);
	r->packed->chain[id] = calloc(slots, sizeof(struct vu_pdesc));
	cr_assert_not_null(r->packed->chain[id]);
	return id;
}

uint16_t vu_packed_add(struct vu_ring *r, const struct vu_sg *sg, unsigned count)
{
	uint16_t id = take_id(r, count);

	for (unsigned i = 0; i < count; i++)
		r->packed->chain[id][i] =
		    (struct vu_pdesc){sg[i].gpa, sg[i].size, id,
		                      (uint16_t)(sg[i].flags | (i + 1 < count ? VU_DESC_NEXT : 0))};
	return id;
}

uint16_t vu_packed_add_indirect(struct vu_ring *r, const struct vu_sg *sg, unsigned count)
{
	uint16_t id = take_id(r, 1);
	uint64_t table = vu_ring_table(r, id, count);
	struct vu_pdesc *entry = vu_at(r->f, table, 16ull * count);

	/* Entries follow each other; of their flags WRITE alone means something. */
	for (unsigned i = 0; i < count; i++)
		entry[i] = (struct vu_pdesc){sg[i].gpa, sg[i].size, 0, sg[i].flags};
	r->packed->chain[id][0] = (struct vu_pdesc){table, 16 * count, id, VU_DESC_INDIRECT};
	return id;
}

void vu_packed_free(struct vu_ring *r, uint16_t id)
{
	r->next[id] = r->free_head;
	r->free_head = id;
	r->free_count = (uint16_t)(r->free_count + r->packed->slots[id]);
}

static void step(const struct vu_ring *r, uint16_t *at, bool *wrap)
{
	if (++*at == r->size) {
		*at = 0;
		*wrap = !*wrap;
	}
}

void vu_packed_put(struct vu_ring *r, uint16_t id)
{
	struct vu_packed *k = r->packed;

	for (uint16_t i = 0; i < k->slots[id]; i++) {
		struct vu_pdesc d = k->chain[id][i];
		uint16_t flags =
		    (uint16_t)(d.flags | (k->avail_wrap ? VU_DESC_AVAIL : VU_DESC_USED));

		k->desc[k->avail].addr = d.addr;
		k->desc[k->avail].len = d.len;
		k->desc[k->avail].id = d.id;
		if (k->held) {
			__atomic_store_n(&k->desc[k->avail].flags, flags, __ATOMIC_RELEASE);
		} else {
			k->held = true;
			k->held_at = k->avail;
			k->held_flags = flags;
		}
		step(r, &k->avail, &k->avail_wrap);
	}
	k->unkicked = (uint16_t)(k->unkicked + k->slots[id]);
	k->offered[id] = true;
}

void vu_packed_publish(struct vu_ring *r)
{
	struct vu_packed *k = r->packed;

	if (k->held)
		__atomic_store_n(&k->desc[k->held_at].flags, k->held_flags, __ATOMIC_RELEASE);
	k->held = false;
}

bool vu_packed_wants_kick(struct vu_ring *r)
{
	struct vu_packed *k = r->packed;
	uint16_t count = k->unkicked, event;
	struct vu_pevent e;

	k->unkicked = 0;
	memcpy(&e, k->device, sizeof(e));
	if (!r->event_idx || e.flags != VU_EVENT_DESC)
		return e.flags != VU_EVENT_DISABLE;
	event = e.off_wrap & 0x7fff;
	if ((e.off_wrap >> 15) != k->avail_wrap)
		event = (uint16_t)(event - r->size);
	return (uint16_t)(k->avail - event - 1) < count;
}

/* ---- ends ---- */

bool vu_packed_ended(const struct vu_ring *r)
{
	const struct vu_packed *k = r->packed;
	uint16_t flags = __atomic_load_n(&k->desc[k->used].flags, __ATOMIC_ACQUIRE);

	return !!(flags & VU_DESC_AVAIL) == k->used_wrap &&
	       !!(flags & VU_DESC_USED) == k->used_wrap;
}

bool vu_packed_take(struct vu_ring *r, struct vu_used_elem *ret)
{
	struct vu_packed *k = r->packed;

	if (!vu_packed_ended(r))
		return false;
	*ret = (struct vu_used_elem){k->desc[k->used].id, k->desc[k->used].len};
	cr_assert_lt(ret->id, r->size, "the used element names id %u", ret->id);
	cr_assert(k->offered[ret->id], "id %u ends, and is not under way", ret->id);
	k->offered[ret->id] = false;
	for (uint16_t i = 0; i < k->slots[ret->id]; i++)
		step(r, &k->used, &k->used_wrap);
	return true;
}

void vu_packed_want(struct vu_ring *r)
{
	struct vu_packed *k = r->packed;

	__atomic_store_n(&k->driver->off_wrap, (uint16_t)(k->used | k->used_wrap << 15),
	                 __ATOMIC_RELAXED);
	__atomic_store_n(&k->driver->flags, r->event_idx ? VU_EVENT_DESC : VU_EVENT_ENABLE,
	                 __ATOMIC_RELEASE);
}
