/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.h: what a kind of device gives the transport that carries it (vhost_user.h).
 *
 * All calls come from the loop's thread. The order for each queue is start, kick..., stop, then the
 * device's vq_stopped(), and start again.
 */
#ifndef VIRTFS_VIRTIO_DEVICE_H
#define VIRTFS_VIRTIO_DEVICE_H

#include "virtio/queue.h"

#include <stddef.h>
#include <stdint.h>

#define VIO_CONFIG_MAX 256 /* bytes of a configuration space that a front end can ask for */

/* Feature bits that are not of a kind of device (virtio 1.2, chapter 6). */
#define VIO_F_INDIRECT_DESC 28
#define VIO_F_EVENT_IDX     29
#define VIO_F_VERSION_1     32
#define VIO_F_RING_PACKED   34
#define VIO_FEATURE(bit)    (UINT64_C(1) << (bit))

/* What virtio/ can do for any device: to be offered beside a device's own bits. */
#define VIO_FEATURES_RING                                                  \
	(VIO_FEATURE(VIO_F_VERSION_1) | VIO_FEATURE(VIO_F_INDIRECT_DESC) | \
	 VIO_FEATURE(VIO_F_EVENT_IDX))

/** struct vio_device_info - what never changes */
struct vio_device_info {
	uint32_t virtio_id;
	uint64_t features; /* those offered, VIO_FEATURES_RING among them */
	unsigned queues;
	unsigned queue_size_max; /* a power of two, at most 32768 */
};

struct vio_device_ops {
	/* A front end has come. NULL: never mind. */
	void (*connected)(void *context);
	/* Writes the configuration space as it is now. Return: its size, at most room. */
	size_t (*config)(void *context, uint8_t *out, size_t room);
	/* The driver writes to it. NULL: nothing there can be written. Return: 0 or -errno. */
	int (*config_write)(void *context, uint32_t offset, const uint8_t *bytes, size_t size);
	/* The ring runs from now on; a kick follows at once, for what waits in it. features are those
	 * the driver took. */
	void (*start)(void *context, struct vq *q, uint64_t features);
	/* Something may be in the ring: take it off by vq_pop() until that says none. */
	void (*kick)(void *context, struct vq *q);
	/* Take no more, and call vq_stopped() when no chain of it is left: now or later. */
	void (*stop)(void *context, struct vq *q);
	/* A reset or the front end's end, when all queues are stopped: forget what the driver did. */
	void (*reset)(void *context);
};

#endif
