/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * floor SOCKET TAG [POLL-MICROSECONDS [hop]]
 *
 * The least that a 9P device over vhost-user can cost: it answers from memory (floor_fs.c). With a
 * time it looks at its ring for so long after the last request before it sleeps; with "hop" it asks
 * a second process, which blocks in between, about each request that names a file. One queue, one
 * front end at a time, no check of what the guest gives it.
 */
#include "bench/guest/floor.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	SET_BACKEND_REQ_FD = 21,
	GET_CONFIG = 24,
};

#define NEED_REPLY  (1u << 3)
#define REPLY_FLAGS 5u
/* MQ, REPLY_ACK, BACKEND_REQ (User-Mode Linux has no interrupt without it), CONFIG */
#define PROTOCOL_FEATURES ((1u << 0) | (1u << 3) | (1u << 5) | (1u << 9))
#define FEATURES                                                                                   \
	((1ull << 0) | (1ull << VIRTIO_RING_F_INDIRECT_DESC) | (1ull << VIRTIO_RING_F_EVENT_IDX) | \
	 (1ull << 30) | (1ull << 32)) /* MOUNT_TAG, … PROTOCOL_FEATURES, VERSION_1 */
#define REGIONS    8
#define TAG_MAX    64
#define CONFIG_MAX 256

struct region {
	uint64_t guest, size, user, offset;
	uint8_t *at;
};

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct {
			uint32_t index, value;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t count, padding;
			struct {
				uint64_t guest, size, user, offset;
			} region[REGIONS];
		} memory;
		struct {
			uint32_t offset, size, flags;
			uint8_t bytes[CONFIG_MAX];
		} config;
	};
} __attribute__((packed, aligned(8)));

struct floor {
	int sock, kick, call, backend;
	struct region regions[REGIONS];
	size_t region_count;
	uint32_t size;
	bool running, event_idx;
	uint16_t last;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t poll_ns;
	uint8_t config[2 + TAG_MAX];
};

static _Noreturn void give_up(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static uint64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *at_guest(const struct floor *f, uint64_t address, uint64_t size)
{
	for (size_t i = 0; i < f->region_count; i++) {
		const struct region *r = &f->regions[i];

		if (address >= r->guest && address - r->guest + size <= r->size)
			return r->at + (address - r->guest);
	}
	give_up("an address outside memory");
}

static void *at_user(const struct floor *f, uint64_t address)
{
	for (size_t i = 0; i < f->region_count; i++) {
		const struct region *r = &f->regions[i];

		if (address >= r->user && address - r->user < r->size)
			return r->at + (address - r->user);
	}
	give_up("a ring outside memory");
}

static void unmap(struct floor *f)
{
	for (size_t i = 0; i < f->region_count; i++)
		(void)munmap(f->regions[i].at - f->regions[i].offset,
		             f->regions[i].size + f->regions[i].offset);
	f->region_count = 0;
}

static void map(struct floor *f, const struct message *m, struct fdbag *bag)
{
	unmap(f);
	for (uint32_t i = 0; i < m->memory.count && i < REGIONS; i++) {
		struct region *r = &f->regions[i];
		AUTO_CLOSE int fd = fdbag_take(bag, i);
		uint8_t *at;

		*r = (struct region){.guest = m->memory.region[i].guest,
		                     .size = m->memory.region[i].size,
		                     .user = m->memory.region[i].user,
		                     .offset = m->memory.region[i].offset};
		at = mmap(NULL, r->size + r->offset, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (at == MAP_FAILED)
			give_up("mmap");
		r->at = at + r->offset;
		f->region_count++;
	}
}

/* ---- the ring ---- */

static uint8_t request[FLOOR_MSIZE], reply[FLOOR_MSIZE];

/* Copies a chain's readable part to the request. Return: its size. */
static size_t gather(const struct floor *f, const struct vring_desc *d, uint16_t i)
{
	size_t size = 0;

	for (; !(d[i].flags & VRING_DESC_F_WRITE); i = d[i].next) {
		if (size + d[i].len > sizeof(request))
			give_up("a request is too large");
		memcpy(request + size, at_guest(f, d[i].addr, d[i].len), d[i].len);
		size += d[i].len;
		if (!(d[i].flags & VRING_DESC_F_NEXT))
			break;
	}
	return size;
}

static void scatter(const struct floor *f, const struct vring_desc *d, uint16_t i, size_t size)
{
	for (size_t done = 0; done < size; i = d[i].next) {
		size_t step = d[i].len < size - done ? d[i].len : size - done;

		if (!(d[i].flags & VRING_DESC_F_WRITE))
			continue;
		memcpy(at_guest(f, d[i].addr, step), reply + done, step);
		done += step;
		if (done < size && !(d[i].flags & VRING_DESC_F_NEXT))
			give_up("a reply has too little room");
	}
}

static void complete(const struct floor *f, uint16_t head, size_t size)
{
	uint16_t at = f->used->idx;

	f->used->ring[at % f->size] = (struct vring_used_elem){.id = head, .len = (uint32_t)size};
	atomic_thread_fence(memory_order_release);
	*(volatile uint16_t *)&f->used->idx = (uint16_t)(at + 1);
}

static void notify(const struct floor *f, uint16_t old)
{
	static const uint64_t one = 1;
	uint16_t new = f->used->idx;

	atomic_thread_fence(memory_order_seq_cst);
	if (new == old || f->call < 0)
		return;
	if (f->event_idx
	        ? !vring_need_event(*(volatile uint16_t *)&f->avail->ring[f->size], new, old)
	        : (f->avail->flags & VRING_AVAIL_F_NO_INTERRUPT) != 0)
		return;
	if (write(f->call, &one, sizeof(one)) < 0 && errno != EAGAIN)
		give_up("call");
}

static bool pending(const struct floor *f)
{
	return *(volatile uint16_t *)&f->avail->idx != f->last;
}

static void drain(struct floor *f)
{
	uint16_t old = f->used->idx;

	while (pending(f)) {
		const struct vring_desc *d = f->desc;
		uint16_t head, i;
		size_t size;

		atomic_thread_fence(memory_order_acquire);
		i = head = f->avail->ring[f->last++ % f->size];
		if (d[i].flags & VRING_DESC_F_INDIRECT) {
			d = at_guest(f, d[i].addr, d[i].len);
			i = 0;
		}
		size = floor_fs_answer(request, gather(f, d, i), reply);
		scatter(f, d, i, size);
		complete(f, head, size);
	}
	notify(f, old);
}

/* From here on the driver says when there is more. */
static void ask_for_kicks(const struct floor *f)
{
	if (f->event_idx)
		*(volatile uint16_t *)&f->used->ring[f->size] = f->last;
	atomic_thread_fence(memory_order_seq_cst);
}

static void serve_ring(struct floor *f)
{
	uint64_t since;

	if (!f->running)
		return;
	do {
		drain(f);
		for (since = now(); !pending(f) && now() - since < f->poll_ns;)
			__builtin_ia32_pause();
		if (!pending(f))
			ask_for_kicks(f);
	} while (pending(f));
}

/* ---- vhost-user ---- */

static void start(struct floor *f, const struct message *m)
{
	f->desc = at_user(f, m->addr.desc);
	f->avail = at_user(f, m->addr.avail);
	f->used = at_user(f, m->addr.used);
	f->running = true;
}

static void take(int *fd, struct fdbag *bag)
{
	fd_close(fd);
	*fd = fdbag_take(bag, 0);
}

/* Return: whether the message has an answer of its own, which is in it then. */
static bool obey(struct floor *f, struct message *m, struct fdbag *bag)
{
	switch (m->request) {
	case GET_FEATURES:
		m->number = FEATURES;
		break;
	case GET_PROTOCOL_FEATURES:
		m->number = PROTOCOL_FEATURES;
		break;
	case GET_QUEUE_NUM:
		m->number = 1;
		break;
	case GET_CONFIG:
		if (m->config.size <= CONFIG_MAX && m->config.offset == 0) {
			memset(m->config.bytes, 0, CONFIG_MAX);
			memcpy(m->config.bytes, f->config,
			       m->config.size < sizeof(f->config) ? m->config.size
			                                          : sizeof(f->config));
		}
		return true;
	case GET_VRING_BASE:
		f->running = false;
		m->state.value = f->last;
		return true;
	case SET_FEATURES:
		f->event_idx = (m->number >> VIRTIO_RING_F_EVENT_IDX) & 1;
		return false;
	case SET_MEM_TABLE:
		map(f, m, bag);
		return false;
	case SET_VRING_NUM:
		f->size = m->state.value;
		return false;
	case SET_VRING_BASE:
		f->last = (uint16_t)m->state.value;
		return false;
	case SET_VRING_ADDR:
		start(f, m);
		return false;
	case SET_VRING_ENABLE:
		f->running = m->state.value != 0 && f->desc;
		return false;
	case SET_VRING_KICK:
		take(&f->kick, bag);
		return false;
	case SET_BACKEND_REQ_FD:
		take(&f->backend, bag);
		return false;
	case SET_VRING_CALL:
		take(&f->call, bag);
		return false;
	default:
		return false;
	}
	m->size = sizeof(m->number);
	return true;
}

static bool serve_message(struct floor *f)
{
	AUTO_FDBAG struct fdbag bag = FDBAG_EMPTY;
	struct message m = {.request = 0};
	bool need_reply;

	if (usock_recv(f->sock, &m, 12, &bag) != 12 || m.size > sizeof(m) - 12 ||
	    (m.size > 0 && recv(f->sock, &m.number, m.size, MSG_WAITALL) != (ssize_t)m.size))
		return false;
	need_reply = m.flags & NEED_REPLY;
	if (!obey(f, &m, &bag)) {
		if (!need_reply)
			return true;
		m.number = 0;
		m.size = sizeof(m.number);
	}
	m.flags = REPLY_FLAGS;
	return send(f->sock, &m, 12 + m.size, MSG_NOSIGNAL) == (ssize_t)(12 + m.size);
}

static void serve(struct floor *f)
{
	for (;;) {
		struct pollfd p[2] = {{.fd = f->sock, .events = POLLIN},
		                      {.fd = f->running ? f->kick : -1, .events = POLLIN}};
		uint64_t count;

		if (poll(p, 2, -1) < 0)
			give_up("poll");
		if (p[0].revents && !serve_message(f))
			return;
		if (p[1].revents && read(f->kick, &count, sizeof(count)) < 0 && errno != EAGAIN)
			give_up("kick");
		serve_ring(f);
	}
}

/* The process that stands for a helper. */
static int start_hop(void)
{
	char packet[256] = "";
	int pair[2];
	pid_t pid;

	if (usock_pair(SOCK_SEQPACKET, pair) < 0)
		give_up("socketpair");
	pid = fork();
	if (pid < 0)
		give_up("fork");
	if (pid > 0) {
		fd_close(&pair[1]);
		return pair[0];
	}
	fd_close(&pair[0]);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (recv(pair[1], packet, sizeof(packet), 0) > 0)
		if (send(pair[1], packet, 160, MSG_NOSIGNAL) < 0)
			break;
	_exit(0);
}

int main(int argc, char **argv)
{
	struct floor f = {.sock = -1, .kick = -1, .call = -1, .backend = -1};
	size_t tag = argc > 2 ? strlen(argv[2]) : 0;
	int listener;

	if (tag == 0 || tag > TAG_MAX) {
		(void)fprintf(stderr, "usage: floor SOCKET TAG [POLL-MICROSECONDS [hop]]\n");
		return 2;
	}
	f.config[0] = (uint8_t)tag;
	memcpy(f.config + 2, argv[2], tag);
	f.poll_ns = argc > 3 ? strtoul(argv[3], NULL, 10) * 1000 : 0;
	(void)signal(SIGPIPE, SIG_IGN);
	floor_fs_init(argc > 4 ? start_hop() : -1);
	if (usock_listen(argv[1], SOCK_STREAM, &listener) < 0)
		give_up(argv[1]);
	while (usock_accept(listener, &f.sock) == 0) {
		serve(&f);
		f.running = false;
		f.desc = NULL;
		unmap(&f);
		fd_close(&f.sock);
		fd_close(&f.kick);
		fd_close(&f.call);
		fd_close(&f.backend);
	}
	give_up("accept");
}
