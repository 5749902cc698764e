/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_qemu.c: images as qemu-img makes them ($VIRTFS_QEMU_IMG, or that of the PATH), and what it says of broken ones. */
#include "common/cleanup.h"
#include "tests/lib/images.h"
#include "tests/lib/qcow2_image.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (4u << 20)

/* Runs qemu-img with these arguments. Return: its exit status; 127: there is none. */
static int run(const char *const *args)
{
	const char *argv[16] = {getenv("VIRTFS_QEMU_IMG")};
	int status;
	pid_t pid;

	if (!argv[0])
		argv[0] = "qemu-img";
	for (size_t n = 0; args[n]; n++)
		argv[n + 1] = args[n];
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
			_exit(126);
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define QEMU_IMG(...) run((const char *const[]){__VA_ARGS__, NULL})

static void start(void)
{
	images_start();
	if (QEMU_IMG("--version") == 127)
		cr_skip_test("no qemu-img (package qemu-utils) here");
}

TestSuite(qemu, .init = start, .fini = images_end, .timeout = 100);

static void create(const char *name, const char *options)
{
	int r = *options ? QEMU_IMG("create", "-q", "-f", "qcow2", "-o", options, name, "4M")
	                 : QEMU_IMG("create", "-q", "-f", "qcow2", name, "4M");

	cr_assert_eq(r, 0, "qemu-img create -o %s", options);
}

/* What becomes of the image: 0, or why it is refused. It has the data file "data" if there is one. */
static int try_image(const char *name, bool has_backing, char *text, size_t size)
{
	struct image_spec spec = images_spec("qcow2", images_open(name, O_RDONLY), true);
	struct sbuf why = sbuf_over(text, size);
	struct image *im = NULL;
	int r;

	if (access("data", F_OK) == 0)
		spec.layer[0].data_fd = images_open("data", O_RDONLY);
	if (has_backing) {
		spec.layer[1] = (struct image_layer){
		    .format = "raw", .fd = images_open("base", O_RDONLY), .data_fd = -1};
		spec.layers = 2;
	}
	r = image_open(&spec, &why, &im);
	if (r == 0) {
		image_close(im);
		return r;
	}
	for (unsigned i = 0; i < spec.layers; i++) {
		(void)close(spec.layer[i].fd);
		if (spec.layer[i].data_fd >= 0)
			(void)close(spec.layer[i].data_fd);
	}
	return r;
}

Test(qemu, images_of_every_kind_come_through_the_gate)
{
	static const struct {
		const char *options;
		bool has_backing;
		int result;
	} rows[] = {
	    {"", false, -ENOTSUP},
	    {"compat=0.10", false, -ENOTSUP},
	    {"compat=0.10,backing_file=base,backing_fmt=raw", true, -ENOTSUP},
	    {"cluster_size=512", false, -ENOTSUP},
	    {"cluster_size=2M", false, -ENOTSUP},
	    {"refcount_bits=1", false, -ENOTSUP},
	    {"refcount_bits=64,cluster_size=4k", false, -ENOTSUP},
	    {"extended_l2=on,cluster_size=128k", false, -ENOTSUP},
	    {"compression_type=zstd", false, -ENOTSUP},
	    {"lazy_refcounts=on", false, -ENOTSUP},
	    {"preallocation=metadata", false, -ENOTSUP},
	    {"preallocation=full,cluster_size=512", false, -ENOTSUP},
	    {"backing_file=base,backing_fmt=raw", true, -ENOTSUP},
	    {"data_file=data", false, -ENOTSUP},
	    {"data_file=data,backing_file=base,backing_fmt=raw", true, -ENOTSUP},
	    {"data_file=data,data_file_raw=on", false, 0},
	    {"data_file=data,data_file_raw=on,cluster_size=512,refcount_bits=8", false, 0},
	};
	char text[IMAGE_WHY_MAX];

	images_make("base", SIZE, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		create("top", rows[i].options);
		cr_assert_eq(try_image("top", rows[i].has_backing, text, sizeof(text)),
		             rows[i].result, "%s: %s", rows[i].options, text);
		if (rows[i].has_backing)
			cr_assert_eq(try_image("top", false, text, sizeof(text)), -EINVAL);
		(void)unlink("data");
		cr_assert_eq(unlink("top"), 0);
	}
}

Test(qemu, images_that_were_used_come_through_the_gate)
{
	char text[IMAGE_WHY_MAX];

	create("top", "");
	cr_assert_eq(QEMU_IMG("snapshot", "-c", "one", "top"), 0);
	cr_assert_eq(QEMU_IMG("snapshot", "-c", "two", "top"), 0);
	cr_assert_eq(QEMU_IMG("bitmap", "--add", "top", "bits"), 0);
	cr_assert_eq(try_image("top", false, text, sizeof(text)), -ENOTSUP, "%s", text);
	cr_assert_eq(QEMU_IMG("resize", "-q", "top", "64G"), 0);
	cr_assert_eq(try_image("top", false, text, sizeof(text)), -ENOTSUP, "%s", text);
}

Test(qemu, D8_what_qemu_wrote_is_what_is_served)
{
	static uint8_t want[SIZE], got[SIZE];
	struct image_spec spec;
	struct image *im;

	for (size_t i = 0; i < SIZE; i += 64)
		want[i] = (uint8_t)(i >> 9 ^ i >> 15);
	images_make("source", SIZE, want, SIZE);
	cr_assert_eq(QEMU_IMG("convert", "-f", "raw", "-O", "qcow2", "-o",
	                      "data_file=data,data_file_raw=on", "source", "top"),
	             0);
	spec = images_spec("qcow2", images_open("top", O_RDONLY), true);
	spec.layer[0].data_fd = images_open("data", O_RDONLY);
	im = images_taken(&spec);
	cr_assert_eq(image_info(im)->size, SIZE);
	cr_assert_eq(pread(image_info(im)->fd, got, SIZE, 0), (ssize_t)SIZE);
	cr_assert_eq(memcmp(want, got, SIZE), 0);
	image_close(im);
	cr_assert_eq(QEMU_IMG("compare", "-q", "-f", "qcow2", "-F", "raw", "top", "source"), 0);
}

/* Whatever QEMU does not open, we do not let through. */
Test(qemu, no_header_is_taken_that_qemu_refuses)
{
	unsigned refused = 0, taken = 0;
	char text[IMAGE_WHY_MAX];

	create("top", "");
	for (size_t i = 0; i < QCOW2_FIELDS; i++) {
		const struct qcow2_field *f = &qcow2_fields[i];
		const uint64_t top = UINT64_C(1) << (f->bits - 1),
		               values[] = {
		                   0,     1,      3,   7,       511,        512,           65536,
		                   65537, 196608, top, top - 1, UINT64_MAX, UINT64_MAX - 1};
		AUTO_CLOSE int fd = images_open("top", O_RDWR);
		uint8_t before[8], poked[8];

		cr_assert_eq(pread(fd, before, f->bits / 8, f->offset), (ssize_t)(f->bits / 8));
		for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
			bool by_us, by_qemu;

			put_be(poked, f->bits, values[k]);
			cr_assert_eq(pwrite(fd, poked, f->bits / 8, f->offset),
			             (ssize_t)(f->bits / 8));
			by_us = try_image("top", false, text, sizeof(text)) == -ENOTSUP;
			by_qemu = QEMU_IMG("info", "-f", "qcow2", "top") == 0;
			cr_assert(by_qemu || !by_us, "%s = 0x%llx is taken", f->name,
			          (unsigned long long)values[k]);
			refused += !by_us;
			taken += by_us;
		}
		cr_assert_eq(pwrite(fd, before, f->bits / 8, f->offset), (ssize_t)(f->bits / 8));
	}
	cr_assert(refused > 100 && taken > 30, "%u refused, %u taken", refused, taken);
}
