/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/canary.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>

/* Whatever is done there; a descriptor opened with O_PATH alone is no event, and gives nothing. */
#define ANYTHING                                                                               \
	(IN_OPEN | IN_ACCESS | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | \
	 IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)

static const struct canaries *out; /* those that are out */
static atomic_ulong attacks;

static void make_text(char *text)
{
	uint8_t raw[CANARY_TEXT];

	cr_assert_eq(getrandom(raw, sizeof(raw), 0), sizeof(raw));
	for (size_t i = 0; i < CANARY_TEXT; i++)
		text[i] = (char)("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[raw[i] % 32]);
	text[CANARY_TEXT] = '\0';
}

static void put_out(struct canaries *k, struct canary *c)
{
	AUTO_CLOSE int fd = -1;

	make_text(c->text);
	(void)snprintf(c->path, sizeof(c->path), "%s/canary", c->dir);
	fd = open(c->path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	cr_assert_geq(fd, 0, "%s: %s", c->path, strerror(errno));
	cr_assert_eq(write(fd, c->text, CANARY_TEXT), CANARY_TEXT);
	fd_close(&fd);
	cr_assert_eq(stat(c->path, &c->file_was), 0);
	cr_assert_eq(stat(c->dir, &c->dir_was), 0);
	cr_assert_geq(inotify_add_watch(k->watch, c->path, ANYTHING), 0);
	cr_assert_geq(inotify_add_watch(k->watch, c->dir, ANYTHING), 0);
}

void canaries_start(struct canaries *k, struct rig *r)
{
	*k = (struct canaries){.rig = r, .watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
	cr_assert_geq(k->watch, 0);
	(void)snprintf(k->at[0].dir, sizeof(k->at[0].dir), "%s", r->outside);
	(void)snprintf(k->at[1].dir, sizeof(k->at[1].dir), "%s/mounted", r->dir);
	(void)snprintf(k->at[2].dir, sizeof(k->at[2].dir), "%s/private", r->dir);
	cr_assert_eq(mkdir(k->at[1].dir, 0755), 0);
	cr_assert_eq(mkdir(k->at[2].dir, 0700), 0);
	k->mounted = mount("none", k->at[1].dir, "tmpfs", 0, "size=1m") == 0;
	for (size_t i = 0; i < CANARY_PLACES; i++)
		put_out(k, &k->at[i]);
	make_text(k->process);
	cr_assert_eq(prctl(PR_SET_NAME, k->process), 0);
	out = k;
}

static void must_not_hold(const void *bytes, size_t size, const char *text, const char *what)
{
	if (size >= CANARY_TEXT && memmem(bytes, size, text, CANARY_TEXT))
		cr_assert_fail("a reply holds what stands in %s", what);
}

/* The file behind a descriptor is the export's: not a canary by number or by text. */
static void look_at_file(int fd)
{
	uint8_t bytes[4096];
	struct stat st;
	ssize_t n;

	cr_assert_eq(fstat(fd, &st), 0);
	for (size_t i = 0; i < CANARY_PLACES; i++) {
		const struct stat *was = &out->at[i].file_was;

		cr_assert_not(st.st_dev == was->st_dev && st.st_ino == was->st_ino, "%s was opened",
		              out->at[i].path);
	}
	if (!S_ISREG(st.st_mode) || (fcntl(fd, F_GETFL) & (O_ACCMODE | O_PATH)) == O_WRONLY)
		return;
	n = pread(fd, bytes, sizeof(bytes), 0);
	if (n > 0)
		canary_look(bytes, (size_t)n, -1);
}

void canary_look(const void *bytes, size_t size, int fd)
{
	if (!out)
		return;
	for (size_t i = 0; i < CANARY_PLACES; i++)
		must_not_hold(bytes, size, out->at[i].text, out->at[i].path);
	must_not_hold(bytes, size, out->process, "/proc/PID/comm");
	if (fd >= 0)
		look_at_file(fd);
}

const char *canary_way(const struct canaries *k, unsigned number)
{
	static const char *const fixed[] = {
	    "../outside/canary",
	    "../outside",
	    "../mounted/canary",
	    "../private/canary",
	    "..",
	    "../..",
	    "/",
	    "/proc/self/root",
	    "/proc/self/cwd/..",
	    "/proc/self/fd",
	    "/proc/self/fd/0",
	    "/proc/self/fd/3",
	    "/proc/self/fd/3/..",
	    "/proc/self/mem",
	    "/proc/self/maps",
	    "/proc/1/environ",
	    "/etc/shadow",
	    "/dev/mem",
	    "/dev/null",
	    "/dev/zero",
	    "/sys/kernel",
	    "/proc/sysrq-trigger",
	    "//",
	    "./..//./../outside",
	};
	static const char *const before[] = {"", "/proc/self/root", "/proc/1/root",
	                                     "/proc/self/cwd/../../.."};
	const unsigned made = 2 * CANARY_PLACES * (unsigned)ARRAY_SIZE(before);
	static char text[400];

	if (number < ARRAY_SIZE(fixed))
		return fixed[number];
	number -= (unsigned)ARRAY_SIZE(fixed);
	if (number < made) {
		const struct canary *c = &k->at[number / 2 % CANARY_PLACES];

		(void)snprintf(text, sizeof(text), "%s%s", before[number / 2 / CANARY_PLACES],
		               number % 2 ? c->path : c->dir);
		return text;
	}
	if (number == made) {
		(void)snprintf(text, sizeof(text), "/proc/%d/comm", (int)getpid());
		return text;
	}
	return NULL;
}

void canary_attack(unsigned long count)
{
	atomic_fetch_add(&attacks, count);
}

static void must_be_as_before(const struct stat *was, const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0, "%s is gone", path);
	cr_assert_eq(st.st_ino, was->st_ino, "%s is another", path);
	cr_assert_eq(st.st_mode, was->st_mode, "%s has another mode", path);
	cr_assert(st.st_uid == was->st_uid && st.st_gid == was->st_gid, "%s has another owner",
	          path);
	cr_assert_eq(st.st_nlink, was->st_nlink, "%s has other links", path);
	cr_assert_eq(st.st_size, was->st_size, "%s has another size", path);
	cr_assert(st.st_mtim.tv_sec == was->st_mtim.tv_sec &&
	              st.st_mtim.tv_nsec == was->st_mtim.tv_nsec,
	          "%s was written", path);
	cr_assert(st.st_ctim.tv_sec == was->st_ctim.tv_sec &&
	              st.st_ctim.tv_nsec == was->st_ctim.tv_nsec,
	          "%s was changed", path);
}

/* Criterion drops what a test prints, so counts go by a file to the process that runs the tests, our parent. */
static const char *counts_path(pid_t runner)
{
	static char path[64];

	(void)snprintf(path, sizeof(path), "/tmp/virtfs-attacks.%d", (int)runner);
	return path;
}

static void tell_count(void)
{
	FILE *f = fopen(counts_path(getppid()), "ae");

	cr_assert_not_null(f);
	(void)fprintf(f, "%lu\n", atomic_load(&attacks));
	cr_assert_eq(fclose(f), 0);
}

static unsigned long sum;

/* Behind all that Criterion prints: as a comment of TAP it must not come first. */
static void print_sum(void)
{
	(void)printf("# %lu attacks\n", sum);
}

ReportHook(POST_ALL)(struct criterion_global_stats *stats UNUSED)
{
	unsigned long one;
	FILE *f = fopen(counts_path(getpid()), "re");

	while (f && fscanf(f, "%lu", &one) == 1)
		sum += one;
	if (f)
		(void)fclose(f);
	(void)unlink(counts_path(getpid()));
	(void)atexit(print_sum);
}

void canaries_end(struct canaries *k)
{
	union {
		struct inotify_event event;
		char room[4096];
	} in;
	ssize_t n = read(k->watch, &in, sizeof(in));

	cr_assert(n < 0 && errno == EAGAIN, "a canary was touched: mask 0x%x%s%s", in.event.mask,
	          in.event.len ? " of " : "", in.event.len ? in.event.name : "");
	for (size_t i = 0; i < CANARY_PLACES; i++) {
		must_be_as_before(&k->at[i].file_was, k->at[i].path);
		must_be_as_before(&k->at[i].dir_was, k->at[i].dir);
	}
	fd_close(&k->watch);
	out = NULL;
	if (k->mounted)
		cr_assert_eq(umount2(k->at[1].dir, MNT_DETACH), 0);
	tell_count();
}
