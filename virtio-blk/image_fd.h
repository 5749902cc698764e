/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_fd.h: one descriptor that was passed for an image: what it must be, and what can be told of it. */
#ifndef VIRTFS_VIRTIO_BLK_IMAGE_FD_H
#define VIRTFS_VIRTIO_BLK_IMAGE_FD_H

#include "common/compiler.h"
#include "common/sbuf.h"
#include "virtio-blk/disk_cache.h"

#include <stdbool.h>
#include <stdint.h>

/** image_refuse() - What a function that refuses returns: puts the reason into why, and gives -error. */
int MUST_CHECK image_refuse(struct sbuf *why, int error, const char *format, ...) PRINTF_LIKE(3, 4);

/** struct image_fd - a file of an image */
struct image_fd {
	char name[48]; /* in messages */
	int fd;
	bool writable; /* it has to read and write; else it has to read only */
	bool is_block_device;
	uint64_t dev, ino; /* stat(2) */
	uint64_t unit;     /* the block device itself; it may have several inodes */
};

/**
 * image_fd_check() - Hold the descriptor against what it must be, by fcntl(2) and fstat(2) alone
 *
 * name, fd and writable are set; on success all the rest is. Return: 0, or -errno and a line in why.
 */
int MUST_CHECK image_fd_check(struct image_fd *f, enum disk_cache cache, struct sbuf *why);

/** image_fd_same() - Whether two are the same file or device, whatever name or node they were opened by. */
bool MUST_CHECK image_fd_same(const struct image_fd *a, const struct image_fd *b);

/** image_fd_size() - How many bytes the file or device has now. Return: 0 or -errno and a line in why. */
int MUST_CHECK image_fd_size(const struct image_fd *f, struct sbuf *why, uint64_t *ret);

/** struct image_blocks - in what pieces a file is best read and written; as struct image_info has them */
struct image_blocks {
	uint32_t block_size, physical_block_size, min_io, opt_io, memory_align;
};

/** image_fd_blocks() - Find them out. Return: 0 or -errno and a line in why. */
int MUST_CHECK image_fd_blocks(const struct image_fd *f, bool direct, struct sbuf *why,
                               struct image_blocks *ret);

#endif
