/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * orders.c: the front ends that exist, each with its own order of messages, from connecting to a 9P session, through
 * driver restarts and reconnects.
 */
#include "tests/lib/vu_orders.h"
#include "tests/lib/vu_rig.h"

#include <criterion/criterion.h>
#include <string.h>

static struct vu_rig rig;
static struct p9_client *const c = &rig.p.c;

static void start(void)
{
	vu_rig_start(&rig, &(struct vu_rig_opt){.until = VU_RIG_DEVICE});
	rig_write(&rig.rig, "f", "some text");
}

static void end(void)
{
	vu_rig_end(&rig);
}

TestSuite(orders, .init = start, .fini = end, .timeout = 120);

static void session(void)
{
	p9_start(c, 8192);
	p9_open(c, 1, "f", 0);
	cr_assert(p9_has(c, 1, 0, "some text"));
	for (int i = 0; i < 300; i++)
		cr_assert(p9_alive(c));
}

static void drive(enum vu_order o)
{
	for (int connection = 0; connection < 3; connection++) {
		vu_front_init(&rig.f);
		vu_front_use(&rig.f, vu_rig_connect(&rig));
		vu_orders_memory(o, &rig.f);
		vu_orders_greet(o, &rig.f, &rig.ring);
		vu_p9_init(&rig.p, &rig.ring, 0);
		rig.p.shape =
		    (struct vu_shape){.way = VU_INDIRECT, .in_first = 11, .in_piece = 4096};
		for (int driver = 0; driver < 3; driver++) {
			vu_orders_start(o, &rig.f, &rig.ring);
			vu_p9_forget(&rig.p);
			session();
			vu_orders_stop(o, &rig.f, &rig.ring);
		}
		/* The last one is not stopped by the front end: it goes away, as in a crash. */
		if (connection == 1) {
			vu_orders_start(o, &rig.f, &rig.ring);
			session();
		}
		vu_rig_down(&rig);
		vu_rig_baseline(&rig);
	}
}

Test(orders, qemu)
{
	drive(VU_QEMU);
}

Test(orders, qemu_without_memory_slots)
{
	drive(VU_QEMU_OLD);
}

Test(orders, user_mode_linux)
{
	drive(VU_UML);
}

Test(orders, libkrun)
{
	drive(VU_LIBKRUN);
}

Test(orders, openvmm)
{
	drive(VU_OPENVMM);
}

Test(orders, crosvm)
{
	drive(VU_CROSVM);
}

static void raw_up(void)
{
	vu_front_init(&rig.f);
	vu_front_use(&rig.f, vu_rig_connect(&rig));
}

Test(orders, firmware_before_the_system)
{
	/* SeaBIOS drives the device first, with few features; then the system with all. */
	raw_up();
	vu_greet(&rig.f, VU_F_MOUNT_TAG | VU_F_VERSION_1 | VU_F_PROTOCOL, VU_ALL_PROTOCOL);
	vu_memory(&rig.f);
	vu_tell_memory(&rig.f);
	vu_ring_init(&rig.ring, &rig.f, 0, 128);
	vu_p9_init(&rig.p, &rig.ring, 0);
	vu_ring_start(&rig.ring);
	session();
	(void)vu_ring_stop(&rig.ring);
	vu_set_features(&rig.f, rig.f.offered & VU_ALL_FEATURES);
	rig.ring.event_idx = true;
	rig.p.shape.way = VU_INDIRECT;
	vu_ring_clear(&rig.ring);
	vu_p9_forget(&rig.p);
	vu_ring_start(&rig.ring);
	session();
}

Test(orders, without_protocol_features_a_ring_starts_enabled)
{
	raw_up();
	vu_greet(&rig.f, VU_ALL_FEATURES & ~VU_F_PROTOCOL, 0);
	vu_memory(&rig.f);
	vu_tell_memory(&rig.f);
	vu_ring_init(&rig.ring, &rig.f, 0, 128);
	vu_p9_init(&rig.p, &rig.ring, 0);
	vu_tell_num(&rig.ring);
	vu_tell_base(&rig.ring);
	vu_tell_addr(&rig.ring);
	vu_tell_kick(&rig.ring);
	vu_tell_call(&rig.ring);
	session();
}

Test(orders, with_protocol_features_a_ring_waits_to_be_enabled)
{
	struct vu_used_elem e;
	size_t size;

	raw_up();
	vu_greet(&rig.f, VU_ALL_FEATURES, VU_ALL_PROTOCOL);
	vu_memory(&rig.f);
	vu_tell_memory(&rig.f);
	vu_ring_init(&rig.ring, &rig.f, 0, 128);
	vu_p9_init(&rig.p, &rig.ring, 0);
	vu_tell_num(&rig.ring);
	vu_tell_base(&rig.ring);
	vu_tell_addr(&rig.ring);
	vu_tell_kick(&rig.ring);
	vu_tell_call(&rig.ring);
	size = p9_encode(c, P9_NOTAG, P9_VERSION,
	                 &(struct p9_version_req){.msize = 8192, .version = wt_str_of("9P2000.L")});
	(void)vu_p9_offer(&rig.p, c->out, size, P9_NOTAG);
	vu_ring_kick_anyway(&rig.ring);
	vu_barrier(&rig.f);
	vu_sleep_ms(50);
	cr_assert_not(vu_ring_used(&rig.ring, 0, &e), "a disabled ring is served");
	/* The kick was taken, perhaps; the request must not be forgotten. */
	vu_tell_enable(&rig.ring, true);
	cr_assert(vu_ring_used(&rig.ring, VU_PATIENCE_MS, &e),
	          "a request from before is forgotten");
}

Test(orders, everything_with_need_reply)
{
	raw_up();
	vu_greet(&rig.f, VU_ALL_FEATURES, VU_ALL_PROTOCOL);
	rig.f.ack = true;
	vu_memory(&rig.f);
	vu_tell_memory(&rig.f);
	vu_ring_init(&rig.ring, &rig.f, 0, 128);
	vu_p9_init(&rig.p, &rig.ring, 0);
	vu_ring_start(&rig.ring);
	session();
	vu_tell_enable(&rig.ring, false);
	(void)vu_ring_stop(&rig.ring);
	vu_set(&rig.f, VU_RESET_DEVICE, NULL, 0, -1);
	for (unsigned i = 0; i < rig.f.regions; i++)
		vu_tell_removed(&rig.f, i);
}

Test(orders, need_reply_without_reply_ack_is_ignored)
{
	uint64_t features = VU_ALL_FEATURES;

	raw_up();
	vu_greet(&rig.f, VU_ALL_FEATURES, VU_ALL_PROTOCOL & ~VU_P_REPLY_ACK);
	cr_assert(vu_send(&rig.f, VU_SET_FEATURES, VU_NEED_REPLY, &features, sizeof(features), -1));
	/* vu_reply() would fail at any other answer than this one's. */
	vu_barrier(&rig.f);
}

Test(orders, a_request_that_has_a_reply_gets_no_second_one)
{
	uint64_t answer[512];

	raw_up();
	vu_greet(&rig.f, VU_ALL_FEATURES, VU_ALL_PROTOCOL);
	for (int i = 0; i < 3; i++) {
		cr_assert(vu_send(&rig.f, VU_GET_FEATURES, VU_NEED_REPLY, NULL, 0, -1));
		cr_assert_eq(vu_reply(&rig.f, VU_GET_FEATURES, answer), 8);
	}
	cr_assert_geq(vu_get_u64(&rig.f, VU_GET_QUEUE_NUM), 1);
	cr_assert_geq(vu_get_u64(&rig.f, VU_GET_MAX_MEM_SLOTS), 8);
	cr_assert_not(vu_readable(rig.f.sock, 50), "a reply came that nobody asked for");
}

Test(orders, an_inherited_socket)
{
	vu_rig_end(&rig);
	vu_rig_start(&rig, &(struct vu_rig_opt){.inherited = true});
	cr_assert(p9_alive(c));
	/* The device ends with its connection: vu_rig_end() looks at its status. */
}

Test(orders, a_second_connection_waits_for_the_first_to_end)
{
	struct vu_front second;

	vu_rig_up(&rig, VU_RIG_SESSION);
	vu_front_init(&second);
	vu_front_use(&second, vu_rig_connect(&rig));
	cr_assert(vu_send(&second, VU_GET_FEATURES, 0, NULL, 0, -1));
	cr_assert_not(vu_readable(second.sock, 100), "two are served at once");
	cr_assert(p9_alive(c));
	vu_rig_down(&rig);
	{
		uint64_t answer[512];

		cr_assert_eq(vu_reply(&second, VU_GET_FEATURES, answer), 8);
	}
	vu_front_end(&second);
}
