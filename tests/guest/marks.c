/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/marks.h"

#include "tests/guest/tap.h"
#include "tests/guest/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

struct mark {
	const char *name;
	mode_t mode;
	const char *content; /* of a regular file, or where a symbolic link points */
	const char *link_to; /* a hard link to a mark made before */
	unsigned int major;
	unsigned int minor;
	nlink_t links;
	uid_t uid; /* with gid: given away by root; 0 keeps the maker */
	gid_t gid;
	time_t mtime;
	const char *xattr; /* value of user.mark */
	bool root_only;
};

/* As long as a name may be. */
#define LONG_NAME                                                                               \
	"a-name-as-long-as-names-may-be-0123456789-0123456789-0123456789-0123456789-0123456789" \
	"-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456" \
	"789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-----"

_Static_assert(sizeof(LONG_NAME) == 256, "not the longest name");

static const struct mark marks[] = {
    {.name = "plain",
     .mode = S_IFREG | 0644,
     .content = "plain text\n",
     .links = 2,
     .xattr = "value"},
    {.name = "empty", .mode = S_IFREG | 0600, .content = ""},
    {.name = "unreadable", .mode = S_IFREG, .content = "for root only"},
    {.name = "program", .mode = S_IFREG | 0755, .content = "#!/bin/sh\n"},
    {.name = "setuid", .mode = S_IFREG | 04755, .content = "x"},
    {.name = "setgid", .mode = S_IFREG | 02755, .content = "x"},
    {.name = "old", .mode = S_IFREG | 0644, .content = "old", .mtime = 86400},
    {.name = "future", .mode = S_IFREG | 0644, .content = "new", .mtime = 4900000000},
    {.name = "with space and \xc3\xa4\xe6\x96\x87", .mode = S_IFREG | 0644, .content = "x"},
    {.name = "new\nline\\\xff", .mode = S_IFREG | 0644, .content = "x"},
    {.name = LONG_NAME, .mode = S_IFREG | 0644, .content = "x"},
    {.name = "second-name",
     .mode = S_IFREG | 0644,
     .content = "plain text\n",
     .link_to = "plain",
     .links = 2,
     .xattr = "value"},
    {.name = "directory", .mode = S_IFDIR | 0755},
    {.name = "directory/inner", .mode = S_IFREG | 0640, .content = "inner"},
    {.name = "sticky", .mode = S_IFDIR | 01777, .xattr = "of a directory"},
    {.name = "group", .mode = S_IFDIR | 02770},
    {.name = "link", .mode = S_IFLNK | 0777, .content = "directory/inner"},
    {.name = "dangling", .mode = S_IFLNK | 0777, .content = "../../../no/such \xff\nfile"},
    {.name = "absolute", .mode = S_IFLNK | 0777, .content = "/etc/passwd"},
    {.name = "fifo", .mode = S_IFIFO | 0620},
    {.name = "socket", .mode = S_IFSOCK | 0755},
    {.name = "null", .mode = S_IFCHR | 0666, .major = 1, .minor = 3, .root_only = true},
    {.name = "loop", .mode = S_IFBLK | 0660, .major = 7, .minor = 0, .root_only = true},
    {.name = "given",
     .mode = S_IFREG | 0644,
     .content = "x",
     .uid = 1000,
     .gid = 1000,
     .root_only = true},
    {.name = "given-directory",
     .mode = S_IFDIR | 0700,
     .uid = 1000,
     .gid = 2000,
     .root_only = true},
    {.name = "given-link",
     .mode = S_IFLNK | 0777,
     .content = "plain",
     .uid = 3000,
     .gid = 3000,
     .root_only = true},
};

enum { MARKS = sizeof(marks) / sizeof(marks[0]) };

static int write_content(int parent, const struct mark *mark)
{
	int fd = openat(parent, mark->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t size = (ssize_t)strlen(mark->content);

	if (fd == -1)
		return -1;
	if (write(fd, mark->content, (size_t)size) != size) {
		close(fd);
		return -1;
	}
	return close(fd);
}

static int make_object(int parent, const struct mark *mark)
{
	if (mark->link_to != NULL)
		return linkat(parent, mark->link_to, parent, mark->name, 0);
	switch (mark->mode & S_IFMT) {
	case S_IFREG:
		return write_content(parent, mark);
	case S_IFDIR:
		return mkdirat(parent, mark->name, 0700);
	case S_IFLNK:
		return symlinkat(mark->content, parent, mark->name);
	default:
		return mknodat(parent, mark->name, mark->mode, makedev(mark->major, mark->minor));
	}
}

/* The owner goes before the mode, which it may change, and the times go last. */
static int make_mark(int parent, const struct mark *mark)
{
	const struct timespec times[2] = {{.tv_sec = mark->mtime}, {.tv_sec = mark->mtime}};

	if (make_object(parent, mark) != 0)
		return -1;
	if (mark->link_to != NULL)
		return 0;
	if (mark->uid != 0 &&
	    fchownat(parent, mark->name, mark->uid, mark->gid, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	if (mark->xattr != NULL &&
	    setxattr(mark->name, "user.mark", mark->xattr, strlen(mark->xattr), 0) != 0)
		return -1;
	if (!S_ISLNK(mark->mode) && fchmodat(parent, mark->name, mark->mode & 07777, 0) != 0)
		return -1;
	if (mark->mtime != 0 && utimensat(parent, mark->name, times, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	return 0;
}

static bool is_device(const struct mark *mark)
{
	return S_ISCHR(mark->mode) || S_ISBLK(mark->mode);
}

int marks_make(const char *directory)
{
	if (mkdir(directory, 0755) != 0 || chdir(directory) != 0) {
		perror(directory);
		return -1;
	}
	for (size_t i = 0; i < MARKS; i++) {
		if ((marks[i].root_only && geteuid() != 0) ||
		    (is_device(&marks[i]) && !has_device_nodes()))
			continue;
		if (make_mark(AT_FDCWD, &marks[i]) != 0) {
			fprintf(stderr, "making %s: %s\n", marks[i].name, strerror(errno));
			return -1;
		}
	}
	return 0;
}

__attribute__((format(printf, 3, 4))) static bool differ(char *why, size_t size, const char *format,
                                                         ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, size, format, arguments);
	va_end(arguments);
	return false;
}

static bool check_text(const struct mark *mark, char *why, size_t size)
{
	ssize_t expected = (ssize_t)strlen(mark->content);
	char actual[4096];
	ssize_t got;

	if (S_ISLNK(mark->mode)) {
		got = readlink(mark->name, actual, sizeof(actual));
	} else {
		int fd = open(mark->name, O_RDONLY | O_CLOEXEC);

		got = fd == -1 ? -1 : read(fd, actual, sizeof(actual));
		close(fd);
	}
	if (got == -1)
		return differ(why, size, "cannot be read: %s", strerror(errno));
	if (got != expected || memcmp(actual, mark->content, (size_t)got) != 0)
		return differ(why, size, "other content");
	return true;
}

static bool check_xattr(const struct mark *mark, char *why, size_t size)
{
	char actual[256];
	ssize_t got = getxattr(mark->name, "user.mark", actual, sizeof(actual));

	if (got == -1)
		return differ(why, size, "user.mark cannot be read: %s", strerror(errno));
	if ((size_t)got != strlen(mark->xattr) || memcmp(actual, mark->xattr, (size_t)got) != 0)
		return differ(why, size, "other user.mark");
	return true;
}

static bool check_mark(const struct mark *mark, uid_t uid, gid_t gid, char *why, size_t size)
{
	nlink_t links = mark->links != 0 ? mark->links : 1;
	struct stat st;

	if (mark->uid != 0) {
		uid = mark->uid;
		gid = mark->gid;
	}
	if (lstat(mark->name, &st) != 0)
		return differ(why, size, "lstat: %s", strerror(errno));
	if (st.st_mode != mark->mode)
		return differ(why, size, "mode 0%o, not 0%o", st.st_mode, mark->mode);
	if (st.st_uid != uid || st.st_gid != gid)
		return differ(why, size, "owner %u:%u, not %u:%u", st.st_uid, st.st_gid, uid, gid);
	if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) &&
	    st.st_rdev != makedev(mark->major, mark->minor))
		return differ(why, size, "another device number");
	if (!S_ISDIR(st.st_mode) && st.st_nlink != links)
		return differ(why, size, "%lu links, not %lu", (unsigned long)st.st_nlink,
		              (unsigned long)links);
	if (mark->mtime != 0 && st.st_mtime != mark->mtime)
		return differ(why, size, "modified at %lld, not %lld", (long long)st.st_mtime,
		              (long long)mark->mtime);
	if (mark->content != NULL && !check_text(mark, why, size))
		return false;
	return mark->xattr == NULL || check_xattr(mark, why, size);
}

int marks_check(const char *directory, uid_t uid, gid_t gid)
{
	char why[256];
	int wrong = 0;

	if (chdir(directory) != 0) {
		perror(directory);
		return MARKS;
	}
	tap_plan(MARKS);
	for (unsigned int i = 0; i < MARKS; i++) {
		const struct mark *mark = &marks[i];
		char name[64];

		/* The number keeps names out of the protocol that would break it. */
		snprintf(name, sizeof(name), "object %u, %s", i,
		         strpbrk(mark->name, "\n#") != NULL || strlen(mark->name) > 40
		             ? "of an odd name"
		             : mark->name);
		if (mark->root_only && uid != 0) {
			tap_skip(name, "only root makes it");
		} else if (is_device(mark) && !has_device_nodes()) {
			tap_skip(name, "the helper is an ordinary user's");
		} else if (check_mark(mark, uid, gid, why, sizeof(why))) {
			tap_ok(name);
		} else {
			tap_not_ok(name, why);
			wrong++;
		}
	}
	return wrong;
}
