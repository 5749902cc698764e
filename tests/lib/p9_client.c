/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/p9_client.h"

#include "common/cleanup.h"
#include "common/usock.h"
#include "tests/lib/rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#define PATIENCE_MS 30000 /* a sanitizer's build on a busy machine is slow */

struct p9_kept {
	struct p9_kept *next;
	struct p9_head head;
	size_t size;
	uint8_t body[];
};

void p9_client_init(struct p9_client *c, int sock)
{
	*c = (struct p9_client){
	    .sock = sock, .in = malloc(P9_CLIENT_ROOM), .out = malloc(P9_CLIENT_ROOM)};
	cr_assert(c->in && c->out);
}

void p9_client_end(struct p9_client *c)
{
	fd_close(&c->sock);
	while (c->kept) {
		struct p9_kept *k = c->kept;

		c->kept = k->next;
		free(k);
	}
	free(c->in);
	free(c->out);
	*c = (struct p9_client){.sock = -1};
}

/* ---- sending ---- */

size_t p9_encode(struct p9_client *c, uint16_t tag, enum p9_type type, const void *request)
{
	const struct wt_msg *msg = p9_find((uint8_t)type);
	struct wr w = wr_over(c->out + P9_HEAD_SIZE, P9_CLIENT_ROOM - P9_HEAD_SIZE);
	struct wr head = wr_over(c->out, P9_HEAD_SIZE);

	cr_assert_not_null(msg);
	cr_assert(msg->req.put(&w, request), "T%s cannot be encoded", msg->name);
	p9_head_put(&head,
	            &(struct p9_head){(uint32_t)(P9_HEAD_SIZE + w.used), (uint8_t)type, tag});
	return P9_HEAD_SIZE + w.used;
}

void p9_send_raw(struct p9_client *c, const void *bytes, size_t size)
{
	int r;

	if (c->link) {
		c->link->send(c->link, bytes, size);
		return;
	}
	r = usock_send(c->sock, bytes, size, -1);
	cr_assert(r == 0 || r == -EPIPE || r == -ECONNRESET, "cannot send: %d", r);
}

void p9_send_tag(struct p9_client *c, uint16_t tag, enum p9_type type, const void *request)
{
	p9_send_raw(c, c->out, p9_encode(c, tag, type, request));
}

uint16_t p9_send(struct p9_client *c, enum p9_type type, const void *request)
{
	uint16_t tag = type == P9_VERSION ? P9_NOTAG : c->tag++;

	if (c->tag == P9_NOTAG)
		c->tag = 0;
	p9_send_tag(c, tag, type, request);
	return tag;
}

/* ---- receiving ---- */

static bool readable(const struct p9_client *c, int ms)
{
	struct pollfd p = {.fd = c->sock, .events = POLLIN};

	return poll(&p, 1, ms) > 0;
}

static bool read_all(struct p9_client *c, void *buffer, size_t size)
{
	for (size_t have = 0; have < size;) {
		ssize_t n;

		cr_assert(readable(c, PATIENCE_MS), "no reply comes");
		n = usock_recv(c->sock, (uint8_t *)buffer + have, size - have, NULL);
		if (n <= 0) {
			cr_assert_eq(have, 0, "the server closes within a message");
			return false;
		}
		have += (size_t)n;
	}
	return true;
}

bool p9_recv(struct p9_client *c, struct p9_head *ret_head, struct rd *ret_body)
{
	struct rd r = rd_over(c->in, P9_HEAD_SIZE);
	size_t whole = 0;

	if (c->link) {
		whole = c->link->recv(c->link, c->in, P9_CLIENT_ROOM);
		if (whole == 0)
			return false;
		cr_assert_geq(whole, P9_HEAD_SIZE, "a reply of %zu bytes", whole);
	} else if (!read_all(c, c->in, P9_HEAD_SIZE)) {
		return false;
	}
	cr_assert(p9_head_get(&r, ret_head));
	cr_assert_leq(ret_head->size, c->msize ? c->msize : 8192, "a reply is above msize");
	if (c->link)
		cr_assert_eq(ret_head->size, whole, "%zu bytes came of a reply whose size is %u",
		             whole, ret_head->size);
	else if (ret_head->size > P9_HEAD_SIZE)
		cr_assert(read_all(c, c->in + P9_HEAD_SIZE, ret_head->size - P9_HEAD_SIZE));
	if (rig_watch)
		rig_watch(c->in, ret_head->size, -1);
	*ret_body = rd_over(c->in + P9_HEAD_SIZE, ret_head->size - P9_HEAD_SIZE);
	return true;
}

bool p9_quiet(struct p9_client *c, int ms)
{
	return c->link ? c->link->quiet(c->link, ms) : !readable(c, ms);
}

/* Takes a reply that was kept. */
static bool take_kept(struct p9_client *c, uint16_t tag, struct p9_head *h, struct rd *body)
{
	for (struct p9_kept **link = &c->kept; *link; link = &(*link)->next) {
		struct p9_kept *k = *link;

		if (k->head.tag != tag)
			continue;
		*link = k->next;
		*h = k->head;
		memcpy(c->in, k->body, k->size);
		*body = rd_over(c->in, k->size);
		free(k);
		return true;
	}
	return false;
}

static void keep(struct p9_client *c, const struct p9_head *h, const struct rd *body)
{
	struct p9_kept *k = malloc(sizeof(*k) + body->left);
	struct p9_kept **link = &c->kept;

	cr_assert_not_null(k);
	*k = (struct p9_kept){.head = *h, .size = body->left};
	memcpy(k->body, body->at, body->left);
	for (; *link; link = &(*link)->next)
		cr_assert_neq((*link)->head.tag, h->tag, "tag %u is answered twice", h->tag);
	*link = k;
}

size_t p9_kept_count(const struct p9_client *c)
{
	size_t n = 0;

	for (const struct p9_kept *k = c->kept; k; k = k->next)
		n++;
	return n;
}

int p9_wait(struct p9_client *c, uint16_t tag, enum p9_type type, void *ret_reply)
{
	static uint64_t any[1024]; /* room for any reply's struct */
	const struct wt_msg *msg = p9_find((uint8_t)type);
	struct p9_head h;
	struct rd body;

	if (!take_kept(c, tag, &h, &body)) {
		for (;;) {
			if (!p9_recv(c, &h, &body))
				return P9_GONE;
			if (h.tag == tag)
				break;
			keep(c, &h, &body);
		}
	}
	if (h.type == P9_LERROR + 1) {
		uint32_t code = rd_le32(&body);

		cr_assert(rd_end(&body) && code > 0 && code < 4096, "a bad Rlerror");
		return (int)code;
	}
	cr_assert_eq(h.type, type + 1, "a reply of type %u to T%s", h.type, msg->name);
	cr_assert(msg->rep.get(&body, ret_reply ? ret_reply : any), "R%s cannot be decoded",
	          msg->name);
	return 0;
}

/* ---- one function a message ---- */

#define SET_INTEGER(T)                                        \
	static void set_##T(OPT_##T *to, const OPT_##T *from) \
	{                                                     \
		*to = *from;                                  \
	}
SET_INTEGER(u8)
SET_INTEGER(u16)
SET_INTEGER(u32)
SET_INTEGER(u64)
SET_INTEGER(data)

static void set_str(struct wt_str *to, const char *const *from)
{
	*to = wt_str_of(*from ? *from : "");
}

/* "a/b" is two names; a name that holds a slash itself is for p9_send_raw(). */
static void set_names(struct wt_names *to, const char *const *from)
{
	to->count = 0;
	for (const char *at = *from; at && *at;) {
		size_t size = strcspn(at, "/");

		cr_assert_lt(to->count, WT_NAMES_MAX, "too many names for a walk");
		to->name[to->count++] = (struct wt_str){.data = (const uint8_t *)at, .size = size};
		at += size + (at[size] == '/');
	}
}

static void check(const char *file, int line, const char *name, int got, int want)
{
	if (got != want && !(want == P9_ANY_ERROR && got > 0 && got != P9_GONE))
		cr_assert_fail("%s:%d: T%s: %s, but wanted was %s", file, line, name,
		               got == P9_GONE ? "the server closed"
		               : got          ? strerror(got)
		                              : "success",
		               want == P9_ANY_ERROR ? "an error"
		               : want               ? strerror(want)
		                                    : "success");
}

#define F(type, member) set_##type(&q.member, &o->member);
#define MSG(number, NAME, name_, policy, req, rep)                                               \
	struct p9_##name_##_req p9_##name_##_fill(const struct p9_##name_##_opt *o)              \
	{                                                                                        \
		struct p9_##name_##_req q = {0};                                                 \
		(void)o;                                                                         \
		req return q;                                                                    \
	}                                                                                        \
	struct p9_##name_##_rep p9_##name_##_at(struct p9_client *c, const char *file, int line, \
	                                        const struct p9_##name_##_opt *o)                \
	{                                                                                        \
		struct p9_##name_##_req q = p9_##name_##_fill(o);                                \
		struct p9_##name_##_rep a = {0};                                                 \
		int r = p9_wait(c, p9_send(c, P9_##NAME, &q), P9_##NAME, &a);                    \
		check(file, line, #name_, r, o->expect_err);                                     \
		return a;                                                                        \
	}
#include "wire/p9.def"
#undef MSG
#undef F

/* ---- what many tests do ---- */

void p9_start(struct p9_client *c, uint32_t msize)
{
	struct p9_version_rep a = P9(c, version, .msize = msize, .version = "9P2000.L");

	cr_assert_leq(a.msize, msize);
	cr_assert(a.version.size == 8 && memcmp(a.version.data, "9P2000.L", 8) == 0);
	c->msize = a.msize;
	P9(c, attach, .fid = 0, .afid = P9_NOFID, .uname = "root", .n_uname = 0);
}

void p9_to(struct p9_client *c, uint32_t fid, uint32_t newfid, const char *names)
{
	struct p9_walk_opt o = {.fid = fid, .newfid = newfid, .names = names};
	struct p9_walk_rep a = p9_walk_at(c, __FILE__, __LINE__, &o);

	cr_assert_eq(a.qids.count, p9_walk_fill(&o).names.count, "'%s' is not there", names);
}

void p9_open(struct p9_client *c, uint32_t newfid, const char *names, uint32_t flags)
{
	p9_to(c, 0, newfid, names);
	P9(c, lopen, .fid = newfid, .flags = flags);
}

void p9_make(struct p9_client *c, uint32_t newfid, const char *name, uint32_t mode)
{
	p9_to(c, 0, newfid, "");
	P9(c, lcreate, .fid = newfid, .name = name, .flags = 2, .mode = mode, .gid = 0);
}

void p9_put(struct p9_client *c, uint32_t fid, uint64_t offset, const char *text)
{
	struct p9_write_rep a = P9(c, write, .fid = fid, .offset = offset, .data = wt_str_of(text));

	cr_assert_eq(a.count, strlen(text));
}

bool p9_has(struct p9_client *c, uint32_t fid, uint64_t offset, const char *text)
{
	struct p9_read_rep a =
	    P9(c, read, .fid = fid, .offset = offset, .count = (uint32_t)strlen(text) + 1);

	return a.data.size == strlen(text) && memcmp(a.data.data, text, a.data.size) == 0;
}

bool p9_alive(struct p9_client *c)
{
	uint16_t tag = P9_SEND(c, GETATTR, getattr, .fid = 0, .request_mask = P9_STATS_BASIC);

	return p9_wait(c, tag, P9_GETATTR, NULL) == 0;
}
