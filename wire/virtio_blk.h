/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio_blk.h: the configuration space and the requests of a virtio-blk device (virtio 1.2, 5.2).
 *
 * A request is a head of VBLK_HEAD_SIZE bytes, data, and one byte of status: the head first of what the device reads, the
 * status last of what it writes, cut into buffers anyhow. Sectors have 512 bytes, whatever the blocks of the disk.
 */
#ifndef VIRTFS_WIRE_VIRTIO_BLK_H
#define VIRTFS_WIRE_VIRTIO_BLK_H

#include "wire/table.h"

#define VIRTIO_ID_BLOCK 2

#define VBLK_SECTOR       512u
#define VBLK_SECTOR_SHIFT 9
#define VBLK_CONFIG_SIZE  72
#define VBLK_HEAD_SIZE    16
#define VBLK_SEGMENT_SIZE 16 /* of DISCARD, WRITE_ZEROES and SECURE_ERASE */
#define VBLK_ID_SIZE      20 /* of what GET_ID answers, without a NUL if it is as long */

/* where the one field lies that a driver may write */
#define VBLK_CONFIG_WRITEBACK 32

/* feature bits */
enum {
	VBLK_F_SEG_MAX = 2,
	VBLK_F_RO = 5,
	VBLK_F_BLK_SIZE = 6,
	VBLK_F_FLUSH = 9,
	VBLK_F_TOPOLOGY = 10,
	VBLK_F_CONFIG_WCE = 11,
	VBLK_F_MQ = 12,
	VBLK_F_DISCARD = 13,
	VBLK_F_WRITE_ZEROES = 14,
};

/* types of requests */
enum {
	VBLK_T_IN = 0,
	VBLK_T_OUT = 1,
	VBLK_T_FLUSH = 4,
	VBLK_T_GET_ID = 8,
	VBLK_T_GET_LIFETIME = 10,
	VBLK_T_DISCARD = 11,
	VBLK_T_WRITE_ZEROES = 13,
	VBLK_T_SECURE_ERASE = 14,
};

enum vblk_status { VBLK_S_OK, VBLK_S_IOERR, VBLK_S_UNSUPP };

#define VBLK_SEGMENT_UNMAP 1u /* a segment's flag: the sectors may lose their place on the medium */

#define WT_NS       vblk
#define WT_NS_UPPER VBLK
#define WT_DEF      "wire/virtio_blk.def"
#include "wire/expand_decl.h"

#endif
