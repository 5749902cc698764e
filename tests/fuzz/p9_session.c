/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_session.c: a whole session of 9P: the input is what a client sends before it closes.
 *
 * Server and socket transport are the real ones, the file system is b_synth's, whose answers come in an order that the
 * input decides. The server must end the session, and have given back every node and descriptor.
 *
 * The first byte seeds that order; if it is odd, a Tversion and a Tattach of fid 0 go before the rest. Built with
 * MAKE_SEEDS this is the program that writes first inputs instead: p9_session_seeds DIRECTORY.
 */
#include "tests/fuzz/fuzz.h"

#include "common/cleanup.h"
#include "wire/p9.h"

#include <string.h>

#define S(text) wt_str_of(text)

/* Appends a whole message. */
static void put(struct wr *w, uint16_t tag, enum p9_type type, const void *request)
{
	uint8_t body[8192];
	struct wr b = wr_over(body, sizeof(body));

	CHECK(p9_find((uint8_t)type)->req.put(&b, request));
	p9_head_put(w, &(struct p9_head){(uint32_t)(P9_HEAD_SIZE + b.used), (uint8_t)type, tag});
	wr_bytes(w, body, b.used);
}

#define PUT(w, tag, NAME, name, ...) \
	put((w), (tag), P9_##NAME, &(struct p9_##name##_req){__VA_ARGS__})

#ifdef MAKE_SEEDS

#include "tests/lib/tables.h"

#include <errno.h>
#include <sys/stat.h>

static uint8_t bytes[1 << 18];

static void write_seed(const char *dir, const char *name, unsigned number, const struct wr *w)
{
	char path[1024];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s-%u", dir, name, number);
	f = fopen(path, "we");
	CHECK(f && fwrite(bytes, 1, w->used, f) == w->used && fclose(f) == 0);
}

/* Fids that messages of the table then meet: 1 a file, 2 open, 3 a directory open, 4 and 5 attributes. */
static void put_fids(struct wr *w)
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
static void put_storm(struct wr *w, uint16_t tag)
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

int main(int argc, char **argv)
{
	static struct sample sample;
	static uint64_t message[TABLE_STRUCT_MAX / 8];
	struct wr w;

	if (argc != 2 || (mkdir(argv[1], 0755) < 0 && errno != EEXIST))
		return 1;
	for (unsigned seed = 0; seed < 8; seed++) {
		w = wr_over(bytes, sizeof(bytes));
		wr_u8(&w, (uint8_t)(2 * seed + 1));
		put_fids(&w);
		put_storm(&w, 20);
		if (seed % 2)
			PUT(&w, P9_NOTAG, VERSION, version, .msize = 8192,
			    .version = S("9P2000.L"));
		write_seed(argv[1], "storm", seed, &w);
	}
	for (size_t i = 0; i < table_row_count; i++) {
		const struct table_row *row = &table_rows[i];

		if (strcmp(row->protocol, "p9") != 0 || !p9_find((uint8_t)row->msg->number))
			continue;
		for (unsigned seed = 0; seed < 3; seed++) {
			w = wr_over(bytes, sizeof(bytes));
			wr_u8(&w, (uint8_t)(2 * seed + 1));
			put_fids(&w);
			sample_init(&sample, seed);
			row->req.sample(&sample, message);
			/* Most begin with a fid: one of those that are there. */
			if (row->msg->number != P9_VERSION && row->msg->number != P9_FLUSH)
				((uint32_t *)message)[1] = (uint32_t)(i + seed) % 6;
			{
				uint8_t body[16384];
				struct wr b = wr_over(body, sizeof(body));

				if (!row->req.side->put(&b, message) || b.used > 8000)
					continue;
				p9_head_put(&w, &(struct p9_head){(uint32_t)(P9_HEAD_SIZE + b.used),
				                                  (uint8_t)row->msg->number, 99});
				wr_bytes(&w, body, b.used);
			}
			write_seed(argv[1], row->msg->name, seed, &w);
		}
	}
	return 0;
}

#else

#include "common/log.h"
#include "common/usock.h"
#include "tests/lib/b_synth.h"
#include "virtio-9p/t_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define SOCKET_ROOM (32 << 20) /* so that replies nobody reads never block */

#define TICKS_MAX \
	300 /* of the loop, before a client with locks that wait for each other gives up */

static struct {
	struct loop *loop;
	struct p9_server server;
	struct t_socket *clients;
	struct loop_timer timer;
	int client, device, ticks;
	bool at_once;
} rig;

static void closed(void *context UNUSED, unsigned left UNUSED)
{
	loop_timer_set(rig.loop, &rig.timer, 0);
	loop_stop(rig.loop);
}

/* The client closes when all is answered; or at once, with its requests under way. */
static void tick(struct loop_timer *t)
{
	const struct p9_session *s = rig.server.sessions;

	if (rig.at_once || ++rig.ticks == TICKS_MAX || (s && rig.ticks > 3 && s->under_way == 0))
		(void)shutdown(rig.client, SHUT_WR);
	loop_timer_set(rig.loop, t, loop_now() + 1);
}

static void ready(void *context UNUSED)
{
	CHECK(rig.server.ready);
	CHECK(t_socket_new(rig.loop, &rig.server, closed, NULL, &rig.clients) == 0);
	CHECK(t_socket_serve(rig.clients, rig.device) == 0);
	loop_timer_set(rig.loop, &rig.timer, loop_now() + 1);
}

static void prepare(void)
{
	int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	CHECK(null_fd >= 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	log_to_syslog(null_fd);
	/* Wherever a file is written, it does not become larger than this. */
	CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){32 << 20, 32 << 20}) == 0);
}

static void put_start(struct wr *w)
{
	PUT(w, P9_NOTAG, VERSION, version, .msize = 65536, .version = S("9P2000.L"));
	PUT(w, 0, ATTACH, attach, .fid = 0, .afid = P9_NOFID, .n_uname = 0);
}

static int next_fd(void)
{
	int fd = dup(STDIN_FILENO);

	CHECK(fd >= 0 && close(fd) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool prepared;
	const struct p9_server *server = &rig.server;
	uint8_t start[256];
	struct wr w = wr_over(start, sizeof(start));
	struct b_synth *b;
	int pair[2], room = SOCKET_ROOM, fd_before;

	if (!prepared)
		prepare();
	prepared = true;
	if (size < 1 || size > 65536)
		return 0;
	fd_before = next_fd();
	memset(&rig, 0, sizeof(rig));
	CHECK(loop_new(&rig.loop) == 0);
	b = b_synth_new(rig.loop, data[0], 0);
	CHECK(usock_pair(SOCK_STREAM, pair) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) == 0);
	if (data[0] & 1)
		put_start(&w);
	CHECK(w.used == 0 || usock_send(pair[0], start, w.used, -1) == 0);
	CHECK(size == 1 || usock_send(pair[0], data + 1, size - 1, -1) == 0);
	rig.client = pair[0];
	rig.device = pair[1];
	rig.at_once = data[0] & 2;
	rig.timer.due = tick;
	CHECK(p9_server_init(&rig.server, rig.loop, NULL, &b->backend, ready, NULL) == 0);
	CHECK(loop_run(rig.loop) == 0);
	fd_close(&pair[0]);
	t_socket_free(rig.clients);
	p9_server_end(&rig.server);
	CHECK(server->quotas.used[QUOTA_FIDS] == 0 && server->quotas.used[QUOTA_XATTR_BYTES] == 0 &&
	      server->quotas.used[QUOTA_OPEN_FILES] == 0 && server->quotas.used[QUOTA_LOCKS] == 0 &&
	      !server->owners && !server->lock_waiters && server->lock_waiter_count == 0 &&
	      !server->sessions);
	CHECK(b_synth_free(b) == 0);
	loop_free(rig.loop);
	CHECK(next_fd() == fd_before);
	return 0;
}

#endif
