/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server.h: the 9P2000.L server: what its files share, and what a transport sees of it.
 *
 * Theory of operation. A transport hands a struct p9_req to p9_submit(): one T-message, whole, in memory of its own. The
 * session decodes it and calls the operation of its line in p9.def (op_NAME). That answers at once, by p9_reply() or
 * p9_error(), or it starts a call of the backend (p9_call()) or of the ring and answers when that ends. Either way the
 * transport gets the request back by its reply(), once. Everything runs in one thread; nothing blocks.
 *
 * A fid holds a node (struct dnode, shared by clones), and a request holds the fids it works on, so that a fid clunked
 * meanwhile stays whole until its last request has ended.
 */
#ifndef VIRTFS_VIRTIO_9P_SERVER_H
#define VIRTFS_VIRTIO_9P_SERVER_H

#include "common/loop.h"
#include "common/ring.h"
#include "virtio-9p/backend.h"
#include "virtio-9p/qid.h"
#include "virtio-9p/quota.h"
#include "wire/p9.h"

#include <sys/uio.h>

/* of all sessions of a device, unless set otherwise */
#define P9_FIDS_USUAL        (2u << 20)
#define P9_XATTR_BYTES_USUAL (8u << 20)
#define P9_OPEN_FILES_USUAL  61440 /* of the 65536 descriptors that a device may have */
#define P9_LOCKS_USUAL       8192
/* of one */
#define P9_REQUESTS_USUAL 512

#define P9_LOCKS_WAIT_MAX 64        /* Tlocks that wait; more are told to come again */
#define P9_FLUSH_GRACE_NS 100000000 /* what a flushed request may still take to end by itself */
#define P9_ABANDONED_MAX  128       /* of a session; more wait, and their Tflush with them */
#define P9_RECENT         64
#define P9_PIECES_MAX     1024 /* IOV_MAX of Linux */
#define P9_MSIZE_MAX      (4u << 20)
#define P9_REQUEST_FIRST  8192 /* the largest request before Tversion has said what may be */
#define P9_REPLY_ROOM     8192 /* the most that a reply takes whose size is not the request's to say */

struct p9_req;
struct p9_session;

/* ---- what is held ---- */

/** struct dnode - a node of the backend; the fids that clone each other share it */
struct dnode {
	uint64_t nid;
	uint64_t dev, ino;
	uint32_t mode;
	uint32_t refs;
	uint32_t epoch; /* of the helper it belongs to */
};

enum fid_state {
	FID_PENDING, /* its number is taken by a request that is under way */
	FID_WALKED,  /* not open */
	FID_FILE,    /* open, with a descriptor */
	FID_DIR,     /* open, with a stream */
	FID_XATTR_READ,
	FID_XATTR_WRITE, /* the attribute is set at the clunk */
	FID_OPENING,     /* an open is under way */
};

struct fid_xattr {
	uint8_t *bytes;
	size_t size, used;
	uint32_t flags;
	char name[WT_XNAME_MAX + 1];
};

struct fid {
	uint32_t number;
	uint32_t refs;
	struct fid *next; /* in its bucket */
	enum fid_state state;
	bool listed;  /* still in the table */
	uint32_t uid; /* who attached: creations are this user's */
	struct dnode *node;
	struct dnode *top; /* where it was attached: ".." goes no further */
	struct dnode
	    *base; /* where its last walk began, and the names of that: for Tremove and Trename */
	char *path;
	int fd;             /* FID_FILE */
	bool counted;       /* as an open file */
	bool local, memory; /* what its file system is */
	uint32_t flags;     /* it was opened with */
	uint64_t stream;    /* FID_DIR */
	struct fid_xattr *xattr;
	struct lock_use *locks;
};

/* Attributes as a walk just brought them: the getattr that follows needs no call of its own. */
struct recent_attr {
	const struct dnode *node;
	uint64_t until_ns;
	uint64_t changes;
	struct wt_attr attr;
};

struct p9_server {
	struct loop *loop;
	struct ring *ring;
	struct backend *backend;
	uint32_t epoch; /* counts helpers */
	bool ready;     /* the helper has said hello */
	bool local;     /* see RPC_EXPORT_LOCAL; of files on the root's own file system */
	bool memory;    /* see RPC_EXPORT_MEMORY; likewise */
	bool mapped;    /* see RPC_EXPORT_MAPPED */
	bool drains;    /* no request is taken any more */
	bool sees_ids;  /* who owns an open file, the kernel tells us as it tells the helper */
	struct dnode *root;
	struct qid_map qids;
	uint64_t changes; /* counts what may have changed attributes */
	struct recent_attr recent[P9_RECENT];
	struct quotas quotas;
	uint32_t requests_max; /* under way, of one session; a transport keeps more waiting */
	struct lock_owner *owners;
	struct p9_req *lock_waiters;
	uint32_t lock_waiter_count;
	struct loop_timer lock_timer;
	struct p9_session *sessions;
	struct iovec pieces[P9_PIECES_MAX]; /* for the time of one call */
	void *on_ready_context;
	void (*on_ready)(void *context);
};

/** p9_server_init() - Say hello to the backend; on_ready is called when that is answered. Return: 0 or -errno. */
int MUST_CHECK p9_server_init(struct p9_server *s, struct loop *l, struct ring *r,
                              struct backend *b, void (*on_ready)(void *context), void *context);

/** p9_server_new_helper() - Go on with another backend; fids of the old one answer EIO from now on. */
int MUST_CHECK p9_server_new_helper(struct p9_server *s, struct backend *b);
void p9_server_end(struct p9_server *s);

/* ---- what a transport sees ---- */

struct p9_transport_ops {
	/* Makes req->out room for size bytes of reply. Return: false when there is no such room. */
	bool (*room)(struct p9_req *req, size_t size);
	/* Makes room for an Rread with size bytes of data: its head at req->out, the data at payload(). */
	bool (*data_room)(struct p9_req *req, size_t size);
	/*
	 * Where the data of a Twrite, or that of the Rread that data_room() was made for, lies: bytes [offset, offset +
	 * size) of it, or the first of them if they are more than room pieces. Return: how many pieces, at least one.
	 */
	unsigned (*payload)(struct p9_req *req, bool from_client, size_t offset, size_t size,
	                    struct iovec *pieces, unsigned room);
	/*
	 * payload() is the peer's memory, and goes back to it with the reply: this gives it back at once when the request is
	 * let go, and reply() comes later. NULL: it is the transport's own.
	 */
	void (*abandon)(struct p9_req *req);
	/* Takes the request back; its reply are the first size bytes of req->out. 0: it was flushed, send nothing. */
	void (*reply)(struct p9_req *req, size_t size);
	/* The peer broke the protocol where no reply can say so: end the session. */
	void (*broken)(struct p9_session *session, const char *why);
	/* All requests have come back after p9_session_end(): the session's memory may go. */
	void (*ended)(struct p9_session *session);
};

struct p9_session {
	struct p9_server *server;
	const struct p9_transport_ops *transport;
	struct p9_session *next;
	uint32_t msize; /* negotiated; 0 before Tversion */
	bool ending;
	uint32_t under_way;
	uint32_t abandoned; /* of them, and not back yet */
	struct p9_req *requests;
	struct fid **buckets;
	uint32_t bucket_count, fid_count;
	struct quota_use used;
	struct loop_timer flush_timer;
};

/** p9_session_init() - Return: 0 or -errno. */
int MUST_CHECK p9_session_init(struct p9_session *s, struct p9_server *server,
                               const struct p9_transport_ops *ops);
/** p9_request_max() - The size of the largest request that may come now. */
uint32_t p9_request_max(const struct p9_session *s);
/** p9_session_is_full() - Whether as many requests are under way as may be. */
bool p9_session_is_full(const struct p9_session *s);
/** p9_session_reset() - Drop them, and be as new: the transport gets its requests back, those on the ring later. */
void p9_session_reset(struct p9_session *s);
/** p9_session_let_go() - Let go of all requests, as a Tflush would in the end; the fids stay. */
void p9_session_let_go(struct p9_session *s);
/** p9_session_end() - Drop all fids and requests; ops->ended is called when the last request has come back. */
void p9_session_end(struct p9_session *s);

typedef void p9_then(struct p9_req *req, int error, const union rpc_reply *reply, int fd);

struct p9_req {
	/* the transport's part */
	const uint8_t *in;
	size_t in_size;
	size_t rest; /* bytes of a Twrite's data that are not in in: payload() tells where */
	uint8_t *out;
	size_t out_room;
	uint32_t reply_max; /* the peer has room for so much; 0: for msize */
	/* the server's */
	struct p9_session *session;
	struct p9_req *next, *prev;
	struct p9_head head;
	const struct wt_msg *msg;
	bool listed; /* in session->requests; its tag is taken */
	bool gone;   /* its flush was answered: what comes is dropped */
	bool calling, on_ring, waiting_lock;
	bool lends; /* the kernel has payload() in its hands */
	bool abandoned;
	uint32_t call;
	uint64_t flush_until_ns;
	struct p9_req *flushers, *next_flusher, *next_waiter;
	struct fid *fid, *newfid, *newfid_old;
	p9_then *then;
	struct ring_op op;
	union {
		struct {
			struct wt_names names;
			struct wt_qids qids;
			struct dnode *here; /* as far as the walk came */
			struct dnode *up;   /* where it last went up to, and */
			uint16_t up_at;     /* how many names that took */
			uint16_t asked;     /* names in the call under way */
			uint64_t changes;
		} walk;
		struct {
			uint64_t offset;
			uint32_t count, done;
			bool writes;
			struct iovec *pieces; /* while the ring has them */
			uint8_t *copy;        /* of the payload, for a file that may never answer */
		} io;
		struct {
			uint64_t offset;
			uint32_t count;
		} dir;
		struct {
			struct p9_lock_req q;
			struct lock_owner *owner;
		} lock;
		struct {
			struct p9_getlock_req q;
			struct lock_owner *owner;
		} getlock;
		struct {
			struct wt_str name;
			struct dnode *parent, *new_dir;
			struct wt_str new_name;
			uint32_t flags;
			bool removes;
		} names;
		struct {
			uint32_t flags;
			struct wt_str name; /* of Tlcreate */
		} open;
	} u;
};

/** p9_submit() - Run a request whose in, in_size are set; reply() is called in any case, perhaps before this returns. */
void p9_submit(struct p9_session *s, struct p9_req *req);

/* ---- for the operations ---- */

/** p9_reply() - Answer with a struct p9_NAME_rep of the request's line. */
void p9_reply(struct p9_req *req, const void *reply);
/** p9_reply_bytes() - Answer with what was put at req->out already, size bytes with the head's seven. */
void p9_reply_bytes(struct p9_req *req, size_t size);
/** p9_reply_max() - The largest reply that the client takes. */
uint32_t p9_reply_max(const struct p9_req *req);
/** p9_error() - Answer with Rlerror; error: -errno. */
void p9_error(struct p9_req *req, int error);
/** p9_call() - Start a call of the backend; then gets its end. Answers the request itself when it cannot be started. */
void p9_call(struct p9_req *req, enum rpc_type type, const void *request, p9_then *then);
/** p9_then_done() - For p9_call(): answer with an empty reply, or the error. */
void p9_then_done(struct p9_req *req, int error, const union rpc_reply *reply, int fd);
/** p9_then_changed() - The same for what may have changed attributes. */
void p9_then_changed(struct p9_req *req, int error, const union rpc_reply *reply, int fd);
void p9_changed(struct p9_server *s);

/* session.c: the head of whichever message; ops answer on their own */
#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep) \
	void op_##name(struct p9_req *r, const struct p9_##name##_req *q);
#include "wire/p9.def"
#undef MSG
#undef F

/* fid.c */
struct fid *fid_find(struct p9_session *s, uint32_t number);
/** fid_get() - Find and hold it for the request, as req->fid. Return: 0, or -EBADF. */
int MUST_CHECK fid_get(struct p9_req *req, uint32_t number);
/** fid_new() - A pending fid of that number. -EINVAL if it is taken, -EMFILE at the limit, -ENOMEM. */
int MUST_CHECK fid_new(struct p9_session *s, uint32_t number, struct fid **ret);
/** fid_become() - Let a pending fid have a node (one more reference of it) and what it inherits from another. */
void fid_become(struct fid *f, struct dnode *node, const struct fid *parent);
/** fid_name() - Note the way from a node to where the fid stands now; path is malloc'd, the fid's then, and may be NULL. */
void fid_name(struct p9_server *s, struct fid *f, struct dnode *base, char *path);
/** fid_count_open() - Count it as open, before it is. Return: 0; -EMFILE at the limit. */
int MUST_CHECK fid_count_open(struct p9_session *s, struct fid *f);
/** fid_uncount() - It was not opened after all. */
void fid_uncount(struct p9_session *s, struct fid *f);
void fid_hold(struct fid *f);
void fid_put(struct p9_session *s, struct fid *f);
/** fid_drop() - Take it out of the table; it goes when nobody holds it any more. */
void fid_drop(struct p9_session *s, struct fid *f);
void fid_drop_all(struct p9_session *s);

struct dnode *dnode_new(struct p9_server *s, uint64_t nid, const struct wt_attr *attr);
struct dnode *dnode_hold(struct dnode *n);
void dnode_put(struct p9_server *s, struct dnode *n);
/** dnode_live() - Whether it belongs to the helper of today. */
bool dnode_live(const struct p9_server *s, const struct dnode *n);

/* attributes a walk brought */
void recent_put(struct p9_server *s, const struct dnode *n, const struct wt_attr *attr,
                uint64_t changes);
bool recent_get(struct p9_server *s, const struct dnode *n, struct wt_attr *ret);
void recent_forget(struct p9_server *s, const struct dnode *n);

/* op_lock.c */
void locks_release_fid(struct p9_server *s, struct fid *f);
void locks_forget_waiter(struct p9_req *req);
void locks_retry(struct p9_server *s);
/** locks_put_off() - Tell a session's waiters to ask again later. */
void locks_put_off(struct p9_session *s);
void locks_init(struct p9_server *s);

/* op_io.c */
void close_file(struct p9_server *s, int fd, bool local);

#endif
