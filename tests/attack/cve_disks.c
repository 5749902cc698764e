/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cve_disks.c: holes that other servers of disks had, and who passes descriptors to them, as tests of ours. (More of them are in
 * blk/image_chain.c, beside what they are about.)
 */
#include "tests/lib/blk_rig.h"
#include "tests/lib/images.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/proc.h"
#include "tests/lib/qcow2_image.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct blk_rig rig;
static uint8_t head[QCOW2_CLUSTER_MAX];

TestSuite(cve_disks, .timeout = 120);

/* ---- formats ---- */

/*
 * CVE-2010-2238, libvirt: the format of a backing file was found out from what is in it, which a guest had written: so it named any
 * file of the host.
 */
Test(cve_disks, cve_2010_2238_a_layers_format_is_not_found_out)
{
	const struct qcow2_plan top = {.backing = "base", .backing_format = "raw"};
	const struct qcow2_plan trap = {.backing = "/etc/shadow"};
	struct image_spec spec;

	images_start();
	images_make("top", 8u << 16, head, qcow2_make(&top, head));
	images_make("base", 8u << 16, head, qcow2_make(&trap, head));
	spec = images_spec("qcow2", images_open("top", O_RDONLY), true);
	spec.layer[spec.layers++] = (struct image_layer){
	    .format = "raw", .fd = images_open("base", O_RDONLY), .data_fd = -1};
	/* That such chains are not served is the only objection: what the second file holds is not looked at. */
	images_refused(&spec, ENOTSUP, "which is not served");
	spec.layer[1].format = "qcow2";
	spec.layer[1].fd = images_open("base", O_RDONLY);
	spec.layer[0].fd = images_open("top", O_RDONLY);
	images_refused(&spec, EINVAL, "");
	images_end();
}

static char canary[160];
static int watch;

/* A file beside the image that a name leads to; whoever looks at it is noticed. */
static void lay_canary(struct blk_rig *r)
{
	(void)snprintf(canary, sizeof(canary), "%s/canary", r->dir);
	cr_assert_eq(close(open(canary, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
	watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	cr_assert_geq(inotify_add_watch(watch, canary, IN_ALL_EVENTS), 0);
}

static void canary_is_untouched(void)
{
	char event[4096];

	cr_assert(read(watch, event, sizeof(event)) < 0 && errno == EAGAIN,
	          "somebody looked at the canary");
	cr_assert_eq(close(open(canary, O_RDONLY | O_CLOEXEC)), 0);
	cr_assert_gt(read(watch, event, sizeof(event)), 0, "and nobody would have noticed");
	cr_assert_eq(close(watch), 0);
}

static void start_must_fail(const struct blk_opt *o, const char *text)
{
	cr_assert(blk_rig_start(&rig, o));
	cr_assert_eq(rig_exit_status(rig.device), 1);
	rig.device = -1;
	cr_assert_not_null(strstr(blk_rig_log(&rig), text), "'%s' is not in: %s", text, rig.log);
	canary_is_untouched();
	blk_rig_end(&rig);
}

static void name_an_extent(struct blk_rig *r)
{
	char text[512];
	int n;

	lay_canary(r);
	n = snprintf(text, sizeof(text),
	             "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 2048 "
	             "FLAT \"%s\" 0\n",
	             canary);
	blk_rig_write(r, 0, text, (size_t)n);
}

static void name_a_data_file(struct blk_rig *r)
{
	uint32_t size;

	lay_canary(r);
	size = qcow2_make(&(struct qcow2_plan){QCOW2_PLAN_RAW, .data_file = canary}, head);
	blk_rig_write(r, 0, head, size);
}

/* CVE-2022-47951 and CVE-2024-32498, OpenStack: an uploaded vmdk or qcow2 named a file of the host as its extent or data file. */
Test(cve_disks, cve_2022_47951_a_vmdk_extent_is_not_opened)
{
	uint8_t got[512];

	start_must_fail(
	    &(struct blk_opt){.format = "vmdk", .prepare = name_an_extent, .fails = true},
	    "the image is vmdk, which is not served");
	/* As a raw disk it is what it is: text. */
	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.prepare = name_an_extent}));
	cr_assert_eq(blk_read(&rig, 0, got, sizeof(got)), VIRTIO_BLK_S_OK);
	cr_assert_eq(memcmp(got, "# Disk", 6), 0);
	canary_is_untouched();
	blk_rig_end(&rig);
}

Test(cve_disks, cve_2024_32498_a_data_file_that_is_named_is_not_opened)
{
	start_must_fail(
	    &(struct blk_opt){
	        .format = "qcow2", .readonly = true, .prepare = name_a_data_file, .fails = true},
	    "which was not passed");
}

/* CVE-2026-24708, OpenStack: a guest wrote a header to its raw disk, and the next tool that touched it believed that. */
Test(cve_disks, cve_2026_24708_a_raw_disk_with_a_header_is_raw_when_it_grows)
{
	uint8_t got[512];
	uint32_t size;

	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.prepare = lay_canary}));
	size = qcow2_make(
	    &(struct qcow2_plan){QCOW2_PLAN_RAW, .size = 1ull << 40, .data_file = canary}, head);
	cr_assert_eq(blk_write(&rig, 0, head, size), VIRTIO_BLK_S_OK);
	cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
	blk_rig_down(&rig);
	cr_assert_eq(kill(rig.device, SIGTERM), 0);
	cr_assert_eq(rig_exit_status(rig.device), 0);
	cr_assert_eq(ftruncate(rig.fd, 2 * BLK_SIZE), 0);
	blk_rig_device(&rig);
	blk_rig_connect(&rig);
	blk_rig_rings(&rig);
	cr_assert_eq(blk_config(&rig).capacity, 2 * BLK_SIZE / 512,
	             "the header's size is believed");
	cr_assert_eq(blk_read(&rig, 0, got, sizeof(got)), VIRTIO_BLK_S_OK);
	cr_assert_eq(memcmp(got, head, sizeof(got)), 0);
	canary_is_untouched();
	blk_rig_end(&rig);
}

/* CVE-2026-45782, Cloud Hypervisor: what completed after its disk was gone was written to memory that was given back. */
Test(cve_disks, cve_2026_45782_a_disk_that_goes_with_requests_under_way)
{
	static uint8_t data[65536];

	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.place = "/var/tmp"}));
	for (int round = 0; round < 50; round++) {
		struct blk_request q[32];

		for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
			q[i] = (struct blk_request){.type = i % 3 ? VIRTIO_BLK_T_OUT
			                                          : VIRTIO_BLK_T_FLUSH,
			                            .sector = 128ull * i,
			                            .out = data,
			                            .out_size = i % 3 ? sizeof(data) : 0};
			(void)blk_offer(&rig, 0, &q[i]);
		}
		/* Nobody waits: the emulator is gone, its memory with it. */
		blk_rig_down(&rig);
		memset(rig.slot, 0, sizeof(rig.slot));
		blk_rig_connect(&rig);
		blk_rig_rings(&rig);
	}
	cr_assert(blk_serves(&rig));
	blk_rig_end(&rig);
}

/* ---- descriptors ---- */

static bool has_open(pid_t pid, const char *path)
{
	DIR *d = opendir(proc_path(pid, "fd"));
	struct dirent *e;
	bool found = false;

	cr_assert_not_null(d);
	while (!found && (e = readdir(d))) {
		char name[300], to[300];
		ssize_t n;

		(void)snprintf(name, sizeof(name), "fd/%s", e->d_name);
		n = readlink(proc_path(pid, name), to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = '\0';
		found = strcmp(to, path) == 0;
	}
	(void)closedir(d);
	return found;
}

static pid_t serve(struct rig *r, int *ret_ready)
{
	char where[160], number[12];
	const char *args[] = {getenv("VIRTFS_LAUNCHER"),
	                      "serve",
	                      r->export,
	                      "--listen",
	                      where,
	                      "--foreground",
	                      "--ready-fd",
	                      number,
	                      NULL};
	int ready[2];
	pid_t pid;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	(void)snprintf(where, sizeof(where), "unix:%s/sock", r->dir);
	(void)snprintf(number, sizeof(number), "%d", ready[1]);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)fcntl(ready[1], F_SETFD, 0);
		(void)execv(args[0], (char *const *)(uintptr_t)args);
		_exit(126);
	}
	fd_close(&ready[1]);
	*ret_ready = ready[0];
	return pid;
}

/* CVE-2020-14339, libvirt: the emulator inherited /dev/mapper/control. */
Test(cve_disks, cve_2020_14339_no_descriptor_is_inherited)
{
	static struct p9_rig both;
	int left, ready;
	pid_t pid;
	char byte;

	/* Close-on-exec is forgotten on purpose: it is there in all that is started from now on. */
	left = open("/dev/full", O_RDWR); // NOLINT(android-cloexec-open)
	cr_assert_geq(left, 0);
	p9_rig_start(&both, NULL);
	cr_assert(has_open(getpid(), "/dev/full"));
	cr_assert_not(has_open(both.rig.helper, "/dev/full"), "the helper keeps what it inherits");
	cr_assert_not(has_open(both.device, "/dev/full"), "the device keeps what it inherits");
	pid = serve(&both.rig, &ready);
	cr_assert_eq(read(ready, &byte, 1), 1);
	fd_close(&ready);
	cr_assert_not(has_open(proc_child(pid, "virtfs-proxy"), "/dev/full"));
	cr_assert_not(has_open(proc_child(pid, "virtfs-device"), "/dev/full"));
	cr_assert_eq(kill(pid, SIGTERM), 0);
	cr_assert_eq(rig_exit_status(pid), 0);
	p9_rig_end(&both);
	fd_close(&left);
}
