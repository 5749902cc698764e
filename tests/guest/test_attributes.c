/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attributes: modes, owners, times, file-system data and extended attributes.
 */
#include "tests/guest/workload.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* Ids that nobody in the guest has. */
enum { OTHER_UID = 2001, OTHER_GID = 2002 };

static void change_mode(void)
{
	static const mode_t modes[] = {0,     0400,  0644,  0755,  0777,  0100, 04755,
	                               02755, 06711, 01777, 07777, 04000, 0600};
	int fd;

	make_text_file("file", "text");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		check_ok(chmod("file", modes[i]));
		check_number(mode_of("file"), S_IFREG | modes[i]);
	}
	fd = open_file("file", O_RDWR);
	check_ok(fchmod(fd, 0640));
	check_ok(close(fd));
	check_number(mode_of("file"), S_IFREG | 0640);
	expect_text("file", "text");
}

static void change_directory_mode(void)
{
	static const mode_t modes[] = {0700, 0755, 01777, 02775, 03771};

	check_ok(mkdir("dir", 0700));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		check_ok(chmod("dir", modes[i]));
		check_number(mode_of("dir"), S_IFDIR | modes[i]);
	}
}

static void chmod_follows_symlink(void)
{
	make_text_file("file", "text");
	check_ok(symlink("file", "link"));
	check_ok(chmod("link", 0604));
	check_number(mode_of("file"), S_IFREG | 0604);
	check(S_ISLNK(mode_of("link")));
}

static void obey_umask(void)
{
	umask(027);
	check_ok(close(open("file", O_WRONLY | O_CREAT, 0666)));
	check_ok(mkdir("dir", 0777));
	umask(0);
	check_ok(close(open("open", O_WRONLY | O_CREAT, 0666)));
	check_number(mode_of("file"), S_IFREG | 0640);
	check_number(mode_of("dir"), S_IFDIR | 0750);
	check_number(mode_of("open"), S_IFREG | 0666);
}

/* The mode forbids writing, but the descriptor that made the file may write. */
static void create_readonly_file(void)
{
	int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0400);

	check_ok(fd);
	write_all(fd, "text", 4);
	check_ok(close(fd));
	check_number(mode_of("file"), S_IFREG | 0400);
	expect_text("file", "text");
}

static void check_owner(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	check_ok(lstat(path, &st));
	check_number(st.st_uid, uid);
	check_number(st.st_gid, gid);
}

static void change_owner(void)
{
	make_text_file("file", "text");
	check_ok(chown("file", OTHER_UID, OTHER_GID));
	check_owner("file", OTHER_UID, OTHER_GID);
	check_ok(chown("file", (uid_t)-1, 0));
	check_owner("file", OTHER_UID, 0);
	check_ok(chown("file", 0, (gid_t)-1));
	check_owner("file", 0, 0);
	check_ok(symlink("file", "link"));
	check_ok(lchown("link", OTHER_UID, OTHER_GID));
	check_owner("link", OTHER_UID, OTHER_GID);
	check_owner("file", 0, 0);
	check_ok(chown("link", OTHER_UID, OTHER_GID));
	check_owner("file", OTHER_UID, OTHER_GID);
}

static void owner_takes_setuid(void)
{
	make_text_file("file", "text");
	check_ok(chmod("file", 06755));
	check_ok(chown("file", OTHER_UID, OTHER_GID));
	check_number(mode_of("file"), S_IFREG | 0755);
}

static void change_owner_as_user(void)
{
	make_text_file("file", "text");
	check_errno(chown("file", 0, (gid_t)-1), EPERM);
	check_errno(chown("file", (uid_t)-1, 0), EPERM);
	check_ok(chown("file", geteuid(), getegid()));
	check_owner("file", geteuid(), getegid());
}

static void inherit_group(void)
{
	check_ok(mkdir("dir", 0755));
	check_ok(chown("dir", 0, OTHER_GID));
	check_ok(chmod("dir", 02775));
	make_text_file("dir/file", "text");
	check_owner("dir/file", 0, OTHER_GID);
	check_ok(mkdir("dir/sub", 0755));
	check_owner("dir/sub", 0, OTHER_GID);
	check_number(mode_of("dir/sub"), S_IFDIR | 02755);
	check_ok(symlink("file", "dir/link"));
	check_owner("dir/link", 0, OTHER_GID);
	check_ok(mkfifo("dir/fifo", 0644));
	check_owner("dir/fifo", 0, OTHER_GID);
	/* Whoever serves the share must have its rights back after it acted with that group. */
	check_ok(chown("dir/file", OTHER_UID, 0));
	check_owner("dir/file", OTHER_UID, 0);
}

static void set_times(void)
{
	const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 2000000000}};
	struct stat st;
	int fd;

	make_text_file("file", "text");
	check_ok(utimensat(AT_FDCWD, "file", times, 0));
	check_ok(stat("file", &st));
	check_number(st.st_atim.tv_sec, 1000000000);
	check_number(st.st_mtim.tv_sec, 2000000000);
	fd = open_file("file", O_RDONLY);
	check_ok(futimens(fd, (struct timespec[2]){{.tv_sec = 5}, {.tv_sec = 6}}));
	check_ok(close(fd));
	check_ok(stat("file", &st));
	check_number(st.st_atim.tv_sec, 5);
	check_number(st.st_mtim.tv_sec, 6);
	/* Beyond 32 bits, and on a directory. */
	check_ok(mkdir("dir", 0755));
	check_ok(utimensat(AT_FDCWD, "dir",
	                   (struct timespec[2]){{.tv_sec = 5000000000}, {.tv_sec = 5000000001}},
	                   0));
	check_ok(stat("dir", &st));
	check_number(st.st_atim.tv_sec, 5000000000);
	check_number(st.st_mtim.tv_sec, 5000000001);
}

static void set_symlink_times(void)
{
	const struct timespec times[2] = {{.tv_sec = 77}, {.tv_sec = 88}};
	struct stat st;

	make_text_file("file", "text");
	check_ok(symlink("file", "link"));
	check_ok(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
	check_ok(lstat("link", &st));
	check_number(st.st_mtim.tv_sec, 88);
	check_ok(lstat("file", &st));
	check(st.st_mtim.tv_sec != 88);
}

/* Host and guest have clocks of their own; the guest's was set from the host's when it started. */
static void check_recent(struct timespec time)
{
	struct timespec now;

	check_ok(clock_gettime(CLOCK_REALTIME, &now));
	if (time.tv_sec < now.tv_sec - 120 || time.tv_sec > now.tv_sec + 120)
		fail("the time is %lld, now is %lld", (long long)time.tv_sec,
		     (long long)now.tv_sec);
}

static void set_times_to_now(void)
{
	const struct timespec past[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	struct stat st;

	make_text_file("file", "text");
	check_ok(utimensat(AT_FDCWD, "file", past, 0));
	check_ok(utimensat(AT_FDCWD, "file", now, 0));
	check_ok(stat("file", &st));
	check_recent(st.st_atim);
	check_recent(st.st_mtim);
}

/*
 * QEMU's proxy driver sends the nanoseconds of the modification time in place of those of the
 * access time, and with them the flag that says "leave it". So only the former is sure.
 */
static void leave_times(void)
{
	const struct timespec past[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	const struct timespec access[2] = {{.tv_sec = 3000}, {.tv_nsec = UTIME_OMIT}};
	const struct timespec change[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 4000}};
	struct stat st;

	make_text_file("file", "text");
	check_ok(utimensat(AT_FDCWD, "file", past, 0));
	check_ok(utimensat(AT_FDCWD, "file", access, 0));
	check_ok(stat("file", &st));
	check(st.st_atim.tv_sec == 3000 || st.st_atim.tv_sec == 1000);
	check_number(st.st_mtim.tv_sec, 2000);
	check_ok(utimensat(AT_FDCWD, "file", change, 0));
	check_ok(stat("file", &st));
	check_number(st.st_mtim.tv_sec, 4000);
}

static void times_move(void)
{
	const struct timespec past[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct stat st;
	int fd;

	make_text_file("file", "text");
	check_ok(stat("file", &st));
	check_recent(st.st_mtim);
	check_ok(utimensat(AT_FDCWD, "file", past, 0));
	fd = open_file("file", O_WRONLY);
	write_all(fd, "x", 1);
	check_ok(close(fd));
	check_ok(stat("file", &st));
	check_recent(st.st_mtim);
	check_recent(st.st_ctim);
}

static void file_system_data(void)
{
	struct statfs data;

	check_ok(statfs(".", &data));
	check(data.f_bsize >= 512 && data.f_bsize <= 1 << 24);
	check(data.f_blocks > 0);
	check(data.f_bfree <= data.f_blocks);
	check(data.f_bavail <= data.f_bfree);
	check(data.f_ffree <= data.f_files);
	check_number(data.f_namelen, 255);
}

static void check_xattr(const char *name, const void *value, size_t size)
{
	char actual[4096];

	check_number(getxattr("file", name, NULL, 0), size);
	check_number(getxattr("file", name, actual, sizeof(actual)), size);
	check(memcmp(actual, value, size) == 0);
}

static bool list_has(const char *list, size_t size, const char *name)
{
	for (const char *item = list; item < list + size; item += strlen(item) + 1)
		if (strcmp(item, name) == 0)
			return true;
	return false;
}

static void set_xattrs(void)
{
	char list[1024];
	ssize_t size;

	make_text_file("file", "text");
	check_ok(setxattr("file", "user.first", "one", 3, 0));
	check_ok(setxattr("file", "user.second", "\0binary\n\xff", 9, XATTR_CREATE));
	check_xattr("user.first", "one", 3);
	check_xattr("user.second", "\0binary\n\xff", 9);
	size = listxattr("file", list, sizeof(list));
	check_ok(size);
	check(list_has(list, (size_t)size, "user.first"));
	check(list_has(list, (size_t)size, "user.second"));
	check_ok(setxattr("file", "user.first", "other", 5, XATTR_REPLACE));
	check_xattr("user.first", "other", 5);
	check_ok(removexattr("file", "user.first"));
	check_errno(getxattr("file", "user.first", NULL, 0), ENODATA);
	size = listxattr("file", list, sizeof(list));
	check_ok(size);
	check(!list_has(list, (size_t)size, "user.first"));
	check(list_has(list, (size_t)size, "user.second"));
	expect_text("file", "text");
}

static void xattr_errors(void)
{
	char small[2];

	make_text_file("file", "text");
	check_errno(getxattr("file", "user.missing", small, sizeof(small)), ENODATA);
	check_errno(removexattr("file", "user.missing"), ENODATA);
	check_errno(setxattr("file", "user.missing", "x", 1, XATTR_REPLACE), ENODATA);
	check_ok(setxattr("file", "user.name", "value", 5, 0));
	check_errno(setxattr("file", "user.name", "x", 1, XATTR_CREATE), EEXIST);
	check_xattr("user.name", "value", 5);
	check_errno(getxattr("file", "user.name", small, sizeof(small)), ERANGE);
	check_errno(getxattr("missing", "user.name", small, sizeof(small)), ENOENT);
}

static void large_xattr(void)
{
	char value[2000];

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (char)(i % 251);
	make_text_file("file", "text");
	check_ok(setxattr("file", "user.large", value, sizeof(value), 0));
	check_xattr("user.large", value, sizeof(value));
}

static void directory_xattr(void)
{
	char value[8];

	check_ok(mkdir("dir", 0755));
	check_ok(setxattr("dir", "user.name", "value", 5, 0));
	check_number(getxattr("dir", "user.name", value, sizeof(value)), 5);
	check(memcmp(value, "value", 5) == 0);
	check_ok(removexattr("dir", "user.name"));
}

static void many_xattrs(void)
{
	char list[2048];
	char name[32];
	ssize_t size;

	make_text_file("file", "text");
	for (unsigned int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "user.number-%u", i);
		check_ok(setxattr("file", name, name, strlen(name), 0));
	}
	size = listxattr("file", list, sizeof(list));
	check_ok(size);
	for (unsigned int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "user.number-%u", i);
		check(list_has(list, (size_t)size, name));
		check_xattr(name, name, strlen(name));
	}
}

static void stat_and_fstat_agree(void)
{
	struct stat by_path;
	struct stat by_fd;
	struct stat other;
	int fd;

	make_text_file("file", "text");
	make_text_file("other", "text");
	fd = open_file("file", O_RDONLY);
	check_ok(stat("file", &by_path));
	check_ok(fstat(fd, &by_fd));
	check_ok(stat("other", &other));
	check_ok(close(fd));
	check_number(by_fd.st_ino, by_path.st_ino);
	check_number(by_fd.st_dev, by_path.st_dev);
	check_number(by_fd.st_mode, by_path.st_mode);
	check_number(by_fd.st_size, by_path.st_size);
	check_number(by_fd.st_mtim.tv_nsec, by_path.st_mtim.tv_nsec);
	check(other.st_ino != by_path.st_ino);
}

#define ROOT_ONLY .audience = FOR_ROOT, .why_not = "only root may do this"

const struct test attribute_tests[] = {
    {.name = "chmod sets every bit", .run = change_mode},
    {.name = "chmod of directories", .run = change_directory_mode},
    {.name = "chmod follows a symbolic link", .run = chmod_follows_symlink},
    {.name = "new objects obey the umask", .run = obey_umask},
    {.name = "a file is made that its owner may not write", .run = create_readonly_file},
    {.name = "chown, of files and symbolic links", .run = change_owner, ROOT_ONLY},
    {.name = "a new owner takes the setuid bit away", .run = owner_takes_setuid, ROOT_ONLY},
    {.name = "chown by a user gives EPERM",
     .run = change_owner_as_user,
     .audience = FOR_USER,
     .why_not = "root may do this"},
    {.name = "a setgid directory hands its group down", .run = inherit_group, ROOT_ONLY},
    {.name = "utimensat sets times", .run = set_times},
    {.name = "utimensat sets times of a symbolic link", .run = set_symlink_times},
    {.name = "UTIME_NOW", .run = set_times_to_now},
    {.name = "UTIME_OMIT", .run = leave_times},
    {.name = "writing moves the times", .run = times_move},
    {.name = "statfs is sane", .run = file_system_data},
    {.name = "extended attributes are set, read, listed and removed", .run = set_xattrs},
    {.name = "extended attributes give the right errors", .run = xattr_errors},
    {.name = "an extended attribute of 2000 bytes", .run = large_xattr},
    {.name = "extended attributes of a directory", .run = directory_xattr},
    {.name = "40 extended attributes", .run = many_xattrs},
    {.name = "stat and fstat agree", .run = stat_and_fstat_agree},
    {0},
};
