/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commands.c: what every device answers, and what a command that makes no sense gets. */
#include "tests/lib/control_peer.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct control_rig r;

static void start(void)
{
	control_rig_start(&r, NULL);
}

static void end(void)
{
	control_rig_end(&r);
}

TestSuite(control, .init = start, .fini = end, .timeout = 60);
TestSuite(control_clients, .timeout = 60);

#define DO(command)            control_done(&r.c, (command), NULL, 0)
#define REFUSED(text, command) control_refused(&r.c, (text), (command), NULL, 0)

/* The text at a member of an object in an object. */
static const char *text_at(const json_t *o, const char *outer, const char *inner)
{
	const char *text = json_string_value(json_object_get(json_object_get(o, outer), inner));

	return text ? text : "";
}

Test(control, who_connects_is_greeted)
{
	const json_t *can =
	    json_object_get(json_object_get(r.c.greeting, "virtfs"), "capabilities");

	cr_assert(json_is_array(can));
	cr_assert_str_eq(text_at(r.c.greeting, "virtfs", "version"), VIRTFS_VERSION);
}

Test(control, an_answer_has_the_id_of_its_command)
{
	static const char *const ids[] = {
	    "1", "'a'", "null", "[1, {'b': 2}]", "1.5", "-9007199254740993"};
	json_t *got, *sent;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		char command[200], id[100];

		(void)snprintf(command, sizeof(command), "{'execute': 'query-version', 'id': %s}",
		               ids[i]);
		control_send(&r.c, command, NULL, 0);
		got = control_answer(&r.c);
		(void)snprintf(id, sizeof(id), "%s", ids[i]);
		for (char *p = id; *p; p++)
			*p = *p == '\'' ? '"' : *p;
		sent = json_loads(id, JSON_DECODE_ANY, NULL);
		cr_assert(json_equal(json_object_get(got, "id"), sent), "%s", ids[i]);
		json_decref(sent);
		json_decref(got);
	}
	/* An error has it too, and an answer to none has none. */
	control_send(&r.c, "{'execute': 'no-such', 'id': 7}", NULL, 0);
	got = control_answer(&r.c);
	cr_assert_eq(json_integer_value(json_object_get(got, "id")), 7);
	cr_assert_str_eq(text_at(got, "error", "class"), "CommandNotFound");
	json_decref(got);
	control_send(&r.c, "{'execute': 'query-version'}", NULL, 0);
	got = control_answer(&r.c);
	cr_assert_null(json_object_get(got, "id"));
	json_decref(got);
}

Test(control, what_is_no_command_is_told_what_is_wrong_with_it)
{
	REFUSED("no JSON at byte", "hello");
	REFUSED("no JSON at byte", "{'execute': 'query-version'");
	REFUSED("no JSON at byte", "{'execute': 'query-version'} {}");
	REFUSED("no JSON at byte 26: duplicate object key", "{'execute': 'a', 'execute': 'b'}");
	REFUSED("no JSON at byte", "{'execute': 'query-version', 'id': 9223372036854775808}");
	REFUSED("no JSON at byte", "{'execute': 'query-version', 'id': '\\u0000'}");
	REFUSED("no JSON at byte", "{'execute': '\xff'}");
	REFUSED("a command must be an object", "[]");
	REFUSED("'execute' is missing or no text", "{}");
	REFUSED("'execute' is missing or no text", "{'execute': 1}");
	REFUSED("unknown member \"arguements\": known are: execute, arguments, id",
	        "{'execute': 'query-version', 'arguements': {}}");
	REFUSED(
	    "unknown command \"query-versoin\": did you mean 'query-version'? query-commands tells",
	    "{'execute': 'query-versoin'}");
	REFUSED("unknown command \"frobnicate\": query-commands tells",
	        "{'execute': 'frobnicate'}");
	REFUSED("unknown command \"\\xc3\\xa4\\x0a\"", "{'execute': '\\u00e4\\n'}");
	DO("{'execute': 'query-version'}");
}

Test(control, what_is_nested_too_deep_is_refused_before_it_is_parsed)
{
	static char deep[60000];
	size_t n = 0;

	REFUSED("nested more than 8 deep", "{'execute': 'query-version', 'id': [[[[[[[[]]]]]]]]}");
	DO("{'execute': 'query-version', 'id': [[[[[[[]]]]]]]}");
	DO("{'execute': 'query-version', 'id': '[[[[[[[[[\\'[[['}");
	while (n < sizeof(deep) - 1)
		deep[n++] = '[';
	REFUSED("nested more than 8 deep", deep);
	DO("{'execute': 'query-version'}");
}

Test(control, an_argument_that_is_wrong_is_named_with_what_would_be_right)
{
	REFUSED("argument 'level' is missing: one of \"error\", \"warning\", \"info\", \"debug\"",
	        "{'execute': 'log-level'}");
	REFUSED("argument 'level': found the text \"loud\" (4 bytes), must be one of \"error\"",
	        "{'execute': 'log-level', 'arguments': {'level': 'loud'}}");
	REFUSED("argument 'level': found the number 3, must be",
	        "{'execute': 'log-level', 'arguments': {'level': 3}}");
	REFUSED("argument 'level': found null, must be",
	        "{'execute': 'log-level', 'arguments': {'level': null}}");
	REFUSED("unknown argument \"levle\": did you mean 'level'? known are: level",
	        "{'execute': 'log-level', 'arguments': {'level': 'info', 'levle': 1}}");
	REFUSED("unknown argument \"x\": none is taken",
	        "{'execute': 'query-version', 'arguments': {'x': 1}}");
	REFUSED("arguments: found an array of 0, must be an object",
	        "{'execute': 'query-version', 'arguments': []}");
	DO("{'execute': 'log-level', 'arguments': {'level': 'debug'}}");
	DO("{'execute': 'query-version', 'arguments': {}}");
}

Test(control, the_log_says_more_when_it_is_told_to)
{
	REFUSED("unknown command", "{'execute': 'one'}");
	cr_assert_null(strstr(rig_log(&r.p9.rig), "debug: control: refused"));
	DO("{'execute': 'log-level', 'arguments': {'level': 'debug'}}");
	REFUSED("unknown command", "{'execute': 'two'}");
	cr_assert_not_null(
	    strstr(rig_log(&r.p9.rig), "debug: control: refused: unknown command \"two\""));
}

Test(control, all_commands_tell_of_themselves)
{
	json_t *all = control_ok(&r.c, "{'execute': 'query-commands'}", NULL, 0), *one;
	size_t i;

	cr_assert_geq(json_array_size(all), 4);
	json_array_foreach(all, i, one)
	{
		cr_assert(*json_string_value(json_object_get(one, "name")));
		cr_assert(*json_string_value(json_object_get(one, "help")));
		cr_assert(json_is_array(json_object_get(one, "arguments")));
	}
	json_decref(all);
}

Test(control, quit_is_answered_and_ends_the_device)
{
	DO("{'execute': 'quit'}");
	json_decref(control_wait_event(&r.c, "SHUTDOWN"));
	cr_assert(control_closed(&r.c));
}

Test(control, many_commands_at_once_are_answered_in_their_order)
{
	for (int i = 0; i < 100; i++) {
		char command[100];

		(void)snprintf(command, sizeof(command), "{'execute': 'query-version', 'id': %d}",
		               i);
		control_send(&r.c, command, NULL, 0);
	}
	for (int i = 0; i < 100; i++) {
		json_t *got = control_answer(&r.c);

		cr_assert_eq(json_integer_value(json_object_get(got, "id")), i);
		json_decref(got);
	}
}

/* ---- several clients ---- */

static void listen_start(void)
{
	control_rig_start(&r, &(struct control_rig_opt){.listen = true});
}

Test(control_clients, two_at_once_and_one_after_the_other, .init = listen_start, .fini = end)
{
	struct control_peer second;

	control_connect(&second, r.at);
	control_send(&second, "{'execute': 'query-version', 'id': 2}", NULL, 0);
	DO("{'execute': 'query-version'}");
	json_decref(control_answer(&second));
	control_close(&r.c);
	control_done(&second, "{'execute': 'query-version'}", NULL, 0);
	control_close(&second);
	control_connect(&r.c, r.at);
	DO("{'execute': 'query-version'}");
}

Test(control_clients, the_seventeenth_is_turned_away, .init = listen_start, .fini = end)
{
	struct control_peer more[15], last;

	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		control_connect(&more[i], r.at);
	control_reach(&last, r.at);
	cr_assert(control_closed(&last));
	control_close(&more[0]);
	/* Until it is seen gone there are too many still. */
	do {
		control_close(&last);
		control_reach(&last, r.at);
		last.greeting = control_recv(&last);
	} while (!last.greeting);
	control_close(&last);
	for (size_t i = 1; i < ARRAY_SIZE(more); i++)
		control_close(&more[i]);
	DO("{'execute': 'query-version'}");
}

/* As another user: 0 if the first packet greets, 1 if it is an error, 2 if there is none. */
static int greeted_as(uid_t uid)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct control_peer c;
		char packet[256] = "";

		if (setresuid(uid, uid, uid) < 0)
			_exit(3);
		control_reach(&c, r.at);
		(void)!recv(c.sock, packet, sizeof(packet) - 1, 0);
		_exit(strstr(packet, "{\"virtfs\"")       ? 0
		      : strstr(packet, "may not control") ? 1
		                                          : 2);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void open_to_all(void)
{
	cr_assert_eq(chmod(r.p9.rig.dir, 0755), 0);
	cr_assert_eq(chmod(r.at, 0777), 0);
}

Test(control_clients, another_user_is_refused, .init = listen_start, .fini = end)
{
	struct stat st;

	cr_assert_eq(stat(r.at, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0700);
	open_to_all();
	cr_assert_eq(greeted_as(1000), 1);
	cr_assert_not_null(strstr(rig_log(&r.p9.rig), "user 1000 may not control this device"));
	cr_assert_eq(greeted_as(0), 0);
}

Test(control_clients, the_user_of_the_option_is_none_other, .fini = end)
{
	static const char *const args[] = {"--control-user", "1000:1000", NULL};

	control_rig_start(&r, &(struct control_rig_opt){.listen = true, .args = args});
	open_to_all();
	cr_assert_eq(greeted_as(1000), 0);
	cr_assert_eq(greeted_as(1001), 1);
}

/* Sends commands until the device cuts it off, and reads nothing. Return: how many were sent. */
static unsigned flood(struct control_peer *c)
{
	unsigned sent = 0;
	int error = 0;

	cr_assert_eq(fcntl(c->sock, F_SETFL, O_NONBLOCK), 0);
	for (unsigned tries = 0; tries < 2000000 && error != -EPIPE && error != -ECONNRESET;
	     tries++) {
		error = control_send_bytes(c, "{\"execute\": \"query-commands\"}", 29, NULL, 0);
		sent += error == 0;
		if (error == -EAGAIN)
			(void)poll(&(struct pollfd){.fd = c->sock, .events = POLLOUT}, 1, 1000);
	}
	cr_assert_neq(error, -EAGAIN);
	return sent;
}

Test(control_clients, who_does_not_read_is_cut_off_and_holds_up_nobody, .init = listen_start,
     .fini = end)
{
	struct control_peer deaf;
	unsigned sent;

	/* A packet of answers for each: they fill the socket, and then the mebibyte that may wait. */
	control_connect(&deaf, r.at);
	sent = flood(&deaf);
	cr_assert_gt(sent, 10);
	cr_assert_lt(sent, 5000);
	DO("{'execute': 'query-version'}");
	cr_assert_not_null(strstr(rig_log(&r.p9.rig), "it does not read what it is sent"));
	control_close(&deaf);
	cr_assert_eq(fd_count(r.p9.device), r.fds_device);
}

Test(control_clients, a_device_of_an_ordinary_user_takes_only_that_users, .fini = end)
{
	control_rig_start(&r, &(struct control_rig_opt){.listen = true, .as = 1000});
	open_to_all();
	cr_assert_eq(greeted_as(1000), 0);
	/* Its user namespace knows no other: they all look alike. */
	cr_assert_eq(greeted_as(1001), 1);
	cr_assert_eq(greeted_as(65534), 1);
}

Test(control_clients, a_device_of_nobody_takes_nobodys_commands, .fini = end)
{
	/* Whom its namespace does not know looks like its own user. */
	control_rig_start(&r, &(struct control_rig_opt){.listen = true, .as = 65534});
	open_to_all();
	cr_assert_eq(greeted_as(1001), 1);
	cr_assert_eq(greeted_as(65534), 1);
}

Test(control_clients, a_pair_that_is_closed_ends_a_device_that_serves_nothing)
{
	control_rig_start(&r, NULL);
	control_close(&r.c);
	cr_assert_eq(rig_exit_status(r.p9.device), 0);
	cr_assert_not_null(strstr(rig_log(&r.p9.rig), "the control socket is closed"));
	(void)rig_end(&r.p9.rig);
}
