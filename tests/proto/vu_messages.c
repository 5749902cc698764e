/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vu_messages.c: the vhost-user back end, message by message (vhost-user specification). */
#include "tests/lib/be_rig.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

static uint64_t get_u64(struct be_rig *r, uint32_t request)
{
	struct vhu_get_features_rep a;

	be_send(r, request, NULL, NULL, 0, false);
	cr_assert_eq(be_recv(r, request, &a), -1);
	return a.value;
}

Test(vu_messages, what_is_offered)
{
	struct be_rig r;

	be_rig_start(&r);
	cr_assert_eq(get_u64(&r, VHU_GET_FEATURES), BE_RIG_FEATURES | 1u << 26 | 1u << 30);
	cr_assert_eq(get_u64(&r, VHU_GET_PROTOCOL_FEATURES), 0xb22b);
	cr_assert_eq(get_u64(&r, VHU_GET_QUEUE_NUM), BE_RIG_QUEUES);
	cr_assert_eq(get_u64(&r, VHU_GET_MAX_MEM_SLOTS), 64);
	be_rig_end(&r);
}

Test(vu_messages, requests_go_through_a_ring)
{
	struct be_rig r;

	be_rig_start(&r);
	be_up(&r);
	cr_assert_eq(r.seen->features, BE_RIG_FEATURES);
	be_request(&r, 0, "first");
	be_answered(&r, 1, "first");
	be_request(&r, 2, "second");
	be_request(&r, 4, "third");
	be_answered(&r, 3, "third");
	cr_assert_eq(be_ring_down(&r), 3);
	cr_assert_eq(r.seen->stops[0], 1);
	be_rig_end(&r);
}

Test(vu_messages, a_ring_that_stops_waits_for_its_requests)
{
	struct be_rig r;
	struct vhu_get_vring_base_rep a;

	be_rig_start(&r);
	be_up(&r);
	r.seen->hold = true;
	be_request(&r, 0, "held");
	be_rig_until(&r.seen->held, 1);
	be_send(&r, VHU_GET_VRING_BASE, &(struct vhu_get_vring_base_req){.index = 0}, NULL, 0,
	        false);
	be_send(&r, VHU_GET_FEATURES, NULL, NULL, 0, false);
	be_rig_until(&r.seen->stops[0], 1);
	cr_assert(be_is_quiet(&r), "neither this nor what comes after is answered");
	cr_assert_eq(*vring_used_idx(&r.v), 0);
	cr_assert_eq(write(r.release, &(uint64_t){1}, 8), 8);
	cr_assert_eq(be_recv(&r, VHU_GET_VRING_BASE, &a), -1);
	cr_assert_eq(a.value, 1);
	be_answered(&r, 1, "held");
	cr_assert_eq(be_recv(&r, VHU_GET_FEATURES, &(struct vhu_get_features_rep){0}), -1);
	be_rig_end(&r);
}

Test(vu_messages, an_emulator_that_goes_away_leaves_a_device_for_the_next)
{
	struct be_rig r;

	be_rig_listen(&r);
	for (unsigned i = 1; i <= 3; i++) {
		be_rig_connect(&r);
		memset(r.v.memory, 0, 2 * VRING_REGION);
		be_negotiate(&r, BE_RIG_FEATURES | UINT64_C(1) << VHU_F_PROTOCOL_FEATURES,
		             BE_RIG_ACKS);
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

Test(vu_messages, configuration_is_padded_to_what_is_asked_for)
{
	static const uint8_t zeros[WT_VCONFIG_MAX];
	static const struct {
		uint32_t offset, size;
	} asked[] = {{0, 6},   {0, 2},   {2, 4}, {0, 256},  {5, 3},
	             {100, 8}, {255, 1}, {0, 0}, {0, 4084}, {4092, 4}};
	struct be_rig r;

	be_rig_start(&r);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		const struct vhu_get_config_req q = {
		    .config = {.offset = asked[i].offset, .bytes = {zeros, asked[i].size}}};
		struct vhu_get_config_rep a;

		be_send(&r, VHU_GET_CONFIG, &q, NULL, 0, i % 2);
		cr_assert_eq(be_recv(&r, VHU_GET_CONFIG, &a), -1);
		cr_assert_eq(a.config.offset, asked[i].offset);
		cr_assert_eq(a.config.bytes.size, asked[i].size);
		for (uint32_t k = 0; k < asked[i].size; k++)
			cr_assert_eq(a.config.bytes.data[k],
			             asked[i].offset + k < 6 ? "config"[asked[i].offset + k] : 0);
	}
	be_rig_end(&r);
}

Test(vu_messages, a_message_that_makes_no_sense_ends_the_connection)
{
	struct be_rig r;

	be_rig_start(&r);
	be_send_raw(&r, 99, VHU_VERSION, NULL, 0, NULL, 0);
	be_closed(&r, "there is no message 99");
	be_rig_end(&r);
}
