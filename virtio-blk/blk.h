/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk.h: what the files of the disks share.
 *
 *	disk.c		disks come and go; what is told of them
 *	device.c	a disk as a virtio device: its configuration, its queues, when they are looked at
 *	request.c	a chain to a request: decoded once, let through or refused, and answered
 *	io.c		reading, writing and the rest on the image, in as many steps as it takes
 */
#ifndef VIRTFS_VIRTIO_BLK_BLK_H
#define VIRTFS_VIRTIO_BLK_BLK_H

#include "common/complain.h"
#include "common/ring.h"
#include "virtio-blk/disk.h"
#include "virtio-blk/image.h"
#include "virtio/vhost_user.h"
#include "wire/virtio_blk.h"

#define SEGMENTS_MAX        16         /* of a DISCARD or WRITE_ZEROES */
#define SEGMENT_SECTORS_MAX (1u << 21) /* of one of them: 1 GiB */
#define PIECES_MAX          128        /* of guest memory in one step of I/O */

struct disk;

/** struct disk_queue - a queue of a disk, while it runs */
struct disk_queue {
	struct disk *disk;
	struct vq *vq;
	struct disk_queue *next; /* of the host's that run */
	bool stopping;
	bool armed;       /* the driver was asked for kicks, and nothing was taken since */
	unsigned answers; /* that were not published */
};

struct disk_host {
	struct loop *loop;
	void (*changed)(void *context, struct disk *d, bool connected); /* or NULL */
	void *changed_context;
	void (*failed)(void *context, struct disk *d, const struct disk_error *e); /* or NULL */
	void *failed_context;
	struct ring *ring[2]; /* by whether a disk is read-only */
	bool threads;         /* are what the rings are */
	bool drains;          /* nothing is taken any more */
	struct loop_poller poller;
	struct disk *disks, *closing; /* in the order of attaching; of closing */
	bool place[DISKS_MAX];        /* in both rings' tables of files */
	unsigned count;
	struct disk_queue *running;
	struct request *free;
	struct request *waiting, **waiting_end; /* which no ring had room for */
};

struct disk {
	struct disk_host *host;
	struct disk *next;
	struct image *image;
	const struct image_info *file;
	struct ring *ring;
	int place; /* in the ring's table */
	enum disk_cache cache;
	bool discard;
	bool in_memory;    /* its file is in a file system without a medium */
	bool no_look[2];   /* reading or writing without waiting is not for its file system */
	bool no_zero[2];   /* nor is fallocate(2) with zeros; by whether their place goes */
	bool write_cache;  /* a write may be safe only after a flush */
	uint64_t features; /* the driver's, when a queue started last */
	uint64_t size;     /* bytes, as the guest knows */
	struct vu_device *front;
	struct vio_device_info info;
	struct disk_queue *queues;
	struct disk_stats stats;
	uint64_t quiet_until_ns; /* since nobody is told of errors until then */
	uint64_t errors_missed;
	struct complaints complaints;
	bool listens;
	bool gone; /* closed, and its connection has ended */
	void (*done)(void *context);
	void *context;
	char id[DISK_ID_MAX + 1];
	char serial[DISK_SERIAL_MAX + 1];
};

struct segment {
	uint64_t offset, size; /* bytes */
	bool unmap;
};

/** struct request - a chain of a driver's, from its head to its status */
struct request {
	struct ring_op op; /* first: what the ring gives back is the request */
	struct request *next;
	struct disk_queue *queue;
	struct vq_chain *chain;
	uint32_t type;
	uint64_t offset;
	size_t size, done; /* bytes; done: of the size, or of a segment's */
	size_t step;       /* under way */
	bool syncs;        /* what is under way is its fdatasync(2) */
	bool punches;      /* a segment is made a hole */
	bool plain;        /* a segment is filled by writing zeros */
	uint8_t *bounce;   /* of this step, or NULL: in place */
	unsigned segment, segments;
	struct segment *segment_list;
	struct iovec pieces[PIECES_MAX];
};

/* ---- disk.c ---- */
/** disks_bury() - Free those whose end has come. Return: whether there were any. */
bool disks_bury(struct disk_host *h);

/* ---- disk.c ---- */

void disk_connected(void *disk);
/** disk_failed() - An operation on the image did, as struct disk_error has it. */
void disk_failed(struct disk *d, const char *operation, int error);

/* ---- device.c ---- */
extern const struct vio_device_ops disk_device_ops;
uint64_t disk_features(const struct disk *d);
/** disk_default_cache() - What holds until the driver chooses. */
void disk_default_cache(struct disk *d);
bool disk_host_idle(void *host);
bool disk_host_look(struct loop_poller *p);
bool disk_host_arm(struct loop_poller *p);

/* ---- request.c ---- */
/** request_take() - Carry out what a chain asks for; it is answered now or later. */
void request_take(struct disk_queue *q, struct vq_chain *chain);
/** request_answer() - Give the chain back and free the request. On a ring that broke nothing of it is written to the guest. */
void request_answer(struct request *r, enum vblk_status status);
void requests_forget(struct disk_host *h);

/* ---- io.c ---- */
/** io_start() - Begin with a request that was checked. */
void io_start(struct request *r);
/** io_retry() - Begin again with those that found no room in the ring. */
bool io_retry(struct disk_host *h);

#endif
