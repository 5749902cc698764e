/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks a mounted share from the inside and prints the results as TAP. The same program, run on
 * the host, checks what the guest has left there.
 */
#include "tests/guest/workload.h"

#include "tests/guest/marks.h"
#include "tests/guest/runner.h"
#include "tests/guest/stream.h"
#include "tests/guest/tap.h"
#include "tests/guest/tree.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct options options = {
    .big_mb = 300,
    .many = 10000,
    .tree_files = 2000,
};

/* What to do instead of running the tests. */
enum action {
	RUN_TESTS,
	RUN_READONLY,
	MAKE_MARKS,
	CHECK_MARKS,
	MAKE_TREE,
	VERIFY_TREE,
	REMOVE,
	PRINT_STREAM
};

static const char usage[] =
    "usage: guest-workload [OPTION...] --dir DIR       run the tests in DIR\n"
    "       guest-workload [OPTION...] ACTION\n"
    "\n"
    "  --uid U --gid G      be this user, or expect its objects\n"
    "  --big-mb N           size of the big file (300; 0 skips it)\n"
    "  --many N             files in the big directory (10000; 0 skips it)\n"
    "  --tree-files N       files in the tree (2000; 0 skips it)\n"
    "  --keep               leave the tree and the big file in DIR/kept\n"
    "  --only PATTERN       only the tests whose names match the shell pattern\n"
    "\n"
    "  --readonly DIR       check a read-only share, in which DIR holds marks\n"
    "  --make-marks DIR     make an object of each kind in the new directory DIR\n"
    "  --check-marks DIR    check the objects that --make-marks made as user U, group G\n"
    "  --make-tree DIR      make the tree of files as the new directory DIR\n"
    "  --verify-tree DIR    compare the tree in DIR, whose owner is user U, group G\n"
    "  --remove PATH        remove PATH and all that is in it, as user U, group G\n"
    "  --print-stream       print the content of the big file\n";

enum {
	OPT_DIR = 256,
	OPT_UID,
	OPT_GID,
	OPT_BIG,
	OPT_MANY,
	OPT_TREE,
	OPT_KEEP,
	OPT_ONLY,
	OPT_READONLY,
	OPT_MAKE_MARKS,
	OPT_CHECK_MARKS,
	OPT_MAKE_TREE,
	OPT_VERIFY,
	OPT_REMOVE,
	OPT_STREAM,
	OPT_EXIT
};

static const struct option long_options[] = {
    {"dir", required_argument, NULL, OPT_DIR},
    {"uid", required_argument, NULL, OPT_UID},
    {"gid", required_argument, NULL, OPT_GID},
    {"big-mb", required_argument, NULL, OPT_BIG},
    {"many", required_argument, NULL, OPT_MANY},
    {"tree-files", required_argument, NULL, OPT_TREE},
    {"keep", no_argument, NULL, OPT_KEEP},
    {"only", required_argument, NULL, OPT_ONLY},
    {"readonly", required_argument, NULL, OPT_READONLY},
    {"make-marks", required_argument, NULL, OPT_MAKE_MARKS},
    {"check-marks", required_argument, NULL, OPT_CHECK_MARKS},
    {"make-tree", required_argument, NULL, OPT_MAKE_TREE},
    {"verify-tree", required_argument, NULL, OPT_VERIFY},
    {"remove", required_argument, NULL, OPT_REMOVE},
    {"print-stream", no_argument, NULL, OPT_STREAM},
    {"exit", required_argument, NULL, OPT_EXIT},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static _Noreturn void refuse(const char *why)
{
	fprintf(stderr, "guest-workload: %s\n%s", why, usage);
	exit(2);
}

static uint32_t number_argument(const char *text)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || number >= UINT32_MAX)
		refuse("that is not a number");
	return (uint32_t)number;
}

static enum action parse(int argc, char **argv)
{
	enum action action = RUN_TESTS;
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case OPT_DIR:
			options.dir = optarg;
			break;
		case OPT_UID:
			options.uid = number_argument(optarg);
			options.switch_identity = true;
			break;
		case OPT_GID:
			options.gid = number_argument(optarg);
			options.switch_identity = true;
			break;
		case OPT_BIG:
			options.big_mb = number_argument(optarg);
			break;
		case OPT_MANY:
			options.many = number_argument(optarg);
			break;
		case OPT_TREE:
			options.tree_files = number_argument(optarg);
			break;
		case OPT_KEEP:
			options.keep = true;
			break;
		case OPT_ONLY:
			options.only = optarg;
			break;
		case OPT_READONLY:
			options.dir = optarg;
			action = RUN_READONLY;
			break;
		case OPT_MAKE_MARKS:
			options.dir = optarg;
			action = MAKE_MARKS;
			break;
		case OPT_CHECK_MARKS:
			options.dir = optarg;
			action = CHECK_MARKS;
			break;
		case OPT_MAKE_TREE:
			options.dir = optarg;
			action = MAKE_TREE;
			break;
		case OPT_VERIFY:
			options.dir = optarg;
			action = VERIFY_TREE;
			break;
		case OPT_REMOVE:
			options.dir = optarg;
			action = REMOVE;
			break;
		case OPT_STREAM:
			action = PRINT_STREAM;
			break;
		case OPT_EXIT:
			/* A test runs this program from the share and looks at its status. */
			exit((int)number_argument(optarg));
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			refuse("unknown option");
		}
	}
	if (optind != argc || (options.dir == NULL && action != PRINT_STREAM))
		refuse("no directory, or too many arguments");
	return action;
}

/* What the tests of identities may and may not touch, and room for what stays. */
static int prepare(void)
{
	if (close(creat("readable", 0644)) != 0 || close(creat("private", 0600)) != 0 ||
	    mkdir("closed", 0700) != 0 || close(creat("closed/file", 0644)) != 0)
		return -1;
	if (options.keep && mkdir("kept", 0755) != 0)
		return -1;
	if (options.keep && options.switch_identity)
		return chown("kept", options.uid, options.gid);
	return 0;
}

static int run_tests(void)
{
	static const struct test *const tables[] = {
	    file_tests,    name_tests,     directory_tests, attribute_tests,
	    special_tests, identity_tests, load_tests,      NULL,
	};
	char *absolute = realpath(options.dir, NULL);

	/* The runner comes back to it after each test. */
	if (absolute == NULL || chdir(absolute) != 0 || prepare() != 0) {
		perror(options.dir);
		return 2;
	}
	options.dir = absolute;
	return runner_run(tables, false) == 0 ? 0 : 1;
}

static int run_readonly(void)
{
	static const struct test *const tables[] = {readonly_tests, NULL};

	return runner_run(tables, true) == 0 ? 0 : 1;
}

static int make_marks(void)
{
	if (switch_identity() != 0) {
		perror("switching identity");
		return 2;
	}
	return marks_make(options.dir) == 0 ? 0 : 1;
}

static int make_tree(void)
{
	struct tree_fault fault;

	if (tree_create(options.dir, options.tree_files, &fault) == 0)
		return 0;
	fprintf(stderr, "%s\n", fault.text);
	return 1;
}

static int verify_tree(void)
{
	struct tree_fault fault;

	if (tree_verify(options.dir, options.tree_files, options.uid, options.gid, &fault) == 0)
		return 0;
	fprintf(stderr, "%s\n", fault.text);
	return 1;
}

static int remove_path(void)
{
	if (switch_identity() == 0 && remove_recursively(AT_FDCWD, options.dir) == 0)
		return 0;
	perror(options.dir);
	return 1;
}

static int print_stream(void)
{
	static unsigned char block[1 << 20];
	uint64_t state = 0;

	for (uint64_t i = 0; i < options.big_mb; i++) {
		stream_fill(&state, block, sizeof(block));
		if (fwrite(block, sizeof(block), 1, stdout) != 1)
			return 1;
	}
	return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	enum action action = parse(argc, argv);

	umask(022);
	switch (action) {
	case RUN_TESTS:
		return run_tests();
	case RUN_READONLY:
		return run_readonly();
	case MAKE_MARKS:
		return make_marks();
	case CHECK_MARKS:
		return marks_check(options.dir, options.uid, options.gid) == 0 ? 0 : 1;
	case MAKE_TREE:
		return make_tree();
	case VERIFY_TREE:
		return verify_tree();
	case REMOVE:
		return remove_path();
	case PRINT_STREAM:
		return print_stream();
	}
	return 2;
}
