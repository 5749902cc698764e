/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/qid.h"

#include "wire/p9.h"

#include <stdlib.h>
#include <sys/stat.h>

#define INO_BITS    56
#define ODD_PREFIX  ((uint64_t)255 << INO_BITS)
#define ODD_BUCKETS 4096

static uint64_t mix(uint64_t x)
{
	/* The finaliser of splitmix64. */
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static bool find_device(struct qid_map *m, uint64_t dev, uint32_t *ret)
{
	for (uint32_t i = 0; i < m->device_count; i++) {
		if (m->devices[i] == dev) {
			*ret = i;
			return true;
		}
	}
	if (m->device_count == QID_DEVICES_MAX)
		return false;
	*ret = m->device_count;
	m->devices[m->device_count++] = dev;
	return true;
}

static bool grow_odd(struct qid_map *m)
{
	uint32_t room = m->odd_room ? 2 * m->odd_room : 1024;
	struct qid_odd *more;

	if (!m->odd_buckets)
		m->odd_buckets = calloc(ODD_BUCKETS, sizeof(*m->odd_buckets));
	if (!m->odd_buckets || room > QID_ODD_MAX)
		return false;
	more = reallocarray(m->odd, room, sizeof(*more));
	if (!more)
		return false;
	m->odd = more;
	m->odd_room = room;
	return true;
}

static bool odd_path(struct qid_map *m, uint64_t dev, uint64_t ino, uint64_t *ret)
{
	uint64_t bucket = mix(dev * 31 + ino) % ODD_BUCKETS;

	for (uint32_t i = m->odd_buckets ? m->odd_buckets[bucket] : 0; i; i = m->odd[i - 1].next) {
		if (m->odd[i - 1].dev == dev && m->odd[i - 1].ino == ino) {
			*ret = ODD_PREFIX | i;
			return true;
		}
	}
	if (m->odd_count == m->odd_room && !grow_odd(m))
		return false;
	m->odd[m->odd_count] =
	    (struct qid_odd){.dev = dev, .ino = ino, .next = m->odd_buckets[bucket]};
	m->odd_buckets[bucket] = ++m->odd_count;
	*ret = ODD_PREFIX | m->odd_count;
	return true;
}

bool qid_path(struct qid_map *m, uint64_t dev, uint64_t ino, uint64_t *ret)
{
	uint32_t d = 0;

	if (ino >> INO_BITS || !find_device(m, dev, &d))
		return odd_path(m, dev, ino, ret);
	*ret = (uint64_t)d << INO_BITS | ino;
	return true;
}

bool qid_of(struct qid_map *m, const struct wt_attr *a, struct wt_qid *ret)
{
	uint64_t v = mix((uint64_t)a->mtime.sec * 1000000000u + a->mtime.nsec) ^ mix(a->size + 1);

	ret->type = S_ISDIR(a->mode) ? P9_QTDIR : S_ISLNK(a->mode) ? P9_QTSYMLINK : P9_QTFILE;
	ret->version = (uint32_t)(v ^ v >> 32);
	if (ret->version == 0)
		ret->version = 1; /* 0 keeps Linux from caching */
	return qid_path(m, a->dev, a->ino, &ret->path);
}

void qid_map_free(struct qid_map *m)
{
	free(m->odd);
	free(m->odd_buckets);
}
