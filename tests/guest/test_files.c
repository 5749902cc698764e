/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regular files: creating, reading, writing and cutting them.
 */
#include "tests/guest/stream.h"
#include "tests/guest/workload.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void create_and_read(void)
{
	struct stat st;

	make_text_file("file", "hello\n");
	expect_text("file", "hello\n");
	check_ok(stat("file", &st));
	check(S_ISREG(st.st_mode));
	check_number(st.st_mode & 07777, 0644);
	check_number(st.st_nlink, 1);
	check_number(st.st_uid, geteuid());
	check_number(st.st_gid, getegid());
}

static void create_empty(void)
{
	make_file("empty", NULL, 0);
	expect_content("empty", "", 0);
}

static void overwrite_in_place(void)
{
	int fd;

	make_text_file("file", "0123456789");
	fd = open_file("file", O_RDWR);
	check_number(pwrite(fd, "abc", 3, 4), 3);
	check_ok(close(fd));
	expect_text("file", "0123abc789");
}

static void append(void)
{
	int first;
	int second;

	make_text_file("log", "one\n");
	first = open_file("log", O_WRONLY | O_APPEND);
	second = open_file("log", O_WRONLY | O_APPEND);
	write_all(first, "two\n", 4);
	write_all(second, "three\n", 6);
	write_all(first, "four\n", 5);
	check_ok(close(first));
	check_ok(close(second));
	expect_text("log", "one\ntwo\nthree\nfour\n");
}

static void truncate_shrinks(void)
{
	int fd;

	make_text_file("file", "0123456789");
	check_ok(truncate("file", 4));
	expect_text("file", "0123");
	fd = open_file("file", O_RDWR);
	check_ok(ftruncate(fd, 2));
	check_ok(close(fd));
	expect_text("file", "01");
	check_ok(truncate("file", 0));
	expect_text("file", "");
}

static void truncate_grows_with_zeros(void)
{
	static char expected[10000];

	memcpy(expected, "text", 4);
	make_text_file("file", "text");
	check_ok(truncate("file", sizeof(expected)));
	expect_content("file", expected, sizeof(expected));
}

static void open_with_trunc(void)
{
	int fd;

	make_text_file("file", "old content");
	fd = open_file("file", O_WRONLY | O_TRUNC);
	check_ok(close(fd));
	expect_text("file", "");
	make_text_file("file", "new");
	expect_text("file", "new");
}

static void open_with_excl(void)
{
	check_ok(close(open_file("file", O_WRONLY | O_CREAT | O_EXCL)));
	check_errno(open("file", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	check_ok(symlink("nowhere", "link"));
	check_errno(open("link", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	expect_missing("nowhere");
}

static void create_existing(void)
{
	int fd;

	make_text_file("file", "kept");
	fd = open_file("file", O_RDWR | O_CREAT);
	check_ok(close(fd));
	expect_text("file", "kept");
}

static void write_sparse(void)
{
	static const off_t offset = 1024 * 1024 + 3;
	char block[4096];
	struct stat st;
	int fd = open_file("file", O_RDWR | O_CREAT);

	check_number(pwrite(fd, "end", 3, offset), 3);
	check_number(pwrite(fd, "start", 5, 0), 5);
	check_ok(fstat(fd, &st));
	check_number(st.st_size, offset + 3);
	check_number(pread(fd, block, sizeof(block), 512 * 1024), sizeof(block));
	for (size_t i = 0; i < sizeof(block); i++)
		check_number(block[i], 0);
	check_number(pread(fd, block, sizeof(block), offset), 3);
	check(memcmp(block, "end", 3) == 0);
	check_number(pread(fd, block, 5, 0), 5);
	check(memcmp(block, "start", 5) == 0);
	check_number(pread(fd, block, sizeof(block), offset + 100), 0);
	check_ok(close(fd));
}

static void write_beyond_4_gib(void)
{
	static const off_t offset = (off_t)5 << 30;
	char block[16];
	struct stat st;
	int fd = open_file("file", O_RDWR | O_CREAT);

	check_number(pwrite(fd, "far", 3, offset), 3);
	check_ok(fstat(fd, &st));
	check_number(st.st_size, offset + 3);
	check(st.st_blocks < 1024);
	check_number(pread(fd, block, sizeof(block), offset - 2), 5);
	check(memcmp(block, "\0\0far", 5) == 0);
	check_ok(ftruncate(fd, ((off_t)4 << 30) + 1));
	check_ok(close(fd));
	check_ok(stat("file", &st));
	check_number(st.st_size, ((off_t)4 << 30) + 1);
}

/* Sizes around the page and around the largest message, at odd places in memory. */
static void odd_sizes(void)
{
	static const size_t sizes[] = {1,      2,      1023,   1025,   4095,   4096,
	                               4097,   8192,   131072, 507903, 507904, 507905,
	                               511976, 511977, 512000, 512001, 524288, 1048575};
	static char buffer[1048576 + 16];
	static char copy[1048576 + 16];
	uint64_t state = 7;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = open_file("file", O_RDWR | O_CREAT | O_TRUNC);

		stream_fill(&state, buffer, sizeof(buffer));
		write_all(fd, buffer + i % 7, sizes[i]);
		check_number(lseek(fd, 0, SEEK_SET), 0);
		check_number(read_all(fd, copy + i % 5, sizes[i] + 1), sizes[i]);
		check(memcmp(buffer + i % 7, copy + i % 5, sizes[i]) == 0);
		check_ok(close(fd));
	}
}

static void vectors(void)
{
	char first[5] = "first";
	char second[3000];
	char third[70000];
	char all[5 + 3000 + 70000];
	struct iovec vector[3] = {
	    {.iov_base = first, .iov_len = sizeof(first)},
	    {.iov_base = second, .iov_len = sizeof(second)},
	    {.iov_base = third, .iov_len = sizeof(third)},
	};
	int fd = open_file("file", O_RDWR | O_CREAT);

	memset(second, '2', sizeof(second));
	memset(third, '3', sizeof(third));
	check_number(writev(fd, vector, 3), sizeof(all));
	check_number(pread(fd, all, sizeof(all), 0), sizeof(all));
	check(memcmp(all, "first2", 6) == 0);
	check(memcmp(all + 5 + sizeof(second) - 1, "23", 2) == 0);
	memset(third, 0, sizeof(third));
	check_number(preadv(fd, vector, 3, 0), sizeof(all));
	check(memcmp(third, all + 3005, sizeof(third)) == 0);
	check_ok(close(fd));
}

static void two_descriptors(void)
{
	char text[8] = "";
	int writer = open_file("file", O_WRONLY | O_CREAT);
	int reader = open_file("file", O_RDONLY);

	write_all(writer, "abc", 3);
	check_number(read(reader, text, sizeof(text)), 3);
	write_all(writer, "def", 3);
	check_number(read(reader, text, sizeof(text)), 3);
	check(memcmp(text, "def", 3) == 0);
	check_ok(ftruncate(writer, 1));
	check_number(pread(reader, text, sizeof(text), 0), 1);
	check_ok(close(writer));
	check_ok(close(reader));
}

static void synchronise(void)
{
	int fd = open_file("file", O_RDWR | O_CREAT | O_SYNC);
	int directory = open_file(".", O_RDONLY | O_DIRECTORY);

	write_all(fd, "safe", 4);
	check_ok(fsync(fd));
	check_ok(fdatasync(fd));
	check_ok(fsync(directory));
	check_ok(close(directory));
	check_ok(close(fd));
	expect_text("file", "safe");
}

static void use_after_unlink(void)
{
	char text[16] = "";
	struct stat st;
	int fd = open_file("file", O_RDWR | O_CREAT);

	write_all(fd, "before", 6);
	check_ok(unlink("file"));
	expect_missing("file");
	check_number(pread(fd, text, sizeof(text), 0), 6);
	check(memcmp(text, "before", 6) == 0);
	check_number(pwrite(fd, "after", 5, 6), 5);
	check_number(pread(fd, text, sizeof(text), 0), 11);
	check(memcmp(text, "beforeafter", 11) == 0);
	check_ok(fstat(fd, &st));
	check_number(st.st_size, 11);
	check_number(st.st_nlink, 0);
	/* A new file of the same name is another file. */
	make_text_file("file", "new");
	check_number(pread(fd, text, 6, 0), 6);
	check(memcmp(text, "before", 6) == 0);
	check_ok(close(fd));
	expect_text("file", "new");
}

static void use_after_rename(void)
{
	char text[8] = "";
	int fd = open_file("old", O_RDWR | O_CREAT);

	write_all(fd, "one", 3);
	check_ok(rename("old", "new"));
	write_all(fd, "two", 3);
	check_number(pread(fd, text, sizeof(text), 0), 6);
	check_ok(close(fd));
	expect_text("new", "onetwo");
	expect_missing("old");
}

static void map_privately(void)
{
	static char content[10000];
	uint64_t state = 3;
	char *map;
	int fd;

	stream_fill(&state, content, sizeof(content));
	make_file("file", content, sizeof(content));
	fd = open_file("file", O_RDONLY);
	map = mmap(NULL, sizeof(content), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	check(map != MAP_FAILED);
	check(memcmp(map, content, sizeof(content)) == 0);
	map[0] = (char)(map[0] + 1);
	check_ok(munmap(map, sizeof(content)));
	check_ok(close(fd));
	expect_content("file", content, sizeof(content));
}

static void execute(void)
{
	static char program[8 << 20];
	int fd = open_file("/proc/self/exe", O_RDONLY);
	size_t size = read_all(fd, program, sizeof(program));
	int status;
	pid_t child;

	check(size > 0 && size < sizeof(program));
	check_ok(close(fd));
	make_file("program", program, size);
	check_errno(access("program", X_OK), EACCES);
	check_ok(chmod("program", 0755));
	child = fork();
	check_ok(child);
	if (child == 0) {
		execl("./program", "program", "--exit", "42", (char *)NULL);
		_exit(1);
	}
	check_ok(waitpid(child, &status, 0));
	check(WIFEXITED(status));
	check_number(WEXITSTATUS(status), 42);
}

static void copy_between_files(void)
{
	static char content[300000];
	uint64_t state = 9;
	int from;
	int to;

	stream_fill(&state, content, sizeof(content));
	make_file("from", content, sizeof(content));
	from = open_file("from", O_RDONLY);
	to = open_file("to", O_WRONLY | O_CREAT);
	for (size_t left = sizeof(content); left > 0;) {
		ssize_t step = copy_file_range(from, NULL, to, NULL, left, 0);

		check_ok(step);
		check(step > 0);
		left -= (size_t)step;
	}
	check_ok(close(from));
	check_ok(close(to));
	expect_content("to", content, sizeof(content));
}

static void lock(void)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open_file("file", O_RDWR | O_CREAT);

	check_ok(fcntl(fd, F_SETLK, &whole));
	whole.l_type = F_UNLCK;
	check_ok(fcntl(fd, F_SETLK, &whole));
	check_ok(close(fd));
}

const struct test file_tests[] = {
    {.name = "a file is created, written and read back", .run = create_and_read},
    {.name = "an empty file is created", .run = create_empty},
    {.name = "bytes are overwritten in place", .run = overwrite_in_place},
    {.name = "O_APPEND writes at the end, from two descriptors", .run = append},
    {.name = "truncate shortens", .run = truncate_shrinks},
    {.name = "truncate lengthens with zeros", .run = truncate_grows_with_zeros},
    {.name = "O_TRUNC empties", .run = open_with_trunc},
    {.name = "O_EXCL refuses what exists", .run = open_with_excl},
    {.name = "O_CREAT opens what exists", .run = create_existing},
    {.name = "a hole reads as zeros", .run = write_sparse},
    {.name = "a file reaches beyond 4 GiB", .run = write_beyond_4_gib},
    {.name = "reads and writes of odd sizes", .run = odd_sizes},
    {.name = "writev and preadv", .run = vectors},
    {.name = "one descriptor sees what another one wrote", .run = two_descriptors},
    {.name = "fsync, fdatasync and O_SYNC", .run = synchronise},
    {.name = "an open file works after unlink", .run = use_after_unlink},
    {.name = "an open file works after rename", .run = use_after_rename},
    {.name = "a private mapping", .run = map_privately},
    {.name = "a program runs from the share", .run = execute},
    {.name = "copy_file_range", .run = copy_between_files},
    {.name = "a lock is taken and given back", .run = lock},
    {0},
};
