/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/be_rig.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/usock.h"
#include "virtio/chain.h"
#include "virtio/vhost_user.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define REQUEST_MAX 4096
#define HELD_MAX    BE_RIG_QUEUE_SIZE

/* ---- the device's process ---- */

static struct {
	struct loop *loop;
	struct vu_device *d;
	struct be_seen *seen;
	struct loop_source release;
	struct vq *queues[BE_RIG_QUEUES];
	bool stopping[BE_RIG_QUEUES];
	struct vq_chain *held[BE_RIG_QUEUES][HELD_MAX];
	unsigned held_count[BE_RIG_QUEUES];
	bool listens;
	uint8_t config[6];
	int fds, maps;
} dev;

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* Mappings of memory that is shared by a descriptor. */
static int count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	while (fgets(line, sizeof(line), f))
		n += strstr(line, "/memfd:") != NULL;
	(void)fclose(f);
	return n;
}

static void answer(struct vq *q, struct vq_chain *c)
{
	static uint8_t bytes[REQUEST_MAX];
	struct chain_cursor r = chain_out(c), w = chain_in(c);
	size_t n = chain_read(&r, bytes, sizeof(bytes));

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)~bytes[i];
	vq_push(q, c, (uint32_t)chain_write(&w, bytes, n));
}

static void dev_kick(void *context UNUSED, struct vq *q)
{
	unsigned i = vq_index(q);
	struct vq_chain *c;

	dev.seen->kicks[i]++;
	vq_disable_notify(q);
	do {
		while (vq_pop(q, &c) == 1) {
			dev.seen->requests++;
			if (!dev.seen->hold) {
				answer(q, c);
				continue;
			}
			BUG_ON(dev.held_count[i] == HELD_MAX);
			dev.held[i][dev.held_count[i]++] = c;
			dev.seen->held++;
		}
	} while (vq_enable_notify(q));
	vq_publish(q);
}

static void dev_start(void *context UNUSED, struct vq *q, uint64_t features)
{
	unsigned i = vq_index(q);

	BUG_ON(dev.queues[i]);
	dev.queues[i] = q;
	dev.seen->features = features;
	dev.seen->starts[i]++;
}

static void dev_stop(void *context UNUSED, struct vq *q)
{
	unsigned i = vq_index(q);

	BUG_ON(dev.queues[i] != q || dev.stopping[i]);
	dev.seen->stops[i]++;
	if (dev.held_count[i] > 0) {
		dev.stopping[i] = true;
		return;
	}
	dev.queues[i] = NULL;
	vq_stopped(q);
}

static void dev_reset(void *context UNUSED)
{
	for (unsigned i = 0; i < BE_RIG_QUEUES; i++)
		BUG_ON(dev.queues[i]);
	dev.seen->resets++;
}

static void release_ready(struct loop_source *s, uint32_t events UNUSED)
{
	uint64_t count;

	(void)!read(s->fd, &count, sizeof(count));
	while (dev.seen->config_changes > 0) {
		dev.seen->config_changes--;
		vu_config_changed(dev.d);
	}
	for (unsigned i = 0; i < BE_RIG_QUEUES; i++) {
		struct vq *q = dev.queues[i];

		for (unsigned k = 0; k < dev.held_count[i]; k++)
			answer(q, dev.held[i][k]);
		dev.held_count[i] = 0;
		if (q)
			vq_publish(q);
		if (dev.stopping[i]) {
			dev.stopping[i] = false;
			dev.queues[i] = NULL;
			vq_stopped(q);
		}
	}
	dev.seen->held = 0;
}

static size_t dev_config(void *context UNUSED, uint8_t *out, size_t room)
{
	BUG_ON(room < sizeof(dev.config));
	memcpy(out, dev.config, sizeof(dev.config));
	return sizeof(dev.config);
}

static int dev_config_write(void *context UNUSED, uint32_t offset, const uint8_t *bytes,
                            size_t size)
{
	if (offset != 5 || size != 1)
		return -EINVAL;
	dev.config[5] = *bytes;
	return 0;
}

/* Whatever the front end did, no descriptor and no memory of it is left. */
static void dev_closed(void *context UNUSED)
{
	BUG_ON(count_fds() != dev.fds);
	BUG_ON(count_maps() != dev.maps);
	dev.seen->closes++;
	if (!dev.listens)
		loop_stop(dev.loop);
}

static const struct vio_device_info info = {.virtio_id = 9,
                                            .features = VIO_FEATURES_RING | 1,
                                            .queues = BE_RIG_QUEUES,
                                            .queue_size_max = BE_RIG_QUEUE_SIZE};
static const struct vio_device_ops ops = {.config = dev_config,
                                          .config_write = dev_config_write,
                                          .start = dev_start,
                                          .kick = dev_kick,
                                          .stop = dev_stop,
                                          .reset = dev_reset};

static void on_term(int number UNUSED)
{
	loop_stop(dev.loop);
}

static int device_main(struct be_rig *r, int sock)
{
	dev.seen = r->seen;
	dev.listens = r->path[0];
	memcpy(dev.config, "config", sizeof(dev.config));
	log_init("device", LOG_LEVEL_WARNING);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGTERM, on_term);
	BUG_ON(guest_memory_guard() < 0 || loop_new(&dev.loop) < 0);
	dev.release = (struct loop_source){.fd = r->release, .ready = release_ready};
	BUG_ON(loop_add(dev.loop, &dev.release, EPOLLIN) < 0);
	BUG_ON(vu_new(dev.loop, &info, &ops, NULL, dev_closed, &dev.d) < 0);
	dev.maps = count_maps();
	dev.fds = count_fds() - (dev.listens ? 0 : 1);
	BUG_ON((dev.listens ? vu_listen(dev.d, sock) : vu_serve(dev.d, sock)) < 0);
	BUG_ON(loop_run(dev.loop) < 0);
	vu_free(dev.d);
	loop_free(dev.loop);
	return 0;
}

/* ---- the test's ---- */

static void start(struct be_rig *r, int sock, int other)
{
	r->release = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r->err = memfd_create("log", MFD_CLOEXEC);
	r->seen =
	    mmap(NULL, sizeof(*r->seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(r->release >= 0 && r->err >= 0 && r->seen != MAP_FAILED);
	vring_make(&r->v, 8);
	r->pid = fork();
	cr_assert_geq(r->pid, 0);
	if (r->pid == 0) {
		(void)close(other);
		(void)dup2(r->err, STDERR_FILENO);
		_exit(device_main(r, sock));
	}
	(void)close(sock);
	r->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r->error = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

void be_rig_start(struct be_rig *r)
{
	int pair[2];

	*r = (struct be_rig){.sock = -1};
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	r->sock = pair[0];
	start(r, pair[1], pair[0]);
}

void be_rig_listen(struct be_rig *r)
{
	int listener = -1;

	*r = (struct be_rig){.sock = -1};
	(void)snprintf(r->path, sizeof(r->path), "/tmp/virtfs-be.%d.sock", (int)getpid());
	(void)unlink(r->path);
	cr_assert_eq(usock_listen(r->path, SOCK_STREAM, &listener), 0);
	start(r, listener, -1);
}

void be_rig_connect(struct be_rig *r)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->path);
	r->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(connect(r->sock, (struct sockaddr *)&address, sizeof(address)), 0);
}

void be_rig_end(struct be_rig *r)
{
	int status = 0;

	fd_close(&r->sock);
	if (r->path[0]) {
		(void)kill(r->pid, SIGTERM);
		(void)unlink(r->path);
	}
	WAIT_WHILE(waitpid(r->pid, &status, WNOHANG) == 0);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the device ended with 0x%x: %s",
	          (unsigned)status, be_rig_log(r));
	vring_free(&r->v);
	(void)close(r->release);
	(void)close(r->err);
	(void)close(r->kick);
	(void)close(r->call);
	(void)close(r->error);
	(void)munmap(r->seen, sizeof(*r->seen));
}

void be_rig_kill(struct be_rig *r)
{
	(void)kill(r->pid, SIGKILL);
	(void)waitpid(r->pid, NULL, 0);
	fd_close(&r->sock);
	(void)close(r->release);
	(void)close(r->err);
	(void)close(r->kick);
	(void)close(r->call);
	(void)close(r->error);
	(void)munmap(r->seen, sizeof(*r->seen));
}

const char *be_rig_log(struct be_rig *r)
{
	ssize_t n = pread(r->err, r->log, sizeof(r->log) - 1, 0);

	r->log[n > 0 ? n : 0] = '\0';
	return r->log;
}

void be_rig_until(const volatile unsigned *counter, unsigned value)
{
	WAIT_WHILE(*counter != value);
	cr_assert_eq(*counter, value);
}

void be_send_raw(struct be_rig *r, uint32_t request, uint32_t flags, const void *payload,
                 uint32_t size, const int *fds, unsigned fd_count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 64)];
	} control = {0};
	uint8_t bytes[8192];
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct iovec iov = {.iov_base = bytes};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	vhu_header_put(&w, &(struct vhu_header){request, flags, size});
	if (payload)
		wr_bytes(&w, payload, size);
	cr_assert(wr_good(&w) && fd_count <= 64);
	iov.iov_len = w.used;
	if (fd_count > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
	}
	cr_assert_eq(sendmsg(r->sock, &msg, MSG_NOSIGNAL), (ssize_t)w.used);
}

void be_send(struct be_rig *r, uint32_t request, const void *fields, const int *fds,
             unsigned fd_count, bool need_reply)
{
	const struct wt_msg *msg = wt_find(vhu_table, vhu_table_count, request);
	uint8_t payload[VHU_PAYLOAD_MAX];
	struct wr w = wr_over(payload, sizeof(payload));

	cr_assert(!fields || msg->req.put(&w, fields));
	be_send_raw(r, request, VHU_VERSION | (need_reply ? VHU_NEED_REPLY : 0), payload,
	            (uint32_t)w.used, fds, fd_count);
}

/* All of size bytes, within 10 s. */
static void recv_all(struct be_rig *r, void *to, size_t size, struct fdbag *bag)
{
	size_t have = 0;

	while (have < size) {
		struct pollfd p = {.fd = r->sock, .events = POLLIN};
		struct fdbag came = FDBAG_EMPTY;
		ssize_t n;

		cr_assert_eq(poll(&p, 1, 10000), 1, "no reply; the device says: %s", be_rig_log(r));
		n = usock_recv(r->sock, (uint8_t *)to + have, size - have, &came);
		cr_assert_gt(n, 0, "the device has closed: %s", be_rig_log(r));
		have += (size_t)n;
		if (came.count > 0)
			*bag = came;
	}
}

/* The reply's payload. */
static size_t recv_payload(struct be_rig *r, uint32_t request, uint8_t *payload, struct fdbag *bag)
{
	uint8_t head[VHU_HEADER_SIZE];
	uint32_t size;
	struct rd h;

	recv_all(r, head, sizeof(head), bag);
	h = rd_over(head, sizeof(head));
	cr_assert_eq(rd_host32(&h), request);
	cr_assert_eq(rd_host32(&h), 5, "flags of a reply");
	size = rd_host32(&h);
	cr_assert_leq(size, VHU_PAYLOAD_MAX);
	recv_all(r, payload, size, bag);
	return size;
}

int be_recv(struct be_rig *r, uint32_t request, void *fields)
{
	const struct wt_msg *msg = wt_find(vhu_table, vhu_table_count, request);
	static uint8_t payload[VHU_PAYLOAD_MAX];
	struct fdbag bag = FDBAG_EMPTY;
	struct rd p = rd_over(payload, recv_payload(r, request, payload, &bag));
	int fd = fdbag_take(&bag, 0);

	cr_assert(msg->rep.get(&p, fields));
	fdbag_close(&bag);
	return fd;
}

uint64_t be_ack(struct be_rig *r, uint32_t request)
{
	uint8_t payload[VHU_PAYLOAD_MAX];
	struct fdbag bag = FDBAG_EMPTY;
	uint64_t value;

	cr_assert_eq(recv_payload(r, request, payload, &bag), sizeof(value));
	cr_assert_eq(bag.count, 0);
	memcpy(&value, payload, sizeof(value));
	return value;
}

void be_ok(struct be_rig *r, uint32_t request, const void *fields, int fd)
{
	be_send(r, request, fields, &fd, fd >= 0, true);
	cr_assert_eq(be_ack(r, request), 0, "%s", be_rig_log(r));
}

void be_refused(struct be_rig *r, uint32_t request, const void *fields, int fd)
{
	be_send(r, request, fields, &fd, fd >= 0, true);
	cr_assert_neq(be_ack(r, request), 0);
}

void be_closed(struct be_rig *r, const char *why)
{
	struct pollfd p = {.fd = r->sock, .events = POLLIN};
	char byte;
	ssize_t n;

	cr_assert_eq(poll(&p, 1, 10000), 1, "the connection stays");
	n = recv(r->sock, &byte, 1, 0);
	cr_assert(n == 0 || (n < 0 && errno == ECONNRESET), "a byte came");
	cr_assert(strstr(be_rig_log(r), why), "the device says: %s", be_rig_log(r));
	fd_close(&r->sock);
}

bool be_is_quiet(struct be_rig *r)
{
	struct pollfd p = {.fd = r->sock, .events = POLLIN};

	return poll(&p, 1, 100) == 0;
}

/* ---- the usual ---- */

void be_negotiate(struct be_rig *r, uint64_t features, uint64_t protocol)
{
	const struct vhu_set_features_req f = {.value = features};
	const struct vhu_set_protocol_features_req p = {.value = protocol};

	if (protocol)
		be_send(r, VHU_SET_PROTOCOL_FEATURES, &p, NULL, 0, false);
	be_send(r, VHU_SET_OWNER, NULL, NULL, 0, false);
	be_send(r, VHU_SET_FEATURES, &f, NULL, 0, false);
}

static struct wt_vregion wire_region(unsigned i)
{
	const struct guest_region g = vring_region(i);

	return (struct wt_vregion){.gpa = g.gpa, .size = g.size, .uva = g.uva, .offset = g.offset};
}

void be_memory(struct be_rig *r)
{
	const struct vhu_set_mem_table_req q = {
	    .regions = {.count = 2, .region = {wire_region(0), wire_region(1)}}};
	const int fds[2] = {r->v.fd, r->v.fd};

	be_send(r, VHU_SET_MEM_TABLE, &q, fds, 2, true);
	cr_assert_eq(be_ack(r, VHU_SET_MEM_TABLE), 0);
}

void be_addr(struct be_rig *r, unsigned index, unsigned flags)
{
	const struct vhu_set_vring_addr_req q = {.index = index,
	                                         .flags = flags,
	                                         .desc = vring_uva(VRING_DESC),
	                                         .used = vring_uva(VRING_USED),
	                                         .avail = vring_uva(VRING_AVAIL),
	                                         .log = VRING_USED};

	be_ok(r, VHU_SET_VRING_ADDR, &q, -1);
}

void be_ring_up(struct be_rig *r, unsigned size, unsigned base)
{
	r->v.size = size;
	be_ok(r, VHU_SET_VRING_NUM, &(struct vhu_set_vring_num_req){.value = size}, -1);
	be_ok(r, VHU_SET_VRING_BASE, &(struct vhu_set_vring_base_req){.value = base}, -1);
	be_addr(r, 0, 0);
	be_ok(r, VHU_SET_VRING_CALL, &(struct vhu_set_vring_call_req){.value = 0}, r->call);
	be_ok(r, VHU_SET_VRING_ERR, &(struct vhu_set_vring_err_req){.value = 0}, r->error);
	be_ok(r, VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, r->kick);
	be_ok(r, VHU_SET_VRING_ENABLE, &(struct vhu_set_vring_enable_req){.value = 1}, -1);
}

void be_up(struct be_rig *r)
{
	be_negotiate(r, BE_RIG_FEATURES | UINT64_C(1) << VHU_F_PROTOCOL_FEATURES, BE_RIG_ACKS);
	be_memory(r);
	be_ring_up(r, 8, 0);
	cr_assert_eq(r->seen->starts[0], 1);
}

uint32_t be_ring_down(struct be_rig *r)
{
	struct vhu_get_vring_base_rep a;

	be_send(r, VHU_GET_VRING_BASE, &(struct vhu_get_vring_base_req){.index = 0}, NULL, 0,
	        false);
	cr_assert_eq(be_recv(r, VHU_GET_VRING_BASE, &a), -1);
	cr_assert_eq(a.index, 0);
	return a.value;
}

static void kick(const struct be_rig *r)
{
	cr_assert_eq(write(r->kick, &(uint64_t){1}, 8), 8);
}

static uint64_t request_gpa(unsigned head)
{
	return VRING_GPA + VRING_REGION + head * 1024;
}

void be_request(struct be_rig *r, unsigned head, const char *text)
{
	uint32_t size = (uint32_t)strlen(text);

	memcpy(vring_at(&r->v, request_gpa(head)), text, size);
	vring_desc(&r->v, VRING_DESC, head, request_gpa(head), size, VRING_NEXT, head + 1);
	vring_desc(&r->v, VRING_DESC, head + 1, request_gpa(head + 1), 1024, VRING_WRITE, 0);
	vring_offer(&r->v, head);
	kick(r);
}

void be_answered(struct be_rig *r, uint16_t idx, const char *text)
{
	const uint8_t *got;
	uint32_t head, len;

	WAIT_WHILE(__atomic_load_n(vring_used_idx(&r->v), __ATOMIC_SEQ_CST) != idx);
	cr_assert_eq(*vring_used_idx(&r->v), idx);
	head = vring_used(&r->v, (unsigned)(idx - 1), &len);
	cr_assert_eq(len, strlen(text));
	got = vring_at(&r->v, request_gpa(head + 1));
	for (uint32_t i = 0; i < len; i++)
		cr_assert_eq(got[i], (uint8_t)~text[i]);
}
