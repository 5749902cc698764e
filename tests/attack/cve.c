/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cve.c: what went wrong in other 9P servers and helpers, one test a hole, named after it. Those of a guest are tried as 9P,
 * those of an emulator or a device in the helper's two dialects. Canaries lie outside the export.
 */
#include "tests/lib/hostile.h"
#include "tests/lib/legacy_peer.h"
#include "tests/lib/odd_names.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/proc.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct p9_rig rig;
static struct p9_client *const c = &rig.c;
static struct rig old; /* of QEMU's dialect */
static struct canaries canaries;

static void put_out(struct rig *r)
{
	canaries_start(&canaries, r);
	rig_watch = canary_look;
}

static void start_with(const struct p9_rig_opt *o)
{
	struct p9_rig_opt all = o ? *o : (struct p9_rig_opt){0};

	all.prepare = put_out;
	p9_rig_start(&rig, &all);
	rig_write(&rig.rig, "f", "text");
}

static void start(void)
{
	start_with(NULL);
}

static void end(void)
{
	canaries_end(&canaries);
	p9_rig_end(&rig);
}

static void start_legacy(void)
{
	rig_dirs(&old);
	put_out(&old);
	rig_serve(&old, NULL);
	rig_write(&old, "f", "text");
}

static void end_legacy(void)
{
	struct legacy_lstat_rep st;

	cr_assert_eq(peer_lstat(old.sock, "/", &st), 0);
	canaries_end(&canaries);
	cr_assert_eq(rig_end(&old), 0);
}

static void start_native(void)
{
	hostile_start(NULL);
	rig_write(&hostile.rig, "f", "text");
}

TestSuite(cve, .init = start, .fini = end, .timeout = 120);
TestSuite(cve_own, .fini = end, .timeout = 120);
TestSuite(cve_legacy, .init = start_legacy, .fini = end_legacy, .timeout = 120);
TestSuite(cve_native, .init = start_native, .fini = hostile_end, .timeout = 120);

/* ---- QEMU, hw/9pfs and fsdev ---- */

/* ".." from the root led to the host's directory above it. */
Test(cve, cve_2016_7116_dotdot)
{
	struct p9_getattr_rep root = P9(c, getattr, .fid = 0);

	for (unsigned up = 1; up <= WT_NAMES_MAX; up++) {
		static const char all[] = "../../../../../../../../../../../../../../../..";
		char names[64];

		(void)snprintf(names, sizeof(names), "%.*s", (int)(3 * up - 1), all);
		p9_to(c, 0, 1, names);
		cr_assert_eq(P9(c, getattr, .fid = 1).qid.path, root.qid.path);
		P9(c, walk, .fid = 1, .newfid = 2, .names = "outside", .expect_err = ENOENT);
		P9(c, clunk, .fid = 1);
	}
	P9(c, attach, .fid = 3, .afid = P9_NOFID, .aname = "/..", .expect_err = P9_ANY_ERROR);
	P9(c, attach, .fid = 3, .afid = P9_NOFID, .aname = "../outside",
	   .expect_err = P9_ANY_ERROR);
	canary_attack(34);
}

Test(cve_legacy, cve_2016_7116_dotdot)
{
	static const char *const paths[] = {
	    "/..", "//..", "/../outside", "//../outside/canary", "..", "../outside/canary"};
	struct legacy_lstat_rep st, root;

	cr_assert_eq(peer_lstat(old.sock, "/", &root), 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (peer_lstat(old.sock, paths[i], &st) == 0)
			cr_assert_eq(st.ino, root.ino, "%s", paths[i]);
		cr_assert_lt(peer_open(old.sock, paths[i], O_RDWR), 0);
	}
	canary_attack(2 * ARRAY_SIZE(paths));
}

/* An empty string was no string at all: a null pointer. */
Test(cve, cve_2016_8578_empty_strings)
{
	P9(c, attach, .fid = 9, .afid = P9_NOFID, .uname = "", .aname = "");
	P9(c, lcreate, .fid = 9, .name = "", .expect_err = ENOENT);
	P9(c, symlink, .dfid = 0, .name = "", .target = "t", .expect_err = ENOENT);
	P9(c, symlink, .dfid = 0, .name = "s", .target = "", .expect_err = P9_ANY_ERROR);
	P9(c, mknod, .dfid = 0, .name = "", .mode = S_IFIFO, .expect_err = ENOENT);
	P9(c, rename, .fid = 9, .dfid = 0, .name = "", .expect_err = P9_ANY_ERROR);
	P9(c, link, .dfid = 0, .fid = 9, .name = "", .expect_err = ENOENT);
	P9(c, mkdir, .dfid = 0, .name = "", .expect_err = ENOENT);
	P9(c, renameat, .olddirfid = 0, .oldname = "", .newdirfid = 0, .newname = "",
	   .expect_err = ENOENT);
	P9(c, unlinkat, .dirfid = 0, .name = "", .expect_err = P9_ANY_ERROR);
	P9(c, xattrcreate, .fid = 9, .name = "", .attr_size = 1, .expect_err = P9_ANY_ERROR);
	P9(c, version, .msize = 8192, .version = "");
	canary_attack(12);
}

/* Requests each of which left memory behind: 8577 read, 9106 write, 9102 xattrcreate, 9105 link, 7377 create, 8086 list. */
static long device_kib(void)
{
	return rss_kib(rig.device);
}

static void often(void (*request)(void), const char *what)
{
	enum { FEW = 500, MANY = 5000, GROWTH_KIB = 150 }; /* less than 32 bytes a request */
	long before;

	for (int i = 0; i < FEW; i++)
		request();
	before = device_kib();
	for (int i = 0; i < (is_sanitized() ? FEW : MANY); i++)
		request();
	canary_attack(MANY);
	if (!is_sanitized())
		cr_assert_lt(device_kib() - before, GROWTH_KIB, "%s leaks", what);
}

static void read_once(void)
{
	P9(c, read, .fid = 1, .count = 4);
	P9(c, read, .fid = 1, .offset = UINT64_MAX, .count = 4, .expect_err = EINVAL);
}

static void write_once(void)
{
	P9(c, write, .fid = 1, .data = wt_str_of("text"));
	P9(c, write, .fid = 0, .data = wt_str_of("text"), .expect_err = P9_ANY_ERROR);
}

static void xattr_once(void)
{
	p9_to(c, 0, 2, "f");
	P9(c, xattrcreate, .fid = 2, .name = "user.a", .attr_size = 100);
	P9(c, xattrcreate, .fid = 2, .name = "user.b", .attr_size = 100, .expect_err = EINVAL);
	P9(c, clunk, .fid = 2, .expect_err = EINVAL);
}

static void link_once(void)
{
	P9(c, link, .dfid = 0, .fid = 1, .name = "l");
	P9(c, link, .dfid = 0, .fid = 1, .name = "l", .expect_err = EEXIST);
	P9(c, unlinkat, .dirfid = 0, .name = "l");
}

static void create_once(void)
{
	p9_make(c, 2, "new", 0644);
	P9(c, lcreate, .fid = 2, .name = "new", .expect_err = EINVAL);
	P9(c, remove, .fid = 2);
}

static void list_once(void)
{
	P9(c, xattrwalk, .fid = 1, .newfid = 2);
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .expect_err = EINVAL);
	P9(c, clunk, .fid = 2);
}

Test(cve, cve_2016_8577_read_leak)
{
	p9_open(c, 1, "f", 2);
	often(read_once, "Tread");
}

Test(cve, cve_2016_9106_write_leak)
{
	p9_open(c, 1, "f", 2);
	often(write_once, "Twrite");
}

Test(cve, cve_2016_9102_xattrcreate_leak)
{
	often(xattr_once, "Txattrcreate");
}

Test(cve, cve_2016_9105_link_leak)
{
	p9_to(c, 0, 1, "f");
	often(link_once, "Tlink");
}

Test(cve, cve_2017_7377_create_leak)
{
	often(create_once, "Tlcreate");
}

Test(cve, cve_2017_8086_list_xattr_leak)
{
	p9_to(c, 0, 1, "f");
	often(list_once, "Txattrwalk");
}

/* A value that was made and not written held what the heap held before. */
Test(cve, cve_2016_9103_values_never_written)
{
	p9_to(c, 0, 1, "f");
	P9(c, xattrcreate, .fid = 1, .name = "user.a", .attr_size = 4096);
	P9(c, read, .fid = 1, .count = 4096, .expect_err = EBADF);
	p9_put(c, 1, 0, "part");
	P9(c, read, .fid = 1, .count = 4096, .expect_err = EBADF);
	P9(c, clunk, .fid = 1, .expect_err = EINVAL);
	cr_assert_lt(getxattr(rig_path(&rig.rig, "f"), "user.a", NULL, 0), 0);
	canary_attack(3);
}

/* In the dialect of the helper: a value is never longer than its bytes. */
Test(cve_legacy, cve_2016_9103_values_never_written)
{
	struct legacy_lgetxattr_rep a;
	const struct legacy_lsetxattr_req lie = {
	    .path = S("//f"), .name = S("user.a"), .value = S("12"), .size = 4096};

	cr_assert_lt(peer_call(old.sock, LEGACY_LSETXATTR, &lie, NULL), 0);
	cr_assert_eq(peer_setxattr(old.sock, "//f", "user.a", "12345"), 0);
	for (uint32_t size = 5; size < 32768; size = size * 2 + 1) {
		cr_assert_eq(peer_call(old.sock, LEGACY_LGETXATTR,
		                       &(struct legacy_lgetxattr_req){
		                           .size = size, .path = S("//f"), .name = S("user.a")},
		                       &a),
		             0);
		cr_assert_eq(a.value.size, 5);
	}
	canary_attack(13);
}

/* An offset whose sum with the count wraps around reached beyond a value. */
Test(cve, cve_2016_9104_xattr_offsets)
{
	static const uint64_t offsets[] = {5,          1u << 31,       UINT32_MAX,     1ull << 32,
	                                   1ull << 62, INT64_MAX - 1u, UINT64_MAX - 4, UINT64_MAX};

	cr_assert_eq(setxattr(rig_path(&rig.rig, "f"), "user.a", "value", 5, 0), 0);
	p9_to(c, 0, 1, "f");
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "user.a");
	P9(c, xattrcreate, .fid = 1, .name = "user.b", .attr_size = 5);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		for (uint32_t count = 1; count < 8192; count *= 3) {
			struct p9_read_req q = {.fid = 2, .offset = offsets[i], .count = count};
			struct p9_read_rep a = {0};
			int e = p9_wait(c, p9_send(c, P9_READ, &q), P9_READ, &a);

			cr_assert(e || a.data.size == 0);
		}
		P9(c, write, .fid = 1, .offset = offsets[i], .data = wt_str_of("value"),
		   .expect_err = P9_ANY_ERROR);
	}
	canary_attack(80);
}

/* What a device held was not given back when it, or its back end (9914 to 9916), went away. */
Test(cve_own, cve_2016_9913_to_9916_what_a_session_holds)
{
	struct p9_client other;
	int fds;

	start_with(&(struct p9_rig_opt){.listen = true});
	p9_open(c, 1, "f", 2);
	fds = fd_count(rig.device);
	for (int i = 0; i < 100; i++) {
		p9_rig_connect(&rig, &other, false);
		for (uint32_t k = 1; k < 20; k++)
			p9_open(&other, k, "f", 2);
		P9(&other, lock, .fid = 1, .type = P9_LOCK_TYPE_WRLCK, .client_id = "c");
		P9(&other, xattrcreate, .fid = 0, .name = "user.a", .attr_size = 65536);
		(void)P9_SEND(&other, READ, read, .fid = 2, .count = 4);
		p9_client_end(&other);
	}
	WAIT_WHILE(fd_count(rig.device) > fds);
	cr_assert_leq(fd_count(rig.device), fds);
	/* And all that a limit counts, for one client of several, can be had again. */
	for (uint32_t i = 0; i < 112; i++) {
		P9(c, walk, .fid = 0, .newfid = 100 + i, .names = "");
		P9(c, xattrcreate, .fid = 100 + i, .name = "user.a", .attr_size = 65536);
	}
	canary_attack(100);
}

/* Links that led out were followed, by every operation. */
static void ask_all_of_link(const char *name)
{
	const char *last = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;

	p9_to(c, 0, 1, name);
	for (uint32_t flags = 0; flags < 3; flags++)
		P9(c, lopen, .fid = 1, .flags = flags, .expect_err = ELOOP);
	P9(c, walk, .fid = 1, .newfid = 2, .names = "canary", .expect_err = P9_ANY_ERROR);
	P9(c, walk, .fid = 1, .newfid = 2, .names = "..", .expect_err = P9_ANY_ERROR);
	P9(c, setattr, .fid = 1, .valid = 1, .mode = 0777, .expect_err = P9_ANY_ERROR);
	P9(c, setattr, .fid = 1, .valid = 8, .size = 0, .expect_err = P9_ANY_ERROR);
	P9(c, setattr, .fid = 1, .valid = 6, .uid = 9, .gid = 9);
	P9(c, setattr, .fid = 1, .valid = 0x1b0, .atime_sec = 5, .mtime_sec = 5);
	P9(c, mkdir, .dfid = 1, .name = "new", .mode = 0755, .expect_err = P9_ANY_ERROR);
	P9(c, mknod, .dfid = 1, .name = "new", .mode = S_IFIFO, .expect_err = P9_ANY_ERROR);
	P9(c, symlink, .dfid = 1, .name = "new", .target = "x", .expect_err = P9_ANY_ERROR);
	P9(c, lcreate, .fid = 1, .name = "new", .flags = 2, .expect_err = P9_ANY_ERROR);
	P9(c, link, .dfid = 1, .fid = 0, .name = "new", .expect_err = P9_ANY_ERROR);
	P9(c, unlinkat, .dirfid = 1, .name = "canary", .expect_err = P9_ANY_ERROR);
	P9(c, renameat, .olddirfid = 1, .oldname = "canary", .newdirfid = 0, .newname = "mine",
	   .expect_err = P9_ANY_ERROR);
	P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "user.a", .expect_err = P9_ANY_ERROR);
	p9_to(c, 0, 3, "");
	P9(c, lcreate, .fid = 3, .name = last, .flags = 01002, .mode = 0666,
	   .expect_err = P9_ANY_ERROR);
	P9(c, clunk, .fid = 3);
	P9(c, clunk, .fid = 1);
	canary_attack(18);
}

Test(cve, cve_2016_9602_links_are_not_followed)
{
	const char *way;

	for (unsigned i = 0; (way = canary_way(&canaries, i)); i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "l%u", i);
		P9(c, symlink, .dfid = 0, .name = name, .target = way);
		ask_all_of_link(name);
	}
}

Test(cve_legacy, cve_2016_9602_links_are_not_followed)
{
	const char *way;

	for (unsigned i = 0; (way = canary_way(&canaries, i)); i++) {
		char link[32], below[48];
		struct legacy_lstat_rep st;

		(void)snprintf(link, sizeof(link), "//l%u", i);
		(void)snprintf(below, sizeof(below), "%s//canary", link);
		cr_assert_eq(peer_symlink(old.sock, way, link), 0);
		cr_assert_lt(peer_open(old.sock, link, O_RDWR), 0);
		cr_assert_lt(peer_create(old.sock, link, O_RDWR | O_TRUNC, 0666, 0, 0), 0);
		cr_assert_lt(peer_chmod(old.sock, link, 0777), 0);
		cr_assert_lt(peer_truncate(old.sock, link, 0), 0);
		cr_assert_lt(peer_open(old.sock, below, O_RDONLY), 0);
		cr_assert_lt(peer_lstat(old.sock, below, &st), 0);
		cr_assert_lt(peer_mkdir(old.sock, below, 0755, 0, 0), 0);
		cr_assert_lt(peer_remove(old.sock, below), 0);
		cr_assert_lt(peer_rename(old.sock, below, "//mine"), 0);
		cr_assert_lt(peer_link(old.sock, below, "//mine"), 0);
		canary_attack(10);
	}
}

/* Of the root fid, whose path is "/", attributes of the host's root were changed. */
static void host_root(struct stat *ret)
{
	cr_assert_eq(stat("/", ret), 0);
}

static void must_be_same(const struct stat *a)
{
	struct stat b;

	host_root(&b);
	cr_assert(a->st_mode == b.st_mode && a->st_uid == b.st_uid && a->st_gid == b.st_gid &&
	          a->st_atim.tv_sec == b.st_atim.tv_sec && a->st_mtim.tv_sec == b.st_mtim.tv_sec);
}

Test(cve, cve_2017_7471_root_is_the_exports)
{
	struct stat before, st;

	host_root(&before);
	P9(c, setattr, .fid = 0, .valid = 1 | 2 | 4 | 0x1b0, .mode = 0711, .uid = 5, .gid = 6,
	   .mtime_sec = 1000, .atime_sec = 1000);
	must_be_same(&before);
	cr_assert_eq(stat(rig.rig.export, &st), 0);
	cr_assert(st.st_mode == (S_IFDIR | 0711) && st.st_uid == 5 && st.st_mtim.tv_sec == 1000);
	canary_attack(5);
}

Test(cve_legacy, cve_2017_7471_root_is_the_exports)
{
	static const char *const paths[] = {"/", "//", "/.", "", "."};
	struct stat before;

	host_root(&before);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		(void)peer_chmod(old.sock, paths[i], 0711);
		(void)peer_chown(old.sock, paths[i], 5, 6);
		(void)peer_call(old.sock, LEGACY_UTIME,
		                &(struct legacy_utime_req){.path = S(paths[i]), .mtime_sec = 1000},
		                NULL);
	}
	must_be_same(&before);
	canary_attack(3 * ARRAY_SIZE(paths));
}

/* A guest wrote the files in which QEMU kept its attributes. Ours are the files' own: such a name means nothing. */
Test(cve, cve_2017_7493_metadata_files_mean_nothing)
{
	struct p9_getattr_rep before, after;

	p9_to(c, 0, 1, "f");
	before = P9(c, getattr, .fid = 1);
	P9(c, mkdir, .dfid = 0, .name = ".virtfs_metadata", .mode = 0777);
	p9_to(c, 0, 2, ".virtfs_metadata");
	P9(c, lcreate, .fid = 2, .name = "f", .flags = 2, .mode = 0666);
	p9_put(c, 2, 0, "virtfs.uid=0\nvirtfs.gid=0\nvirtfs.mode=35309\n");
	p9_to(c, 0, 3, ".virtfs_metadata");
	P9(c, lcreate, .fid = 3, .name = ".virtfs_metadata_root", .flags = 2, .mode = 0666);
	(void)usleep(10000);
	after = P9(c, getattr, .fid = 1);
	cr_assert(before.mode == after.mode && before.uid == after.uid && before.gid == after.gid);
	canary_attack(3);
}

/* A value that grew between two looks left a reply with what the heap held. */
static atomic_bool changing;

static void *change_value(void *path)
{
	static char value[4000];

	memset(value, 'v', sizeof(value));
	for (unsigned i = 0; atomic_load(&changing); i++)
		(void)setxattr(path, "user.a", value, i % 2 ? 1 : 3000, 0);
	return NULL;
}

Test(cve, cve_2017_15038_a_value_that_changes)
{
	char path[128];
	pthread_t thread;

	(void)snprintf(path, sizeof(path), "%s", rig_path(&rig.rig, "f"));
	cr_assert_eq(setxattr(path, "user.a", "v", 1, 0), 0);
	atomic_store(&changing, true);
	cr_assert_eq(pthread_create(&thread, NULL, change_value, path), 0);
	p9_to(c, 0, 1, "f");
	for (int i = 0; i < 3000; i++) {
		uint64_t size = P9(c, xattrwalk, .fid = 1, .newfid = 2, .name = "user.a").size;
		struct p9_read_rep a = P9(c, read, .fid = 2, .count = 8000);

		cr_assert(size == 1 || size == 3000);
		cr_assert_eq(a.data.size, size);
		for (size_t k = 0; k < a.data.size; k++)
			cr_assert_eq(a.data.data[k], 'v', "byte %zu was never written", k);
		P9(c, clunk, .fid = 2);
	}
	atomic_store(&changing, false);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	canary_attack(3000);
}

/* A fid's path was freed by one request while another used it; a rename in parallel crashed (19489). */
Test(cve, cve_2018_19364_and_19489_renames_under_requests)
{
	enum { ROUNDS = 300, FIDS = 4 };
	uint16_t tags[64];
	enum p9_type types[64];

	P9(c, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	p9_to(c, 0, 1, "d");
	for (uint32_t i = 0; i < FIDS; i++)
		p9_to(c, 0, 10 + i, "f");
	for (int round = 0; round < ROUNDS; round++) {
		unsigned n = 0;

#define PUT(NAME, name, ...) types[n] = P9_##NAME, tags[n++] = P9_SEND(c, NAME, name, __VA_ARGS__)
		for (uint32_t i = 0; i < FIDS; i++) {
			PUT(RENAME, rename, .fid = 10 + i, .dfid = ((uint32_t)round + i) % 2,
			    .name = i % 2 ? "f" : "g");
			PUT(WALK, walk, .fid = 10 + i, .newfid = 20 + i, .names = "");
			PUT(RENAMEAT, renameat, .olddirfid = 1, .oldname = "f", .newdirfid = 0,
			    .newname = "g");
			PUT(GETATTR, getattr, .fid = 20 + i);
			PUT(WALK, walk, .fid = 1, .newfid = 30 + i, .names = "..");
			PUT(CLUNK, clunk, .fid = 20 + i);
			PUT(CLUNK, clunk, .fid = 30 + i);
		}
#undef PUT
		for (unsigned i = 0; i < n; i++)
			cr_assert_neq(p9_wait(c, tags[i], types[i], NULL), P9_GONE);
		canary_attack(n);
	}
	cr_assert(p9_alive(c));
}

/* Where descriptors ran short, fids that were taken for another use were freed while a request held them. */
Test(cve_own, cve_2021_20181_reclaim)
{
	enum { FIDS = 200, FILES = 100 };
	uint16_t tags[FIDS];

	start_with(&(struct p9_rig_opt){.device_files = FILES});
	for (int round = 0; round < 10; round++) {
		for (uint32_t i = 0; i < FIDS; i++)
			p9_to(c, 0, 1 + i, "f");
		for (uint32_t i = 0; i < FIDS; i++)
			tags[i] = P9_SEND(c, LOPEN, lopen, .fid = 1 + i, .flags = 2);
		for (uint32_t i = 0; i < FIDS; i += 2)
			(void)P9_SEND(c, CLUNK, clunk, .fid = 1 + i);
		for (uint32_t i = 0; i < FIDS; i++)
			cr_assert_neq(p9_wait(c, tags[i], P9_LOPEN, NULL), P9_GONE);
		P9(c, version, .msize = P9_RIG_MSIZE, .version = "9P2000.L");
		P9(c, attach, .fid = 0, .afid = P9_NOFID);
		canary_attack(2 * FIDS);
	}
	p9_open(c, 1, "f", 2);
	cr_assert(p9_has(c, 1, 0, "text"));
}

/* Devices and other special files of the host were opened, by open and by create. */
Test(cve, cve_2023_2861_special_files)
{
	static const struct {
		const char *name;
		uint32_t mode, major, minor;
	} rows[] = {{"fifo", S_IFIFO, 0, 0},
	            {"sock", S_IFSOCK, 0, 0},
	            {"chr", S_IFCHR, 1, 5},
	            {"blk", S_IFBLK, 7, 0},
	            {"tty", S_IFCHR, 5, 0}};
	AUTO_CLOSE int reader = -1;
	struct pollfd p = {.events = POLLIN};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		P9(c, mknod, .dfid = 0, .name = rows[i].name, .mode = rows[i].mode | 0666,
		   .major = rows[i].major, .minor = rows[i].minor);
		if (i == 0)
			reader =
			    open(rig_path(&rig.rig, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		for (uint32_t flags = 0; flags < 3; flags++) {
			p9_to(c, 0, 1, rows[i].name);
			P9(c, lopen, .fid = 1, .flags = flags, .expect_err = ENXIO);
			P9(c, lopen, .fid = 1, .flags = flags | 04000, .expect_err = ENXIO);
			P9(c, clunk, .fid = 1);
			p9_to(c, 0, 1, "");
			P9(c, lcreate, .fid = 1, .name = rows[i].name, .flags = flags,
			   .expect_err = P9_ANY_ERROR);
			P9(c, clunk, .fid = 1);
			canary_attack(3);
		}
	}
	p.fd = reader;
	cr_assert_eq(poll(&p, 1, 0), 0, "the FIFO was opened");
}

Test(cve_legacy, cve_2023_2861_special_files)
{
	static const uint32_t modes[] = {S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "//s%zu", i);
		cr_assert_eq(peer_mknod(old.sock, name, modes[i] | 0666, makedev(1, 5), 0, 0), 0);
		for (int flags = 0; flags < 3; flags++) {
			cr_assert_eq(peer_open(old.sock, name, flags), -ENXIO);
			cr_assert_lt(peer_create(old.sock, name, flags, 0666, 0, 0), 0);
			canary_attack(2);
		}
	}
}

/* Without a CVE: Treaddir on what is no directory crashed. */
Test(cve, qemu_042b4ebf_readdir_of_a_file)
{
	p9_open(c, 1, "f", 0);
	p9_to(c, 0, 2, "f");
	p9_to(c, 0, 3, "");
	for (uint32_t fid = 1; fid <= 3; fid++)
		P9(c, readdir, .fid = fid, .count = 4096, .expect_err = P9_ANY_ERROR);
	canary_attack(3);
}

/* ---- the kernel's and virtiofsd's: set-id bits in a set-group-id directory ---- */

static void make_sgid_dir(const struct rig *r)
{
	cr_assert_eq(mkdir(rig_path(r, "sgid"), 0777), 0);
	cr_assert_eq(chown(rig_path(r, "sgid"), 0, 1234), 0);
	cr_assert_eq(chmod(rig_path(r, "sgid"), 02777), 0);
}

/* What a user who is not in the directory's group makes there is the group's, and not set-group-id. */
static void must_have_no_sgid(const struct rig *r, const char *name)
{
	struct stat st;

	cr_assert_eq(stat(rig_path(r, name), &st), 0);
	cr_assert_eq(st.st_gid, 1234);
	cr_assert_not(st.st_mode & S_ISGID, "%s: mode 0%o", name, st.st_mode);
	canary_attack(1);
}

static void neither_has_sgid(const struct rig *r)
{
	must_have_no_sgid(r, "sgid/file");
	must_have_no_sgid(r, "sgid/node");
}

Test(cve, cve_2018_13405_and_2022_0358_set_group_id)
{
	make_sgid_dir(&rig.rig);
	P9(c, attach, .fid = 5, .afid = P9_NOFID, .n_uname = 1000);
	p9_to(c, 5, 6, "sgid");
	p9_to(c, 5, 7, "sgid");
	P9(c, lcreate, .fid = 6, .name = "file", .flags = 2, .mode = 02777, .gid = 1000);
	P9(c, mknod, .dfid = 7, .name = "node", .mode = S_IFREG | 02777, .gid = 1000);
	neither_has_sgid(&rig.rig);
}

Test(cve_legacy, cve_2018_13405_and_2022_0358_set_group_id)
{
	AUTO_CLOSE int fd = -1;

	make_sgid_dir(&old);
	fd = peer_create(old.sock, "//sgid//file", O_RDWR, 02777, 1000, 1000);
	cr_assert_eq(peer_mknod(old.sock, "//sgid//node", S_IFREG | 02777, 0, 1000, 1000), 0);
	neither_has_sgid(&old);
}

Test(cve_native, cve_2018_13405_and_2022_0358_set_group_id)
{
	struct rpc_create_req file = {
	    .name = WT_STR("file"), .flags = 2, .mode = 02777, .uid = 1000, .gid = 1000};
	struct rpc_mknod_req node = {
	    .name = WT_STR("node"), .mode = S_IFREG | 02777, .uid = 1000, .gid = 1000};

	make_sgid_dir(&hostile.rig);
	file.dir = node.dir = rpc_walk(hostile.rig.sock, hostile.root, "sgid", NULL);
	cr_assert(attack_gives_fd(RPC_CREATE, &file));
	cr_assert_eq(attack(RPC_MKNOD, &node, NULL, NULL), 0);
	neither_has_sgid(&hostile.rig);
}

/* ---- rust-p9 37ff802, crosvm: "..", "/" and "" in names reached the host ---- */

static void with_odd_names(enum p9_type type, const void *request)
{
	static uint8_t bytes[65536];

	for (size_t i = 0; i < odd_names_count; i++) {
		size_t size = p9_encode(c, 77, type, request);
		struct wr w = wr_over(bytes, sizeof(uint32_t));

		memcpy(bytes, c->out, size);
		size = odd_name_put(bytes, size, sizeof(bytes), &odd_names[i]);
		wr_le32(&w, (uint32_t)size);
		p9_send_raw(c, bytes, size);
		cr_assert_neq(p9_wait(c, 77, type, NULL), 0, "type %u takes name %zu", type, i);
		cr_assert(p9_alive(c));
		canary_attack(1);
	}
}

Test(cve, rust_p9_37ff802_names_that_lead_out)
{
	const struct wt_str mark = WT_STR(ODD_MARK), good = WT_STR("f");
	struct stat st;

	p9_to(c, 0, 1, "f");
	p9_to(c, 0, 2, "");
	with_odd_names(P9_LCREATE, &(struct p9_lcreate_req){.fid = 2, .name = mark, .flags = 2});
	with_odd_names(P9_MKDIR, &(struct p9_mkdir_req){.dfid = 0, .name = mark, .mode = 0755});
	with_odd_names(P9_LINK, &(struct p9_link_req){.dfid = 0, .fid = 1, .name = mark});
	with_odd_names(P9_SYMLINK,
	               &(struct p9_symlink_req){.dfid = 0, .name = mark, .target = good});
	with_odd_names(P9_MKNOD, &(struct p9_mknod_req){.dfid = 0, .name = mark, .mode = S_IFIFO});
	with_odd_names(P9_RENAME, &(struct p9_rename_req){.fid = 1, .dfid = 0, .name = mark});
	with_odd_names(P9_RENAMEAT, &(struct p9_renameat_req){.oldname = mark, .newname = good});
	with_odd_names(P9_RENAMEAT, &(struct p9_renameat_req){.oldname = good, .newname = mark});
	with_odd_names(P9_UNLINKAT, &(struct p9_unlinkat_req){.name = mark});
	with_odd_names(P9_UNLINKAT, &(struct p9_unlinkat_req){.name = mark, .flags = 0x200});
	cr_assert_eq(stat(rig_path(&rig.rig, "f"), &st), 0);
}

/* ---- kvmtool: a link in the midst of a path was followed ---- */

Test(cve, kvmtool_links_in_the_midst_of_a_walk)
{
	static const char *const walks[] = {"l/canary", "d/l/canary", "d/l/../canary",
	                                    "l/./canary"};

	P9(c, mkdir, .dfid = 0, .name = "d", .mode = 0755);
	p9_to(c, 0, 1, "d");
	P9(c, symlink, .dfid = 0, .name = "l", .target = canaries.at[0].dir);
	P9(c, symlink, .dfid = 1, .name = "l", .target = "../../outside");
	for (size_t i = 0; i < ARRAY_SIZE(walks); i++) {
		struct p9_walk_opt o = {.fid = 0, .newfid = 9, .names = walks[i]};
		struct p9_walk_req q = p9_walk_fill(&o);
		struct p9_walk_rep a = {0};
		int e = p9_wait(c, p9_send(c, P9_WALK, &q), P9_WALK, &a);

		cr_assert(e || a.qids.count < q.names.count, "%s", walks[i]);
		P9(c, getattr, .fid = 9, .expect_err = EBADF);
		canary_attack(1);
	}
}

/* ---- virtiofsd: a guest could use up the host's descriptors (CVE-2020-10717) ---- */

Test(cve_own, cve_2020_10717_descriptors_are_limited)
{
	uint32_t fid = 1;
	int e = 0;

	start_with(NULL);
	cr_assert_lt(proc_limit(rig.device, "Max open files"), 1u << 20);
	cr_assert_lt(proc_limit(rig.rig.helper, "Max open files"), 1u << 20);
	fd_close(&rig.rig.sock);
	for (; fid < 3000 && e == 0; fid++) {
		p9_to(c, 0, fid, "f");
		e = p9_wait(c, P9_SEND(c, LOPEN, lopen, .fid = fid, .flags = 0), P9_LOPEN, NULL);
	}
	cr_assert(e == 0 || e == EMFILE || e == ENFILE);
	cr_assert(p9_has(c, 1, 0, "text"));
	canary_attack(fid);
}
