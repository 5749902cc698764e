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
#include "tests/fuzz/p9_world.h"

#include "common/cleanup.h"

#include <string.h>

#ifdef MAKE_SEEDS

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

int main(int argc, char **argv)
{
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
		for (unsigned seed = 0; seed < 3; seed++) {
			w = wr_over(bytes, sizeof(bytes));
			wr_u8(&w, (uint8_t)(2 * seed + 1));
			put_fids(&w);
			if (put_row(&w, i, seed))
				write_seed(argv[1], table_rows[i].msg->name, seed, &w);
		}
	}
	return 0;
}

#else

#include "common/usock.h"
#include "virtio-9p/t_socket.h"

#include <errno.h>
#include <sys/socket.h>

#define SOCKET_ROOM (32 << 20) /* so that replies nobody reads never block */

#define TICKS_MAX \
	300 /* of the loop, before a client with locks that wait for each other gives up */

static struct {
	struct p9_world world;
	struct t_socket *clients;
	struct loop_timer timer;
	int client, device, ticks;
	bool at_once;
} rig;

static void closed(void *context UNUSED, unsigned left UNUSED)
{
	loop_timer_set(rig.world.loop, &rig.timer, 0);
	loop_stop(rig.world.loop);
}

/* The client closes when all is answered; or at once, with its requests under way. */
static void tick(struct loop_timer *t)
{
	const struct p9_session *s = rig.world.server.sessions;

	if (rig.at_once || ++rig.ticks == TICKS_MAX || (s && rig.ticks > 3 && s->under_way == 0))
		(void)shutdown(rig.client, SHUT_WR);
	loop_timer_set(rig.world.loop, t, loop_now() + 1);
}

static void ready(void *context UNUSED)
{
	CHECK(rig.world.server.ready);
	CHECK(t_socket_new(rig.world.loop, &rig.world.server, closed, NULL, &rig.clients) == 0);
	CHECK(t_socket_serve(rig.clients, rig.device) == 0);
	loop_timer_set(rig.world.loop, &rig.timer, loop_now() + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t start[256];
	struct wr w = wr_over(start, sizeof(start));
	int pair[2], room = SOCKET_ROOM;

	if (size < 1 || size > 65536)
		return 0;
	memset(&rig, 0, sizeof(rig));
	world_begin(&rig.world, data[0]);
	CHECK(usock_pair(SOCK_STREAM, pair) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) == 0);
	if (data[0] & 1)
		put_start(&w, 65536);
	CHECK(w.used == 0 || usock_send(pair[0], start, w.used, -1) == 0);
	CHECK(size == 1 || usock_send(pair[0], data + 1, size - 1, -1) == 0);
	rig.client = pair[0];
	rig.device = pair[1];
	rig.at_once = data[0] & 2;
	rig.timer.due = tick;
	world_run(&rig.world, ready);
	fd_close(&pair[0]);
	t_socket_free(rig.clients);
	world_end(&rig.world);
	return 0;
}

#endif
