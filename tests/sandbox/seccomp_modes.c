/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seccomp_modes.c: --seccomp of helper, device and launcher: what becomes of a program that makes a call outside its policy, in each
 * mode. The call is made by the very program, in the midst of its work (inject.h).
 */
#include "tests/lib/inject.h"
#include "tests/lib/legacy_peer.h"
#include "tests/lib/p9_rig.h"
#include "tests/lib/proc.h"
#include "tests/lib/rpc_peer.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* No policy has it, and it does no harm. */
#define FORBIDDEN SYS_getppid

static struct rig rig;

static const struct mode {
	const char *name; /* NULL: no --seccomp is given */
	int injected;     /* what inject_call() returns */
	bool names_it;    /* in its log */
} modes[] = {
    {NULL, 128 + SIGSYS, false},
    {"kill", 128 + SIGSYS, false},
    {"trap", INJECT_TRAPPED, true},
    {"log", 0, false},
};

#define MODES ARRAY_SIZE(modes)

static void needs_injection(void)
{
	if (!INJECT_WORKS)
		cr_skip_test("the tests make other programs' system calls on x86_64 only");
}

TestSuite(seccomp_modes, .init = needs_injection, .timeout = 120);

static void wait_until_logged(const char *text)
{
	WAIT_WHILE(!strstr(rig_log(&rig), text));
	cr_assert_not_null(strstr(rig_log(&rig), text), "'%s' is not in: %s", text, rig.log);
}

/* A child makes the call. Return: whether it lives on. */
static bool misbehave(pid_t pid, const struct mode *m, const char *program)
{
	char line[128];
	long ret = -1;
	int got = inject_call(pid, FORBIDDEN, &ret);

	(void)snprintf(line, sizeof(line),
	               "%s: error: system call %d (getppid) is not in the policy\n", program,
	               FORBIDDEN);
	cr_assert_eq(got, m->injected, "--seccomp %s: %d", m->name, got);
	if (got == INJECT_TRAPPED) {
		cr_assert_eq(rig_exit_status(pid), 128 + SIGSYS);
		cr_assert_not_null(strstr(rig_log(&rig), line), "%s", rig.log);
	} else {
		cr_assert_null(strstr(rig_log(&rig), "not in the policy"), "%s", rig.log);
	}
	if (got == 0)
		cr_assert_geq(ret, 0, "the call was not made: %ld", ret);
	return got == 0;
}

static const char *const *with(const struct mode *m)
{
	static const char *args[3];

	args[0] = m->name ? "--seccomp" : NULL;
	args[1] = m->name;
	return args;
}

/* ---- the helper ---- */

static void must_do_as_told(bool native)
{
	for (size_t i = 0; i < MODES; i++) {
		struct legacy_lstat_rep st;

		rig_dirs(&rig);
		rig.native = native;
		rig_serve(&rig, with(&modes[i]));
		if (native)
			cr_assert_neq(rpc_hello(rig.sock), 0);
		else
			cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
		if (!misbehave(rig.helper, &modes[i], "virtfs-proxy-helper")) {
			rig.helper = -1;
			if (!native)
				cr_assert_eq(peer_lstat(rig.sock, "/", &st), PEER_GONE);
		} else if (native) {
			cr_assert_neq(rpc_hello(rig.sock), 0);
		} else {
			cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
		}
		cr_assert_eq(rig_end(&rig), 0);
	}
}

Test(seccomp_modes, the_helper_of_a_stream)
{
	must_do_as_told(false);
}

Test(seccomp_modes, the_helper_of_packets)
{
	must_do_as_told(true);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	cr_assert_eq(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0, "%s",
	             strerror(errno));
	return sock;
}

/* A helper at -s, which has one filter while it waits, and two once somebody is there. */
static void at_a_path(const struct mode *m, bool connected)
{
	char path[128], number[12];
	struct legacy_lstat_rep st;
	int ready[2];
	char byte;

	rig_dirs(&rig);
	(void)snprintf(path, sizeof(path), "%s/sock", rig.dir);
	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	(void)snprintf(number, sizeof(number), "%d", ready[1]);
	rig.helper = rig_spawn(&rig,
	                       ARGS("-n", "-p", rig.export, "-s", path, "-u", "0", "-g", "0",
	                            "--ready-fd", number, with(m)[0], with(m)[1]),
	                       ready[1]);
	fd_close(&ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "%s", rig_log(&rig));
	fd_close(&ready[0]);
	if (connected) {
		rig.sock = connect_to(path);
		cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
	}
	if (!misbehave(rig.helper, m, "virtfs-proxy-helper")) {
		rig.helper = -1;
	} else {
		if (!connected)
			rig.sock = connect_to(path);
		cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
		cr_assert_str_eq(rig_proc(&rig, "Seccomp_filters"), rig_filters(2));
	}
	cr_assert_eq(rig_end(&rig), 0);
}

Test(seccomp_modes, the_helper_at_a_path)
{
	for (size_t i = 0; i < MODES; i++) {
		at_a_path(&modes[i], false);
		at_a_path(&modes[i], true);
	}
}

/* ---- the device ---- */

Test(seccomp_modes, the_device)
{
	static struct p9_rig both;

	for (size_t i = 0; i < MODES; i++) {
		p9_rig_start(&both, &(struct p9_rig_opt){.device_args = with(&modes[i])});
		rig = both.rig;
		if (misbehave(both.device, &modes[i], "virtfs-device")) {
			cr_assert(p9_alive(&both.c));
			p9_rig_end(&both);
			continue;
		}
		p9_client_end(&both.c);
		fd_close(&both.handover);
		cr_assert_eq(rig_end(&both.rig), 0);
	}
}

/* ---- the launcher ---- */

static pid_t launch(const char *const *args, int pass)
{
	const char *argv[16] = {getenv("VIRTFS_LAUNCHER")};
	pid_t pid;

	for (size_t n = 0; args[n]; n++)
		argv[n + 1] = args[n];
	rig.err = rig.err < 0 ? rig_log_file() : rig.err;
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(rig.err, STDOUT_FILENO);
		(void)dup2(rig.err, STDERR_FILENO);
		(void)fcntl(pass, F_SETFD, 0);
		rig_hide();
		(void)execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(126);
	}
	return pid;
}

/* One of the two programs of `virtfs serve` makes the call: as told it lives on, or ends and takes all along. */
static void serve(const struct mode *m, const char *name, const char *program)
{
	char where[160], number[12], byte, line[128];
	int ready[2], got;
	long ret = -1;
	pid_t pid;

	rig_dirs(&rig);
	(void)snprintf(where, sizeof(where), "unix:%s/sock", rig.dir);
	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	(void)snprintf(number, sizeof(number), "%d", ready[1]);
	pid = launch(ARGS("serve", rig.export, "--listen", where, "--foreground", "--ready-fd",
	                  number, with(m)[0], with(m)[1]),
	             ready[1]);
	fd_close(&ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "%s", rig_log(&rig));
	fd_close(&ready[0]);
	got = inject_call(proc_child(pid, name), FORBIDDEN, &ret);
	cr_assert_eq(got, m->injected, "--seccomp %s, %s: %d", m->name, program, got);
	if (m->names_it) {
		(void)snprintf(line, sizeof(line),
		               "%s: error: system call %d (getppid) is not in the policy\n",
		               program, FORBIDDEN);
		wait_until_logged(line);
	}
	if (got == 0)
		cr_assert_eq(kill(pid, SIGTERM), 0);
	cr_assert_eq(rig_exit_status(pid), got == 0 ? 0 : 1, "%s", rig_log(&rig));
	if (got != 0)
		wait_until_logged("ended with status 159");
	(void)rig_end(&rig);
}

Test(seccomp_modes, both_programs_of_virtfs_serve)
{
	for (size_t i = 0; i < MODES; i++) {
		serve(&modes[i], "virtfs-proxy", "virtfs-proxy-helper");
		serve(&modes[i], "virtfs-device", "virtfs-device");
	}
}

Test(seccomp_modes, the_helper_of_virtfs_proxy)
{
	for (size_t i = 0; i < MODES; i++) {
		char file[128];
		long ret = -1;
		pid_t pid;
		int got;

		rig_dirs(&rig);
		(void)snprintf(file, sizeof(file), "%s/go", rig.dir);
		pid = launch(with(&modes[i])[0]
		                 ? ARGS("proxy", "--seccomp", modes[i].name, rig.export, "--", "sh",
		                        "-c", "until test -e \"$0\"; do sleep 0.05; done", file)
		                 : ARGS("proxy", rig.export, "--", "sh", "-c",
		                        "until test -e \"$0\"; do sleep 0.05; done", file),
		             rig.err);
		wait_until_logged("serving ");
		got = inject_call(proc_child(pid, "virtfs-proxy"), FORBIDDEN, &ret);
		cr_assert_eq(got, modes[i].injected, "--seccomp %s: %d", modes[i].name, got);
		if (modes[i].names_it)
			wait_until_logged("system call");
		if (got == 0)
			cr_assert_geq(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), 0);
		cr_assert_eq(rig_exit_status(pid), got == 0 ? 0 : 128 + SIGSYS, "%s",
		             rig_log(&rig));
		(void)rig_end(&rig);
	}
}

/* ---- what is none ---- */

static void must_refuse(pid_t pid)
{
	cr_assert_eq(rig_exit_status(pid), 1);
	wait_until_logged("--seccomp 'allow': must be kill, log or trap");
	(void)rig_end(&rig);
}

Test(seccomp_modes, another_word_is_refused)
{
	static struct p9_rig both;

	rig_dirs(&rig);
	must_refuse(
	    rig_spawn(&rig, ARGS("-n", "-p", rig.export, "-f", "9", "--seccomp", "allow"), -1));
	rig_dirs(&rig);
	both.rig = rig;
	both.device = p9_rig_spawn(&both, ARGS("--seccomp", "allow"), NULL, 0);
	rig = both.rig;
	must_refuse(both.device);
	rig_dirs(&rig);
	must_refuse(launch(ARGS("serve", rig.export, "--listen", "unix:/none/x", "--foreground",
	                        "--seccomp", "allow"),
	                   STDERR_FILENO));
}
