/* SPDX-License-Identifier: GPL-2.0-or-later */
/* internal.h: what the files of control/ share. */
#ifndef VIRTFS_CONTROL_INTERNAL_H
#define VIRTFS_CONTROL_INTERNAL_H

#include "common/acceptor.h"
#include "common/fdbag.h"
#include "control/control.h"

/** struct packet - one that waits for its client to read */
struct packet {
	struct packet *next;
	size_t size;
	char bytes[];
};

struct control_client {
	struct control *control;
	struct control_client *next;
	struct loop_source source;
	struct control_call *call; /* under way: no other is taken until it is answered */
	struct packet *first, *last;
	size_t waiting; /* bytes of them */
	bool ending;    /* gone when these are sent */
	bool gone;      /* off the loop, its socket closed */
};

struct control {
	struct loop *loop;
	struct control_host host;
	uid_t own_uid;
	struct control_table *tables;
	size_t table_count;
	struct acceptor acceptor;
	struct control_client *clients;
	unsigned client_count;
	struct loop_timer bury; /* the clients that are gone */
	uint8_t packet[CONTROL_PACKET_MAX];
};

struct control_call {
	struct control *control;
	struct control_client *client; /* NULL: it has gone */
	json_t *packet;                /* texts of args live there */
	json_t *id;
	json_t *answer;
	bool returned; /* the command's function has */
	struct fdbag fds;
	bool named[FDBAG_MAX]; /* by an argument */
	_Alignas(max_align_t) uint8_t args[CONTROL_ARGS_MAX];
};

/* ---- server.c ---- */

/** control_find() - A command by its name; NULL if there is none. *ret_context is its table's. */
const struct control_command *control_find(const struct control *c, const char *name,
                                           void **ret_context);

/** control_client_lost() - One has set gone: bury it when nobody looks at it any more. */
void control_client_lost(struct control_client *client);

/* ---- client.c ---- */

int MUST_CHECK control_client_start(struct control *c, int sock);
/** control_client_send() - Send, or have it wait. Takes no reference. A client whose packets are too many is cut off. */
void control_client_send(struct control_client *client, const json_t *message);
/** control_client_go_on() - Its call is answered: take the next. */
void control_client_go_on(struct control_client *client);
void control_client_cut_off(struct control_client *client, const char *why);

/* ---- call.c ---- */

/** control_run() - Run the command of a packet. Owns what is in the bag. */
void control_run(struct control_client *client, const uint8_t *bytes, size_t size,
                 struct fdbag *fds);

/** control_refusal() - An error's answer. Return: NULL if out of memory. */
json_t *control_refusal(const char *class, const char *text);

/* ---- args.c ---- */

struct sbuf;

/**
 * control_args() - Decode the arguments (NULL: none) of a command into call->args, and claim the descriptors they name
 *
 * Return: false with the reason in why.
 */
bool MUST_CHECK control_args(struct control_call *call, const struct control_command *command,
                             const json_t *given, struct sbuf *why);

/** control_args_describe() - A command's arguments as query-commands has them. */
json_t *control_args_describe(const struct control_arg *rows, size_t count);

/** control_nearest() - Which of the names (count of them, by name(context, i)) is most like this one; NULL if none is. */
const char *control_nearest(const char *given, const char *(*name)(const void *context, size_t i),
                            const void *context, size_t count);

/* ---- builtin.c ---- */

extern const struct control_command control_builtin[];
extern const size_t control_builtin_count;

#endif
