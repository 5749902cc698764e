/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_lessons.c: mistakes that 9P servers made and that hurt Linux clients, one test a mistake. Many have longer tests
 * elsewhere; here each has its name.
 */
#include "tests/lib/p9_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, NULL);
	rig_write(&rig.rig, "f", "text");
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(lessons, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

Test(lessons, l01_a_replys_size_is_what_it_says)
{
	static const uint8_t fsync[] = {15, 0, 0, 0, P9_FSYNC, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0};
	struct p9_head h;
	struct rd body;

	/* p9_wait() holds each reply to its size; here the ones with nothing in them. */
	p9_open(c, 1, "f", 2);
	p9_send_raw(c, fsync, sizeof(fsync));
	cr_assert(p9_recv(c, &h, &body));
	cr_assert(h.size == 7 && h.type == P9_FSYNC + 1 && h.tag == 9);
	(void)P9_SEND(c, GETATTR, getattr, .fid = 1);
	cr_assert(p9_recv(c, &h, &body));
	cr_assert_eq(h.size, 160);
}

Test(lessons, l02_attributes_after_unlink_and_rename)
{
	p9_open(c, 1, "f", 2);
	p9_to(c, 0, 2, "f");
	P9(c, renameat, .olddirfid = 0, .oldname = "f", .newdirfid = 0, .newname = "g");
	P9(c, setattr, .fid = 2, .valid = 8, .size = 3);
	P9(c, unlinkat, .dirfid = 0, .name = "g");
	P9(c, setattr, .fid = 1, .valid = 8, .size = 2);
	cr_assert_eq(P9(c, getattr, .fid = 2).size, 2);
}

Test(lessons, l03_walks_and_unlinks_on_open_fids)
{
	p9_open(c, 1, "", 0);
	p9_to(c, 1, 2, "f");
	P9(c, unlinkat, .dirfid = 1, .name = "f");
}

Test(lessons, l04_no_entry_is_cut_and_none_lost)
{
	uint64_t offset = 0;
	unsigned found = 0;

	for (int i = 0; i < 200; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "n%.*s%d", i % 40,
		               "0123456789012345678901234567890123456789", i);
		rig_write(&rig.rig, name, "");
	}
	p9_open(c, 1, "", 0);
	for (;;) {
		struct p9_readdir_rep a = P9(c, readdir, .fid = 1, .offset = offset, .count = 111);
		struct rd r = rd_over(a.entries.data, a.entries.size);
		struct p9_dirent e;

		if (a.entries.size == 0)
			break;
		for (; r.left > 0; found++) {
			cr_assert(p9_dirent_get(&r, &e));
			offset = e.offset;
		}
	}
	cr_assert_eq(found, 203);
}

Test(lessons, l05_an_empty_attribute_is_not_a_removal)
{
	p9_to(c, 0, 1, "f");
	P9(c, xattrcreate, .fid = 1, .name = "user.e", .attr_size = 0, .flags = 0);
	P9(c, clunk, .fid = 1);
	cr_assert_eq(getxattr(rig_path(&rig.rig, "f"), "user.e", NULL, 0), 0);
}

Test(lessons, l06_fsync_without_datasync)
{
	static const uint8_t fsync[] = {11, 0, 0, 0, P9_FSYNC, 9, 0, 1, 0, 0, 0};

	p9_open(c, 1, "f", 2);
	p9_send_raw(c, fsync, sizeof(fsync));
	cr_assert_eq(p9_wait(c, 9, P9_FSYNC, NULL), 0);
}

Test(lessons, l07_statfs_has_the_hosts_fsid)
{
	struct statfs fs;
	uint64_t fsid;

	cr_assert_eq(statfs(rig.rig.export, &fs), 0);
	memcpy(&fsid, &fs.f_fsid, sizeof(fsid));
	cr_assert_eq(P9(c, statfs, .fid = 0).fsid, fsid);
}

Test(lessons, l08_counts_near_the_end_of_32_bits)
{
	p9_open(c, 1, "f", 0);
	p9_open(c, 2, "", 0);
	for (uint32_t less = 0; less < 64; less++) {
		cr_assert_eq(P9(c, read, .fid = 1, .count = UINT32_MAX - less).data.size, 4);
		cr_assert_gt(P9(c, readdir, .fid = 2, .count = UINT32_MAX - less).entries.size, 0);
	}
}

Test(lessons, l09_special_files_are_made_but_never_opened)
{
	rig_needs_root("device nodes");
	P9(c, mknod, .dfid = 0, .name = "p", .mode = S_IFIFO | 0644);
	P9(c, mknod, .dfid = 0, .name = "z", .mode = S_IFCHR | 0644, .major = 1, .minor = 5);
	p9_to(c, 0, 1, "p");
	P9(c, lopen, .fid = 1, .expect_err = ENXIO);
	p9_to(c, 0, 2, "z");
	P9(c, lopen, .fid = 2, .expect_err = ENXIO);
	cr_assert(p9_alive(c));
}

Test(lessons, l10_small_messages_and_iounit)
{
	struct p9_lopen_rep a;

	rig_differs_on("xfs", "links hold 1,024 bytes");
	p9_start(c, 4096);
	p9_to(c, 0, 1, "f");
	a = P9(c, lopen, .fid = 1, .flags = 2);
	cr_assert(a.iounit == 0 || (a.iounit % 4096 == 0 && a.iounit <= 4096 - P9_IOHDRSZ));
	/* A link's target may be longer than such a message: an error then, no cut text. */
	{
		static char target[4096];
		uint16_t tag;
		int e;

		memset(target, 't', 4095);
		cr_assert_eq(symlink(target, rig_path(&rig.rig, "l")), 0);
		p9_to(c, 0, 2, "l");
		tag = P9_SEND(c, READLINK, readlink, .fid = 2);
		e = p9_wait(c, tag, P9_READLINK, NULL);
		cr_assert(e != 0 && e != P9_GONE);
	}
	cr_assert(p9_has(c, 1, 0, "text"));
}

Test(lessons, l11_append_and_dsync_are_honoured)
{
	p9_open(c, 1, "f", 02001);
	p9_put(c, 1, 0, "ed");
	cr_assert_str_eq(rig_read(&rig.rig, "f"), "texted");
	p9_open(c, 2, "f", 010002);
	p9_put(c, 2, 0, "T");
}

/* Two file systems whose inodes have the same numbers. */
static void mount_two(struct rig *r)
{
	rig_mounts();
	for (int i = 0; i < 2; i++) {
		const char *where = rig_path(r, i ? "m1" : "m0");

		cr_assert_eq(mkdir(where, 0755), 0);
		cr_assert_eq(mount("none", where, "tmpfs", 0, "size=1m"), 0, "%s", strerror(errno));
		rig_write(r, i ? "m1/f" : "m0/f", i ? "one" : "zero");
	}
}

Test(lessons, l12_qids_do_not_collide_across_mounts)
{
	static const char *const names[] = {"", "m0", "m1", "m0/f", "m1/f"};
	struct p9_rig two;
	struct stat st[2];
	uint64_t paths[5];

	rig_needs_root("mounts");
	p9_rig_start(&two, &(struct p9_rig_opt){.prepare = mount_two});
	for (int i = 0; i < 2; i++) {
		const char *where = rig_path(&two.rig, i ? "m1" : "m0");

		cr_assert_eq(stat(rig_path(&two.rig, i ? "m1/f" : "m0/f"), &st[i]), 0);
		rig_unmount(where);
	}
	cr_assert_eq(st[0].st_ino, st[1].st_ino, "the test needs inodes of one number");
	for (uint32_t i = 0; i < 5; i++) {
		p9_to(&two.c, 0, i + 1, names[i]);
		paths[i] = P9(&two.c, getattr, .fid = i + 1).qid.path;
		for (uint32_t k = 0; k < i; k++)
			cr_assert_neq(paths[i], paths[k], "%s and %s", names[i], names[k]);
	}
	P9(&two.c, lopen, .fid = 4);
	P9(&two.c, lopen, .fid = 5);
	cr_assert(p9_has(&two.c, 4, 0, "zero"));
	cr_assert(p9_has(&two.c, 5, 0, "one"));
	p9_to(&two.c, 3, 9, "../m0/f");
	cr_assert_eq(P9(&two.c, getattr, .fid = 9).qid.path, paths[3]);
	/* A name cannot be linked from one to the other, and the errno says so. */
	P9(&two.c, link, .dfid = 3, .fid = 4, .name = "g", .expect_err = EXDEV);
	p9_rig_end(&two);
}

Test(lessons, l13_no_reply_after_rflush)
{
	struct flock l = {.l_type = F_WRLCK};
	AUTO_CLOSE int fd = open(rig_path(&rig.rig, "f"), O_RDWR | O_CLOEXEC);
	uint16_t tag;

	cr_assert_eq(fcntl(fd, F_OFD_SETLK, &l), 0);
	p9_open(c, 1, "f", 2);
	tag = P9_SEND(c, LOCK, lock, .fid = 1, .type = P9_LOCK_TYPE_WRLCK,
	              .flags = P9_LOCK_FLAGS_BLOCK, .client_id = "c");
	P9(c, flush, .oldtag = tag);
	fd_close(&fd);
	cr_assert(p9_quiet(c, 150));
}

Test(lessons, l14_no_limit_on_a_paths_length_and_cheap_renames)
{
	char name[256];
	uint32_t fid = 0;

	memset(name, 'n', 255);
	name[255] = '\0';
	for (; fid < 300; fid++) { /* 76 KiB of names */
		P9(c, mkdir, .dfid = fid, .name = name, .mode = 0700, .gid = 0);
		p9_to(c, fid, fid + 1, name);
	}
	P9(c, renameat, .olddirfid = 0, .oldname = name, .newdirfid = 0, .newname = "top");
	P9(c, getattr, .fid = fid);
	P9(c, renameat, .olddirfid = 0, .oldname = "top", .newdirfid = 0, .newname = name);
	while (fid-- > 0)
		P9(c, unlinkat, .dirfid = fid, .name = name, .flags = 0x200);
}

Test(lessons, l15_locks_are_real_and_blocking_ones_are_answered_when_granted)
{
	struct p9_lock_rep a;
	uint16_t tag;

	p9_open(c, 1, "f", 2);
	P9(c, lock, .fid = 1, .type = P9_LOCK_TYPE_WRLCK, .proc_id = 1, .client_id = "c");
	cr_assert_eq(
	    P9(c, lock, .fid = 1, .type = P9_LOCK_TYPE_WRLCK, .proc_id = 2, .client_id = "c")
	        .status,
	    P9_LOCK_BLOCKED);
	tag = P9_SEND(c, LOCK, lock, .fid = 1, .type = P9_LOCK_TYPE_WRLCK,
	              .flags = P9_LOCK_FLAGS_BLOCK, .proc_id = 2, .client_id = "c");
	cr_assert(p9_quiet(c, 50));
	P9(c, lock, .fid = 1, .type = P9_LOCK_TYPE_UNLCK, .proc_id = 1, .client_id = "c");
	cr_assert_eq(p9_wait(c, tag, P9_LOCK, &a), 0);
	cr_assert_eq(a.status, P9_LOCK_SUCCESS);
}

/* What is the kernel's fault cannot be mended here; but inodes must be told apart, which made it worse. */
Test(lessons, l16_an_inode_used_again_is_told_apart)
{
	struct wt_qid before, after;
	bool same_inode = false;

	for (int i = 0; i < 50 && !same_inode; i++) {
		P9(c, unlinkat, .dirfid = 0, .name = "f");
		rig_write(&rig.rig, "f", "one");
		p9_to(c, 0, 1, "f");
		before = P9(c, getattr, .fid = 1).qid;
		P9(c, clunk, .fid = 1);
		P9(c, unlinkat, .dirfid = 0, .name = "f");
		(void)usleep(10000);
		rig_write(&rig.rig, "f", "two");
		p9_to(c, 0, 1, "f");
		after = P9(c, getattr, .fid = 1).qid;
		P9(c, clunk, .fid = 1);
		same_inode = before.path == after.path;
		if (same_inode)
			cr_assert_neq(before.version, after.version);
	}
}
