/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/sbuf.h"

#include <stdarg.h>
#include <stdint.h>

struct sbuf sbuf_over(char *buffer, size_t size)
{
	BUG_ON(size == 0);
	buffer[0] = '\0';
	return (struct sbuf){.text = buffer, .used = 0, .size = size};
}

void sbuf_add(struct sbuf *s, const char *format, ...)
{
	size_t room = s->size - s->used;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(s->text + s->used, room, format, args);
	va_end(args);
	if (n < 0)
		return;
	s->used += (size_t)n < room ? (size_t)n : room - 1;
}

void sbuf_add_quoted(struct sbuf *s, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;

	sbuf_add(s, "\"");
	for (size_t i = 0; i < size && s->used + 1 < s->size; i++) {
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\')
			sbuf_add(s, "%c", p[i]);
		else
			sbuf_add(s, "\\x%02x", p[i]);
	}
	sbuf_add(s, "\"");
}
