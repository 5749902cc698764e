/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhost_user.h: the vhost-user protocol, as a back end speaks it with a front end (an emulator).
 *
 * A stream of messages: request[4] flags[4] size[4] and a payload of that size, in the host's byte
 * order. Descriptors come with a message's first byte. Names and numbers are those of the
 * vhost-user specification (QEMU's docs/interop/vhost-user.rst); requests are in vhost_user.def.
 */
#ifndef VIRTFS_WIRE_VHOST_USER_H
#define VIRTFS_WIRE_VHOST_USER_H

#include "wire/table.h"

#define VHU_HEADER_SIZE 12
#define VHU_PAYLOAD_MAX 4096 /* no request we take is longer */

/* flags of a header */
#define VHU_VERSION      0x1u
#define VHU_VERSION_MASK 0x3u
#define VHU_REPLY        0x4u
#define VHU_NEED_REPLY   0x8u

/* bits among the virtio features that are the protocol's own */
#define VHU_F_LOG_ALL           26
#define VHU_F_PROTOCOL_FEATURES 30

/* protocol features, by bit */
enum vhu_protocol_feature {
	VHU_P_MQ = 0,
	VHU_P_LOG_SHMFD = 1,
	VHU_P_REPLY_ACK = 3,
	VHU_P_BACKEND_REQ = 5,
	VHU_P_CONFIG = 9,
	VHU_P_INFLIGHT_SHMFD = 12,
	VHU_P_RESET_DEVICE = 13,
	VHU_P_CONFIGURE_MEM_SLOTS = 15,
};

/* the value of SET_VRING_KICK, _CALL and _ERR */
#define VHU_VRING_INDEX 0xffu
#define VHU_VRING_NO_FD 0x100u

/* flags of SET_VRING_ADDR */
#define VHU_VRING_LOG 0x1u

/* the back end's own requests, on the socket of SET_BACKEND_REQ_FD; only this one is sent */
#define VHU_BACKEND_CONFIG_CHANGE 2u

enum vhu_policy {
	VHU_REPLIES = 1,    /* has an answer of its own, whatever its flags ask */
	VHU_ONE_FD = 2,     /* one descriptor comes with it */
	VHU_REGION_FDS = 4, /* one for each region */
	VHU_FD_BY_BIT = 8,  /* one, unless VHU_VRING_NO_FD is set */
	VHU_RING = 16,      /* its first field is the index of a ring */
};

#define WT_NS       vhu
#define WT_NS_UPPER VHU
#define WT_DEF      "wire/vhost_user.def"
#include "wire/expand_decl.h"

/** union vhu_request - room for any request's fields */
union vhu_request {
#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep) struct vhu_##name##_req name;
#include "wire/vhost_user.def"
#undef MSG
#undef F
};

struct vhu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload alone */
};

/** vhu_header_get() - Read a request's header; false if it is of another version, is a reply, or
 * its payload is over VHU_PAYLOAD_MAX. */
bool MUST_CHECK vhu_header_get(struct rd *r, struct vhu_header *h);

void vhu_header_put(struct wr *w, const struct vhu_header *h);

#endif
