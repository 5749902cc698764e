/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vq_bed.h: a queue of virtio/ on a driver's ring, without a transport.
 *
 * Every function fails the test where it cannot do its work.
 */
#ifndef VIRTFS_TESTS_LIB_VQ_BED_H
#define VIRTFS_TESTS_LIB_VQ_BED_H

#include "tests/lib/vring.h"
#include "virtio/device.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BOTH (VIO_FEATURE(VIO_F_INDIRECT_DESC) | VIO_FEATURE(VIO_F_EVENT_IDX))

struct bed {
	struct vring v;
	struct guest_map *map;
	struct vq *q;
	int call, error; /* the emulator's ends */
	unsigned stopped;
};

UNUSED static void on_stopped(struct vq *q, void *context)
{
	struct bed *b = context;

	cr_assert_eq(q, b->q);
	b->stopped++;
}

UNUSED static int start(struct bed *b, uint64_t features, uint32_t base)
{
	const struct vq_setup s = {.size = b->v.size,
	                           .features = features,
	                           .desc = vring_uva(VRING_DESC),
	                           .avail = vring_uva(VRING_AVAIL),
	                           .used = vring_uva(VRING_USED),
	                           .base = base,
	                           .map = b->map};

	return vq_start(b->q, &s);
}

/* A queue that does not run. */
UNUSED static void make(struct bed *b, unsigned size)
{
	vring_make(&b->v, size);
	b->map = vring_map(&b->v);
	b->stopped = 0;
	cr_assert_eq(vq_new(3, on_stopped, b, &b->q), 0);
	b->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	b->error = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	vq_set_call(b->q, dup(b->call));
	vq_set_error(b->q, dup(b->error));
}

UNUSED static void set_up(struct bed *b, unsigned size, uint64_t features)
{
	make(b, size);
	cr_assert_eq(start(b, features, 0), 0);
}

UNUSED static void tear_down(struct bed *b)
{
	vq_free(b->q);
	guest_map_put(b->map);
	vring_free(&b->v);
	(void)close(b->call);
	(void)close(b->error);
}

/* How often it was told since the last time. */
UNUSED static uint64_t told(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

UNUSED static void offer(struct bed *b, unsigned head, uint64_t addr, uint32_t len, unsigned flags)
{
	vring_desc(&b->v, VRING_DESC, head, addr, len, flags, 0);
	vring_offer(&b->v, head);
}

UNUSED static struct vq_chain *pop(struct bed *b)
{
	struct vq_chain *c = NULL;

	cr_assert_eq(vq_pop(b->q, &c), 1);
	return c;
}

UNUSED static void pop_none(struct bed *b)
{
	struct vq_chain *c;

	cr_assert_eq(vq_pop(b->q, &c), 0);
}

/* For indirect tables; nothing else is there. */
#define TABLE (VRING_GPA + VRING_REGION + 0x20000u)

/* A table of count descriptors of len bytes, the last one to write, at TABLE. */
UNUSED static void fill_table(struct bed *b, unsigned count, uint32_t len)
{
	for (unsigned i = 0; i < count; i++)
		vring_desc(&b->v, TABLE, i, VRING_FREE + i * 8, len,
		           i + 1 < count ? VRING_NEXT : VRING_WRITE, i + 1);
}

#endif
