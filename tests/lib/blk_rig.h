/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk_rig.h: a device with one disk as users start it, and a guest's driver in the test's hand.
 *
 * Numbers and layouts of virtio-blk are Linux's (linux/virtio_blk.h), not wire/'s. Every function fails the test where it
 * cannot do its work. The program is $VIRTFS_DEVICE.
 */
#ifndef VIRTFS_TESTS_LIB_BLK_RIG_H
#define VIRTFS_TESTS_LIB_BLK_RIG_H

#include "tests/lib/slow_fuse.h"
#include "tests/lib/vu_driver.h"

#include <linux/virtio_blk.h>
#include <sys/types.h>

#define BLK_SIZE      (8ull << 20) /* of an image, unless told otherwise */
#define BLK_SLOTS     64
#define BLK_SLOT_ROOM (132u << 10) /* bytes that a request may have in each direction */
#define BLK_QUEUES    4
#define BLK_UNTOUCHED 0xee /* what stands where the device has yet to write */

#define BLK_F(bit) (1ull << VIRTIO_BLK_F_##bit)

/** BLK_ALL_FEATURES - what a driver takes unless told otherwise */
#define BLK_ALL_FEATURES                                                                         \
	(VU_F_INDIRECT_DESC | VU_F_EVENT_IDX | VU_F_PROTOCOL | VU_F_VERSION_1 | BLK_F(SEG_MAX) | \
	 BLK_F(RO) | BLK_F(BLK_SIZE) | BLK_F(FLUSH) | BLK_F(TOPOLOGY) | BLK_F(CONFIG_WCE) |      \
	 BLK_F(MQ) | BLK_F(DISCARD) | BLK_F(WRITE_ZEROES))
#define BLK_ALL_PROTOCOL                                                                       \
	(VU_P_MQ | VU_P_REPLY_ACK | VU_P_BACKEND | VU_P_CONFIG | VU_P_RESET | VU_P_MEM_SLOTS | \
	 VU_P_INFLIGHT)

struct blk_rig;

struct blk_rig;

struct blk_opt {
	const char *place; /* where the image is; NULL: /dev/shm */
	uint64_t size;     /* 0: BLK_SIZE */
	int flags;         /* of open(2), besides O_RDWR, or O_RDONLY if readonly */
	bool readonly;
	const char *format;                /* NULL: raw */
	void (*choose)(struct blk_rig *r); /* when dir is there: it may set image to another path */
	void (*prepare)(struct blk_rig *r); /* before the device starts; may set data_fd */
	bool fails;                         /* the device's start does: nobody connects */
	const char *more;                   /* of --disk, begins with a comma; or NULL */
	const char *io;                     /* --io, or NULL */
	uint64_t without;                   /* features that the driver does not take */
	bool device_only;                   /* nobody connects */
	bool control;                       /* it has a control socket, at r->control */
	bool packed;                        /* its rings are, as with $VIRTFS_RING=packed */
	unsigned queues;                    /* that the driver uses; 0: 1 */
	uint16_t ring_size;                 /* 0: 128 */
	/* The image is SLOW_FILE_SIZE bytes of this one's first file. It is started, and ended, by the rig. */
	struct slow_fuse *slow;
	const char *fs_skip; /* set by blk_rig_start() where there is no such file system: why */
};

struct blk_rig {
	struct blk_opt o;
	char dir[64], image[96], path[96]; /* of its socket */
	pid_t device;
	int err; /* a file with what the device wrote to standard error */
	char control[104];
	int fds_before, device_fds;
	int fd; /* the image, by the test's own; -1: it is slow, so that nobody here waits for it at the end */
	int data_fd; /* its external data file, passed with it; or -1 */
	struct vu_front f;
	struct vu_ring ring[BLK_QUEUES];
	struct {
		uint64_t out, in; /* guest addresses */
		bool busy;
		struct blk_request *request;
		unsigned queue;
		uint16_t head;
	} slot[BLK_SLOTS];
	char log[16384];
};

/** blk_rig_start() - Start all; false when there is no file system that knows o->flags, or is slow (o->fs_skip says so). */
bool MUST_CHECK blk_rig_start(struct blk_rig *r, const struct blk_opt *o);

/** blk_rig_end() - Disconnect; the device must end well on SIGTERM and have no more descriptors than at its start. */
void blk_rig_end(struct blk_rig *r);

/** blk_rig_device() - The device again, after its end. */
void blk_rig_device(struct blk_rig *r);

/** blk_rig_connect() - Connect and greet, with memory that is fresh; blk_rig_rings() - and let the rings run. */
void blk_rig_connect(struct blk_rig *r);
void blk_rig_rings(struct blk_rig *r);
void blk_rig_down(struct blk_rig *r);

const char *blk_rig_log(struct blk_rig *r);

/** blk_rig_image() - Read or write the image behind the device's back. */
void blk_rig_read(const struct blk_rig *r, uint64_t offset, void *to, size_t size);
void blk_rig_write(const struct blk_rig *r, uint64_t offset, const void *from, size_t size);

/** blk_config() - The configuration space as it is now. */
struct virtio_blk_config blk_config(struct blk_rig *r);

/* ---- requests ---- */

/** struct blk_request - a head, data of the driver, room for the device's data, a status; cut into descriptors */
struct blk_request {
	uint32_t type;
	uint64_t sector;
	const void *out;
	uint32_t out_size;
	void *in;
	uint32_t in_size;
	/* how */
	uint32_t out_piece,
	    in_piece;             /* bytes of each descriptor; 0: head, data and status one each */
	uint32_t out_odd, in_odd; /* of the addresses */
	bool indirect;
	bool no_status;    /* no byte for it: in_size bytes alone */
	uint32_t out_less; /* bytes cut off of head and data at the end */
	/* what came */
	uint8_t status;
	uint32_t used_size;
};

/** blk_offer() - Put a request into queue number queue's ring, with the first free slot. Return: the slot. */
unsigned blk_offer(struct blk_rig *r, unsigned queue, struct blk_request *q);

/** blk_wait() - Wait so long for a used element of that queue, and fill its request in. Return: false when none came. */
bool blk_wait(struct blk_rig *r, unsigned queue, int ms);

/** blk_do() - Offer it to queue 0 and wait. Return: the status. */
uint8_t blk_do(struct blk_rig *r, struct blk_request *q);

uint8_t blk_read(struct blk_rig *r, uint64_t sector, void *to, uint32_t size);
uint8_t blk_write(struct blk_rig *r, uint64_t sector, const void *from, uint32_t size);
uint8_t blk_flush(struct blk_rig *r);
uint8_t blk_segment(struct blk_rig *r, uint32_t type, uint64_t sector, uint32_t sectors,
                    uint32_t flags);

/** blk_breaks() - Whether the device gives up queue 0 on it; then the rings are started anew and must serve. */
bool blk_breaks(struct blk_rig *r, struct blk_request *q);

/** blk_serves() - Whether what is written now is read. */
bool blk_serves(struct blk_rig *r);

/** blk_random() - The next of a fixed stream of numbers (xorshift64); *state is not 0. */
uint64_t blk_random(uint64_t *state);

/** blk_fill() - A pattern that tells sectors apart. */
void blk_fill(void *to, size_t size, uint32_t seed);

#endif
