/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/cleanup.h"
#include "virtio/inflight_area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct inflight_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* the head pushed before in the same batch */
	uint64_t counter;
};

/* The specification's QueueRegionSplit; in the host's byte order. */
struct inflight_ring {
	uint64_t features;
	uint16_t version; /* 0: was never used */
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_desc desc[];
};

static uint64_t ring_size(unsigned queue_size)
{
	return inflight_part_size(sizeof(struct inflight_ring), sizeof(struct inflight_desc),
	                          queue_size);
}

uint64_t inflight_size(unsigned queues, unsigned queue_size)
{
	return queues * ring_size(queue_size);
}

int inflight_make(unsigned queues, unsigned queue_size, int *ret_fd)
{
	AUTO_CLOSE int fd = memfd_create("vhost-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)inflight_packed_size(queues, queue_size)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

struct inflight_ring *inflight_ring_of(const struct shared_piece *area, unsigned index,
                                       unsigned queue_size)
{
	return shared_piece_at(area, index * ring_size(queue_size), ring_size(queue_size),
	                       sizeof(uint64_t));
}

void inflight_forget(struct inflight_ring *r)
{
	SET(r->version, 0);
}

static void sift_down(uint64_t (*a)[2], size_t at, size_t count)
{
	for (;;) {
		size_t child = 2 * at + 1;
		uint64_t moved[2] = {a[at][0], a[at][1]};

		if (child + 1 < count && a[child + 1][0] > a[child][0])
			child++;
		if (child >= count || a[child][0] <= moved[0])
			return;
		memcpy(a[at], a[child], sizeof(moved));
		memcpy(a[child], moved, sizeof(moved));
		at = child;
	}
}

/* Not by qsort(3), which asks the kernel how much memory there is: the system call filter kills for that. */
void inflight_sort(uint64_t (*a)[2], size_t count)
{
	for (size_t i = count / 2; i-- > 0;)
		sift_down(a, i, count);
	while (count-- > 1) {
		uint64_t largest[2] = {a[0][0], a[0][1]};

		memcpy(a[0], a[count], sizeof(largest));
		memcpy(a[count], largest, sizeof(largest));
		sift_down(a, 0, count);
	}
}

/* The last batch was shown to the driver, but we ended before its requests were struck off. */
static void strike_last_batch(struct inflight_ring *r, unsigned size, uint16_t used_idx)
{
	unsigned left = (uint16_t)(used_idx - GET(r->used_idx));
	uint16_t head = GET(r->last_batch_head);

	for (; left > 0 && left <= size && head < size; left--) {
		SET(r->desc[head].inflight, 0);
		head = GET(r->desc[head].next);
	}
	BETWEEN();
	SET(r->used_idx, used_idx);
}

/* Lists what is under way by its counter. */
static int find_again(struct inflight_ring *r, struct inflight_state *s, unsigned size)
{
	AUTO_FREE uint64_t(*found)[2] = calloc(size, sizeof(*found));

	if (!found)
		return -ENOMEM;
	for (unsigned i = 0; i < size; i++) {
		if (GET(r->desc[i].inflight) == 0)
			continue;
		found[s->again_count][0] = GET(r->desc[i].counter);
		found[s->again_count++][1] = i;
	}
	inflight_sort(found, s->again_count);
	for (unsigned i = 0; i < s->again_count; i++)
		s->again[i] = (uint16_t)found[i][1];
	if (s->again_count > 0)
		s->counter = found[s->again_count - 1][0] + 1;
	return 0;
}

int inflight_start(struct inflight_ring *r, struct inflight_state *s, unsigned size,
                   uint16_t used_idx)
{
	int error;

	if (GET(r->version) != VERSION || GET(r->desc_num) != size) {
		/* New, or of a ring that is no more. */
		SET(r->version, 0);
		BETWEEN();
		memset(r->desc, 0, size * sizeof(*r->desc));
		SET(r->desc_num, (uint16_t)size);
		SET(r->used_idx, used_idx);
		BETWEEN();
		SET(r->version, VERSION);
	}
	*s = (struct inflight_state){.again = calloc(size, sizeof(uint16_t)),
	                             .batch = calloc(size, sizeof(uint16_t))};
	if (!s->again || !s->batch) {
		inflight_end(s);
		return -ENOMEM;
	}
	if (GET(r->used_idx) != used_idx)
		strike_last_batch(r, size, used_idx);
	error = find_again(r, s, size);
	if (error < 0)
		inflight_end(s);
	return error;
}

void inflight_end(struct inflight_state *s)
{
	free(s->again);
	free(s->batch);
	*s = (struct inflight_state){0};
}

void inflight_taken(struct inflight_ring *r, struct inflight_state *s, uint16_t head)
{
	SET(r->desc[head].counter, s->counter++);
	BETWEEN();
	SET(r->desc[head].inflight, 1);
}

void inflight_pushed(struct inflight_ring *r, struct inflight_state *s, uint16_t head)
{
	SET(r->desc[head].next, GET(r->last_batch_head));
	SET(r->last_batch_head, head);
	s->batch[s->batch_count++] = head;
	BETWEEN();
}

void inflight_published(struct inflight_ring *r, struct inflight_state *s, uint16_t used_idx)
{
	BETWEEN();
	while (s->batch_count > 0)
		SET(r->desc[s->batch[--s->batch_count]].inflight, 0);
	BETWEEN();
	SET(r->used_idx, used_idx);
}
