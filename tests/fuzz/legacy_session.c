/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * legacy_session.c: a whole connection of the legacy dialect: the input is what the peer sends
 * before it closes.
 *
 * Requests really act, on a directory of their own; beside it lies a canary. Needs root, as the
 * helper does.
 */
#include "tests/fuzz/fuzz.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/usock.h"
#include "helper/cred.h"
#include "helper/legacy_serve.h"
#include "helper/node.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define SOCKET_ROOM (32 << 20) /* so that replies nobody reads never block */

static char dir[64], canary[80];
static struct export export = EXPORT_NONE;

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *ftw UNUSED)
{
	return remove(path);
}

static void clean_up(void)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void prepare(void)
{
	char path[80];
	int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)snprintf(dir, sizeof(dir), "/dev/shm/virtfs-fuzz.XXXXXX");
	CHECK(mkdtemp(dir));
	(void)atexit(clean_up);
	(void)snprintf(path, sizeof(path), "%s/export", dir);
	(void)snprintf(canary, sizeof(canary), "%s/canary", dir);
	CHECK(mkdir(path, 0755) == 0);
	CHECK(export_open(path, &export) == 0);
	CHECK(mknod(canary, S_IFREG | 0644, 0) == 0);
	export.proc_fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(export.proc_fds >= 0 && fchdir(export.proc_fds) == 0);
	CHECK(export_learn(&export) == 0);
	CHECK(cred_init() == 0);
	node_init(&export);
	(void)umask(0);
	CHECK(null_fd >= 0);
	log_to_syslog(null_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool prepared;
	int pair[2], room = SOCKET_ROOM;
	struct stat st;

	if (!prepared)
		prepare();
	prepared = true;
	if (size > 8192)
		return 0;
	CHECK(usock_pair(SOCK_STREAM, pair) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) == 0);
	CHECK(size == 0 || usock_send(pair[0], data, size, -1) == 0);
	CHECK(shutdown(pair[0], SHUT_WR) == 0);
	if (legacy_serve(pair[1], &export) < 0)
		room = 0; /* the peer broke the protocol, which is its right */
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	CHECK(lstat(canary, &st) == 0 && st.st_mode == (S_IFREG | 0644) && st.st_size == 0 &&
	      st.st_uid == 0);
	return 0;
}
