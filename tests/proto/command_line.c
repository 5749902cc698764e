/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_line.c: how the helper is started, refuses to start, tells that it is ready, and ends. */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/proc.h"
#include "tests/lib/rig.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>

static struct rig rig;

static void start(void)
{
	rig_dirs(&rig);
}

static void end(void)
{
	(void)rig_end(&rig);
}

TestSuite(command_line, .init = start, .fini = end, .timeout = 60);

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The helper refuses: exit status 1, and one line of error that says this. */
static void must_refuse(const char *reason, const char *const *args, int pass_fd)
{
	int status;

	fd_close(&rig.err);
	status = rig_exit_status(rig_spawn(&rig, args, pass_fd));
	cr_assert_eq(status, 1, "status %d: %s", status, rig_log(&rig));
	cr_assert_not_null(strstr(rig_log(&rig), reason), "wanted '%s', got: %s", reason, rig.log);
}

Test(command_line, what_is_missing_or_wrong_is_named)
{
	static const char *const none[] = {NULL};

	must_refuse("-p is missing", none, -1);
	must_refuse("-f or -s is missing", ARGS("-p", rig.export), -1);
	must_refuse("exclude each other", ARGS("-p", rig.export, "-f", "5", "-s", "x"), -1);
	must_refuse("-s needs -u and -g", ARGS("-p", rig.export, "-s", "x"), -1);
	must_refuse("-s needs -u and -g", ARGS("-p", rig.export, "-s", "x", "-u", "0"), -1);
	must_refuse("-u and -g go with -s", ARGS("-p", rig.export, "-f", "5", "-u", "0"), -1);
	must_refuse("--fd '5x'", ARGS("-p", rig.export, "-f", "5x"), -1);
	must_refuse("--fd '-1'", ARGS("-p", rig.export, "-f", "-1"), -1);
	must_refuse("--uid 'root'", ARGS("-p", rig.export, "-s", "x", "-u", "root", "-g", "0"), -1);
	must_refuse("--uid '4294967295'",
	            ARGS("-p", rig.export, "-s", "x", "-u", "4294967295", "-g", "0"), -1);
	must_refuse("--max-nodes '16777217'", ARGS("--max-nodes", "16777217"), -1);
	must_refuse("--max-nodes '2M'", ARGS("--max-nodes", "2M"), -1);
	must_refuse("--max-nodes 1: must be 2 or more",
	            ARGS("-p", rig.export, "-f", "5", "--max-nodes", "1"), -1);
	must_refuse("--inode-file-handles 'always': must be prefer or never",
	            ARGS("--inode-file-handles", "always"), -1);
	must_refuse("--log-level 'loud'", ARGS("--log-level", "loud"), -1);
	must_refuse("3 or above", ARGS("-p", rig.export, "-f", "1"), -1);
	must_refuse("--ready-fd 77: is no open descriptor",
	            ARGS("-p", rig.export, "-s", "x", "-u", "0", "-g", "0", "--ready-fd", "77"),
	            -1);
	must_refuse("two descriptors", ARGS("-p", rig.export, "-f", "5", "--ready-fd", "5"), -1);
	must_refuse("'export'", ARGS("export"), -1);
	must_refuse("--help", ARGS("--frobnicate"), -1);
}

Test(command_line, exports_that_are_none)
{
	char path[128];

	must_refuse("ENOENT", ARGS("-n", "-p", "/none/at/all", "-s", "x", "-u", "0", "-g", "0"),
	            -1);
	rig_write(&rig, "f", "");
	must_refuse("not a directory",
	            ARGS("-n", "-p", rig_path(&rig, "f"), "-s", "x", "-u", "0", "-g", "0"), -1);
	must_refuse("--whole-host", ARGS("-n", "-p", "/", "-s", "x", "-u", "0", "-g", "0"), -1);
	(void)snprintf(path, sizeof(path), "%s/root", rig.dir);
	cr_assert_eq(symlink("/", path), 0);
	must_refuse("--whole-host", ARGS("-n", "-p", path, "-s", "x", "-u", "0", "-g", "0"), -1);
}

Test(command_line, descriptors_that_are_no_connection)
{
	int pair[2], listener = -1;
	char number[12], path[128];
	AUTO_CLOSE int file = open("/dev/null", O_RDWR);

	must_refuse("must be a connected Unix socket", ARGS("-n", "-p", rig.export, "-f", "99"),
	            -1);
	(void)snprintf(number, sizeof(number), "%d", file);
	must_refuse("must be a connected Unix socket", ARGS("-n", "-p", rig.export, "-f", number),
	            file);
	cr_assert_eq(usock_pair(SOCK_DGRAM, pair), 0);
	(void)snprintf(number, sizeof(number), "%d", pair[0]);
	must_refuse("SOCK_STREAM", ARGS("-n", "-p", rig.export, "-f", number), pair[0]);
	(void)snprintf(path, sizeof(path), "%s/l", rig.dir);
	cr_assert_eq(usock_listen(path, SOCK_STREAM, &listener), 0);
	(void)snprintf(number, sizeof(number), "%d", listener);
	must_refuse("must be a connected Unix socket", ARGS("-n", "-p", rig.export, "-f", number),
	            listener);
}

static void must_answer(const char *option, const char *text)
{
	int status, ends[2];
	char out[4096] = "";
	pid_t pid;
	size_t have = 0;
	ssize_t n;

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)execl(getenv("VIRTFS_HELPER"), "virtfs-proxy-helper", option, (char *)NULL);
		_exit(127);
	}
	fd_close(&ends[1]);
	while ((n = read(ends[0], out + have, sizeof(out) - 1 - have)) > 0)
		have += (size_t)n;
	fd_close(&ends[0]);
	status = rig_exit_status(pid);
	cr_assert_eq(status, 0);
	cr_assert_not_null(strstr(out, text), "%s prints: %s", option, out);
}

Test(command_line, questions_are_answered)
{
	must_answer("--help", "--readonly");
	must_answer("-h", "Usage: virtfs-proxy-helper");
	must_answer("--version", "virtfs-proxy-helper " VIRTFS_VERSION);
	must_answer("--print-capabilities", "\"type\": \"9p-proxy-helper\"");
	must_answer("--print-capabilities", "\"inode-file-handles\"");
	must_answer("--print-capabilities", "\"dialects\": [\"legacy\", \"native\"]");
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_lt(strlen(path), sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path));
	int r;

	WAIT_WHILE((r = connect(sock, (struct sockaddr *)&address, sizeof(address))) < 0);
	cr_assert_eq(r, 0, "nobody listens at %s", path);
	return sock;
}

/* While it waits the old helper was full root still; ours has given everything away by then. */
Test(command_line, listening_at_a_path)
{
	char path[128];
	struct stat st;
	struct legacy_lstat_rep a;

	(void)snprintf(path, sizeof(path), "%s/sock", rig.dir);
	rig.helper =
	    rig_spawn(&rig, ARGS("-n", "-p", rig.export, "-s", path, "-u", "12", "-g", "34"), -1);
	WAIT_WHILE(strcmp(rig_proc(&rig, "Seccomp_filters"), rig_filters(1)) != 0);
	cr_assert_str_eq(rig_proc(&rig, "Seccomp_filters"), rig_filters(1));
	cr_assert_str_eq(rig_proc(&rig, "CapEff"), "00000000080000db");
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode, S_IFSOCK | 0770);
	cr_assert_eq(st.st_uid, 12);
	cr_assert_eq(st.st_gid, 34);
	rig.sock = connect_to(path);
	cr_assert_eq(peer_lstat(rig.sock, "/", &a), 0);
	cr_assert_str_eq(rig_proc(&rig, "Seccomp_filters"), rig_filters(2),
	                 "the filter narrows once a peer is there");
	AUTO_CLOSE int second = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, path, strlen(path));
	cr_assert_lt(connect(second, (struct sockaddr *)&address, sizeof(address)), 0,
	             "a second peer");
	fd_close(&rig.sock);
	cr_assert_eq(rig_exit_status(rig.helper), 0);
	rig.helper = -1;
	cr_assert_eq(stat(path, &st), 0, "the old helper leaves its socket too");
	must_refuse("exists already",
	            ARGS("-n", "-p", rig.export, "-s", path, "-u", "0", "-g", "0"), -1);
}

Test(command_line, readiness_on_a_descriptor)
{
	int ready[2], pair[2];
	char number[12], sock[12], byte = 0;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	(void)snprintf(number, sizeof(number), "%d", ready[1]);
	(void)snprintf(sock, sizeof(sock), "%d", pair[1]);
	(void)fcntl(ready[1], F_SETFD, 0);
	rig.helper = rig_spawn(&rig, ARGS("-n", "-p", rig.export, "-f", sock, "--ready-fd", number),
	                       pair[1]);
	fd_close(&ready[1]);
	fd_close(&pair[1]);
	rig.sock = pair[0];
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	cr_assert_eq(byte, '\n');
	cr_assert_eq(read(ready[0], &byte, 1), 0, "and it is closed");
	cr_assert_str_eq(rig_proc(&rig, "Seccomp_filters"), rig_filters(1), "ready means confined");
}

Test(command_line, readiness_for_a_service_manager)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int pair[2];
	char sock[12], text[16] = "";
	AUTO_CLOSE int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", rig.dir);
	cr_assert_eq(bind(manager, (struct sockaddr *)&address, sizeof(address)), 0);
	(void)setenv("NOTIFY_SOCKET", address.sun_path, 1);
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	(void)snprintf(sock, sizeof(sock), "%d", pair[1]);
	rig.helper = rig_spawn(&rig, ARGS("-n", "-p", rig.export, "-f", sock), pair[1]);
	fd_close(&pair[1]);
	rig.sock = pair[0];
	cr_assert_eq(recv(manager, text, sizeof(text) - 1, 0), 7);
	cr_assert_str_eq(text, "READY=1");
}

Test(command_line, as_a_daemon_it_returns_when_ready)
{
	int pair[2];
	char sock[12];
	struct legacy_lstat_rep a;

	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	(void)snprintf(sock, sizeof(sock), "%d", pair[1]);
	cr_assert_eq(rig_exit_status(rig_spawn(&rig, ARGS("-p", rig.export, "-f", sock), pair[1])),
	             0);
	fd_close(&pair[1]);
	cr_assert_eq(peer_lstat(pair[0], "/", &a), 0);
	fd_close(&pair[0]);
}

Test(command_line, a_daemon_is_alone_in_its_pid_namespace_and_ends_when_asked_to)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	struct legacy_lstat_rep a;
	char sock[12];
	int pair[2];

	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		const char *numbers;
		pid_t daemon;

		cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
		(void)snprintf(sock, sizeof(sock), "%d", pair[1]);
		cr_assert_eq(
		    rig_exit_status(rig_spawn(&rig, ARGS("-p", rig.export, "-f", sock), pair[1])),
		    0);
		fd_close(&pair[1]);
		cr_assert_eq(peer_lstat(pair[0], "/", &a), 0);
		daemon = proc_child(getpid(), "virtfs-proxy");
		cr_assert_gt(daemon, 0);
		numbers = proc_status(daemon, "NSpid");
		cr_assert(strlen(numbers) > 2 && strcmp(numbers + strlen(numbers) - 2, "\t1") == 0,
		          "NSpid: %s", numbers);
		cr_assert_eq(kill(daemon, signals[i]), 0);
		cr_assert_eq(rig_exit_status(daemon), 128 + signals[i]);
		fd_close(&pair[0]);
	}
}

/* The old helper's status was 0 by then, whatever went wrong. */
Test(command_line, as_a_daemon_it_fails_with_a_status)
{
	must_refuse("not a directory", ARGS("-p", "/etc/passwd", "-s", "x", "-u", "0", "-g", "0"),
	            -1);
	must_refuse("must be a connected Unix socket", ARGS("-p", rig.export, "-f", "99"), -1);
}

Test(command_line, a_relative_export)
{
	int pair[2];
	char sock[12];
	struct legacy_lstat_rep a;

	cr_assert_eq(chdir(rig.dir), 0);
	rig_write(&rig, "f", "");
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	(void)snprintf(sock, sizeof(sock), "%d", pair[1]);
	cr_assert_eq(rig_exit_status(rig_spawn(&rig, ARGS("-p", "export", "-f", sock), pair[1])),
	             0);
	cr_assert_eq(peer_lstat(pair[0], "//f", &a), 0);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

Test(command_line, ends_when_asked_to)
{
	struct legacy_lstat_rep a;
	static struct rig other;

	rig_start(&other, NULL);
	cr_assert_eq(peer_lstat(other.sock, "/", &a), 0);
	cr_assert_eq(kill(other.helper, SIGTERM), 0);
	cr_assert_eq(rig_end(&other), 128 + SIGTERM);
}

Test(command_line, sandboxes_and_maps_that_are_none)
{
	must_refuse("--sandbox 'jail': must be namespace, chroot or none",
	            ARGS("--sandbox", "jail"), -1);
	must_refuse("--uid-map '0:1:1'", ARGS("--uid-map", "0:1:1"), -1);
	must_refuse("--uid-map ':0:1:1'", ARGS("--uid-map", ":0:1:1"), -1);
	must_refuse("--uid-map ':0:1:0:'", ARGS("--uid-map", ":0:1:0:"), -1);
	must_refuse("--gid-map ':0:1:1:x'", ARGS("--gid-map", ":0:1:1:x"), -1);
	must_refuse("--gid-map ':0:4294967295:1:'", ARGS("--gid-map", ":0:4294967295:1:"), -1);
	must_refuse("--uid-map ':5:105:9:'",
	            ARGS("--uid-map", ":0:100:9:", "--uid-map", ":5:105:9:"), -1);
	must_refuse("must map user 0", ARGS("-p", rig.export, "-f", "5", "--uid-map", ":1:100:9:"),
	            -1);
	must_refuse("must map group 0", ARGS("-p", rig.export, "-f", "5", "--gid-map", ":1:100:9:"),
	            -1);
	must_refuse("exclude each other",
	            ARGS("-p", rig.export, "-f", "5", "--subids", "--uid-map", ":0:100:9:"), -1);
}

Test(command_line, log_levels_are_kept_to)
{
	struct legacy_lstat_rep a;
	static struct rig quiet, loud;

	rig_start(&quiet, ARGS("--log-level", "error"));
	cr_assert_eq(peer_lstat(quiet.sock, "/", &a), 0);
	cr_assert_str_eq(rig_log(&quiet), "");
	cr_assert_eq(rig_end(&quiet), 0);
	rig_start(&loud, ARGS("--log-level", "debug"));
	cr_assert_eq(peer_lstat(loud.sock, "/a\nb", &a), -ENOENT);
	cr_assert_not_null(strstr(rig_log(&loud), "debug: lstat path=\"/a\\x0ab\" -> ENOENT\n"),
	                   "%s", loud.log);
	cr_assert_eq(rig_end(&loud), 0);
}

/* Past RLIMIT_FSIZE the kernel sends SIGXFSZ besides the error. */
Test(command_line, signals_that_a_guest_could_raise_are_ignored)
{
	static struct rig limited;
	const struct rlimit small = {.rlim_cur = 4096, .rlim_max = 4096};

	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	rig_start(&limited, NULL);
	rig_write(&limited, "f", "");
	cr_assert_eq(peer_truncate(limited.sock, "//f", 8192), -EFBIG);
	cr_assert_eq(peer_truncate(limited.sock, "//f", 4096), 0);
	cr_assert_eq(rig_end(&limited), 0);
}

Test(command_line, a_socket_left_non_blocking_serves_all_the_same)
{
	int pair[2];
	char sock[12];
	struct legacy_lstat_rep a;

	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	(void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
	(void)snprintf(sock, sizeof(sock), "%d", pair[1]);
	rig.helper = rig_spawn(&rig, ARGS("-n", "-p", rig.export, "-f", sock), pair[1]);
	fd_close(&pair[1]);
	rig.sock = pair[0];
	(void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	cr_assert_eq(peer_lstat(rig.sock, "/", &a), 0);
}

/* Descriptors that wait in sockets are counted for all of root together: one peer must not use the
 * count up. */
Test(command_line, a_peer_that_does_not_read_holds_few_descriptors)
{
	static struct rig greedy, other;
	const uint8_t open_root[] = {LEGACY_OPEN, 0, 0, 0, 7, 0, 0, 0, 1, 0, '/', 0, 0, 0, 0};

	/* The limit that the kernel holds the count against, for all helpers of this test. */
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = 128, .rlim_max = 128}),
	             0);
	rig_start(&greedy, NULL);
	(void)fcntl(greedy.sock, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 5000; i++) {
		if (usock_send(greedy.sock, open_root, sizeof(open_root), -1) < 0)
			break;
	}
	(void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	rig_start(&other, NULL);
	int fd = peer_open(other.sock, "/", O_DIRECTORY);

	cr_assert_geq(fd, 0);
	fd_close(&fd);
	cr_assert_eq(rig_end(&other), 0);
	cr_assert_eq(rig_end(&greedy), 0);
}

static int fake_syslog(char *text, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int log = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), pair[2], status;
	char sock[12];
	struct legacy_lstat_rep a;
	pid_t pid;

	/* A /dev of the test's own. */
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount("none", "/dev", "tmpfs", 0, NULL), 0);
	cr_assert_eq(mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)), 0);
	cr_assert_eq(bind(log, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	(void)snprintf(sock, sizeof(sock), "%d", pair[1]);
	pid = rig_spawn(&rig, ARGS("-p", rig.export, "-f", sock), pair[1]);
	status = rig_exit_status(pid);
	fd_close(&pair[1]);
	cr_assert_eq(peer_lstat(pair[0], "/", &a), 0);
	ssize_t n = recv(log, text, size - 1, 0);

	cr_assert_gt(n, 0);
	text[n] = '\0';
	fd_close(&pair[0]);
	return status;
}

Test(command_line, a_daemon_logs_to_the_system_log)
{
	char text[1024];

	rig_needs_root("device nodes");
	cr_assert_eq(fake_syslog(text, sizeof(text)), 0, "%s", rig_log(&rig));
	cr_assert_eq(strncmp(text, "<30>virtfs-proxy-helper[", 24), 0, "%s", text);
	cr_assert_not_null(strstr(text, "]: serving "), "%s", text);
	cr_assert_null(strstr(text, "helper[1]"), "its number is that of its PID namespace: %s",
	               text);
}
