/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_frozen.c: requests that are stuck in a frozen file system. "ice" in the export is an ext4 of its own that can be
 * frozen, or the whole export is; nothing else waits for it, a Tflush is answered, and after the thaw all is as it should be.
 */
#include "tests/lib/frozen.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"
#include "common/loop.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define BOUND_MS \
	10000 /* what does not wait takes far less, also on a busy machine; what waits does so for ever */

static struct p9_rig rig;
static struct p9_client *const c = &rig.c;
static struct p9_client other;
static struct frozen ice;
static const char *missing;

static void mount_ice(struct rig *r)
{
	const char *at = rig_path(r, "ice");

	cr_assert_eq(mkdir(at, 0755), 0);
	rig_write(r, "f", "text");
	rig_mounts();
	missing = frozen_mount(&ice, r->dir, at);
}

static void mount_all(struct rig *r)
{
	rig_mounts();
	missing = frozen_mount(&ice, r->dir, r->export);
}

static void write_ice(const char *name, const char *text)
{
	AUTO_CLOSE int fd = openat(ice.dir, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static const char *read_ice(const char *name)
{
	static char text[256];
	AUTO_CLOSE int fd = openat(ice.dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return fd < 0 ? NULL : text;
}

/* Two clients; fid 1 is the frozen file system's root, 2 its file "open", open. */
static void start_on(void (*prepare)(struct rig *r), const char *at)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true, .prepare = prepare});
	rig_unmount(*at ? rig_path(&rig.rig, at) : rig.rig.export);
	if (missing) {
		p9_rig_end(&rig);
		cr_skip_test("%s", missing);
	}
	write_ice("open", "open");
	write_ice("other", "other");
	cr_assert_eq(mkdirat(ice.dir, "dir", 0755), 0);
	p9_rig_connect(&rig, &other, false);
	p9_to(c, 0, 1, at);
	p9_to(c, 1, 2, "open");
	P9(c, lopen, .fid = 2, .flags = 2);
	p9_to(c, 1, 3, "other");
	p9_to(c, 1, 4, "");
	p9_to(c, 1, 5, "other");
}

static void start(void)
{
	start_on(mount_ice, "ice");
}

static void end(void)
{
	if (missing)
		return;
	p9_client_end(&other);
	frozen_end(&ice);
	p9_rig_end(&rig);
}

TestSuite(frozen, .fini = end, .timeout = 120);

/* ---- requests that get stuck ---- */

enum {
	WRITE,
	CREATE,
	CHMOD,
	TRUNCATE,
	MKDIR,
	SYMLINK,
	MKNOD,
	LINK,
	RENAME,
	UNLINK,
	SETXATTR,
	STUCK
};

static const uint8_t types[STUCK] = {
    [WRITE] = P9_WRITE,     [CREATE] = P9_LCREATE,  [CHMOD] = P9_SETATTR,  [TRUNCATE] = P9_SETATTR,
    [MKDIR] = P9_MKDIR,     [SYMLINK] = P9_SYMLINK, [MKNOD] = P9_MKNOD,    [LINK] = P9_LINK,
    [RENAME] = P9_RENAMEAT, [UNLINK] = P9_UNLINKAT, [SETXATTR] = P9_CLUNK,
};

static void send_stuck(uint16_t *tags)
{
	P9(c, xattrcreate, .fid = 5, .name = "user.a", .attr_size = 1);
	p9_put(c, 5, 0, "v");
	frozen_freeze(&ice);
	tags[WRITE] = P9_SEND(c, WRITE, write, .fid = 2, .data = wt_str_of("OPEN"));
	tags[CREATE] =
	    P9_SEND(c, LCREATE, lcreate, .fid = 4, .name = "created", .flags = 2, .mode = 0644);
	tags[CHMOD] = P9_SEND(c, SETATTR, setattr, .fid = 3, .valid = 1, .mode = 0612);
	tags[TRUNCATE] = P9_SEND(c, SETATTR, setattr, .fid = 3, .valid = 8, .size = 2);
	tags[MKDIR] = P9_SEND(c, MKDIR, mkdir, .dfid = 1, .name = "made", .mode = 0755);
	tags[SYMLINK] = P9_SEND(c, SYMLINK, symlink, .dfid = 1, .name = "link", .target = "t");
	tags[MKNOD] = P9_SEND(c, MKNOD, mknod, .dfid = 1, .name = "fifo", .mode = S_IFIFO | 0644);
	tags[LINK] = P9_SEND(c, LINK, link, .dfid = 1, .fid = 3, .name = "again");
	tags[RENAME] = P9_SEND(c, RENAMEAT, renameat, .olddirfid = 1, .oldname = "dir",
	                       .newdirfid = 1, .newname = "renamed");
	tags[UNLINK] = P9_SEND(c, UNLINKAT, unlinkat, .dirfid = 1, .name = "other");
	tags[SETXATTR] = P9_SEND(c, CLUNK, clunk, .fid = 5);
	cr_assert(p9_quiet(c, 300), "the file system is frozen, and a change of it was answered");
}

static uint64_t start_ns;

static void bound(const char *what)
{
	uint64_t ms = (loop_now() - start_ns) / 1000000;

	cr_assert_lt(ms, BOUND_MS, "%s takes %llu ms", what, (unsigned long long)ms);
	start_ns = loop_now();
}

#define FILES 10u

/*
 * Linux's io_uring lets writes to regular files wait in one of 64 lines by the file: of those elsewhere one in 64 stands
 * behind the stuck one. So three of ten would be another reason.
 */
static void write_elsewhere(void)
{
	uint16_t tags[FILES];
	unsigned done = 0;

	for (uint32_t i = 0; i < FILES; i++)
		tags[i] = P9_SEND(&other, WRITE, write, .fid = 60 + i, .data = wt_str_of("text"));
	while (done < FILES && !p9_quiet(&other, done < FILES - 2 ? BOUND_MS : 300)) {
		struct p9_head h;
		struct rd body;

		cr_assert(p9_recv(&other, &h, &body));
		cr_assert_eq(h.type, P9_WRITE + 1);
		done++;
	}
	cr_assert_geq(done, FILES - 2, "%u of %u files elsewhere were written", done, FILES);
	bound("writing elsewhere");
	for (uint32_t i = 0; i < FILES; i++) {
		P9(&other, flush, .oldtag = tags[i]);
		P9(&other, clunk, .fid = 60 + i);
	}
	start_ns = loop_now();
}

/* What both clients can do meanwhile, within a bound each. */
static void others_go_on(bool root_is_free)
{
	start_ns = loop_now();
	cr_assert(p9_has(c, 2, 0, "open"));
	bound("reading an open file there");
	p9_to(c, 1, 50, "open");
	P9(c, getattr, .fid = 50);
	bound("walking there");
	P9(c, lopen, .fid = 50);
	cr_assert(p9_has(c, 50, 0, "open"));
	bound("opening and reading there");
	P9(c, clunk, .fid = 50);
	p9_to(&other, 0, 51, "");
	P9(&other, lopen, .fid = 51);
	P9(&other, readdir, .fid = 51, .count = 4096);
	P9(&other, statfs, .fid = 51);
	P9(&other, clunk, .fid = 51);
	bound("another client's reading of a directory");
	if (!root_is_free)
		return;
	for (uint32_t i = 0; i < FILES; i++) {
		p9_make(&other, 60 + i, "new", 0644);
		P9(&other, fsync, .fid = 60 + i);
		P9(&other, setattr, .fid = 60 + i, .valid = 8, .size = 3);
		P9(&other, unlinkat, .dirfid = 0, .name = "new");
		bound("making, syncing and removing a file elsewhere");
	}
	write_elsewhere();
}

Test(frozen, what_is_stuck_delays_no_other_and_ends_with_the_thaw)
{
	uint16_t tags[STUCK];
	struct stat st;

	start();
	send_stuck(tags);
	others_go_on(true);
	frozen_thaw(&ice);
	for (int i = 0; i < STUCK; i++) {
		int e = p9_wait(c, tags[i], types[i], NULL);

		/* LINK, the changes of "other" and its removal happen in any order. */
		cr_assert(e == 0 || (i == LINK && e == ENOENT), "%d: %s", i, strerror(e));
	}
	cr_assert_eq(p9_kept_count(c), 0);
	cr_assert_str_eq(read_ice("open"), "OPEN");
	cr_assert_str_eq(read_ice("created"), "");
	cr_assert_eq(fstatat(ice.dir, "made", &st, 0), 0);
	cr_assert_eq(fstatat(ice.dir, "renamed", &st, 0), 0);
	cr_assert_eq(fstatat(ice.dir, "fifo", &st, 0), 0);
	cr_assert_eq(fstatat(ice.dir, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
	cr_assert_lt(fstatat(ice.dir, "other", &st, 0), 0);
	if (fstatat(ice.dir, "again", &st, 0) == 0)
		cr_assert(st.st_size == 2 && (st.st_mode & 07777) == 0612);
	/* The fid of the creation is the new file, open. */
	p9_put(c, 4, 0, "more");
	cr_assert_str_eq(read_ice("created"), "more");
}

Test(frozen, what_is_stuck_can_be_flushed_and_comes_to_nothing_later)
{
	uint16_t tags[STUCK];
	int device, helper;

	start();
	device = fd_count(rig.device);
	helper = fd_count(rig.rig.helper);
	send_stuck(tags);
	start_ns = loop_now();
	for (int i = 0; i < STUCK; i++)
		P9(c, flush, .oldtag = tags[i]);
	bound("flushing all");
	cr_assert_eq(p9_kept_count(c), 0, "a request that is stuck was answered");
	others_go_on(true);
	/* Tags and fids are free, as far as no effect may still come. */
	p9_send_tag(c, tags[WRITE], P9_STATFS, &(struct p9_statfs_req){.fid = 0});
	cr_assert_eq(p9_wait(c, tags[WRITE], P9_STATFS, NULL), 0);
	P9(c, clunk, .fid = 4);
	P9(c, clunk, .fid = 5, .expect_err = EBADF);
	p9_to(c, 1, 4, "open");
	frozen_thaw(&ice);
	cr_assert(p9_quiet(c, 300), "a reply came after Rflush");
	P9(c, clunk, .fid = 3);
	P9(c, clunk, .fid = 4);
	cr_assert(p9_rig_fds_soon(&rig, device, helper), "descriptors stay: %d of %d, %d of %d",
	          fd_count(rig.device), device, fd_count(rig.rig.helper), helper);
	p9_put(c, 2, 0, "after");
	cr_assert_str_eq(read_ice("open"), "after");
	/* In a second round it is the same. */
	p9_make(c, 6, "g", 0644);
	P9(c, clunk, .fid = 6);
}

Test(frozen, a_client_that_goes_with_requests_stuck_leaves_nothing)
{
	uint16_t tags[STUCK];
	int device, helper;

	start();
	send_stuck(tags);
	p9_client_end(c);
	p9_rig_connect(&rig, c, true);
	start_ns = loop_now();
	p9_start(c, P9_RIG_MSIZE);
	bound("attaching");
	p9_to(c, 0, 1, "ice");
	p9_open(c, 2, "ice/open", 0);
	bound("opening a file there");
	others_go_on(true);
	device = fd_count(rig.device);
	helper = fd_count(rig.rig.helper);
	frozen_thaw(&ice);
	WAIT_WHILE(fd_count(rig.device) >= device);
	cr_assert_lt(fd_count(rig.device), device,
	             "the file and the socket of the client that went stay");
	cr_assert(p9_rig_fds_soon(&rig, device - 1, helper));
	P9(c, mkdir, .dfid = 1, .name = "later", .mode = 0755);
}

/* As many as the helper takes at once but a few. */
Test(frozen, fifty_that_are_stuck_delay_no_other)
{
	enum { MANY = 50 };
	uint16_t tags[MANY];

	start();
	frozen_freeze(&ice);
	for (uint32_t i = 0; i < MANY; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%u", i);
		tags[i] = P9_SEND(c, MKDIR, mkdir, .dfid = 1, .name = name, .mode = 0755);
	}
	cr_assert(p9_quiet(c, 100));
	others_go_on(true);
	frozen_thaw(&ice);
	for (uint32_t i = 0; i < MANY; i++)
		cr_assert_eq(p9_wait(c, tags[i], P9_MKDIR, NULL), 0);
	p9_to(c, 1, 9, "n49");
}

/* Linux would let four writes a processor wait, and no more be done; each of another file, so that none waits in line. */
Test(frozen, writes_stuck_in_twenty_files_delay_no_sync_elsewhere)
{
	enum { MANY = 20 };
	uint16_t tags[MANY];

	start();
	p9_open(&other, 9, "f", 2);
	for (uint32_t i = 0; i < MANY; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "w%u", i);
		p9_to(c, 1, 20 + i, "");
		P9(c, lcreate, .fid = 20 + i, .name = name, .flags = 2, .mode = 0644);
	}
	frozen_freeze(&ice);
	for (uint32_t i = 0; i < MANY; i++)
		tags[i] = P9_SEND(c, WRITE, write, .fid = 20 + i, .data = wt_str_of("text"));
	cr_assert(p9_quiet(c, 200));
	start_ns = loop_now();
	P9(&other, fsync, .fid = 9);
	bound("syncing a file elsewhere");
	P9(c, flush, .oldtag = tags[0]);
	bound("flushing a write");
	frozen_thaw(&ice);
	for (uint32_t i = 1; i < MANY; i++) {
		cr_assert_eq(p9_wait(c, tags[i], P9_WRITE, NULL), 0);
		cr_assert(p9_has(c, 20 + i, 0, "text"));
	}
	cr_assert_eq(p9_kept_count(c), 0);
}

/* More than the helper takes: other changes wait, what changes nothing goes on, and flushes are answered. */
Test(frozen, more_than_the_helper_takes_can_be_flushed)
{
	enum { MANY = 150 };
	uint16_t tags[MANY];

	start();
	p9_open(&other, 9, "f", 2);
	frozen_freeze(&ice);
	for (uint32_t i = 0; i < MANY; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%u", i);
		tags[i] = P9_SEND(c, MKDIR, mkdir, .dfid = 1, .name = name, .mode = 0755);
	}
	cr_assert(p9_quiet(c, 100));
	start_ns = loop_now();
	for (int i = 0; i < 10; i++) {
		cr_assert(p9_has(&other, 9, 0, "text"));
		p9_put(&other, 9, 0, "TEXT");
		p9_put(&other, 9, 0, "text");
		bound("reading and writing an open file elsewhere");
	}
	p9_open(&other, 10, "f", 0);
	P9(&other, clunk, .fid = 10);
	bound("walking to a file elsewhere and opening it");
	for (uint32_t i = 0; i < MANY; i++)
		P9(c, flush, .oldtag = tags[i]);
	frozen_thaw(&ice);
	cr_assert(p9_quiet(c, 200));
	start_ns = loop_now();
	p9_to(c, 1, 9, "open");
	bound("a walk after the thaw");
}

/* The last descriptor of an unlinked file is where the file system removes it: closing waits too. */
static void clunk_unlinked(void)
{
	static const char *const names[] = {"u0", "u1", "u2", "u3"};

	for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
		write_ice(names[i], "unlinked");
		p9_to(c, 1, 20 + i, names[i]);
		if (i % 2)
			P9(c, lopen, .fid = 20 + i, .flags = 2);
		P9(c, unlinkat, .dirfid = 1, .name = names[i]);
	}
	frozen_freeze(&ice);
	start_ns = loop_now();
	for (uint32_t i = 0; i < ARRAY_SIZE(names); i++)
		P9(c, clunk, .fid = 20 + i);
	bound("clunking");
	/* Releases go out a moment later. */
	(void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

Test(frozen, the_clunk_of_an_unlinked_file_delays_nobody)
{
	start_on(mount_all, "");
	clunk_unlinked();
	others_go_on(false);
	frozen_thaw(&ice);
	others_go_on(true);
}

Test(frozen, the_whole_export)
{
	uint16_t tags[STUCK];

	start_on(mount_all, "");
	send_stuck(tags);
	others_go_on(false);
	for (int i = 1; i < STUCK; i += 2)
		P9(c, flush, .oldtag = tags[i]);
	frozen_thaw(&ice);
	/* The write is among them: threads may do a flushed one yet, when the file is to be as it was. */
	for (int i = 0; i < STUCK; i += 2)
		cr_assert_eq(p9_wait(c, tags[i], types[i], NULL), 0, "%d", i);
	cr_assert_eq(p9_kept_count(c), 0);
	p9_put(c, 2, 0, "open");
	others_go_on(true);
}

/* What is stuck in such a file system cannot be killed, so both end with the thaw; but then at once, and well. */
Test(frozen, both_end_when_told_to_with_the_thaw)
{
	uint16_t tags[STUCK];

	start();
	send_stuck(tags);
	cr_assert_eq(kill(rig.device, SIGTERM), 0);
	(void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	frozen_thaw(&ice);
	/* end() does the rest. */
}
