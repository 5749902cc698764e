/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * golden.c: file operations one at a time, each between two marks that the host answers.
 *
 *	guest-golden TAG DIR CACHE
 *
 * Mounts the share TAG at DIR with that cache mode, does what the table says, and unmounts it. For each operation the host is
 * told by descriptor 9 "begin NAME", "end RESULT" and, when all has been written back, "later"; it answers each with a line, and
 * looks meanwhile at what the server was asked. What prepares an operation is done before its mark.
 */
#include "common/compiler.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PAGE 4096

struct operation {
	const char *name;
	void (*prepare)(void); /* NULL: nothing */
	int (*run)(void);      /* Return: 0 or more, or -1 with errno */
};

static const char *tag, *dir, *cache;
static _Alignas(PAGE) char buffer[16 * PAGE];
static int file = -1; /* what prepare() opened for run() */
static int root = -1; /* of the share, while it is mounted */

static void fail(const char *what)
{
	(void)fprintf(stderr, "guest-golden: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(int result, const char *what)
{
	if (result < 0)
		fail(what);
}

/* Tells the host, and waits for its answer. */
static void mark(const char *word, const char *text)
{
	char line[200];
	int size = snprintf(line, sizeof(line), "%s %s\n", word, text);
	char c = 0;

	if (write(9, line, (size_t)size) != size)
		fail("descriptor 9");
	while (c != '\n') {
		if (read(9, &c, 1) != 1)
			fail("the host's answer");
	}
}

/* ---- pieces of operations ---- */

/* The results of all its parts; the first error counts, and every part is done. */
static int both(int first, int second)
{
	return first < 0 ? first : second;
}

static int whole(ssize_t done, size_t size)
{
	if (done >= 0 && (size_t)done != size)
		errno = ENODATA;
	return (size_t)done == size ? 0 : -1;
}

static int open_and_close(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0644);

	return fd < 0 ? -1 : close(fd);
}

/* Closes it, if it was opened. Return: result, or that of close(2) if that was well. */
static int closed(int fd, int result)
{
	return fd < 0 ? -1 : both(result, close(fd));
}

static int open_and_read(const char *name, int flags, size_t size, size_t step)
{
	int fd = open(name, flags | O_CLOEXEC);
	int r = fd < 0 ? -1 : 0;

	for (size_t at = 0; r == 0 && at < size; at += step)
		r = whole(pread(fd, buffer, step, (off_t)at), step);
	return closed(fd, r);
}

static int open_and_write(const char *name, int flags, size_t size, off_t offset)
{
	int fd = open(name, flags | O_CLOEXEC, 0644);
	int r = -1;

	if (fd >= 0)
		r = whole(flags & O_APPEND ? write(fd, buffer, size)
		                           : pwrite(fd, buffer, size, offset),
		          size);
	return closed(fd, r);
}

static int list(const char *name)
{
	struct dirent **entries;
	struct stat st;
	char path[300];
	int n = scandir(name, &entries, NULL, alphasort);
	int r = n < 0 ? -1 : 0;

	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", name, entries[i]->d_name);
		if (r == 0 && entries[i]->d_name[0] != '.')
			r = lstat(path, &st);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return r;
}

static int fcntl_lock(int command, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};

	return fcntl(file, command, &l);
}

static int read_mapping(void)
{
	void *at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, 0);

	if (at == MAP_FAILED)
		return -1;
	memcpy(buffer, at, 100);
	return munmap(at, PAGE);
}

static int write_mapping(void)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	int r;

	if (at == MAP_FAILED)
		return -1;
	memset(at, 'm', 100);
	r = msync(at, PAGE, MS_SYNC);
	return both(r, munmap(at, PAGE));
}

static int write_and_sync(int (*sync_file)(int fd))
{
	int r = whole(pwrite(file, buffer, 100, 0), 100);

	return both(r, sync_file(file));
}

static int use_file(void)
{
	struct stat st;
	int r = whole(pwrite(file, buffer, 100, 0), 100);

	r = r < 0 ? r : whole(pread(file, buffer, 100, 0), 100);
	return r < 0 ? r : fstat(file, &st);
}

/* ---- what operations need ---- */

static void open_file(void)
{
	file = open("file", O_RDWR | O_CLOEXEC);
	must(file, "file");
}

static void make_new(void)
{
	must(open_and_write("new", O_WRONLY | O_CREAT, 100, 0), "new");
}

static void make_two(void)
{
	make_new();
	must(open_and_write("old", O_WRONLY | O_CREAT, 100, 0), "old");
}

static void take_lock(void)
{
	open_file();
	must(fcntl_lock(F_SETLK, F_WRLCK), "a lock");
}

static void take_flock(void)
{
	open_file();
	must(flock(file, LOCK_EX), "a lock");
}

static void make_unlinked(void)
{
	file = open("new", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	must(file, "new");
	must(unlink("new"), "new");
}

/* ---- the operations ---- */

#define RUN(name, ...)              \
	static int run_##name(void) \
	{                           \
		struct stat st;     \
		struct statfs sf;   \
		(void)st, (void)sf; \
		return __VA_ARGS__; \
	}

RUN(umount, umount(dir))
RUN(stat, stat("file", &st))
RUN(stat_missing, stat("missing", &st))
RUN(stat_deep, stat("deep/deeper/deepest/file", &st))
RUN(fstat, fstat(file, &st))
RUN(statfs, statfs(".", &sf))
RUN(open, open_and_close("other", O_RDONLY))
RUN(open_existing, open_and_close("file", O_WRONLY | O_CREAT | O_EXCL))
RUN(read, open_and_read("file", O_RDONLY, PAGE, PAGE))
RUN(read_more, open_and_read("big", O_RDONLY, sizeof(buffer), PAGE))
RUN(read_direct, open_and_read("big", O_RDONLY | O_DIRECT, sizeof(buffer), sizeof(buffer)))
RUN(list, list("dir"))
RUN(create, open_and_write("new", O_WRONLY | O_CREAT | O_EXCL, PAGE, 0))
RUN(write_over, open_and_write("file", O_WRONLY, PAGE, 0))
RUN(write_part, open_and_write("other", O_WRONLY, 100, 50))
RUN(write_more, open_and_write("big", O_WRONLY, sizeof(buffer), 0))
RUN(write_direct, open_and_write("big", O_WRONLY | O_DIRECT, sizeof(buffer), 0))
RUN(write_truncated, open_and_write("file", O_WRONLY | O_TRUNC, PAGE, 0))
RUN(append, open_and_write("file", O_WRONLY | O_APPEND, 100, 0))
RUN(fsync, write_and_sync(fsync))
RUN(fdatasync, write_and_sync(fdatasync))
RUN(close, close(file))
RUN(truncate, truncate("file", 1000))
RUN(ftruncate, ftruncate(file, PAGE))
RUN(chmod, chmod("file", 0600))
RUN(chown, chown("file", 1000, 1000))
RUN(utimes, utimensat(AT_FDCWD, "file", (struct timespec[]){{1000000000, 0}, {1000000000, 0}}, 0))
RUN(touch, utimensat(AT_FDCWD, "file", NULL, 0))
RUN(link, link("file", "new"))
RUN(unlink, unlink("new"))
RUN(unlinked, use_file())
RUN(rename, rename("new", "old"))
RUN(rename_to, rename("new", "dir/old"))
RUN(symlink, symlink("file", "symlink"))
RUN(readlink, (int)readlink("symlink", buffer, sizeof(buffer)))
RUN(stat_symlink, stat("symlink", &st))
RUN(mkdir, mkdir("newdir", 0755))
RUN(rmdir, rmdir("newdir"))
RUN(rmdir_full, rmdir("dir"))
RUN(mkfifo, mkfifo("new", 0644))
RUN(mknod, mknod("new", S_IFCHR | 0644, makedev(1, 3)))
RUN(setxattr, setxattr("file", "user.one", "value", 5, 0))
RUN(getxattr, (int)getxattr("file", "user.one", buffer, 100))
RUN(listxattr, (int)listxattr("file", buffer, 100))
RUN(getxattr_missing, (int)getxattr("file", "user.two", buffer, 100))
RUN(removexattr, removexattr("file", "user.one"))
RUN(lock, fcntl_lock(F_SETLK, F_WRLCK))
RUN(lock_wait, fcntl_lock(F_SETLKW, F_WRLCK))
RUN(getlock, fcntl_lock(F_GETLK, F_WRLCK))
RUN(unlock, fcntl_lock(F_SETLK, F_UNLCK))
RUN(flock, flock(file, LOCK_EX))
RUN(funlock, flock(file, LOCK_UN))
RUN(map_read, read_mapping())
RUN(map_write, write_mapping())
RUN(access, access("file", W_OK))

static int run_mount(void)
{
	char options[200];

	(void)snprintf(options, sizeof(options),
	               "trans=virtio,version=9p2000.L,msize=131072,cache=%s", cache);
	return mount(tag, dir, "9p", 0, options);
}

static int run_by_user(void)
{
	struct stat st;
	int r;

	must(seteuid(1000), "seteuid");
	r = stat("file", &st);
	must(seteuid(0), "seteuid");
	return r;
}

/* clang-format off */
static const struct operation operations[] = {
	{"stat of a file", NULL, run_stat},
	{"stat of it again", NULL, run_stat},
	{"stat of it by another user", NULL, run_by_user},
	{"stat of a name that is missing", NULL, run_stat_missing},
	{"stat of it again", NULL, run_stat_missing},
	{"stat of a file three directories down", NULL, run_stat_deep},
	{"stat of it again", NULL, run_stat_deep},
	{"fstat", open_file, run_fstat},
	{"access for writing", NULL, run_access},
	{"statfs", NULL, run_statfs},
	{"ls -l of three files", NULL, run_list},
	{"ls -l of them again", NULL, run_list},
	{"open and close", NULL, run_open},
	{"open, read 4 KiB, close", NULL, run_read},
	{"open, read the same, close", NULL, run_read},
	{"open, read 64 KiB by 4, close", NULL, run_read_more},
	{"open, read 64 KiB with O_DIRECT, close", NULL, run_read_direct},
	{"create, write 4 KiB, close", NULL, run_create},
	{"create with O_EXCL what is there", NULL, run_open_existing},
	{"open, write 4 KiB over it, close", NULL, run_write_over},
	{"open, write 100 bytes into it, close", NULL, run_write_part},
	{"open, write 64 KiB, close", NULL, run_write_more},
	{"open, write 64 KiB with O_DIRECT, close", NULL, run_write_direct},
	{"open with O_TRUNC, write 4 KiB, close", NULL, run_write_truncated},
	{"open with O_APPEND, write 100 bytes, close", NULL, run_append},
	{"write 100 bytes, fsync", open_file, run_fsync},
	{"write 100 bytes, fdatasync", open_file, run_fdatasync},
	{"close of a file", open_file, run_close},
	{"truncate", NULL, run_truncate},
	{"ftruncate", open_file, run_ftruncate},
	{"chmod", NULL, run_chmod},
	{"chown", NULL, run_chown},
	{"utimes", NULL, run_utimes},
	{"touch", NULL, run_touch},
	{"unlink", NULL, run_unlink},
	{"link", NULL, run_link},
	{"unlink of one of two names", NULL, run_unlink},
	{"rename", make_new, run_rename},
	{"rename over a file", make_two, run_rename},
	{"rename to another directory", make_new, run_rename_to},
	{"write, read and fstat of a file without a name", make_unlinked, run_unlinked},
	{"symlink", NULL, run_symlink},
	{"readlink", NULL, run_readlink},
	{"stat through it", NULL, run_stat_symlink},
	{"mkdir", NULL, run_mkdir},
	{"rmdir", NULL, run_rmdir},
	{"rmdir of a directory that is not empty", NULL, run_rmdir_full},
	{"mkfifo", NULL, run_mkfifo},
	{"unlink of it", NULL, run_unlink},
	{"mknod of a device", NULL, run_mknod},
	{"setxattr", NULL, run_setxattr},
	{"getxattr", NULL, run_getxattr},
	{"getxattr of one that is missing", NULL, run_getxattr_missing},
	{"listxattr", NULL, run_listxattr},
	{"removexattr", NULL, run_removexattr},
	{"lock by F_SETLK", open_file, run_lock},
	{"lock by F_SETLKW", open_file, run_lock_wait},
	{"F_GETLK", open_file, run_getlock},
	{"unlock", take_lock, run_unlock},
	{"close of a locked file", take_lock, run_close},
	{"flock", open_file, run_flock},
	{"unlock of that", take_flock, run_funlock},
	{"read of a private mapping", open_file, run_map_read},
	{"write and msync of a shared mapping", open_file, run_map_write},
};
/* clang-format on */

/* Of this share only: sync(2) has a kernel's thread write once more when it has returned already. */
static void write_back(void)
{
	if (root >= 0)
		must(syncfs(root), "syncfs");
}

static void one(const struct operation *o)
{
	int r;

	file = -1;
	if (o->prepare) {
		o->prepare();
		write_back();
	}
	mark("begin", o->name);
	r = o->run();
	mark("end", r < 0 ? strerrorname_np(errno) : "ok");
	write_back();
	mark("later", "");
	if (file >= 0 && o->run != run_close)
		must(close(file), "close");
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		(void)fprintf(stderr, "Usage: guest-golden TAG DIR CACHE\n");
		return 2;
	}
	tag = argv[1];
	dir = argv[2];
	cache = argv[3];
	memset(buffer, 'x', sizeof(buffer));
	one(&(struct operation){"mount", NULL, run_mount});
	must(chdir(dir), dir);
	root = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(root, dir);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		one(&operations[i]);
	must(chdir("/"), "/");
	must(close(root), dir);
	root = -1;
	one(&(struct operation){"umount", NULL, run_umount});
	return 0;
}
