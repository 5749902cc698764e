/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handle.c: node_to_handle() and node_from_handle().
 *
 * A handle is opened through a descriptor of any file on the same mount. One is kept for each mount
 * that had a node made a handle; few exports have more than one.
 */
#include "helper/node.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#define MOUNTS_MAX 64

static struct {
	pthread_mutex_t lock;
	uint8_t count;
	bool forbidden;
	struct {
		int id, fd;
	} mount[MOUNTS_MAX];
} mounts = {.lock = PTHREAD_MUTEX_INITIALIZER};

union handle_room {
	struct file_handle head;
	uint8_t room[sizeof(struct file_handle) + NODE_HANDLE_SIZE];
};

/* The mount of a node, by its number; a descriptor of it is made at its first time. The lock is
 * held. */
static int mount_of(const struct export *x, int node, int id, uint8_t *ret)
{
	int fd = -1, r;

	for (uint8_t i = 0; i < mounts.count; i++) {
		if (mounts.mount[i].id == id) {
			*ret = i;
			return 0;
		}
	}
	if (mounts.count == MOUNTS_MAX)
		return -EOPNOTSUPP;
	r = node_reopen(x, node, O_RDONLY | O_NONBLOCK, &fd);
	if (r < 0)
		return r;
	mounts.mount[mounts.count].id = id;
	mounts.mount[mounts.count].fd = fd;
	*ret = mounts.count++;
	return 0;
}

/* A user namespace's root may make handles, and not open them. */
void node_handles_try(const struct export *x)
{
	struct node_handle handle;
	int fd = -1, r = node_to_handle(x, x->root, &handle);

	if (r == 0)
		r = node_from_handle(&handle, &fd);
	fd_close(&fd);
	mounts.forbidden = r == -EPERM;
	if (mounts.forbidden)
		log_info("files cannot be found by handle: the device may hold as many as there "
		         "are descriptors");
}

int node_to_handle(const struct export *x, int node, struct node_handle *ret)
{
	union handle_room h = {.head.handle_bytes = NODE_HANDLE_SIZE};
	int id = -1, r;

	if (mounts.forbidden)
		return -EOPNOTSUPP;
	if (name_to_handle_at(node, "", &h.head, &id, AT_EMPTY_PATH) < 0)
		return -errno;
	(void)pthread_mutex_lock(&mounts.lock);
	r = mount_of(x, node, id, &ret->mount);
	(void)pthread_mutex_unlock(&mounts.lock);
	if (r < 0)
		return r;
	ret->type = h.head.handle_type;
	ret->size = (uint8_t)h.head.handle_bytes;
	memcpy(ret->bytes, h.head.f_handle, h.head.handle_bytes);
	return 0;
}

int node_from_handle(const struct node_handle *handle, int *ret_node)
{
	union handle_room h = {.head.handle_bytes = handle->size, .head.handle_type = handle->type};
	int fd;

	memcpy(h.head.f_handle, handle->bytes, handle->size);
	/* A mount's entry is written once, before any handle names it. */
	fd = open_by_handle_at(mounts.mount[handle->mount].fd, &h.head,
	                       O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_node = fd;
	return 0;
}
