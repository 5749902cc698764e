/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* acceptor.h: a listening socket on the loop, and what it does when nobody can be taken on. */
#ifndef VIRTFS_COMMON_ACCEPTOR_H
#define VIRTFS_COMMON_ACCEPTOR_H

#include "common/compiler.h"
#include "common/loop.h"

#include <stdbool.h>

/** struct acceptor - part of its owner's struct; fill in take and failed, and source.fd with -1 */
struct acceptor {
	/* Takes on who came; sock is its own in any case. Return: 0 or -errno. */
	int (*take)(struct acceptor *a, int sock);
	/* Nobody could be taken on. It is tried again after a second: to look at once would be to do nothing else. */
	void (*failed)(struct acceptor *a, int error);
	/* the acceptor's */
	struct loop *loop;
	struct loop_source source;
	struct loop_timer again;
	bool listening;
};

/** acceptor_start() - Own that listening socket and take on who comes. Return: 0 or -errno. */
int MUST_CHECK acceptor_start(struct acceptor *a, struct loop *l, int listener);

/* Nothing happens with one that was not started, or that is as wanted already. */
/** acceptor_pause() - Take nobody on for now: they wait in the socket. */
void acceptor_pause(struct acceptor *a);
/** acceptor_resume() - Take them on again. Return: 0 or -errno. */
int MUST_CHECK acceptor_resume(struct acceptor *a);
/** acceptor_end() - Close the socket. */
void acceptor_end(struct acceptor *a);

#endif
