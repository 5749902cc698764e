/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_diod.c: another's clients: diodls, diodcat and diodload of Debian's package diod, against the host's view. */
#include "tests/lib/p9_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGS_MAX  12
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define DATA_SIZE 1000003

static struct p9_rig rig;
static int output = -1;

static void start(void)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true});
	if (access("/usr/sbin/diodls", X_OK) < 0) {
		p9_rig_end(&rig);
		cr_skip_test("diodls (package diod) is not installed");
	}
}

static void end(void)
{
	fd_close(&output);
	if (rig.device > 0)
		p9_rig_end(&rig);
}

TestSuite(diod, .init = start, .fini = end, .timeout = 120);

/* Runs a tool at the device's socket, attached to aname (or NULL); what it says goes to output. Return: its exit status. */
static int run(const char *tool, const char *aname, const char *const *args)
{
	const char *argv[ARGS_MAX] = {tool, "-s", rig.listen_at};
	size_t n = 3;
	pid_t pid;

	if (aname) {
		argv[n++] = "-a";
		argv[n++] = aname;
	}
	for (; *args; args++) {
		cr_assert_lt(n, ARGS_MAX - 1);
		argv[n++] = *args;
	}
	fd_close(&output);
	output = memfd_create("output", MFD_CLOEXEC);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)dup2(output, STDOUT_FILENO);
		(void)dup2(output, STDERR_FILENO);
		(void)execv(tool, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return rig_exit_status(pid);
}

static size_t said(char *text, size_t room)
{
	ssize_t n = pread(output, text, room - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The lines of a text, sorted, in place. Return: how many. */
static size_t lines_of(char *text, char **ret, size_t room)
{
	size_t n = 0;

	for (char *end; n < room && (end = strchr(text, '\n')); text = end + 1) {
		*end = '\0';
		ret[n++] = text;
	}
	qsort(ret, n, sizeof(*ret), by_text);
	return n;
}

Test(diod, diodls_lists_what_the_host_has)
{
	enum { MANY = 700 };
	static char text[65536], names[MANY][64];
	static char *lines[MANY + 10];

	cr_assert_eq(mkdir(rig_path(&rig.rig, "d"), 0755), 0);
	for (int i = 0; i < MANY; i++) {
		char path[80];

		(void)snprintf(names[i], sizeof(names[i]), "n%0*d", 3 + i % 40, i);
		(void)snprintf(path, sizeof(path), "d/%.63s", names[i]);
		rig_write(&rig.rig, path, "");
	}
	cr_assert_eq(run("/usr/sbin/diodls", "/", ARGS("d")), 0);
	(void)said(text, sizeof(text));
	cr_assert_eq(lines_of(text, lines, ARRAY_SIZE(lines)), MANY);
	for (int i = 0; i < MANY; i++) {
		const char *name = names[i];

		cr_assert_not_null(bsearch(&name, lines, MANY, sizeof(*lines), by_text), "%s",
		                   name);
	}
}

/* diodls -l: mode, links, owner, group, size, date and name. */
Test(diod, diodls_shows_the_attributes_the_host_has)
{
	static const struct {
		const char *name, *text, *mode;
		mode_t bits;
	} files[] = {
	    {"plain", "text", "-rw-r--r--", 0644},
	    {"run", "some more text", "-rwxr-x---", 0750},
	    {"empty", "", "----------", 0},
	};
	static char text[8192];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		rig_write(&rig.rig, files[i].name, files[i].text);
		cr_assert_eq(chmod(rig_path(&rig.rig, files[i].name), files[i].bits), 0);
	}
	cr_assert_eq(run("/usr/sbin/diodls", "", ARGS("-l")), 0);
	(void)said(text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char name[32], mode[16];
		size_t size = 0;
		const char *at;

		(void)snprintf(name, sizeof(name), " %s\n", files[i].name);
		at = strstr(text, name);
		cr_assert_not_null(at, "%s", text);
		while (at > text && at[-1] != '\n')
			at--;
		cr_assert_eq(sscanf(at, "%10s%*s %*u root root %zu", mode, &size), 2, "%s", at);
		cr_assert_str_eq(mode, files[i].mode);
		cr_assert_eq(size, strlen(files[i].text));
	}
}

Test(diod, diodcat_reads_what_the_host_has)
{
	static const char *const msizes[] = {"4096", "8192", "65536", "1000000"};
	static uint8_t data[DATA_SIZE], got[DATA_SIZE + 10];
	uint32_t x = 1;
	FILE *f;

	for (size_t i = 0; i < DATA_SIZE; i++)
		data[i] = (uint8_t)((x = x * 1103515245 + 12345) >> 16);
	f = fopen(rig_path(&rig.rig, "data"), "we");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite(data, 1, DATA_SIZE, f), DATA_SIZE);
	cr_assert_eq(fclose(f), 0);
	rig_write(&rig.rig, "f", "and text");
	for (size_t i = 0; i < ARRAY_SIZE(msizes); i++) {
		cr_assert_eq(run("/usr/sbin/diodcat", "/", ARGS("-m", msizes[i], "data", "f")), 0);
		cr_assert_eq(pread(output, got, sizeof(got), 0), DATA_SIZE + 8, "msize %s",
		             msizes[i]);
		cr_assert_eq(memcmp(got, data, DATA_SIZE), 0, "msize %s", msizes[i]);
		cr_assert_eq(memcmp(got + DATA_SIZE, "and text", 8), 0);
	}
}

Test(diod, diodcat_gets_the_hosts_errors)
{
	char text[4096];

	cr_assert_eq(mkdir(rig_path(&rig.rig, "d"), 0755), 0);
	cr_assert_eq(mkfifo(rig_path(&rig.rig, "fifo"), 0666), 0);
	cr_assert_neq(run("/usr/sbin/diodcat", "/", ARGS("none")), 0);
	(void)said(text, sizeof(text));
	cr_assert_not_null(strstr(text, strerror(ENOENT)), "%s", text);
	cr_assert_neq(run("/usr/sbin/diodcat", "/", ARGS("d")), 0);
	(void)said(text, sizeof(text));
	cr_assert_not_null(strstr(text, strerror(EISDIR)), "%s", text);
	cr_assert_neq(run("/usr/sbin/diodcat", "/", ARGS("fifo")), 0);
	(void)said(text, sizeof(text));
	cr_assert_not_null(strstr(text, strerror(ENXIO)), "%s", text);
	cr_assert_neq(run("/usr/sbin/diodcat", "/none", ARGS("f")), 0);
	(void)said(text, sizeof(text));
	cr_assert_not_null(strstr(text, strerror(ENOENT)), "%s", text);
}

/* It wants a directory "ctl" with the files "zero", which it reads, and "null", which it writes. */
Test(diod, diodload_works_with_sixteen_threads)
{
	char text[4096];

	cr_assert_eq(mkdir(rig_path(&rig.rig, "ctl"), 0755), 0);
	rig_write(&rig.rig, "ctl/zero", "");
	rig_write(&rig.rig, "ctl/null", "");
	cr_assert_eq(truncate(rig_path(&rig.rig, "ctl/zero"), 1 << 20), 0);
	for (int i = 0; i < 2; i++) {
		unsigned long ops = 0;

		cr_assert_eq(
		    run("/usr/sbin/diodload", NULL, i ? ARGS("-r", "1", "-g") : ARGS("-r", "1")),
		    0);
		(void)said(text, sizeof(text));
		cr_assert_eq(sscanf(text, "diodload: %lu ops/s", &ops), 1, "%s", text);
		cr_assert_gt(ops, 0);
	}
	cr_assert(p9_alive(&rig.c));
}
