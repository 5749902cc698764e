/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.c: what the device says of itself: features, its number of queues, and the configuration space with the tag.
 */
#include "tests/lib/vu_rig.h"

#include <criterion/criterion.h>
#include <string.h>

static struct vu_rig rig;

static void start(void)
{
	vu_rig_start(&rig, &(struct vu_rig_opt){.until = VU_RIG_CONNECTED});
}

static void end(void)
{
	vu_rig_end(&rig);
}

TestSuite(config, .init = start, .fini = end, .timeout = 120);

static void expected(const char *tag, uint8_t *bytes)
{
	memset(bytes, 0, VU_CONFIG_MAX);
	bytes[0] = (uint8_t)strlen(tag);
	bytes[1] = (uint8_t)(strlen(tag) >> 8);
	memcpy(bytes + 2, tag, strlen(tag));
}

static void greet(void)
{
	vu_greet(&rig.f, VU_ALL_FEATURES, VU_ALL_PROTOCOL);
}

Test(config, s3_features_that_linux_needs_and_likes)
{
	uint64_t all =
	    VU_F_MOUNT_TAG | VU_F_VERSION_1 | VU_F_INDIRECT_DESC | VU_F_EVENT_IDX | VU_F_PROTOCOL;
	uint64_t offered = vu_get_u64(&rig.f, VU_GET_FEATURES);

	cr_assert_eq(offered & all, all, "offered is %#lx", (unsigned long)offered);
	cr_assert_not(offered & VU_F_IN_ORDER, "replies come in any order");
	cr_assert_not(offered & (1ull << 33), "there is no IOTLB");
}

Test(config, s4_protocol_features)
{
	uint64_t offered = (greet(), rig.f.protocol_offered);
	uint64_t all =
	    VU_P_MQ | VU_P_CONFIG | VU_P_REPLY_ACK | VU_P_BACKEND | VU_P_MEM_SLOTS | VU_P_RESET;

	cr_assert_eq(offered & all, all, "offered is %#lx", (unsigned long)offered);
	cr_assert_not(offered & VU_P_INBAND, "User-Mode Linux would go over to it");
	cr_assert_eq(offered & (1ull << 2 | 1ull << 4 | 1ull << 6 | 1ull << 7 | 1ull << 8 |
	                        1ull << 10 | 1ull << 11),
	             0, "features are offered that the device knows nothing of");
}

Test(config, s3_one_queue)
{
	greet();
	cr_assert_eq(vu_get_u64(&rig.f, VU_GET_QUEUE_NUM), 1);
}

Test(config, s4_memory_slots)
{
	greet();
	cr_assert_geq(vu_get_u64(&rig.f, VU_GET_MAX_MEM_SLOTS), 32);
}

Test(config, s4_any_offset_and_size_within_256_bytes)
{
	uint8_t want[VU_CONFIG_MAX], got[VU_CONFIG_MAX];

	greet();
	expected(VU_RIG_TAG, want);
	for (uint32_t offset = 0; offset < VU_CONFIG_MAX; offset += offset < 12 ? 1 : 37) {
		for (uint32_t size = 1; offset + size <= VU_CONFIG_MAX; size++) {
			cr_assert_eq(vu_get_config(&rig.f, offset, size, got), size);
			cr_assert_eq(memcmp(got, want + offset, size), 0, "offset %u size %u",
			             offset, size);
		}
	}
}

Test(config, s4_linux_reads_the_tag_byte_by_byte)
{
	uint8_t byte, got[VU_CONFIG_MAX];

	greet();
	cr_assert_eq(vu_get_config(&rig.f, 0, 2, got), 2);
	cr_assert_eq(got[0] | got[1] << 8, strlen(VU_RIG_TAG));
	for (uint32_t i = 0; i < strlen(VU_RIG_TAG); i++) {
		cr_assert_eq(vu_get_config(&rig.f, 2 + i, 1, &byte), 1);
		cr_assert_eq(byte, VU_RIG_TAG[i]);
	}
}

Test(config, s4_reads_outside_are_refused_or_end_the_connection)
{
	static const uint32_t ranges[][2] = {{0, 257},        {256, 1},        {1, 256},
	                                     {UINT32_MAX, 1}, {UINT32_MAX, 2}, {4096, 16},
	                                     {0, UINT32_MAX}};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		uint32_t m[1024] = {ranges[i][0], ranges[i][1], 0};
		uint32_t size = ranges[i][1] < 1000 ? ranges[i][1] : 16;
		struct vu_head head;

		greet();
		cr_assert(vu_send(&rig.f, VU_GET_CONFIG, 0, m, VU_CONFIG_HEAD + size, -1));
		/* An error is a payload of no bytes; QEMU and UML take no other length than the one asked for. */
		if (vu_recv(&rig.f, &head, m)) {
			cr_assert_eq(head.request, VU_GET_CONFIG);
			cr_assert(head.size == 0 || head.size == VU_CONFIG_HEAD + size,
			          "%u bytes at %u: a payload of %u", ranges[i][1], ranges[i][0],
			          head.size);
		}
		vu_rig_down(&rig);
		vu_rig_up(&rig, VU_RIG_CONNECTED);
	}
}

Test(config, s4_writes_change_nothing)
{
	struct {
		uint32_t offset, size, flags;
		uint8_t bytes[8];
	} m = {0, 8, 0, {1, 1, 'x', 'x', 'x', 'x', 'x', 'x'}};
	uint8_t want[VU_CONFIG_MAX], got[VU_CONFIG_MAX];

	greet();
	(void)vu_send(&rig.f, VU_SET_CONFIG, 0, &m, sizeof(m), -1);
	if (!vu_answers(&rig.f)) {
		vu_rig_down(&rig);
		vu_rig_up(&rig, VU_RIG_CONNECTED);
		greet();
	}
	expected(VU_RIG_TAG, want);
	cr_assert_eq(vu_get_config(&rig.f, 0, 64, got), 64);
	cr_assert_eq(memcmp(got, want, 64), 0);
}

Test(config, s3_tags_of_other_lengths)
{
	static const char *const tags[] = {"a", "a-tag-of-thirty-one-characters-",
	                                   "a tag with spaces, and of thirty-nine bytes"};

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		uint8_t want[VU_CONFIG_MAX], got[VU_CONFIG_MAX];

		vu_rig_end(&rig);
		vu_rig_start(&rig, &(struct vu_rig_opt){.until = VU_RIG_CONNECTED, .tag = tags[i]});
		greet();
		expected(tags[i], want);
		cr_assert_eq(vu_get_config(&rig.f, 0, VU_CONFIG_MAX, got), VU_CONFIG_MAX);
		cr_assert_eq(memcmp(got, want, VU_CONFIG_MAX), 0, "%s", tags[i]);
	}
}
