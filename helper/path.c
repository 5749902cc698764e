/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/path.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* Takes the last name off; at the root there is nothing to take. */
static void drop_name(struct path *p)
{
	while (p->size > 0 && p->text[p->size - 1] != '/')
		p->size--;
	if (p->size > 0)
		p->size--;
}

static int add_name(struct path *p, const uint8_t *name, size_t size)
{
	if (size == 0 || (size == 1 && name[0] == '.'))
		return 0;
	if (size == 2 && name[0] == '.' && name[1] == '.') {
		drop_name(p);
		return 0;
	}
	if (size > NAME_MAX)
		return -ENAMETOOLONG;
	if (p->size + 1 + size >= sizeof(p->text))
		return -ENAMETOOLONG;
	if (p->size > 0)
		p->text[p->size++] = '/';
	memcpy(p->text + p->size, name, size);
	p->size += size;
	return 0;
}

int path_take(const struct wt_str *from, struct path *ret)
{
	const uint8_t *at = from->data, *end = at ? at + from->size : NULL;

	ret->size = 0;
	if (from->size == 0)
		return -ENOENT;
	while (at < end) {
		const uint8_t *slash = memchr(at, '/', (size_t)(end - at));
		const uint8_t *stop = slash ? slash : end;
		int r = add_name(ret, at, (size_t)(stop - at));

		if (r < 0)
			return r;
		at = slash ? slash + 1 : end;
	}
	ret->text[ret->size] = '\0';
	ret->name = ret->size;
	while (ret->name > 0 && ret->text[ret->name - 1] != '/')
		ret->name--;
	ret->parent = ret->name > 0 ? ret->name - 1 : 0;
	return 0;
}
