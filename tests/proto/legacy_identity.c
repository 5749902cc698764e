/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * legacy_identity.c: acting as the guest's users. After each request the helper must stand exactly
 * as before: the old one lost its rights for good by a create with uid 0 and another gid, and then
 * died by the next.
 */
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
static char before[3][64];

static const char *const watched[] = {"Uid", "Gid", "CapEff"};

static void start(void)
{
	struct legacy_lstat_rep st;

	rig_start(&rig, NULL);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
		(void)snprintf(before[i], sizeof(before[i]), "%s", rig_proc(&rig, watched[i]));
}

static void end(void)
{
	cr_assert_eq(rig_end(&rig), 0);
}

TestSuite(identity, .init = start, .fini = end, .timeout = 30);

static void must_be_itself_again(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
		cr_assert_str_eq(rig_proc(&rig, watched[i]), before[i]);
}

static void create_as(uint32_t uid, uint32_t gid, uint32_t want_uid, uint32_t want_gid)
{
	struct stat st;
	AUTO_CLOSE int fd = peer_create(rig.sock, "//new", O_RDWR | O_EXCL, 0600, uid, gid);

	cr_assert_geq(fd, 0, "uid %u gid %u: %d", uid, gid, fd);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_uid, want_uid);
	cr_assert_eq(st.st_gid, want_gid);
	must_be_itself_again();
	cr_assert_eq(peer_remove(rig.sock, "//new"), 0);
}

Test(identity, every_mix_of_root_and_others)
{
	rig_needs_root("ids of 32 bits");
	create_as(0, 0, 0, 0);
	create_as(0, 100, 0, 100);
	create_as(1000, 0, 1000, 0);
	create_as(1000, 1000, 1000, 1000);
	create_as(65534, 65534, 65534, 65534);
	create_as(0xfffffffe, 0xfffffffe, 0xfffffffe, 0xfffffffe);
}

Test(identity, an_id_that_says_nothing_stays_roots)
{
	create_as(LEGACY_ID_KEEP, LEGACY_ID_KEEP, 0, 0);
	create_as(1000, LEGACY_ID_KEEP, 1000, 0);
}

/* End to end what disabled and then killed the old helper. */
Test(identity, root_with_another_group_disables_nothing)
{
	rig_needs_root("device nodes");
	create_as(0, 100, 0, 100);
	rig_write(&rig, "f", "");
	cr_assert_eq(peer_chown(rig.sock, "//f", 1000, 1000), 0);
	cr_assert_eq(peer_mknod(rig.sock, "//null", S_IFCHR | 0600, makedev(1, 3), 0, 0), 0);
	create_as(1000, 1000, 1000, 1000);
	cr_assert_eq(peer_chmod(rig.sock, "//f", 06755), 0);
}

Test(identity, failed_creations_leave_no_trace)
{
	rig_write(&rig, "f", "");
	for (int i = 0; i < 50; i++) {
		cr_assert_eq(peer_create(rig.sock, "//f", O_RDWR | O_EXCL, 0600, 1000, 1000),
		             -EEXIST);
		cr_assert_eq(peer_mkdir(rig.sock, "//none/d", 0700, 1000, 1000), -ENOENT);
		cr_assert_eq(peer_mknod(rig.sock, "//f", S_IFIFO, 0, 1000, 1000), -EEXIST);
		cr_assert_eq(peer_mknod(rig.sock, "//dev", S_IFCHR, makedev(1, 3), 1000, 1000),
		             -EPERM);
		must_be_itself_again();
	}
}

/* The guest's kernel has checked, with groups that we are not told: the host's bits do not decide
 * again. */
Test(identity, creating_where_only_the_guests_groups_allow_it)
{
	cr_assert_eq(mkdir(rig_path(&rig, "d"), 0770), 0);
	cr_assert_eq(chown(rig_path(&rig, "d"), 0, 55), 0);
	AUTO_CLOSE int fd = peer_create(rig.sock, "//d/f", O_RDWR, 0600, 1000, 1000);

	cr_assert_geq(fd, 0);
}

Test(identity, only_permission_checks_are_passed_over_while_switched)
{
	struct stat st;

	/* CAP_FSETID is not held: a group that the user is not in takes the set-group-id bit away.
	 */
	cr_assert_eq(chown(rig.export, 0, 77), 0);
	cr_assert_eq(chmod(rig.export, 02777), 0);
	AUTO_CLOSE int fd = peer_create(rig.sock, "//f", O_RDWR, 02777, 1000, 1000);

	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0777);
	cr_assert_eq(st.st_gid, 77);
}

Test(identity, there_are_no_supplementary_groups)
{
	cr_assert_str_eq(rig_proc(&rig, "Groups"), "");
}
