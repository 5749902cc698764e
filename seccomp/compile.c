/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compile.c: a policy text to BPF programs in a C header, with libseccomp, when the project is
 *built.
 *
 *	seccomp-compile POLICY PREFIX kill|log|trap [sanitize] > HEADER
 *
 * A section [NAME] or [NAME + OTHER] becomes the array PREFIX_NAME, with OTHER's calls in it;
 *[sanitize] is added to each when asked for. README.md describes the lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINES_MAX    400
#define SECTIONS_MAX 8
#define WORD_SIZE    512

struct line {
	int number;
	int section;
	char calls[WORD_SIZE];
	bool has_test;
	unsigned arg;
	uint64_t value;
};

struct section {
	char name[32];
	char other[32];
};

static struct line lines[LINES_MAX];
static struct section sections[SECTIONS_MAX];
static int line_count, section_count;
static const char *policy_path;

static const struct {
	const char *name;
	uint64_t value;
} constants[] = {
    {"BLKGETSIZE64", BLKGETSIZE64},
    {"BLKIOMIN", BLKIOMIN},
    {"BLKIOOPT", BLKIOOPT},
    {"BLKPBSZGET", BLKPBSZGET},
    {"BLKSSZGET", BLKSSZGET},
    {"FS_IOC_GETVERSION", FS_IOC_GETVERSION},
    {"F_DUPFD_CLOEXEC", F_DUPFD_CLOEXEC},
    {"F_GETFL", F_GETFL},
    {"F_SETFL", F_SETFL},
    {"F_ADD_SEALS", F_ADD_SEALS},
    {"F_OFD_SETLK", F_OFD_SETLK},
    {"F_OFD_GETLK", F_OFD_GETLK},
    {"IORING_REGISTER_FILES_UPDATE", IORING_REGISTER_FILES_UPDATE},
    {"PROT_READ|PROT_WRITE", PROT_READ | PROT_WRITE},
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

static void read_section(int number, const char *text)
{
	struct section *s;

	if (section_count == SECTIONS_MAX)
		die(number, "too many sections", text);
	s = &sections[section_count++];
	if (sscanf(text, "[%31[a-z] + %31[a-z]]", s->name, s->other) < 1)
		die(number, "a section is [name] or [name + other]", text);
}

/* A line is: calls, optionally "argN == VALUE", FILE:FUNCTION, and the reason. */
static void read_line(int number, const char *text)
{
	struct line *l;
	char who[WORD_SIZE], value[WORD_SIZE], digit[2];
	int used = 0;

	if (line_count == LINES_MAX || section_count == 0)
		die(number, "too many lines, or none of a section", text);
	l = &lines[line_count++];
	l->number = number;
	l->section = section_count - 1;
	if (sscanf(text, "%511s %n", l->calls, &used) != 1)
		die(number, "no call", text);
	text += used;
	if (sscanf(text, "arg%1[0-5] == %511s %n", digit, value, &used) == 2) {
		l->has_test = true;
		l->arg = (unsigned)(digit[0] - '0');
		l->value = constant(number, value);
		text += used;
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

static void add_calls(scmp_filter_ctx ctx, const struct line *l)
{
	const struct scmp_arg_cmp test = {.arg = l->arg, .op = SCMP_CMP_EQ, .datum_a = l->value};
	char calls[WORD_SIZE];
	char *rest = NULL;

	(void)snprintf(calls, sizeof(calls), "%s", l->calls);
	for (char *name = strtok_r(calls, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		int nr = seccomp_syscall_resolve_name(name), r;

		if (nr == __NR_SCMP_ERROR)
			die(l->number, "libseccomp knows no such call", name);
		if (l->has_test)
			r = seccomp_rule_add_exact_array(ctx, SCMP_ACT_ALLOW, nr, 1, &test);
		else
			r = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, nr, 0);
		if (r < 0)
			die(l->number, "libseccomp refuses the rule", name);
	}
}

static bool belongs(const struct line *l, const struct section *s, bool sanitize)
{
	const char *name = sections[l->section].name;

	return strcmp(name, s->name) == 0 || strcmp(name, s->other) == 0 ||
	       (sanitize && strcmp(name, "sanitize") == 0);
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

static void compile_section(const char *prefix, const struct section *s, uint32_t action,
                            bool sanitize)
{
	scmp_filter_ctx ctx = seccomp_init(action);
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
	(void)printf("#ifndef SECCOMP_TRAPS\n#define SECCOMP_TRAPS 1\n"
	             "static const struct { int number; const char *name; } syscall_names[] = {\n");
	for (int nr = 0; nr < 1024; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (name)
			(void)printf("\t{%d, \"%s\\n\"},\n", nr, name);
		free(name);
	}
	(void)printf("};\n#endif\n");
}

int main(int argc, char **argv)
{
	uint32_t action = SCMP_ACT_KILL_PROCESS;
	bool sanitize = argc > 4 && strcmp(argv[4], "sanitize") == 0;

	if (argc < 4) {
		(void)fprintf(stderr,
		              "Usage: seccomp-compile POLICY PREFIX kill|log|trap [sanitize]\n");
		return 1;
	}
	policy_path = argv[1];
	if (strcmp(argv[3], "log") == 0)
		action = SCMP_ACT_LOG;
	else if (strcmp(argv[3], "trap") == 0)
		action = SCMP_ACT_TRAP;
	read_policy();
	(void)printf("/* Made by seccomp-compile from %s_*.policy: do not edit. */\n", argv[2]);
	for (int i = 0; i < section_count; i++) {
		if (strcmp(sections[i].name, "sanitize") != 0)
			compile_section(argv[2], &sections[i], action, sanitize);
	}
	if (action == SCMP_ACT_TRAP)
		write_names();
	return 0;
}
