/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * restart.c: the device is killed under load and started again with the same image; its emulator keeps rings and notes, and
 * every request is carried out: none lost, none answered twice.
 */
#include "tests/lib/blk_rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct blk_rig rig;
static struct vu_inflight info;
static int area_fd = -1;

static void get_area(void)
{
	struct vu_inflight ask = {.queues = 1, .queue_size = 128};
	uint8_t answer[4096];

	cr_assert(vu_send(&rig.f, VU_GET_INFLIGHT_FD, 0, &ask, 20, -1));
	cr_assert_eq(vu_reply_fd(&rig.f, VU_GET_INFLIGHT_FD, answer, &area_fd), 20);
	memcpy(&info, answer, 20);
	cr_assert_geq(area_fd, 0);
}

/* On a new connection all is told again but the memory's contents, which stay. */
static void resume(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig.path);
	cr_assert_eq(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	vu_front_use(&rig.f, sock);
	vu_greet(&rig.f, BLK_ALL_FEATURES, BLK_ALL_PROTOCOL);
	vu_tell_memory(&rig.f);
	vu_set(&rig.f, VU_SET_INFLIGHT_FD, &info, 20, area_fd);
	/* QEMU's base is what the device has answered by then. */
	vu_set(&rig.f, VU_SET_VRING_NUM, &(struct vu_state){0, rig.ring[0].size},
	       sizeof(struct vu_state), -1);
	vu_set(&rig.f, VU_SET_VRING_BASE, &(struct vu_state){0, rig.ring[0].used->idx},
	       sizeof(struct vu_state), -1);
	vu_tell_addr(&rig.ring[0]);
	vu_tell_kick(&rig.ring[0]);
	vu_tell_call(&rig.ring[0]);
	vu_tell_err(&rig.ring[0]);
	vu_tell_enable(&rig.ring[0], true);
}

static void kill_device(void)
{
	(void)kill(rig.device, SIGKILL);
	(void)waitpid(rig.device, NULL, 0);
}

/*
 * One request in four reads. What is in the page cache is answered at once, while the writes before it wait for a disk: so
 * requests end in another order than they came in, and only the notes tell which are left.
 */
#define KEPT_SECTOR(i) (8192 + 64ull * (i))

static bool reads(unsigned i)
{
	return i % 4 == 3;
}

static void fill_kept(void)
{
	uint8_t kept[16384];

	for (unsigned i = 0; i < BLK_SLOTS; i++) {
		blk_fill(kept, sizeof(kept), i);
		blk_rig_write(&rig, KEPT_SECTOR(i) * 512, kept, sizeof(kept));
	}
}

static void offer_all(struct blk_request *q, uint8_t (*data)[16384], unsigned round)
{
	for (unsigned i = 0; i < BLK_SLOTS; i++) {
		blk_fill(data[i], sizeof(data[i]), round * 1000 + i);
		q[i] = reads(i) ? (struct blk_request){.type = VIRTIO_BLK_T_IN,
		                                       .sector = KEPT_SECTOR(i),
		                                       .in = data[i],
		                                       .in_size = sizeof(data[i]),
		                                       .indirect = true}
		                : (struct blk_request){.type = VIRTIO_BLK_T_OUT,
		                                       .sector = 64 * i,
		                                       .out = data[i],
		                                       .out_size = sizeof(data[i]),
		                                       .indirect = true};
		(void)blk_offer(&rig, 0, &q[i]);
	}
}

static void killed_under_load(const struct blk_opt *o)
{
	static uint8_t data[BLK_SLOTS][16384], back[16384];
	static struct blk_request q[BLK_SLOTS];
	unsigned answered = 0;

	if (!blk_rig_start(&rig, o))
		cr_skip("%s", rig.o.fs_skip);
	fill_kept();
	(void)vu_ring_stop(&rig.ring[0]);
	get_area();
	vu_set(&rig.f, VU_SET_INFLIGHT_FD, &info, 20, area_fd);
	vu_ring_start(&rig.ring[0]);
	for (unsigned round = 0; round < 12; round++) {
		offer_all(q, data, round);
		/* At any moment of it. */
		for (unsigned i = 0; i < round % 6 * 8 && blk_wait(&rig, 0, VU_PATIENCE_MS); i++)
			answered++;
		kill_device();
		blk_rig_device(&rig);
		resume();
		while (answered < (round + 1) * BLK_SLOTS) {
			cr_assert(blk_wait(&rig, 0, VU_PATIENCE_MS), "round %u: %u answers: %s",
			          round, answered, blk_rig_log(&rig));
			answered++;
		}
		cr_assert_not(blk_wait(&rig, 0, 0), "an answer too many");
		for (unsigned i = 0; i < BLK_SLOTS; i++) {
			cr_assert_eq(q[i].status, VIRTIO_BLK_S_OK);
			if (reads(i))
				blk_fill(back, sizeof(back), i);
			else
				blk_rig_read(&rig, 64ull * 512 * i, back, sizeof(back));
			cr_assert_eq(memcmp(back, data[i], sizeof(back)), 0);
		}
	}
	fd_close(&area_fd);
	blk_rig_end(&rig);
}

Test(blk_restart, killed_under_load_no_request_is_lost_or_answered_twice)
{
	killed_under_load(NULL);
}

Test(blk_restart, killed_while_requests_wait_for_a_disk)
{
	killed_under_load(&(struct blk_opt){
	    .place = "/var/tmp", .flags = O_DSYNC, .more = ",cache=writethrough"});
}

Test(blk_restart, killed_without_the_page_cache)
{
	killed_under_load(
	    &(struct blk_opt){.place = "/var/tmp", .flags = O_DIRECT, .more = ",cache=none"});
}
