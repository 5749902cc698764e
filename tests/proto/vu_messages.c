/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vu_messages.c: the vhost-user back end, message by message (vhost-user specification). */
#include "tests/lib/be_rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROTOCOL_BIT (UINT64_C(1) << VHU_F_PROTOCOL_FEATURES)

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

/* ---- acknowledgements ---- */

Test(vu_messages, nothing_is_acknowledged_that_was_not_asked_for_or_not_negotiated)
{
	const struct vhu_set_vring_num_req num = {.value = 8};
	struct be_rig r;

	be_rig_start(&r);
	be_send(&r, VHU_SET_VRING_NUM, &num, NULL, 0, true);
	cr_assert(be_is_quiet(&r));
	be_send(&r, VHU_SET_OWNER, NULL, NULL, 0, true);
	cr_assert(be_is_quiet(&r));
	be_negotiate(&r, BE_RIG_FEATURES, BE_RIG_ACKS);
	be_send(&r, VHU_SET_VRING_NUM, &num, NULL, 0, false);
	cr_assert(be_is_quiet(&r));
	be_ok(&r, VHU_SET_VRING_NUM, &num, -1);
	be_ok(&r, VHU_SET_OWNER, NULL, -1);
	be_ok(&r, VHU_RESET_OWNER, NULL, -1);
	be_rig_end(&r);
}

Test(vu_messages, the_message_that_negotiates_acknowledgements_is_acknowledged)
{
	const struct vhu_set_protocol_features_req p = {.value = BE_RIG_ACKS};
	struct be_rig r;

	be_rig_start(&r);
	be_ok(&r, VHU_SET_PROTOCOL_FEATURES, &p, -1);
	be_rig_end(&r);
}

Test(vu_messages, an_answer_of_its_own_is_the_only_one)
{
	struct vhu_get_features_rep a;
	struct be_rig r;

	be_rig_start(&r);
	be_negotiate(&r, BE_RIG_FEATURES, BE_RIG_ACKS);
	be_send(&r, VHU_GET_FEATURES, NULL, NULL, 0, true);
	cr_assert_eq(be_recv(&r, VHU_GET_FEATURES, &a), -1);
	cr_assert(be_is_quiet(&r));
	be_rig_end(&r);
}

/* Refused where an acknowledgement was asked for, else the end. */
static void cannot(uint32_t request, const void *fields, bool with_fd, const char *why)
{
	struct be_rig r;

	be_rig_start(&r);
	be_negotiate(&r, BE_RIG_FEATURES | PROTOCOL_BIT, BE_RIG_ACKS);
	be_refused(&r, request, fields, with_fd ? r.kick : -1);
	cr_assert(strstr(be_rig_log(&r), " is refused: "));
	be_ok(&r, VHU_SET_OWNER, NULL, -1);
	be_send(&r, request, fields, &r.kick, with_fd, false);
	be_closed(&r, why);
	be_rig_end(&r);
}

Test(vu_messages, features_that_are_not_offered)
{
	cannot(VHU_SET_FEATURES, &(struct vhu_set_features_req){.value = 2}, false,
	       "set_features failed: EOPNOTSUPP");
}

Test(vu_messages, protocol_features_that_are_not_offered)
{
	cannot(VHU_SET_PROTOCOL_FEATURES, &(struct vhu_set_protocol_features_req){.value = 1 << 14},
	       false, "set_protocol_features failed: EOPNOTSUPP");
}

Test(vu_messages, a_ring_of_no_descriptors)
{
	cannot(VHU_SET_VRING_NUM, &(struct vhu_set_vring_num_req){.value = 0}, false,
	       "set_vring_num failed: EINVAL");
}

Test(vu_messages, a_ring_that_is_too_large)
{
	cannot(VHU_SET_VRING_NUM, &(struct vhu_set_vring_num_req){.value = BE_RIG_QUEUE_SIZE + 1},
	       false, "set_vring_num failed: EINVAL");
}

Test(vu_messages, memory_that_is_no_file)
{
	cannot(VHU_ADD_MEM_REG, &(struct vhu_add_mem_reg_req){.region = {0, 4096, 0, 0}}, true,
	       "add_mem_reg failed: EINVAL");
}

Test(vu_messages, removing_a_region_that_is_not_there)
{
	cannot(VHU_REM_MEM_REG, &(struct vhu_rem_mem_reg_req){.region = {0, 4096, 0, 0}}, false,
	       "rem_mem_reg failed: ENOENT");
}

Test(vu_messages, an_inflight_area_that_is_too_small)
{
	cannot(
	    VHU_SET_INFLIGHT_FD,
	    &(struct vhu_set_inflight_fd_req){.area = {.size = 64, .queues = 1, .queue_size = 128}},
	    true, "set_inflight_fd failed: EINVAL");
}

Test(vu_messages, configuration_that_cannot_be_written)
{
	cannot(VHU_SET_CONFIG,
	       &(struct vhu_set_config_req){
	           .config = {.offset = 0, .bytes = {(const uint8_t *)"x", 1}}},
	       false, "set_config failed: EINVAL");
}

/* ---- what makes no sense ---- */

static void nonsense(uint32_t request, uint32_t flags, const void *payload, uint32_t size,
                     bool with_fd, const char *why)
{
	struct be_rig r;

	be_rig_start(&r);
	be_negotiate(&r, BE_RIG_FEATURES | PROTOCOL_BIT, BE_RIG_ACKS);
	be_send_raw(&r, request, flags, payload, size, &r.kick, with_fd);
	be_closed(&r, why);
	be_rig_end(&r);
}

static const uint8_t zeros[8000];

Test(vu_messages, a_message_that_there_is_not)
{
	nonsense(99, VHU_VERSION | VHU_NEED_REPLY, NULL, 0, false, "there is no message 99");
}

Test(vu_messages, message_zero)
{
	nonsense(0, VHU_VERSION, NULL, 0, false, "there is no message 0");
}

Test(vu_messages, a_header_of_another_version)
{
	nonsense(VHU_GET_FEATURES, 2, NULL, 0, false, "a message has a header that cannot be");
}

Test(vu_messages, a_reply)
{
	nonsense(VHU_GET_FEATURES, VHU_VERSION | VHU_REPLY, NULL, 0, false,
	         "a message has a header that cannot be");
}

Test(vu_messages, a_payload_that_is_too_long_for_any)
{
	nonsense(VHU_GET_FEATURES, VHU_VERSION, zeros, VHU_PAYLOAD_MAX + 1, false,
	         "a message has a header that cannot be");
}

Test(vu_messages, a_payload_that_is_too_long_for_its_message)
{
	nonsense(VHU_SET_FEATURES, VHU_VERSION, zeros, 9, false,
	         "set_features has a payload that it cannot have");
}

Test(vu_messages, a_payload_that_is_too_short)
{
	nonsense(VHU_SET_VRING_NUM, VHU_VERSION, zeros, 7, false,
	         "set_vring_num has a payload that it cannot have");
}

Test(vu_messages, a_memory_table_with_too_many_regions)
{
	uint8_t table[8 + 32 * 9] = {9};

	nonsense(VHU_SET_MEM_TABLE, VHU_VERSION, table, sizeof(table), true,
	         "set_mem_table has a payload that it cannot have");
}

Test(vu_messages, a_memory_table_with_fewer_descriptors_than_regions)
{
	uint8_t table[8 + 32 * 2] = {2};

	nonsense(VHU_SET_MEM_TABLE, VHU_VERSION, table, sizeof(table), true,
	         "set_mem_table comes without its descriptor");
}

Test(vu_messages, a_kick_without_its_descriptor)
{
	nonsense(VHU_SET_VRING_KICK, VHU_VERSION, zeros, 8, false,
	         "set_vring_kick comes without its descriptor");
}

Test(vu_messages, a_region_without_its_descriptor)
{
	nonsense(VHU_ADD_MEM_REG, VHU_VERSION, zeros, 40, false,
	         "add_mem_reg comes without its descriptor");
}

Test(vu_messages, a_ring_that_does_not_exist)
{
	const uint32_t state[2] = {BE_RIG_QUEUES, 1};

	nonsense(VHU_SET_VRING_ENABLE, VHU_VERSION, state, sizeof(state), false,
	         "set_vring_enable is for a ring that does not exist");
	nonsense(VHU_GET_VRING_BASE, VHU_VERSION, state, sizeof(state), false,
	         "get_vring_base is for a ring that does not exist");
}

Test(vu_messages, a_kick_of_a_ring_that_does_not_exist)
{
	const uint64_t value = BE_RIG_QUEUES, last = 0xff | VHU_VRING_NO_FD;

	nonsense(VHU_SET_VRING_CALL, VHU_VERSION, &value, sizeof(value), true,
	         "set_vring_call is for a ring that does not exist");
	nonsense(VHU_SET_VRING_KICK, VHU_VERSION, &last, sizeof(last), false,
	         "set_vring_kick is for a ring that does not exist");
}

Test(vu_messages, an_end_within_a_message)
{
	struct be_rig r;

	be_rig_start(&r);
	cr_assert_eq(write(r.sock, "\1\0\0\0\1", 5), 5);
	be_rig_end(&r);
	be_rig_start(&r);
	cr_assert_eq(write(r.sock, "\1\0\0\0\1", 5), 5);
	cr_assert_eq(shutdown(r.sock, SHUT_WR), 0);
	be_closed(&r, "it ends within a message");
	be_rig_end(&r);
}

/* ---- bytes and descriptors as they come ---- */

Test(vu_messages, a_message_may_come_byte_by_byte_and_many_at_once)
{
	uint8_t bytes[4 * (VHU_HEADER_SIZE + 8)];
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct vhu_get_features_rep a;
	struct be_rig r;

	be_rig_start(&r);
	for (unsigned i = 0; i < 2; i++) {
		vhu_header_put(&w, &(struct vhu_header){VHU_GET_FEATURES, VHU_VERSION, 0});
		vhu_header_put(&w, &(struct vhu_header){VHU_SET_FEATURES, VHU_VERSION, 8});
		wr_host64(&w, 1);
	}
	for (size_t i = 0; i < w.used; i++) {
		cr_assert_eq(write(r.sock, bytes + i, 1), 1);
		(void)usleep(1000);
	}
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(be_recv(&r, VHU_GET_FEATURES, &a), -1);
	cr_assert(be_is_quiet(&r));
	cr_assert_eq(write(r.sock, bytes, w.used), (ssize_t)w.used);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(be_recv(&r, VHU_GET_FEATURES, &a), -1);
	be_rig_end(&r);
}

/* That none is left is for the device's own end to say (be_rig.c). */
Test(vu_messages, descriptors_that_nobody_asked_for_are_closed)
{
	struct be_rig r;
	int many[40];

	be_rig_start(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = r.kick;
	be_negotiate(&r, BE_RIG_FEATURES | PROTOCOL_BIT, BE_RIG_ACKS);
	be_send(&r, VHU_GET_FEATURES, NULL, many, 1, false);
	cr_assert_eq(be_recv(&r, VHU_GET_FEATURES, &(struct vhu_get_features_rep){0}), -1);
	be_send(&r, VHU_SET_OWNER, NULL, many, ARRAY_SIZE(many), true);
	cr_assert_eq(be_ack(&r, VHU_SET_OWNER), 0);
	be_send(&r, VHU_SET_VRING_CALL, &(struct vhu_set_vring_call_req){.value = 1}, many, 3,
	        true);
	cr_assert_eq(be_ack(&r, VHU_SET_VRING_CALL), 0);
	be_send(&r, VHU_SET_VRING_CALL,
	        &(struct vhu_set_vring_call_req){.value = 1 | VHU_VRING_NO_FD}, many, 3, true);
	cr_assert_eq(be_ack(&r, VHU_SET_VRING_CALL), 0);
	be_send(&r, VHU_SET_BACKEND_REQ_FD, NULL, many, 8, true);
	cr_assert_eq(be_ack(&r, VHU_SET_BACKEND_REQ_FD), 0);
	be_send(&r, VHU_SET_LOG_FD, NULL, many, 2, true);
	cr_assert_eq(be_ack(&r, VHU_SET_LOG_FD), 0);
	be_send_raw(&r, VHU_SET_VRING_NUM, VHU_VERSION, NULL, 0, many, ARRAY_SIZE(many));
	be_closed(&r, "set_vring_num has a payload that it cannot have");
	be_rig_end(&r);
}

Test(vu_messages, a_front_end_that_reads_no_replies_is_waited_for)
{
	struct be_rig r;
	struct vhu_get_features_rep a;
	unsigned sent = 0;
	uint8_t bytes[VHU_HEADER_SIZE];
	struct wr w = wr_over(bytes, sizeof(bytes));

	be_rig_start(&r);
	vhu_header_put(&w, &(struct vhu_header){VHU_GET_FEATURES, VHU_VERSION, 0});
	while (send(r.sock, bytes, sizeof(bytes), MSG_DONTWAIT) == sizeof(bytes))
		sent++;
	(void)usleep(100000);
	while (send(r.sock, bytes, sizeof(bytes), MSG_DONTWAIT) == sizeof(bytes))
		sent++;
	cr_assert_gt(sent, 100);
	for (unsigned i = 0; i < sent; i++)
		cr_assert_eq(be_recv(&r, VHU_GET_FEATURES, &a), -1);
	cr_assert(be_is_quiet(&r));
	be_rig_end(&r);
}

/* ---- configuration ---- */

Test(vu_messages, configuration_is_padded_to_what_is_asked_for)
{
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

Test(vu_messages, configuration_that_can_be_written_is_told_back)
{
	const struct vhu_set_config_req w = {
	    .config = {.offset = 5, .bytes = {(const uint8_t *)"X", 1}}};
	const struct vhu_get_config_req q = {.config = {.offset = 0, .bytes = {zeros, 6}}};
	struct vhu_get_config_rep a;
	struct be_rig r;

	be_rig_start(&r);
	be_negotiate(&r, BE_RIG_FEATURES | PROTOCOL_BIT, BE_RIG_ACKS);
	be_ok(&r, VHU_SET_CONFIG, &w, -1);
	be_send(&r, VHU_GET_CONFIG, &q, NULL, 0, false);
	(void)be_recv(&r, VHU_GET_CONFIG, &a);
	cr_assert_eq(memcmp(a.config.bytes.data, "confiX", 6), 0);
	be_rig_end(&r);
}

Test(vu_messages, a_change_of_configuration_is_told_on_the_back_end_s_socket)
{
	int pair[2];
	uint32_t head[3];
	struct be_rig r;

	be_rig_start(&r);
	be_negotiate(&r, BE_RIG_FEATURES | PROTOCOL_BIT,
	             BE_RIG_ACKS | 1u << VHU_P_CONFIG | 1u << VHU_P_BACKEND_REQ);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	be_ok(&r, VHU_SET_BACKEND_REQ_FD, NULL, pair[1]);
	(void)close(pair[1]);
	r.seen->config_changes = 1;
	cr_assert_eq(write(r.release, &(uint64_t){1}, 8), 8);
	cr_assert_eq(recv(pair[0], head, sizeof(head), 0), sizeof(head));
	cr_assert_eq(head[0], 2);
	cr_assert_eq(head[1], VHU_VERSION);
	cr_assert_eq(head[2], 0);
	/* Nobody reads, and then nobody is there: no harm. */
	r.seen->config_changes = 100000;
	cr_assert_eq(write(r.release, &(uint64_t){1}, 8), 8);
	be_rig_until(&r.seen->config_changes, 0);
	(void)close(pair[0]);
	r.seen->config_changes = 2;
	cr_assert_eq(write(r.release, &(uint64_t){1}, 8), 8);
	be_rig_until(&r.seen->config_changes, 0);
	be_ok(&r, VHU_SET_OWNER, NULL, -1);
	be_rig_end(&r);
}
