/* SPDX-License-Identifier: GPL-2.0-or-later */
/* model_check.c: is the tree what the model says? */
#include "tests/guest/model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static void check_number(const char *what, const char *where, long long actual, long long expected)
{
	if (actual != expected)
		model_wrong("%s of %s is %lld and should be %lld", what, where, actual, expected);
}

static void check_time(const struct model_run *run, const struct stat *st,
                       const struct model_object *object, const char *where)
{
	if (object->time == MODEL_TIME_SET) {
		check_number("the time", where, st->st_mtim.tv_sec, object->mtime);
		check_number("the time's fraction", where, st->st_mtim.tv_nsec, 0);
	} else if (object->time == MODEL_TIME_CHANGED && !run->cached &&
	           st->st_mtim.tv_sec == object->mtime) {
		model_wrong("the time of %s has not changed", where);
	}
}

static void check_stat(const struct model_run *run, const struct stat *st,
                       const struct model_object *object, const char *where)
{
	bool links_tell = model_is_dir(object) ? run->directory_links : !run->cached;

	check_number("the mode", where, st->st_mode, object->mode);
	check_number("the owner", where, st->st_uid, object->uid);
	check_number("the group", where, st->st_gid, object->gid);
	if (links_tell)
		check_number("the link count", where, (long long)st->st_nlink, model_links(object));
	if (model_is_file(object))
		check_number("the size", where, st->st_size, (long long)object->size);
	if (S_ISLNK(object->mode))
		check_number("the size", where, st->st_size, (long long)strlen(object->target));
	if (S_ISCHR(object->mode))
		check_number("the device", where, (long long)st->st_rdev,
		             (long long)object->device);
	check_time(run, st, object, where);
}

void model_check_handle(const struct model_run *run, const struct model_handle *handle)
{
	char where[64];
	struct stat st;

	snprintf(where, sizeof(where), "open object %u", handle->object->number);
	if (fstat(handle->fd, &st) != 0)
		model_wrong("fstat of %s: %s", where, strerror(errno));
	check_stat(run, &st, handle->object, where);
}

void model_check_place(const struct model_run *run, const struct model_place *place)
{
	const struct model_object *object = model_get(place->dir, place->name);
	struct stat st;
	int result = fstatat(place->at, place->path, &st, AT_SYMLINK_NOFOLLOW);

	if (object == NULL) {
		if (result == 0)
			model_wrong("%s is there", place->path);
		if (errno != ENOENT)
			model_wrong("stat of %s, which is not there: %s", place->path,
			            strerror(errno));
		return;
	}
	if (result != 0)
		model_wrong("stat of %s: %s", place->path, strerror(errno));
	check_stat(run, &st, object, place->path);
}

static unsigned char type_of(mode_t mode)
{
	return (unsigned char)((mode & S_IFMT) >> 12);
}

/* Every name once, no other one, and the right types where types are told. */
void model_check_list(int fd, const struct model_object *dir)
{
	DIR *stream = fdopendir(fd);
	const struct dirent *entry;
	size_t count = 0;

	if (stream == NULL)
		model_wrong("fdopendir of directory %u: %s", dir->number, strerror(errno));
	while ((errno = 0, entry = readdir(stream)) != NULL) {
		const struct model_object *object;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		object = model_get(dir, entry->d_name);
		if (object == NULL)
			model_wrong("directory %u lists %s", dir->number, entry->d_name);
		if (entry->d_type != DT_UNKNOWN && entry->d_type != type_of(object->mode))
			model_wrong("directory %u says that %s is of type %u", dir->number,
			            entry->d_name, entry->d_type);
		count++;
	}
	if (errno != 0)
		model_wrong("readdir of directory %u: %s", dir->number, strerror(errno));
	closedir(stream);
	check_number("the number of entries", "a directory", (long long)count,
	             (long long)model_entry_count(dir));
}

void model_check_attributes(int fd, const struct model_object *object)
{
	char names[4096];
	ssize_t size = flistxattr(fd, names, sizeof(names));
	size_t count = 0;

	if (size < 0)
		model_wrong("listing attributes of object %u: %s", object->number, strerror(errno));
	for (const char *name = names; name < names + size; name += strlen(name) + 1) {
		const struct model_attribute *attribute = model_attribute(object, name);
		char value[MODEL_VALUE_MAX + 1];
		ssize_t got;

		if (strncmp(name, "user.", 5) != 0)
			continue;
		if (attribute == NULL)
			model_wrong("object %u has an attribute %s", object->number, name);
		got = fgetxattr(fd, name, value, sizeof(value));
		if (got != (ssize_t)attribute->size ||
		    memcmp(value, attribute->value, (size_t)got) != 0)
			model_wrong("attribute %s of object %u has another value (%zd bytes, %zu)",
			            name, object->number, got, attribute->size);
		count++;
	}
	check_number("the number of attributes", "an object", (long long)count,
	             (long long)object->attribute_count);
}

static void check_content(int fd, const struct model_object *object)
{
	static unsigned char actual[MODEL_SIZE_MAX + 1];
	size_t size = 0;
	ssize_t step;

	while ((step = pread(fd, actual + size, sizeof(actual) - size, (off_t)size)) > 0)
		size += (size_t)step;
	if (step < 0)
		model_wrong("reading object %u: %s", object->number, strerror(errno));
	check_number("the length", "a file", (long long)size, (long long)object->size);
	for (size_t i = 0; i < size; i++)
		if (actual[i] != object->data[i])
			model_wrong("byte %zu of object %u is 0x%02x and should be 0x%02x", i,
			            object->number, actual[i], object->data[i]);
}

static void check_target(const struct model_place *place, const struct model_object *object)
{
	char target[MODEL_PATH_SIZE];
	ssize_t size = readlinkat(place->at, place->path, target, sizeof(target));

	if (size != (ssize_t)strlen(object->target) ||
	    memcmp(target, object->target, (size_t)size) != 0)
		model_wrong("%s has another target", place->path);
}

static int open_or_report(const char *path, int flags)
{
	int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		model_wrong("opening %s: %s", path, strerror(errno));
	return fd;
}

static void check_object(const struct model_run *run, const struct model_place *place,
                         const struct model_object *object)
{
	int fd;

	model_check_place(run, place);
	if (S_ISLNK(object->mode))
		check_target(place, object);
	if (!model_is_file(object) && !model_is_dir(object))
		return;
	fd = open_or_report(place->path, O_RDONLY);
	if (model_is_file(object))
		check_content(fd, object);
	if (run->attributes)
		model_check_attributes(fd, object);
	if (model_is_dir(object))
		model_check_list(fd, object);
	else
		close(fd);
}

/* Names of one object have one inode number, which no other object has. */
struct numbers {
	const struct model_object *object;
	ino_t number;
};

static void check_inode(struct numbers *numbers, size_t *count, const struct model_place *place,
                        const struct model_object *object)
{
	struct stat st;

	if (fstatat(place->at, place->path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		model_wrong("stat of %s: %s", place->path, strerror(errno));
	for (size_t i = 0; i < *count; i++)
		if ((numbers[i].object == object) != (numbers[i].number == st.st_ino))
			model_wrong("%s (object %u) and object %u: inode numbers %llu and %llu",
			            place->path, object->number, numbers[i].object->number,
			            (unsigned long long)st.st_ino,
			            (unsigned long long)numbers[i].number);
	for (size_t i = 0; i < *count; i++)
		if (numbers[i].object == object)
			return;
	numbers[(*count)++] = (struct numbers){object, st.st_ino};
}

void model_check_all(const struct model_run *run)
{
	static struct numbers numbers[MODEL_OBJECTS_MAX + 1];
	size_t count = 0;

	model_check_list(open_or_report(".", O_RDONLY | O_DIRECTORY), run->model.root);
	for (struct model_object *dir = run->model.objects; dir != NULL; dir = dir->next) {
		struct model_place place = {.dir = dir, .at = AT_FDCWD};
		char path[MODEL_PATH_SIZE];

		if (!model_is_dir(dir) || dir->links == 0)
			continue;
		model_path(dir, path, sizeof(path));
		for (struct model_entry *entry = dir->entries; entry != NULL; entry = entry->next) {
			snprintf(place.name, sizeof(place.name), "%s", entry->name);
			if ((size_t)snprintf(place.path, sizeof(place.path), "%s/%s", path,
			                     entry->name) >= sizeof(place.path))
				abort();
			check_object(run, &place, entry->object);
			check_inode(numbers, &count, &place, entry->object);
		}
	}
	for (size_t i = 0; i < MODEL_HANDLES; i++)
		if (run->handles[i].object != NULL)
			model_check_handle(run, &run->handles[i]);
}
