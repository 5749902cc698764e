/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Much of everything: a big file, a big directory, a big tree, and several processes at once.
 */
#include "tests/guest/stream.h"
#include "tests/guest/tap.h"
#include "tests/guest/tree.h"
#include "tests/guest/workload.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	BLOCK = 1 << 20,
	PROCESSES = 4,
	ROUNDS = 120,
	SHARED_NAMES = 10,
	RECORD = 16,
	PARALLEL_BLOCKS = 8,
};

static unsigned char block[BLOCK];
static unsigned char expected[BLOCK];

static double start_time;

static void start_clock(void)
{
	struct timespec now;

	check_ok(clock_gettime(CLOCK_MONOTONIC, &now));
	start_time = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Say what the step before took, and start the next one. */
static void note_time(const char *step)
{
	double started = start_time;

	start_clock();
	tap_note("%s: %.1f s", step, start_time - started);
}

/* Where an object goes: beside the tests if it is to stay for the host. */
static const char *place_for(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s%s", options.keep ? "../kept/" : "", name);
	return path;
}

static void write_blocks(int fd, uint64_t seed, uint64_t blocks)
{
	uint64_t state = seed;

	for (uint64_t i = 0; i < blocks; i++) {
		stream_fill(&state, block, sizeof(block));
		write_all(fd, block, sizeof(block));
	}
}

static void compare_blocks(int fd, uint64_t seed, uint64_t blocks)
{
	uint64_t state = seed;

	for (uint64_t i = 0; i < blocks; i++) {
		stream_fill(&state, expected, sizeof(expected));
		check_number(read_all(fd, block, sizeof(block)), sizeof(block));
		if (memcmp(block, expected, sizeof(block)) != 0)
			fail("MiB number %llu is not what was written", (unsigned long long)i);
	}
	check_number(read(fd, block, sizeof(block)), 0);
}

static void big_file(void)
{
	const char *path = place_for("big");
	struct stat st;
	int fd;

	if (options.big_mb == 0)
		skip_test("no size was given for it");
	start_clock();
	fd = open_file(path, O_WRONLY | O_CREAT | O_EXCL);
	write_blocks(fd, 0, options.big_mb);
	check_ok(fsync(fd));
	check_ok(close(fd));
	note_time("written");
	check_ok(stat(path, &st));
	check_number(st.st_size, options.big_mb * BLOCK);
	fd = open_file(path, O_RDONLY);
	compare_blocks(fd, 0, options.big_mb);
	check_ok(close(fd));
	note_time("read and compared");
}

static void check_listing(DIR *stream, unsigned char *seen)
{
	const struct dirent *entry;
	uint32_t count = 0;

	rewinddir(stream);
	memset(seen, 0, options.many);
	while ((entry = readdir(stream)) != NULL) {
		unsigned long number;
		char *end;

		if (entry->d_name[0] == '.')
			continue;
		number = strtoul(entry->d_name, &end, 10);
		check(number < options.many && strcmp(end, "-entry") == 0);
		check_number(seen[number], 0);
		seen[number] = 1;
		count++;
	}
	check_number(count, options.many);
}

static void many_files(void)
{
	unsigned char *seen = malloc(options.many + 1);
	char name[32];
	DIR *stream;

	if (options.many == 0)
		skip_test("no number was given for it");
	check(seen != NULL);
	start_clock();
	for (uint32_t i = 0; i < options.many; i++) {
		snprintf(name, sizeof(name), "%u-entry", i);
		check_ok(close(open_file(name, O_WRONLY | O_CREAT | O_EXCL)));
	}
	note_time("created");
	stream = opendir(".");
	check(stream != NULL);
	check_listing(stream, seen);
	check_listing(stream, seen);
	note_time("listed twice");
	for (uint32_t i = 0; i < options.many; i++) {
		snprintf(name, sizeof(name), "%u-entry", i);
		check_ok(unlink(name));
	}
	note_time("removed");
	options.many = 0;
	check_listing(stream, seen);
	check_ok(closedir(stream));
	free(seen);
}

static void tree(void)
{
	const char *path = place_for("tree");
	struct tree_fault fault;

	if (options.tree_files == 0)
		skip_test("no number was given for it");
	tap_note("%u files", options.tree_files);
	start_clock();
	if (tree_create(path, options.tree_files, &fault) != 0)
		fail("%s", fault.text);
	note_time("created");
	if (tree_verify(path, options.tree_files, geteuid(), getegid(), &fault) != 0)
		fail("%s", fault.text);
	note_time("compared");
	if (options.keep)
		return;
	check_ok(remove_recursively(AT_FDCWD, path));
	note_time("removed");
	expect_missing(path);
}

static void run_processes(void (*run)(unsigned int number))
{
	pid_t children[PROCESSES];

	for (unsigned int i = 0; i < PROCESSES; i++)
		children[i] = start_child(run, i);
	for (unsigned int i = 0; i < PROCESSES; i++)
		wait_for_child(children[i]);
}

static void create_rename_unlink(unsigned int number)
{
	char own[32];
	char other[32];
	char shared[32];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		snprintf(own, sizeof(own), "own-%u", number);
		snprintf(other, sizeof(other), "other-%u", number);
		snprintf(shared, sizeof(shared), "shared-%u", (i + number) % SHARED_NAMES);
		make_text_file(own, "complete");
		check_ok(link(own, other));
		check_ok(rename(own, shared));
		expect_missing(own);
		expect_text(other, "complete");
		check_ok(unlink(other));
		expect_missing(other);
	}
}

/* Each name that the processes fought for is there at the end, once and whole; nothing else is. */
static void processes_in_one_directory(void)
{
	unsigned int seen[SHARED_NAMES] = {0};
	const struct dirent *entry;
	unsigned int count = 0;
	DIR *stream;

	run_processes(create_rename_unlink);
	stream = opendir(".");
	check(stream != NULL);
	while ((entry = readdir(stream)) != NULL) {
		unsigned int number;
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		if (sscanf(entry->d_name, "shared-%u", &number) != 1 || number >= SHARED_NAMES)
			fail("%s is still there", entry->d_name);
		check_ok(stat(entry->d_name, &st));
		check_number(st.st_nlink, 1);
		expect_text(entry->d_name, "complete");
		seen[number]++;
		count++;
	}
	check_ok(closedir(stream));
	check_number(count, SHARED_NAMES);
	for (unsigned int i = 0; i < SHARED_NAMES; i++)
		check_number(seen[i], 1);
}

static void append_records(unsigned int number)
{
	int fd = open_file("log", O_WRONLY | O_CREAT | O_APPEND);
	char record[RECORD + 1];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		snprintf(record, sizeof(record), "%04u record %03u\n", number, i);
		check_number(write(fd, record, RECORD), RECORD);
	}
	check_ok(close(fd));
}

static void processes_append(void)
{
	unsigned int next[PROCESSES] = {0};
	char record[RECORD + 1] = "";
	struct stat st;
	int fd;

	run_processes(append_records);
	check_ok(stat("log", &st));
	check_number(st.st_size, PROCESSES * ROUNDS * RECORD);
	fd = open_file("log", O_RDONLY);
	while (read_all(fd, record, RECORD) == RECORD) {
		unsigned int process;
		unsigned int number;

		check_number(sscanf(record, "%u record %u\n", &process, &number), 2);
		check(process < PROCESSES);
		check_number(number, next[process]);
		next[process]++;
	}
	check_ok(close(fd));
}

static void write_and_compare(unsigned int number)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "file-%u", number);
	fd = open_file(name, O_RDWR | O_CREAT);
	for (unsigned int round = 0; round < 3; round++) {
		check_number(lseek(fd, 0, SEEK_SET), 0);
		write_blocks(fd, number * 10 + round, PARALLEL_BLOCKS);
		check_number(lseek(fd, 0, SEEK_SET), 0);
		compare_blocks(fd, number * 10 + round, PARALLEL_BLOCKS);
	}
	check_ok(close(fd));
}

static void processes_read_and_write(void)
{
	run_processes(write_and_compare);
}

const struct test load_tests[] = {
    {.name = "four processes create, rename and unlink in one directory",
     .run = processes_in_one_directory},
    {.name = "four processes append to one file", .run = processes_append},
    {.name = "four processes read and write their files", .run = processes_read_and_write},
    {.name = "a big file is written and read back", .run = big_file},
    {.name = "a directory of many files is listed", .run = many_files},
    {.name = "a tree of many files is made and compared", .run = tree},
    {0},
};
