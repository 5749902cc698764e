/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio/memory.h"

#include "common/checked.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGN_MAX (1u << 30) /* the largest huge page */

/* ---- pieces ---- */

struct shared_piece {
	unsigned refs;
	unsigned slot;
	uint8_t *host; /* of its first byte */
	uint64_t size;
	uint8_t *mapped; /* with what stands before it in its (huge) page */
	size_t mapped_size;
};

/* What the signal handler knows. A slot is in use when size is not 0; it is filled and emptied while
 * nobody touches its memory. */
static struct {
	uint8_t *mapped;
	_Atomic size_t size;
	size_t page;
	_Atomic bool damaged;
} slots[GUEST_PIECES_MAX];
static atomic_uint damage;

static void on_sigbus(int number UNUSED, siginfo_t *info, void *context UNUSED)
{
	const uint8_t *at = info->si_addr;
	int saved = errno;

	for (unsigned i = 0; info->si_code > 0 && i < GUEST_PIECES_MAX; i++) {
		size_t size = slots[i].size, offset;

		if (size == 0 || at < slots[i].mapped)
			continue;
		offset = (size_t)(at - slots[i].mapped);
		if (offset >= size)
			continue;
		offset -= offset % slots[i].page;
		if (mmap(slots[i].mapped + offset, slots[i].page, PROT_READ | PROT_WRITE,
		         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			break;
		slots[i].damaged = true;
		damage++;
		errno = saved;
		return;
	}
	/* Not of a guest: what happens without a handler, at the second try. */
	(void)signal(SIGBUS, SIG_DFL);
	if (info->si_code <= 0)
		(void)raise(SIGBUS);
	errno = saved;
}

int guest_memory_guard(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	(void)sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

unsigned guest_memory_damage(void)
{
	return damage;
}

/* What offset and length of a mapping must be multiples of: hugetlbfs tells its page as the block
 * size, and for other files a large one does no harm. */
static uint64_t alignment(const struct stat *st)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), block = (uint64_t)st->st_blksize;

	if (st->st_blksize <= 0 || block < page || block > ALIGN_MAX || (block & (block - 1)))
		return page;
	return block;
}

static unsigned free_slot(void)
{
	unsigned i = 0;

	while (i < GUEST_PIECES_MAX && slots[i].size != 0)
		i++;
	return i;
}

int shared_piece_map(int fd, uint64_t offset, uint64_t size, struct shared_piece **ret)
{
	struct shared_piece *p;
	struct stat st;
	uint64_t end, align, start, length;
	unsigned slot = free_slot();
	void *mapped;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || size == 0 || !checked_add_u64(offset, size, &end) ||
	    end > (uint64_t)st.st_size)
		return -EINVAL;
	if (slot == GUEST_PIECES_MAX)
		return -ENOSPC;
	align = alignment(&st);
	start = offset & ~(align - 1);
	/* No overflow: a file's size is below 2^63. */
	length = (end - start + align - 1) & ~(align - 1);
	if (length > SIZE_MAX / 2)
		return -ENOMEM;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	mapped = mmap(NULL, (size_t)length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	if (mapped == MAP_FAILED) {
		int r = -errno;

		free(p);
		return r;
	}
	*p = (struct shared_piece){.refs = 1,
	                           .slot = slot,
	                           .host = (uint8_t *)mapped + (offset - start),
	                           .size = size,
	                           .mapped = mapped,
	                           .mapped_size = (size_t)length};
	slots[slot].mapped = mapped;
	slots[slot].page = (size_t)align;
	slots[slot].damaged = false;
	slots[slot].size = (size_t)length;
	*ret = p;
	return 0;
}

struct shared_piece *shared_piece_hold(struct shared_piece *p)
{
	p->refs++;
	return p;
}

void shared_piece_put(struct shared_piece *p)
{
	if (!p || --p->refs > 0)
		return;
	slots[p->slot].size = 0;
	(void)munmap(p->mapped, p->mapped_size);
	free(p);
}

void *shared_piece_at(const struct shared_piece *p, uint64_t offset, uint64_t size, size_t align)
{
	uint8_t *at;

	if (offset > p->size || size > p->size - offset)
		return NULL;
	at = p->host + offset;
	return (uintptr_t)at % align == 0 ? at : NULL;
}

bool shared_piece_damaged(const struct shared_piece *p)
{
	return slots[p->slot].damaged;
}

/* ---- maps ---- */

struct mapped_region {
	struct guest_region is;
	struct shared_piece *piece;
};

struct guest_map {
	unsigned refs;
	unsigned count;
	struct mapped_region regions[]; /* by gpa */
};

static struct guest_map *new_map(unsigned count)
{
	struct guest_map *m = calloc(1, sizeof(*m) + count * sizeof(struct mapped_region));

	if (m)
		m->refs = 1;
	return m;
}

int guest_map_new(struct guest_map **ret)
{
	*ret = new_map(0);
	return *ret ? 0 : -ENOMEM;
}

struct guest_map *guest_map_hold(struct guest_map *m)
{
	m->refs++;
	return m;
}

void guest_map_put(struct guest_map *m)
{
	if (!m || --m->refs > 0)
		return;
	for (unsigned i = 0; i < m->count; i++)
		shared_piece_put(m->regions[i].piece);
	free(m);
}

unsigned guest_map_count(const struct guest_map *m)
{
	return m->count;
}

static void append(struct guest_map *m, const struct guest_region *r, struct shared_piece *piece)
{
	m->regions[m->count++] = (struct mapped_region){*r, piece};
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

int guest_map_add(const struct guest_map *m, const struct guest_region *r, int fd,
                  struct guest_map **ret)
{
	struct shared_piece *piece = NULL;
	struct guest_map *next;
	uint64_t end;
	unsigned i = 0;
	int error;

	if (!checked_add_u64(r->gpa, r->size, &end) || !checked_add_u64(r->uva, r->size, &end))
		return -EINVAL;
	for (unsigned k = 0; k < m->count; k++) {
		const struct guest_region *o = &m->regions[k].is;

		if (overlap(r->gpa, r->size, o->gpa, o->size) ||
		    overlap(r->uva, r->size, o->uva, o->size))
			return -EEXIST;
	}
	if (m->count == GUEST_REGIONS_MAX)
		return -ENOSPC;
	error = shared_piece_map(fd, r->offset, r->size, &piece);
	if (error < 0)
		return error;
	next = new_map(m->count + 1);
	if (!next) {
		shared_piece_put(piece);
		return -ENOMEM;
	}
	for (; i < m->count && m->regions[i].is.gpa < r->gpa; i++)
		append(next, &m->regions[i].is, shared_piece_hold(m->regions[i].piece));
	append(next, r, piece);
	for (; i < m->count; i++)
		append(next, &m->regions[i].is, shared_piece_hold(m->regions[i].piece));
	*ret = next;
	return 0;
}

int guest_map_remove(const struct guest_map *m, const struct guest_region *r,
                     struct guest_map **ret)
{
	struct guest_map *next;
	unsigned gone = 0;

	while (gone < m->count &&
	       !(m->regions[gone].is.gpa == r->gpa && m->regions[gone].is.size == r->size &&
	         m->regions[gone].is.uva == r->uva))
		gone++;
	if (gone == m->count)
		return -ENOENT;
	next = new_map(m->count - 1);
	if (!next)
		return -ENOMEM;
	for (unsigned i = 0; i < m->count; i++) {
		if (i != gone)
			append(next, &m->regions[i].is, shared_piece_hold(m->regions[i].piece));
	}
	*ret = next;
	return 0;
}

/* The region with gpa in it, or NULL. */
static const struct mapped_region *region_of(const struct guest_map *m, uint64_t gpa)
{
	unsigned low = 0, high = m->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct mapped_region *r = &m->regions[middle];

		if (gpa < r->is.gpa)
			high = middle;
		else if (gpa - r->is.gpa >= r->is.size)
			low = middle + 1;
		else
			return r;
	}
	return NULL;
}

/* The first bytes of so many that start at gpa, as far as they lie in one region. Return: false if they are in none. */
static bool first_piece(const struct guest_map *m, uint64_t gpa, uint64_t size, struct iovec *ret)
{
	const struct mapped_region *r = region_of(m, gpa);
	uint64_t inside, left;

	if (!r)
		return false;
	inside = gpa - r->is.gpa;
	left = r->is.size - inside;
	*ret = (struct iovec){.iov_base = r->piece->host + inside,
	                      .iov_len = (size_t)(left < size ? left : size)};
	return true;
}

int guest_map_find(const struct guest_map *m, uint64_t gpa, uint64_t size, struct iovec *iov,
                   unsigned room)
{
	unsigned count = 0;

	/* No address wraps around: no region has the last one. */
	while (size > 0) {
		struct iovec piece;

		if (!first_piece(m, gpa, size, &piece))
			return -EFAULT;
		if (count == room)
			return -ENOBUFS;
		iov[count++] = piece;
		gpa += piece.iov_len;
		size -= piece.iov_len;
	}
	return (int)count;
}

int guest_map_read(const struct guest_map *m, uint64_t gpa, void *to, size_t size)
{
	uint8_t *at = to;

	while (size > 0) {
		struct iovec piece;

		if (!first_piece(m, gpa, size, &piece))
			return -EFAULT;
		guest_copy_out(at, piece);
		at += piece.iov_len;
		gpa += piece.iov_len;
		size -= piece.iov_len;
	}
	return 0;
}

void *guest_map_ring(const struct guest_map *m, uint64_t uva, uint64_t size, size_t align)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct mapped_region *r = &m->regions[i];

		if (uva >= r->is.uva && uva - r->is.uva < r->is.size)
			return shared_piece_at(r->piece, uva - r->is.uva, size, align);
	}
	return NULL;
}

bool guest_memory_damaged(const struct guest_map *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		if (shared_piece_damaged(m->regions[i].piece))
			return true;
	}
	return false;
}

/* ---- bytes ---- */

/* After the copy the compiler must take it that the guest's memory is another. */
#define FORGET() __asm__ volatile("" ::: "memory")

void guest_copy_out(void *to, struct iovec v)
{
	memcpy(to, v.iov_base, v.iov_len);
	FORGET();
}

void guest_copy_in(struct iovec v, const void *from)
{
	memcpy(v.iov_base, from, v.iov_len);
	FORGET();
}

/* ---- the log ---- */

void dirty_log_mark(struct shared_piece *log, uint64_t gpa, uint64_t size)
{
	uint64_t page = gpa / DIRTY_PAGE, last, end;

	if (size == 0 || !checked_add_u64(gpa, size - 1, &end))
		return;
	last = end / DIRTY_PAGE;
	for (; page <= last && page / 8 < log->size; page++)
		(void)__atomic_fetch_or(&log->host[page / 8], (uint8_t)(1u << (page % 8)),
		                        __ATOMIC_RELEASE);
}

void dirty_log_mark_iov(struct shared_piece *log, const struct guest_map *m, struct iovec v)
{
	const uint8_t *at = v.iov_base;

	for (unsigned i = 0; i < m->count; i++) {
		const struct mapped_region *r = &m->regions[i];

		/* guest_map_find() never gives a piece of two regions. */
		if (at >= r->piece->host && (uint64_t)(at - r->piece->host) < r->is.size)
			dirty_log_mark(log, r->is.gpa + (uint64_t)(at - r->piece->host), v.iov_len);
	}
}
