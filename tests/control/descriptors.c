/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * descriptors.c: descriptors belong to the command that carried them: rows T1 to T11 of docs/block-requirements.md.
 *
 * What the device has open is counted from outside, right after the answer: nothing may be left to be closed later.
 */
#include "tests/lib/control_disk.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"
#include "common/fdbag.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct control_rig r;
static int many[FDBAG_MAX]; /* to be sent where only their number counts */

static void start(void)
{
	control_rig_start(&r, &(struct control_rig_opt){.listen = true});
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		cr_assert_geq(many[i] = open("/dev/null", O_RDWR | O_CLOEXEC), 0);
}

static void end(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		fd_close(&many[i]);
	control_rig_end(&r);
}

TestSuite(control_descriptors, .init = start, .fini = end, .timeout = 120);

/* Descriptors of the device beyond those that it had at the start. */
static int more(void)
{
	return fd_count(r.p9.device) - r.fds_device;
}

/* The same when those who sent something are gone already. */
static void settles_at(int wanted)
{
	WAIT_WHILE(more() != wanted);
	cr_assert_eq(more(), wanted);
}

Test(control_descriptors, T1_they_come_with_the_command_that_uses_them)
{
	int fds[2] = {control_image(), control_listener()};

	/* None is kept from a command that failed, for one that has none. */
	control_refused(&r.c, "unknown command", "{'execute': 'add-fd'}", fds, 2);
	control_refused(&r.c, "there is no descriptor 0: the packet came with 0",
	                control_attach_text("a"), NULL, 0);
	control_refused(&r.c, "there is no descriptor 1: the packet came with 1",
	                control_attach_text("a"), fds, 1);
	cr_assert_eq(control_disks(&r.c), 0);
	control_done(&r.c, control_attach_text("a"), fds, 2);
	cr_assert(control_disk_is(&r.c, "a", fds[0]));
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

Test(control_descriptors, T2_a_number_counts_within_the_packet)
{
	int image, fds[2] = {control_listener(), control_image()};

	control_attach(&r.c, "first", &image);
	control_done(
	    &r.c,
	    "{'execute': 'block-attach', 'arguments': {'id': 'second', 'chain': [{'format': 'raw', "
	    "'file': {'fd': 1}}], 'socket': {'fd': 0}}}",
	    fds, 2);
	cr_assert(control_disk_is(&r.c, "first", image));
	cr_assert(control_disk_is(&r.c, "second", fds[1]));
	fd_close(&image);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

Test(control_descriptors, T3_a_command_that_succeeds_takes_those_it_goes_on_with)
{
	control_attach(&r.c, "a", NULL);
	cr_assert_eq(more(), CONTROL_DISK_FDS);
	control_attach(&r.c, "b", NULL);
	cr_assert_eq(more(), 2 * CONTROL_DISK_FDS);
	control_detach(&r.c, "a");
	cr_assert_eq(more(), CONTROL_DISK_FDS);
	control_detach(&r.c, "b");
	cr_assert_eq(more(), 0);
}

Test(control_descriptors, T4_all_that_was_not_taken_is_closed_when_the_command_returns)
{
	int pair[2], fds[2] = {control_image(), control_listener()};

	/* The image is an image's by then, or not yet. */
	control_attach(&r.c, "a", NULL);
	control_refused(&r.c, "there is a disk of that id already", control_attach_text("a"), fds,
	                2);
	cr_assert_eq(more(), CONTROL_DISK_FDS);
	control_refused(&r.c, "disk 'b'", control_attach_text("b"), many, 2);
	cr_assert_eq(more(), CONTROL_DISK_FDS);
	cr_assert_eq(usock_pair(SOCK_SEQPACKET, pair), 0);
	control_refused(&r.c, "must be a Unix socket of type SOCK_STREAM", control_attach_text("b"),
	                (int[]){fds[0], pair[0]}, 2);
	cr_assert_eq(more(), CONTROL_DISK_FDS);
	control_refused(&r.c, "descriptor 0 of the packet is named by no argument",
	                "{'execute': 'query-block'}", many, 1);
	cr_assert_eq(more(), CONTROL_DISK_FDS);
	for (int i = 0; i < 2; i++) {
		fd_close(&pair[i]);
		fd_close(&fds[i]);
	}
}

/* Packets with 3 descriptors of which none may stay. */
static const struct {
	const char *says, *command;
} leaks[] = {
    {"no JSON",
     "{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': [{'format': 'raw', 'fi"},
    {"no JSON", "\x01\x02"},
    {"nested more than 8 deep", "[[[[[[[[["},
    {"'execute' is missing", "{}"},
    {"unknown command", "{'execute': 'getfd', 'arguments': {'fdname': 'x'}}"},
    {"is named by no argument", "{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': "
                                "[{'format': 'raw', 'file': {'fd': 0}}], "
                                "'socket': {'fd': 1}}}"},
    {"is named twice", "{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': [{'format': "
                       "'raw', 'file': {'fd': 0}}], "
                       "'socket': {'fd': 0}}}"},
    {"there is no descriptor 3", "{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': "
                                 "[{'format': 'raw', 'file': {'fd': 3}}], "
                                 "'socket': {'fd': 1}}}"},
    {"argument 'chain[1].format' is missing",
     "{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': [{'format': 'raw', 'file': "
     "{'fd': 0}}, {'file': "
     "{'fd': 1}}], 'socket': {'fd': 2}}}"},
    {"argument 'socket' is missing", "{'execute': 'block-attach', 'arguments': {'id': 'a', "
                                     "'chain': [{'format': 'raw', 'file': {'fd': 0}}, {'format': "
                                     "'raw', 'file': {'fd': 1}}]}}"},
    {"found an array of 0, must be an array of 1 to 32 objects",
     "{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': [], 'socket': {'fd': 2}}}"},
    {"chain[0]. found the number 1, must be an object",
     "{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': [1], 'socket': {'fd': 2}}}"},
};

Test(control_descriptors, T5_nothing_leaks_whatever_the_client_sends)
{
	for (size_t i = 0; i < ARRAY_SIZE(leaks); i++) {
		control_refused(&r.c, leaks[i].says, leaks[i].command, many, 3);
		cr_assert_eq(more(), 0, "%s", leaks[i].command);
	}
	for (size_t n = 0; n <= FDBAG_MAX; n += n < 4 ? 1 : 83) {
		control_refused(&r.c, "unknown command", "{'execute': 'x'}", many, n);
		cr_assert_eq(more(), 0);
	}
	cr_assert_eq(control_disks(&r.c), 0);
}

Test(control_descriptors, T5_nothing_leaks_when_the_client_goes_at_once)
{
	const char *text = control_attach_text("a");

	/* After each byte of a command, and before an answer. */
	for (size_t n = 1; n <= strlen(text); n += is_sanitized() ? 7 : 1) {
		struct control_peer c;

		control_connect(&c, r.at);
		cr_assert_eq(control_send_bytes(&c, text, n, many, 1 + n % 20), 0);
		control_close(&c);
	}
	settles_at(0);
}

/* What each of the device's descriptors is. */
static void list_fds(char *text, size_t size)
{
	char path[80], link[100];
	size_t used = 0;

	for (int i = 0; i < 200; i++) {
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)r.p9.device, i);
		n = readlink(path, link, sizeof(link) - 1);
		if (n > 0)
			used +=
			    (size_t)snprintf(text + used, size - used, "%d=%.*s ", i, (int)n, link);
		cr_assert_lt(used, size);
	}
}

Test(control_descriptors, T6_no_mistake_of_a_client_closes_one_that_is_in_use)
{
	static char before[20000], after[20000];
	int fds[2] = {control_image(), control_listener()};

	control_done(&r.c, control_attach_text("a"), fds, 2);
	list_fds(before, sizeof(before));
	/* It takes what was done for failed: sends it again, and what it would undo it with. */
	control_refused(&r.c, "disk 'a': ", control_attach_text("a"), fds, 2);
	control_refused(&r.c, "disk 'b'", control_attach_text("b"), fds, 2);
	control_refused(&r.c, "unknown command",
	                "{'execute': 'closefd', 'arguments': {'fdname': 'a'}}", NULL, 0);
	control_refused(&r.c, "there is no disk 'b'",
	                "{'execute': 'block-detach', 'arguments': {'id': 'b'}}", NULL, 0);
	list_fds(after, sizeof(after));
	cr_assert_str_eq(after, before);
	cr_assert(control_disk_is(&r.c, "a", fds[0]));
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

/* A manager that sends this and is killed. */
static void die_after(const char *command, const int *fds, size_t count)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct control_peer c;

		control_connect(&c, r.at);
		control_send(&c, command, fds, count);
		(void)kill(getpid(), SIGKILL);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status));
}

Test(control_descriptors, T7_a_manager_that_dies_leaves_a_disk_or_nothing)
{
	int fds[2] = {control_image(), control_listener()};

	die_after("{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': [{'format': 'r",
	          fds, 2);
	settles_at(0);
	cr_assert_eq(control_disks(&r.c), 0);
	die_after(control_attach_text("a"), fds, 2);
	settles_at(CONTROL_DISK_FDS);
	/* The next one finds out, and goes on. */
	cr_assert_eq(control_disks(&r.c), 1);
	cr_assert(control_disk_is(&r.c, "a", fds[0]));
	control_detach(&r.c, "a");
	cr_assert_eq(more(), 0);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

Test(control_descriptors, T8_as_many_as_a_command_needs)
{
	/* 32 layers with a data file each: checked, every one of them, and refused for what they are. */
	char text[8192] = "{'execute': 'block-attach', 'arguments': {'id': 'a', 'read-only': true, "
	                  "'socket': {'fd': 64}, 'chain': [";
	size_t used = strlen(text);
	int fds[65];

	for (int i = 0; i < 32; i++) {
		int image = control_image(), data = control_image();

		used += (size_t)snprintf(
		    text + used, sizeof(text) - used,
		    "%s{'format': 'qcow2', 'file': {'fd': %d}, 'data-file': {'fd': %d}}",
		    i ? ", " : "", 2 * i, 2 * i + 1);
		fds[2 * i] = control_read_only(image);
		fds[2 * i + 1] = control_read_only(data);
		fd_close(&image);
		fd_close(&data);
	}
	(void)snprintf(text + used, sizeof(text) - used, "]}}");
	fds[64] = control_listener();
	control_refused(&r.c, "disk 'a': ", text, fds, 65);
	cr_assert_eq(more(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fd_close(&fds[i]);
}

Test(control_descriptors, T9_numbers_never_are_descriptors_of_the_process)
{
	int fds[2] = {control_image(), control_listener()};

	for (int i = 0; i < 40; i++) {
		char text[300];

		(void)snprintf(text, sizeof(text),
		               "{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': "
		               "[{'format': 'raw', "
		               "'file': {'fd': %d}}], 'socket': {'fd': %d}}}",
		               i, i + 1);
		control_refused(&r.c, "there is no descriptor", text, fds, i == 0);
	}
	control_refused(&r.c, "'chain[0].file': found the text \"fd:0\"",
	                "{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': [{'format': "
	                "'raw', 'file': "
	                "'fd:0'}], 'socket': {'fd': 1}}}",
	                fds, 2);
	cr_assert_eq(more(), 0);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

Test(control_descriptors, T10_a_packet_that_is_too_long_is_the_end_of_its_connection)
{
	static char text[CONTROL_DISK_SIZE / 8];
	struct control_peer c;

	memset(text, ' ', sizeof(text));
	control_connect(&c, r.at);
	cr_assert_eq(control_send_bytes(&c, text, 65537, many, 253), 0);
	control_expect_error(&c, "a packet is too long: it may have 65536 bytes");
	cr_assert(control_closed(&c));
	control_close(&c);
	settles_at(0);
	/* One byte less is a packet. */
	cr_assert_eq(control_send_bytes(&r.c, text, 65536, many, 253), 0);
	control_expect_error(&r.c, "no JSON");
	cr_assert_eq(more(), 0);
}

Test(control_descriptors, T10_an_empty_packet_is_an_end_with_its_descriptors_closed)
{
	struct control_peer c;

	control_connect(&c, r.at);
	cr_assert_eq(control_send_bytes(&c, "", 0, many, 5), 0);
	control_expect_error(&c, "an empty packet came with descriptors");
	cr_assert(control_closed(&c));
	control_close(&c);
	control_connect(&c, r.at);
	cr_assert_eq(control_send_bytes(&c, "", 0, NULL, 0), 0);
	cr_assert(control_closed(&c));
	control_close(&c);
	settles_at(0);
}

Test(control_descriptors, T10_descriptors_that_are_lost_are_the_end_of_the_connection)
{
	struct control_peer c;

	control_connect(&c, r.at);
	control_limit_files(&r, (unsigned)r.fds_device + 10);
	cr_assert_eq(control_send_bytes(&c, "{}", 2, many, 100), 0);
	control_expect_error(&c, "descriptors were lost: this process may not have so many open");
	cr_assert(control_closed(&c));
	control_close(&c);
	settles_at(0);
	control_attach(&r.c, "a", NULL);
	cr_assert_eq(more(), CONTROL_DISK_FDS);
}

Test(control_descriptors, two_commands_to_a_stopped_device_get_each_its_own_file)
{
	int fds[4] = {control_image(), control_listener(), control_image(), control_listener()};

	/* On a stream socket the kernel would merge them, and the second file be that of the first. */
	cr_assert_eq(kill(r.p9.device, SIGSTOP), 0);
	control_send(&r.c, control_attach_text("first"), fds, 2);
	control_send(&r.c, control_attach_text("second"), fds + 2, 2);
	cr_assert_eq(kill(r.p9.device, SIGCONT), 0);
	for (int i = 0; i < 2; i++) {
		json_t *got = control_answer(&r.c);

		cr_assert_not_null(json_object_get(got, "return"));
		json_decref(got);
	}
	cr_assert(control_disk_is(&r.c, "first", fds[0]));
	cr_assert(control_disk_is(&r.c, "second", fds[2]));
	for (int i = 0; i < 4; i++)
		fd_close(&fds[i]);
}
