/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rpc.h: the native dialect: one request or reply a packet on a SOCK_SEQPACKET pair, many
 *outstanding, in any order.
 *
 *	request   tag[4] type[2] 0[2]            and the fields of rpc.def
 *	reply     tag[4] type[2] 0[2] error[4]   and the fields, if error is 0; error is a positive
 *errno of Linux
 *
 * All little-endian. A reply of RPC_GIVES_FD carries one descriptor of a regular file, and no other
 *reply any. The tag is the device's and comes back as it was. Node numbers are the helper's; 0 is
 *none.
 */
#ifndef VIRTFS_WIRE_RPC_H
#define VIRTFS_WIRE_RPC_H

#include "wire/table.h"

#define RPC_VERSION      1
#define RPC_REQUEST_HEAD 8
#define RPC_REPLY_HEAD   12
#define RPC_PACKET_MAX   (128 * 1024)
#define RPC_XATTR_MAX    65536 /* XATTR_SIZE_MAX of Linux */
#define RPC_ID_NONE      UINT32_MAX

enum rpc_policy {
	RPC_GIVES_FD = 1,
	RPC_WRITES = 2, /* refused where the export is read-only */
	RPC_NO_REPLY = 4,
	RPC_ANY_TIME = 8, /* before HELLO too */
};

/* flags of a HELLO's reply */
#define RPC_EXPORT_READONLY 1u
/* what an open file tells of itself never waits for another program or machine */
#define RPC_EXPORT_LOCAL 2u
/* and its data not even for a disk */
#define RPC_EXPORT_MEMORY 4u
/* owners are those of a user namespace: what an open file tells of them elsewhere is something else */
#define RPC_EXPORT_MAPPED 8u

/* flags of OPEN and CREATE: those of Tlopen, whose values are Linux's generic ones (octal, as in
 * fcntl.h) */
#define RPC_O_ACCMODE   00000003u
#define RPC_O_WRONLY    00000001u
#define RPC_O_RDWR      00000002u
#define RPC_O_EXCL      00000200u
#define RPC_O_TRUNC     00001000u
#define RPC_O_APPEND    00002000u
#define RPC_O_NONBLOCK  00004000u
#define RPC_O_DSYNC     00010000u
#define RPC_O_DIRECTORY 00200000u
#define RPC_O_NOATIME   01000000u
#define RPC_O_SYNC      04010000u

/* valid of SETATTR: as Tsetattr's */
#define RPC_SET_MODE       0x1u
#define RPC_SET_UID        0x2u
#define RPC_SET_GID        0x4u
#define RPC_SET_SIZE       0x8u
#define RPC_SET_ATIME      0x10u
#define RPC_SET_MTIME      0x20u
#define RPC_SET_CTIME      0x40u
#define RPC_SET_ATIME_THEN 0x80u
#define RPC_SET_MTIME_THEN 0x100u

/* flags of UNLINK */
#define RPC_REMOVE_DIR 0x200u

#define WT_NS       rpc
#define WT_NS_UPPER RPC
#define WT_DEF      "wire/rpc.def"
#include "wire/expand_decl.h"

/** union rpc_reply - room for any reply's fields */
union rpc_reply {
#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep) struct rpc_##name##_rep name;
#include "wire/rpc.def"
#undef MSG
#undef F
};

struct rpc_head {
	uint32_t tag;
	uint16_t type;
	uint32_t error; /* of replies only */
};

bool MUST_CHECK rpc_request_head_get(struct rd *r, struct rpc_head *h);
void rpc_request_head_put(struct wr *w, const struct rpc_head *h);
bool MUST_CHECK rpc_reply_head_get(struct rd *r, struct rpc_head *h);
void rpc_reply_head_put(struct wr *w, const struct rpc_head *h);

/** rpc_find() - The line of a type, or NULL. */
const struct wt_msg *rpc_find(uint32_t type);

/** struct rpc_dirent - one of the entries that a READDIR's reply holds: ino[8] offset[8] type[1]
 * name[s] */
struct rpc_dirent {
	uint64_t ino;
	uint64_t offset; /* where to go on after it */
	uint8_t type;    /* DT_ of dirent.h */
	struct wt_str name;
};

bool MUST_CHECK rpc_dirent_get(struct rd *r, struct rpc_dirent *e);
bool MUST_CHECK rpc_dirent_put(struct wr *w, const struct rpc_dirent *e);

#endif
