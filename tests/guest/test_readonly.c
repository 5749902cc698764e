/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A share that is served read-only but mounted read-write, so that the refusals come from the other
 * side. The working directory holds the marks that the host made.
 */
#include "tests/guest/workload.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* These marks are a regular file, a directory with a file in it, and a symbolic link. */
static const char file[] = "plain";
static const char directory[] = "directory";
static const char link_name[] = "link";

static void read_things(void)
{
	const struct dirent *entry;
	unsigned int count = 0;
	char text[64];
	struct stat st;
	DIR *stream;
	int fd;

	fd = open_file(file, O_RDONLY);
	check(read(fd, text, sizeof(text)) > 0);
	check_ok(fstat(fd, &st));
	check(st.st_size > 0);
	check_ok(close(fd));
	check(readlink(link_name, text, sizeof(text)) > 0);
	check_ok(listxattr(file, text, sizeof(text)));
	stream = opendir(".");
	check(stream != NULL);
	while ((entry = readdir(stream)) != NULL)
		count++;
	check_ok(closedir(stream));
	check(count > 3);
}

/* Opening for reading may carry O_CREAT when the file is there. */
static void open_without_writing(void)
{
	check_ok(close(check_fd(open(file, O_RDONLY | O_CREAT, 0644))));
	check_ok(close(check_fd(open(directory, O_RDONLY | O_DIRECTORY))));
}

static void open_for_writing(void)
{
	check_errno(open(file, O_WRONLY), EROFS);
	check_errno(open(file, O_RDWR), EROFS);
	check_errno(open(file, O_WRONLY | O_APPEND), EROFS);
	check_errno(open(file, O_WRONLY | O_TRUNC), EROFS);
	check_errno(open(file, O_RDONLY | O_TRUNC), EROFS);
}

static void create(void)
{
	check_errno(open("new", O_WRONLY | O_CREAT, 0644), EROFS);
	check_errno(open("new", O_RDONLY | O_CREAT, 0644), EROFS);
	check_errno(mkdir("new", 0755), EROFS);
	check_errno(symlink("target", "new"), EROFS);
	check_errno(link(file, "new"), EROFS);
	check_errno(mkfifo("new", 0644), EROFS);
	check_errno(mknod("new", S_IFREG | 0644, 0), EROFS);
	check_errno(mknod("new", S_IFCHR | 0644, makedev(1, 3)), EROFS);
	expect_missing("new");
}

static void remove_or_rename(void)
{
	char inner[64];

	snprintf(inner, sizeof(inner), "%s/inner", directory);
	check_errno(unlink(file), EROFS);
	check_errno(unlink(inner), EROFS);
	check_errno(rmdir(directory), EROFS);
	check_errno(rename(file, "new"), EROFS);
	check_errno(rename(directory, "new"), EROFS);
	check(S_ISREG(mode_of(file)));
	check(S_ISREG(mode_of(inner)));
}

static void change_attributes(void)
{
	struct stat before;
	struct stat after;

	check_ok(stat(file, &before));
	check_errno(chmod(file, 0600), EROFS);
	check_errno(chown(file, 1, 1), EROFS);
	check_errno(lchown(link_name, 1, 1), EROFS);
	check_errno(truncate(file, 0), EROFS);
	check_errno(utimensat(AT_FDCWD, file, NULL, 0), EROFS);
	check_errno(chmod(directory, 0700), EROFS);
	check_ok(stat(file, &after));
	check_number(after.st_mode, before.st_mode);
	check_number(after.st_uid, before.st_uid);
	check_number(after.st_size, before.st_size);
	check_number(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
}

static void change_xattrs(void)
{
	char value[8];

	check_errno(setxattr(file, "user.new", "x", 1, 0), EROFS);
	check_errno(removexattr(file, "user.mark"), EROFS);
	check(getxattr(file, "user.mark", value, sizeof(value)) > 0);
}

const struct test readonly_tests[] = {
    {.name = "files, links and directories are read", .run = read_things},
    {.name = "opening for reading works", .run = open_without_writing},
    {.name = "opening for writing gives EROFS", .run = open_for_writing},
    {.name = "creating anything gives EROFS", .run = create},
    {.name = "removing and renaming give EROFS", .run = remove_or_rename},
    {.name = "changing attributes gives EROFS", .run = change_attributes},
    {.name = "changing extended attributes gives EROFS", .run = change_xattrs},
    {0},
};
