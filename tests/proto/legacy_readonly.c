/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_readonly.c: with --readonly nothing changes, whatever is asked; what reads goes on. */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static struct rig rig;

static void start(void)
{
	rig_start(&rig, (const char *const[]){"--readonly", NULL});
	rig_write(&rig, "f", "text");
	cr_assert_eq(symlink("f", rig_path(&rig, "s")), 0);
}

static void end(void)
{
	cr_assert_str_eq(rig_read(&rig, "f"), "text");
	cr_assert_eq(rig_end(&rig), 0);
}

TestSuite(readonly, .init = start, .fini = end, .timeout = 30);

Test(readonly, every_request_that_writes_is_refused)
{
	size_t refused = 0;

	for (size_t i = 0; i < legacy_table_count; i++) {
		const struct wt_msg *msg = &legacy_table[i];

		if (!(msg->policy & LEGACY_WRITES) || (msg->policy & LEGACY_GIVES_FD))
			continue;
		cr_assert_eq(peer_send_raw(rig.sock, msg->number, "", 0), 0);
		cr_assert_eq(peer_status(rig.sock), -EROFS, "%s", msg->name);
		refused++;
	}
	cr_assert_eq(refused, 12);
	cr_assert_eq(peer_create(rig.sock, "//new", O_RDONLY, 0644, 0, 0), -EROFS);
	cr_assert_eq(peer_remove(rig.sock, "//f"), -EROFS);
	cr_assert_eq(peer_chmod(rig.sock, "//f", 0777), -EROFS);
}

Test(readonly, files_open_for_reading_only)
{
	cr_assert_eq(peer_open(rig.sock, "//f", O_WRONLY), -EROFS);
	cr_assert_eq(peer_open(rig.sock, "//f", O_RDWR), -EROFS);
	cr_assert_eq(peer_open(rig.sock, "//f", O_RDONLY | O_TRUNC), -EROFS);
	AUTO_CLOSE int fd = peer_open(rig.sock, "//f", O_RDONLY);

	cr_assert_geq(fd, 0);
	cr_assert_eq(read(fd, (char[4]){0}, 4), 4);
}

/* The second wall: even the emulator's own use of a descriptor it was given cannot write. */
Test(readonly, the_mount_itself_is_read_only)
{
	AUTO_CLOSE int dir = peer_open(rig.sock, "/", O_DIRECTORY);

	cr_assert_geq(dir, 0);
	rig_needs_namespace("the host's mounts are used");
	cr_assert_lt(openat(dir, "new", O_CREAT | O_WRONLY, 0644), 0);
	cr_assert_eq(errno, EROFS);
	cr_assert_lt(openat(dir, "f", O_WRONLY), 0);
	cr_assert_eq(errno, EROFS);
	cr_assert_lt(unlinkat(dir, "f", 0), 0);
	cr_assert_eq(errno, EROFS);
}

Test(readonly, what_reads_goes_on)
{
	struct legacy_lstat_rep st;
	struct legacy_readlink_rep link;
	struct legacy_statfs_rep fs;

	cr_assert_eq(peer_lstat(rig.sock, "//f", &st), 0);
	cr_assert_eq(peer_readlink(rig.sock, "//s", &link), 0);
	cr_assert_eq(
	    peer_call(rig.sock, LEGACY_STATFS, &(struct legacy_statfs_req){.path = S("/")}, &fs),
	    0);
}
