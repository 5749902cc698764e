/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_disk.h: what block-attach needs: images in memory, sockets without a path, and commands for them.
 *
 * Every function fails the test where it cannot do its work.
 */
#ifndef VIRTFS_TESTS_LIB_CONTROL_DISK_H
#define VIRTFS_TESTS_LIB_CONTROL_DISK_H

#include "tests/lib/control_peer.h"

#include <stdint.h>

#define CONTROL_DISK_SIZE 1048576
#define CONTROL_DISK_FDS \
	2 /* that the device has open for each attached here: its image and its socket */

/** control_image() - A file in memory, open for reading and writing, or the same file for reading only. */
int control_image(void);
int control_read_only(int image);

/** control_listener() - A listening stream socket, for emulators. */
int control_listener(void);

/** control_attach_text() - The command for a raw disk: descriptor 0 its image, 1 its socket. Valid until the next call. */
const char *control_attach_text(const char *id);

/** control_attach() - A raw disk of its own image; *ret_image, unless ret_image is NULL, is that. */
void control_attach(struct control_peer *c, const char *id, int *ret_image);
void control_detach(struct control_peer *c, const char *id);

/** control_disk() - What query-block tells of it, the caller's. */
json_t *control_disk(struct control_peer *c, const char *id);

/** control_disk_is() - Whether that file is the disk's, by device and inode. */
bool control_disk_is(struct control_peer *c, const char *id, int file);

/** control_disks() - How many there are. */
size_t control_disks(struct control_peer *c);

#endif
