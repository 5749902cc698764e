/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image.c: what image_open() takes and refuses, row by row of docs/block-requirements.md. */
#include "tests/lib/images.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (1u << 20)

TestSuite(image, .init = images_start, .fini = images_end);

/* A raw file of SIZE bytes. */
static int raw(const char *name, int flags)
{
	images_make(name, SIZE, NULL, 0);
	return images_open(name, flags);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(image, F1_F2_a_raw_file_by_its_descriptor)
{
	int fd = raw("a", O_RDWR);
	struct image_spec spec = images_spec("raw", fd, false);
	struct image *im = images_taken(&spec);
	const struct image_info *info = image_info(im);
	struct image_file file;
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(info->fd, fd);
	cr_assert_eq(info->size, SIZE);
	cr_assert_not(info->readonly || info->is_block_device || info->direct || info->sync);
	cr_assert_str_eq(info->format, "raw");
	cr_assert_eq(info->layers, 1);
	cr_assert(info->dev == st.st_dev && info->ino == st.st_ino);
	cr_assert_eq(info->block_size, 512);
	cr_assert_geq(info->physical_block_size, 512);
	cr_assert_eq(info->memory_align, 1);
	cr_assert(image_file_at(im, 0, &file));
	cr_assert(file.writable && file.dev == st.st_dev && file.ino == st.st_ino &&
	          !file.is_data && file.layer == 0);
	cr_assert_str_eq(file.format, "raw");
	cr_assert_not(image_file_at(im, 1, &file));
	image_close(im);
}

Test(image, F4_the_format_is_mandatory_and_never_found_out)
{
	struct image_spec spec = images_spec(NULL, raw("a", O_RDWR), false);

	images_refused(&spec, ENOTSUP, "no format was said for the image");
	spec.layer[0].format = "";
	images_refused(&spec, ENOTSUP, "no format was said");
}

Test(image, F7_formats_that_are_known_but_not_served)
{
	static const char *const known[] = {"cow",  "qcow", "qed",   "vmdk",  "vdi", "vpc",
	                                    "vhdx", "luks", "bochs", "cloop", "dmg", "parallels"};
	static const char *const unknown[] = {"RAW",         "raw ",    "qcow3", "file",
	                                      "host_device", "a\nline", "r"};
	struct image_spec spec = images_spec(NULL, raw("a", O_RDONLY), true);

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		spec.layer[0].format = known[i];
		images_refused(&spec, ENOTSUP,
		               "is not served: convert it (qemu-img convert -O raw)");
	}
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		spec.layer[0].format = unknown[i];
		images_refused(&spec, ENOTSUP, "no format known here");
	}
}

Test(image, F8_descriptors_that_are_none)
{
	static const struct {
		int fd;
		const char *text;
	} rows[] = {{-1, "there is no descriptor for the image"},
	            {250, "descriptor 250, for the image, is not open"},
	            {1 << 20, "is not open"},
	            {0x7fffffff, "is not open"},
	            {STDIN_FILENO, "is standard input, output or error: pass another"},
	            {STDOUT_FILENO, "is standard input, output or error"},
	            {STDERR_FILENO, "is standard input, output or error"}};
	struct image_spec spec = images_spec("raw", -1, true);
	int before = open_fds(), fd;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		spec.layer[0].fd = rows[i].fd;
		images_refused(&spec, EBADF, rows[i].text);
	}
	cr_assert_eq(open_fds(), before);
	/* Likewise for the others of an image. */
	fd = raw("a", O_RDONLY);
	for (size_t i = 1; i < ARRAY_SIZE(rows); i++) {
		spec = images_spec("qcow2", fd, true);
		spec.layer[0].data_fd = rows[i].fd;
		images_refused(&spec, EBADF, ", for the data file of the image, is");
		spec.layer[0].data_fd = -1;
		spec.layer[1] =
		    (struct image_layer){.format = "raw", .fd = rows[i].fd, .data_fd = -1};
		spec.layers = 2;
		images_refused(&spec, EBADF, ", for backing file 1, is");
	}
}

Test(image, F11_every_descriptor_is_closed_once)
{
	int before = open_fds(), fd = raw("a", O_RDWR), again;
	struct image_spec spec = images_spec("raw", fd, false);
	struct image *im = images_taken(&spec);

	image_close(im);
	cr_assert_eq(open_fds(), before);
	again = images_open("a", O_RDWR);
	cr_assert_eq(again, fd);
	image_close(NULL);
	im = images_taken(&spec);
	image_close(im);
	cr_assert_eq(open_fds(), before);
}

Test(image, F12_the_cache_mode_agrees_with_the_descriptor)
{
	static const struct {
		enum disk_cache cache;
		int good;
		bool direct, sync;
	} modes[] = {{DISK_WRITEBACK, 0, false, false},
	             {DISK_NONE, O_DIRECT, true, false},
	             {DISK_WRITETHROUGH, O_DSYNC, false, true}};
	static const int all[] = {0, O_DIRECT, O_DSYNC, O_SYNC, O_DIRECT | O_DSYNC};

	images_make("a", SIZE, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
			struct image_spec spec =
			    images_spec("raw", images_open("a", O_RDWR | all[k]), false);
			int had = fcntl(spec.layer[0].fd, F_GETFL);
			struct image *im;

			spec.cache = modes[i].cache;
			if (all[k] != modes[i].good &&
			    !(all[k] == O_SYNC && modes[i].good == O_DSYNC)) {
				images_refused(&spec, EINVAL, "the disk's cache is");
				cr_assert_eq(close(spec.layer[0].fd), 0);
				continue;
			}
			im = images_taken(&spec);
			cr_assert_eq(image_info(im)->direct, modes[i].direct);
			cr_assert_eq(image_info(im)->sync, modes[i].sync);
			cr_assert_eq(fcntl(spec.layer[0].fd, F_GETFL), had,
			             "the flags were changed");
			image_close(im);
		}
	}
}

Test(image, F12_a_descriptor_that_only_reads_may_have_O_DSYNC_or_not)
{
	images_make("a", SIZE, NULL, 0);
	for (int flags = 0; flags <= O_DSYNC; flags += O_DSYNC) {
		struct image_spec spec =
		    images_spec("raw", images_open("a", O_RDONLY | flags), true);

		spec.cache = flags ? DISK_WRITEBACK : DISK_WRITETHROUGH;
		image_close(images_taken(&spec));
	}
}

/* Data, not holes: those may be read in any way. */
static void fill(const char *name)
{
	static uint8_t ones[SIZE];

	memset(ones, 1, SIZE);
	images_make(name, SIZE, ones, SIZE);
}

static void direct_is_right(const char *name)
{
	struct image_spec spec = images_spec("raw", images_open(name, O_RDWR | O_DIRECT), false);
	const struct image_info *info;
	struct image *im;
	struct statx sx;
	uint8_t *memory;

	spec.cache = DISK_NONE;
	im = images_taken(&spec);
	info = image_info(im);
	memory = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(memory, MAP_FAILED);
	cr_assert(info->block_size >= 512 && info->memory_align >= 1);
	cr_assert_geq(info->physical_block_size, info->block_size);
	cr_assert_eq(
	    pread(info->fd, memory + info->memory_align, info->block_size, info->block_size),
	    (ssize_t)info->block_size, "%m: blocks of %u, memory at %u", info->block_size,
	    info->memory_align);
	cr_assert_eq(statx(info->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx), 0);
	if (sx.stx_mask & STATX_DIOALIGN) {
		cr_assert_eq(info->memory_align, sx.stx_dio_mem_align);
		cr_assert_eq(info->block_size,
		             sx.stx_dio_offset_align > 512 ? sx.stx_dio_offset_align : 512);
	} else {
		cr_assert_eq(info->memory_align, 4096);
	}
	image_close(im);
}

Test(image, F12_direct_blocks_are_what_can_be_read)
{
	fill("a");
	direct_is_right("a");
}

Test(image, F12_direct_blocks_where_the_file_system_does_not_tell)
{
	char shm[] = "/dev/shm/virtfs-images.XXXXXX";
	int fd = mkstemp(shm);

	cr_assert_geq(fd, 0);
	cr_assert_eq(close(fd), 0);
	fill(shm);
	fd = open(shm, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0) {
		(void)unlink(shm);
		cr_skip_test("tmpfs has no O_DIRECT here");
	}
	cr_assert_eq(close(fd), 0);
	direct_is_right(shm);
	cr_assert_eq(unlink(shm), 0);
}

Test(image, topology_of_a_file)
{
	struct image_spec spec = images_spec("raw", raw("a", O_RDWR), false);
	struct image *im = images_taken(&spec);
	const struct image_info *info = image_info(im);
	struct stat st;

	cr_assert_eq(fstat(info->fd, &st), 0);
	cr_assert_eq(info->block_size, 512);
	cr_assert_eq(info->physical_block_size,
	             st.st_blksize < 4096 ? (uint32_t)st.st_blksize : 4096);
	cr_assert_eq(info->min_io + info->opt_io, 0);
	cr_assert_eq(info->memory_align, 1);
	image_close(im);
}

Test(image, a_reason_is_cut_where_there_is_no_room_for_it)
{
	struct image_spec spec = images_spec("raw", -1, false);
	struct image *im;
	char text[16] = "0123456789abcde";
	struct sbuf why = sbuf_over(text, 12);

	cr_assert_eq(image_open(&spec, &why, &im), -EBADF);
	cr_assert_str_eq(text, "there is no");
	cr_assert_eq(text[12], 'c');
	cr_assert_eq(image_open(&spec, &why, &im), -EBADF);
	cr_assert_str_eq(text, "there is no");
}

Test(image, R1_a_file_that_one_disk_writes_is_in_no_other)
{
	struct image_spec w, w2, r;
	struct image *im;

	images_make("a", SIZE, NULL, 0);
	cr_assert_eq(link("a", "the same"), 0);
	w = images_spec("raw", images_open("a", O_RDWR), false);
	w2 = images_spec("raw", images_open("the same", O_RDWR), false);
	r = images_spec("raw", images_open("the same", O_RDONLY), true);
	im = images_taken(&w);
	images_refused(&w2, EBUSY, "in use by another disk, and that writes it");
	images_refused(&r, EBUSY, "in use by another disk, and that writes it");
	image_close(im);
	im = images_taken(&r);
	images_refused(&w2, EBUSY, "in use by another disk, and this writes it");
	image_close(im);
	image_close(images_taken(&w2));
}

Test(image, R1_disks_that_only_read_or_are_all_shared_have_files_in_common)
{
	struct image_spec spec[2];
	struct image *im[2];

	images_make("a", SIZE, NULL, 0);
	for (int mode = O_RDONLY; mode <= O_RDWR; mode += O_RDWR) {
		for (int i = 0; i < 2; i++) {
			spec[i] = images_spec("raw", images_open("a", mode), mode == O_RDONLY);
			spec[i].shared = mode == O_RDWR;
		}
		im[0] = images_taken(&spec[0]);
		spec[1].shared = false;
		if (mode == O_RDWR)
			images_refused(&spec[1], EBUSY, "all said to be shared");
		spec[1].shared = mode == O_RDWR;
		im[1] = images_taken(&spec[1]);
		image_close(im[0]);
		image_close(im[1]);
	}
}

Test(image, R1_a_descriptor_belongs_to_one_disk)
{
	struct image_spec spec = images_spec("raw", raw("a", O_RDONLY), true);
	struct image *im = images_taken(&spec);

	images_refused(&spec, EBUSY, "is another disk's");
	image_close(im);
}

Test(image, R2_R6_the_access_is_what_the_disk_says)
{
	static const struct {
		int mode;
		bool readonly;
		const char *refused;
	} rows[] = {
	    {O_RDWR, true, "was opened for writing, but is only to be read"},
	    {O_WRONLY, true, "was opened for writing, but is only to be read"},
	    {O_RDONLY, false, "was opened for reading only, but the disk is to be written"},
	    {O_WRONLY, false, "was opened for writing only, but the disk is to be written"},
	};

	images_make("a", SIZE, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct image_spec spec =
		    images_spec("raw", images_open("a", rows[i].mode), rows[i].readonly);

		images_refused(&spec, EINVAL, rows[i].refused);
	}
}

Test(image, R2_R6_flags_that_a_disk_cannot_have)
{
	static const int flags[] = {O_APPEND, O_NONBLOCK, O_PATH};
	static const char *const names[] = {"O_APPEND", "O_NONBLOCK", "O_PATH"};

	images_make("a", SIZE, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct image_spec spec =
		    images_spec("raw", images_open("a", O_RDWR | flags[i]), false);

		images_refused(&spec, EINVAL, names[i]);
	}
}

Test(image, R2_R6_only_regular_files_and_block_devices)
{
	int pair[2], fds[5];

	cr_assert_eq(mkfifo("fifo", 0600), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fds[0] = images_open("fifo", O_RDWR);
	fds[1] = pair[0];
	fds[2] = images_open("/dev/zero", O_RDWR);
	fds[3] = images_open("/dev/null", O_RDWR);
	fds[4] = images_open(".", O_RDONLY | O_DIRECTORY);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct image_spec spec = images_spec("raw", fds[i], i == 4);

		images_refused(&spec, EINVAL, "neither a regular file nor a block device");
	}
}

Test(image, R8_each_disk_is_as_it_was_said_whatever_came_before)
{
	struct image *im[4];

	for (unsigned i = 0; i < ARRAY_SIZE(im); i++) {
		const char name[] = {(char)('a' + i), 0};
		bool readonly = i % 2;
		struct image_spec spec =
		    images_spec("raw", raw(name, readonly ? O_RDONLY : O_RDWR), readonly);

		im[i] = images_taken(&spec);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(im); i++) {
		cr_assert_eq(image_info(im[i])->readonly, i % 2);
		image_close(im[i]);
	}
}

Test(image, D9_a_file_is_in_a_chain_once)
{
	struct image_spec spec = images_spec("qcow2", raw("a", O_RDONLY), true);

	cr_assert_eq(link("a", "b"), 0);
	spec.layer[0].data_fd = images_open("b", O_RDONLY);
	images_refused(&spec, EINVAL, "the data file of the image is the same file as the image");
	spec.layer[0].data_fd = -1;
	spec.layer[1] =
	    (struct image_layer){.format = "raw", .fd = images_open("b", O_RDONLY), .data_fd = -1};
	spec.layers = 2;
	images_refused(&spec, EINVAL, "backing file 1 is the same file as the image");
	spec.layer[1].fd = spec.layer[0].fd;
	images_refused(&spec, EINVAL, "backing file 1 is the same file as the image");
}

Test(image, sizes_are_whole_blocks)
{
	static const uint64_t bad[] = {1, 511, 513, SIZE + 1, SIZE - 1};
	struct image_spec spec;
	struct image *im;

	images_make("a", 0, NULL, 0);
	spec = images_spec("raw", images_open("a", O_RDWR), false);
	images_refused(&spec, EINVAL, "the image is empty");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cr_assert_eq(ftruncate(spec.layer[0].fd, (off_t)bad[i]), 0);
		images_refused(&spec, EINVAL, "a multiple of its block size, 512");
	}
	cr_assert_eq(ftruncate(spec.layer[0].fd, 512), 0);
	im = images_taken(&spec);
	cr_assert_eq(image_info(im)->size, 512);
	image_close(im);
}

Test(image, a_size_is_measured_again_when_asked)
{
	struct image_spec spec = images_spec("raw", raw("a", O_RDWR), false);
	struct image *im = images_taken(&spec);
	char text[IMAGE_WHY_MAX];
	struct sbuf why = sbuf_over(text, sizeof(text));

	cr_assert_eq(ftruncate(spec.layer[0].fd, 3 * SIZE), 0);
	cr_assert_eq(image_info(im)->size, SIZE);
	cr_assert_eq(image_measure(im, &why), 0);
	cr_assert_eq(image_info(im)->size, 3 * SIZE);
	cr_assert_eq(ftruncate(spec.layer[0].fd, SIZE + 7), 0);
	cr_assert_eq(image_measure(im, &why), -EINVAL);
	cr_assert(strstr(text, "a multiple of its block size"));
	cr_assert_eq(image_info(im)->size, 3 * SIZE);
	image_close(im);
}

Test(image, a_chain_has_one_to_32_layers)
{
	struct image_spec spec = images_spec("raw", raw("a", O_RDONLY), true);

	spec.layers = 0;
	images_refused(&spec, EINVAL, "a chain has 1 to 32");
	spec.layers = IMAGE_LAYERS_MAX + 1;
	images_refused(&spec, EINVAL, "a chain has 1 to 32");
}

Test(image, F5_a_raw_image_names_no_file)
{
	struct image_spec spec = images_spec("raw", raw("a", O_RDONLY), true);

	spec.layer[0].data_fd = raw("b", O_RDONLY);
	images_refused(&spec, EINVAL, "is raw and so has no data file");
	spec.layer[0].data_fd = -1;
	spec.layer[1] =
	    (struct image_layer){.format = "raw", .fd = raw("c", O_RDONLY), .data_fd = -1};
	spec.layers = 2;
	images_refused(&spec, EINVAL, "is raw and so has no backing file");
	/* Which is also so when somebody says that it has none. */
	spec.layers = 1;
	spec.no_backing = true;
	image_close(images_taken(&spec));
}
