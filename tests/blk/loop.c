/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.c: disks on block devices (loop devices over files of the test's own), from the guest's requests to the file beneath, and
 * attached while the device's filter is on.
 */
#include "tests/lib/blk_rig.h"
#include "tests/lib/control_disk.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static struct blk_rig rig;
static struct control_peer c;
static uint32_t block_size;
static bool readonly;
static int file = -1, loop = -1; /* loop: it goes away with its last descriptor */
static char path[32];

/* A loop device over file, by a descriptor that could write even if the device is read-only. Return: whether there is one to be had. */
static bool make_loop(void)
{
	AUTO_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	for (unsigned tries = 0; control >= 0 && tries < 20; tries++) {
		struct loop_config config = {
		    .fd = (uint32_t)file,
		    .block_size = block_size,
		    .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | (readonly ? LO_FLAGS_READ_ONLY : 0)}};

		(void)snprintf(path, sizeof(path), "/dev/loop%d",
		               ioctl(control, LOOP_CTL_GET_FREE));
		loop = open(path, O_RDWR | O_CLOEXEC);
		if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) == 0)
			return true;
		fd_close(&loop);
	}
	return false;
}

static void on_loop(struct blk_rig *r)
{
	char name[96];

	(void)snprintf(name, sizeof(name), "%s/beneath", r->dir);
	file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_geq(file, 0);
	cr_assert_eq(ftruncate(file, BLK_SIZE), 0);
	if (make_loop())
		(void)snprintf(r->image, sizeof(r->image), "%s", path);
}

static void end(void)
{
	fd_close(&loop);
	fd_close(&file);
	blk_rig_end(&rig);
}

static void begin(uint32_t block, struct blk_opt o)
{
	block_size = block;
	o.choose = on_loop;
	o.place = "/var/tmp";
	if (!blk_rig_start(&rig, &o))
		cr_skip("%s", rig.o.fs_skip);
	if (loop < 0) {
		end();
		cr_skip("no loop device is to be had here: %m");
	}
}

Test(blk_loop, a_guest_is_told_of_the_device_s_blocks)
{
	for (uint32_t block = 512; block <= 4096; block *= 8) {
		struct virtio_blk_config config;

		begin(block, (struct blk_opt){0});
		config = blk_config(&rig);
		cr_assert_eq(config.capacity, BLK_SIZE / 512);
		cr_assert_eq(config.blk_size, block);
		cr_assert_geq(block << config.physical_block_exp, block);
		cr_assert_geq(config.min_io_size, 1);
		end();
	}
}

static bool is_zero(uint64_t offset, size_t size)
{
	static uint8_t bytes[1 << 20];

	cr_assert_eq(pread(file, bytes, size, (off_t)offset), (ssize_t)size);
	for (size_t i = 0; i < size; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

static uint64_t blocks_of_file(void)
{
	struct stat st;

	cr_assert_eq(fsync(file), 0);
	cr_assert_eq(fstat(file, &st), 0);
	return (uint64_t)st.st_blocks;
}

static void reaches_the_file(struct blk_opt o)
{
	static uint8_t data[131072], back[131072];
	uint64_t before;

	begin(4096, o);
	blk_fill(data, sizeof(data), 5);
	cr_assert_eq(blk_write(&rig, 0, data, sizeof(data)), VIRTIO_BLK_S_OK);
	cr_assert_eq(blk_read(&rig, 0, back, sizeof(back)), VIRTIO_BLK_S_OK);
	cr_assert_eq(memcmp(data, back, sizeof(data)), 0);
	cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
	cr_assert_eq(pread(file, back, sizeof(back), 0), (ssize_t)sizeof(back));
	cr_assert_eq(memcmp(data, back, sizeof(data)), 0, "what was flushed is not in the file");
	before = blocks_of_file();
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_DISCARD, 64, 128, 0), VIRTIO_BLK_S_OK);
	cr_assert(is_zero(64 * 512, 128 * 512));
	cr_assert_lt(blocks_of_file(), before, "no hole was made in the file");
	cr_assert_not(is_zero(0, 64 * 512));
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_OK);
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 1), VIRTIO_BLK_S_OK);
	cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
	cr_assert(is_zero(0, 16 * 512));
	cr_assert_eq(blk_read(&rig, 16, back, 4096), VIRTIO_BLK_S_OK);
	cr_assert_eq(memcmp(data + 16 * 512, back, 4096), 0);
	/* Parts of its blocks are none. */
	cr_assert_eq(blk_read(&rig, 1, back, 512), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_DISCARD, 1, 8, 0), VIRTIO_BLK_S_IOERR);
	end();
}

Test(blk_loop, writes_and_discards_reach_the_file_beneath)
{
	reaches_the_file((struct blk_opt){.more = ",discard=on"});
}

Test(blk_loop, so_they_do_without_the_page_cache)
{
	reaches_the_file((struct blk_opt){.flags = O_DIRECT, .more = ",discard=on,cache=none"});
}

Test(blk_loop, so_they_do_by_threads)
{
	reaches_the_file(
	    (struct blk_opt){.flags = O_DIRECT, .more = ",discard=on,cache=none", .io = "threads"});
}

Test(blk_loop, a_read_only_disk_of_a_read_only_device)
{
	uint8_t data[4096] = {0};

	readonly = true;
	begin(4096, (struct blk_opt){.readonly = true});
	cr_assert_eq(blk_write(&rig, 0, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(blk_read(&rig, 0, data, sizeof(data)), VIRTIO_BLK_S_OK);
	end();
}

/* The calls that ask a device for its size and blocks are made with the filter on. */
Test(blk_loop, a_device_is_attached_by_command)
{
	int fds[2];
	json_t *d;

	readonly = true;
	begin(4096, (struct blk_opt){.control = true, .readonly = true});
	control_connect(&c, rig.control);
	control_detach(&c, "d0");
	fds[0] = loop;
	fds[1] = control_listener();
	control_refused(&c, "is a block device that is read-only", control_attach_text("loop"), fds,
	                2);
	fds[0] = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fds[0], 0);
	control_done(&c,
	             "{'execute': 'block-attach', 'arguments': {'id': 'loop', 'read-only': true, "
	             "'chain': [{'format': 'raw', 'file': {'fd': 0}}], 'socket': {'fd': 1}}}",
	             fds, 2);
	d = control_disk(&c, "loop");
	cr_assert_eq(json_integer_value(json_object_get(d, "size")), BLK_SIZE);
	cr_assert_eq(json_integer_value(json_object_get(d, "block-size")), 4096);
	json_decref(d);
	control_detach(&c, "loop");
	control_close(&c);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
	end();
}
