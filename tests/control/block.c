/* SPDX-License-Identifier: GPL-2.0-or-later */
/* block.c: disks by command: what is attached, what is told of it, and what is refused. */
#include "tests/lib/control_disk.h"

#include "common/cleanup.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

static struct control_rig r;

static void start(void)
{
	control_rig_start(&r, &(struct control_rig_opt){.listen = true});
}

static void end(void)
{
	control_rig_end(&r);
}

TestSuite(control_block, .init = start, .fini = end, .timeout = 60);

static const char *text_of(const json_t *o, const char *member)
{
	const char *text = json_string_value(json_object_get(o, member));

	cr_assert_not_null(text, "no %s", member);
	return text;
}

static json_int_t number_of(const json_t *o, const char *member)
{
	cr_assert(json_is_integer(json_object_get(o, member)), "no %s", member);
	return json_integer_value(json_object_get(o, member));
}

static bool truth_of(const json_t *o, const char *member)
{
	cr_assert(json_is_boolean(json_object_get(o, member)), "no %s", member);
	return json_is_true(json_object_get(o, member));
}

Test(control_block, a_disk_is_told_of_as_it_was_attached)
{
	int image = control_image(), fds[2] = {control_read_only(image), control_listener()};
	json_t *d;

	control_done(&r.c,
	             "{'execute': 'block-attach', 'arguments': {'id': 'a', 'read-only': true, "
	             "'serial': 'S1', "
	             "'queues': 3, 'queue-size': 64, 'cache': 'writethrough', 'chain': [{'format': "
	             "'raw', 'file': "
	             "{'fd': 0}}], 'socket': {'fd': 1}}}",
	             fds, 2);
	d = control_disk(&r.c, "a");
	cr_assert_str_eq(text_of(d, "id"), "a");
	cr_assert_str_eq(text_of(d, "serial"), "S1");
	cr_assert_str_eq(text_of(d, "format"), "raw");
	cr_assert_str_eq(text_of(d, "cache"), "writethrough");
	cr_assert(truth_of(d, "read-only"));
	cr_assert(!truth_of(d, "discard"));
	cr_assert(!truth_of(d, "connected"));
	cr_assert(truth_of(d, "listens"));
	cr_assert_eq(number_of(d, "queues"), 3);
	cr_assert_eq(number_of(d, "size"), CONTROL_DISK_SIZE);
	cr_assert_eq(json_array_size(json_object_get(d, "files")), 1);
	cr_assert(!truth_of(json_array_get(json_object_get(d, "files"), 0), "writable"));
	json_decref(d);
	cr_assert(control_disk_is(&r.c, "a", image));
	fd_close(&image);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

Test(control_block, a_disk_is_usually_written_by_the_page_cache)
{
	json_t *d;

	control_attach(&r.c, "usual", NULL);
	d = control_disk(&r.c, "usual");
	cr_assert(!truth_of(d, "read-only"));
	cr_assert_str_eq(text_of(d, "cache"), "writeback");
	cr_assert_str_eq(text_of(d, "serial"), "usual");
	cr_assert(truth_of(json_array_get(json_object_get(d, "files"), 0), "writable"));
	json_decref(d);
}

/* A command for descriptors image and socket, with more in it; it is refused with that text. */
static void refused_with(const char *more, const int *fds, const char *says)
{
	char text[400];

	(void)snprintf(
	    text, sizeof(text),
	    "{'execute': 'block-attach', 'arguments': {'id': 'a', %s'chain': [{'format': 'raw', "
	    "'file': {'fd': 0}}], 'socket': {'fd': 1}}}",
	    more);
	control_refused(&r.c, says, text, fds, 2);
	cr_assert_eq(fd_count(r.p9.device), r.fds_device, "%s", more);
}

Test(control_block, what_does_not_go_together_is_refused)
{
	int image = control_image(), reads = control_read_only(image), socket = control_listener();
	const int rw[2] = {image, socket}, ro[2] = {reads, socket};

	refused_with("", ro, "disk 'a': ");
	refused_with("'read-only': true, ", rw, "disk 'a': ");
	refused_with("'cache': 'none', ", rw, "disk 'a': ");
	refused_with("'read-only': true, 'discard': true, ", ro,
	             "a read-only disk discards nothing");
	refused_with("'queue-size': 3, ", rw, "a power of two");
	refused_with("'queues': 0, ", rw,
	             "argument 'queues': found the number 0, must be a whole number from 1");
	refused_with("'serial': '123456789012345678901', ", rw,
	             "argument 'serial': found the text \"123456789012345678901\" (21 bytes), must "
	             "be a text of 0 to 20");
	refused_with("'cache': 'unsafe', ", rw,
	             "must be one of \"writeback\", \"writethrough\", \"none\"");
	refused_with("'read_only': true, ", rw,
	             "unknown argument \"read_only\": did you mean 'read-only'?");
	refused_with("'read-only': 1, ", rw,
	             "argument 'read-only': found the number 1, must be true or false");
	control_refused(&r.c,
	                "argument 'chain[0].format': found the text \"vmdk\" (4 bytes), must be "
	                "one of \"raw\", \"qcow2\"",
	                "{'execute': 'block-attach', 'arguments': {'id': 'a', 'chain': [{'format': "
	                "'vmdk', 'file': {'fd': "
	                "0}}], 'socket': {'fd': 1}}}",
	                rw, 2);
	cr_assert_eq(control_disks(&r.c), 0);
	fd_close(&image);
	fd_close(&reads);
	fd_close(&socket);
}

Test(control_block, an_id_is_free_again_when_its_disk_is_detached)
{
	struct control_peer second;
	json_t *data;

	control_connect(&second, r.at);
	for (int i = 0; i < 3; i++) {
		control_attach(&r.c, "a", NULL);
		control_detach(&r.c, "a");
		data = control_wait_event(&r.c, "BLOCK_EXPORT_DELETED");
		cr_assert_str_eq(text_of(data, "id"), "a");
		json_decref(data);
		json_decref(control_wait_event(&second, "BLOCK_EXPORT_DELETED"));
	}
	control_refused(&r.c, "there is no disk 'a'",
	                "{'execute': 'block-detach', 'arguments': {'id': 'a'}}", NULL, 0);
	control_refused(&r.c, "there is no disk 'a'",
	                "{'execute': 'query-stats', 'arguments': {'id': 'a'}}", NULL, 0);
	control_close(&second);
}

static json_int_t size_of(const char *id)
{
	json_t *d = control_disk(&r.c, id);
	json_int_t n = number_of(d, "size");

	json_decref(d);
	return n;
}

Test(control_block, a_disk_has_another_size_once_its_image_has)
{
	int image;

	control_attach(&r.c, "a", &image);
	control_refused(&r.c, "make it longer first",
	                "{'execute': 'block-resize', 'arguments': {'id': 'a', 'size': 2097152}}",
	                NULL, 0);
	cr_assert_eq(ftruncate(image, 2097152), 0);
	cr_assert_eq(size_of("a"), CONTROL_DISK_SIZE);
	control_done(&r.c, "{'execute': 'block-resize', 'arguments': {'id': 'a'}}", NULL, 0);
	cr_assert_eq(size_of("a"), 2097152);
	control_done(&r.c, "{'execute': 'block-resize', 'arguments': {'id': 'a', 'size': 4096}}",
	             NULL, 0);
	cr_assert_eq(size_of("a"), 4096);
	control_refused(&r.c, "multiple",
	                "{'execute': 'block-resize', 'arguments': {'id': 'a', 'size': 4097}}", NULL,
	                0);
	fd_close(&image);
}

static bool is_connected(const char *id)
{
	json_t *d = control_disk(&r.c, id);
	bool is = truth_of(d, "connected");

	json_decref(d);
	return is;
}

Test(control_block, emulators_that_come_and_go_are_told_of)
{
	int pair[2], image = control_image(), fds[2] = {image, control_listener()};
	struct sockaddr_un at;
	socklen_t size = sizeof(at);
	AUTO_CLOSE int emulator = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	control_done(&r.c, control_attach_text("a"), fds, 2);
	cr_assert_eq(getsockname(fds[1], (struct sockaddr *)&at, &size), 0);
	cr_assert_eq(connect(emulator, (const struct sockaddr *)&at, size), 0);
	json_decref(control_wait_event(&r.c, "DISK_CONNECTED"));
	cr_assert(is_connected("a"));
	fd_close(&emulator);
	json_decref(control_wait_event(&r.c, "DISK_DISCONNECTED"));
	control_detach(&r.c, "a");
	/* One that is connected from the start. */
	cr_assert_eq(usock_pair(SOCK_STREAM, pair), 0);
	control_done(&r.c, control_attach_text("b"), (int[]){image, pair[1]}, 2);
	json_decref(control_wait_event(&r.c, "DISK_CONNECTED"));
	/* With its emulator there: that is cut off. */
	control_detach(&r.c, "b");
	fd_close(&pair[1]);
	cr_assert_eq(recv(pair[0], &(char){0}, 1, 0), 0);
	fd_close(&pair[0]);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
	cr_assert_eq(fd_count(r.p9.device), r.fds_device);
}

Test(control_block, what_disks_have_done)
{
	json_t *all;

	control_attach(&r.c, "a", NULL);
	control_attach(&r.c, "b", NULL);
	all = control_ok(&r.c, "{'execute': 'query-stats'}", NULL, 0);
	cr_assert_eq(json_array_size(all), 2);
	cr_assert_str_eq(text_of(json_array_get(all, 0), "id"), "a");
	cr_assert_eq(number_of(json_array_get(all, 0), "reads"), 0);
	cr_assert_eq(number_of(json_array_get(all, 1), "in-flight"), 0);
	json_decref(all);
}

Test(control_alone, the_end_of_a_connected_socket_leaves_disks_be, .timeout = 60)
{
	int fds[2] = {control_image(), control_listener()};
	struct sockaddr_un at;
	socklen_t size = sizeof(at);
	AUTO_CLOSE int emulator = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	control_rig_start(&r, NULL);
	control_done(&r.c, control_attach_text("a"), fds, 2);
	control_close(&r.c);
	while (!strstr(rig_log(&r.p9.rig), "the control socket is closed"))
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	(void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	cr_assert_eq(waitpid(r.p9.device, NULL, WNOHANG), 0, "it has ended");
	cr_assert_eq(getsockname(fds[1], (struct sockaddr *)&at, &size), 0);
	cr_assert_eq(connect(emulator, (const struct sockaddr *)&at, size), 0);
	r.listens = true; /* nobody can ask it to end any more */
	control_rig_end(&r);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}
