/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories: making, listing and removing them.
 */
#include "tests/guest/workload.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_and_remove(void)
{
	struct stat st;

	check_ok(mkdir("dir", 0755));
	check_ok(stat("dir", &st));
	check(S_ISDIR(st.st_mode));
	check_number(st.st_mode & 07777, 0755);
	check_ok(rmdir("dir"));
	expect_missing("dir");
}

static void remove_full(void)
{
	check_ok(mkdir("dir", 0755));
	make_text_file("dir/file", "text");
	check_errno(rmdir("dir"), ENOTEMPTY);
	expect_text("dir/file", "text");
	check_ok(unlink("dir/file"));
	check_ok(rmdir("dir"));
}

/* Deep enough for several walks of sixteen names. */
static void nest(void)
{
	static const int depth = 40;
	char path[PATH_MAX] = "";
	size_t used = 0;

	for (int i = 0; i < depth; i++) {
		used += (size_t)snprintf(path + used, sizeof(path) - used, "%slevel-%d",
		                         i > 0 ? "/" : "", i);
		check_ok(mkdir(path, 0755));
	}
	snprintf(path + used, sizeof(path) - used, "/file");
	make_text_file(path, "deep");
	expect_text(path, "deep");
	snprintf(path + used, sizeof(path) - used, "/../../level-38/level-39/file");
	expect_text(path, "deep");
}

/* Go down one directory at a time: the whole path is longer than a path may be. */
static void nest_beyond_path_max(void)
{
	static const int depth = 40;
	char name[201];

	memset(name, 'p', 200);
	name[200] = '\0';
	for (int i = 0; i < depth; i++) {
		if (mkdir(name, 0755) != 0 && errno == ENAMETOOLONG)
			skip_test("the server's paths end after %d levels of 200 bytes", i);
		check_ok(chdir(name));
	}
	make_text_file("file", "very deep");
	expect_text("file", "very deep");
	for (int i = 0; i < depth; i++)
		check_ok(chdir(".."));
	check(S_ISDIR(mode_of(name)));
}

struct kind {
	const char *name;
	unsigned char type;
	unsigned int seen;
};

static void list_types(void)
{
	struct kind kinds[] = {
	    {.name = ".", .type = DT_DIR},    {.name = "..", .type = DT_DIR},
	    {.name = "file", .type = DT_REG}, {.name = "dir", .type = DT_DIR},
	    {.name = "link", .type = DT_LNK}, {.name = "fifo", .type = DT_FIFO},
	};
	const size_t count = sizeof(kinds) / sizeof(kinds[0]);
	const struct dirent *entry;
	unsigned int entries = 0;
	struct stat st;
	DIR *stream;

	make_text_file("file", "text");
	check_ok(mkdir("dir", 0755));
	check_ok(symlink("file", "link"));
	check_ok(mkfifo("fifo", 0644));
	stream = opendir(".");
	check(stream != NULL);
	while ((entry = readdir(stream)) != NULL) {
		entries++;
		for (size_t i = 0; i < count; i++) {
			if (strcmp(entry->d_name, kinds[i].name) != 0)
				continue;
			kinds[i].seen++;
			check(entry->d_type == kinds[i].type || entry->d_type == DT_UNKNOWN);
			if (strcmp(entry->d_name, "..") == 0)
				continue;
			check_ok(lstat(entry->d_name, &st));
			check_number(entry->d_ino, st.st_ino);
		}
	}
	check_ok(closedir(stream));
	check_number(entries, count);
	for (size_t i = 0; i < count; i++)
		check_number(kinds[i].seen, 1);
}

/* A place in a directory that was remembered leads to the same entries again. */
static void seek_in_directory(void)
{
	enum { FILES = 60, PLACE = 30 };
	char names[FILES + 2][NAME_MAX + 1];
	const struct dirent *entry;
	long place = -1;
	size_t count = 0;
	DIR *stream;

	for (unsigned int i = 0; i < FILES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "file-%u", i);
		make_file(name, NULL, 0);
	}
	stream = opendir(".");
	check(stream != NULL);
	while ((entry = readdir(stream)) != NULL) {
		check(count < FILES + 2);
		strcpy(names[count++], entry->d_name);
		if (count == PLACE)
			place = telldir(stream);
	}
	check_number(count, FILES + 2);
	seekdir(stream, place);
	for (size_t i = PLACE; i < count; i++) {
		entry = readdir(stream);
		check(entry != NULL);
		check(strcmp(entry->d_name, names[i]) == 0);
	}
	check(readdir(stream) == NULL);
	rewinddir(stream);
	for (size_t i = 0; i < count; i++) {
		entry = readdir(stream);
		check(entry != NULL);
		check(strcmp(entry->d_name, names[i]) == 0);
	}
	check_ok(closedir(stream));
}

static void list_changes(void)
{
	const struct dirent *entry;
	unsigned int seen = 0;
	DIR *stream = opendir(".");

	check(stream != NULL);
	while (readdir(stream) != NULL) {
	}
	make_file("later", NULL, 0);
	rewinddir(stream);
	while ((entry = readdir(stream)) != NULL)
		seen += strcmp(entry->d_name, "later") == 0;
	check_number(seen, 1);
	check_ok(closedir(stream));
}

static void remove_while_open(void)
{
	const struct dirent *entry;
	DIR *stream;

	check_ok(mkdir("dir", 0755));
	stream = opendir("dir");
	check(stream != NULL);
	check_ok(rmdir("dir"));
	while ((entry = readdir(stream)) != NULL)
		check(entry->d_name[0] == '.');
	check_ok(closedir(stream));
	expect_missing("dir");
}

static void count_links(void)
{
	struct stat before;
	struct stat after;

	check_ok(stat(".", &before));
	check_ok(mkdir("dir", 0755));
	check_ok(stat(".", &after));
	/* File systems that do not count subdirectories say 1. */
	check(after.st_nlink == before.st_nlink + 1 || after.st_nlink == 1);
}

const struct test directory_tests[] = {
    {.name = "a directory is made and removed", .run = make_and_remove},
    {.name = "rmdir refuses a directory that is not empty", .run = remove_full},
    {.name = "directories nest 40 levels deep", .run = nest},
    {.name = "directories nest deeper than a path is long", .run = nest_beyond_path_max},
    {.name = "readdir gives names, types and inodes", .run = list_types},
    {.name = "seekdir and rewinddir", .run = seek_in_directory},
    {.name = "an open directory shows a new file after rewinddir", .run = list_changes},
    {.name = "a directory is removed while it is open", .run = remove_while_open},
    {.name = "a directory counts its subdirectories", .run = count_links},
    {0},
};
