/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model_pick.h: what an operation of guest-model works on, at random, and whether it went as it must.
 */
#ifndef TESTS_GUEST_MODEL_PICK_H
#define TESTS_GUEST_MODEL_PICK_H

#include "tests/guest/model.h"

/** model_below() - A random number below the limit */
uint64_t model_below(struct model_run *run, uint64_t limit);

bool model_chance(struct model_run *run, unsigned int percent);

/** model_expect() - Report a call that gave -1 and should not have, or did not fail with this errno */
void model_expect(long long result, int error);

/* An object that is open, or NULL. */
const struct model_handle *model_handle_of(const struct model_run *run,
                                           const struct model_object *object);

/* A directory that has a path or is open. */
struct model_object *model_random_dir(struct model_run *run);

/* Any name in any directory; most often one that is not there. */
void model_random_place(struct model_run *run, struct model_place *place);

/* Most often a name that is there. */
void model_existing_place(struct model_run *run, struct model_place *place, bool by_path_only);

/* An open object that fits, or NULL. */
struct model_handle *model_random_handle(struct model_run *run,
                                         bool (*fits)(const struct model_object *));
bool model_any(const struct model_object *object);

/* Permissions with which the owner may do all. */
mode_t model_random_mode(struct model_run *run);

#endif
