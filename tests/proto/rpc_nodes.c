/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rpc_nodes.c: nodes and streams of the helper: numbers that are none, that were given up, and more than descriptors. */
#include "tests/lib/p9_rig.h"
#include "tests/lib/rpc_peer.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FILES_LOW 512 /* RLIMIT_NOFILE, where it is to be reached */

static struct rig rig;
static uint64_t root;

static void limited_with(unsigned files, const char *const *arguments)
{
	struct rlimit before, low;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	if (files)
		low.rlim_cur = files;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	rig.native = true;
	rig_serve(&rig, arguments);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	root = rpc_hello(rig.sock);
	cr_assert_neq(root, 0);
}

static void limited(unsigned files)
{
	limited_with(files, NULL);
}

static void start(void)
{
	rig_dirs(&rig);
	limited(0);
}

static void end(void)
{
	cr_assert_eq(rig_end(&rig), 0, "%s", rig.log);
}

TestSuite(nodes, .init = start, .fini = end, .timeout = 300);
TestSuite(few_files, .fini = end, .timeout = 300);
TestSuite(no_files, .timeout = 300);

static int getattr(uint64_t nid)
{
	return RPC(rig.sock, GETATTR, getattr, .node = nid);
}

static uint64_t walk(const char *names)
{
	uint64_t nid = rpc_walk(rig.sock, root, names, NULL);

	cr_assert_neq(nid, 0, "%s", names);
	return nid;
}

static uint64_t opendir_node(uint64_t nid)
{
	union rpc_reply a;
	int r = rpc_do(rig.sock, RPC_OPENDIR, &(struct rpc_opendir_req){.node = nid}, &a, NULL);

	return r == 0 ? a.opendir.stream : 0;
}

/* Every request that names a node, with that number for it. */
static void every_request_fails(uint64_t nid, int error)
{
	const struct wt_str n = wt_str_of("n");

	cr_assert_eq(RPC(rig.sock, WALK, walk, .from = nid, .path = {1, {n}}), error);
	cr_assert_eq(RPC(rig.sock, GETATTR, getattr, .node = nid), error);
	cr_assert_eq(RPC(rig.sock, SETATTR, setattr, .node = nid, .valid = 1), error);
	cr_assert_eq(RPC(rig.sock, OPEN, open, .node = nid), error);
	cr_assert_eq(RPC(rig.sock, CREATE, create, .dir = nid, .name = n), error);
	cr_assert_eq(RPC(rig.sock, MKDIR, mkdir, .dir = nid, .name = n), error);
	cr_assert_eq(RPC(rig.sock, SYMLINK, symlink, .dir = nid, .name = n, .target = n), error);
	cr_assert_eq(RPC(rig.sock, MKNOD, mknod, .dir = nid, .name = n, .mode = S_IFIFO), error);
	cr_assert_eq(RPC(rig.sock, LINK, link, .node = nid, .dir = root, .name = n), error);
	cr_assert_eq(RPC(rig.sock, LINK, link, .node = root, .dir = nid, .name = n), error);
	cr_assert_eq(
	    RPC(rig.sock, RENAME, rename, .dir = nid, .name = n, .new_dir = root, .new_name = n),
	    error);
	cr_assert_eq(
	    RPC(rig.sock, RENAME, rename, .dir = root, .name = n, .new_dir = nid, .new_name = n),
	    error);
	cr_assert_eq(RPC(rig.sock, UNLINK, unlink, .dir = nid, .name = n), error);
	cr_assert_eq(RPC(rig.sock, READLINK, readlink, .node = nid), error);
	cr_assert_eq(RPC(rig.sock, OPENDIR, opendir, .node = nid), error);
	cr_assert_eq(RPC(rig.sock, READDIR, readdir, .stream = nid, .size = 4096), error);
	cr_assert_eq(RPC(rig.sock, STATFS, statfs, .node = nid), error);
	cr_assert_eq(RPC(rig.sock, GETXATTR, getxattr, .node = nid, .name = n), error);
	cr_assert_eq(RPC(rig.sock, LISTXATTR, listxattr, .node = nid), error);
	cr_assert_eq(RPC(rig.sock, SETXATTR, setxattr, .node = nid, .name = n), error);
	cr_assert_eq(RPC(rig.sock, REMOVEXATTR, removexattr, .node = nid, .name = n), error);
	cr_assert_eq(RPC(rig.sock, FSYNC, fsync, .node = nid), error);
	cr_assert_eq(RPC(rig.sock, PARENT, parent, .node = nid), error);
}

Test(nodes, numbers_that_are_none_are_refused_everywhere)
{
	static const uint64_t none[] = {0,          1000,       1u << 31,  UINT32_MAX,
	                                1ull << 32, 1ull << 63, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		every_request_fails(none[i], -EBADF);
		rpc_give_up(rig.sock, none[i]);
	}
	cr_assert_eq(getattr(root), 0);
}

Test(nodes, numbers_given_up_are_refused_everywhere)
{
	uint64_t nid;

	rig_write(&rig, "f", "");
	nid = walk("f");
	rpc_give_up(rig.sock, nid);
	(void)RPC(rig.sock, NOTHING, nothing, 0);
	/* Two threads take packets: the release may be a moment behind. */
	WAIT_WHILE(getattr(nid) == 0);
	every_request_fails(nid, -EBADF);
	rpc_give_up(rig.sock, nid);
	cr_assert_eq(getattr(root), 0);
}

Test(nodes, a_number_given_up_is_never_its_successor)
{
	uint64_t first, next = 0;

	rig_write(&rig, "f", "");
	first = walk("f");
	rpc_give_up(rig.sock, first);
	WAIT_WHILE(getattr(first) == 0);
	for (int i = 0; i < 10; i++) {
		next = walk("f");
		cr_assert_neq(next, first);
		cr_assert_eq(getattr(first), -EBADF);
	}
	cr_assert_eq(getattr(next), 0);
	/* Of the same slot, other generations. */
	for (uint64_t generation = 0; generation < 20; generation++) {
		uint64_t guess = generation << 32 | (first & UINT32_MAX);

		if (getattr(guess) == 0)
			cr_assert_neq(guess, first);
	}
}

Test(nodes, a_stream_is_no_node_and_a_node_no_stream)
{
	uint64_t stream = opendir_node(root);

	cr_assert_neq(stream, 0);
	cr_assert_eq(getattr(stream), -EBADF);
	cr_assert_eq(RPC(rig.sock, READDIR, readdir, .stream = root, .size = 4096), -EBADF);
	cr_assert_eq(RPC(rig.sock, READDIR, readdir, .stream = stream, .size = 4096), 0);
	cr_assert_eq(RPC(rig.sock, OPENDIR, opendir, .node = stream), -EBADF);
}

Test(nodes, given_up_in_use)
{
	rig_write(&rig, "f", "");
	for (int i = 0; i < 200; i++) {
		uint64_t nid = walk("f");
		struct rpc_head h;

		for (uint32_t k = 0; k < 8; k++)
			cr_assert_eq(rpc_send(rig.sock, k, RPC_GETATTR,
			                      &(struct rpc_getattr_req){.node = nid}),
			             0);
		rpc_give_up(rig.sock, nid);
		for (int k = 0; k < 8; k++) {
			int r = rpc_recv(rig.sock, &h, NULL, NULL);

			cr_assert(r == 0 || r == -EBADF, "%d", r);
		}
	}
	cr_assert_lt(fd_count(rig.helper), 60);
}

/* ---- more nodes than descriptors ---- */

static void twenty_thousand(bool unlink_some)
{
	enum { MANY = 20000 };
	static uint64_t nids[MANY];
	int gone = 0;

	rig_dirs(&rig);
	limited(FILES_LOW);
	for (int i = 0; i < MANY; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%d", i % 2000);
		if (i < 2000)
			rig_write(&rig, name, "");
		nids[i] = walk(name);
	}
	cr_assert_leq(fd_count(rig.helper), FILES_LOW);
	for (int i = 0; i < MANY; i++) {
		union rpc_reply a;
		int r = rpc_do(rig.sock, RPC_GETATTR, &(struct rpc_getattr_req){.node = nids[i]},
		               &a, NULL);

		cr_assert_eq(r, 0, "node %d: %d", i, r);
		cr_assert_eq(S_ISREG(a.getattr.attr.mode), 1);
	}
	for (int i = 0; i < MANY; i += 777) {
		AUTO_CLOSE int fd = -1;

		cr_assert_eq(
		    rpc_do(rig.sock, RPC_OPEN, &(struct rpc_open_req){.node = nids[i]}, NULL, &fd),
		    0);
		cr_assert_geq(fd, 0);
	}
	/* A file that is gone for good is told so; nothing else changes. */
	if (unlink_some) {
		cr_assert_eq(unlink(rig_path(&rig, "f5")), 0);
		/* ext4 says ENOMEM while somebody else is just being given that inode's number. */
		WAIT_WHILE((gone = getattr(nids[5])) == -ENOMEM);
		cr_assert_eq(gone, -ESTALE, "%d", gone);
		cr_assert_eq(getattr(nids[6]), 0);
	}
	for (int i = 0; i < MANY; i++)
		rpc_give_up(rig.sock, nids[i]);
	cr_assert_eq(getattr(root), 0);
}

Test(few_files, twenty_thousand_under_512_descriptors)
{
	rig_needs_root("file handles");
	twenty_thousand(false);
}

Test(few_files, an_unlinked_file_that_lives_as_a_handle_is_stale)
{
	rig_needs_root("file handles");
	twenty_thousand(true);
}

Test(few_files, a_renamed_file_that_lives_as_a_handle_is_the_same)
{
	uint64_t first;
	union rpc_reply a;
	struct stat st;

	rig_needs_root("file handles");
	rig_dirs(&rig);
	limited(FILES_LOW);
	rig_write(&rig, "first", "");
	first = walk("first");
	for (int i = 0; i < 600; i++)
		(void)walk("first");
	cr_assert_eq(rename(rig_path(&rig, "first"), rig_path(&rig, "second")), 0);
	rig_write(&rig, "first", "a stranger's");
	cr_assert_eq(stat(rig_path(&rig, "second"), &st), 0);
	cr_assert_eq(
	    rpc_do(rig.sock, RPC_GETATTR, &(struct rpc_getattr_req){.node = first}, &a, NULL), 0);
	cr_assert_eq(a.getattr.attr.ino, st.st_ino);
}

Test(few_files, streams_keep_their_descriptors_and_run_out)
{
	static uint64_t streams[FILES_LOW];
	int count = 0;

	rig_dirs(&rig);
	limited(FILES_LOW);
	while (count < FILES_LOW && (streams[count] = opendir_node(root)))
		count++;
	cr_assert(count > 50 && count < FILES_LOW, "%d", count);
	cr_assert_eq(RPC(rig.sock, OPENDIR, opendir, .node = root), -ENFILE);
	/* Others work on, and it goes on when some are given up. */
	for (int i = 0; i < count; i++)
		cr_assert_eq(RPC(rig.sock, READDIR, readdir, .stream = streams[i], .size = 4096),
		             0);
	for (int i = 0; i < 10; i++)
		rpc_give_up(rig.sock, streams[i]);
	cr_assert_eq(RPC(rig.sock, READDIR, readdir, .stream = streams[20], .size = 4096), 0);
	WAIT_WHILE(!opendir_node(root));
	cr_assert_eq(getattr(root), 0);
}

static bool mount_ramfs(void)
{
	return mount("none", rig.export, "ramfs", 0, NULL) == 0;
}

static void nodes_end_with_the_descriptors(void)
{
	static uint64_t nids[FILES_LOW + 100];
	int count = 0, error = 0;

	cr_assert_eq(RPC(rig.sock, MKDIR, mkdir, .dir = root, .name = wt_str_of("d"), .mode = 0755,
	                 .uid = 0, .gid = 0),
	             0);
	while (count < FILES_LOW + 99 && (nids[count] = rpc_walk(rig.sock, root, "d", &error)))
		count++;
	cr_assert_eq(error, -ENFILE);
	cr_assert(count > 50 && count < FILES_LOW, "%d", count);
	for (int i = 0; i < count; i++)
		cr_assert_eq(getattr(nids[i]), 0);
	for (int i = 0; i < 20; i++)
		rpc_give_up(rig.sock, nids[i]);
	WAIT_WHILE(!rpc_walk(rig.sock, root, "d", &error));
	cr_assert_eq(error, 0);
}

/* ramfs has no handles. */
Test(few_files, without_handles_there_is_an_error_and_no_crash)
{
	rig_needs_root("mounts");
	rig_dirs(&rig);
	cr_assert(mount_ramfs());
	limited(FILES_LOW);
	cr_assert_eq(umount2(rig.export, MNT_DETACH), 0);
	nodes_end_with_the_descriptors();
}

Test(few_files, without_handles_if_so_asked_for)
{
	rig_dirs(&rig);
	limited_with(FILES_LOW, (const char *[]){"--inode-file-handles", "never", NULL});
	if (geteuid() == 0)
		cr_assert_str_eq(rig_proc(&rig, "CapEff"), "00000000080000db");
	nodes_end_with_the_descriptors();
}

Test(no_files, too_few_descriptors_are_refused_at_the_start)
{
	struct rlimit before, low;

	rig_dirs(&rig);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 256;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	rig.native = true;
	rig_serve(&rig, NULL);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_assert_eq(rig_exit_status(rig.helper), 1);
	cr_assert_not_null(strstr(rig_log(&rig), "RLIMIT_NOFILE"));
	rig.helper = -1;
	(void)rig_end(&rig);
}

/* ---- descriptors that come back ---- */

Test(nodes, only_regular_files_come_back)
{
	static const char *const names[] = {"fifo", "null", "link", "dir"};
	struct stat st;

	rig_needs_root("device nodes");
	cr_assert_eq(mkfifo(rig_path(&rig, "fifo"), 0666), 0);
	cr_assert_eq(mknod(rig_path(&rig, "null"), S_IFCHR | 0666, makedev(1, 3)), 0);
	cr_assert_eq(symlink("/etc/passwd", rig_path(&rig, "link")), 0);
	cr_assert_eq(mkdir(rig_path(&rig, "dir"), 0755), 0);
	rig_write(&rig, "file", "text");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t nid = walk(names[i]);

		for (uint32_t flags = 0; flags < 3; flags++) {
			AUTO_CLOSE int fd = -1;
			int r =
			    rpc_do(rig.sock, RPC_OPEN,
			           &(struct rpc_open_req){.node = nid, .flags = flags}, NULL, &fd);

			cr_assert(r < 0 && r != RPC_GONE && fd < 0, "%s: %d", names[i], r);
			r = rpc_do(rig.sock, RPC_CREATE,
			           &(struct rpc_create_req){.dir = root,
			                                    .name = wt_str_of(names[i]),
			                                    .flags = flags,
			                                    .mode = 0644},
			           NULL, &fd);
			cr_assert(r < 0 && r != RPC_GONE && fd < 0, "%s: %d", names[i], r);
		}
	}
	for (uint32_t bits = 0; bits < 1u << 22; bits = bits * 2 + 1) {
		AUTO_CLOSE int fd = -1;
		int r = rpc_do(rig.sock, RPC_OPEN,
		               &(struct rpc_open_req){.node = walk("file"), .flags = bits & ~3u},
		               NULL, &fd);

		if (r < 0)
			continue;
		cr_assert(fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
		cr_assert_not(fcntl(fd, F_GETFL) & (O_PATH | O_ASYNC | O_DIRECT));
	}
}

/* ---- reading directories ---- */

Test(nodes, streams_are_read_from_anywhere)
{
	uint64_t stream, offset = 0;
	unsigned seen = 0;

	for (int i = 0; i < 500; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%d", i);
		rig_write(&rig, name, "");
	}
	stream = opendir_node(root);
	for (;;) {
		union rpc_reply a;
		struct rpc_dirent e;
		struct rd r;

		cr_assert_eq(rpc_do(rig.sock, RPC_READDIR,
		                    &(struct rpc_readdir_req){
		                        .stream = stream, .offset = offset, .size = 300},
		                    &a, NULL),
		             0);
		r = rd_over(a.readdir.entries.data, a.readdir.entries.size);
		if (r.left == 0)
			break;
		for (; r.left > 0; seen++) {
			cr_assert(rpc_dirent_get(&r, &e));
			offset = e.offset;
		}
	}
	cr_assert_eq(seen, 502);
	cr_assert_eq(RPC(rig.sock, READDIR, readdir, .stream = stream, .size = 0), -EINVAL);
	cr_assert_eq(RPC(rig.sock, READDIR, readdir, .stream = stream, .size = UINT32_MAX), 0);
	cr_assert_eq(
	    RPC(rig.sock, READDIR, readdir, .stream = stream, .offset = UINT64_MAX, .size = 300),
	    -EINVAL);
	cr_assert_eq(RPC(rig.sock, OPENDIR, opendir, .node = walk("f1")), -ENOTDIR);
}

/* Two requests on one stream at once must not move it under each other. */
Test(nodes, one_stream_by_many_requests_at_once)
{
	uint64_t stream;

	for (int i = 0; i < 100; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%d", i);
		rig_write(&rig, name, "");
	}
	stream = opendir_node(root);
	for (int round = 0; round < 50; round++) {
		size_t sizes[32];

		for (uint32_t i = 0; i < 32; i++)
			cr_assert_eq(rpc_send(rig.sock, i, RPC_READDIR,
			                      &(struct rpc_readdir_req){
			                          .stream = stream, .size = i % 2 ? 200 : 65536}),
			             0);
		for (int i = 0; i < 32; i++) {
			union rpc_reply a;
			struct rpc_head h;

			cr_assert_eq(rpc_recv(rig.sock, &h, &a, NULL), 0);
			sizes[h.tag] = a.readdir.entries.size;
		}
		for (int i = 2; i < 32; i++)
			cr_assert_eq(sizes[i], sizes[i % 2]);
	}
}
