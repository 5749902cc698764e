/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_load.c: makes one connection to a 9P2000.L server and keeps it busy in one way.
 *
 *	p9-load run SOCKET WORKLOAD DEPTH SECONDS   operations per second (bytes per second of seq-*)
 *	p9-load msize SOCKET                        the msize that is negotiated
 *	p9-load hold SOCKET COUNT                   COUNT fids; "held" when there, until killed
 *	p9-load serve HELPER DEVICE DIR SOCKET      our two programs; their process ids, until SIGTERM
 *
 * A workload is a chain of messages, each sent when the one before is answered. As many chains as
 * DEPTH says run side by side, each with a tag and a fid of its own. What is to be sent goes out
 * in one write when all that has come is looked at, to every server alike.
 */
#include "common/cleanup.h"
#include "common/loop.h"
#include "common/parse.h"
#include "common/usock.h"
#include "wire/p9.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdnoreturn.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH_MAX  128
#define MSIZE      (512 * 1024 + P9_IOHDRSZ)
#define IN_SIZE    (256 * 1024)
#define SMALL      8192 /* a reply up to this is looked at as a whole; of others only the head */
#define OUT_SIZE   (DEPTH_MAX * (size_t)SMALL)
#define WARM_UP_NS 60000000u

/* What the script has made in the export. */
#define FILES     64
#define BLOCK     4096u
#define BIG_SIZE  (64u << 20)
#define FID_ROOT  1
#define FID_FILES 2
#define FID_MADE  3
#define FID_BIG   4
#define FID_FIRST 100

struct load;

struct chain {
	uint32_t fid;
	uint16_t tag;
	uint8_t sent; /* the type of the message under way */
	unsigned step;
	uint64_t count;
	char name[32];
};

typedef void step_fn(struct load *l, struct chain *c);

struct workload {
	const char *name;
	step_fn *const *steps;
	bool bytes; /* its figure is bytes, not operations */
};

struct load {
	int sock;
	uint32_t msize, io_size;
	const struct workload *what;
	struct chain chains[DEPTH_MAX];
	unsigned busy;
	bool stopping;
	uint64_t ops, random, at;
	size_t have, skip; /* bytes in in; bytes of a large reply's rest that are not kept */
	uint16_t skip_tag;
	size_t used;
	uint8_t in[IN_SIZE];
	uint8_t out[OUT_SIZE];
	uint8_t data[MSIZE];
};

static struct load load;

static noreturn void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)fprintf(stderr, "p9-load: ");
	(void)vfprintf(stderr, format, args);
	(void)fprintf(stderr, "\n");
	va_end(args);
	exit(EXIT_FAILURE);
}

static uint64_t number(const char *text, uint64_t max)
{
	uint64_t n = 0;

	if (!parse_u64(text, max, &n))
		die("'%s': must be a number up to %llu", text, (unsigned long long)max);
	return n;
}

/* ---- sending ---- */

static void write_all(struct load *l, struct iovec *iov, int count)
{
	while (count > 0) {
		ssize_t n = writev(l->sock, iov, count);

		if (n < 0)
			die("write: %s", strerror(errno));
		for (; count > 0 && (size_t)n >= iov->iov_len; iov++, count--)
			n -= (ssize_t)iov->iov_len;
		if (count > 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
}

static void flush(struct load *l)
{
	struct iovec iov = {.iov_base = l->out, .iov_len = l->used};

	if (l->used)
		write_all(l, &iov, 1);
	l->used = 0;
}

static void put(struct load *l, struct chain *c, enum p9_type type, const void *request)
{
	uint8_t *at = l->out + l->used;
	struct wr w = wr_over(at + P9_HEAD_SIZE, OUT_SIZE - l->used - P9_HEAD_SIZE);
	struct wr head = wr_over(at, P9_HEAD_SIZE);

	if (!p9_find((uint8_t)type)->req.put(&w, request))
		die("cannot encode a message");
	p9_head_put(&head,
	            &(struct p9_head){(uint32_t)(P9_HEAD_SIZE + w.used), (uint8_t)type, c->tag});
	l->used += P9_HEAD_SIZE + w.used;
	c->sent = (uint8_t)type;
}

/* A write that is too large to be gathered: its data goes from where it is. */
static void put_large_write(struct load *l, struct chain *c, uint64_t offset)
{
	uint8_t head[P9_WRITE_HEAD];
	struct wr w = wr_over(head, sizeof(head));
	struct iovec iov[] = {{.iov_base = head, .iov_len = sizeof(head)},
	                      {.iov_base = l->data, .iov_len = l->io_size}};

	flush(l);
	p9_head_put(&w, &(struct p9_head){P9_WRITE_HEAD + l->io_size, P9_WRITE, c->tag});
	wr_le32(&w, FID_BIG);
	wr_le64(&w, offset);
	wr_le32(&w, l->io_size);
	write_all(l, iov, 2);
	c->sent = P9_WRITE;
}

/* ---- the steps ---- */

static void walk_from(struct load *l, struct chain *c, uint32_t fid, const char *name)
{
	struct p9_walk_req q = {.fid = fid, .newfid = c->fid, .names.count = name ? 1 : 0};

	if (name)
		q.names.name[0] = wt_str_of(name);
	put(l, c, P9_WALK, &q);
}

static void walk(struct load *l, struct chain *c)
{
	(void)snprintf(c->name, sizeof(c->name), "f%llu",
	               (unsigned long long)((c->count * 7 + c->tag) % FILES));
	walk_from(l, c, FID_FILES, c->name);
}

static void getattr(struct load *l, struct chain *c)
{
	put(l, c, P9_GETATTR,
	    &(struct p9_getattr_req){.fid = c->fid, .request_mask = P9_STATS_BASIC});
}

static void clunk(struct load *l, struct chain *c)
{
	put(l, c, P9_CLUNK, &(struct p9_clunk_req){.fid = c->fid});
}

static void lopen(struct load *l, struct chain *c)
{
	put(l, c, P9_LOPEN, &(struct p9_lopen_req){.fid = c->fid});
}

static void read_block(struct load *l, struct chain *c)
{
	put(l, c, P9_READ, &(struct p9_read_req){.fid = c->fid, .count = BLOCK});
}

static void clone_made(struct load *l, struct chain *c)
{
	walk_from(l, c, FID_MADE, NULL);
}

static void lcreate(struct load *l, struct chain *c)
{
	(void)snprintf(c->name, sizeof(c->name), "c%u-%llu", c->tag, (unsigned long long)c->count);
	put(l, c, P9_LCREATE,
	    &(struct p9_lcreate_req){
	        .fid = c->fid, .name = wt_str_of(c->name), .flags = 2, .mode = 0644});
}

/* By the fid, which is gone then: diod knows no Tunlinkat. */
static void remove_made(struct load *l, struct chain *c)
{
	put(l, c, P9_REMOVE, &(struct p9_remove_req){.fid = c->fid});
}

static uint64_t random_offset(struct load *l)
{
	l->random = l->random * 6364136223846793005u + 1442695040888963407u;
	return (l->random >> 33) % (BIG_SIZE / BLOCK) * BLOCK;
}

static void random_read(struct load *l, struct chain *c)
{
	put(l, c, P9_READ,
	    &(struct p9_read_req){.fid = FID_BIG, .offset = random_offset(l), .count = BLOCK});
}

static void random_write(struct load *l, struct chain *c)
{
	put(l, c, P9_WRITE,
	    &(struct p9_write_req){.fid = FID_BIG,
	                           .offset = random_offset(l),
	                           .data = {.data = l->data, .size = BLOCK}});
}

static uint64_t next_offset(struct load *l)
{
	uint64_t at = l->at;

	l->at += l->io_size;
	if (l->at + l->io_size > BIG_SIZE)
		l->at = 0;
	return at;
}

static void next_read(struct load *l, struct chain *c)
{
	put(l, c, P9_READ,
	    &(struct p9_read_req){.fid = FID_BIG, .offset = next_offset(l), .count = l->io_size});
}

static void next_write(struct load *l, struct chain *c)
{
	put_large_write(l, c, next_offset(l));
}

#define STEPS(...)                \
	(step_fn *const[])        \
	{                         \
		__VA_ARGS__, NULL \
	}

static const struct workload workloads[] = {
    {"stat", STEPS(walk, getattr, clunk), false},
    {"open", STEPS(walk, lopen, read_block, clunk), false},
    {"create", STEPS(clone_made, lcreate, remove_made), false},
    {"random-read", STEPS(random_read), false},
    {"random-write", STEPS(random_write), false},
    {"seq-read", STEPS(next_read), true},
    {"seq-write", STEPS(next_write), true},
};

/* ---- receiving ---- */

static void advance(struct load *l, struct chain *c)
{
	c->sent = 0;
	if (!l->what->steps[++c->step]) {
		c->step = 0;
		c->count++;
		l->ops++;
		if (l->stopping) {
			l->busy--;
			return;
		}
	}
	l->what->steps[c->step](l, c);
}

/* What can be wrong with a reply; of a large one only its first bytes are there. */
static void check_reply(const struct load *l, const struct chain *c, const struct p9_head *h,
                        struct rd r)
{
	bool is_read = h->type == P9_READ + 1, is_write = h->type == P9_WRITE + 1;

	if (h->type == P9_LERROR + 1)
		die("%s: T%s: %s", l->what->name, p9_find(c->sent)->name,
		    strerror((int)rd_le32(&r)));
	if (c->sent == 0 || h->type != c->sent + 1)
		die("%s: a reply of type %u to %u", l->what->name, h->type, c->sent);
	if ((is_read || is_write) && rd_le32(&r) != (l->what->bytes ? l->io_size : BLOCK))
		die("%s: fewer bytes than asked for", l->what->name);
}

/* Takes one reply off the first bytes of in. Return: how many, 0 when it is not there yet. */
static size_t take_reply(struct load *l, const uint8_t *at, size_t left)
{
	struct rd r = rd_over(at, left);
	struct p9_head h;
	size_t least;

	if (left < P9_HEAD_SIZE || !p9_head_get(&r, &h))
		return 0;
	least = h.size <= SMALL ? h.size : P9_READ_HEAD;
	if (h.size < P9_HEAD_SIZE || h.size > l->msize || h.tag >= DEPTH_MAX)
		die("a reply of %u bytes with tag %u", h.size, h.tag);
	if (left < least)
		return 0;
	check_reply(l, &l->chains[h.tag], &h, r);
	if (left >= h.size) {
		advance(l, &l->chains[h.tag]);
		return h.size;
	}
	l->skip = h.size - left;
	l->skip_tag = h.tag;
	return left;
}

static void receive(struct load *l)
{
	ssize_t n = read(l->sock, l->in + l->have, sizeof(l->in) - l->have);
	size_t at = 0, size;

	if (n <= 0)
		die("the server has closed: %s", n ? strerror(errno) : "end of file");
	l->have += (size_t)n;
	if (l->skip) {
		at = l->skip < l->have ? l->skip : l->have;
		l->skip -= at;
		if (l->skip == 0)
			advance(l, &l->chains[l->skip_tag]);
	}
	while (l->have > at && (size = take_reply(l, l->in + at, l->have - at)) > 0)
		at += size;
	memmove(l->in, l->in + at, l->have - at);
	l->have -= at;
}

/* ---- one message after the other, before and after the load ---- */

static void ask(struct load *l, enum p9_type type, const void *request, void *ret)
{
	struct chain c = {.tag = type == P9_VERSION ? P9_NOTAG : 0};
	const struct wt_msg *msg = p9_find((uint8_t)type);
	struct p9_head h = {.size = P9_HEAD_SIZE};
	struct rd r;
	size_t have = 0;

	put(l, &c, type, request);
	flush(l);
	while (have < P9_HEAD_SIZE || have < h.size) {
		ssize_t n = read(l->sock, l->in + have, sizeof(l->in) - have);

		if (n <= 0)
			die("T%s: the server has closed", msg->name);
		have += (size_t)n;
		r = rd_over(l->in, have);
		if (have >= P9_HEAD_SIZE && !p9_head_get(&r, &h))
			die("T%s: a malformed reply", msg->name);
	}
	if (h.type == P9_LERROR + 1)
		die("T%s: %s", msg->name, strerror((int)rd_le32(&r)));
	if (h.type != type + 1 || (ret && !msg->rep.get(&r, ret)))
		die("T%s: a malformed reply", msg->name);
}

static void connect_to(struct load *l, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct p9_version_rep version;

	l->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (l->sock < 0 || connect(l->sock, (const struct sockaddr *)&a, sizeof(a)) < 0)
		die("%s: %s", path, strerror(errno));
	ask(l, P9_VERSION,
	    &(struct p9_version_req){.msize = MSIZE, .version = wt_str_of("9P2000.L")}, &version);
	l->msize = version.msize;
	if (l->msize < 2 * P9_MSIZE_MIN || l->msize > MSIZE)
		die("an msize of %u", l->msize);
}

static void attach(struct load *l, const char *aname)
{
	ask(l, P9_ATTACH,
	    &(struct p9_attach_req){.fid = FID_ROOT,
	                            .afid = P9_NOFID,
	                            .uname = wt_str_of("root"),
	                            .aname = wt_str_of(aname)},
	    NULL);
}

static void walk_to(struct load *l, uint32_t from, uint32_t fid, const char *name)
{
	struct p9_walk_req q = {.fid = from, .newfid = fid, .names.count = 1};

	q.names.name[0] = wt_str_of(name);
	ask(l, P9_WALK, &q, NULL);
}

/* ---- what it is started for ---- */

static const struct workload *workload_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++) {
		if (strcmp(workloads[i].name, name) == 0)
			return &workloads[i];
	}
	die("'%s': no such workload", name);
}

static uint64_t run_until(struct load *l, uint64_t end)
{
	uint64_t now;

	while ((now = loop_now()) < end) {
		flush(l);
		receive(l);
	}
	return now;
}

static int run(struct load *l, unsigned depth, double seconds)
{
	uint64_t from, to, ops;

	walk_to(l, FID_ROOT, FID_FILES, "files");
	walk_to(l, FID_ROOT, FID_MADE, "made");
	walk_to(l, FID_ROOT, FID_BIG, "big");
	ask(l, P9_LOPEN, &(struct p9_lopen_req){.fid = FID_BIG, .flags = 2}, NULL);
	l->io_size = l->msize - P9_IOHDRSZ;
	l->busy = depth;
	for (unsigned i = 0; i < depth; i++) {
		struct chain *c = &l->chains[i];

		*c = (struct chain){.tag = (uint16_t)i, .fid = FID_FIRST + i};
		l->what->steps[0](l, c);
	}
	from = run_until(l, loop_now() + WARM_UP_NS);
	ops = l->ops;
	to = run_until(l, from + (uint64_t)(seconds * 1e9));
	ops = l->ops - ops;
	l->stopping = true;
	while (l->busy) {
		flush(l);
		receive(l);
	}
	(void)printf("%.0f\n",
	             (double)ops * (l->what->bytes ? l->io_size : 1) * 1e9 / (double)(to - from));
	return EXIT_SUCCESS;
}

static void block_end(sigset_t *end, int how)
{
	(void)sigemptyset(end);
	(void)sigaddset(end, SIGTERM);
	(void)sigaddset(end, SIGINT);
	(void)sigaddset(end, SIGHUP);
	(void)sigprocmask(how, end, NULL);
}

static noreturn void hold(struct load *l, uint32_t count)
{
	char name[32];

	walk_to(l, FID_ROOT, FID_FILES, "many");
	for (uint32_t i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		walk_to(l, FID_FILES, FID_FIRST + i, name);
	}
	(void)printf("held\n");
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}

static pid_t spawn(const char *const *argv, int fd, int ready)
{
	pid_t pid = fork();
	sigset_t end;

	if (pid != 0)
		return pid;
	block_end(&end, SIG_UNBLOCK);
	if (dup2(fd, 3) < 0 || (ready >= 0 && dup2(ready, 4) < 0))
		_exit(127);
	(void)execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void move_up(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, 10);

	fd_close(fd);
	*fd = high;
}

static int serve(const char *helper, const char *device, const char *dir, const char *path)
{
	const char *const helper_argv[] = {helper, "-n",          "-p",      dir, "-f",
	                                   "3",    "--log-level", "warning", NULL};
	char listen_at[200], byte;
	const char *const device_argv[] = {device,    "--helper-fd", "3",       "--ready-fd",
	                                   "4",       "--listen",    listen_at, "--log-level",
	                                   "warning", NULL};
	int pair[2], ready[2];
	pid_t pids[2];
	sigset_t end;
	int number;

	block_end(&end, SIG_BLOCK);
	(void)snprintf(listen_at, sizeof(listen_at), "unix:%s", path);
	if (usock_pair(SOCK_SEQPACKET, pair) < 0 || pipe2(ready, O_CLOEXEC) < 0)
		die("%s", strerror(errno));
	/* Out of the way of the numbers that the programs get. */
	for (int i = 0; i < 2; i++) {
		move_up(&pair[i]);
		move_up(&ready[i]);
	}
	pids[0] = spawn(helper_argv, pair[0], -1);
	pids[1] = spawn(device_argv, pair[1], ready[1]);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	fd_close(&ready[1]);
	if (pids[0] < 0 || pids[1] < 0 || read(ready[0], &byte, 1) != 1)
		die("the servers do not start");
	(void)printf("%d %d\n", (int)pids[0], (int)pids[1]);
	(void)fflush(stdout);
	(void)sigwait(&end, &number);
	for (int i = 1; i >= 0; i--) {
		(void)kill(pids[i], SIGTERM);
		(void)waitpid(pids[i], NULL, 0);
	}
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const char *aname = getenv("P9_ANAME");

	if (argc == 6 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3], argv[4], argv[5]);
	if (argc < 3)
		die("run, msize, hold or serve; see bench/README.md");
	connect_to(&load, argv[2]);
	if (strcmp(argv[1], "msize") == 0) {
		(void)printf("%u\n", load.msize);
		return EXIT_SUCCESS;
	}
	attach(&load, aname ? aname : "");
	if (argc == 6 && strcmp(argv[1], "run") == 0) {
		unsigned depth = (unsigned)number(argv[4], DEPTH_MAX);

		load.what = workload_of(argv[3]);
		return run(&load, depth ? depth : 1, strtod(argv[5], NULL));
	}
	if (argc == 4 && strcmp(argv[1], "hold") == 0)
		hold(&load, (uint32_t)number(argv[3], 1u << 20));
	die("run, msize, hold or serve; see bench/README.md");
}
