/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/hostile.h"

#include "common/cleanup.h"
#include "tests/lib/sample.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

struct hostile hostile;

void hostile_start(const char *const *helper_args)
{
	rig_dirs(&hostile.rig);
	canaries_start(&hostile.canaries, &hostile.rig);
	hostile.rig.native = true;
	rig_serve(&hostile.rig, helper_args);
	rig_watch = canary_look;
	hostile.root = rpc_hello(hostile.rig.sock);
	cr_assert_neq(hostile.root, 0, "%s", rig_log(&hostile.rig));
}

void hostile_end(void)
{
	cr_assert_eq(RPC(hostile.rig.sock, GETATTR, getattr, .node = hostile.root), 0,
	             "the helper is gone: %s", rig_log(&hostile.rig));
	canaries_end(&hostile.canaries);
	cr_assert_eq(rig_end(&hostile.rig), 0, "%s", hostile.rig.log);
}

int attack(enum rpc_type type, const void *request, union rpc_reply *ret, int *ret_fd)
{
	int r = rpc_do(hostile.rig.sock, type, request, ret, ret_fd);

	canary_attack(1);
	cr_assert_neq(r, RPC_GONE, "%s ends the helper: %s", rpc_find(type)->name,
	              rig_log(&hostile.rig));
	return r;
}

bool attack_gives_fd(enum rpc_type type, const void *request)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	(void)attack(type, request, NULL, &fd);
	if (fd < 0)
		return false;
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert(S_ISREG(st.st_mode), "%s gives a descriptor of type 0%o", rpc_find(type)->name,
	          st.st_mode & S_IFMT);
	cr_assert_not(fcntl(fd, F_GETFL) & (O_PATH | O_ASYNC | O_DIRECT));
	return true;
}

const char *const hostile_kinds[] = {"dir",   "fifo",    "socket", "char",
                                     "block", "to-file", "to-dir", "to-fifo"};
const size_t hostile_kinds_count = ARRAY_SIZE(hostile_kinds);

void hostile_make_kinds(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(mkdir(rig_path(&hostile.rig, "dir"), 0777), 0);
	cr_assert_eq(mkfifo(rig_path(&hostile.rig, "fifo"), 0666), 0);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", rig_path(&hostile.rig, "socket"));
	cr_assert_eq(bind(sock, (struct sockaddr *)&at, sizeof(at)), 0);
	cr_assert_eq(mknod(rig_path(&hostile.rig, "char"), S_IFCHR | 0666, makedev(1, 5)), 0);
	cr_assert_eq(mknod(rig_path(&hostile.rig, "block"), S_IFBLK | 0666, makedev(7, 0)), 0);
	rig_write(&hostile.rig, "file", "text");
	cr_assert_eq(symlink("file", rig_path(&hostile.rig, "to-file")), 0);
	cr_assert_eq(symlink("dir", rig_path(&hostile.rig, "to-dir")), 0);
	cr_assert_eq(symlink("fifo", rig_path(&hostile.rig, "to-fifo")), 0);
}

uint32_t hostile_flags(unsigned number)
{
	static struct sample s;

	if (number < 96)
		return (1u << number % 32) | number / 32;
	if (number < 100)
		return UINT32_MAX << (number - 96);
	sample_init(&s, number);
	return (uint32_t)sample_next(&s);
}
