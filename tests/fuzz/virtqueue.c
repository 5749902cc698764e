/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtqueue.c: a whole ring and its memory, driven as a device does it.
 *
 * Input: how the queue is set up (struct setup below, in bits), the size[2] of the memory that follows, the memory, and
 * then steps of the device and of a guest that writes meanwhile. Whatever they are: each chain's pieces are in the guest's
 * memory and as long as it says, and all chains come back.
 *
 * Built with MAKE_SEEDS this writes first inputs instead: virtqueue_seeds DIRECTORY.
 */
#include "tests/fuzz/fuzz.h"

#include "common/rd.h"
#include "common/wr.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define REGION 65536u
#define DESC   0u
#define AVAIL  0x1000u
#define USED   0x2000u
#define FREE   0x3000u

enum setup { PACKED = 1, EVENTS = 2, INDIRECT = 4, LOGGED = 8, TRACKED = 16, SIZE_SHIFT = 5 };
enum step {
	POP,
	PUSH_FIRST,
	PUSH_LAST,
	PUBLISH,
	SLEEP,
	WAKE,
	WRITE,
	AVAILABLE,
	DISCARD,
	RESTART,
	STEPS
};
#define AREA_WRITE 0xff /* the emulator's part: a lie in the inflight area */

#ifdef MAKE_SEEDS

static uint8_t memory[REGION], bytes[2 * REGION];

static void put(uint32_t at, uint64_t addr, uint32_t len, uint16_t third, uint16_t last)
{
	struct wr w = wr_over(memory + at, 16);

	wr_le64(&w, addr);
	wr_le32(&w, len);
	wr_le16(&w, third);
	wr_le16(&w, last);
}

static void put16(uint32_t at, uint16_t value)
{
	struct wr w = wr_over(memory + at, 2);

	wr_le16(&w, value);
}

static void write_seed(const char *dir, unsigned number, uint8_t setup, const uint8_t *steps,
                       size_t count)
{
	struct wr w = wr_over(bytes, sizeof(bytes));
	char path[1024];
	FILE *f;

	wr_u8(&w, setup);
	wr_le16(&w, 0x3800);
	wr_bytes(&w, memory, 0x3800);
	wr_bytes(&w, steps, count);
	(void)snprintf(path, sizeof(path), "%s/ring-%u", dir, number);
	f = fopen(path, "we");
	CHECK(f && fwrite(bytes, 1, w.used, f) == w.used && fclose(f) == 0);
}

/* Three chains: a pair, one over two regions, an indirect table. */
static void fill(unsigned size, bool packed)
{
	const uint16_t flags[4] = {1, 2, 2, 4};
	const uint64_t addr[4] = {FREE, FREE + 256, REGION - 10, FREE + 1024};
	const uint32_t len[4] = {64, 64, 20, 32};

	memset(memory, 0, sizeof(memory));
	for (unsigned i = 0; i < 4 && i < size; i++) {
		if (packed)
			put(DESC + i * 16, addr[i], len[i], (uint16_t)i, flags[i] | 0x80);
		else
			put(DESC + i * 16, addr[i], len[i], flags[i], 1);
	}
	put(FREE + 1024, FREE, 16, packed ? 0 : 1, packed ? 0 : 1);
	put(FREE + 1040, FREE + 512, 16, packed ? 0 : 2, packed ? 2 : 0);
	put16(AVAIL + 2, 3);
	put16(AVAIL + 4, 0);
	put16(AVAIL + 6, 2);
	put16(AVAIL + 8, 3);
}

int main(int argc, char **argv)
{
	static const uint8_t steps[] = {SLEEP,   WAKE,       POP,     POP,     PUSH_LAST, POP,
	                                PUBLISH, PUSH_LAST,  PUBLISH, RESTART, DISCARD,   AVAILABLE,
	                                POP,     PUSH_FIRST, SLEEP,   WRITE,   2,         0x10,
	                                9,       POP,        PUBLISH};
	static const uint8_t lies[] = {POP, POP,     PUSH_LAST, PUBLISH,    POP,    AREA_WRITE,
	                               14,  0,       2,         AREA_WRITE, 34,     0,
	                               1,   RESTART, POP,       POP,        PUBLISH};
	unsigned number = 0;

	if (argc != 2 || (mkdir(argv[1], 0755) < 0 && errno != EEXIST))
		return 1;
	for (unsigned setup = 0; setup < 32; setup += setup < 8 || setup > 19 ? 1 : 4) {
		for (unsigned shift = 2; shift < 8; shift += 2) {
			fill(1u << shift, setup & PACKED);
			write_seed(argv[1], number++, (uint8_t)(setup | shift << SIZE_SHIFT), steps,
			           sizeof(steps));
			if (setup & TRACKED)
				write_seed(argv[1], number++,
				           (uint8_t)(setup | shift << SIZE_SHIFT), lies,
				           sizeof(lies));
		}
	}
	return 0;
}

#else

#include "common/log.h"
#include "virtio/chain.h"
#include "virtio/device.h"
#include "virtio/inflight.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define UVA      0x10000000u
#define HELD_MAX 128
#define AREA     inflight_packed_size(1, 128)

static struct guest_map *map;
static struct shared_piece *log_piece, *area;
static uint8_t *guest, *area_bytes;
static struct iovec regions[2];
static struct vq *queue;
static struct vq_setup setup;
static struct vq_chain *held[HELD_MAX];
static unsigned held_count;

static void stopped(struct vq *q UNUSED, void *context UNUSED)
{
}

static void prepare(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC), log_fd = memfd_create("log", MFD_CLOEXEC);
	int area_fd = -1, null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct guest_map *empty, *one;
	const struct guest_region r[2] = {
	    {.gpa = 0, .size = REGION, .uva = UVA, .offset = 0},
	    {.gpa = REGION, .size = REGION, .uva = UVA + 4 * REGION, .offset = REGION}};

	CHECK(ftruncate(fd, 2 * REGION) == 0 && ftruncate(log_fd, 4096) == 0);
	CHECK(guest_map_new(&empty) == 0 && guest_map_add(empty, &r[0], fd, &one) == 0 &&
	      guest_map_add(one, &r[1], fd, &map) == 0);
	CHECK(guest_map_find(map, 0, 2 * REGION, regions, 2) == 2);
	/* A log of one byte: eight pages are noted, the others are not. */
	CHECK(shared_piece_map(log_fd, 0, 1, &log_piece) == 0);
	CHECK(inflight_make(1, 128, &area_fd) == 0);
	CHECK(shared_piece_map(area_fd, 0, AREA, &area) == 0);
	guest = mmap(NULL, 2 * REGION, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	area_bytes = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_SHARED, area_fd, 0);
	CHECK(guest != MAP_FAILED && area_bytes != MAP_FAILED && null_fd >= 0);
	guest_map_put(empty);
	guest_map_put(one);
	log_to_syslog(null_fd);
}

static bool inside(const struct iovec *v)
{
	const uint8_t *at = v->iov_base;

	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *from = regions[i].iov_base;

		if (at >= from && at < from + REGION && v->iov_len <= (size_t)(from + REGION - at))
			return true;
	}
	return false;
}

static size_t check_pieces(const struct iovec *iov, unsigned count)
{
	size_t size = 0;

	for (unsigned i = 0; i < count; i++) {
		CHECK(inside(&iov[i]) && iov[i].iov_len > 0);
		size += iov[i].iov_len;
	}
	return size;
}

static void use(struct vq_chain *c)
{
	static uint8_t buffer[REGION];
	struct chain_cursor out = chain_out(c), in = chain_in(c);
	struct iovec some[4];
	size_t n;

	CHECK(check_pieces(c->out, c->out_count) == c->out_size);
	CHECK(check_pieces(c->in, c->in_count) == c->in_size);
	CHECK((uint64_t)c->out_size + c->in_size <= UINT32_MAX);
	n = chain_read(&out, buffer, 700);
	CHECK(n == (c->out_size < 700 ? c->out_size : 700) && out.left == c->out_size - n);
	CHECK(chain_skip(&in, 7) == (c->in_size < 7 ? c->in_size : 7));
	/* What is written may be the ring itself. */
	(void)chain_write(&in, buffer, n);
	(void)chain_take(&in, 5000, some, 4, &n);
	CHECK(n <= 5000);
}

static void give_back(unsigned i, bool push)
{
	struct vq_chain *c;

	if (held_count == 0)
		return;
	c = held[i];
	held[i] = held[--held_count];
	if (push)
		vq_push(queue, c, (uint32_t)c->in_size);
	else
		vq_discard(queue, c);
}

static void restart(void)
{
	while (held_count > 0)
		give_back(0, true);
	CHECK(vq_in_flight(queue) == 0);
	setup.base = vq_stop(queue);
}

static void step(struct rd *in)
{
	struct vq_chain *c = NULL;
	uint32_t at;
	uint8_t value, which = rd_u8(in);

	if (which == AREA_WRITE) {
		at = rd_le16(in) % (uint32_t)AREA;
		area_bytes[at] = rd_u8(in);
		return;
	}
	switch ((enum step)(which % STEPS)) {
	case POP:
		if (held_count == HELD_MAX || vq_pop(queue, &c) != 1)
			return;
		use(c);
		held[held_count++] = c;
		CHECK(vq_in_flight(queue) == held_count && held_count <= vq_size(queue));
		return;
	case PUSH_FIRST:
		give_back(0, true);
		return;
	case PUSH_LAST:
		give_back(held_count - 1, true);
		return;
	case PUBLISH:
		vq_publish(queue);
		return;
	case SLEEP:
		if (vq_enable_notify(queue))
			CHECK(vq_pending(queue));
		return;
	case WAKE:
		vq_disable_notify(queue);
		return;
	case WRITE:
		at = rd_le16(in);
		value = rd_u8(in);
		guest[at] = value;
		return;
	case AVAILABLE:
		guest[AVAIL + 2]++;
		return;
	case DISCARD:
		give_back(0, false);
		return;
	case RESTART:
		restart();
		/* It may be refused now: the end, then. */
		if (vq_start(queue, &setup) < 0)
			in->left = 0;
		return;
	case STEPS:
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool prepared;
	struct rd in = rd_over(data, size);
	uint8_t how = rd_u8(&in);
	size_t count = rd_le16(&in);
	const uint8_t *bytes;

	if (!prepared)
		prepare();
	prepared = true;
	if (size < 3)
		return 0;
	memset(guest, 0, 2 * REGION);
	memset(area_bytes, 0, AREA);
	if (count > in.left)
		count = in.left;
	bytes = rd_bytes(&in, count);
	memcpy(guest, bytes, count);
	setup = (struct vq_setup){
	    .size = 1u << (how >> SIZE_SHIFT),
	    .features = (how & PACKED ? VIO_FEATURE(VIO_F_RING_PACKED) : 0) |
	                (how & EVENTS ? VIO_FEATURE(VIO_F_EVENT_IDX) : 0) |
	                (how & INDIRECT ? VIO_FEATURE(VIO_F_INDIRECT_DESC) : 0),
	    .desc = UVA + DESC,
	    .avail = UVA + AVAIL,
	    .used = UVA + USED,
	    .base = how & PACKED ? 0x80008000 : 0,
	    .map = map,
	    .inflight = how & TRACKED ? inflight_ring_of(area, 0, 128) : NULL,
	    .inflight_packed = how & TRACKED ? inflight_packed_of(area, 0, 128) : NULL};
	CHECK(vq_new(0, stopped, NULL, &queue) == 0);
	CHECK(vq_start(queue, &setup) == 0);
	vq_set_log(queue, how & LOGGED ? log_piece : NULL, true, USED);
	for (unsigned i = 0; i < 4096 && in.left > 0; i++)
		step(&in);
	if (vq_running(queue))
		restart();
	vq_free(queue);
	return 0;
}

#endif
