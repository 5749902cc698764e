/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_gate.h: what a qcow2 header says against what was passed and said. */
#ifndef VIRTFS_VIRTIO_BLK_IMAGE_GATE_H
#define VIRTFS_VIRTIO_BLK_IMAGE_GATE_H

#include "common/compiler.h"
#include "common/sbuf.h"
#include "virtio-blk/image_fd.h"

#include <stdbool.h>
#include <stdint.h>

/** struct image_gate - a layer that was said to be qcow2 */
struct image_gate {
	const struct image_fd *file;
	bool has_data;              /* a data file was passed with it */
	const char *backing_format; /* of the layer that was passed behind it; NULL: none was */
	bool no_backing;            /* without that: its header's backing file is not to be used */
};

/** struct image_header - what a header that was let through says */
struct image_header {
	uint64_t size; /* of the disk, in bytes */
	bool is_raw;   /* its data file is the disk, byte by byte */
	bool is_encrypted;
};

/**
 * image_gate() - Read its header, once, and hold it against the rest
 *
 * Return: 0; or -errno and a line in why: -EINVAL for a header that is none, one that names a file that was not passed
 * or names none where one was, one whose backing format is another than was said, and one that is marked as corrupt and
 * may be written; -EIO and others from reading.
 */
int MUST_CHECK image_gate(const struct image_gate *g, struct sbuf *why, struct image_header *ret);

#endif
