/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify.c: who wakes whom. A wake-up that is lost hangs a guest; one too many costs it time.
 */
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

static struct vu_rig rig;
static struct vu_ring *const ring = &rig.ring;
static struct vu_p9 *const p = &rig.p;
static struct p9_client *const c = &rig.p.c;

static void start(void)
{
	vu_rig_start(&rig, NULL);
}

static void end(void)
{
	vu_rig_end(&rig);
}

TestSuite(notify, .init = start, .fini = end, .timeout = 300);

static void without(uint64_t features)
{
	vu_rig_down(&rig);
	rig.o.without = features;
	vu_rig_up(&rig, VU_RIG_SESSION);
}

/* Waits for used elements without wanting an interrupt. */
static void poll_used(unsigned count)
{
	uint64_t until = vu_now_ms() + VU_PATIENCE_MS;

	while (count) {
		struct vu_used_elem e;
		uint8_t reply[256];

		if (!vu_ring_used(ring, 0, &e)) {
			cr_assert_lt(vu_now_ms(), until, "%u requests do not end", count);
			(void)sched_yield();
			continue;
		}
		(void)vu_p9_take(p, &e, reply, sizeof(reply));
		count--;
	}
}

/*
 * The race of a lost wake-up: the device goes to sleep just as a request is offered. The driver kicks only where the rules
 * say so, and waits for interrupts alone; how long it dawdles sweeps over the moment at which the device stops looking.
 */
static void hammer(unsigned rounds)
{
	uint64_t kicks = ring->kicks;

	for (unsigned i = 0; i < rounds; i++) {
		unsigned burst = 1 + i % 3;
		uint16_t tags[3];

		for (unsigned k = 0; k < burst; k++)
			tags[k] = P9_SEND(c, CLUNK, clunk, .fid = 50);
		for (unsigned k = 0; k < burst; k++)
			cr_assert_eq(p9_wait(c, tags[k], P9_CLUNK, NULL), EBADF);
		for (unsigned spin = 0; spin < i % 997 * 8; spin++)
			atomic_signal_fence(memory_order_seq_cst); /* that it is not left out */
		if (i % 512 == 0)
			vu_sleep_ms(2);
	}
	cr_log_info("%u rounds, %lu kicks", rounds, (unsigned long)(ring->kicks - kicks));
}

Test(notify, s3_publishing_avail_event_reads_the_index_again)
{
	hammer(40000);
}

Test(notify, s3_clearing_no_notify_reads_the_index_again)
{
	without(VU_F_EVENT_IDX);
	hammer(40000);
}

/* The same of packed rings: a position, or flags alone. */
static void packed_without(uint64_t features)
{
	rig.o.more_features = VU_F_RING_PACKED;
	without(features);
	cr_assert_not_null(ring->packed);
}

Test(notify, s3_publishing_a_packed_ring_s_position_reads_the_ring_again)
{
	packed_without(0);
	hammer(20000);
}

Test(notify, s3_enabling_a_packed_ring_s_events_reads_the_ring_again)
{
	packed_without(VU_F_EVENT_IDX);
	hammer(20000);
}

/* Two threads that share nothing but time keep the machine's cores busy, so that the device is put aside anywhere. */
static void *spin(void *arg)
{
	bool *stop = arg;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED))
		;
	return NULL;
}

Test(notify, no_wake_up_is_lost_while_other_work_wants_the_cpu)
{
	pthread_t threads[2];
	bool stop = false;

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, spin, &stop), 0);
	hammer(1500);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		(void)pthread_join(threads[i], NULL);
}

Test(notify, s3_no_interrupt_is_sent_where_none_is_wanted)
{
	without(VU_F_EVENT_IDX);
	poll_used(0);
	(void)vu_event_take(ring->call);
	ring->avail->flags = VU_NO_INTERRUPT;
	for (int i = 0; i < 100; i++) {
		(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
		poll_used(1);
	}
	vu_barrier(&rig.f);
	cr_assert_eq(vu_event_take(ring->call), 0, "interrupts come though NO_INTERRUPT is set");
	ring->avail->flags = 0;
	(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
	poll_used(1);
	cr_assert(vu_readable(ring->call, VU_PATIENCE_MS), "no interrupt comes any more");
}

Test(notify, s3_used_event_says_at_which_one)
{
	/* (u16)(new - event - 1) < (u16)(new - old): only when the tenth from now has ended. */
	(void)vu_event_take(ring->call);
	*ring->used_event = (uint16_t)(ring->used_idx + 9);
	for (int i = 0; i < 9; i++) {
		(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
		poll_used(1);
	}
	vu_barrier(&rig.f);
	cr_assert_eq(vu_event_take(ring->call), 0, "an interrupt comes before the one asked for");
	(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
	poll_used(1);
	cr_assert(vu_readable(ring->call, VU_PATIENCE_MS), "the one asked for does not come");
	(void)vu_event_take(ring->call);
	/* It was for that one alone. */
	for (int i = 0; i < 20; i++) {
		(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
		poll_used(1);
	}
	vu_barrier(&rig.f);
	cr_assert_eq(vu_event_take(ring->call), 0, "interrupts come that nobody asked for");
}

Test(notify, s3_used_event_across_65535)
{
	(void)vu_ring_stop(ring);
	vu_ring_set_base(ring, 65530);
	vu_p9_forget(p);
	vu_ring_start(ring);
	p9_start(c, 8192);
	for (int i = 0; i < 40; i++)
		P9(c, clunk, .fid = 50, .expect_err = EBADF);
}

Test(notify, s3_kicks_without_a_request_are_legal)
{
	for (int i = 0; i < 1000; i++)
		vu_ring_kick_anyway(ring);
	cr_assert(p9_alive(c));
	for (int i = 0; i < 100; i++) {
		vu_ring_kick_anyway(ring);
		cr_assert(p9_alive(c));
	}
}

Test(notify, a_batch_needs_few_interrupts)
{
	uint64_t interrupts;

	*ring->used_event = ring->used_idx;
	(void)vu_event_take(ring->call);
	p->hold_kick = true;
	for (int i = 0; i < 100; i++)
		(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
	p->hold_kick = false;
	vu_ring_kick_anyway(ring);
	poll_used(100);
	cr_assert(vu_readable(ring->call, VU_PATIENCE_MS));
	vu_barrier(&rig.f);
	interrupts = vu_event_take(ring->call);
	cr_assert_eq(interrupts, 1, "%lu interrupts for one that was asked for",
	             (unsigned long)interrupts);
}

/* ---- the descriptors ---- */

Test(notify, call_may_be_a_socket)
{
	vu_ring_use_sockets(ring);
	vu_tell_call(ring);
	vu_barrier(&rig.f);
	hammer(500);
}

Test(notify, call_may_be_a_socket_that_nobody_reads)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	vu_set(&rig.f, VU_SET_VRING_CALL, &(uint64_t){0}, 8, pair[1]);
	vu_barrier(&rig.f);
	/* Neither a full socket nor a dead one may hold or end the device. */
	for (int i = 0; i < 3000; i++) {
		*ring->used_event = ring->used_idx;
		(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
		poll_used(1);
	}
	cr_assert(vu_readable(pair[0], 0));
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	for (int i = 0; i < 10; i++) {
		*ring->used_event = ring->used_idx;
		(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
		poll_used(1);
	}
	vu_tell_call(ring);
	hammer(100);
}

Test(notify, call_may_be_a_pipe_that_is_full_and_blocks)
{
	int ends[2];

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	vu_set(&rig.f, VU_SET_VRING_CALL, &(uint64_t){0}, 8, ends[1]);
	vu_barrier(&rig.f);
	for (int i = 0; i < 20000; i++) {
		*ring->used_event = ring->used_idx;
		(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
		poll_used(1);
	}
	cr_assert(vu_readable(ends[0], 0));
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
	poll_used(1);
	cr_assert(vu_answers(&rig.f));
}

Test(notify, call_may_change_at_any_time)
{
	for (int i = 0; i < 200; i++) {
		uint16_t tag = P9_SEND(c, STATFS, statfs, .fid = 0);
		int old = ring->call;

		ring->call = ring->call_sent = vu_eventfd();
		vu_tell_call(ring);
		vu_barrier(&rig.f);
		/* The interrupt may have gone to either. */
		if (vu_event_take(old))
			(void)vu_event_take(ring->call);
		fd_close(&old);
		poll_used(1);
		(void)tag;
		P9(c, clunk, .fid = 50, .expect_err = EBADF);
	}
}

Test(notify, without_a_call_descriptor_it_works_by_looking)
{
	vu_set(&rig.f, VU_SET_VRING_CALL, &(uint64_t){VU_NO_FD}, 8, -1);
	for (int i = 0; i < 100; i++) {
		(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
		poll_used(1);
	}
}

Test(notify, kick_may_change_while_the_ring_runs)
{
	for (int i = 0; i < 100; i++) {
		int old = ring->kick;

		ring->kick = vu_eventfd();
		vu_tell_kick(ring);
		vu_barrier(&rig.f);
		fd_close(&old);
		P9(c, clunk, .fid = 50, .expect_err = EBADF);
	}
}

Test(notify, call_and_kick_that_are_closed_here_do_no_harm)
{
	fd_close(&ring->kick);
	fd_close(&ring->call);
	ring->kick = vu_eventfd();
	ring->call = ring->call_sent = vu_eventfd();
	cr_assert(vu_answers(&rig.f));
	vu_tell_kick(ring);
	vu_tell_call(ring);
	vu_barrier(&rig.f);
	P9(c, clunk, .fid = 50, .expect_err = EBADF);
}

/* Descriptors that are no event descriptors at all. */
static void strange(uint32_t request, int fd)
{
	(void)vu_send(&rig.f, request, 0, &(uint64_t){0}, 8, fd);
	fd_close(&fd);
}

Test(notify, strange_descriptors_do_no_harm)
{
	static const uint32_t requests[] = {VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		for (int kind = 0; kind < 5; kind++) {
			int pair[2];

			switch (kind) {
			case 0:
				strange(requests[i], open("/dev/null", O_RDWR | O_CLOEXEC));
				break;
			case 1:
				strange(requests[i], open("/dev/zero", O_RDWR | O_CLOEXEC));
				break;
			case 2:
				strange(requests[i], open(rig.rig.dir, O_PATH | O_CLOEXEC));
				break;
			case 3:
				strange(requests[i],
				        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
				break;
			default:
				cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
				fd_close(&pair[requests[i] == VU_SET_VRING_KICK]);
				strange(requests[i], pair[requests[i] != VU_SET_VRING_KICK]);
				break;
			}
			/* A request, to be told of or not; then the next connection. */
			if (vu_answers(&rig.f)) {
				(void)P9_SEND(c, CLUNK, clunk, .fid = 50);
				vu_ring_kick_anyway(ring);
				vu_sleep_ms(20);
			}
			vu_rig_down(&rig);
			vu_rig_up(&rig, VU_RIG_SESSION);
			cr_assert(p9_alive(c));
		}
	}
}
