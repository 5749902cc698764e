/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_rig.h: a helper and a device as users start them, on a fresh directory, with a client's socket in the test's hand.
 *
 * Every function fails the test where it cannot do its work. The programs are $VIRTFS_HELPER and $VIRTFS_DEVICE.
 */
#ifndef VIRTFS_TESTS_LIB_P9_RIG_H
#define VIRTFS_TESTS_LIB_P9_RIG_H

#include "tests/lib/p9_client.h"
#include "tests/lib/rig.h"

#define P9_RIG_MSIZE 131072

struct p9_rig_opt {
	const char *const *helper_args; /* more of them, NULL at the end */
	unsigned helper_files;          /* RLIMIT_NOFILE of the helper; 0: as it is */
	const char *const *device_args;
	unsigned device_files;
	bool listen;    /* serve at rig->listen_at instead of a socketpair */
	bool raw;       /* no Tversion, no Tattach */
	uint32_t msize; /* 0: P9_RIG_MSIZE */
	/* Called in the device's process before it is the device, as root; NULL: nothing. */
	void (*device_child)(void);
	int helper_sock; /* above 0: the device's socket of a helper the test plays */
	void (*prepare)(
	    struct rig *r); /* called when the directories are there, before the helper starts */
};

struct p9_rig {
	struct rig rig;
	pid_t device;
	int handover; /* to hand new helpers in */
	bool listens;
	void (*device_child)(void);
	char listen_at[100];
	int fds_before;
	struct p9_client c; /* the first client */
};

/** p9_rig_start() - All of it, with a client that has attached the root as fid 0. */
void p9_rig_start(struct p9_rig *r, const struct p9_rig_opt *o);

/** p9_rig_connect() - One more client of a rig that listens, likewise attached unless raw. */
void p9_rig_connect(struct p9_rig *r, struct p9_client *ret, bool raw);

/** p9_rig_kill_helper() - With SIGKILL, as a crash would. */
void p9_rig_kill_helper(struct p9_rig *r);

/** p9_rig_hand_over() - Start a new helper on the same directory and give it to the device. */
void p9_rig_hand_over(struct p9_rig *r);

/** p9_rig_hand_over_sock() - Give the device any socket, which is closed here. */
void p9_rig_hand_over_sock(struct p9_rig *r, int sock);

/**
 * p9_rig_spawn() - Run the device with just these arguments, NULL at the end
 *
 * The descriptors of pass stay open for it. What it writes to standard error is in rig_log().
 */
pid_t p9_rig_spawn(struct p9_rig *r, const char *const *args, const int *pass, int count);

/** p9_rig_end() - Close all; helper and device must end well, and nothing be left open here. */
void p9_rig_end(struct p9_rig *r);

/** fd_count() - Descriptors that a process has open. */
int fd_count(pid_t pid);

/** p9_rig_fds_soon() - Whether device and helper come to have no more open than that: some is closed a moment later. */
bool p9_rig_fds_soon(const struct p9_rig *r, int device, int helper);

/** rss_kib() - Its resident memory. */
long rss_kib(pid_t pid);

#endif
