/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * idmap.h: a user namespace of its own (user_namespaces(7)), in which an ordinary user is root over the ids that are
 * mapped into it, and over files that belong to them.
 */
#ifndef VIRTFS_HELPER_IDMAP_H
#define VIRTFS_HELPER_IDMAP_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** struct id_range - count ids from inside on are the host's from outside on */
struct id_range {
	uint32_t inside, outside, count;
};

#define ID_RANGES_MAX 16

struct id_map {
	struct id_range range[ID_RANGES_MAX];
	size_t count;
};

/** struct idmap_want - what the command line says of it */
struct idmap_want {
	struct id_map uids, gids; /* empty: the user's own id alone, as 0 */
	bool subids;              /* and then those of /etc/subuid and /etc/subgid, from 1 on */
};

/** id_map_add() - Add ":INSIDE:OUTSIDE:COUNT:". Return: false for what is none, overlaps, or is one too many. */
bool MUST_CHECK id_map_add(struct id_map *map, const char *text);

/** id_map_has() - Whether it maps that id of the namespace. */
bool MUST_CHECK id_map_has(const struct id_map *map, uint32_t inside);

/** idmap_wanted() - Whether there is to be one: for every user but root, and where maps are given. */
bool MUST_CHECK idmap_wanted(const struct idmap_want *want);

/**
 * idmap_enter() - Make the user namespace and become its root
 *
 * Maps of more than the user's own ids are made by newuidmap(1) and newgidmap(1), or by root itself. The mount
 * namespace stays the host's. Return: 0, or -errno after it logged what went wrong.
 */
int MUST_CHECK idmap_enter(const struct idmap_want *want);

#endif
