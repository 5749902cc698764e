/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.h: virtio-blk devices over vhost-user, each serving an image that was passed by descriptor.
 *
 * One host for the process holds the disks, and the two rings that their I/O goes through: one for disks that may be
 * written, and one that cannot write at all (or two crowds of threads, likewise). Nothing here opens anything. All runs in the loop's thread.
 */
#ifndef VIRTFS_VIRTIO_BLK_DISK_H
#define VIRTFS_VIRTIO_BLK_DISK_H

#include "common/compiler.h"
#include "common/loop.h"
#include "common/sbuf.h"
#include "virtio-blk/disk_cache.h"

#include <stdbool.h>
#include <stdint.h>

#define DISKS_MAX           256
#define DISK_ID_MAX         63
#define DISK_SERIAL_MAX     20 /* virtio 1.2, 5.2.6.1 */
#define DISK_QUEUES_MAX     64
#define DISK_QUEUE_SIZE_MAX 1024
#define DISK_QUEUES         16 /* unless told otherwise: QEMU asks for one a processor, and takes no less */
#define DISK_QUEUE_SIZE     256

struct image; /* image.h */
struct disk;
struct disk_host;

/**
 * disk_host_new() - Make it before the system call filter is on: it makes the rings
 *
 * threads: for a host that has no io_uring for us, threads of this process do the work instead (common/ring.h).
 * Return: 0 or -errno.
 */
int MUST_CHECK disk_host_new(struct loop *l, bool threads, struct disk_host **ret);

/** disk_host_begin() - Start its threads, if it has any: as ring_begin() says, when. No request is carried out before. Return: 0 or
 * -errno. */
int MUST_CHECK disk_host_begin(struct disk_host *h);

bool disk_host_has_threads(const struct disk_host *h);

/**
 * disk_host_watch() - Be told of all disks' emulators: that one has connected, or has left other than by disk_close()
 *
 * changed may call disk_close(), but not while a disk is made.
 */
void disk_host_watch(struct disk_host *h,
                     void (*changed)(void *context, struct disk *d, bool connected), void *context);

#define DISK_ENDS_TOO_SOON "the image ends before the disk does"

/** struct disk_error - an operation on an image that failed; not a request that asked for what there is not */
struct disk_error {
	const char *operation; /* read, write, flush, discard or write-zeroes */
	int error;             /* errno; 0: the image ends before the disk does */
	uint64_t missed;       /* errors of the disk before this, of which nobody was told */
};

/**
 * disk_host_watch_errors() - Be told of those of all disks, at most once a second of each disk
 *
 * failed must not close a disk, nor wait for anything.
 */
void disk_host_watch_errors(struct disk_host *h,
                            void (*failed)(void *context, struct disk *d,
                                           const struct disk_error *e),
                            void *context);

/** disk_host_free() - For tests: only without disks. NULL is fine. */
void disk_host_free(struct disk_host *h);

/** struct disk_spec - what a disk is made of */
struct disk_spec {
	const char *id;      /* 1 to DISK_ID_MAX bytes, of no other disk; copied */
	struct image *image; /* checked; the disk's own once disk_new() succeeds */
	enum disk_cache cache;
	bool discard;        /* offer DISCARD; never on a read-only image */
	const char *serial;  /* at most DISK_SERIAL_MAX bytes, copied; NULL: the id's first ones */
	unsigned queues;     /* 1 to DISK_QUEUES_MAX; 0: DISK_QUEUES */
	unsigned queue_size; /* a power of two up to DISK_QUEUE_SIZE_MAX; 0: DISK_QUEUE_SIZE */
	int vhost_user_fd;   /* a stream socket, listening or connected; the disk's own likewise */
};

/**
 * disk_new() - Attach a disk and offer it to the emulator
 *
 * Return: 0, or -errno with image and socket still the caller's and one line in why: -EEXIST for an id that is taken, -ENOSPC when there are
 * DISKS_MAX, -EINVAL for numbers and texts outside of what struct disk_spec says, -ENOTSOCK for no Unix stream socket.
 */
int MUST_CHECK disk_new(struct disk_host *h, const struct disk_spec *spec, struct sbuf *why,
                        struct disk **ret);

/**
 * disk_close() - Detach it
 *
 * No new request is taken; those under way end first. Then the emulator's connection is closed, the image and every
 * descriptor of the disk is closed exactly once, and done is called, with the disk gone: later, never from here. A disk
 * that is being closed is not found any more, and its id is free. done may be NULL.
 */
void disk_close(struct disk *d, void (*done)(void *context), void *context);

/**
 * disk_resize() - Say its new size, in bytes
 *
 * 0: as large as its file or device is now. Else the file must be at least so long already: nothing here makes it longer.
 * The guest is told by a change of configuration. Return: 0; or -errno and a line in why: -EINVAL for a size that is no
 * multiple of the image's block, -ENOSPC for one beyond the file's end, or others from asking for that.
 */
int MUST_CHECK disk_resize(struct disk *d, uint64_t bytes, struct sbuf *why);

/** disk_host_drain() - From now on take no request; those that were taken end. disk_host_in_flight() - how many there are still; what
 * ended is told to the drivers once the loop has had its turn. */
void disk_host_drain(struct disk_host *h);
unsigned disk_host_in_flight(const struct disk_host *h);

/** disk_find() - By its id; NULL if there is none. */
struct disk *disk_find(const struct disk_host *h, const char *id);

/** disk_next() - The one behind d in the order of attaching; the first for NULL; NULL at the end. */
struct disk *disk_next(const struct disk_host *h, const struct disk *d);

/** struct disk_info - a disk as it is now; what it points to lives as long as the disk */
struct disk_info {
	const char *id;
	const char *serial;
	const struct image *image;
	enum disk_cache cache;
	bool readonly, discard;
	bool connected;   /* to an emulator */
	bool listens;     /* for another, else there will be none */
	bool write_cache; /* the driver's choice: whether its writes need a flush to be safe */
	unsigned queues;
	uint64_t size; /* bytes */
	uint32_t block_size;
};
void disk_get_info(const struct disk *d, struct disk_info *ret);

/** struct disk_stats - since it was attached */
struct disk_stats {
	uint64_t reads, writes, flushes, discards, zeroes; /* answered, well or not */
	uint64_t read_bytes, written_bytes;                /* of those that went well */
	uint64_t errors;                                   /* answered by an error */
	uint64_t refused; /* of them: changes to a read-only disk, unknown types */
	unsigned in_flight;
};
void disk_get_stats(const struct disk *d, struct disk_stats *ret);

#endif
