/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model_ops.c: the operations of guest-model. Each picks its objects at random, asks the model what
 * must happen, does it, and compares.
 */
#include "tests/guest/model_pick.h"

#include "tests/guest/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *const attribute_names[] = {"user.a", "user.b", "user.with.dots",
                                              "user.\xc3\xa4"};

static unsigned char buffer[MODEL_SIZE_MAX];

static void op_unlink(struct model_run *run);
static void op_rmdir(struct model_run *run);

/* Room is made, and nothing else done, when there is no more for another object. */
static bool is_full(struct model_run *run)
{
	if (run->model.count < MODEL_OBJECTS_MAX)
		return false;
	op_unlink(run);
	op_rmdir(run);
	return true;
}

/* ---- handles ---- */

static void close_handle(struct model_run *run, struct model_handle *handle)
{
	struct model_object *object = handle->object;

	model_doing("close object %u", object->number);
	model_expect(close(handle->fd), 0);
	handle->object = NULL;
	model_let_go(&run->model, object);
}

void model_close_all(struct model_run *run)
{
	for (size_t i = 0; i < MODEL_HANDLES; i++)
		if (run->handles[i].object != NULL)
			close_handle(run, &run->handles[i]);
}

static void keep(struct model_run *run, struct model_object *object, int fd, int flags)
{
	struct model_handle *slot = NULL;

	for (size_t i = 0; i < MODEL_HANDLES && slot == NULL; i++)
		if (run->handles[i].object == NULL)
			slot = &run->handles[i];
	if (slot == NULL) {
		slot = model_random_handle(run, model_any);
		close_handle(run, slot);
	}
	*slot = (struct model_handle){
	    .object = object,
	    .fd = fd,
	    .reads = (flags & O_ACCMODE) != O_WRONLY,
	    .writes = (flags & O_ACCMODE) != O_RDONLY,
	    .appends = (flags & O_APPEND) != 0,
	};
	model_hold(object);
}

static void op_close(struct model_run *run)
{
	struct model_handle *handle = model_random_handle(run, model_any);

	if (handle != NULL)
		close_handle(run, handle);
}

static void op_create(struct model_run *run)
{
	struct model_object like = {.uid = geteuid(), .gid = getegid()};
	static const int ways[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND};
	struct model_place place;
	struct model_object *object;
	int flags = ways[model_below(run, 4)];
	int error, fd;

	if (is_full(run))
		return;
	model_random_place(run, &place);
	like.mode = S_IFREG | model_random_mode(run);
	model_doing("create %s in %u, flags 0%o mode 0%o", place.path, place.dir->number,
	            (unsigned int)flags, like.mode);
	fd = openat(place.at, place.path, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	            like.mode & 07777);
	error = model_make(&run->model, place.dir, place.name, &like, &object);
	model_expect(fd, error);
	/* Before the file is kept: for that another handle may have to go, which the place may need. */
	model_check_place(run, &place);
	if (fd >= 0)
		keep(run, object, fd, flags);
}

static int open_error(const struct model_object *object, int flags)
{
	if (object == NULL)
		return ENOENT;
	if (S_ISLNK(object->mode))
		return flags & O_DIRECTORY ? ENOTDIR : ELOOP;
	if (model_is_dir(object))
		return (flags & O_ACCMODE) != O_RDONLY ? EISDIR : 0;
	return flags & O_DIRECTORY ? ENOTDIR : 0;
}

static void op_open(struct model_run *run)
{
	static const int ways[] = {O_RDONLY,
	                           O_WRONLY,
	                           O_RDWR,
	                           O_RDWR | O_APPEND,
	                           O_RDWR | O_TRUNC,
	                           O_WRONLY | O_TRUNC,
	                           O_RDONLY | O_DIRECTORY};
	struct model_place place;
	struct model_object *object;
	int flags = ways[model_below(run, sizeof(ways) / sizeof(ways[0]))];
	int fd;

	model_existing_place(run, &place, false);
	object = model_get(place.dir, place.name);
	if (object != NULL && (S_ISFIFO(object->mode) || S_ISCHR(object->mode)))
		return;
	if (object != NULL && model_is_dir(object) && model_chance(run, 70))
		flags = O_RDONLY | O_DIRECTORY;
	model_doing("open %s, flags 0%o", place.path, (unsigned int)flags);
	fd = openat(place.at, place.path, flags | O_NOFOLLOW | O_CLOEXEC);
	model_expect(fd, open_error(object, flags));
	if (fd < 0)
		return;
	if (flags & O_TRUNC)
		model_truncate(object, 0);
	keep(run, object, fd, flags);
	model_check_handle(run, model_handle_of(run, object));
}

static void op_stat_handle(struct model_run *run)
{
	struct model_handle *handle = model_random_handle(run, model_any);

	if (handle == NULL)
		return;
	model_doing("fstat of object %u", handle->object->number);
	model_check_handle(run, handle);
}

static void op_sync(struct model_run *run)
{
	struct model_handle *handle = model_random_handle(run, model_any);

	if (handle == NULL)
		return;
	model_doing("fsync of object %u", handle->object->number);
	model_expect(model_chance(run, 50) ? fsync(handle->fd) : fdatasync(handle->fd), 0);
}

/* ---- content ---- */

/* Sizes about a page, about a message, and any. */
static size_t random_size(struct model_run *run)
{
	switch (model_below(run, 5)) {
	case 0:
		return (size_t)model_below(run, 64);
	case 1:
		return (size_t)(4096 * (1 + model_below(run, 4)) - 2 + model_below(run, 5));
	case 2:
		return (size_t)(8192 - 40 + model_below(run, 60));
	case 3:
		return (size_t)model_below(run, 150000);
	default:
		return (size_t)model_below(run, 5000);
	}
}

static size_t random_offset(struct model_run *run, const struct model_object *object)
{
	switch (model_below(run, 4)) {
	case 0:
		return 0;
	case 1:
		return object->size;
	case 2:
		return (size_t)model_below(run, MODEL_SIZE_MAX);
	default:
		return (size_t)model_below(run, object->size + 1);
	}
}

static void op_write(struct model_run *run)
{
	struct model_handle *handle = model_random_handle(run, model_is_file);
	struct model_object *object;
	size_t offset, size;
	ssize_t result;

	if (handle == NULL)
		return;
	object = handle->object;
	offset = handle->appends ? object->size : random_offset(run, object);
	size = random_size(run);
	if (size > MODEL_SIZE_MAX - offset)
		size = MODEL_SIZE_MAX - offset;
	if (size == 0)
		return;
	stream_fill(&run->random, buffer, size);
	model_doing("%s %zu bytes at %zu to object %u", handle->appends ? "append" : "write", size,
	            offset, object->number);
	result = handle->appends ? write(handle->fd, buffer, size)
	                         : pwrite(handle->fd, buffer, size, (off_t)offset);
	model_expect(result, handle->writes ? 0 : EBADF);
	if (result < 0)
		return;
	if ((size_t)result != size)
		model_wrong("it wrote %zd bytes", result);
	model_write(object, offset, buffer, size);
	model_check_handle(run, handle);
}

static void op_read(struct model_run *run)
{
	struct model_handle *handle = model_random_handle(run, model_is_file);
	const struct model_object *object;
	size_t offset, size, expected, done = 0;
	ssize_t step;

	if (handle == NULL)
		return;
	object = handle->object;
	offset = random_offset(run, object);
	size = random_size(run) + 1;
	model_doing("read %zu bytes at %zu of object %u", size, offset, object->number);
	do {
		step = pread(handle->fd, buffer + done, size - done, (off_t)(offset + done));
		model_expect(step, handle->reads ? 0 : EBADF);
		if (step > 0)
			done += (size_t)step;
	} while (step > 0 && done < size);
	if (!handle->reads)
		return;
	expected = offset < object->size ? object->size - offset : 0;
	if (expected > size)
		expected = size;
	if (done != expected)
		model_wrong("it read %zu bytes, and should %zu", done, expected);
	for (size_t i = 0; i < done; i++)
		if (buffer[i] != object->data[offset + i])
			model_wrong("byte %zu is 0x%02x and should be 0x%02x", offset + i,
			            buffer[i], object->data[offset + i]);
}

static void op_ftruncate(struct model_run *run)
{
	struct model_handle *handle = model_random_handle(run, model_is_file);
	size_t size;
	int result;

	if (handle == NULL)
		return;
	size = random_offset(run, handle->object);
	model_doing("ftruncate object %u to %zu", handle->object->number, size);
	result = ftruncate(handle->fd, (off_t)size);
	model_expect(result, handle->writes ? 0 : EINVAL);
	if (result != 0)
		return;
	model_truncate(handle->object, size);
	model_check_handle(run, handle);
}

static void op_truncate(struct model_run *run)
{
	struct model_place place;
	struct model_object *object;
	size_t size;
	int result, error = 0;

	model_existing_place(run, &place, true);
	object = model_get(place.dir, place.name);
	if (object != NULL && S_ISLNK(object->mode))
		return;
	size = object != NULL ? random_offset(run, object) : 0;
	if (object == NULL)
		error = ENOENT;
	else if (!model_is_file(object))
		error = model_is_dir(object) ? EISDIR : EINVAL;
	model_doing("truncate %s to %zu", place.path, size);
	result = truncate(place.path, (off_t)size);
	model_expect(result, error);
	if (result != 0)
		return;
	model_truncate(object, size);
	model_check_place(run, &place);
}

/* Through a descriptor of its own, while nothing else has the file open: a mapping and calls by
 * another way need not agree. */
static void op_map(struct model_run *run)
{
	struct model_place place;
	struct model_object *object;
	bool writes = run->shared_maps && model_chance(run, 60);
	unsigned char *map;
	int fd;

	model_existing_place(run, &place, false);
	object = model_get(place.dir, place.name);
	if (object == NULL || !model_is_file(object) || object->size == 0 || object->handles > 0)
		return;
	model_doing("map %s, %s", place.path, writes ? "shared and writable" : "private");
	fd = openat(place.at, place.path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	model_expect(fd, 0);
	map = mmap(NULL, object->size, PROT_READ | PROT_WRITE, writes ? MAP_SHARED : MAP_PRIVATE,
	           fd, 0);
	model_expect(map == MAP_FAILED ? -1 : 0, 0);
	for (size_t i = 0; i < object->size; i++)
		if (map[i] != object->data[i])
			model_wrong("byte %zu is 0x%02x and should be 0x%02x", i, map[i],
			            object->data[i]);
	if (writes) {
		size_t offset = (size_t)model_below(run, object->size);
		size_t size = (size_t)model_below(run, object->size - offset) + 1;

		stream_fill(&run->random, buffer, size);
		memcpy(map + offset, buffer, size);
		model_expect(msync(map, object->size, MS_SYNC), 0);
		model_write(object, offset, buffer, size);
		object->time = MODEL_TIME_FREE;
	}
	model_expect(munmap(map, object->size), 0);
	model_expect(close(fd), 0);
	model_check_place(run, &place);
}

/* ---- names ---- */

static void op_mkdir(struct model_run *run)
{
	struct model_object like = {.uid = geteuid(), .gid = getegid()};
	struct model_place place;
	struct model_object *object;
	int result;

	model_random_place(run, &place);
	if (is_full(run) || model_depth(place.dir) >= MODEL_DEPTH_MAX)
		return;
	like.mode = S_IFDIR | model_random_mode(run);
	model_doing("mkdir %s, mode 0%o", place.path, like.mode);
	result = mkdirat(place.at, place.path, like.mode & 07777);
	model_expect(result, model_make(&run->model, place.dir, place.name, &like, &object));
	model_check_place(run, &place);
}

static void op_mknod(struct model_run *run)
{
	struct model_object like = {.uid = geteuid(), .gid = getegid()};
	struct model_place place;
	struct model_object *object;
	int result;

	if (is_full(run))
		return;
	model_random_place(run, &place);
	like.mode = S_IFIFO | model_random_mode(run);
	if (run->is_root && model_chance(run, 50)) {
		like.mode = S_IFCHR | model_random_mode(run);
		like.device = makedev(1, 3 + (unsigned int)model_below(run, 3));
	}
	model_doing("mknod %s, mode 0%o", place.path, like.mode);
	result = mknodat(place.at, place.path, like.mode, like.device);
	model_expect(result, model_make(&run->model, place.dir, place.name, &like, &object));
	model_check_place(run, &place);
}

static void op_symlink(struct model_run *run)
{
	struct model_object like = {.mode = S_IFLNK | 0777, .uid = geteuid(), .gid = getegid()};
	char target[2000];
	struct model_place place;
	struct model_object *object;
	int result;

	if (is_full(run))
		return;
	model_random_place(run, &place);
	memset(target, 't', sizeof(target));
	target[1 + model_below(run, model_chance(run, 20) ? sizeof(target) - 1 : 30)] = '\0';
	like.target = target;
	model_doing("symlink %s, %zu bytes", place.path, strlen(target));
	result = symlinkat(target, place.at, place.path);
	model_expect(result, model_make(&run->model, place.dir, place.name, &like, &object));
	model_check_place(run, &place);
}

static void op_readlink(struct model_run *run)
{
	struct model_place place;
	const struct model_object *object;
	char target[2000];
	ssize_t size;

	model_existing_place(run, &place, false);
	object = model_get(place.dir, place.name);
	model_doing("readlink %s", place.path);
	size = readlinkat(place.at, place.path, target, sizeof(target));
	if (object == NULL || !S_ISLNK(object->mode)) {
		model_expect(size, object == NULL ? ENOENT : EINVAL);
		return;
	}
	model_expect(size, 0);
	if ((size_t)size != strlen(object->target) ||
	    memcmp(target, object->target, (size_t)size) != 0)
		model_wrong("it gave another target");
}

static void op_unlink(struct model_run *run)
{
	struct model_place place;
	int result;

	model_existing_place(run, &place, false);
	model_doing("unlink %s", place.path);
	result = unlinkat(place.at, place.path, 0);
	model_expect(result, model_unlink(&run->model, place.dir, place.name));
	model_check_place(run, &place);
}

static void op_rmdir(struct model_run *run)
{
	struct model_place place;
	int result;

	model_existing_place(run, &place, false);
	model_doing("rmdir %s", place.path);
	result = unlinkat(place.at, place.path, AT_REMOVEDIR);
	model_expect(result, model_rmdir(&run->model, place.dir, place.name));
	model_check_place(run, &place);
}

static void op_link(struct model_run *run)
{
	struct model_place from, to;
	struct model_object *object;
	int result;

	model_existing_place(run, &from, false);
	model_random_place(run, &to);
	object = model_get(from.dir, from.name);
	model_doing("link %s to %s", from.path, to.path);
	result = linkat(from.at, from.path, to.at, to.path, 0);
	model_expect(result, object == NULL ? ENOENT : model_link(object, to.dir, to.name));
	model_check_place(run, &from);
	model_check_place(run, &to);
}

static unsigned int height(const struct model_object *dir)
{
	unsigned int most = 0;

	for (const struct model_entry *entry = dir->entries; entry != NULL; entry = entry->next) {
		unsigned int h = model_is_dir(entry->object) ? 1 + height(entry->object) : 0;

		most = h > most ? h : most;
	}
	return most;
}

static void op_rename(struct model_run *run)
{
	struct model_place from, to;
	const struct model_object *object;
	int result, error;

	model_existing_place(run, &from, false);
	if (model_chance(run, 50))
		model_existing_place(run, &to, false);
	else
		model_random_place(run, &to);
	object = model_get(from.dir, from.name);
	if (object != NULL && model_is_dir(object) &&
	    model_depth(to.dir) + 1 + height(object) > MODEL_DEPTH_MAX)
		return;
	model_doing("rename %s to %s", from.path, to.path);
	result = renameat(from.at, from.path, to.at, to.path);
	error = model_rename(&run->model, from.dir, from.name, to.dir, to.name);
	model_expect(result, error);
	/* A directory that has moved may have taken the paths along. */
	if (result == 0 && model_is_dir(object))
		return;
	model_check_place(run, &from);
	model_check_place(run, &to);
}

static void op_list(struct model_run *run)
{
	struct model_object *dir = model_random_dir(run);
	const struct model_handle *handle = model_handle_of(run, dir);
	char path[MODEL_PATH_SIZE];
	int fd;

	model_doing("list directory %u", dir->number);
	if (handle != NULL && (dir->links == 0 || model_chance(run, 50))) {
		fd = fcntl(handle->fd, F_DUPFD_CLOEXEC, 0);
		model_expect(lseek(fd, 0, SEEK_SET), 0);
	} else {
		model_path(dir, path, sizeof(path));
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	model_expect(fd, 0);
	model_check_list(fd, dir);
}

/* ---- attributes ---- */

static void op_chmod(struct model_run *run)
{
	struct model_handle *handle =
	    model_chance(run, 40) ? model_random_handle(run, model_any) : NULL;
	mode_t mode = model_random_mode(run);
	struct model_place place;
	struct model_object *object;
	int result;

	if (handle != NULL) {
		object = handle->object;
		model_doing("fchmod object %u, 0%o", object->number, mode);
		result = fchmod(handle->fd, mode);
	} else {
		model_existing_place(run, &place, false);
		object = model_get(place.dir, place.name);
		if (object != NULL && S_ISLNK(object->mode))
			return;
		model_doing("chmod %s, 0%o", place.path, mode);
		result = fchmodat(place.at, place.path, mode, 0);
	}
	model_expect(result, object == NULL ? ENOENT : 0);
	if (result == 0)
		object->mode = (object->mode & S_IFMT) | mode;
	if (handle != NULL)
		model_check_handle(run, handle);
	else
		model_check_place(run, &place);
}

static void op_chown(struct model_run *run)
{
	static const uid_t ids[] = {0, 1000, 1234, 65534};
	struct model_handle *handle =
	    model_chance(run, 40) ? model_random_handle(run, model_any) : NULL;
	uid_t uid = ids[model_below(run, 4)];
	gid_t gid = ids[model_below(run, 4)];
	struct model_place place;
	struct model_object *object;
	int result;

	if (!run->is_root)
		return;
	if (handle != NULL) {
		object = handle->object;
		model_doing("fchown object %u, %u:%u", object->number, uid, gid);
		result = fchown(handle->fd, uid, gid);
	} else {
		model_existing_place(run, &place, false);
		object = model_get(place.dir, place.name);
		model_doing("chown %s, %u:%u", place.path, uid, gid);
		result = fchownat(place.at, place.path, uid, gid, AT_SYMLINK_NOFOLLOW);
	}
	model_expect(result, object == NULL ? ENOENT : 0);
	if (result == 0) {
		object->uid = uid;
		object->gid = gid;
	}
	if (handle != NULL)
		model_check_handle(run, handle);
	else
		model_check_place(run, &place);
}

/* Whole seconds, long ago: a Linux client cuts off the rest. */
static void op_utimes(struct model_run *run)
{
	struct model_handle *handle =
	    model_chance(run, 40) ? model_random_handle(run, model_any) : NULL;
	time_t when = (time_t)(1000000000 + model_below(run, 100000000));
	struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};
	struct model_place place;
	struct model_object *object;
	int result;

	if (handle != NULL) {
		object = handle->object;
		model_doing("futimens object %u, %lld", object->number, (long long)when);
		result = futimens(handle->fd, times);
	} else {
		model_existing_place(run, &place, false);
		object = model_get(place.dir, place.name);
		model_doing("utimensat %s, %lld", place.path, (long long)when);
		result = utimensat(place.at, place.path, times, AT_SYMLINK_NOFOLLOW);
	}
	model_expect(result, object == NULL ? ENOENT : 0);
	if (result == 0) {
		object->time = MODEL_TIME_SET;
		object->mtime = when;
	}
	if (handle != NULL)
		model_check_handle(run, handle);
	else
		model_check_place(run, &place);
}

static bool has_attributes(const struct model_object *object)
{
	return model_is_file(object) || model_is_dir(object);
}

static void op_set_attribute(struct model_run *run)
{
	static const int ways[] = {0, 0, XATTR_CREATE, XATTR_REPLACE};
	struct model_handle *handle =
	    model_chance(run, 40) ? model_random_handle(run, has_attributes) : NULL;
	const char *name = attribute_names[model_below(run, 4)];
	size_t size = (size_t)model_below(run, model_chance(run, 30) ? MODEL_VALUE_MAX - 1 : 20);
	int flags = ways[model_below(run, 4)];
	struct model_place place;
	struct model_object *object;
	int result;

	if (!run->attributes)
		return;
	/* What a Linux client sends for an empty value in place of another one is the same as for a
	 * removal. */
	if (flags == XATTR_REPLACE)
		size++;
	stream_fill(&run->random, buffer, size);
	if (handle != NULL) {
		object = handle->object;
		model_doing("fsetxattr object %u, %s, %zu bytes, flags %d", object->number, name,
		            size, flags);
		result = fsetxattr(handle->fd, name, buffer, size, flags);
	} else {
		model_existing_place(run, &place, true);
		object = model_get(place.dir, place.name);
		if (object != NULL && !has_attributes(object))
			return;
		model_doing("setxattr %s, %s, %zu bytes, flags %d", place.path, name, size, flags);
		result = lsetxattr(place.path, name, buffer, size, flags);
	}
	model_expect(result, object == NULL
	                         ? ENOENT
	                         : model_set_attribute(object, name, buffer, size, flags));
}

static void op_remove_attribute(struct model_run *run)
{
	const char *name = attribute_names[model_below(run, 4)];
	struct model_place place;
	struct model_object *object;
	int result;

	if (!run->attributes)
		return;
	model_existing_place(run, &place, true);
	object = model_get(place.dir, place.name);
	if (object != NULL && !has_attributes(object))
		return;
	model_doing("removexattr %s, %s", place.path, name);
	result = lremovexattr(place.path, name);
	model_expect(result, object == NULL ? ENOENT : model_remove_attribute(object, name));
}

static void op_check_attributes(struct model_run *run)
{
	struct model_handle *handle = model_random_handle(run, has_attributes);

	if (handle == NULL || !run->attributes)
		return;
	model_doing("look at the attributes of object %u", handle->object->number);
	model_check_attributes(handle->fd, handle->object);
}

static const struct {
	void (*run)(struct model_run *run);
	unsigned int weight;
} operations[] = {
    {op_create, 10},
    {op_open, 12},
    {op_close, 8},
    {op_write, 14},
    {op_read, 12},
    {op_ftruncate, 4},
    {op_truncate, 2},
    {op_map, 3},
    {op_sync, 1},
    {op_stat_handle, 4},
    {op_mkdir, 6},
    {op_mknod, 2},
    {op_symlink, 3},
    {op_readlink, 2},
    {op_unlink, 7},
    {op_rmdir, 3},
    {op_link, 4},
    {op_rename, 9},
    {op_list, 4},
    {op_chmod, 4},
    {op_chown, 3},
    {op_utimes, 4},
    {op_set_attribute, 4},
    {op_remove_attribute, 2},
    {op_check_attributes, 2},
};

void model_operate(struct model_run *run)
{
	unsigned int total = 0;
	uint64_t at;

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		total += operations[i].weight;
	at = model_below(run, total);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (at < operations[i].weight) {
			operations[i].run(run);
			return;
		}
		at -= operations[i].weight;
	}
}
