/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_attr.c: Tgetattr, Tsetattr and Tstatfs, also of files that were renamed or unlinked. */
#include "tests/lib/p9_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define SET_MODE       0x1u
#define SET_UID        0x2u
#define SET_GID        0x4u
#define SET_SIZE       0x8u
#define SET_ATIME      0x10u
#define SET_MTIME      0x20u
#define SET_CTIME      0x40u
#define SET_ATIME_THEN 0x80u
#define SET_MTIME_THEN 0x100u

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, NULL);
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(attr, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

static struct stat host(const char *name)
{
	struct stat st;

	cr_assert_eq(lstat(rig_path(&rig.rig, name), &st), 0);
	return st;
}

static struct p9_getattr_rep get(uint32_t fid)
{
	return P9(c, getattr, .fid = fid, .request_mask = P9_STATS_BASIC);
}

Test(attr, all_basic_fields_come_whatever_was_asked)
{
	static const uint64_t masks[] = {0, 1, 0x7ff, 0x17ff, 0x3fff, UINT64_MAX};
	struct stat st;

	rig_write(&rig.rig, "f", "text");
	cr_assert_eq(chown(rig_path(&rig.rig, "f"), 12, 34), 0);
	cr_assert_eq(chmod(rig_path(&rig.rig, "f"), 06751), 0);
	st = host("f");
	p9_to(c, 0, 1, "f");
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		struct p9_getattr_rep a = P9(c, getattr, .fid = 1, .request_mask = masks[i]);

		cr_assert_eq(a.valid & P9_STATS_BASIC, P9_STATS_BASIC);
		cr_assert_eq(a.mode, S_IFREG | 06751u);
		cr_assert(a.uid == 12 && a.gid == 34 && a.nlink == 1 && a.size == 4);
		cr_assert(a.qid.path == st.st_ino && a.qid.type == P9_QTFILE && a.qid.version);
		cr_assert_eq(a.blocks, (uint64_t)st.st_blocks);
		cr_assert_eq(a.blksize, (uint64_t)st.st_blksize);
		cr_assert_eq(a.mtime_sec, (uint64_t)st.st_mtim.tv_sec);
		cr_assert_eq(a.mtime_nsec, (uint64_t)st.st_mtim.tv_nsec);
		cr_assert_eq(a.ctime_sec, (uint64_t)st.st_ctim.tv_sec);
	}
}

Test(attr, device_numbers_are_in_linux_encoding)
{
	static const struct {
		unsigned major, minor;
	} rows[] = {{1, 3}, {8, 17}, {259, 300}, {4095, 1048575}};

	rig_differs_on("xfs", "the largest device number");
	rig_needs_root("device nodes");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned min = rows[i].minor;

		cr_assert_eq(
		    mknod(rig_path(&rig.rig, "dev"), S_IFCHR | 0600, makedev(rows[i].major, min)),
		    0);
		p9_to(c, 0, 1, "dev");
		cr_assert_eq(get(1).rdev,
		             (min & 0xff) | rows[i].major << 8 | (uint64_t)(min & ~0xffu) << 12);
		P9(c, clunk, .fid = 1);
		cr_assert_eq(unlink(rig_path(&rig.rig, "dev")), 0);
	}
}

Test(attr, a_qid_changes_its_version_with_the_file_and_nothing_else)
{
	struct wt_qid before, after;

	p9_make(c, 1, "f", 0644);
	before = get(1).qid;
	after = get(1).qid;
	cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0);
	p9_put(c, 1, 0, "x");
	after = get(1).qid;
	cr_assert_eq(after.path, before.path);
	cr_assert_neq(after.version, before.version);
	cr_assert_eq(rename(rig_path(&rig.rig, "f"), rig_path(&rig.rig, "g")), 0);
	cr_assert_eq(get(1).qid.path, before.path);
	cr_assert_eq(get(1).qid.version, after.version);
}

/* A change by the host, or by another client, is seen at the next look. */
Test(attr, nothing_is_cached_for_longer_than_an_operation)
{
	rig_write(&rig.rig, "f", "text");
	p9_to(c, 0, 1, "f");
	cr_assert_eq(get(1).size, 4);
	for (int i = 1; i < 20; i++) {
		struct timespec moment = {.tv_nsec = 5000000};

		cr_assert_eq(truncate(rig_path(&rig.rig, "f"), i), 0);
		(void)nanosleep(&moment, NULL);
		cr_assert_eq(get(1).size, (uint64_t)i);
	}
}

Test(attr, what_the_client_changed_it_sees_at_once)
{
	for (int i = 0; i < 50; i++) {
		rig_write(&rig.rig, "f", "text");
		p9_to(c, 0, 1, "f");
		P9(c, setattr, .fid = 1, .valid = SET_SIZE, .size = (uint64_t)i);
		cr_assert_eq(get(1).size, (uint64_t)i);
		P9(c, lopen, .fid = 1, .flags = 2);
		p9_put(c, 1, 100, "x");
		cr_assert_eq(get(1).size, 101);
		P9(c, clunk, .fid = 1);
	}
}

Test(attr, an_open_unlinked_file_has_no_links_and_is_still_changed)
{
	struct p9_getattr_rep a;

	p9_make(c, 1, "f", 0644);
	p9_put(c, 1, 0, "text");
	P9(c, unlinkat, .dirfid = 0, .name = "f");
	a = get(1);
	cr_assert_eq(a.nlink, 0);
	cr_assert_eq(a.size, 4);
	P9(c, setattr, .fid = 1, .valid = SET_SIZE, .size = 2);
	P9(c, setattr, .fid = 1, .valid = SET_MODE, .mode = S_IFREG | 0600);
	P9(c, setattr, .fid = 1, .valid = SET_UID | SET_GID, .uid = 7, .gid = 8);
	P9(c, setattr, .fid = 1, .valid = SET_MTIME | SET_MTIME_THEN, .mtime_sec = 1000);
	a = get(1);
	cr_assert(a.size == 2 && a.mode == (S_IFREG | 0600) && a.uid == 7 && a.gid == 8 &&
	          a.mtime_sec == 1000 && a.nlink == 0);
	/* A clone of it too, though it is not open. */
	p9_to(c, 1, 2, "");
	P9(c, setattr, .fid = 2, .valid = SET_SIZE, .size = 1);
	cr_assert_eq(get(2).size, 1);
	cr_assert_eq(get(2).nlink, 0);
}

Test(attr, a_renamed_file_stays_the_same)
{
	p9_make(c, 1, "f", 0644);
	p9_to(c, 0, 2, "f");
	P9(c, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	p9_to(c, 0, 3, "d");
	P9(c, renameat, .olddirfid = 0, .oldname = "f", .newdirfid = 3, .newname = "g");
	rig_write(&rig.rig, "f", "another");
	for (uint32_t fid = 1; fid < 3; fid++) {
		P9(c, setattr, .fid = fid, .valid = SET_MODE, .mode = 0600 + fid);
		cr_assert_eq(host("d/g").st_mode, S_IFREG | (0600 + fid));
		cr_assert_eq(get(fid).size, 0);
	}
	cr_assert_eq(host("f").st_mode & 07777, 0644u);
	/* The host does the same. */
	cr_assert_eq(rename(rig_path(&rig.rig, "d"), rig_path(&rig.rig, "e")), 0);
	P9(c, setattr, .fid = 2, .valid = SET_SIZE, .size = 9);
	cr_assert_eq(host("e/g").st_size, 9);
}

Test(attr, owner_and_mode_at_once_leave_the_mode_that_was_asked)
{
	rig_write(&rig.rig, "f", "");
	p9_to(c, 0, 1, "f");
	P9(c, setattr, .fid = 1, .valid = SET_MODE | SET_UID | SET_GID | SET_CTIME,
	   .mode = S_IFREG | 06755, .uid = 1000, .gid = 1000);
	cr_assert_eq(host("f").st_mode, S_IFREG | 06755u, "the owner's change took set-id away");
	cr_assert_eq(host("f").st_uid, 1000u);
}

Test(attr, size_and_time_at_once_leave_the_time_that_was_asked)
{
	rig_write(&rig.rig, "f", "text");
	p9_to(c, 0, 1, "f");
	P9(c, setattr, .fid = 1, .valid = SET_SIZE | SET_MTIME | SET_MTIME_THEN, .size = 1,
	   .mtime_sec = 12345, .mtime_nsec = 6789);
	cr_assert_eq(host("f").st_size, 1);
	cr_assert_eq(host("f").st_mtim.tv_sec, 12345);
	cr_assert_eq(host("f").st_mtim.tv_nsec, 6789);
}

Test(attr, times_now_then_and_omitted)
{
	struct stat st;
	time_t now = time(NULL);

	rig_write(&rig.rig, "f", "");
	p9_to(c, 0, 1, "f");
	P9(c, setattr, .fid = 1, .valid = SET_ATIME | SET_ATIME_THEN | SET_MTIME | SET_MTIME_THEN,
	   .atime_sec = 1, .atime_nsec = 2, .mtime_sec = 3, .mtime_nsec = 4);
	st = host("f");
	cr_assert(st.st_atim.tv_sec == 1 && st.st_atim.tv_nsec == 2);
	cr_assert(st.st_mtim.tv_sec == 3 && st.st_mtim.tv_nsec == 4);
	P9(c, setattr, .fid = 1, .valid = SET_MTIME, .mtime_sec = 99);
	st = host("f");
	cr_assert_eq(st.st_atim.tv_sec, 1);
	cr_assert_geq(st.st_mtim.tv_sec, now - 2);
	/* The _SET bit alone is no wish. */
	P9(c, setattr, .fid = 1, .valid = SET_ATIME_THEN, .atime_sec = 55);
	cr_assert_eq(host("f").st_atim.tv_sec, 1);
	P9(c, setattr, .fid = 1, .valid = SET_MTIME | SET_MTIME_THEN, .mtime_sec = (uint64_t)-100);
	cr_assert_eq(host("f").st_mtim.tv_sec, -100, "before 1970");
	P9(c, setattr, .fid = 1, .valid = SET_MTIME | SET_MTIME_THEN, .mtime_nsec = 1000000000,
	   .expect_err = EINVAL);
	P9(c, setattr, .fid = 1, .valid = SET_MTIME | SET_MTIME_THEN, .mtime_nsec = 1073741822,
	   .expect_err = EINVAL);
}

Test(attr, the_time_of_change_alone_is_renewed)
{
	struct stat before, after;
	struct timespec moment = {.tv_nsec = 20000000};

	rig_write(&rig.rig, "f", "");
	p9_to(c, 0, 1, "f");
	before = host("f");
	(void)nanosleep(&moment, NULL);
	P9(c, setattr, .fid = 1, .valid = SET_CTIME);
	after = host("f");
	cr_assert(after.st_ctim.tv_sec > before.st_ctim.tv_sec ||
	          after.st_ctim.tv_nsec > before.st_ctim.tv_nsec);
	cr_assert_eq(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

Test(attr, a_size_is_of_regular_files_only)
{
	cr_assert_eq(mkdir(rig_path(&rig.rig, "d"), 0755), 0);
	cr_assert_eq(mkfifo(rig_path(&rig.rig, "p"), 0644), 0);
	cr_assert_eq(symlink("f", rig_path(&rig.rig, "l")), 0);
	rig_write(&rig.rig, "f", "text");
	p9_to(c, 0, 1, "d");
	P9(c, setattr, .fid = 1, .valid = SET_SIZE, .size = 0, .expect_err = EISDIR);
	p9_to(c, 0, 2, "p");
	P9(c, setattr, .fid = 2, .valid = SET_SIZE, .size = 0, .expect_err = EINVAL);
	p9_to(c, 0, 3, "l");
	P9(c, setattr, .fid = 3, .valid = SET_SIZE, .size = 0, .expect_err = P9_ANY_ERROR);
	p9_to(c, 0, 4, "f");
	P9(c, setattr, .fid = 4, .valid = SET_SIZE, .size = UINT64_MAX, .expect_err = EFBIG);
	cr_assert_eq(host("f").st_size, 4);
}

Test(attr, of_a_link_it_is_the_link_that_changes)
{
	rig_write(&rig.rig, "f", "");
	cr_assert_eq(symlink("f", rig_path(&rig.rig, "l")), 0);
	p9_to(c, 0, 1, "l");
	P9(c, setattr, .fid = 1, .valid = SET_UID | SET_GID, .uid = 5, .gid = 6);
	cr_assert_eq(host("l").st_uid, 5u);
	cr_assert_eq(host("f").st_uid, 0u);
	P9(c, setattr, .fid = 1, .valid = SET_MTIME | SET_MTIME_THEN, .mtime_sec = 77);
	cr_assert_eq(host("l").st_mtim.tv_sec, 77);
	cr_assert_neq(host("f").st_mtim.tv_sec, 77);
	P9(c, setattr, .fid = 1, .valid = SET_MODE, .mode = 0600, .expect_err = EOPNOTSUPP);
}

Test(attr, statfs_is_the_hosts)
{
	struct p9_statfs_rep a;
	struct statfs fs;
	uint64_t fsid;

	cr_assert_eq(statfs(rig.rig.export, &fs), 0);
	memcpy(&fsid, &fs.f_fsid, sizeof(fsid));
	a = P9(c, statfs, .fid = 0);
	cr_assert_eq(a.type, (uint32_t)fs.f_type);
	cr_assert_eq(a.bsize, (uint32_t)fs.f_bsize);
	cr_assert_eq(a.blocks, fs.f_blocks);
	cr_assert_eq(a.files, fs.f_files);
	cr_assert_eq(a.namelen, (uint32_t)fs.f_namelen);
	cr_assert_eq(a.fsid, fsid);
	p9_make(c, 1, "f", 0644);
	cr_assert_eq(P9(c, statfs, .fid = 1).fsid, fsid);
	P9(c, statfs, .fid = 9, .expect_err = EBADF);
}

Test(attr, unknown_fids_and_attribute_fids_are_refused)
{
	P9(c, getattr, .fid = 9, .expect_err = EBADF);
	P9(c, setattr, .fid = 9, .valid = SET_MODE, .expect_err = EBADF);
	P9(c, xattrwalk, .fid = 0, .newfid = 1);
	P9(c, getattr, .fid = 1, .expect_err = EINVAL);
	P9(c, setattr, .fid = 1, .valid = SET_MODE, .mode = 0, .expect_err = EINVAL);
}
