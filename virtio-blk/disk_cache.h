/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk_cache.h: what a disk's writes pass through on the host. */
#ifndef VIRTFS_VIRTIO_BLK_DISK_CACHE_H
#define VIRTFS_VIRTIO_BLK_DISK_CACHE_H

#include "common/compiler.h"

#include <stdbool.h>

enum disk_cache {
	DISK_WRITEBACK,    /* the page cache; safe when the guest has flushed */
	DISK_WRITETHROUGH, /* the page cache; safe when a write is answered */
	DISK_NONE,         /* not the page cache (O_DIRECT); safe when the guest has flushed */
};

/** DISK_CACHE_NAMES - What may be said for one, for messages. */
#define DISK_CACHE_NAMES "writeback, writethrough or none"

/** disk_cache_from_name() - False if it is none of these. */
bool MUST_CHECK disk_cache_from_name(const char *name, enum disk_cache *ret);
const char *disk_cache_name(enum disk_cache c);

#endif
