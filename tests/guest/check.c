/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a test ends early, and the small steps that many tests share.
 */
#include "tests/guest/runner.h"
#include "tests/guest/workload.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

bool guest_is_root(void)
{
	return geteuid() == 0;
}

bool export_is_on(const char *kind)
{
	const char *actual = getenv("VIRTFS_FS");

	return actual != NULL && strcmp(actual, kind) == 0;
}

bool has_device_nodes(void)
{
	return getenv("VIRTFS_ROOTLESS") == NULL;
}

/* The runner reads the reason from this descriptor when the process has ended. */
static _Noreturn void end_with_reason(int status, const char *reason)
{
	size_t size = strlen(reason);

	if (write(RUNNER_REASON_FD, reason, size) != (ssize_t)size)
		perror(reason);
	_exit(status);
}

void fail_at(const char *file, int line, const char *format, ...)
{
	const char *base = strrchr(file, '/');
	char reason[RUNNER_REASON_SIZE];
	va_list arguments;
	int used;

	used = snprintf(reason, sizeof(reason), "%s:%d: ", base != NULL ? base + 1 : file, line);
	va_start(arguments, format);
	vsnprintf(reason + used, sizeof(reason) - (size_t)used, format, arguments);
	va_end(arguments);
	end_with_reason(RUNNER_FAILED, reason);
}

void skip_test(const char *format, ...)
{
	char reason[RUNNER_REASON_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	end_with_reason(RUNNER_SKIPPED, reason);
}

void check_ok_at(const char *file, int line, const char *text, long long result)
{
	if (result == -1)
		fail_at(file, line, "%s: %s", text, strerror(errno));
}

void check_errno_at(const char *file, int line, const char *text, long long result, int expected)
{
	if (result != -1)
		fail_at(file, line, "%s gave %lld, not %s", text, result,
		        strerrorname_np(expected));
	if (errno != expected)
		fail_at(file, line, "%s gave %s, not %s", text, strerrorname_np(errno),
		        strerrorname_np(expected));
}

void check_number_at(const char *file, int line, const char *text, long long actual,
                     long long expected)
{
	if (actual != expected)
		fail_at(file, line, "%s is %lld (0x%llx), not %lld (0x%llx)%s%s", text, actual,
		        (unsigned long long)actual, expected, (unsigned long long)expected,
		        actual == -1 ? ": " : "", actual == -1 ? strerror(errno) : "");
}

int check_fd_at(const char *file, int line, const char *text, int fd)
{
	check_ok_at(file, line, text, fd);
	return fd;
}

int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd == -1)
		fail("open %s with flags 0%o: %s", path, (unsigned int)flags, strerror(errno));
	return fd;
}

void write_all(int fd, const void *content, size_t size)
{
	const char *bytes = content;

	while (size > 0) {
		ssize_t step = write(fd, bytes, size);

		check_ok(step);
		check(step > 0);
		bytes += step;
		size -= (size_t)step;
	}
}

size_t read_all(int fd, void *buffer, size_t size)
{
	char *bytes = buffer;
	size_t got = 0;

	while (got < size) {
		ssize_t step = read(fd, bytes + got, size - got);

		check_ok(step);
		if (step == 0)
			break;
		got += (size_t)step;
	}
	return got;
}

void make_file(const char *path, const void *content, size_t size)
{
	int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);

	write_all(fd, content, size);
	check_ok(close(fd));
}

void make_text_file(const char *path, const char *text)
{
	make_file(path, text, strlen(text));
}

void expect_content(const char *path, const void *content, size_t size)
{
	int fd = open_file(path, O_RDONLY);
	char *actual = malloc(size + 1);
	struct stat st;
	size_t got;

	check(actual != NULL);
	got = read_all(fd, actual, size + 1);
	if (got != size)
		fail("%s holds %zu%s bytes, not %zu", path, got, got > size ? " or more" : "",
		     size);
	if (memcmp(actual, content, size) != 0)
		fail("%s holds other bytes than were written", path);
	check_ok(fstat(fd, &st));
	check_number(st.st_size, size);
	free(actual);
	check_ok(close(fd));
}

void expect_text(const char *path, const char *text)
{
	expect_content(path, text, strlen(text));
}

void expect_missing(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		fail("%s exists", path);
	if (errno != ENOENT)
		fail("lstat %s: %s", path, strerror(errno));
}

mode_t mode_of(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		fail("lstat %s: %s", path, strerror(errno));
	return st.st_mode;
}

pid_t start_child(void (*run)(unsigned int number), unsigned int number)
{
	pid_t child = fork();

	check_ok(child);
	if (child == 0) {
		run(number);
		_exit(0);
	}
	return child;
}

void wait_for_child(pid_t child)
{
	int status;

	check_ok(waitpid(child, &status, 0));
	/* Such a child has said why already. */
	if (WIFEXITED(status) && WEXITSTATUS(status) == RUNNER_FAILED)
		_exit(RUNNER_FAILED);
	if (status != 0)
		fail("a child of the test ended with status 0x%x", (unsigned int)status);
}

static int remove_children(int directory)
{
	DIR *stream = fdopendir(directory);
	const struct dirent *entry;
	int result = 0;

	if (stream == NULL) {
		close(directory);
		return -1;
	}
	errno = 0;
	while (result == 0 && (entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = remove_recursively(dirfd(stream), entry->d_name);
		if (result == 0)
			errno = 0;
	}
	if (errno != 0)
		result = -1;

	int error = errno;

	closedir(stream);
	errno = error;
	return result;
}

int remove_recursively(int parent, const char *name)
{
	int directory;

	if (unlinkat(parent, name, 0) == 0)
		return 0;
	if (errno != EISDIR)
		return -1;
	directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (directory == -1 || remove_children(directory) != 0)
		return -1;
	return unlinkat(parent, name, AT_REMOVEDIR);
}
