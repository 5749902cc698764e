/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server.c: the clients of the control socket, who may be one, and what all of them are told. */
#include "control/internal.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/usock.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- clients ---- */

static void free_client(struct control_client *client)
{
	while (client->first) {
		struct packet *p = client->first;

		client->first = p->next;
		free(p);
	}
	free(client);
}

static void bury(struct loop_timer *t)
{
	struct control *c = (struct control *)((char *)t - offsetof(struct control, bury));
	struct control_client **link = &c->clients;

	while (*link) {
		struct control_client *client = *link;

		if (!client->gone) {
			link = &client->next;
			continue;
		}
		*link = client->next;
		c->client_count--;
		free_client(client);
	}
	if (c->client_count == 0 && c->acceptor.source.fd < 0)
		c->host.deserted(c->host.context);
}

void control_client_lost(struct control_client *client)
{
	loop_timer_set(client->control->loop, &client->control->bury, 1);
}

#define OVERFLOW_UID 65534 /* /proc/sys/kernel/overflowuid, unless somebody has changed that */

/* In a user namespace all whom it does not know look like the overflow user. */
static bool may_control(const struct control *c, uid_t uid)
{
	if (uid == OVERFLOW_UID)
		return false;
	return uid == 0 || uid == c->own_uid || uid == c->host.uid;
}

static void tell_refused(int sock, uid_t uid)
{
	char text[96];
	json_t *message;
	AUTO_FREE char *packet = NULL;

	(void)snprintf(text, sizeof(text), "user %u may not control this device (--control-user)",
	               (unsigned)uid);
	log_warning("a client of the control socket is turned away: %s", text);
	message = control_refusal(CONTROL_GENERIC_ERROR, text);
	packet = message ? json_dumps(message, JSON_COMPACT) : NULL;
	/* It is turned away, whether it gets to know why or not. */
	if (packet && usock_send_some(sock, packet, strlen(packet)) < 0)
		log_debug("control: it is not told why");
	json_decref(message);
}

/* Return: 0 or -errno; it is closed then. */
static int check_peer(const struct control *c, int sock)
{
	uid_t uid;
	int r = usock_peer_uid(sock, &uid);

	if (r == 0 && !may_control(c, uid)) {
		tell_refused(sock, uid);
		r = -EPERM;
	}
	if (r < 0)
		fd_close(&sock);
	return r;
}

int control_serve(struct control *c, int sock)
{
	int r = check_peer(c, sock);

	return r < 0 ? r : control_client_start(c, sock);
}

static int client_came(struct acceptor *a, int sock)
{
	struct control *c = (struct control *)((char *)a - offsetof(struct control, acceptor));
	int r;

	if (c->client_count >= CONTROL_CLIENTS_MAX) {
		log_warning("a client of the control socket is turned away: there are %u",
		            c->client_count);
		fd_close(&sock);
		return 0;
	}
	r = control_serve(c, sock);
	return r == -EPERM ? 0 : r;
}

static void client_failed(struct acceptor *a UNUSED, int error)
{
	log_warning("cannot take a client of the control socket on: %s", errno_name(error));
}

int control_listen(struct control *c, int listener)
{
	return acceptor_start(&c->acceptor, c->loop, listener);
}

void control_event(struct control *c, const char *name, json_t *data)
{
	struct timespec now;
	json_t *message;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	/* As QMP has it. "*": what is NULL is left out. */
	message = json_pack("{s:s, s:o*, s:{s:I, s:I}}", "event", name, "data", data, "timestamp",
	                    "seconds", (json_int_t)now.tv_sec, "microseconds",
	                    (json_int_t)(now.tv_nsec / 1000));
	for (struct control_client *client = c->clients; client; client = client->next) {
		if (!client->gone && !client->ending)
			control_client_send(client, message);
	}
	json_decref(message);
}

/* ---- commands ---- */

const struct control_command *control_find(const struct control *c, const char *name,
                                           void **ret_context)
{
	for (size_t t = 0; t < c->table_count; t++) {
		for (size_t i = 0; i < c->tables[t].count; i++) {
			if (strcmp(c->tables[t].rows[i].name, name) == 0) {
				*ret_context = c->tables[t].context;
				return &c->tables[t].rows[i];
			}
		}
	}
	return NULL;
}

int control_add(struct control *c, const struct control_table *table)
{
	struct control_table *tables = realloc(c->tables, (c->table_count + 1) * sizeof(*tables));

	if (!tables)
		return -ENOMEM;
	tables[c->table_count++] = *table;
	c->tables = tables;
	return 0;
}

/* ---- its life ---- */

int control_new(struct loop *l, const struct control_host *host, struct control **ret)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	/* From /dev/urandom, which is out of reach later. */
	json_object_seed(0);
	c->loop = l;
	c->host = *host;
	c->own_uid = geteuid();
	c->bury.due = bury;
	c->acceptor =
	    (struct acceptor){.take = client_came, .failed = client_failed, .source.fd = -1};
	r = control_add(c, &(struct control_table){.rows = control_builtin,
	                                           .count = control_builtin_count,
	                                           .context = c});
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	acceptor_end(&c->acceptor);
	loop_timer_set(c->loop, &c->bury, 0);
	while (c->clients) {
		struct control_client *client = c->clients;

		control_client_cut_off(client, NULL);
		c->clients = client->next;
		free_client(client);
	}
	loop_timer_set(c->loop, &c->bury, 0);
	free(c->tables);
	free(c);
}
