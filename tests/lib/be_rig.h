/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * be_rig.h: a small device over vhost-user in a process of its own, and a front end's side of it.
 *
 * The device has two queues. It answers each chain with the bytes it was sent, complemented, as many
 * as fit; while held it keeps them until be_rig_release(). Its configuration space is "config", and
 * byte 5 of it can be written. Every function fails the test where it cannot do its work.
 */
#ifndef VIRTFS_TESTS_LIB_BE_RIG_H
#define VIRTFS_TESTS_LIB_BE_RIG_H

#include "common/fdbag.h"
#include "tests/lib/vring.h"
#include "wire/vhost_user.h"

#include <stdbool.h>
#include <sys/types.h>

#define BE_RIG_QUEUES     2
#define BE_RIG_QUEUE_SIZE 256
#define BE_RIG_FEATURES \
	UINT64_C(0x130000001) /* of its own: bit 0; VERSION_1, EVENT_IDX, INDIRECT */
#define BE_RIG_ACKS (UINT64_C(1) << VHU_P_REPLY_ACK)

/** struct be_seen - what the device tells of itself; written by its process */
struct be_seen {
	volatile bool hold;
	volatile unsigned starts[BE_RIG_QUEUES], stops[BE_RIG_QUEUES], kicks[BE_RIG_QUEUES];
	volatile unsigned resets, closes, requests, held;
	volatile uint64_t features;
	volatile unsigned config_changes; /* asked for: each tells the front end once */
};

struct be_rig {
	pid_t pid;
	int sock;      /* the front end's end, or -1 */
	int release;   /* an eventfd */
	int err;       /* a file with what the device logged */
	char path[64]; /* of a listening socket, or empty */
	struct be_seen *seen;
	struct vring v; /* the memory; ring 0 lies in it as vring.h has it */
	int kick, call, error;
	char log[16384];
};

/** be_rig_start() - Start it over a socketpair. */
void be_rig_start(struct be_rig *r);

/** be_rig_listen() / be_rig_connect() - Start it at a listening socket; connect to that. */
void be_rig_listen(struct be_rig *r);
void be_rig_connect(struct be_rig *r);

/** be_rig_end() - Close the socket; the device must end well, with no descriptor left that it did not
 * begin with. */
void be_rig_end(struct be_rig *r);

/** be_rig_kill() - Kill it. Its memory stays, for another. */
void be_rig_kill(struct be_rig *r);

const char *be_rig_log(struct be_rig *r);

/** be_rig_until() - Wait (10 s at most) until *counter is value. */
void be_rig_until(const volatile unsigned *counter, unsigned value);

/** be_send_raw() - A header and a payload as they are, with descriptors. */
void be_send_raw(struct be_rig *r, uint32_t request, uint32_t flags, const void *payload,
                 uint32_t size, const int *fds, unsigned fd_count);

/** be_send() - Encode a request (NULL: without fields) and send it; need_reply as the flag. */
void be_send(struct be_rig *r, uint32_t request, const void *fields, const int *fds,
             unsigned fd_count, bool need_reply);

/** be_recv() - The reply to it, decoded. Return: its descriptor, or -1. */
int be_recv(struct be_rig *r, uint32_t request, void *fields);

/** be_ack() - The acknowledgement of a request. */
uint64_t be_ack(struct be_rig *r, uint32_t request);

/** be_ok() / be_refused() - Send with need_reply; the acknowledgement must be zero, or not. */
void be_ok(struct be_rig *r, uint32_t request, const void *fields, int fd);
void be_refused(struct be_rig *r, uint32_t request, const void *fields, int fd);

/** be_closed() - The device must close the connection, having said this in its log. */
void be_closed(struct be_rig *r, const char *why);
bool be_is_quiet(struct be_rig *r); /* no reply for 100 ms */

/* ---- the usual ---- */

void be_negotiate(struct be_rig *r, uint64_t features, uint64_t protocol);
void be_memory(struct be_rig *r);
void be_addr(struct be_rig *r, unsigned index, unsigned flags);
/** be_ring_up() - NUM, BASE, ADDR, CALL, ERR, KICK and ENABLE of ring 0, with acknowledgements. */
void be_ring_up(struct be_rig *r, unsigned size, unsigned base);
/** be_up() - All of these. */
void be_up(struct be_rig *r);
uint32_t be_ring_down(struct be_rig *r);

/** be_request() - Offer a request of that text as heads head and head + 1, and kick. */
void be_request(struct be_rig *r, unsigned head, const char *text);
/** be_answered() - Wait until used.idx is that, and check the last answer against text. */
void be_answered(struct be_rig *r, uint16_t idx, const char *text);

#endif
