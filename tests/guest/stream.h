/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pseudo-random bytes that guest and host produce alike (splitmix64), and a checksum over bytes.
 */
#ifndef TESTS_GUEST_STREAM_H
#define TESTS_GUEST_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The next number of a sequence; seed it with any value. */
static inline uint64_t stream_next(uint64_t *state)
{
	uint64_t mixed = (*state += 0x9e3779b97f4a7c15u);

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
	return mixed ^ (mixed >> 31);
}

/* One number out of (kind, index), the same at each call. */
static inline uint64_t stream_hash(uint64_t kind, uint64_t index)
{
	uint64_t state = (kind << 56) ^ index;

	return stream_next(&state);
}

/* Fill a buffer with the next bytes; only the last call of a sequence may have an odd size. */
static inline void stream_fill(uint64_t *state, void *buffer, size_t size)
{
	unsigned char *bytes = buffer;

	while (size > 0) {
		uint64_t number = stream_next(state);
		size_t step = size < sizeof(number) ? size : sizeof(number);

		memcpy(bytes, &number, step);
		bytes += step;
		size -= step;
	}
}

/* Add bytes to a checksum (FNV-1a over 64-bit words, the rest byte by byte). */
static inline uint64_t stream_sum(uint64_t sum, const void *buffer, size_t size)
{
	const unsigned char *bytes = buffer;

	for (; size >= sizeof(uint64_t); bytes += sizeof(uint64_t), size -= sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		sum = (sum ^ word) * 0x100000001b3u;
	}
	for (; size > 0; bytes++, size--)
		sum = (sum ^ *bytes) * 0x100000001b3u;
	return sum;
}

#endif
