/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.c: a device that was taken over, and asks its helper for all that it should not get, in the native dialect.
 *
 * Canaries lie outside the export (tests/lib/canary.h): all that comes back is searched for them. What is no packet, and
 * numbers that are no nodes, are proto/rpc_bad_input.c's and proto/rpc_nodes.c's; here is what is well-formed and hostile.
 */
#include "tests/lib/hostile.h"
#include "tests/lib/odd_names.h"
#include "tests/lib/race.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static void start(void)
{
	hostile_start(NULL);
}

TestSuite(device_attack, .init = start, .fini = hostile_end, .timeout = 300);
TestSuite(device_attack_readonly, .fini = hostile_end, .timeout = 300);

static uint8_t packet[RPC_PACKET_MAX];

/* ---- names ---- */

#define MARK WT_STR(ODD_MARK)
#define GOOD WT_STR("dir")

/* That request with each of the odd names where it has the mark. */
static void with_odd_names(const struct hostile_call *a)
{
	static char longest[UINT16_MAX];
	struct rpc_head h;

	memset(longest, 'n', sizeof(longest));
	for (size_t i = 0; i < odd_names_count + 3; i++) {
		const struct odd_name over[] = {{longest, 256}, {longest, 4096}, {longest, 65535}};
		const struct odd_name *name =
		    i < odd_names_count ? &odd_names[i] : &over[i - odd_names_count];
		AUTO_CLOSE int fd = -1;
		size_t size = rpc_packet(packet, 5, a->type, a->request);

		size = odd_name_put(packet, size, sizeof(packet), name);
		cr_assert_eq(usock_send(hostile.rig.sock, packet, size, -1), 0);
		cr_assert_eq(rpc_recv(hostile.rig.sock, &h, NULL, &fd), -EPROTO, "%s with name %zu",
		             rpc_find(a->type)->name, i);
		cr_assert_eq(h.tag, 5);
		cr_assert_lt(fd, 0);
		canary_attack(1);
	}
}

Test(device_attack, names_that_are_none_wherever_a_name_may_stand)
{
	const struct hostile_call attempts[] = {
	    {RPC_CREATE, &(struct rpc_create_req){.dir = hostile.root, .name = MARK, .flags = 2}},
	    {RPC_MKDIR, &(struct rpc_mkdir_req){.dir = hostile.root, .name = MARK, .mode = 0755}},
	    {RPC_SYMLINK,
	     &(struct rpc_symlink_req){.dir = hostile.root, .name = MARK, .target = GOOD}},
	    {RPC_MKNOD,
	     &(struct rpc_mknod_req){.dir = hostile.root, .name = MARK, .mode = S_IFIFO}},
	    {RPC_LINK,
	     &(struct rpc_link_req){.node = hostile.root, .dir = hostile.root, .name = MARK}},
	    {RPC_RENAME,
	     &(struct rpc_rename_req){
	         .dir = hostile.root, .name = MARK, .new_dir = hostile.root, .new_name = GOOD}},
	    {RPC_RENAME,
	     &(struct rpc_rename_req){
	         .dir = hostile.root, .name = GOOD, .new_dir = hostile.root, .new_name = MARK}},
	    {RPC_UNLINK, &(struct rpc_unlink_req){.dir = hostile.root, .name = MARK}},
	    {RPC_UNLINK,
	     &(struct rpc_unlink_req){.dir = hostile.root, .name = MARK, .flags = RPC_REMOVE_DIR}},
	};

	cr_assert_eq(mkdir(rig_path(&hostile.rig, "dir"), 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++)
		with_odd_names(&attempts[i]);
	for (uint16_t count = 1; count <= WT_NAMES_MAX; count++) {
		for (uint16_t at = 0; at < count; at++) {
			struct rpc_walk_req q = {.from = hostile.root, .path.count = count};

			for (uint16_t i = 0; i < count; i++)
				q.path.name[i] = i == at ? MARK : GOOD;
			with_odd_names(&(struct hostile_call){RPC_WALK, &q});
		}
	}
}

/* ---- numbers ---- */

/* Every number that a node could have, of the generations around: only those that were given are any. */
Test(device_attack, a_guessed_number_is_no_node)
{
	enum { SLOTS = 4096, GENERATIONS = 16 };
	static uint64_t mine[8];
	unsigned hits = 0;

	rig_write(&hostile.rig, "f", "");
	for (size_t i = 0; i < ARRAY_SIZE(mine); i++)
		mine[i] = rpc_walk(hostile.rig.sock, hostile.root, "f", NULL);
	for (uint64_t generation = 0; generation < GENERATIONS; generation++) {
		for (uint64_t slot = 0; slot < SLOTS; slot++) {
			uint64_t guess = generation << 32 | slot;
			bool known = guess == hostile.root;

			for (size_t i = 0; i < ARRAY_SIZE(mine); i++)
				known |= guess == mine[i];
			if (ATTACK(GETATTR, getattr, .node = guess) == 0) {
				cr_assert(known, "0x%llx is a node", (unsigned long long)guess);
				hits++;
			}
		}
	}
	cr_assert_leq(hits, ARRAY_SIZE(mine) + 1);
}

/* ---- links ---- */

/* All that can be asked of a node that is a link, or by a name that is one. */
static void ask_of_link(uint64_t nid, const char *name, uint64_t dir)
{
	static const uint32_t opens[] = {0,
	                                 1,
	                                 2,
	                                 RPC_O_TRUNC | 1,
	                                 RPC_O_NONBLOCK,
	                                 RPC_O_DIRECTORY,
	                                 RPC_O_APPEND | 2,
	                                 RPC_O_NOATIME,
	                                 RPC_O_SYNC | 2};
	const struct wt_str link = wt_str_of(name), canary = wt_str_of("canary");
	const struct wt_str xname = wt_str_of("user.a"), new = wt_str_of("new");

	for (size_t i = 0; i < ARRAY_SIZE(opens); i++) {
		const struct rpc_create_req create = {
		    .dir = dir, .name = link, .flags = opens[i], .mode = 0777, .uid = 0};

		cr_assert_not(attack_gives_fd(
		    RPC_OPEN, &(struct rpc_open_req){.node = nid, .flags = opens[i]}));
		cr_assert_not(attack_gives_fd(RPC_CREATE, &create));
	}
	cr_assert_neq(ATTACK(OPENDIR, opendir, .node = nid), 0);
	cr_assert_neq(ATTACK(WALK, walk, .from = nid, .path = {1, {canary}}), 0);
	cr_assert_neq(ATTACK(PARENT, parent, .node = nid), 0);
	cr_assert_neq(ATTACK(MKDIR, mkdir, .dir = nid, .name = new, .mode = 0777), 0);
	cr_assert_neq(ATTACK(MKNOD, mknod, .dir = nid, .name = new, .mode = S_IFREG | 0666), 0);
	cr_assert_neq(ATTACK(SYMLINK, symlink, .dir = nid, .name = new, .target = new), 0);
	cr_assert_neq(ATTACK(LINK, link, .node = hostile.root, .dir = nid, .name = new), 0);
	cr_assert_neq(ATTACK(RENAME, rename, .dir = nid, .name = canary, .new_dir = hostile.root,
	                     .new_name = new),
	              0);
	cr_assert_neq(
	    ATTACK(RENAME, rename, .dir = dir, .name = link, .new_dir = nid, .new_name = new), 0);
	cr_assert_neq(ATTACK(UNLINK, unlink, .dir = nid, .name = canary), 0);
	cr_assert_neq(ATTACK(UNLINK, unlink, .dir = dir, .name = link, .flags = RPC_REMOVE_DIR), 0);
	cr_assert_neq(ATTACK(FSYNC, fsync, .node = nid), 0);
	cr_assert_neq(ATTACK(SETXATTR, setxattr, .node = nid, .name = xname, .value = canary), 0);
	cr_assert_neq(ATTACK(SETATTR, setattr, .node = nid, .valid = RPC_SET_MODE, .mode = 0), 0);
	cr_assert_neq(ATTACK(SETATTR, setattr, .node = nid, .valid = RPC_SET_SIZE), 0);
	/* Of the link itself these are. */
	(void)ATTACK(SETATTR, setattr, .node = nid, .valid = RPC_SET_UID | RPC_SET_GID, .uid = 7,
	             .gid = 7);
	(void)ATTACK(SETATTR, setattr, .node = nid, .valid = RPC_SET_MTIME | RPC_SET_ATIME);
	(void)ATTACK(GETXATTR, getxattr, .node = nid, .name = xname, .size = 100);
	(void)ATTACK(LISTXATTR, listxattr, .node = nid, .size = 100);
	(void)ATTACK(REMOVEXATTR, removexattr, .node = nid, .name = xname);
	(void)ATTACK(STATFS, statfs, .node = nid);
	(void)ATTACK(READLINK, readlink, .node = nid);
	/* A second name of the link is as little. */
	cr_assert_eq(ATTACK(LINK, link, .node = nid, .dir = hostile.root, .name = new), 0);
	cr_assert_not(attack_gives_fd(
	    RPC_CREATE,
	    &(struct rpc_create_req){.dir = hostile.root, .name = new, .flags = 2, .mode = 6}));
	cr_assert_eq(ATTACK(UNLINK, unlink, .dir = hostile.root, .name = new), 0);
}

Test(device_attack, a_farm_of_links_to_canaries)
{
	uint64_t farm;
	unsigned links = 0;

	cr_assert_eq(mkdir(rig_path(&hostile.rig, "farm"), 0777), 0);
	farm = rpc_walk(hostile.rig.sock, hostile.root, "farm", NULL);
	for (unsigned round = 0; round < (is_sanitized() ? 5 : 45); round++) {
		const char *way;

		for (unsigned i = 0; (way = canary_way(&hostile.canaries, i)); i++, links++) {
			char name[32], walk[64];
			uint64_t nid;

			(void)snprintf(name, sizeof(name), "%u", links);
			(void)snprintf(walk, sizeof(walk), "farm/%s", name);
			/* Made by the device itself, every other time by the host. */
			if (round % 2)
				cr_assert_eq(symlink(way, rig_path(&hostile.rig, walk)), 0);
			else
				cr_assert_eq(ATTACK(SYMLINK, symlink, .dir = farm,
				                    .name = wt_str_of(name),
				                    .target = wt_str_of(way)),
				             0);
			nid = rpc_walk(hostile.rig.sock, hostile.root, walk, NULL);
			cr_assert_neq(nid, 0);
			ask_of_link(nid, name, farm);
			rpc_give_up(hostile.rig.sock, nid);
		}
	}
	cr_assert_gt(links, is_sanitized() ? 200 : 2000);
}

/* ---- kinds of descriptors ---- */

#define FLAGS_TRIED 400

Test(device_attack, every_kind_of_file_by_every_call_that_opens)
{
	AUTO_CLOSE int reader = -1;
	struct pollfd p;

	hostile_make_kinds();
	reader = open(rig_path(&hostile.rig, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	for (size_t k = 0; k < hostile_kinds_count; k++) {
		uint64_t nid = rpc_walk(hostile.rig.sock, hostile.root, hostile_kinds[k], NULL);
		bool is_dir = strcmp(hostile_kinds[k], "dir") == 0;
		union rpc_reply a;

		cr_assert_neq(nid, 0);
		for (unsigned i = 0; i < FLAGS_TRIED; i++) {
			const uint32_t flags = hostile_flags(i);
			const struct rpc_create_req create = {.dir = hostile.root,
			                                      .name = wt_str_of(hostile_kinds[k]),
			                                      .flags = flags,
			                                      .mode = 07777};

			cr_assert_not(
			    attack_gives_fd(RPC_OPEN,
			                    &(struct rpc_open_req){.node = nid, .flags = flags}),
			    "%s with 0%o", hostile_kinds[k], flags);
			cr_assert_not(attack_gives_fd(RPC_CREATE, &create), "%s with 0%o",
			              hostile_kinds[k], flags);
		}
		cr_assert_eq(
		    attack(RPC_OPENDIR, &(struct rpc_opendir_req){.node = nid}, &a, NULL) == 0,
		    is_dir);
		cr_assert_eq(ATTACK(FSYNC, fsync, .node = nid) == 0, is_dir);
		cr_assert_neq(
		    ATTACK(SETATTR, setattr, .node = nid, .valid = RPC_SET_SIZE, .size = 1), 0);
	}
	/* Nobody has opened the FIFO's other end, not even for a moment. */
	p = (struct pollfd){.fd = reader, .events = POLLIN};
	cr_assert_eq(poll(&p, 1, 0), 0, "the FIFO was opened: 0x%x", p.revents);
}

/* ---- what a descriptor that was given allows ---- */

static int open_as(const char *name, uint32_t flags)
{
	const struct rpc_open_req q = {.node = rpc_walk(hostile.rig.sock, hostile.root, name, NULL),
	                               .flags = flags};
	int fd = -1, r = attack(RPC_OPEN, &q, NULL, &fd);

	cr_assert_eq(r, 0, "%s: %d", name, r);
	return fd;
}

Test(device_attack, a_descriptor_does_what_was_asked_and_no_more)
{
	char byte;

	rig_write(&hostile.rig, "f", "text");
	for (unsigned i = 0; i < FLAGS_TRIED; i++) {
		const struct rpc_open_req q = {
		    .node = rpc_walk(hostile.rig.sock, hostile.root, "f", NULL),
		    .flags = hostile_flags(i) & ~RPC_O_TRUNC};
		AUTO_CLOSE int fd = -1;
		int mode;

		if (attack(RPC_OPEN, &q, NULL, &fd) != 0)
			continue;
		mode = fcntl(fd, F_GETFL) & O_ACCMODE;
		cr_assert_eq((uint32_t)mode, q.flags & RPC_O_ACCMODE);
		cr_assert_eq(pread(fd, &byte, 1, 0) >= 0, mode != O_WRONLY);
		cr_assert_eq(pwrite(fd, "t", 1, 0) >= 0, mode != O_RDONLY);
		cr_assert_eq(ftruncate(fd, 4) == 0, mode != O_RDONLY);
		rpc_give_up(hostile.rig.sock, q.node);
	}
	for (int i = 0; i < 2; i++) {
		AUTO_CLOSE int fd = open_as("f", (uint32_t)i);

		cr_assert_lt(openat(fd, "..", O_PATH | O_CLOEXEC), 0);
		cr_assert_eq(fcntl(fd, F_GETFD) & ~FD_CLOEXEC, 0);
	}
}

/* Runs a check as an ordinary user, which a device is. Return: what it returns, or 128 and more. */
static int as_nobody(int (*check)(int fd), int fd)
{
	int status;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(99);
		_exit(check(fd));
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const char *fd_path(int fd)
{
	static char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static int try_to_get_more(int fd)
{
	return pwrite(fd, "x", 1, 0) < 0 && ftruncate(fd, 0) < 0 &&
	               open(fd_path(fd), O_RDWR | O_CLOEXEC) < 0 &&
	               open(fd_path(fd), O_WRONLY | O_TRUNC | O_CLOEXEC) < 0 &&
	               truncate(fd_path(fd), 0) < 0 && fchmod(fd, 0666) < 0 &&
	               fchown(fd, 65534, 65534) < 0 && fsetxattr(fd, "user.a", "v", 1, 0) < 0 &&
	               futimens(fd, (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}) < 0
	           ? 0
	           : 1;
}

Test(device_attack, a_reading_descriptor_is_not_opened_again_for_writing)
{
	AUTO_CLOSE int fd = -1;

	rig_write(&hostile.rig, "f", "text");
	cr_assert_eq(chmod(rig_path(&hostile.rig, "f"), 0600), 0);
	fd = open_as("f", 0);
	cr_assert_eq(as_nobody(try_to_get_more, fd), 0);
	canary_attack(9);
	cr_assert_str_eq(rig_read(&hostile.rig, "f"), "text");
}

/* Even for hostile.root: it belongs to a mount of the helper's namespace, so it gets no name anywhere else. */
Test(device_attack, a_descriptor_gets_no_name_outside)
{
	char new[128];
	AUTO_CLOSE int fd = -1;

	if (strstr(rig_log(&hostile.rig), "only chroot holds the export"))
		cr_skip_test("no mount namespaces here");
	rig_write(&hostile.rig, "f", "text");
	fd = open_as("f", 2);
	(void)snprintf(new, sizeof(new), "%s/stolen", hostile.rig.dir);
	cr_assert_eq(linkat(AT_FDCWD, fd_path(fd), AT_FDCWD, new, AT_SYMLINK_FOLLOW), -1);
	cr_assert_eq(errno, EXDEV);
	cr_assert_eq(linkat(fd, "", AT_FDCWD, new, AT_EMPTY_PATH), -1);
	cr_assert_eq(errno, EXDEV);
	canary_attack(2);
}

Test(device_attack_readonly, a_descriptor_of_a_read_only_export_never_writes)
{
	AUTO_CLOSE int fd = -1;

	hostile_start((const char *const[]){"--readonly", NULL});
	rig_write(&hostile.rig, "f", "text");
	cr_assert_eq(chmod(rig_path(&hostile.rig, "f"), 0666), 0);
	fd = open_as("f", 0);
	for (unsigned i = 0; i < FLAGS_TRIED; i++) {
		const struct rpc_open_req q = {
		    .node = rpc_walk(hostile.rig.sock, hostile.root, "f", NULL),
		    .flags = hostile_flags(i)};

		if (attack_gives_fd(RPC_OPEN, &q))
			cr_assert_eq(q.flags & (RPC_O_ACCMODE | RPC_O_TRUNC), 0);
	}
	cr_assert_eq(
	    RPC(hostile.rig.sock, CREATE, create, .dir = hostile.root, .name = wt_str_of("f")),
	    -EROFS);
	if (strstr(rig_log(&hostile.rig), "only chroot holds the export"))
		cr_skip_test("no mount namespaces here");
	/* The mount says so too, to anybody and to hostile.root. */
	cr_assert_eq(as_nobody(try_to_get_more, fd), 0);
	cr_assert_eq(try_to_get_more(fd), 0);
	canary_attack(18);
	cr_assert_str_eq(rig_read(&hostile.rig, "f"), "text");
}

/* ---- races ---- */

#define RACE_TRIES (is_sanitized() ? 2000 : 6000)

static uint64_t walk_to(uint64_t from, const char *a, const char *b)
{
	const struct rpc_walk_req q = {.from = from, .path = {2, {wt_str_of(a), wt_str_of(b)}}};
	union rpc_reply reply;

	return attack(RPC_WALK, &q, &reply, NULL) == 0 ? reply.walk.node : 0;
}

static void race_exchange(void (*request)(void), const char *link_to)
{
	cr_assert_eq(mkdir(rig_path(&hostile.rig, "a"), 0777), 0);
	rig_write(&hostile.rig, "a/canary", "inside");
	cr_assert_eq(symlink(link_to, rig_path(&hostile.rig, "b")), 0);
	race_start(RACE_EXCHANGE, rig_path(&hostile.rig, "a"), rig_path(&hostile.rig, "b"));
	for (int i = 0; i < RACE_TRIES || race_is_young(); i++)
		request();
	race_end();
}

static void race_open(void)
{
	uint64_t nid = walk_to(hostile.root, "a", "canary");

	if (!nid)
		return;
	(void)attack_gives_fd(RPC_OPEN, &(struct rpc_open_req){.node = nid, .flags = 2});
	(void)ATTACK(SETATTR, setattr, .node = nid, .valid = RPC_SET_MODE | RPC_SET_UID,
	             .mode = 0640, .uid = 5);
	rpc_give_up(hostile.rig.sock, nid);
}

static void race_make(void)
{
	uint64_t nid = rpc_walk(hostile.rig.sock, hostile.root, "a", NULL);
	const struct wt_str new = wt_str_of("new"), canary = wt_str_of("canary");

	if (!nid)
		return;
	(void)ATTACK(MKDIR, mkdir, .dir = nid, .name = new, .mode = 0755);
	(void)ATTACK(UNLINK, unlink, .dir = nid, .name = new, .flags = RPC_REMOVE_DIR);
	(void)attack_gives_fd(RPC_CREATE, &(struct rpc_create_req){
	                                      .dir = nid, .name = canary, .flags = 1, .mode = 6});
	(void)ATTACK(RENAME, rename, .dir = nid, .name = canary, .new_dir = nid,
	             .new_name = canary);
	rpc_give_up(hostile.rig.sock, nid);
}

/* The last name is a file, and then a link to a canary. */
static void race_last(void)
{
	const struct rpc_create_req q = {
	    .dir = hostile.root, .name = wt_str_of("a"), .flags = 2 | RPC_O_TRUNC, .mode = 0666};

	(void)attack_gives_fd(RPC_CREATE, &q);
}

Test(device_attack, race_of_open_against_a_link)
{
	race_exchange(race_open, hostile.rig.outside);
}

Test(device_attack, race_of_open_against_a_relative_link)
{
	race_exchange(race_open, "../mounted");
}

Test(device_attack, race_of_creation_against_a_link)
{
	race_exchange(race_make, "../outside");
}

Test(device_attack, race_of_creation_against_a_link_of_that_name)
{
	rig_write(&hostile.rig, "a", "inside");
	cr_assert_eq(symlink(hostile.canaries.at[0].path, rig_path(&hostile.rig, "b")), 0);
	race_start(RACE_EXCHANGE, rig_path(&hostile.rig, "a"), rig_path(&hostile.rig, "b"));
	for (int i = 0; i < RACE_TRIES || race_is_young(); i++)
		race_last();
	race_end();
}

/* A directory goes out of the export and comes back while the device climbs from below it. */
Test(device_attack, race_of_parent_against_a_directory_that_goes_out)
{
	char outside[128];
	uint64_t deep;

	cr_assert_eq(mkdir(rig_path(&hostile.rig, "a"), 0777), 0);
	cr_assert_eq(mkdir(rig_path(&hostile.rig, "a/b"), 0777), 0);
	deep = rpc_walk(hostile.rig.sock, hostile.root, "a/b", NULL);
	(void)snprintf(outside, sizeof(outside), "%s/moved", hostile.rig.dir);
	race_start(RACE_MOVE, rig_path(&hostile.rig, "a"), outside);
	for (int i = 0; i < RACE_TRIES || race_is_young(); i++) {
		uint64_t here = deep;

		for (int up = 0; up < 4; up++) {
			union rpc_reply a;

			if (attack(RPC_PARENT, &(struct rpc_parent_req){.node = here}, &a, NULL) !=
			    0)
				break;
			if (here != deep)
				rpc_give_up(hostile.rig.sock, here);
			here = a.parent.parent;
			cr_assert_eq(walk_to(here, "outside", "canary"), 0, "above the export");
			cr_assert_eq(rpc_walk(hostile.rig.sock, here, "export", NULL), 0);
		}
		if (here != deep)
			rpc_give_up(hostile.rig.sock, here);
	}
	race_end();
}
