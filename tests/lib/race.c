/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/race.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define RENAMES_LEAST 100

static struct {
	pthread_t thread;
	enum race_kind kind;
	char a[256], b[256];
	atomic_bool on;
	atomic_ulong renames;
} race;

static void *run(void *unused)
{
	unsigned flags = race.kind == RACE_EXCHANGE ? RENAME_EXCHANGE : 0;

	while (atomic_load(&race.on)) {
		bool moved = renameat2(AT_FDCWD, race.a, AT_FDCWD, race.b, flags) == 0;

		atomic_fetch_add(&race.renames, moved);
		if (moved && race.kind == RACE_MOVE)
			atomic_fetch_add(&race.renames,
			                 renameat2(AT_FDCWD, race.b, AT_FDCWD, race.a, 0) == 0);
	}
	return unused;
}

void race_start(enum race_kind kind, const char *a, const char *b)
{
	race.kind = kind;
	atomic_store(&race.renames, 0);
	(void)snprintf(race.a, sizeof(race.a), "%s", a);
	(void)snprintf(race.b, sizeof(race.b), "%s", b);
	atomic_store(&race.on, true);
	cr_assert_eq(pthread_create(&race.thread, NULL, run, NULL), 0);
}

bool race_is_young(void)
{
	return atomic_load(&race.renames) <= RENAMES_LEAST;
}

void race_end(void)
{
	atomic_store(&race.on, false);
	cr_assert_eq(pthread_join(race.thread, NULL), 0);
	cr_assert(!race_is_young(), "the race was not run");
}
