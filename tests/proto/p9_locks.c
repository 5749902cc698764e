/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_locks.c: Tlock and Tgetlock are locks of the host, of a client's process each. */
#include "tests/lib/p9_rig.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RD P9_LOCK_TYPE_RDLCK
#define WR P9_LOCK_TYPE_WRLCK
#define UN P9_LOCK_TYPE_UNLCK

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.listen = true});
	rig_write(&rig.rig, "f", "text");
	p9_open(&rig.c, 1, "f", 2);
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(locks, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

/* Asks for a lock that does not wait. Return: its status. */
static uint8_t lock_range(struct p9_client *client, uint32_t fid, uint32_t proc, uint8_t type,
                          uint64_t from, uint64_t length)
{
	return P9(client, lock, .fid = fid, .type = type, .start = from, .length = length,
	          .proc_id = proc, .client_id = "guest")
	    .status;
}

static uint8_t lock(uint32_t fid, uint32_t proc, uint8_t type)
{
	return lock_range(c, fid, proc, type, 0, 0);
}

static uint16_t lock_waiting(struct p9_client *client, uint32_t fid, uint32_t proc, uint8_t type)
{
	return P9_SEND(client, LOCK, lock, .fid = fid, .type = type, .flags = P9_LOCK_FLAGS_BLOCK,
	               .proc_id = proc, .client_id = "guest");
}

/* Whether a program of the host could have that lock now. */
static bool host_can(short type, off_t from, off_t length)
{
	struct flock l = {.l_type = type, .l_start = from, .l_len = length};
	AUTO_CLOSE int fd = open(rig_path(&rig.rig, "f"), O_RDWR | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

/* The same in a moment: what is given up by a close that another thread makes. */
static bool host_can_soon(short type)
{
	bool can;

	WAIT_WHILE(!(can = host_can(type, 0, 0)));
	return can;
}

static int host_locks(int *fd, short type)
{
	struct flock l = {.l_type = type};

	if (*fd < 0)
		*fd = open(rig_path(&rig.rig, "f"), O_RDWR | O_CLOEXEC);
	return fcntl(*fd, F_OFD_SETLK, &l);
}

Test(locks, a_lock_is_the_hosts)
{
	cr_assert_eq(lock_range(c, 1, 1, WR, 10, 10), P9_LOCK_SUCCESS);
	cr_assert_not(host_can(F_WRLCK, 0, 0));
	cr_assert_not(host_can(F_RDLCK, 19, 1));
	cr_assert(host_can(F_WRLCK, 0, 10));
	cr_assert(host_can(F_WRLCK, 20, 0));
	cr_assert_eq(lock_range(c, 1, 1, UN, 10, 10), P9_LOCK_SUCCESS);
	cr_assert(host_can(F_WRLCK, 0, 0));
}

Test(locks, a_programs_lock_is_in_the_way)
{
	AUTO_CLOSE int fd = -1;

	cr_assert_eq(host_locks(&fd, F_RDLCK), 0);
	cr_assert_eq(lock(1, 1, RD), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 1, WR), P9_LOCK_BLOCKED);
	cr_assert_eq(host_locks(&fd, F_UNLCK), 0);
	cr_assert_eq(lock(1, 1, WR), P9_LOCK_SUCCESS);
	cr_assert_lt(host_locks(&fd, F_RDLCK), 0);
}

Test(locks, a_programs_posix_lock_is_in_the_way)
{
	struct flock l = {.l_type = F_WRLCK};
	AUTO_CLOSE int fd = open(rig_path(&rig.rig, "f"), O_RDWR | O_CLOEXEC);
	struct p9_getlock_rep a;

	cr_assert_eq(fcntl(fd, F_SETLK, &l), 0);
	cr_assert_eq(lock(1, 1, RD), P9_LOCK_BLOCKED);
	a = P9(c, getlock, .fid = 1, .type = WR, .proc_id = 1, .client_id = "guest");
	cr_assert_eq(a.type, WR);
	l.l_type = F_UNLCK;
	cr_assert_eq(fcntl(fd, F_SETLK, &l), 0);
	cr_assert_eq(lock(1, 1, WR), P9_LOCK_SUCCESS);
	l.l_type = F_RDLCK;
	cr_assert_lt(fcntl(fd, F_SETLK, &l), 0);
}

Test(locks, one_owner_through_two_fids_is_in_nobodys_way)
{
	p9_open(c, 2, "f", 2);
	cr_assert_eq(lock(1, 1, WR), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(2, 1, WR), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(2, 1, RD), P9_LOCK_SUCCESS);
	cr_assert(host_can(F_RDLCK, 0, 0), "the owner has one lock, and made it a read lock");
	cr_assert_eq(lock(1, 1, UN), P9_LOCK_SUCCESS);
	cr_assert(host_can(F_WRLCK, 0, 0));
}

/* As sqlite and others do: one descriptor for reading, another for writing. */
Test(locks, one_owner_through_a_reading_and_a_writing_fid)
{
	p9_open(c, 2, "f", 0);
	p9_open(c, 3, "f", 1);
	cr_assert_eq(lock(2, 1, RD), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 1, WR), P9_LOCK_SUCCESS, "an owner is in its own way");
	cr_assert_eq(lock(3, 1, WR), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(2, 1, UN), P9_LOCK_SUCCESS);
	cr_assert(host_can(F_WRLCK, 0, 0));
}

Test(locks, a_lock_needs_a_descriptor_of_its_mode)
{
	p9_open(c, 2, "f", 0);
	p9_open(c, 3, "f", 1);
	P9(c, lock, .fid = 2, .type = WR, .proc_id = 1, .client_id = "guest", .expect_err = EBADF);
	P9(c, lock, .fid = 3, .type = RD, .proc_id = 2, .client_id = "guest", .expect_err = EBADF);
	cr_assert_eq(lock(2, 1, RD), P9_LOCK_SUCCESS);
}

Test(locks, two_owners_on_one_fid_are_in_each_others_way)
{
	cr_assert_eq(lock(1, 1, WR), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 2, WR), P9_LOCK_BLOCKED);
	cr_assert_eq(lock(1, 2, RD), P9_LOCK_BLOCKED);
	cr_assert_eq(P9(c, lock, .fid = 1, .type = WR, .proc_id = 1, .client_id = "other").status,
	             P9_LOCK_BLOCKED, "the client's name is part of who owns");
	cr_assert_eq(lock(1, 1, UN), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 2, WR), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 1, RD), P9_LOCK_BLOCKED);
}

Test(locks, readers_share)
{
	for (uint32_t proc = 1; proc < 20; proc++)
		cr_assert_eq(lock(1, proc, RD), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 20, WR), P9_LOCK_BLOCKED);
	for (uint32_t proc = 1; proc < 20; proc++)
		cr_assert_eq(lock(1, proc, UN), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 20, WR), P9_LOCK_SUCCESS);
}

Test(locks, ranges)
{
	cr_assert_eq(lock_range(c, 1, 1, WR, 0, 100), P9_LOCK_SUCCESS);
	cr_assert_eq(lock_range(c, 1, 2, WR, 100, 100), P9_LOCK_SUCCESS);
	cr_assert_eq(lock_range(c, 1, 2, WR, 99, 1), P9_LOCK_BLOCKED);
	cr_assert_eq(lock_range(c, 1, 1, UN, 50, 10), P9_LOCK_SUCCESS);
	cr_assert_eq(lock_range(c, 1, 2, WR, 50, 10), P9_LOCK_SUCCESS);
	cr_assert_eq(lock_range(c, 1, 2, WR, 49, 1), P9_LOCK_BLOCKED);
	cr_assert_eq(lock_range(c, 1, 3, WR, 200, 0), P9_LOCK_SUCCESS, "length 0: to the end");
	cr_assert_eq(lock_range(c, 1, 1, RD, 1ull << 40, 1), P9_LOCK_BLOCKED);
	P9(c, lock, .fid = 1, .type = RD, .start = UINT64_MAX, .length = 1, .expect_err = EINVAL);
	P9(c, lock, .fid = 1, .type = RD, .start = 5, .length = UINT64_MAX, .expect_err = EINVAL);
	P9(c, lock, .fid = 1, .type = 3, .expect_err = EINVAL);
	P9(c, lock, .fid = 1, .type = 255, .expect_err = EINVAL);
	P9(c, lock, .fid = 1, .type = RD, .flags = 4, .expect_err = EINVAL);
}

Test(locks, only_open_files_are_locked)
{
	p9_to(c, 0, 2, "f");
	P9(c, lock, .fid = 2, .type = RD, .expect_err = EBADF);
	P9(c, getlock, .fid = 2, .type = RD, .expect_err = EBADF);
	p9_open(c, 3, "", 0);
	P9(c, lock, .fid = 3, .type = RD, .expect_err = EBADF);
	P9(c, lock, .fid = 9, .type = RD, .expect_err = EBADF);
}

Test(locks, another_client_is_in_the_way)
{
	struct p9_client other;

	p9_rig_connect(&rig, &other, false);
	p9_open(&other, 1, "f", 2);
	cr_assert_eq(lock(1, 1, WR), P9_LOCK_SUCCESS);
	/* The same names, but of another machine. */
	cr_assert_eq(lock_range(&other, 1, 1, WR, 0, 0), P9_LOCK_BLOCKED);
	cr_assert_eq(lock(1, 1, UN), P9_LOCK_SUCCESS);
	cr_assert_eq(lock_range(&other, 1, 1, WR, 0, 0), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 1, RD), P9_LOCK_BLOCKED);
	p9_client_end(&other);
}

Test(locks, one_that_waits_is_granted_when_another_owner_gives_up)
{
	struct p9_lock_rep a;
	uint16_t tag;

	cr_assert_eq(lock(1, 1, WR), P9_LOCK_SUCCESS);
	tag = lock_waiting(c, 1, 2, WR);
	cr_assert(p9_quiet(c, 100), "a lock that must wait was answered");
	cr_assert_eq(lock(1, 1, UN), P9_LOCK_SUCCESS);
	cr_assert_eq(p9_wait(c, tag, P9_LOCK, &a), 0);
	cr_assert_eq(a.status, P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 1, RD), P9_LOCK_BLOCKED);
}

Test(locks, one_that_waits_is_granted_when_a_program_gives_up)
{
	AUTO_CLOSE int fd = -1;
	struct p9_lock_rep a;
	uint16_t tag;

	cr_assert_eq(host_locks(&fd, F_WRLCK), 0);
	tag = lock_waiting(c, 1, 1, WR);
	cr_assert(p9_quiet(c, 100));
	fd_close(&fd);
	cr_assert_eq(p9_wait(c, tag, P9_LOCK, &a), 0);
	cr_assert_eq(a.status, P9_LOCK_SUCCESS);
	cr_assert_not(host_can(F_RDLCK, 0, 0));
}

Test(locks, those_that_wait_are_granted_each_once)
{
	uint16_t tags[20];

	cr_assert_eq(lock(1, 100, WR), P9_LOCK_SUCCESS);
	for (uint32_t i = 0; i < 20; i++)
		tags[i] = lock_waiting(c, 1, i, WR);
	cr_assert(p9_quiet(c, 50));
	cr_assert_eq(lock(1, 100, UN), P9_LOCK_SUCCESS);
	/* In whichever order they came to wait. */
	for (unsigned left = 20; left > 0; left--) {
		struct p9_head h;
		struct rd body;
		uint32_t i = 0;

		cr_assert(p9_recv(c, &h, &body));
		cr_assert_eq(h.type, P9_LOCK + 1);
		cr_assert_eq(rd_u8(&body), P9_LOCK_SUCCESS);
		while (tags[i] != h.tag)
			cr_assert_lt(++i, 20, "a tag nobody sent, or one twice");
		tags[i] = P9_NOTAG;
		cr_assert(p9_quiet(c, 5), "two have the lock at once");
		cr_assert_eq(lock(1, i, UN), P9_LOCK_SUCCESS);
	}
	cr_assert_eq(p9_kept_count(c), 0);
	cr_assert(host_can(F_WRLCK, 0, 0));
}

Test(locks, one_that_waits_goes_with_its_flush)
{
	AUTO_CLOSE int fd = -1;
	uint16_t tag;

	cr_assert_eq(host_locks(&fd, F_WRLCK), 0);
	tag = lock_waiting(c, 1, 1, WR);
	P9(c, flush, .oldtag = tag);
	cr_assert_eq(p9_kept_count(c), 0);
	cr_assert_eq(host_locks(&fd, F_UNLCK), 0);
	cr_assert(p9_quiet(c, 150), "a flushed lock was answered after all");
	cr_assert(host_can(F_WRLCK, 0, 0), "a flushed lock was granted after all");
}

Test(locks, a_clunk_gives_all_up)
{
	p9_open(c, 2, "f", 2);
	cr_assert_eq(lock_range(c, 2, 1, WR, 0, 10), P9_LOCK_SUCCESS);
	cr_assert_eq(lock_range(c, 2, 2, WR, 20, 10), P9_LOCK_SUCCESS);
	P9(c, clunk, .fid = 2);
	cr_assert(host_can_soon(F_WRLCK));
}

Test(locks, a_clunk_right_behind_a_lock_leaves_nothing)
{
	/* Of a second owner: the lock needs a descriptor from the helper first. */
	for (uint32_t i = 0; i < 50; i++) {
		uint16_t tags[2];

		p9_open(c, 2, "f", 2);
		cr_assert_eq(lock(2, 1, RD), P9_LOCK_SUCCESS);
		tags[0] = P9_SEND(c, LOCK, lock, .fid = 2, .type = RD, .proc_id = 2,
		                  .client_id = "guest");
		tags[1] = P9_SEND(c, CLUNK, clunk, .fid = 2);
		(void)p9_wait(c, tags[0], P9_LOCK, NULL);
		cr_assert_eq(p9_wait(c, tags[1], P9_CLUNK, NULL), 0);
	}
	cr_assert(host_can_soon(F_WRLCK), "a lock of a clunked fid stayed");
}

Test(locks, a_clunk_ends_the_wait_of_its_locks)
{
	AUTO_CLOSE int fd = -1;
	uint16_t tag;

	p9_open(c, 2, "f", 2);
	cr_assert_eq(host_locks(&fd, F_WRLCK), 0);
	tag = lock_waiting(c, 2, 1, WR);
	P9(c, clunk, .fid = 2);
	fd_close(&fd);
	/* Whatever it is answered, it is answered, and holds nothing. */
	cr_assert_neq(p9_wait(c, tag, P9_LOCK, NULL), P9_GONE);
	cr_assert(host_can_soon(F_WRLCK));
}

Test(locks, a_client_that_goes_gives_all_up)
{
	struct p9_client other;
	uint16_t tag;

	p9_rig_connect(&rig, &other, false);
	p9_open(&other, 1, "f", 2);
	cr_assert_eq(lock_range(&other, 1, 1, WR, 0, 0), P9_LOCK_SUCCESS);
	tag = lock_waiting(c, 1, 1, WR);
	cr_assert(p9_quiet(c, 50));
	p9_client_end(&other);
	cr_assert_eq(p9_wait(c, tag, P9_LOCK, NULL), 0);
}

Test(locks, a_client_that_goes_while_it_waits_gets_nothing)
{
	struct p9_client other;
	AUTO_CLOSE int fd = -1;

	p9_rig_connect(&rig, &other, false);
	p9_open(&other, 1, "f", 2);
	cr_assert_eq(host_locks(&fd, F_WRLCK), 0);
	(void)lock_waiting(&other, 1, 1, WR);
	cr_assert(p9_quiet(&other, 50));
	p9_client_end(&other);
	fd_close(&fd);
	cr_assert(host_can_soon(F_WRLCK));
	cr_assert(p9_alive(c));
}

Test(locks, getlock_tells_who_is_in_the_way)
{
	struct p9_getlock_rep a;

	a = P9(c, getlock, .fid = 1, .type = WR, .start = 5, .length = 6, .proc_id = 1,
	       .client_id = "guest");
	cr_assert(a.type == UN && a.start == 5 && a.length == 6 && a.proc_id == 1);
	cr_assert(a.client_id.size == 5 && memcmp(a.client_id.data, "guest", 5) == 0);
	cr_assert_eq(lock_range(c, 1, 2, RD, 10, 20), P9_LOCK_SUCCESS);
	a = P9(c, getlock, .fid = 1, .type = WR, .proc_id = 1, .client_id = "guest");
	cr_assert(a.type == RD && a.start == 10 && a.length == 20);
	cr_assert_eq(P9(c, getlock, .fid = 1, .type = RD, .proc_id = 1, .client_id = "guest").type,
	             UN);
	/* Linux asks with UNLCK: whether anything is in the way. */
	cr_assert_neq(P9(c, getlock, .fid = 1, .type = UN, .proc_id = 1, .client_id = "guest").type,
	              UN);
	cr_assert_eq(P9(c, getlock, .fid = 1, .type = WR, .proc_id = 2, .client_id = "guest").type,
	             UN, "an owner is not in its own way");
	P9(c, getlock, .fid = 1, .type = 3, .expect_err = EINVAL);
	P9(c, getlock, .fid = 1, .type = RD, .start = UINT64_MAX, .length = 2,
	   .expect_err = EINVAL);
}

Test(locks, of_an_unlinked_file)
{
	P9(c, unlinkat, .dirfid = 0, .name = "f");
	cr_assert_eq(lock(1, 1, WR), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 2, WR), P9_LOCK_BLOCKED);
	cr_assert_eq(lock(1, 1, UN), P9_LOCK_SUCCESS);
	cr_assert_eq(lock(1, 2, WR), P9_LOCK_SUCCESS);
}

Test(locks, more_that_wait_than_a_limit_are_told_to_come_again)
{
	enum { MANY = 100 };
	uint16_t tags[MANY];
	unsigned blocked = 0;

	cr_assert_eq(lock(1, 1000, WR), P9_LOCK_SUCCESS);
	for (uint32_t i = 0; i < MANY; i++)
		tags[i] = lock_waiting(c, 1, i, RD);
	cr_assert(p9_alive(c));
	cr_assert_eq(lock(1, 1000, UN), P9_LOCK_SUCCESS);
	for (uint32_t i = 0; i < MANY; i++) {
		struct p9_lock_rep a;

		cr_assert_eq(p9_wait(c, tags[i], P9_LOCK, &a), 0);
		blocked += a.status == P9_LOCK_BLOCKED;
	}
	cr_assert(blocked > 0 && blocked < MANY);
}
