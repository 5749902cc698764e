/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops ROUNDS FILES MEGABYTES NAME=DIR…
 *
 * Times file operations in several directories, in rounds: each operation is done in every
 * directory before the next one, and the order of the directories changes from round to round, so
 * that what disturbs the machine disturbs them alike. Prints lines "ROUND OPERATION NAME VALUE
 * UNIT". Round 0 only warms up.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SMALL = 4096, LARGE = 1 << 20 };

static char block[LARGE];
static unsigned int files;
static unsigned int megabytes;

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "ops: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(long long result, const char *what)
{
	if (result < 0)
		give_up(what);
}

static double now(void)
{
	struct timespec time;

	must(clock_gettime(CLOCK_MONOTONIC, &time), "clock_gettime");
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static const char *name_of(const char *kind, unsigned int number)
{
	static char name[32];

	snprintf(name, sizeof(name), "%s-%u", kind, number);
	return name;
}

static void create_and_write(unsigned int number)
{
	int fd = open(name_of("file", number), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	must(fd, "create");
	must(write(fd, block, SMALL), "write");
	must(close(fd), "close");
}

static void stat_file(unsigned int number)
{
	struct stat st;

	must(stat(name_of("file", number), &st), "stat");
}

static void open_and_read(unsigned int number)
{
	int fd = open(name_of("file", number), O_RDONLY | O_CLOEXEC);

	must(fd, "open");
	must(read(fd, block, SMALL), "read");
	must(close(fd), "close");
}

static void rename_file(unsigned int number)
{
	char old[32];

	strcpy(old, name_of("file", number));
	must(rename(old, name_of("moved", number)), "rename");
}

static void change_mode(unsigned int number)
{
	must(chmod(name_of("moved", number), number % 2 == 0 ? 0600 : 0640), "chmod");
}

static void unlink_file(unsigned int number)
{
	must(unlink(name_of("moved", number)), "unlink");
}

static void make_directory(unsigned int number)
{
	must(mkdir(name_of("dir", number), 0755), "mkdir");
}

static void remove_directory(unsigned int number)
{
	must(rmdir(name_of("dir", number)), "rmdir");
}

/* Microseconds for one of many calls. */
static double time_calls(void (*call)(unsigned int number))
{
	double start = now();

	for (unsigned int i = 0; i < files; i++)
		call(i);
	return (now() - start) * 1e6 / files;
}

static double time_create(void)
{
	return time_calls(create_and_write);
}

static double time_stat(void)
{
	return time_calls(stat_file);
}

static double time_read(void)
{
	return time_calls(open_and_read);
}

static double time_rename(void)
{
	return time_calls(rename_file);
}

static double time_chmod(void)
{
	return time_calls(change_mode);
}

static double time_unlink(void)
{
	return time_calls(unlink_file);
}

static double time_mkdir(void)
{
	return time_calls(make_directory);
}

static double time_rmdir(void)
{
	return time_calls(remove_directory);
}

/* What ls -l does, for each entry. */
static double time_list(void)
{
	double start = now();
	const struct dirent *entry;
	unsigned int count = 0;
	struct stat st;
	DIR *stream = opendir(".");

	if (stream == NULL)
		give_up("opendir");
	while ((entry = readdir(stream)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		must(lstat(entry->d_name, &st), "lstat");
		count++;
	}
	closedir(stream);
	if (count != files) {
		errno = EPROTO;
		give_up("the directory does not list its files");
	}
	return (now() - start) * 1e6 / count;
}

/* Megabytes a second. */
static double time_write_large(void)
{
	double start = now();
	int fd = open("large", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	must(fd, "create");
	for (unsigned int i = 0; i < megabytes; i++)
		must(write(fd, block, LARGE) - LARGE, "write");
	must(close(fd), "close");
	return megabytes / (now() - start);
}

static double time_read_large(void)
{
	double start = now();
	int fd = open("large", O_RDONLY | O_CLOEXEC);

	must(fd, "open");
	for (unsigned int i = 0; i < megabytes; i++)
		must(read(fd, block, LARGE) - LARGE, "read");
	must(close(fd), "close");
	return megabytes / (now() - start);
}

/* Blocks of 4 KiB, each of them once, in an order that looks random: the count is a power of two. */
static double time_random(int flags, bool writes)
{
	unsigned int count = 1024;
	unsigned int spread = megabytes * 256 / count;
	int fd = open("large", flags | O_CLOEXEC);
	double start;

	must(fd, "open");
	start = now();
	for (unsigned int i = 0; i < count; i++) {
		off_t at = (off_t)SMALL * spread * (i * 613 % count);

		if (writes)
			must(pwrite(fd, block, SMALL, at) - SMALL, "pwrite");
		else
			must(pread(fd, block, SMALL, at) - SMALL, "pread");
	}
	start = count / (now() - start);
	must(close(fd), "close");
	return start;
}

/* Operations a second. */
static double time_random_read(void)
{
	return time_random(O_RDONLY, false);
}

static double time_random_write(void)
{
	double rate = time_random(O_WRONLY, true);

	must(unlink("large"), "unlink");
	return rate;
}

struct operation {
	const char *name;
	const char *unit;
	double (*run)(void);
};

/* Their order matters: each one needs what the ones before have left. */
static const struct operation operations[] = {
    {"create+write-4k", "us", time_create},
    {"stat", "us", time_stat},
    {"open+read-4k", "us", time_read},
    {"ls-l-per-entry", "us", time_list},
    {"rename", "us", time_rename},
    {"chmod", "us", time_chmod},
    {"unlink", "us", time_unlink},
    {"mkdir", "us", time_mkdir},
    {"rmdir", "us", time_rmdir},
    {"sequential-write", "MB/s", time_write_large},
    {"sequential-read", "MB/s", time_read_large},
    {"random-read-4k", "IOPS", time_random_read},
    {"random-write-4k", "IOPS", time_random_write},
};

static void run_in(unsigned int round, const struct operation *operation, const char *share)
{
	const char *separator = strchr(share, '=');

	if (separator == NULL) {
		errno = EINVAL;
		give_up(share);
	}
	must(chdir(separator + 1), separator + 1);
	printf("%u %s %.*s %.1f %s\n", round, operation->name, (int)(separator - share), share,
	       operation->run(), operation->unit);
	fflush(stdout);
}

static unsigned int number_of(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*end != '\0' || number == 0 || number > 1000000) {
		errno = EINVAL;
		give_up(text);
	}
	return (unsigned int)number;
}

int main(int argc, char **argv)
{
	unsigned int rounds;
	unsigned int shares;

	if (argc < 5) {
		fputs("usage: ops ROUNDS FILES MEGABYTES NAME=DIR...\n", stderr);
		return 2;
	}
	rounds = number_of(argv[1]);
	files = number_of(argv[2]);
	megabytes = number_of(argv[3]);
	shares = (unsigned int)argc - 4;
	memset(block, 'b', sizeof(block));
	for (unsigned int round = 0; round <= rounds; round++)
		for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
			for (unsigned int share = 0; share < shares; share++)
				run_in(round, &operations[i], argv[4 + (round + share) % shares]);
	return 0;
}
