/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device_ring.c: the io_uring of a serving device, which no filter sees, tried by who may do everything: it takes the operations it
 * was made for and no other.
 */
#include "tests/lib/p9_rig.h"
#include "tests/lib/proc.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define ENTRIES   256 /* of the device's ring: where its parts lie depends on it */
#define OPS       48  /* numbers of operations to try, those of later kernels too */
#define REGISTERS 24

static struct p9_rig rig;
static int ring = -1;
static struct io_uring_params layout;
static uint8_t *queue;
static struct io_uring_sqe *sqes;

/* The device's descriptor, here. */
static int take_ring(pid_t pid)
{
	AUTO_CLOSE int device = (int)syscall(SYS_pidfd_open, pid, 0);
	DIR *d = opendir(proc_path(pid, "fd"));
	struct dirent *e;
	int fd = -1;

	cr_assert_geq(device, 0);
	cr_assert_not_null(d);
	while (fd < 0 && (e = readdir(d))) {
		char link[64] = "", name[280];

		(void)snprintf(name, sizeof(name), "fd/%s", e->d_name);
		if (readlink(proc_path(pid, name), link, sizeof(link) - 1) > 0 &&
		    strcmp(link, "anon_inode:[io_uring]") == 0)
			fd = (int)syscall(SYS_pidfd_getfd, device, strtol(e->d_name, NULL, 10), 0);
	}
	(void)closedir(d);
	cr_assert_geq(fd, 0, "the device has no ring: %s", rig_log(&rig.rig));
	return fd;
}

static atomic_uint *field(uint32_t offset)
{
	return (atomic_uint *)(void *)(queue + offset);
}

static bool has_started_with_ring(void)
{
	p9_rig_start(&rig, NULL);
	if (!strstr(rig_log(&rig.rig), "no io_uring ("))
		return true;
	p9_rig_end(&rig);
	return false;
}

static void start(void)
{
	int own;
	size_t size;

	layout = (struct io_uring_params){.flags = IORING_SETUP_R_DISABLED};
	own = (int)syscall(SYS_io_uring_setup, ENTRIES, &layout);
	if (own < 0)
		cr_skip_test("this kernel lets nobody have an io_uring");
	fd_close(&own);
	/* The kernel gives up the rings of ended processes when it likes, and may have no room for more until then. */
	WAIT_WHILE(!has_started_with_ring());
	ring = take_ring(rig.device);
	/* Nothing but the test is to use it meanwhile. */
	cr_assert_eq(kill(rig.device, SIGSTOP), 0);
	size = layout.cq_off.cqes + layout.cq_entries * sizeof(struct io_uring_cqe) +
	       ENTRIES * sizeof(uint32_t);
	queue = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, ENTRIES * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
	            IORING_OFF_SQES);
	cr_assert(queue != MAP_FAILED && sqes != MAP_FAILED);
	cr_assert_eq(atomic_load(field(layout.sq_off.ring_entries)), ENTRIES);
}

static void end(void)
{
	if (ring < 0)
		return;
	fd_close(&ring);
	cr_assert_eq(kill(rig.device, SIGCONT), 0);
	/* It goes on as before. */
	p9_make(&rig.c, 1, "f", 0644);
	p9_put(&rig.c, 1, 0, "text");
	p9_rig_end(&rig);
}

TestSuite(device_ring, .init = start, .fini = end, .timeout = 60);

/* Submits one. Its user data is that of a cancellation, of which the device wants to know nothing. Return: its result. */
static int submit(const struct io_uring_sqe *sqe)
{
	unsigned tail = atomic_load(field(layout.sq_off.tail)), slot = tail % ENTRIES;
	unsigned done = atomic_load(field(layout.cq_off.tail));
	const struct io_uring_cqe *cqes = (const void *)(queue + layout.cq_off.cqes);

	sqes[slot] = *sqe;
	atomic_store(field(layout.sq_off.array + slot * (uint32_t)sizeof(uint32_t)), slot);
	atomic_store(field(layout.sq_off.tail), tail + 1);
	cr_assert_eq(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
	/* A thread of the kernel's may have taken it. */
	WAIT_WHILE(atomic_load(field(layout.cq_off.tail)) == done);
	cr_assert_eq(atomic_load(field(layout.cq_off.tail)), done + 1);
	return cqes[done % layout.cq_entries].res;
}

static bool is_for(uint8_t op)
{
	return op == IORING_OP_READV || op == IORING_OP_WRITEV || op == IORING_OP_FSYNC ||
	       op == IORING_OP_CLOSE || op == IORING_OP_ASYNC_CANCEL;
}

Test(device_ring, five_operations_and_no_other)
{
	for (uint8_t op = 0; op < OPS; op++) {
		int result = submit(&(struct io_uring_sqe){.opcode = op, .fd = -1});

		if (is_for(op))
			cr_assert(result == -EBADF || result == -ENOENT, "%u: %d", op, result);
		else
			cr_assert(result == -EACCES || (op > IORING_OP_SOCKET && result == -EINVAL),
			          "%u: %d", op, result);
	}
}

Test(device_ring, nothing_is_opened_and_no_socket_made)
{
	cr_assert_eq(submit(&(struct io_uring_sqe){.opcode = IORING_OP_OPENAT,
	                                           .fd = -100 /* AT_FDCWD */,
	                                           .addr = (uint64_t)(uintptr_t) "/etc/passwd"}),
	             -EACCES);
	cr_assert_eq(submit(&(struct io_uring_sqe){
	                 .opcode = IORING_OP_SOCKET, .fd = 1 /* AF_UNIX */, .off = 1}),
	             -EACCES);
}

Test(device_ring, no_flags_but_one)
{
	static const uint8_t flags[] = {IOSQE_FIXED_FILE, IOSQE_IO_DRAIN, IOSQE_IO_LINK,
	                                IOSQE_IO_HARDLINK, IOSQE_BUFFER_SELECT};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		cr_assert_eq(submit(&(struct io_uring_sqe){
		                 .opcode = IORING_OP_READV, .fd = -1, .flags = flags[i]}),
		             -EACCES, "flag %#x", flags[i]);
	cr_assert_eq(submit(&(struct io_uring_sqe){
	                 .opcode = IORING_OP_READV, .fd = -1, .flags = IOSQE_ASYNC}),
	             -EBADF);
}

/* Neither files, nor buffers, nor other restrictions. */
Test(device_ring, nothing_is_registered_any_more)
{
	for (int what = 0; what < REGISTERS; what++) {
		long r = syscall(SYS_io_uring_register, ring, what, NULL, 0);

		cr_assert(r < 0 && errno == EACCES, "%d: %ld, errno %d", what, r, errno);
	}
}
