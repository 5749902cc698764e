/* SPDX-License-Identifier: GPL-2.0-or-later */
/* requests.c: what each request does, however its buffers are cut, on each kind of cache. */
#include "tests/lib/blk_rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct blk_rig rig;

static void begin(const struct blk_opt *o)
{
	if (!blk_rig_start(&rig, o))
		cr_skip("%s", rig.o.fs_skip);
}

static void end(void)
{
	blk_rig_end(&rig);
}

/* ---- reading and writing ---- */

Test(blk_requests, what_is_written_is_in_the_image_and_is_read)
{
	static uint8_t there[65536], back[65536], image[65536];

	begin(NULL);
	blk_fill(there, sizeof(there), 1);
	cr_assert_eq(blk_write(&rig, 8, there, sizeof(there)), VIRTIO_BLK_S_OK);
	blk_rig_read(&rig, 8 * 512, image, sizeof(image));
	cr_assert_eq(memcmp(there, image, sizeof(image)), 0);
	cr_assert_eq(blk_read(&rig, 8, back, sizeof(back)), VIRTIO_BLK_S_OK);
	cr_assert_eq(memcmp(there, back, sizeof(back)), 0);
	end();
}

Test(blk_requests, buffers_may_be_cut_anyhow)
{
	static const uint32_t pieces[] = {0, 1, 3, 7, 15, 16, 17, 100, 511, 512, 513, 1000};
	uint8_t there[1536], back[1536];

	begin(&(struct blk_opt){.ring_size = 128});
	for (unsigned o = 0; o < sizeof(pieces) / sizeof(pieces[0]); o++) {
		for (unsigned i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			struct blk_request w = {.type = VIRTIO_BLK_T_OUT,
			                        .sector = 3,
			                        .out = there,
			                        .out_size = sizeof(there),
			                        .out_piece = pieces[o],
			                        .out_odd = o,
			                        .indirect = true};
			struct blk_request q = {.type = VIRTIO_BLK_T_IN,
			                        .sector = 3,
			                        .in = back,
			                        .in_size = sizeof(back),
			                        .in_piece = pieces[i],
			                        .out_piece = pieces[o],
			                        .in_odd = i,
			                        .indirect = true};

			/* A chain has at most 1024 descriptors. */
			if (pieces[o] == 1 || pieces[i] == 1)
				w.out_size = q.in_size = 512;
			blk_fill(there, sizeof(there), o * 100 + i);
			memset(back, 0, sizeof(back));
			cr_assert_eq(blk_do(&rig, &w), VIRTIO_BLK_S_OK);
			cr_assert_eq(w.used_size, 1);
			cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_OK);
			cr_assert_eq(q.used_size, q.in_size + 1);
			cr_assert_eq(memcmp(there, back, q.in_size), 0, "pieces of %u and %u",
			             pieces[o], pieces[i]);
		}
	}
	end();
}

static void refused(uint32_t type, uint64_t sector, uint32_t size)
{
	static uint8_t data[131072];
	struct blk_request q = {.type = type, .sector = sector};

	if (type == VIRTIO_BLK_T_IN) {
		q.in = data;
		q.in_size = size;
	} else {
		q.out = data;
		q.out_size = size;
	}
	cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_IOERR, "type %u sector %llu size %u", type,
	             (unsigned long long)sector, size);
	cr_assert_eq(q.used_size, type == VIRTIO_BLK_T_IN ? 0 : 1);
}

Test(blk_requests, nothing_beyond_the_end_is_read_or_written)
{
	const uint64_t end_sector = BLK_SIZE / 512;
	uint8_t data[512] = {1};
	struct stat st;

	begin(NULL);
	for (uint32_t type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++) {
		refused(type, end_sector, 512);
		refused(type, end_sector - 1, 1024);
		refused(type, end_sector + 1, 512);
		refused(type, UINT64_MAX, 512);
		refused(type, UINT64_MAX / 512, 512);
		refused(type, UINT64_MAX / 512 + 1, 512);
		refused(type, 1ull << 63, 1024);
		refused(type, 0, 511);
		refused(type, 0, 513);
		refused(type, 0, 1);
	}
	cr_assert_eq(blk_write(&rig, end_sector - 1, data, 512), VIRTIO_BLK_S_OK);
	cr_assert_eq(blk_read(&rig, end_sector - 1, data, 512), VIRTIO_BLK_S_OK);
	cr_assert_eq(blk_read(&rig, end_sector, data, 0), VIRTIO_BLK_S_OK, "nothing of nothing");
	cr_assert_eq(fstat(rig.fd, &st), 0);
	cr_assert_eq((uint64_t)st.st_size, BLK_SIZE, "the image has grown");
	end();
}

Test(blk_requests, data_in_the_wrong_direction_is_an_error)
{
	uint8_t data[512] = {0}, back[512];
	struct blk_request in = {
	    .type = VIRTIO_BLK_T_IN, .out = data, .out_size = 512, .in = back, .in_size = 512};
	struct blk_request out = {
	    .type = VIRTIO_BLK_T_OUT, .out = data, .out_size = 512, .in = back, .in_size = 512};
	struct blk_request zeroes = {.type = VIRTIO_BLK_T_WRITE_ZEROES,
	                             .out = data,
	                             .out_size = 16,
	                             .in = back,
	                             .in_size = 16};

	begin(NULL);
	cr_assert_eq(blk_do(&rig, &in), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(blk_do(&rig, &out), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(blk_do(&rig, &zeroes), VIRTIO_BLK_S_IOERR);
	cr_assert(blk_serves(&rig));
	end();
}

Test(blk_requests, a_file_that_was_cut_short_is_an_error_and_no_more)
{
	uint8_t data[4096];

	begin(NULL);
	cr_assert_eq(ftruncate(rig.fd, 65536 + 512), 0);
	cr_assert_eq(blk_read(&rig, 128, data, 1024), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(blk_read(&rig, 256, data, 512), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(blk_read(&rig, 128, data, 512), VIRTIO_BLK_S_OK);
	end();
}

/* There the kernel sends SIGXFSZ besides the error. */
Test(blk_requests, past_the_limit_of_the_devices_files_is_an_error_and_no_more)
{
	const struct rlimit small = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
	static const uint8_t data[4096];

	begin(NULL);
	cr_assert_eq(prlimit(rig.device, RLIMIT_FSIZE, &small, NULL), 0);
	cr_assert_eq(blk_write(&rig, 4096, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(blk_write(&rig, 2048 - 1, data, 1024), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(blk_write(&rig, 2048 - 1, data, 512), VIRTIO_BLK_S_OK);
	cr_assert(blk_serves(&rig));
	end();
}

/* ---- the others ---- */

Test(blk_requests, get_id_answers_the_serial_number)
{
	char id[64];
	struct blk_request q = {
	    .type = VIRTIO_BLK_T_GET_ID, .in = id, .in_size = VIRTIO_BLK_ID_BYTES};

	begin(&(struct blk_opt){.more = ",serial=twenty-bytes-long-xx"});
	cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_OK);
	cr_assert_eq(q.used_size, VIRTIO_BLK_ID_BYTES + 1);
	cr_assert_eq(memcmp(id, "twenty-bytes-long-xx", 20), 0);
	q.in_size = 5;
	cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_OK);
	cr_assert_eq(memcmp(id, "twent", 5), 0);
	q.in_size = 64;
	memset(id, 0, sizeof(id));
	cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_OK);
	cr_assert_eq(q.used_size, VIRTIO_BLK_ID_BYTES);
	cr_assert_eq((uint8_t)id[20], BLK_UNTOUCHED);
	end();
}

Test(blk_requests, without_a_serial_number_get_id_answers_the_id)
{
	char id[VIRTIO_BLK_ID_BYTES];
	struct blk_request q = {.type = VIRTIO_BLK_T_GET_ID, .in = id, .in_size = sizeof(id)};

	begin(NULL);
	cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_OK);
	cr_assert_eq(memcmp(id, "d0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20), 0);
	end();
}

Test(blk_requests, what_no_disk_does_is_unsupported)
{
	static const uint32_t types[] = {2,  3,  5,  6,  7,  9,  10,         12,
	                                 14, 15, 16, 17, 18, 26, 0x80000000, UINT32_MAX};
	uint8_t data[512];

	begin(NULL);
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct blk_request q = {.type = types[i], .in = data, .in_size = 512};

		cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_UNSUPP, "type %u", types[i]);
	}
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_UNSUPP,
	             "discard is off unless asked for");
	end();
}

static uint64_t blocks_of_image(void)
{
	struct stat st;

	cr_assert_eq(fstat(rig.fd, &st), 0);
	return (uint64_t)st.st_blocks;
}

static bool is_zero(uint64_t offset, size_t size)
{
	static uint8_t bytes[1 << 20];

	blk_rig_read(&rig, offset, bytes, size);
	for (size_t i = 0; i < size; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

Test(blk_requests, discard_gives_the_place_back)
{
	static uint8_t data[131072];
	uint64_t before;

	begin(&(struct blk_opt){.more = ",discard=on"});
	blk_fill(data, sizeof(data), 1);
	cr_assert_eq(blk_write(&rig, 0, data, sizeof(data)), VIRTIO_BLK_S_OK);
	cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
	before = blocks_of_image();
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_DISCARD, 8, 128, 0), VIRTIO_BLK_S_OK);
	cr_assert_lt(blocks_of_image(), before);
	cr_assert(is_zero(8 * 512, 128 * 512));
	cr_assert_not(is_zero(136 * 512, 512));
	cr_assert_not(is_zero(0, 8 * 512));
	end();
}

Test(blk_requests, zeroes_are_written_and_give_their_place_back_only_if_both_want_it)
{
	static uint8_t data[131072];
	uint64_t before;

	begin(&(struct blk_opt){.more = ",discard=on"});
	blk_fill(data, sizeof(data), 1);
	for (uint32_t unmap = 0; unmap <= 1; unmap++) {
		cr_assert_eq(blk_write(&rig, 0, data, sizeof(data)), VIRTIO_BLK_S_OK);
		before = blocks_of_image();
		cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 8, 100, unmap),
		             VIRTIO_BLK_S_OK);
		cr_assert(is_zero(8 * 512, 100 * 512));
		cr_assert_not(is_zero(108 * 512, 512));
		cr_assert_not(is_zero(0, 8 * 512));
		cr_assert_eq(blocks_of_image() < before, unmap == 1);
	}
	end();
}

Test(blk_requests, without_discard_no_place_is_given_back)
{
	static uint8_t data[131072];
	uint64_t before;

	begin(NULL);
	cr_assert_eq(blk_config(&rig).write_zeroes_may_unmap, 0);
	blk_fill(data, sizeof(data), 1);
	cr_assert_eq(blk_write(&rig, 0, data, sizeof(data)), VIRTIO_BLK_S_OK);
	before = blocks_of_image();
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 256, 1), VIRTIO_BLK_S_OK);
	cr_assert(is_zero(0, 131072));
	cr_assert_eq(blocks_of_image(), before);
	end();
}

static void segments_get(unsigned count, const struct virtio_blk_discard_write_zeroes *s,
                         uint32_t less, uint8_t status)
{
	struct blk_request q = {.type = VIRTIO_BLK_T_WRITE_ZEROES,
	                        .out = s,
	                        .out_size = (uint32_t)(count * sizeof(*s)),
	                        .out_less = less};

	cr_assert_eq(blk_do(&rig, &q), status, "%u segments less %u bytes", count, less);
}

Test(blk_requests, segments_are_all_good_or_nothing_is_done)
{
	struct virtio_blk_discard_write_zeroes s[17] = {{0}};
	uint8_t data[4096];

	begin(NULL);
	blk_fill(data, sizeof(data), 1);
	cr_assert_eq(blk_write(&rig, 0, data, sizeof(data)), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 17; i++)
		s[i] = (struct virtio_blk_discard_write_zeroes){.sector = 0, .num_sectors = 1};
	segments_get(0, s, 0, VIRTIO_BLK_S_IOERR);
	segments_get(17, s, 0, VIRTIO_BLK_S_IOERR);
	for (uint32_t less = 1; less < 16; less++)
		segments_get(2, s, less, VIRTIO_BLK_S_IOERR);
	s[1].sector = BLK_SIZE / 512;
	segments_get(2, s, 0, VIRTIO_BLK_S_IOERR);
	s[1].sector = UINT64_MAX;
	segments_get(2, s, 0, VIRTIO_BLK_S_IOERR);
	s[1] = (struct virtio_blk_discard_write_zeroes){.sector = 1, .num_sectors = UINT32_MAX};
	segments_get(2, s, 0, VIRTIO_BLK_S_IOERR);
	s[1] = (struct virtio_blk_discard_write_zeroes){.sector = 1, .num_sectors = 1, .flags = 2};
	segments_get(2, s, 0, VIRTIO_BLK_S_UNSUPP);
	cr_assert_not(is_zero(0, 512), "the first segment was done, though the second is bad");
	s[1] = (struct virtio_blk_discard_write_zeroes){.sector = 2, .num_sectors = 0};
	s[2] = (struct virtio_blk_discard_write_zeroes){.sector = 4, .num_sectors = 1};
	segments_get(3, s, 0, VIRTIO_BLK_S_OK);
	cr_assert(is_zero(0, 512));
	cr_assert_not(is_zero(512, 512));
	cr_assert(is_zero(2048, 512));
	end();
}

Test(blk_requests, a_discard_with_the_flag_of_zeroes_is_unsupported)
{
	begin(&(struct blk_opt){.more = ",discard=on"});
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_DISCARD, 0, 8, 1), VIRTIO_BLK_S_UNSUPP);
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_OK);
	end();
}

Test(blk_requests, what_the_driver_did_not_take_it_does_not_get)
{
	begin(&(struct blk_opt){.more = ",discard=on",
	                        .without = BLK_F(DISCARD) | BLK_F(WRITE_ZEROES)});
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	cr_assert(blk_serves(&rig));
	end();
}

/* ---- against a copy of the disk ---- */

#define MODEL_SIZE (2u << 20)
#define STEPS      600

static uint8_t model[MODEL_SIZE];
static uint64_t state = 42;

static uint32_t any(uint32_t below)
{
	return (uint32_t)(blk_random(&state) % below);
}

static void model_write(uint32_t sector, uint32_t sectors)
{
	static uint8_t data[131072];
	struct blk_request q = {.type = VIRTIO_BLK_T_OUT,
	                        .sector = sector,
	                        .out = data,
	                        .out_size = sectors * 512,
	                        .out_odd = any(3) ? 0 : any(512),
	                        .out_piece = any(2) ? 0 : 512 + any(2000),
	                        .indirect = true};

	blk_fill(data, q.out_size, any(1u << 30));
	cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_OK);
	memcpy(model + sector * 512, data, q.out_size);
}

static void model_read(uint32_t sector, uint32_t sectors)
{
	static uint8_t data[131072];
	struct blk_request q = {.type = VIRTIO_BLK_T_IN,
	                        .sector = sector,
	                        .in = data,
	                        .in_size = sectors * 512,
	                        .in_odd = any(3) ? 0 : any(512),
	                        .in_piece = any(2) ? 0 : 512 + any(2000),
	                        .indirect = true};

	cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_OK);
	cr_assert_eq(memcmp(data, model + sector * 512, q.in_size), 0, "%u sectors at %u", sectors,
	             sector);
}

static void model_step(void)
{
	uint32_t unit = blk_config(&rig).blk_size / 512;
	uint32_t sectors = (1 + any(250 / unit)) * unit,
	         sector = any((MODEL_SIZE / 512 - sectors) / unit) * unit;

	switch (any(8)) {
	case 0:
		cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_WRITE_ZEROES, sector, sectors, any(2)),
		             VIRTIO_BLK_S_OK);
		memset(model + sector * 512, 0, sectors * 512);
		break;
	case 1:
		cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_DISCARD, sector, sectors, 0),
		             VIRTIO_BLK_S_OK);
		memset(model + sector * 512, 0, sectors * 512);
		break;
	case 2:
		cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
		break;
	case 3:
	case 4:
		model_read(sector, sectors);
		break;
	default:
		model_write(sector, sectors);
	}
}

static void is_as_its_model(const struct blk_opt *o)
{
	static uint8_t image[MODEL_SIZE];

	begin(o);
	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < STEPS; i++)
		model_step();
	blk_rig_read(&rig, 0, image, sizeof(image));
	cr_assert_eq(memcmp(image, model, sizeof(image)), 0);
	end();
}

Test(blk_requests, in_memory_the_image_is_as_its_model)
{
	is_as_its_model(&(struct blk_opt){.size = MODEL_SIZE, .more = ",discard=on"});
}

Test(blk_requests, by_the_page_cache_the_image_is_as_its_model)
{
	is_as_its_model(
	    &(struct blk_opt){.size = MODEL_SIZE, .place = "/var/tmp", .more = ",discard=on"});
}

Test(blk_requests, without_the_page_cache_the_image_is_as_its_model)
{
	is_as_its_model(&(struct blk_opt){.size = MODEL_SIZE,
	                                  .place = "/var/tmp",
	                                  .flags = O_DIRECT,
	                                  .more = ",discard=on,cache=none"});
}

Test(blk_requests, written_through_the_image_is_as_its_model)
{
	is_as_its_model(&(struct blk_opt){.size = MODEL_SIZE,
	                                  .place = "/var/tmp",
	                                  .flags = O_DSYNC,
	                                  .more = ",discard=on,cache=writethrough"});
}

Test(blk_requests, without_the_page_cache_memory_may_be_at_odd_addresses)
{
	uint8_t there[8192], back[8192];

	begin(&(struct blk_opt){.place = "/var/tmp", .flags = O_DIRECT, .more = ",cache=none"});
	for (uint32_t odd = 1; odd < 512; odd += 51) {
		uint32_t unit = blk_config(&rig).blk_size;
		struct blk_request w = {.type = VIRTIO_BLK_T_OUT,
		                        .sector = 8,
		                        .out = there,
		                        .out_size = unit,
		                        .out_odd = odd};
		struct blk_request q = {.type = VIRTIO_BLK_T_IN,
		                        .sector = 8,
		                        .in = back,
		                        .in_size = unit,
		                        .in_odd = 512 - odd};

		cr_assert_leq(unit, sizeof(there));
		blk_fill(there, unit, odd);
		cr_assert_eq(blk_do(&rig, &w), VIRTIO_BLK_S_OK);
		cr_assert_eq(blk_do(&rig, &q), VIRTIO_BLK_S_OK);
		cr_assert_eq(memcmp(there, back, unit), 0);
	}
	end();
}

/* ---- many at once ---- */

Test(blk_requests, queues_work_beside_each_other)
{
	static uint8_t there[BLK_SLOTS][4096], back[BLK_SLOTS][4096];
	static struct blk_request q[BLK_SLOTS];

	begin(&(struct blk_opt){.queues = BLK_QUEUES});
	for (unsigned way = 0; way < 2; way++) {
		for (unsigned i = 0; i < BLK_SLOTS; i++) {
			q[i] = (struct blk_request){
			    .type = way ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, .sector = 8 * i};
			blk_fill(there[i], 4096, i);
			if (way) {
				q[i].in = back[i];
				q[i].in_size = 4096;
			} else {
				q[i].out = there[i];
				q[i].out_size = 4096;
			}
			(void)blk_offer(&rig, i % BLK_QUEUES, &q[i]);
		}
		for (unsigned i = 0; i < BLK_SLOTS; i++)
			cr_assert(blk_wait(&rig, i % BLK_QUEUES, VU_PATIENCE_MS));
		for (unsigned i = 0; i < BLK_SLOTS; i++)
			cr_assert_eq(q[i].status, VIRTIO_BLK_S_OK);
	}
	cr_assert_eq(memcmp(there, back, sizeof(back)), 0);
	end();
}
