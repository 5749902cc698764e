/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/slow_fuse.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM       (FUSE_MIN_READ_BUFFER + SLOW_FILE_SIZE)
#define FIRST_NODE 2 /* the root is 1 */

struct slow_request {
	struct slow_request *next;
	union {
		struct fuse_in_header head;
		uint8_t bytes[ROOM];
	};
};

static const char *const names[SLOW_FILES] = {"a", "b"};

/* ---- answers ---- */

static void answer(const struct slow_fuse *s, const struct slow_request *q, int error,
                   const void *body, size_t size)
{
	struct {
		struct fuse_out_header head;
		uint8_t body[ROOM];
	} out = {.head = {.len = (uint32_t)(sizeof(out.head) + size),
	                  .error = -error,
	                  .unique = q->head.unique}};

	BUG_ON(size > sizeof(out.body));
	if (size)
		memcpy(out.body, body, size);
	/* Whoever asked may be gone: then nobody wants it. */
	if (write(s->fd, &out, out.head.len) < 0 && errno != ENOENT)
		BUG_ON(errno != ENODEV);
}

static struct fuse_attr attr_of(const struct slow_fuse *s, uint64_t node)
{
	struct fuse_attr a = {.ino = node, .nlink = 1, .blksize = 4096};

	if (node < FIRST_NODE) {
		a.mode = S_IFDIR | 0755;
	} else {
		a.mode = S_IFREG | s->file[node - FIRST_NODE].mode;
		a.size = s->file[node - FIRST_NODE].size;
	}
	return a;
}

static void answer_lookup(const struct slow_fuse *s, const struct slow_request *q)
{
	const char *name = (const char *)q->bytes + sizeof(q->head);

	for (uint64_t i = 0; i < SLOW_FILES; i++) {
		struct fuse_entry_out out = {.nodeid = FIRST_NODE + i};

		if (strcmp(name, names[i]) != 0)
			continue;
		out.attr = attr_of(s, out.nodeid);
		answer(s, q, 0, &out, sizeof(out));
		return;
	}
	answer(s, q, ENOENT, NULL, 0);
}

static void answer_attr(const struct slow_fuse *s, const struct slow_request *q)
{
	struct fuse_attr_out out = {.attr = attr_of(s, q->head.nodeid)};

	answer(s, q, 0, &out, sizeof(out));
}

static void answer_setattr(struct slow_fuse *s, const struct slow_request *q)
{
	struct fuse_setattr_in in;
	uint64_t file = q->head.nodeid - FIRST_NODE;

	if (q->head.nodeid < FIRST_NODE) {
		answer(s, q, EPERM, NULL, 0); /* the root is as it is */
		return;
	}
	memcpy(&in, q->bytes + sizeof(q->head), sizeof(in));
	if (in.valid & FATTR_MODE)
		s->file[file].mode = in.mode & 07777;
	if (in.valid & FATTR_SIZE)
		s->file[file].size = in.size < SLOW_FILE_SIZE ? (uint32_t)in.size : SLOW_FILE_SIZE;
	answer_attr(s, q);
}

static void answer_read(const struct slow_fuse *s, const struct slow_request *q)
{
	uint64_t file = q->head.nodeid - FIRST_NODE;
	struct fuse_read_in in;
	size_t size;

	memcpy(&in, q->bytes + sizeof(q->head), sizeof(in));
	size = in.offset < s->file[file].size ? s->file[file].size - (size_t)in.offset : 0;
	answer(s, q, 0, s->file[file].data + (size ? in.offset : 0),
	       size < in.size ? size : in.size);
}

static void answer_write(struct slow_fuse *s, const struct slow_request *q)
{
	uint64_t file = q->head.nodeid - FIRST_NODE;
	struct fuse_write_out out = {0};
	struct fuse_write_in in;

	memcpy(&in, q->bytes + sizeof(q->head), sizeof(in));
	if (in.offset > SLOW_FILE_SIZE || in.size > SLOW_FILE_SIZE - in.offset) {
		answer(s, q, EFBIG, NULL, 0);
		return;
	}
	memcpy(s->file[file].data + in.offset, q->bytes + sizeof(q->head) + sizeof(in), in.size);
	if (in.offset + in.size > s->file[file].size)
		s->file[file].size = (uint32_t)in.offset + in.size;
	out.size = in.size;
	answer(s, q, 0, &out, sizeof(out));
}

static void answer_readdir(const struct slow_fuse *s, const struct slow_request *q)
{
	uint8_t out[SLOW_FILES][FUSE_REC_ALIGN(FUSE_NAME_OFFSET + 1)] = {0};
	struct fuse_read_in in;

	memcpy(&in, q->bytes + sizeof(q->head), sizeof(in));
	for (uint32_t i = 0; i < SLOW_FILES; i++) {
		const struct fuse_dirent e = {
		    .ino = FIRST_NODE + i, .off = i + 1, .namelen = 1, .type = S_IFREG >> 12};

		memcpy(out[i], &e, FUSE_NAME_OFFSET);
		out[i][FUSE_NAME_OFFSET] = (uint8_t)*names[i];
	}
	answer(s, q, 0, out, in.offset == 0 ? sizeof(out) : 0);
}

static void run(struct slow_fuse *s, const struct slow_request *q)
{
	struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION,
	                             .minor = FUSE_KERNEL_MINOR_VERSION,
	                             .max_write = SLOW_FILE_SIZE,
	                             .max_background = 64,
	                             .flags = FUSE_PARALLEL_DIROPS | FUSE_ASYNC_READ};
	struct fuse_open_out open = {0}; /* what was cached is forgotten */
	struct fuse_statfs_out statfs = {.st = {.bsize = 4096, .namelen = 255}};

	switch (q->head.opcode) {
	case FUSE_INIT:
		answer(s, q, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		answer_lookup(s, q);
		break;
	case FUSE_GETATTR:
		answer_attr(s, q);
		break;
	case FUSE_SETATTR:
		answer_setattr(s, q);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		answer(s, q, 0, &open, sizeof(open));
		break;
	case FUSE_READ:
		answer_read(s, q);
		break;
	case FUSE_WRITE:
		answer_write(s, q);
		break;
	case FUSE_READDIR:
		answer_readdir(s, q);
		break;
	case FUSE_STATFS:
		answer(s, q, 0, &statfs, sizeof(statfs));
		break;
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		answer(s, q, 0, NULL, 0);
		break;
	default:
		answer(s, q, ENOSYS, NULL, 0);
		break;
	}
}

/* ---- requests ---- */

/* A caller was killed: what it waits for ends, if this server is one that minds. */
static void interrupt(struct slow_fuse *s, const struct slow_request *q)
{
	struct fuse_interrupt_in in;

	memcpy(&in, q->bytes + sizeof(q->head), sizeof(in));
	for (struct slow_request **link = &s->held; s->gives_up && *link; link = &(*link)->next) {
		struct slow_request *held = *link;

		if (held->head.unique != in.unique)
			continue;
		*link = held->next;
		answer(s, held, EINTR, NULL, 0);
		free(held);
		return;
	}
}

/* Takes a request; it is freed, or held. */
static void take(struct slow_fuse *s, struct slow_request *q)
{
	uint32_t opcode = q->head.opcode;

	(void)pthread_mutex_lock(&s->lock);
	if (opcode < 64 && (s->hold >> opcode & 1)) {
		q->next = s->held;
		s->held = q;
		atomic_fetch_add(&s->holding, 1);
		q = NULL;
	} else if (opcode == FUSE_INTERRUPT) {
		interrupt(s, q);
	} else if (opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET) {
		run(s, q);
	}
	(void)pthread_mutex_unlock(&s->lock);
	free(q);
}

static void *serve(void *context)
{
	struct slow_fuse *s = context;

	for (;;) {
		struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN},
		                      {.fd = s->wake, .events = POLLIN}};
		struct slow_request *q;

		(void)poll(p, 2, -1);
		if (p[1].revents || (p[0].revents & POLLERR))
			return NULL;
		q = malloc(sizeof(*q));
		BUG_ON(!q);
		if (read(s->fd, q->bytes, sizeof(q->bytes)) > 0)
			take(s, q);
		else
			free(q);
	}
}

const char *slow_fuse_start(struct slow_fuse *s, const char *at)
{
	char options[100];

	memset(s, 0, sizeof(*s));
	for (int i = 0; i < SLOW_FILES; i++) {
		s->file[i].mode = 0644;
		s->file[i].size = 4;
		memcpy(s->file[i].data, "text", 4);
	}
	(void)pthread_mutex_init(&s->lock, NULL);
	s->wake = -1;
	s->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (s->fd < 0)
		return "/dev/fuse is not to be had";
	(void)snprintf(options, sizeof(options),
	               "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", s->fd);
	if (mount("fuse", at, "fuse", 0, options) < 0) {
		fd_close(&s->fd);
		return "FUSE cannot be mounted";
	}
	s->wake = eventfd(0, EFD_CLOEXEC);
	BUG_ON(s->wake < 0 || pthread_create(&s->thread, NULL, serve, s) != 0);
	return NULL;
}

void slow_fuse_hold(struct slow_fuse *s, uint64_t opcodes)
{
	(void)pthread_mutex_lock(&s->lock);
	s->hold = opcodes;
	(void)pthread_mutex_unlock(&s->lock);
}

void slow_fuse_release(struct slow_fuse *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->hold = 0;
	while (s->held) {
		struct slow_request *q = s->held;

		s->held = q->next;
		run(s, q);
		free(q);
	}
	atomic_store(&s->holding, 0);
	(void)pthread_mutex_unlock(&s->lock);
}

bool slow_fuse_wait(struct slow_fuse *s, unsigned count)
{
	WAIT_WHILE(atomic_load(&s->holding) < count);
	return atomic_load(&s->holding) >= count;
}

void slow_fuse_end(struct slow_fuse *s)
{
	const uint64_t one = 1;

	if (s->fd < 0)
		return;
	BUG_ON(write(s->wake, &one, sizeof(one)) < 0 || pthread_join(s->thread, NULL) != 0);
	while (s->held) {
		struct slow_request *q = s->held;

		s->held = q->next;
		free(q);
	}
	fd_close(&s->wake);
	fd_close(&s->fd);
}
