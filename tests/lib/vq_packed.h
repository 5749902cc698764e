/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vq_packed.h: the driver of a packed ring, on the bed of vq_bed.h. Every function fails the test where it cannot do its work. */
#ifndef VIRTFS_TESTS_LIB_VQ_PACKED_H
#define VIRTFS_TESTS_LIB_VQ_PACKED_H

#include "tests/lib/vq_bed.h"

#define PACKED (BOTH | VIO_FEATURE(VIO_F_RING_PACKED))

/* The driver's place in the ring. */
struct driver {
	struct bed b;
	unsigned next, used;
	bool wrap, used_wrap;
};

UNUSED static uint16_t *event(struct driver *d, uint64_t gpa)
{
	return vring_at(&d->b.v, gpa);
}

UNUSED static void begin(struct driver *d, unsigned size, uint64_t features)
{
	*d = (struct driver){.wrap = true, .used_wrap = true};
	make(&d->b, size);
	cr_assert_eq(start(&d->b, features | VIO_FEATURE(VIO_F_RING_PACKED), 0x80008000), 0);
}

/* Where the driver stands, as a base. */
UNUSED static uint32_t base(const struct driver *d)
{
	return d->next | (d->wrap ? 0x8000u : 0) | d->used << 16 | (d->used_wrap ? 0x80000000u : 0);
}

/* Writes a descriptor; available says whether the device may see it now. */
UNUSED static void put(struct driver *d, unsigned at, bool wrap, uint64_t addr, uint32_t len,
                       unsigned id, unsigned flags)
{
	/* In a packed ring the last two fields are the other way round. */
	vring_desc(&d->b.v, VRING_DESC, at, addr, len, id, flags | (wrap ? 0x80u : 0x8000u));
}

UNUSED static void step(const struct driver *d, unsigned *at, bool *wrap)
{
	if (++*at == d->b.v.size) {
		*at = 0;
		*wrap = !*wrap;
	}
}

/* A chain of count buffers of a byte each, all but the last to read; the id is in the last. */
UNUSED static void offer_packed(struct driver *d, unsigned count, unsigned id)
{
	for (unsigned i = 0; i < count; i++) {
		put(d, d->next, d->wrap, VRING_FREE + i, 1, i + 1 == count ? id : 0x7777,
		    i + 1 < count ? VRING_NEXT : VRING_WRITE);
		step(d, &d->next, &d->wrap);
	}
}

/* What is used next: its id; UINT32_MAX if there is none. */
UNUSED static uint32_t take_used(struct driver *d, unsigned count, uint32_t *ret_len)
{
	struct vring_desc_bytes e;

	memcpy(&e, vring_at(&d->b.v, VRING_DESC + d->used * sizeof(e)), sizeof(e));
	/* flags is the other field. */
	if (!!(e.next & 0x80) != d->used_wrap || !!(e.next & 0x8000) != d->used_wrap)
		return UINT32_MAX;
	for (unsigned i = 0; i < count; i++)
		step(d, &d->used, &d->used_wrap);
	*ret_len = e.len;
	return e.flags;
}

#endif
