/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-blk/disk_cache.h"

#include <string.h>

static const char *const names[] = {
    [DISK_WRITEBACK] = "writeback",
    [DISK_WRITETHROUGH] = "writethrough",
    [DISK_NONE] = "none",
};

bool disk_cache_from_name(const char *name, enum disk_cache *ret)
{
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		*ret = (enum disk_cache)i;
		return true;
	}
	return false;
}

const char *disk_cache_name(enum disk_cache c)
{
	return names[c];
}
