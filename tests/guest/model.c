/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-model: does random operations on a share and on a model of it in memory, and compares.
 *
 * The seed decides everything, so that a run can be repeated: the same options on an empty directory
 * do the same operations in the same order.
 */
#include "tests/guest/model.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { HISTORY = 24, LINE_SIZE = 1200 };

static const char usage[] =
    "usage: guest-model [OPTION...] DIR\n"
    "\n"
    "Makes the directory DIR and works in it; leaves what it made.\n"
    "\n"
    "  --seed N         repeat a run (default: a new seed)\n"
    "  --operations N   how many (2000)\n"
    "  --check-every N  compare the whole tree after so many (250)\n"
    "  --uid U --gid G  as this user\n"
    "  --shared-maps    the share can be mapped shared and writable\n"
    "  --cached         the client keeps attributes: link counts and times may be old\n"
    "  --verbose        print each operation\n";

enum {
	OPT_SEED = 256,
	OPT_OPERATIONS,
	OPT_EVERY,
	OPT_UID,
	OPT_GID,
	OPT_SHARED,
	OPT_CACHED,
	OPT_VERBOSE
};

static const struct option long_options[] = {
    {"seed", required_argument, NULL, OPT_SEED},
    {"operations", required_argument, NULL, OPT_OPERATIONS},
    {"check-every", required_argument, NULL, OPT_EVERY},
    {"uid", required_argument, NULL, OPT_UID},
    {"gid", required_argument, NULL, OPT_GID},
    {"shared-maps", no_argument, NULL, OPT_SHARED},
    {"cached", no_argument, NULL, OPT_CACHED},
    {"verbose", no_argument, NULL, OPT_VERBOSE},
    {0},
};

static char history[HISTORY][LINE_SIZE];
static unsigned int history_count;
static unsigned int operation;
static uint64_t seed;
static bool verbose;

void model_doing(const char *format, ...)
{
	char *line = history[history_count++ % HISTORY];
	int used = snprintf(line, LINE_SIZE, "%u: ", operation);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line + used, LINE_SIZE - (size_t)used, format, arguments);
	va_end(arguments);
	if (verbose)
		puts(line);
}

void model_wrong(const char *format, ...)
{
	unsigned int first = history_count > HISTORY ? history_count - HISTORY : 0;
	va_list arguments;

	printf("guest-model: seed %llu: the last operations:\n", (unsigned long long)seed);
	for (unsigned int i = first; i < history_count; i++)
		printf("  %s\n", history[i % HISTORY]);
	printf("guest-model: seed %llu, operation %u: ", (unsigned long long)seed, operation);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	exit(1);
}

static _Noreturn void give_up(const char *what)
{
	perror(what);
	exit(2);
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0') {
		fprintf(stderr, "guest-model: %s is no number\n%s", text, usage);
		exit(2);
	}
	return value;
}

static void become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		give_up("becoming another user");
}

/* What this file system can do, which the model then expects. */
static void probe(struct model_run *run)
{
	struct stat st;

	if (stat(".", &st) != 0)
		give_up("stat");
	run->is_root = geteuid() == 0;
	run->directory_links = st.st_nlink == 2;
	run->attributes = setxattr(".", "user.probe", "x", 1, 0) == 0;
	if (run->attributes && removexattr(".", "user.probe") != 0)
		give_up("removexattr");
	if (!run->attributes)
		printf("# no user.* attributes here: %s\n", strerror(errno));
	run->model.root->mode = st.st_mode;
}

int main(int argc, char **argv)
{
	struct model_run run = {.shared_maps = false};
	uint64_t operations = 2000, every = 250;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct timespec now;
	int option;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = ((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000) % 1000000000;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case OPT_SEED:
			seed = number(optarg);
			break;
		case OPT_OPERATIONS:
			operations = number(optarg);
			break;
		case OPT_EVERY:
			every = number(optarg);
			break;
		case OPT_UID:
			uid = (uid_t)number(optarg);
			break;
		case OPT_GID:
			gid = (gid_t)number(optarg);
			break;
		case OPT_SHARED:
			run.shared_maps = true;
			break;
		case OPT_CACHED:
			run.cached = true;
			break;
		case OPT_VERBOSE:
			verbose = true;
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind + 1 != argc || every == 0) {
		fputs(usage, stderr);
		return 2;
	}
	umask(0);
	if (uid != geteuid() || gid != getegid())
		become(uid, gid);
	if (mkdir(argv[optind], 0755) != 0 || chdir(argv[optind]) != 0)
		give_up(argv[optind]);
	model_init(&run.model, uid, gid);
	probe(&run);
	printf("# seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	for (operation = 1; operation <= operations; operation++) {
		/* Each operation's choices depend on its number alone. */
		run.random = seed * 1000003 + operation;
		model_operate(&run);
		if (operation % every == 0)
			model_check_all(&run);
	}
	model_close_all(&run);
	model_check_all(&run);
	printf("# seed %llu: %llu operations, %u objects left\n", (unsigned long long)seed,
	       (unsigned long long)operations, run.model.count);
	return 0;
}
