/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_attr.c: requests that read and change attributes. */
#include "helper/legacy_ops.h"

#include "common/cleanup.h"
#include "helper/node.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

int legacy_answer_lstat(struct legacy_call *c, const struct legacy_lstat_req *q,
                        struct legacy_lstat_rep *a)
{
	AUTO_PLACE struct place place = PLACE_NONE;
	struct stat st;
	int r = place_find(c->x, &q->path, &place);

	if (r < 0)
		return r;
	if (fstatat(place.dir, place.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	a->dev = st.st_dev;
	a->ino = st.st_ino;
	a->nlink = st.st_nlink;
	a->mode = st.st_mode;
	a->uid = st.st_uid;
	a->gid = st.st_gid;
	a->rdev = st.st_rdev;
	a->size = (uint64_t)st.st_size;
	a->blksize = (uint64_t)st.st_blksize;
	a->blocks = (uint64_t)st.st_blocks;
	a->atime_sec = (uint64_t)st.st_atim.tv_sec;
	a->atime_nsec = (uint64_t)st.st_atim.tv_nsec;
	a->mtime_sec = (uint64_t)st.st_mtim.tv_sec;
	a->mtime_nsec = (uint64_t)st.st_mtim.tv_nsec;
	a->ctime_sec = (uint64_t)st.st_ctim.tv_sec;
	a->ctime_nsec = (uint64_t)st.st_ctim.tv_nsec;
	return 0;
}

int legacy_answer_statfs(struct legacy_call *c, const struct legacy_statfs_req *q,
                         struct legacy_statfs_rep *a)
{
	AUTO_CLOSE int node = -1;
	struct statfs fs;
	uint32_t fsid1;
	int r = node_at(c->x, &q->path, &node);

	if (r < 0)
		return r;
	if (fstatfs(node, &fs) < 0)
		return -errno;
	a->type = (uint64_t)fs.f_type;
	a->bsize = (uint64_t)fs.f_bsize;
	a->blocks = fs.f_blocks;
	a->bfree = fs.f_bfree;
	a->bavail = fs.f_bavail;
	a->files = fs.f_files;
	a->ffree = fs.f_ffree;
	/* QEMU takes the low half of fsid0 and the high half of fsid1: the word stands in both
	 * halves here. */
	a->fsid0 = (uint32_t)fs.f_fsid.__val[0];
	fsid1 = (uint32_t)fs.f_fsid.__val[1];
	a->fsid1 = (uint64_t)fsid1 << 32 | fsid1;
	a->namelen = (uint64_t)fs.f_namelen;
	a->frsize = (uint64_t)fs.f_frsize;
	return 0;
}

int legacy_answer_chmod(struct legacy_call *c, const struct legacy_chmod_req *q,
                        struct legacy_chmod_rep *a UNUSED)
{
	AUTO_CLOSE int node = -1;
	int r = node_at(c->x, &q->path, &node);

	return r < 0 ? r : node_chmod(c->x, node, q->mode & 07777);
}

int legacy_answer_chown(struct legacy_call *c, const struct legacy_chown_req *q,
                        struct legacy_chown_rep *a UNUSED)
{
	AUTO_PLACE struct place place = PLACE_NONE;
	int r = place_find(c->x, &q->path, &place);

	if (r < 0)
		return r;
	/* LEGACY_ID_KEEP is chown(2)'s own -1. */
	return fchownat(place.dir, place.name, q->uid, q->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
	                                                                                : 0;
}

int legacy_answer_utime(struct legacy_call *c, const struct legacy_utime_req *q,
                        struct legacy_utime_rep *a UNUSED)
{
	AUTO_PLACE struct place place = PLACE_NONE;
	const struct timespec times[2] = {
	    {.tv_sec = (time_t)q->atime_sec, .tv_nsec = (long)q->atime_nsec},
	    {.tv_sec = (time_t)q->mtime_sec, .tv_nsec = (long)q->mtime_nsec},
	};
	int r = place_find(c->x, &q->path, &place);

	if (r < 0)
		return r;
	return utimensat(place.dir, place.name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}
