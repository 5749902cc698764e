/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_readdir.c: Treaddir: each entry once, whole, with cookies that hold whatever happens meanwhile. */
#include "tests/lib/p9_rig.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 4000

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, NULL);
	cr_assert_eq(mkdir(rig_path(&rig.rig, "d"), 0755), 0);
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(readdir, .init = start, .fini = end, .timeout = 240);

static struct p9_client *const c = &rig.c;

/* What a reading has seen, by the number in a file's name. */
static struct {
	unsigned times[FILES_MAX];
	unsigned dot, dotdot, other, count;
	uint64_t cookies[FILES_MAX + 2];
	char names[FILES_MAX + 2][16];
} saw;

static void make(unsigned number)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "d/f%u", number);
	rig_write(&rig.rig, name, "");
}

static void note(const struct p9_dirent *e)
{
	char *text = saw.names[saw.count];

	cr_assert_lt(saw.count, FILES_MAX + 2);
	cr_assert(wt_str_copy(&e->name, text, sizeof(saw.names[0])));
	saw.cookies[saw.count++] = e->offset;
	cr_assert_leq(e->offset, INT64_MAX);
	if (strcmp(text, ".") == 0)
		saw.dot++;
	else if (strcmp(text, "..") == 0)
		saw.dotdot++;
	else if (text[0] == 'f')
		saw.times[strtoul(text + 1, NULL, 10)]++;
	else
		saw.other++;
}

/* One Treaddir. Return: false at the end. */
static bool read_once(uint32_t fid, uint64_t *offset, uint32_t count)
{
	struct p9_readdir_rep a = P9(c, readdir, .fid = fid, .offset = *offset, .count = count);
	struct rd r = rd_over(a.entries.data, a.entries.size);
	struct p9_dirent e;

	cr_assert_leq(a.entries.size, count);
	while (r.left > 0) {
		cr_assert(p9_dirent_get(&r, &e), "an entry is cut");
		note(&e);
		*offset = e.offset;
	}
	return a.entries.size > 0;
}

static void read_all(uint32_t fid, uint32_t count)
{
	uint64_t offset = 0;

	memset(&saw, 0, sizeof(saw));
	while (read_once(fid, &offset, count))
		;
}

static void all_once(unsigned files)
{
	cr_assert_eq(saw.dot, 1);
	cr_assert_eq(saw.dotdot, 1);
	cr_assert_eq(saw.other, 0);
	for (unsigned i = 0; i < files; i++)
		cr_assert_eq(saw.times[i], 1, "f%u comes %u times", i, saw.times[i]);
	cr_assert_eq(saw.count, files + 2);
}

Test(readdir, an_empty_directory_has_two_entries)
{
	p9_open(c, 1, "d", 0);
	read_all(1, 65536);
	all_once(0);
}

Test(readdir, every_entry_comes_once_with_every_count)
{
	static const uint32_t counts[] = {29,  30,   32,   40,    47,        64,
	                                  128, 1000, 4096, 65536, UINT32_MAX};

	for (unsigned i = 0; i < 300; i++)
		make(i);
	p9_open(c, 1, "d", 0);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		read_all(1, counts[i]);
		all_once(300);
	}
}

Test(readdir, a_large_directory)
{
	for (unsigned i = 0; i < FILES_MAX; i++)
		make(i);
	p9_open(c, 1, "d", 0);
	read_all(1, P9_RIG_MSIZE - P9_READ_HEAD);
	all_once(FILES_MAX);
	read_all(1, 512);
	all_once(FILES_MAX);
}

Test(readdir, types_and_qids_are_those_of_the_files)
{
	struct p9_readdir_rep a;
	struct p9_dirent e;
	unsigned found = 0;
	struct rd r;

	make(0);
	cr_assert_eq(mkdir(rig_path(&rig.rig, "d/sub"), 0755), 0);
	cr_assert_eq(symlink("x", rig_path(&rig.rig, "d/link")), 0);
	cr_assert_eq(mkfifo(rig_path(&rig.rig, "d/pipe"), 0644), 0);
	p9_open(c, 1, "d", 0);
	a = P9(c, readdir, .fid = 1, .count = 4096);
	r = rd_over(a.entries.data, a.entries.size);
	while (r.left > 0 && p9_dirent_get(&r, &e)) {
		char name[16], path[32];
		struct stat st;

		cr_assert(wt_str_copy(&e.name, name, sizeof(name)));
		(void)snprintf(path, sizeof(path), "d/%s", name);
		cr_assert_eq(lstat(rig_path(&rig.rig, path), &st), 0);
		cr_assert_eq(e.qid.path, st.st_ino, "%s", name);
		if (e.type != DT_UNKNOWN)
			cr_assert_eq(e.type, (st.st_mode & S_IFMT) >> 12, "%s", name);
		cr_assert_eq(e.qid.type, S_ISDIR(st.st_mode)   ? P9_QTDIR
		                         : S_ISLNK(st.st_mode) ? P9_QTSYMLINK
		                                               : P9_QTFILE);
		found++;
	}
	cr_assert_eq(found, 6);
}

Test(readdir, the_end_is_told_as_often_as_asked)
{
	uint64_t offset = 0;

	make(0);
	p9_open(c, 1, "d", 0);
	memset(&saw, 0, sizeof(saw));
	while (read_once(1, &offset, 65536))
		;
	for (int i = 0; i < 3; i++)
		cr_assert_not(read_once(1, &offset, 65536));
	all_once(1);
}

Test(readdir, from_the_start_again_it_shows_what_is_new)
{
	make(0);
	p9_open(c, 1, "d", 0);
	read_all(1, 65536);
	all_once(1);
	make(1);
	read_all(1, 65536);
	all_once(2);
}

Test(readdir, every_cookie_leads_back_to_its_place)
{
	static uint64_t cookies[102];
	static char names[102][16];

	for (unsigned i = 0; i < 100; i++)
		make(i);
	p9_open(c, 1, "d", 0);
	read_all(1, 65536);
	all_once(100);
	memcpy(cookies, saw.cookies, sizeof(cookies));
	memcpy(names, saw.names, sizeof(names));
	for (unsigned i = 101; i-- > 0;) {
		uint64_t offset = cookies[i];

		memset(&saw, 0, sizeof(saw));
		cr_assert(read_once(1, &offset, 64));
		cr_assert_str_eq(saw.names[0], names[i + 1]);
	}
}

Test(readdir, entries_that_stay_come_once_while_others_come_and_go)
{
	uint64_t offset = 0;

	for (unsigned i = 0; i < 600; i++)
		make(i);
	p9_open(c, 1, "d", 0);
	memset(&saw, 0, sizeof(saw));
	for (unsigned step = 0; read_once(1, &offset, 200); step++) {
		char name[16];

		/* From 300 on they go, from 600 on they come; 0 to 299 stay. */
		if (step < 150) {
			(void)snprintf(name, sizeof(name), "d/f%u", 300 + 2 * step);
			(void)unlink(rig_path(&rig.rig, name));
			make(600 + step);
		}
	}
	for (unsigned i = 0; i < 300; i++)
		cr_assert_eq(saw.times[i], 1, "f%u comes %u times", i, saw.times[i]);
	for (unsigned i = 300; i < FILES_MAX; i++)
		cr_assert_leq(saw.times[i], 1);
	cr_assert(saw.dot == 1 && saw.dotdot == 1);
}

/* As rm -rf does it. */
Test(readdir, removing_what_was_read_loses_nothing)
{
	uint64_t offset = 0;
	unsigned before = 0;

	for (unsigned i = 0; i < 500; i++)
		make(i);
	p9_open(c, 1, "d", 0);
	memset(&saw, 0, sizeof(saw));
	while (read_once(1, &offset, 300)) {
		for (; before < saw.count; before++) {
			if (saw.names[before][0] == 'f')
				P9(c, unlinkat, .dirfid = 1, .name = saw.names[before]);
		}
	}
	all_once(500);
	P9(c, unlinkat, .dirfid = 0, .name = "d", .flags = 0x200);
}

Test(readdir, a_count_too_small_for_the_next_entry_is_an_error)
{
	char name[300] = "d/";
	uint64_t offset = 0;

	memset(name + 2, 'n', 255);
	rig_write(&rig.rig, name, "");
	p9_open(c, 1, "d", 0);
	P9(c, readdir, .fid = 1, .count = 0, .expect_err = EINVAL);
	P9(c, readdir, .fid = 1, .count = 24, .expect_err = EINVAL);
	/* Behind the short names comes the long one, or before them. */
	for (int i = 0; i < 4; i++) {
		uint16_t tag =
		    P9_SEND(c, READDIR, readdir, .fid = 1, .offset = offset, .count = 26);
		struct p9_readdir_rep a;
		int e = p9_wait(c, tag, P9_READDIR, &a);
		struct p9_dirent entry;
		struct rd r;

		if (e) {
			cr_assert_eq(e, EINVAL);
			break;
		}
		cr_assert_gt(a.entries.size, 0);
		r = rd_over(a.entries.data, a.entries.size);
		while (r.left > 0 && p9_dirent_get(&r, &entry))
			offset = entry.offset;
		cr_assert_lt(i, 3, "the long name fitted into 26 bytes");
	}
	cr_assert_gt(P9(c, readdir, .fid = 1, .offset = offset, .count = 279).entries.size, 0);
}

Test(readdir, the_way_up_from_the_root_is_the_root)
{
	struct p9_readdir_rep a;
	struct p9_dirent e;
	struct stat root, sub;
	struct rd r;

	cr_assert_eq(stat(rig.rig.export, &root), 0);
	cr_assert_eq(stat(rig_path(&rig.rig, "d"), &sub), 0);
	P9(c, attach, .fid = 5, .afid = P9_NOFID, .aname = "d");
	for (uint32_t fid = 0; fid <= 5; fid += 5) {
		p9_to(c, fid, fid + 1, "");
		P9(c, lopen, .fid = fid + 1);
		a = P9(c, readdir, .fid = fid + 1, .count = 65536);
		r = rd_over(a.entries.data, a.entries.size);
		while (r.left > 0 && p9_dirent_get(&r, &e)) {
			if (e.name.size == 2 && memcmp(e.name.data, "..", 2) == 0)
				cr_assert_eq(e.qid.path, fid ? sub.st_ino : root.st_ino,
				             "the host's inode above shows");
		}
	}
}

Test(readdir, what_is_no_open_directory_is_refused)
{
	make(0);
	p9_to(c, 0, 1, "d");
	P9(c, readdir, .fid = 1, .count = 4096, .expect_err = EBADF);
	p9_open(c, 2, "d/f0", 0);
	P9(c, readdir, .fid = 2, .count = 4096, .expect_err = ENOTDIR);
	P9(c, readdir, .fid = 9, .count = 4096, .expect_err = EBADF);
}

Test(readdir, wild_offsets_break_nothing)
{
	static const uint64_t wild[] = {1, 12345, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};

	make(0);
	p9_open(c, 1, "d", 0);
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		uint16_t tag =
		    P9_SEND(c, READDIR, readdir, .fid = 1, .offset = wild[i], .count = 4096);

		cr_assert_neq(p9_wait(c, tag, P9_READDIR, NULL), P9_GONE);
	}
	read_all(1, 4096);
	all_once(1);
}

Test(readdir, a_removed_directory_reads_as_empty_or_fails)
{
	uint16_t tag;
	int e;

	p9_open(c, 1, "d", 0);
	P9(c, unlinkat, .dirfid = 0, .name = "d", .flags = 0x200);
	tag = P9_SEND(c, READDIR, readdir, .fid = 1, .count = 4096);
	e = p9_wait(c, tag, P9_READDIR, NULL);
	cr_assert(e == 0 || e == ENOENT, "%d", e);
	cr_assert_eq(P9(c, getattr, .fid = 1).nlink, 0);
}

Test(readdir, two_fids_of_one_directory_do_not_disturb_each_other)
{
	uint64_t one = 0, two = 0;

	for (unsigned i = 0; i < 100; i++)
		make(i);
	p9_open(c, 1, "d", 0);
	p9_open(c, 2, "d", 0);
	memset(&saw, 0, sizeof(saw));
	while (read_once(1, &one, 100))
		(void)P9(c, readdir, .fid = 2, .offset = two, .count = 333);
	all_once(100);
}
