/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz.h: a fuzz target is one function, run by libFuzzer (meson option fuzz) or by replay.c over
 * stored inputs.
 *
 * Whatever the bytes, it must return: a crash, a hang, a leak or a failed CHECK is a finding.
 */
#ifndef VIRTFS_TESTS_FUZZ_FUZZ_H
#define VIRTFS_TESTS_FUZZ_FUZZ_H

#include "common/compiler.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) BUG_ON(!(condition))

#endif
