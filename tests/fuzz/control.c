/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.c: packets of two clients, whatever is in them, against the control socket with commands that do nothing.
 *
 * Input: records of how[1], fds[1], size[2] and the packet. how says which client, whether it reads its answers meanwhile, has left, and
 * whether commands that wait are answered first. Whatever they are: after each packet just those descriptors are
 * open that commands took, each command is answered once, and at the end nothing is left.
 *
 * Built with MAKE_SEEDS this writes first inputs instead: control_seeds DIRECTORY. control.dict has words for libFuzzer.
 */
#include "tests/fuzz/fuzz.h"

#include "common/rd.h"
#include "common/wr.h"

#include <string.h>

enum { SECOND = 1, READS = 2, LEAVES = 4, ANSWERS = 8 };

#ifdef MAKE_SEEDS

#include <errno.h>
#include <sys/stat.h>

static const struct {
	const char *name, *packet;
	uint8_t how, fds;
} seeds[] = {
    {"version", "{\"execute\": \"query-version\", \"id\": [1, {\"a\": 2.5}]}", 0, 0},
    {"commands", "{\"execute\": \"query-commands\", \"arguments\": {}}", READS, 0},
    {"level", "{\"execute\": \"log-level\", \"arguments\": {\"level\": \"error\"}}", 0, 0},
    {"take",
     "{\"execute\": \"take\", \"arguments\": {\"one\": {\"fd\": 0}, \"other\": {\"fd\": 1}}}", 0,
     2},
    {"list",
     "{\"execute\": \"list\", \"arguments\": {\"name\": \"x\", \"of\": [{\"fd\": {\"fd\": 2}, "
     "\"size\": 7}, {\"fd\": {\"fd\": "
     "0}, \"size\": 0, \"yes\": true}]}}",
     0, 3},
    {"later", "{\"execute\": \"later\", \"id\": \"l\"}", 0, 1},
    {"quit", "{\"execute\": \"quit\"}", SECOND, 0},
    {"deep", "{\"execute\": \"later\", \"id\": [[[[[[[[[1]]]]]]]]]}", 0, 253},
};

/* Each alone, and after all those before it. */
int main(int argc, char **argv)
{
	uint8_t bytes[8192];
	struct wr all = wr_over(bytes, sizeof(bytes));

	CHECK(argc == 2 && (mkdir(argv[1], 0777) == 0 || errno == EEXIST));
	for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
		char path[1024];
		FILE *f;

		wr_u8(&all, seeds[i].how);
		wr_u8(&all, seeds[i].fds);
		wr_le16(&all, (uint16_t)strlen(seeds[i].packet));
		wr_bytes(&all, seeds[i].packet, strlen(seeds[i].packet));
		(void)snprintf(path, sizeof(path), "%s/%s", argv[1], seeds[i].name);
		f = fopen(path, "we");
		CHECK(f && fwrite(bytes, 1, all.used, f) == all.used && fclose(f) == 0);
	}
	return 0;
}

#else

#include "common/cleanup.h"
#include "common/fdbag.h"
#include "common/log.h"
#include "common/usock.h"
#include "control/control.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define TAKEN_MAX  64
#define ROUNDS_MAX 100000

static struct {
	struct loop *loop;
	struct control *control;
	struct loop_source tick;
	struct rd in;
	int sock[2];
	struct control_call *waiting[2];
	unsigned waiting_count, rounds;
	int taken[TAKEN_MAX];
	unsigned taken_count;
	int first_free; /* the lowest number that is free while nothing was taken */
	bool deserted;
} f;

static int null_fd = -1;

static int next_fd(void)
{
	int fd = fcntl(null_fd, F_DUPFD, 0);

	CHECK(fd >= 0 && close(fd) == 0);
	return fd;
}

/* ---- commands ---- */

static void take_one(struct control_call *call, struct control_fd which)
{
	int fd;

	if (f.taken_count == TAKEN_MAX)
		return;
	fd = control_fd_take(call, which);
	CHECK((fd < 0) == (which.index < 0));
	if (fd >= 0)
		f.taken[f.taken_count++] = fd;
}

struct take_args {
	struct control_fd one, other;
};

static const struct control_arg take_rows[] = {
    CONTROL_ARG_FD(struct take_args, one, "one", CONTROL_REQUIRED, "is taken"),
    CONTROL_ARG_FD(struct take_args, other, "other", CONTROL_ABSENT(0), "is looked at"),
};

static void take(struct control_call *call, const void *args, void *context UNUSED)
{
	const struct take_args *a = args;
	struct stat st;

	take_one(call, a->one);
	if (a->other.index >= 0)
		CHECK(fstat(control_fd_look(call, a->other), &st) == 0);
	control_return(call, json_object());
}

struct member {
	struct control_fd fd;
	uint64_t size;
	bool yes;
};

struct list_args {
	const char *name;
	struct member of[4];
	size_t count;
};

static const struct control_arg member_rows[] = {
    CONTROL_ARG_FD(struct member, fd, "fd", CONTROL_REQUIRED, "one each"),
    CONTROL_ARG_NUMBER(struct member, size, "size", CONTROL_ABSENT(3), 0, 10, "small"),
    CONTROL_ARG_BOOL(struct member, yes, "yes", CONTROL_ABSENT(false), "or no"),
};

static const struct control_arg list_rows[] = {
    CONTROL_ARG_TEXT(struct list_args, name, "name", CONTROL_REQUIRED, 1, 8, "short"),
    CONTROL_ARG_LIST(struct list_args, of, count, "of", 1, 4, member_rows, "some"),
};

static void list(struct control_call *call, const void *args, void *context UNUSED)
{
	const struct list_args *a = args;

	CHECK(strlen(a->name) >= 1 && strlen(a->name) <= 8 && a->count >= 1 && a->count <= 4);
	for (size_t i = 0; i < a->count; i++) {
		CHECK(a->of[i].size <= 10 && a->of[i].fd.index >= 0);
		for (size_t j = 0; j < i; j++)
			CHECK(a->of[i].fd.index != a->of[j].fd.index);
	}
	take_one(call, a->of[0].fd);
	control_error(call, CONTROL_GENERIC_ERROR, "%zu and '%s'", a->count, a->name);
}

static void later(struct control_call *call, const void *args UNUSED, void *context UNUSED)
{
	CHECK(f.waiting_count < ARRAY_SIZE(f.waiting));
	f.waiting[f.waiting_count++] = call;
}

static const struct control_command rows[] = {
    {.name = "take", .help = "takes", CONTROL_ARGS(take_rows, struct take_args), .run = take},
    {.name = "list", .help = "lists", CONTROL_ARGS(list_rows, struct list_args), .run = list},
    {.name = "later", .help = "waits", .run = later},
};

static void answer_waiting(void)
{
	while (f.waiting_count > 0) {
		struct control_call *call = f.waiting[--f.waiting_count];

		control_call_event(call, "EVENT",
		                   f.waiting_count ? json_pack("{s:i}", "left", 1) : NULL);
		control_return(call, json_null());
	}
}

/* ---- clients ---- */

static void read_answers(int sock)
{
	static uint8_t packet[1 << 18];
	ssize_t n;

	while ((n = recv(sock, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		json_t *got =
		    json_loadb((const char *)packet, (size_t)n, JSON_REJECT_DUPLICATES, NULL);

		CHECK(got && json_is_object(got));
		json_decref(got);
	}
}

static void send_packet(int sock, const uint8_t *bytes, size_t size, unsigned count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDBAG_MAX)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		for (unsigned i = 0; i < count; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &null_fd, sizeof(int));
	}
	(void)!sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void forget_taken(void)
{
	while (f.taken_count > 0)
		fd_close(&f.taken[--f.taken_count]);
}

static void one_record(void)
{
	uint8_t how = rd_u8(&f.in), count = rd_u8(&f.in);
	size_t size = rd_le16(&f.in);
	int *sock = &f.sock[how & SECOND];
	const uint8_t *bytes;

	size = size < f.in.left ? size : f.in.left;
	bytes = rd_bytes(&f.in, size);
	if (how & READS)
		read_answers(*sock);
	if (how & ANSWERS)
		answer_waiting();
	if (bytes && *sock >= 0)
		send_packet(*sock, bytes, size, count < FDBAG_MAX ? count : FDBAG_MAX);
	if (how & LEAVES)
		fd_close(sock);
}

/* One packet at a time: what it left open is seen before the next. */
static void tick(struct loop_source *s UNUSED, uint32_t events UNUSED)
{
	CHECK(++f.rounds < ROUNDS_MAX);
	forget_taken();
	CHECK(next_fd() <= f.first_free);
	if (f.rounds % 4 != 0)
		return;
	if (f.in.left >= 5) {
		one_record();
		return;
	}
	fd_close(&f.sock[0]);
	fd_close(&f.sock[1]);
	answer_waiting();
	if (f.deserted)
		loop_stop(f.loop);
}

static void quit(void *context UNUSED, struct control_call *call, unsigned wait_ms UNUSED)
{
	control_return(call, json_object());
}

static void deserted(void *context UNUSED)
{
	f.deserted = true;
}

static void start(const uint8_t *data, size_t size)
{
	const struct control_host host = {.quit = quit, .deserted = deserted};
	int pair[2];

	memset(&f, 0, sizeof(f));
	f.in = rd_over(data, size);
	CHECK(loop_new(&f.loop) == 0 && control_new(f.loop, &host, &f.control) == 0);
	loop_poll_for(f.loop, 0);
	CHECK(control_add(f.control, &(struct control_table){.rows = rows,
	                                                     .count = ARRAY_SIZE(rows),
	                                                     .capability = "fuzz"}) == 0);
	for (int i = 0; i < 2; i++) {
		CHECK(usock_pair(SOCK_SEQPACKET, pair) == 0);
		CHECK(control_serve(f.control, pair[1]) == 0);
		f.sock[i] = pair[0];
	}
	f.tick = (struct loop_source){.fd = eventfd(1, EFD_CLOEXEC), .ready = tick};
	CHECK(f.tick.fd >= 0 && loop_add(f.loop, &f.tick, EPOLLIN) == 0);
	f.first_free = next_fd();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before;

	if (null_fd < 0) {
		null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		CHECK(null_fd >= 0);
		log_to_syslog(null_fd);
	}
	before = next_fd();
	start(data, size);
	CHECK(loop_run(f.loop) == 0 && f.waiting_count == 0);
	forget_taken();
	control_free(f.control);
	loop_free(f.loop);
	fd_close(&f.tick.fd);
	CHECK(next_fd() == before);
	return 0;
}

#endif
