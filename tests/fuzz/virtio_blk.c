/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio_blk.c: a disk under a ring and buffers of any bytes.
 *
 * Input: what the driver took and what the disk is (enum how, in bits), and the memory of the guest, from its start on:
 * descriptors, the available ring, heads, segments and data. Whatever they are: all requests are answered or the queue is broken, the image keeps
 * its size, and if it is read-only its bytes.
 *
 * Built with MAKE_SEEDS this writes first inputs instead: virtio_blk_seeds DIRECTORY.
 */
#include "tests/fuzz/fuzz.h"

#include "common/wr.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define MEMORY 65536u
#define SIZE   16u /* of the ring */
#define AVAIL  0x100u
#define FREE \
	0x140u /* heads, segments, data: to be written by the device too, but small inputs reach here */
#define USED 0xf000u

enum how { READONLY = 1, DISCARDS = 2, EVENTS = 4, INDIRECT = 8, TAKES_NOTHING = 16 };

#ifdef MAKE_SEEDS

static uint8_t memory[MEMORY];

static void put_desc(unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	struct wr w = wr_over(memory + 16 * i, 16);

	wr_le64(&w, addr);
	wr_le32(&w, len);
	wr_le16(&w, flags);
	wr_le16(&w, next);
}

/* Chain number i: head, data (out or in), status. */
static void put_request(unsigned i, uint32_t type, uint64_t sector, uint32_t size, bool in)
{
	uint32_t at = FREE + 64 * i;
	struct wr w = wr_over(memory + at, 48);

	wr_le32(&w, type);
	wr_le32(&w, 0);
	wr_le64(&w, sector);
	wr_le64(&w, 1); /* a segment */
	wr_le32(&w, 2);
	wr_le32(&w, type == 13);
	put_desc(3 * i, at, 16, 1, (uint16_t)(3 * i + 1));
	put_desc(3 * i + 1, size == 16 ? at + 16 : 0x4000, size, in ? 3 : 1, (uint16_t)(3 * i + 2));
	put_desc(3 * i + 2, at + 60, 1, 2, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		uint32_t type, size;
		uint64_t sector;
		bool in;
	} requests[] = {{0, 512, 1, true},   {1, 512, 2, false}, {8, 20, 0, true},
	                {11, 16, 0, false},  {13, 16, 0, false}, {0, 8192, 0, true},
	                {1, 4096, 8, false}, {1, 512, 15, false}};
	const unsigned count = sizeof(requests) / sizeof(requests[0]);

	if (argc != 2 || (mkdir(argv[1], 0755) < 0 && errno != EEXIST))
		return 1;
	for (unsigned how = 0; how < 32; how += 3) {
		char path[1024];
		struct wr w;
		FILE *f;

		memset(memory, 0, sizeof(memory));
		w = wr_over(memory + AVAIL, 64);
		wr_le16(&w, 0);
		wr_le16(&w, 5);
		for (unsigned i = 0; i < 5; i++) {
			unsigned k = (how + i) % count;

			put_request(i, requests[k].type, requests[k].sector, requests[k].size,
			            requests[k].in);
			wr_le16(&w, (uint16_t)(3 * i));
		}
		(void)snprintf(path, sizeof(path), "%s/disk-%u", argv[1], how);
		f = fopen(path, "we");
		CHECK(f && fputc((int)how, f) == (int)how && fwrite(memory, 1, 0x300, f) == 0x300 &&
		      fclose(f) == 0);
	}
	return 0;
}

#else

#include "common/log.h"
#include "common/usock.h"
#include "virtio-blk/blk.h"
#include "virtio/device.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define UVA        0x10000000u
#define IMAGE_SIZE 8192

static struct guest_map *map;
static uint8_t *guest, *image_bytes;
static int image_fd;
static unsigned stops;

static void stopped(struct vq *q, void *context UNUSED)
{
	(void)vq_stop(q);
	stops++;
}

static void prepare(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC),
	    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	const struct guest_region r = {.gpa = 0, .size = MEMORY, .uva = UVA, .offset = 0};
	struct guest_map *empty;

	image_fd = memfd_create("image", MFD_CLOEXEC);
	CHECK(ftruncate(fd, MEMORY) == 0 && ftruncate(image_fd, IMAGE_SIZE) == 0);
	CHECK(guest_map_new(&empty) == 0 && guest_map_add(empty, &r, fd, &map) == 0);
	guest_map_put(empty);
	guest = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	image_bytes = mmap(NULL, IMAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, image_fd, 0);
	CHECK(guest != MAP_FAILED && image_bytes != MAP_FAILED && null_fd >= 0);
	log_to_syslog(null_fd);
}

/* The kernel gives up the rings of earlier inputs when it likes, and may have no room for more until then. */
static struct disk_host *new_host(struct loop *l)
{
	struct disk_host *h = NULL;
	int r = -1;

	for (int i = 0; r < 0 && i < 1000; i++) {
		if (i > 0)
			(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		r = disk_host_new(l, false, &h);
	}
	CHECK(r == 0);
	return h;
}

static struct disk *attach(struct disk_host *h, uint8_t how, int *ret_peer)
{
	char path[64], text[IMAGE_WHY_MAX];
	struct sbuf why = sbuf_over(text, sizeof(text));
	struct image_spec is = {
	    .layer = {{.format = "raw", .data_fd = -1}}, .layers = 1, .readonly = how & READONLY};
	struct disk_spec s = {
	    .id = "d", .queues = 1, .discard = (how & DISCARDS) && !(how & READONLY)};
	struct disk *d;
	int pair[2];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", image_fd);
	is.layer[0].fd = open(path, (how & READONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	CHECK(image_open(&is, &why, &s.image) == 0);
	CHECK(usock_pair(SOCK_STREAM, pair) == 0);
	s.vhost_user_fd = pair[0];
	*ret_peer = pair[1];
	CHECK(disk_new(h, &s, &why, &d) == 0);
	return d;
}

struct run {
	struct loop *loop;
	struct disk *disk;
	struct vq *vq;
	unsigned rounds;
};

static void gone(void *loop)
{
	loop_stop(loop);
}

/* When all that was there is taken, the queue is stopped; when it has stopped, the disk goes. */
static bool next(void *context)
{
	struct run *r = context;

	if (++r->rounds == 3) {
		vq_stopping(r->vq);
		disk_device_ops.stop(r->disk, r->vq);
		return true;
	}
	if (stops == 1) {
		stops++;
		disk_close(r->disk, gone, r->loop);
		return true;
	}
	return r->rounds < 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool prepared;
	uint8_t how = size > 0 ? data[0] : 0;
	struct disk_host *h;
	struct vq_setup setup;
	struct run r = {0};
	struct stat st;
	int peer;

	if (!prepared)
		prepare();
	prepared = true;
	if (size < 2 || size > MEMORY)
		return 0;
	memset(guest, 0, MEMORY);
	memcpy(guest, data + 1, size - 1);
	memset(image_bytes, 0x5a, IMAGE_SIZE);
	stops = 0;
	CHECK(loop_new(&r.loop) == 0);
	h = new_host(r.loop);
	r.disk = attach(h, how, &peer);
	setup =
	    (struct vq_setup){.size = SIZE,
	                      .features = (how & EVENTS ? VIO_FEATURE(VIO_F_EVENT_IDX) : 0) |
	                                  (how & INDIRECT ? VIO_FEATURE(VIO_F_INDIRECT_DESC) : 0),
	                      .desc = UVA,
	                      .avail = UVA + AVAIL,
	                      .used = UVA + USED,
	                      .map = map};
	CHECK(vq_new(0, stopped, NULL, &r.vq) == 0 && vq_start(r.vq, &setup) == 0);
	disk_device_ops.start(r.disk, r.vq, how & TAKES_NOTHING ? 0 : disk_features(r.disk));
	loop_idle(r.loop, next, &r);
	CHECK(loop_run(r.loop) == 0);
	CHECK(stops == 2 && vq_in_flight(r.vq) == 0);
	CHECK(fstat(image_fd, &st) == 0 && st.st_size == IMAGE_SIZE);
	for (unsigned i = 0; (how & READONLY) && i < IMAGE_SIZE; i++)
		CHECK(image_bytes[i] == 0x5a);
	vq_free(r.vq);
	disk_host_free(h);
	loop_free(r.loop);
	(void)close(peer);
	return 0;
}

#endif
