/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * floor.h: the two halves of the floor: a 9P2000.L server that keeps its files in memory
 * (floor_fs.c), and the vhost-user device that brings it requests (floor.c).
 */
#ifndef BENCH_GUEST_FLOOR_H
#define BENCH_GUEST_FLOOR_H

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOOR_MSIZE (512u * 1024)

/**
 * floor_fs_init() - Make the root directory
 * @hop: a socket to a process that answers each packet with one, or -1 for no hop
 */
void floor_fs_init(int hop);

/**
 * floor_fs_answer() - Carry out one request
 * @request: a whole T-message, as the guest sent it
 * @reply: room for the R-message, FLOOR_MSIZE bytes
 *
 * Return: the reply's size in bytes.
 */
size_t MUST_CHECK floor_fs_answer(const uint8_t *request, size_t size, uint8_t *reply);

#endif
