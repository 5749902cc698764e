/* SPDX-License-Identifier: GPL-2.0-or-later */
/* share.h: the share of a device: its helper, the 9P server, and the clients or the emulator that use it. */
#ifndef VIRTFS_VIRTIO_9P_SHARE_H
#define VIRTFS_VIRTIO_9P_SHARE_H

#include "common/compiler.h"
#include "common/loop.h"
#include "virtio-9p/config.h"

#include <stdbool.h>
#include <stdint.h>

struct share;

enum share_change {
	SHARE_READY,      /* the first helper has answered: clients are served from now on */
	SHARE_FAILED,     /* it does not answer: nothing is served, and nothing will be */
	SHARE_NEW_HELPER, /* another has answered */
	SHARE_NO_HELPER,  /* requests fail until there is another */
	SHARE_CONNECTED,  /* to an emulator */
	SHARE_LEFT,       /* by the emulator or a client */
};

struct share_host {
	void (*changed)(void *context, enum share_change change);
	void *context;
};

/**
 * share_new() - A share that does nothing yet; what takes a right is made here: the ring
 *
 * listener: where clients or emulators come, or -1 for the one of c->fd. c and host are the caller's and stay; the share
 * stays as long as the process. Return: 0, or -errno after it logged what went wrong.
 */
int MUST_CHECK share_new(struct loop *l, const struct config *c, int listener,
                         const struct share_host *host, struct share **ret);

/**
 * share_start() - Start its threads, if it needs any, say hello to the helper, and be ready for those who come
 *
 * sees_ids: whether files' owners are seen as they are (struct p9_server). Return: 0, or -errno after it logged what went wrong.
 */
int MUST_CHECK share_start(struct share *s, bool sees_ids);

/** share_has_threads() - Whether threads read and write for it, from share_start() on. */
bool share_has_threads(const struct share *s);

/**
 * share_set_helper() - Go on with the helper of a connected SOCK_SEQPACKET socket, which is the share's in any case
 *
 * done (or NULL) is told, now or later, when it has answered (0) or not (-errno; -ECANCELED: another came meanwhile). The fids
 * from before stay of no use. Return: 0, or -errno: all is as it was, and done is not called.
 */
int MUST_CHECK share_set_helper(struct share *s, int sock, void (*done)(void *context, int error),
                                void *context);

struct share_info {
	const char *tag;  /* NULL: plain 9P */
	bool helper;      /* it is there and has answered */
	unsigned clients; /* or emulators */
	uint32_t fids, fids_max, in_flight, locks_waiting, poll_us;
	uint64_t xattr_held; /* bytes */
};
void share_get_info(const struct share *s, struct share_info *ret);

/** share_drain() - From now on take no request; those that were taken end. share_in_flight() - how many there are still; a lock
 * that is waited for is none of them. */
void share_drain(struct share *s);
unsigned share_in_flight(const struct share *s);

/** share_set_max_fids() - From now on; those that are there stay. */
void share_set_max_fids(struct share *s, uint32_t max);
/** share_set_poll_us() - How long the loop looks before it sleeps. */
void share_set_poll_us(struct share *s, uint32_t us);

#endif
