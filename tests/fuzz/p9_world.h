/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_world.h: what the targets have in common that drive the 9P server over the make-believe file system of b_synth.h: messages
 * to begin with, and the server's life, after which nothing may be left.
 */
#ifndef VIRTFS_TESTS_FUZZ_P9_WORLD_H
#define VIRTFS_TESTS_FUZZ_P9_WORLD_H

#include "tests/fuzz/fuzz.h"

#include "wire/p9.h"

#include <string.h>

#define S(text) wt_str_of(text)

/* Appends a whole message. */
UNUSED static void put(struct wr *w, uint16_t tag, enum p9_type type, const void *request)
{
	uint8_t body[8192];
	struct wr b = wr_over(body, sizeof(body));

	CHECK(p9_find((uint8_t)type)->req.put(&b, request));
	p9_head_put(w, &(struct p9_head){(uint32_t)(P9_HEAD_SIZE + b.used), (uint8_t)type, tag});
	wr_bytes(w, body, b.used);
}

#define PUT(w, tag, NAME, name, ...) \
	put((w), (tag), P9_##NAME, &(struct p9_##name##_req){__VA_ARGS__})

/* A session, and the root as fid 0. */
UNUSED static void put_start(struct wr *w, uint32_t msize)
{
	PUT(w, P9_NOTAG, VERSION, version, .msize = msize, .version = S("9P2000.L"));
	PUT(w, 0, ATTACH, attach, .fid = 0, .afid = P9_NOFID, .n_uname = 0);
}

#ifdef MAKE_SEEDS

#include "tests/lib/tables.h"

/* Fids that messages of the table then meet: 1 a file, 2 open, 3 a directory open, 4 and 5 attributes. */
UNUSED static void put_fids(struct wr *w)
{
	const struct wt_names f = {.count = 1, .name = {S("f")}}, none = {0};
	const struct wt_names far = {.count = 3, .name = {S("d"), S(".."), S("d")}};

	PUT(w, 1, WALK, walk, .fid = 0, .newfid = 1, .names = f);
	PUT(w, 2, WALK, walk, .fid = 0, .newfid = 2, .names = f);
	PUT(w, 3, WALK, walk, .fid = 0, .newfid = 3, .names = far);
	PUT(w, 4, WALK, walk, .fid = 0, .newfid = 5, .names = none);
	PUT(w, 5, LOPEN, lopen, .fid = 2, .flags = 2);
	PUT(w, 6, LOPEN, lopen, .fid = 3);
	PUT(w, 7, XATTRWALK, xattrwalk, .fid = 0, .newfid = 4);
	PUT(w, 8, XATTRCREATE, xattrcreate, .fid = 5, .name = S("user.a"), .attr_size = 2);
}

/* All that a client does, one behind the other without a wait: what races, races here. */
UNUSED static void put_storm(struct wr *w, uint16_t tag)
{
	const struct wt_names f = {.count = 2, .name = {S("d"), S("f")}};

	PUT(w, tag++, WALK, walk, .fid = 0, .newfid = 9, .names = f);
	PUT(w, tag++, LOPEN, lopen, .fid = 9, .flags = 2);
	PUT(w, tag++, LOCK, lock, .fid = 2, .type = 1, .flags = 1, .proc_id = 1,
	    .client_id = S("c"));
	PUT(w, tag++, LOCK, lock, .fid = 2, .type = 1, .flags = 1, .proc_id = 2,
	    .client_id = S("c"));
	PUT(w, tag++, LOCK, lock, .fid = 2, .type = 0, .flags = 1, .proc_id = 3,
	    .client_id = S("c"));
	PUT(w, tag++, WRITE, write, .fid = 2, .data = S("data"));
	PUT(w, tag++, READ, read, .fid = 2, .count = 100);
	PUT(w, tag++, FSYNC, fsync, .fid = 2);
	PUT(w, tag++, READDIR, readdir, .fid = 3, .count = 4096);
	PUT(w, tag++, WRITE, write, .fid = 5, .data = S("va"));
	PUT(w, tag, FLUSH, flush, .oldtag = (uint16_t)(tag - 6));
	tag++;
	PUT(w, tag, FLUSH, flush, .oldtag = (uint16_t)(tag - 1));
	tag++;
	PUT(w, tag++, CLUNK, clunk, .fid = 2);
	PUT(w, tag++, CLUNK, clunk, .fid = 3);
	PUT(w, tag++, CLUNK, clunk, .fid = 5);
	PUT(w, tag++, REMOVE, remove, .fid = 1);
	PUT(w, tag++, LCREATE, lcreate, .fid = 0, .name = S("new"), .flags = 2, .mode = 0644);
	PUT(w, tag++, RENAMEAT, renameat, .olddirfid = 0, .oldname = S("a"), .newdirfid = 0,
	    .newname = S("b"));
}

/* Row number i of the tables, mostly with a fid that is there. Return: false if it is none of 9P's. */
UNUSED static bool put_row(struct wr *w, size_t i, unsigned seed)
{
	static struct sample sample;
	static uint64_t message[TABLE_STRUCT_MAX / 8];
	static uint8_t body[16384];
	const struct table_row *row = &table_rows[i];
	struct wr b = wr_over(body, sizeof(body));

	if (strcmp(row->protocol, "p9") != 0 || !p9_find((uint8_t)row->msg->number))
		return false;
	sample_init(&sample, seed);
	row->req.sample(&sample, message);
	if (row->msg->number != P9_VERSION && row->msg->number != P9_FLUSH)
		((uint32_t *)message)[1] = (uint32_t)(i + seed) % 6;
	if (!row->req.side->put(&b, message) || b.used > 8000)
		return false;
	p9_head_put(
	    w, &(struct p9_head){(uint32_t)(P9_HEAD_SIZE + b.used), (uint8_t)row->msg->number, 99});
	wr_bytes(w, body, b.used);
	return true;
}

#else

#include "common/log.h"
#include "tests/lib/b_synth.h"
#include "virtio-9p/server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

struct p9_world {
	struct loop *loop;
	struct p9_server server;
	struct b_synth *b;
	int fd_before;
};

UNUSED static int next_fd(void)
{
	int fd = dup(STDIN_FILENO);

	CHECK(fd >= 0 && close(fd) == 0);
	return fd;
}

UNUSED static void world_prepare(void)
{
	int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	CHECK(null_fd >= 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	log_to_syslog(null_fd);
	/* Wherever a file is written, it does not become larger than this. */
	CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){32 << 20, 32 << 20}) == 0);
}

/* Answers of the file system come in an order that seed decides. */
UNUSED static void world_begin(struct p9_world *w, uint64_t seed)
{
	static bool prepared;

	if (!prepared)
		world_prepare();
	prepared = true;
	w->fd_before = next_fd();
	CHECK(loop_new(&w->loop) == 0);
	w->b = b_synth_new(w->loop, seed, 0);
}

/* ready is called when the server is. */
UNUSED static void world_run(struct p9_world *w, void (*ready)(void *context))
{
	CHECK(p9_server_init(&w->server, w->loop, NULL, &w->b->backend, ready, NULL) == 0);
	CHECK(loop_run(w->loop) == 0);
}

/* The transport is gone. */
UNUSED static void world_end(struct p9_world *w)
{
	const struct p9_server *server = &w->server;

	p9_server_end(&w->server);
	CHECK(server->quotas.used[QUOTA_FIDS] == 0 && server->quotas.used[QUOTA_XATTR_BYTES] == 0 &&
	      server->quotas.used[QUOTA_OPEN_FILES] == 0 && server->quotas.used[QUOTA_LOCKS] == 0 &&
	      !server->owners && !server->lock_waiters && server->lock_waiter_count == 0 &&
	      !server->sessions);
	CHECK(b_synth_free(w->b) == 0);
	loop_free(w->loop);
	CHECK(next_fd() == w->fd_before);
}

#endif
#endif
