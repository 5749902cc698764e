/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Marks: one object of each kind, with known owner, mode, times, content and attributes.
 * One side of the share makes them, the other one checks them from the same table.
 */
#ifndef TESTS_GUEST_MARKS_H
#define TESTS_GUEST_MARKS_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * marks_make() - Make the objects in a new directory, as the calling identity
 *
 * Device nodes and foreign owners are left out unless the caller is root.
 *
 * Return: 0, or -1 with a message on standard error.
 */
int marks_make(const char *directory);

/**
 * marks_check() - Check the objects that marks_make() made as this identity
 *
 * Prints a TAP line for each object, without a plan.
 *
 * Return: the number of objects that are not as they should be.
 */
int marks_check(const char *directory, uid_t uid, gid_t gid);

#endif
