/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.c: a disk as a virtio device (virtio 1.2, 5.2).
 *
 * Its queues are looked at in the host's idle call: all that waits is taken, what needs the ring goes out in one call, and
 * what was answered meanwhile is published together, with one interrupt.
 */
#include "virtio-blk/blk.h"

#include <errno.h>

#define PUBLISH_EVERY \
	16 /* answers: a driver that waits for a processor of its own need not wait for all of them */

/* ---- configuration ---- */

uint64_t disk_features(const struct disk *d)
{
	uint64_t f = VIO_FEATURES_RING | VIO_FEATURE(VIO_F_RING_PACKED) |
	             VIO_FEATURE(VBLK_F_SEG_MAX) | VIO_FEATURE(VBLK_F_BLK_SIZE) |
	             VIO_FEATURE(VBLK_F_FLUSH) | VIO_FEATURE(VBLK_F_TOPOLOGY);

	if (d->info.queues > 1)
		f |= VIO_FEATURE(VBLK_F_MQ);
	if (d->file->readonly)
		return f | VIO_FEATURE(VBLK_F_RO);
	f |= VIO_FEATURE(VBLK_F_CONFIG_WCE) | VIO_FEATURE(VBLK_F_WRITE_ZEROES);
	return d->discard ? f | VIO_FEATURE(VBLK_F_DISCARD) : f;
}

void disk_default_cache(struct disk *d)
{
	d->write_cache = d->cache != DISK_WRITETHROUGH;
}

static uint8_t exponent(uint32_t physical, uint32_t logical)
{
	uint8_t n = 0;

	for (; logical < physical; logical *= 2)
		n++;
	return n;
}

static size_t config(void *context, uint8_t *out, size_t room)
{
	const struct disk *d = context;
	const struct image_info *f = d->file;
	uint32_t min = f->min_io / f->block_size,
	         align = f->physical_block_size >> VBLK_SECTOR_SHIFT;
	struct vblk_config_rep c = {
	    .capacity = d->size >> VBLK_SECTOR_SHIFT,
	    .seg_max = d->info.queue_size_max > 2 ? d->info.queue_size_max - 2 : 1,
	    .blk_size = f->block_size,
	    .physical_block_exp = exponent(f->physical_block_size, f->block_size),
	    .min_io_size = (uint16_t)(min < UINT16_MAX ? min : UINT16_MAX),
	    .opt_io_size = f->opt_io / f->block_size,
	    .writeback = d->write_cache,
	    .num_queues = (uint16_t)d->info.queues,
	};
	struct wr w = wr_over(out, room);

	if (!f->readonly) {
		c.max_write_zeroes_sectors = SEGMENT_SECTORS_MAX;
		c.max_write_zeroes_seg = SEGMENTS_MAX;
		c.write_zeroes_may_unmap = d->discard;
	}
	if (!f->readonly && d->discard) {
		c.max_discard_sectors = SEGMENT_SECTORS_MAX;
		c.max_discard_seg = SEGMENTS_MAX;
		c.discard_sector_alignment = align > 0 ? align : 1;
	}
	BUG_ON(!vblk_config_rep_put(&w, &c));
	return w.used;
}

static int config_write(void *context, uint32_t offset, const uint8_t *bytes, size_t size)
{
	struct disk *d = context;

	if (d->file->readonly || offset != VBLK_CONFIG_WRITEBACK || size != 1)
		return -EINVAL;
	d->write_cache = bytes[0] & 1;
	return 0;
}

/* ---- queues ---- */

static struct disk_queue *queue_of(struct disk *d, const struct vq *q)
{
	return &d->queues[vq_index(q)];
}

static void start(void *context, struct vq *vq, uint64_t features)
{
	struct disk *d = context;
	struct disk_queue *q = queue_of(d, vq);

	d->features = features;
	*q = (struct disk_queue){.disk = d, .vq = vq, .next = d->host->running};
	d->host->running = q;
}

/* The idle call that follows takes what there is. */
static void kick(void *context UNUSED, struct vq *vq UNUSED)
{
}

/* Likewise it tells when the last request has ended. */
static void stop(void *context, struct vq *vq)
{
	queue_of(context, vq)->stopping = true;
}

static void reset(void *context)
{
	disk_default_cache(context);
}

const struct vio_device_ops disk_device_ops = {.connected = disk_connected,
                                               .config = config,
                                               .config_write = config_write,
                                               .start = start,
                                               .kick = kick,
                                               .stop = stop,
                                               .reset = reset};

/* ---- all queues of all disks ---- */

static void publish(struct disk_queue *q)
{
	if (!q->answers)
		return;
	q->answers = 0;
	vq_publish(q->vq);
}

/* Takes what is in the ring. Return: whether there was something. */
static bool take(struct disk_queue *q)
{
	unsigned most = vq_size(q->vq), taken = 0;
	struct vq_chain *chain;

	if (q->disk->host->drains || !vq_pending(q->vq))
		return false;
	if (q->armed)
		vq_disable_notify(q->vq);
	q->armed = false;
	for (; taken < most && vq_pop(q->vq, &chain) > 0; taken++) {
		request_take(q, chain);
		if (q->answers >= PUBLISH_EVERY)
			publish(q);
	}
	return taken > 0;
}

bool disk_host_idle(void *host)
{
	struct disk_host *h = host;
	struct disk_queue **link = &h->running;
	bool any = io_retry(h);

	while (*link) {
		struct disk_queue *q = *link;

		any |= take(q);
		publish(q);
		if (!q->stopping || vq_in_flight(q->vq) > 0) {
			link = &q->next;
			continue;
		}
		*link = q->next;
		any = true;
		vq_stopped(q->vq);
	}
	return disks_bury(h) || any;
}

static struct disk_host *host_of(struct loop_poller *p)
{
	return (struct disk_host *)((char *)p - offsetof(struct disk_host, poller));
}

bool disk_host_look(struct loop_poller *p)
{
	const struct disk_host *h = host_of(p);

	for (const struct disk_queue *q = h->drains ? NULL : h->running; q; q = q->next) {
		if (vq_pending(q->vq))
			return true;
	}
	return false;
}

bool disk_host_arm(struct loop_poller *p)
{
	const struct disk_host *h = host_of(p);
	bool came = false;

	for (struct disk_queue *q = h->drains ? NULL : h->running; q; q = q->next) {
		if (q->armed || q->stopping)
			continue;
		q->armed = true;
		came |= vq_enable_notify(q->vq);
	}
	return came;
}
