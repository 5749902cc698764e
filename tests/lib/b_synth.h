/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * b_synth.h: a make-believe file system that speaks the native dialect, for the 9P server without a helper.
 *
 * It has every name there is: names beginning with 'd' are directories, with 'l' links, with 'p' FIFOs, all others regular
 * files but those beginning with 'x', which do not exist. Nothing is kept of what is changed. What it keeps is books:
 * which nodes the server holds. A node used after its release, released twice or never is a fault of the server's.
 *
 * It comes as a backend in process (b_synth_new), and as a thread that plays the helper at a socket (synth_helper_start).
 * Either answers in a random order, after random times. Neither needs Criterion.
 */
#ifndef VIRTFS_TESTS_LIB_B_SYNTH_H
#define VIRTFS_TESTS_LIB_B_SYNTH_H

#include "common/loop.h"
#include "virtio-9p/backend.h"

#include <pthread.h>
#include <stdatomic.h>

#define SYNTH_NODES_MAX 65536
#define SYNTH_ENTRIES   100 /* of every directory, with "." and ".." */
#define SYNTH_FILES     4   /* so many different contents are there */

struct synth_node {
	bool taken, stream;
	uint32_t mode;
	uint64_t ino;
};

struct synth {
	struct synth_node nodes[SYNTH_NODES_MAX];
	uint32_t next;
	atomic_uint held; /* nodes and streams the server has */
	atomic_uint faults;
	int files[SYNTH_FILES];
	uint64_t random;
};

/* ---- in process ---- */

struct synth_call;

struct b_synth {
	struct backend backend;
	struct synth synth;
	struct loop *loop;
	struct loop_timer timer;
	struct synth_call *calls;
	uint32_t last_id;
	uint64_t delay_max_ns;
};

/** b_synth_new() - Answers come from the loop, each after at most that time, in an order that seed decides. */
struct b_synth *b_synth_new(struct loop *l, uint64_t seed, uint64_t delay_max_ns);

/** b_synth_free() - Calls under way end with -EIO. Return: how many nodes were never released, plus faults. */
unsigned b_synth_free(struct b_synth *b);

/* ---- at a socket ---- */

struct synth_helper {
	struct synth synth;
	int sock, wake;
	pthread_t thread;
	struct synth_call *calls;
	uint64_t delay_max_ns;
	atomic_int hold; /* an enum rpc_type whose calls are not answered; 0: none */
	atomic_uint holding, answered;
	atomic_int break_reply; /* counts down; the reply at which it is 1 goes out damaged */
	atomic_int damage;      /* how: enum synth_damage */
};

enum synth_damage {
	DAMAGE_CUT,
	DAMAGE_LONGER,
	DAMAGE_TAG,
	DAMAGE_TYPE,
	DAMAGE_ERROR,
	DAMAGE_NO_FD,
	DAMAGE_FD,
	DAMAGE_EMPTY,
	DAMAGES
};

/** synth_helper_start() - Serve sock, which is the thread's from now on. */
void synth_helper_start(struct synth_helper *h, int sock, uint64_t seed, uint64_t delay_max_ns);

/** synth_helper_hold() - Answer no call of that type that comes from now on; with 0 all that are held. */
void synth_helper_hold(struct synth_helper *h, int type);

/** synth_helper_wait_holding() - Until so many calls are held, at most 10 s. Return: whether it came to that. */
bool synth_helper_wait_holding(struct synth_helper *h, unsigned count);

/** synth_helper_end() - Close the socket, if the device has not, and wait for the thread. Return: as b_synth_free(). */
unsigned synth_helper_end(struct synth_helper *h);

#endif
