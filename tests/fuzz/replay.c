/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.c: runs a target over all files of the directories given, without libFuzzer, and tells as
 * TAP.
 *
 * Each input is also run cut to every eighth of its length and with single bytes changed, from a
 * fixed stream.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 131072
#define CHANGES   64
#define DIRS_MAX  8

static uint8_t input[INPUT_MAX], changed[INPUT_MAX];

/* Runs a copy in memory of exactly that size, so that a sanitizer sees one read too many. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_all_forms(size_t size)
{
	uint32_t state = 12345;

	run(input, size);
	for (size_t i = 0; i < 8; i++)
		run(input, size * i / 8);
	for (int i = 0; size > 0 && i < CHANGES; i++) {
		memcpy(changed, input, size);
		state = state * 1664525u + 1013904223u;
		changed[(state >> 8) % size] = (uint8_t)(state >> 24);
		run(changed, size);
	}
}

/* Through the directory's descriptor: a target may leave the working directory. */
static bool run_file(DIR *dir, const char *name)
{
	int fd = openat(dirfd(dir), name, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	size_t size;

	if (!f)
		return false;
	size = fread(input, 1, sizeof(input), f);
	(void)fclose(f);
	run_all_forms(size);
	return true;
}

int main(int argc, char **argv)
{
	DIR *dirs[DIRS_MAX];
	int count = 0;

	for (int i = 1; i < argc && i <= DIRS_MAX; i++)
		dirs[i - 1] = opendir(argv[i]);
	for (int i = 1; i < argc && i <= DIRS_MAX; i++) {
		DIR *d = dirs[i - 1];
		struct dirent *e;

		if (!d) {
			(void)printf("Bail out! no directory %s\n", argv[i]);
			return 1;
		}
		while ((e = readdir(d))) {
			if (e->d_name[0] == '.')
				continue;
			(void)printf("%s %d - %s\n", run_file(d, e->d_name) ? "ok" : "not ok",
			             ++count, e->d_name);
			(void)fflush(stdout);
		}
		(void)closedir(d);
	}
	(void)printf("1..%d\n", count);
	return 0;
}
