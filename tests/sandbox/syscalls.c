/* SPDX-License-Identifier: GPL-2.0-or-later */
/* syscalls.c: the filters themselves, put on a process of the test: what is not listed ends it. */
#include "tests/lib/rig.h"

#include "common/compiler.h"
#include "common/confine.h"
#include "seccomp/load.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct call {
	long number;
	long args[6]; /* the first is -1 unless it is set: a descriptor that there is not */
};

static enum seccomp_mode mode = SECCOMP_AS_BUILT;

static int run_call(enum seccomp_filter which, const struct call *call)
{
	const long *a = call->args;
	int status;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		if (confine_no_new_privs() < 0 || confine_undumpable() < 0 ||
		    seccomp_load(which, mode) < 0)
			_exit(99);
		(void)syscall(call->number, a[0] ? a[0] : -1, a[1], a[2], a[3], a[4], a[5]);
		(void)syscall(SYS_exit_group, 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(enum seccomp_filter which, long number, long arg1)
{
	return run_call(which, &(struct call){.number = number, .args = {0, arg1}});
}

static const struct {
	const char *name;
	long number;
} dangerous[] = {
#define CALL(name)                \
	{                         \
#name, SYS_##name \
	}
    CALL(execve),
    CALL(execveat),
    CALL(fork),
    CALL(vfork),
    CALL(clone),
    CALL(clone3),
    CALL(ptrace),
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(kill),
    CALL(tgkill),
    CALL(pidfd_open),
    CALL(pidfd_getfd),
    CALL(socket),
    CALL(socketpair),
    CALL(connect),
    CALL(bind),
    CALL(listen),
    CALL(sendto),
    CALL(mount),
    CALL(umount2),
    CALL(pivot_root),
    CALL(chroot),
    CALL(unshare),
    CALL(setns),
    CALL(open_tree),
    CALL(move_mount),
    CALL(fsopen),
    CALL(fsmount),
    CALL(fsconfig),
    CALL(mount_setattr),
    CALL(open),
    CALL(creat),
    CALL(open_by_handle_at),
    CALL(name_to_handle_at),
    CALL(chdir),
    CALL(fchdir),
    CALL(setuid),
    CALL(setgid),
    CALL(setresuid),
    CALL(setresgid),
    CALL(setgroups),
    CALL(prctl),
    CALL(init_module),
    CALL(finit_module),
    CALL(kexec_load),
    CALL(bpf),
    CALL(perf_event_open),
    CALL(userfaultfd),
    CALL(io_uring_setup),
    CALL(io_uring_enter),
    CALL(keyctl),
    CALL(add_key),
    CALL(reboot),
    CALL(swapon),
    CALL(memfd_create),
    CALL(shmget),
    CALL(setrlimit),
    CALL(dup),
    CALL(dup2),
    CALL(dup3),
    CALL(fcntl),
    CALL(link),
    CALL(symlink),
    CALL(rename),
    CALL(unlink),
    CALL(chmod),
    CALL(chown),
    CALL(seccomp),
    CALL(accept4),
    CALL(accept),
#undef CALL
};

static bool needs(enum seccomp_filter which, long number)
{
	if (which == SECCOMP_HELPER_NATIVE)
		return number == SYS_name_to_handle_at || number == SYS_open_by_handle_at;
	return which == SECCOMP_HELPER_ACCEPT && (number == SYS_accept4 || number == SYS_seccomp);
}

Test(syscalls, what_an_attacker_would_want_ends_the_process, .timeout = 60)
{
	static const enum seccomp_filter filters[] = {SECCOMP_HELPER_SERVE, SECCOMP_HELPER_NATIVE,
	                                              SECCOMP_HELPER_ACCEPT};

	for (size_t k = 0; k < ARRAY_SIZE(filters); k++) {
		for (size_t i = 0; i < ARRAY_SIZE(dangerous); i++) {
			int status;

			if (needs(filters[k], dangerous[i].number))
				continue;
			status = run(filters[k], dangerous[i].number, 0);
			cr_assert_eq(status, 128 + SIGSYS, "%s: status %d", dangerous[i].name,
			             status);
		}
	}
}

/* Files by name are the helper's alone: the device has not even the calls. */
static const struct {
	const char *name;
	long number;
} by_name[] = {
#define CALL(name)                \
	{                         \
#name, SYS_##name \
	}
    CALL(openat),      CALL(openat2),    CALL(mkdirat),        CALL(mknodat),
    CALL(unlinkat),    CALL(renameat),   CALL(renameat2),      CALL(linkat),
    CALL(symlinkat),   CALL(readlinkat), CALL(fchmodat),       CALL(fchownat),
    CALL(truncate),    CALL(utimensat),  CALL(getxattr),       CALL(setxattr),
    CALL(removexattr), CALL(listxattr),  CALL(getdents64),     CALL(statfs),
    CALL(faccessat),   CALL(setfsuid),   CALL(setfsgid),       CALL(capset),
    CALL(fchmod),      CALL(fchown),     CALL(io_uring_setup), CALL(io_uring_register),
    CALL(pidfd_getfd),
#undef CALL
};

Test(syscalls, the_device_has_no_call_that_takes_a_name, .timeout = 60)
{
	for (size_t i = 0; i < ARRAY_SIZE(by_name); i++) {
		int status = run(SECCOMP_DEVICE_SERVE, by_name[i].number, 0);

		cr_assert_eq(status, 128 + SIGSYS, "%s: status %d", by_name[i].name, status);
	}
	for (size_t i = 0; i < ARRAY_SIZE(dangerous); i++) {
		int status;

		/*
		 * What it does need: clients, the ring, memory that an emulator keeps (its name is a label that leads
		 * nowhere), and fcntl, of which the next test tells.
		 */
		if (dangerous[i].number == SYS_accept4 || dangerous[i].number == SYS_fcntl ||
		    dangerous[i].number == SYS_io_uring_enter ||
		    dangerous[i].number == SYS_memfd_create)
			continue;
		status = run(SECCOMP_DEVICE_SERVE, dangerous[i].number, 0);
		cr_assert_eq(status, 128 + SIGSYS, "%s: status %d", dangerous[i].name, status);
	}
}

/* ---- arguments ---- */

struct row {
	enum seccomp_filter filter;
	struct call call;
	bool allowed;
};

static void must_hold(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int status = run_call(rows[i].filter, &rows[i].call);

		cr_assert_eq(status, rows[i].allowed ? 0 : 128 + SIGSYS, "row %zu: status %d", i,
		             status);
	}
}

#define ROW(filter, allowed, name, ...)                                    \
	{                                                                  \
		SECCOMP_##filter, {SYS_##name, {0, __VA_ARGS__}}, allowed, \
	}

Test(syscalls, the_device_asks_descriptors_six_things)
{
	static const struct row rows[] = {
	    ROW(DEVICE_SERVE, true, fcntl, F_OFD_SETLK),
	    ROW(DEVICE_SERVE, true, fcntl, F_OFD_GETLK),
	    ROW(DEVICE_SERVE, true, fcntl, F_DUPFD_CLOEXEC),
	    ROW(DEVICE_SERVE, true, fcntl, F_GETFL),
	    ROW(DEVICE_SERVE, true, fcntl, F_ADD_SEALS),
	    ROW(DEVICE_SERVE, true, fcntl, F_SETFL, O_NONBLOCK | O_RDWR),
	    ROW(DEVICE_SERVE, false, fcntl, F_SETFL, O_RDWR),
	    ROW(DEVICE_SERVE, false, fcntl, F_SETFL, O_NONBLOCK | O_ASYNC),
	    ROW(DEVICE_SERVE, false, fcntl, F_SETFL, O_NONBLOCK | O_DIRECT),
	    ROW(DEVICE_SERVE, false, fcntl, F_DUPFD),
	    ROW(DEVICE_SERVE, false, fcntl, F_SETOWN),
	    ROW(DEVICE_SERVE, false, fcntl, F_NOTIFY),
	};

	must_hold(rows, ARRAY_SIZE(rows));
}

Test(syscalls, the_devices_arguments)
{
	static const struct row rows[] = {
	    ROW(DEVICE_SERVE, true, recvmsg, 0, MSG_CMSG_CLOEXEC),
	    ROW(DEVICE_SERVE, false, recvmsg, 0, 0), /* a descriptor that an exec would keep */
	    ROW(DEVICE_SERVE, true, sendmsg, 0, MSG_NOSIGNAL | MSG_DONTWAIT),
	    ROW(DEVICE_SERVE, false, sendmsg, 0, MSG_NOSIGNAL | MSG_OOB),
	    ROW(DEVICE_SERVE, true, accept4, 0, 0, SOCK_CLOEXEC),
	    ROW(DEVICE_SERVE, false, accept4, 0, 0, 0),
	    ROW(DEVICE_SERVE, true, mmap, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1),
	    ROW(DEVICE_SERVE, true, mremap, 4096, 8192, MREMAP_MAYMOVE),
	    ROW(DEVICE_SERVE, false, mremap, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED),
	    ROW(DEVICE_SERVE, true, memfd_create, MFD_CLOEXEC | MFD_ALLOW_SEALING),
	    ROW(DEVICE_SERVE, false, memfd_create, MFD_CLOEXEC),
	    ROW(DEVICE_SERVE, true, statx, 0, AT_EMPTY_PATH),
	    ROW(DEVICE_SERVE, false, statx, 0, 0),
	    ROW(DEVICE_SERVE, true, newfstatat, 0, 0, AT_EMPTY_PATH),
	    ROW(DEVICE_SERVE, false, newfstatat, 0, 0, 0),
	    ROW(DEVICE_SERVE, true, preadv2, 0, 0, 0, 0, RWF_NOWAIT),
	    ROW(DEVICE_SERVE, false, preadv2, 0, 0, 0, 0, RWF_HIPRI),
	    ROW(DEVICE_SERVE, false, pwritev2, 0, 0, 0, 0, RWF_APPEND),
	    ROW(DEVICE_SERVE, true, io_uring_enter, 0, 0, IORING_ENTER_GETEVENTS),
	    ROW(DEVICE_SERVE, false, io_uring_enter, 0, 0, IORING_ENTER_REGISTERED_RING),
	    ROW(DEVICE_SERVE, true, getsockopt, SOL_SOCKET, SO_TYPE),
	    ROW(DEVICE_SERVE, false, getsockopt, SOL_SOCKET, SO_PEERSEC),
	    ROW(DEVICE_SERVE, false, fsync, 0),
	    ROW(DEVICE_THREADS, true, fsync, 0),
	    ROW(DEVICE_THREADS, true, fdatasync, 0),
	    ROW(DEVICE_THREADS, false, clone, 0),
	    ROW(DEVICE_THREADS, false, fallocate, FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE),
	    ROW(DEVICE_DISKS, true, fdatasync, 0),
	    ROW(DEVICE_DISKS, true, fallocate, FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE),
	    ROW(DEVICE_DISKS, true, fallocate, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE),
	    ROW(DEVICE_DISKS, false, fallocate, 0),
	    ROW(DEVICE_DISKS, false, fallocate, FALLOC_FL_COLLAPSE_RANGE),
	    ROW(DEVICE_DISKS, false, clone, 0),
	};

	must_hold(rows, ARRAY_SIZE(rows));
}

/* A sanitizer's runtime maps and waits as it likes. */
Test(syscalls, memory_is_never_executable)
{
	static const struct row rows[] = {
	    ROW(DEVICE_SERVE, false, mmap, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, -1),
	    ROW(DEVICE_SERVE, false, mmap, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE),
	    ROW(DEVICE_SERVE, false, mprotect, 4096, PROT_READ | PROT_EXEC),
	    ROW(DEVICE_SERVE, false, mprotect, 4096, PROT_READ),
	    ROW(HELPER_SERVE, false, mmap, 4096, PROT_READ, MAP_PRIVATE, -1),
	    ROW(HELPER_NATIVE, false, mmap, 4096, PROT_READ, MAP_PRIVATE, -1),
	    ROW(HELPER_NATIVE, false, mprotect, 4096, PROT_READ),
	    ROW(DEVICE_THREADS, true, futex, FUTEX_WAKE | FUTEX_PRIVATE_FLAG),
	    ROW(DEVICE_THREADS, false, futex, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG),
	    ROW(HELPER_NATIVE, true, futex, FUTEX_WAKE | FUTEX_PRIVATE_FLAG),
	    ROW(HELPER_NATIVE, false, futex, FUTEX_CMP_REQUEUE),
	};

	if (is_sanitized())
		cr_skip_test("a sanitizer's runtime may do what it likes with memory");
	must_hold(rows, ARRAY_SIZE(rows));
}

Test(syscalls, the_helpers_arguments)
{
	static const enum seccomp_filter both[] = {SECCOMP_HELPER_SERVE, SECCOMP_HELPER_NATIVE};
	struct row rows[] = {
	    ROW(HELPER_SERVE, true, openat, 0, O_PATH | O_CLOEXEC),
	    ROW(HELPER_SERVE, true, openat, 0, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    ROW(HELPER_SERVE, true, openat, 0, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC),
	    ROW(HELPER_SERVE, false, openat, 0, O_RDWR),
	    ROW(HELPER_SERVE, false, openat, 0, O_RDWR | O_CREAT | O_CLOEXEC),
	    ROW(HELPER_SERVE, false, openat, 0, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC),
	    ROW(HELPER_SERVE, false, openat, 0, O_RDWR | O_TMPFILE | O_CLOEXEC),
	    ROW(HELPER_SERVE, false, recvmsg, 0, 0),
	    ROW(HELPER_SERVE, true, unlinkat, 0, AT_REMOVEDIR),
	    ROW(HELPER_SERVE, false, unlinkat, 0, AT_REMOVEDIR << 1),
	};

	for (size_t k = 0; k < ARRAY_SIZE(both); k++) {
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			rows[i].filter = both[k];
		must_hold(rows, ARRAY_SIZE(rows));
	}
}

Test(syscalls, what_serving_needs_is_let_through)
{
	static const long needed[] = {SYS_openat2,    SYS_close,     SYS_newfstatat,  SYS_fstatfs,
	                              SYS_readlinkat, SYS_mknodat,   SYS_mkdirat,     SYS_symlinkat,
	                              SYS_linkat,     SYS_renameat,  SYS_unlinkat,    SYS_fchmodat,
	                              SYS_fchownat,   SYS_utimensat, SYS_truncate,    SYS_getxattr,
	                              SYS_listxattr,  SYS_setxattr,  SYS_removexattr, SYS_setfsuid,
	                              SYS_setfsgid,   SYS_capset};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		cr_assert_eq(run(SECCOMP_HELPER_SERVE, needed[i], 0), 0, "call %ld", needed[i]);
}

Test(syscalls, a_mode_decides_about_other_calls)
{
	cr_assert_not(seccomp_mode_parse("none", &mode));
	cr_assert_not(seccomp_mode_parse("", &mode));
	cr_assert(seccomp_mode_parse("log", &mode));
	cr_assert_eq(run(SECCOMP_DEVICE_SERVE, SYS_socket, 0), 0);
	cr_assert(seccomp_mode_parse("trap", &mode));
	cr_assert_eq(run(SECCOMP_DEVICE_SERVE, SYS_socket, 0), 128 + SIGSYS);
	cr_assert(seccomp_mode_parse("kill", &mode));
	cr_assert_eq(run(SECCOMP_DEVICE_SERVE, SYS_socket, 0), 128 + SIGSYS);
}

Test(syscalls, the_device_asks_block_devices_for_sizes_only)
{
	static const unsigned long allowed[] = {BLKGETSIZE64, BLKSSZGET, BLKPBSZGET,
	                                        BLKROGET,     BLKIOMIN,  BLKIOOPT};
	static const unsigned long others[] = {BLKROSET,   BLKRRPART,  BLKFLSBUF,
	                                       BLKDISCARD, BLKZEROOUT, 0x5412 /* TIOCSTI */};

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		cr_assert_eq(run(SECCOMP_DEVICE_SERVE, SYS_ioctl, (long)allowed[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		cr_assert_eq(run(SECCOMP_DEVICE_SERVE, SYS_ioctl, (long)others[i]), 128 + SIGSYS);
}

Test(syscalls, one_ioctl_and_no_other)
{
	cr_assert_eq(run(SECCOMP_HELPER_SERVE, SYS_ioctl, (long)FS_IOC_GETVERSION), 0);
	cr_assert_eq(run(SECCOMP_HELPER_SERVE, SYS_ioctl, (long)FS_IOC_SETFLAGS), 128 + SIGSYS);
	cr_assert_eq(run(SECCOMP_HELPER_SERVE, SYS_ioctl, 0x5412 /* TIOCSTI */), 128 + SIGSYS);
}

Test(syscalls, waiting_for_a_peer_takes_two_more)
{
	static const struct row rows[] = {
	    ROW(HELPER_ACCEPT, true, accept4, 0, 0, SOCK_CLOEXEC),
	    ROW(HELPER_ACCEPT, true, seccomp, 0, 0),
	    ROW(HELPER_ACCEPT, true, setsockopt, SOL_SOCKET, SO_SNDBUF),
	    ROW(HELPER_ACCEPT, false, setsockopt, SOL_SOCKET, SO_RCVBUF),
	    ROW(HELPER_ACCEPT, false, socket, 0),
	    ROW(HELPER_ACCEPT, false, execve, 0),
	};

	must_hold(rows, ARRAY_SIZE(rows));
}
