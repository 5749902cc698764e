/* SPDX-License-Identifier: GPL-2.0-or-later */
/* odd_names.h: what is no name of a file, put where a message has one; no encoder would write it. */
#ifndef VIRTFS_TESTS_LIB_ODD_NAMES_H
#define VIRTFS_TESTS_LIB_ODD_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define ODD_MARK "@MARK@" /* the name to encode a message with, for odd_name_put() */

struct odd_name {
	const char *text;
	size_t size;
};
extern const struct odd_name odd_names[];
extern const size_t odd_names_count;

/** odd_name_put() - Replace ODD_MARK, of a string with a size[2], in a message. Return: the message's new size. */
size_t odd_name_put(uint8_t *bytes, size_t size, size_t room, const struct odd_name *name);

#endif
