/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qid.h: from a host file's device and inode to a qid that no other file of the share has.
 *
 * Device number d (counted in the order they are met) and an inode below 2^56 become d << 56 | inode. Larger inodes, and
 * devices beyond the 254th, get numbers of their own under the prefix 255, from a table that is kept.
 */
#ifndef VIRTFS_VIRTIO_9P_QID_H
#define VIRTFS_VIRTIO_9P_QID_H

#include "common/compiler.h"
#include "wire/types.h"

#include <stdbool.h>

#define QID_DEVICES_MAX 254
#define QID_ODD_MAX     (1u << 20)

struct qid_odd {
	uint64_t dev, ino;
	uint32_t next; /* in its bucket, +1 */
};

struct qid_map {
	uint32_t device_count;
	uint64_t devices[QID_DEVICES_MAX];
	uint32_t odd_count, odd_room;
	struct qid_odd *odd;
	uint32_t *odd_buckets;
};

/** qid_path() - Return: false when the table of odd ones is full. */
bool MUST_CHECK qid_path(struct qid_map *m, uint64_t dev, uint64_t ino, uint64_t *ret);

/** qid_of() - The whole of it; the version changes with size and modification time and is never 0. */
bool MUST_CHECK qid_of(struct qid_map *m, const struct wt_attr *a, struct wt_qid *ret);

void qid_map_free(struct qid_map *m);

#endif
