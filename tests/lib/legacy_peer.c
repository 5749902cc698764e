/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/legacy_peer.h"

#include "common/usock.h"
#include "tests/lib/rig.h"

#include <string.h>
#include <sys/socket.h>

static uint8_t message[LEGACY_MESSAGE_MAX];

static bool read_all(int sock, void *buffer, size_t size)
{
	for (size_t have = 0; have < size;) {
		ssize_t n = usock_recv(sock, (uint8_t *)buffer + have, size - have, NULL);

		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	return true;
}

static int fd_reply(int sock)
{
	struct fdbag bag = FDBAG_EMPTY;
	int32_t status;
	int fd;

	if (usock_recv(sock, &status, sizeof(status), &bag) != (ssize_t)sizeof(status))
		return PEER_GONE;
	fd = fdbag_take(&bag, 0);
	if (rig_watch)
		rig_watch(&status, sizeof(status), fd);
	if (bag.count > 1)
		return PEER_GONE;
	if (status == LEGACY_FD_FOLLOWS)
		return fd >= 0 ? fd : PEER_GONE;
	return fd < 0 && status < 0 ? status : PEER_GONE;
}

/* Reads a reply with a header. Return: the status, or 0 with *ret_body the body if there is one. */
static int body_reply(int sock, struct rd *ret_body)
{
	uint8_t head[LEGACY_HEADER_SIZE] = {0};
	struct legacy_header h;
	struct rd r = rd_over(head, sizeof(head));

	if (!read_all(sock, head, sizeof(head)) || !legacy_header_get(&r, &h) ||
	    !read_all(sock, message, h.size))
		return PEER_GONE;
	if (rig_watch)
		rig_watch(message, h.size, -1);
	*ret_body = rd_over(message, h.size);
	if (h.type == LEGACY_ERROR || h.size == sizeof(int32_t)) {
		int32_t status = (int32_t)rd_host32(ret_body);

		if (!rd_end(ret_body) || (h.type == LEGACY_ERROR) != (status < 0))
			return PEER_GONE;
		return status;
	}
	return h.type == LEGACY_SUCCESS ? 0 : PEER_GONE;
}

int peer_status(int sock)
{
	struct rd body;
	int r = body_reply(sock, &body);

	return r == 0 && body.left ? PEER_GONE : r;
}

int peer_send_raw(int sock, uint32_t type, const void *payload, size_t size)
{
	struct wr w = wr_over(message, sizeof(message));

	legacy_header_put(&w, &(struct legacy_header){type, (uint32_t)size});
	wr_bytes(&w, payload, size);
	return wr_good(&w) ? usock_send(sock, message, w.used, -1) : PEER_GONE;
}

int peer_call(int sock, enum legacy_type type, const void *request, void *reply)
{
	static uint8_t payload[LEGACY_PAYLOAD_MAX];
	const struct wt_msg *msg = wt_find(legacy_table, legacy_table_count, type);
	struct wr w = wr_over(payload, sizeof(payload));
	struct rd body;
	int r;

	if (!msg->req.put(&w, request) || peer_send_raw(sock, type, payload, w.used) < 0)
		return PEER_GONE;
	if (msg->policy & LEGACY_GIVES_FD)
		return fd_reply(sock);
	r = body_reply(sock, &body);
	if (r == 0 && (msg->policy & LEGACY_GIVES_BODY) && body.left && !msg->rep.get(&body, reply))
		return PEER_GONE;
	return r;
}

int peer_open(int sock, const char *path, int flags)
{
	return peer_call(sock, LEGACY_OPEN,
	                 &(struct legacy_open_req){.path = S(path), .flags = (uint32_t)flags},
	                 NULL);
}

int peer_create(int sock, const char *path, int flags, uint32_t mode, uint32_t uid, uint32_t gid)
{
	const struct legacy_create_req q = {
	    .path = S(path), .flags = (uint32_t)flags, .mode = mode, .uid = uid, .gid = gid};

	return peer_call(sock, LEGACY_CREATE, &q, NULL);
}

int peer_lstat(int sock, const char *path, struct legacy_lstat_rep *ret)
{
	return peer_call(sock, LEGACY_LSTAT, &(struct legacy_lstat_req){.path = S(path)}, ret);
}

int peer_mkdir(int sock, const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	const struct legacy_mkdir_req q = {.path = S(path), .mode = mode, .uid = uid, .gid = gid};

	return peer_call(sock, LEGACY_MKDIR, &q, NULL);
}

int peer_mknod(int sock, const char *path, uint32_t mode, uint64_t rdev, uint32_t uid, uint32_t gid)
{
	const struct legacy_mknod_req q = {
	    .path = S(path), .mode = mode, .rdev = rdev, .uid = uid, .gid = gid};

	return peer_call(sock, LEGACY_MKNOD, &q, NULL);
}

int peer_symlink(int sock, const char *target, const char *path)
{
	return peer_call(sock, LEGACY_SYMLINK,
	                 &(struct legacy_symlink_req){.target = S(target), .path = S(path)}, NULL);
}

int peer_chmod(int sock, const char *path, uint32_t mode)
{
	return peer_call(sock, LEGACY_CHMOD,
	                 &(struct legacy_chmod_req){.path = S(path), .mode = mode}, NULL);
}

int peer_chown(int sock, const char *path, uint32_t uid, uint32_t gid)
{
	return peer_call(sock, LEGACY_CHOWN,
	                 &(struct legacy_chown_req){.path = S(path), .uid = uid, .gid = gid}, NULL);
}

int peer_truncate(int sock, const char *path, uint64_t length)
{
	return peer_call(sock, LEGACY_TRUNCATE,
	                 &(struct legacy_truncate_req){.path = S(path), .length = length}, NULL);
}

int peer_rename(int sock, const char *from, const char *to)
{
	return peer_call(sock, LEGACY_RENAME,
	                 &(struct legacy_rename_req){.from = S(from), .to = S(to)}, NULL);
}

int peer_link(int sock, const char *from, const char *to)
{
	return peer_call(sock, LEGACY_LINK, &(struct legacy_link_req){.from = S(from), .to = S(to)},
	                 NULL);
}

int peer_remove(int sock, const char *path)
{
	return peer_call(sock, LEGACY_REMOVE, &(struct legacy_remove_req){.path = S(path)}, NULL);
}

int peer_readlink(int sock, const char *path, struct legacy_readlink_rep *ret)
{
	return peer_call(sock, LEGACY_READLINK,
	                 &(struct legacy_readlink_req){.path = S(path), .size = 4096}, ret);
}

int peer_setxattr(int sock, const char *path, const char *name, const char *value)
{
	const struct legacy_lsetxattr_req q = {.path = S(path),
	                                       .name = S(name),
	                                       .value = S(value),
	                                       .size = (uint32_t)strlen(value),
	                                       .flags = 0};

	return peer_call(sock, LEGACY_LSETXATTR, &q, NULL);
}
