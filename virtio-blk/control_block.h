/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_block.h: the control socket's commands for disks. */
#ifndef VIRTFS_VIRTIO_BLK_CONTROL_BLOCK_H
#define VIRTFS_VIRTIO_BLK_CONTROL_BLOCK_H

#include "control/control.h"
#include "virtio-blk/disk.h"

/** control_block_add() - Take them from now on. Return: 0 or -ENOMEM. */
int MUST_CHECK control_block_add(struct control *c, struct disk_host *disks);

/** control_block_event() - Tell the clients of something that has only the disk to name. */
void control_block_event(struct control *c, const struct disk *d, const char *name);

/** control_block_error() - Tell all clients of an operation that failed. */
void control_block_error(struct control *c, const struct disk *d, const struct disk_error *e);

#endif
