/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image.h: a disk image, made of descriptors that were passed, and of nothing else.
 *
 * An image is a chain of layers: the top one, the file that backs it, the one that backs that. A layer is one file, and
 * for qcow2 maybe one more, its external data file. Whoever passes the descriptors says the format of each layer: it is
 * never found out from the bytes, which a guest may have written. What a qcow2 header names must have been passed, and
 * what was passed must be named; the names themselves are never used, only shown.
 *
 * Served are raw images, and read-only those of qcow2 whose data file is a raw image by itself. All else is checked as
 * far as is said below and then refused.
 *
 * Nothing here opens, locks or changes a file, or its descriptor's flags: whoever opened it did that, and a lock that it
 * took on the open file (F_OFD_SETLK) lasts until image_close(). All in one thread. A qcow2 header is read by pread(2).
 */
#ifndef VIRTFS_VIRTIO_BLK_IMAGE_H
#define VIRTFS_VIRTIO_BLK_IMAGE_H

#include "common/compiler.h"
#include "common/sbuf.h"
#include "virtio-blk/disk_cache.h"

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_LAYERS_MAX 32
#define IMAGE_WHY_MAX    1024 /* room for any text of image_open() */

/** struct image_layer - one layer of a chain */
struct image_layer {
	const char *format; /* "raw", "qcow2"; NULL when it was not said, which is refused */
	int fd;             /* its file */
	int data_fd;        /* its external data file, which is always raw; -1: none was passed */
};

/** struct image_spec - what is to be made an image */
struct image_spec {
	struct image_layer layer[IMAGE_LAYERS_MAX]; /* the top one first, each backed by the next */
	unsigned layers;                            /* 1 to IMAGE_LAYERS_MAX */
	bool no_backing; /* the last layer is to be read as if its header named no backing file */
	bool readonly;
	bool shared; /* other disks may have the same files and write them, if they say so too */
	enum disk_cache cache;
};

struct image;

/**
 * image_open() - Check the descriptors, and make them an image
 *
 * Of each descriptor: it is of a regular file or block device that is nowhere else in the chain, and that no other image
 * of this process writes, or has at all if this one writes it; it reads and writes if it is of the top layer and
 * readonly is false, else it only reads; it has O_DIRECT if cache is none and else not; if it can write it has O_DSYNC
 * if cache is writethrough and else not; it has neither O_APPEND, O_NONBLOCK nor O_PATH.
 *
 * Return: 0, and every descriptor of spec is the image's; or -errno, and all are the caller's as before, with one line in
 * why that says what was wrong and what would be right: -EBADF (no such descriptor), -ENOTSUP (a format that was not
 * said, is not known or is not served), -EBUSY (in use by another disk), -EINVAL (all else), -EIO and others (from
 * reading).
 */
int MUST_CHECK image_open(const struct image_spec *spec, struct sbuf *why, struct image **ret);

/** image_close() - Close each of its descriptors, once. NULL is fine. */
void image_close(struct image *image);

/** struct image_info - what is served, and how */
struct image_info {
	int fd; /* to read and write; stays the image's */
	bool readonly;
	bool is_block_device;
	bool direct;         /* by O_DIRECT: offsets, sizes and memory have to be aligned */
	bool sync;           /* by O_DSYNC: what was written is safe */
	const char *format;  /* of the top layer */
	unsigned layers;     /* of the chain */
	uint64_t dev, ino;   /* of fd's file, as stat(2) tells */
	uint64_t size;       /* bytes; a multiple of block_size, and not 0 */
	uint32_t block_size; /* bytes: the least that can be read or written; 512 or more */
	uint32_t physical_block_size; /* bytes: what is written without reading first */
	uint32_t min_io, opt_io;      /* bytes, of a block device; 0: not known */
	uint32_t memory_align;        /* bytes: of memory for direct; else 1 */
};

const struct image_info *image_info(const struct image *image);

/**
 * image_measure() - Look again how large the file or device is, after it was made larger or smaller
 *
 * A qcow2 image always has the size that its header said when it was opened. Return: 0, and size of image_info() is of
 * now; or -errno and a line in why, with the size as it was.
 */
int MUST_CHECK image_measure(struct image *image, struct sbuf *why);

/** struct image_file - one file of an image, for those who list them */
struct image_file {
	unsigned layer; /* 0: the top one */
	bool is_data;   /* its external data file */
	bool writable;
	const char *format;
	uint64_t dev, ino;
};

/** image_file_at() - Number i of its files, from 0; false when there are no more. */
bool MUST_CHECK image_file_at(const struct image *image, unsigned i, struct image_file *ret);

#endif
