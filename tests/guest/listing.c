/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-listing DIR: prints a line for each object below DIR, in an order that only names decide:
 * type and mode, owner, group, link count, size, time of modification, a sum of the content (or the target
 * of a link), a sum of the user.* attributes, and the path.
 *
 * Guest and host print the same for the same tree. The size of a directory is left out: it is the file
 * system's own affair.
 */
#include "tests/guest/stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NAMES_SIZE = 65536, BLOCK_SIZE = 1 << 16 };

static char path[16384];

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "guest-listing: %s: %s: %s\n", path, what, strerror(errno));
	exit(1);
}

static uint64_t sum_of_content(int fd)
{
	static unsigned char block[BLOCK_SIZE];
	uint64_t sum = 1;
	size_t filled = 0;
	ssize_t step;

	/* Whole blocks, however the reads come: the sum depends on where words begin. */
	while ((step = read(fd, block + filled, sizeof(block) - filled)) != 0) {
		if (step < 0)
			give_up("read");
		filled += (size_t)step;
		if (filled == sizeof(block)) {
			sum = stream_sum(sum, block, filled);
			filled = 0;
		}
	}
	return stream_sum(sum, block, filled);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static uint64_t sum_of_attributes(int fd)
{
	static char names[NAMES_SIZE], value[NAMES_SIZE];
	char *sorted[256];
	size_t count = 0;
	uint64_t sum = 1;
	ssize_t size = flistxattr(fd, names, sizeof(names));

	if (size < 0 && errno == EOPNOTSUPP)
		return 0;
	if (size < 0)
		give_up("listxattr");
	for (char *name = names; name < names + size; name += strlen(name) + 1)
		if (strncmp(name, "user.", 5) == 0 && count < 256)
			sorted[count++] = name;
	qsort(sorted, count, sizeof(sorted[0]), by_name);
	for (size_t i = 0; i < count; i++) {
		ssize_t got = fgetxattr(fd, sorted[i], value, sizeof(value));

		if (got < 0)
			give_up("getxattr");
		sum = stream_sum(sum, sorted[i], strlen(sorted[i]) + 1);
		sum = stream_sum(sum, value, (size_t)got);
	}
	return count > 0 ? sum : 0;
}

static void print_clean(const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte <= 0x20 || byte >= 0x7f || byte == '\\')
			printf("\\x%02x", byte);
		else
			putchar(byte);
	}
}

static void list(int dir, size_t length);

static void print_object(int dir, const char *name, size_t length)
{
	uint64_t content = 0, attributes = 0;
	char target[8192];
	struct stat st;
	ssize_t size;
	int fd = -1;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		give_up("stat");
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd == -1)
			give_up("open");
		attributes = sum_of_attributes(fd);
	}
	if (S_ISREG(st.st_mode))
		content = sum_of_content(fd);
	if (S_ISLNK(st.st_mode)) {
		size = readlinkat(dir, name, target, sizeof(target));
		if (size < 0)
			give_up("readlink");
		content = stream_sum(1, target, (size_t)size);
	}
	printf("%06o %u:%u %llu %lld %lld.%09ld %llx %016llx %016llx ", st.st_mode, st.st_uid,
	       st.st_gid, (unsigned long long)st.st_nlink,
	       S_ISDIR(st.st_mode) ? 0LL : (long long)st.st_size, (long long)st.st_mtim.tv_sec,
	       st.st_mtim.tv_nsec, S_ISDIR(st.st_mode) ? 0 : (unsigned long long)st.st_rdev,
	       (unsigned long long)content, (unsigned long long)attributes);
	print_clean(path);
	putchar('\n');
	if (S_ISDIR(st.st_mode))
		list(fd, length);
	else if (fd >= 0)
		close(fd);
}

/* The names of the open directory, sorted; closes it. */
static void list(int dir, size_t length)
{
	DIR *stream = fdopendir(dir);
	const struct dirent *entry;
	char **names = NULL;
	size_t count = 0;

	if (stream == NULL)
		give_up("fdopendir");
	while ((errno = 0, entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		names = realloc(names, (count + 1) * sizeof(*names));
		if (names == NULL || (names[count++] = strdup(entry->d_name)) == NULL)
			give_up("memory");
	}
	if (errno != 0)
		give_up("readdir");
	if (count > 0)
		qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count; i++) {
		int added = snprintf(path + length, sizeof(path) - length, "/%s", names[i]);

		if ((size_t)added >= sizeof(path) - length)
			give_up("the path is too long");
		print_object(dir, names[i], length + (size_t)added);
		free(names[i]);
	}
	free(names);
	path[length] = '\0';
	closedir(stream);
}

int main(int argc, char **argv)
{
	int dir;

	if (argc != 2) {
		fputs("usage: guest-listing DIR\n", stderr);
		return 2;
	}
	snprintf(path, sizeof(path), ".");
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1)
		give_up(argv[1]);
	list(dir, 1);
	return fflush(stdout) == 0 ? 0 : 1;
}
