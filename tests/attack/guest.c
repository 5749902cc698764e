/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest.c: a hostile guest: well-formed 9P that no kernel would send, over a socket and over a virtqueue. Canaries lie
 * outside the export. What is malformed is proto/p9_malformed.c's and virtio/hostile_9p.c's.
 */
#include "tests/lib/canary.h"
#include "tests/lib/odd_names.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/tables.h"
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static struct p9_rig by_socket;
static struct vu_rig by_ring;
static struct canaries canaries;
static struct p9_client *c;
static struct rig *host;

static void put_out(struct rig *r)
{
	canaries_start(&canaries, r);
	rig_watch = canary_look;
}

static void start_socket(void)
{
	p9_rig_start(&by_socket, &(struct p9_rig_opt){.prepare = put_out});
	c = &by_socket.c;
	host = &by_socket.rig;
	rig_write(host, "f", "text");
}

static void end_socket(void)
{
	p9_start(c, P9_RIG_MSIZE);
	canaries_end(&canaries);
	p9_rig_end(&by_socket);
}

static void start_ring(void)
{
	vu_rig_start(&by_ring, &(struct vu_rig_opt){.prepare = put_out});
	c = &by_ring.p.c;
	host = &by_ring.rig;
	rig_write(host, "f", "text");
}

static void end_ring(void)
{
	vu_rig_serves(&by_ring);
	canaries_end(&canaries);
	vu_rig_end(&by_ring);
}

TestSuite(guest_socket, .init = start_socket, .fini = end_socket, .timeout = 300);
TestSuite(guest_ring, .init = start_ring, .fini = end_ring, .timeout = 300);

/* The same attack by both ways. */
#define ATTACK_TEST(name)            \
	static void name(void);      \
	Test(guest_socket, name##_s) \
	{                            \
		name();              \
	}                            \
	Test(guest_ring, name##_r)   \
	{                            \
		name();              \
	}                            \
	static void name(void)

static struct sample sample;
static uint64_t message[TABLE_STRUCT_MAX / 8];

/* A message of random values. Return: 0 or its errno; or P9_GONE, where it could not be encoded. */
static int any_message(const struct table_row *row, uint64_t seed)
{
	sample_init(&sample, seed);
	row->req.sample(&sample, message);
	if (p9_encode(c, 1, (enum p9_type)row->msg->number, message) > 8192)
		return P9_GONE;
	canary_attack(1);
	p9_send_tag(c, 70, (enum p9_type)row->msg->number, message);
	return p9_wait(c, 70, (enum p9_type)row->msg->number, NULL);
}

static bool is_attackable(const struct table_row *row)
{
	return strcmp(row->protocol, "p9") == 0 && p9_find((uint8_t)row->msg->number) &&
	       row->msg->number != P9_VERSION;
}

/* Nothing but Tversion, Tflush and Tauth's refusal is answered with other than an error when nobody has attached. */
ATTACK_TEST(everything_before_attach)
{
	for (int attached = 0; attached < 2; attached++) {
		P9(c, version, .msize = 8192, .version = attached ? "9P2000.L" : "unknown");
		c->msize = 8192;
		P9(c, getattr, .fid = 0, .expect_err = attached ? EBADF : EPROTO);
		if (!attached)
			P9(c, attach, .fid = 0, .afid = P9_NOFID, .expect_err = EPROTO);
		for (uint64_t seed = 0; seed < 20; seed++) {
			for (size_t i = 0; i < table_row_count; i++) {
				const struct table_row *row = &table_rows[i];
				int e;

				if (!is_attackable(row) || row->msg->number == P9_ATTACH)
					continue;
				e = any_message(row, seed);
				cr_assert(e || row->msg->number == P9_FLUSH, "T%s is answered",
				          row->msg->name);
			}
		}
	}
}

ATTACK_TEST(fids_that_are_something_else)
{
	static const uint32_t fids[] = {0, 1, 2, 3, 4, 5, 99, P9_NOFID, P9_NOFID - 1, 1u << 31};

	/* A file, an open one, an open directory, a value that is read and one that is written. */
	p9_to(c, 0, 1, "f");
	p9_open(c, 2, "f", 2);
	p9_open(c, 3, "", 0);
	P9(c, xattrwalk, .fid = 1, .newfid = 4);
	p9_to(c, 0, 5, "f");
	P9(c, xattrcreate, .fid = 5, .name = "user.a", .attr_size = 100);
	for (size_t i = 0; i < ARRAY_SIZE(fids); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(fids); k++) {
			const uint32_t a = fids[i], b = fids[k];

			(void)p9_wait(c,
			              P9_SEND(c, WALK, walk, .fid = a, .newfid = b, .names = ".."),
			              P9_WALK, NULL);
			(void)p9_wait(c, P9_SEND(c, XATTRWALK, xattrwalk, .fid = a, .newfid = b),
			              P9_XATTRWALK, NULL);
			(void)p9_wait(c,
			              P9_SEND(c, RENAME, rename, .fid = a, .dfid = b, .name = "n"),
			              P9_RENAME, NULL);
			(void)p9_wait(c, P9_SEND(c, LINK, link, .dfid = a, .fid = b, .name = "l"),
			              P9_LINK, NULL);
			(void)p9_wait(c, P9_SEND(c, ATTACH, attach, .fid = a, .afid = b), P9_ATTACH,
			              NULL);
			(void)p9_wait(c, P9_SEND(c, READ, read, .fid = a, .offset = b, .count = b),
			              P9_READ, NULL);
			(void)p9_wait(
			    c, P9_SEND(c, READDIR, readdir, .fid = a, .offset = b, .count = b),
			    P9_READDIR, NULL);
			(void)p9_wait(
			    c,
			    P9_SEND(c, WRITE, write, .fid = a, .offset = b, .data = wt_str_of("x")),
			    P9_WRITE, NULL);
			(void)p9_wait(c, P9_SEND(c, LOPEN, lopen, .fid = a, .flags = b), P9_LOPEN,
			              NULL);
			(void)p9_wait(c, P9_SEND(c, FLUSH, flush, .oldtag = (uint16_t)b), P9_FLUSH,
			              NULL);
			canary_attack(10);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(fids); i++) {
		(void)p9_wait(c, P9_SEND(c, REMOVE, remove, .fid = fids[i]), P9_REMOVE, NULL);
		P9(c, clunk, .fid = fids[i], .expect_err = EBADF);
	}
	cr_assert_eq(access(host->export, F_OK), 0, "the root is gone");
}

/* Walks of every length, with each odd name at each place; none leads out. */
ATTACK_TEST(walks_with_odd_names_at_every_place)
{
	static uint8_t bytes[16384];
	const struct wt_str mark = wt_str_of(ODD_MARK), dots = wt_str_of("..");

	for (uint16_t count = 1; count <= WT_NAMES_MAX; count += 3) {
		for (uint16_t at = 0; at < count; at++) {
			struct p9_walk_req q = {.fid = 0, .newfid = 9, .names.count = count};

			for (uint16_t i = 0; i < count; i++)
				q.names.name[i] = i == at ? mark : dots;
			for (size_t n = 0; n < odd_names_count; n++) {
				size_t size = p9_encode(c, 77, P9_WALK, &q);
				struct wr w = wr_over(bytes, sizeof(uint32_t));

				memcpy(bytes, c->out, size);
				size = odd_name_put(bytes, size, sizeof(bytes), &odd_names[n]);
				wr_le32(&w, (uint32_t)size);
				p9_send_raw(c, bytes, size);
				if (p9_wait(c, 77, P9_WALK, NULL) == 0 &&
				    p9_wait(c, P9_SEND(c, CLUNK, clunk, .fid = 9), P9_CLUNK,
				            NULL) == 0)
					cr_assert(odd_names[n].text[0] == '.' &&
					              odd_names[n].size <= 2,
					          "name %zu is one", n);
				canary_attack(1);
			}
		}
	}
}

ATTACK_TEST(attaches_that_lead_out)
{
	static const char *const inside[] = {"", "/", "//", "f"};
	const char *way;

	for (unsigned i = 0; (way = canary_way(&canaries, i)); i++) {
		int e =
		    p9_wait(c, P9_SEND(c, ATTACH, attach, .fid = 7, .afid = P9_NOFID, .aname = way),
		            P9_ATTACH, NULL);

		if (e == 0) {
			cr_assert_eq(P9(c, getattr, .fid = 7).qid.path,
			             P9(c, getattr, .fid = 0).qid.path, "%s is attached to", way);
			P9(c, clunk, .fid = 7);
		}
		canary_attack(1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
		(void)p9_wait(c,
		              P9_SEND(c, ATTACH, attach, .fid = 20 + (uint32_t)i, .afid = P9_NOFID,
		                      .aname = inside[i]),
		              P9_ATTACH, NULL);
}

ATTACK_TEST(offsets_of_directories_and_values)
{
	p9_open(c, 1, "", 0);
	P9(c, xattrwalk, .fid = 0, .newfid = 2);
	for (unsigned bit = 0; bit < 64; bit++) {
		for (unsigned less = 0; less < 3; less++) {
			uint64_t offset = (1ull << bit) + (uint64_t)less - 1;

			for (uint32_t count = 0; count < 16384; count = count * 7 + 1) {
				(void)p9_wait(c,
				              P9_SEND(c, READDIR, readdir, .fid = 1,
				                      .offset = offset, .count = count),
				              P9_READDIR, NULL);
				(void)p9_wait(c,
				              P9_SEND(c, READ, read, .fid = 2, .offset = offset,
				                      .count = count),
				              P9_READ, NULL);
				canary_attack(2);
			}
		}
	}
}

/* Owners of locks by the thousand, each with a descriptor, and ranges by the thousand. */
ATTACK_TEST(floods_of_locks)
{
	enum { OWNERS = 2000, RANGES = 8500 };
	int e = 0;

	p9_open(c, 1, "f", 2);
	for (uint32_t i = 0; i < OWNERS; i++) {
		e = p9_wait(c,
		            P9_SEND(c, LOCK, lock, .fid = 1, .type = P9_LOCK_TYPE_RDLCK,
		                    .proc_id = i, .client_id = "c"),
		            P9_LOCK, NULL);
		cr_assert(e == 0 || e == ENOLCK || e == EMFILE, "%d", e);
	}
	rig_write(host, "g", "text");
	p9_open(c, 2, "g", 2);
	for (uint64_t i = 0; i < (is_sanitized() ? 2000 : RANGES); i++) {
		e = p9_wait(c,
		            P9_SEND(c, LOCK, lock, .fid = 2, .type = P9_LOCK_TYPE_RDLCK,
		                    .start = 2 * i, .length = 1, .proc_id = 1, .client_id = "c"),
		            P9_LOCK, NULL);
		cr_assert(e == 0 || e == ENOLCK, "%d", e);
	}
	if (!is_sanitized())
		cr_assert_eq(e, ENOLCK, "no limit of locks is reached");
	cr_assert(p9_has(c, 1, 0, "text"));
	canary_attack(OWNERS + RANGES);
}

ATTACK_TEST(message_sizes_of_every_kind)
{
	static const char *const versions[] = {"9P2000.L", "9P2000", "9P2000.u", "", "9P2000.L.x"};

	for (uint64_t msize = 0; msize <= UINT32_MAX;
	     msize = msize < 64 ? msize + 1 : msize * 3 / 2) {
		for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
			struct p9_version_rep a = {0};
			uint16_t tag = P9_SEND(c, VERSION, version, .msize = (uint32_t)msize,
			                       .version = versions[i]);

			if (p9_wait(c, tag, P9_VERSION, &a) == 0)
				cr_assert_leq(a.msize, msize);
			canary_attack(1);
		}
	}
	p9_start(c, 16384);
}
