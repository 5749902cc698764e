/* SPDX-License-Identifier: GPL-2.0-or-later */
/* syscalls.c: the filters themselves, put on a process of the test: what is not listed ends it. */
#include "common/compiler.h"
#include "common/confine.h"
#include "seccomp/load.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(enum seccomp_filter which, long number, long arg1)
{
	int status;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		if (confine_no_new_privs() < 0 || confine_undumpable() < 0 ||
		    seccomp_load(which) < 0)
			_exit(99);
		(void)syscall(number, -1, arg1, 0, 0, 0, 0);
		(void)syscall(SYS_exit_group, 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
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

Test(syscalls, what_an_attacker_would_want_ends_the_process, .timeout = 60)
{
	for (size_t i = 0; i < ARRAY_SIZE(dangerous); i++) {
		int status = run(SECCOMP_HELPER_SERVE, dangerous[i].number, 0);

		cr_assert_eq(status, 128 + SIGSYS, "%s: status %d", dangerous[i].name, status);
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

Test(syscalls, the_device_asks_descriptors_six_things)
{
	static const long allowed[] = {F_OFD_SETLK, F_OFD_GETLK, F_DUPFD_CLOEXEC,
	                               F_GETFL,     F_SETFL,     F_ADD_SEALS};

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		cr_assert_eq(run(SECCOMP_DEVICE_SERVE, SYS_fcntl, allowed[i]), 0);
	cr_assert_eq(run(SECCOMP_DEVICE_SERVE, SYS_fcntl, F_SETOWN), 128 + SIGSYS);
	cr_assert_eq(run(SECCOMP_DEVICE_SERVE, SYS_fcntl, F_NOTIFY), 128 + SIGSYS);
}

Test(syscalls, the_device_asks_block_devices_for_sizes_only)
{
	static const unsigned long allowed[] = {BLKGETSIZE64, BLKSSZGET, BLKPBSZGET, BLKIOMIN,
	                                        BLKIOOPT};
	static const unsigned long others[] = {BLKROSET,   BLKRRPART,  BLKFLSBUF,
	                                       BLKDISCARD, BLKZEROOUT, 0x5412 /* TIOCSTI */};

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		cr_assert_eq(run(SECCOMP_DEVICE_SERVE, SYS_ioctl, (long)allowed[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		cr_assert_eq(run(SECCOMP_DEVICE_SERVE, SYS_ioctl, (long)others[i]), 128 + SIGSYS);
}

Test(syscalls, what_serving_needs_is_let_through)
{
	static const long needed[] = {
	    SYS_recvmsg,    SYS_sendmsg,     SYS_openat2,    SYS_openat,   SYS_close,
	    SYS_newfstatat, SYS_fstatfs,     SYS_readlinkat, SYS_mknodat,  SYS_mkdirat,
	    SYS_symlinkat,  SYS_linkat,      SYS_renameat,   SYS_unlinkat, SYS_fchmodat,
	    SYS_fchownat,   SYS_utimensat,   SYS_truncate,   SYS_getxattr, SYS_listxattr,
	    SYS_setxattr,   SYS_removexattr, SYS_setfsuid,   SYS_setfsgid, SYS_capset};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		cr_assert_eq(run(SECCOMP_HELPER_SERVE, needed[i], 0), 0, "call %ld", needed[i]);
}

Test(syscalls, one_ioctl_and_no_other)
{
	cr_assert_eq(run(SECCOMP_HELPER_SERVE, SYS_ioctl, (long)FS_IOC_GETVERSION), 0);
	cr_assert_eq(run(SECCOMP_HELPER_SERVE, SYS_ioctl, (long)FS_IOC_SETFLAGS), 128 + SIGSYS);
	cr_assert_eq(run(SECCOMP_HELPER_SERVE, SYS_ioctl, 0x5412 /* TIOCSTI */), 128 + SIGSYS);
}

Test(syscalls, waiting_for_a_peer_takes_two_more)
{
	cr_assert_eq(run(SECCOMP_HELPER_ACCEPT, SYS_accept4, 0), 0);
	cr_assert_eq(run(SECCOMP_HELPER_ACCEPT, SYS_seccomp, 0), 0);
	cr_assert_eq(run(SECCOMP_HELPER_ACCEPT, SYS_socket, 0), 128 + SIGSYS);
	cr_assert_eq(run(SECCOMP_HELPER_ACCEPT, SYS_execve, 0), 128 + SIGSYS);
}
