/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/landlock.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Of later kernels than the headers that this may be built with. */
#define ACCESS_TRUNCATE  (UINT64_C(1) << 14)
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15)
#define QUERY_VERSION    1u
#define QUERY_ERRATA     2u
#define RULE_BENEATH     1

#define ABI_RENAMES 2 /* LANDLOCK_ACCESS_FS_REFER */

/* Erratum 3: what has no known parent is held against the rules of its mount's root. */
#define ERRATUM_NO_PARENT (1 << 2)

#define READ_FILE  (UINT64_C(0) + LANDLOCK_ACCESS_FS_READ_FILE)
#define READ_DIR   (UINT64_C(0) + LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_FILE (LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE)
#define CHANGE_DIR                                                        \
	(LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |     \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |     \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |   \
	 LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)

/* As struct landlock_ruleset_attr has it since version 6; older kernels want zeros where they know nothing. */
struct ruleset {
	uint64_t files, net, scopes;
};

/* What came with which version of the interface. */
static const struct {
	long abi;
	struct ruleset knows;
} versions[] = {
    {1,
     {.files = LANDLOCK_ACCESS_FS_EXECUTE | READ_FILE | READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
               (CHANGE_DIR & ~(uint64_t)LANDLOCK_ACCESS_FS_REFER)}},
    {ABI_RENAMES, {.files = LANDLOCK_ACCESS_FS_REFER}},
    {3, {.files = ACCESS_TRUNCATE}},
    {4, {.net = 3}}, /* bind and connect of TCP */
    {5, {.files = ACCESS_IOCTL_DEV}},
    {6, {.scopes = 3}}, /* abstract Unix sockets and signals */
};

/* Return: the answer, or 0 where the kernel does not know the question. */
static long query(unsigned what)
{
	long answer = syscall(SYS_landlock_create_ruleset, NULL, 0, what);

	return answer > 0 ? answer : 0;
}

/* The version of the kernel's interface; 0 where there is none. */
static long abi_version(void)
{
	long abi = query(QUERY_VERSION);

	if (abi == 0)
		log_info("Landlock is not to be had (%s)", errno_name(errno));
	return abi;
}

static struct ruleset everything(long abi)
{
	struct ruleset all = {0};

	for (size_t i = 0; i < ARRAY_SIZE(versions) && versions[i].abi <= abi; i++) {
		all.files |= versions[i].knows.files;
		all.net |= versions[i].knows.net;
		all.scopes |= versions[i].knows.scopes;
	}
	return all;
}

static int restrict_self(const struct ruleset *r, int dir, uint64_t allowed)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = allowed & r->files,
	                                          .parent_fd = dir};
	AUTO_CLOSE int fd = (int)syscall(SYS_landlock_create_ruleset, r, sizeof(*r), 0);

	if (fd < 0)
		return -errno;
	if (dir >= 0 && syscall(SYS_landlock_add_rule, fd, RULE_BENEATH, &rule, 0) < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}

int landlock_deny_all(void)
{
	long abi = abi_version();
	struct ruleset r = everything(abi);

	return abi ? restrict_self(&r, -1, 0) : 0;
}

int landlock_allow_beneath(int dir, unsigned kinds)
{
	uint64_t allowed =
	    READ_FILE | READ_DIR | (kinds & LANDLOCK_WRITE ? WRITE_FILE | CHANGE_DIR : 0);
	long abi = abi_version();
	struct ruleset r = everything(abi);

	if (abi < ABI_RENAMES) {
		if (abi)
			log_info("Landlock is not used: this kernel's forbids renames between "
			         "directories");
		return 0;
	}
	if ((kinds & LANDLOCK_BY_HANDLE) && !(query(QUERY_ERRATA) & ERRATUM_NO_PARENT)) {
		log_info("Landlock holds directories, not files: this kernel's forbids files that "
		         "are found by handle");
		r.files &= ~(READ_FILE | (kinds & LANDLOCK_WRITE ? WRITE_FILE : 0));
	}
	return restrict_self(&r, dir, allowed);
}
