/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stop.c: rings stopped, reset, taken away and abandoned with requests in flight, split ones and packed ones. The device is
 * real; its helper is the make-believe one, which answers when the test says so.
 */
#include "tests/lib/vu_held.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define FLIGHT 128 /* requests: a whole ring of them */
#define HELD   64  /* so many of those are in the helper; the others wait for them */

static struct vu_rig rig;
static struct synth_helper helper;
static struct vu_ring *const ring = &rig.ring;
static struct vu_p9 *const p = &rig.p;
static struct p9_client *const c = &rig.p.c;

static void start(void)
{
	vu_held_start(&rig, &helper, 0);
}

static void start_packed(void)
{
	vu_held_start(&rig, &helper, VU_F_RING_PACKED);
}

static void end(void)
{
	vu_held_end(&rig, &helper);
}

TestSuite(stop, .init = start, .fini = end, .timeout = 120);
TestSuite(stop_packed, .init = start_packed, .fini = end, .timeout = 120);

static void hold(int type)
{
	synth_helper_hold(&helper, type);
}

/* A ring full of walks that are stuck in the helper. */
static void fly(void)
{
	hold(RPC_WALK);
	for (uint32_t i = 0; ring->free_count; i++)
		(void)P9_SEND(c, WALK, walk, .fid = 0, .newfid = 100 + i, .names = "d");
	cr_assert(synth_helper_wait_holding(&helper, HELD), "they are not in flight at once");
}

/* All guest memory that is used, as it is now. */
struct image {
	uint8_t *copy[3];
	uint64_t since;
};

static struct image take(void)
{
	struct image i = {.since = vu_now_ms()};

	for (unsigned k = 0; k < 3; k++)
		i.copy[k] = vu_memory_copy(&rig.f, k);
	(void)vu_event_take(ring->call);
	return i;
}

/* Lets all that is held go, waits, and compares. */
static void must_be_untouched(struct image *i, const char *after)
{
	hold(0);
	vu_sleep_ms(200);
	for (unsigned k = 0; k < 3; k++) {
		cr_assert(vu_memory_same(&rig.f, k, i->copy[k]),
		          "the device wrote to guest memory after %s", after);
		free(i->copy[k]);
	}
	cr_assert_eq(vu_event_take(ring->call), 0, "the device interrupted after %s", after);
}

static void new_ring(void)
{
	vu_ring_clear(ring);
	vu_p9_forget(p);
	c->msize = 0;
	vu_ring_start(ring);
	p9_start(c, 8192);
	cr_assert(p9_alive(c));
}

static void get_vring_base(void)
{
	struct image image;
	struct vu_used_elem e;
	uint64_t before;
	uint32_t base;

	fly();
	before = vu_now_ms();
	base = vu_ring_pause(ring);
	cr_assert_lt(vu_now_ms() - before, 5000, "stuck requests hold the front end");
	image = take();
	/* Not one is lost: what the device took has ended, and what has not it would take again. */
	cr_assert(vu_ring_all_ended(ring, base), "more was taken than has ended: %#x", base);
	while (vu_ring_used(ring, 0, &e))
		cr_assert_geq(e.len, P9_HEAD_SIZE, "nobody flushed what ended with nothing");
	must_be_untouched(&image, "GET_VRING_BASE");
	new_ring();
}

Test(stop, s3_nothing_is_written_after_get_vring_base_with_128_in_flight)
{
	get_vring_base();
}

Test(stop_packed, s3_nothing_is_written_after_get_vring_base_with_128_in_flight)
{
	get_vring_base();
}

static void reset_device(void)
{
	struct image image;

	fly();
	cr_assert_eq(vu_acked(&rig.f, VU_RESET_DEVICE, NULL, 0, -1), 0);
	image = take();
	must_be_untouched(&image, "RESET_DEVICE");
	new_ring();
	P9(c, getattr, .fid = 100, .expect_err = EBADF);
}

Test(stop, s3_nothing_is_written_after_reset_device_with_128_in_flight)
{
	reset_device();
}

Test(stop_packed, s3_nothing_is_written_after_reset_device_with_128_in_flight)
{
	reset_device();
}

static void enable_0(void)
{
	struct image image;

	/* User-Mode Linux stops so, and with a GET_FEATURES behind it. */
	fly();
	vu_tell_enable(ring, false);
	vu_barrier(&rig.f);
	image = take();
	must_be_untouched(&image, "ENABLE 0");
	new_ring();
}

Test(stop, s4_nothing_is_written_after_enable_0_with_128_in_flight)
{
	enable_0();
}

Test(stop_packed, s4_nothing_is_written_after_enable_0_with_128_in_flight)
{
	enable_0();
}

static void disconnect(void)
{
	struct vu_front other;
	struct image image;

	fly();
	fd_close(&rig.f.sock);
	/* The next front end is answered: the last one's requests are over. */
	vu_front_init(&other);
	vu_front_use(&other, vu_rig_connect(&rig));
	vu_barrier(&other);
	image = take();
	must_be_untouched(&image, "a disconnect");
	vu_front_end(&other);
	vu_rig_down(&rig);
	vu_rig_baseline(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert(p9_alive(c));
}

Test(stop, nothing_is_written_after_a_disconnect_with_128_in_flight)
{
	disconnect();
}

Test(stop_packed, nothing_is_written_after_a_disconnect_with_128_in_flight)
{
	disconnect();
}

static void memory_taken_away(void)
{
	uint8_t *copy;

	fly();
	rig.f.ack = true;
	vu_tell_removed(&rig.f, VU_FAR); /* where the buffers are; the rings are elsewhere */
	rig.f.ack = false;
	copy = vu_memory_copy(&rig.f, VU_FAR);
	hold(0);
	vu_sleep_ms(200);
	cr_assert(vu_memory_same(&rig.f, VU_FAR, copy),
	          "the device wrote to memory that it has no more");
	free(copy);
	cr_assert(vu_answers(&rig.f));
	vu_tell_added(&rig.f, VU_FAR);
	vu_rig_serves(&rig);
}

Test(stop, s4_nothing_is_written_to_memory_that_was_taken_away)
{
	memory_taken_away();
}

Test(stop_packed, s4_nothing_is_written_to_memory_that_was_taken_away)
{
	memory_taken_away();
}

static void sigterm(void)
{
	fly();
	cr_assert_eq(kill(rig.device, SIGTERM), 0);
	/* vu_rig_end() wants a good end of it; the connection ends first. */
	cr_assert(vu_closes(&rig.f));
	vu_rig_down(&rig);
	cr_assert_eq(rig_exit_status(rig.device), 0);
	rig.device = -1;
	hold(0);
}

Test(stop, sigterm_with_128_in_flight)
{
	sigterm();
}

Test(stop_packed, sigterm_with_128_in_flight)
{
	sigterm();
}

static void helper_dies(void)
{
	fly();
	(void)shutdown(helper.sock, SHUT_RDWR);
	for (int i = 0; i < FLIGHT; i++) {
		struct p9_head h;
		struct rd body;

		cr_assert(p9_recv(c, &h, &body));
		cr_assert_eq(h.type, P9_LERROR + 1);
		cr_assert_eq(rd_le32(&body), EIO);
	}
	cr_assert_eq(p->flying, 0);
	cr_assert_eq(p->zeros, 0);
	cr_assert(vu_answers(&rig.f));
}

Test(stop, a_helper_that_dies_ends_all_128_with_eio)
{
	helper_dies();
}

Test(stop_packed, a_helper_that_dies_ends_all_128_with_eio)
{
	helper_dies();
}

/* ---- a pause, and on with the same ring ---- */

static void pauses(void)
{
	unsigned answered = 0, sent = 0, pauses = 0, rounds = 0;

	while (sent < 6000 || p->flying) {
		bool pause = rounds++ % 3 == 0;
		struct vu_used_elem e;
		uint8_t reply[512];

		for (unsigned i = 0; i < 1 + rounds % 100 && sent < 6000 && ring->free_count; i++) {
			size_t size = p9_encode(c, (uint16_t)sent, P9_GETATTR,
			                        &(struct p9_getattr_req){.fid = 0});

			(void)vu_p9_offer(p, c->out, size, (uint16_t)sent++);
		}
		if (pause) {
			uint32_t base = vu_ring_pause(ring);

			cr_assert(vu_ring_all_ended(ring, base),
			          "more was taken than has ended: %#x", base);
			vu_ring_go_on(ring, base);
			pauses++;
		}
		while (vu_ring_used(ring, sent < 6000 ? 0 : VU_PATIENCE_MS, &e)) {
			cr_assert_eq(vu_p9_take(p, &e, reply, sizeof(reply)), 160);
			answered++;
			if (p->flying == 0)
				break;
		}
	}
	cr_assert_eq(answered, sent);
	cr_assert_gt(pauses, 20);
}

Test(stop, s4_a_pause_loses_no_request)
{
	pauses();
}

Test(stop_packed, s4_a_pause_loses_no_request)
{
	pauses();
}

Test(stop, s4_a_pause_puts_waiting_locks_off)
{
	struct p9_lock_rep a;
	uint64_t before;
	uint16_t tag;

	for (uint32_t fid = 1; fid < 3; fid++) {
		p9_to(c, 0, fid, "f");
		P9(c, lopen, .fid = fid, .flags = 2);
	}
	a = P9(c, lock, .fid = 1, .type = P9_LOCK_TYPE_WRLCK, .proc_id = 1, .client_id = "guest");
	cr_assert_eq(a.status, P9_LOCK_SUCCESS);
	tag = P9_SEND(c, LOCK, lock, .fid = 2, .type = P9_LOCK_TYPE_WRLCK,
	              .flags = P9_LOCK_FLAGS_BLOCK, .proc_id = 2, .client_id = "guest");
	vu_sleep_ms(20);
	cr_assert_eq(ring->used->idx, ring->used_idx, "the lock does not wait");
	before = vu_now_ms();
	vu_ring_go_on(ring, vu_ring_pause(ring));
	cr_assert_lt(vu_now_ms() - before, 10000);
	/* The guest asks again after a while. */
	cr_assert_eq(p9_wait(c, tag, P9_LOCK, &a), 0);
	cr_assert_eq(a.status, P9_LOCK_BLOCKED);
}

static void disabled_and_enabled(void)
{
	for (int round = 0; round < 200; round++) {
		uint16_t tags[40];

		for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
			tags[i] = P9_SEND(c, GETATTR, getattr, .fid = 0);
			if (i % 13 == 5)
				vu_tell_enable(ring, i % 2);
		}
		vu_tell_enable(ring, true);
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
			cr_assert_eq(p9_wait(c, tags[i], P9_GETATTR, NULL), 0);
	}
}

Test(stop, s4_disabled_and_enabled_under_load)
{
	disabled_and_enabled();
}

Test(stop_packed, s4_disabled_and_enabled_under_load)
{
	disabled_and_enabled();
}

Test(stop, ring_addresses_again_on_a_live_ring)
{
	/* QEMU does so when it begins and ends to log. */
	for (int i = 0; i < 200; i++) {
		uint16_t tag = P9_SEND(c, GETATTR, getattr, .fid = 0);

		vu_tell_addr(ring);
		cr_assert_eq(p9_wait(c, tag, P9_GETATTR, NULL), 0);
	}
}

Test(stop, s4_the_used_index_is_read_from_memory_at_a_start)
{
	/* Another back end served this ring before: its indices are somewhere. */
	(void)vu_ring_stop(ring);
	vu_ring_set_base(ring, 40000);
	vu_p9_forget(p);
	vu_ring_start(ring);
	cr_assert(p9_alive(c));
	cr_assert_eq(ring->used->idx, 40001);
	cr_assert_eq(vu_ring_stop(ring), 40001);
	new_ring();
}

/* ---- sessions ---- */

Test(stop, s21_tversion_again_on_the_same_queue_resets_the_session)
{
	for (int i = 0; i < 20; i++) {
		p9_to(c, 0, 5, "d");
		p9_start(c, 8192);
		P9(c, getattr, .fid = 5, .expect_err = EBADF);
	}
}

static void tversion(void)
{
	uint16_t tag;

	hold(RPC_WALK);
	for (uint32_t i = 0; i < FLIGHT - 1; i++)
		(void)P9_SEND(c, WALK, walk, .fid = 0, .newfid = 100 + i, .names = "d");
	cr_assert(synth_helper_wait_holding(&helper, HELD));
	tag = P9_SEND(c, VERSION, version, .msize = 8192, .version = "9P2000.L");
	cr_assert_eq(p9_wait(c, tag, P9_VERSION, NULL), 0);
	hold(0);
	/* The requests of before have all given their descriptors back. */
	for (int i = 0; i < 200 && p->flying; i++) {
		struct vu_used_elem e;
		uint8_t reply[512];

		if (vu_ring_used(ring, 50, &e))
			(void)vu_p9_take(p, &e, reply, sizeof(reply));
	}
	cr_assert_eq(p->flying, 0, "%u descriptors never come back", p->flying);
	P9(c, attach, .fid = 0, .afid = P9_NOFID);
	P9(c, getattr, .fid = 100, .expect_err = EBADF);
}

Test(stop, s21_tversion_with_127_in_flight)
{
	tversion();
}

Test(stop_packed, s21_tversion_with_127_in_flight)
{
	tversion();
}

Test(stop, a_new_connection_knows_no_fid_of_the_last)
{
	p9_to(c, 0, 5, "d");
	vu_rig_down(&rig);
	vu_rig_up(&rig, VU_RIG_RING);
	P9(c, version, .msize = 8192, .version = "9P2000.L");
	P9(c, getattr, .fid = 0, .expect_err = EBADF);
	P9(c, getattr, .fid = 5, .expect_err = EBADF);
}

/* ---- going away ---- */

Test(stop, a_disconnect_at_each_moment)
{
	for (int moment = 0; moment < 25; moment++) {
		int step = 0;

		vu_rig_down(&rig);
		vu_front_init(&rig.f);
		vu_front_use(&rig.f, vu_rig_connect(&rig));
#define MOMENT(what)                  \
	do {                          \
		if (step++ == moment) \
			goto next;    \
		what;                 \
	} while (0)
		MOMENT((void)vu_send(&rig.f, VU_GET_FEATURES, 0, NULL, 0, -1));
		MOMENT({
			uint64_t answer[512];

			(void)vu_reply(&rig.f, VU_GET_FEATURES, answer);
		});
		MOMENT(vu_greet(&rig.f, VU_ALL_FEATURES, VU_ALL_PROTOCOL));
		MOMENT(vu_memory(&rig.f));
		MOMENT(vu_tell_added(&rig.f, 0));
		MOMENT(vu_tell_added(&rig.f, 1));
		MOMENT(vu_tell_added(&rig.f, 2));
		MOMENT({
			vu_ring_init(ring, &rig.f, 0, 128);
			vu_p9_init(p, ring, 0);
			p->shape.way = VU_INDIRECT;
		});
		MOMENT(vu_tell_num(ring));
		MOMENT(vu_tell_base(ring));
		MOMENT(vu_tell_addr(ring));
		MOMENT(vu_tell_kick(ring));
		MOMENT(vu_tell_call(ring));
		MOMENT(vu_tell_err(ring));
		MOMENT(vu_tell_enable(ring, true));
		MOMENT((void)P9_SEND(c, VERSION, version, .msize = 8192, .version = "9P2000.L"));
		MOMENT(p9_start(c, 8192));
		MOMENT((void)P9_SEND(c, WALK, walk, .fid = 0, .newfid = 2, .names = "f"));
		MOMENT(p9_to(c, 0, 1, "f"));
		MOMENT(P9(c, lopen, .fid = 1));
		MOMENT((void)P9_SEND(c, READ, read, .fid = 1, .count = 4000));
		MOMENT(fly());
		MOMENT(
		    (void)vu_send(&rig.f, VU_GET_VRING_BASE, 0, &(struct vu_state){0, 0}, 8, -1));
		MOMENT(hold(0));
#undef MOMENT
	next:
		vu_rig_down(&rig);
		hold(0);
		vu_rig_baseline(&rig);
		vu_rig_up(&rig, VU_RIG_SESSION);
		cr_assert(p9_alive(c), "after moment %d", moment);
	}
}

Test(stop, a_disconnect_within_a_message)
{
	struct {
		struct vu_head head;
		uint32_t state[2];
	} m = {{VU_SET_VRING_NUM, VU_VERSION, 8}, {0, 128}};

	for (size_t size = 0; size <= sizeof(m); size++) {
		vu_rig_down(&rig);
		vu_rig_up(&rig, VU_RIG_CONNECTED);
		if (size)
			(void)vu_send_raw(&rig.f, &m, size, &helper.sock, 1);
	}
	vu_rig_down(&rig);
	vu_rig_baseline(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert(p9_alive(c));
}

Test(stop, hundreds_of_connections)
{
	/* KiB. A leak grows in both halves, the heap by a busy moment in one. */
	long first = 0, second = 0, last;

	for (int i = 0; i < 400; i++) {
		enum vu_rig_until how[] = {VU_RIG_CONNECTED, VU_RIG_MEMORY, VU_RIG_RING,
		                           VU_RIG_SESSION};

		vu_rig_down(&rig);
		vu_rig_up(&rig, how[i % 4]);
		if (i % 4 == 3 && i % 16 == 3)
			for (uint32_t k = 0; k < 100; k++)
				(void)P9_SEND(c, WALK, walk, .fid = 0, .newfid = 1 + k,
				              .names = "f");
		if (i == 99)
			first = vu_rig_device_proc(&rig, "RssAnon");
		if (i == 249)
			second = vu_rig_device_proc(&rig, "RssAnon");
	}
	vu_rig_down(&rig);
	vu_rig_baseline(&rig);
	WAIT_WHILE(atomic_load(&helper.synth.held) > 1);
	cr_assert_leq(atomic_load(&helper.synth.held), 1, "the helper is left with nodes");
	last = vu_rig_device_proc(&rig, "RssAnon");
	cr_assert_lt(second - first < last - second ? second - first : last - second,
	             is_sanitized() ? 8192 : 256,
	             "memory grows with connections: %ld KiB, %ld, %ld", first, second, last);
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert(p9_alive(c));
}

Test(stop, hundreds_of_connections_in_a_row)
{
	int socks[200];

	vu_rig_down(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(socks); i++) {
		/* The next is there before this one has gone. */
		socks[i] = vu_rig_connect(&rig);
		if (i >= 1)
			fd_close(&socks[i - 1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(socks); i++)
		fd_close(&socks[i]);
	vu_rig_baseline(&rig);
	vu_rig_up(&rig, VU_RIG_SESSION);
	cr_assert(p9_alive(c));
}
