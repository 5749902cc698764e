/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_share.h: the control socket's commands for the share. */
#ifndef VIRTFS_VIRTIO_9P_CONTROL_SHARE_H
#define VIRTFS_VIRTIO_9P_CONTROL_SHARE_H

#include "control/control.h"
#include "virtio-9p/share.h"

/** control_share_add() - Take them from now on. Return: 0 or -ENOMEM. */
int MUST_CHECK control_share_add(struct control *c, struct share *s);

/** control_share_event() - Tell the clients (c may be NULL) of something that has only the share to name. */
void control_share_event(struct control *c, const struct share *s, const char *name);

#endif
