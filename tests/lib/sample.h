/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sample.h: values for every field type of the message tables, from a seed, and their comparison.
 *
 * With them one line of a table is a round-trip test, a truncation test and a fuzz seed.
 */
#ifndef VIRTFS_TESTS_LIB_SAMPLE_H
#define VIRTFS_TESTS_LIB_SAMPLE_H

#include "wire/types.h"

#include <stdbool.h>

/** struct sample - a stream of values; bytes of strings are kept in it */
struct sample {
	uint64_t state;
	size_t used;
	uint8_t bytes[262144];
};

void sample_init(struct sample *s, uint64_t seed);
uint64_t sample_next(struct sample *s);

#define SAMPLE_TYPE(T)                                  \
	void sample_##T(struct sample *s, WT_C_##T *v); \
	bool same_##T(const WT_C_##T *a, const WT_C_##T *b);

SAMPLE_TYPE(h32)
SAMPLE_TYPE(h64)
SAMPLE_TYPE(hpath)
SAMPLE_TYPE(htarget)
SAMPLE_TYPE(hxname)
SAMPLE_TYPE(hblob)
SAMPLE_TYPE(vregion)
SAMPLE_TYPE(vregions)
SAMPLE_TYPE(vconfig)
SAMPLE_TYPE(vinflight)
SAMPLE_TYPE(u8)
SAMPLE_TYPE(u16)
SAMPLE_TYPE(u32)
SAMPLE_TYPE(u64)
SAMPLE_TYPE(str)
SAMPLE_TYPE(names)
SAMPLE_TYPE(qid)
SAMPLE_TYPE(qids)
SAMPLE_TYPE(data)
SAMPLE_TYPE(name)
SAMPLE_TYPE(path)
SAMPLE_TYPE(target)
SAMPLE_TYPE(xname)
SAMPLE_TYPE(time)
SAMPLE_TYPE(attr)
SAMPLE_TYPE(attrs)
SAMPLE_TYPE(nids)

#endif
