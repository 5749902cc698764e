/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/b_synth.h"

#include "common/cleanup.h"
#include "common/usock.h"
#include "tests/lib/wait.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define ROOT_INO  2
#define FILE_SIZE 65536

/* A call whose answer is known and on its way. */
struct synth_call {
	struct synth_call *next;
	uint64_t due_ns;
	enum rpc_type type;
	uint32_t id; /* or the packet's tag */
	pxc_done *done;
	void *context;
	int error, fd;
	union rpc_reply reply;
	uint8_t bytes[8192]; /* what the reply's spans point to */
};

/* ---- the file system ---- */

static uint64_t next_random(struct synth *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

static void synth_init(struct synth *s, uint64_t seed)
{
	s->random = seed * 2 + 88172645463325252u;
	for (int i = 0; i < SYNTH_FILES; i++) {
		s->files[i] = memfd_create("synth", MFD_CLOEXEC);
		BUG_ON(s->files[i] < 0 || ftruncate(s->files[i], FILE_SIZE) < 0);
	}
}

static unsigned synth_end(struct synth *s)
{
	for (int i = 0; i < SYNTH_FILES; i++)
		fd_close(&s->files[i]);
	return atomic_load(&s->held) + atomic_load(&s->faults);
}

static uint64_t ino_of(uint64_t parent, const struct wt_str *name)
{
	uint64_t h = 1469598103934665603u ^ parent;

	for (size_t i = 0; i < name->size; i++)
		h = (h ^ name->data[i]) * 1099511628211u;
	return h >> 8 | 4;
}

static uint32_t mode_of(const struct wt_str *name)
{
	switch (name->data[0]) {
	case 'd':
		return S_IFDIR | 0755;
	case 'l':
		return S_IFLNK | 0777;
	case 'p':
		return S_IFIFO | 0644;
	default:
		return S_IFREG | 0644;
	}
}

static struct wt_attr attr_of(uint64_t ino, uint32_t mode)
{
	return (struct wt_attr){.dev = 1,
	                        .ino = ino,
	                        .mode = mode,
	                        .nlink = 1,
	                        .size = S_ISREG(mode) ? FILE_SIZE : 0,
	                        .blksize = 4096,
	                        .mtime.sec = 1000};
}

static struct synth_node *find(struct synth *s, uint64_t nid, bool stream)
{
	if (nid == 0 || nid > SYNTH_NODES_MAX || !s->nodes[nid - 1].taken ||
	    s->nodes[nid - 1].stream != stream) {
		atomic_fetch_add(&s->faults, 1);
		return NULL;
	}
	return &s->nodes[nid - 1];
}

static uint64_t add(struct synth *s, uint64_t ino, uint32_t mode, bool stream)
{
	for (uint32_t i = 0; i < SYNTH_NODES_MAX; i++) {
		uint32_t at = s->next++ % SYNTH_NODES_MAX;

		if (s->nodes[at].taken)
			continue;
		s->nodes[at] = (struct synth_node){true, stream, mode, ino};
		atomic_fetch_add(&s->held, 1);
		return at + 1;
	}
	BUG_ON(true);
}

static void synth_release(struct synth *s, uint64_t nid)
{
	struct synth_node *n;

	if (nid == 0)
		return;
	n = find(s, nid, nid <= SYNTH_NODES_MAX && s->nodes[nid - 1].stream);
	if (!n)
		return;
	n->taken = false;
	atomic_fetch_sub(&s->held, 1);
}

/* A descriptor of its own, so that locks of two conflict. */
static int open_file(struct synth *s, uint64_t ino, uint32_t flags, int *ret)
{
	char path[40];
	int mode = (int)(flags & RPC_O_ACCMODE);

	if (mode == O_ACCMODE)
		return -EINVAL;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", s->files[ino % SYNTH_FILES]);
	*ret = open(path, mode | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

static int run_walk(struct synth *s, const struct rpc_walk_req *q, struct rpc_walk_rep *a)
{
	const struct synth_node *from = find(s, q->from, false);
	uint64_t ino = from ? from->ino : 0;
	uint32_t mode = from ? from->mode : 0;

	if (!from)
		return -EBADF;
	a->node = 0;
	for (a->attrs.count = 0; a->attrs.count < q->path.count; a->attrs.count++) {
		const struct wt_str *name = &q->path.name[a->attrs.count];
		int error = !S_ISDIR(mode) ? -ENOTDIR : name->data[0] == 'x' ? -ENOENT : 0;

		if (error < 0)
			return a->attrs.count ? 0 : error;
		ino = ino_of(ino, name);
		mode = mode_of(name);
		a->attrs.attr[a->attrs.count] = attr_of(ino, mode);
	}
	if (a->attrs.count == 0)
		return -EINVAL;
	a->node = add(s, ino, mode, false);
	return 0;
}

static int run_readdir(struct synth *s, const struct rpc_readdir_req *q, uint8_t *bytes,
                       size_t room, struct wt_str *ret)
{
	const struct synth_node *n = find(s, q->stream, true);
	struct wr w = wr_over(bytes, q->size < room ? q->size : room);
	size_t whole = 0;

	if (!n)
		return -EBADF;
	for (uint64_t i = q->offset; i < SYNTH_ENTRIES; i++) {
		char text[16];
		struct rpc_dirent e = {.ino = n->ino + i, .offset = i + 1, .type = DT_REG};

		(void)snprintf(text, sizeof(text),
		               i == 0   ? "."
		               : i == 1 ? ".."
		                        : "f%05u",
		               (unsigned)i);
		e.name = wt_str_of(text);
		if (!rpc_dirent_put(&w, &e))
			break;
		whole = w.used;
	}
	if (whole == 0 && q->offset < SYNTH_ENTRIES)
		return -EINVAL;
	*ret = (struct wt_str){.data = bytes, .size = whole};
	return 0;
}

/* What was made or named in a directory. */
static int run_made(struct synth *s, uint64_t dir, const struct wt_str *name, uint32_t kind,
                    struct wt_attr *ret)
{
	const struct synth_node *n = find(s, dir, false);

	if (!n)
		return -EBADF;
	if (!S_ISDIR(n->mode))
		return -ENOTDIR;
	*ret = attr_of(ino_of(n->ino, name), kind);
	return name->data[0] == 'e' ? -EEXIST : 0;
}

static int run_open(struct synth *s, const struct synth_node *n, uint32_t flags, int *fd)
{
	if (S_ISDIR(n->mode))
		return -EISDIR;
	return S_ISREG(n->mode)   ? open_file(s, n->ino, flags, fd)
	       : S_ISLNK(n->mode) ? -ELOOP
	                          : -ENXIO;
}

/* The requests that name just a node. */
static int run_on_node(struct synth *s, enum rpc_type type, uint64_t nid, struct synth_call *c)
{
	const struct synth_node *n = find(s, nid, false);
	union rpc_reply *a = &c->reply;

	if (!n)
		return -EBADF;
	if (type == RPC_GETATTR)
		a->getattr.attr = attr_of(n->ino, n->mode);
	if (type == RPC_STATFS)
		a->statfs = (struct rpc_statfs_rep){.bsize = 4096, .namelen = 255};
	if (type == RPC_READLINK) {
		if (!S_ISLNK(n->mode))
			return -EINVAL;
		a->readlink.target = wt_str_of("target");
	}
	if (type == RPC_PARENT) {
		if (!S_ISDIR(n->mode))
			return -ENOTDIR;
		a->parent.attr = attr_of(ROOT_INO, S_IFDIR | 0755);
		a->parent.parent = add(s, ROOT_INO, S_IFDIR | 0755, false);
	}
	if (type == RPC_OPENDIR) {
		uint64_t ino = n->ino;

		if (!S_ISDIR(n->mode))
			return -ENOTDIR;
		a->opendir.attr = attr_of(ino, n->mode);
		a->opendir.stream = add(s, ino, S_IFDIR, true);
	}
	return 0;
}

static int run_xattr(struct synth *s, uint64_t nid, const struct wt_str *name, struct synth_call *c)
{
	if (!find(s, nid, false))
		return -EBADF;
	if (name && name->data[0] == 'x')
		return -ENODATA;
	memset(c->bytes, 'v', 100);
	c->reply.getxattr.length = 100;
	c->reply.getxattr.value = (struct wt_str){.data = c->bytes, .size = 100};
	return 0;
}

static int run(struct synth *s, struct synth_call *c, const void *request)
{
	union rpc_reply *a = &c->reply;
	union {
		const void *any;
#define F(t, m)
#define MSG(number, NAME, name, policy, req, rep) const struct rpc_##name##_req *name;
#include "wire/rpc.def"
#undef MSG
#undef F
	} q = {.any = request};
	struct wt_attr attr;
	int r;

	switch (c->type) {
	case RPC_HELLO:
		a->hello = (struct rpc_hello_rep){.version = RPC_VERSION};
		a->hello.attr = attr_of(ROOT_INO, S_IFDIR | 0755);
		a->hello.root = add(s, ROOT_INO, S_IFDIR | 0755, false);
		return 0;
	case RPC_NOTHING:
		return 0;
	case RPC_WALK:
		return run_walk(s, q.walk, &a->walk);
	case RPC_OPEN: {
		const struct synth_node *n = find(s, q.open->node, false);

		if (!n)
			return -EBADF;
		a->open.attr = attr_of(n->ino, n->mode);
		return run_open(s, n, q.open->flags, &c->fd);
	}
	case RPC_CREATE:
		r = run_made(s, q.create->dir, &q.create->name, S_IFREG | 0644, &attr);
		if (r == 0)
			r = open_file(s, attr.ino, q.create->flags, &c->fd);
		if (r == 0) {
			a->create.attr = attr;
			a->create.node = add(s, attr.ino, attr.mode, false);
		}
		return r;
	case RPC_MKDIR:
		return run_made(s, q.mkdir->dir, &q.mkdir->name, S_IFDIR, &a->mkdir.attr);
	case RPC_SYMLINK:
		return run_made(s, q.symlink->dir, &q.symlink->name, S_IFLNK, &a->symlink.attr);
	case RPC_MKNOD:
		return run_made(s, q.mknod->dir, &q.mknod->name, S_IFIFO, &a->mknod.attr);
	case RPC_LINK:
		return find(s, q.link->node, false)
		           ? run_made(s, q.link->dir, &q.link->name, S_IFREG, &attr)
		           : -EBADF;
	case RPC_RENAME:
		return find(s, q.rename->new_dir, false)
		           ? run_made(s, q.rename->dir, &q.rename->name, S_IFREG, &attr)
		           : -EBADF;
	case RPC_UNLINK:
		return run_made(s, q.unlink->dir, &q.unlink->name, S_IFREG, &attr);
	case RPC_READDIR:
		return run_readdir(s, q.readdir, c->bytes, sizeof(c->bytes), &a->readdir.entries);
	case RPC_GETXATTR:
		return run_xattr(s, q.getxattr->node, &q.getxattr->name, c);
	case RPC_LISTXATTR:
		return run_xattr(s, q.listxattr->node, NULL, c);
	case RPC_SETXATTR:
		return find(s, q.setxattr->node, false) ? 0 : -EBADF;
	case RPC_REMOVEXATTR:
		return find(s, q.removexattr->node, false) ? 0 : -EBADF;
	case RPC_SETATTR:
		return run_on_node(s, c->type, q.setattr->node, c);
	case RPC_FSYNC:
		return run_on_node(s, c->type, q.fsync->node, c);
	case RPC_GETATTR:
	case RPC_STATFS:
	case RPC_READLINK:
	case RPC_PARENT:
	case RPC_OPENDIR:
		/* Their only field is the node. */
		return run_on_node(s, c->type, q.getattr->node, c);
	case RPC_PLACE:
		return 0;
	case RPC_RELEASE:
		for (uint16_t i = 0; i < q.release->nodes.count; i++)
			synth_release(s, q.release->nodes.nid[i]);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- calls on their way ---- */

static struct synth_call *new_call(struct synth *s, enum rpc_type type, const void *request,
                                   uint64_t delay_max_ns)
{
	struct synth_call *c = calloc(1, sizeof(*c));

	BUG_ON(!c);
	c->type = type;
	c->fd = -1;
	c->error = run(s, c, request);
	c->due_ns = loop_now() + (delay_max_ns ? next_random(s) % delay_max_ns : 0);
	return c;
}

/* Puts it somewhere into the list: those that are due at once come in a random order too. */
static void insert(struct synth *s, struct synth_call **list, struct synth_call *c)
{
	while (*list && next_random(s) % 2)
		list = &(*list)->next;
	c->next = *list;
	*list = c;
}

/* Takes the first that is due off the list. */
static struct synth_call *take_due(struct synth_call **list, uint64_t now)
{
	for (; *list; list = &(*list)->next) {
		struct synth_call *c = *list;

		if (c->due_ns <= now) {
			*list = c->next;
			return c;
		}
	}
	return NULL;
}

static uint64_t first_due(const struct synth_call *c)
{
	uint64_t first = UINT64_MAX;

	for (; c; c = c->next)
		first = c->due_ns < first ? c->due_ns : first;
	return first;
}

/* What a reply would have given. */
static void give_back(struct synth *s, struct synth_call *c)
{
	fd_close(&c->fd);
	if (c->error < 0)
		return;
	if (c->type == RPC_WALK)
		synth_release(s, c->reply.walk.node);
	if (c->type == RPC_CREATE)
		synth_release(s, c->reply.create.node);
	if (c->type == RPC_OPENDIR)
		synth_release(s, c->reply.opendir.stream);
	if (c->type == RPC_PARENT)
		synth_release(s, c->reply.parent.parent);
	if (c->type == RPC_HELLO)
		synth_release(s, c->reply.hello.root);
}

/* ---- in process ---- */

static void arm(struct b_synth *b)
{
	uint64_t first = first_due(b->calls), next = loop_now() + 1;

	/* One a turn of the loop, so that other things come between. */
	loop_timer_set(b->loop, &b->timer, first == UINT64_MAX ? 0 : first < next ? next : first);
}

static void timer_due(struct loop_timer *t)
{
	struct b_synth *b = (struct b_synth *)((char *)t - offsetof(struct b_synth, timer));
	struct synth_call *c = take_due(&b->calls, loop_now());

	/* One at a time: others may be cancelled by what this one brings about. */
	if (c)
		c->done(c->context, c->error, &c->reply, c->fd);
	free(c);
	arm(b);
}

static int b_call(struct backend *backend, enum rpc_type type, const void *request, pxc_done *done,
                  void *context, uint32_t *ret_call)
{
	struct b_synth *b = (struct b_synth *)backend;
	static uint8_t packet[RPC_PACKET_MAX];
	struct wr w = wr_over(packet, sizeof(packet));
	struct synth_call *c;

	/* As proxy-client: what cannot be encoded is no call. */
	if (!rpc_find(type)->req.put(&w, request))
		return -EMSGSIZE;
	c = new_call(&b->synth, type, request, b->delay_max_ns);
	c->done = done;
	c->context = context;
	c->id = ++b->last_id;
	if (ret_call)
		*ret_call = c->id;
	insert(&b->synth, &b->calls, c);
	arm(b);
	return 0;
}

static void b_cancel(struct backend *backend, uint32_t id)
{
	struct b_synth *b = (struct b_synth *)backend;

	for (struct synth_call **link = &b->calls; *link; link = &(*link)->next) {
		struct synth_call *c = *link;

		if (c->id != id)
			continue;
		*link = c->next;
		give_back(&b->synth, c);
		free(c);
		break;
	}
	arm(b);
}

static void b_release(struct backend *backend, uint64_t nid)
{
	synth_release(&((struct b_synth *)backend)->synth, nid);
}

static const struct backend_ops ops = {.call = b_call, .cancel = b_cancel, .release = b_release};

struct b_synth *b_synth_new(struct loop *l, uint64_t seed, uint64_t delay_max_ns)
{
	struct b_synth *b = calloc(1, sizeof(*b));

	BUG_ON(!b);
	synth_init(&b->synth, seed);
	b->backend.ops = &ops;
	b->loop = l;
	b->timer.due = timer_due;
	b->delay_max_ns = delay_max_ns;
	return b;
}

unsigned b_synth_free(struct b_synth *b)
{
	unsigned left;

	while (b->calls) {
		struct synth_call *c = b->calls;

		b->calls = c->next;
		give_back(&b->synth, c);
		c->done(c->context, -EIO, NULL, -1);
		free(c);
	}
	loop_timer_set(b->loop, &b->timer, 0);
	left = synth_end(&b->synth);
	free(b);
	return left;
}

/* ---- at a socket ---- */

static uint8_t *damaged(struct synth_helper *h, uint8_t *packet, size_t *size, int *fd)
{
	if (atomic_load(&h->break_reply) == 0 || atomic_fetch_sub(&h->break_reply, 1) != 1)
		return packet;
	switch ((enum synth_damage)atomic_load(&h->damage)) {
	case DAMAGE_CUT:
		*size -= *size > RPC_REPLY_HEAD ? 1 : 2;
		break;
	case DAMAGE_LONGER:
		packet[(*size)++] = 0;
		break;
	case DAMAGE_TAG:
		packet[1] ^= 0x55;
		break;
	case DAMAGE_TYPE:
		packet[4] ^= 1;
		break;
	case DAMAGE_ERROR:
		packet[10] = 0xff;
		break;
	case DAMAGE_NO_FD:
		fd_close(fd);
		break;
	case DAMAGE_FD:
		if (*fd < 0)
			*fd = fcntl(h->wake, F_DUPFD_CLOEXEC, 0);
		break;
	case DAMAGE_EMPTY:
		*size = 1;
		break;
	case DAMAGES:
	default:
		break;
	}
	return packet;
}

static void send_reply(struct synth_helper *h, struct synth_call *c)
{
	static uint8_t packet[RPC_PACKET_MAX];
	struct rpc_head head = {
	    .tag = c->id, .type = (uint16_t)c->type, .error = (uint32_t)-c->error};
	struct wr w = wr_over(packet, sizeof(packet) - 1);
	size_t size;

	rpc_reply_head_put(&w, &head);
	if (c->error == 0 && !rpc_find(c->type)->rep.put(&w, &c->reply))
		BUG_ON(true);
	size = w.used;
	(void)damaged(h, packet, &size, &c->fd);
	if (usock_send(h->sock, packet, size, c->error ? -1 : c->fd) == 0)
		atomic_fetch_add(&h->answered, 1);
	fd_close(&c->fd);
	free(c);
}

/* One packet of the device. Return: false when it has closed. */
static bool take_packet(struct synth_helper *h)
{
	static uint8_t packet[RPC_PACKET_MAX];
	static uint64_t request[1024];
	ssize_t n = usock_recv(h->sock, packet, sizeof(packet), NULL);
	struct rd r = rd_over(packet, n > 0 ? (size_t)n : 0);
	const struct wt_msg *msg;
	struct synth_call *c;
	struct rpc_head head;

	if (n <= 0)
		return false;
	if (!rpc_request_head_get(&r, &head) || !(msg = rpc_find(head.type)) ||
	    !msg->req.get(&r, request)) {
		atomic_fetch_add(&h->synth.faults, 1);
		return true;
	}
	c = new_call(&h->synth, (enum rpc_type)head.type, request, h->delay_max_ns);
	c->id = head.tag;
	if (msg->policy & RPC_NO_REPLY) {
		free(c);
		return true;
	}
	if (atomic_load(&h->hold) == (int)head.type) {
		c->due_ns = UINT64_MAX;
		atomic_fetch_add(&h->holding, 1);
	}
	insert(&h->synth, &h->calls, c);
	return true;
}

static int wait_ms(const struct synth_helper *h)
{
	uint64_t first = first_due(h->calls), now = loop_now();

	if (first == UINT64_MAX)
		return -1;
	return first <= now ? 0 : (int)((first - now) / 1000000) + 1;
}

static void *serve(void *context)
{
	struct synth_helper *h = context;

	for (;;) {
		struct pollfd p[2] = {{.fd = h->sock, .events = POLLIN},
		                      {.fd = h->wake, .events = POLLIN}};
		struct synth_call *c;
		uint64_t count;

		(void)poll(p, 2, wait_ms(h));
		if (p[0].revents && !take_packet(h))
			break;
		if (p[1].revents && read(h->wake, &count, sizeof(count)) > 0 &&
		    atomic_load(&h->hold) == 0) {
			for (c = h->calls; c; c = c->next)
				c->due_ns = c->due_ns == UINT64_MAX ? 0 : c->due_ns;
			atomic_store(&h->holding, 0);
		}
		while ((c = take_due(&h->calls, loop_now())))
			send_reply(h, c);
	}
	while (h->calls) {
		struct synth_call *c = h->calls;

		h->calls = c->next;
		give_back(&h->synth, c);
		free(c);
	}
	return NULL;
}

void synth_helper_start(struct synth_helper *h, int sock, uint64_t seed, uint64_t delay_max_ns)
{
	memset(h, 0, sizeof(*h));
	synth_init(&h->synth, seed);
	h->sock = sock;
	h->delay_max_ns = delay_max_ns;
	h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	BUG_ON(h->wake < 0 || pthread_create(&h->thread, NULL, serve, h) != 0);
}

void synth_helper_hold(struct synth_helper *h, int type)
{
	const uint64_t one = 1;

	atomic_store(&h->hold, type);
	if (type == 0)
		BUG_ON(write(h->wake, &one, sizeof(one)) < 0);
}

bool synth_helper_wait_holding(struct synth_helper *h, unsigned count)
{
	WAIT_WHILE(atomic_load(&h->holding) < count);
	return atomic_load(&h->holding) >= count;
}

unsigned synth_helper_end(struct synth_helper *h)
{
	(void)shutdown(h->sock, SHUT_RDWR);
	BUG_ON(pthread_join(h->thread, NULL) != 0);
	fd_close(&h->sock);
	fd_close(&h->wake);
	return synth_end(&h->synth);
}
