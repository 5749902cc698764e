/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h: the control socket: commands in JSON, each with the descriptors that came in its packet.
 *
 * Theory of operation. A packet of the SOCK_SEQPACKET socket is one command. A struct control_call is its context and owns all
 * descriptors of the packet. The command's row says which arguments it takes; they are decoded into a struct of the
 * command's own, every one of them checked, before its function runs. {"fd": i} is the i-th descriptor of the packet. The
 * function takes those that it goes on with; whatever it did not take is closed when it returns, and only then is the
 * command answered. So no client can leave a descriptor here, whatever it does or however it ends.
 *
 * Nothing here knows what is controlled: others bring tables of commands (control_add()).
 *
 *	server.c	the clients, the listening socket, events
 *	client.c	a connection: packets in, packets out
 *	call.c		a packet to a call, its descriptors, its answer
 *	args.c		arguments as a table says
 *	builtin.c	the commands that every device has
 */
#ifndef VIRTFS_CONTROL_CONTROL_H
#define VIRTFS_CONTROL_CONTROL_H

#include "common/compiler.h"
#include "common/loop.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTROL_PACKET_MAX  65536 /* bytes of a command */
#define CONTROL_DEPTH_MAX   8     /* of arrays and objects in each other */
#define CONTROL_CLIENTS_MAX 16    /* at once */
#define CONTROL_WAIT_MAX \
	(1u << 20) /* bytes of packets that wait for a client to read; more, and it is cut off */
#define CONTROL_ARGS_MAX 4096 /* bytes of a command's struct of arguments */

struct control;
struct control_call;

/* ---- commands ---- */

enum control_type {
	CONTROL_TEXT,   /* const char *; NULL when not given */
	CONTROL_NUMBER, /* uint64_t */
	CONTROL_BOOL,   /* bool */
	CONTROL_CHOICE, /* unsigned: which of the choices */
	CONTROL_FD,     /* struct control_fd */
	CONTROL_LIST,   /* an array of structs, and how many are given in a size_t */
};

/** struct control_fd - which descriptor of the packet an argument names; index -1 when not given */
struct control_fd {
	int index;
};

/** struct control_arg - an argument: what may be given, and where it is put; made by CONTROL_ARG_... */
struct control_arg {
	const char *name;
	const char *help;
	enum control_type type;
	bool required;
	uint64_t min, max;              /* of a number, a text's bytes, a list's members */
	uint64_t absent;                /* what a number, bool or choice is when not given */
	const char *const *choices;     /* NULL at the end */
	const struct control_arg *rows; /* of a list's members */
	size_t row_count, row_size;
	size_t at, count_at; /* in the struct of arguments */
};

/* The place of a member that must be of that type. */
#define CONTROL_AT(args, member, type)                                      \
	(offsetof(args, member) +                                           \
	 0 * sizeof(char[_Generic(((args *)NULL)->member, type : 1, default \
	                          : -1)]))

#define CONTROL_REQUIRED      true, 0
#define CONTROL_ABSENT(value) false, (value)
#define CONTROL_NOT_GIVEN     UINT64_MAX /* as what a number is when it is absent */

/* need: CONTROL_REQUIRED or CONTROL_ABSENT(what it is then). */
#define CONTROL_ARG_(kind, name_, place, required_, absent_, min_, max_, choices_, help_)  \
	{                                                                                  \
		.name = (name_), .help = (help_), .type = (kind), .required = (required_), \
		.min = (min_), .max = (max_), .absent = (absent_), .choices = (choices_),  \
		.at = (place)                                                              \
	}
#define CONTROL_ARG_TEXT(args, member, name, need, min, max, help)                               \
	CONTROL_ARG_(CONTROL_TEXT, name, CONTROL_AT(args, member, const char *), need, min, max, \
	             NULL, help)
#define CONTROL_ARG_NUMBER(args, member, name, need, min, max, help)                           \
	CONTROL_ARG_(CONTROL_NUMBER, name, CONTROL_AT(args, member, uint64_t), need, min, max, \
	             NULL, help)
#define CONTROL_ARG_BOOL(args, member, name, need, help) \
	CONTROL_ARG_(CONTROL_BOOL, name, CONTROL_AT(args, member, bool), need, 0, 1, NULL, help)
#define CONTROL_ARG_CHOICE(args, member, name, need, choices, help)                        \
	CONTROL_ARG_(CONTROL_CHOICE, name, CONTROL_AT(args, member, unsigned), need, 0, 0, \
	             choices, help)
#define CONTROL_ARG_FD(args, member, name, need, help)                                          \
	CONTROL_ARG_(CONTROL_FD, name, CONTROL_AT(args, member, struct control_fd), need, 0, 0, \
	             NULL, help)
#define CONTROL_ARG_LIST(args, member, count, name_, min_, max_, rows_, help_)                 \
	{                                                                                      \
		.name = (name_), .help = (help_), .type = CONTROL_LIST, .required = true,      \
		.min = (min_), .max = (max_), .rows = (rows_), .row_count = ARRAY_SIZE(rows_), \
		.row_size = sizeof(((args *)NULL)->member[0]), .at = offsetof(args, member),   \
		.count_at = CONTROL_AT(args, count, size_t)                                    \
	}

/** struct control_command - a row of a table */
struct control_command {
	const char *name;
	const char *help;
	const struct control_arg *args; /* NULL: it takes none */
	size_t arg_count, args_size;
	/*
	 * Runs it. args is the struct of arguments, good until the call is answered; context is the table's. It answers the
	 * call by one of control_return() and control_error(), once, now or later.
	 */
	void (*run)(struct control_call *call, const void *args, void *context);
};

#define CONTROL_ARGS(rows_, struct_)                     \
	.args = (rows_), .arg_count = ARRAY_SIZE(rows_), \
	.args_size =                                     \
	    sizeof(struct_) + 0 * sizeof(char[sizeof(struct_) <= CONTROL_ARGS_MAX ? 1 : -1])

struct control_table {
	const struct control_command *rows; /* the caller's; they stay */
	size_t count;
	const char *capability; /* what the greeting says of it, or NULL */
	void *context;
};

/* ---- for commands ---- */

/** control_fd_take() - A descriptor of the packet, the caller's from now on. -1 if none was given. */
int MUST_CHECK control_fd_take(struct control_call *call, struct control_fd fd);

/** control_fd_look() - The same descriptor, still the call's. */
int MUST_CHECK control_fd_look(const struct control_call *call, struct control_fd fd);

/** control_fd_gone() - One that was looked at has an owner now: the call forgets it. */
void control_fd_gone(struct control_call *call, struct control_fd fd);

/** control_call_args() - Its struct of arguments, for what answers later. */
const void *control_call_args(const struct control_call *call);

/** control_call_event() - control_event() by the server of a call. */
void control_call_event(struct control_call *call, const char *name, json_t *data);

/** control_return() - Answer; value is taken over (NULL: out of memory). The call is gone once its function has returned too. */
void control_return(struct control_call *call, json_t *value);

/* What a client may tell apart; as QMP names them. */
#define CONTROL_GENERIC_ERROR     "GenericError"
#define CONTROL_COMMAND_NOT_FOUND "CommandNotFound"
#define CONTROL_DEVICE_NOT_FOUND  "DeviceNotFound"

/** control_error() - Answer by an error: a class of the above, and a text: what was wrong, and what would be right. */
void control_error(struct control_call *call, const char *class, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* ---- the server ---- */

/** struct control_host - what the process does for it */
struct control_host {
	uid_t
	    uid; /* whose commands are taken, besides root's and those of the user that this process has now */
	/* "quit" came: finish what is under way, for so long at most, then answer the call and end once the loop has the turn. */
	void (*quit)(void *context, struct control_call *call, unsigned wait_ms);
	/* The last client has gone, and there is no listening socket where another could come. */
	void (*deserted)(void *context);
	void *context;
};

/**
 * control_new() - A server without clients, with the commands that every device has
 *
 * Before the system call filter is on: jansson's hash tables are seeded here. host is copied. Return: 0 or -errno.
 */
int MUST_CHECK control_new(struct loop *l, const struct control_host *host, struct control **ret);

/** control_add() - Take these commands too. Return: 0 or -ENOMEM. */
int MUST_CHECK control_add(struct control *c, const struct control_table *table);

/** control_listen() - Take clients on at a listening SOCK_SEQPACKET socket. Owns it. Return: 0 or -errno. */
int MUST_CHECK control_listen(struct control *c, int listener);

/** control_serve() - Serve the one that is connected. Owns the socket. Return: 0, -EPERM for a user who may not, or -errno. */
int MUST_CHECK control_serve(struct control *c, int sock);

/** control_event() - Tell all clients; data is taken over (NULL: an event without). */
void control_event(struct control *c, const char *name, json_t *data);

/** control_free() - Cut all clients off; no call may be under way. NULL is fine. */
void control_free(struct control *c);

#endif
