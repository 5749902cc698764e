/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/odd_names.h"

#include "common/compiler.h"
#include "common/wr.h"

#include <criterion/criterion.h>
#include <string.h>

#define NAME(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}
const struct odd_name odd_names[] = {
    NAME(""),
    NAME("."),
    NAME(".."),
    NAME("/"),
    NAME("//"),
    NAME("a/b"),
    NAME("a/"),
    NAME("/a"),
    NAME("./a"),
    NAME("../a"),
    NAME("a/.."),
    NAME("a/../.."),
    NAME("../outside"),
    NAME("../outside/canary"),
    NAME("../outside/new"),
    NAME("/etc/passwd"),
    NAME("/proc/self/mem"),
    NAME("/proc/self/root/etc/passwd"),
    NAME("\0"),
    NAME("\0\0"),
    NAME("a\0"),
    NAME("\0a"),
    NAME("a\0b"),
    NAME(".\0"),
    NAME("..\0"),
    NAME("..\0x"),
    NAME("a\0/../../outside/canary"),
};
const size_t odd_names_count = ARRAY_SIZE(odd_names);

size_t odd_name_put(uint8_t *bytes, size_t size, size_t room, const struct odd_name *name)
{
	const size_t mark = sizeof(ODD_MARK) - 1;
	uint8_t *at = memmem(bytes, size, ODD_MARK, mark);
	struct wr w;

	cr_assert_not_null(at, "the message has no name to replace");
	cr_assert_leq(size - mark + name->size, room);
	memmove(at + name->size, at + mark, (size_t)(bytes + size - at) - mark);
	memcpy(at, name->text, name->size);
	w = wr_over(at - sizeof(uint16_t), sizeof(uint16_t));
	wr_le16(&w, (uint16_t)name->size);
	return size - mark + name->size;
}
