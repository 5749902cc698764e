/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk_load.c: a guest's load on a vhost-user block device, without the guest: what bench/blk-compare gives to all servers.
 *
 *	blk-load SOCKET read|write|randread|randwrite BLOCK DEPTH SECONDS SPAN
 *
 * One queue of 256 with indirect descriptors and EVENT_IDX, as Linux's driver has it; it sleeps on the call descriptor
 * when nothing is answered, as a guest's processor does. SPAN: bytes from the disk's start that are used. Prints requests
 * a second, and how many kicks and interrupts each took.
 */
#include "common/cleanup.h"
#include "common/usock.h"
#include "wire/vhost_user.h"
#include "wire/virtio_blk.h"

#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define RING      256u
#define SLOTS_MAX RING
#define MEMORY    (64u << 20)
#define GPA       0x40000000ull
#define AVAIL_AT  0x4000u
#define USED_AT   0x8000u
#define TABLES_AT 0x10000u  /* of each slot: 3 descriptors */
#define HEADS_AT  0x20000u  /* of each slot: head[16] status[1] */
#define DATA_AT   0x100000u /* of each slot: its block */
#define FEATURES                                                                    \
	(1ull << 32 | 1ull << 30 | 1ull << 29 | 1ull << 28 | 1ull << VBLK_F_FLUSH | \
	 1ull << VBLK_F_SEG_MAX | 1ull << VBLK_F_BLK_SIZE)

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct load {
	int sock, memory_fd, kick, call;
	uint8_t *memory;
	struct desc *ring;
	uint16_t *avail;     /* flags, idx, ring */
	uint16_t *used;      /* flags, idx, ... */
	uint16_t next, seen; /* to offer, to see */
	bool writes, random;
	uint32_t block, depth;
	uint64_t blocks, at, state; /* of the disk's part; the next; of the generator */
	uint64_t done, kicks, calls;
};

/* ---- messages ---- */

static void send_message(const struct load *l, uint32_t request, const void *payload, size_t size,
                         int fd)
{
	uint8_t bytes[VHU_HEADER_SIZE + 512];
	struct wr w = wr_over(bytes, sizeof(bytes));

	vhu_header_put(&w, &(struct vhu_header){request, VHU_VERSION, (uint32_t)size});
	wr_bytes(&w, payload, size);
	if (usock_send(l->sock, bytes, w.used, fd) < 0)
		errx(1, "the server is gone");
}

static uint64_t get_u64(const struct load *l, uint32_t request)
{
	uint8_t bytes[VHU_HEADER_SIZE + 8];
	size_t have = 0;
	uint64_t v;

	send_message(l, request, NULL, 0, -1);
	while (have < sizeof(bytes)) {
		ssize_t n = usock_recv(l->sock, bytes + have, sizeof(bytes) - have, NULL);

		if (n <= 0)
			errx(1, "the server is gone");
		have += (size_t)n;
	}
	memcpy(&v, bytes + VHU_HEADER_SIZE, sizeof(v));
	return v;
}

static void set_u64(const struct load *l, uint32_t request, uint64_t v, int fd)
{
	send_message(l, request, &v, sizeof(v), fd);
}

static void set_ring(const struct load *l, uint32_t request, uint32_t value)
{
	send_message(l, request, (uint32_t[]){0, value}, 8, -1);
}

static void greet(struct load *l)
{
	struct {
		uint32_t count, padding;
		uint64_t gpa, size, uva, offset;
	} table = {1, 0, GPA, MEMORY, GPA, 0};
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} addr = {0, 0, GPA, GPA + USED_AT, GPA + AVAIL_AT, 0};
	uint64_t features = get_u64(l, VHU_GET_FEATURES);

	send_message(l, VHU_SET_OWNER, NULL, 0, -1);
	(void)get_u64(l, VHU_GET_PROTOCOL_FEATURES);
	set_u64(l, VHU_SET_PROTOCOL_FEATURES, 0, -1);
	set_u64(l, VHU_SET_FEATURES, features & FEATURES, -1);
	send_message(l, VHU_SET_MEM_TABLE, &table, sizeof(table), l->memory_fd);
	set_ring(l, VHU_SET_VRING_NUM, RING);
	set_ring(l, VHU_SET_VRING_BASE, 0);
	send_message(l, VHU_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	set_u64(l, VHU_SET_VRING_CALL, 0, l->call);
	set_u64(l, VHU_SET_VRING_KICK, 0, l->kick);
	set_ring(l, VHU_SET_VRING_ENABLE, 1);
}

/* ---- the driver ---- */

static uint64_t next_sector(struct load *l)
{
	uint64_t block = l->at++;

	if (l->random) {
		l->state ^= l->state << 13;
		l->state ^= l->state >> 7;
		l->state ^= l->state << 17;
		block = l->state;
	}
	return block % l->blocks * (l->block / VBLK_SECTOR);
}

/* Puts the slot's next request into the available ring, not telling yet. */
static void offer(struct load *l, uint16_t slot)
{
	uint8_t *head = l->memory + HEADS_AT + 32u * slot;
	uint64_t sector = next_sector(l);

	memcpy(head + 8, &sector, sizeof(sector));
	head[16] = 0xff;
	l->avail[2 + l->next++ % RING] = slot;
}

static void publish(struct load *l)
{
	uint16_t before = l->avail[1], event;
	uint64_t one = 1;

	__atomic_store_n(&l->avail[1], l->next, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n((uint16_t *)(void *)(l->memory + USED_AT + 4 + 8 * RING),
	                        __ATOMIC_RELAXED);
	if ((uint16_t)(l->next - event - 1) >= (uint16_t)(l->next - before))
		return;
	l->kicks++;
	if (write(l->kick, &one, sizeof(one)) < 0)
		err(1, "kick");
}

static uint16_t used_idx(const struct load *l)
{
	return __atomic_load_n(&l->used[1], __ATOMIC_ACQUIRE);
}

/* Sleeps until there is an answer, unless there is one. */
static void wait_for_answer(struct load *l)
{
	uint16_t *event = &l->avail[2 + RING];
	uint64_t count;

	if (used_idx(l) != l->seen)
		return;
	__atomic_store_n(event, l->seen, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* Servers may let nobody wait by read(2). */
	while (used_idx(l) == l->seen) {
		if (poll(&(struct pollfd){.fd = l->call, .events = POLLIN}, 1, -1) < 0)
			err(1, "call");
		l->calls += read(l->call, &count, sizeof(count)) > 0;
	}
}

static void take_answers(struct load *l)
{
	for (uint16_t idx = used_idx(l); l->seen != idx; l->seen++) {
		uint32_t slot;

		memcpy(&slot, l->memory + USED_AT + 4 + 8 * (l->seen % RING), sizeof(slot));
		if (l->memory[HEADS_AT + 32u * slot + 16] != VBLK_S_OK)
			errx(1, "a request failed");
		l->done++;
		offer(l, (uint16_t)slot);
	}
}

static void lay_out(struct load *l)
{
	for (uint16_t i = 0; i < l->depth; i++) {
		struct desc *t = (struct desc *)(void *)(l->memory + TABLES_AT) + 3 * i;
		uint64_t head = GPA + HEADS_AT + 32ull * i;
		uint32_t type = l->writes ? VBLK_T_OUT : VBLK_T_IN;

		memcpy(l->memory + HEADS_AT + 32u * i, &type, sizeof(type));
		l->ring[i] = (struct desc){GPA + TABLES_AT + 48ull * i, 48, INDIRECT, 0};
		t[0] = (struct desc){head, VBLK_HEAD_SIZE, NEXT, 1};
		t[1] = (struct desc){GPA + DATA_AT + (uint64_t)l->block * i, l->block,
		                     l->writes ? NEXT : NEXT | WRITE, 2};
		t[2] = (struct desc){head + 16, 1, WRITE, 0};
		offer(l, i);
	}
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(struct load *l, double seconds)
{
	double from, warm = now() + 0.2;
	bool measures = false;

	lay_out(l);
	publish(l);
	for (from = warm;; publish(l)) {
		wait_for_answer(l);
		take_answers(l);
		if (!measures && now() > warm) {
			measures = true;
			l->done = l->kicks = l->calls = 0;
			from = now();
		} else if (measures && now() - from > seconds) {
			break;
		}
	}
	(void)printf("%.0f %.3f %.3f\n", (double)l->done / (now() - from),
	             (double)l->kicks / (double)l->done, (double)l->calls / (double)l->done);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
		err(1, "%s", path);
	return sock;
}

int main(int argc, char **argv)
{
	struct load l = {.state = 88172645463325252};

	if (argc != 7)
		errx(2, "usage: blk-load SOCKET read|write|randread|randwrite BLOCK DEPTH SECONDS "
		        "SPAN");
	l.random = strncmp(argv[2], "rand", 4) == 0;
	l.writes = strcmp(argv[2] + (l.random ? 4 : 0), "write") == 0;
	l.block = (uint32_t)strtoul(argv[3], NULL, 10);
	l.depth = (uint32_t)strtoul(argv[4], NULL, 10);
	if (l.block < VBLK_SECTOR || l.depth < 1 || l.depth > SLOTS_MAX ||
	    (uint64_t)l.block * l.depth > MEMORY - DATA_AT)
		errx(2, "block and depth do not fit");
	l.blocks = strtoull(argv[6], NULL, 10) / l.block;
	l.sock = connect_to(argv[1]);
	l.memory_fd = memfd_create("guest", MFD_CLOEXEC);
	if (l.memory_fd < 0 || ftruncate(l.memory_fd, MEMORY) < 0 || l.blocks == 0)
		err(1, "memory");
	l.memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, l.memory_fd, 0);
	l.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l.call = eventfd(0, EFD_CLOEXEC);
	if (l.memory == MAP_FAILED || l.kick < 0 || l.call < 0)
		err(1, "memory");
	l.ring = (struct desc *)(void *)l.memory;
	l.avail = (uint16_t *)(void *)(l.memory + AVAIL_AT);
	l.used = (uint16_t *)(void *)(l.memory + USED_AT);
	greet(&l);
	run(&l, strtod(argv[5], NULL));
	return 0;
}
