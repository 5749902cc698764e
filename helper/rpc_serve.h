/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rpc_serve.h: the connection of the native dialect, and the threads that serve it. */
#ifndef VIRTFS_HELPER_RPC_SERVE_H
#define VIRTFS_HELPER_RPC_SERVE_H

#include "common/compiler.h"
#include "helper/export.h"

/** rpc_prepare() - Start the threads, which wait; before the filter, which forbids it. Return: 0 or
 * -errno. */
int MUST_CHECK rpc_prepare(void);

/**
 * rpc_serve() - Answer requests until the peer closes
 *
 * sock: a connected SOCK_SEQPACKET socket. Return: 0 when the peer has closed; -EPROTO, after
 * logging it, when it sent what is no request at all. Requests may still be under way then: the
 * process is to end.
 */
int MUST_CHECK rpc_serve(int sock, const struct export *x);

#endif
