/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_chain.c: images of several files, and what a qcow2 header says against what was passed. */
#include "common/log.h"
#include "tests/lib/images.h"
#include "tests/lib/qcow2_image.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_SIZE (8u << 16)

TestSuite(chain, .init = images_start, .fini = images_end);

static uint8_t head[QCOW2_CLUSTER_MAX];

/* A qcow2 image as planned, open for reading. */
static int qcow2_mode(const char *name, const struct qcow2_plan *plan, int mode)
{
	images_make(name, FILE_SIZE, head, qcow2_make(plan, head));
	return images_open(name, mode);
}

static int qcow2(const char *name, const struct qcow2_plan *plan)
{
	return qcow2_mode(name, plan, O_RDONLY);
}

static int raw(const char *name, int mode)
{
	images_make(name, QCOW2_PLAN_SIZE, "data", 4);
	return images_open(name, mode);
}

static void add_layer(struct image_spec *spec, const char *format, int fd)
{
	spec->layer[spec->layers++] =
	    (struct image_layer){.format = format, .fd = fd, .data_fd = -1};
}

/* Read-only, with a raw data file: what is served. */
static struct image_spec with_data(void)
{
	struct image_spec spec = images_spec(
	    "qcow2", qcow2("top", &(struct qcow2_plan){QCOW2_PLAN_RAW, .data_file = "data"}), true);

	spec.layer[0].data_fd = raw("data", O_RDONLY);
	return spec;
}

#define UNSERVED "the image is qcow2 without a raw data file, which is not served: convert it"

Test(chain, D1_D8_a_raw_data_file_is_the_disk)
{
	struct image_spec spec = with_data();
	struct image *im = images_taken(&spec);
	const struct image_info *info = image_info(im);
	struct image_file file[3];
	char text[4];

	cr_assert_eq(info->fd, spec.layer[0].data_fd);
	cr_assert_eq(info->size, QCOW2_PLAN_SIZE);
	cr_assert(info->readonly);
	cr_assert_str_eq(info->format, "qcow2");
	cr_assert_eq(pread(info->fd, text, 4, 0), 4);
	cr_assert_eq(memcmp(text, "data", 4), 0);
	cr_assert(image_file_at(im, 0, &file[0]) && image_file_at(im, 1, &file[1]) &&
	          !image_file_at(im, 2, &file[2]));
	cr_assert(!file[0].is_data && file[1].is_data && !file[0].writable && !file[1].writable);
	cr_assert_str_eq(file[0].format, "qcow2");
	cr_assert_str_eq(file[1].format, "raw");
	cr_assert_eq(file[1].ino, info->ino);
	cr_assert_neq(file[0].ino, info->ino);
	image_close(im);
	cr_assert(fcntl(spec.layer[0].fd, F_GETFD) < 0 &&
	          fcntl(spec.layer[0].data_fd, F_GETFD) < 0);
}

Test(chain, D8_the_size_is_the_headers)
{
	struct image_spec spec = with_data();
	char text[IMAGE_WHY_MAX];
	struct sbuf why = sbuf_over(text, sizeof(text));
	struct image *im;

	cr_assert_eq(truncate("data", QCOW2_PLAN_SIZE - 1), 0);
	images_refused(&spec, EINVAL,
	               "the data file of the image has 1048575 bytes, but the image 1048576");
	cr_assert_eq(truncate("data", 3 * QCOW2_PLAN_SIZE), 0);
	im = images_taken(&spec);
	cr_assert_eq(image_info(im)->size, QCOW2_PLAN_SIZE);
	cr_assert_eq(image_measure(im, &why), 0);
	cr_assert_eq(image_info(im)->size, QCOW2_PLAN_SIZE);
	image_close(im);
}

Test(chain, D8_a_size_that_is_no_whole_blocks)
{
	struct image_spec spec = images_spec(
	    "qcow2", qcow2("top", &(struct qcow2_plan){QCOW2_PLAN_RAW, .size = 1000}), true);

	spec.layer[0].data_fd = raw("data", O_RDONLY);
	images_refused(&spec, EINVAL, "the image has 1000 bytes: a multiple of its block size");
}

Test(chain, F7_what_is_qcow2_but_not_served)
{
	struct image_spec spec =
	    images_spec("qcow2", qcow2("plain", &(struct qcow2_plan){.version = 2}), true);

	images_refused(&spec, ENOTSUP, UNSERVED);
	spec.layer[0].fd = qcow2("external", &(struct qcow2_plan){.incompatible = QCOW2_DATA_FILE});
	spec.layer[0].data_fd = raw("data", O_RDONLY);
	images_refused(&spec, ENOTSUP, UNSERVED);
	spec.layer[0].fd = qcow2("luks", &(struct qcow2_plan){QCOW2_PLAN_RAW, .luks = true});
	images_refused(&spec, ENOTSUP, "is encrypted, which is not served");
	spec = images_spec("qcow2", qcow2_mode("raw", &(struct qcow2_plan){QCOW2_PLAN_RAW}, O_RDWR),
	                   false);
	spec.layer[0].data_fd = images_open("data", O_RDWR);
	images_refused(&spec, ENOTSUP, "is not served but read-only");
}

Test(chain, F7_the_gate_comes_before_what_is_served)
{
	struct image_spec spec =
	    images_spec("qcow2", qcow2("plain", &(struct qcow2_plan){.version = 2}), true);

	add_layer(&spec, "raw", raw("base", O_RDONLY));
	images_refused(&spec, EINVAL, "names no backing file, but one was passed");
	spec.layer[0].fd = images_open("base", O_RDONLY);
	spec.layers = 1;
	images_refused(&spec, EINVAL,
	               "not a qcow2 image that can be used: it does not begin with QFI");
	spec.layer[0].fd = qcow2("wrong", &(struct qcow2_plan){.incompatible = 0x20});
	images_refused(&spec, EINVAL, "incompatible_features has bits that are not known (0x20)");
	images_make("empty", 0, NULL, 0);
	spec.layer[0].fd = images_open("empty", O_RDONLY);
	images_refused(&spec, EINVAL, "the file ends within its first cluster");
}

Test(chain, F5_a_backing_file_that_is_named_has_to_be_passed)
{
	struct image_spec spec = images_spec(
	    "qcow2",
	    qcow2("top", &(struct qcow2_plan){.backing = "base\n", .backing_format = "raw"}), true);

	images_refused(&spec, EINVAL,
	               "the image names the backing file \"base\\x0a\", which was not passed");
	add_layer(&spec, "raw", raw("base", O_RDONLY));
	images_refused(&spec, ENOTSUP, UNSERVED);
	spec.layers = 1;
	spec.no_backing = true;
	images_refused(&spec, ENOTSUP, UNSERVED);
}

Test(chain, a_long_name_is_shown_in_part)
{
	for (size_t size = 200; size <= 1023; size += 823) {
		char name[1024] = "", text[1100];
		struct image_spec spec;

		memset(name, 'n', size);
		spec =
		    images_spec("qcow2", qcow2("top", &(struct qcow2_plan){.backing = name}), true);
		(void)snprintf(text, sizeof(text), "names the backing file \"%.200s\"%s, which was",
		               name, size > 200 ? "..." : "");
		images_refused(&spec, EINVAL, text);
	}
}

Test(chain, a_header_is_told_where_the_log_wants_all)
{
	struct image_spec spec = with_data();
	int log = memfd_create("log", MFD_CLOEXEC);
	char text[4096] = "";

	cr_assert_eq(dup2(log, STDERR_FILENO), STDERR_FILENO);
	log_init("test", LOG_LEVEL_INFO);
	image_close(images_taken(&spec));
	cr_assert_eq(pread(log, text, sizeof(text) - 1, 0), 0);
	log_init("test", LOG_LEVEL_DEBUG);
	spec = with_data();
	image_close(images_taken(&spec));
	cr_assert_gt(pread(log, text, sizeof(text) - 1, 0), 0);
	cr_assert(strstr(text, "test: debug: the image: magic=0x514649fb version=0x3 "), "%s",
	          text);
	cr_assert(strstr(text, " data_file=\"data\"\n"), "%s", text);
}

Test(chain, F5_a_backing_file_that_is_not_named_is_not_to_be_passed)
{
	static const struct qcow2_plan plans[] = {
	    {.version = 3}, {.backing = ""}, {QCOW2_PLAN_RAW}};

	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		struct image_spec spec = images_spec("qcow2", qcow2("top", &plans[i]), true);

		if (plans[i].incompatible)
			spec.layer[0].data_fd = raw("data", O_RDONLY);
		add_layer(&spec, "raw", raw("base", O_RDONLY));
		images_refused(&spec, EINVAL,
		               "the image names no backing file, but one was passed: leave it out");
		spec.no_backing = true;
		images_refused(&spec, EINVAL,
		               "the image names no backing file, but one was passed: leave it out");
	}
}

Test(chain, F5_D1_a_data_file_that_is_needed_has_to_be_passed)
{
	struct image_spec spec = with_data();

	spec.layer[0].data_fd = -1;
	images_refused(
	    &spec, EINVAL,
	    "the image has its data in an external file, \"data\", which was not passed");
	/* It need not have a name. */
	spec.layer[0].fd = qcow2("nameless", &(struct qcow2_plan){QCOW2_PLAN_RAW});
	images_refused(&spec, EINVAL,
	               "the image has its data in an external file, which was not passed");
}

Test(chain, F5_D1_a_data_file_that_is_not_needed_is_not_to_be_passed)
{
	/* A name without the feature is only a name, and version 2 has no features. */
	static const struct qcow2_plan plans[] = {
	    {.version = 3}, {.data_file = "data"}, {.version = 2, .data_file = "data"}};

	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		struct image_spec spec = images_spec("qcow2", qcow2("top", &plans[i]), true);

		spec.layer[0].data_fd = raw("data", O_RDONLY);
		images_refused(
		    &spec, EINVAL,
		    "the image has no external data file, but one was passed: leave it out");
	}
}

Test(chain, F5_every_layer_is_held_against_what_was_passed)
{
	static const struct qcow2_plan overlay = {.backing = "base", .backing_format = "qcow2"};
	struct image_spec spec = images_spec("qcow2", qcow2("top", &overlay), true);

	add_layer(&spec, "qcow2", qcow2("middle", &overlay));
	images_refused(&spec, EINVAL,
	               "backing file 1 names the backing file \"base\", which was not passed");
	add_layer(
	    &spec, "qcow2",
	    qcow2("base", &(struct qcow2_plan){.incompatible = QCOW2_DATA_FILE, .data_file = "d"}));
	images_refused(
	    &spec, EINVAL,
	    "backing file 2 has its data in an external file, \"d\", which was not passed");
	spec.layer[2].data_fd = raw("d", O_RDONLY);
	images_refused(&spec, ENOTSUP, UNSERVED);
	spec.layer[1].data_fd = raw("e", O_RDONLY);
	images_refused(&spec, EINVAL, "backing file 1 has no external data file");
	spec.layer[1].data_fd = -1;
	add_layer(&spec, "raw", raw("f", O_RDONLY));
	images_refused(&spec, EINVAL, "backing file 2 names no backing file");
	/* It is the last one only of which that may be said. */
	spec.layers = 3;
	spec.layer[2] =
	    (struct image_layer){.format = "qcow2", .fd = qcow2("last", &overlay), .data_fd = -1};
	images_refused(&spec, EINVAL, "backing file 2 names the backing file \"base\"");
	spec.no_backing = true;
	images_refused(&spec, ENOTSUP, UNSERVED);
}

Test(chain, F4_the_format_of_every_layer_is_said_and_as_the_header_has_it)
{
	struct image_spec spec = images_spec(
	    "qcow2", qcow2("top", &(struct qcow2_plan){.backing = "b", .backing_format = "qcow2"}),
	    true);

	add_layer(&spec, NULL, qcow2("b", &(struct qcow2_plan){.version = 2}));
	images_refused(&spec, ENOTSUP, "no format was said for backing file 1");
	spec.layer[1].format = "vmdk";
	images_refused(&spec, ENOTSUP, "backing file 1 is vmdk, which is not served");
	spec.layer[1].format = "raw";
	images_refused(&spec, EINVAL,
	               "of format \"qcow2\", but the one that was passed was said to be raw");
	spec.layer[1].format = "qcow2";
	images_refused(&spec, ENOTSUP, UNSERVED);
	/* Where the header says none, what was said counts. */
	spec.layer[0].fd = qcow2("none", &(struct qcow2_plan){.backing = "b"});
	images_refused(&spec, ENOTSUP, UNSERVED);
	spec.layer[0].fd =
	    qcow2("long", &(struct qcow2_plan){.backing = "b", .backing_format = "qcow2x"});
	images_refused(&spec, EINVAL, "of format \"qcow2x\", but");
}

Test(chain, R7_a_backing_file_is_only_read_whatever_the_disk_is)
{
	struct image_spec spec = images_spec(
	    "qcow2", qcow2_mode("top", &(struct qcow2_plan){.backing = "b"}, O_RDWR), false);

	add_layer(&spec, "raw", raw("b", O_RDWR));
	images_refused(&spec, EINVAL,
	               "backing file 1 was opened for writing, but is only to be read");
	spec.layer[1].fd = images_open("b", O_RDONLY);
	images_refused(&spec, ENOTSUP, UNSERVED);
}

Test(chain, D3_a_data_file_has_the_access_of_its_image)
{
	struct image_spec spec = with_data();

	spec.layer[0].data_fd = images_open("data", O_RDWR);
	images_refused(&spec, EINVAL,
	               "the data file of the image was opened for writing, but is only to be read");
	spec.readonly = false;
	spec.layer[0].fd = images_open("top", O_RDWR);
	spec.layer[0].data_fd = images_open("data", O_RDONLY);
	images_refused(&spec, EINVAL, "the data file of the image was opened for reading only");
	/* That of a backing file is only read. */
	spec = images_spec("qcow2",
	                   qcow2_mode("over", &(struct qcow2_plan){.backing = "b"}, O_RDWR), false);
	add_layer(&spec, "qcow2",
	          qcow2("below", &(struct qcow2_plan){.incompatible = QCOW2_DATA_FILE}));
	spec.layer[1].data_fd = images_open("data", O_RDWR);
	images_refused(&spec, EINVAL, "the data file of backing file 1 was opened for writing");
	spec.layer[1].data_fd = images_open("data", O_RDONLY);
	images_refused(&spec, ENOTSUP, UNSERVED);
}

Test(chain, D9_a_file_is_in_a_chain_once_in_whatever_part)
{
	struct image_spec spec =
	    images_spec("qcow2", qcow2("top", &(struct qcow2_plan){.backing = "b"}), true);

	add_layer(&spec, "qcow2",
	          qcow2("b", &(struct qcow2_plan){.incompatible = QCOW2_DATA_FILE}));
	spec.layer[1].data_fd = images_open("top", O_RDONLY);
	images_refused(&spec, EINVAL,
	               "the data file of backing file 1 is the same file as the image");
	spec.layer[1].data_fd = images_open("b", O_RDONLY);
	images_refused(&spec, EINVAL,
	               "the data file of backing file 1 is the same file as backing file 1");
}

Test(chain, R1_every_file_of_a_chain_counts_as_used)
{
	struct image_spec spec = with_data(),
	                  other = images_spec("raw", images_open("top", O_RDWR), false);
	struct image *im = images_taken(&spec);

	images_refused(&other, EBUSY, "in use by another disk");
	other.layer[0].fd = images_open("data", O_RDWR);
	images_refused(&other, EBUSY, "in use by another disk");
	image_close(im);
	image_close(images_taken(&other));
}

Test(chain, corrupt_images_are_not_written_but_may_be_read)
{
	static const struct qcow2_plan plan = {.incompatible =
	                                           QCOW2_DATA_FILE | QCOW2_CORRUPT | QCOW2_DIRTY,
	                                       .autoclear = QCOW2_DATA_RAW};
	struct image_spec spec = images_spec("qcow2", qcow2_mode("top", &plan, O_RDWR), false);

	spec.layer[0].data_fd = raw("data", O_RDWR);
	images_refused(&spec, EINVAL, "is marked as corrupt: repair it");
	spec = images_spec("qcow2", images_open("top", O_RDONLY), true);
	spec.layer[0].data_fd = images_open("data", O_RDONLY);
	image_close(images_taken(&spec));
}

Test(chain, chains_of_up_to_32)
{
	struct image_spec spec = {.readonly = true};

	for (unsigned i = 0; i < IMAGE_LAYERS_MAX; i++) {
		const char name[] = {'i', (char)('A' + i), 0};

		add_layer(&spec, "qcow2", qcow2(name, &(struct qcow2_plan){.backing = "x"}));
	}
	images_refused(&spec, EINVAL, "backing file 31 names the backing file");
	spec.no_backing = true;
	images_refused(&spec, ENOTSUP, UNSERVED);
	spec.layers++;
	images_refused(&spec, EINVAL, "33 layers: a chain has 1 to 32");
}

Test(chain, F12_headers_are_read_by_O_DIRECT_too)
{
	struct image_spec spec = with_data();
	struct image *im;

	/* Ends where no block does. */
	cr_assert_eq(truncate("top", 3 * 65536 + 8), 0);
	spec.layer[0].fd = images_open("top", O_RDONLY | O_DIRECT);
	spec.layer[0].data_fd = images_open("data", O_RDONLY | O_DIRECT);
	images_refused(&spec, EINVAL,
	               "the image was opened with O_DIRECT, but the disk's cache is writeback");
	spec.cache = DISK_NONE;
	im = images_taken(&spec);
	cr_assert(image_info(im)->direct);
	image_close(im);
}

Test(chain, CVE_2008_2004_a_raw_disk_stays_raw_whatever_is_written_to_it)
{
	struct image_spec spec = images_spec(
	    "raw",
	    qcow2_mode("disk", &(struct qcow2_plan){QCOW2_PLAN_RAW, .data_file = "/etc/shadow"},
	               O_RDWR),
	    false);
	struct image *im = images_taken(&spec);

	cr_assert_eq(image_info(im)->size, FILE_SIZE);
	cr_assert_eq(image_info(im)->fd, spec.layer[0].fd);
	image_close(im);
}

/* The canary lies where each of these names leads to, if anything does. */
Test(chain, CVE_2024_4467_names_in_headers_are_never_opened)
{
	static const char *const names[] = {
	    "canary",      "./canary",
	    "file:canary", "json:{\"driver\":\"file\",\"filename\":\"canary\"}",
	    "fat:canary",  "/proc/self/cwd/canary"};
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char event[4096];

	images_make("canary", 512, NULL, 0);
	cr_assert_geq(inotify_add_watch(watch, "canary", IN_ALL_EVENTS), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct image_spec spec = images_spec(
		    "qcow2", qcow2("a", &(struct qcow2_plan){.backing = names[i]}), true);

		images_refused(&spec, EINVAL, "which was not passed");
		spec.no_backing = true;
		images_refused(&spec, ENOTSUP, UNSERVED);
		spec = images_spec(
		    "qcow2",
		    qcow2("b", &(struct qcow2_plan){QCOW2_PLAN_RAW, .data_file = names[i]}), true);
		images_refused(&spec, EINVAL, "which was not passed");
		spec.layer[0].data_fd = raw("data", O_RDONLY);
		image_close(images_taken(&spec));
	}
	cr_assert(read(watch, event, sizeof(event)) < 0 && errno == EAGAIN,
	          "somebody looked at the canary");
	cr_assert_eq(close(images_open("canary", O_RDONLY)), 0);
	cr_assert_gt(read(watch, event, sizeof(event)), 0, "and nobody would have noticed");
}
