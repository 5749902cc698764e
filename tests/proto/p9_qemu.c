/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_qemu.c: what QEMU's own test of its 9P server expects (tests/qtest/virtio-9p-test.c), one test a case, under its
 * name there. The case "config" is of the virtio device. QEMU's synthetic nodes are files and directories here.
 */
#include "tests/lib/p9_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MSIZE 4096 /* QEMU's test has it so */
#define FILES 100

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.msize = MSIZE});
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(qemu, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

static bool host_stat(const char *name, struct stat *ret)
{
	return lstat(rig_path(&rig.rig, name), ret) == 0;
}

Test(qemu, synth_version_basic)
{
	struct p9_version_rep a = P9(c, version, .msize = MSIZE, .version = "9P2000.L");

	cr_assert_eq(a.msize, MSIZE);
	cr_assert(a.version.size == 8 && memcmp(a.version.data, "9P2000.L", 8) == 0);
}

Test(qemu, synth_attach_basic)
{
	P9(c, version, .msize = MSIZE, .version = "9P2000.L");
	P9(c, attach, .fid = 0, .afid = P9_NOFID, .n_uname = 0);
}

Test(qemu, synth_walk_basic)
{
	char path[40] = "";

	for (int i = 0; i < 16; i++) {
		(void)snprintf(path + 2 * i, sizeof(path) - 2 * (size_t)i, "%d/", i % 10);
		cr_assert_eq(mkdir(rig_path(&rig.rig, path), 0755), 0);
	}
	cr_assert_eq(P9(c, walk, .fid = 0, .newfid = 1, .names = path).qids.count, 16);
}

Test(qemu, synth_walk_no_slash)
{
	struct p9_walk_req q = {.fid = 0, .newfid = 1, .names.count = 1};

	q.names.name[0] = wt_str_of(" /");
	cr_assert_eq(p9_wait(c, p9_send(c, P9_WALK, &q), P9_WALK, NULL), ENOENT);
}

Test(qemu, synth_walk_none)
{
	struct wt_qid root = P9(c, getattr, .fid = 0, .request_mask = P9_STATS_BASIC).qid;
	struct wt_qid clone;

	cr_assert_eq(P9(c, walk, .fid = 0, .newfid = 1).qids.count, 0);
	clone = P9(c, getattr, .fid = 1, .request_mask = P9_STATS_BASIC).qid;
	cr_assert(clone.path == root.path && clone.type == root.type &&
	          clone.version == root.version);
}

Test(qemu, synth_walk_dotdot_from_root)
{
	uint64_t root = P9(c, getattr, .fid = 0, .request_mask = P9_STATS_BASIC).qid.path;
	struct p9_walk_rep a = P9(c, walk, .fid = 0, .newfid = 1, .names = "..");

	cr_assert_eq(a.qids.count, 1);
	cr_assert_eq(a.qids.qid[0].path, root);
}

Test(qemu, synth_walk_non_existent)
{
	P9(c, walk, .fid = 0, .newfid = 1, .names = "non-existent", .expect_err = ENOENT);
}

Test(qemu, synth_walk_2nd_non_existent)
{
	uint64_t root = P9(c, getattr, .fid = 0, .request_mask = P9_STATS_BASIC).qid.path;
	struct p9_walk_rep a;

	cr_assert_eq(mkdir(rig_path(&rig.rig, "0"), 0755), 0);
	a = P9(c, walk, .fid = 0, .newfid = 1, .names = "0/non-existent");
	cr_assert_eq(a.qids.count, 1);
	cr_assert_neq(a.qids.qid[0].path, root);
	/* QEMU says ENOENT of an unknown fid, we EBADF; Linux cares for neither. */
	P9(c, getattr, .fid = 1, .request_mask = P9_STATS_BASIC, .expect_err = EBADF);
}

Test(qemu, synth_lopen_basic)
{
	rig_write(&rig.rig, "open", "");
	p9_to(c, 0, 1, "open");
	P9(c, lopen, .fid = 1, .flags = 1);
}

Test(qemu, synth_write_basic)
{
	static const uint8_t data[2048];

	rig_write(&rig.rig, "write", "");
	p9_open(c, 1, "write", 1);
	cr_assert_eq(P9(c, write, .fid = 1, .data = {.data = data, .size = 2048}).count, 2048);
}

/* QEMU's node blocks; a lock that somebody has is what blocks here. */
Test(qemu, synth_flush_success)
{
	struct flock l = {.l_type = F_WRLCK};
	uint16_t lock;
	int fd;

	rig_write(&rig.rig, "f", "");
	p9_open(c, 1, "f", 2);
	fd = open(rig_path(&rig.rig, "f"), O_RDWR | O_CLOEXEC);
	cr_assert_eq(fcntl(fd, F_OFD_SETLK, &l), 0);
	lock = P9_SEND(c, LOCK, lock, .fid = 1, .type = P9_LOCK_TYPE_WRLCK,
	               .flags = P9_LOCK_FLAGS_BLOCK, .client_id = "c");
	P9(c, flush, .oldtag = lock);
	cr_assert_eq(p9_kept_count(c), 0, "what was flushed is answered by Rflush alone");
	cr_assert(p9_quiet(c, 200));
	cr_assert_eq(close(fd), 0);
}

Test(qemu, synth_flush_ignored)
{
	static const uint8_t data[2048];
	struct p9_write_rep a;
	uint16_t write;

	rig_write(&rig.rig, "write", "");
	p9_open(c, 1, "write", 1);
	write = P9_SEND(c, WRITE, write, .fid = 1, .data = {.data = data, .size = 2048});
	P9(c, flush, .oldtag = write);
	cr_assert_eq(p9_kept_count(c), 1, "Rwrite comes before Rflush");
	cr_assert_eq(p9_wait(c, write, P9_WRITE, &a), 0);
	cr_assert_eq(a.count, 2048);
}

/* ---- readdir ---- */

static bool seen[FILES + 2];

static void note_entry(const struct wt_str *name)
{
	char text[16];
	size_t i = FILES;

	cr_assert(wt_str_copy(name, text, sizeof(text)));
	if (strcmp(text, "..") == 0)
		i = FILES + 1;
	else if (strcmp(text, ".") != 0)
		i = strtoul(text + 1, NULL, 10);
	cr_assert_lt(i, FILES + 2);
	cr_assert_not(seen[i], "%s comes twice", text);
	seen[i] = true;
}

static void read_directory(uint32_t count, unsigned replies_at_least)
{
	unsigned entries = 0, replies = 0;
	uint64_t offset = 0;

	for (int i = 0; i < FILES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "F%d", i);
		rig_write(&rig.rig, name, "");
	}
	p9_open(c, 1, "", 0);
	for (;; replies++) {
		struct p9_readdir_rep a =
		    P9(c, readdir, .fid = 1, .offset = offset, .count = count);
		struct rd r = rd_over(a.entries.data, a.entries.size);
		struct p9_dirent e;

		cr_assert_leq(a.entries.size, count);
		if (a.entries.size == 0)
			break;
		for (; r.left > 0; entries++) {
			cr_assert(p9_dirent_get(&r, &e), "an entry is cut");
			note_entry(&e.name);
			offset = e.offset;
		}
	}
	cr_assert_eq(entries, FILES + 2);
	cr_assert_geq(replies, replies_at_least);
}

Test(qemu, synth_readdir_basic)
{
	read_directory(MSIZE - 11, 1);
}

Test(qemu, synth_readdir_split_512)
{
	read_directory(512, 5);
}

Test(qemu, synth_readdir_split_256)
{
	read_directory(256, 10);
}

Test(qemu, synth_readdir_split_128)
{
	read_directory(128, 20);
}

/* ---- QEMU's local backend ---- */

Test(qemu, local_create_dir)
{
	struct stat st;

	P9(c, mkdir, .dfid = 0, .name = "01", .mode = 0750, .gid = 0);
	cr_assert(host_stat("01", &st) && S_ISDIR(st.st_mode));
}

Test(qemu, local_unlinkat_dir)
{
	struct stat st;

	P9(c, mkdir, .dfid = 0, .name = "02", .mode = 0750, .gid = 0);
	cr_assert(host_stat("02", &st));
	P9(c, unlinkat, .dirfid = 0, .name = "02", .flags = 0x200);
	cr_assert_not(host_stat("02", &st));
}

/* Makes a file in a directory, as QEMU's test does. */
static void dir_and_file(const char *dir)
{
	P9(c, mkdir, .dfid = 0, .name = dir, .mode = 0750, .gid = 0);
	p9_to(c, 0, 1, dir);
	p9_to(c, 1, 2, "");
	P9(c, lcreate, .fid = 2, .name = "file", .flags = 0101, .mode = 0750, .gid = 0);
}

Test(qemu, local_create_file)
{
	struct stat st;

	dir_and_file("03");
	cr_assert(host_stat("03/file", &st) && S_ISREG(st.st_mode));
}

Test(qemu, local_unlinkat_file)
{
	struct stat st;

	dir_and_file("04");
	P9(c, unlinkat, .dirfid = 1, .name = "file");
	cr_assert_not(host_stat("04/file", &st));
}

Test(qemu, local_symlink_file)
{
	struct stat st;

	dir_and_file("05");
	P9(c, symlink, .dfid = 1, .name = "link", .target = "file", .gid = 0);
	cr_assert(host_stat("05/link", &st) && S_ISLNK(st.st_mode));
}

Test(qemu, local_unlinkat_symlink)
{
	struct stat st;

	dir_and_file("06");
	P9(c, symlink, .dfid = 1, .name = "link", .target = "file", .gid = 0);
	P9(c, unlinkat, .dirfid = 1, .name = "link");
	cr_assert_not(host_stat("06/link", &st));
	cr_assert(host_stat("06/file", &st));
}

Test(qemu, local_hardlink_file)
{
	struct stat a, b;

	dir_and_file("07");
	p9_to(c, 1, 3, "file");
	P9(c, link, .dfid = 1, .fid = 3, .name = "link");
	cr_assert(host_stat("07/file", &a) && host_stat("07/link", &b));
	cr_assert(a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

Test(qemu, local_unlinkat_hardlink)
{
	struct stat st;

	dir_and_file("08");
	p9_to(c, 1, 3, "file");
	P9(c, link, .dfid = 1, .fid = 3, .name = "link");
	P9(c, unlinkat, .dirfid = 1, .name = "link");
	cr_assert_not(host_stat("08/link", &st));
	cr_assert(host_stat("08/file", &st));
}

Test(qemu, local_use_after_unlink)
{
	static const uint8_t data[2048];
	struct stat st;

	dir_and_file("09");
	P9(c, clunk, .fid = 2);
	p9_to(c, 1, 2, "file");
	P9(c, lopen, .fid = 2, .flags = 1);
	P9(c, unlinkat, .dirfid = 1, .name = "file");
	cr_assert_not(host_stat("09/file", &st));
	P9(c, getattr, .fid = 2, .request_mask = P9_STATS_BASIC);
	cr_assert_eq(P9(c, write, .fid = 2, .data = {.data = data, .size = 2048}).count, 2048);
	P9(c, setattr, .fid = 2, .valid = 8, .size = 2001);
	cr_assert_eq(P9(c, getattr, .fid = 2, .request_mask = P9_STATS_BASIC).size, 2001);
}

/* Deeper than PATH_MAX, by a name of 255 bytes a step. */
Test(qemu, local_deep_absolute_path)
{
	char name[256];
	uint32_t fid = 0;

	memset(name, 'n', 255);
	name[255] = '\0';
	for (; fid < 24; fid++) {
		P9(c, mkdir, .dfid = fid, .name = name, .mode = 0700, .gid = 0);
		p9_to(c, fid, fid + 1, name);
	}
	P9(c, lcreate, .fid = fid, .name = "file", .flags = 2, .mode = 0600, .gid = 0);
	p9_put(c, fid, 0, "deep");
	/* nftw(3) at the end could not go so deep. */
	P9(c, unlinkat, .dirfid = fid - 1, .name = name, .flags = 0x200, .expect_err = ENOTEMPTY);
	p9_to(c, fid - 1, 100, name);
	P9(c, unlinkat, .dirfid = 100, .name = "file");
	while (fid-- > 0)
		P9(c, unlinkat, .dirfid = fid, .name = name, .flags = 0x200);
}
