/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vu_front.h: a vhost-user front end for tests, as QEMU's docs/interop/vhost-user.rst says it, and guest memory to give
 * to a back end.
 *
 * Numbers and layouts are written here anew and not taken from wire/ or virtio/, so that an error there shows. Whatever
 * the kit is not told to do wrongly it does rightly. Every function fails the test where it cannot do its work.
 */
#ifndef VIRTFS_TESTS_LIB_VU_FRONT_H
#define VIRTFS_TESTS_LIB_VU_FRONT_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define VU_PATIENCE_MS 30000 /* a sanitizer's build on a busy machine is slow */

enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_RESET_DEVICE = 34,
	VU_GET_MAX_MEM_SLOTS = 36,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
	VU_REQUESTS_END = 48, /* above all of today's */
};

#define VU_VERSION    0x1u
#define VU_REPLY      0x4u
#define VU_NEED_REPLY 0x8u
#define VU_HEAD_SIZE  12
#define VU_NO_FD      0x100u /* in the u64 of KICK, CALL and ERR */

#define VU_F_MOUNT_TAG     (1ull << 0)
#define VU_F_LOG_ALL       (1ull << 26)
#define VU_F_INDIRECT_DESC (1ull << 28)
#define VU_F_EVENT_IDX     (1ull << 29)
#define VU_F_PROTOCOL      (1ull << 30)
#define VU_F_VERSION_1     (1ull << 32)
#define VU_F_RING_PACKED   (1ull << 34)
#define VU_F_IN_ORDER      (1ull << 35)

#define VU_P_MQ         (1ull << 0)
#define VU_P_LOG_SHMFD  (1ull << 1)
#define VU_P_REPLY_ACK  (1ull << 3)
#define VU_P_BACKEND    (1ull << 5)
#define VU_P_CONFIG     (1ull << 9)
#define VU_P_INFLIGHT   (1ull << 12)
#define VU_P_RESET      (1ull << 13)
#define VU_P_INBAND     (1ull << 14)
#define VU_P_MEM_SLOTS  (1ull << 15)
#define VU_P_STATUS     (1ull << 16)
#define VU_P_SHARED_OBJ (1ull << 18)

struct vu_head {
	uint32_t request, flags, size;
};

struct vu_state { /* NUM, BASE, ENABLE */
	uint32_t index, value;
};

struct vu_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct vu_mem_entry {
	uint64_t gpa, size, uva, offset;
};

struct vu_mem_table {
	uint32_t count, padding;
	struct vu_mem_entry entry[8];
};

struct vu_mem_one { /* ADD_MEM_REG, REM_MEM_REG */
	uint64_t padding;
	struct vu_mem_entry entry;
};

struct vu_inflight {
	uint64_t size, offset;
	uint16_t queues, queue_size;
	uint32_t padding; /* not sent: the payload has 20 bytes */
};

#define VU_CONFIG_HEAD 12 /* offset[4] size[4] flags[4] */
#define VU_CONFIG_MAX  256

/** struct vu_region - a piece of guest memory, the test's own mapping of it at host */
struct vu_region {
	struct vu_mem_entry at;
	int fd;
	uint8_t *host;
	uint64_t used; /* by vu_alloc() */
};

#define VU_REGIONS_MAX 520

struct vu_front {
	int sock; /* -1 when not connected */
	bool ack; /* every message that may be is sent with need_reply, and its answer waited for */
	uint64_t offered, protocol_offered;
	uint64_t features, protocol; /* acknowledged */
	struct vu_region *region;
	unsigned regions;
};

/* ---- connection ---- */

/** vu_front_init() - No memory, no connection. */
void vu_front_init(struct vu_front *f);

/** vu_front_use() - Speak over this connected socket, which is the front end's now; the last one is closed. Nothing is sent. */
void vu_front_use(struct vu_front *f, int sock);

/** vu_front_end() - Close the connection and give the memory back. */
void vu_front_end(struct vu_front *f);

/* ---- messages ---- */

/** vu_send_raw() - Any bytes with any descriptors (of which the caller keeps its own). Return: false when the back end has closed. */
bool vu_send_raw(struct vu_front *f, const void *bytes, size_t size, const int *fds, size_t count);

/** vu_send() - A message with one descriptor, or -1; flags besides the version. False as vu_send_raw(). */
bool vu_send(struct vu_front *f, uint32_t request, uint32_t flags, const void *payload, size_t size,
             int fd);

bool vu_send_fds(struct vu_front *f, uint32_t request, uint32_t flags, const void *payload,
                 size_t size, const int *fds, size_t count);

/** vu_recv() - The next message from the back end; payload has room for 4096 bytes. Return: false when it has closed. */
bool vu_recv(struct vu_front *f, struct vu_head *ret_head, void *payload);

/** vu_reply() - The reply to a request that was sent: flags must be exactly version 1 and reply. Return: its payload's size. */
size_t vu_reply(struct vu_front *f, uint32_t request, void *payload);

/** vu_reply_fd() - The same with a descriptor, which is the caller's, or -1. */
size_t vu_reply_fd(struct vu_front *f, uint32_t request, void *payload, int *ret_fd);

/** vu_acked() - A request with need_reply. Return: the u64 that comes back; 0 says that it was carried out. */
uint64_t vu_acked(struct vu_front *f, uint32_t request, const void *payload, size_t size, int fd);

/** vu_set() - A request without reply of its own; with f->ack it must be acknowledged with 0. */
void vu_set(struct vu_front *f, uint32_t request, const void *payload, size_t size, int fd);

/** vu_get_u64() - A request whose reply is a u64. */
uint64_t vu_get_u64(struct vu_front *f, uint32_t request);

/** vu_barrier() - Return when the back end has done all that was sent before. */
void vu_barrier(struct vu_front *f);

/** vu_answers() - Whether the back end still answers on this connection. */
bool vu_answers(struct vu_front *f);

/** vu_closes() - Whether the back end closes the connection; what it still sends is dropped. */
bool vu_closes(struct vu_front *f);

/** vu_get_config() - GET_CONFIG. Return: how many bytes came, which are 0 for an error. */
size_t vu_get_config(struct vu_front *f, uint32_t offset, uint32_t size, uint8_t *ret);

/* ---- greeting ---- */

/** vu_greet() - Owner and features, in a plain order; features and protocol features are masked by these. */
void vu_greet(struct vu_front *f, uint64_t features, uint64_t protocol);
void vu_set_features(struct vu_front *f, uint64_t features);

/* ---- memory ---- */

/** vu_region_add() - A memfd of offset + size bytes, mapped here. The back end is not told. */
struct vu_region *vu_region_add(struct vu_front *f, uint64_t gpa, uint64_t size, uint64_t uva,
                                uint64_t offset);

/**
 * vu_memory() - What most tests use: three regions, none with its user address at its guest address
 *
 * VU_LOW and VU_HIGH are neighbours in the guest's view alone: their files, user addresses and offsets are apart. Then
 * comes a gap, and VU_FAR above 4 GiB, the place for buffers.
 */
void vu_memory(struct vu_front *f);
enum { VU_LOW, VU_HIGH, VU_FAR };
#define VU_LOW_GPA   0x100000ull
#define VU_LOW_SIZE  0x400000ull
#define VU_HIGH_GPA  (VU_LOW_GPA + VU_LOW_SIZE)
#define VU_HIGH_SIZE 0x400000ull
#define VU_GAP_GPA   (VU_HIGH_GPA + VU_HIGH_SIZE)
#define VU_FAR_GPA   0x100000000ull
#define VU_FAR_SIZE  0x10000000ull

/** vu_tell_table() - SET_MEM_TABLE of regions [first, first + count), at most 8. */
void vu_tell_table(struct vu_front *f, unsigned first, unsigned count);
/** vu_tell_added() / vu_tell_removed() - ADD_MEM_REG, REM_MEM_REG. */
void vu_tell_added(struct vu_front *f, unsigned i);
void vu_tell_removed(struct vu_front *f, unsigned i);
/** vu_tell_memory() - All regions, by ADD_MEM_REG if that was negotiated. */
void vu_tell_memory(struct vu_front *f);

/** vu_at() - Where the test sees guest memory that lies within one region. */
void *vu_at(const struct vu_front *f, uint64_t gpa, uint64_t size);

/** vu_uva() - The user address of a guest address, for SET_VRING_ADDR. */
uint64_t vu_uva(const struct vu_front *f, uint64_t gpa);

/** vu_alloc() - Memory of a region (or of the last, if there are fewer) that nobody has, zeroed; never given back. Return: its guest address. */
uint64_t vu_alloc(struct vu_front *f, unsigned region, uint64_t size, uint64_t align);

/** vu_alloc_reset() - Take all of it back. */
void vu_alloc_reset(struct vu_front *f);

/** vu_memory_copy() / vu_memory_same() - All guest memory as it is now; whether it still is. The copy is malloc'd. */
uint8_t *vu_memory_copy(const struct vu_front *f, unsigned region);
bool vu_memory_same(const struct vu_front *f, unsigned region, const uint8_t *copy);

/* ---- time ---- */

uint64_t vu_now_ms(void);
void vu_sleep_ms(unsigned ms);
/** vu_readable() - Whether fd can be read within that time. */
bool vu_readable(int fd, int ms);

#endif
