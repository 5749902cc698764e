/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resize.c: an emulator is told of block-resize, and finds the new size in the configuration space. */
#include "tests/lib/blk_rig.h"
#include "tests/lib/control_peer.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>

#define CONFIG_CHANGE 2 /* VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, in vhost-user's specification */

static struct blk_rig rig;
static struct control_peer c;
static int backend = -1; /* the emulator's end of the channel that the device sends on */

static void begin(void)
{
	int pair[2];

	cr_assert(blk_rig_start(&rig, &(struct blk_opt){.control = true}));
	control_connect(&c, rig.control);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	cr_assert_eq(vu_acked(&rig.f, VU_SET_BACKEND_REQ_FD, NULL, 0, pair[1]), 0);
	fd_close(&pair[1]);
	backend = pair[0];
}

static void end(void)
{
	fd_close(&backend);
	control_close(&c);
	blk_rig_end(&rig);
}

static void is_told(void)
{
	struct {
		uint32_t request, flags, size;
	} head;

	cr_assert(vu_readable(backend, VU_PATIENCE_MS), "the emulator is not told");
	cr_assert_eq(recv(backend, &head, sizeof(head), MSG_WAITALL), (ssize_t)sizeof(head));
	cr_assert_eq(head.request, CONFIG_CHANGE);
	cr_assert_eq(head.flags & 3, 1, "vhost-user's version");
	cr_assert_eq(head.size, 0);
}

static void resize(const char *arguments)
{
	char command[160];

	(void)snprintf(command, sizeof(command),
	               "{'execute': 'block-resize', 'arguments': {'id': 'd0'%s}}", arguments);
	control_done(&c, command, NULL, 0);
}

Test(control_resize, the_emulator_is_told_and_finds_the_new_size)
{
	uint8_t data[512] = {1}, back[512];
	const uint64_t last = 2 * BLK_SIZE / 512 - 1;

	begin();
	cr_assert_not(vu_readable(backend, 0), "it is told of nothing");
	cr_assert_eq(blk_config(&rig).capacity, BLK_SIZE / 512);
	cr_assert_eq(blk_write(&rig, last, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(ftruncate(rig.fd, 2 * BLK_SIZE), 0);
	/* Not before it is said. */
	cr_assert_eq(blk_write(&rig, last, data, sizeof(data)), VIRTIO_BLK_S_IOERR);
	resize("");
	is_told();
	cr_assert_eq(blk_config(&rig).capacity, 2 * BLK_SIZE / 512);
	cr_assert_eq(blk_write(&rig, last, data, sizeof(data)), VIRTIO_BLK_S_OK);
	cr_assert_eq(blk_read(&rig, last, back, sizeof(back)), VIRTIO_BLK_S_OK);
	cr_assert_eq(memcmp(data, back, sizeof(data)), 0);
	/* And to a smaller one. */
	resize(", 'size': 4096");
	is_told();
	cr_assert_eq(blk_config(&rig).capacity, 8);
	cr_assert_eq(blk_read(&rig, 8, back, sizeof(back)), VIRTIO_BLK_S_IOERR);
	cr_assert_eq(blk_read(&rig, 7, back, sizeof(back)), VIRTIO_BLK_S_OK);
	cr_assert_not(vu_readable(backend, 0), "it was told twice");
	end();
}

Test(control_resize, one_that_is_refused_is_not_told)
{
	begin();
	control_refused(
	    &c, "make it longer first",
	    "{'execute': 'block-resize', 'arguments': {'id': 'd0', 'size': 1073741824}}", NULL, 0);
	cr_assert_not(vu_readable(backend, 0));
	cr_assert_eq(blk_config(&rig).capacity, BLK_SIZE / 512);
	end();
}

/* The device does not wait for it, nor mind. */
Test(control_resize, an_emulator_that_does_not_listen_holds_nothing_up)
{
	begin();
	for (unsigned i = 0; i < 1000; i++) {
		resize(", 'size': 4096");
		resize("");
	}
	cr_assert(blk_serves(&rig));
	fd_close(&backend);
	resize("");
	cr_assert(blk_serves(&rig));
	end();
}
