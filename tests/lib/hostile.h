/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostile.h: the place of a device that was taken over: a helper's native socket, and canaries outside its export.
 *
 * All that comes back is searched for the canaries. Every function fails the test where it cannot do its work.
 */
#ifndef VIRTFS_TESTS_LIB_HOSTILE_H
#define VIRTFS_TESTS_LIB_HOSTILE_H

#include "tests/lib/canary.h"
#include "tests/lib/rpc_peer.h"

#define WT_STR(text) ((struct wt_str){(const uint8_t *)(text), sizeof(text) - 1})

extern struct hostile {
	struct rig rig;
	struct canaries canaries;
	uint64_t root;
} hostile;

/** struct hostile_call - a request of the native dialect, for tables of them */
struct hostile_call {
	enum rpc_type type;
	const void *request;
};

/** hostile_start() / hostile_end() - With these arguments of the helper, or NULL. At the end it must still serve, and nobody
 * have been at a canary. */
void hostile_start(const char *const *helper_args);
void hostile_end(void);

/** attack() - rpc_do(), counted; the helper must go on. */
int attack(enum rpc_type type, const void *request, union rpc_reply *ret, int *ret_fd);

#define ATTACK(NAME, name, ...) \
	attack(RPC_##NAME, &(struct rpc_##name##_req){__VA_ARGS__}, NULL, NULL)

/** attack_gives_fd() - Whether a descriptor comes back; it must be one of a regular file. */
bool attack_gives_fd(enum rpc_type type, const void *request);

/** hostile_make_kinds() - Make, in the export, a file of each kind but a regular one, by these names, and "file". */
extern const char *const hostile_kinds[];
extern const size_t hostile_kinds_count;
void hostile_make_kinds(void);

/** hostile_flags() - Flags of an open, from number 0 on: each bit with each access mode, all of them, and any. */
uint32_t hostile_flags(unsigned number);

#endif
