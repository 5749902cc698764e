/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/vu_orders.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>

#define FEATURES \
	(VU_F_MOUNT_TAG | VU_F_INDIRECT_DESC | VU_F_EVENT_IDX | VU_F_PROTOCOL | VU_F_VERSION_1)

const char *vu_order_name(enum vu_order o)
{
	static const char *const names[] = {
	    [VU_QEMU] = "QEMU",       [VU_QEMU_OLD] = "QEMU without memory slots",
	    [VU_UML] = "UML",         [VU_LIBKRUN] = "libkrun",
	    [VU_OPENVMM] = "OpenVMM", [VU_CROSVM] = "crosvm"};

	return names[o];
}

void vu_orders_memory(enum vu_order o, struct vu_front *f)
{
	/* UML: one region, whose addresses are those of its own process; OpenVMM: 2^52 above. */
	uint64_t above = o == VU_OPENVMM ? 1ull << 52 : 0x7f0000000000;

	if (o == VU_UML) {
		(void)vu_region_add(f, 0x60400000, VU_FAR_SIZE, 0x60400000, 0x400000);
		return;
	}
	(void)vu_region_add(f, 0, VU_LOW_SIZE, above, 0);
	(void)vu_region_add(f, VU_HIGH_GPA, VU_HIGH_SIZE, above + VU_HIGH_GPA, 0);
	(void)vu_region_add(f, VU_FAR_GPA, VU_FAR_SIZE, above + VU_FAR_GPA, 0xc0000000);
}

/* ---- pieces of the sequences ---- */

static void get_features(struct vu_front *f)
{
	f->offered = vu_get_u64(f, VU_GET_FEATURES);
	cr_assert(f->offered & VU_F_PROTOCOL);
	cr_assert(f->offered & VU_F_MOUNT_TAG, "Linux refuses a device without");
	cr_assert(f->offered & VU_F_VERSION_1);
}

static void protocol_features(struct vu_front *f, uint64_t wanted)
{
	f->protocol_offered = vu_get_u64(f, VU_GET_PROTOCOL_FEATURES);
	f->protocol = f->protocol_offered & wanted;
	cr_assert(f->protocol & VU_P_CONFIG, "a front end would have no tag");
	vu_set(f, VU_SET_PROTOCOL_FEATURES, &f->protocol, sizeof(f->protocol), -1);
}

/* A channel for the back end's own requests. Nothing is awaited on it here. */
static void backend_channel(struct vu_front *f)
{
	int pair[2];

	if (!(f->protocol & VU_P_BACKEND))
		return;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	if (f->protocol & VU_P_REPLY_ACK)
		cr_assert_eq(vu_acked(f, VU_SET_BACKEND_REQ_FD, NULL, 0, pair[1]), 0);
	else
		vu_set(f, VU_SET_BACKEND_REQ_FD, NULL, 0, pair[1]);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

static void memory_acked(struct vu_front *f)
{
	bool ack = f->ack;

	f->ack = f->protocol & VU_P_REPLY_ACK;
	vu_tell_memory(f);
	f->ack = ack;
}

static void config_must_begin_with(struct vu_front *f, uint32_t offset, uint32_t size)
{
	uint8_t bytes[VU_CONFIG_MAX];

	cr_assert_eq(vu_get_config(f, offset, size, bytes), size);
	if (offset == 0 && size >= 2)
		cr_assert(bytes[0] != 0 || bytes[1] != 0, "the tag is empty");
}

static uint64_t driver_features(const struct vu_front *f)
{
	return f->offered & (FEATURES & ~VU_F_PROTOCOL);
}

/* ---- QEMU: hw/virtio/vhost.c and vhost-user.c ---- */

static void qemu_greet(enum vu_order o, struct vu_front *f, struct vu_ring *r)
{
	uint64_t wanted = VU_P_MQ | VU_P_LOG_SHMFD | VU_P_REPLY_ACK | VU_P_BACKEND | VU_P_CONFIG |
	                  VU_P_INFLIGHT | VU_P_RESET;

	get_features(f);
	protocol_features(f, o == VU_QEMU ? wanted | VU_P_MEM_SLOTS : wanted);
	if (f->protocol & VU_P_MQ)
		cr_assert_geq(vu_get_u64(f, VU_GET_QUEUE_NUM), 1);
	if (f->protocol & VU_P_MEM_SLOTS)
		cr_assert_geq(vu_get_u64(f, VU_GET_MAX_MEM_SLOTS), 3);
	backend_channel(f);
	vu_set(f, VU_SET_OWNER, NULL, 0, -1);
	get_features(f);
	vu_ring_init(r, f, 0, 128);
	vu_tell_call(r);
	vu_tell_err(r);
	config_must_begin_with(f, 0, 8);
}

static void qemu_start(struct vu_front *f, struct vu_ring *r)
{
	vu_set_features(f, driver_features(f) | VU_F_PROTOCOL);
	r->event_idx = f->features & VU_F_EVENT_IDX;
	vu_tell_call(r);
	vu_set_features(f, f->features);
	memory_acked(f);
	vu_tell_num(r);
	vu_tell_base(r);
	vu_tell_addr(r);
	vu_tell_kick(r);
	/* Enabled with an acknowledgement, or with a barrier behind it. */
	if (f->protocol & VU_P_REPLY_ACK)
		cr_assert_eq(vu_acked(f, VU_SET_VRING_ENABLE, &(struct vu_state){0, 1},
		                      sizeof(struct vu_state), -1),
		             0);
	else
		vu_tell_enable(r, true);
}

static void qemu_stop(struct vu_front *f, struct vu_ring *r)
{
	vu_tell_enable(r, false);
	(void)vu_ring_stop(r);
	if (f->protocol & VU_P_MEM_SLOTS)
		for (unsigned i = 0; i < f->regions; i++)
			vu_tell_removed(f, i);
}

/* ---- User-Mode Linux ---- */

static void uml_greet(struct vu_front *f, struct vu_ring *r)
{
	vu_set(f, VU_SET_OWNER, NULL, 0, -1);
	get_features(f);
	f->protocol_offered = vu_get_u64(f, VU_GET_PROTOCOL_FEATURES);
	cr_assert_not(f->protocol_offered & VU_P_INBAND, "UML would go over to it");
	f->protocol = f->protocol_offered & (VU_P_REPLY_ACK | VU_P_BACKEND | VU_P_CONFIG);
	cr_assert_eq(f->protocol, VU_P_REPLY_ACK | VU_P_BACKEND | VU_P_CONFIG);
	/* It asks for the answer in the very message that says it may. */
	cr_assert_eq(vu_acked(f, VU_SET_PROTOCOL_FEATURES, &f->protocol, sizeof(f->protocol), -1),
	             0);
	f->ack = true;
	backend_channel(f);
	vu_set_features(f, driver_features(f) | VU_F_PROTOCOL);
	/* Of each access from the beginning. */
	for (uint32_t size = 2; size < 9; size++)
		config_must_begin_with(f, 0, size);
	vu_ring_init(r, f, 0, 256);
	vu_ring_use_sockets(r);
}

/* One region, the payload always that of two. */
static void uml_memory(struct vu_front *f)
{
	struct vu_mem_table table = {.count = 1, .entry = {f->region[0].at}};
	uint64_t answer[512];

	cr_assert_eq(f->regions, 1);
	cr_assert(vu_send_fds(f, VU_SET_MEM_TABLE, VU_NEED_REPLY, &table, 8 + 32 * 2,
	                      &f->region[0].fd, 1));
	cr_assert_eq(vu_reply(f, VU_SET_MEM_TABLE, answer), sizeof(answer[0]));
	cr_assert_eq(answer[0], 0);
}

static void uml_start(struct vu_front *f, struct vu_ring *r)
{
	struct vu_addr a = {.desc = vu_uva(f, r->desc_gpa),
	                    .used = vu_uva(f, r->used_gpa),
	                    .avail = vu_uva(f, r->avail_gpa),
	                    .log = ~0ull};

	uml_memory(f);
	vu_tell_call(r);
	vu_tell_num(r);
	vu_tell_base(r);
	vu_set(f, VU_SET_VRING_ADDR, &a, sizeof(a), -1);
	vu_tell_kick(r);
	vu_tell_enable(r, true);
	config_must_begin_with(f, 0, 5);
}

/* ---- libkrun: src/devices/src/virtio/vhost_user/device.rs ---- */

static void libkrun_start(struct vu_front *f, struct vu_ring *r)
{
	vu_set(f, VU_SET_OWNER, NULL, 0, -1);
	vu_tell_table(f, 0, f->regions);
	vu_set_features(f, driver_features(f) | VU_F_PROTOCOL);
	r->event_idx = f->features & VU_F_EVENT_IDX;
	vu_tell_num(r);
	vu_tell_base(r);
	vu_tell_addr(r);
	vu_tell_kick(r);
	vu_tell_call(r);
	vu_tell_enable(r, true);
}

/* ---- OpenVMM: vm/devices/virtio/vhost_user_frontend ---- */

static void openvmm_greet(struct vu_front *f)
{
	get_features(f);
	protocol_features(f, VU_P_MQ | VU_P_REPLY_ACK | VU_P_CONFIG | VU_P_RESET);
	vu_set(f, VU_SET_OWNER, NULL, 0, -1);
	cr_assert_geq(vu_get_u64(f, VU_GET_QUEUE_NUM), 1);
	for (uint32_t offset = 0; offset < VU_CONFIG_MAX; offset += 4)
		config_must_begin_with(f, offset, 4);
}

static void plain_start(struct vu_front *f, struct vu_ring *r)
{
	vu_set_features(f, driver_features(f) | VU_F_PROTOCOL);
	r->event_idx = f->features & VU_F_EVENT_IDX;
	vu_tell_table(f, 0, f->regions);
	vu_tell_num(r);
	vu_tell_addr(r);
	vu_tell_base(r);
	vu_tell_call(r);
	vu_tell_kick(r);
	vu_tell_enable(r, true);
}

/* ---- */

void vu_orders_greet(enum vu_order o, struct vu_front *f, struct vu_ring *r)
{
	switch (o) {
	case VU_QEMU:
	case VU_QEMU_OLD:
		qemu_greet(o, f, r);
		return;
	case VU_UML:
		uml_greet(f, r);
		return;
	case VU_LIBKRUN:
		get_features(f);
		protocol_features(f, VU_P_CONFIG | VU_P_MQ);
		config_must_begin_with(f, 0, VU_CONFIG_MAX);
		break;
	case VU_OPENVMM:
		openvmm_greet(f);
		break;
	case VU_CROSVM:
		vu_set(f, VU_SET_OWNER, NULL, 0, -1);
		get_features(f);
		protocol_features(f, VU_P_CONFIG | VU_P_MQ | VU_P_BACKEND | VU_P_REPLY_ACK);
		config_must_begin_with(f, 2, 3);
		break;
	case VU_ORDERS:
	default:
		cr_assert_fail("no such front end");
	}
	vu_ring_init(r, f, 0, 128);
}

void vu_orders_start(enum vu_order o, struct vu_front *f, struct vu_ring *r)
{
	switch (o) {
	case VU_QEMU:
	case VU_QEMU_OLD:
		qemu_start(f, r);
		break;
	case VU_UML:
		uml_start(f, r);
		break;
	case VU_LIBKRUN:
		libkrun_start(f, r);
		break;
	case VU_OPENVMM:
	case VU_CROSVM:
	case VU_ORDERS:
	default:
		plain_start(f, r);
		break;
	}
}

void vu_orders_stop(enum vu_order o, struct vu_front *f, struct vu_ring *r)
{
	switch (o) {
	case VU_QEMU:
	case VU_QEMU_OLD:
		qemu_stop(f, r);
		break;
	case VU_UML: /* which never asks for the base */
		vu_tell_enable(r, false);
		vu_barrier(f);
		break;
	case VU_OPENVMM:
		(void)vu_ring_stop(r);
		if (f->protocol & VU_P_RESET)
			vu_set(f, VU_RESET_DEVICE, NULL, 0, -1);
		break;
	case VU_LIBKRUN:
	case VU_CROSVM:
	case VU_ORDERS:
	default:
		vu_tell_enable(r, false);
		(void)vu_ring_stop(r);
		break;
	}
	vu_ring_clear(r);
}
