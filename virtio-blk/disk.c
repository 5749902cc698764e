/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-blk/disk.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/usock.h"
#include "virtio-blk/blk.h"
#include "virtio-blk/image_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#define RING_ENTRIES   1024
#define TELL_ERRORS_NS 1000000000u /* one of a disk in so long */

/* ---- the host ---- */

static int new_ring(struct disk_host *h, bool readonly)
{
	struct ring **ret = &h->ring[readonly];

	return h->threads ? ring_new_files_threads(h->loop, DISKS_MAX, !readonly, ret)
	                  : ring_new_files(h->loop, RING_ENTRIES, DISKS_MAX, !readonly, ret);
}

int disk_host_new(struct loop *l, bool threads, struct disk_host **ret)
{
	struct disk_host *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->loop = l;
	h->waiting_end = &h->waiting;
	/* Before the rings' own idle calls: what is taken goes out in the same round. */
	loop_idle(l, disk_host_idle, h);
	h->poller = (struct loop_poller){.look = disk_host_look, .arm = disk_host_arm};
	loop_poll(l, &h->poller);
	h->threads = threads;
	r = new_ring(h, false);
	if (r == 0)
		r = new_ring(h, true);
	if (r < 0) {
		disk_host_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

int disk_host_begin(struct disk_host *h)
{
	int r = ring_begin(h->ring[false]);

	return r < 0 ? r : ring_begin(h->ring[true]);
}

bool disk_host_has_threads(const struct disk_host *h)
{
	return h->threads;
}

void disk_host_watch(struct disk_host *h,
                     void (*changed)(void *context, struct disk *d, bool connected), void *context)
{
	h->changed = changed;
	h->changed_context = context;
}

void disk_host_watch_errors(struct disk_host *h,
                            void (*failed)(void *context, struct disk *d,
                                           const struct disk_error *e),
                            void *context)
{
	h->failed = failed;
	h->failed_context = context;
}

void disk_host_free(struct disk_host *h)
{
	if (!h)
		return;
	BUG_ON(h->disks || h->closing);
	loop_idle_remove(h->loop, h);
	loop_poll_remove(h->loop, &h->poller);
	ring_free(h->ring[false]);
	ring_free(h->ring[true]);
	requests_forget(h);
	free(h);
}

void disk_host_drain(struct disk_host *h)
{
	h->drains = true;
}

unsigned disk_host_in_flight(const struct disk_host *h)
{
	unsigned n = 0;

	for (const struct disk_queue *q = h->running; q; q = q->next)
		n += vq_in_flight(q->vq);
	return n;
}

struct disk *disk_find(const struct disk_host *h, const char *id)
{
	for (struct disk *d = h->disks; d; d = d->next) {
		if (strcmp(d->id, id) == 0)
			return d;
	}
	return NULL;
}

struct disk *disk_next(const struct disk_host *h, const struct disk *d)
{
	return d ? d->next : h->disks;
}

static void append(struct disk **list, struct disk *d)
{
	while (*list)
		list = &(*list)->next;
	d->next = NULL;
	*list = d;
}

/* ---- the end of one ---- */

static void free_disk(struct disk *d)
{
	struct disk_host *h = d->host;
	int r;

	vu_free(d->front);
	if (d->place >= 0) {
		/* A place that cannot be emptied keeps its file open, and is not given to another. */
		r = ring_file(d->ring, (unsigned)d->place, -1);
		if (r < 0)
			log_error("disk %s: its image stays open: %s", d->id, errno_name(r));
		h->place[d->place] = r < 0;
	}
	image_close(d->image);
	free(d->queues);
	free(d);
}

bool disks_bury(struct disk_host *h)
{
	struct disk **link = &h->closing;
	bool any = false;

	while (*link) {
		struct disk *d = *link;
		void (*done)(void *context) = d->done;
		void *context = d->context;

		if (!d->gone) {
			link = &d->next;
			continue;
		}
		*link = d->next;
		free_disk(d);
		any = true;
		if (done)
			done(context);
	}
	return any;
}

static bool is_closing(const struct disk *d)
{
	for (const struct disk *c = d->host->closing; c; c = c->next) {
		if (c == d)
			return true;
	}
	return false;
}

static void tell(struct disk *d, bool connected)
{
	if (d->host->changed)
		d->host->changed(d->host->changed_context, d, connected);
}

void disk_connected(void *context)
{
	tell(context, true);
}

static void front_end_left(void *context)
{
	struct disk *d = context;

	if (is_closing(d))
		d->gone = true;
	else
		tell(d, false);
}

void disk_close(struct disk *d, void (*done)(void *context), void *context)
{
	struct disk **link = &d->host->disks;

	while (*link != d)
		link = &(*link)->next;
	*link = d->next;
	d->done = done;
	d->context = context;
	append(&d->host->closing, d);
	d->gone = !vu_connected(d->front);
	vu_close(d->front);
}

/* ---- the start of one ---- */

static int check(const struct disk_host *h, const struct disk_spec *s, struct sbuf *why)
{
	unsigned size = s->queue_size;
	int type = 0;

	if (strlen(s->id) == 0 || strlen(s->id) > DISK_ID_MAX)
		return image_refuse(why, EINVAL, "an id has 1 to %d bytes", DISK_ID_MAX);
	if (disk_find(h, s->id))
		return image_refuse(why, EEXIST,
		                    "there is a disk of that id already: take another");
	if (s->serial && strlen(s->serial) > DISK_SERIAL_MAX)
		return image_refuse(why, EINVAL, "a serial number has at most %d bytes",
		                    DISK_SERIAL_MAX);
	if (s->queues > DISK_QUEUES_MAX)
		return image_refuse(why, EINVAL, "a disk has 1 to %d queues", DISK_QUEUES_MAX);
	if (size > DISK_QUEUE_SIZE_MAX || (size & (size - 1)) != 0)
		return image_refuse(why, EINVAL, "a queue's size is a power of two up to %d",
		                    DISK_QUEUE_SIZE_MAX);
	if ((!usock_is_connected(s->vhost_user_fd, &type) &&
	     !usock_is_listening(s->vhost_user_fd, &type)) ||
	    type != SOCK_STREAM)
		return image_refuse(
		    why, ENOTSOCK,
		    "the vhost-user socket must be a Unix socket of type SOCK_STREAM, "
		    "listening or connected");
	if (s->discard && image_info(s->image)->readonly)
		return image_refuse(why, EINVAL,
		                    "a read-only disk discards nothing: leave discard out");
	return 0;
}

/* Where reading and writing never wait for a medium. */
static bool is_in_memory(const struct image_info *f)
{
	struct statfs fs;

	return !f->is_block_device && fstatfs(f->fd, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int take_place(struct disk *d)
{
	bool *place = d->host->place;

	for (int i = 0; i < DISKS_MAX; i++) {
		int r;

		if (place[i])
			continue;
		r = ring_file(d->ring, (unsigned)i, d->file->fd);
		if (r < 0)
			return r;
		place[i] = true;
		d->place = i;
		return 0;
	}
	return -ENOSPC;
}

/* The caller keeps the socket. */
static int offer(struct disk *d, int sock)
{
	AUTO_CLOSE int own = fcntl(sock, F_DUPFD_CLOEXEC, 3);
	int type, r;

	if (own < 0)
		return -errno;
	r = vu_new(d->host->loop, &d->info, &disk_device_ops, d, front_end_left, &d->front);
	if (r < 0)
		return r;
	d->listens = usock_is_listening(own, &type);
	return d->listens ? vu_listen(d->front, fd_steal(&own))
	                  : vu_serve(d->front, fd_steal(&own));
}

static void fill_in(struct disk *d, const struct disk_spec *s)
{
	d->file = image_info(s->image);
	d->ring = d->host->ring[d->file->readonly];
	d->cache = s->cache;
	d->discard = s->discard;
	d->in_memory = is_in_memory(d->file);
	d->size = d->file->size;
	(void)snprintf(d->id, sizeof(d->id), "%s", s->id);
	(void)snprintf(d->serial, sizeof(d->serial), "%.*s", DISK_SERIAL_MAX,
	               s->serial ? s->serial : s->id);
	d->info = (struct vio_device_info){
	    .virtio_id = VIRTIO_ID_BLOCK,
	    .queues = s->queues ? s->queues : DISK_QUEUES,
	    .queue_size_max = s->queue_size ? s->queue_size : DISK_QUEUE_SIZE,
	};
	d->info.features = disk_features(d);
	disk_default_cache(d);
}

int disk_new(struct disk_host *h, const struct disk_spec *s, struct sbuf *why, struct disk **ret)
{
	int r = check(h, s, why), sock = s->vhost_user_fd;
	struct disk *d;

	if (r < 0)
		return r;
	d = calloc(1, sizeof(*d));
	if (!d)
		return image_refuse(why, ENOMEM, "out of memory");
	d->host = h;
	d->place = -1;
	fill_in(d, s);
	d->queues = calloc(d->info.queues, sizeof(*d->queues));
	r = d->queues ? take_place(d) : -ENOMEM;
	if (r == 0)
		r = offer(d, sock);
	if (r < 0) {
		free_disk(d);
		return image_refuse(why, -r,
		                    r == -ENOSPC ? "there are %d disks, as many as there may be"
		                                 : "cannot serve the disk",
		                    DISKS_MAX);
	}
	d->image = s->image;
	append(&h->disks, d);
	fd_close(&sock);
	*ret = d;
	return 0;
}

/* ---- while it is there ---- */

void disk_failed(struct disk *d, const char *operation, int error)
{
	const struct disk_error e = {operation, error, d->errors_missed};
	uint64_t now = loop_now();

	if (now < d->quiet_until_ns) {
		d->errors_missed++;
		return;
	}
	d->quiet_until_ns = now + TELL_ERRORS_NS;
	d->errors_missed = 0;
	complain(&d->complaints, "disk %s: %s: %s (and %llu errors before)", d->id, operation,
	         error ? errno_name(error) : DISK_ENDS_TOO_SOON, (unsigned long long)e.missed);
	if (d->host->failed)
		d->host->failed(d->host->failed_context, d, &e);
}

int disk_resize(struct disk *d, uint64_t bytes, struct sbuf *why)
{
	uint32_t block = d->file->block_size;
	int r;

	if (bytes % block != 0)
		return image_refuse(why, EINVAL,
		                    "the size must be a multiple of the block size, %u", block);
	r = image_measure(d->image, why);
	if (r < 0)
		return r;
	if (bytes > d->file->size)
		return image_refuse(why, ENOSPC,
		                    "the image has %llu bytes: make it longer first, then say so",
		                    (unsigned long long)d->file->size);
	d->size = bytes ? bytes : d->file->size;
	vu_config_changed(d->front);
	return 0;
}

void disk_get_info(const struct disk *d, struct disk_info *ret)
{
	*ret = (struct disk_info){.id = d->id,
	                          .serial = d->serial,
	                          .image = d->image,
	                          .cache = d->cache,
	                          .readonly = d->file->readonly,
	                          .discard = d->discard,
	                          .connected = vu_connected(d->front),
	                          .listens = d->listens,
	                          .write_cache = d->write_cache,
	                          .queues = d->info.queues,
	                          .size = d->size,
	                          .block_size = d->file->block_size};
}

void disk_get_stats(const struct disk *d, struct disk_stats *ret)
{
	*ret = d->stats;
	ret->in_flight = 0;
	for (const struct disk_queue *q = d->host->running; q; q = q->next)
		ret->in_flight += q->disk == d ? vq_in_flight(q->vq) : 0;
}
