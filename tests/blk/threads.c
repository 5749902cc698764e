/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads.c: disks of a host that has no io_uring for us. What they do is what all suites here see, which are run so too
 * (meson.build); this is about who does it, and with which rights.
 */
#include "tests/lib/blk_rig.h"
#include "tests/lib/proc.h"
#include "tests/lib/rig.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static struct blk_rig rig;

static unsigned long threads(void)
{
	return strtoul(proc_status(rig.device, "Threads"), NULL, 10);
}

/* What capabilities, identity and filters are is each thread's own. */
static void each_thread_has_no_right(void)
{
	static const char *const same[] = {"CapEff", "CapPrm",     "CapBnd",  "Uid",
	                                   "Gid",    "NoNewPrivs", "Seccomp", "Seccomp_filters"};
	DIR *d = opendir(proc_path(rig.device, "task"));
	struct dirent *e;

	cr_assert_not_null(d);
	cr_assert_eq(strtoull(proc_status(rig.device, "CapEff"), NULL, 16), 0);
	cr_assert_eq(strtoul(proc_status(rig.device, "Seccomp"), NULL, 10), 2);
	while ((e = readdir(d))) {
		pid_t thread = (pid_t)strtol(e->d_name, NULL, 10);

		for (size_t i = 0; thread && i < ARRAY_SIZE(same); i++) {
			char mine[128];

			(void)snprintf(mine, sizeof(mine), "%s", proc_status(thread, same[i]));
			cr_assert_str_eq(mine, proc_status(rig.device, same[i]), "%s of thread %d",
			                 same[i], (int)thread);
		}
	}
	(void)closedir(d);
}

Test(blk_threads, where_there_is_no_io_uring_threads_without_a_right_do_its_work)
{
	cr_assert_eq(setenv("VIRTFS_HIDE", "io_uring", 1), 0);
	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.place = "/var/tmp"}));
	cr_assert_not_null(strstr(blk_rig_log(&rig), "no io_uring (EPERM): threads do the disks'"),
	                   "%s", rig.log);
	cr_assert_gt(threads(), 1);
	each_thread_has_no_right();
	cr_assert(blk_serves(&rig));
	cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
	blk_rig_end(&rig);
}

Test(blk_threads, they_can_be_asked_for)
{
	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.io = "threads"}));
	cr_assert_gt(threads(), 1);
	cr_assert(blk_serves(&rig));
	blk_rig_end(&rig);
}

Test(blk_threads, an_io_uring_that_was_asked_for_and_is_none_is_told)
{
	cr_assert_eq(setenv("VIRTFS_HIDE", "io_uring", 1), 0);
	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.io = "io_uring", .fails = true}));
	cr_assert_eq(rig_exit_status(rig.device), 1);
	rig.device = -1;
	cr_assert_not_null(
	    strstr(blk_rig_log(&rig), "cannot serve disks with the io_uring of --io: EPERM"), "%s",
	    rig.log);
	blk_rig_end(&rig);
}
