/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vhost_user.c: the vhost-user messages in the forms that front ends send. */
#include "wire/vhost_user.h"

#include <criterion/criterion.h>
#include <string.h>

static bool takes_header(uint32_t flags, uint32_t size)
{
	uint8_t bytes[VHU_HEADER_SIZE];
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct vhu_header h;
	struct rd r;

	vhu_header_put(&w, &(struct vhu_header){VHU_GET_FEATURES, flags, size});
	r = rd_over(bytes, sizeof(bytes));
	return vhu_header_get(&r, &h);
}

Test(vhost_user, a_header_of_another_version_and_a_reply_are_refused)
{
	cr_assert(takes_header(VHU_VERSION, 0));
	cr_assert(takes_header(VHU_VERSION | VHU_NEED_REPLY, 0));
	cr_assert_not(takes_header(0, 0));
	cr_assert_not(takes_header(2, 0));
	cr_assert_not(takes_header(3, 0));
	cr_assert_not(takes_header(VHU_VERSION | VHU_REPLY, 0));
}

Test(vhost_user, a_payload_over_the_limit_is_refused)
{
	cr_assert(takes_header(VHU_VERSION, VHU_PAYLOAD_MAX));
	cr_assert_not(takes_header(VHU_VERSION, VHU_PAYLOAD_MAX + 1));
	cr_assert_not(takes_header(VHU_VERSION, UINT32_MAX));
}

/* A memory table that says count, in a payload of size bytes. */
static bool takes_table(uint32_t count, size_t size)
{
	uint8_t bytes[1024] = {0};
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct vhu_set_mem_table_req q;
	struct rd r = rd_over(bytes, size);

	wr_host32(&w, count);
	return vhu_set_mem_table_req_get(&r, &q) && q.regions.count == count;
}

Test(vhost_user, a_memory_table_may_have_unused_rows_as_user_mode_linux_sends_it)
{
	cr_assert(takes_table(1, 40));
	cr_assert(takes_table(1, 72));
	cr_assert(takes_table(1, 8 + 32 * 8));
	cr_assert_not(takes_table(1, 8 + 32 * 9));
	cr_assert_not(takes_table(1, 71));
	cr_assert_not(takes_table(1, 73));
	cr_assert(takes_table(8, 8 + 32 * 8));
	cr_assert_not(takes_table(9, 8 + 32 * 9));
	cr_assert_not(takes_table(UINT32_MAX, 8 + 32 * 8));
	cr_assert(takes_table(0, 8));
}

static bool takes_config(uint32_t offset, uint32_t size)
{
	uint8_t bytes[2 * WT_VCONFIG_MAX] = {0};
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct vhu_get_config_req q;
	struct rd r;

	wr_host32(&w, offset);
	wr_host32(&w, size);
	wr_host32(&w, 0);
	r = rd_over(bytes, w.used + (size <= sizeof(bytes) - w.used ? size : 0));
	return vhu_get_config_req_get(&r, &q);
}

Test(vhost_user, a_configuration_space_has_a_largest_end)
{
	cr_assert(takes_config(0, 0));
	cr_assert(takes_config(0, 4096));
	cr_assert_not(takes_config(0, 4097));
	cr_assert(takes_config(4096, 0));
	cr_assert(takes_config(4092, 4));
	cr_assert_not(takes_config(4093, 4));
	cr_assert_not(takes_config(4097, 0));
	cr_assert_not(takes_config(UINT32_MAX, 2));
	cr_assert_not(takes_config(2, UINT32_MAX));
}

Test(vhost_user, an_inflight_area_comes_with_and_without_its_padding)
{
	uint8_t bytes[32] = {0};
	struct vhu_get_inflight_fd_req q = {
	    .area = {.size = 4096, .offset = 8, .queues = 2, .queue_size = 128, .padded = true}};
	struct vhu_get_inflight_fd_req got;
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct rd r;

	cr_assert(vhu_get_inflight_fd_req_put(&w, &q));
	cr_assert_eq(w.used, 24);
	for (size_t size = 0; size <= sizeof(bytes); size++) {
		r = rd_over(bytes, size);
		cr_assert_eq(vhu_get_inflight_fd_req_get(&r, &got), size == 20 || size == 24);
		if (size != 20 && size != 24)
			continue;
		cr_assert_eq(got.area.padded, size == 24);
		cr_assert_eq(got.area.size, 4096);
		cr_assert_eq(got.area.offset, 8);
		cr_assert_eq(got.area.queues, 2);
		cr_assert_eq(got.area.queue_size, 128);
	}
}

Test(vhost_user, used_stands_before_avail_in_a_ring_s_addresses)
{
	uint64_t words[5] = {0, 1, 2, 3, 4};
	struct vhu_set_vring_addr_req q;
	struct rd r = rd_over(words, sizeof(words));

	cr_assert(vhu_set_vring_addr_req_get(&r, &q));
	cr_assert_eq(q.desc, 1);
	cr_assert_eq(q.used, 2);
	cr_assert_eq(q.avail, 3);
	cr_assert_eq(q.log, 4);
}
