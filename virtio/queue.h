/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * queue.h: one virtqueue, as a device works with it and as a transport sets it up.
 *
 * A chain is one request of the driver: buffers to read and buffers to write, as they were when it
 * was taken off the ring (virtio 1.2, 2.6). Its descriptors are read once, checked, and translated;
 * the bytes in the buffers go on being the guest's. Whatever a driver may not do breaks the queue:
 * one warning, an event on the error descriptor, and nothing of the guest's is written until the
 * transport starts the queue anew: neither the ring nor the buffers of what is under way.
 *
 * No call makes a system call but vq_publish(), when the driver wants an interrupt, and what breaks
 * a queue. Chains are a pool of the ring's size; one's array of pieces grows to the longest that it
 * held and stays.
 */
#ifndef VIRTFS_VIRTIO_QUEUE_H
#define VIRTFS_VIRTIO_QUEUE_H

#include "common/compiler.h"
#include "virtio/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define VQ_SIZE_MAX  32768 /* descriptors of a ring (virtio 1.2, 2.6) */
#define VQ_DESCS_MAX 1024  /* descriptors of a chain, those of its indirect table counted */

struct vq;

struct vq_chain {
	struct iovec *out; /* the driver wrote these, in this order */
	struct iovec *in;  /* the device may write these */
	unsigned out_count, in_count;
	size_t out_size, in_size; /* bytes in all; below 2^32 together */
	/* the queue's */
	const struct vq *queue;
	struct guest_map *map;
	struct iovec *pieces;
	unsigned room, descs;
	uint16_t id;    /* the driver's, and the index in the pool */
	uint16_t slots; /* it takes in a packed ring */
	bool taken, writable;
};

/* ---- for devices ---- */

/**
 * vq_pop() - Take the next chain off the ring
 *
 * It is the device's until vq_push() or vq_discard(). Return: 1; 0 when there is none, or the queue
 * is being stopped; or -errno when the queue is broken.
 */
int MUST_CHECK vq_pop(struct vq *q, struct vq_chain **ret);

/** vq_push() - Give a chain back as used, with so many bytes written from the start of its in. The
 * driver sees it after vq_publish(). */
void vq_push(struct vq *q, struct vq_chain *c, uint32_t written);

/** vq_discard() - Give a chain back without a word to the driver, as before a reset. */
void vq_discard(struct vq *q, struct vq_chain *c);

/** vq_publish() - Let the driver see what was pushed, and interrupt it once if it wants that. */
void vq_publish(struct vq *q);

/** vq_pending() - Whether vq_pop() would have something; as cheap as can be. */
bool MUST_CHECK vq_pending(const struct vq *q);

/** vq_enable_notify() - Before going to sleep: ask for kicks. Return: true if something came
 * meanwhile, for which there is perhaps no kick. */
bool MUST_CHECK vq_enable_notify(struct vq *q);

/** vq_disable_notify() - While looking at the ring anyway: kicks are not needed. */
void vq_disable_notify(struct vq *q);

/** vq_stopped() - The answer to a device's stop: no chain of q is left. */
void vq_stopped(struct vq *q);

/** vq_break() - Break the queue as what a driver may not do does, for what only the device can see.
 * Return: -EPROTO. */
int vq_break(struct vq *q, const char *why);

unsigned vq_index(const struct vq *q);
unsigned vq_size(const struct vq *q); /* of the ring, while it runs */
unsigned vq_in_flight(const struct vq *q);

/* ---- for transports ---- */

struct inflight_ring;
struct inflight_packed;

struct vq_setup {
	unsigned size;
	uint64_t features; /* VIO_F_... as negotiated */
	uint64_t desc, avail,
	    used;      /* in the front end; packed: the ring, the driver's and the device's
	                               event suppression */
	uint32_t base; /* where to go on, as vq_stop() told */
	struct guest_map *map;
	/* NULL: nobody keeps track; the one for the ring's format is looked at */
	struct inflight_ring *inflight;
	struct inflight_packed *inflight_packed;
};

/** vq_new() - A queue that does not run. stopped is called by vq_stopped(). Return: 0 or -ENOMEM. */
int MUST_CHECK vq_new(unsigned index, void (*stopped)(struct vq *q, void *context), void *context,
                      struct vq **ret);

/** vq_free() - No chain may be out. NULL is fine. */
void vq_free(struct vq *q);

/**
 * vq_start() - Let it run
 *
 * Holds its own reference of the map. Return: 0, or -errno: -EINVAL for a size that the ring's
 * format does not have, -EFAULT for parts of the ring that are not in the map or not aligned,
 * -ENOMEM.
 */
int MUST_CHECK vq_start(struct vq *q, const struct vq_setup *s);
bool vq_running(const struct vq *q);
bool vq_broken(const struct vq *q);

/** vq_stopping() - From now on vq_pop() gives nothing. */
void vq_stopping(struct vq *q);

/** vq_stop() - Stop it; all chains are back. Return: where to go on. */
uint32_t vq_stop(struct vq *q);

/** vq_set_map() - Another map with the same rings in the same regions, while it runs. */
void vq_set_map(struct vq *q, struct guest_map *map);

/** vq_set_log() - Mark what is written in log (NULL: no more; a reference is held), and what is
 * written to the used ring as from ring_gpa on, if ring. */
void vq_set_log(struct vq *q, struct shared_piece *log, bool ring, uint64_t ring_gpa);

/** vq_set_call() / vq_set_error() - The descriptor (or -1) that interrupts are, or that a broken
 * queue is told by: eight bytes are written. The queue owns it; it must not block. */
void vq_set_call(struct vq *q, int fd);
void vq_set_error(struct vq *q, int fd);

/** vq_interrupt() - Interrupt the driver once, asked or not. */
void vq_interrupt(struct vq *q);

#endif
