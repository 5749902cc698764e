/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_version.c: Tversion: what is agreed on, what is not, and that it begins everything anew. */
#include "tests/lib/p9_rig.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

static struct p9_rig rig;

static void start(void)
{
	p9_rig_start(&rig, &(struct p9_rig_opt){.raw = true});
}

static void end(void)
{
	p9_rig_end(&rig);
}

TestSuite(version, .init = start, .fini = end, .timeout = 120);

static struct p9_client *const c = &rig.c;

static bool says(const struct p9_version_rep *a, const char *text)
{
	return a->version.size == strlen(text) &&
	       memcmp(a->version.data, text, a->version.size) == 0;
}

Test(version, an_unknown_version_is_answered_with_unknown_and_no_error)
{
	static const char *const others[] = {"", "9P", "9P2000", "9P2000.u", "9P3000.L", "unknown"};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		struct p9_version_rep a = P9(c, version, .msize = 8192, .version = others[i]);

		cr_assert(says(&a, "unknown"), "%s", others[i]);
		P9(c, attach, .fid = 0, .afid = P9_NOFID, .expect_err = P9_ANY_ERROR);
	}
	p9_start(c, 8192);
}

Test(version, msize_is_the_lesser_of_both)
{
	static const uint32_t sizes[] = {4096,    8192,           131096,  512000,
	                                 1 << 20, (1 << 20) + 24, 4u << 20};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct p9_version_rep a = P9(c, version, .msize = sizes[i], .version = "9P2000.L");

		cr_assert(says(&a, "9P2000.L"));
		cr_assert_eq(a.msize, sizes[i]);
	}
	cr_assert_leq(P9(c, version, .msize = UINT32_MAX, .version = "9P2000.L").msize, 64u << 20);
	cr_assert_geq(P9(c, version, .msize = UINT32_MAX, .version = "9P2000.L").msize, 1u << 20);
}

Test(version, an_msize_too_small_for_linux_is_refused)
{
	static const uint32_t sizes[] = {0, 1, 6, 7, 23, 24, 512, 4095};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		P9(c, version, .msize = sizes[i], .version = "9P2000.L", .expect_err = EMSGSIZE);
		P9(c, attach, .fid = 0, .afid = P9_NOFID, .expect_err = P9_ANY_ERROR);
	}
	p9_start(c, 4096);
	cr_assert(p9_alive(c));
}

Test(version, nothing_else_is_answered_before_it)
{
	P9(c, attach, .fid = 0, .afid = P9_NOFID, .expect_err = P9_ANY_ERROR);
	P9(c, getattr, .fid = 0, .expect_err = P9_ANY_ERROR);
	p9_start(c, 8192);
}

Test(version, a_second_one_drops_all_fids)
{
	p9_start(c, 8192);
	p9_make(c, 1, "f", 0644);
	p9_to(c, 0, 2, "f");
	P9(c, version, .msize = 8192, .version = "9P2000.L");
	for (uint32_t fid = 0; fid < 3; fid++)
		P9(c, getattr, .fid = fid, .expect_err = EBADF);
	/* Their numbers are free again. */
	P9(c, attach, .fid = 1, .afid = P9_NOFID);
	P9(c, attach, .fid = 2, .afid = P9_NOFID);
}

Test(version, a_refused_one_drops_all_fids_too)
{
	p9_start(c, 8192);
	P9(c, version, .msize = 8192, .version = "9P1999");
	P9(c, version, .msize = 8192, .version = "9P2000.L");
	P9(c, getattr, .fid = 0, .expect_err = EBADF);
}

Test(version, a_second_one_drops_requests_that_wait)
{
	uint16_t lock, flush;
	AUTO_CLOSE int fd = -1;
	struct flock l = {.l_type = F_WRLCK};

	p9_start(c, 8192);
	p9_make(c, 1, "f", 0644);
	fd = open(rig_path(&rig.rig, "f"), O_RDWR | O_CLOEXEC);
	cr_assert_eq(fcntl(fd, F_OFD_SETLK, &l), 0);
	lock = P9_SEND(c, LOCK, lock, .fid = 1, .type = P9_LOCK_TYPE_WRLCK,
	               .flags = P9_LOCK_FLAGS_BLOCK, .proc_id = 1, .client_id = "c");
	P9(c, version, .msize = 8192, .version = "9P2000.L");
	/* Nobody waits for the lock any more, and its tag is free. */
	l.l_type = F_UNLCK;
	cr_assert_eq(fcntl(fd, F_OFD_SETLK, &l), 0);
	cr_assert(p9_quiet(c, 200));
	flush = lock;
	p9_send_tag(c, flush, P9_FLUSH, &(struct p9_flush_req){.oldtag = 99});
	cr_assert_eq(p9_wait(c, flush, P9_FLUSH, NULL), 0);
	l.l_type = F_WRLCK;
	cr_assert_eq(fcntl(fd, F_OFD_SETLK, &l), 0, "the lock was granted to nobody");
}

Test(version, messages_of_the_largest_size_pass)
{
	static uint8_t data[4u << 20];
	static const uint32_t sizes[] = {1 << 20, 4u << 20};

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + (i >> 8));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t count = sizes[i] - P9_WRITE_HEAD;
		struct p9_read_rep a;

		p9_start(c, sizes[i]);
		p9_open(c, 1, "", 0);
		P9(c, clunk, .fid = 1);
		p9_make(c, 2, i ? "b" : "a", 0644);
		cr_assert_eq(P9(c, write, .fid = 2, .data = {.data = data, .size = count}).count,
		             count);
		a = P9(c, read, .fid = 2, .count = UINT32_MAX);
		cr_assert_eq(a.data.size, count);
		cr_assert_eq(memcmp(a.data.data, data, count), 0);
	}
}

Test(version, a_client_that_speaks_before_the_helper_is_up_waits_for_it)
{
	struct p9_rig late;
	int pair[2];

	/* A helper that has not said hello yet is no reason to refuse anybody. */
	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	p9_rig_start(&late, &(struct p9_rig_opt){.raw = true, .helper_sock = pair[0]});
	(void)P9_SEND(&late.c, VERSION, version, .msize = 8192, .version = "9P2000.L");
	cr_assert(p9_quiet(&late.c, 200), "an answer came before the helper");
	fd_close(&pair[1]);
	p9_client_end(&late.c);
	cr_assert_neq(rig_exit_status(late.device), 0);
	fd_close(&late.handover);
	(void)rig_end(&late.rig);
}
