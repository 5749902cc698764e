/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/virtio_blk.h"

#define WT_NS  vblk
#define WT_DEF "wire/virtio_blk.def"
#include "wire/expand_code.h"
