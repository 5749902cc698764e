/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vu_handover.c: what a guest's move to another host, or another back end for it, needs. */
#include "tests/lib/be_rig.h"
#include "tests/lib/wait.h"

#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROTOCOL_BIT (UINT64_C(1) << VHU_F_PROTOCOL_FEATURES)
#define LOG_BIT      (UINT64_C(1) << VHU_F_LOG_ALL)

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

static bool is_marked(const uint8_t *log, uint64_t gpa)
{
	return log[gpa / 4096 / 8] & 1u << gpa / 4096 % 8;
}

static void until_used(struct be_rig *r, uint16_t idx)
{
	WAIT_WHILE(*vring_used_idx(&r->v) != idx);
	cr_assert_eq(*vring_used_idx(&r->v), idx);
}

static void set_log(struct be_rig *r, int fd)
{
	const struct vhu_set_log_base_req base = {.size = 4096};

	be_send(r, VHU_SET_LOG_BASE, &base, &fd, 1, false);
	cr_assert_eq(be_recv(r, VHU_SET_LOG_BASE, &(struct vhu_set_log_base_rep){0}), -1);
}

static int make_log(uint8_t **ret)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	cr_assert_eq(ftruncate(fd, 4096), 0);
	*ret = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert_neq(*ret, MAP_FAILED);
	return fd;
}

Test(vu_handover, a_new_log_takes_the_old_one_s_place)
{
	const struct vhu_set_features_req f = {.value = BE_RIG_FEATURES | PROTOCOL_BIT | LOG_BIT};
	const uint64_t answer = VRING_GPA + VRING_REGION + 1024;
	uint8_t *old, *new;
	int old_fd = make_log(&old), new_fd = make_log(&new);
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	be_ok(&r, VHU_SET_FEATURES, &f, -1);
	be_request(&r, 2, "nowhere");
	be_answered(&r, 1, "nowhere");
	set_log(&r, old_fd);
	set_log(&r, new_fd);
	be_request(&r, 0, "noted");
	be_answered(&r, 2, "noted");
	cr_assert(is_marked(new, answer));
	cr_assert_not(is_marked(old, answer));
	be_rig_end(&r);
}

Test(vu_handover, logging_is_switched_while_requests_are_under_way)
{
	struct vhu_set_features_req f = {.value = BE_RIG_FEATURES | PROTOCOL_BIT | LOG_BIT};
	const uint64_t answer = VRING_GPA + VRING_REGION + 1024;
	struct be_rig r;
	uint8_t *log;
	int fd = make_log(&log);

	be_rig_start(&r);
	be_up(&r);
	hold_one(&r);
	set_log(&r, fd);
	be_ok(&r, VHU_SET_FEATURES, &f, -1);
	be_addr(&r, 0, VHU_VRING_LOG);
	cr_assert_eq(r.seen->stops[0], 0);
	for (unsigned i = 0; i < 4096; i++)
		cr_assert_eq(log[i], 0);
	release(&r);
	be_answered(&r, 1, "held");
	cr_assert(is_marked(log, answer), "taken before, written after");
	cr_assert(is_marked(log, VRING_USED));
	memset(log, 0, 4096);
	f.value &= ~LOG_BIT;
	be_ok(&r, VHU_SET_FEATURES, &f, -1);
	be_request(&r, 2, "unseen");
	be_answered(&r, 2, "unseen");
	for (unsigned i = 0; i < 4096; i++)
		cr_assert_eq(log[i], 0);
	until_used(&r, 2);
	be_rig_end(&r);
}

/* ---- requests under way when we end ---- */

static int get_inflight(struct be_rig *r, struct wt_vinflight *area)
{
	const struct vhu_get_inflight_fd_req q = {
	    .area = {.queues = 1, .queue_size = 8, .padded = true}};
	struct vhu_get_inflight_fd_rep a;
	int fd;

	be_send(r, VHU_GET_INFLIGHT_FD, &q, NULL, 0, false);
	fd = be_recv(r, VHU_GET_INFLIGHT_FD, &a);
	cr_assert_geq(fd, 0);
	cr_assert(a.area.padded, "as it was asked");
	*area = a.area;
	return fd;
}

/* The device's process ends with requests under way; another one takes them again, in their order. */
Test(vu_handover, requests_under_way_are_taken_again_by_the_next_device)
{
	struct be_rig r, next;
	struct wt_vinflight area;
	struct vhu_set_inflight_fd_req set;
	uint32_t len;
	int fd;

	be_rig_start(&r);
	be_negotiate(&r, BE_RIG_FEATURES | PROTOCOL_BIT, BE_RIG_ACKS);
	fd = get_inflight(&r, &area);
	set.area = area;
	be_ok(&r, VHU_SET_INFLIGHT_FD, &set, fd);
	be_memory(&r);
	be_ring_up(&r, 8, 0);
	be_request(&r, 0, "done");
	be_answered(&r, 1, "done");
	r.seen->hold = true;
	be_request(&r, 6, "second");
	be_rig_until(&r.seen->held, 1);
	be_request(&r, 2, "third");
	be_rig_until(&r.seen->held, 2);
	be_rig_kill(&r);
	be_rig_start(&next);
	vring_free(&next.v);
	next.v = r.v;
	be_negotiate(&next, BE_RIG_FEATURES | PROTOCOL_BIT, BE_RIG_ACKS);
	be_ok(&next, VHU_SET_INFLIGHT_FD, &set, fd);
	be_memory(&next);
	/* The base is what the front end believes; the area knows better. */
	be_ring_up(&next, 8, 1);
	cr_assert_eq(eventfd_read(next.call, &(eventfd_t){0}), 0);
	be_rig_until(&next.seen->requests, 2);
	until_used(&next, 3);
	cr_assert_eq(vring_used(&next.v, 1, &len), 6);
	cr_assert_eq(vring_used(&next.v, 2, &len), 2);
	be_answered(&next, 3, "third");
	be_request(&next, 0, "fourth");
	be_answered(&next, 4, "fourth");
	cr_assert_eq(be_ring_down(&next), 4);
	(void)close(fd);
	be_rig_end(&next);
}
