/* SPDX-License-Identifier: GPL-2.0-or-later */
/* share.c: the share, by the control socket: what it tells, and what can be changed while clients use it. */
#include "tests/lib/control_peer.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct p9_rig rig;
static struct control_peer c;
static char at[80];

/* The device's path is only known when the directory is. */
static char option[100];
static const char *const args[] = {"--control", option, NULL};

static void prepare(struct rig *dirs)
{
	(void)snprintf(at, sizeof(at), "%s/control", dirs->dir);
	(void)snprintf(option, sizeof(option), "unix:%s", at);
}

static void start(void)
{
	p9_rig_start(&rig,
	             &(struct p9_rig_opt){.device_args = args, .prepare = prepare, .listen = true});
	control_connect(&c, at);
}

static void end(void)
{
	control_close(&c);
	p9_rig_end(&rig);
}

TestSuite(control_share, .init = start, .fini = end, .timeout = 60);

static json_int_t number_of(const char *member)
{
	json_t *share = control_ok(&c, "{'execute': 'query-share'}", NULL, 0);
	json_int_t n = json_integer_value(json_object_get(share, member));

	cr_assert(json_is_integer(json_object_get(share, member)), "%s", member);
	json_decref(share);
	return n;
}

static bool has_helper(void)
{
	json_t *share = control_ok(&c, "{'execute': 'query-share'}", NULL, 0);
	bool has = json_is_true(json_object_get(share, "helper"));

	json_decref(share);
	return has;
}

Test(control_share, tells_how_it_is_used)
{
	struct p9_client second;

	cr_assert_eq(number_of("clients"), 1);
	cr_assert_eq(number_of("fids"), 1);
	p9_rig_connect(&rig, &second, false);
	cr_assert_eq(number_of("clients"), 2);
	p9_to(&second, 0, 1, "");
	cr_assert_eq(number_of("fids"), 3);
	cr_assert_eq(number_of("max-fids"), 2097152);
	cr_assert_eq(number_of("in-flight"), 0);
	cr_assert_eq(number_of("poll-us"), 500);
	cr_assert(has_helper());
	p9_client_end(&second);
}

Test(control_share, limits_change_under_a_client)
{
	p9_to(&rig.c, 0, 1, "");
	control_done(&c, "{'execute': 'share-set-limits', 'arguments': {'max-fids': 2}}", NULL, 0);
	P9(&rig.c, walk, .fid = 0, .newfid = 2, .names = "", .expect_err = EMFILE);
	control_done(&c, "{'execute': 'share-set-limits', 'arguments': {'max-fids': 3}}", NULL, 0);
	p9_to(&rig.c, 0, 2, "");
	control_done(&c, "{'execute': 'share-set-limits', 'arguments': {'poll-us': 0}}", NULL, 0);
	cr_assert_eq(number_of("poll-us"), 0);
	cr_assert_eq(number_of("max-fids"), 3);
	control_refused(&c,
	                "'max-fids': found the number 0, must be a whole number from 1 to 16777216",
	                "{'execute': 'share-set-limits', 'arguments': {'max-fids': 0}}", NULL, 0);
	control_refused(&c, "'max-fids': found the number -1, must be",
	                "{'execute': 'share-set-limits', 'arguments': {'max-fids': -1}}", NULL, 0);
	control_refused(&c, "'max-fids': found a number with a fraction or an exponent, must be",
	                "{'execute': 'share-set-limits', 'arguments': {'max-fids': 2.0}}", NULL, 0);
	control_refused(&c, "'max-fids': found the text \"2\" (1 bytes), must be",
	                "{'execute': 'share-set-limits', 'arguments': {'max-fids': '2'}}", NULL, 0);
	control_refused(&c, "'max-fids': found the number 16777217, must be",
	                "{'execute': 'share-set-limits', 'arguments': {'max-fids': 16777217}}",
	                NULL, 0);
}

static const char set_helper[] =
    "{'execute': 'share-set-helper', 'arguments': {'helper': {'fd': 0}}}";

/* A helper on the same directory. Return: our end of its socket, which is the device's to be. */
static int new_helper(void)
{
	rig_serve(&rig.rig, NULL);
	return fd_steal(&rig.rig.sock);
}

Test(control_share, a_new_helper_is_put_in_place)
{
	int sock;

	p9_rig_kill_helper(&rig);
	json_decref(control_wait_event(&c, "SHARE_HELPER_GONE"));
	cr_assert(!has_helper());
	P9(&rig.c, walk, .fid = 0, .newfid = 1, .names = "x", .expect_err = P9_ANY_ERROR);
	sock = new_helper();
	control_done(&c, set_helper, &sock, 1);
	fd_close(&sock);
	json_decref(control_wait_event(&c, "SHARE_HELPER_READY"));
	cr_assert(has_helper());
	P9(&rig.c, attach, .fid = 5, .afid = 0xffffffff, .uname = "root", .aname = "",
	   .n_uname = 0);
}

Test(control_share, what_is_no_helper_is_refused)
{
	int pair[2], null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), before = fd_count(rig.device);

	control_refused(&c,
	                "argument 'helper': must be a connected Unix socket of type SOCK_SEQPACKET",
	                set_helper, &null_fd, 1);
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	control_refused(&c, "argument 'helper': must be", set_helper, pair, 1);
	control_refused(&c, "'helper': there is no descriptor 0: the packet came with 0",
	                set_helper, NULL, 0);
	control_refused(&c, "descriptor 1 of the packet is named by no argument", set_helper, pair,
	                2);
	control_refused(&c, "'helper': found the number 0, must be {\"fd\": i}",
	                "{'execute': 'share-set-helper', 'arguments': {'helper': 0}}", pair, 1);
	control_refused(
	    &c, "'helper': found an object, must be {\"fd\": i}",
	    "{'execute': 'share-set-helper', 'arguments': {'helper': {'fd': 0, 'x': 1}}}", pair, 1);
	control_refused(&c, "'helper': there is no descriptor -1",
	                "{'execute': 'share-set-helper', 'arguments': {'helper': {'fd': -1}}}",
	                pair, 1);
	control_refused(
	    &c, "'helper': there is no descriptor 4294967296",
	    "{'execute': 'share-set-helper', 'arguments': {'helper': {'fd': 4294967296}}}", pair,
	    1);
	cr_assert_eq(fd_count(rig.device), before);
	cr_assert(p9_alive(&rig.c));
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	fd_close(&null_fd);
}

Test(control_share, a_helper_that_does_not_answer_is_told_of_when_it_ends_or_another_comes)
{
	struct control_peer second;
	int mute[2], ended[2], sock;

	control_connect(&second, at);
	/* The old one ends when the device lets it go. */
	cr_assert_eq(usock_pair(SOCK_SEQPACKET, mute), 0);
	control_send(&c, set_helper, &mute[1], 1);
	fd_close(&mute[1]);
	cr_assert_eq(rig_exit_status(rig.rig.helper), 0);
	/* It says nothing; another one comes, and ends at once. */
	cr_assert_eq(usock_pair(SOCK_SEQPACKET, ended), 0);
	control_send(&second, set_helper, &ended[1], 1);
	fd_close(&ended[1]);
	control_expect_error(&c, "the new helper does not answer: ECANCELED");
	fd_close(&ended[0]);
	control_expect_error(&second, "the new helper does not answer: EIO");
	cr_assert(!has_helper());
	sock = new_helper();
	control_done(&c, set_helper, &sock, 1);
	fd_close(&sock);
	fd_close(&mute[0]);
	control_close(&second);
	cr_assert(has_helper());
}

Test(control_share, what_comes_behind_a_command_that_waits_is_answered_after_it)
{
	struct control_peer second;
	int mute[2], sock;
	json_t *got;

	control_connect(&second, at);
	cr_assert_eq(usock_pair(SOCK_SEQPACKET, mute), 0);
	control_send(&second, set_helper, &mute[1], 1);
	control_send(&second, "{'execute': 'query-version', 'id': 'behind'}", NULL, 0);
	fd_close(&mute[1]);
	cr_assert_eq(rig_exit_status(rig.rig.helper), 0);
	/* Others are not held up by it. */
	control_done(&c, "{'execute': 'query-version'}", NULL, 0);
	sock = new_helper();
	control_done(&c, set_helper, &sock, 1);
	fd_close(&sock);
	control_expect_error(&second, "ECANCELED");
	got = control_answer(&second);
	cr_assert_str_eq(json_string_value(json_object_get(got, "id")), "behind");
	json_decref(got);
	fd_close(&mute[0]);
	control_close(&second);
}

Test(control_share, who_asked_for_a_helper_may_leave_before_it_answers)
{
	struct control_peer second;
	int mute[2], sock;

	control_connect(&second, at);
	cr_assert_eq(usock_pair(SOCK_SEQPACKET, mute), 0);
	control_send(&second, set_helper, &mute[1], 1);
	/* What it sent behind that goes with it, and its descriptors. */
	control_send(&second, set_helper, &mute[1], 1);
	fd_close(&mute[1]);
	cr_assert_eq(rig_exit_status(rig.rig.helper), 0);
	control_close(&second);
	sock = new_helper();
	control_done(&c, set_helper, &sock, 1);
	fd_close(&sock);
	cr_assert_eq(recv(mute[0], &(char[4096]){0}, 4096, 0) > 0, true);
	cr_assert_eq(recv(mute[0], &(char){0}, 1, 0), 0, "somebody still has it open");
	fd_close(&mute[0]);
}
