/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sbuf.h: text built up in a fixed buffer. Always NUL-terminated; text that does not fit is cut. */
#ifndef VIRTFS_COMMON_SBUF_H
#define VIRTFS_COMMON_SBUF_H

#include "common/compiler.h"

#include <stddef.h>

struct sbuf {
	char *text;
	size_t used;
	size_t size;
};

/** sbuf_over() - An empty text in buffer, which has room for size bytes (at least 1) with the final
 * NUL. */
struct sbuf sbuf_over(char *buffer, size_t size);

void sbuf_add(struct sbuf *s, const char *format, ...) PRINTF_LIKE(2, 3);

/** sbuf_add_quoted() - Add bytes of a peer in double quotes; what is not plain ASCII is written as
 * \xNN. */
void sbuf_add_quoted(struct sbuf *s, const void *bytes, size_t size);

#endif
