/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-blk/image_fd.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define SECTOR     512u   /* what virtio counts in */
#define BLOCK_MAX  65536u /* larger units are no block size, but a stripe or a transfer */
#define FILE_BLOCK 4096u
#define PROBE_SIZE 4096u

int image_refuse(struct sbuf *why, int error, const char *format, ...)
{
	size_t room = why->size - why->used;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why->text + why->used, room, format, args);
	va_end(args);
	why->used += strlen(why->text + why->used);
	return -error;
}

/* ---- the descriptor ---- */

static const struct {
	int flag;
	const char *name;
	const char *harm;
} unwanted[] = {
    {O_PATH, "O_PATH", "cannot be read"},
    {O_APPEND, "O_APPEND", "writes at its end only"},
    {O_NONBLOCK, "O_NONBLOCK", "may fail where others wait"},
};

static const struct {
	int flag;
	const char *name;
	enum disk_cache cache;
	bool for_reading_too;
} cache_flags[] = {
    {O_DIRECT, "O_DIRECT", DISK_NONE, true},
    {O_DSYNC, "O_DSYNC", DISK_WRITETHROUGH, false},
};

static int check_mode(const struct image_fd *f, int flags, struct sbuf *why)
{
	int mode = flags & O_ACCMODE;

	for (size_t i = 0; i < ARRAY_SIZE(unwanted); i++) {
		if (flags & unwanted[i].flag)
			return image_refuse(why, EINVAL,
			                    "%s was opened with %s and %s: open it without",
			                    f->name, unwanted[i].name, unwanted[i].harm);
	}
	if (f->writable && mode != O_RDWR)
		return image_refuse(why, EINVAL,
		                    "%s was opened %s, but the disk is to be written: open it for "
		                    "reading and writing, "
		                    "or say that the disk is read-only",
		                    f->name,
		                    mode == O_RDONLY ? "for reading only" : "for writing only");
	if (!f->writable && mode != O_RDONLY)
		return image_refuse(
		    why, EINVAL,
		    "%s was opened for writing, but is only to be read: open it for reading only",
		    f->name);
	return 0;
}

static int check_cache(const struct image_fd *f, int flags, enum disk_cache cache, struct sbuf *why)
{
	for (size_t i = 0; i < ARRAY_SIZE(cache_flags); i++) {
		bool has = flags & cache_flags[i].flag, wanted = cache == cache_flags[i].cache;

		if (has == wanted || !(f->writable || cache_flags[i].for_reading_too))
			continue;
		return image_refuse(
		    why, EINVAL,
		    "%s was opened with%s %s, but the disk's cache is %s: %s has that "
		    "flag, and the others do not",
		    f->name, has ? "" : "out", cache_flags[i].name, disk_cache_name(cache),
		    disk_cache_name(cache_flags[i].cache));
	}
	return 0;
}

/* A descriptor that may write to one is still refused by the device, at each write. */
static int check_read_only(const struct image_fd *f, struct sbuf *why)
{
	int readonly = 0;

	if (!f->writable || !f->is_block_device)
		return 0;
	if (ioctl(f->fd, BLKROGET, &readonly) < 0)
		return image_refuse(why, errno, "%s: BLKROGET: %s", f->name, errno_name(errno));
	if (readonly)
		return image_refuse(why, EROFS,
		                    "%s is a block device that is read-only, but the disk is to be "
		                    "written: make it writable (blockdev --setrw), or say that the "
		                    "disk is read-only",
		                    f->name);
	return 0;
}

int image_fd_check(struct image_fd *f, enum disk_cache cache, struct sbuf *why)
{
	int flags = f->fd < 0 ? -1 : fcntl(f->fd, F_GETFL), r;
	struct stat st;

	if (flags < 0 && f->fd < 0)
		return image_refuse(why, EBADF, "there is no descriptor for %s", f->name);
	if (flags < 0)
		return image_refuse(why, EBADF, "descriptor %d, for %s, is not open", f->fd,
		                    f->name);
	if (f->fd <= STDERR_FILENO)
		return image_refuse(
		    why, EBADF,
		    "descriptor %d, for %s, is standard input, output or error: pass another",
		    f->fd, f->name);
	r = check_mode(f, flags, why);
	if (r < 0)
		return r;
	if (fstat(f->fd, &st) < 0)
		return image_refuse(why, errno, "%s: fstat: %s", f->name, errno_name(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return image_refuse(why, EINVAL, "%s is neither a regular file nor a block device",
		                    f->name);
	f->is_block_device = S_ISBLK(st.st_mode);
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->unit = f->is_block_device ? st.st_rdev : 0;
	r = check_read_only(f, why);
	return r < 0 ? r : check_cache(f, flags, cache, why);
}

bool image_fd_same(const struct image_fd *a, const struct image_fd *b)
{
	return a->is_block_device ? a->unit == b->unit : a->dev == b->dev && a->ino == b->ino;
}

/* ---- its size and blocks ---- */

int image_fd_size(const struct image_fd *f, struct sbuf *why, uint64_t *ret)
{
	struct stat st;

	if (f->is_block_device) {
		if (ioctl(f->fd, BLKGETSIZE64, ret) < 0)
			return image_refuse(why, errno, "%s: BLKGETSIZE64: %s", f->name,
			                    errno_name(errno));
		return 0;
	}
	if (fstat(f->fd, &st) < 0)
		return image_refuse(why, errno, "%s: fstat: %s", f->name, errno_name(errno));
	*ret = (uint64_t)st.st_size;
	return 0;
}

/* v, if it is a power of two from SECTOR to max; else other. */
static uint32_t block_or(uint64_t v, uint32_t max, uint32_t other)
{
	return v >= SECTOR && v <= max && (v & (v - 1)) == 0 ? (uint32_t)v : other;
}

/* Where the file system does not tell: the least that one can read. A file that begins with a hole may say too little. */
static int try_direct(const struct image_fd *f, struct sbuf *why, struct image_blocks *b)
{
	AUTO_FREE uint8_t *memory = aligned_alloc(PROBE_SIZE, PROBE_SIZE);

	if (!memory)
		return image_refuse(why, ENOMEM, "no memory");
	b->block_size = SECTOR;
	while (b->block_size < PROBE_SIZE && pread(f->fd, memory, b->block_size, 0) < 0 &&
	       errno == EINVAL)
		b->block_size *= 2;
	b->memory_align = PROBE_SIZE;
	return 0;
}

static int direct_blocks(const struct image_fd *f, struct sbuf *why, struct image_blocks *b)
{
	uint32_t least = b->block_size;
	struct statx sx;
	int r;

	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
	    (sx.stx_mask & STATX_DIOALIGN) && sx.stx_dio_offset_align != 0) {
		b->block_size = block_or(sx.stx_dio_offset_align, BLOCK_MAX, SECTOR);
		b->memory_align = sx.stx_dio_mem_align;
	} else {
		r = try_direct(f, why, b);
		if (r < 0)
			return r;
	}
	if (b->block_size < least)
		b->block_size = least;
	return 0;
}

int image_fd_blocks(const struct image_fd *f, bool direct, struct sbuf *why,
                    struct image_blocks *ret)
{
	unsigned physical = 0, min = 0, optimal = 0;
	int logical = 0, r = 0;
	struct stat st;

	*ret = (struct image_blocks){.block_size = SECTOR, .memory_align = 1};
	if (f->is_block_device) {
		if (ioctl(f->fd, BLKSSZGET, &logical) < 0 ||
		    ioctl(f->fd, BLKPBSZGET, &physical) < 0 || ioctl(f->fd, BLKIOMIN, &min) < 0 ||
		    ioctl(f->fd, BLKIOOPT, &optimal) < 0)
			return image_refuse(why, errno, "%s: its block size: %s", f->name,
			                    errno_name(errno));
		ret->block_size = block_or((uint64_t)logical, BLOCK_MAX, SECTOR);
		ret->min_io = min;
		ret->opt_io = optimal;
	} else {
		if (fstat(f->fd, &st) < 0)
			return image_refuse(why, errno, "%s: fstat: %s", f->name,
			                    errno_name(errno));
		/* What a network's file system says is how much it likes to be asked for, not a block. */
		physical = block_or((uint64_t)st.st_blksize, FILE_BLOCK, FILE_BLOCK);
	}
	if (direct)
		r = direct_blocks(f, why, ret);
	ret->physical_block_size = block_or(physical, BLOCK_MAX, ret->block_size);
	if (ret->physical_block_size < ret->block_size)
		ret->physical_block_size = ret->block_size;
	return r;
}
