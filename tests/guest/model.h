/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model.h: what the halves of guest-model share: model.c decides and reports, model_pick.c
 * and model_ops.c do the operations, model_check.c compares.
 */
#ifndef TESTS_GUEST_MODEL_H
#define TESTS_GUEST_MODEL_H

#include "tests/guest/model_tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MODEL_HANDLES = 12,
	MODEL_PATH_SIZE = 4096,
};

struct model_handle {
	struct model_object *object; /* NULL: the slot is free */
	int fd;
	bool reads, writes, appends;
};

/* A name in a directory, reached by its path or from an open directory. */
struct model_place {
	struct model_object *dir;
	int at;
	char path[MODEL_PATH_SIZE];
	char name[MODEL_NAME_SIZE];
};

struct model_run {
	struct model model;
	struct model_handle handles[MODEL_HANDLES];
	uint64_t random;
	bool is_root;
	bool shared_maps;     /* writable shared mappings work */
	bool attributes;      /* user.* attributes work */
	bool directory_links; /* a directory's link count tells of its directories */
	bool cached; /* the client keeps link counts and times whatever an operation does to them */
};

/** model_wrong() - Report a difference with what was done last, and end with status 1 */
_Noreturn void model_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** model_doing() - Note what is done now, for the report */
void model_doing(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** model_operate() - Do one operation, chosen at random */
void model_operate(struct model_run *run);

/** model_close_all() - Close the handles that are open */
void model_close_all(struct model_run *run);

/* Each compares and reports. Paths are from the tree's root, which is the working directory. */
void model_check_place(const struct model_run *run, const struct model_place *place);
void model_check_handle(const struct model_run *run, const struct model_handle *handle);
void model_check_list(int fd, const struct model_object *dir);
void model_check_attributes(int fd, const struct model_object *object);
void model_check_all(const struct model_run *run);

#endif
