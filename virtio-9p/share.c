/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/share.h"

#include "common/cleanup.h"
#include "common/usock.h"
#include "virtio-9p/b_proxy.h"
#include "virtio-9p/t_socket.h"
#include "virtio-9p/t_virtio.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define RING_ENTRIES 256

struct share {
	struct loop *loop;
	struct ring *ring;
	struct backend *helper;
	struct p9_server server;
	struct t_socket *clients;
	struct t_virtio *guest;
	const struct config *config;
	const struct share_host *host;
	int listener;
	uint32_t poll_us;
	struct loop_source handover;
	bool has_threads; /* instead of an io_uring */
	bool was_ready, helper_answers;
	bool replacing; /* the old helper's calls end, its hello perhaps: not of interest */
	void (*done)(void *context, int error); /* of share_set_helper(), until it has answered */
	void *done_context;
};

static void tell(struct share *s, enum share_change change)
{
	s->host->changed(s->host->context, change);
}

/* ---- the helper ---- */

static void helper_gone(void *context)
{
	struct share *s = context;

	if (s->replacing)
		return;
	s->helper_answers = false;
	tell(s, s->was_ready ? SHARE_NO_HELPER : SHARE_FAILED);
}

/* Tells whoever waits for an answer of a helper how that ended. */
static void helper_done(struct share *s, int error)
{
	void (*done)(void *context, int error) = s->done;

	s->done = NULL;
	if (done)
		done(s->done_context, error);
}

int share_set_helper(struct share *s, int sock, void (*done)(void *context, int error),
                     void *context)
{
	struct backend *next = NULL, *old = s->helper;
	int type = 0, r = -EINVAL;

	if (usock_is_connected(sock, &type) && type == SOCK_SEQPACKET)
		r = b_proxy_new(s->loop, fd_steal(&sock), helper_gone, s, &next);
	fd_close(&sock);
	if (r < 0)
		return r;
	helper_done(s, -ECANCELED);
	s->done = done;
	s->done_context = context;
	s->helper = next;
	s->helper_answers = false;
	r = p9_server_new_helper(&s->server, next);
	if (r < 0)
		helper_done(s, r);
	s->replacing = true;
	b_proxy_free(old);
	s->replacing = false;
	return 0;
}

static void handover_ready(struct loop_source *source, uint32_t events UNUSED)
{
	struct share *s = (struct share *)((char *)source - offsetof(struct share, handover));
	AUTO_FDBAG struct fdbag bag = FDBAG_EMPTY;
	char byte;
	ssize_t n = usock_recv(source->fd, &byte, 1, &bag);
	int r;

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		loop_remove(s->loop, source);
		fd_close(&source->fd);
		return;
	}
	r = share_set_helper(s, fdbag_take(&bag, 0), NULL, NULL);
	if (r < 0)
		log_error("a helper was handed in that cannot be used: %s", errno_name(r));
}

/* ---- clients ---- */

static void client_closed(void *context, unsigned left UNUSED)
{
	tell(context, SHARE_LEFT);
}

static void front_end_changed(void *context, bool connected)
{
	tell(context, connected ? SHARE_CONNECTED : SHARE_LEFT);
}

static int open_clients(struct share *s)
{
	int r = t_socket_new(s->loop, &s->server, client_closed, s, &s->clients);

	if (r < 0)
		return r;
	return s->listener < 0 ? t_socket_serve(s->clients, s->config->fd)
	                       : t_socket_listen(s->clients, s->listener);
}

static int open_device(struct share *s)
{
	int r = t_virtio_new(s->loop, &s->server, s->config->tag, front_end_changed, s, &s->guest);

	if (r < 0)
		return r;
	return s->listener < 0 ? t_virtio_serve(s->guest, s->config->fd)
	                       : t_virtio_listen(s->guest, s->listener);
}

/* The helper has said hello, or cannot: the first time the share is ready by that. */
static void helper_answered(void *context)
{
	struct share *s = context;

	if (s->replacing)
		return;
	s->helper_answers = s->server.ready;
	if (s->was_ready) {
		if (s->server.ready)
			tell(s, SHARE_NEW_HELPER);
		helper_done(s, s->server.ready ? 0 : -EIO);
		return;
	}
	/* Who connected before now waits in the socket: there was nothing to answer with. */
	if (!s->server.ready || (s->config->tag ? open_device(s) : open_clients(s)) < 0) {
		tell(s, SHARE_FAILED);
		return;
	}
	s->was_ready = true;
	tell(s, SHARE_READY);
}

/* ---- the whole ---- */

static int start_ring(struct share *s)
{
	int r;

	if (s->config->io == IO_THREADS)
		return 0;
	r = ring_new(s->loop, RING_ENTRIES, &s->ring);
	if (r == 0)
		return 0;
	s->ring = NULL;
	if (s->config->io == IO_URING) {
		log_error("cannot have the io_uring of --io: %s", errno_name(r));
		return r;
	}
	log_warning("no io_uring (%s): threads do its work, which takes longer", errno_name(r));
	return 0;
}

/* Threads have the rights that there are when they are made: so they are made when there are none. */
static int start_threads(struct share *s)
{
	int r = ring_new_threads(s->loop, &s->ring);

	if (r == 0)
		r = ring_begin(s->ring);
	s->has_threads = r == 0;
	if (r < 0)
		log_error("cannot start threads: %s", errno_name(r));
	return r;
}

int share_new(struct loop *l, const struct config *c, int listener, const struct share_host *host,
              struct share **ret)
{
	struct share *s = calloc(1, sizeof(*s));

	if (!s) {
		log_error("cannot start: %s", errno_name(ENOMEM));
		return -ENOMEM;
	}
	s->loop = l;
	s->config = c;
	s->host = host;
	s->listener = listener;
	share_set_poll_us(s, c->poll_us);
	s->handover.fd = c->handover_fd;
	s->handover.ready = handover_ready;
	*ret = s;
	return start_ring(s);
}

/* Some of the descriptors are for clients and what else comes: an eighth. */
static void limit_open_files(uint64_t *most)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && *most > files.rlim_cur - files.rlim_cur / 8)
		*most = files.rlim_cur - files.rlim_cur / 8;
}

int share_start(struct share *s, bool sees_ids)
{
	const struct config *c = s->config;
	int r = s->ring ? 0 : start_threads(s);

	if (r < 0)
		return r;
	r = b_proxy_new(s->loop, c->helper_fd, helper_gone, s, &s->helper);
	if (r == 0 && c->handover_fd >= 0) {
		r = fd_nonblock(c->handover_fd);
		if (r == 0)
			r = loop_add(s->loop, &s->handover, EPOLLIN);
	}
	if (r == 0)
		r = p9_server_init(&s->server, s->loop, s->ring, s->helper, helper_answered, s);
	for (int i = 0; i < QUOTAS; i++)
		s->server.quotas.most[i] = c->most[i];
	limit_open_files(&s->server.quotas.most[QUOTA_OPEN_FILES]);
	s->server.requests_max = c->max_requests;
	s->server.sees_ids = sees_ids;
	if (r < 0)
		log_error("cannot start: %s", errno_name(r));
	return r;
}

void share_get_info(const struct share *s, struct share_info *ret)
{
	*ret = (struct share_info){.tag = s->config->tag,
	                           .helper = s->helper_answers,
	                           .fids = (uint32_t)s->server.quotas.used[QUOTA_FIDS],
	                           .fids_max = (uint32_t)s->server.quotas.most[QUOTA_FIDS],
	                           .poll_us = s->poll_us,
	                           .locks_waiting = s->server.lock_waiter_count,
	                           .xattr_held = s->server.quotas.used[QUOTA_XATTR_BYTES]};
	if (s->guest)
		ret->clients = t_virtio_connected(s->guest);
	else if (s->clients)
		ret->clients = t_socket_count(s->clients);
	for (const struct p9_session *session = s->server.sessions; session;
	     session = session->next)
		ret->in_flight += session->under_way;
}

void share_drain(struct share *s)
{
	s->server.drains = true;
}

unsigned share_in_flight(const struct share *s)
{
	struct share_info i;

	share_get_info(s, &i);
	return i.in_flight > i.locks_waiting ? i.in_flight - i.locks_waiting : 0;
}

void share_set_max_fids(struct share *s, uint32_t max)
{
	s->server.quotas.most[QUOTA_FIDS] = max;
}

void share_set_poll_us(struct share *s, uint32_t us)
{
	s->poll_us = us;
	loop_poll_for(s->loop, (uint64_t)us * 1000);
}

bool share_has_threads(const struct share *s)
{
	return s->has_threads;
}
