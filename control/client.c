/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.c: a connection. One packet is taken at a time, and the next when that is answered: the kernel keeps the others, and
 * their descriptors, in the socket. So clients cannot make this process hold more than one packet's each.
 */
#include "control/internal.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/usock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define GREETING_CAPABILITIES 8

void control_client_cut_off(struct control_client *client, const char *why)
{
	if (client->gone)
		return;
	if (why)
		log_warning("a client of the control socket is cut off: %s", why);
	loop_remove(client->control->loop, &client->source);
	fd_close(&client->source.fd);
	if (client->call)
		client->call->client = NULL;
	client->gone = true;
	control_client_lost(client);
}

static void update_events(struct control_client *client)
{
	uint32_t events = (client->call || client->ending ? 0 : (uint32_t)EPOLLIN) |
	                  (client->first ? (uint32_t)EPOLLOUT : 0);

	if (!client->gone)
		loop_change(client->control->loop, &client->source, events);
}

/* ---- packets out ---- */

/* Return: 0 when it is sent, -EAGAIN when it must wait, or -errno. */
static int send_now(struct control_client *client, const char *bytes, size_t size)
{
	ssize_t n = usock_send_some(client->source.fd, bytes, size);

	return n < 0 ? (int)n : 0;
}

static void drop_first(struct control_client *client)
{
	struct packet *p = client->first;

	client->first = p->next;
	if (!client->first)
		client->last = NULL;
	client->waiting -= p->size;
	free(p);
}

static void flush(struct control_client *client)
{
	while (client->first) {
		int r = send_now(client, client->first->bytes, client->first->size);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			control_client_cut_off(client, NULL);
			return;
		}
		drop_first(client);
	}
	if (client->ending)
		control_client_cut_off(client, NULL);
}

static void have_wait(struct control_client *client, const char *bytes, size_t size)
{
	struct packet *p = NULL;

	if (client->waiting + size <= CONTROL_WAIT_MAX)
		p = malloc(sizeof(*p) + size);
	if (!p) {
		control_client_cut_off(client, "it does not read what it is sent");
		return;
	}
	p->next = NULL;
	p->size = size;
	memcpy(p->bytes, bytes, size);
	if (client->last)
		client->last->next = p;
	else
		client->first = p;
	client->last = p;
	client->waiting += size;
	update_events(client);
}

static void send_text(struct control_client *client, const char *bytes, size_t size)
{
	int r = client->first ? -EAGAIN : send_now(client, bytes, size);

	if (r == -EAGAIN)
		have_wait(client, bytes, size);
	else if (r < 0 && r != -EMSGSIZE)
		control_client_cut_off(client, NULL);
	else if (r < 0)
		control_client_cut_off(client,
		                       "its socket cannot take an answer so long (SO_SNDBUF)");
}

void control_client_send(struct control_client *client, const json_t *message)
{
	AUTO_FREE char *text = client->gone ? NULL : json_dumps(message, JSON_COMPACT);

	if (text)
		send_text(client, text, strlen(text));
	else
		control_client_cut_off(client, "out of memory");
}

/* ---- packets in ---- */

/* Says why, and is gone when that is sent. */
static void end_with(struct control_client *client, const char *why)
{
	json_t *message = control_refusal(CONTROL_GENERIC_ERROR, why);

	log_warning("a client of the control socket is sent away: %s", why);
	client->ending = true;
	if (message)
		control_client_send(client, message);
	json_decref(message);
	flush(client);
}

static void receive(struct control_client *client)
{
	struct control *c = client->control;
	AUTO_FDBAG struct fdbag fds = FDBAG_EMPTY;
	ssize_t n = usock_recv(client->source.fd, c->packet, sizeof(c->packet), &fds);

	if (n == -EAGAIN)
		return;
	/* In both cases the packet's descriptors are closed already. */
	if (n == -EBADMSG)
		end_with(client, "a packet is too long: it may have 65536 bytes");
	else if (n >= 0 && fds.lost)
		end_with(client, "descriptors were lost: this process may not have so many open");
	else if (n == 0 && fds.count > 0)
		end_with(client, "an empty packet came with descriptors");
	else if (n <= 0)
		control_client_cut_off(client, NULL);
	else
		control_run(client, c->packet, (size_t)n, &fds);
	static_assert(CONTROL_PACKET_MAX == 65536, "as the text says");
}

void control_client_go_on(struct control_client *client)
{
	update_events(client);
}

static void ready(struct loop_source *s, uint32_t events)
{
	struct control_client *client =
	    (struct control_client *)((char *)s - offsetof(struct control_client, source));

	if (events & EPOLLOUT)
		flush(client);
	/* What the client has sent is taken even if it has gone since, unless that would have to wait. */
	if (client->gone)
		return;
	if ((events & EPOLLIN) && !client->call && !client->ending)
		receive(client);
	else if (events & (EPOLLHUP | EPOLLERR))
		control_client_cut_off(client, NULL);
	update_events(client);
}

/* ---- the start ---- */

static void greet(struct control_client *client)
{
	const struct control *c = client->control;
	json_t *can = json_array(), *message;

	for (size_t i = 0; i < c->table_count; i++) {
		if (c->tables[i].capability)
			(void)json_array_append_new(can, json_string(c->tables[i].capability));
	}
	message =
	    json_pack("{s:{s:s, s:o}}", "virtfs", "version", VIRTFS_VERSION, "capabilities", can);
	control_client_send(client, message);
	json_decref(message);
}

int control_client_start(struct control *c, int sock)
{
	struct control_client *client = calloc(1, sizeof(*client));
	int r = client ? fd_nonblock(sock) : -ENOMEM;

	if (r == 0) {
		client->control = c;
		client->source.fd = sock;
		client->source.ready = ready;
		r = loop_add(c->loop, &client->source, EPOLLIN);
	}
	if (r < 0) {
		fd_close(&sock);
		free(client);
		return r;
	}
	client->next = c->clients;
	c->clients = client;
	c->client_count++;
	greet(client);
	return 0;
}
