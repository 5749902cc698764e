/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proxy_client.h: the other side of virtfs-proxy-helper's native dialect, for processes without
 * rights.
 *
 * Many calls may be outstanding; each ends by its callback, once, from pxc_receive() or pxc_free().
 * When the helper dies every outstanding call ends with -EIO, as do later ones. Nothing here
 * blocks, and nothing is thread-safe.
 *
 * The messages are those of wire/rpc.def: a call's request is a struct rpc_NAME_req, its reply
 * rpc_reply.NAME.
 */
#ifndef VIRTFS_PROXY_CLIENT_H
#define VIRTFS_PROXY_CLIENT_H

#include "wire/rpc.h"

#include <stdbool.h>
#include <stdint.h>

struct pxc;

/**
 * pxc_done - A call's end
 * @error: 0 or -errno; reply and fd are of no use unless it is 0
 * @reply: good for the time of the call only, its spans too
 * @fd:    of messages that give one, the caller's to close; else -1
 */
typedef void pxc_done(void *context, int error, const union rpc_reply *reply, int fd);

/** pxc_new() - Take over a connected SOCK_SEQPACKET socket. Return: 0, -ENOMEM, or -errno (sock is
 * closed then too). */
int pxc_new(int sock, struct pxc **ret) MUST_CHECK;

/** pxc_free() - Close; outstanding calls end with -EIO. */
void pxc_free(struct pxc *p);

/** pxc_fd() - To wait on: for input always, for output if pxc_wants_output(); not when the helper is
 * gone. The number stays the same until pxc_free(). */
int pxc_fd(const struct pxc *p) MUST_CHECK;
bool pxc_wants_output(const struct pxc *p) MUST_CHECK;

/** pxc_alive() - Whether the helper is there. */
bool pxc_alive(const struct pxc *p) MUST_CHECK;

/** pxc_under_way() - How many calls have been sent and not ended. */
unsigned pxc_under_way(const struct pxc *p) MUST_CHECK;

/** pxc_receive() - Take in what has come and send what waits. */
void pxc_receive(struct pxc *p);

/**
 * pxc_call() - Start a call
 *
 * The request is encoded before this returns. done may be called before it returns, if the helper
 * is gone; it may be NULL for a call whose end nobody needs to know. Return: 0 with *ret_call the call's number (if ret_call is not NULL); -EMSGSIZE for a
 * request that cannot be encoded, and -ENOMEM: done is not called then.
 */
int pxc_call(struct pxc *p, enum rpc_type type, const void *request, pxc_done *done, void *context,
             uint32_t *ret_call) MUST_CHECK;

/** pxc_cancel() - Forget a call: done is not called, and what a late reply brings is given back. */
void pxc_cancel(struct pxc *p, uint32_t call);

/** pxc_release() - Give a node or stream up. Sent in batches, by pxc_flush() at the latest. */
void pxc_release(struct pxc *p, uint64_t nid);
void pxc_flush(struct pxc *p);

/** pxc_to_release() - How many wait for that. */
size_t pxc_to_release(const struct pxc *p) MUST_CHECK;

#endif
