/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * images.h: image files in a directory of the test's own, and what image_open() says of their descriptors.
 *
 * Every function fails the test (cr_assert) where it cannot do its work.
 */
#ifndef VIRTFS_TESTS_LIB_IMAGES_H
#define VIRTFS_TESTS_LIB_IMAGES_H

#include "virtio-blk/image.h"

#include <stddef.h>

/** images_start() - Make the directory and make it the working directory. */
void images_start(void);

/** images_end() - Remove it with all that is in it. */
void images_end(void);

/** images_make() - A file of that size in it, which begins with those bytes (none: NULL). */
void images_make(const char *name, uint64_t size, const void *head, size_t head_size);

/** images_open() - Open one, close-on-exec. */
int images_open(const char *name, int flags);

/** images_spec() - A chain of one layer, cache writeback. */
struct image_spec images_spec(const char *format, int fd, bool readonly);

/** images_taken() - Make it an image, which must succeed. */
struct image *images_taken(const struct image_spec *spec);

/** images_refused() - image_open() must refuse with -error and that text, and leave all descriptors open. */
void images_refused(const struct image_spec *spec, int error, const char *text);

#endif
