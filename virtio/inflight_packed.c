/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inflight_packed.c: what is under way in a packed ring.
 *
 * The used elements overwrite the ring's descriptors, so the area has copies of those that were taken: an entry each, a chain's
 * linked by next, as are the free ones. Fields come in pairs: the old one is how things were before the batch that is about to
 * be shown. Whoever finds a pair that differs tells by the ring whether the batch was shown.
 */
#include "common/cleanup.h"
#include "virtio/inflight_area.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

/* The specification's DescStatePacked. */
struct inflight_entry {
	uint8_t inflight; /* of a chain's first: so are last, num and counter */
	uint8_t padding;
	uint16_t next;
	uint16_t last, num;
	uint64_t counter;
	uint16_t id, flags;
	uint32_t len;
	uint64_t addr;
};

/* Its QueueRegionPacked; in the host's byte order. The pairs are written by one store, so that no end of ours comes in between. */
struct inflight_packed {
	uint64_t features;
	uint16_t version; /* 0: was never used */
	uint16_t desc_num;
	union free_pair {
		struct {
			uint16_t now, old;
		};
		uint32_t word;
	} free;
	union used_pair {
		struct {
			uint16_t now, old;
			uint8_t now_wrap, old_wrap;
		};
		uint64_t word;
	} used;
	uint64_t padding;
	struct inflight_entry entry[];
};

static_assert(sizeof(struct inflight_entry) == 32, "an entry as the specification has it");
static_assert(offsetof(struct inflight_packed, entry) == 32, "what is before them likewise");

static uint64_t ring_size(unsigned queue_size)
{
	return inflight_part_size(sizeof(struct inflight_packed), sizeof(struct inflight_entry),
	                          queue_size);
}

uint64_t inflight_packed_size(unsigned queues, unsigned queue_size)
{
	return queues * ring_size(queue_size);
}

struct inflight_packed *inflight_packed_of(const struct shared_piece *area, unsigned index,
                                           unsigned queue_size)
{
	return shared_piece_at(area, index * ring_size(queue_size), ring_size(queue_size),
	                       sizeof(uint64_t));
}

void inflight_packed_forget(struct inflight_packed *r)
{
	SET(r->version, 0);
}

/* ---- a start ---- */

static void set_free(struct inflight_packed *r, uint16_t now, uint16_t old)
{
	const union free_pair p = {.now = now, .old = old};

	SET(r->free.word, p.word);
}

static void set_used(struct inflight_packed *r, struct inflight_place now,
                     struct inflight_place old)
{
	const union used_pair p = {
	    .now = now.at, .old = old.at, .now_wrap = now.wrap, .old_wrap = old.wrap};

	SET(r->used.word, p.word);
}

static void make_new(struct inflight_packed *r, unsigned size, struct inflight_place used)
{
	SET(r->version, 0);
	BETWEEN();
	for (unsigned i = 0; i < size; i++)
		r->entry[i] = (struct inflight_entry){.next = (uint16_t)(i + 1)};
	SET(r->desc_num, (uint16_t)size);
	set_free(r, 0, 0);
	set_used(r, used, used);
	BETWEEN();
	SET(r->version, VERSION);
}

/* Whether the driver has not seen yet that something was used at the place: it is as it was made available. */
static bool is_unseen(const struct packed_desc *ring, struct inflight_place at)
{
	uint16_t flags = le16toh(__atomic_load_n(&ring[at.at].flags, __ATOMIC_ACQUIRE));

	return !!(flags & DESC_AVAIL) == at.wrap && !!(flags & DESC_USED) != at.wrap;
}

/* Decides whether the last batch was shown, and finds where things stand. Return: false for what cannot be. */
static bool settle(struct inflight_packed *r, struct inflight_packed_state *s,
                   const struct packed_desc *ring)
{
	const union used_pair used = {.word = GET(r->used.word)};
	const union free_pair list = {.word = GET(r->free.word)};
	const struct inflight_place now = {used.now, used.now_wrap & 1},
	                            old = {used.old, used.old_wrap & 1};
	bool shown;

	if (now.at >= s->size || old.at >= s->size)
		return false;
	/* A batch of the whole ring leads to the same slot, in the next lap. */
	shown = (now.at != old.at || now.wrap != old.wrap) && !is_unseen(ring, old);
	s->used = shown ? now : old;
	s->free = shown ? list.now : list.old;
	set_free(r, s->free, s->free);
	set_used(r, s->used, s->used);
	return true;
}

/* Each entry is in one list once. Return: false if it is not. */
static bool see(bool *seen, unsigned size, uint16_t i)
{
	if (i >= size || seen[i])
		return false;
	seen[i] = true;
	return true;
}

/* Return: how many are free, or UINT_MAX for a list that cannot be. */
static unsigned walk_free(struct inflight_packed *r, struct inflight_packed_state *s, bool *seen)
{
	unsigned free_count = 0;

	for (uint16_t i = s->free; i < s->size; i = s->next[i]) {
		if (!see(seen, s->size, i))
			return UINT_MAX;
		free_count++;
		SET(r->entry[i].inflight, 0);
		s->found[i].inflight = 0;
	}
	return free_count;
}

static bool walk_chain(struct inflight_packed_state *s, bool *seen, uint16_t first)
{
	const struct inflight_entry *e = &s->found[first];
	uint16_t at = first;

	for (unsigned i = 1; i < e->num && see(seen, s->size, at); i++)
		at = s->next[at];
	s->slots += e->num;
	return e->num > 0 && see(seen, s->size, at) && at == e->last;
}

/* Finds the chains that are under way, which with the free entries are all there are. */
static int find_again(struct inflight_packed *r, struct inflight_packed_state *s)
{
	AUTO_FREE uint64_t(*found)[2] = calloc(s->size, sizeof(*found));
	AUTO_FREE bool *seen = calloc(s->size, sizeof(*seen));

	unsigned free_count;

	if (!found || !seen)
		return -ENOMEM;
	free_count = walk_free(r, s, seen);
	if (free_count == UINT_MAX)
		return -EINVAL;
	for (uint16_t i = 0; i < s->size; i++) {
		if (!s->found[i].inflight)
			continue;
		if (!walk_chain(s, seen, i))
			return -EINVAL;
		found[s->again_count][0] = s->found[i].counter;
		found[s->again_count++][1] = i;
	}
	if (s->slots + free_count != s->size)
		return -EINVAL;
	inflight_sort(found, s->again_count);
	for (unsigned i = 0; i < s->again_count; i++)
		s->again[i] = (uint16_t)found[i][1];
	if (s->again_count > 0)
		s->counter = found[s->again_count - 1][0] + 1;
	return 0;
}

int inflight_packed_start(struct inflight_packed *r, struct inflight_packed_state *s, unsigned size,
                          struct packed_desc *ring, struct inflight_place used)
{
	int error;

	if (GET(r->version) != VERSION || GET(r->desc_num) != size)
		make_new(r, size, used);
	*s = (struct inflight_packed_state){.size = size,
	                                    .next = calloc(size, sizeof(uint16_t)),
	                                    .head = calloc(size, sizeof(uint16_t)),
	                                    .last = calloc(size, sizeof(uint16_t)),
	                                    .found = calloc(size, sizeof(*s->found)),
	                                    .again = calloc(size, sizeof(uint16_t)),
	                                    .batch = calloc(size, sizeof(uint16_t))};
	error = s->next && s->head && s->last && s->found && s->again && s->batch ? 0 : -ENOMEM;
	if (error == 0 && !settle(r, s, ring))
		error = -EINVAL;
	for (unsigned i = 0; error == 0 && i < size; i++) {
		guest_copy_out(&s->found[i],
		               (struct iovec){&r->entry[i], sizeof(struct inflight_entry)});
		s->next[i] = s->found[i].next;
	}
	if (error == 0)
		error = find_again(r, s);
	if (error < 0)
		inflight_packed_end(s);
	return error;
}

void inflight_packed_end(struct inflight_packed_state *s)
{
	free(s->next);
	free(s->head);
	free(s->last);
	free(s->found);
	free(s->again);
	free(s->batch);
	*s = (struct inflight_packed_state){0};
}

/* ---- chains ---- */

unsigned inflight_packed_again(struct inflight_packed_state *s, struct desc *table)
{
	uint16_t at;
	unsigned num;

	if (s->again_next == s->again_count)
		return 0;
	at = s->again[s->again_next];
	num = s->found[at].num;
	if (num > VQ_DESCS_MAX)
		return VQ_DESCS_MAX + 1;
	for (unsigned i = 0; i < num; i++, at = s->next[at]) {
		const struct inflight_entry *e = &s->found[at];

		table[i] =
		    (struct desc){.addr = e->addr, .len = e->len, .flags = e->flags, .next = e->id};
	}
	return num;
}

void inflight_packed_resumed(struct inflight_packed_state *s, uint16_t id)
{
	uint16_t first = s->again[s->again_next++];

	s->head[id] = first;
	s->last[id] = s->found[first].last;
}

void inflight_packed_taken(struct inflight_packed *r, struct inflight_packed_state *s,
                           const struct desc *table, unsigned count)
{
	uint16_t first = s->free, at = first, id = table[count - 1].next;
	struct inflight_entry *head = &r->entry[first];

	for (unsigned i = 0; i < count; i++) {
		struct inflight_entry *e = &r->entry[s->free];

		at = s->free;
		SET(e->addr, table[i].addr);
		SET(e->len, table[i].len);
		SET(e->flags, table[i].flags);
		SET(e->id, table[i].next);
		s->free = s->next[at];
	}
	s->head[id] = first;
	s->last[id] = at;
	SET(head->last, at);
	SET(head->num, (uint16_t)count);
	SET(head->counter, s->counter++);
	BETWEEN();
	SET(head->inflight, 1);
	BETWEEN();
	set_free(r, s->free, s->free);
}

void inflight_packed_pushed(struct inflight_packed_state *s, uint16_t id)
{
	s->batch[s->batch_count++] = id;
}

void inflight_packed_show(struct inflight_packed *r, struct inflight_packed_state *s,
                          struct inflight_place used)
{
	uint16_t before = s->free;

	for (unsigned i = 0; i < s->batch_count; i++) {
		uint16_t first = s->head[s->batch[i]], last = s->last[s->batch[i]];

		SET(r->entry[last].next, s->free);
		s->next[last] = s->free;
		s->free = first;
	}
	BETWEEN();
	set_free(r, s->free, before);
	BETWEEN();
	set_used(r, used, s->used);
	s->used = used;
	BETWEEN();
}

void inflight_packed_shown(struct inflight_packed *r, struct inflight_packed_state *s)
{
	BETWEEN();
	for (unsigned i = 0; i < s->batch_count; i++)
		SET(r->entry[s->head[s->batch[i]]].inflight, 0);
	s->batch_count = 0;
	BETWEEN();
	set_free(r, s->free, s->free);
	set_used(r, s->used, s->used);
}
