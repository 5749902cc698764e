/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/blk_rig.h"

#include "common/cleanup.h"
#include "tests/lib/vu_rig.h"
#include "tests/lib/wait.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define HEAD_SIZE 16
#define PIECES    4096

/* ---- the program ---- */

const char *blk_rig_log(struct blk_rig *r)
{
	ssize_t n = r->err < 0 ? 0 : pread(r->err, r->log, sizeof(r->log) - 1, 0);

	r->log[n < 0 ? 0 : n] = '\0';
	return r->log;
}

void blk_rig_device(struct blk_rig *r)
{
	AUTO_CLOSE int fd =
	    open(r->image, (r->o.readonly ? O_RDONLY : O_RDWR) | r->o.flags | O_CLOEXEC);
	char disk[512], data[32] = "", ready_number[12], at[112], byte;
	const char *args[10] = {getenv("VIRTFS_DEVICE"), "--disk", disk, "--ready-fd",
	                        ready_number};
	unsigned n = 5;
	int ready[2];

	cr_assert_geq(fd, 0);
	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	(void)unlink(r->path);
	(void)unlink(r->control);
	if (r->data_fd >= 0)
		(void)snprintf(data, sizeof(data), ",data-fd=%d", r->data_fd);
	(void)snprintf(disk, sizeof(disk), "id=d0,fd=%d,format=%s,socket-path=%s%s%s%s", fd,
	               r->o.format ? r->o.format : "raw", r->path,
	               r->o.readonly ? ",readonly=on" : "", data, r->o.more ? r->o.more : "");
	if (r->o.io) {
		args[n++] = "--io";
		args[n++] = r->o.io;
	}
	if (r->o.control) {
		args[n++] = "--control";
		args[n++] = at;
	}
	(void)snprintf(at, sizeof(at), "unix:%s", r->control);
	(void)snprintf(ready_number, sizeof(ready_number), "%d", ready[1]);
	r->device =
	    vu_spawn(&r->err, args, (int[]){fd, ready[1], r->data_fd}, r->data_fd < 0 ? 2 : 3);
	fd_close(&ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), r->o.fails ? 0 : 1,
	             "the device is never ready, or too soon: %s", blk_rig_log(r));
	fd_close(&ready[0]);
	r->device_fds = r->o.fails ? 0 : vu_fd_count(r->device);
}

/* Nobody finds it by a name once the device has the image open: so it goes with that. */
static void slow_path(const struct blk_rig *r, char *to, size_t size)
{
	(void)snprintf(to, size, "%s/slow", r->dir);
}

static bool mount_slow(struct blk_rig *r)
{
	char at[96];

	slow_path(r, at, sizeof(at));
	cr_assert_eq(mkdir(at, 0755), 0);
	r->o.fs_skip = slow_fuse_start(r->o.slow, at);
	r->o.size = SLOW_FILE_SIZE;
	if (r->o.fs_skip)
		r->o.slow = NULL;
	else
		(void)snprintf(r->image, sizeof(r->image), "%s/slow/a", r->dir);
	return !r->o.fs_skip;
}

static void hide_slow(const struct blk_rig *r)
{
	char at[96];

	slow_path(r, at, sizeof(at));
	cr_assert_eq(umount2(at, MNT_DETACH), 0);
}

bool blk_rig_start(struct blk_rig *r, const struct blk_opt *o)
{
	struct stat st;
	int probe;

	*r = (struct blk_rig){
	    .device = -1, .err = -1, .fd = -1, .data_fd = -1, .fds_before = vu_fd_count(getpid())};
	r->f.sock = -1;
	if (o)
		r->o = *o;
	r->o.packed |= getenv("VIRTFS_RING") != NULL;
	(void)snprintf(r->dir, sizeof(r->dir), "%s/blk.XXXXXX",
	               r->o.place ? r->o.place : "/dev/shm");
	cr_assert_not_null(mkdtemp(r->dir));
	(void)snprintf(r->image, sizeof(r->image), "%s/image", r->dir);
	(void)snprintf(r->path, sizeof(r->path), "%s/vhost-user", r->dir);
	(void)snprintf(r->control, sizeof(r->control), "%s/control", r->dir);
	if (r->o.choose)
		r->o.choose(r);
	if (r->o.slow && !mount_slow(r)) {
		blk_rig_end(r);
		return false;
	}
	r->fd = open(r->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_geq(r->fd, 0);
	cr_assert_eq(fstat(r->fd, &st), 0);
	if (S_ISREG(st.st_mode))
		cr_assert_eq(ftruncate(r->fd, (off_t)(r->o.size ? r->o.size : BLK_SIZE)), 0);
	probe = open(r->image, O_RDWR | r->o.flags | O_CLOEXEC);
	if (probe < 0) {
		r->o.fs_skip = "the file system has no O_DIRECT";
		blk_rig_end(r);
		return false;
	}
	fd_close(&probe);
	if (r->o.prepare)
		r->o.prepare(r);
	blk_rig_device(r);
	if (r->o.slow) {
		hide_slow(r);
		fd_close(&r->fd);
	}
	if (!r->o.device_only && !r->o.fails) {
		blk_rig_connect(r);
		blk_rig_rings(r);
	}
	return true;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                      struct FTW *w UNUSED)
{
	return remove(path);
}

void blk_rig_end(struct blk_rig *r)
{
	if (r->o.slow)
		slow_fuse_end(r->o.slow);
	blk_rig_down(r);
	if (r->device > 0) {
		WAIT_WHILE(vu_fd_count(r->device) > r->device_fds);
		cr_assert_leq(vu_fd_count(r->device), r->device_fds,
		              "the device keeps descriptors");
		(void)kill(r->device, SIGTERM);
		cr_assert_eq(rig_exit_status(r->device), 0, "the device ends badly: %s",
		             blk_rig_log(r));
	}
	fd_close(&r->fd);
	fd_close(&r->data_fd);
	fd_close(&r->err);
	(void)nftw(r->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	cr_assert_eq(vu_fd_count(getpid()), r->fds_before, "the test leaks descriptors");
}

/* ---- the emulator ---- */

void blk_rig_connect(struct blk_rig *r)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->path);
	cr_assert_eq(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0,
	             "no device: %s", blk_rig_log(r));
	vu_front_init(&r->f);
	vu_front_use(&r->f, sock);
	vu_greet(&r->f, (BLK_ALL_FEATURES | (r->o.packed ? VU_F_RING_PACKED : 0)) & ~r->o.without,
	         BLK_ALL_PROTOCOL);
	cr_assert_eq(!!(r->f.features & VU_F_RING_PACKED), r->o.packed);
	vu_memory(&r->f);
	vu_tell_memory(&r->f);
	for (unsigned i = 0; i < BLK_SLOTS; i++) {
		r->slot[i].busy = false;
		r->slot[i].out = vu_alloc(&r->f, VU_FAR, BLK_SLOT_ROOM, 4096);
		r->slot[i].in = vu_alloc(&r->f, VU_FAR, BLK_SLOT_ROOM, 4096);
	}
	for (unsigned i = 0; i < (r->o.queues ? r->o.queues : 1); i++)
		vu_ring_init(&r->ring[i], &r->f, (uint16_t)i,
		             r->o.ring_size ? r->o.ring_size : 128);
}

void blk_rig_rings(struct blk_rig *r)
{
	for (unsigned i = 0; i < (r->o.queues ? r->o.queues : 1); i++)
		vu_ring_start(&r->ring[i]);
}

void blk_rig_down(struct blk_rig *r)
{
	for (unsigned i = 0; i < BLK_QUEUES; i++) {
		if (r->ring[i].f)
			vu_ring_end(&r->ring[i]);
	}
	if (r->f.region)
		vu_front_end(&r->f);
	r->f.region = NULL;
}

/* ---- the image ---- */

void blk_rig_read(const struct blk_rig *r, uint64_t offset, void *to, size_t size)
{
	cr_assert_eq(pread(r->fd, to, size, (off_t)offset), (ssize_t)size);
}

void blk_rig_write(const struct blk_rig *r, uint64_t offset, const void *from, size_t size)
{
	cr_assert_eq(pwrite(r->fd, from, size, (off_t)offset), (ssize_t)size);
}

struct virtio_blk_config blk_config(struct blk_rig *r)
{
	uint8_t bytes[VU_CONFIG_MAX] = {0};
	struct virtio_blk_config c;

	cr_assert_eq(vu_get_config(&r->f, 0, 60, bytes), 60);
	memset(&c, 0, sizeof(c));
	memcpy(&c, bytes, sizeof(c) < 60 ? sizeof(c) : 60);
	return c;
}

uint64_t blk_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void blk_fill(void *to, size_t size, uint32_t seed)
{
	uint8_t *bytes = to;
	uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)blk_random(&state);
}

/* ---- requests ---- */

/* Cuts [gpa, gpa + size): first bytes alone, then pieces, then last bytes alone; piece: 0 for all that is left. */
static unsigned cut(struct vu_sg *sg, uint64_t gpa, uint32_t size, uint32_t piece, uint32_t first,
                    uint32_t last, uint16_t flags)
{
	uint32_t at = 0;
	unsigned n = 0;

	while (at < size) {
		uint32_t left = size - at, now = piece ? piece : left;

		if (!piece && at < first)
			now = first - at;
		else if (!piece && last && left > last)
			now = left - last;
		now = now < left ? now : left;
		sg[n++] = (struct vu_sg){gpa + at, now, flags};
		at += now;
		cr_assert_lt(n, PIECES / 2);
	}
	return n;
}

unsigned blk_offer(struct blk_rig *r, unsigned queue, struct blk_request *q)
{
	static struct vu_sg sg[PIECES];
	struct virtio_blk_outhdr head = {.type = q->type, .sector = q->sector};
	uint32_t out_size = HEAD_SIZE + q->out_size - q->out_less,
	         in_size = q->in_size + !q->no_status;
	struct vu_ring *ring = &r->ring[queue];
	unsigned slot = 0, n;
	uint64_t out, in;
	uint8_t *bytes;

	while (r->slot[slot].busy)
		cr_assert_lt(++slot, BLK_SLOTS);
	cr_assert_leq(HEAD_SIZE + q->out_size + q->out_odd, BLK_SLOT_ROOM);
	cr_assert_leq(in_size + q->in_odd, BLK_SLOT_ROOM);
	out = r->slot[slot].out + q->out_odd;
	in = r->slot[slot].in + q->in_odd;
	bytes = vu_at(&r->f, out, HEAD_SIZE + q->out_size);
	memcpy(bytes, &head, HEAD_SIZE);
	if (q->out_size)
		memcpy(bytes + HEAD_SIZE, q->out, q->out_size);
	memset(vu_at(&r->f, in, in_size + 1), BLK_UNTOUCHED, in_size + 1);
	n = cut(sg, out, out_size, q->out_piece, HEAD_SIZE, 0, 0);
	n += cut(sg + n, in, in_size, q->in_piece, 0, q->no_status ? 0 : 1, VU_DESC_WRITE);
	r->slot[slot].busy = true;
	r->slot[slot].request = q;
	r->slot[slot].queue = queue;
	r->slot[slot].head =
	    q->indirect ? vu_ring_add_indirect(ring, sg, n, 0) : vu_ring_add(ring, sg, n);
	vu_ring_offer(ring, r->slot[slot].head);
	return slot;
}

bool blk_wait(struct blk_rig *r, unsigned queue, int ms)
{
	struct vu_used_elem e;
	struct blk_request *q;
	const uint8_t *bytes;
	unsigned slot = 0;

	if (!vu_ring_used(&r->ring[queue], ms, &e))
		return false;
	while (!r->slot[slot].busy || r->slot[slot].queue != queue || r->slot[slot].head != e.id)
		cr_assert_lt(++slot, BLK_SLOTS, "an answer to nothing");
	q = r->slot[slot].request;
	bytes = vu_at(&r->f, r->slot[slot].in + q->in_odd, q->in_size + 2);
	if (q->in)
		memcpy(q->in, bytes, q->in_size);
	bytes -= q->no_status;
	q->status = bytes[q->in_size];
	q->used_size = e.len;
	cr_assert_eq(bytes[q->in_size + 1], BLK_UNTOUCHED, "the device wrote behind the status");
	cr_assert_leq(e.len, q->in_size + 1);
	r->slot[slot].busy = false;
	vu_ring_free(&r->ring[queue], r->slot[slot].head);
	return true;
}

uint8_t blk_do(struct blk_rig *r, struct blk_request *q)
{
	(void)blk_offer(r, 0, q);
	cr_assert(blk_wait(r, 0, VU_PATIENCE_MS), "no answer to a request of type %u: %s", q->type,
	          blk_rig_log(r));
	return q->status;
}

uint8_t blk_read(struct blk_rig *r, uint64_t sector, void *to, uint32_t size)
{
	struct blk_request q = {
	    .type = VIRTIO_BLK_T_IN, .sector = sector, .in = to, .in_size = size};

	return blk_do(r, &q);
}

uint8_t blk_write(struct blk_rig *r, uint64_t sector, const void *from, uint32_t size)
{
	struct blk_request q = {
	    .type = VIRTIO_BLK_T_OUT, .sector = sector, .out = from, .out_size = size};

	return blk_do(r, &q);
}

uint8_t blk_flush(struct blk_rig *r)
{
	struct blk_request q = {.type = VIRTIO_BLK_T_FLUSH};

	return blk_do(r, &q);
}

uint8_t blk_segment(struct blk_rig *r, uint32_t type, uint64_t sector, uint32_t sectors,
                    uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes s = {
	    .sector = sector, .num_sectors = sectors, .flags = flags};
	struct blk_request q = {.type = type, .out = &s, .out_size = sizeof(s)};

	return blk_do(r, &q);
}

bool blk_serves(struct blk_rig *r)
{
	static uint32_t seed = 77;
	uint8_t there[512], back[512] = {0};

	blk_fill(there, sizeof(there), seed++);
	if (r->o.readonly)
		return blk_read(r, 0, back, sizeof(back)) == VIRTIO_BLK_S_OK;
	return blk_write(r, 5, there, sizeof(there)) == VIRTIO_BLK_S_OK &&
	       blk_read(r, 5, back, sizeof(back)) == VIRTIO_BLK_S_OK &&
	       memcmp(there, back, sizeof(back)) == 0;
}

bool blk_breaks(struct blk_rig *r, struct blk_request *q)
{
	unsigned slot = blk_offer(r, 0, q);
	bool broken = vu_ring_broken(&r->ring[0], VU_PATIENCE_MS);

	r->slot[slot].busy = false;
	(void)vu_ring_stop(&r->ring[0]);
	vu_ring_clear(&r->ring[0]);
	vu_ring_start(&r->ring[0]);
	cr_assert(blk_serves(r), "a ring that was started anew does not serve");
	return broken;
}
