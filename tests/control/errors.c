/* SPDX-License-Identifier: GPL-2.0-or-later */
/* errors.c: what is told of operations that the host fails, and to whom: BLOCK_IO_ERROR. */
#include "tests/lib/blk_rig.h"
#include "tests/lib/control_peer.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static struct blk_rig rig;
static struct control_peer c;
static int sealed = -1;

/* An image in memory that nobody can write any more, once it is sealed. */
static void in_memory(struct blk_rig *r)
{
	sealed = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_geq(sealed, 0);
	(void)snprintf(r->image, sizeof(r->image), "/proc/self/fd/%d", sealed);
}

static void begin(struct blk_opt o)
{
	o.control = true;
	if (!blk_rig_start(&rig, &o))
		cr_skip("%s", rig.o.fs_skip);
	control_connect(&c, rig.control);
}

static void end(void)
{
	control_close(&c);
	fd_close(&sealed);
	blk_rig_end(&rig);
}

static json_t *next(const char *operation, const char *reason)
{
	json_t *e = control_wait_event(&c, "BLOCK_IO_ERROR");

	cr_assert_str_eq(json_string_value(json_object_get(e, "id")), "d0");
	cr_assert_str_eq(json_string_value(json_object_get(e, "operation")), operation);
	cr_assert_str_eq(json_string_value(json_object_get(e, "reason")), reason);
	cr_assert(json_is_false(json_object_get(e, "nospace")));
	return e;
}

static json_int_t missed(json_t *event)
{
	json_int_t n = json_integer_value(json_object_get(event, "missed"));

	cr_assert(json_is_integer(json_object_get(event, "missed")));
	json_decref(event);
	return n;
}

static const char *const too_soon = "the image ends before the disk does";

static void cut_short(struct blk_opt o)
{
	uint8_t data[4096];

	begin(o);
	cr_assert_eq(ftruncate(rig.fd, 65536), 0);
	cr_assert_eq(blk_read(&rig, 128, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(missed(next("read", too_soon)), 0);
	cr_assert_eq(blk_read(&rig, 0, data, sizeof(data)), VIRTIO_BLK_S_OK);
	cr_assert_not_null(strstr(blk_rig_log(&rig), "disk d0: read: the image ends before"), "%s",
	                   rig.log);
	end();
}

Test(control_errors, a_read_beyond_the_image)
{
	cut_short((struct blk_opt){0});
}

Test(control_errors, a_read_beyond_the_image_that_had_to_wait)
{
	cut_short((struct blk_opt){.place = "/var/tmp", .flags = O_DIRECT, .more = ",cache=none"});
}

/* So long until the next is told. */
static void wait_a_second(void)
{
	vu_sleep_ms(1100);
}

Test(control_errors, each_operation_by_its_name)
{
	uint8_t data[512] = {1};

	begin((struct blk_opt){.choose = in_memory, .more = ",discard=on"});
	cr_assert(blk_serves(&rig));
	cr_assert_eq(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE), 0);
	cr_assert_eq(blk_write(&rig, 8, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(missed(next("write", "EPERM")), 0);
	wait_a_second();
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(missed(next("discard", "EPERM")), 0);
	wait_a_second();
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(missed(next("write-zeroes", "EPERM")), 0);
	end();
}

/* What a guest asks for that there is not is its own error. */
Test(control_errors, nothing_is_told_of_requests_that_are_wrong)
{
	uint8_t data[512];

	begin((struct blk_opt){0});
	cr_assert_eq(blk_read(&rig, BLK_SIZE / 512, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(blk_read(&rig, UINT64_MAX, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
	control_done(&c, "{'execute': 'query-version'}", NULL, 0);
	cr_assert_eq(c.event_count, 0);
	end();
}

Test(control_errors, one_a_second_and_the_others_are_counted, .timeout = 60)
{
	uint64_t from = vu_now_ms(), until = from + 30000;
	unsigned failed = 0, told = 0, first = 0;
	uint8_t data[512];

	begin((struct blk_opt){0});
	cr_assert_eq(ftruncate(rig.fd, 65536), 0);
	while (told < 3 && vu_now_ms() < until) {
		cr_assert_eq(blk_read(&rig, 128, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
		failed++;
		/* What was told of it is here before the answer. */
		control_done(&c, "{'execute': 'query-version'}", NULL, 0);
		if (c.event_count == 0)
			continue;
		cr_assert_eq(c.event_count, 1);
		first += 1 + (unsigned)missed(next("read", too_soon));
		cr_assert_eq(first, failed, "an error is neither told nor counted");
		told++;
		cr_assert_leq(told, 1 + (vu_now_ms() - from) / 1000, "more than one a second");
	}
	cr_assert_eq(told, 3);
	cr_assert_gt(failed, 3, "each one was told");
	end();
}

Test(control_errors, a_client_that_does_not_read_holds_nothing_up)
{
	static const char ask[] = "{\"execute\": \"query-commands\"}";
	struct control_peer deaf;
	uint8_t data[512];

	begin((struct blk_opt){0});
	control_connect(&deaf, rig.control);
	/* Until the device can send it no more: answers wait there, but not so many that it is cut off. */
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(control_send_bytes(&deaf, ask, sizeof(ask) - 1, NULL, 0), 0);
	cr_assert_eq(ftruncate(rig.fd, 65536), 0);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(blk_read(&rig, 128, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
	json_decref(next("read", too_soon));
	cr_assert_eq(blk_read(&rig, 0, data, sizeof(data)), VIRTIO_BLK_S_OK);
	control_close(&deaf);
	end();
}
