/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_block.c: images on block devices: loop devices over files of the test's own. */
#include "tests/lib/images.h"
#include "tests/lib/qcow2_image.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SIZE (1u << 20)

TestSuite(block, .init = images_start, .fini = images_end);

static char loop[32];
static uint32_t loop_flags; /* besides */

/* Makes the file a loop device, which goes away with its last descriptor. Skips the test where there is none to be had. */
static int make_loop(const char *name, uint32_t block_size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC),
	    file = images_open(name, O_RDWR);

	for (unsigned tries = 0; control >= 0 && tries < 20; tries++) {
		struct loop_config config = {.fd = (uint32_t)file,
		                             .block_size = block_size,
		                             .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | loop_flags}};
		int fd;

		(void)snprintf(loop, sizeof(loop), "/dev/loop%d",
		               ioctl(control, LOOP_CTL_GET_FREE));
		fd = open(loop, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
			cr_assert_eq(close(file) | close(control), 0);
			return fd;
		}
		if (fd >= 0)
			cr_assert_eq(close(fd), 0);
	}
	cr_skip_test("no loop device is to be had here: %m");
	return -1;
}

Test(block, F1_R2_a_block_device_by_its_descriptor)
{
	for (uint32_t block = 512; block <= 4096; block *= 8) {
		struct image_spec spec;
		const struct image_info *info;
		struct image *im;
		int keep;

		images_make("a", SIZE, NULL, 0);
		keep = make_loop("a", block);
		spec = images_spec("raw", images_open(loop, O_RDONLY), false);
		images_refused(&spec, EINVAL, "was opened for reading only");
		spec.readonly = true;
		im = images_taken(&spec);
		info = image_info(im);
		cr_assert(info->is_block_device && info->readonly);
		cr_assert_eq(info->size, SIZE);
		cr_assert_eq(info->block_size, block);
		cr_assert_geq(info->physical_block_size, block);
		cr_assert_geq(info->min_io, block);
		image_close(im);
		cr_assert_eq(close(keep), 0);
	}
}

Test(block, R6_a_device_that_is_read_only_is_not_written)
{
	struct image_spec spec;

	images_make("a", SIZE, NULL, 0);
	loop_flags = LO_FLAGS_READ_ONLY;
	spec = images_spec("raw", make_loop("a", 512), false);
	images_refused(&spec, EROFS, "is a block device that is read-only");
	loop_flags = 0;
	spec = images_spec("raw", make_loop("a", 512), false);
	image_close(images_taken(&spec));
}

Test(block, F12_a_block_device_by_O_DIRECT)
{
	struct image_spec spec;
	struct image *im;

	images_make("a", SIZE, NULL, 0);
	spec = images_spec("raw", make_loop("a", 4096), false);
	spec.cache = DISK_NONE;
	images_refused(&spec, EINVAL, "was opened without O_DIRECT");
	spec.layer[0].fd = images_open(loop, O_RDWR | O_DIRECT);
	im = images_taken(&spec);
	cr_assert(image_info(im)->direct && image_info(im)->block_size == 4096);
	image_close(im);
}

/* Mounts a new file system with blocks of 4096 bytes at "m", for this process alone. */
static void mount_blocks_of_4096(void)
{
	char command[64];

	images_make("fs", 16 * SIZE, NULL, 0);
	(void)make_loop("fs", 4096);
	(void)snprintf(command, sizeof(command), "mkfs.ext4 -q -F %s >/dev/null 2>&1", loop);
	if (system(command) != 0)
		cr_skip_test("no mkfs.ext4 here");
	cr_assert_eq(mkdir("m", 0700), 0);
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(loop, "m", "ext4", 0, NULL) < 0)
		cr_skip_test("nothing can be mounted here: %m");
}

Test(block, F12_a_file_on_large_blocks_by_O_DIRECT)
{
	struct image_spec spec;
	struct image *im;

	mount_blocks_of_4096();
	images_make("m/a", SIZE + 512, "data", 4);
	spec = images_spec("raw", images_open("m/a", O_RDWR), false);
	im = images_taken(&spec);
	cr_assert_eq(image_info(im)->block_size, 512);
	image_close(im);
	spec.layer[0].fd = images_open("m/a", O_RDWR | O_DIRECT);
	spec.cache = DISK_NONE;
	images_refused(
	    &spec, EINVAL,
	    "the image has 1049088 bytes: a multiple of its block size, 4096, can be served");
	cr_assert_eq(ftruncate(spec.layer[0].fd, SIZE), 0);
	im = images_taken(&spec);
	cr_assert_eq(image_info(im)->block_size, 4096);
	cr_assert_eq(image_info(im)->physical_block_size, 4096);
	image_close(im);
	cr_assert_eq(umount("m"), 0);
}

Test(block, D9_R1_a_device_is_itself_by_any_node)
{
	struct image_spec spec, other;
	struct image *im;
	struct stat st;

	images_make("a", SIZE, NULL, 0);
	spec = images_spec("raw", make_loop("a", 512), false);
	cr_assert_eq(fstat(spec.layer[0].fd, &st), 0);
	cr_assert_eq(mknod("node", S_IFBLK | 0600, st.st_rdev), 0);
	other = images_spec("raw", images_open("node", O_RDONLY), true);
	im = images_taken(&spec);
	images_refused(&other, EBUSY, "in use by another disk");
	image_close(im);
	other.layer[0].format = "qcow2";
	other.layer[0].data_fd = images_open(loop, O_RDONLY);
	images_refused(&other, EINVAL, "is the same file as the image");
}

Test(block, D8_a_raw_data_file_on_a_larger_device)
{
	static uint8_t head[QCOW2_CLUSTER_MAX];
	struct image_spec spec;
	struct image *im;

	images_make("top", 8u << 16, head, qcow2_make(&(struct qcow2_plan){QCOW2_PLAN_RAW}, head));
	images_make("data", 2 * QCOW2_PLAN_SIZE, NULL, 0);
	spec = images_spec("qcow2", images_open("top", O_RDONLY), true);
	(void)make_loop("data", 512);
	spec.layer[0].data_fd = images_open(loop, O_RDONLY);
	im = images_taken(&spec);
	cr_assert(image_info(im)->is_block_device);
	cr_assert_eq(image_info(im)->size, QCOW2_PLAN_SIZE);
	image_close(im);
}

Test(block, a_header_that_cannot_be_read_is_an_error_of_its_own)
{
	static uint8_t head[QCOW2_CLUSTER_MAX];
	struct image_spec spec;

	images_make("top", 8u << 16, head, qcow2_make(&(struct qcow2_plan){QCOW2_PLAN_RAW}, head));
	spec = images_spec("qcow2", make_loop("top", 512), false);
	images_refused(&spec, EINVAL, "which was not passed");
	/* The device stays as long as it was, and has nothing to read any more. */
	cr_assert_eq(truncate("top", 0), 0);
	spec.layer[0].fd = images_open(loop, O_RDWR | O_DIRECT);
	spec.cache = DISK_NONE;
	images_refused(&spec, EIO, "the image: cannot be read: EIO");
}
