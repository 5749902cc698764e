/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_client.h: a small 9P2000.L client for tests, made from the lines of wire/p9.def.
 *
 * For each message NAME there is a struct p9_NAME_opt, with the request's fields (strings are C strings, names of a walk
 * one string with slashes) and expect_err, and
 *
 *	P9(c, walk, .fid = 0, .newfid = 1, .names = "a/b", .expect_err = ENOENT)
 *
 * sends it, waits for its reply and fails the test unless that is the error expected, or success where none is. It gives
 * the struct p9_NAME_rep; spans in there are good until the next message is received.
 */
#ifndef VIRTFS_TESTS_LIB_P9_CLIENT_H
#define VIRTFS_TESTS_LIB_P9_CLIENT_H

#include "wire/p9.h"

#include <stdbool.h>

#define P9_CLIENT_ROOM (8u << 20) /* no message is larger */
#define P9_ANY_ERROR   (-1)       /* as expect_err: whichever, but one */
#define P9_GONE        100000     /* what p9_wait() says when the server has closed; no errno */

struct p9_kept; /* a reply that came while another was waited for */

/** struct p9_link - another way to the server than a stream socket: whole messages */
struct p9_link {
	void (*send)(struct p9_link *link, const void *bytes, size_t size);
	size_t (*recv)(struct p9_link *link, uint8_t *buffer, size_t room); /* 0: closed */
	bool (*quiet)(struct p9_link *link, int ms);
};

struct p9_client {
	int sock;
	struct p9_link *link; /* instead of sock; its owner ends it */
	uint32_t msize;
	uint16_t tag;
	uint8_t *in, *out;
	struct p9_kept *kept;
};

#define OPT_u8          uint8_t
#define OPT_u16         uint16_t
#define OPT_u32         uint32_t
#define OPT_u64         uint64_t
#define OPT_str         const char *
#define OPT_names       const char *
#define OPT_data        struct wt_str
#define F(type, member) OPT_##type member;
#define MSG(number, NAME, name, policy, req, rep) \
	struct p9_##name##_opt {                  \
		int expect_err;                   \
		req                               \
	};
#include "wire/p9.def"
#undef MSG
#define MSG(number, NAME, name, policy, req, rep)                                              \
	struct p9_##name##_req p9_##name##_fill(const struct p9_##name##_opt *o);              \
	struct p9_##name##_rep p9_##name##_at(struct p9_client *c, const char *file, int line, \
	                                      const struct p9_##name##_opt *o);
#include "wire/p9.def"
#undef MSG
#undef F

#define P9(c, name, ...) \
	p9_##name##_at((c), __FILE__, __LINE__, &(struct p9_##name##_opt){__VA_ARGS__})

/** P9_SEND() - Send alone; its value is the tag, for p9_wait(). */
#define P9_SEND(c, NAME, name, ...) \
	p9_send(                    \
	    (c), P9_##NAME,         \
	    &(struct p9_##name##_req[]){p9_##name##_fill(&(struct p9_##name##_opt){__VA_ARGS__})})

/** p9_client_init() - Take a connected socket over (or -1, and set c->link). Nothing is sent. */
void p9_client_init(struct p9_client *c, int sock);
void p9_client_end(struct p9_client *c);

/** p9_start() - Tversion with that msize, and Tattach of the export's root as fid 0, as root. */
void p9_start(struct p9_client *c, uint32_t msize);

/** p9_encode() - A whole message at c->out. Return: its size. */
size_t p9_encode(struct p9_client *c, uint16_t tag, enum p9_type type, const void *request);

/** p9_send() / p9_send_tag() - Send a struct p9_NAME_req. Return: its tag. */
uint16_t p9_send(struct p9_client *c, enum p9_type type, const void *request);
void p9_send_tag(struct p9_client *c, uint16_t tag, enum p9_type type, const void *request);
void p9_send_raw(struct p9_client *c, const void *bytes, size_t size);

/** p9_recv() - The next reply, whichever it is. Return: false when the server has closed. */
bool p9_recv(struct p9_client *c, struct p9_head *ret_head, struct rd *ret_body);

/** p9_quiet() - Whether nothing comes for that many milliseconds. */
bool p9_quiet(struct p9_client *c, int ms);

/**
 * p9_wait() - The reply of that tag, into a struct p9_NAME_rep (or NULL)
 *
 * Others that come before are kept for their p9_wait(). Return: 0, the errno of an Rlerror, or P9_GONE.
 */
int p9_wait(struct p9_client *c, uint16_t tag, enum p9_type type, void *ret_reply);

/** p9_kept_count() - How many replies came that nobody waited for. */
size_t p9_kept_count(const struct p9_client *c);

/* ---- what many tests do ---- */

/** p9_to() - Walk from fid to newfid; names may be "" for a clone. */
void p9_to(struct p9_client *c, uint32_t fid, uint32_t newfid, const char *names);

/** p9_open() - Walk from fid 0 and Tlopen. */
void p9_open(struct p9_client *c, uint32_t newfid, const char *names, uint32_t flags);

/** p9_make() - Make a file in fid 0 with Tlcreate, open as newfid for reading and writing. */
void p9_make(struct p9_client *c, uint32_t newfid, const char *name, uint32_t mode);

/** p9_put() / p9_get() - Write a text at an offset, all of it; whether that text is what stands there. */
void p9_put(struct p9_client *c, uint32_t fid, uint64_t offset, const char *text);
bool p9_has(struct p9_client *c, uint32_t fid, uint64_t offset, const char *text);

/** p9_alive() - Whether the session answers: a Tgetattr of fid 0. */
bool p9_alive(struct p9_client *c);

#endif
