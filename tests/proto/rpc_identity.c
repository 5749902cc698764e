/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rpc_identity.c: as whom the helper creates, that it is itself again after, and that nothing leads out of the export. */
#include "tests/lib/p9_rig.h"
#include "tests/lib/rpc_peer.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define S(text) wt_str_of(text)

static struct rig rig;
static uint64_t root;

static void start(void)
{
	rig_dirs(&rig);
	rig.native = true;
	rig_serve(&rig, NULL);
	root = rpc_hello(rig.sock);
	cr_assert_neq(root, 0);
}

static void end(void)
{
	cr_assert_eq(rig_end(&rig), 0, "%s", rig.log);
}

TestSuite(rpc_identity, .init = start, .fini = end, .timeout = 120);
TestSuite(device_identity, .timeout = 120);

/* The identity of each thread, as lines of its status file; "" if two threads differ. */
static const char *identity(void)
{
	static const char *const keys[] = {"CapInh", "CapPrm", "CapEff", "CapBnd",    "CapAmb",
	                                   "Uid",    "Gid",    "Groups", "NoNewPrivs"};
	static char first[1024], text[1024];
	char path[300], line[256];
	struct dirent *e;
	bool any = false;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)rig.helper);
	d = opendir(path);
	cr_assert_not_null(d);
	while ((e = readdir(d))) {
		struct sbuf s = sbuf_over(text, sizeof(text));
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)rig.helper,
		               e->d_name);
		f = fopen(path, "re");
		cr_assert_not_null(f);
		while (fgets(line, sizeof(line), f)) {
			for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
				size_t size = strlen(keys[i]);

				if (strncmp(line, keys[i], size) == 0 && line[size] == ':')
					sbuf_add(&s, "%s", line);
			}
		}
		cr_assert_eq(fclose(f), 0);
		if (!any)
			memcpy(first, text, sizeof(first));
		any = true;
		if (strcmp(first, text) != 0)
			first[0] = '\0';
	}
	(void)closedir(d);
	return first;
}

/* Each request that creates, with that user and group. Return: how many succeeded. */
static int create_all(uint64_t dir, uint32_t uid, uint32_t gid)
{
	int fd = -1, good = 0;

	good += RPC(rig.sock, MKDIR, mkdir, .dir = dir, .name = S("d"), .mode = 0755, .uid = uid,
	            .gid = gid) == 0;
	good += RPC(rig.sock, SYMLINK, symlink, .dir = dir, .name = S("l"), .target = S("t"),
	            .uid = uid, .gid = gid) == 0;
	good += RPC(rig.sock, MKNOD, mknod, .dir = dir, .name = S("p"), .mode = S_IFIFO | 0644,
	            .uid = uid, .gid = gid) == 0;
	good += rpc_do(rig.sock, RPC_CREATE,
	               &(struct rpc_create_req){.dir = dir,
	                                        .name = S("f"),
	                                        .flags = RPC_O_RDWR,
	                                        .mode = 0644,
	                                        .uid = uid,
	                                        .gid = gid},
	               NULL, &fd) == 0;
	fd_close(&fd);
	return good;
}

static void remove_all(void)
{
	static const char *const names[] = {"d", "l", "p", "f"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)remove(rig_path(&rig, names[i]));
}

Test(rpc_identity, what_is_made_is_the_users)
{
	static const uint32_t ids[] = {0, 1, 1000, 65534, 1u << 31, UINT32_MAX - 1};
	static const char *const names[] = {"d", "l", "p", "f"};

	rig_needs_root("ids of 32 bits");
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		uint32_t gid = ids[(i + 1) % ARRAY_SIZE(ids)];

		cr_assert_eq(create_all(root, ids[i], gid), 4);
		for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
			struct stat st;

			cr_assert_eq(lstat(rig_path(&rig, names[k]), &st), 0);
			cr_assert_eq(st.st_uid, ids[i], "%s", names[k]);
			cr_assert_eq(st.st_gid, gid, "%s", names[k]);
		}
		remove_all();
	}
}

Test(rpc_identity, every_thread_is_itself_again)
{
	char before[1024];

	cr_assert_eq(RPC(rig.sock, GETATTR, getattr, .node = root), 0);
	(void)snprintf(before, sizeof(before), "%s", identity());
	cr_assert_neq(before[0], '\0', "threads differ from the start");
	for (int i = 0; i < 20; i++) {
		(void)create_all(root, 1000, 1000); /* the second time they exist */
		(void)create_all(root, 0, 0);
		(void)create_all(9999, 1000, 1000); /* no such directory */
		cr_assert_str_eq(identity(), before);
		if (i % 2)
			remove_all();
	}
}

Test(rpc_identity, every_thread_is_itself_again_after_a_storm)
{
	char before[1024];
	struct rpc_head h;

	(void)snprintf(before, sizeof(before), "%s", identity());
	for (int round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 60; i++) {
			struct rpc_mkdir_req q = {.dir = i % 5 ? root : 77,
			                          .name = S("d"),
			                          .mode = 0755,
			                          .uid = 1000 + i,
			                          .gid = 1000};

			cr_assert_eq(rpc_send(rig.sock, i, RPC_MKDIR, &q), 0);
		}
		for (uint32_t i = 0; i < 60; i++)
			cr_assert_neq(rpc_recv(rig.sock, &h, NULL, NULL), RPC_GONE);
		(void)rmdir(rig_path(&rig, "d"));
	}
	cr_assert_str_eq(identity(), before);
	/* And what needs no user is done with all rights still. */
	rig_write(&rig, "f", "");
	cr_assert_eq(chown(rig_path(&rig, "f"), 5, 5), 0);
	cr_assert_eq(chmod(rig_path(&rig, "f"), 0), 0);
	cr_assert_eq(RPC(rig.sock, SETATTR, setattr, .node = rpc_walk(rig.sock, root, "f", NULL),
	                 .valid = RPC_SET_UID, .uid = 6),
	             0);
}

/* ---- nothing leads out ---- */

Test(rpc_identity, links_are_not_followed)
{
	int error = 0;

	cr_assert_eq(symlink("/", rig_path(&rig, "root")), 0);
	cr_assert_eq(symlink("..", rig_path(&rig, "up")), 0);
	cr_assert_eq(symlink(rig.outside, rig_path(&rig, "outside")), 0);
	cr_assert_eq(rpc_walk(rig.sock, root, "root/etc", &error), 0);
	cr_assert_eq(rpc_walk(rig.sock, root, "up/outside", &error), 0);
	cr_assert_eq(rpc_walk(rig.sock, root, "outside/canary", &error), 0);
	{
		uint64_t link = rpc_walk(rig.sock, root, "outside", &error);
		const struct wt_str n = S("n");

		cr_assert_neq(link, 0);
		cr_assert_eq(rpc_walk(rig.sock, link, "canary", &error), 0);
		cr_assert_eq(error, -ENOTDIR);
		cr_assert_lt(RPC(rig.sock, OPENDIR, opendir, .node = link), 0);
		cr_assert_lt(RPC(rig.sock, PARENT, parent, .node = link), 0);
		cr_assert_lt(RPC(rig.sock, MKDIR, mkdir, .dir = link, .name = n, .mode = 0755), 0);
		cr_assert_lt(RPC(rig.sock, CREATE, create, .dir = link, .name = n, .mode = 0755),
		             0);
		cr_assert_lt(RPC(rig.sock, UNLINK, unlink, .dir = link, .name = S("canary")), 0);
		cr_assert_lt(RPC(rig.sock, SETATTR, setattr, .node = link, .valid = RPC_SET_SIZE),
		             0);
	}
	cr_assert_eq(access(rig.outside, F_OK), 0);
}

Test(rpc_identity, the_parent_of_the_root_is_the_root)
{
	union rpc_reply a;
	struct stat st;
	uint64_t at = root;

	cr_assert_eq(stat(rig.export, &st), 0);
	for (int i = 0; i < 10; i++) {
		cr_assert_eq(
		    rpc_do(rig.sock, RPC_PARENT, &(struct rpc_parent_req){.node = at}, &a, NULL),
		    0);
		cr_assert_eq(a.parent.attr.ino, st.st_ino);
		at = a.parent.parent;
	}
}

Test(rpc_identity, the_parent_of_what_was_moved_out_is_refused)
{
	char away[120];
	uint64_t nid;

	cr_assert_eq(mkdir(rig_path(&rig, "d"), 0755), 0);
	cr_assert_eq(mkdir(rig_path(&rig, "d/e"), 0755), 0);
	nid = rpc_walk(rig.sock, root, "d/e", NULL);
	(void)snprintf(away, sizeof(away), "%s/away", rig.outside);
	cr_assert_eq(rename(rig_path(&rig, "d"), away), 0);
	cr_assert_lt(RPC(rig.sock, PARENT, parent, .node = nid), 0);
	cr_assert_eq(rename(away, rig_path(&rig, "d")), 0);
	cr_assert_eq(RPC(rig.sock, PARENT, parent, .node = nid), 0);
	rig_write(&rig, "f", "");
	cr_assert_eq(RPC(rig.sock, PARENT, parent, .node = rpc_walk(rig.sock, root, "f", NULL)),
	             -ENOTDIR);
}

Test(device_identity, the_device_has_no_rights_at_all)
{
	static struct p9_rig whole;
	char path[64], line[256];
	FILE *f;

	p9_rig_start(&whole, NULL);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)whole.device);
	f = fopen(path, "re");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Cap", 3) == 0 && strncmp(line, "CapBnd", 6) != 0)
			cr_assert_eq(strtoull(strchr(line, ':') + 1, NULL, 16), 0, "%s", line);
		if (strncmp(line, "Seccomp:", 8) == 0)
			cr_assert_eq(strtol(line + 8, NULL, 10), 2);
		if (strncmp(line, "NoNewPrivs:", 11) == 0)
			cr_assert_eq(strtol(line + 11, NULL, 10), 1);
	}
	cr_assert_eq(fclose(f), 0);
	p9_rig_end(&whole);
}
