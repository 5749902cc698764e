/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vu_rig.h: a helper and a device as users start them, and a guest's driver in the test's hand.
 *
 * Every function fails the test where it cannot do its work. The programs are $VIRTFS_HELPER and $VIRTFS_DEVICE. Rings are split ones,
 * unless a test asks for others or $VIRTFS_RING is "packed".
 */
#ifndef VIRTFS_TESTS_LIB_VU_RIG_H
#define VIRTFS_TESTS_LIB_VU_RIG_H

#include "tests/lib/rig.h"
#include "tests/lib/vu_p9.h"

#define VU_RIG_TAG   "share"
#define VU_RIG_MSIZE 131072

#define VU_ALL_FEATURES \
	(VU_F_MOUNT_TAG | VU_F_INDIRECT_DESC | VU_F_EVENT_IDX | VU_F_PROTOCOL | VU_F_VERSION_1)
#define VU_ALL_PROTOCOL \
	(VU_P_MQ | VU_P_REPLY_ACK | VU_P_BACKEND | VU_P_CONFIG | VU_P_RESET | VU_P_MEM_SLOTS)

enum vu_rig_until {
	VU_RIG_SESSION,   /* a 9P session, the root attached as fid 0 */
	VU_RIG_RING,      /* the ring runs, nothing was sent over it */
	VU_RIG_MEMORY,    /* greeted, the memory told */
	VU_RIG_CONNECTED, /* nothing was said */
	VU_RIG_DEVICE,    /* not connected */
};

struct vu_rig_opt {
	enum vu_rig_until until;
	bool inherited;  /* --fd with a connected socket instead of --socket-path */
	int helper_sock; /* above 0: the device's socket of a helper the test plays */
	const char *tag; /* NULL: VU_RIG_TAG */
	void (*prepare)(
	    struct rig *r);     /* when the directories are there, before the helper starts */
	uint16_t ring_size;     /* 0: 128 */
	uint32_t room;          /* of buffers, see vu_p9_init() */
	uint64_t without;       /* features to leave out */
	uint64_t more_features; /* features besides VU_ALL_FEATURES */
	uint64_t more_protocol; /* protocol features besides VU_ALL_PROTOCOL */
	bool table_only;        /* leave out VU_P_MEM_SLOTS */
};

struct vu_rig {
	struct rig rig;
	struct vu_rig_opt o;
	pid_t device;   /* -1: the test has seen to its end */
	char path[100]; /* of its socket */
	int fds_before; /* here, at the start */
	int device_fds; /* there, when nobody is connected */
	int peer;       /* the connected socket of --fd, before it is used */
	struct vu_front f;
	struct vu_ring ring;
	struct vu_p9 p;
};

/** vu_rig_start() - Start all, and go as far as o says (NULL: a 9P session with all defaults). */
void vu_rig_start(struct vu_rig *r, const struct vu_rig_opt *o);

/** vu_rig_connect() - A connection to the device, which is the caller's. */
int vu_rig_connect(struct vu_rig *r);

/** vu_rig_up() - From a new connection to as far as that, with fresh memory and ring. */
void vu_rig_up(struct vu_rig *r, enum vu_rig_until until);

/** vu_rig_kill_device() / vu_rig_next_device() - Kill it; start another, with the device's socket of another helper that the
 * test plays. Memory and ring stay, the connection is the test's to replace. */
void vu_rig_kill_device(struct vu_rig *r);
void vu_rig_next_device(struct vu_rig *r, int helper_sock);

/** vu_rig_down() - Disconnect, and give memory and ring back. */
void vu_rig_down(struct vu_rig *r);

/** vu_rig_renew() - Stop the ring and start it empty, on the same connection; a new session on it. */
void vu_rig_renew(struct vu_rig *r);

/** vu_rig_serves() - The connection's ring is renewed and serves; then all is taken down, and a new connection serves. */
void vu_rig_serves(struct vu_rig *r);

/** vu_rig_baseline() - After vu_rig_down(): wait until the device has no more descriptors than before the first connection. */
void vu_rig_baseline(struct vu_rig *r);

/** vu_rig_end() - Close all; helper and device must end well, and neither they nor the test have descriptors left. */
void vu_rig_end(struct vu_rig *r);

/** vu_rig_split_only() - Skip the test in packed rings; why: what they do not have. */
void vu_rig_split_only(const struct vu_rig *r, const char *why);

/** vu_rig_device_proc() - A number of a line of the device's /proc/PID/status. */
long vu_rig_device_proc(const struct vu_rig *r, const char *key);

int vu_fd_count(pid_t pid);

/** vu_spawn() - Run a program with these arguments; descriptors of pass stay open for it. Its standard error goes to *err, a
 * file that is made if there is none (-1). It dies with the test. */
pid_t vu_spawn(int *err, const char *const *args, const int *pass, int count);

#endif
