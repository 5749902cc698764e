/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * race.c: guest memory that changes while the device reads it. A second thread of the test flips fields without a pause;
 * the first goes on offering requests. What the device checked must be what it uses: it may answer, refuse, or give the
 * ring up, and nothing else. (A sanitizer's build of the device says more here than its being alive.)
 */
#include "tests/lib/vu_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

static struct vu_rig rig;
static struct vu_ring *const ring = &rig.ring;
static struct p9_client *const c = &rig.p.c;

#define ROUND_MS 700

static void start(void)
{
	vu_rig_start(&rig, NULL);
	rig_write(&rig.rig, "f", "some text");
}

static void end(void)
{
	vu_rig_serves(&rig);
	cr_assert_lt(vu_rig_device_proc(&rig, "RssAnon"), is_sanitized() ? 400000 : 16384);
	vu_rig_end(&rig);
}

TestSuite(race, .init = start, .fini = end, .timeout = 120);

/* ---- the second thread ---- */

static struct {
	pthread_t thread;
	atomic_bool stop;
	void *at[4];
	size_t size[4];
	unsigned count;
	uint64_t values[4][4]; /* each place takes its four in turn */
} flipper;

static void flip_once(unsigned i)
{
	for (unsigned k = 0; k < flipper.count; k++)
		memcpy(flipper.at[k], &flipper.values[k][(i >> k) % 4], flipper.size[k]);
	atomic_signal_fence(memory_order_seq_cst);
}

static void *flip(void *unused)
{
	for (unsigned i = 0; !atomic_load_explicit(&flipper.stop, memory_order_relaxed); i++)
		flip_once(i);
	return unused;
}

static void place(void *at, size_t size, uint64_t a, uint64_t b, uint64_t second_b, uint64_t d)
{
	unsigned k = flipper.count++;

	flipper.at[k] = at;
	flipper.size[k] = size;
	flipper.values[k][0] = a;
	flipper.values[k][1] = b;
	flipper.values[k][2] = second_b;
	flipper.values[k][3] = d;
}

static void flip_start(void)
{
	atomic_store(&flipper.stop, false);
	cr_assert_eq(pthread_create(&flipper.thread, NULL, flip, NULL), 0);
}

static void flip_end(void)
{
	atomic_store(&flipper.stop, true);
	(void)pthread_join(flipper.thread, NULL);
	flipper.count = 0;
}

/* ---- the first ---- */

static uint64_t out, in;
static uint32_t size;
static uint16_t head;

static void lay_out(bool table)
{
	struct vu_sg sg[2];

	out = vu_alloc(&rig.f, VU_FAR, 8192, 8);
	in = vu_alloc(&rig.f, VU_FAR, 8192, 8);
	memcpy(vu_at(&rig.f, out, size), c->out, size);
	sg[0] = (struct vu_sg){out, size, 0};
	sg[1] = (struct vu_sg){in, 4096, VU_DESC_WRITE};
	head = table ? vu_ring_add_indirect(ring, sg, 2, 0) : vu_ring_add(ring, sg, 2);
}

static void getattr(bool table)
{
	size = (uint32_t)p9_encode(c, 3, P9_GETATTR, &(struct p9_getattr_req){.fid = 0});
	lay_out(table);
}

static bool reply_lies;    /* told by told(): the second thread must end first */
static uint32_t *count_up; /* a field of the request that is another number each time, or NULL */
static unsigned breaks;

/* Waits for the end of the request that made used what it was. Return: whether it ended; else the ring is given up. */
static bool ends(uint16_t used, unsigned patience_ms)
{
	uint64_t until = vu_now_ms() + patience_ms;
	static unsigned flips;
	bool late;

	/* On a busy machine one look may be all there is time for: the last is after the patience. */
	for (;;) {
		late = vu_now_ms() >= until;
		if (__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) != used)
			return true;
		if (vu_ring_broken(ring, 0)) {
			breaks++;
			(void)vu_ring_stop(ring);
			ring->avail->idx = ring->used->idx = 0;
			ring->avail_idx = 0;
			vu_ring_start(ring);
			return false;
		}
		if (late)
			return false;
		/* Where the second thread has no processor of its own it hardly runs while the device does. */
		flip_once(flips++);
		(void)sched_yield();
	}
}

/*
 * Offers the head again and again, and looks at each reply. Without look() the ring itself may be anywhere, and a request
 * may be lost in it; else each must end, or break the ring.
 */
static void drive(void (*look)(const uint8_t *reply, uint32_t length))
{
	uint64_t until = vu_now_ms() + ROUND_MS;
	uint16_t first = ring->used->idx;
	unsigned ended = 0;

	breaks = 0;
	while (vu_now_ms() < until) {
		uint16_t used = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
		unsigned before = breaks;

		if (count_up)
			++*count_up;
		ring->avail->ring[ring->avail_idx % ring->size] = head;
		ring->avail_idx++;
		vu_ring_publish(ring);
		vu_ring_kick_anyway(ring);
		if (ends(used, look ? VU_PATIENCE_MS : 50)) {
			ended++;
			if (look)
				look(vu_at(&rig.f, in, 4096),
				     ring->used->ring[used % ring->size].len);
		} else if (look && breaks == before) {
			reply_lies = true;
			break;
		}
	}
	cr_log_info("%u ended, %u breaks", ended, breaks);
	cr_assert(ended + breaks > 0 || ring->used->idx != first, "nothing happened at all");
}

/* As the ring may be anywhere after that: start anew. */
static void settle(void)
{
	flip_end();
	cr_assert(vu_answers(&rig.f));
	vu_rig_renew(&rig);
}

Test(race, lengths_of_descriptors)
{
	getattr(false);
	place(&ring->desc[head].len, 4, size, size - 1, 0, UINT32_MAX);
	place(&ring->desc[ring->desc[head].next].len, 4, 4096, 11, 0, UINT32_MAX);
	flip_start();
	drive(NULL);
	settle();
}

Test(race, addresses_of_descriptors)
{
	getattr(false);
	place(&ring->desc[head].addr, 8, out, out + 1, VU_GAP_GPA, UINT64_MAX);
	place(&ring->desc[ring->desc[head].next].addr, 8, in, VU_HIGH_GPA - 7, 0, out);
	flip_start();
	drive(NULL);
	settle();
}

Test(race, flags_and_links_of_descriptors)
{
	uint16_t next;

	getattr(false);
	next = ring->desc[head].next;
	place(&ring->desc[head].next, 2, next, head, 0xffff, 77);
	place(&ring->desc[head].flags, 2, VU_DESC_NEXT, 0, VU_DESC_NEXT | VU_DESC_WRITE,
	      VU_DESC_INDIRECT);
	place(&ring->desc[next].flags, 2, VU_DESC_WRITE, VU_DESC_WRITE | VU_DESC_NEXT, 0,
	      VU_DESC_INDIRECT | VU_DESC_WRITE);
	flip_start();
	drive(NULL);
	settle();
}

Test(race, entries_of_a_table)
{
	struct vu_desc *t;

	getattr(true);
	t = vu_at(&rig.f, vu_ring_table(ring, head, 2), 32);
	place(&t[0].next, 2, 1, 0, 2, 0xffff);
	place(&t[0].flags, 2, VU_DESC_NEXT, VU_DESC_NEXT | VU_DESC_WRITE, VU_DESC_INDIRECT, 0);
	place(&t[1].addr, 8, in, VU_GAP_GPA, out, UINT64_MAX);
	place(&t[1].len, 4, 4096, 0, UINT32_MAX, 11);
	flip_start();
	drive(NULL);
	settle();
}

Test(race, the_table_itself)
{
	uint64_t table;

	getattr(true);
	table = vu_ring_table(ring, head, 2);
	place(&ring->desc[head].len, 4, 32, 16, 48, UINT32_MAX - 15);
	place(&ring->desc[head].addr, 8, table, table + 16, VU_GAP_GPA - 16, 0);
	place(&ring->desc[head].flags, 2, VU_DESC_INDIRECT, VU_DESC_INDIRECT, 0,
	      VU_DESC_INDIRECT | VU_DESC_NEXT);
	flip_start();
	drive(NULL);
	settle();
}

/* A reply, if any, is one message whose size is the used length. */
static void look_whole(const uint8_t *reply, uint32_t length)
{
	struct rd r = rd_over(reply, length);
	struct p9_head h;

	if (length > 4096 || !p9_head_get(&r, &h) || h.size != length)
		reply_lies = true;
}

/* And it is what its type says: the type that is answered is the one that was carried out. */
static void look_typed(const uint8_t *reply, uint32_t length)
{
	static uint64_t any[1024];
	struct rd r = rd_over(reply, length);
	const struct wt_msg *msg;
	struct p9_head h;

	look_whole(reply, length);
	if (!p9_head_get(&r, &h) || h.type == P9_LERROR + 1)
		return;
	msg = p9_find((uint8_t)(h.type - 1));
	if (!msg || !msg->rep.get(&r, any))
		reply_lies = true;
}

static void told(const char *what)
{
	flip_end();
	cr_assert_not(reply_lies, "%s, or a request does not end", what);
	count_up = NULL;
	cr_assert(vu_answers(&rig.f));
	vu_rig_renew(&rig);
}

Test(race, s3_size_and_type_and_tag_of_a_request)
{
	uint8_t *t;

	getattr(false);
	t = vu_at(&rig.f, out, 64);
	place(t, 4, size, 7, 0, UINT32_MAX);
	place(t + 4, 1, P9_GETATTR, P9_STATFS, P9_CLUNK, P9_FLUSH);
	place(t + 5, 2, 3, 4, 5, P9_NOTAG);
	flip_start();
	drive(look_typed);
	told("a reply whose size is not the used length, or whose type is another's");
}

Test(race, s3_a_version_that_changes)
{
	uint8_t *t;

	size = (uint32_t)p9_encode(
	    c, P9_NOTAG, P9_VERSION,
	    &(struct p9_version_req){.msize = 8192, .version = wt_str_of("9P2000.L")});
	lay_out(false);
	t = vu_at(&rig.f, out, 64);
	place(t + 7, 4, 8192, 0, UINT32_MAX, 4096);
	place(t + 11, 2, 8, 0xffff, 0, 9);
	flip_start();
	drive(look_whole);
	told("a reply whose size is not the used length");
}

Test(race, s3_the_count_of_a_write)
{
	uint8_t data[600];
	uint8_t *t;

	memset(data, 'x', sizeof(data));
	p9_make(c, 1, "new", 0644);
	size = (uint32_t)p9_encode(c, 3, P9_WRITE,
	                           &(struct p9_write_req){.fid = 1, .data = {data, sizeof(data)}});
	lay_out(false);
	t = vu_at(&rig.f, out, 1024);
	place(t + 19, 4, sizeof(data), 0, UINT32_MAX, 1 << 20);
	place(t, 4, size, 23, UINT32_MAX, 1 << 20);
	place(t + 11, 8, 0, 0, 0, 100); /* the offset */
	flip_start();
	drive(look_whole);
	told("a reply whose size is not the used length");
	/* Nothing but x was written, and not beyond what was sent. */
	{
		const char *text = rig_read(&rig.rig, "new");

		cr_assert_leq(strlen(text), sizeof(data) + 100);
		cr_assert_eq(strspn(text, "x"), strlen(text),
		             "bytes that were never sent are in the file");
	}
}

static uint64_t inside; /* the qid's path of the one file there is */

static void look_walk(const uint8_t *reply, uint32_t length)
{
	struct rd r = rd_over(reply, length);
	struct p9_walk_rep a;
	struct p9_head h;

	look_whole(reply, length);
	if (!p9_head_get(&r, &h) || h.type != P9_WALK + 1)
		return;
	if (!p9_find(P9_WALK)->rep.get(&r, &a))
		reply_lies = true;
	else if (a.qids.count > 1 || (a.qids.count == 1 && a.qids.qid[0].path != inside))
		reply_lies = true;
}

Test(race, s3_the_name_of_a_walk)
{
	uint64_t good, up, slash, nul;
	struct p9_walk_rep a;
	uint8_t *t;

	rig_write(&rig.rig, "aaaaaaa", "inside");
	a = P9(c, walk, .fid = 0, .newfid = 1, .names = "aaaaaaa");
	cr_assert_eq(a.qids.count, 1);
	inside = a.qids.qid[0].path;
	size = (uint32_t)p9_encode(
	    c, 3, P9_WALK,
	    &(struct p9_walk_req){.fid = 0, .newfid = 1, .names = {1, {wt_str_of("aaaaaaa")}}});
	lay_out(false);
	t = vu_at(&rig.f, out, 64);
	count_up = (uint32_t *)(void *)(t + 11); /* newfid */
	memcpy(&good, "aaaaaaa", 8);
	memcpy(&up, "../outs", 8);
	memcpy(&slash, "a/../..", 8);
	memcpy(&nul, "aaa\0aaa", 8);
	place(t + 19, 7, good, up, slash, nul);
	place(t + 17, 2, 7, 7, 7, 0xffff); /* its length */
	place(t + 15, 2, 1, 1, 1, 17);     /* how many names */
	flip_start();
	drive(look_walk);
	told("a walk went elsewhere, or a reply's size is not the used length");
}

Test(race, the_available_ring)
{
	getattr(false);
	place(&ring->avail->ring[0], 2, head, 0xffff, ring->size, head);
	place(&ring->avail->ring[1], 2, head, 0xffff, ring->size, head);
	place(&ring->avail->flags, 2, 0, 0xffff, VU_NO_INTERRUPT, 0);
	place(ring->used_event, 2, 0, 0xffff, 1, 2);
	flip_start();
	drive(NULL);
	settle();
}

Test(race, the_available_index)
{
	getattr(false);
	place(&ring->avail->idx, 2, 0, 1, 2, 128);
	flip_start();
	drive(NULL);
	settle();
}

Test(race, the_used_ring)
{
	getattr(false);
	place(&ring->used->ring[0], 8, 0, UINT64_MAX, 1, 2);
	place(&ring->used->flags, 2, 0, 0xffff, 1, 2);
	place(ring->avail_event, 2, 0, 0xffff, 1, 2);
	flip_start();
	drive(NULL);
	settle();
}

Test(race, data_that_is_read_into_and_written_from)
{
	static uint8_t data[4000];
	uint8_t *room;

	/* Contents race, which is the guest's affair; the count must not. */
	p9_make(c, 1, "new", 0644);
	cr_assert_eq(P9(c, write, .fid = 1, .data = {data, sizeof(data)}).count, sizeof(data));
	size = (uint32_t)p9_encode(c, 3, P9_READ,
	                           &(struct p9_read_req){.fid = 1, .count = sizeof(data)});
	lay_out(false);
	room = vu_at(&rig.f, in, 4096);
	place(room + 100, 8, 1, 2, 3, 4);
	place(room + 3000, 8, 1, 2, 3, 4);
	flip_start();
	drive(look_whole);
	told("a reply whose size is not the used length");
}
