/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_serve.h: one connection of the legacy dialect. */
#ifndef VIRTFS_HELPER_LEGACY_SERVE_H
#define VIRTFS_HELPER_LEGACY_SERVE_H

#include "common/compiler.h"
#include "helper/export.h"

/**
 * legacy_serve() - Answer requests until the peer closes
 *
 * sock: a connected stream socket, the caller's. Requests sent ahead are answered in order.
 * Return: 0 when the peer closed between two requests; -errno after logging why the connection
 * cannot go on: -EPROTO when the peer broke the protocol where the dialect has no reply for that
 * (unknown type, payload over LEGACY_PAYLOAD_MAX, end of stream inside a request).
 */
int MUST_CHECK legacy_serve(int sock, const struct export *x);

#endif
