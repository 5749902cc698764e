/* SPDX-License-Identifier: GPL-2.0-or-later */
/* launcher.c: virtfs(1): what it starts, what it passes on, and how it ends. */
#include "tests/lib/proc.h"
#include "tests/lib/rig.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct rig rig;
static char output[8192];
static int passed_fd = -1;

static void start(void)
{
	rig_dirs(&rig);
	rig_write(&rig, "f", "");
}

static void end(void)
{
	(void)rig_end(&rig);
}

TestSuite(launcher, .init = start, .fini = end, .timeout = 60);

static pid_t launch(const char *const *args, int out)
{
	const char *argv[32] = {getenv("VIRTFS_LAUNCHER")};
	pid_t pid;

	cr_assert_not_null(argv[0], "VIRTFS_LAUNCHER must name the program under test");
	for (size_t n = 0; args[n]; n++)
		argv[n + 1] = args[n];
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(out, STDOUT_FILENO);
		(void)dup2(out, STDERR_FILENO);
		/* What the test's own runner has open is none of the launcher's business. */
		(void)close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC);
		if (passed_fd >= 0)
			(void)fcntl(passed_fd, F_SETFD, 0);
		rig_hide();
		(void)execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(126);
	}
	return pid;
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Runs it to its end. Return: its status; what it and its children printed is in output. */
static int run(const char *const *args)
{
	AUTO_CLOSE int out = rig_log_file();
	int status = rig_exit_status(launch(args, out));
	ssize_t n = pread(out, output, sizeof(output) - 1, 0);

	output[n > 0 ? n : 0] = '\0';
	return status;
}

static void must_print(const char *text)
{
	cr_assert_not_null(strstr(output, text), "'%s' is not in: %s", text, output);
}

Test(launcher, questions_are_answered)
{
	cr_assert_eq(run(ARGS("--help")), 0);
	must_print("serve");
	must_print("proxy");
	cr_assert_eq(run(ARGS("--version")), 0);
	must_print("virtfs " VIRTFS_VERSION);
	cr_assert_eq(run(ARGS("proxy", "--help")), 0);
	must_print("--user");
	cr_assert_eq(run(ARGS("nothing")), 1);
	must_print("'nothing' is no command");
}

Test(launcher, the_commands_status_is_the_launchers)
{
	cr_assert_eq(run(ARGS("proxy", rig.export, "--", "sh", "-c", "exit 7")), 7, "%s", output);
	cr_assert_eq(run(ARGS("proxy", rig.export, "--", "sh", "-c", "kill -TERM $$")),
	             128 + SIGTERM);
	cr_assert_eq(run(ARGS("proxy", rig.export, "--", "/none/at/all")), 127);
	must_print("cannot start /none/at/all: ENOENT");
}

Test(launcher, the_descriptor_takes_the_place_of_its_name)
{
	cr_assert_eq(run(ARGS("proxy", rig.export, "--", "sh", "-c",
	                      "echo a{fd}b{fd}; readlink /proc/self/fd/{fd}")),
	             0);
	must_print("socket:");
	cr_assert_null(strchr(output, '{'), "%s", output);
	cr_assert_eq(
	    run(ARGS("proxy", "--name", "x", rig.export, "--", getenv("VIRTFS_LAUNCHER"), "proxy",
	             "--name", "y", rig.outside, "--", "sh", "-c",
	             "test {x} != {y} && test -S /proc/self/fd/{x} && test -S /proc/self/fd/{y}")),
	    0, "%s", output);
}

Test(launcher, the_command_gets_the_socket_and_nothing_else)
{
	cr_assert_eq(run(ARGS("proxy", "--log-level", "error", rig.export, "--", "sh", "-c",
	                      "ls /proc/self/fd | wc -l")),
	             0);
	/* Standard streams, the socket, and ls's own. */
	must_print("5\n");
}

Test(launcher, the_command_can_be_another_user)
{
	cr_assert_eq(
	    run(ARGS("proxy", "--log-level", "error", "--user", "1234:5678", rig.export, "--", "sh",
	             "-c", "id -u; id -g; id -G; grep -E 'Cap(Eff|Prm)' /proc/self/status")),
	    0);
	must_print("1234\n5678\n5678\n");
	must_print("CapPrm:\t0000000000000000");
	must_print("CapEff:\t0000000000000000");
}

Test(launcher, wrong_options_are_named)
{
	cr_assert_eq(run(ARGS("proxy", rig.export)), 1);
	must_print("must be: virtfs proxy");
	cr_assert_eq(run(ARGS("proxy", "--user", "no-one-at-all", rig.export, "--", "true")), 1);
	must_print("--user 'no-one-at-all': this host has no such user");
	cr_assert_eq(run(ARGS("proxy", "--user", "1:2:3", rig.export, "--", "true")), 1);
	cr_assert_eq(run(ARGS("proxy", "--name", "a{b", rig.export, "--", "true")), 1);
	must_print("--name 'a{b'");
	cr_assert_eq(run(ARGS("proxy", "--name", "0123456789012345678901234567890123456789",
	                      rig.export, "--", "true")),
	             1);
	cr_assert_eq(run(ARGS("serve", rig.export)), 1);
	must_print("must be: virtfs serve");
	cr_assert_eq(run(ARGS("serve", rig.export, "--vhost-user", "/x", "--listen", "unix:/x")),
	             1);
	must_print("must be: virtfs serve");
	cr_assert_eq(run(ARGS("serve", rig.export, "--vhost-user", "/x")), 1);
	must_print("--vhost-user and --tag go together");
	cr_assert_eq(run(ARGS("serve", rig.export, "--listen", "unix:/x", "--tag", "t")), 1);
	must_print("--vhost-user and --tag go together");
	cr_assert_eq(run(ARGS("serve", rig.export, "--vhost-user", "/x", "--tag", "")), 1);
	must_print("--tag '': must be 1 to 254 bytes");
	cr_assert_eq(run(ARGS("serve", rig.export, "--listen", "unix:/x", "--print-qemu-args")), 1);
	must_print("--print-qemu-args goes with --vhost-user");
	cr_assert_eq(run(ARGS("serve", rig.export, "--listen", "tcp:1")), 1);
	must_print("must be unix:PATH");
	cr_assert_eq(run(ARGS("serve", rig.export, "other", "--listen", "unix:/x")), 1);
	must_print("one DIR only");
}

/* A supervisor may have left SIGCHLD ignored; children's ends would never be told then. */
Test(launcher, ends_also_where_sigchld_was_ignored)
{
	(void)signal(SIGCHLD, SIG_IGN);
	AUTO_CLOSE int out = rig_log_file();
	pid_t pid = launch(ARGS("proxy", rig.export, "--", "true"), out);

	WAIT_WHILE(kill(pid, 0) == 0);
	cr_assert_lt(kill(pid, 0), 0, "it hangs");
}

Test(launcher, a_helper_that_fails_ends_the_command)
{
	cr_assert_eq(run(ARGS("proxy", "/none/at/all", "--", "sleep", "30")), 1);
	must_print("-p /none/at/all: ENOENT");
	must_print("the helper ended with status 1");
}

static bool has_printed(int out, const char *text)
{
	ssize_t n = pread(out, output, sizeof(output) - 1, 0);

	output[n > 0 ? n : 0] = '\0';
	return strstr(output, text) != NULL;
}

Test(launcher, signals_go_to_the_command)
{
	AUTO_CLOSE int out = rig_log_file();
	pid_t pid = launch(ARGS("proxy", rig.export, "--", "sh", "-c",
	                        "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done"),
	                   out);

	WAIT_WHILE(!has_printed(out, "up\n"));
	cr_assert_eq(kill(pid, SIGTERM), 0);
	cr_assert_eq(rig_exit_status(pid), 9);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_lt(strlen(path), sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path));
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
		fd_close(&sock);
	return sock;
}

/* Starts `virtfs serve` in the foreground and waits until it says that it is ready. */
static pid_t serve_when_ready(const char *where, int out)
{
	int ready[2];
	char number[12], byte;
	pid_t pid;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	(void)snprintf(number, sizeof(number), "%d", ready[1]);
	passed_fd = ready[1];
	pid = launch(
	    ARGS("serve", rig.export, "--listen", where, "--foreground", "--ready-fd", number),
	    out);
	fd_close(&ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "it is not ready");
	fd_close(&ready[0]);
	return pid;
}

Test(launcher, serve_is_ready_when_it_says_so_and_takes_all_along)
{
	char where[160], byte;
	const char *path = where + strlen("unix:");
	struct stat st;
	AUTO_CLOSE int out = rig_log_file();

	(void)snprintf(where, sizeof(where), "unix:%s/sock", rig.dir);
	pid_t pid = serve_when_ready(where, out);
	AUTO_CLOSE int sock = connect_to(path);

	cr_assert_geq(sock, 0);
	cr_assert_eq(kill(pid, SIGTERM), 0);
	cr_assert_eq(rig_exit_status(pid), 0);
	cr_assert_lt(stat(path, &st), 0, "the socket stays behind");
	/* The end of the stream, or a reset if the device had not taken the connection yet. */
	cr_assert_leq(recv(sock, &byte, 1, 0), 0, "the device lives on");
}

Test(launcher, the_helper_is_the_first_process_of_a_pid_namespace)
{
	AUTO_CLOSE int out = rig_log_file();
	const char *numbers;
	char where[160];
	pid_t pid;

	rig_needs_root("PID namespaces without a user namespace");
	(void)snprintf(where, sizeof(where), "unix:%s/sock", rig.dir);
	pid = serve_when_ready(where, out);
	numbers = proc_status(proc_child(pid, "virtfs-proxy"), "NSpid");
	cr_assert(strlen(numbers) > 2 && strcmp(numbers + strlen(numbers) - 2, "\t1") == 0,
	          "NSpid: %s", numbers);
	/* Such a process is killed by no signal that it does not handle. */
	cr_assert_eq(kill(proc_child(pid, "virtfs-proxy"), SIGTERM), 0);
	cr_assert_eq(rig_exit_status(pid), 1);
	output[pread(out, output, sizeof(output) - 1, 0)] = '\0';
	must_print("the helper ended with status 143");
}

Test(launcher, file_handles_are_the_helpers_to_have)
{
	cr_assert_eq(run(ARGS("proxy", "--inode-file-handles", "never", rig.export, "--", "true")),
	             0, "%s", output);
	cr_assert_eq(
	    run(ARGS("proxy", "--inode-file-handles", "9", rig.export, "--", "sleep", "30")), 1);
	must_print("--inode-file-handles '9': must be prefer or never");
}

/* There the helper's number is not that which its maps are written by. */
Test(launcher, the_helper_maps_ids_in_its_pid_namespace)
{
	rig_needs_root("ids of others");
	cr_assert_eq(chmod(rig.dir, 0755), 0);
	cr_assert_eq(chown(rig.export, 700000, 700000), 0);
	cr_assert_eq(run(ARGS("proxy", "--uid-map", ":0:700000:9:", "--gid-map",
	                      ":0:700000:9:", rig.export, "--", "sleep", "0.5")),
	             0, "%s", output);
	must_print("serving");
}

Test(launcher, serve_tells_what_qemu_needs)
{
	cr_assert_eq(run(ARGS("serve", rig.export, "--vhost-user", "/run/a'b", "--tag", "share",
	                      "--print-qemu-args")),
	             0);
	must_print("share=on");
	must_print("path='/run/a'\\''b'");
	must_print("virtio-id=9,num_vqs=1,vq_size=128,config_size=7");
}

Test(launcher, serve_in_the_background_returns_when_ready)
{
	char where[160];
	int sock;

	(void)snprintf(where, sizeof(where), "unix:%s/sock", rig.dir);
	cr_assert_eq(run(ARGS("serve", rig.export, "--listen", where)), 0, "%s", output);
	sock = connect_to(where + strlen("unix:"));
	cr_assert_geq(sock, 0);
	/* Its launcher is in a session of its own: found by what it serves. */
	char command[300];

	(void)snprintf(command, sizeof(command), "pkill -TERM -f 'listen %s$'", where);
	cr_assert_eq(system(command), 0); // NOLINT(cert-env33-c)
	WAIT_WHILE(access(where + strlen("unix:"), F_OK) == 0);
	cr_assert_lt(access(where + strlen("unix:"), F_OK), 0);
	fd_close(&sock);
}

Test(launcher, serve_fails_when_either_does)
{
	char where[160];

	(void)snprintf(where, sizeof(where), "unix:%s/sock", rig.dir);
	cr_assert_eq(run(ARGS("serve", "/none/at/all", "--listen", where)), 1);
	must_print("cannot serve /none/at/all");
	cr_assert_eq(run(ARGS("serve", rig.export, "--listen", "unix:/none/at/all")), 1);
	must_print("ENOENT");
}
