/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ring.h: what queue.c shares with the two formats of a ring, split.c and packed.c. */
#ifndef VIRTFS_VIRTIO_RING_H
#define VIRTFS_VIRTIO_RING_H

#include "virtio/device.h"
#include "virtio/inflight.h"
#include "virtio/queue.h"

/* a descriptor's flags (virtio 1.2, 2.7.5 and 2.8.1) */
/* Memory that others write meanwhile, each access once; and the order of such accesses. */
#define GET(x)    __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SET(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define BARRIER() __atomic_thread_fence(__ATOMIC_SEQ_CST)

#define DESC_NEXT     0x1u
#define DESC_WRITE    0x2u
#define DESC_INDIRECT 0x4u
#define DESC_AVAIL    0x80u /* these in packed rings alone */
#define DESC_USED     0x8000u

/** struct desc - a descriptor of either format, as it was when it was read */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next; /* packed: the buffer's id */
};

/** struct packed_desc - a descriptor of a packed ring, as it lies in the guest's memory */
struct packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

struct ring_ops {
	/* Finds the ring's parts. Return: 0, -EINVAL, -EFAULT or -ENOMEM. */
	int (*start)(struct vq *q, const struct vq_setup *s);
	/* Gives back what start took. */
	void (*end)(struct vq *q);
	/* Finds the next chain and adds its descriptors. Return: 1, 0 or -errno after vq_break(). */
	int (*pop)(struct vq *q, struct vq_chain **ret);
	void (*push)(struct vq *q, struct vq_chain *c, uint32_t written);
	/* Makes so many visible that were pushed: all. Return: whether to interrupt. */
	bool (*publish)(struct vq *q, unsigned pushed);
	bool (*pending)(const struct vq *q);
	/* Return: whether something is there after the full barrier. */
	bool (*notify)(struct vq *q, bool wanted);
	uint32_t (*base)(const struct vq *q);
};

extern const struct ring_ops split_ring, packed_ring;

struct split_desc;
struct split_avail;
struct split_used;
struct packed_event;
struct packed_held;

struct vq {
	unsigned index;
	const struct ring_ops *ops; /* NULL: it does not run */
	bool broken, stopping, event_idx, indirect;
	bool
	    signalled; /* an interrupt was considered since the start; before, none may be left out */
	unsigned size;
	unsigned in_flight;
	unsigned pushed; /* not published */
	struct guest_map *map;
	unsigned damage; /* guest_memory_damage() as far as looked at */
	struct vq_chain *chains;
	unsigned chain_count;
	struct desc *table; /* VQ_DESCS_MAX: an indirect table's copy */
	int call, error;
	struct shared_piece *log;
	bool log_ring;
	uint64_t log_gpa;
	void (*on_stopped)(struct vq *q, void *context);
	void *on_stopped_context;
	union {
		struct {
			const struct split_desc *desc;
			struct split_avail *avail;
			struct split_used *used;
			uint16_t *used_event, *avail_event; /* NULL without EVENT_IDX */
			uint16_t next;                      /* of avail to look at */
			uint16_t seen;                      /* avail.idx as last read */
			uint16_t used_next;                 /* of used to fill */
			uint16_t used_shown;                /* used.idx as last written */
			struct inflight_ring *inflight;
			struct inflight_state track;
		} split;
		struct {
			struct packed_desc *ring;
			struct packed_event *driver, *device;
			uint16_t next, used_next; /* indices in the ring */
			bool next_wrap, used_wrap;
			unsigned slots; /* of the ring that are taken: from used_next to next */
			uint16_t pushed_slots;
			struct packed_held *held; /* a batch's flags, not written yet */
			struct inflight_packed *inflight;
			struct inflight_packed_state track;
		} packed;
	};
};

/* ---- making a chain ---- */

/** chain_begin() - The chain of that id, without a descriptor; NULL if it is taken already. */
struct vq_chain *chain_begin(struct vq *q, uint16_t id);

/** chain_add() - One descriptor that is not INDIRECT. Return: NULL, or what is wrong with it. */
const char *chain_add(struct vq *q, struct vq_chain *c, const struct desc *d);

/** chain_add_table() - The descriptors of an indirect table: those of a packed ring stand one after
 * the other. Return: NULL, or what is wrong. */
const char *chain_add_table(struct vq *q, struct vq_chain *c, const struct desc *d, bool packed);

/** chain_end() - It is the device's now. */
void chain_end(struct vq *q, struct vq_chain *c);

/** ring_log() - Note a write to the used ring, at that offset of its start. */
void ring_log(struct vq *q, size_t offset, size_t size);

#endif
