/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * messages.c: vhost-user messages that are malformed, come before their time, or ask for what cannot be. Each is refused,
 * by an acknowledgement that says so or by closing the connection; the device lives, serves the next connection, and keeps
 * none of the descriptors that came along.
 */
#include "tests/lib/vu_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static struct vu_rig rig;
static struct vu_front *const f = &rig.f;
static struct vu_ring *const ring = &rig.ring;

static void start(void)
{
	vu_rig_start(&rig, &(struct vu_rig_opt){.until = VU_RIG_MEMORY});
}

static void end(void)
{
	vu_rig_serves(&rig);
	vu_rig_end(&rig);
}

TestSuite(messages, .init = start, .fini = end, .timeout = 300);

static void again(enum vu_rig_until until)
{
	vu_rig_down(&rig);
	vu_rig_up(&rig, until);
}

enum verdict { TAKEN, REFUSED, CLOSED };

/* What becomes of a message; one that has a reply of its own is taken if that comes. */
static enum verdict verdict_of(uint32_t request, const void *payload, size_t size, const int *fds,
                               size_t count)
{
	uint64_t answer[512];
	struct vu_head head;

	if (!vu_send_fds(f, request, VU_NEED_REPLY, payload, size, fds, count) ||
	    !vu_recv(f, &head, answer))
		return CLOSED;
	cr_assert_eq(head.request, request);
	cr_assert_eq(head.flags, VU_VERSION | VU_REPLY);
	switch (request) {
	case VU_GET_CONFIG:
	case VU_GET_INFLIGHT_FD:
		return head.size == 0 ? REFUSED : TAKEN;
	case VU_GET_FEATURES:
	case VU_GET_PROTOCOL_FEATURES:
	case VU_GET_QUEUE_NUM:
	case VU_GET_MAX_MEM_SLOTS:
	case VU_GET_VRING_BASE:
		return TAKEN;
	default:
		cr_assert_eq(head.size, 8);
		return answer[0] ? REFUSED : TAKEN;
	}
}

/* It must be refused; the connection is as new again after it. */
static void refuse_fds(const char *what, uint32_t request, const void *payload, size_t size,
                       const int *fds, size_t count)
{
	enum verdict v = verdict_of(request, payload, size, fds, count);

	cr_assert_neq(v, TAKEN, "%s: it is taken", what);
	if (v == CLOSED)
		again(VU_RIG_MEMORY);
	else
		cr_assert(vu_answers(f), "%s: refused, and then dead", what);
}

static void refuse(const char *what, uint32_t request, const void *payload, size_t size)
{
	refuse_fds(what, request, payload, size, NULL, 0);
}

static void refuse_state(const char *what, uint32_t request, uint32_t index, uint32_t value)
{
	refuse(what, request, &(struct vu_state){index, value}, sizeof(struct vu_state));
}

static int some_fd(void)
{
	return rig.f.region[0].fd;
}

/* ---- heads ---- */

static void close_raw(const char *what, const void *bytes, size_t size)
{
	again(VU_RIG_MEMORY);
	(void)vu_send_raw(f, bytes, size, NULL, 0);
	cr_assert(vu_closes(f), "%s: the connection stays", what);
}

Test(messages, a_head_of_another_version)
{
	for (uint32_t version = 0; version < 4; version++) {
		if (version != VU_VERSION)
			close_raw("version", &(struct vu_head){VU_GET_FEATURES, version, 0},
			          VU_HEAD_SIZE);
	}
}

Test(messages, a_size_above_any_message)
{
	static const uint32_t sizes[] = {4097, 65536, 1u << 31, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		close_raw("size", &(struct vu_head){VU_SET_MEM_TABLE, VU_VERSION, sizes[i]},
		          VU_HEAD_SIZE);
}

Test(messages, a_reply_where_a_request_is_due)
{
	enum verdict v;
	uint64_t answer[512];
	struct vu_head head;

	/* Either it is no request at all, or the flag is not looked at: then it is answered once. */
	(void)vu_send(f, VU_GET_FEATURES, VU_REPLY, NULL, 0, -1);
	v = vu_recv(f, &head, answer) ? TAKEN : CLOSED;
	if (v == TAKEN)
		cr_assert(vu_answers(f));
	else
		again(VU_RIG_MEMORY);
}

Test(messages, unknown_requests)
{
	static const uint32_t more[] = {VU_REQUESTS_END, 100, 255, 1u << 16, UINT32_MAX};
	static const uint32_t none[] = {0, 19, 20, 22, 23, 26, 27, 28, 29, 30, 33, 41};

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		refuse("a request nobody offered", none[i], (uint64_t[8]){0}, 8);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		refuse("a request that is none", more[i], NULL, 0);
}

/* ---- every request with every size and number of descriptors ---- */

static const struct {
	uint32_t request;
	uint32_t size;
	uint32_t fds;
} rights[] = {
    {VU_GET_FEATURES, 0, 0},   {VU_SET_FEATURES, 8, 0},          {VU_SET_OWNER, 0, 0},
    {VU_SET_VRING_NUM, 8, 0},  {VU_SET_VRING_ADDR, 40, 0},       {VU_SET_VRING_BASE, 8, 0},
    {VU_GET_VRING_BASE, 8, 0}, {VU_SET_VRING_KICK, 8, 1},        {VU_SET_VRING_CALL, 8, 1},
    {VU_SET_VRING_ERR, 8, 1},  {VU_GET_PROTOCOL_FEATURES, 0, 0}, {VU_SET_PROTOCOL_FEATURES, 8, 0},
    {VU_GET_QUEUE_NUM, 0, 0},  {VU_SET_VRING_ENABLE, 8, 0},      {VU_GET_MAX_MEM_SLOTS, 0, 0},
    {VU_ADD_MEM_REG, 40, 1},   {VU_REM_MEM_REG, 40, 0},
};

Test(messages, payloads_that_are_too_short)
{
	uint8_t zeros[64] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rights); i++) {
		for (uint32_t size = 0; size < rights[i].size; size++) {
			int fd = some_fd();

			refuse_fds("too short", rights[i].request, zeros, size, &fd, rights[i].fds);
		}
	}
}

Test(messages, any_request_of_any_size_with_any_descriptors)
{
	static const uint32_t sizes[] = {0, 4, 8, 12, 16, 20, 40, 72, 264, 4096};
	static const uint32_t counts[] = {0, 1, 2, 8, 9, 253};
	static uint8_t bytes[3][4096];
	int fds[253];

	memset(bytes[1], 0xff, sizeof(bytes[1]));
	for (size_t i = 0; i < sizeof(bytes[2]); i++)
		bytes[2][i] = (uint8_t)(i * 31 % 7 == 0 ? i : 0);
	for (uint32_t request = 0; request < VU_REQUESTS_END; request++) {
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			for (size_t n = 0; n < ARRAY_SIZE(counts); n++) {
				const uint8_t *payload = bytes[(request + s + n) % 3];

				for (size_t k = 0; k < counts[n]; k++)
					fds[k] = some_fd();
				(void)vu_send_fds(f, request, n % 2 ? VU_NEED_REPLY : 0, payload,
				                  sizes[s], fds, counts[n]);
			}
			/* What it answers does not matter here; that it goes on, does. */
			again(VU_RIG_CONNECTED);
			cr_assert(vu_answers(f), "request %u of %u bytes", request, sizes[s]);
			vu_greet(f, VU_ALL_FEATURES, VU_ALL_PROTOCOL);
			vu_memory(f);
		}
	}
}

Test(messages, descriptors_where_none_belong_are_closed)
{
	int before, fds[3] = {some_fd(), some_fd(), some_fd()};

	vu_barrier(f);
	before = vu_fd_count(rig.device);
	for (int i = 0; i < 500; i++) {
		if (!vu_send_fds(f, VU_GET_FEATURES, 0, NULL, 0, fds, (size_t)(i % 4)))
			break;
		{
			uint64_t answer[512];
			struct vu_head head;

			if (!vu_recv(f, &head, answer)) {
				again(VU_RIG_MEMORY);
				vu_barrier(f);
			}
		}
	}
	cr_assert_leq(vu_fd_count(rig.device), before + 1);
}

Test(messages, descriptors_that_are_replaced_are_closed)
{
	int before;

	vu_ring_init(ring, f, 0, 128);
	vu_ring_start(ring);
	vu_barrier(f);
	before = vu_fd_count(rig.device);
	for (int i = 0; i < 300; i++) {
		vu_tell_kick(ring);
		vu_tell_call(ring);
		vu_tell_err(ring);
		vu_set(f, VU_SET_BACKEND_REQ_FD, NULL, 0, some_fd());
	}
	vu_barrier(f);
	cr_assert_leq(vu_fd_count(rig.device), before + 1);
	vu_ring_end(ring);
}

Test(messages, descriptors_of_a_refused_message_are_closed)
{
	struct vu_mem_one one = {.entry = {.gpa = 1, .size = 0}};
	int before, fd = some_fd();

	vu_barrier(f);
	before = vu_fd_count(rig.device);
	for (int i = 0; i < 300; i++)
		refuse_fds("a region of no bytes", VU_ADD_MEM_REG, &one, sizeof(one), &fd, 1);
	vu_barrier(f);
	cr_assert_leq(vu_fd_count(rig.device), before);
}

/* ---- features ---- */

Test(messages, features_that_were_not_offered)
{
	uint64_t offered = vu_get_u64(f, VU_GET_FEATURES);
	uint64_t protocol = vu_get_u64(f, VU_GET_PROTOCOL_FEATURES);

	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t one = 1ull << bit | VU_F_PROTOCOL;

		if (!(offered >> bit & 1))
			refuse("a feature that was not offered", VU_SET_FEATURES, &one, 8);
		one = 1ull << bit | VU_P_REPLY_ACK;
		if (!(protocol >> bit & 1))
			refuse("a protocol feature that was not offered", VU_SET_PROTOCOL_FEATURES,
			       &one, 8);
	}
}

/* ---- rings ---- */

/* A ring that cannot be may be refused when told or when it starts, or be broken; it must not run, and nothing may die. */
static void bad_ring_of(const char *what, uint32_t num, uint32_t base, const struct vu_addr *a)
{
	vu_ring_init(ring, f, 0, 128);
	vu_tell_call(ring);
	vu_tell_err(ring);
	(void)vu_send(f, VU_SET_VRING_NUM, 0, &(struct vu_state){0, num}, 8, -1);
	(void)vu_send(f, VU_SET_VRING_BASE, 0, &(struct vu_state){0, base}, 8, -1);
	(void)vu_send(f, VU_SET_VRING_ADDR, 0, a, sizeof(*a), -1);
	(void)vu_send(f, VU_SET_VRING_KICK, 0, &(uint64_t){0}, 8, ring->kick);
	(void)vu_send(f, VU_SET_VRING_ENABLE, 0, &(struct vu_state){0, 1}, 8, -1);
	/* A good request in it, should it run. */
	vu_p9_init(&rig.p, ring, 0);
	(void)P9_SEND(&rig.p.c, VERSION, version, .msize = 8192, .version = "9P2000.L");
	vu_ring_kick_anyway(ring);
	if (vu_answers(f))
		vu_sleep_ms(20);
	cr_assert_eq(ring->used->idx, 0, "%s: it runs", what);
	again(VU_RIG_MEMORY);
}

static void bad_ring(const char *what, uint64_t desc, uint64_t avail, uint64_t used)
{
	bad_ring_of(what, 128, 0, &(struct vu_addr){.desc = desc, .avail = avail, .used = used});
}

/* Where vu_ring_init() will lay the next ring out. */
static struct vu_addr good_addresses(void)
{
	uint64_t uva = f->region[VU_LOW].at.uva;

	return (struct vu_addr){.desc = uva, .avail = uva + 16 * 128, .used = uva + 16 * 128 + 264};
}

Test(messages, ring_sizes_that_cannot_be)
{
	static const uint32_t sizes[] = {0,     3,     127,         129,      32769,
	                                 65535, 65536, 65536 + 128, 1u << 31, UINT32_MAX};
	struct vu_addr a = good_addresses();

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		bad_ring_of("a ring's size", sizes[i], 0, &a);
}

Test(messages, an_available_index_that_cannot_be)
{
	struct vu_addr a = good_addresses();

	bad_ring_of("base 2^16", 128, 65536, &a);
	bad_ring_of("base 2^32 - 1", 128, UINT32_MAX, &a);
}

Test(messages, ring_indices_that_there_are_not)
{
	static const uint32_t indices[] = {1, 2, 63, 64, 255, 256, 65536, UINT32_MAX};
	static const uint32_t requests[] = {VU_SET_VRING_NUM, VU_SET_VRING_BASE,
	                                    VU_SET_VRING_ENABLE};

	for (size_t i = 0; i < ARRAY_SIZE(indices); i++) {
		struct vu_addr a = {.index = indices[i]};
		uint64_t answer[512];
		struct vu_head head;

		for (size_t k = 0; k < ARRAY_SIZE(requests); k++)
			refuse_state("a ring's index", requests[k], indices[i], 1);
		refuse("a ring's index", VU_SET_VRING_ADDR, &a, sizeof(a));
		/* GET_VRING_BASE has no way to say no. */
		if (!vu_send(f, VU_GET_VRING_BASE, 0, &(struct vu_state){indices[i], 0}, 8, -1) ||
		    !vu_recv(f, &head, answer))
			again(VU_RIG_MEMORY);
	}
	for (uint64_t index = 1; index < 256; index += index < 4 ? 1 : 50) {
		int fd = some_fd();

		refuse_fds("a ring's index", VU_SET_VRING_KICK, &index, 8, &fd, 1);
		refuse_fds("a ring's index", VU_SET_VRING_CALL, &index, 8, &fd, 1);
		refuse_fds("a ring's index", VU_SET_VRING_ERR, &index, 8, &fd, 1);
	}
}

Test(messages, kick_call_err_without_the_descriptor_they_tell_of)
{
	static const uint32_t requests[] = {VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		refuse("no descriptor", requests[i], &(uint64_t){0}, 8);
	refuse("no descriptor", VU_SET_BACKEND_REQ_FD, NULL, 0);
}

Test(messages, get_vring_base_of_a_ring_that_never_ran)
{
	vu_ring_init(ring, f, 0, 128);
	ring->avail_idx = 77;
	cr_assert_eq(vu_ring_stop(ring), 0);
	vu_tell_num(ring);
	vu_tell_base(ring);
	cr_assert_eq(vu_ring_stop(ring), 77);
	for (int i = 0; i < 10; i++)
		(void)vu_ring_stop(ring);
	vu_ring_end(ring);
}

Test(messages, rings_at_addresses_that_cannot_be)
{
	uint64_t low = f->region[VU_LOW].at.uva, end_of = low + VU_LOW_SIZE;

	bad_ring("guest addresses", VU_LOW_GPA, VU_LOW_GPA + 4096, VU_LOW_GPA + 8192);
	bad_ring("nowhere", 0, 0, 0);
	bad_ring("overflow", UINT64_MAX - 15, UINT64_MAX - 15, UINT64_MAX - 15);
	bad_ring("descriptors reach beyond", end_of - 16 * 127, low, low + 4096);
	bad_ring("available ring reaches beyond", low, end_of - 2, low + 4096);
	bad_ring("used ring reaches beyond", low, low + 4096, end_of - 4);
	bad_ring("descriptors at no multiple of 16", low + 8, low + 8192, low + 4096);
	bad_ring("available ring at an odd address", low, low + 8193, low + 4096);
	bad_ring("used ring at no multiple of 4", low, low + 8192, low + 4098);
	bad_ring("across two regions that are neighbours in the guest alone", end_of - 1024, low,
	         low + 4096);
}

Test(messages, a_ring_before_any_memory)
{
	uint64_t uva;

	again(VU_RIG_CONNECTED);
	vu_greet(f, VU_ALL_FEATURES, VU_ALL_PROTOCOL);
	vu_memory(f);
	uva = f->region[VU_LOW].at.uva;
	bad_ring("no memory", uva, uva + 4096, uva + 8192);
}

Test(messages, a_ring_without_its_size_or_addresses)
{
	vu_ring_init(ring, f, 0, 128);
	(void)vu_send(f, VU_SET_VRING_KICK, 0, &(uint64_t){0}, 8, ring->kick);
	(void)vu_send(f, VU_SET_VRING_ENABLE, 0, &(struct vu_state){0, 1}, 8, -1);
	vu_ring_kick_anyway(ring);
	(void)vu_answers(f);
	vu_ring_end(ring);
	again(VU_RIG_MEMORY);
	vu_ring_init(ring, f, 0, 128);
	vu_tell_addr(ring);
	(void)vu_send(f, VU_SET_VRING_KICK, 0, &(uint64_t){0}, 8, ring->kick);
	(void)vu_send(f, VU_SET_VRING_ENABLE, 0, &(struct vu_state){0, 1}, 8, -1);
	vu_ring_kick_anyway(ring);
	(void)vu_answers(f);
	vu_ring_end(ring);
	again(VU_RIG_MEMORY);
}

Test(messages, ring_messages_while_the_ring_runs)
{
	/* NUM, BASE and ADDR with other values under a running ring: refused, or for the next start. */
	again(VU_RIG_SESSION);
	(void)vu_send(f, VU_SET_VRING_NUM, 0, &(struct vu_state){0, 2}, 8, -1);
	(void)vu_send(f, VU_SET_VRING_BASE, 0, &(struct vu_state){0, 4000}, 8, -1);
	if (vu_answers(f)) {
		(void)P9_SEND(&rig.p.c, CLUNK, clunk, .fid = 9);
		vu_ring_kick_anyway(ring);
		vu_sleep_ms(20);
		cr_assert(vu_answers(f));
	}
}

/* ---- memory ---- */

static void bad_region(const char *what, struct vu_mem_entry e, int fd)
{
	struct vu_mem_table table = {.count = 1, .entry = {e}};
	struct vu_mem_one one = {.entry = e};

	refuse_fds(what, VU_SET_MEM_TABLE, &table, 40, &fd, 1);
	refuse_fds(what, VU_ADD_MEM_REG, &one, sizeof(one), &fd, 1);
}

Test(messages, regions_that_cannot_be)
{
	uint64_t gpa = 1ull << 40;
	int fd = some_fd(); /* of 0x3000 + 4 MiB bytes */

	bad_region("no bytes", (struct vu_mem_entry){gpa, 0, gpa, 0}, fd);
	bad_region("gpa + size overflows", (struct vu_mem_entry){UINT64_MAX - 4095, 8192, gpa, 0},
	           fd);
	bad_region("uva + size overflows", (struct vu_mem_entry){gpa, 8192, UINT64_MAX - 4095, 0},
	           fd);
	bad_region("offset + size overflows",
	           (struct vu_mem_entry){gpa, 8192, gpa, UINT64_MAX - 4095}, fd);
	bad_region("2^64 - 1 bytes", (struct vu_mem_entry){0, UINT64_MAX, 0, 0}, fd);
	bad_region("2^63 bytes", (struct vu_mem_entry){0, 1ull << 63, 0, 0}, fd);
	bad_region("beyond its file", (struct vu_mem_entry){gpa, VU_LOW_SIZE + 0x4000, gpa, 0}, fd);
	bad_region("offset beyond its file", (struct vu_mem_entry){gpa, 4096, gpa, 1ull << 30}, fd);
}

Test(messages, regions_in_what_is_no_memory)
{
	struct vu_mem_entry e = {1ull << 40, 4096, 1ull << 40, 0};
	int fds[5], pair[2];

	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[1] = open(rig.rig.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds[2] = open(rig.rig.dir, O_PATH | O_CLOEXEC);
	cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
	fds[3] = pair[0];
	fds[4] = rig.f.sock;
	for (size_t i = 0; i < 4; i++) {
		bad_region("what is no memory", e, fds[i]);
		fd_close(&fds[i]);
	}
	bad_region("a socket", e, rig.f.sock);
	fd_close(&pair[1]);
}

Test(messages, a_region_in_a_file_that_is_read_only)
{
	struct vu_mem_entry e = {1ull << 40, 4096, 1ull << 40, 0};
	char path[64];
	int fd, ro;

	fd = memfd_create("ro", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(fd, 4096), 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(ro, 0);
	bad_region("a read-only file", e, ro);
	fd_close(&ro);
	fd_close(&fd);
}

Test(messages, regions_that_overlap)
{
	struct vu_mem_table table = {.count = 2,
	                             .entry = {{0x10000, 0x10000, 0x7f0000000000, 0},
	                                       {0x1f000, 0x10000, 0x7e0000000000, 0}}};
	struct vu_mem_one one = {.entry = {VU_LOW_GPA + 0x1000, 4096, 1ull << 40, 0}};
	int fds[2] = {some_fd(), some_fd()};

	refuse_fds("overlap in a table", VU_SET_MEM_TABLE, &table, 72, fds, 2);
	refuse_fds("overlap with one there", VU_ADD_MEM_REG, &one, sizeof(one), fds, 1);
	one.entry = f->region[0].at;
	refuse_fds("the same again", VU_ADD_MEM_REG, &one, sizeof(one), fds, 1);
}

Test(messages, tables_whose_count_lies)
{
	struct vu_mem_table table = {.count = 1, .entry = {f->region[0].at, f->region[1].at}};
	int fds[9];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = some_fd();
	refuse_fds("1 region, no descriptor", VU_SET_MEM_TABLE, &table, 40, fds, 0);
	table.count = 2;
	refuse_fds("2 regions, 1 descriptor", VU_SET_MEM_TABLE, &table, 72, fds, 1);
	refuse_fds("2 regions, room for 1", VU_SET_MEM_TABLE, &table, 40, fds, 2);
	table.count = 9;
	refuse_fds("9 regions, room for 8", VU_SET_MEM_TABLE, &table, sizeof(table), fds, 8);
	table.count = UINT32_MAX;
	refuse_fds("2^32 - 1 regions", VU_SET_MEM_TABLE, &table, sizeof(table), fds, 8);
	table.count = 1u << 27;
	refuse_fds("2^27 regions: 32 times that is 2^32", VU_SET_MEM_TABLE, &table, 40, fds, 1);
}

Test(messages, regions_beyond_the_slots)
{
	uint64_t slots = vu_get_u64(f, VU_GET_MAX_MEM_SLOTS);
	unsigned taken = f->regions;
	int fd = some_fd();

	cr_assert_leq(slots, VU_REGIONS_MAX);
	for (; taken < slots; taken++) {
		struct vu_mem_one one = {.entry = {(1ull << 40) + taken * 65536ull, 4096,
		                                   (1ull << 40) + taken * 65536ull, 0}};

		cr_assert_eq(verdict_of(VU_ADD_MEM_REG, &one, sizeof(one), &fd, 1), TAKEN,
		             "region %u of %lu", taken, (unsigned long)slots);
	}
	refuse_fds("one more than there are slots", VU_ADD_MEM_REG,
	           &(struct vu_mem_one){.entry = {1ull << 50, 4096, 1ull << 50, 0}},
	           sizeof(struct vu_mem_one), &fd, 1);
}

Test(messages, a_region_to_remove_that_is_not_there)
{
	struct vu_mem_one one = {.entry = f->region[0].at};

	one.entry.gpa += 4096;
	refuse("another address", VU_REM_MEM_REG, &one, sizeof(one));
	one.entry = f->region[0].at;
	one.entry.size -= 4096;
	refuse("another size", VU_REM_MEM_REG, &one, sizeof(one));
	one.entry = f->region[0].at;
	cr_assert_eq(verdict_of(VU_REM_MEM_REG, &one, sizeof(one), NULL, 0), TAKEN);
	refuse("twice", VU_REM_MEM_REG, &one, sizeof(one));
}

/* ---- sharing in-flight state and logs ---- */

Test(messages, inflight_areas_that_cannot_be)
{
	static const struct vu_inflight areas[] = {
	    {.queues = 0, .queue_size = 128},   {.queues = 1, .queue_size = 0},
	    {.queues = 65535, .queue_size = 1}, {.queues = 65535, .queue_size = 65535},
	    {.queues = 2, .queue_size = 128},   {.queues = 1, .queue_size = 65535}};

	if (!(f->protocol_offered & VU_P_INFLIGHT))
		cr_skip_test("the device does not offer INFLIGHT_SHMFD");
	for (size_t i = 0; i < ARRAY_SIZE(areas); i++) {
		struct vu_inflight a = areas[i];
		int fd = some_fd();

		(void)verdict_of(VU_GET_INFLIGHT_FD, &a, 20, NULL, 0);
		again(VU_RIG_MEMORY);
		/* An area in a file that is smaller, or at an offset that overflows. */
		a.size = 1ull << 40;
		(void)verdict_of(VU_SET_INFLIGHT_FD, &a, 20, &fd, 1);
		again(VU_RIG_MEMORY);
		a.offset = UINT64_MAX - 4095;
		a.size = 8192;
		(void)verdict_of(VU_SET_INFLIGHT_FD, &a, 20, &fd, 1);
		again(VU_RIG_MEMORY);
		cr_assert(vu_answers(f));
	}
}

Test(messages, logs_that_cannot_be)
{
	static const uint64_t logs[][2] = {{0, 0},
	                                   {1ull << 40, 0},
	                                   {4096, 1ull << 40},
	                                   {UINT64_MAX, 0},
	                                   {4096, UINT64_MAX - 4095}};

	for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
		int fd = some_fd();

		(void)verdict_of(VU_SET_LOG_BASE, logs[i], 16, &fd, 1);
		again(VU_RIG_MEMORY);
		(void)verdict_of(VU_SET_LOG_BASE, logs[i], 16, NULL, 0);
		again(VU_RIG_MEMORY);
		cr_assert(vu_answers(f));
	}
}

/* ---- pieces ---- */

Test(messages, a_message_byte_by_byte)
{
	struct {
		struct vu_head head;
		uint32_t state[2];
	} m = {{VU_SET_VRING_NUM, VU_VERSION | VU_NEED_REPLY, 8}, {0, 256}};
	uint64_t answer[512];

	for (size_t i = 0; i < sizeof(m); i++) {
		cr_assert(vu_send_raw(f, (uint8_t *)&m + i, 1, NULL, 0));
		vu_sleep_ms(1);
	}
	cr_assert_eq(vu_reply(f, VU_SET_VRING_NUM, answer), 8);
	cr_assert_eq(answer[0], 0);
}

Test(messages, many_messages_in_one_piece)
{
	struct vu_head many[100];
	uint64_t answer[512];

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct vu_head){i % 2 ? VU_GET_FEATURES : VU_SET_OWNER, VU_VERSION, 0};
	cr_assert(vu_send_raw(f, many, sizeof(many), NULL, 0));
	for (size_t i = 0; i < ARRAY_SIZE(many) / 2; i++)
		cr_assert_eq(vu_reply(f, VU_GET_FEATURES, answer), 8);
	cr_assert_not(vu_readable(f->sock, 50));
}

Test(messages, a_message_whose_end_is_long_in_coming)
{
	struct vu_head head = {VU_SET_FEATURES, VU_VERSION, 8};

	/* The rest never comes: that blocks nobody but itself, and its descriptor is closed with it. */
	cr_assert(vu_send_raw(f, &head, sizeof(head), &f->region[0].fd, 1));
	vu_sleep_ms(50);
	again(VU_RIG_SESSION);
	cr_assert(p9_alive(&rig.p.c));
}

Test(messages, answers_that_nobody_reads)
{
	struct vu_head head = {VU_GET_FEATURES, VU_VERSION, 0};
	int flags = fcntl(f->sock, F_GETFL);

	/* The socket is full both ways in the end; the device must neither grow nor block. */
	cr_assert_eq(fcntl(f->sock, F_SETFL, flags | O_NONBLOCK), 0);
	for (int i = 0; i < 200000; i++) {
		if (send(f->sock, &head, sizeof(head), MSG_NOSIGNAL) < 0)
			break;
	}
	vu_sleep_ms(50);
	cr_assert_lt(vu_rig_device_proc(&rig, "RssAnon"), 16384);
	again(VU_RIG_SESSION);
	cr_assert(p9_alive(&rig.p.c));
}

Test(messages, random_bytes)
{
	uint64_t seed = 2463534242;

	for (int round = 0; round < 300; round++) {
		uint64_t bytes[64];

		for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			bytes[i] = seed;
		}
		/* Half of them with a head that is believed. */
		if (round % 2)
			memcpy(bytes,
			       &(struct vu_head){(uint32_t)seed % VU_REQUESTS_END, VU_VERSION,
			                         (uint32_t)(seed >> 32) % 80},
			       VU_HEAD_SIZE);
		(void)vu_send_raw(f, bytes, sizeof(bytes), &f->region[0].fd, seed & 1);
		again(VU_RIG_MEMORY);
	}
	cr_assert(vu_answers(f));
}
