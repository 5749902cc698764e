/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rpc_session.c: the native dialect, both ways; the first byte says which.
 *
 * Even: requests of a device to the helper's operations, size[2] and a packet each. They really act, on a directory of
 * their own; beside it lies a canary. Where a request begins with the number of a node, small numbers are made those of
 * nodes that there are. Needs root, as the helper does.
 *
 * Odd: packets of a helper to proxy-client, size[2] and a packet each, a descriptor with every one whose size's highest bit
 * is set. Each of the calls under way must end once, and every descriptor be closed.
 *
 * Built with MAKE_SEEDS this writes first inputs instead: rpc_session_seeds DIRECTORY.
 */
#include "tests/fuzz/fuzz.h"

#include "common/cleanup.h"
#include "common/usock.h"
#include "wire/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CALLS \
	24 /* of the client, one a message, under tags that proxy-client gives in this order */

#ifdef MAKE_SEEDS

#include "tests/lib/tables.h"

static struct sample sample;
static uint64_t message[TABLE_STRUCT_MAX / 8];
static uint8_t bytes[1 << 18], body[1 << 17];

static void write_seed(const char *dir, const char *name, unsigned number, const struct wr *w)
{
	char path[1024];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s-%u", dir, name, number);
	f = fopen(path, "we");
	CHECK(f && fwrite(bytes, 1, w->used, f) == w->used && fclose(f) == 0);
}

/* A size and a packet. */
static void put_packet(struct wr *w, const struct wr *packet, bool with_fd)
{
	wr_le16(w, (uint16_t)(packet->used | (with_fd ? 0x8000u : 0)));
	wr_bytes(w, packet->start, packet->used);
}

static void put_request(struct wr *w, enum rpc_type type, const void *request)
{
	struct wr b = wr_over(body, sizeof(body));

	rpc_request_head_put(&b, &(struct rpc_head){.tag = 1, .type = (uint16_t)type});
	CHECK(rpc_find(type)->req.put(&b, request));
	if (b.used < 0x7fff)
		put_packet(w, &b, false);
}

/* A file, a directory and a stream are there when the request comes. */
static void put_preparations(struct wr *w)
{
	const struct rpc_create_req file = {
	    .dir = 0, .name = wt_str_of("f"), .flags = 2, .mode = 0644, .uid = 5, .gid = 5};
	const struct rpc_mkdir_req dir = {.dir = 0, .name = wt_str_of("d"), .mode = 0755};
	const struct rpc_walk_req walk = {.from = 0, .path = {1, {wt_str_of("d")}}};

	put_request(w, RPC_CREATE, &file);
	put_request(w, RPC_MKDIR, &dir);
	put_request(w, RPC_WALK, &walk);
	put_request(w, RPC_OPENDIR, &(struct rpc_opendir_req){.node = 0});
}

int main(int argc, char **argv)
{
	if (argc != 2 || (mkdir(argv[1], 0755) < 0 && errno != EEXIST))
		return 1;
	for (uint32_t type = 1; type <= rpc_table_count; type++) {
		const struct wt_msg *msg = rpc_find(type);
		const struct table_row *row = table_rows;

		while (row->msg != msg)
			row++;
		for (unsigned seed = 0; seed < 4; seed++) {
			struct wr w = wr_over(bytes, sizeof(bytes));

			wr_u8(&w, 0);
			put_preparations(&w);
			sample_init(&sample, seed);
			row->req.sample(&sample, message);
			message[1] = seed; /* the first field is a node, mostly */
			put_request(&w, (enum rpc_type)type, message);
			write_seed(argv[1], msg->name, seed, &w);
		}
		for (unsigned seed = 0; seed < 2; seed++) {
			struct wr w = wr_over(bytes, sizeof(bytes)),
			          b = wr_over(body, sizeof(body));
			/* As client.c makes them: a counter, which a call takes two of, and the slot. */
			uint32_t slot = type - 1, tag = (2 * slot + 2) << 8 | slot;

			wr_u8(&w, 1);
			sample_init(&sample, seed);
			row->rep.sample(&sample, message);
			rpc_reply_head_put(&b, &(struct rpc_head){.tag = tag,
			                                          .type = (uint16_t)type,
			                                          .error = seed * 5});
			CHECK(seed || row->rep.side->put(&b, message));
			if (b.used < 0x7fff)
				put_packet(&w, &b, seed == 0 && (msg->policy & RPC_GIVES_FD));
			write_seed(argv[1], msg->name, 10 + seed, &w);
		}
	}
	return 0;
}

#else

#include "common/log.h"
#include "helper/cred.h"
#include "helper/node.h"
#include "helper/nodes.h"
#include "helper/rpc_ops.h"
#include "proxy-client/proxy_client.h"

#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define KNOWN_MAX 256

static char dir[64], canary[80];
static struct export export = EXPORT_NONE;
static int null_fd;

/* ---- of the helper ---- */

#define F(type, member)
#define MSG(number, NAME, name, policy, req, rep)                                           \
	static int run_##name(struct rpc_call *c, struct rd *r, union rpc_reply *reply)     \
	{                                                                                   \
		struct rpc_##name##_req q;                                                  \
		return rpc_##name##_req_get(r, &q) ? rpc_answer_##name(c, &q, &reply->name) \
		                                   : -EPROTO;                               \
	}
#include "wire/rpc.def"
#undef MSG
#define MSG(number, NAME, name, policy, req, rep) [number] = run_##name,
static int (*const runs[])(struct rpc_call *c, struct rd *r, union rpc_reply *reply) = {
#include "wire/rpc.def"
};
#undef MSG
#undef F

static uint64_t known[KNOWN_MAX];
static unsigned known_count;

static void learn(uint32_t type, const union rpc_reply *a)
{
	uint64_t nid = type == RPC_HELLO     ? a->hello.root
	               : type == RPC_WALK    ? a->walk.node
	               : type == RPC_CREATE  ? a->create.node
	               : type == RPC_OPENDIR ? a->opendir.stream
	               : type == RPC_PARENT  ? a->parent.parent
	                                     : 0;

	if (nid == 0)
		return;
	if (known_count < KNOWN_MAX)
		known[known_count++] = nid;
	else
		nodes_release(nid);
}

/* Makes the first field a node that there is. */
static void aim(uint8_t *packet, size_t size)
{
	struct rd r = rd_over(packet, size);
	struct wr w;
	uint64_t n;

	if (size < RPC_REQUEST_HEAD + sizeof(n))
		return;
	(void)rd_bytes(&r, RPC_REQUEST_HEAD);
	n = rd_le64(&r);
	if (n >= known_count)
		return;
	w = wr_over(packet + RPC_REQUEST_HEAD, sizeof(n));
	wr_le64(&w, known[n]);
}

static void request(uint8_t *packet, size_t size)
{
	static struct rpc_call call;
	union rpc_reply reply;
	struct rpc_head h;
	struct stat st;
	struct rd r;
	int result;

	aim(packet, size);
	r = rd_over(packet, size);
	if (!rpc_request_head_get(&r, &h) || !rpc_find(h.type))
		return;
	call.x = &export;
	call.fd = -1;
	memset(&reply, 0, sizeof(reply));
	result = runs[h.type](&call, &r, &reply);
	if (result == 0) {
		uint8_t room[16];
		struct wr w = wr_over(room, sizeof(room));

		/* Its encoder must stand it, whether there is room or not. */
		(void)!rpc_find(h.type)->rep.put(&w, &reply);
		learn(h.type, &reply);
	}
	if (call.fd >= 0)
		CHECK(fstat(call.fd, &st) == 0 && S_ISREG(st.st_mode));
	fd_close(&call.fd);
}

/* ---- of the client ---- */

static unsigned ended[CALLS];

static void done(void *context, int error, const union rpc_reply *reply UNUSED, int fd)
{
	unsigned *times = context;

	CHECK(++*times == 1);
	CHECK(error <= 0 && (error == 0 || fd < 0));
	fd_close(&fd);
}

static struct pxc *start_calls(int sock)
{
	static uint64_t empty[1024];
	struct pxc *p;

	CHECK(pxc_new(sock, &p) == 0);
	memset(ended, 0, sizeof(ended));
	for (unsigned i = 0; i < CALLS; i++) {
		const uint64_t nothing_valid = 0;
		uint32_t id;
		int r = pxc_call(p, (enum rpc_type)(i + 1), empty, done, &ended[i], &id);

		(void)nothing_valid;
		if (r == -EMSGSIZE) /* a name is missing: NOTHING in its place */
			r = pxc_call(p, RPC_NOTHING, empty, done, &ended[i], &id);
		CHECK(r == 0);
		if (i % 8 == 7) {
			pxc_cancel(p, id);
			ended[i] = 1;
		}
	}
	return p;
}

static void reply(int sock, const uint8_t *packet, size_t size, bool with_fd)
{
	if (size)
		(void)!usock_send(sock, packet, size, with_fd ? null_fd : -1);
}

/* ---- both ---- */

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *ftw UNUSED)
{
	return remove(path);
}

static void clean_up(void)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void prepare(void)
{
	char path[80];

	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	(void)snprintf(dir, sizeof(dir), "/dev/shm/virtfs-fuzz.XXXXXX");
	CHECK(mkdtemp(dir));
	(void)atexit(clean_up);
	(void)snprintf(path, sizeof(path), "%s/export", dir);
	(void)snprintf(canary, sizeof(canary), "%s/canary", dir);
	CHECK(mkdir(path, 0755) == 0);
	CHECK(export_open(path, &export) == 0);
	CHECK(mknod(canary, S_IFREG | 0644, 0) == 0);
	export.proc_fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(export.proc_fds >= 0 && fchdir(export.proc_fds) == 0);
	CHECK(export_learn(&export) == 0);
	CHECK(cred_init() == 0);
	node_init(&export);
	CHECK(nodes_init(&export, 4096, 8) == 0); /* few descriptors: most nodes are handles */
	(void)umask(0);
	CHECK(null_fd >= 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){32 << 20, 32 << 20}) == 0);
	log_to_syslog(null_fd);
}

static void each_packet(struct rd *in, bool requests, int sock, struct pxc *p)
{
	static uint8_t packet[0x8000];

	while (in->left >= 2) {
		uint16_t head = rd_le16(in);
		size_t size = head & 0x7fffu;
		const uint8_t *bytes;

		if (size > in->left)
			size = in->left;
		bytes = rd_bytes(in, size);
		if (size)
			memcpy(packet, bytes, size);
		if (requests) {
			request(packet, size);
		} else {
			reply(sock, packet, size, head & 0x8000u);
			pxc_receive(p);
		}
	}
}

static void play_device(struct rd *in)
{
	static const struct rpc_hello_req hello = {.version = RPC_VERSION};
	uint8_t packet[RPC_REQUEST_HEAD + 4];
	struct wr w = wr_over(packet, sizeof(packet));
	struct stat st;
	uint32_t nodes, fds;

	rpc_request_head_put(&w, &(struct rpc_head){.type = RPC_HELLO});
	CHECK(rpc_hello_req_put(&w, &hello));
	request(packet, w.used);
	CHECK(known_count == 1);
	each_packet(in, true, -1, NULL);
	while (known_count > 0)
		nodes_release(known[--known_count]);
	nodes_count(&nodes, &fds);
	CHECK(nodes == 0 && fds == 0);
	CHECK(lstat(canary, &st) == 0 && st.st_mode == (S_IFREG | 0644) && st.st_size == 0 &&
	      st.st_uid == 0);
}

static void play_helper(struct rd *in)
{
	int pair[2];
	struct pxc *p;

	CHECK(usock_pair(SOCK_SEQPACKET, pair) == 0);
	/* Nobody reads the requests: what the socket does not take waits in the client. */
	CHECK(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
	p = start_calls(pair[1]);
	each_packet(in, false, pair[0], p);
	pxc_free(p);
	for (unsigned i = 0; i < CALLS; i++)
		CHECK(ended[i] == 1);
	fd_close(&pair[0]);
}

static int next_fd(void)
{
	int fd = dup(null_fd);

	CHECK(fd >= 0 && close(fd) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool prepared, ran;
	struct rd in = rd_over(data, size);
	int before;

	if (!prepared)
		prepare();
	prepared = true;
	if (size < 1 || size > 65536)
		return 0;
	before = ran ? next_fd() : -1;
	if (rd_u8(&in) & 1)
		play_helper(&in);
	else
		play_device(&in);
	/* The first node that becomes a handle leaves a descriptor of its mount. */
	CHECK(before < 0 || next_fd() == before || next_fd() == before + 1);
	ran = true;
	return 0;
}

#endif
