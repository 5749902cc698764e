/* SPDX-License-Identifier: GPL-2.0-or-later */
/* p9_command_line.c: the options of virtfs-device, and what wrong ones get. */
#include "tests/lib/p9_rig.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct p9_rig rig;

/* A descriptor of each kind, and their numbers as options have them. */
enum { PACKETS, STREAM, UNCONNECTED, PIPE, KINDS };

static int fds[KINDS], others[KINDS];
static char number[KINDS][12];

static void start(void)
{
	int pair[2];

	rig = (struct p9_rig){.device = -1, .handover = -1, .c.sock = -1};
	rig_dirs(&rig.rig);
	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	fds[PACKETS] = pair[0];
	others[PACKETS] = pair[1];
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	fds[STREAM] = pair[0];
	others[STREAM] = pair[1];
	fds[UNCONNECTED] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	others[UNCONNECTED] = -1;
	cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
	fds[PIPE] = pair[0];
	others[PIPE] = pair[1];
	for (int i = 0; i < KINDS; i++)
		(void)snprintf(number[i], sizeof(number[i]), "%d", fds[i]);
}

static void end(void)
{
	for (int i = 0; i < KINDS; i++) {
		fd_close(&fds[i]);
		fd_close(&others[i]);
	}
	(void)rig_end(&rig.rig);
}

TestSuite(device_command_line, .init = start, .fini = end, .timeout = 60);

/* Exit status 1, and an error that says this. */
static void must_refuse(const char *reason, const char *const *args)
{
	int status;

	fd_close(&rig.rig.err);
	status = rig_exit_status(p9_rig_spawn(&rig, args, fds, KINDS));
	cr_assert_eq(status, 1, "status %d: %s", status, rig_log(&rig.rig));
	cr_assert_not_null(strstr(rig_log(&rig.rig), reason), "wanted '%s', got: %s", reason,
	                   rig.rig.log);
}

Test(device_command_line, what_is_missing_or_wrong_is_named)
{
	static const char *const none[] = {NULL};
	const char *helper = number[PACKETS], *client = number[STREAM];

	must_refuse("--helper-fd is missing", none);
	must_refuse("one of --socket-path, --listen and --fd", ARGS("--helper-fd", helper));
	must_refuse("one of --socket-path, --listen and --fd",
	            ARGS("--helper-fd", helper, "--fd", client, "--listen", "unix:x"));
	must_refuse("one of --socket-path, --listen and --fd",
	            ARGS("--helper-fd", helper, "--tag", "t"));
	must_refuse("--tag is missing", ARGS("--helper-fd", helper, "--socket-path", "x"));
	must_refuse("--tag does not go with --listen",
	            ARGS("--helper-fd", helper, "--listen", "unix:x", "--tag", "t"));
	must_refuse("one of --listen and --socket-path",
	            ARGS("--helper-fd", helper, "--listen", "unix:x", "--socket-path", "x"));
	must_refuse("--tag '': must be 1 to 254 bytes", ARGS("--tag", ""));
	must_refuse("--socket-path ''", ARGS("--socket-path", ""));
	must_refuse("--listen 'tcp:1'", ARGS("--listen", "tcp:1"));
	must_refuse("--listen 'unix:'", ARGS("--listen", "unix:"));
	must_refuse("--helper-fd '2'", ARGS("--helper-fd", "2"));
	must_refuse("--helper-fd 'x'", ARGS("--helper-fd", "x"));
	must_refuse("--fd '5x'", ARGS("--fd", "5x"));
	must_refuse("--ready-fd 999: is no open descriptor", ARGS("--ready-fd", "999"));
	must_refuse("--control 'x': must be fd:N or unix:PATH", ARGS("--control", "x"));
	must_refuse("--control 'unix:': must be", ARGS("--control", "unix:"));
	must_refuse("--control '2': must be the number of a descriptor", ARGS("--control", "fd:2"));
	must_refuse("--control '4294967300': must be", ARGS("--control", "fd:4294967300"));
	must_refuse("one --control is enough", ARGS("--control", "unix:x", "--control", "unix:y"));
	must_refuse("'me'", ARGS("--control-user", "me"));
	must_refuse("--control-user '65534:65534': must not be",
	            ARGS("--control-user", "65534:65534"));
	must_refuse("--helper-fd is missing", ARGS("--control", "unix:x", "--tag", "t"));
	must_refuse("--log-level 'loud'", ARGS("--log-level", "loud"));
	must_refuse("'export'", ARGS("--helper-fd", helper, "--fd", client, "export"));
	must_refuse("--help", ARGS("--frobnicate"));
}

Test(device_command_line, limits_that_are_none)
{
	must_refuse("--poll-us '10001': must be a decimal number of microseconds from 0 to 10000",
	            ARGS("--poll-us", "10001"));
	must_refuse("--poll-us '-1'", ARGS("--poll-us", "-1"));
	must_refuse("--max-fids '0': must be a decimal number of fids from 1 to 16777216",
	            ARGS("--max-fids", "0"));
	must_refuse("--max-fids '-1'", ARGS("--max-fids", "-1"));
	must_refuse("--max-fids '1k'", ARGS("--max-fids", "1k"));
	must_refuse("--max-fids ''", ARGS("--max-fids", ""));
	must_refuse("--max-fids '16777217'", ARGS("--max-fids", "16777217"));
	must_refuse("--max-requests '0': must be a decimal number of requests from 1 to 1024",
	            ARGS("--max-requests", "0"));
	must_refuse("--max-xattr-bytes '1073741825'", ARGS("--max-xattr-bytes", "1073741825"));
	must_refuse("--max-open-files '0': must be a decimal number of files from 1 to 61440",
	            ARGS("--max-open-files", "0"));
	must_refuse("--max-locks '1048577'", ARGS("--max-locks", "1048577"));
	must_refuse("--log-rate '1001': must be a decimal number of lines from 0 to 1000",
	            ARGS("--log-rate", "1001"));
	must_refuse("--max-fids '18446744073709551617'",
	            ARGS("--max-fids", "18446744073709551617"));
}

Test(device_command_line, descriptors_that_are_no_connection)
{
	const char *helper = number[PACKETS], *client = number[STREAM];
	char control[16];

	must_refuse("type SOCK_SEQPACKET", ARGS("--helper-fd", client, "--fd", client));
	must_refuse("type SOCK_SEQPACKET",
	            ARGS("--helper-fd", number[UNCONNECTED], "--fd", client));
	must_refuse("type SOCK_SEQPACKET", ARGS("--helper-fd", number[PIPE], "--fd", client));
	(void)snprintf(control, sizeof(control), "fd:%s", client);
	must_refuse("type SOCK_SEQPACKET, connected or listening", ARGS("--control", control));
	must_refuse("--handover-fd",
	            ARGS("--helper-fd", helper, "--fd", client, "--handover-fd", client));
	must_refuse("type SOCK_STREAM", ARGS("--helper-fd", helper, "--fd", helper));
	must_refuse("type SOCK_STREAM", ARGS("--helper-fd", helper, "--fd", number[PIPE]));
}

Test(device_command_line, a_path_that_cannot_be_listened_at)
{
	char path[128], at[140];

	(void)snprintf(path, sizeof(path), "%s/canary", rig.rig.outside);
	(void)snprintf(at, sizeof(at), "unix:%s", path);
	must_refuse("exists already", ARGS("--helper-fd", number[PACKETS], "--listen", at));
	must_refuse("ENOENT",
	            ARGS("--helper-fd", number[PACKETS], "--listen", "unix:/none/at/all"));
}

Test(device_command_line, a_helper_that_is_gone_is_told)
{
	fd_close(&others[PACKETS]);
	must_refuse("helper", ARGS("--helper-fd", number[PACKETS], "--fd", number[STREAM]));
}

Test(device_command_line, questions_are_answered)
{
	static const char *const questions[][2] = {{"--help", "--max-fids N"},
	                                           {"--version", "virtfs-device "},
	                                           {"--print-capabilities", "\"9p\""}};

	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		AUTO_CLOSE int before = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
		AUTO_CLOSE int answer = memfd_create("stdout", MFD_CLOEXEC);
		char text[4096] = "";

		(void)fflush(stdout);
		cr_assert_eq(dup2(answer, STDOUT_FILENO), STDOUT_FILENO);
		cr_assert_eq(rig_exit_status(p9_rig_spawn(&rig, ARGS(questions[i][0]), NULL, 0)),
		             0);
		cr_assert_eq(dup2(before, STDOUT_FILENO), STDOUT_FILENO);
		cr_assert_gt(pread(answer, text, sizeof(text) - 1, 0), 0);
		cr_assert_not_null(strstr(text, questions[i][1]), "%s", text);
	}
}
