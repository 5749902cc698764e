/* SPDX-License-Identifier: GPL-2.0-or-later */
/* passed.c: disks of passed descriptors as a guest and a host see them: what is read, and what nobody opens or writes. */
#include "tests/lib/blk_rig.h"
#include "tests/lib/proc.h"
#include "tests/lib/qcow2_image.h"
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

static struct blk_rig rig;

/* Watches the images' directory, and what is in it, for whoever opens anything. */
static int watch_opens(void)
{
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	cr_assert_geq(watch, 0);
	cr_assert_geq(inotify_add_watch(watch, rig.dir, IN_OPEN), 0);
	return watch;
}

static bool has_opened(int watch)
{
	char events[4096];

	return read(watch, events, sizeof(events)) > 0;
}

Test(passed, F1_F10_nothing_is_opened_where_only_root_may)
{
	AUTO_CLOSE int watch = -1;
	struct stat st;
	char uid[64];

	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.place = "/var/tmp", .device_only = true}));
	cr_assert_eq(stat(rig.dir, &st), 0);
	cr_assert(st.st_uid == 0 && (st.st_mode & 0777) == 0700);
	cr_assert_eq(fstat(rig.fd, &st), 0);
	cr_assert(st.st_uid == 0 && (st.st_mode & 0777) == 0600);
	(void)snprintf(uid, sizeof(uid), "%s", proc_status(rig.device, "Uid"));
	cr_assert_neq(strtoul(uid, NULL, 10), 0, "it is root: %s", uid);
	watch = watch_opens();
	blk_rig_connect(&rig);
	blk_rig_rings(&rig);
	for (unsigned i = 0; i < 100; i++)
		cr_assert(blk_serves(&rig));
	cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
	blk_rig_down(&rig);
	blk_rig_connect(&rig);
	blk_rig_rings(&rig);
	cr_assert(blk_serves(&rig));
	cr_assert_not(has_opened(watch), "somebody opened the image or its directory");
	/* Which would have been noticed. */
	cr_assert_eq(close(open(rig.image, O_RDONLY | O_CLOEXEC)), 0);
	cr_assert(has_opened(watch));
	fd_close(&watch);
	blk_rig_end(&rig);
}

/* ---- qcow2 with a raw data file ---- */

static uint8_t head[QCOW2_CLUSTER_MAX], data[BLK_SIZE];
static char data_path[128];

/* Makes the image a header, and a file beside it the disk. The descriptor of that has the same mode. */
static void make_qcow2(struct blk_rig *r)
{
	const struct qcow2_plan plan = {QCOW2_PLAN_RAW, .size = BLK_SIZE,
	                                .data_file = "/etc/shadow"};
	uint32_t size = qcow2_make(&plan, head);
	AUTO_CLOSE int fd = -1;

	blk_rig_write(r, 0, head, size);
	(void)snprintf(data_path, sizeof(data_path), "%s/data", r->dir);
	fd = open(data_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	blk_fill(data, sizeof(data), 7);
	cr_assert_eq(write(fd, data, sizeof(data)), (ssize_t)sizeof(data));
	r->data_fd = open(data_path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(r->data_fd, 0);
}

static const struct blk_opt qcow2 = {.format = "qcow2", .readonly = true, .prepare = make_qcow2};

static void must_be_as_before(void)
{
	static uint8_t now[BLK_SIZE];
	AUTO_CLOSE int fd = open(data_path, O_RDONLY | O_CLOEXEC);

	cr_assert_eq(pread(fd, now, sizeof(now), 0), (ssize_t)sizeof(now));
	cr_assert_eq(memcmp(now, data, sizeof(now)), 0);
	blk_rig_read(&rig, 0, now, QCOW2_PLAN_SIZE);
	cr_assert_eq(memcmp(now, head, QCOW2_PLAN_SIZE), 0);
}

Test(passed, D1_D8_a_guest_reads_the_raw_data_file)
{
	uint8_t got[65536];

	cr_assert(blk_rig_start(&rig, &qcow2));
	cr_assert_eq(blk_config(&rig).capacity, BLK_SIZE / 512);
	cr_assert(rig.f.offered & BLK_F(RO));
	for (uint64_t at = 0; at < BLK_SIZE; at += sizeof(got)) {
		cr_assert_eq(blk_read(&rig, at / 512, got, sizeof(got)), VIRTIO_BLK_S_OK);
		cr_assert_eq(memcmp(got, data + at, sizeof(got)), 0, "at %llu",
		             (unsigned long long)at);
	}
	cr_assert_eq(blk_read(&rig, BLK_SIZE / 512, got, 512), VIRTIO_BLK_S_IOERR);
	blk_rig_end(&rig);
}

Test(passed, R2_R3_R9_no_file_of_a_chain_is_changed)
{
	static const uint32_t changes[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
	                                   14 /* SECURE_ERASE */};
	struct stat before[2], after[2];
	uint8_t sector[512] = {1};

	/* The driver took none of the features that have to do with it. */
	struct blk_opt o = qcow2;

	o.without = BLK_F(RO) | BLK_F(DISCARD) | BLK_F(WRITE_ZEROES);
	cr_assert(blk_rig_start(&rig, &o));
	cr_assert_eq(fstat(rig.fd, &before[0]) | stat(data_path, &before[1]), 0);
	for (uint64_t at = 0; at < BLK_SIZE / 512; at += 1000) {
		cr_assert_eq(blk_write(&rig, at, sector, sizeof(sector)), VIRTIO_BLK_S_IOERR);
		for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
			cr_assert_eq(blk_segment(&rig, changes[i], at, 8, 0), VIRTIO_BLK_S_IOERR);
		(void)blk_flush(&rig);
	}
	must_be_as_before();
	cr_assert_eq(fstat(rig.fd, &after[0]) | stat(data_path, &after[1]), 0);
	for (size_t i = 0; i < 2; i++) {
		cr_assert_eq(before[i].st_ctim.tv_sec, after[i].st_ctim.tv_sec);
		cr_assert_eq(before[i].st_ctim.tv_nsec, after[i].st_ctim.tv_nsec);
	}
	blk_rig_end(&rig);
}

/* ---- what a start refuses ---- */

static void header_without_features(struct blk_rig *r)
{
	blk_rig_write(r, 0, head, qcow2_make(&(struct qcow2_plan){.size = BLK_SIZE}, head));
}

static void header_with_backing(struct blk_rig *r)
{
	blk_rig_write(r, 0, head, qcow2_make(&(struct qcow2_plan){.backing = "base\n"}, head));
}

static void header_with_data(struct blk_rig *r)
{
	make_qcow2(r);
	fd_close(&r->data_fd);
}

Test(passed, F2_F5_F7_a_start_that_is_refused_says_why)
{
	static const struct {
		struct blk_opt o;
		const char *text;
	} rows[] = {
	    {{.format = "vmdk"}, "--disk d0: the image is vmdk, which is not served: convert it"},
	    {{.format = "qcow2", .readonly = true}, "it does not begin with QFI"},
	    {{.format = "qcow2", .readonly = true, .prepare = header_without_features},
	     "is qcow2 without a raw data file, which is not served"},
	    {{.format = "qcow2", .readonly = true, .prepare = header_with_backing},
	     "names the backing file \"base\\x0a\", which was not passed"},
	    {{.format = "qcow2", .readonly = true, .prepare = header_with_data},
	     "in an external file, \"/etc/shadow\", which was not passed"},
	    {{.format = "raw", .readonly = true, .prepare = make_qcow2},
	     "is raw and so has no data file, but one was passed"},
	    {{.flags = O_APPEND}, "was opened with O_APPEND"},
	    {{.flags = O_DSYNC}, "was opened with O_DSYNC, but the disk's cache is writeback"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct blk_opt o = rows[i].o;

		o.fails = true;
		cr_assert(blk_rig_start(&rig, &o));
		cr_assert_eq(rig_exit_status(rig.device), 1);
		rig.device = -1;
		cr_assert(strstr(blk_rig_log(&rig), rows[i].text), "'%s' is not in: %s",
		          rows[i].text, blk_rig_log(&rig));
		blk_rig_end(&rig);
	}
}
