/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.h: the guest's memory, and the only place where addresses of a guest become pointers.
 *
 * A guest_map is immutable and reference counted, as are the regions in it: a change of memory makes
 * a new map, and what still works on the old one (a request under way) keeps its memory mapped until
 * it lets go. One thread uses all this; there are no locks.
 *
 * The memory is shared with the emulator and the guest, who write it at any time: whoever looks at
 * it reads each value once, into memory of their own, and checks that. The emulator can also take it
 * away, by truncating the file: the first touch is then a SIGBUS. guest_memory_guard() turns that
 * into a page of zeros and a mark that guest_memory_damaged() finds.
 */
#ifndef VIRTFS_VIRTIO_MEMORY_H
#define VIRTFS_VIRTIO_MEMORY_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define GUEST_REGIONS_MAX 64

/** guest_memory_guard() - Survive SIGBUS in memory of a guest (see above); others end the process as
 * ever. Once a process. Return: 0 or -errno. */
int MUST_CHECK guest_memory_guard(void);

/* ---- a piece of a file, shared with the emulator ---- */

struct shared_piece;

/**
 * shared_piece_map() - Map size bytes of a regular file at offset, for reading and writing
 *
 * The caller keeps fd. Return: 0, or -errno: -EINVAL for no bytes, for what is no regular file and
 * for a piece that the file is too short for; -ENOSPC when GUEST_PIECES_MAX are mapped.
 */
#define GUEST_PIECES_MAX 1024
int MUST_CHECK shared_piece_map(int fd, uint64_t offset, uint64_t size, struct shared_piece **ret);
struct shared_piece *shared_piece_hold(struct shared_piece *p);
void shared_piece_put(struct shared_piece *p); /* NULL is fine */

/** shared_piece_at() - The bytes [offset, offset + size) of it, or NULL if they are not all inside
 * or do not start at a multiple of align (a power of two). */
void *shared_piece_at(const struct shared_piece *p, uint64_t offset, uint64_t size, size_t align);

bool shared_piece_damaged(const struct shared_piece *p);

/* ---- maps ---- */

/** struct guest_region - what a front end says of a region */
struct guest_region {
	uint64_t gpa; /* in the guest */
	uint64_t size;
	uint64_t uva;    /* in the front end */
	uint64_t offset; /* in its file */
};

struct guest_map;

/** guest_map_new() - A map without regions. Return: 0 or -ENOMEM. */
int MUST_CHECK guest_map_new(struct guest_map **ret);
struct guest_map *guest_map_hold(struct guest_map *m);
void guest_map_put(struct guest_map *m); /* NULL is fine */

/**
 * guest_map_add() - A map like m with one region more
 *
 * The caller keeps fd, and its reference of m. Return: 0, or -errno: those of shared_piece_map();
 * -EINVAL for addresses that wrap around; -EEXIST for a region that overlaps another, in the guest
 * or in the front end; -ENOSPC for one too many.
 */
int MUST_CHECK guest_map_add(const struct guest_map *m, const struct guest_region *r, int fd,
                             struct guest_map **ret);

/** guest_map_remove() - A map like m without the region of that gpa, size and uva. Return: 0,
 * -ENOENT or -ENOMEM. */
int MUST_CHECK guest_map_remove(const struct guest_map *m, const struct guest_region *r,
                                struct guest_map **ret);

unsigned guest_map_count(const struct guest_map *m);

/**
 * guest_map_find() - Where [gpa, gpa + size) is
 *
 * It may lie in regions that touch: then it is several pieces. size is not 0. Return: how many of
 * iov were filled, or -EFAULT for a byte outside all regions, or -ENOBUFS for more pieces than room.
 */
int MUST_CHECK guest_map_find(const struct guest_map *m, uint64_t gpa, uint64_t size,
                              struct iovec *iov, unsigned room);

/** guest_map_read() - Copy [gpa, gpa + size) out. Return: 0, or -EFAULT with some of it copied. */
int MUST_CHECK guest_map_read(const struct guest_map *m, uint64_t gpa, void *to, size_t size);

/** guest_map_ring() - The bytes that the front end has at uva, in one region and at a multiple of
 * align; NULL if they are not. */
void *guest_map_ring(const struct guest_map *m, uint64_t uva, uint64_t size, size_t align);

/** guest_memory_damaged() - Whether the emulator took memory of this map away. */
bool guest_memory_damaged(const struct guest_map *m);

/** guest_memory_damage() - Counts such accidents in any map: as long as it stays, nothing was
 * damaged. */
unsigned guest_memory_damage(void);

/* ---- bytes of buffers that guest_map_find() gave ---- */

/** guest_slice() - [offset, offset + size) of v; the caller knows that it is inside. */
static inline struct iovec guest_slice(struct iovec v, size_t offset, size_t size)
{
	return (struct iovec){.iov_base = (uint8_t *)v.iov_base + offset, .iov_len = size};
}

/** guest_is_aligned() - Whether v starts at a multiple of align, and is as long as a multiple of unit: powers of two. */
static inline bool guest_is_aligned(struct iovec v, size_t align, size_t unit)
{
	return ((uintptr_t)v.iov_base & (align - 1)) == 0 && (v.iov_len & (unit - 1)) == 0;
}

/** guest_copy_out() / guest_copy_in() - All of v to memory of ours, which the compiler will not
 * read again from the guest's; or the other way. */
void guest_copy_out(void *to, struct iovec v);
void guest_copy_in(struct iovec v, const void *from);

/* ---- which pages were written, for migration ---- */

#define DIRTY_PAGE 4096u /* a bit of the log, VHOST_LOG_PAGE */

/* The log is a shared piece of one bit a page of the guest, the lowest bit of the first byte being
 * page 0. What is outside of it is not noted. */

/** dirty_log_mark() - Note that [gpa, gpa + size) was written. */
void dirty_log_mark(struct shared_piece *log, uint64_t gpa, uint64_t size);

/** dirty_log_mark_iov() - The same for a buffer that guest_map_find() gave. */
void dirty_log_mark_iov(struct shared_piece *log, const struct guest_map *m, struct iovec v);

#endif
