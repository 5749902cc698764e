/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compile.c: a policy text to BPF programs in a C header, with libseccomp, when the project is built.
 *
 *	seccomp-compile POLICY PREFIX [sanitize] [record] > HEADER
 *
 * A section [NAME] or [NAME + OTHER] becomes the array PREFIX_NAME, with OTHER's calls in it;
 * [sanitize] is added to each when asked for. README.md describes the lines. What happens to all other calls is a mark that
 * load.c puts the action in place of. With record each allowed call stops for a tracer, which is told the line and the call's
 * place in it (tests/sandbox/record.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "seccomp/mark.h"

#define LINES_MAX    400
#define SECTIONS_MAX 8
#define WORD_SIZE    512
#define TESTS_MAX    3
#define CALLS_MAX    16 /* as tests/sandbox/unused.py has it */

struct line {
	int number;
	int section;
	char calls[WORD_SIZE];
	struct scmp_arg_cmp tests[TESTS_MAX];
	unsigned test_count;
};

struct section {
	char name[32];
	char other[32];
};

static struct line lines[LINES_MAX];
static struct section sections[SECTIONS_MAX];
static int line_count, section_count;
static bool recording;
static const char *policy_path;

#define CONSTANT(name)      \
	{                   \
#name, name \
	}

static const struct {
	const char *name;
	uint64_t value;
} constants[] = {
    CONSTANT(AT_EMPTY_PATH),
    CONSTANT(AT_REMOVEDIR),
    CONSTANT(BLKGETSIZE64),
    CONSTANT(BLKIOMIN),
    CONSTANT(BLKIOOPT),
    CONSTANT(BLKPBSZGET),
    CONSTANT(BLKROGET),
    CONSTANT(BLKSSZGET),
    CONSTANT(FALLOC_FL_KEEP_SIZE),
    CONSTANT(FALLOC_FL_PUNCH_HOLE),
    CONSTANT(FALLOC_FL_ZERO_RANGE),
    CONSTANT(FS_IOC_GETVERSION),
    CONSTANT(FUTEX_CLOCK_REALTIME),
    CONSTANT(FUTEX_PRIVATE_FLAG),
    CONSTANT(FUTEX_WAIT),
    CONSTANT(FUTEX_WAIT_BITSET),
    CONSTANT(FUTEX_WAKE),
    CONSTANT(F_ADD_SEALS),
    CONSTANT(F_DUPFD_CLOEXEC),
    CONSTANT(F_GETFL),
    CONSTANT(F_OFD_GETLK),
    CONSTANT(F_OFD_SETLK),
    CONSTANT(F_SETFL),
    CONSTANT(IORING_ENTER_GETEVENTS),
    CONSTANT(IORING_REGISTER_FILES_UPDATE),
    CONSTANT(MAP_ANONYMOUS),
    CONSTANT(MAP_FIXED),
    CONSTANT(MAP_NORESERVE),
    CONSTANT(MAP_PRIVATE),
    CONSTANT(MAP_SHARED),
    CONSTANT(MFD_ALLOW_SEALING),
    CONSTANT(MFD_CLOEXEC),
    CONSTANT(MREMAP_MAYMOVE),
    CONSTANT(MSG_CMSG_CLOEXEC),
    CONSTANT(MSG_DONTWAIT),
    CONSTANT(MSG_NOSIGNAL),
    CONSTANT(MSG_PEEK),
    CONSTANT(O_ASYNC),
    CONSTANT(O_CLOEXEC),
    CONSTANT(O_CREAT),
    CONSTANT(O_DIRECTORY),
    CONSTANT(O_DIRECT),
    CONSTANT(O_EXCL),
    CONSTANT(O_NOATIME),
    CONSTANT(O_NOFOLLOW),
    CONSTANT(O_NONBLOCK),
    CONSTANT(O_TMPFILE),
    CONSTANT(PROT_READ),
    CONSTANT(PROT_WRITE),
    CONSTANT(RWF_NOWAIT),
    CONSTANT(SEEK_SET),
    CONSTANT(SOCK_CLOEXEC),
    CONSTANT(SOL_SOCKET),
    CONSTANT(SO_ACCEPTCONN),
    CONSTANT(SO_DOMAIN),
    CONSTANT(SO_PEERCRED),
    CONSTANT(SO_SNDBUF),
    CONSTANT(SO_TYPE),
};

static void die(int line, const char *what, const char *which)
{
	(void)fprintf(stderr, "%s:%d: %s: %s\n", policy_path, line, what, which);
	exit(1);
}

static uint64_t constant(int line, const char *name)
{
	char *end;
	unsigned long long n;

	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		if (strcmp(constants[i].name, name) == 0)
			return constants[i].value;
	}
	n = strtoull(name, &end, 0);
	if (*end || end == name)
		die(line, "no number, and no constant that compile.c knows", name);
	return n;
}

/* One or more of them with | between; a ~ before all is what they are not. */
static uint64_t value_of(int line, char *text)
{
	bool inverse = *text == '~';
	uint64_t value = 0;
	char *rest = NULL;

	for (char *name = strtok_r(text + inverse, "|", &rest); name;
	     name = strtok_r(NULL, "|", &rest))
		value |= constant(line, name);
	return inverse ? ~value : value;
}

static void read_section(int number, const char *text)
{
	struct section *s;

	if (section_count == SECTIONS_MAX)
		die(number, "too many sections", text);
	s = &sections[section_count++];
	if (sscanf(text, "[%31[a-z] + %31[a-z]]", s->name, s->other) < 1)
		die(number, "a section is [name] or [name + other]", text);
}

/* "argN == VALUE" or "argN & MASK == VALUE". Return: how much of the text it is; 0: none. */
static int read_test(struct line *l, const char *text)
{
	struct scmp_arg_cmp test = {.op = SCMP_CMP_EQ};
	char digit[2], mask[WORD_SIZE], value[WORD_SIZE];
	int used = 0;

	if (sscanf(text, "arg%1[0-5] & %511s == %511s %n", digit, mask, value, &used) == 3) {
		test.op = SCMP_CMP_MASKED_EQ;
		test.datum_a = value_of(l->number, mask);
		test.datum_b = value_of(l->number, value);
	} else if (sscanf(text, "arg%1[0-5] == %511s %n", digit, value, &used) == 2) {
		test.datum_a = value_of(l->number, value);
	} else {
		return 0;
	}
	if (l->test_count == TESTS_MAX)
		die(l->number, "too many tests", text);
	test.arg = (unsigned)(digit[0] - '0');
	l->tests[l->test_count++] = test;
	return used;
}

/* A line is: calls, tests with "and" between, FILE:FUNCTION, and the reason. */
static void read_line(int number, const char *text)
{
	struct line *l;
	char who[WORD_SIZE];
	int used = 0;

	if (line_count == LINES_MAX || section_count == 0)
		die(number, "too many lines, or none of a section", text);
	l = &lines[line_count++];
	l->number = number;
	l->section = section_count - 1;
	if (sscanf(text, "%511s %n", l->calls, &used) != 1)
		die(number, "no call", text);
	text += used;
	for (used = read_test(l, text); used; used = read_test(l, text)) {
		text += used;
		if (strncmp(text, "and ", 4) != 0)
			break;
		text += strspn(text + 3, " ") + 3;
	}
	if (sscanf(text, "%511s %n", who, &used) != 1 || !strchr(who, ':'))
		die(number, "FILE:FUNCTION is missing", text);
	if (!text[used])
		die(number, "the reason is missing", who);
}

static void read_policy(void)
{
	char text[2048];
	FILE *f = fopen(policy_path, "re");

	if (!f)
		die(0, "cannot open", strerror(errno));
	for (int number = 1; fgets(text, sizeof(text), f); number++) {
		size_t start = strspn(text, " \t\n");

		if (text[start] == '[')
			read_section(number, text + start);
		else if (text[start] && text[start] != '#')
			read_line(number, text + start);
	}
	(void)fclose(f);
}

static void add_call(scmp_filter_ctx ctx, const struct line *l, const char *name, uint32_t action)
{
	int nr = seccomp_syscall_resolve_name(name), r;

	if (nr == __NR_SCMP_ERROR)
		die(l->number, "libseccomp knows no such call", name);
	r = seccomp_rule_add_exact_array(ctx, action, nr, l->test_count, l->tests);
	/* Of a section and the other that is in it, the first line is recorded. */
	if (r < 0 && !(r == -EEXIST && recording))
		die(l->number, "libseccomp refuses the rule", name);
}

static void add_calls(scmp_filter_ctx ctx, const struct line *l)
{
	char calls[WORD_SIZE];
	char *rest = NULL;
	unsigned place = 0;

	(void)snprintf(calls, sizeof(calls), "%s", l->calls);
	for (char *name = strtok_r(calls, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		unsigned told = (unsigned)l->number * CALLS_MAX + place++;

		if (place > CALLS_MAX)
			die(l->number, "too many calls in a line", name);
		/* A ~ says that no test makes the call, and the line's reason why. */
		add_call(ctx, l, name + (*name == '~'),
		         recording ? SCMP_ACT_TRACE(told) : SCMP_ACT_ALLOW);
	}
}

/* Of a section is what is in it, and what is in the other that it names, and so on. */
static bool belongs(const struct line *l, const struct section *s, bool sanitize)
{
	const char *name = sections[l->section].name;

	if (strcmp(name, s->name) == 0 || (sanitize && strcmp(name, "sanitize") == 0))
		return true;
	for (const struct section *other = sections; other < s; other++) {
		if (strcmp(other->name, s->other) == 0)
			return belongs(l, other, false);
	}
	return false;
}

static void write_program(const char *prefix, const struct section *s, int fd)
{
	struct sock_filter code;
	ssize_t n;

	(void)printf("static const struct sock_filter %s_%s[] = {\n", prefix, s->name);
	while ((n = read(fd, &code, sizeof(code))) == (ssize_t)sizeof(code))
		(void)printf("\t{0x%04x, %u, %u, 0x%08x},\n", code.code, code.jt, code.jf, code.k);
	if (n != 0)
		die(0, "cannot read the program back", s->name);
	(void)printf("};\n");
}

static void compile_section(const char *prefix, const struct section *s, bool sanitize)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRACE(SECCOMP_MARK));
	int fd = memfd_create("filter", MFD_CLOEXEC);

	if (!ctx || fd < 0)
		die(0, "cannot start", s->name);
	/* A binary tree instead of a list: the cost of a call does not depend on its place. */
	if (seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0 ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0)
		die(0, "libseccomp is too old", s->name);
	for (int i = 0; i < line_count; i++) {
		if (belongs(&lines[i], s, sanitize))
			add_calls(ctx, &lines[i]);
	}
	if (seccomp_export_bpf(ctx, fd) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		die(0, "cannot compile", s->name);
	write_program(prefix, s, fd);
	seccomp_release(ctx);
	(void)close(fd);
}

static void write_names(void)
{
	(void)printf("#ifndef SECCOMP_NAMES\n#define SECCOMP_NAMES 1\n"
	             "static const struct { int number; const char *name; } syscall_names[] = {\n");
	for (int nr = 0; nr < 1024; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (name)
			(void)printf("\t{%d, \"%s\"},\n", nr, name);
		free(name);
	}
	(void)printf("};\n#endif\n");
}

int main(int argc, char **argv)
{
	bool sanitize = false;

	if (argc < 3) {
		(void)fprintf(stderr, "Usage: seccomp-compile POLICY PREFIX [sanitize] [record]\n");
		return 1;
	}
	policy_path = argv[1];
	for (int i = 3; i < argc; i++) {
		sanitize |= strcmp(argv[i], "sanitize") == 0;
		recording |= strcmp(argv[i], "record") == 0;
	}
	read_policy();
	(void)printf("/* Made by seccomp-compile from %s.policy: do not edit. */\n", argv[2]);
	for (int i = 0; i < section_count; i++) {
		if (strcmp(sections[i].name, "sanitize") != 0)
			compile_section(argv[2], &sections[i], sanitize);
	}
	write_names();
	return 0;
}
