/* SPDX-License-Identifier: GPL-2.0-or-later */
/* path.c: a normalised path has no "..", no "." and no empty name, and does not change when taken
 * again. */
#include "helper/path.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void check_names(const struct path *p)
{
	const char *name = p->text;

	CHECK(strnlen(p->text, sizeof(p->text)) == p->size);
	while (p->size) {
		const char *slash = strchr(name, '/');
		size_t size = slash ? (size_t)(slash - name) : strlen(name);

		CHECK(size > 0 && size <= 255);
		CHECK(!(size == 1 && name[0] == '.'));
		CHECK(!(size == 2 && name[0] == '.' && name[1] == '.'));
		if (!slash)
			break;
		name = slash + 1;
	}
	CHECK(p->text + p->name == name || p->size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct path once, twice;
	struct wt_str s = {.data = data, .size = size};
	struct wt_str again;

	/* As the decoder hands it on: without NUL, and no longer than a string can be. */
	if (size > UINT16_MAX || memchr(data, 0, size) || path_take(&s, &once) < 0)
		return 0;
	check_names(&once);
	again = wt_str_of(once.text);
	if (once.size == 0)
		return 0;
	CHECK(path_take(&again, &twice) == 0);
	CHECK(strcmp(once.text, twice.text) == 0);
	CHECK(once.parent == twice.parent && once.name == twice.name);
	return 0;
}
