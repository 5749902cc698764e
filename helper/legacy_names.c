/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_names.c: requests that make, change and remove names. */
#include "helper/legacy_ops.h"

#include "helper/cred.h"
#include "helper/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What making a name starts with: where it is to be, and who makes it. */
static int begin(const struct legacy_call *c, const struct wt_str *path, uint32_t uid, uint32_t gid,
                 struct place *place, struct cred_scope *scope)
{
	int r = place_find(c->x, path, place);

	return r < 0 ? r : cred_enter(scope, uid, gid, CRED_OVERRIDE);
}

int legacy_answer_mknod(struct legacy_call *c, const struct legacy_mknod_req *q,
                        struct legacy_mknod_rep *a UNUSED)
{
	AUTO_CRED struct cred_scope scope = CRED_NONE;
	AUTO_PLACE struct place place = PLACE_NONE;
	int r = begin(c, &q->path, q->uid, q->gid, &place, &scope);

	if (r < 0)
		return r;
	return mknodat(place.dir, place.name, q->mode & (S_IFMT | 07777), q->rdev) < 0 ? -errno : 0;
}

int legacy_answer_mkdir(struct legacy_call *c, const struct legacy_mkdir_req *q,
                        struct legacy_mkdir_rep *a UNUSED)
{
	AUTO_CRED struct cred_scope scope = CRED_NONE;
	AUTO_PLACE struct place place = PLACE_NONE;
	int r = begin(c, &q->path, q->uid, q->gid, &place, &scope);

	if (r < 0)
		return r;
	return mkdirat(place.dir, place.name, q->mode & 07777) < 0 ? -errno : 0;
}

int legacy_answer_symlink(struct legacy_call *c, const struct legacy_symlink_req *q,
                          struct legacy_symlink_rep *a UNUSED)
{
	AUTO_CRED struct cred_scope scope = CRED_NONE;
	AUTO_PLACE struct place place = PLACE_NONE;
	int r = begin(c, &q->path, q->uid, q->gid, &place, &scope);

	if (r < 0)
		return r;
	if (!wt_str_copy(&q->target, c->target, sizeof(c->target)))
		return -ENAMETOOLONG;
	return symlinkat(c->target, place.dir, place.name) < 0 ? -errno : 0;
}

int legacy_answer_link(struct legacy_call *c, const struct legacy_link_req *q,
                       struct legacy_link_rep *a UNUSED)
{
	AUTO_PLACE struct place from = PLACE_NONE;
	AUTO_PLACE struct place to = PLACE_NONE;
	int r = place_find(c->x, &q->from, &from);

	if (r == 0)
		r = place_find(c->x, &q->to, &to);
	if (r < 0)
		return r;
	return linkat(from.dir, from.name, to.dir, to.name, 0) < 0 ? -errno : 0;
}

int legacy_answer_rename(struct legacy_call *c, const struct legacy_rename_req *q,
                         struct legacy_rename_rep *a UNUSED)
{
	AUTO_PLACE struct place from = PLACE_NONE;
	AUTO_PLACE struct place to = PLACE_NONE;
	int r = place_find(c->x, &q->from, &from);

	if (r == 0)
		r = place_find(c->x, &q->to, &to);
	if (r < 0)
		return r;
	return renameat(from.dir, from.name, to.dir, to.name) < 0 ? -errno : 0;
}

/* As remove(3): the dialect does not say which of the two it means. */
int legacy_answer_remove(struct legacy_call *c, const struct legacy_remove_req *q,
                         struct legacy_remove_rep *a UNUSED)
{
	AUTO_PLACE struct place place = PLACE_NONE;
	int r = place_find(c->x, &q->path, &place);

	if (r < 0)
		return r;
	if (unlinkat(place.dir, place.name, 0) == 0)
		return 0;
	if (errno != EISDIR)
		return -errno;
	return unlinkat(place.dir, place.name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int legacy_answer_readlink(struct legacy_call *c, const struct legacy_readlink_req *q,
                           struct legacy_readlink_rep *a)
{
	AUTO_PLACE struct place place = PLACE_NONE;
	int r = place_find(c->x, &q->path, &place);
	ssize_t n;

	if (r < 0)
		return r;
	n = readlinkat(place.dir, place.name, c->target, sizeof(c->target));
	if (n < 0)
		return -errno;
	/* QEMU copies it into size bytes with a NUL and checks nothing; a cut target would be
	 * another one. */
	if ((size_t)n >= sizeof(c->target) || (size_t)n >= q->size)
		return -ENAMETOOLONG;
	a->target = (struct wt_str){.data = (const uint8_t *)c->target, .size = (size_t)n};
	return 0;
}
