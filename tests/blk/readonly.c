/* SPDX-License-Identifier: GPL-2.0-or-later */
/* readonly.c: a read-only disk, whatever the driver took and sends (rows R3, R4, R5 and R9 of docs/block-requirements.md). */
#include "tests/lib/blk_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static struct blk_rig rig;
static uint8_t before[BLK_SIZE], after[BLK_SIZE];
static struct stat stat_before;

static void begin(uint64_t without)
{
	cr_assert(blk_rig_start(
	    &rig, &(struct blk_opt){.readonly = true, .without = without, .device_only = true}));
	blk_fill(before, sizeof(before), 3);
	blk_rig_write(&rig, 0, before, sizeof(before));
	cr_assert_eq(fstat(rig.fd, &stat_before), 0);
	blk_rig_connect(&rig);
	blk_rig_rings(&rig);
}

static void end(void)
{
	struct stat st;

	blk_rig_read(&rig, 0, after, sizeof(after));
	cr_assert_eq(memcmp(before, after, sizeof(before)), 0, "the image has changed");
	cr_assert_eq(fstat(rig.fd, &st), 0);
	cr_assert_eq(st.st_size, stat_before.st_size);
	cr_assert_eq(memcmp(&st.st_mtim, &stat_before.st_mtim, sizeof(st.st_mtim)), 0);
	cr_assert_eq(memcmp(&st.st_ctim, &stat_before.st_ctim, sizeof(st.st_ctim)), 0);
	blk_rig_end(&rig);
}

static void every_change_is_an_error(void)
{
	static uint8_t data[4096];
	static const uint32_t types[] = {VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_DISCARD,
	                                 VIRTIO_BLK_T_WRITE_ZEROES, 14};
	struct virtio_blk_discard_write_zeroes s = {.sector = 0, .num_sectors = 8};

	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct blk_request q = {.type = types[i], .out = data, .out_size = sizeof(data)};

		if (i > 0) {
			q.out = &s;
			q.out_size = sizeof(s);
		}
		cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_IOERR, "type %u", types[i]);
		/* Before anything is looked at: nonsense is the same error. */
		q.sector = UINT64_MAX;
		q.out_size = 7;
		cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_IOERR, "type %u", types[i]);
	}
	/* Those of zones. */
	for (uint32_t type = 15; type < 32; type++) {
		struct blk_request q = {.type = type, .out = data, .out_size = 16};

		cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_UNSUPP);
	}
}

static void reading_works(void)
{
	uint8_t data[8192];
	char id[20];
	struct blk_request q = {.type = VIRTIO_BLK_T_GET_ID, .in = id, .in_size = sizeof(id)};

	cr_assert_eq(blk_read(&rig, 100, data, sizeof(data)), VIRTIO_BLK_S_OK);
	cr_assert_eq(memcmp(data, before + 100 * 512, sizeof(data)), 0);
	cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
	cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_OK);
}

Test(blk_readonly, R3_R9_a_write_is_an_error_and_the_image_is_as_before)
{
	begin(0);
	reading_works();
	every_change_is_an_error();
	reading_works();
	end();
}

Test(blk_readonly, R4_the_guest_is_told)
{
	begin(0);
	cr_assert(rig.f.offered & BLK_F(RO));
	cr_assert_eq(rig.f.offered & (BLK_F(DISCARD) | BLK_F(WRITE_ZEROES) | BLK_F(CONFIG_WCE)), 0);
	cr_assert_eq(blk_config(&rig).max_discard_sectors, 0);
	cr_assert_eq(blk_config(&rig).max_write_zeroes_sectors, 0);
	end();
}

Test(blk_readonly, R5_whatever_was_negotiated)
{
	begin(BLK_ALL_FEATURES & ~(VU_F_PROTOCOL | VU_F_VERSION_1 | VU_F_INDIRECT_DESC));
	cr_assert_eq(rig.f.features & BLK_F(RO), 0, "the driver took nothing");
	every_change_is_an_error();
	reading_works();
	end();
}

Test(blk_readonly, the_driver_cannot_turn_a_write_cache_on)
{
	uint8_t message[13] = {32, 0, 0, 0, 1, [12] = 1};

	begin(0);
	cr_assert_neq(vu_acked(&rig.f, VU_SET_CONFIG, message, sizeof(message), -1), 0);
	reading_works();
	end();
}
