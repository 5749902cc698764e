/* SPDX-License-Identifier: GPL-2.0-or-later */
/* walls.c: what a serving helper still has, as the kernel tells it. */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/proc.h"
#include "tests/lib/rig.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"
#include "common/parse.h"
#include "helper/export.h"
#include "helper/lockdown.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

static struct rig rig;

static void start(void)
{
	struct legacy_lstat_rep st;

	rig_start(&rig, NULL);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
}

static void end(void)
{
	cr_assert_eq(rig_end(&rig), 0);
}

TestSuite(walls, .init = start, .fini = end, .timeout = 30);

static bool in_namespaces(void)
{
	return !strstr(rig_log(&rig), "only chroot holds the export");
}

static void must_have_caps(const struct rig *r, const char *caps)
{
	cr_assert_str_eq(rig_proc(r, "CapEff"), caps);
	cr_assert_str_eq(rig_proc(r, "CapPrm"), caps);
	cr_assert_str_eq(rig_proc(r, "CapInh"), "0000000000000000");
	cr_assert_str_eq(rig_proc(r, "CapBnd"), "0000000000000000");
	cr_assert_str_eq(rig_proc(r, "CapAmb"), "0000000000000000");
	cr_assert_str_eq(rig_proc(r, "NoNewPrivs"), "1");
}

Test(walls, seven_capabilities_and_none_to_be_had)
{
	/* CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, SETGID 6, SETUID 7, MKNOD 27 */
	must_have_caps(&rig, "00000000080000db");
}

Test(walls, a_filter_is_on)
{
	cr_assert_str_eq(rig_proc(&rig, "Seccomp"), "2");
	cr_assert_str_eq(rig_proc(&rig, "Seccomp_filters"), "1");
}

Test(walls, limits)
{
	cr_assert_eq(proc_limit(rig.helper, "Max core file size"), 0);
	cr_assert_leq(proc_limit(rig.helper, "Max open files"), 4096);
	cr_assert_eq(proc_limit(rig.helper, "Max locked memory"), 0);
}

Test(walls, nothing_is_mounted_but_the_export)
{
	if (!in_namespaces())
		cr_skip_test("no mount namespaces here");
	proc_mounts_one(rig.helper);
}

static void must_be_apart(pid_t pid)
{
	cr_assert_not(proc_shares(pid, "mnt"));
	cr_assert_not(proc_shares(pid, "net"));
	cr_assert_not(proc_shares(pid, "ipc"));
	cr_assert_not(proc_shares(pid, "uts"));
}

Test(walls, namespaces_of_its_own)
{
	if (!in_namespaces())
		cr_skip_test("namespaces cannot be made here");
	must_be_apart(rig.helper);
}

Test(walls, every_descriptor_is_accounted_for)
{
	DIR *d = opendir(proc_path(rig.helper, "fd"));
	struct dirent *e;
	int nulls = 0, sockets = 0, roots = 0, logs = 0;

	cr_assert_not_null(d);
	while ((e = readdir(d))) {
		char link[320], path[320];
		ssize_t n;

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "fd/%s", e->d_name);
		n = readlink(proc_path(rig.helper, path), link, sizeof(link) - 1);
		cr_assert_gt(n, 0);
		link[n] = '\0';
		if (strcmp(link, "/dev/null") == 0)
			nulls++;
		else if (strncmp(link, "socket:", 7) == 0)
			sockets++;
		else if (strcmp(link, "/") == 0)
			roots++;
		else if (strstr(link, "memfd:log"))
			logs++;
		else
			cr_assert_fail("descriptor %s is %s", e->d_name, link);
	}
	(void)closedir(d);
	cr_assert_eq(nulls, 2, "standard input and output");
	cr_assert_eq(logs, 1, "standard error");
	cr_assert_eq(sockets, 1, "the peer");
	cr_assert_eq(roots, 2, "the export, and the clone of /proc/self/fd, a root itself");
}

Test(walls, little_memory)
{
	uint64_t kib = 0;
	char text[64];

	if (is_sanitized())
		cr_skip_test("a sanitizer's memory is its own");
	(void)snprintf(text, sizeof(text), "%s", rig_proc(&rig, "VmRSS"));
	*strchr(text, ' ') = '\0';
	cr_assert(parse_u64(text, UINT64_MAX, &kib));
	cr_assert_lt(kib, 4096, "%d KiB are resident", (int)kib);
}

Test(walls, soon_ready)
{
	double best = 1e9;

	if (is_sanitized())
		cr_skip_test("a sanitizer's start-up is its own");
	for (int i = 0; i < 5 || (i < 100 && best >= 20.0);
	     i++) { /* a busy machine has its moments */
		static struct rig other;
		struct timespec a, b;
		struct legacy_lstat_rep st;
		double ms;

		(void)clock_gettime(CLOCK_MONOTONIC, &a);
		rig_start(&other, NULL);
		cr_assert_eq(peer_lstat(other.sock, "/", &st), 0);
		(void)clock_gettime(CLOCK_MONOTONIC, &b);
		cr_assert_eq(rig_end(&other), 0);
		ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
		best = ms < best ? ms : best;
	}
	cr_assert_lt(best, 20.0, "%.1f ms from fork to the first reply", best);
}

/* Such a mount would come with the host's options, devices and writing among them. */
Test(walls, later_mounts_of_the_host_do_not_come_in)
{
	static struct rig host;
	struct legacy_lstat_rep st;

	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL), 0);
	rig_start(&host, NULL);
	cr_assert_eq(mkdir(rig_path(&host, "m"), 0755), 0);
	cr_assert_eq(peer_lstat(host.sock, "//m", &st), 0);
	cr_assert_eq(mount("none", rig_path(&host, "m"), "tmpfs", 0, NULL), 0);
	rig_write(&host, "m/f", "");
	cr_assert_eq(peer_lstat(host.sock, "//m//f", &st), -ENOENT);
	cr_assert_eq(umount(rig_path(&host, "m")), 0);
	cr_assert_eq(rig_end(&host), 0);
}

/* Mounts that were there do, and with the options of the rest. */
Test(walls, earlier_mounts_come_in_without_devices)
{
	const unsigned long options = ST_NODEV | ST_NOSUID | ST_NOEXEC;
	static struct rig host;
	struct legacy_lstat_rep st;
	struct statvfs fs;

	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	rig_dirs(&host);
	cr_assert_eq(mkdir(rig_path(&host, "m"), 0755), 0);
	cr_assert_eq(mount("none", rig_path(&host, "m"), "tmpfs", 0, NULL), 0);
	rig_write(&host, "m/f", "");
	rig_serve(&host, NULL);
	cr_assert_eq(peer_lstat(host.sock, "//m//f", &st), 0);
	cr_assert_eq(peer_mknod(host.sock, "//m//null", S_IFCHR | 0666, makedev(1, 3), 0, 0), 0);
	AUTO_CLOSE int dir = peer_open(host.sock, "//m", O_DIRECTORY);

	cr_assert_geq(dir, 0);
	cr_assert_lt(openat(dir, "null", O_RDWR), 0);
	cr_assert_eq(errno, EACCES);
	cr_assert_eq(fstatvfs(dir, &fs), 0);
	cr_assert_eq(fs.f_flag & options, options, "0x%lx", fs.f_flag);
	fd_close(&dir);
	fd_close(&host.sock);
	cr_assert_eq(rig_exit_status(host.helper), 0);
	host.helper = -1;
	cr_assert_eq(umount(rig_path(&host, "m")), 0);
	cr_assert_eq(rig_end(&host), 0);
}

/* /proc/PID/mem of the helper itself is a "regular file": open, it writes the helper's memory
 * whoever holds it. */
Test(walls, a_procfs_in_the_export_is_not_opened)
{
	static struct rig host;
	char path[64];

	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	rig_dirs(&host);
	cr_assert_eq(mkdir(rig_path(&host, "proc"), 0755), 0);
	cr_assert_eq(mount("proc", rig_path(&host, "proc"), "proc", 0, NULL), 0);
	rig_serve(&host, NULL);
	(void)snprintf(path, sizeof(path), "//proc//%d//mem", (int)host.helper);
	cr_assert_eq(peer_open(host.sock, path, O_RDWR), -EACCES);
	cr_assert_eq(peer_open(host.sock, "//proc//uptime", O_RDONLY), -EACCES);
	cr_assert_eq(peer_truncate(host.sock, path, 0), -EACCES);
	fd_close(&host.sock);
	cr_assert_eq(rig_exit_status(host.helper), 0);
	host.helper = -1;
	cr_assert_eq(umount(rig_path(&host, "proc")), 0);
	cr_assert_eq(rig_end(&host), 0);
}

/* One with the helper's own ids and rights could attach to it, were it dumpable. */
static void must_be_undumpable(pid_t helper)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
		struct __user_cap_data_struct data[2] = {
		    {.effective = 0x080000df, .permitted = 0x080000df}};

		if (syscall(SYS_capset, &header, data) < 0)
			_exit(99);
		_exit(ptrace(PTRACE_SEIZE, helper, 0, 0) < 0 && errno == EPERM ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
}

Test(walls, undumpable)
{
	must_be_undumpable(rig.helper);
}

Test(walls, a_helper_of_packets_has_them_too)
{
	static struct rig packets;

	rig_dirs(&packets);
	packets.native = true;
	rig_serve(&packets, NULL);
	WAIT_WHILE(strcmp(rig_proc(&packets, "Seccomp_filters"), rig_filters(1)) != 0);
	cr_assert_str_eq(rig_proc(&packets, "Seccomp_filters"), rig_filters(1), "%s",
	                 rig_log(&packets));
	must_have_caps(&packets, "00000000080000df"); /* and DAC_READ_SEARCH 2 */
	must_be_undumpable(packets.helper);
	if (in_namespaces()) {
		must_be_apart(packets.helper);
		proc_mounts_one(packets.helper);
	}
	cr_assert_eq(rig_end(&packets), 0);
}

/* In the jail, and with the rights of a taken-over helper: there is no way up from the working
 * directory. */
static int climb(const char *export_path)
{
	static const char *const ways[] = {"../../../../../../etc/passwd",
	                                   "../../../etc/passwd",
	                                   "/etc/passwd",
	                                   "../../1/root",
	                                   "../status",
	                                   "../../uptime"};
	struct export x = EXPORT_NONE;
	struct stat st;

	if (export_open(export_path, &x) < 0 || lockdown_jail(&x, SANDBOX_NAMESPACE, false) < 0)
		return 99;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (stat(ways[i], &st) == 0)
			return 1;
		if (fstatat(x.proc_fds, ways[i], &st, 0) == 0)
			return 2;
	}
	/* And yet descriptors are found by their names. */
	return stat("0", &st) == 0 ? 0 : 3;
}

Test(walls, no_way_leads_up_from_the_working_directory)
{
	int status;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(climb(rig.export));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(WEXITSTATUS(status), 0, "status %d", WEXITSTATUS(status));
}

/* A taken-over helper of the native dialect, before its filter: a file that lies outside, on the export's file system. */
static int open_by_handle(const char *export_path, const char *outside)
{
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} h = {.head.handle_bytes = MAX_HANDLE_SZ};
	struct export x = EXPORT_NONE;
	int mount_id, mount_fd;

	if (name_to_handle_at(AT_FDCWD, outside, &h.head, &mount_id, 0) < 0)
		return 98;
	if (export_open(export_path, &x) < 0 || lockdown_jail(&x, SANDBOX_NAMESPACE, false) < 0 ||
	    lockdown_rights(&x, true, false) < 0)
		return 99;
	mount_fd = openat(x.root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount_fd < 0)
		return 97;
	if (open_by_handle_at(mount_fd, &h.head, O_RDONLY | O_CLOEXEC) >= 0)
		return 1;
	return errno == EPERM ? 0 : errno;
}

Test(walls, without_file_handles_none_is_opened_by_one)
{
	char outside[128];
	pid_t pid;

	(void)snprintf(outside, sizeof(outside), "%s/canary", rig.outside);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(open_by_handle(rig.export, outside));
	cr_assert_eq(rig_exit_status(pid), 0);
}
