/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest workload: file-system behaviours checked on a mounted share.
 *
 * Each test is a function without arguments. It runs in a process and in an empty directory of its
 * own, so it may leave descriptors open, change its identity or crash. It passes by returning.
 */
#ifndef TESTS_GUEST_WORKLOAD_H
#define TESTS_GUEST_WORKLOAD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Who a test is for. "User" means any identity but root. */
enum audience { FOR_ALL, FOR_ROOT, FOR_USER };

struct test {
	const char *name;
	void (*run)(void);
	enum audience audience;
	const char *why_not; /* shown when the audience is another one */
};

/* Tables end with a test that has no name. */
extern const struct test file_tests[];
extern const struct test name_tests[];
extern const struct test directory_tests[];
extern const struct test attribute_tests[];
extern const struct test special_tests[];
extern const struct test identity_tests[];
extern const struct test load_tests[];
extern const struct test readonly_tests[];

struct options {
	const char *dir;
	const char *only;
	uid_t uid;
	gid_t gid;
	uint64_t big_mb;
	uint32_t many;
	uint32_t tree_files;
	bool switch_identity;
	bool keep;
};

extern struct options options;

/**
 * guest_is_root() - Whether the tests run as uid 0
 */
bool guest_is_root(void);

/**
 * export_is_on() - Whether the exported directory is on this kind of file system
 *
 * $VIRTFS_FS says it, where what it allows is not what others do (tests/lib/on-fs.sh).
 */
bool export_is_on(const char *kind);

/**
 * has_device_nodes() - Whether the helper may make device nodes
 *
 * An ordinary user's may not ($VIRTFS_ROOTLESS, tests/lib/in-userns.sh).
 */
bool has_device_nodes(void);

/*
 * Ways to end a test early. None of them returns when the test has failed.
 */
_Noreturn void fail_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void skip_test(const char *format, ...) __attribute__((format(printf, 1, 2)));

void check_ok_at(const char *file, int line, const char *text, long long result);
void check_errno_at(const char *file, int line, const char *text, long long result, int expected);
void check_number_at(const char *file, int line, const char *text, long long actual,
                     long long expected);
int check_fd_at(const char *file, int line, const char *text, int fd);

#define fail(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)

/* The condition holds. */
#define check(condition) ((condition) ? (void)0 : fail("%s", #condition))

/* The call did not return -1. */
#define check_ok(call) check_ok_at(__FILE__, __LINE__, #call, (call))

/* The call returned -1 and set errno to exactly this. */
#define check_errno(call, expected) \
	(errno = 0, check_errno_at(__FILE__, __LINE__, #call, (call), expected))

/* Two integers are equal. */
#define check_number(actual, expected) \
	check_number_at(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))

/* The call returned a descriptor, which is also the value of the expression. */
#define check_fd(call) check_fd_at(__FILE__, __LINE__, #call, (call))

/*
 * Small steps that many tests share; each fails the test when it does not work.
 */
int open_file(const char *path, int flags);
void make_file(const char *path, const void *content, size_t size);
void make_text_file(const char *path, const char *text);
void expect_content(const char *path, const void *content, size_t size);
void expect_text(const char *path, const char *text);
void expect_missing(const char *path);
void write_all(int fd, const void *content, size_t size);
size_t read_all(int fd, void *buffer, size_t size);
mode_t mode_of(const char *path);

/* A child runs the function and must end well within the test's time. */
pid_t start_child(void (*run)(unsigned int number), unsigned int number);
void wait_for_child(pid_t child);

/**
 * remove_recursively() - Remove a file, or a directory with all that is in it
 *
 * Return: 0, or -1 with errno of the first thing that could not be removed.
 */
int remove_recursively(int parent, const char *name);

#endif
