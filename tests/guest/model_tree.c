/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/model_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static void *must_have(void *memory)
{
	if (memory == NULL) {
		fputs("guest-model: out of memory\n", stderr);
		exit(2);
	}
	return memory;
}

bool model_is_dir(const struct model_object *object)
{
	return S_ISDIR(object->mode);
}

bool model_is_file(const struct model_object *object)
{
	return S_ISREG(object->mode);
}

static struct model_object *new_object(struct model *model, const struct model_object *like)
{
	struct model_object *object = must_have(calloc(1, sizeof(*object)));

	object->number = model->numbers++;
	object->mode = like->mode;
	object->uid = like->uid;
	object->gid = like->gid;
	object->device = like->device;
	if (like->target != NULL)
		object->target = must_have(strdup(like->target));
	if (model_is_file(object))
		object->data = must_have(calloc(1, MODEL_SIZE_MAX));
	object->next = model->objects;
	model->objects = object;
	model->count++;
	return object;
}

static void free_if_gone(struct model *model, struct model_object *object)
{
	struct model_object **at = &model->objects;

	if (object->links > 0 || object->handles > 0)
		return;
	while (*at != object)
		at = &(*at)->next;
	*at = object->next;
	model->count--;
	free(object->data);
	free(object->target);
	free(object);
}

void model_init(struct model *model, uid_t uid, gid_t gid)
{
	struct model_object like = {.mode = S_IFDIR | 0755, .uid = uid, .gid = gid};

	*model = (struct model){.root = NULL};
	model->root = new_object(model, &like);
	model->root->links = 1;
}

struct model_entry *model_find(const struct model_object *dir, const char *name)
{
	struct model_entry *entry = dir->entries;

	while (entry != NULL && strcmp(entry->name, name) != 0)
		entry = entry->next;
	return entry;
}

struct model_object *model_get(const struct model_object *dir, const char *name)
{
	struct model_entry *entry = model_find(dir, name);

	return entry != NULL ? entry->object : NULL;
}

size_t model_entry_count(const struct model_object *dir)
{
	size_t count = 0;

	for (const struct model_entry *entry = dir->entries; entry != NULL; entry = entry->next)
		count++;
	return count;
}

unsigned int model_depth(const struct model_object *dir)
{
	unsigned int depth = 0;

	for (; dir->parent != NULL; dir = dir->parent)
		depth++;
	return depth;
}

unsigned int model_links(const struct model_object *object)
{
	unsigned int links = 2;

	if (!model_is_dir(object))
		return object->links;
	if (object->links == 0)
		return 0;
	for (const struct model_entry *entry = object->entries; entry != NULL; entry = entry->next)
		links += model_is_dir(entry->object);
	return links;
}

static const char *name_in(const struct model_object *parent, const struct model_object *object)
{
	const struct model_entry *entry = parent->entries;

	while (entry->object != object)
		entry = entry->next;
	return entry->name;
}

void model_path(const struct model_object *dir, char *path, size_t size)
{
	const struct model_object *chain[MODEL_DEPTH_MAX + 2];
	size_t count = 0;
	size_t used = 1;

	for (; dir->parent != NULL; dir = dir->parent)
		chain[count++] = dir;
	snprintf(path, size, ".");
	while (count-- > 0)
		used += (size_t)snprintf(path + used, size - used, "/%s",
		                         name_in(chain[count]->parent, chain[count]));
}

void model_touch(struct model_object *object)
{
	if (object->time == MODEL_TIME_SET)
		object->time = MODEL_TIME_CHANGED;
}

static void add_entry(struct model_object *dir, const char *name, struct model_object *object)
{
	struct model_entry *entry = must_have(calloc(1, sizeof(*entry)));

	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->object = object;
	entry->next = dir->entries;
	dir->entries = entry;
	if (model_is_dir(object))
		object->parent = dir;
	model_touch(dir);
}

static void remove_entry(struct model_object *dir, struct model_entry *entry)
{
	struct model_entry **at = &dir->entries;

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	free(entry);
	model_touch(dir);
}

int model_make(struct model *model, struct model_object *dir, const char *name,
               const struct model_object *like, struct model_object **ret_object)
{
	if (dir->links == 0)
		return ENOENT;
	if (model_find(dir, name) != NULL)
		return EEXIST;
	*ret_object = new_object(model, like);
	(*ret_object)->links = 1;
	add_entry(dir, name, *ret_object);
	return 0;
}

/* The object loses a name. */
static void drop(struct model *model, struct model_object *dir, struct model_entry *entry)
{
	struct model_object *object = entry->object;

	remove_entry(dir, entry);
	object->links--;
	if (model_is_dir(object))
		object->parent = NULL;
	free_if_gone(model, object);
}

int model_unlink(struct model *model, struct model_object *dir, const char *name)
{
	struct model_entry *entry = model_find(dir, name);

	if (entry == NULL)
		return ENOENT;
	if (model_is_dir(entry->object))
		return EISDIR;
	drop(model, dir, entry);
	return 0;
}

int model_rmdir(struct model *model, struct model_object *dir, const char *name)
{
	struct model_entry *entry = model_find(dir, name);

	if (entry == NULL)
		return ENOENT;
	if (!model_is_dir(entry->object))
		return ENOTDIR;
	if (entry->object->entries != NULL)
		return ENOTEMPTY;
	drop(model, dir, entry);
	return 0;
}

int model_link(struct model_object *object, struct model_object *dir, const char *name)
{
	if (dir->links == 0)
		return ENOENT;
	if (model_find(dir, name) != NULL)
		return EEXIST;
	if (model_is_dir(object))
		return EPERM;
	object->links++;
	add_entry(dir, name, object);
	return 0;
}

static bool is_above(const struct model_object *object, const struct model_object *dir)
{
	for (; dir != NULL; dir = dir->parent)
		if (dir == object)
			return true;
	return false;
}

static int may_replace(const struct model_object *object, const struct model_object *victim)
{
	if (model_is_dir(object) && !model_is_dir(victim))
		return ENOTDIR;
	if (!model_is_dir(object) && model_is_dir(victim))
		return EISDIR;
	return model_is_dir(victim) && victim->entries != NULL ? ENOTEMPTY : 0;
}

int model_rename(struct model *model, struct model_object *from, const char *old_name,
                 struct model_object *to, const char *new_name)
{
	struct model_entry *old = model_find(from, old_name);
	struct model_entry *new = model_find(to, new_name);
	int error;

	if (old == NULL || to->links == 0)
		return ENOENT;
	if (is_above(old->object, to))
		return EINVAL;
	if (new != NULL &&new->object != old->object && is_above(new->object, from))
		return ENOTEMPTY;
	if (new != NULL &&new->object == old->object)
		return 0;
	if (new != NULL) {
		error = may_replace(old->object, new->object);
		if (error != 0)
			return error;
		drop(model, to, new);
	}
	add_entry(to, new_name, old->object);
	remove_entry(from, old);
	return 0;
}

static struct model_attribute *find_attribute(struct model_object *object, const char *name)
{
	for (size_t i = 0; i < object->attribute_count; i++)
		if (strcmp(object->attributes[i].name, name) == 0)
			return &object->attributes[i];
	return NULL;
}

const struct model_attribute *model_attribute(const struct model_object *object, const char *name)
{
	for (size_t i = 0; i < object->attribute_count; i++)
		if (strcmp(object->attributes[i].name, name) == 0)
			return &object->attributes[i];
	return NULL;
}

int model_set_attribute(struct model_object *object, const char *name, const void *value,
                        size_t size, int flags)
{
	struct model_attribute *attribute = find_attribute(object, name);

	if (attribute != NULL && flags == XATTR_CREATE)
		return EEXIST;
	if (attribute == NULL && flags == XATTR_REPLACE)
		return ENODATA;
	if (attribute == NULL) {
		attribute = &object->attributes[object->attribute_count++];
		snprintf(attribute->name, sizeof(attribute->name), "%s", name);
	}
	memcpy(attribute->value, value, size);
	attribute->size = size;
	return 0;
}

int model_remove_attribute(struct model_object *object, const char *name)
{
	struct model_attribute *attribute = find_attribute(object, name);

	if (attribute == NULL)
		return ENODATA;
	*attribute = object->attributes[--object->attribute_count];
	return 0;
}

void model_write(struct model_object *object, size_t offset, const void *bytes, size_t size)
{
	if (size == 0)
		return;
	/* What lies between the end and the offset is zero: see model_truncate(). */
	memcpy(object->data + offset, bytes, size);
	if (offset + size > object->size)
		object->size = offset + size;
	model_touch(object);
}

void model_truncate(struct model_object *object, size_t size)
{
	if (size < object->size)
		memset(object->data + size, 0, object->size - size);
	/* Whether the time moves when the size stays is up to the file system. */
	if (size != object->size)
		model_touch(object);
	else
		object->time = MODEL_TIME_FREE;
	object->size = size;
}

void model_hold(struct model_object *object)
{
	object->handles++;
}

void model_let_go(struct model *model, struct model_object *object)
{
	object->handles--;
	free_if_gone(model, object);
}
