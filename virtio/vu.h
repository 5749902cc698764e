/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vu.h: what the files of the vhost-user back end share.
 *
 *	vhost_user.c	the device's life: listening, the end of a connection
 *	vu_stream.c	bytes of the socket to messages, when they may run, and replies back
 *	vu_messages.c	what each message does
 *	vu_rings.c	which rings run
 */
#ifndef VIRTFS_VIRTIO_VU_H
#define VIRTFS_VIRTIO_VU_H

#include "common/acceptor.h"
#include "common/complain.h"
#include "common/fdbag.h"
#include "virtio/vhost_user.h"
#include "wire/vhost_user.h"

enum vu_ring_state { VU_RING_STOPPED, VU_RING_RUNNING, VU_RING_STOPPING };

/** struct vu_ring - a queue, and what the front end said of it so far */
struct vu_ring {
	struct vu_device *device;
	struct vq *q;
	enum vu_ring_state state;
	bool enabled, has_enable; /* by SET_VRING_ENABLE, if that was sent */
	bool failed;              /* could not be started as things are */
	bool ran;                 /* for this front end */
	bool fresh;               /* it did, and will begin anew: nothing of it is under way */
	unsigned num;             /* 0: not told */
	bool has_addr, has_kick;  /* told */
	struct loop_source kick;  /* on the loop while the ring runs and fd is not -1 */
	struct vhu_set_vring_addr_req addr;
	uint32_t base;
};

enum vu_state {
	VU_UNCONNECTED,
	VU_READING, /* a message */
	VU_WAITING, /* for rings to stop, with a whole message at hand; the socket is off the loop */
	VU_SENDING, /* a reply */
	VU_CLOSING, /* for rings to stop, and then for good; likewise */
};

struct vu_device {
	struct loop *loop;
	const struct vio_device_info *info;
	const struct vio_device_ops *ops;
	void *context;
	void (*closed)(void *context);
	struct acceptor acceptor;
	struct complaints complaints;
	struct loop_timer go_on; /* when rings have stopped */
	struct loop_timer look;  /* at rings whose driver does not kick */
	struct vu_ring *rings;   /* info->queues of them */

	/* the connection */
	enum vu_state state;
	struct loop_source sock;
	bool has_features;
	uint64_t features, protocol;
	struct guest_map *map;
	struct shared_piece *log, *inflight;
	unsigned inflight_queues, inflight_queue_size;
	unsigned damage; /* guest_memory_damage() as far as looked at */
	int backend_req; /* a socket for requests of ours, or -1 */

	/* the message that is coming in, or waits */
	size_t have; /* bytes of it, its header counted */
	struct vhu_header header;
	const struct wt_msg *msg;
	struct fdbag fds;
	union vhu_request request;
	uint8_t in[VHU_HEADER_SIZE + VHU_PAYLOAD_MAX];

	/* the reply that goes out */
	size_t out_size, out_sent;
	int out_fd; /* goes with its first byte, or -1 */
	uint8_t out[VHU_HEADER_SIZE + VHU_PAYLOAD_MAX];
};

/* ---- vhost_user.c ---- */

uint64_t vu_features(const struct vu_device *d); /* offered */
uint64_t vu_protocol_features(void);             /* likewise */
bool vu_has_protocol(const struct vu_device *d, enum vhu_protocol_feature bit);

/** vu_fail() - Say why, and end the connection. */
void vu_fail(struct vu_device *d, const char *format, ...) PRINTF_LIKE(2, 3);

/** vu_finish_close() - All rings are stopped: forget the front end. */
void vu_finish_close(struct vu_device *d);

/** vu_check_damage() - End the connection if the emulator took memory away. */
void vu_check_damage(struct vu_device *d);

/* ---- vu_stream.c ---- */

void vu_sock_ready(struct loop_source *s, uint32_t events);
void vu_go_on(struct loop_timer *t);

/* ---- vu_messages.c ---- */

/* Each returns 0, or -errno: the front end gets a refusal, if it has asked for an acknowledgement, or
 * the connection ends. */
#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep)                               \
	int vu_on_##name(struct vu_device *d, const struct vhu_##name##_req *q, \
	                 struct vhu_##name##_rep *a);
#include "wire/vhost_user.def"
#undef MSG
#undef F

/* ---- vu_rings.c ---- */

int MUST_CHECK vu_rings_new(struct vu_device *d);
void vu_rings_free(struct vu_device *d);

/** vu_rings_forget() - All that a front end said of them; they are stopped. */
void vu_rings_forget(struct vu_device *d);

/** vu_ring_stop() - Begin to stop it, if it runs. */
void vu_ring_stop(struct vu_ring *r);
void vu_rings_stop(struct vu_device *d);

/** vu_rings_stopping() - Whether some are not at their end yet. */
bool vu_rings_stopping(const struct vu_device *d);

/** vu_rings_start() - Start all that can run and do not. Return: 0, or -errno of the last that
 * failed; it is told and left alone until something changes. */
int vu_rings_start(struct vu_device *d);

/** vu_rings_renew() - The driver begins anew: what was under way is over. */
void vu_rings_renew(struct vu_device *d);

/** vu_rings_retry() - Something changed: those that failed may be tried again. */
void vu_rings_retry(struct vu_device *d);

/** vu_ring_set_kick() - fd (or -1: it is to be looked at without) is the ring's. Return: 0 or
 * -errno. */
int MUST_CHECK vu_ring_set_kick(struct vu_ring *r, int fd);
void vu_ring_drop_kick(struct vu_ring *r);

/** vu_rings_set_log() - As features, the log and their addresses are now. */
void vu_rings_set_log(struct vu_device *d);

void vu_look(struct loop_timer *t);

#endif
