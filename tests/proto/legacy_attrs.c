/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_attrs.c: LSTAT, STATFS, CHMOD, CHOWN, TRUNCATE, UTIME, GETVERSION and extended attributes.
 */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static struct rig rig;

static void start(void)
{
	rig_start(&rig, NULL);
}

static void end(void)
{
	cr_assert_eq(rig_end(&rig), 0);
}

TestSuite(attrs, .init = start, .fini = end, .timeout = 30);

Test(attrs, lstat_is_the_hosts)
{
	struct legacy_lstat_rep a;
	struct stat st;

	rig_write(&rig, "f", "text");
	cr_assert_eq(chown(rig_path(&rig, "f"), 7, 8), 0);
	cr_assert_eq(chmod(rig_path(&rig, "f"), 06754), 0);
	cr_assert_eq(peer_lstat(rig.sock, "//f", &a), 0);
	cr_assert_eq(lstat(rig_path(&rig, "f"), &st), 0);
	cr_assert_eq(a.dev, st.st_dev);
	cr_assert_eq(a.ino, st.st_ino);
	cr_assert_eq(a.nlink, st.st_nlink);
	cr_assert_eq(a.mode, st.st_mode);
	cr_assert_eq(a.uid, 7);
	cr_assert_eq(a.gid, 8);
	cr_assert_eq(a.rdev, st.st_rdev);
	cr_assert_eq(a.size, 4);
	cr_assert_eq(a.blksize, (uint64_t)st.st_blksize);
	cr_assert_eq(a.blocks, (uint64_t)st.st_blocks);
	cr_assert_eq(a.atime_sec, (uint64_t)st.st_atim.tv_sec);
	cr_assert_eq(a.atime_nsec, (uint64_t)st.st_atim.tv_nsec);
	cr_assert_eq(a.mtime_sec, (uint64_t)st.st_mtim.tv_sec);
	cr_assert_eq(a.mtime_nsec, (uint64_t)st.st_mtim.tv_nsec);
	cr_assert_eq(a.ctime_sec, (uint64_t)st.st_ctim.tv_sec);
	cr_assert_eq(a.ctime_nsec, (uint64_t)st.st_ctim.tv_nsec);
}

Test(attrs, statfs_is_right_in_the_halves_that_qemu_reads)
{
	struct legacy_statfs_rep a;
	struct legacy_statfs_req q = {.path = S("/")};
	struct statfs fs;

	cr_assert_eq(peer_call(rig.sock, LEGACY_STATFS, &q, &a), 0);
	cr_assert_eq(statfs(rig.export, &fs), 0);
	cr_assert_eq(a.type, (uint64_t)fs.f_type);
	cr_assert_eq(a.bsize, (uint64_t)fs.f_bsize);
	cr_assert_eq(a.blocks, fs.f_blocks);
	cr_assert_eq(a.files, fs.f_files);
	cr_assert_eq(a.namelen, 255);
	cr_assert_eq(a.frsize, (uint64_t)fs.f_frsize);
	cr_assert_eq((uint32_t)a.fsid0, (uint32_t)fs.f_fsid.__val[0]);
	cr_assert_eq((uint32_t)(a.fsid1 >> 32), (uint32_t)fs.f_fsid.__val[1]);
	q.path = S("//none");
	cr_assert_eq(peer_call(rig.sock, LEGACY_STATFS, &q, &a), -ENOENT);
}

Test(attrs, chmod_and_chown_act_on_the_object_itself)
{
	struct stat st;

	rig_write(&rig, "f", "");
	cr_assert_eq(symlink("f", rig_path(&rig, "s")), 0);
	cr_assert_eq(mkfifo(rig_path(&rig, "fifo"), 0600), 0);
	cr_assert_eq(peer_chmod(rig.sock, "//f", S_IFREG | 06711), 0);
	cr_assert_eq(peer_chmod(rig.sock, "//fifo", 0640), 0);
	cr_assert_eq(peer_chmod(rig.sock, "//s", 0600), -EOPNOTSUPP);
	cr_assert_eq(stat(rig_path(&rig, "f"), &st), 0);
	cr_assert_eq(st.st_mode, S_IFREG | 06711, "the link was followed");
	cr_assert_eq(peer_chown(rig.sock, "//s", 3, 4), 0);
	cr_assert_eq(lstat(rig_path(&rig, "s"), &st), 0);
	cr_assert_eq(st.st_uid, 3);
	cr_assert_eq(st.st_gid, 4);
	cr_assert_eq(stat(rig_path(&rig, "f"), &st), 0);
	cr_assert_eq(st.st_uid, 0, "the link was followed");
	cr_assert_eq(peer_chown(rig.sock, "//s", LEGACY_ID_KEEP, 9), 0);
	cr_assert_eq(lstat(rig_path(&rig, "s"), &st), 0);
	cr_assert_eq(st.st_uid, 3);
	cr_assert_eq(st.st_gid, 9);
	cr_assert_eq(peer_chmod(rig.sock, "/", 0711), 0);
	cr_assert_eq(stat(rig.export, &st), 0);
	cr_assert_eq(st.st_mode, S_IFDIR | 0711);
}

Test(attrs, truncation)
{
	struct stat st;

	rig_differs_on("xfs btrfs tmpfs", "the largest file");
	rig_write(&rig, "f", "text");
	cr_assert_eq(symlink("f", rig_path(&rig, "s")), 0);
	cr_assert_eq(mkfifo(rig_path(&rig, "fifo"), 0600), 0);
	cr_assert_eq(peer_truncate(rig.sock, "//f", 2), 0);
	cr_assert_str_eq(rig_read(&rig, "f"), "te");
	cr_assert_eq(peer_truncate(rig.sock, "//f", 5000000000), 0);
	cr_assert_eq(stat(rig_path(&rig, "f"), &st), 0);
	cr_assert_eq(st.st_size, 5000000000);
	cr_assert_eq(peer_truncate(rig.sock, "//s", 0), -ELOOP);
	cr_assert_eq(peer_truncate(rig.sock, "/", 0), -EISDIR);
	cr_assert_eq(peer_truncate(rig.sock, "//fifo", 0), -EINVAL);
	cr_assert_eq(peer_truncate(rig.sock, "//f", UINT64_MAX), -EINVAL);
	/* Past the file system's limit the kernel sends SIGXFSZ besides: the next request must be
	 * answered. */
	cr_assert_eq(peer_truncate(rig.sock, "//f", INT64_MAX), -EFBIG);
	cr_assert_eq(peer_truncate(rig.sock, "//f", 1), 0);
}

Test(attrs, times)
{
	struct stat st;
	struct legacy_utime_req q = {.path = S("//s"),
	                             .atime_sec = 100,
	                             .atime_nsec = 111,
	                             .mtime_sec = 200,
	                             .mtime_nsec = 222};

	rig_write(&rig, "f", "");
	cr_assert_eq(symlink("f", rig_path(&rig, "s")), 0);
	cr_assert_eq(peer_call(rig.sock, LEGACY_UTIME, &q, NULL), 0);
	cr_assert_eq(lstat(rig_path(&rig, "s"), &st), 0);
	cr_assert_eq(st.st_atim.tv_sec, 100);
	cr_assert_eq(st.st_atim.tv_nsec, 111);
	cr_assert_eq(st.st_mtim.tv_sec, 200);
	cr_assert_eq(st.st_mtim.tv_nsec, 222);
	cr_assert_eq(stat(rig_path(&rig, "f"), &st), 0);
	cr_assert_gt(st.st_mtim.tv_sec, 1000000, "the link was followed");
	q = (struct legacy_utime_req){
	    .path = S("//f"), .atime_sec = 5, .atime_nsec = 0, .mtime_nsec = UTIME_OMIT};
	cr_assert_eq(peer_call(rig.sock, LEGACY_UTIME, &q, NULL), 0);
	cr_assert_eq(stat(rig_path(&rig, "f"), &st), 0);
	cr_assert_eq(st.st_atim.tv_sec, 5);
	cr_assert_gt(st.st_mtim.tv_sec, 1000000);
	q = (struct legacy_utime_req){
	    .path = S("//f"), .atime_nsec = UTIME_OMIT, .mtime_sec = (uint64_t)-5};
	cr_assert_eq(peer_call(rig.sock, LEGACY_UTIME, &q, NULL), 0);
	cr_assert_eq(stat(rig_path(&rig, "f"), &st), 0);
	cr_assert_eq(st.st_mtim.tv_sec, -5);
	q.mtime_nsec = 1000000000;
	cr_assert_eq(peer_call(rig.sock, LEGACY_UTIME, &q, NULL), -EINVAL);
}

Test(attrs, generation_has_no_stray_bits)
{
	struct legacy_getversion_rep a = {.generation = 1};
	struct legacy_getversion_req q = {.path = S("//f")};
	uint32_t want = 0;

	rig_write(&rig, "f", "");
	cr_assert_eq(mkfifo(rig_path(&rig, "fifo"), 0600), 0);
	AUTO_CLOSE int fd = open(rig_path(&rig, "f"), O_RDONLY);

	if (ioctl(fd, FS_IOC_GETVERSION, &want) < 0)
		want = 0; /* a file system without them: 0, as the old helper answers */
	cr_assert_eq(peer_call(rig.sock, LEGACY_GETVERSION, &q, &a), 0);
	cr_assert_eq(a.generation, want);
}

Test(attrs, extended_attributes)
{
	struct legacy_lgetxattr_req get = {.size = 0, .path = S("//f"), .name = S("user.a")};
	struct legacy_lgetxattr_rep value;
	struct legacy_llistxattr_req list = {.size = 0, .path = S("//f")};
	struct legacy_llistxattr_rep names;
	struct legacy_lsetxattr_req set = {.path = S("//f"),
	                                   .name = S("user.a"),
	                                   .value = S("vw"),
	                                   .size = 2,
	                                   .flags = LEGACY_XATTR_CREATE};
	struct legacy_lremovexattr_req del = {.path = S("//f"), .name = S("user.a")};
	char host[16] = "";

	rig_write(&rig, "f", "");
	cr_assert_eq(peer_call(rig.sock, LEGACY_LGETXATTR, &get, &value), -ENODATA);
	cr_assert_eq(peer_setxattr(rig.sock, "//f", "user.a", "val\0ue"), 0);
	cr_assert_eq(getxattr(rig_path(&rig, "f"), "user.a", host, sizeof(host)), 3);
	cr_assert_eq(peer_call(rig.sock, LEGACY_LGETXATTR, &get, &value), 3,
	             "size 0 asks for the length");
	get.size = 3;
	cr_assert_eq(peer_call(rig.sock, LEGACY_LGETXATTR, &get, &value), 0);
	cr_assert_eq(value.value.size, 3);
	get.size = 2;
	cr_assert_eq(peer_call(rig.sock, LEGACY_LGETXATTR, &get, &value), -ERANGE);
	cr_assert_eq(peer_call(rig.sock, LEGACY_LSETXATTR, &set, NULL), -EEXIST);
	set.flags = LEGACY_XATTR_REPLACE;
	cr_assert_eq(peer_call(rig.sock, LEGACY_LSETXATTR, &set, NULL), 0);
	cr_assert_eq(peer_call(rig.sock, LEGACY_LLISTXATTR, &list, &names), 7);
	list.size = 100;
	cr_assert_eq(peer_call(rig.sock, LEGACY_LLISTXATTR, &list, &names), 0);
	cr_assert_eq(names.names.size, 7);
	cr_assert_eq(memcmp(names.names.data, "user.a", 7), 0);
	cr_assert_eq(peer_call(rig.sock, LEGACY_LREMOVEXATTR, &del, NULL), 0);
	cr_assert_eq(peer_call(rig.sock, LEGACY_LREMOVEXATTR, &del, NULL), -ENODATA);
}

Test(attrs, attributes_of_a_symbolic_link_are_its_own)
{
	rig_write(&rig, "f", "");
	cr_assert_eq(symlink("f", rig_path(&rig, "s")), 0);
	/* The kernel keeps user attributes off links; what matters is that the file did not get it.
	 */
	cr_assert_eq(peer_setxattr(rig.sock, "//s", "user.a", "v"), -EPERM);
	cr_assert_lt(getxattr(rig_path(&rig, "f"), "user.a", NULL, 0), 0);
}

/* The old helper read as many bytes as size said, past the value and into its heap. */
Test(attrs, a_value_is_as_long_as_its_bytes)
{
	struct legacy_lsetxattr_req set = {
	    .path = S("//f"), .name = S("user.a"), .value = S("abc"), .size = 4000};

	rig_write(&rig, "f", "");
	cr_assert_eq(peer_call(rig.sock, LEGACY_LSETXATTR, &set, NULL), -EINVAL);
	set.size = 2;
	cr_assert_eq(peer_call(rig.sock, LEGACY_LSETXATTR, &set, NULL), -EINVAL);
	set = (struct legacy_lsetxattr_req){.path = S("//f"), .name = S("user.a"), .size = 65536};
	cr_assert_eq(peer_call(rig.sock, LEGACY_LSETXATTR, &set, NULL), -E2BIG);
	cr_assert_lt(getxattr(rig_path(&rig, "f"), "user.a", NULL, 0), 0);
	set.size = 0;
	cr_assert_eq(peer_call(rig.sock, LEGACY_LSETXATTR, &set, NULL), 0, "an empty value is one");
	cr_assert_eq(getxattr(rig_path(&rig, "f"), "user.a", NULL, 0), 0);
}
