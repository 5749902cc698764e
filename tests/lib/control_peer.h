/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_peer.h: a client of the control socket, and a device that has nothing but one.
 *
 * Commands are JSON with ' for ". Every function fails the test where it cannot do its work, or where an answer is another
 * than expected.
 */
#ifndef VIRTFS_TESTS_LIB_CONTROL_PEER_H
#define VIRTFS_TESTS_LIB_CONTROL_PEER_H

#include "tests/lib/p9_rig.h"

#include <jansson.h>

#define CONTROL_EVENTS_KEPT 64

struct control_peer {
	int sock;
	json_t *greeting;
	json_t *events[CONTROL_EVENTS_KEPT]; /* that came while an answer was waited for */
	unsigned event_count;
};

struct control_rig {
	struct p9_rig p9; /* its directories and the device */
	struct control_peer c;
	bool listens;
	char at[100]; /* the path, if it listens */
	int fds_device; /* the device's descriptors when it was ready and the first client connected */
	int fds_before;
};

struct control_rig_opt {
	const char *const *args; /* more of them, NULL at the end */
	uid_t as;    /* the user to start it; 0: as this one; who is not root does not connect */
	bool listen; /* at a path, instead of a socketpair */
};

/** control_rig_start() - A device without a share, and a client that was greeted. */
void control_rig_start(struct control_rig *r, const struct control_rig_opt *o);

/** control_limit_files() - The device may have so many descriptors from now on; 0: as many as it ever may. */
void control_limit_files(const struct control_rig *r, unsigned files);

/** control_rig_end() - The device must end well, and nothing be left open here. */
void control_rig_end(struct control_rig *r);

/** control_reach() - A client that may be refused: whatever it is sent first is to be read. */
void control_reach(struct control_peer *c, const char *path);

/** control_connect() - One more client of a device that listens at path, greeted. */
void control_connect(struct control_peer *c, const char *path);

/** control_take() - The client of a connected socket, greeted. */
void control_take(struct control_peer *c, int sock);
void control_close(struct control_peer *c);

/** control_send() - One packet with these descriptors, which stay the caller's. Return: 0 or -errno. */
int control_send_bytes(struct control_peer *c, const void *bytes, size_t size, const int *fds,
                       size_t count);
void control_send(struct control_peer *c, const char *command, const int *fds, size_t count);

/** control_recv() - The next packet, the caller's; NULL when the device has closed. */
json_t *control_recv(struct control_peer *c);

/** control_answer() - The next that is no event; events are kept. NULL when the device has closed. */
json_t *control_answer(struct control_peer *c);

/** control_event_of() - The data of the next event of that name (of those kept first), the caller's. */
json_t *control_wait_event(struct control_peer *c, const char *name);

/** control_ok() - Send, and the "return" of its answer, the caller's. */
json_t *control_ok(struct control_peer *c, const char *command, const int *fds, size_t count);

/** control_done() - The same where nothing is to be learnt from the answer. */
void control_done(struct control_peer *c, const char *command, const int *fds, size_t count);

/** control_refused() - Send, and be refused with a text that has this in it. */
void control_refused(struct control_peer *c, const char *text, const char *command, const int *fds,
                     size_t count);

/** control_expect_error() - The next answer is an error with that in it. */
void control_expect_error(struct control_peer *c, const char *text);

/** control_closed() - Whether the device has closed the connection, after whatever is left to read. */
bool control_closed(struct control_peer *c);

#endif
