/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vu_messages.c: what each message does. The rings that it changes are stopped; see vu_stream.c. */
#include "common/cleanup.h"
#include "virtio/inflight.h"
#include "virtio/vu.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- features ---- */

int vu_on_get_features(struct vu_device *d, const struct vhu_get_features_req *q UNUSED,
                       struct vhu_get_features_rep *a)
{
	a->value = vu_features(d);
	return 0;
}

int vu_on_set_features(struct vu_device *d, const struct vhu_set_features_req *q,
                       struct vhu_set_features_rep *a UNUSED)
{
	if (q->value & ~vu_features(d))
		return -EOPNOTSUPP;
	/* Only after a reset can a driver choose others. */
	if ((q->value ^ d->features) & ~VIO_FEATURE(VHU_F_LOG_ALL))
		vu_rings_renew(d);
	d->features = q->value;
	d->has_features = true;
	vu_rings_set_log(d);
	vu_rings_retry(d);
	return 0;
}

int vu_on_get_protocol_features(struct vu_device *d UNUSED,
                                const struct vhu_get_protocol_features_req *q UNUSED,
                                struct vhu_get_protocol_features_rep *a)
{
	a->value = vu_protocol_features();
	return 0;
}

int vu_on_set_protocol_features(struct vu_device *d, const struct vhu_set_protocol_features_req *q,
                                struct vhu_set_protocol_features_rep *a UNUSED)
{
	if (q->value & ~vu_protocol_features())
		return -EOPNOTSUPP;
	d->protocol = q->value;
	return 0;
}

int vu_on_set_owner(struct vu_device *d UNUSED, const struct vhu_set_owner_req *q UNUSED,
                    struct vhu_set_owner_rep *a UNUSED)
{
	return 0;
}

/* Deprecated, and nobody agrees on what it did. */
int vu_on_reset_owner(struct vu_device *d UNUSED, const struct vhu_reset_owner_req *q UNUSED,
                      struct vhu_reset_owner_rep *a UNUSED)
{
	return 0;
}

int vu_on_get_queue_num(struct vu_device *d, const struct vhu_get_queue_num_req *q UNUSED,
                        struct vhu_get_queue_num_rep *a)
{
	a->value = d->info->queues;
	return 0;
}

int vu_on_reset_device(struct vu_device *d, const struct vhu_reset_device_req *q UNUSED,
                       struct vhu_reset_device_rep *a UNUSED)
{
	for (unsigned i = 0; i < d->info->queues; i++) {
		d->rings[i].has_enable = false;
		vu_ring_drop_kick(&d->rings[i]);
	}
	vu_rings_renew(d);
	d->ops->reset(d->context);
	return 0;
}

/* ---- memory ---- */

static struct guest_region region_of(const struct wt_vregion *r)
{
	return (struct guest_region){
	    .gpa = r->gpa, .size = r->size, .uva = r->uva, .offset = r->offset};
}

static void set_map(struct vu_device *d, struct guest_map *map)
{
	guest_map_put(d->map);
	d->map = map;
	vu_rings_retry(d);
}

int vu_on_set_mem_table(struct vu_device *d, const struct vhu_set_mem_table_req *q,
                        struct vhu_set_mem_table_rep *a UNUSED)
{
	struct guest_map *map = NULL;
	int r = guest_map_new(&map);

	for (uint32_t i = 0; r == 0 && i < q->regions.count; i++) {
		struct guest_region region = region_of(&q->regions.region[i]);
		struct guest_map *next = NULL;

		r = guest_map_add(map, &region, d->fds.fds[i], &next);
		guest_map_put(map);
		map = next;
	}
	if (r < 0)
		return r;
	set_map(d, map);
	return 0;
}

int vu_on_get_max_mem_slots(struct vu_device *d UNUSED,
                            const struct vhu_get_max_mem_slots_req *q UNUSED,
                            struct vhu_get_max_mem_slots_rep *a)
{
	a->value = GUEST_REGIONS_MAX;
	return 0;
}

int vu_on_add_mem_reg(struct vu_device *d, const struct vhu_add_mem_reg_req *q,
                      struct vhu_add_mem_reg_rep *a UNUSED)
{
	struct guest_region region = region_of(&q->region);
	struct guest_map *map = NULL;
	int r = guest_map_add(d->map, &region, d->fds.fds[0], &map);

	if (r < 0)
		return r;
	set_map(d, map);
	for (unsigned i = 0; i < d->info->queues; i++) {
		if (d->rings[i].state == VU_RING_RUNNING)
			vq_set_map(d->rings[i].q, map);
	}
	return 0;
}

int vu_on_rem_mem_reg(struct vu_device *d, const struct vhu_rem_mem_reg_req *q,
                      struct vhu_rem_mem_reg_rep *a UNUSED)
{
	struct guest_region region = region_of(&q->region);
	struct guest_map *map = NULL;
	int r = guest_map_remove(d->map, &region, &map);

	if (r < 0)
		return r;
	set_map(d, map);
	return 0;
}

int vu_on_set_log_base(struct vu_device *d, const struct vhu_set_log_base_req *q,
                       struct vhu_set_log_base_rep *a)
{
	struct shared_piece *log = NULL;
	int r = shared_piece_map(d->fds.fds[0], q->offset, q->size, &log);

	if (r < 0)
		return r;
	shared_piece_put(d->log);
	d->log = log;
	vu_rings_set_log(d);
	a->value = 0;
	return 0;
}

/* An event for each write to the log: nobody asks for that. */
int vu_on_set_log_fd(struct vu_device *d UNUSED, const struct vhu_set_log_fd_req *q UNUSED,
                     struct vhu_set_log_fd_rep *a UNUSED)
{
	return 0;
}

/* ---- rings ---- */

int vu_on_set_vring_num(struct vu_device *d, const struct vhu_set_vring_num_req *q,
                        struct vhu_set_vring_num_rep *a UNUSED)
{
	struct vu_ring *r = &d->rings[q->index];

	if (q->value == 0 || q->value > d->info->queue_size_max)
		return -EINVAL;
	r->num = q->value;
	r->failed = false;
	return 0;
}

int vu_on_set_vring_addr(struct vu_device *d, const struct vhu_set_vring_addr_req *q,
                         struct vhu_set_vring_addr_rep *a UNUSED)
{
	struct vu_ring *r = &d->rings[q->index];

	r->addr = *q;
	r->has_addr = true;
	r->failed = false;
	vu_rings_set_log(d);
	return 0;
}

int vu_on_set_vring_base(struct vu_device *d, const struct vhu_set_vring_base_req *q,
                         struct vhu_set_vring_base_rep *a UNUSED)
{
	struct vu_ring *r = &d->rings[q->index];

	/* Who goes on with a ring that we stopped says what we told; anything else is a new ring. */
	if (r->ran && q->value != r->base)
		r->fresh = true;
	r->base = q->value;
	r->failed = false;
	return 0;
}

int vu_on_get_vring_base(struct vu_device *d, const struct vhu_get_vring_base_req *q,
                         struct vhu_get_vring_base_rep *a)
{
	struct vu_ring *r = &d->rings[q->index];

	/* It stays stopped until the front end gives it a kick again. */
	vu_ring_drop_kick(r);
	a->index = q->index;
	a->value = r->base;
	return 0;
}

int vu_on_set_vring_enable(struct vu_device *d, const struct vhu_set_vring_enable_req *q,
                           struct vhu_set_vring_enable_rep *a UNUSED)
{
	struct vu_ring *r = &d->rings[q->index];

	r->enabled = q->value != 0;
	r->has_enable = true;
	r->failed = false;
	return 0;
}

/* Whether reading and writing it cannot wait once it is set not to block: an eventfd (as all anonymous
 * files it has no type), a pipe or a socket. A file could be on the emulator's own file system. */
static bool is_event(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 &&
	       ((st.st_mode & S_IFMT) == 0 || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* The descriptor that came, not blocking from now on; or *ret -1 where none was to come. */
static int take_fd(struct vu_device *d, uint64_t value, int *ret)
{
	AUTO_CLOSE int fd = value & VHU_VRING_NO_FD ? -1 : fdbag_take(&d->fds, 0);
	int r = 0;

	if (fd >= 0)
		r = is_event(fd) ? fd_nonblock(fd) : -EINVAL;
	if (r == 0)
		*ret = fd_steal(&fd);
	return r;
}

int vu_on_set_vring_kick(struct vu_device *d, const struct vhu_set_vring_kick_req *q,
                         struct vhu_set_vring_kick_rep *a UNUSED)
{
	struct vu_ring *r = &d->rings[q->value & VHU_VRING_INDEX];
	int fd = -1, error = take_fd(d, q->value, &fd);

	if (error < 0)
		return error;
	r->failed = false;
	return vu_ring_set_kick(r, fd);
}

int vu_on_set_vring_call(struct vu_device *d, const struct vhu_set_vring_call_req *q,
                         struct vhu_set_vring_call_rep *a UNUSED)
{
	struct vu_ring *r = &d->rings[q->value & VHU_VRING_INDEX];
	int fd = -1, error = take_fd(d, q->value, &fd);

	if (error < 0)
		return error;
	vq_set_call(r->q, fd);
	/* What was told to the descriptor before may not have been heard. */
	if (r->state == VU_RING_RUNNING)
		vq_interrupt(r->q);
	return 0;
}

int vu_on_set_vring_err(struct vu_device *d, const struct vhu_set_vring_err_req *q,
                        struct vhu_set_vring_err_rep *a UNUSED)
{
	int fd = -1, error = take_fd(d, q->value, &fd);

	if (error < 0)
		return error;
	vq_set_error(d->rings[q->value & VHU_VRING_INDEX].q, fd);
	return 0;
}

/* ---- configuration ---- */

int vu_on_set_backend_req_fd(struct vu_device *d, const struct vhu_set_backend_req_fd_req *q UNUSED,
                             struct vhu_set_backend_req_fd_rep *a UNUSED)
{
	fd_close(&d->backend_req);
	d->backend_req = fdbag_take(&d->fds, 0);
	return 0;
}

int vu_on_get_config(struct vu_device *d, const struct vhu_get_config_req *q,
                     struct vhu_get_config_rep *a)
{
	static uint8_t space[WT_VCONFIG_MAX];
	size_t size = d->ops->config(d->context, space, VIO_CONFIG_MAX);

	/* A front end asks for more than there is: the rest is zero. */
	BUG_ON(size > VIO_CONFIG_MAX);
	memset(space + size, 0, sizeof(space) - size);
	a->config = q->config;
	a->config.bytes.data = space + q->config.offset;
	return 0;
}

int vu_on_set_config(struct vu_device *d, const struct vhu_set_config_req *q,
                     struct vhu_set_config_rep *a UNUSED)
{
	if (!d->ops->config_write)
		return -EROFS;
	return d->ops->config_write(d->context, q->config.offset, q->config.bytes.data,
	                            q->config.bytes.size);
}

/* ---- requests under way ---- */

int vu_on_get_inflight_fd(struct vu_device *d, const struct vhu_get_inflight_fd_req *q,
                          struct vhu_get_inflight_fd_rep *a)
{
	int r;

	if (q->area.queues == 0 || q->area.queues > d->info->queues || q->area.queue_size == 0 ||
	    q->area.queue_size > d->info->queue_size_max)
		return -EINVAL;
	fd_close(&d->out_fd);
	r = inflight_make(q->area.queues, q->area.queue_size, &d->out_fd);
	if (r < 0)
		return r;
	a->area = q->area;
	a->area.size = inflight_packed_size(q->area.queues, q->area.queue_size);
	a->area.offset = 0;
	return 0;
}

int vu_on_set_inflight_fd(struct vu_device *d, const struct vhu_set_inflight_fd_req *q,
                          struct vhu_set_inflight_fd_rep *a UNUSED)
{
	struct shared_piece *area = NULL;
	int r;

	/* What another back end made may be enough for split rings alone. */
	if (q->area.size < inflight_size(q->area.queues, q->area.queue_size))
		return -EINVAL;
	r = shared_piece_map(d->fds.fds[0], q->area.offset, q->area.size, &area);
	if (r < 0)
		return r;
	shared_piece_put(d->inflight);
	d->inflight = area;
	d->inflight_queues = q->area.queues;
	d->inflight_queue_size = q->area.queue_size;
	vu_rings_retry(d);
	return 0;
}
