/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_names.c: MKNOD, MKDIR, SYMLINK, LINK, RENAME, REMOVE and READLINK. */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static struct rig rig;

static void start(void)
{
	rig_start(&rig, NULL);
}

static void end(void)
{
	cr_assert_eq(rig_end(&rig), 0);
}

TestSuite(names, .init = start, .fini = end, .timeout = 30);

static void must_be(const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat st;

	cr_assert_eq(lstat(rig_path(&rig, name), &st), 0, "%s is missing", name);
	cr_assert_eq(st.st_mode, mode, "%s has mode 0%o", name, st.st_mode);
	cr_assert_eq(st.st_uid, uid);
	cr_assert_eq(st.st_gid, gid);
}

Test(names, every_type_of_node_is_made)
{
	struct stat st;

	rig_needs_root("device nodes");
	cr_assert_eq(peer_mknod(rig.sock, "//fifo", S_IFIFO | 0640, 0, 1000, 1001), 0);
	must_be("fifo", S_IFIFO | 0640, 1000, 1001);
	cr_assert_eq(peer_mknod(rig.sock, "//sock", S_IFSOCK | 0600, 0, 1000, 1000), 0);
	must_be("sock", S_IFSOCK | 0600, 1000, 1000);
	cr_assert_eq(peer_mknod(rig.sock, "//file", S_IFREG | 0644, 0, 5, 6), 0);
	must_be("file", S_IFREG | 0644, 5, 6);
	cr_assert_eq(peer_mknod(rig.sock, "//null", S_IFCHR | 0666, makedev(1, 3), 0, 0), 0);
	must_be("null", S_IFCHR | 0666, 0, 0);
	cr_assert_eq(stat(rig_path(&rig, "null"), &st), 0);
	cr_assert_eq(st.st_rdev, makedev(1, 3));
	cr_assert_eq(peer_mknod(rig.sock, "//loop", S_IFBLK | 0660, makedev(7, 1000), 0, 6), 0);
	cr_assert_eq(stat(rig_path(&rig, "loop"), &st), 0);
	cr_assert_eq(st.st_rdev, makedev(7, 1000));
}

Test(names, only_the_guests_root_makes_devices)
{
	cr_assert_eq(peer_mknod(rig.sock, "//null", S_IFCHR | 0666, makedev(1, 3), 1000, 1000),
	             -EPERM);
	cr_assert_eq(peer_mknod(rig.sock, "//dir", S_IFDIR | 0755, 0, 0, 0), -EPERM);
	cr_assert_eq(peer_mknod(rig.sock, "//odd", S_IFCHR | 0666, UINT64_MAX, 0, 0), -EINVAL);
}

Test(names, directories)
{
	cr_assert_eq(peer_mkdir(rig.sock, "//d", 01777, 1000, 1000), 0);
	must_be("d", S_IFDIR | 01777, 1000, 1000);
	cr_assert_eq(peer_mkdir(rig.sock, "//d", 0755, 0, 0), -EEXIST);
	cr_assert_eq(peer_mkdir(rig.sock, "//d//e", 0755, 0, 0), 0);
	cr_assert_eq(peer_remove(rig.sock, "//d"), -ENOTEMPTY);
	cr_assert_eq(peer_remove(rig.sock, "//d//e"), 0);
	cr_assert_eq(peer_remove(rig.sock, "//d"), 0);
	cr_assert_eq(peer_remove(rig.sock, "//d"), -ENOENT);
}

Test(names, a_setgid_directory_gives_its_group)
{
	cr_assert_eq(mkdir(rig_path(&rig, "d"), 0777), 0);
	cr_assert_eq(chown(rig_path(&rig, "d"), 0, 77), 0);
	cr_assert_eq(chmod(rig_path(&rig, "d"), 02777), 0);
	AUTO_CLOSE int fd = peer_create(rig.sock, "//d/f", O_RDWR, 0644, 1000, 1000);

	cr_assert_geq(fd, 0);
	must_be("d/f", S_IFREG | 0644, 1000, 77);
	cr_assert_eq(peer_mkdir(rig.sock, "//d/e", 0755, 1000, 1000), 0);
	must_be("d/e", S_IFDIR | 02755, 1000, 77);
	/* CVE-2018-13405: the set-group-id bit does not survive for one who is not in that group.
	 */
	AUTO_CLOSE int fd2 = peer_create(rig.sock, "//d/g", O_RDWR, 02755, 1000, 1000);

	cr_assert_geq(fd2, 0);
	must_be("d/g", S_IFREG | 0755, 1000, 77);
}

Test(names, a_removed_root_is_refused_in_all_ways)
{
	cr_assert_lt(peer_remove(rig.sock, "/"), 0);
	cr_assert_lt(peer_rename(rig.sock, "/", "//x"), 0);
	cr_assert_eq(peer_mkdir(rig.sock, "/", 0755, 0, 0), -EEXIST);
	cr_assert_eq(peer_mknod(rig.sock, "/", S_IFREG, 0, 0, 0), -EEXIST);
	cr_assert_lt(peer_symlink(rig.sock, "x", "/"), 0);
}

Test(names, links)
{
	struct legacy_lstat_rep a, b;

	rig_write(&rig, "f", "text");
	cr_assert_eq(peer_link(rig.sock, "//f", "//g"), 0);
	cr_assert_eq(peer_lstat(rig.sock, "//f", &a), 0);
	cr_assert_eq(peer_lstat(rig.sock, "//g", &b), 0);
	cr_assert_eq(a.ino, b.ino);
	cr_assert_eq(a.nlink, 2);
	cr_assert_eq(peer_link(rig.sock, "//f", "//g"), -EEXIST);
	cr_assert_eq(peer_link(rig.sock, "//none", "//h"), -ENOENT);
	/* Of a symbolic link the link itself gets the second name. */
	cr_assert_eq(peer_symlink(rig.sock, "f", "//s"), 0);
	cr_assert_eq(peer_link(rig.sock, "//s", "//t"), 0);
	cr_assert_eq(peer_lstat(rig.sock, "//t", &a), 0);
	cr_assert(S_ISLNK(a.mode));
}

Test(names, renaming)
{
	struct legacy_lstat_rep st;

	rig_differs_on("xfs", "the errno of a directory that is not empty");
	rig_write(&rig, "a", "A");
	rig_write(&rig, "b", "B");
	cr_assert_eq(peer_rename(rig.sock, "//a", "//b"), 0);
	cr_assert_str_eq(rig_read(&rig, "b"), "A");
	cr_assert_eq(peer_lstat(rig.sock, "//a", &st), -ENOENT);
	cr_assert_eq(peer_mkdir(rig.sock, "//d", 0755, 0, 0), 0);
	cr_assert_eq(peer_rename(rig.sock, "//b", "//d//c"), 0);
	cr_assert_eq(peer_rename(rig.sock, "//d", "//d/e"), -EINVAL);
	cr_assert_eq(peer_mkdir(rig.sock, "//empty", 0755, 0, 0), 0);
	cr_assert_eq(peer_rename(rig.sock, "//empty", "//d"), -ENOTEMPTY);
}

static void target_of_size(size_t size)
{
	struct legacy_readlink_rep a;
	char target[WT_TARGET_MAX + 1];

	memset(target, 't', size);
	target[size] = '\0';
	cr_assert_eq(peer_symlink(rig.sock, target, "//long"), 0);
	cr_assert_eq(peer_readlink(rig.sock, "//long", &a), 0);
	cr_assert_eq(a.target.size, size);
	cr_assert_eq(memcmp(a.target.data, target, size), 0);
	cr_assert_eq(peer_remove(rig.sock, "//long"), 0);
}

Test(names, symbolic_links_come_back_byte_by_byte)
{
	struct legacy_readlink_rep a;

	rig_differs_on("xfs", "links hold 1,024 bytes");
	cr_assert_eq(peer_symlink(rig.sock, "../..//etc/passwd ", "//s"), 0);
	must_be("s", S_IFLNK | 0777, 0, 0);
	cr_assert_eq(peer_readlink(rig.sock, "//s", &a), 0);
	cr_assert_eq(a.target.size, strlen("../..//etc/passwd "));
	cr_assert_eq(memcmp(a.target.data, "../..//etc/passwd ", a.target.size), 0);
	target_of_size(1);
	target_of_size(WT_TARGET_MAX); /* QEMU has room for 4,095 bytes and a NUL */
	rig_write(&rig, "f", "");
	cr_assert_eq(peer_readlink(rig.sock, "//f", &a), -EINVAL);
	cr_assert_eq(peer_symlink(rig.sock, "x", "//s"), -EEXIST);
}

Test(names, a_target_is_never_cut_to_the_room_asked_for)
{
	struct legacy_readlink_rep a;
	struct legacy_readlink_req q = {.path = S("//s"), .size = 4};

	cr_assert_eq(peer_symlink(rig.sock, "abcd", "//s"), 0);
	cr_assert_eq(peer_call(rig.sock, LEGACY_READLINK, &q, &a), -ENAMETOOLONG);
	q.size = 5;
	cr_assert_eq(peer_call(rig.sock, LEGACY_READLINK, &q, &a), 0);
	cr_assert_eq(a.target.size, 4);
}

Test(names, a_symbolic_link_belongs_to_the_guests_user)
{
	const struct legacy_symlink_req q = {
	    .uid = 1000, .gid = 1001, .target = S("t"), .path = S("//s")};

	cr_assert_eq(peer_call(rig.sock, LEGACY_SYMLINK, &q, NULL), 0);
	must_be("s", S_IFLNK | 0777, 1000, 1001);
}
