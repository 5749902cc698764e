/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_user.c: a hostile front end, its messages, descriptors and memory, against the back end with a small device.
 *
 * Input: one byte for the device's features, then records: request[1] how[1] and, for messages, the kinds of descriptors,
 * size[2] and the payload; requests from OWN on are steps of the guest, the device or the emulator that are no messages.
 * Whatever they are: the connection comes to its end, all requests end, and no descriptor and no mapping is left.
 *
 * Built with MAKE_SEEDS this writes first inputs instead: vhost_user_seeds DIRECTORY.
 */
#include "tests/fuzz/fuzz.h"

#include "common/rd.h"
#include "tests/lib/vring.h"
#include "wire/vhost_user.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { OWN = 200, KICK = OWN, RELEASE, CHANGE, TRUNCATE, CLOSE, HOLD, WRITE, OFFER, OWN_END };
enum { NEED_REPLY = 1, TWO_PIECES = 2, WRONG_FLAGS = 4, FDS_SHIFT = 4 };
enum { FD_MEMORY, FD_KICK, FD_PIPE, FD_SOCKET, FD_NULL, FD_AREA, FD_CALL, FD_FOLDER, FD_KINDS };

#ifdef MAKE_SEEDS

#include "tests/lib/tables.h"

static struct sample sample;
static uint64_t message[TABLE_STRUCT_MAX / 8];
static uint8_t bytes[1 << 16], payload[1 << 13];

static void put(struct wr *w, uint32_t request, const void *fields, const uint8_t *kinds,
                unsigned fds, bool need_reply)
{
	const struct wt_msg *msg = wt_find(vhu_table, vhu_table_count, request);
	struct wr p = wr_over(payload, sizeof(payload));

	CHECK(!fields || msg->req.put(&p, fields));
	wr_u8(w, (uint8_t)request);
	wr_u8(w, (uint8_t)(fds << FDS_SHIFT | (need_reply ? NEED_REPLY : 0)));
	wr_bytes(w, kinds, fds);
	wr_le16(w, (uint16_t)p.used);
	wr_bytes(w, payload, p.used);
}

static void own(struct wr *w, uint8_t step)
{
	wr_u8(w, step);
	wr_u8(w, 0);
}

static void put_ring(struct wr *w, bool packed)
{
	static const uint8_t kick = FD_KICK, call = FD_CALL, pipe_end = FD_PIPE;
	const struct vhu_set_vring_addr_req addr = {.desc = vring_uva(VRING_DESC),
	                                            .used = vring_uva(VRING_USED),
	                                            .avail = vring_uva(VRING_AVAIL)};

	put(w, VHU_SET_VRING_NUM, &(struct vhu_set_vring_num_req){.value = 8}, NULL, 0, true);
	put(w, VHU_SET_VRING_BASE,
	    &(struct vhu_set_vring_base_req){.value = packed ? 0x80008000 : 0}, NULL, 0, false);
	put(w, VHU_SET_VRING_ADDR, &addr, NULL, 0, true);
	put(w, VHU_SET_VRING_CALL, &(struct vhu_set_vring_call_req){.value = 0}, &call, 1, false);
	put(w, VHU_SET_VRING_ERR, &(struct vhu_set_vring_err_req){.value = 0}, &pipe_end, 1, false);
	put(w, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, &kick, 1, true);
	put(w, VHU_SET_VRING_ENABLE, &(struct vhu_set_vring_enable_req){.value = 1}, NULL, 0, true);
}

static void put_memory(struct wr *w, bool slots)
{
	static const uint8_t kinds[2] = {FD_MEMORY, FD_MEMORY};
	struct vhu_set_mem_table_req table = {.regions = {.count = 2}};

	for (unsigned i = 0; i < 2; i++) {
		const struct guest_region g = vring_region(i);
		const struct vhu_add_mem_reg_req one = {.region = {g.gpa, g.size, g.uva, g.offset}};

		table.regions.region[i] = one.region;
		if (slots)
			put(w, VHU_ADD_MEM_REG, &one, kinds, 1, true);
	}
	if (!slots)
		put(w, VHU_SET_MEM_TABLE, &table, kinds, 2, true);
}

/* As far as a ring that runs, with a request that is held if so wanted. */
static struct wr begin(bool packed, bool slots, bool hold)
{
	struct wr w = wr_over(bytes, sizeof(bytes));

	wr_u8(&w, packed);
	put(&w, VHU_SET_PROTOCOL_FEATURES,
	    &(struct vhu_set_protocol_features_req){.value = packed ? 0xa22b : 0xb22b}, NULL, 0,
	    false);
	put(&w, VHU_SET_FEATURES,
	    &(struct vhu_set_features_req){.value = UINT64_C(0x130000000) | 1u << 30 |
	                                            (packed ? UINT64_C(1) << 34 : 0)},
	    NULL, 0, true);
	put_memory(&w, slots);
	put_ring(&w, packed);
	if (hold)
		own(&w, HOLD);
	own(&w, OFFER);
	own(&w, OFFER);
	own(&w, KICK);
	return w;
}

static void write_seed(const char *dir, const char *name, unsigned number, const struct wr *w)
{
	char path[1024];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s-%u", dir, name, number);
	f = fopen(path, "we");
	CHECK(wr_good(w) && f && fwrite(bytes, 1, w->used, f) == w->used && fclose(f) == 0);
}

static void put_sample(struct wr *w, const struct wt_msg *msg, unsigned seed)
{
	static const uint8_t kinds[8] = {FD_MEMORY, FD_KICK, FD_AREA, FD_PIPE,
	                                 FD_SOCKET, FD_NULL, FD_CALL, FD_FOLDER};
	const struct table_row *row = table_rows;

	while (row->msg != msg)
		row++;
	sample_init(&sample, seed);
	row->req.sample(&sample, message);
	put(w, msg->number, message, kinds + seed % 7, seed % 2, seed % 2);
}

int main(int argc, char **argv)
{
	if (argc != 2 || (mkdir(argv[1], 0755) < 0 && errno != EEXIST))
		return 1;
	for (size_t i = 0; i < vhu_table_count; i++) {
		const struct wt_msg *msg = &vhu_table[i];

		/* Each message while requests are under way: once as it mostly is, once of noise. */
		for (unsigned seed = 0; seed < 4; seed++) {
			struct wr w = begin(seed == 1, seed == 2, seed != 3);

			if (seed < 2) {
				const struct vhu_set_vring_base_req plain = {.value = 0};
				const uint8_t kind =
				    msg->number == VHU_SET_INFLIGHT_FD ? FD_AREA : FD_CALL;
				const struct vhu_set_inflight_fd_req area = {
				    .area = {.size = seed == 1 ? 320 : 192,
				             .queues = 1,
				             .queue_size = 8}};
				const struct vhu_get_config_req config = {
				    .config = {.bytes = {payload + 4096, 8}}};

				if (msg->number == VHU_SET_MEM_TABLE ||
				    msg->number == VHU_ADD_MEM_REG)
					put_memory(&w, msg->number == VHU_ADD_MEM_REG);
				else if (msg->number == VHU_GET_INFLIGHT_FD ||
				         msg->number == VHU_SET_INFLIGHT_FD)
					put(&w, msg->number, &area, &kind, 1, true);
				else if (msg->number == VHU_GET_CONFIG ||
				         msg->number == VHU_SET_CONFIG)
					put(&w, msg->number, &config, NULL, 0, true);
				else if (msg->number == VHU_REM_MEM_REG) {
					const struct guest_region g = vring_region(1);
					const struct vhu_rem_mem_reg_req q = {
					    .region = {g.gpa, g.size, g.uva, g.offset}};

					put(&w, msg->number, &q, NULL, 0, true);
				} else if (msg->req.size <= 16) {
					struct {
						uint8_t none;
						uint64_t value;
					} zero = {0, 0};

					put(&w, msg->number,
					    msg->policy & VHU_RING ? (const void *)&plain : &zero,
					    &kind, 1, true);
				} else
					put_sample(&w, msg, seed);
			} else {
				put_sample(&w, msg, seed);
			}
			own(&w, RELEASE);
			own(&w, OFFER);
			own(&w, KICK);
			put_ring(&w, seed == 1);
			own(&w, OFFER);
			own(&w, KICK);
			own(&w, CHANGE);
			if (seed == 3)
				own(&w, TRUNCATE);
			own(&w, KICK);
			own(&w, CLOSE);
			write_seed(argv[1], msg->name, seed, &w);
		}
	}
	return 0;
}

#else

#include "common/cleanup.h"
#include "common/log.h"
#include "common/usock.h"
#include "virtio/chain.h"
#include "virtio/vhost_user.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUES    2
#define HELD_MAX  512
#define STEPS_MAX 64 /* for a connection to come to its end after its input did */

static struct {
	struct loop *loop;
	struct vu_device *d;
	struct loop_source tick; /* always ready: one step of the input each time */
	struct rd in;
	int sock;
	unsigned after;
	bool closed, hold, truncated;
	struct vq *queues[QUEUES];
	bool stopping[QUEUES];
	struct {
		struct vq *q;
		struct vq_chain *c;
	} held[HELD_MAX];
	unsigned held_count;
	unsigned offered;
} f;
static struct vring guest;
static int null_fd, kick_fd, call_fd, area_fd, folder_fd;

/* ---- the device ---- */

static void answer(struct vq *q, struct vq_chain *c)
{
	uint8_t some[256];
	struct chain_cursor r = chain_out(c), w = chain_in(c);
	size_t n = chain_read(&r, some, sizeof(some));

	vq_push(q, c, (uint32_t)chain_write(&w, some, n));
}

static void dev_kick(void *context UNUSED, struct vq *q)
{
	struct vq_chain *c;

	CHECK(f.queues[vq_index(q)] == q && !f.stopping[vq_index(q)]);
	/* A guest that goes on offering is served for a while only: it may be writing its own ring. */
	for (unsigned i = 0; i < 64 && vq_pop(q, &c) == 1; i++) {
		if (f.hold && f.held_count < HELD_MAX) {
			f.held[f.held_count].q = q;
			f.held[f.held_count++].c = c;
		} else {
			answer(q, c);
		}
	}
	(void)!vq_enable_notify(q);
	vq_publish(q);
}

static void dev_start(void *context UNUSED, struct vq *q, uint64_t features UNUSED)
{
	CHECK(!f.queues[vq_index(q)]);
	f.queues[vq_index(q)] = q;
}

static void dev_stop(void *context UNUSED, struct vq *q)
{
	unsigned i = vq_index(q);

	CHECK(f.queues[i] == q && !f.stopping[i]);
	if (vq_in_flight(q) > 0) {
		f.stopping[i] = true;
		return;
	}
	f.queues[i] = NULL;
	vq_stopped(q);
}

static void release(void)
{
	while (f.held_count > 0) {
		f.held_count--;
		answer(f.held[f.held_count].q, f.held[f.held_count].c);
	}
	for (unsigned i = 0; i < QUEUES; i++) {
		struct vq *q = f.queues[i];

		if (!q)
			continue;
		vq_publish(q);
		if (f.stopping[i]) {
			f.stopping[i] = false;
			f.queues[i] = NULL;
			vq_stopped(q);
		}
	}
}

static void dev_reset(void *context UNUSED)
{
	for (unsigned i = 0; i < QUEUES; i++)
		CHECK(!f.queues[i]);
	CHECK(f.held_count == 0);
}

static size_t dev_config(void *context UNUSED, uint8_t *out, size_t room)
{
	CHECK(room >= 7);
	memcpy(out, "\5\0share", 7);
	return 7;
}

static int dev_config_write(void *context UNUSED, uint32_t offset, const uint8_t *b UNUSED,
                            size_t size)
{
	return offset == 0 && size == 1 ? 0 : -EINVAL;
}

static void dev_closed(void *context UNUSED)
{
	f.closed = true;
	loop_stop(f.loop);
}

static const struct vio_device_ops ops = {.config = dev_config,
                                          .config_write = dev_config_write,
                                          .start = dev_start,
                                          .kick = dev_kick,
                                          .stop = dev_stop,
                                          .reset = dev_reset};
static const struct vio_device_info infos[2] = {
    {.virtio_id = 9, .features = VIO_FEATURES_RING, .queues = QUEUES, .queue_size_max = 256},
    {.virtio_id = 9,
     .features = VIO_FEATURES_RING | VIO_FEATURE(VIO_F_RING_PACKED),
     .queues = QUEUES,
     .queue_size_max = 256}};

/* ---- the front end ---- */

/* A descriptor of that kind, and whether it is to be closed after. */
static int fd_of(uint8_t kind, int *ret_close)
{
	int pair[2] = {-1, -1};

	*ret_close = -1;
	switch (kind % FD_KINDS) {
	case FD_MEMORY:
		return guest.fd;
	case FD_KICK:
		return kick_fd;
	case FD_CALL:
		return call_fd;
	case FD_AREA:
		return area_fd;
	case FD_FOLDER:
		return folder_fd;
	case FD_PIPE:
		CHECK(pipe2(pair, O_CLOEXEC) == 0);
		break;
	case FD_SOCKET:
		CHECK(usock_pair(SOCK_STREAM, pair) == 0);
		break;
	default:
		return null_fd;
	}
	fd_close(&pair[0]);
	*ret_close = pair[1];
	return pair[1];
}

static void send_with_fds(const uint8_t *b, size_t size, const int *fds, unsigned count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 16)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)b, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	}
	(void)!sendmsg(f.sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_record(uint32_t request, uint8_t how)
{
	static uint8_t message[VHU_HEADER_SIZE + 8192];
	struct wr w = wr_over(message, sizeof(message));
	unsigned count = how >> FDS_SHIFT;
	int fds[16], close_after[16];
	size_t size, split;
	const uint8_t *bytes;

	for (unsigned i = 0; i < count; i++)
		fds[i] = fd_of(rd_u8(&f.in), &close_after[i]);
	size = rd_le16(&f.in) % 8192u;
	if (size > f.in.left)
		size = f.in.left;
	bytes = rd_bytes(&f.in, size);
	vhu_header_put(&w, &(struct vhu_header){.request = request,
	                                        .flags = (how & WRONG_FLAGS ? 6u : VHU_VERSION) |
	                                                 (how & NEED_REPLY ? VHU_NEED_REPLY : 0),
	                                        .size = (uint32_t)size});
	if (bytes)
		wr_bytes(&w, bytes, size);
	split = how & TWO_PIECES ? w.used / 2 : w.used;
	send_with_fds(message, split, fds, count);
	if (split < w.used)
		send_with_fds(message + split, w.used - split, NULL, 0);
	for (unsigned i = 0; i < count; i++)
		fd_close(&close_after[i]);
}

/* A request of two buffers, in a split ring and in a packed one at once: one of them is nonsense. */
static void offer(void)
{
	unsigned head = f.offered++ * 2 % 8;

	vring_desc(&guest, VRING_DESC, head, VRING_FREE, 40, VRING_NEXT, (head + 1) | 0x80);
	vring_desc(&guest, VRING_DESC, head, VRING_FREE, 40, VRING_NEXT, head + 1);
	vring_desc(&guest, VRING_DESC, head + 1, VRING_GPA + VRING_REGION - 20, 40, VRING_WRITE,
	           0x82);
	vring_offer(&guest, head);
}

static void own_step(uint8_t step)
{
	uint32_t at;

	switch (step) {
	case KICK:
		(void)!write(kick_fd, &(uint64_t){1}, 8);
		return;
	case RELEASE:
		f.hold = false;
		release();
		return;
	case HOLD:
		f.hold = true;
		return;
	case CHANGE:
		vu_config_changed(f.d);
		return;
	case TRUNCATE:
		CHECK(ftruncate(guest.fd, 4096) == 0);
		f.truncated = true;
		return;
	case CLOSE:
		vu_close(f.d);
		return;
	case OFFER:
		if (!f.truncated)
			offer();
		return;
	case WRITE:
		at = rd_le16(&f.in);
		if (!f.truncated)
			*(uint8_t *)vring_at(&guest, (at & 0x8000 ? VRING_AVAIL : VRING_DESC) +
			                                 at % 0x1000) = rd_u8(&f.in);
		return;
	default:
		return;
	}
}

static void drain(void)
{
	static uint8_t replies[65536];
	struct fdbag bag = FDBAG_EMPTY;

	while (f.sock >= 0 && usock_recv(f.sock, replies, sizeof(replies), &bag) > 0)
		fdbag_close(&bag);
	fdbag_close(&bag);
}

static void tick(struct loop_source *s UNUSED, uint32_t events UNUSED)
{
	uint8_t request, how;

	drain();
	if (f.in.left >= 2) {
		request = rd_u8(&f.in);
		how = rd_u8(&f.in);
		if (request >= OWN && request < OWN_END)
			own_step(request);
		else
			send_record(request, how);
		return;
	}
	/* The input is at its end: so is the front end, and the device lets go of all. */
	fd_close(&f.sock);
	f.hold = false;
	release();
	CHECK(f.closed || ++f.after < STEPS_MAX);
}

static void prepare(void)
{
	vring_make(&guest, 8);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	folder_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	area_fd = memfd_create("area", MFD_CLOEXEC);
	CHECK(null_fd >= 0 && folder_fd >= 0 && kick_fd >= 0 && call_fd >= 0);
	CHECK(area_fd >= 0 && ftruncate(area_fd, 65536) == 0);
	CHECK(guest_memory_guard() == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	log_to_syslog(null_fd);
}

static void clean(void)
{
	static const uint8_t zeros[4096];

	(void)munmap(guest.memory, 2 * VRING_REGION);
	CHECK(ftruncate(guest.fd, 0) == 0 && ftruncate(guest.fd, 2 * VRING_REGION) == 0);
	guest.memory =
	    mmap(NULL, 2 * VRING_REGION, PROT_READ | PROT_WRITE, MAP_SHARED, guest.fd, 0);
	CHECK(guest.memory != MAP_FAILED);
	CHECK(pwrite(area_fd, zeros, sizeof(zeros), 0) == sizeof(zeros));
	(void)!read(kick_fd, &(uint64_t){0}, 8);
}

static int next_fd(void)
{
	int fd = dup(null_fd);

	CHECK(fd >= 0 && close(fd) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool prepared;
	int pair[2], before, always;
	uint8_t which;

	if (!prepared)
		prepare();
	prepared = true;
	if (size < 1 || size > 65536)
		return 0;
	clean();
	before = next_fd();
	memset(&f, 0, sizeof(f));
	f.in = rd_over(data, size);
	which = rd_u8(&f.in) & 1;
	always = eventfd(1, EFD_CLOEXEC);
	CHECK(always >= 0 && loop_new(&f.loop) == 0);
	f.tick = (struct loop_source){.fd = always, .ready = tick};
	CHECK(loop_add(f.loop, &f.tick, EPOLLIN) == 0);
	CHECK(vu_new(f.loop, &infos[which], &ops, NULL, dev_closed, &f.d) == 0);
	CHECK(usock_pair(SOCK_STREAM, pair) == 0);
	f.sock = pair[0];
	CHECK(fcntl(f.sock, F_SETFL, O_NONBLOCK) == 0 && vu_serve(f.d, pair[1]) == 0);
	CHECK(loop_run(f.loop) == 0 && f.closed && !vu_connected(f.d));
	vu_free(f.d);
	loop_free(f.loop);
	fd_close(&f.sock);
	fd_close(&always);
	CHECK(next_fd() == before);
	return 0;
}

#endif
