/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/sample.h"

#include <string.h>

void sample_init(struct sample *s, uint64_t seed)
{
	s->state = seed * 2654435761u + 1;
	s->used = 0;
}

/* xorshift64*: any fixed stream does. */
uint64_t sample_u64(struct sample *s)
{
	s->state ^= s->state >> 12;
	s->state ^= s->state << 25;
	s->state ^= s->state >> 27;
	return s->state * 0x2545f4914f6cdd1du;
}

/* Bytes without NUL (a string ends there), between min and max of them; now and then exactly
 * either. */
static void sample_bytes(struct sample *s, struct wt_str *v, size_t min, size_t max, bool nul)
{
	size_t room = sizeof(s->bytes) - s->used;
	size_t size = min + sample_u64(s) % 40;

	switch (sample_u64(s) % 8) {
	case 0:
		size = min;
		break;
	case 1:
		size = max;
		break;
	default:
		break;
	}
	if (size > max)
		size = max;
	if (size > room)
		size = min;
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)sample_u64(s);

		s->bytes[s->used + i] = byte || nul ? byte : 'n';
	}
	*v = (struct wt_str){.data = s->bytes + s->used, .size = size};
	s->used += size;
}

static bool same_bytes(const struct wt_str *a, const struct wt_str *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

void sample_h32(struct sample *s, uint32_t *v)
{
	*v = (uint32_t)sample_u64(s);
}

bool same_h32(const uint32_t *a, const uint32_t *b)
{
	return *a == *b;
}

void sample_h64(struct sample *s, uint64_t *v)
{
	*v = sample_u64(s);
}

bool same_h64(const uint64_t *a, const uint64_t *b)
{
	return *a == *b;
}

void sample_hpath(struct sample *s, struct wt_str *v)
{
	sample_bytes(s, v, 0, 5000, false);
}

bool same_hpath(const struct wt_str *a, const struct wt_str *b)
{
	return same_bytes(a, b);
}

void sample_htarget(struct sample *s, struct wt_str *v)
{
	sample_bytes(s, v, 1, WT_TARGET_MAX, false);
}

bool same_htarget(const struct wt_str *a, const struct wt_str *b)
{
	return same_bytes(a, b);
}

void sample_hxname(struct sample *s, struct wt_str *v)
{
	sample_bytes(s, v, 1, WT_XNAME_MAX, false);
}

bool same_hxname(const struct wt_str *a, const struct wt_str *b)
{
	return same_bytes(a, b);
}

void sample_hblob(struct sample *s, struct wt_str *v)
{
	sample_bytes(s, v, 0, 5000, true);
}

bool same_hblob(const struct wt_str *a, const struct wt_str *b)
{
	return same_bytes(a, b);
}
