/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kit.c: the front end and driver of tests/lib against a back end of a few lines that believes all it is told. It shares
 * nothing with the device; what fails here is an error of the kit's.
 */
#include "tests/lib/vu_orders.h"
#include "tests/lib/vu_p9.h"

#include "common/cleanup.h"
#include "common/fdbag.h"
#include "common/usock.h"
#include "common/wr.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define FEATURES \
	(VU_F_MOUNT_TAG | VU_F_INDIRECT_DESC | VU_F_EVENT_IDX | VU_F_PROTOCOL | VU_F_VERSION_1)
#define PROTOCOL \
	(VU_P_MQ | VU_P_REPLY_ACK | VU_P_BACKEND | VU_P_CONFIG | VU_P_RESET | VU_P_MEM_SLOTS)

/* ---- the back end: one thread ---- */

struct mapping {
	struct vu_mem_entry at;
	uint8_t *host;
};

static struct {
	int sock;
	pthread_t thread;
	struct mapping map[16];
	unsigned maps;
	uint64_t features;
	bool enabled;
	uint16_t size, taken, used_idx;
	struct vu_addr addr;
	int kick, call, err;
} b;

static uint8_t *host_of(uint64_t at, bool uva)
{
	for (unsigned i = 0; i < b.maps; i++) {
		const struct vu_mem_entry *e = &b.map[i].at;
		uint64_t start = uva ? e->uva : e->gpa;

		if (at >= start && at - start < e->size)
			return b.map[i].host + (at - start);
	}
	return NULL;
}

static void map_add(const struct vu_mem_entry *e, int fd)
{
	b.map[b.maps].at = *e;
	b.map[b.maps++].host =
	    mmap(NULL, e->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)e->offset);
	fd_close(&fd);
}

static void map_remove(const struct vu_mem_entry *e)
{
	for (unsigned i = 0; i < b.maps; i++) {
		if (b.map[i].at.gpa != e->gpa)
			continue;
		(void)munmap(b.map[i].host, b.map[i].at.size);
		b.map[i] = b.map[--b.maps];
		return;
	}
}

static void map_clear(void)
{
	while (b.maps)
		map_remove(&b.map[0].at);
}

/* Rversion as asked, Rattach and Rgetattr of zeros, Rlerror for all else. Return: the reply's size. */
static size_t answer(const uint8_t *in, uint8_t *out)
{
	struct rd r = rd_over(in, P9_HEAD_SIZE);
	struct wr w = wr_over(out, 4096);
	struct p9_head h;
	size_t size;

	memset(out, 0, 4096);
	if (!p9_head_get(&r, &h))
		return 0;
	switch (h.type) {
	case P9_VERSION:
		size = h.size;
		memcpy(out, in, size);
		break;
	case P9_ATTACH:
		size = P9_HEAD_SIZE + 13;
		break;
	case P9_GETATTR:
		size = 160;
		break;
	default:
		size = P9_HEAD_SIZE + 4;
		h.type = P9_LERROR;
		out[P9_HEAD_SIZE] = EOPNOTSUPP;
		break;
	}
	p9_head_put(&w, &(struct p9_head){(uint32_t)size, (uint8_t)(h.type + 1), h.tag});
	return size;
}

/* Copies between bytes and the readable or writable descriptors. Return: how many bytes. */
static size_t copy_chain(const struct vu_desc *d, uint8_t *bytes, size_t size, bool writable)
{
	const struct vu_desc *table =
	    d - (d - (struct vu_desc *)(void *)host_of(b.addr.desc, true));
	const struct vu_desc *at = d;
	size_t done = 0;

	for (;;) {
		if (at->flags & VU_DESC_INDIRECT) {
			table = at = (struct vu_desc *)(void *)host_of(at->addr, false);
			continue;
		}
		if (!!(at->flags & VU_DESC_WRITE) == writable) {
			for (uint32_t i = 0; i < at->len && done < size; i++, done++) {
				uint8_t *byte = host_of(at->addr + i, false);

				if (writable)
					*byte = bytes[done];
				else
					bytes[done] = *byte;
			}
		}
		if (!(at->flags & VU_DESC_NEXT))
			return done;
		at = &table[at->next];
	}
}

static void serve(void)
{
	struct vu_desc *desc = (struct vu_desc *)(void *)host_of(b.addr.desc, true);
	struct vu_avail *avail = (struct vu_avail *)(void *)host_of(b.addr.avail, true);
	struct vu_used *used = (struct vu_used *)(void *)host_of(b.addr.used, true);
	uint16_t *avail_event = (uint16_t *)(void *)&used->ring[b.size];
	uint16_t old = b.used_idx;

	for (;;) {
		uint8_t in[65536] = {0}, out[4096];
		uint16_t head;
		size_t size;

		__atomic_store_n(avail_event, b.taken, __ATOMIC_SEQ_CST);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE) == b.taken)
			break;
		head = avail->ring[b.taken++ % b.size];
		(void)copy_chain(&desc[head], in, sizeof(in), false);
		size = answer(in, out);
		(void)copy_chain(&desc[head], out, size, true);
		used->ring[b.used_idx % b.size] = (struct vu_used_elem){head, (uint32_t)size};
		__atomic_store_n(&used->idx, ++b.used_idx, __ATOMIC_RELEASE);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (b.used_idx != old)
		(void)!write(b.call, &(uint64_t){1}, 8);
}

static void take_fd(int *to, struct fdbag *bag)
{
	fd_close(to);
	*to = fdbag_take(bag, 0);
}

static void run(const struct vu_head *h, uint64_t *m, struct fdbag *bag)
{
	struct vu_state s;
	size_t reply = 0;

	memcpy(&s, m, sizeof(s));
	switch (h->request) {
	case VU_GET_FEATURES:
		m[0] = FEATURES;
		reply = 8;
		break;
	case VU_SET_FEATURES:
		b.features = m[0];
		break;
	case VU_GET_PROTOCOL_FEATURES:
		m[0] = PROTOCOL;
		reply = 8;
		break;
	case VU_GET_QUEUE_NUM:
		m[0] = 1;
		reply = 8;
		break;
	case VU_GET_MAX_MEM_SLOTS:
		m[0] = 16;
		reply = 8;
		break;
	case VU_GET_CONFIG:
		memset((uint8_t *)m + VU_CONFIG_HEAD, 1, h->size - VU_CONFIG_HEAD);
		reply = h->size;
		break;
	case VU_SET_MEM_TABLE:
		map_clear();
		for (unsigned i = 0; i < s.index; i++) {
			struct vu_mem_entry e;

			memcpy(&e, &m[1 + 4 * i], sizeof(e));
			map_add(&e, fdbag_take(bag, i));
		}
		break;
	case VU_ADD_MEM_REG: {
		struct vu_mem_entry e;

		memcpy(&e, &m[1], sizeof(e));
		map_add(&e, fdbag_take(bag, 0));
		break;
	}
	case VU_REM_MEM_REG: {
		struct vu_mem_entry e;

		memcpy(&e, &m[1], sizeof(e));
		map_remove(&e);
		break;
	}
	case VU_SET_VRING_NUM:
		b.size = (uint16_t)s.value;
		break;
	case VU_SET_VRING_BASE:
		b.taken = b.used_idx = (uint16_t)s.value;
		break;
	case VU_SET_VRING_ADDR:
		memcpy(&b.addr, m, sizeof(b.addr));
		break;
	case VU_SET_VRING_KICK:
		take_fd(&b.kick, bag);
		break;
	case VU_SET_VRING_CALL:
		take_fd(&b.call, bag);
		break;
	case VU_SET_VRING_ERR:
		take_fd(&b.err, bag);
		break;
	case VU_SET_VRING_ENABLE:
		b.enabled = s.value;
		break;
	case VU_GET_VRING_BASE:
		((uint32_t *)m)[1] = b.taken;
		b.enabled = false;
		reply = 8;
		break;
	default:
		break;
	}
	if (reply == 0 && h->flags & VU_NEED_REPLY) {
		m[0] = 0;
		reply = 8;
	}
	if (reply) {
		struct {
			struct vu_head h;
			uint8_t payload[512];
		} out = {{h->request, VU_VERSION | VU_REPLY, (uint32_t)reply}, {0}};

		memcpy(out.payload, m, reply);
		(void)!usock_send(b.sock, &out, VU_HEAD_SIZE + reply, -1);
	}
}

static void *back_end(void *unused)
{
	struct fdbag bag = FDBAG_EMPTY;

	for (;;) {
		struct pollfd p[2] = {{.fd = b.sock, .events = POLLIN},
		                      {.fd = b.enabled ? b.kick : -1, .events = POLLIN}};
		uint64_t m[512] = {0};
		struct vu_head h;

		(void)poll(p, 2, -1);
		if (p[1].revents) {
			(void)vu_event_take(b.kick);
			serve();
		}
		if (!p[0].revents)
			continue;
		if (usock_recv(b.sock, &h, VU_HEAD_SIZE, &bag) != VU_HEAD_SIZE)
			break;
		if (h.size && recv(b.sock, m, h.size, MSG_WAITALL) != (ssize_t)h.size)
			break;
		run(&h, m, &bag);
		fdbag_close(&bag);
	}
	map_clear();
	fd_close(&b.kick);
	fd_close(&b.call);
	fd_close(&b.err);
	fd_close(&b.sock);
	return unused;
}

/* ---- the tests ---- */

static struct vu_front f;
static struct vu_ring ring;
static struct vu_p9 p;

static void start(void)
{
	int pair[2];

	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	b.sock = pair[1];
	b.kick = b.call = b.err = -1;
	cr_assert_eq(pthread_create(&b.thread, NULL, back_end, NULL), 0);
	vu_front_init(&f);
	vu_front_use(&f, pair[0]);
}

static void up(uint64_t without)
{
	vu_greet(&f, FEATURES & ~without, PROTOCOL);
	vu_memory(&f);
	vu_tell_memory(&f);
	vu_ring_init(&ring, &f, 0, 128);
	vu_ring_start(&ring);
	vu_p9_init(&p, &ring, 0);
}

static void end(void)
{
	if (p.slot)
		vu_p9_end(&p);
	if (ring.f)
		vu_ring_end(&ring);
	vu_front_end(&f);
	cr_assert_eq(pthread_join(b.thread, NULL), 0);
}

TestSuite(kit, .init = start, .fini = end, .timeout = 60);

Test(kit, a_session_in_every_shape)
{
	static const struct vu_shape shapes[] = {
	    {.way = VU_DIRECT},
	    {.way = VU_INDIRECT},
	    {.way = VU_FIRST_DIRECT, .out_first = 3},
	    {.way = VU_READ_DIRECT_ALL, .out_piece = 5},
	    {.way = VU_INDIRECT, .out_piece = 1, .in_room = 200, .in_piece = 1},
	    {.way = VU_DIRECT, .straddle_out = true},
	    {.way = VU_DIRECT, .straddle_in = true},
	    {.way = VU_INDIRECT, .empty_between = true, .out_piece = 4},
	};

	up(0);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		p.shape = shapes[i];
		p9_start(&p.c, 8192);
		cr_assert(p9_alive(&p.c));
		P9(&p.c, statfs, .fid = 0, .expect_err = EOPNOTSUPP);
	}
	cr_assert_eq(ring.free_count, 128);
}

Test(kit, without_event_idx_and_indirect)
{
	up(VU_F_EVENT_IDX | VU_F_INDIRECT_DESC);
	cr_assert_not(ring.event_idx);
	p9_start(&p.c, 8192);
	for (int i = 0; i < 1000; i++)
		cr_assert(p9_alive(&p.c));
}

Test(kit, indices_wrap)
{
	uint16_t tags[100];

	up(0);
	p.shape.way = VU_INDIRECT;
	(void)vu_ring_stop(&ring);
	vu_ring_set_base(&ring, 65500);
	vu_ring_start(&ring);
	p9_start(&p.c, 8192);
	for (int round = 0; round < 10; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
			tags[i] = P9_SEND(&p.c, GETATTR, getattr, .fid = 0);
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
			cr_assert_eq(p9_wait(&p.c, tags[i], P9_GETATTR, NULL), 0);
	}
	cr_assert_eq(p.flying, 0);
	cr_assert_eq(vu_ring_stop(&ring), ring.avail_idx);
}

Test(kit, every_front_end_starts_stops_and_starts)
{
	for (enum vu_order o = 0; o < VU_ORDERS; o++) {
		if (o) {
			end();
			start();
		}
		vu_orders_memory(o, &f);
		vu_orders_greet(o, &f, &ring);
		vu_p9_init(&p, &ring, 0);
		for (int i = 0; i < 3; i++) {
			vu_orders_start(o, &f, &ring);
			vu_p9_forget(&p);
			p9_start(&p.c, 8192);
			cr_assert(p9_alive(&p.c), "%s", vu_order_name(o));
			vu_orders_stop(o, &f, &ring);
		}
	}
}
