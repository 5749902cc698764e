/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/vu_front.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define PAYLOAD_MAX 4096
#define FDS_MAX     253

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are read and written as they are");
static_assert(sizeof(struct vu_mem_table) == 8 + 8 * 32, "the table as it is sent");
static_assert(sizeof(struct vu_mem_one) == 40, "a region as it is sent");

/* ---- time ---- */

uint64_t vu_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void vu_sleep_ms(unsigned ms)
{
	(void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L},
	                NULL);
}

bool vu_readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n;

	do {
		n = poll(&p, 1, ms);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

/* ---- connection ---- */

void vu_front_init(struct vu_front *f)
{
	*f = (struct vu_front){.sock = -1,
	                       .region = calloc(VU_REGIONS_MAX, sizeof(struct vu_region))};
	cr_assert_not_null(f->region);
}

void vu_front_use(struct vu_front *f, int sock)
{
	fd_close(&f->sock);
	f->sock = sock;
	f->ack = false;
	f->offered = f->protocol_offered = f->features = f->protocol = 0;
}

void vu_front_end(struct vu_front *f)
{
	fd_close(&f->sock);
	for (unsigned i = 0; i < f->regions; i++) {
		(void)munmap(f->region[i].host, f->region[i].at.size);
		fd_close(&f->region[i].fd);
	}
	free(f->region);
	f->region = NULL;
	f->regions = 0;
}

/* ---- messages ---- */

bool vu_send_raw(struct vu_front *f, const void *bytes, size_t size, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	cr_assert_leq(count, FDS_MAX);
	if (count) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	}
	while (iov.iov_len > 0) {
		ssize_t n = sendmsg(f->sock, &msg, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			cr_assert(errno == EPIPE || errno == ECONNRESET, "sendmsg: %s",
			          strerror(errno));
			return false;
		}
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return true;
}

bool vu_send_fds(struct vu_front *f, uint32_t request, uint32_t flags, const void *payload,
                 size_t size, const int *fds, size_t count)
{
	uint8_t bytes[VU_HEAD_SIZE + PAYLOAD_MAX];
	struct vu_head head = {
	    .request = request, .flags = VU_VERSION | flags, .size = (uint32_t)size};

	cr_assert_leq(size, PAYLOAD_MAX);
	memcpy(bytes, &head, VU_HEAD_SIZE);
	if (size)
		memcpy(bytes + VU_HEAD_SIZE, payload, size);
	return vu_send_raw(f, bytes, VU_HEAD_SIZE + size, fds, count);
}

bool vu_send(struct vu_front *f, uint32_t request, uint32_t flags, const void *payload, size_t size,
             int fd)
{
	return vu_send_fds(f, request, flags, payload, size, &fd, fd >= 0);
}

/* Puts the first descriptor that comes with the bytes at *fd (unless NULL), and closes all others. */
static void take_rights(struct msghdr *msg, int *fd)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int one;

			memcpy(&one, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (fd && *fd < 0)
				*fd = one;
			else
				fd_close(&one);
		}
	}
}

static bool read_all(struct vu_front *f, void *buffer, size_t size, int *fd)
{
	for (size_t have = 0; have < size;) {
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		} control;
		struct iovec iov = {(uint8_t *)buffer + have, size - have};
		struct msghdr msg = {.msg_iov = &iov,
		                     .msg_iovlen = 1,
		                     .msg_control = control.space,
		                     .msg_controllen = sizeof(control.space)};
		ssize_t n;

		cr_assert(vu_readable(f->sock, VU_PATIENCE_MS), "the back end does not answer");
		n = recvmsg(f->sock, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		take_rights(&msg, fd);
		have += (size_t)n;
	}
	return true;
}

static bool recv_fd(struct vu_front *f, struct vu_head *ret_head, void *payload, int *ret_fd)
{
	if (!read_all(f, ret_head, VU_HEAD_SIZE, ret_fd))
		return false;
	cr_assert_leq(ret_head->size, PAYLOAD_MAX, "the back end sends a payload of %u bytes",
	              ret_head->size);
	return read_all(f, payload, ret_head->size, ret_fd);
}

bool vu_recv(struct vu_front *f, struct vu_head *ret_head, void *payload)
{
	return recv_fd(f, ret_head, payload, NULL);
}

size_t vu_reply_fd(struct vu_front *f, uint32_t request, void *payload, int *ret_fd)
{
	struct vu_head head;

	*ret_fd = -1;
	cr_assert(recv_fd(f, &head, payload, ret_fd), "request %u: the back end closes", request);
	cr_assert_eq(head.request, request, "request %u is answered with %u", request,
	             head.request);
	cr_assert_eq(head.flags, VU_VERSION | VU_REPLY, "a reply with flags %#x", head.flags);
	return head.size;
}

size_t vu_reply(struct vu_front *f, uint32_t request, void *payload)
{
	size_t size;
	int fd;

	size = vu_reply_fd(f, request, payload, &fd);
	cr_assert_lt(fd, 0, "a descriptor comes with the reply to request %u", request);
	return size;
}

uint64_t vu_acked(struct vu_front *f, uint32_t request, const void *payload, size_t size, int fd)
{
	uint64_t answer[PAYLOAD_MAX / 8];

	cr_assert(vu_send(f, request, VU_NEED_REPLY, payload, size, fd),
	          "request %u: the back end has closed", request);
	cr_assert_eq(vu_reply(f, request, answer), sizeof(answer[0]));
	return answer[0];
}

void vu_set(struct vu_front *f, uint32_t request, const void *payload, size_t size, int fd)
{
	if (f->ack)
		cr_assert_eq(vu_acked(f, request, payload, size, fd), 0, "request %u is refused",
		             request);
	else
		cr_assert(vu_send(f, request, 0, payload, size, fd),
		          "request %u: the back end has closed", request);
}

uint64_t vu_get_u64(struct vu_front *f, uint32_t request)
{
	uint64_t answer[PAYLOAD_MAX / 8];

	cr_assert(vu_send(f, request, 0, NULL, 0, -1), "the back end has closed");
	cr_assert_eq(vu_reply(f, request, answer), sizeof(answer[0]));
	return answer[0];
}

void vu_barrier(struct vu_front *f)
{
	(void)vu_get_u64(f, VU_GET_FEATURES);
}

bool vu_answers(struct vu_front *f)
{
	uint64_t answer[PAYLOAD_MAX / 8];
	struct vu_head head;

	return vu_send(f, VU_GET_FEATURES, 0, NULL, 0, -1) && vu_recv(f, &head, answer) &&
	       head.request == VU_GET_FEATURES && head.size == sizeof(answer[0]);
}

bool vu_closes(struct vu_front *f)
{
	uint64_t until = vu_now_ms() + VU_PATIENCE_MS;
	uint8_t rest[PAYLOAD_MAX];

	while (vu_now_ms() < until && vu_readable(f->sock, VU_PATIENCE_MS)) {
		ssize_t n = recv(f->sock, rest, sizeof(rest), 0);

		if (n == 0 || (n < 0 && errno != EINTR))
			return true;
	}
	return false;
}

size_t vu_get_config(struct vu_front *f, uint32_t offset, uint32_t size, uint8_t *ret)
{
	uint32_t message[PAYLOAD_MAX / 4] = {offset, size, 0};
	size_t got;

	cr_assert_leq(size, VU_CONFIG_MAX);
	cr_assert(vu_send(f, VU_GET_CONFIG, 0, message, VU_CONFIG_HEAD + size, -1));
	got = vu_reply(f, VU_GET_CONFIG, message);
	if (got == 0)
		return 0;
	cr_assert_eq(got, VU_CONFIG_HEAD + size, "%u bytes were asked for, a payload of %zu came",
	             size, got);
	cr_assert(message[0] == offset && message[1] == size, "another range is answered");
	memcpy(ret, &message[3], size);
	return size;
}

/* ---- greeting ---- */

void vu_set_features(struct vu_front *f, uint64_t features)
{
	f->features = features;
	vu_set(f, VU_SET_FEATURES, &features, sizeof(features), -1);
}

void vu_greet(struct vu_front *f, uint64_t features, uint64_t protocol)
{
	vu_set(f, VU_SET_OWNER, NULL, 0, -1);
	f->offered = vu_get_u64(f, VU_GET_FEATURES);
	features &= f->offered;
	if (features & VU_F_PROTOCOL) {
		f->protocol_offered = vu_get_u64(f, VU_GET_PROTOCOL_FEATURES);
		f->protocol = f->protocol_offered & protocol;
		vu_set(f, VU_SET_PROTOCOL_FEATURES, &f->protocol, sizeof(f->protocol), -1);
	}
	vu_set_features(f, features);
}

/* ---- memory ---- */

struct vu_region *vu_region_add(struct vu_front *f, uint64_t gpa, uint64_t size, uint64_t uva,
                                uint64_t offset)
{
	struct vu_region *r = &f->region[f->regions];

	cr_assert_lt(f->regions++, VU_REGIONS_MAX);
	r->at = (struct vu_mem_entry){.gpa = gpa, .size = size, .uva = uva, .offset = offset};
	r->fd = memfd_create("guest", MFD_CLOEXEC);
	cr_assert_geq(r->fd, 0);
	cr_assert_eq(ftruncate(r->fd, (off_t)(offset + size)), 0);
	r->host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, (off_t)offset);
	cr_assert_neq(r->host, MAP_FAILED);
	r->used = 0;
	return r;
}

void vu_memory(struct vu_front *f)
{
	(void)vu_region_add(f, VU_LOW_GPA, VU_LOW_SIZE, 0x7f5500000000, 0x3000);
	(void)vu_region_add(f, VU_HIGH_GPA, VU_HIGH_SIZE, 0x7f4400000000, 0);
	(void)vu_region_add(f, VU_FAR_GPA, VU_FAR_SIZE, 0x7f6600200000, 0x200000);
}

void vu_tell_table(struct vu_front *f, unsigned first, unsigned count)
{
	struct vu_mem_table table = {.count = count};
	uint64_t answer[PAYLOAD_MAX / 8];
	int fds[8];

	cr_assert_leq(count, 8);
	for (unsigned i = 0; i < count; i++) {
		table.entry[i] = f->region[first + i].at;
		fds[i] = f->region[first + i].fd;
	}
	cr_assert(vu_send_fds(f, VU_SET_MEM_TABLE, f->ack ? VU_NEED_REPLY : 0, &table,
	                      8 + 32 * count, fds, count));
	if (f->ack) {
		cr_assert_eq(vu_reply(f, VU_SET_MEM_TABLE, answer), sizeof(answer[0]));
		cr_assert_eq(answer[0], 0, "the memory table is refused");
	}
}

void vu_tell_added(struct vu_front *f, unsigned i)
{
	struct vu_mem_one m = {.entry = f->region[i].at};

	vu_set(f, VU_ADD_MEM_REG, &m, sizeof(m), f->region[i].fd);
}

void vu_tell_removed(struct vu_front *f, unsigned i)
{
	struct vu_mem_one m = {.entry = f->region[i].at};

	vu_set(f, VU_REM_MEM_REG, &m, sizeof(m), -1);
}

void vu_tell_memory(struct vu_front *f)
{
	if (!(f->protocol & VU_P_MEM_SLOTS)) {
		vu_tell_table(f, 0, f->regions);
		return;
	}
	for (unsigned i = 0; i < f->regions; i++)
		vu_tell_added(f, i);
}

static struct vu_region *region_of(const struct vu_front *f, uint64_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < f->regions; i++) {
		struct vu_region *r = &f->region[i];

		if (gpa >= r->at.gpa && gpa - r->at.gpa <= r->at.size &&
		    size <= r->at.size - (gpa - r->at.gpa))
			return r;
	}
	cr_assert_fail("the test's own address %#lx is in no region", (unsigned long)gpa);
	return NULL;
}

void *vu_at(const struct vu_front *f, uint64_t gpa, uint64_t size)
{
	struct vu_region *r = region_of(f, gpa, size);

	return r->host + (gpa - r->at.gpa);
}

uint64_t vu_uva(const struct vu_front *f, uint64_t gpa)
{
	struct vu_region *r = region_of(f, gpa, 1);

	return r->at.uva + (gpa - r->at.gpa);
}

uint64_t vu_alloc(struct vu_front *f, unsigned region, uint64_t size, uint64_t align)
{
	struct vu_region *r = &f->region[region < f->regions ? region : f->regions - 1];
	uint64_t at = (r->at.gpa + r->used + align - 1) / align * align;

	cr_assert_gt(f->regions, 0);
	cr_assert_leq(at + size, r->at.gpa + r->at.size, "the test's guest memory is used up");
	r->used = at + size - r->at.gpa;
	memset(vu_at(f, at, size), 0, size);
	return at;
}

void vu_alloc_reset(struct vu_front *f)
{
	for (unsigned i = 0; i < f->regions; i++)
		f->region[i].used = 0;
}

uint8_t *vu_memory_copy(const struct vu_front *f, unsigned region)
{
	const struct vu_region *r = &f->region[region];
	uint8_t *copy = malloc(r->used);

	cr_assert_not_null(copy);
	memcpy(copy, r->host, r->used);
	return copy;
}

bool vu_memory_same(const struct vu_front *f, unsigned region, const uint8_t *copy)
{
	return memcmp(f->region[region].host, copy, f->region[region].used) == 0;
}
