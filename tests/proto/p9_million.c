/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_million.c: a million fids at once, each with a node of its own, where device and helper may have 4096 descriptors.
 *
 * $VIRTFS_FIDS says how many, if not a million; a sanitizer's build has a tenth.
 */
#include "tests/lib/p9_rig.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_LOW  4096 /* RLIMIT_NOFILE */
#define DIRS       100u
#define FILES      20000u
#define FIRST_FID  1000u
#define AT_ONCE    200u
#define SAMPLES    2000u
#define REPLY_ROOM 65536

static struct p9_rig rig;
static struct p9_client *const c = &rig.c;
static ino_t inodes[FILES];
static uint32_t many;
static int export = -1;

TestSuite(million, .timeout = 600);

/* ---- the export: a tmpfs with that many files, each of which holds its number ---- */

static const char *name_of(uint32_t file, bool whole)
{
	static char name[32];

	if (whole)
		(void)snprintf(name, sizeof(name), "d%u/f%u", file % DIRS, file);
	else
		(void)snprintf(name, sizeof(name), "f%u", file);
	return name;
}

static void fill(struct rig *r)
{
	char number[16];
	struct stat st;

	cr_assert_eq(mount("none", r->export, "tmpfs", 0, "size=200m"), 0, "%s", strerror(errno));
	for (uint32_t i = 0; i < DIRS; i++) {
		(void)snprintf(number, sizeof(number), "d%u", i);
		cr_assert_eq(mkdir(rig_path(r, number), 0755), 0);
	}
	for (uint32_t i = 0; i < FILES; i++) {
		int fd = open(rig_path(r, name_of(i, true)), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		ssize_t size = snprintf(number, sizeof(number), "%u", i);

		cr_assert_eq(write(fd, number, (size_t)size), size);
		cr_assert_eq(fstat(fd, &st), 0);
		inodes[i] = st.st_ino;
		cr_assert_eq(close(fd), 0);
	}
}

static uint32_t file_of(uint32_t i)
{
	return i % FILES;
}

/* ---- messages in batches: one of each would take the time of a million wake-ups ---- */

static void read_all(uint8_t *to, size_t size)
{
	while (size > 0) {
		ssize_t n = read(c->sock, to, size);

		cr_assert_gt(n, 0, "no reply comes");
		to += n;
		size -= (size_t)n;
	}
}

/* Sends count messages and takes as many replies, each of that size: no error is as long as the others. */
static void batch(uint32_t from, uint32_t count, bool walks, size_t reply_size)
{
	static uint8_t out[AT_ONCE * 64], in[REPLY_ROOM];
	size_t used = 0;

	for (uint32_t i = from; i < from + count; i++) {
		size_t size;

		if (walks)
			size =
			    p9_encode(c, (uint16_t)(i - from), P9_WALK,
			              &(struct p9_walk_req){
			                  .fid = 1 + file_of(i) % DIRS,
			                  .newfid = FIRST_FID + i,
			                  .names = {1, {wt_str_of(name_of(file_of(i), false))}}});
		else
			size = p9_encode(c, (uint16_t)(i - from), P9_CLUNK,
			                 &(struct p9_clunk_req){.fid = FIRST_FID + i});
		cr_assert_leq(used + size, sizeof(out));
		memcpy(out + used, c->out, size);
		used += size;
	}
	p9_send_raw(c, out, used);
	read_all(in, count * reply_size);
	for (size_t at = 0; at < count * reply_size; at += reply_size) {
		struct rd r = rd_over(in + at, reply_size);
		struct p9_head h;

		cr_assert(p9_head_get(&r, &h));
		cr_assert_eq(h.size, reply_size);
		cr_assert_eq(h.type, (walks ? P9_WALK : P9_CLUNK) + 1, "an error");
	}
}

static void walk_all(void)
{
	for (uint32_t i = 0; i < many; i += AT_ONCE)
		batch(i, AT_ONCE, true, P9_HEAD_SIZE + 2 + 13);
}

static void clunk_all(void)
{
	for (uint32_t i = 0; i < many; i += AT_ONCE)
		batch(i, AT_ONCE, false, P9_HEAD_SIZE);
}

/* ---- the fids ---- */

/* Whether the fid is the file it was walked to: its inode, and what it holds. */
static void check_one(uint32_t i)
{
	struct p9_getattr_rep a = P9(c, getattr, .fid = FIRST_FID + i);
	char number[16];

	(void)snprintf(number, sizeof(number), "%u", file_of(i));
	cr_assert_eq(a.qid.path, inodes[file_of(i)], "fid %u is another file", i);
	cr_assert_eq(a.size, strlen(number));
	P9(c, walk, .fid = FIRST_FID + i, .newfid = 500, .names = "");
	P9(c, lopen, .fid = 500);
	cr_assert(p9_has(c, 500, 0, number), "fid %u", i);
	P9(c, clunk, .fid = 500);
}

static void check_some(uint64_t seed)
{
	for (uint32_t i = 0; i < 50; i++) {
		check_one(i);
		check_one(many - 1 - i);
	}
	for (uint32_t i = 0; i < SAMPLES; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		check_one((uint32_t)(seed >> 33) % many);
	}
}

/* Releases go out in batches, a moment after the clunks. */
static int settled_fds(pid_t pid, int at_most)
{
	int n;

	WAIT_WHILE((n = fd_count(pid)) > at_most);
	return n;
}

/* What the processes have: descriptors and memory, of the device and of the helper. */
struct state {
	int fds[2];
	long kib[2];
};

static struct state look(void)
{
	const pid_t pids[2] = {rig.device, rig.rig.helper};
	struct state s;

	for (int i = 0; i < 2; i++) {
		s.fds[i] = fd_count(pids[i]);
		s.kib[i] = rss_kib(pids[i]);
	}
	return s;
}

/* Memory of each process for a fid, in bytes. The device has the fid, its node and its name, the helper a file handle. */
#define DEVICE_BYTES 256
#define HELPER_BYTES 96

static void check_size(const struct state *before, const struct state *full)
{
	static const long most[2] = {DEVICE_BYTES, HELPER_BYTES};

	cr_assert_eq(full->fds[0], before->fds[0], "fids that are not open are descriptors");
	cr_assert(full->fds[1] > FILES_LOW / 2 && full->fds[1] <= FILES_LOW,
	          "%d descriptors: the limit was not reached", full->fds[1]);
	for (int i = 0; i < 2 && !is_sanitized(); i++)
		cr_assert_leq((full->kib[i] - before->kib[i]) * 1024 / many, most[i]);
}

static void host_renames_a_directory(void)
{
	cr_assert_eq(renameat(export, "d5", export, "renamed"), 0);
	for (uint32_t i = 5; i < many; i += FILES * (1 + many / FILES / 20))
		check_one(i);
	cr_assert_eq(renameat(export, "renamed", export, "d5"), 0);
}

Test(million, fids_live_at_once_under_4096_descriptors)
{
	const char *text = getenv("VIRTFS_FIDS");
	struct state before, full, again;

	rig_needs_root("file handles");
	many = text ? (uint32_t)strtoul(text, NULL, 10) : is_sanitized() ? 100000 : 1000000;
	many -= many % FILES;
	/* meson's, and it makes all memory resident that is asked for. */
	(void)unsetenv("MALLOC_PERTURB_");
	p9_rig_start(&rig, &(struct p9_rig_opt){.helper_files = FILES_LOW,
	                                        .device_files = FILES_LOW,
	                                        .prepare = fill});
	/* The helper has a mount of its own; here a descriptor does, and nothing stays when the test fails. */
	export = open(rig.rig.export, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(umount2(rig.rig.export, MNT_DETACH), 0);
	for (uint32_t i = 0; i < DIRS; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "d%u", i);
		p9_to(c, 0, 1 + i, name);
	}
	before = look();
	walk_all();
	full = look();
	check_size(&before, &full);
	check_some(1);
	host_renames_a_directory();
	clunk_all();
	cr_assert_leq(settled_fds(rig.rig.helper, before.fds[1]),
	              before.fds[1]); /* idle ones may stay handles */
	cr_assert_eq(fd_count(rig.device), before.fds[0]);
	P9(c, getattr, .fid = FIRST_FID, .expect_err = EBADF);
	/* All of it was given up: as many more take no more room. */
	walk_all();
	check_some(2);
	again = look();
	for (int i = 0; i < 2 && !is_sanitized(); i++)
		cr_assert_lt(again.kib[i] - full.kib[i], 4096, "memory is lost");
	clunk_all();
	cr_assert_leq(settled_fds(rig.rig.helper, before.fds[1]),
	              before.fds[1]); /* idle ones may stay handles */
	fd_close(&export);
	p9_rig_end(&rig);
}
