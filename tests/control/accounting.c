/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accounting.c: row T11: after each of very many packets, sensible and not, the device has open what it had at the start, and
 * two descriptors for each disk.
 *
 * A packet is made of a command that would be right, and then of one of the ways to go wrong. The numbers come from a fixed stream, so a
 * failure comes again; $VIRTFS_SEED is another stream, $VIRTFS_PACKETS another number of packets.
 */
#include "tests/lib/control_disk.h"
#include "tests/lib/wait.h"

#include "common/cleanup.h"
#include "common/fdbag.h"
#include "common/parse.h"
#include "common/usock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define IDS     4
#define SQUEEZE 40 /* one packet in so many is sent while the device may have few descriptors */

static struct control_rig r;
static int fds[FDBAG_MAX];
static uint64_t state;

static uint32_t any(uint32_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static uint64_t setting(const char *name, uint64_t usual)
{
	const char *text = getenv(name);
	uint64_t n = usual;

	cr_assert(!text || parse_u64(text, UINT64_MAX, &n), "%s=%s is no number", name, text);
	return n;
}

/* Images, sockets, and what is neither, so that some commands go well. */
static void open_some(void)
{
	for (size_t i = 0; i < FDBAG_MAX; i++) {
		if (i % 4 == 0)
			fds[i] = control_image();
		else if (i % 4 == 1)
			fds[i] = control_listener();
		else
			fds[i] = fcntl(fds[i % 4 == 2 ? i - 1 : 0], F_DUPFD_CLOEXEC, 3);
		cr_assert_geq(fds[i], 0);
	}
}

enum base { ATTACH, DETACH, QUERY, RESIZE, UNKNOWN, BASES };

struct sent {
	enum base base;
	size_t size, fd_count;
	bool gone; /* the client leaves without waiting for the answer */
	char text[70000];
};

static unsigned index_of(unsigned right)
{
	static const int wrong[] = {0, 1, 2, 252, 253, -1, 1000000};

	return any(6) ? right : (unsigned)wrong[any(ARRAY_SIZE(wrong))];
}

static void make(struct sent *s)
{
	unsigned id = any(IDS);

	s->base = any(3) ? any(2) ? ATTACH : DETACH : any(BASES);
	s->fd_count = s->base == ATTACH ? 2 : 0;
	switch (s->base) {
	case ATTACH:
		(void)snprintf(s->text, sizeof(s->text),
		               "{'execute': 'block-attach', 'arguments': {'id': 'd%u', 'shared': "
		               "true, 'chain': [{'format': "
		               "'raw', 'file': {'fd': %d}}], 'socket': {'fd': %d}}, 'id': %u}",
		               id, (int)index_of(0), (int)index_of(1), any(1000));
		break;
	case DETACH:
		(void)snprintf(s->text, sizeof(s->text),
		               "{'execute': 'block-detach', 'arguments': {'id': 'd%u'}}", id);
		break;
	case QUERY:
		(void)snprintf(s->text, sizeof(s->text), "{'execute': 'query-stats'}");
		break;
	case RESIZE:
		(void)snprintf(
		    s->text, sizeof(s->text),
		    "{'execute': 'block-resize', 'arguments': {'id': 'd%u', 'size': %u}}", id,
		    any(100000));
		break;
	case UNKNOWN:
	case BASES:
		(void)snprintf(s->text, sizeof(s->text),
		               "{'execute': 'block-frobnicate', 'arguments': {}}");
		break;
	}
	s->size = strlen(s->text);
	for (size_t i = 0; i < s->size; i++)
		s->text[i] = s->text[i] == '\'' ? '"' : s->text[i];
}

/* Makes it wrong, one time in two. */
static void spoil(struct sent *s)
{
	switch (any(12)) {
	case 0:
		s->fd_count = any(8);
		break;
	case 1:
		s->fd_count = any(16) ? any(20) : FDBAG_MAX - any(2);
		break;
	case 2:
		s->size = any((uint32_t)s->size + 1);
		break;
	case 3:
		s->text[any((uint32_t)s->size)] = (char)any(256);
		break;
	case 4:
		memset(s->text + s->size, ' ', sizeof(s->text) - s->size);
		s->size = any(8) ? s->size + any(100) : 65530 + any(10);
		break;
	case 5:
		s->gone = true;
		s->size = any((uint32_t)s->size + 1);
		break;
	default:
		break;
	}
}

/* What the device should have open, with so many disks. */
static int wanted(size_t disks)
{
	return r.fds_device + (int)disks * CONTROL_DISK_FDS;
}

static bool has_what_it_should(size_t *ret_disks)
{
	*ret_disks = control_disks(&r.c);
	return fd_count(r.p9.device) == wanted(*ret_disks);
}

/* A connection ended, by us or by the device: another one, when all that came by the old one is done. Return: how many disks
 * there are now. */
static size_t start_over(void)
{
	size_t disks;

	control_close(&r.c);
	control_connect(&r.c, r.at);
	WAIT_WHILE(!has_what_it_should(&disks));
	cr_assert(has_what_it_should(&disks), "%d descriptors, and %zu disks",
	          fd_count(r.p9.device), disks);
	return disks;
}

static void check_one(unsigned number, size_t *disks)
{
	static struct sent s;
	bool squeezed = any(SQUEEZE) == 0;
	json_t *got = NULL;

	s.gone = false;
	make(&s);
	spoil(&s);
	if (squeezed)
		control_limit_files(&r, (unsigned)wanted(*disks) + any(8));
	if (control_send_bytes(&r.c, s.text, s.size, fds, s.fd_count) == 0 && !s.gone)
		got = control_answer(&r.c);
	if (squeezed)
		control_limit_files(&r, 0);
	if (got && json_object_get(got, "return"))
		*disks += s.base == ATTACH ? 1 : s.base == DETACH ? (size_t)-1 : 0;
	/* Most that are refused are so without the end of the connection. */
	if (got && fd_count(r.p9.device) == wanted(*disks)) {
		json_decref(got);
		return;
	}
	if (got && s.size <= 65536 && s.size > 0 && !squeezed)
		cr_assert_fail("packet %u: %d descriptors instead of %d: %.*s", number,
		               fd_count(r.p9.device), wanted(*disks),
		               s.size < 1000 ? (int)s.size : 1000, s.text);
	json_decref(got);
	*disks = start_over();
}

static void forget_events(void)
{
	while (r.c.event_count > 0)
		json_decref(r.c.events[--r.c.event_count]);
}

Test(control_accounting, T11_the_count_is_right_after_each_packet, .timeout = 600)
{
	uint64_t packets = setting("VIRTFS_PACKETS", is_sanitized() ? 10000 : 100000);
	size_t disks = 0, most = 0;
	unsigned attached = 0;

	state = setting("VIRTFS_SEED", 1);
	open_some();
	control_rig_start(&r, &(struct control_rig_opt){.listen = true});
	for (unsigned i = 0; i < packets; i++) {
		size_t before = disks;

		check_one(i, &disks);
		attached += disks > before;
		most = disks > most ? disks : most;
		forget_events();
	}
	/* It was not only errors. */
	cr_assert_geq(most, 2);
	cr_assert_gt(attached, packets / 50);
	control_rig_end(&r);
	for (size_t i = 0; i < FDBAG_MAX; i++)
		fd_close(&fds[i]);
}
