/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canary.h: files that nobody may reach, each with a text that stands nowhere else.
 *
 * They lie outside the export: beside it, on another mount, behind a directory of mode 0700, and, as the name of a
 * process, in /proc. Whoever attacks hands all bytes and descriptors that come back to canary_look(); a text among them
 * fails the test. At the end canaries_end() fails it too where one was opened, changed, or got a neighbour, by what
 * inotify(7) saw and by attributes.
 */
#ifndef VIRTFS_TESTS_LIB_CANARY_H
#define VIRTFS_TESTS_LIB_CANARY_H

#include "tests/lib/rig.h"

#include <stdint.h>
#include <sys/stat.h>

#define CANARY_PLACES 3
#define CANARY_TEXT   15 /* bytes: as long as a process's name */

struct canary {
	char dir[100];
	char path[120];
	char text[CANARY_TEXT + 1];
	struct stat file_was, dir_was;
};

struct canaries {
	struct rig *rig;
	struct canary at[CANARY_PLACES];
	char process[CANARY_TEXT + 1]; /* the name of this process, as /proc/PID/comm has it */
	bool mounted;
	int watch; /* inotify */
};

/** canaries_start() - Put them out; after rig_dirs(), before anybody else starts. */
void canaries_start(struct canaries *k, struct rig *r);

/** canary_look() - Bytes that came back, and a descriptor that came with them (or -1): none is a canary's. */
void canary_look(const void *bytes, size_t size, int fd);

/**
 * canary_way() - A way out of the export that a link, a name or a path could try, from number 0 on
 *
 * Some lead to the file, some to its directory. Return: NULL after the last.
 */
const char *canary_way(const struct canaries *k, unsigned number);

/** canary_attack() - Count attacks; canaries_end() prints how many there were. */
void canary_attack(unsigned long count);

/** canaries_end() - Nobody was there; take them away. Before rig_end(). */
void canaries_end(struct canaries *k);

#endif
