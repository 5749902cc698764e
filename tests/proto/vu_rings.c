/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vu_rings.c: when rings of a vhost-user device run, and what waits until they have stopped. */
#include "tests/lib/be_rig.h"
#include "tests/lib/wait.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROTOCOL_BIT (UINT64_C(1) << VHU_F_PROTOCOL_FEATURES)

static void release(struct be_rig *r)
{
	cr_assert_eq(write(r->release, &(uint64_t){1}, 8), 8);
}

/* A request is at the device, which keeps it. */
static void hold_one(struct be_rig *r)
{
	r->seen->hold = true;
	be_request(r, 0, "held");
	be_rig_until(&r->seen->held, 1);
	r->seen->hold = false;
}

/* The message waits for the request that is held, has ring 0 stopped and, if again, started again. */
static void waits(uint32_t request, const void *fields, int fd, bool again)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	hold_one(&r);
	be_send(&r, request, fields, fd == -2 ? &r.v.fd : &fd, fd != -1, true);
	be_rig_until(&r.seen->stops[0], 1);
	cr_assert(be_is_quiet(&r));
	cr_assert_eq(*vring_used_idx(&r.v), 0);
	release(&r);
	cr_assert_eq(be_ack(&r, request), 0, "%s", be_rig_log(&r));
	be_answered(&r, 1, "held");
	cr_assert_eq(r.seen->starts[0], again ? 2 : 1);
	if (again) {
		be_request(&r, 2, "after");
		be_answered(&r, 2, "after");
	}
	be_rig_end(&r);
}

Test(vu_rings, disabling_waits)
{
	waits(VHU_SET_VRING_ENABLE, &(struct vhu_set_vring_enable_req){.value = 0}, -1, false);
}

Test(vu_rings, a_new_size_waits)
{
	waits(VHU_SET_VRING_NUM, &(struct vhu_set_vring_num_req){.value = 8}, -1, true);
}

Test(vu_rings, a_new_base_waits)
{
	waits(VHU_SET_VRING_BASE, &(struct vhu_set_vring_base_req){.value = 1}, -1, true);
}

Test(vu_rings, other_features_wait)
{
	waits(VHU_SET_FEATURES,
	      &(struct vhu_set_features_req){.value = (BE_RIG_FEATURES ^ 1) | PROTOCOL_BIT}, -1,
	      true);
}

Test(vu_rings, a_reset_waits)
{
	waits(VHU_RESET_DEVICE, NULL, -1, false);
}

Test(vu_rings, a_region_that_goes_waits)
{
	const struct guest_region g = vring_region(1);
	const struct vhu_rem_mem_reg_req q = {.region = {g.gpa, g.size, g.uva, g.offset}};
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	hold_one(&r);
	be_send(&r, VHU_REM_MEM_REG, &q, NULL, 0, true);
	be_rig_until(&r.seen->stops[0], 1);
	cr_assert(be_is_quiet(&r));
	release(&r);
	cr_assert_eq(be_ack(&r, VHU_REM_MEM_REG), 0);
	be_answered(&r, 1, "held");
	cr_assert_eq(r.seen->starts[0], 2, "its ring is in the other");
	/* The request's buffers are in what is gone. */
	be_request(&r, 2, "lost");
	WAIT_WHILE(!strstr(be_rig_log(&r), "outside of the guest's memory"));
	cr_assert(
	    strstr(be_rig_log(&r), "queue 0 is broken: a buffer is outside of the guest's memory"));
	cr_assert_eq(eventfd_read(r.error, &(eventfd_t){0}), 0);
	be_rig_end(&r);
}

Test(vu_rings, a_new_memory_table_waits_and_replaces_all)
{
	struct be_rig r;
	struct vhu_set_mem_table_req q = {.regions = {.count = 2}};
	int other = memfd_create("other", MFD_CLOEXEC), fds[2] = {other, other};

	be_rig_start(&r);
	be_up(&r);
	hold_one(&r);
	cr_assert_eq(ftruncate(other, 2 * VRING_REGION), 0);
	/* Its ring has come as far as the old one. */
	cr_assert_eq(pwrite(other, &(uint16_t){1}, 2, VRING_AVAIL - VRING_GPA + 2), 2);
	for (unsigned i = 0; i < 2; i++) {
		const struct guest_region g = vring_region(i);

		q.regions.region[i] = (struct wt_vregion){g.gpa, g.size, g.uva, g.offset};
	}
	be_send(&r, VHU_SET_MEM_TABLE, &q, fds, 2, true);
	be_rig_until(&r.seen->stops[0], 1);
	cr_assert(be_is_quiet(&r));
	release(&r);
	cr_assert_eq(be_ack(&r, VHU_SET_MEM_TABLE), 0);
	/* The answer went to the old memory, and the ring is now in the other. */
	be_answered(&r, 1, "held");
	vring_free(&r.v);
	r.v.fd = other;
	r.v.memory = mmap(NULL, 2 * VRING_REGION, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	be_request(&r, 2, "other");
	be_answered(&r, 1, "other");
	be_rig_end(&r);
}

Test(vu_rings, a_memory_table_that_fails_leaves_the_old_one)
{
	struct be_rig r;
	struct vhu_set_mem_table_req q = {.regions = {.count = 2}};
	int fds[2];

	be_rig_start(&r);
	be_up(&r);
	for (unsigned i = 0; i < 2; i++) {
		const struct guest_region g = vring_region(i);

		q.regions.region[i] = (struct wt_vregion){g.gpa, g.size, g.uva, g.offset};
		fds[i] = i == 0 ? r.v.fd : r.kick;
	}
	be_send(&r, VHU_SET_MEM_TABLE, &q, fds, 2, true);
	cr_assert_neq(be_ack(&r, VHU_SET_MEM_TABLE), 0);
	be_request(&r, 0, "still");
	be_answered(&r, 1, "still");
	be_rig_end(&r);
}

Test(vu_rings, other_addresses_wait_and_the_same_do_not)
{
	struct be_rig r;
	const struct vhu_set_vring_addr_req other = {.desc = vring_uva(VRING_DESC) + 0x40000,
	                                             .used = vring_uva(VRING_USED),
	                                             .avail = vring_uva(VRING_AVAIL)};

	be_rig_start(&r);
	be_up(&r);
	hold_one(&r);
	be_addr(&r, 0, VHU_VRING_LOG);
	be_addr(&r, 0, 0);
	cr_assert_eq(r.seen->stops[0], 0);
	be_send(&r, VHU_SET_VRING_ADDR, &other, NULL, 0, true);
	be_rig_until(&r.seen->stops[0], 1);
	cr_assert(be_is_quiet(&r));
	release(&r);
	cr_assert_eq(be_ack(&r, VHU_SET_VRING_ADDR), 0);
	cr_assert_eq(r.seen->starts[0], 2);
	be_rig_end(&r);
}

Test(vu_rings, get_vring_base_waits_and_so_does_what_comes_after_it)
{
	struct be_rig r;
	struct vhu_get_vring_base_rep a;

	be_rig_start(&r);
	be_up(&r);
	hold_one(&r);
	be_send(&r, VHU_GET_VRING_BASE, &(struct vhu_get_vring_base_req){.index = 0}, NULL, 0,
	        false);
	be_send(&r, VHU_GET_FEATURES, NULL, NULL, 0, false);
	be_rig_until(&r.seen->stops[0], 1);
	cr_assert(be_is_quiet(&r));
	cr_assert_eq(*vring_used_idx(&r.v), 0);
	release(&r);
	cr_assert_eq(be_recv(&r, VHU_GET_VRING_BASE, &a), -1);
	cr_assert_eq(a.value, 1);
	be_answered(&r, 1, "held");
	cr_assert_eq(be_recv(&r, VHU_GET_FEATURES, &(struct vhu_get_features_rep){0}), -1);
	/* Kicks are nothing to a ring that is stopped. */
	be_request(&r, 2, "late");
	cr_assert(be_is_quiet(&r));
	cr_assert_eq(*vring_used_idx(&r.v), 1);
	/* With a kick it goes on. */
	be_ok(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, r.kick);
	be_answered(&r, 2, "late");
	be_rig_end(&r);
}

Test(vu_rings, an_end_of_the_connection_waits_too)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	hold_one(&r);
	(void)close(r.sock);
	r.sock = -1;
	be_rig_until(&r.seen->stops[0], 1);
	(void)usleep(50000);
	cr_assert_eq(r.seen->resets, 0);
	cr_assert_eq(r.seen->closes, 0);
	release(&r);
	be_rig_until(&r.seen->closes, 1);
	cr_assert_eq(r.seen->resets, 1);
	be_answered(&r, 1, "held");
	be_rig_end(&r);
}

Test(vu_rings, an_end_of_the_connection_while_a_message_waits)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	hold_one(&r);
	be_send(&r, VHU_GET_VRING_BASE, &(struct vhu_get_vring_base_req){.index = 0}, NULL, 0,
	        false);
	be_rig_until(&r.seen->stops[0], 1);
	(void)close(r.sock);
	r.sock = -1;
	(void)usleep(50000);
	cr_assert_eq(r.seen->closes, 0);
	release(&r);
	be_rig_until(&r.seen->closes, 1);
	be_rig_end(&r);
}

Test(vu_rings, nonsense_while_requests_are_under_way)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	hold_one(&r);
	be_send_raw(&r, 99, VHU_VERSION, NULL, 0, NULL, 0);
	be_rig_until(&r.seen->stops[0], 1);
	cr_assert(be_is_quiet(&r));
	release(&r);
	be_closed(&r, "there is no message 99");
	be_rig_end(&r);
}

Test(vu_rings, a_new_region_does_not_wait_and_is_there_at_once)
{
	const struct vhu_add_mem_reg_req q = {.region = {VRING_END, 4096, 1 << 30, 4096}};
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	hold_one(&r);
	memcpy(r.v.memory + 4096, "new", 3);
	be_ok(&r, VHU_ADD_MEM_REG, &q, r.v.fd);
	cr_assert_eq(r.seen->stops[0], 0);
	vring_desc(&r.v, VRING_DESC, 2, VRING_END, 3, VRING_NEXT, 3);
	vring_desc(&r.v, VRING_DESC, 3, VRING_END + 100, 100, VRING_WRITE, 0);
	vring_offer(&r.v, 2);
	cr_assert_eq(write(r.kick, &(uint64_t){1}, 8), 8);
	be_rig_until(&r.seen->requests, 2);
	release(&r);
	WAIT_WHILE(*vring_used_idx(&r.v) != 2);
	cr_assert_eq(r.v.memory[4096 + 100], (uint8_t) ~'n');
	be_rig_end(&r);
}

/* ---- starting ---- */

/* All that a ring needs, in an order given by turn. */
static void in_order(unsigned turn, uint64_t features)
{
	struct be_rig r;
	struct vhu_set_mem_table_req memory = {.regions = {.count = 2}};
	int fds[2];

	be_rig_start(&r);
	r.v.size = 8;
	for (unsigned i = 0; i < 2; i++) {
		const struct guest_region g = vring_region(i);

		memory.regions.region[i] = (struct wt_vregion){g.gpa, g.size, g.uva, g.offset};
		fds[i] = r.v.fd;
	}
	vring_desc(&r.v, VRING_DESC, 0, VRING_FREE, 3, VRING_NEXT, 1);
	vring_desc(&r.v, VRING_DESC, 1, VRING_FREE + 100, 3, VRING_WRITE, 0);
	vring_offer(&r.v, 0);
	for (unsigned i = 0; i < 8; i++) {
		const struct vhu_set_vring_addr_req addr = {.desc = vring_uva(VRING_DESC),
		                                            .used = vring_uva(VRING_USED),
		                                            .avail = vring_uva(VRING_AVAIL)};

		cr_assert_eq(r.seen->starts[0], 0);
		switch ((i * (turn & 4 ? 7 : 1) + turn) % 8) {
		case 0:
			be_send(&r, VHU_SET_FEATURES,
			        &(struct vhu_set_features_req){.value = features}, NULL, 0, false);
			break;
		case 1:
			be_send(&r, VHU_SET_MEM_TABLE, &memory, fds, 2, false);
			break;
		case 2:
			be_send(&r, VHU_SET_VRING_NUM, &(struct vhu_set_vring_num_req){.value = 8},
			        NULL, 0, false);
			break;
		case 3:
			be_send(&r, VHU_SET_VRING_ADDR, &addr, NULL, 0, false);
			break;
		case 4:
			be_send(&r, VHU_SET_VRING_KICK,
			        &(struct vhu_set_vring_kick_req){.value = 0}, &r.kick, 1, false);
			break;
		case 5:
			be_send(&r, VHU_SET_VRING_ENABLE,
			        &(struct vhu_set_vring_enable_req){.value = 1}, NULL, 0, false);
			break;
		default:
			be_send(&r, VHU_SET_VRING_CALL,
			        &(struct vhu_set_vring_call_req){.value = 0}, &r.call, 1, false);
			break;
		}
		be_send(&r, VHU_GET_FEATURES, NULL, NULL, 0, false);
		(void)be_recv(&r, VHU_GET_FEATURES, &(struct vhu_get_features_rep){0});
		if (r.seen->starts[0] > 0)
			break;
	}
	be_rig_until(&r.seen->starts[0], 1);
	WAIT_WHILE(*vring_used_idx(&r.v) != 1);
	cr_assert_eq(*vring_used_idx(&r.v), 1, "what waits in a ring needs no kick");
	be_rig_end(&r);
}

Test(vu_rings, it_runs_when_all_is_told_in_any_order)
{
	for (unsigned turn = 0; turn < 8; turn++)
		in_order(turn, BE_RIG_FEATURES | PROTOCOL_BIT);
}

Test(vu_rings, without_protocol_features_it_need_not_be_enabled)
{
	struct be_rig r;

	be_rig_start(&r);
	be_negotiate(&r, BE_RIG_FEATURES, BE_RIG_ACKS);
	be_memory(&r);
	be_ok(&r, VHU_SET_VRING_NUM, &(struct vhu_set_vring_num_req){.value = 8}, -1);
	be_addr(&r, 0, 0);
	cr_assert_eq(r.seen->starts[0], 0);
	be_ok(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, r.kick);
	cr_assert_eq(r.seen->starts[0], 1);
	be_ok(&r, VHU_SET_VRING_ENABLE, &(struct vhu_set_vring_enable_req){.value = 0}, -1);
	cr_assert_eq(r.seen->stops[0], 1);
	be_ok(&r, VHU_SET_OWNER, NULL, -1);
	cr_assert_eq(r.seen->starts[0], 1, "but it can be disabled");
	be_rig_end(&r);
}

Test(vu_rings, enabling_a_ring_that_was_never_set_up_does_nothing)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	be_ok(&r, VHU_SET_VRING_ENABLE, &(struct vhu_set_vring_enable_req){.index = 1, .value = 1},
	      -1);
	be_ok(&r, VHU_SET_VRING_ENABLE, &(struct vhu_set_vring_enable_req){.index = 1, .value = 0},
	      -1);
	cr_assert_eq(r.seen->starts[1], 0);
	cr_assert_eq(r.seen->stops[1], 0);
	be_rig_end(&r);
}

Test(vu_rings, a_ring_that_cannot_start_is_refused_once_and_tried_again_when_it_is_told_anew)
{
	const struct vhu_set_vring_addr_req bad = {.desc = 16, .used = 16, .avail = 16};
	struct be_rig r;

	be_rig_start(&r);
	be_negotiate(&r, BE_RIG_FEATURES | PROTOCOL_BIT, BE_RIG_ACKS);
	be_memory(&r);
	r.v.size = 8;
	be_ok(&r, VHU_SET_VRING_NUM, &(struct vhu_set_vring_num_req){.value = 8}, -1);
	be_ok(&r, VHU_SET_VRING_ADDR, &bad, -1);
	be_ok(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, r.kick);
	be_refused(&r, VHU_SET_VRING_ENABLE, &(struct vhu_set_vring_enable_req){.value = 1}, -1);
	cr_assert(strstr(be_rig_log(&r), "queue 0 cannot be started: EFAULT"));
	be_ok(&r, VHU_SET_OWNER, NULL, -1);
	cr_assert_eq(r.seen->starts[0], 0);
	be_addr(&r, 0, 0);
	cr_assert_eq(r.seen->starts[0], 1);
	be_request(&r, 0, "now");
	be_answered(&r, 1, "now");
	be_rig_end(&r);
}

Test(vu_rings, as_user_mode_linux_does_when_its_driver_comes_and_goes)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	for (unsigned i = 0; i < 3; i++) {
		be_request(&r, 0, "again");
		be_answered(&r, 1, "again");
		be_ok(&r, VHU_SET_VRING_ENABLE, &(struct vhu_set_vring_enable_req){.value = 0}, -1);
		cr_assert_eq(r.seen->stops[0], i + 1);
		cr_assert_eq(r.seen->resets, 0);
		memset(r.v.memory, 0, VRING_REGION);
		be_memory(&r);
		be_ring_up(&r, 8, 0);
		cr_assert_eq(r.seen->starts[0], i + 2);
	}
	be_rig_end(&r);
}

Test(vu_rings, after_a_reset_a_ring_is_set_up_anew)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	be_ok(&r, VHU_RESET_DEVICE, NULL, -1);
	cr_assert_eq(r.seen->resets, 1);
	be_ok(&r, VHU_SET_OWNER, NULL, -1);
	cr_assert_eq(r.seen->starts[0], 1);
	memset(r.v.memory, 0, VRING_REGION);
	be_ring_up(&r, 8, 0);
	cr_assert_eq(r.seen->starts[0], 2);
	be_request(&r, 0, "anew");
	be_answered(&r, 1, "anew");
	be_rig_end(&r);
}

Test(vu_rings, a_broken_ring_works_again_after_it_was_stopped)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	vring_offer(&r.v, 77);
	cr_assert_eq(write(r.kick, &(uint64_t){1}, 8), 8);
	WAIT_WHILE(eventfd_read(r.error, &(eventfd_t){0}) != 0);
	cr_assert(strstr(be_rig_log(&r), "queue 0 is broken: a chain starts outside of the ring"));
	(void)be_ring_down(&r);
	memset(r.v.memory, 0, VRING_REGION);
	be_ring_up(&r, 8, 0);
	be_request(&r, 0, "well");
	be_answered(&r, 1, "well");
	be_rig_end(&r);
}

/* ---- kicks and calls ---- */

Test(vu_rings, a_ring_without_a_kick_is_looked_at)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	be_ok(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = VHU_VRING_NO_FD},
	      -1);
	for (unsigned i = 1; i <= 3; i++) {
		be_request(&r, 0, "looked at");
		be_answered(&r, (uint16_t)i, "looked at");
	}
	(void)be_ring_down(&r);
	be_ok(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = VHU_VRING_NO_FD},
	      -1);
	cr_assert_eq(r.seen->starts[0], 2);
	be_request(&r, 0, "and now");
	be_answered(&r, 4, "and now");
	be_rig_end(&r);
}

Test(vu_rings, a_ring_that_starts_interrupts_its_driver_once_for_what_it_may_have_missed)
{
	struct be_rig r;
	eventfd_t count = 0;

	be_rig_start(&r);
	be_up(&r);
	cr_assert_eq(eventfd_read(r.call, &count), 0);
	cr_assert_eq(count, 1);
	(void)be_ring_down(&r);
	cr_assert_neq(eventfd_read(r.call, &count), 0);
	be_ok(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, r.kick);
	cr_assert_eq(eventfd_read(r.call, &count), 0);
	be_rig_end(&r);
}

Test(vu_rings, a_kick_may_be_replaced_while_the_ring_runs)
{
	struct be_rig r;
	int old;

	be_rig_start(&r);
	be_up(&r);
	old = r.kick;
	r.kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	vring_desc(&r.v, VRING_DESC, 0, VRING_FREE, 1, 0, 0);
	vring_offer(&r.v, 0);
	be_ok(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, r.kick);
	be_rig_until(&r.seen->requests, 1);
	cr_assert_eq(r.seen->starts[0], 1);
	be_request(&r, 2, "new kick");
	be_answered(&r, 2, "new kick");
	(void)close(old);
	be_rig_end(&r);
}

Test(vu_rings, a_kick_at_its_end_is_left_alone)
{
	struct be_rig r;
	int ends[2];

	be_rig_start(&r);
	be_up(&r);
	cr_assert_eq(pipe(ends), 0);
	be_ok(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, ends[0]);
	(void)close(ends[0]);
	(void)close(ends[1]);
	WAIT_WHILE(!strstr(be_rig_log(&r), "kick's descriptor is at its end"));
	cr_assert(strstr(be_rig_log(&r), "queue 0: its kick's descriptor is at its end"));
	be_ok(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, r.kick);
	be_request(&r, 0, "back");
	be_answered(&r, 1, "back");
	be_rig_end(&r);
}

Test(vu_rings, a_kick_that_cannot_be_waited_for_is_refused)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	be_refused(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, r.v.fd);
	(void)be_ring_down(&r);
	be_refused(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, r.v.fd);
	be_ok(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, r.kick);
	be_request(&r, 0, "fine");
	be_answered(&r, 1, "fine");
	be_rig_end(&r);
}

/* What is read and written for a kick or a call must not be able to hold up the device. */
Test(vu_rings, a_kick_or_call_is_an_eventfd_a_pipe_or_a_socket)
{
	struct be_rig r;
	int fifo[2], folder = open("/", O_RDONLY | O_CLOEXEC),
	             null = open("/dev/null", O_RDWR | O_CLOEXEC);

	be_rig_start(&r);
	be_up(&r);
	cr_assert_eq(pipe(fifo), 0);
	be_refused(&r, VHU_SET_VRING_CALL, &(struct vhu_set_vring_call_req){.value = 0}, r.v.fd);
	be_refused(&r, VHU_SET_VRING_CALL, &(struct vhu_set_vring_call_req){.value = 0}, null);
	be_refused(&r, VHU_SET_VRING_ERR, &(struct vhu_set_vring_err_req){.value = 0}, folder);
	be_refused(&r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, null);
	be_request(&r, 0, "as before");
	be_answered(&r, 1, "as before");
	be_ok(&r, VHU_SET_VRING_CALL, &(struct vhu_set_vring_call_req){.value = 0}, fifo[1]);
	be_rig_end(&r);
}

Test(vu_rings, a_new_call_is_told_at_once_and_then_as_the_old_one)
{
	struct be_rig r;
	uint8_t got[64];
	int pair[2];
	ssize_t n;

	be_rig_start(&r);
	be_up(&r);
	/* User-Mode Linux has a socket here. */
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	be_ok(&r, VHU_SET_VRING_CALL, &(struct vhu_set_vring_call_req){.value = 0}, pair[1]);
	(void)close(pair[1]);
	cr_assert_eq(recv(pair[0], got, sizeof(got), MSG_DONTWAIT), 8);
	be_request(&r, 0, "call");
	n = recv(pair[0], got, sizeof(got), 0);
	cr_assert_eq(n, 8);
	cr_assert_eq(got[0], 1);
	be_answered(&r, 1, "call");
	be_ok(&r, VHU_SET_VRING_CALL, &(struct vhu_set_vring_call_req){.value = VHU_VRING_NO_FD},
	      -1);
	cr_assert_eq(recv(pair[0], got, sizeof(got), 0), 0, "the old one is closed");
	be_request(&r, 2, "no call");
	be_answered(&r, 2, "no call");
	(void)close(pair[0]);
	be_rig_end(&r);
}

/* ---- memory that goes ---- */

Test(vu_rings, an_emulator_that_takes_its_memory_away_loses_its_connection)
{
	struct be_rig r;

	be_rig_listen(&r);
	be_rig_connect(&r);
	be_up(&r);
	be_request(&r, 0, "gone");
	be_answered(&r, 1, "gone");
	cr_assert_eq(ftruncate(r.v.fd, 0), 0);
	cr_assert_eq(write(r.kick, &(uint64_t){1}, 8), 8);
	be_closed(&r, "it has taken memory away that it had shared");
	be_rig_until(&r.seen->closes, 1);
	/* The device is there for another. */
	cr_assert_eq(ftruncate(r.v.fd, 2 * VRING_REGION), 0);
	be_rig_connect(&r);
	be_negotiate(&r, BE_RIG_FEATURES | PROTOCOL_BIT, BE_RIG_ACKS);
	be_memory(&r);
	be_ring_up(&r, 8, 0);
	be_request(&r, 0, "back");
	be_answered(&r, 1, "back");
	be_rig_end(&r);
}

Test(vu_rings, an_emulator_that_goes_away_leaves_a_device_for_the_next)
{
	struct be_rig r;

	be_rig_listen(&r);
	for (unsigned i = 1; i <= 3; i++) {
		be_rig_connect(&r);
		memset(r.v.memory, 0, 2 * VRING_REGION);
		be_negotiate(&r, BE_RIG_FEATURES | PROTOCOL_BIT, BE_RIG_ACKS);
		be_memory(&r);
		be_ring_up(&r, 8, 0);
		be_request(&r, 0, "hello");
		be_answered(&r, 1, "hello");
		(void)close(r.sock);
		be_rig_until(&r.seen->closes, i);
		cr_assert_eq(r.seen->resets, i);
		cr_assert_eq(r.seen->stops[0], i);
	}
	r.sock = -1;
	be_rig_end(&r);
}
