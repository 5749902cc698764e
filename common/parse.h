/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parse.h: numbers in options, read strictly. */
#ifndef VIRTFS_COMMON_PARSE_H
#define VIRTFS_COMMON_PARSE_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * parse_u64() - Read a decimal number that is all of text
 *
 * No sign, no space, no other base, nothing before or after it, and no more than max.
 * Return: true, or false with *ret_value untouched.
 */
bool MUST_CHECK parse_u64(const char *text, uint64_t max, uint64_t *ret_value);

#endif
