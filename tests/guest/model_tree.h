/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file system in memory: what a share must look like after the operations that guest-model has done
 * on it. It says what each call would give, error numbers included; it does no call itself.
 */
#ifndef TESTS_GUEST_MODEL_TREE_H
#define TESTS_GUEST_MODEL_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

enum {
	MODEL_NAME_SIZE = 256,
	MODEL_OBJECTS_MAX = 160,
	MODEL_SIZE_MAX = 400000,  /* of a file, in bytes */
	MODEL_ATTRIBUTES_MAX = 4, /* of an object */
	MODEL_VALUE_MAX = 600,    /* of an attribute; an ext4 inode's must fit a block together */
	MODEL_DEPTH_MAX = 6,
};

/* What is known of a time. */
enum model_time {
	MODEL_TIME_FREE,    /* nothing */
	MODEL_TIME_SET,     /* it is what was set */
	MODEL_TIME_CHANGED, /* it is not what was set before */
};

struct model_attribute {
	char name[32];
	unsigned char value[MODEL_VALUE_MAX];
	size_t size;
};

struct model_object;

struct model_entry {
	char name[MODEL_NAME_SIZE];
	struct model_object *object;
	struct model_entry *next;
};

struct model_object {
	unsigned int number;
	mode_t mode; /* with the type */
	uid_t uid;
	gid_t gid;
	dev_t device;
	unsigned int
	    links; /* names of a file; 1 for a directory that is there, 0 for a removed one */
	unsigned int handles;
	enum model_time time;
	time_t mtime;
	unsigned char *data; /* MODEL_SIZE_MAX bytes of a regular file */
	size_t size;
	char *target;
	struct model_attribute attributes[MODEL_ATTRIBUTES_MAX];
	size_t attribute_count;
	struct model_object *parent; /* of a directory; NULL for the root */
	struct model_entry *entries;
	struct model_object *next; /* of all objects */
};

struct model {
	struct model_object *root;
	struct model_object *objects;
	unsigned int count;
	unsigned int numbers;
};

void model_init(struct model *model, uid_t uid, gid_t gid);

/* Finding things. Return: NULL if there is none. */
struct model_entry *model_find(const struct model_object *dir, const char *name);
struct model_object *model_get(const struct model_object *dir, const char *name);
const struct model_attribute *model_attribute(const struct model_object *object, const char *name);

bool model_is_dir(const struct model_object *object);
bool model_is_file(const struct model_object *object);
size_t model_entry_count(const struct model_object *dir);
unsigned int model_depth(const struct model_object *dir);

/* Links a file system gives: 2 and one for each directory in it, for a directory. */
unsigned int model_links(const struct model_object *object);

/**
 * model_path() - The path of a directory that is there, from the root; "." for the root
 */
void model_path(const struct model_object *dir, char *path, size_t size);

/*
 * Operations. Return: 0, or the errno that the call must give; then nothing has changed.
 */
int model_make(struct model *model, struct model_object *dir, const char *name,
               const struct model_object *like, struct model_object **ret_object);
int model_unlink(struct model *model, struct model_object *dir, const char *name);
int model_rmdir(struct model *model, struct model_object *dir, const char *name);
int model_link(struct model_object *object, struct model_object *dir, const char *name);
int model_rename(struct model *model, struct model_object *from, const char *old_name,
                 struct model_object *to, const char *new_name);
int model_set_attribute(struct model_object *object, const char *name, const void *value,
                        size_t size, int flags);
int model_remove_attribute(struct model_object *object, const char *name);

void model_write(struct model_object *object, size_t offset, const void *bytes, size_t size);
void model_truncate(struct model_object *object, size_t size);

/* A change that moves the object's time of modification. */
void model_touch(struct model_object *object);

void model_hold(struct model_object *object);
void model_let_go(struct model *model, struct model_object *object);

#endif
