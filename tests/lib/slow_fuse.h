/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slow_fuse.h: a FUSE file system in a thread of the test's, which answers when the test lets it. The kernel's side of
 * /dev/fuse is all it uses.
 *
 * It has the files "a" and "b" of at most 4096 bytes. Names and attributes are not cached, data is until the next open. It
 * goes with the test: whoever waits then gets an error.
 */
#ifndef VIRTFS_TESTS_LIB_SLOW_FUSE_H
#define VIRTFS_TESTS_LIB_SLOW_FUSE_H

#include "common/compiler.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SLOW_FILES     2
#define SLOW_FILE_SIZE 4096

struct slow_request;

struct slow_fuse {
	int fd, wake;
	pthread_t thread;
	pthread_mutex_t lock;
	struct slow_request *held;
	uint64_t hold; /* a bit for each opcode that is not answered */
	bool gives_up; /* what is held ends with EINTR when its caller is killed; else it stays */
	atomic_uint holding;
	struct {
		uint32_t size, mode;
		uint8_t data[SLOW_FILE_SIZE];
	} file[SLOW_FILES];
};

/** slow_fuse_start() - Mount one. Return: NULL, or what is missing here for that. */
const char *MUST_CHECK slow_fuse_start(struct slow_fuse *s, const char *at);

/** slow_fuse_hold() - Answer none of these from now on: bits 1 << FUSE_READ, … */
void slow_fuse_hold(struct slow_fuse *s, uint64_t opcodes);

/** slow_fuse_release() - Answer all that is held, and what comes. */
void slow_fuse_release(struct slow_fuse *s);

/** slow_fuse_wait() - Until so many are held, at most 10 s. Return: whether it came to that. */
bool slow_fuse_wait(struct slow_fuse *s, unsigned count);

void slow_fuse_end(struct slow_fuse *s);

#endif
