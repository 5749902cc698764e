/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names: renaming, hard and symbolic links, which names a file may have, and the errors of paths.
 */
#include "tests/guest/workload.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ino_t inode_of(const char *path)
{
	struct stat st;

	check_ok(lstat(path, &st));
	return st.st_ino;
}

static void rename_file(void)
{
	ino_t inode;

	make_text_file("old", "text");
	inode = inode_of("old");
	check_ok(rename("old", "new"));
	expect_missing("old");
	expect_text("new", "text");
	check_number(inode_of("new"), inode);
	check_ok(rename("new", "new"));
	expect_text("new", "text");
}

static void rename_across(void)
{
	check_ok(mkdir("from", 0755));
	check_ok(mkdir("to", 0755));
	make_text_file("from/file", "text");
	check_ok(rename("from/file", "to/other"));
	expect_missing("from/file");
	expect_text("to/other", "text");
	check_ok(rename("to/other", "top"));
	expect_text("top", "text");
}

static void rename_over_file(void)
{
	char text[8] = "";
	int replaced;

	make_text_file("new", "new");
	make_text_file("old", "old");
	replaced = open_file("old", O_RDONLY);
	check_ok(rename("new", "old"));
	expect_missing("new");
	expect_text("old", "new");
	check_number(read(replaced, text, sizeof(text)), 3);
	check(memcmp(text, "old", 3) == 0);
	check_ok(close(replaced));
}

static void rename_directory(void)
{
	check_ok(mkdir("old", 0755));
	check_ok(mkdir("old/inner", 0755));
	make_text_file("old/inner/file", "text");
	check_ok(rename("old", "new"));
	expect_missing("old");
	expect_text("new/inner/file", "text");
	check_ok(rename("new/inner", "inner"));
	expect_text("inner/file", "text");
	check_ok(rmdir("new"));
}

static void rename_working_directory(void)
{
	check_ok(mkdir("old", 0755));
	make_text_file("old/file", "text");
	check_ok(chdir("old"));
	check_ok(rename("../old", "../new"));
	expect_text("../new/file", "text");
	expect_missing("../old");
}

static void rename_over_directory(void)
{
	check_ok(mkdir("source", 0755));
	make_text_file("source/file", "text");
	check_ok(mkdir("empty", 0755));
	check_ok(rename("source", "empty"));
	expect_text("empty/file", "text");
	check_ok(mkdir("source", 0755));
	/* POSIX allows either. */
	check_errno(rename("source", "empty"), export_is_on("xfs") ? EEXIST : ENOTEMPTY);
	expect_text("empty/file", "text");
	make_text_file("plain", "plain");
	check_errno(rename("plain", "empty"), EISDIR);
	check_errno(rename("source", "plain"), ENOTDIR);
	check_errno(rename("empty", "empty/inner"), EINVAL);
	check_errno(rename("missing", "other"), ENOENT);
	expect_text("plain", "plain");
}

static void link_file(void)
{
	struct stat first;
	struct stat second;

	check_ok(mkdir("dir", 0755));
	make_text_file("file", "text");
	check_ok(link("file", "dir/other"));
	check_ok(stat("file", &first));
	check_ok(stat("dir/other", &second));
	check_number(first.st_nlink, 2);
	check_number(second.st_nlink, 2);
	check_number(first.st_ino, second.st_ino);
	make_text_file("dir/other", "changed");
	expect_text("file", "changed");
	check_errno(link("file", "dir/other"), EEXIST);
	check_errno(link("missing", "third"), ENOENT);
	check_errno(link("dir", "third"), EPERM);
	check_ok(unlink("file"));
	check_ok(stat("dir/other", &second));
	check_number(second.st_nlink, 1);
	expect_text("dir/other", "changed");
}

/* A link to a symbolic link links the symbolic link itself. */
static void link_symlink(void)
{
	struct stat st;

	check_ok(symlink("nowhere", "symlink"));
	check_ok(link("symlink", "other"));
	check_ok(lstat("other", &st));
	check(S_ISLNK(st.st_mode));
	check_number(st.st_nlink, 2);
}

static void expect_target(const char *path, const char *target)
{
	char actual[PATH_MAX + 1];
	struct stat st;
	ssize_t size = readlink(path, actual, sizeof(actual));

	check_ok(size);
	check_number(size, strlen(target));
	check(memcmp(actual, target, (size_t)size) == 0);
	check_ok(lstat(path, &st));
	check(S_ISLNK(st.st_mode));
	check_number(st.st_size, strlen(target));
}

static void symlinks(void)
{
	char absolute[PATH_MAX];
	char target[PATH_MAX + 8];

	check(getcwd(absolute, sizeof(absolute)) != NULL);
	check_ok(mkdir("dir", 0755));
	make_text_file("dir/file", "text");
	check_ok(symlink("dir/file", "relative"));
	expect_target("relative", "dir/file");
	expect_text("relative", "text");
	check_ok(symlink("../dir/file", "dir/up"));
	expect_text("dir/up", "text");
	snprintf(target, sizeof(target), "%s/dir", absolute);
	check_ok(symlink(target, "absolute"));
	expect_target("absolute", target);
	expect_text("absolute/file", "text");
	make_text_file("relative", "through the link");
	expect_text("dir/file", "through the link");
	check_errno(symlink("x", "relative"), EEXIST);
	check_ok(unlink("relative"));
	expect_text("dir/file", "through the link");
}

static void dangling_symlink(void)
{
	struct stat st;

	check_ok(symlink("nowhere/at all", "dangling"));
	expect_target("dangling", "nowhere/at all");
	check_errno(open("dangling", O_RDONLY), ENOENT);
	check_errno(stat("dangling", &st), ENOENT);
	check_ok(lstat("dangling", &st));
	check_ok(symlink("target", "creates"));
	make_text_file("creates", "made through a link");
	expect_text("target", "made through a link");
	check_ok(rename("creates", "moved"));
	expect_target("moved", "target");
}

/* The guest follows links itself: what a link names is a path of the guest, not of the host. */
static void symlink_to_guest_file(void)
{
	char direct[64] = "";
	char linked[64] = "";
	int fd = open_file("/proc/self/stat", O_RDONLY);

	check(read_all(fd, direct, 8) > 0);
	check_ok(close(fd));
	check_ok(symlink("/proc/self/stat", "link"));
	fd = open_file("link", O_RDONLY);
	check(read_all(fd, linked, 8) > 0);
	check_ok(close(fd));
	check(strcmp(direct, linked) == 0);
}

static void long_target(void)
{
	char target[4001];

	if (export_is_on("xfs"))
		skip_test("a link of xfs has 1024 bytes at most");
	for (size_t i = 0; i < sizeof(target) - 1; i++)
		target[i] = i % 100 == 99 ? '/' : (char)('a' + i % 26);
	target[sizeof(target) - 1] = '\0';
	check_ok(symlink(target, "long"));
	expect_target("long", target);
}

static void odd_targets(void)
{
	static const char *const targets[] = {
	    "a",
	    "..",
	    "/",
	    "//double//slashes//",
	    " lead",
	    "new\nline",
	    "\xff\xfe bytes",
	    "\xc3\xa4\xc3\xb6\xc3\xbc",
	    "%s%n",
	    "trailing ",
	    "../../../../../../../../etc/passwd",
	    "\x01",
	    "back\\slash/",
	    ".",
	};

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		check_ok(symlink(targets[i], "link"));
		expect_target("link", targets[i]);
		check_ok(unlink("link"));
	}
}

/* Make, list, rename and remove a file and a directory of this name. */
static void use_name(const char *name)
{
	make_text_file(name, name);
	expect_text(name, name);
	check_ok(rename(name, "plain"));
	check_ok(rename("plain", name));
	check_ok(unlink(name));
	check_ok(mkdir(name, 0755));
	check(S_ISDIR(mode_of(name)));
	check_ok(rmdir(name));
	expect_missing(name);
}

static void odd_names(void)
{
	static const char *const names[] = {
	    "with space",
	    " ",
	    "...",
	    "..a",
	    "-rf",
	    "*",
	    "new\nline",
	    "tab\there",
	    "\"",
	    "'",
	    "\\",
	    "$HOME",
	    "%s%n",
	    "a:b;c|d",
	    "\x01\x02",
	    "\x7f",
	    "\xff\xfe",
	    "\xc3\xa4\xc3\xb6\xc3\xbc \xe6\x96\x87\xe5\xad\x97",
	    "\xf0\x9f\x90\xa7",
	    ".hidden",
	    "trailing.",
	    "#",
	    "~",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		use_name(names[i]);
}

static void longest_name(void)
{
	char name[257];
	struct stat st;

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	use_name(name);
	name[255] = 'n';
	name[256] = '\0';
	check_errno(open(name, O_WRONLY | O_CREAT, 0644), ENAMETOOLONG);
	check_errno(mkdir(name, 0755), ENAMETOOLONG);
	check_errno(stat(name, &st), ENAMETOOLONG);
	check_errno(symlink("x", name), ENAMETOOLONG);
}

static void path_errors(void)
{
	struct stat st;

	make_text_file("file", "text");
	check_ok(mkdir("dir", 0755));
	check_errno(open("missing", O_RDONLY), ENOENT);
	check_errno(open("missing/file", O_WRONLY | O_CREAT, 0644), ENOENT);
	check_errno(stat("missing", &st), ENOENT);
	check_errno(unlink("missing"), ENOENT);
	check_errno(rmdir("missing"), ENOENT);
	check_errno(chmod("missing", 0644), ENOENT);
	check_errno(truncate("missing", 0), ENOENT);
	check_errno(open("file/inner", O_RDONLY), ENOTDIR);
	check_errno(mkdir("file/inner", 0755), ENOTDIR);
	check_errno(rmdir("file"), ENOTDIR);
	check_errno(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
	check_errno(open("dir", O_WRONLY), EISDIR);
	check_errno(unlink("dir"), EISDIR);
	check_errno(truncate("dir", 0), EISDIR);
	check_errno(mkdir("dir", 0755), EEXIST);
	check_errno(mkdir("file", 0755), EEXIST);
	check_errno(mknod("file", S_IFIFO | 0644, 0), EEXIST);
	check_errno(readlink("file", (char[8]){0}, 8), EINVAL);
	expect_text("file", "text");
}

static void link_loops(void)
{
	struct stat st;

	check_ok(symlink("second", "first"));
	check_ok(symlink("first", "second"));
	check_errno(open("first", O_RDONLY), ELOOP);
	check_errno(stat("second", &st), ELOOP);
	check_ok(symlink("self", "self"));
	check_errno(open("self/file", O_RDONLY), ELOOP);
	make_text_file("file", "text");
	check_ok(symlink("file", "link"));
	check_errno(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
}

const struct test name_tests[] = {
    {.name = "a file is renamed", .run = rename_file},
    {.name = "a file moves between directories", .run = rename_across},
    {.name = "rename replaces a file", .run = rename_over_file},
    {.name = "a directory is renamed", .run = rename_directory},
    {.name = "the working directory is renamed", .run = rename_working_directory},
    {.name = "rename replaces an empty directory only", .run = rename_over_directory},
    {.name = "hard links share inode and content", .run = link_file},
    {.name = "a hard link to a symbolic link", .run = link_symlink},
    {.name = "symbolic links, relative and absolute", .run = symlinks},
    {.name = "dangling symbolic links", .run = dangling_symlink},
    {.name = "a symbolic link names a path of the guest", .run = symlink_to_guest_file},
    {.name = "a symbolic link of 4000 bytes", .run = long_target},
    {.name = "readlink gives the exact bytes", .run = odd_targets},
    {.name = "names with spaces, newlines and other bytes", .run = odd_names},
    {.name = "a name has 255 bytes at most", .run = longest_name},
    {.name = "paths that do not work give the right errors", .run = path_errors},
    {.name = "loops of symbolic links give ELOOP", .run = link_loops},
    {0},
};
