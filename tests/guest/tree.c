/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/tree.h"

#include "tests/guest/stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Kinds of stream_hash() values, so that a file's name says nothing about its size. */
enum { HASH_NAME = 1, HASH_SIZE, HASH_CONTENT, HASH_KIND };

enum {
	FILES_PER_DIRECTORY = 17,
	DIRECTORIES_PER_DIRECTORY = 3,
	SMALLEST = 90,
	OCTAVES = 10,
	LARGEST = SMALLEST << OCTAVES,
	NAME_SIZE = 48,
	TARGET_SIZE = 96,
};

struct tree {
	uint32_t files;
	uint32_t directories;
	uid_t uid;
	gid_t gid;
	struct tree_fault *fault;
};

struct tree_file {
	char name[NAME_SIZE];
	bool is_link;
	char target[TARGET_SIZE];
	mode_t mode;
	size_t size;
	uint64_t seed;
};

/* The content of the file at hand, and what was read in its place. One file at a time. */
static unsigned char content[LARGEST];
static unsigned char actual[LARGEST + 1];

__attribute__((format(printf, 2, 3))) static int fault(const struct tree *tree, const char *format,
                                                       ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(tree->fault->text, sizeof(tree->fault->text), format, arguments);
	va_end(arguments);
	return -1;
}

static struct tree describe_tree(uint32_t files, struct tree_fault *ret_fault)
{
	struct tree tree = {.files = files, .fault = ret_fault};

	tree.directories = files / FILES_PER_DIRECTORY + 1;
	return tree;
}

/* A name is unique because the number of the object stands in it. */
static void make_name(char *name, char kind, uint32_t number, const char *end)
{
	uint64_t letters = stream_hash(HASH_NAME, number);
	size_t length = letters % 13;
	char word[16] = "";

	for (size_t i = 0; i < length; i++) {
		letters /= 26;
		word[i] = (char)('a' + letters % 26);
	}
	snprintf(name, NAME_SIZE, "%s%c%u%s", word, kind, number, end);
}

static void describe_file(uint32_t number, struct tree_file *ret_file)
{
	uint64_t size = stream_hash(HASH_SIZE, number);
	uint64_t kind = stream_hash(HASH_KIND, number);

	memset(ret_file, 0, sizeof(*ret_file));
	make_name(ret_file->name, 'f', number, kind % 3 != 0 ? ".c" : ".h");
	ret_file->mode = kind % 16 == 1 ? 0755 : 0644;
	ret_file->seed = stream_hash(HASH_CONTENT, number);
	ret_file->is_link = kind % 101 == 0;
	if (ret_file->is_link)
		snprintf(ret_file->target, TARGET_SIZE, "../%s.link", ret_file->name);
	/* An octave, and evenly within it; one file of 64 is empty. */
	if (kind % 64 != 2)
		ret_file->size =
		    ((uint64_t)SMALLEST << (size % OCTAVES)) * (1024 + (size >> 32) % 1024) / 1024;
}

static void produce_content(const struct tree_file *file)
{
	uint64_t state = file->seed;

	stream_fill(&state, content, file->size);
}

static int create_file(const struct tree *tree, int directory, const struct tree_file *file)
{
	size_t written = 0;
	int fd;

	if (file->is_link) {
		if (symlinkat(file->target, directory, file->name) != 0)
			return fault(tree, "symlink %s: %s", file->name, strerror(errno));
		return 0;
	}
	fd = openat(directory, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->mode);
	if (fd == -1)
		return fault(tree, "create %s: %s", file->name, strerror(errno));
	produce_content(file);
	while (written < file->size) {
		ssize_t step = write(fd, content + written, file->size - written);

		if (step <= 0)
			break;
		written += (size_t)step;
	}
	if (close(fd) != 0 || written != file->size)
		return fault(tree, "write %s: %s", file->name, strerror(errno));
	return 0;
}

static int open_directory(int parent, const char *name)
{
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Fill the open directory of this number, then its children. */
static int create_directory(const struct tree *tree, int directory, uint32_t number)
{
	struct tree_file file;

	for (uint32_t i = number; i < tree->files; i += tree->directories) {
		describe_file(i, &file);
		if (create_file(tree, directory, &file) != 0)
			return -1;
	}
	for (uint32_t i = 1; i <= DIRECTORIES_PER_DIRECTORY; i++) {
		uint32_t child = number * DIRECTORIES_PER_DIRECTORY + i;
		char name[NAME_SIZE];
		int result;
		int fd;

		if (child >= tree->directories)
			break;
		make_name(name, 'd', child, "");
		if (mkdirat(directory, name, 0755) != 0)
			return fault(tree, "mkdir %s: %s", name, strerror(errno));
		fd = open_directory(directory, name);
		if (fd == -1)
			return fault(tree, "open directory %s: %s", name, strerror(errno));
		result = create_directory(tree, fd, child);
		close(fd);
		if (result != 0)
			return -1;
	}
	return 0;
}

static int verify_stat(const struct tree *tree, const char *name, const struct stat *st,
                       mode_t mode)
{
	if (st->st_mode != mode)
		return fault(tree, "%s has mode 0%o, not 0%o", name, st->st_mode, mode);
	if (st->st_uid != tree->uid || st->st_gid != tree->gid)
		return fault(tree, "%s belongs to %u:%u, not %u:%u", name, st->st_uid, st->st_gid,
		             tree->uid, tree->gid);
	return 0;
}

static int verify_link(const struct tree *tree, int directory, const struct tree_file *file)
{
	char target[TARGET_SIZE + 1];
	struct stat st;
	ssize_t size = readlinkat(directory, file->name, target, sizeof(target));

	if (size == -1 || fstatat(directory, file->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fault(tree, "readlink %s: %s", file->name, strerror(errno));
	if ((size_t)size != strlen(file->target) || memcmp(target, file->target, (size_t)size) != 0)
		return fault(tree, "%s points elsewhere", file->name);
	return verify_stat(tree, file->name, &st, S_IFLNK | 0777);
}

static int verify_file(const struct tree *tree, int directory, const struct tree_file *file)
{
	size_t got = 0;
	struct stat st;
	int fd;

	if (file->is_link)
		return verify_link(tree, directory, file);
	fd = openat(directory, file->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return fault(tree, "open %s: %s", file->name, strerror(errno));
	if (fstat(fd, &st) != 0)
		st = (struct stat){0};
	while (got < sizeof(actual)) {
		ssize_t step = read(fd, actual + got, sizeof(actual) - got);

		if (step <= 0)
			break;
		got += (size_t)step;
	}
	close(fd);
	produce_content(file);
	if (got != file->size || st.st_size != (off_t)file->size)
		return fault(tree, "%s holds %zu bytes, not %zu", file->name, got, file->size);
	if (memcmp(actual, content, got) != 0)
		return fault(tree, "%s holds other bytes", file->name);
	return verify_stat(tree, file->name, &st, S_IFREG | file->mode);
}

/* A sum over names tells two sets of them apart, in whatever order they come. */
static uint64_t name_sum(const char *name)
{
	uint64_t state = stream_sum(0, name, strlen(name));

	return stream_next(&state);
}

static int verify_names(const struct tree *tree, int directory, uint64_t expected)
{
	int copy = fcntl(directory, F_DUPFD_CLOEXEC, 0);
	DIR *stream = copy == -1 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	uint64_t sum = 0;

	if (stream == NULL)
		return fault(tree, "read directory: %s", strerror(errno));
	while ((entry = readdir(stream)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			sum += name_sum(entry->d_name);
	closedir(stream);
	if (sum != expected)
		return fault(tree, "a directory lists other names than were made in it");
	return 0;
}

static int verify_directory(const struct tree *tree, int directory, uint32_t number)
{
	uint64_t names = 0;
	struct tree_file file;
	struct stat st;

	if (fstat(directory, &st) != 0)
		return fault(tree, "stat directory %u: %s", number, strerror(errno));
	if (verify_stat(tree, "a directory", &st, S_IFDIR | 0755) != 0)
		return -1;
	for (uint32_t i = number; i < tree->files; i += tree->directories) {
		describe_file(i, &file);
		names += name_sum(file.name);
		if (verify_file(tree, directory, &file) != 0)
			return -1;
	}
	for (uint32_t i = 1; i <= DIRECTORIES_PER_DIRECTORY; i++) {
		uint32_t child = number * DIRECTORIES_PER_DIRECTORY + i;
		char name[NAME_SIZE];
		int result;
		int fd;

		if (child >= tree->directories)
			break;
		make_name(name, 'd', child, "");
		names += name_sum(name);
		fd = open_directory(directory, name);
		if (fd == -1)
			return fault(tree, "open directory %s: %s", name, strerror(errno));
		result = verify_directory(tree, fd, child);
		close(fd);
		if (result != 0)
			return -1;
	}
	return verify_names(tree, directory, names);
}

int tree_create(const char *root, uint32_t files, struct tree_fault *ret_fault)
{
	struct tree tree = describe_tree(files, ret_fault);
	int result;
	int fd;

	if (mkdir(root, 0755) != 0)
		return fault(&tree, "mkdir %s: %s", root, strerror(errno));
	fd = open_directory(AT_FDCWD, root);
	if (fd == -1)
		return fault(&tree, "open directory %s: %s", root, strerror(errno));
	result = create_directory(&tree, fd, 0);
	close(fd);
	return result;
}

int tree_verify(const char *root, uint32_t files, uid_t uid, gid_t gid,
                struct tree_fault *ret_fault)
{
	struct tree tree = describe_tree(files, ret_fault);
	int result;
	int fd;

	tree.uid = uid;
	tree.gid = gid;
	fd = open_directory(AT_FDCWD, root);
	if (fd == -1)
		return fault(&tree, "open directory %s: %s", root, strerror(errno));
	result = verify_directory(&tree, fd, 0);
	close(fd);
	return result;
}
