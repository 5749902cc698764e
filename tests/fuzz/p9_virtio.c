/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * p9_virtio.c: a whole ring of a guest's, through the vhost-user back end and the virtio-9p device to the 9P server.
 *
 * The file system is b_synth's. Input: how the ring is set up (enum how, in bits), a seed for the order of answers, the size[2] of the
 * memory that follows, the memory from its start on, and then what the guest writes meanwhile: at[2] value[1] each. The ring is
 * shown as a driver would do it: a chain at a time, up to what the memory says is available. Whatever it is: the device
 * comes to the connection's end, and every node, fid and descriptor is given back.
 *
 * Built with MAKE_SEEDS this writes first inputs instead: p9_virtio_seeds DIRECTORY.
 */
#include "tests/fuzz/p9_world.h"

#include <errno.h>

#define MEMORY 65536u
#define SIZE   64u    /* of the ring */
#define AVAIL  0x400u /* packed: the driver's event suppression */
#define USED   0x600u /* packed: the device's */
#define TABLES 0x900u /* of the seeds: indirect ones */
#define FREE   0x1200u
#define ROOM   0x8000u /* of the seeds: for replies */

enum how { PACKED = 1, EVENTS = 2, INDIRECT = 4, AT_ONCE = 8 };

#ifdef MAKE_SEEDS

#include <sys/stat.h>

#define ROOM_EACH 480u

static uint8_t memory[MEMORY], stream[1 << 16];

static void put_desc(uint32_t table, unsigned i, uint64_t addr, size_t len, unsigned third,
                     unsigned last)
{
	struct wr w = wr_over(memory + table + 16 * i, 16);

	wr_le64(&w, addr);
	wr_le32(&w, (uint32_t)len);
	wr_le16(&w, (uint16_t)third);
	wr_le16(&w, (uint16_t)last);
}

/* Chain number i: a message at that place, and the room for its reply. */
static void put_chain(unsigned how, unsigned i, uint32_t at, size_t size)
{
	const uint32_t room = ROOM + ROOM_EACH * i, table = TABLES + 32 * i;

	if (how & INDIRECT) {
		if (how & PACKED) {
			put_desc(0, i, table, 32, i, 0x84);
			put_desc(table, 0, at, size, 0, 0);
			put_desc(table, 1, room, ROOM_EACH, 0, 2);
		} else {
			put_desc(0, i, table, 32, 4, 0);
			put_desc(table, 0, at, size, 1, 1);
			put_desc(table, 1, room, ROOM_EACH, 2, 0);
		}
	} else if (how & PACKED) {
		put_desc(0, 2 * i, at, size, i, 0x81);
		put_desc(0, 2 * i + 1, room, ROOM_EACH, i, 0x82);
	} else {
		put_desc(0, 2 * i, at, size, 1, 2 * i + 1);
		put_desc(0, 2 * i + 1, room, ROOM_EACH, 2, 0);
	}
}

/* The messages of a stream, a chain each; then some writes. */
static void write_seed(const char *dir, const char *name, unsigned how, size_t size)
{
	static const uint8_t writes[] = {0xc0, 0x12, 0xff, 0x02, 0x04, 0x40, 0x10, 0x00, 0x07};
	struct wr avail = wr_over(memory + AVAIL, 6 + 2 * SIZE),
	          w = wr_over(memory, sizeof(memory));
	unsigned count = 0;
	char path[1024];
	FILE *f;

	memset(memory, 0, sizeof(memory));
	CHECK(size <= ROOM - FREE);
	memcpy(memory + FREE, stream, size);
	wr_le32(&avail, 0);
	for (size_t at = 0; at < size && 2 * count < SIZE; count++) {
		struct rd r = rd_over(stream + at, size - at);
		struct p9_head h;

		CHECK(p9_head_get(&r, &h));
		put_chain(how, count, (uint32_t)(FREE + at), h.size);
		if (!(how & PACKED))
			wr_le16(&avail, (uint16_t)(how & INDIRECT ? count : 2 * count));
		at += h.size;
	}
	if (!(how & PACKED))
		memory[AVAIL + 2] = (uint8_t)count;
	(void)snprintf(path, sizeof(path), "%s/%s-%u", dir, name, how);
	f = fopen(path, "we");
	size += FREE;
	CHECK(wr_good(&w) && f && fputc((int)how, f) != EOF && fputc((int)count, f) != EOF &&
	      fputc((int)(size & 255), f) != EOF && fputc((int)(size >> 8), f) != EOF &&
	      fwrite(memory, 1, size, f) == size &&
	      fwrite(writes, 1, how & AT_ONCE ? sizeof(writes) : 0, f) <= sizeof(writes) &&
	      fclose(f) == 0);
}

int main(int argc, char **argv)
{
	struct wr w;

	if (argc != 2 || (mkdir(argv[1], 0755) < 0 && errno != EEXIST))
		return 1;
	for (unsigned how = 0; how < 16; how++) {
		w = wr_over(stream, sizeof(stream));
		put_start(&w, 8192);
		put_fids(&w);
		put_storm(&w, 20);
		write_seed(argv[1], "storm", how, w.used);
	}
	for (size_t i = 0; i < table_row_count; i++) {
		w = wr_over(stream, sizeof(stream));
		put_start(&w, 8192);
		put_fids(&w);
		if (put_row(&w, i, (unsigned)i % 3))
			write_seed(argv[1], table_rows[i].msg->name, (unsigned)i % 8, w.used);
	}
	return 0;
}

#else

#include "common/cleanup.h"
#include "common/rd.h"
#include "common/usock.h"
#include "virtio-9p/t_virtio.h"
#include "virtio/device.h"
#include "wire/vhost_user.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define UVA       0x10000000u
#define TICKS_MAX 300 /* before a driver that is never content gives up */
#define PATIENCE  4   /* ticks, for a reply */
#define REST      3   /* ticks with nothing under way, and it is the end */

static struct {
	struct p9_world world;
	struct t_virtio *device;
	struct loop_timer timer;
	int sock, peer, kick;
	uint8_t how;
	unsigned ticks, rest, patience;
	unsigned next, last; /* of the available ring, or slots of a packed one */
	struct rd writes;
} rig;

static uint8_t image[MEMORY]; /* what the input has of the guest's memory */
static uint8_t *guest;
static int guest_fd, call_fd;

/* ---- the front end ---- */

static void say(enum vhu_type type, const void *fields, int fd)
{
	uint8_t bytes[VHU_HEADER_SIZE + VHU_PAYLOAD_MAX];
	struct wr head = wr_over(bytes, VHU_HEADER_SIZE);
	struct wr w = wr_over(bytes + VHU_HEADER_SIZE, VHU_PAYLOAD_MAX);

	CHECK(wt_find(vhu_table, vhu_table_count, type)->req.put(&w, fields));
	vhu_header_put(&head, &(struct vhu_header){
	                          .request = type, .flags = VHU_VERSION, .size = (uint32_t)w.used});
	CHECK(usock_send(rig.peer, bytes, VHU_HEADER_SIZE + w.used, fd) == 0);
}

/* Without VHOST_USER_F_PROTOCOL_FEATURES, so that the ring is enabled. */
static void set_up(void)
{
	const uint64_t features = VIO_FEATURE(VIO_F_VERSION_1) |
	                          VIO_FEATURE(VIRTIO_9P_F_MOUNT_TAG) |
	                          (rig.how & PACKED ? VIO_FEATURE(VIO_F_RING_PACKED) : 0) |
	                          (rig.how & EVENTS ? VIO_FEATURE(VIO_F_EVENT_IDX) : 0) |
	                          (rig.how & INDIRECT ? VIO_FEATURE(VIO_F_INDIRECT_DESC) : 0);
	const struct vhu_set_mem_table_req table = {
	    .regions = {.count = 1, .region = {{.size = MEMORY, .uva = UVA}}}};
	const struct vhu_set_vring_addr_req addr = {
	    .desc = UVA, .avail = UVA + AVAIL, .used = UVA + USED};

	say(VHU_SET_FEATURES, &(struct vhu_set_features_req){.value = features}, -1);
	say(VHU_SET_MEM_TABLE, &table, guest_fd);
	say(VHU_SET_VRING_NUM, &(struct vhu_set_vring_num_req){.value = SIZE}, -1);
	say(VHU_SET_VRING_BASE,
	    &(struct vhu_set_vring_base_req){.value = rig.how & PACKED ? 0x80008000 : 0}, -1);
	say(VHU_SET_VRING_ADDR, &addr, -1);
	say(VHU_SET_VRING_CALL, &(struct vhu_set_vring_call_req){.value = 0}, call_fd);
	say(VHU_SET_VRING_KICK, &(struct vhu_set_vring_kick_req){.value = 0}, rig.kick);
}

/* ---- the driver ---- */

static uint16_t image16(uint32_t at)
{
	return (uint16_t)(image[at] | image[at + 1] << 8);
}

/* Shows a chain of a packed ring, its first descriptor last. */
static void show_packed(void)
{
	unsigned end = rig.next;

	while (end + 1 < SIZE && (image16(16 * end + 14) & 1))
		end++;
	for (unsigned i = end + 1; i-- > rig.next;)
		memcpy(guest + 16 * i, image + 16 * i, 16);
	rig.next = end + 1;
}

static void show_next(void)
{
	if (rig.how & PACKED) {
		show_packed();
		return;
	}
	rig.next++;
	guest[AVAIL + 2] = (uint8_t)rig.next;
	guest[AVAIL + 3] = (uint8_t)(rig.next >> 8);
}

static void fill_memory(void)
{
	memcpy(guest, image, MEMORY);
	rig.next = 0;
	if (rig.how & PACKED) {
		memset(guest, 0, 16 * SIZE);
		rig.last = SIZE;
	} else {
		memset(guest + AVAIL + 2, 0, 2);
		/* More than the ring holds is a lie that is told in one step. */
		rig.last = image16(AVAIL + 2);
		if (rig.last > SIZE)
			rig.next = rig.last - 1;
	}
}

static void tick(struct loop_timer *t)
{
	const struct p9_session *s = rig.world.server.sessions;
	uint32_t at = rd_le16(&rig.writes);
	uint8_t value = rd_u8(&rig.writes);
	bool done = rig.next >= rig.last;

	if (rd_good(&rig.writes))
		guest[at] = value;
	/* A driver waits for its replies, for a while, or it does not. */
	if (!done && ((rig.how & AT_ONCE) || s->under_way == 0 || ++rig.patience == PATIENCE)) {
		rig.patience = 0;
		show_next();
	}
	CHECK(eventfd_write(rig.kick, 1) == 0);
	rig.rest = done && s->under_way == 0 ? rig.rest + 1 : 0;
	if (++rig.ticks == TICKS_MAX || rig.rest == REST || (done && (rig.how & AT_ONCE)))
		(void)shutdown(rig.peer, SHUT_RDWR);
	loop_timer_set(rig.world.loop, t, loop_now() + 1);
}

static void changed(void *context UNUSED, bool connected)
{
	if (connected)
		return;
	loop_timer_set(rig.world.loop, &rig.timer, 0);
	loop_stop(rig.world.loop);
}

static void ready(void *context UNUSED)
{
	struct p9_world *w = &rig.world;

	CHECK(w->server.ready);
	CHECK(t_virtio_new(w->loop, &w->server, "tag", changed, NULL, &rig.device) == 0);
	CHECK(t_virtio_serve(rig.device, rig.sock) == 0);
	loop_timer_set(w->loop, &rig.timer, loop_now() + 1);
}

static void prepare(void)
{
	guest_fd = memfd_create("guest", MFD_CLOEXEC);
	call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(guest_fd >= 0 && call_fd >= 0 && ftruncate(guest_fd, MEMORY) == 0);
	guest = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, guest_fd, 0);
	CHECK(guest != MAP_FAILED && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	CHECK(guest_memory_guard() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool prepared;
	struct rd in = rd_over(data, size);
	uint8_t how = rd_u8(&in), seed = rd_u8(&in);
	size_t count = rd_le16(&in);
	int pair[2];

	if (!prepared)
		prepare();
	prepared = true;
	if (size < 4 || size > 2 * MEMORY)
		return 0;
	if (count > in.left)
		count = in.left;
	memset(&rig, 0, sizeof(rig));
	memset(image, 0, sizeof(image));
	memcpy(image, rd_bytes(&in, count), count);
	rig.how = how;
	rig.writes = in;
	rig.timer.due = tick;
	fill_memory();
	world_begin(&rig.world, seed);
	loop_poll_for(rig.world.loop, 0);
	CHECK(usock_pair(SOCK_STREAM, pair) == 0);
	rig.sock = pair[0];
	rig.peer = pair[1];
	rig.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(rig.kick >= 0);
	set_up();
	world_run(&rig.world, ready);
	t_virtio_free(rig.device);
	fd_close(&rig.peer);
	fd_close(&rig.kick);
	world_end(&rig.world);
	return 0;
}

#endif
