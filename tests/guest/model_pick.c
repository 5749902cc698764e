/* SPDX-License-Identifier: GPL-2.0-or-later */
/* model_pick.c: what an operation of guest-model works on, at random. */
#include "tests/guest/model_pick.h"

#include "tests/guest/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Few, so that operations meet; some are such as programs get wrong. */
static const char *const names[] = {
    "a",           "b",
    "c",           "d",
    "e",           "f",
    "g",           "h",
    "i",           "name with spaces",
    "-rf",         "..more",
    "line\nbreak", "\xc3\xa4\xc3\xb6\xc3\xbc \xe2\x82\xac",
    "\x80\xff",    NULL /* the longest that there may be */
};
uint64_t model_below(struct model_run *run, uint64_t limit)
{
	return stream_next(&run->random) % limit;
}

bool model_chance(struct model_run *run, unsigned int percent)
{
	return model_below(run, 100) < percent;
}

void model_expect(long long result, int error)
{
	if (error == 0 && result < 0)
		model_wrong("it failed with %s", strerror(errno));
	if (error != 0 && result >= 0)
		model_wrong("it worked, and should fail with %s", strerror(error));
	if (error != 0 && errno != error)
		model_wrong("it failed with %s, and should with %s", strerror(errno),
		            strerror(error));
}

static void random_name(struct model_run *run, char *name)
{
	const char *chosen = names[model_below(run, sizeof(names) / sizeof(names[0]))];

	if (chosen != NULL) {
		snprintf(name, MODEL_NAME_SIZE, "%s", chosen);
		return;
	}
	memset(name, 'n', MODEL_NAME_SIZE - 1);
	name[MODEL_NAME_SIZE - 1] = '\0';
}

const struct model_handle *model_handle_of(const struct model_run *run,
                                           const struct model_object *object)
{
	for (size_t i = 0; i < MODEL_HANDLES; i++)
		if (run->handles[i].object == object)
			return &run->handles[i];
	return NULL;
}

/* A directory that has a path or is open. */
struct model_object *model_random_dir(struct model_run *run)
{
	struct model_object *found = run->model.root;
	uint64_t count = 0;

	for (struct model_object *object = run->model.objects; object != NULL;
	     object = object->next)
		if (model_is_dir(object) && model_below(run, ++count) == 0)
			found = object;
	return found;
}

/* Fill in how to get at place->name in place->dir. */
static void reach(struct model_run *run, struct model_place *place, bool by_path_only)
{
	const struct model_handle *handle = by_path_only ? NULL : model_handle_of(run, place->dir);
	char path[MODEL_PATH_SIZE];

	if (handle != NULL && (place->dir->links == 0 || model_chance(run, 50))) {
		place->at = handle->fd;
		snprintf(place->path, sizeof(place->path), "%s", place->name);
		return;
	}
	place->at = AT_FDCWD;
	model_path(place->dir, path, sizeof(path));
	if ((size_t)snprintf(place->path, sizeof(place->path), "%s/%s", path, place->name) >=
	    sizeof(place->path))
		abort();
}

/* Any name in any directory; most often one that is not there. */
void model_random_place(struct model_run *run, struct model_place *place)
{
	place->dir = model_random_dir(run);
	random_name(run, place->name);
	reach(run, place, false);
}

/* Most often a name that is there. */
void model_existing_place(struct model_run *run, struct model_place *place, bool by_path_only)
{
	uint64_t count = 0;

	place->dir = NULL;
	for (struct model_object *dir = run->model.objects; dir != NULL; dir = dir->next) {
		if (!model_is_dir(dir))
			continue;
		for (struct model_entry *entry = dir->entries; entry != NULL; entry = entry->next) {
			if (model_below(run, ++count) != 0)
				continue;
			place->dir = dir;
			snprintf(place->name, sizeof(place->name), "%s", entry->name);
		}
	}
	if (place->dir == NULL || model_chance(run, 8)) {
		do
			place->dir = model_random_dir(run);
		while (by_path_only && place->dir->links == 0);
		random_name(run, place->name);
	}
	reach(run, place, by_path_only);
}

/* NULL if none is open. */
struct model_handle *model_random_handle(struct model_run *run,
                                         bool (*fits)(const struct model_object *))
{
	struct model_handle *found = NULL;
	uint64_t count = 0;

	for (size_t i = 0; i < MODEL_HANDLES; i++)
		if (run->handles[i].object != NULL && fits(run->handles[i].object) &&
		    model_below(run, ++count) == 0)
			found = &run->handles[i];
	return found;
}

bool model_any(const struct model_object *object)
{
	(void)object;
	return true;
}

mode_t model_random_mode(struct model_run *run)
{
	return (mode_t)(model_below(run, 0100) | 0700);
}
