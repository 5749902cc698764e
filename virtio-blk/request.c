/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.c: a chain to a request and back (virtio 1.2, 5.2.6).
 *
 * The head and the segments are copied out of the guest's memory once and checked as copies; a read-only disk's gate
 * comes before anything else is looked at. What a driver does wrong within the protocol is answered by a status; a chain
 * without room for head or status breaks the queue.
 */
#include "virtio-blk/blk.h"
#include "virtio/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

static struct request *new_request(struct disk_queue *q, struct vq_chain *chain)
{
	struct disk_host *h = q->disk->host;
	struct request *r = h->free;

	if (r)
		h->free = r->next;
	else
		r = malloc(sizeof(*r));
	if (!r)
		return NULL;
	memset(r, 0, offsetof(struct request, pieces));
	r->queue = q;
	r->chain = chain;
	return r;
}

static void free_request(struct request *r)
{
	struct disk_host *h = r->queue->disk->host;

	free(r->bounce);
	free(r->segment_list);
	r->next = h->free;
	h->free = r;
}

void requests_forget(struct disk_host *h)
{
	while (h->free) {
		struct request *r = h->free;

		h->free = r->next;
		free(r);
	}
}

/* ---- answers ---- */

static size_t room_for_data(const struct request *r)
{
	return r->chain->in_size - 1;
}

static void count(struct disk *d, const struct request *r, enum vblk_status status)
{
	struct disk_stats *s = &d->stats;

	s->errors += status != VBLK_S_OK;
	switch (r->type) {
	case VBLK_T_IN:
		s->reads++;
		s->read_bytes += status == VBLK_S_OK ? r->size : 0;
		break;
	case VBLK_T_OUT:
		s->writes++;
		s->written_bytes += status == VBLK_S_OK ? r->size : 0;
		break;
	case VBLK_T_FLUSH:
		s->flushes++;
		break;
	case VBLK_T_DISCARD:
		s->discards++;
		break;
	case VBLK_T_WRITE_ZEROES:
		s->zeroes++;
		break;
	default:
		break;
	}
}

void request_answer(struct request *r, enum vblk_status status)
{
	struct disk_queue *q = r->queue;
	struct chain_cursor c = chain_in(r->chain);
	size_t room = room_for_data(r);
	/* Bytes written from the start on: the status is one of them only if all before it are. */
	size_t written = r->type == VBLK_T_IN || r->type == VBLK_T_GET_ID ? r->done : 0;

	if (vq_broken(q->vq)) {
		vq_discard(q->vq, r->chain);
	} else {
		(void)chain_skip(&c, room);
		(void)chain_write(&c, &(uint8_t){(uint8_t)status}, 1);
		vq_push(q->vq, r->chain, (uint32_t)(written < room ? written : room + 1));
		q->answers++;
	}
	count(q->disk, r, status);
	free_request(r);
}

static void refuse(struct request *r, enum vblk_status status)
{
	r->queue->disk->stats.refused++;
	request_answer(r, status);
}

/* ---- checks ---- */

/* Whether [offset, offset + size) bytes of whole blocks are on the disk. */
static bool is_on_disk(const struct disk *d, uint64_t sector, uint64_t size, uint64_t *ret_offset)
{
	uint32_t block = d->file->block_size;

	if (sector > (d->size >> VBLK_SECTOR_SHIFT))
		return false;
	*ret_offset = sector << VBLK_SECTOR_SHIFT;
	return size <= d->size - *ret_offset && *ret_offset % block == 0 && size % block == 0;
}

static bool may_pass(uint32_t type)
{
	return type == VBLK_T_IN || type == VBLK_T_FLUSH || type == VBLK_T_GET_ID;
}

/* What a driver should never ask of a read-only disk is an error; what no disk here does is unsupported. */
static enum vblk_status why_not(uint32_t type)
{
	return type == VBLK_T_OUT || type == VBLK_T_DISCARD || type == VBLK_T_WRITE_ZEROES ||
	               type == VBLK_T_SECURE_ERASE
	           ? VBLK_S_IOERR
	           : VBLK_S_UNSUPP;
}

static void take_io(struct request *r, const struct vblk_head_req *head)
{
	size_t data = r->chain->out_size - VBLK_HEAD_SIZE, room = room_for_data(r);
	bool in = r->type == VBLK_T_IN;

	r->size = in ? room : data;
	if ((in ? data : room) > 0 ||
	    !is_on_disk(r->queue->disk, head->sector, r->size, &r->offset)) {
		request_answer(r, VBLK_S_IOERR);
		return;
	}
	if (r->size == 0)
		request_answer(r, VBLK_S_OK);
	else
		io_start(r);
}

static void take_id(struct request *r)
{
	struct chain_cursor c = chain_in(r->chain);
	uint8_t id[VBLK_ID_SIZE] = {0};
	const char *serial = r->queue->disk->serial;
	size_t room = room_for_data(r);

	memcpy(id, serial, strnlen(serial, sizeof(id)));
	r->done = chain_write(&c, id, room < sizeof(id) ? room : sizeof(id));
	request_answer(r, VBLK_S_OK);
}

static enum vblk_status check_segment(const struct request *r, const struct vblk_segment_req *from,
                                      struct segment *to)
{
	const struct disk *d = r->queue->disk;
	bool unmap = from->flags & VBLK_SEGMENT_UNMAP;

	if ((from->flags & ~VBLK_SEGMENT_UNMAP) || (unmap && r->type == VBLK_T_DISCARD))
		return VBLK_S_UNSUPP;
	to->size = (uint64_t)from->count << VBLK_SECTOR_SHIFT;
	to->unmap = r->type == VBLK_T_DISCARD || (unmap && d->discard);
	return from->count <= SEGMENT_SECTORS_MAX &&
	               is_on_disk(d, from->sector, to->size, &to->offset)
	           ? VBLK_S_OK
	           : VBLK_S_IOERR;
}

/* All segments are good before anything is done with one. */
static enum vblk_status copy_segments(struct request *r)
{
	struct chain_cursor c = chain_out(r->chain);
	size_t size = r->chain->out_size - VBLK_HEAD_SIZE;

	if (size == 0 || size % VBLK_SEGMENT_SIZE != 0 || size > SEGMENTS_MAX * VBLK_SEGMENT_SIZE ||
	    room_for_data(r) > 0)
		return VBLK_S_IOERR;
	r->segments = (unsigned)(size / VBLK_SEGMENT_SIZE);
	r->segment_list = calloc(r->segments, sizeof(*r->segment_list));
	if (!r->segment_list)
		return VBLK_S_IOERR;
	(void)chain_skip(&c, VBLK_HEAD_SIZE);
	for (unsigned i = 0; i < r->segments; i++) {
		uint8_t bytes[VBLK_SEGMENT_SIZE];
		struct rd rd = rd_over(bytes, chain_read(&c, bytes, sizeof(bytes)));
		struct vblk_segment_req s;
		enum vblk_status status = VBLK_S_IOERR;

		if (vblk_segment_req_get(&rd, &s))
			status = check_segment(r, &s, &r->segment_list[i]);
		if (status != VBLK_S_OK)
			return status;
	}
	return VBLK_S_OK;
}

static void take_segments(struct request *r)
{
	const struct disk *d = r->queue->disk;
	unsigned bit = r->type == VBLK_T_DISCARD ? VBLK_F_DISCARD : VBLK_F_WRITE_ZEROES;
	enum vblk_status status;

	if (!(d->features & VIO_FEATURE(bit))) {
		refuse(r, VBLK_S_UNSUPP);
		return;
	}
	status = copy_segments(r);
	if (status != VBLK_S_OK)
		request_answer(r, status);
	else
		io_start(r);
}

void request_take(struct disk_queue *q, struct vq_chain *chain)
{
	struct request *r = new_request(q, chain);
	struct chain_cursor c = chain_out(chain);
	uint8_t bytes[VBLK_HEAD_SIZE];
	struct rd rd = rd_over(bytes, chain_read(&c, bytes, sizeof(bytes)));
	struct vblk_head_req head = {0};

	if (!r || !vblk_head_req_get(&rd, &head) || chain->in_size == 0) {
		vq_discard(q->vq, chain);
		(void)vq_break(q->vq, r ? "a chain is too short for a request and its status"
		                        : "out of memory");
		if (r)
			free_request(r);
		return;
	}
	r->type = head.type;
	if (q->disk->file->readonly && !may_pass(r->type)) {
		refuse(r, why_not(r->type));
		return;
	}
	switch (r->type) {
	case VBLK_T_IN:
	case VBLK_T_OUT:
		take_io(r, &head);
		break;
	case VBLK_T_FLUSH:
		io_start(r);
		break;
	case VBLK_T_GET_ID:
		take_id(r);
		break;
	case VBLK_T_DISCARD:
	case VBLK_T_WRITE_ZEROES:
		take_segments(r);
		break;
	default:
		refuse(r, VBLK_S_UNSUPP);
	}
}
