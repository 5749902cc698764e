/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_file.c: requests that open files. */
#include "helper/legacy_ops.h"

#include "common/cleanup.h"
#include "helper/cred.h"
#include "helper/node.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

/* A name that exists at one look and not at the next is tried again so often. */
#define CREATE_TRIES 8

/* The flags of open(2) that a guest may ask for; others are dropped, as QEMU drops them. */
#define GUEST_FLAGS \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_NOATIME | O_TRUNC | O_DIRECTORY | O_SYNC | O_DSYNC)

static int guest_flags(const struct export *x, uint32_t wanted, int *ret_flags)
{
	int flags = (int)(wanted & (uint32_t)GUEST_FLAGS);

	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (x->readonly && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)))
		return -EROFS;
	*ret_flags = flags;
	return 0;
}

int legacy_answer_open(struct legacy_call *c, const struct legacy_open_req *q,
                       struct legacy_open_rep *a UNUSED)
{
	AUTO_CLOSE int node = -1;
	int flags = 0;
	int r = guest_flags(c->x, q->flags, &flags);

	if (r == 0)
		r = node_at(c->x, &q->path, &node);
	return r < 0 ? r : node_reopen(c->x, node, flags, &c->fd);
}

/*
 * Creation without O_EXCL met something that is there. The guest's kernel took the name for free
 * and checked no permission, so the host's bits decide.
 */
static int open_existing(struct legacy_call *c, const struct place *place,
                         const struct legacy_create_req *q, int flags)
{
	AUTO_CRED struct cred_scope scope = CRED_NONE;
	AUTO_CLOSE int node = -1;
	int r = cred_enter(&scope, q->uid, q->gid, CRED_STRICT);

	if (r == 0)
		r = node_find(place, &node);
	return r < 0 ? r : node_reopen(c->x, node, flags, &c->fd);
}

static int create_new(struct legacy_call *c, const struct place *place,
                      const struct legacy_create_req *q, int flags)
{
	AUTO_CRED struct cred_scope scope = CRED_NONE;
	int r = cred_enter(&scope, q->uid, q->gid, CRED_OVERRIDE);

	return r < 0 ? r : node_create(place, flags, q->mode & 07777, &c->fd);
}

int legacy_answer_create(struct legacy_call *c, const struct legacy_create_req *q,
                         struct legacy_create_rep *a UNUSED)
{
	AUTO_PLACE struct place place = PLACE_NONE;
	int flags = 0;
	int r = guest_flags(c->x, q->flags, &flags);

	if (r == 0)
		r = place_find(c->x, &q->path, &place);
	if (r < 0)
		return r;
	for (int i = 0; i < CREATE_TRIES; i++) {
		r = create_new(c, &place, q, flags & ~O_DIRECTORY);
		if (r != -EEXIST || (q->flags & O_EXCL))
			return r;
		r = open_existing(c, &place, q, flags);
		if (r != -ENOENT)
			return r;
	}
	return -EEXIST;
}

int legacy_answer_truncate(struct legacy_call *c, const struct legacy_truncate_req *q,
                           struct legacy_truncate_rep *a UNUSED)
{
	AUTO_CLOSE int node = -1;
	int r;

	if (q->length > INT64_MAX)
		return -EINVAL;
	r = node_at(c->x, &q->path, &node);
	return r < 0 ? r : node_truncate(c->x, node, (off_t)q->length);
}

int legacy_answer_getversion(struct legacy_call *c, const struct legacy_getversion_req *q,
                             struct legacy_getversion_rep *a)
{
	AUTO_CLOSE int node = -1;
	AUTO_CLOSE int fd = -1;
	uint32_t generation =
	    0; /* the file systems write an int, whatever the ioctl's definition says */
	int r;

	a->generation = 0;
	if (!c->x->has_generations)
		return 0;
	r = node_at(c->x, &q->path, &node);
	if (r == 0)
		r = node_reopen(c->x, node, O_RDONLY | O_NONBLOCK | O_NOATIME, &fd);
	if (r < 0)
		return r;
	if (ioctl(fd, FS_IOC_GETVERSION, &generation) < 0)
		return errno == ENOTTY ? 0
		                       : -errno; /* another file system is mounted in the export */
	a->generation = generation;
	return 0;
}
