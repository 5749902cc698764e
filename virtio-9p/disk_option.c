/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/disk_option.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"
#include "virtio-blk/image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define KNOWN                                                                         \
	"id, fd, format, data-fd, readonly, shared, cache, discard, serial, queues, " \
	"queue-size, socket-path and vhost-user-fd"

enum kind { TEXT, NUMBER, DESCRIPTOR, SWITCH, CACHE };

static const struct key {
	const char *name;
	enum kind kind;
	size_t at;    /* in struct disk_option */
	uint64_t max; /* of a NUMBER */
} keys[] = {
    {"id", TEXT, offsetof(struct disk_option, id), 0},
    {"fd", DESCRIPTOR, offsetof(struct disk_option, fd), 0},
    {"format", TEXT, offsetof(struct disk_option, format), 0},
    {"data-fd", DESCRIPTOR, offsetof(struct disk_option, data_fd), 0},
    {"readonly", SWITCH, offsetof(struct disk_option, readonly), 0},
    {"shared", SWITCH, offsetof(struct disk_option, shared), 0},
    {"cache", CACHE, offsetof(struct disk_option, cache), 0},
    {"discard", SWITCH, offsetof(struct disk_option, discard), 0},
    {"serial", TEXT, offsetof(struct disk_option, serial), 0},
    {"queues", NUMBER, offsetof(struct disk_option, queues), DISK_QUEUES_MAX},
    {"queue-size", NUMBER, offsetof(struct disk_option, queue_size), DISK_QUEUE_SIZE_MAX},
    {"socket-path", TEXT, offsetof(struct disk_option, socket_path), 0},
    {"vhost-user-fd", DESCRIPTOR, offsetof(struct disk_option, vhost_user_fd), 0},
};

static bool take_descriptor(const char *key, const char *value, int *ret)
{
	uint64_t n;

	if (!parse_u64(value, INT_MAX, &n) || n < 3) {
		log_error("--disk: %s=%s: must be the number of a descriptor, 3 or above (EBADF)",
		          key, value);
		return false;
	}
	if (fcntl((int)n, F_GETFD) < 0) {
		log_error("--disk: %s=%s: is no open descriptor (EBADF)", key, value);
		return false;
	}
	*ret = (int)n;
	return true;
}

static bool take_switch(const char *key, const char *value, bool *ret)
{
	*ret = strcmp(value, "on") == 0;
	if (*ret || strcmp(value, "off") == 0)
		return true;
	log_error("--disk: %s=%s: must be on or off", key, value);
	return false;
}

static bool take_number(const struct key *k, const char *value, unsigned *ret)
{
	uint64_t n;

	if (!parse_u64(value, k->max, &n) || n == 0) {
		log_error("--disk: %s=%s: must be a decimal number from 1 to %llu", k->name, value,
		          (unsigned long long)k->max);
		return false;
	}
	*ret = (unsigned)n;
	return true;
}

static bool take_value(const struct key *k, char *value, struct disk_option *o)
{
	void *to = (char *)o + k->at;

	if (!*value) {
		log_error("--disk: %s= has no value", k->name);
		return false;
	}
	switch (k->kind) {
	case TEXT:
		*(const char **)to = value;
		return true;
	case NUMBER:
		return take_number(k, value, to);
	case DESCRIPTOR:
		return take_descriptor(k->name, value, to);
	case SWITCH:
		return take_switch(k->name, value, to);
	case CACHE:
		if (disk_cache_from_name(value, to))
			return true;
		log_error("--disk: cache=%s: must be " DISK_CACHE_NAMES, value);
		return false;
	}
	return false;
}

/* One key=value; seen: a bit for each key that was there. */
static bool take_pair(char *pair, unsigned *seen, struct disk_option *o)
{
	char *value = strchr(pair, '=');

	if (!value) {
		log_error("--disk: '%s': must be KEY=VALUE, with " KNOWN " as keys", pair);
		return false;
	}
	*value++ = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].name, pair) != 0)
			continue;
		if (*seen & (1u << i)) {
			log_error("--disk: %s is there twice", pair);
			return false;
		}
		*seen |= 1u << i;
		return take_value(&keys[i], value, o);
	}
	log_error("--disk: there is no key '%s': known are " KNOWN, pair);
	return false;
}

static bool check(const struct disk_option *o)
{
	if (!o->id)
		log_error("--disk: id is missing: a name of the disk's own");
	else if (o->fd < 0)
		log_error("--disk %s: fd is missing: the number of its descriptor", o->id);
	else if (!o->format)
		log_error("--disk %s: format is missing: it is never found out from the image; "
		          "say format=raw (ENOTSUP)",
		          o->id);
	else if ((o->socket_path != NULL) == (o->vhost_user_fd >= 0))
		log_error("--disk %s: one of socket-path and vhost-user-fd is needed: where the "
		          "emulator connects",
		          o->id);
	else
		return true;
	return false;
}

bool disk_option_add(struct disk_options *all, const char *text)
{
	struct disk_option *o = &all->disk[all->count];
	char *copy = strdup(text), *rest = copy, *pair;
	unsigned seen = 0;

	if (!copy || all->count == DISK_OPTIONS_MAX) {
		log_error(copy ? "--disk: at most %d disks can be named at the start"
		               : "out of memory for %d disks",
		          DISK_OPTIONS_MAX);
		free(copy);
		return false;
	}
	*o = (struct disk_option){.fd = -1, .data_fd = -1, .vhost_user_fd = -1};
	while ((pair = strsep(&rest, ","))) {
		if (!take_pair(pair, &seen, o)) {
			free(copy);
			return false;
		}
	}
	if (!check(o)) {
		free(copy);
		return false;
	}
	all->count++;
	return true;
}

static int attach(const struct disk_option *o, struct disk_host *h, struct disk_spec *spec,
                  struct sbuf *why)
{
	struct image_spec image = {
	    .layer = {{.format = o->format, .fd = o->fd, .data_fd = o->data_fd}},
	    .layers = 1,
	    .readonly = o->readonly,
	    .shared = o->shared,
	    .cache = o->cache,
	};
	struct disk *d;
	int r = image_open(&image, why, &spec->image);

	if (r < 0)
		return r;
	spec->id = o->id;
	spec->cache = o->cache;
	spec->discard = o->discard;
	spec->serial = o->serial;
	spec->queues = o->queues;
	spec->queue_size = o->queue_size;
	r = disk_new(h, spec, why, &d);
	if (r < 0)
		image_close(spec->image);
	return r;
}

int disk_options_attach(const struct disk_options *all, struct disk_host *h)
{
	for (size_t i = 0; i < all->count; i++) {
		const struct disk_option *o = &all->disk[i];
		struct disk_spec spec = {.vhost_user_fd = o->vhost_user_fd};
		char text[IMAGE_WHY_MAX];
		struct sbuf why = sbuf_over(text, sizeof(text));
		int r = attach(o, h, &spec, &why);

		if (r < 0) {
			log_error("--disk %s: %s (%s)", o->id, text, errno_name(r));
			return r;
		}
	}
	return 0;
}
