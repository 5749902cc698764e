/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_open.c: Tlopen and Tlcreate: which files, with which flags, and what becomes of the fid. */
#include "tests/lib/p9_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

/* Flags of Tlopen, in the octal of the protocol. */
#define L_WRONLY    01u
#define L_RDWR      02u
#define L_NOACCESS  03u
#define L_CREATE    0100u
#define L_EXCL      0200u
#define L_NOCTTY    0400u
#define L_TRUNC     01000u
#define L_APPEND    02000u
#define L_NONBLOCK  04000u
#define L_DSYNC     010000u
#define L_FASYNC    020000u
#define L_DIRECT    040000u
#define L_LARGEFILE 0100000u
#define L_DIRECTORY 0200000u
#define L_NOFOLLOW  0400000u
#define L_NOATIME   01000000u
#define L_CLOEXEC   02000000u
#define L_SYNC      04010000u

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, NULL);
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(open_9p, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

/* The flags that the device's descriptor of that file has. */
static int device_flags(const char *name)
{
	struct stat want, st;

	cr_assert_eq(stat(rig_path(&rig.rig, name), &want), 0);
	for (int fd = 3; fd < 64; fd++) {
		char path[64], line[128];
		long flags = -1;
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)rig.device, fd);
		if (stat(path, &st) < 0 || st.st_dev != want.st_dev || st.st_ino != want.st_ino)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)rig.device, fd);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f)) {
			if (strncmp(line, "flags:", 6) == 0)
				flags = strtol(line + 6, NULL, 8);
		}
		cr_assert_eq(fclose(f), 0);
		return (int)flags;
	}
	return -1;
}

Test(open_9p, each_mode_is_what_was_asked_for)
{
	for (uint32_t mode = 0; mode < 3; mode++) {
		rig_write(&rig.rig, "f", "text");
		p9_open(c, 1, "f", mode);
		cr_assert_eq((uint32_t)device_flags("f") & O_ACCMODE, mode);
		P9(c, read, .fid = 1, .count = 4, .expect_err = mode == 1 ? EBADF : 0);
		P9(c, write, .fid = 1, .data = wt_str_of("x"), .expect_err = mode == 0 ? EBADF : 0);
		P9(c, clunk, .fid = 1);
	}
	p9_to(c, 0, 1, "f");
	P9(c, lopen, .fid = 1, .flags = L_NOACCESS, .expect_err = EINVAL);
	P9(c, lopen, .fid = 1);
}

Test(open_9p, truncation)
{
	rig_write(&rig.rig, "f", "text");
	p9_open(c, 1, "f", L_WRONLY | L_TRUNC);
	cr_assert_str_eq(rig_read(&rig.rig, "f"), "");
	cr_assert_eq(P9(c, getattr, .fid = 1).size, 0);
}

Test(open_9p, append)
{
	rig_write(&rig.rig, "f", "text");
	p9_open(c, 1, "f", L_WRONLY | L_APPEND);
	cr_assert(device_flags("f") & O_APPEND);
	p9_put(c, 1, 0, "more");
	cr_assert_str_eq(rig_read(&rig.rig, "f"), "textmore");
}

Test(open_9p, synchronous_writes_reach_the_host_so)
{
	rig_write(&rig.rig, "f", "");
	p9_open(c, 1, "f", L_WRONLY | L_DSYNC);
	cr_assert_eq(device_flags("f") & O_SYNC, O_DSYNC);
	p9_put(c, 1, 0, "x");
	P9(c, clunk, .fid = 1);
	p9_open(c, 1, "f", L_WRONLY | L_SYNC);
	cr_assert_eq(device_flags("f") & O_SYNC, O_SYNC);
	p9_put(c, 1, 0, "x");
}

/* Linux sends CREATE with Tlopen too; the rest would surprise the device or means nothing here. */
Test(open_9p, other_flags_are_ignored)
{
	rig_write(&rig.rig, "f", "text");
	p9_open(c, 1, "f",
	        L_RDWR | L_CREATE | L_EXCL | L_NOCTTY | L_FASYNC | L_DIRECT | L_LARGEFILE |
	            L_NOFOLLOW | L_NOATIME | L_CLOEXEC | L_NONBLOCK);
	cr_assert_not(device_flags("f") & (O_DIRECT | O_ASYNC | O_PATH));
	cr_assert(p9_has(c, 1, 0, "text"));
}

Test(open_9p, a_directory_is_opened_for_reading_only)
{
	cr_assert_eq(mkdir(rig_path(&rig.rig, "d"), 0755), 0);
	rig_write(&rig.rig, "f", "");
	p9_to(c, 0, 1, "d");
	P9(c, lopen, .fid = 1, .flags = L_WRONLY, .expect_err = EISDIR);
	P9(c, lopen, .fid = 1, .flags = L_RDWR, .expect_err = EISDIR);
	P9(c, lopen, .fid = 1, .flags = L_DIRECTORY | L_NONBLOCK | L_LARGEFILE);
	p9_to(c, 0, 2, "f");
	P9(c, lopen, .fid = 2, .flags = L_DIRECTORY, .expect_err = ENOTDIR);
	P9(c, lopen, .fid = 2);
}

Test(open_9p, special_files_and_links_are_never_opened)
{
	static const char *const names[] = {"fifo", "null", "loop", "sock", "link"};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	rig_needs_root("device nodes");
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
	               rig_path(&rig.rig, "sock"));
	cr_assert_eq(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(mkfifo(rig_path(&rig.rig, "fifo"), 0666), 0);
	cr_assert_eq(mknod(rig_path(&rig.rig, "null"), S_IFCHR | 0666, makedev(1, 3)), 0);
	cr_assert_eq(mknod(rig_path(&rig.rig, "loop"), S_IFBLK | 0666, makedev(7, 0)), 0);
	cr_assert_eq(symlink("/etc/passwd", rig_path(&rig.rig, "link")), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int error = i == 4 ? ELOOP : ENXIO;

		p9_to(c, 0, 1, names[i]);
		for (uint32_t mode = 0; mode < 3; mode++)
			P9(c, lopen, .fid = 1, .flags = mode, .expect_err = error);
		P9(c, lopen, .fid = 1, .flags = L_NONBLOCK, .expect_err = error);
		P9(c, getattr, .fid = 1);
		P9(c, clunk, .fid = 1);
		p9_to(c, 0, 1, "");
		P9(c, lcreate, .fid = 1, .name = names[i], .flags = L_RDWR, .expect_err = error);
		P9(c, clunk, .fid = 1);
	}
}

Test(open_9p, an_open_fid_is_not_opened_again)
{
	p9_make(c, 1, "f", 0644);
	P9(c, lopen, .fid = 1, .expect_err = EINVAL);
	P9(c, lcreate, .fid = 1, .name = "g", .flags = 2, .mode = 0644, .expect_err = EINVAL);
	p9_open(c, 2, "", 0);
	P9(c, lopen, .fid = 2, .expect_err = EINVAL);
	P9(c, lcreate, .fid = 2, .name = "g", .flags = 2, .mode = 0644, .expect_err = EINVAL);
	P9(c, lopen, .fid = 77, .expect_err = EBADF);
	p9_put(c, 1, 0, "still there");
}

Test(open_9p, a_created_file_is_the_users_and_open)
{
	struct p9_getattr_rep a;
	struct stat st;

	P9(c, attach, .fid = 1, .afid = P9_NOFID, .n_uname = 1000);
	P9(c, lcreate, .fid = 1, .name = "new", .flags = L_RDWR | L_CREATE, .mode = 04751,
	   .gid = 100);
	cr_assert_eq(stat(rig_path(&rig.rig, "new"), &st), 0);
	cr_assert_eq(st.st_mode, S_IFREG | 04751u);
	cr_assert(st.st_uid == 1000 && st.st_gid == 100);
	p9_put(c, 1, 0, "text");
	cr_assert_str_eq(rig_read(&rig.rig, "new"), "text");
	a = P9(c, getattr, .fid = 1);
	cr_assert(a.qid.type == P9_QTFILE && a.qid.path == st.st_ino && a.size == 4);
}

Test(open_9p, exclusive_creation)
{
	rig_write(&rig.rig, "f", "text");
	p9_to(c, 0, 1, "");
	P9(c, lcreate, .fid = 1, .name = "f", .flags = L_RDWR | L_CREATE | L_EXCL, .mode = 0644,
	   .expect_err = EEXIST);
	/* The fid is what it was: a directory, not open. */
	P9(c, lcreate, .fid = 1, .name = "g", .flags = L_RDWR | L_CREATE | L_EXCL, .mode = 0644);
	cr_assert_str_eq(rig_read(&rig.rig, "f"), "text");
}

Test(open_9p, creation_without_excl_opens_what_is_there)
{
	rig_write(&rig.rig, "f", "text");
	p9_to(c, 0, 1, "");
	P9(c, lcreate, .fid = 1, .name = "f", .flags = L_RDWR | L_CREATE, .mode = 0600);
	cr_assert(p9_has(c, 1, 0, "text"));
	p9_to(c, 0, 2, "");
	P9(c, lcreate, .fid = 2, .name = "f", .flags = L_RDWR | L_CREATE | L_TRUNC, .mode = 0600);
	cr_assert_str_eq(rig_read(&rig.rig, "f"), "");
}

Test(open_9p, creation_needs_a_directory_and_a_good_name)
{
	static const struct {
		const char *name;
		int error;
	} rows[] = {{"", ENOENT}, {".", EEXIST}, {"..", EEXIST}, {"a/b", ENOENT}, {"/x", ENOENT}};

	rig_write(&rig.rig, "f", "");
	p9_to(c, 0, 1, "f");
	P9(c, lcreate, .fid = 1, .name = "x", .flags = 2, .mode = 0644, .expect_err = ENOTDIR);
	p9_to(c, 0, 2, "");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		P9(c, lcreate, .fid = 2, .name = rows[i].name, .flags = 2, .mode = 0644,
		   .expect_err = rows[i].error);
	P9(c, lcreate, .fid = 2, .name = "good", .flags = 2, .mode = 0644);
}

Test(open_9p, modes_of_created_files_are_permissions_alone)
{
	struct stat st;

	p9_to(c, 0, 1, "");
	P9(c, lcreate, .fid = 1, .name = "f", .flags = 2, .mode = S_IFIFO | 0640);
	cr_assert_eq(stat(rig_path(&rig.rig, "f"), &st), 0);
	cr_assert_eq(st.st_mode, S_IFREG | 0640u);
}

Test(open_9p, iounit_fits_a_message)
{
	struct p9_lopen_rep a;

	rig_write(&rig.rig, "f", "");
	p9_to(c, 0, 1, "f");
	a = P9(c, lopen, .fid = 1, .flags = L_RDWR);
	cr_assert(a.iounit == 0 || (a.iounit <= P9_RIG_MSIZE - P9_IOHDRSZ && a.iounit % 4096 == 0));
}

Test(open_9p, a_file_replaced_after_the_walk_is_still_the_one_walked_to)
{
	rig_write(&rig.rig, "f", "first");
	p9_to(c, 0, 1, "f");
	cr_assert_eq(unlink(rig_path(&rig.rig, "f")), 0);
	rig_write(&rig.rig, "f", "second");
	P9(c, lopen, .fid = 1);
	cr_assert(p9_has(c, 1, 0, "first"));
}
