/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/control_disk.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

int control_image(void)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, CONTROL_DISK_SIZE), 0);
	return fd;
}

int control_read_only(int image)
{
	char path[40];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	return fd;
}

int control_listener(void)
{
	const struct sockaddr_un any = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* unix(7): the kernel finds an abstract name. */
	cr_assert_eq(bind(fd, (const struct sockaddr *)&any, sizeof(sa_family_t)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	return fd;
}

const char *control_attach_text(const char *id)
{
	static char text[300];

	(void)snprintf(text, sizeof(text),
	               "{'execute': 'block-attach', 'arguments': {'id': '%s', 'chain': [{'format': "
	               "'raw', 'file': {'fd': 0}}], 'socket': {'fd': 1}}}",
	               id);
	return text;
}

void control_attach(struct control_peer *c, const char *id, int *ret_image)
{
	int fds[2] = {control_image(), control_listener()};

	control_done(c, control_attach_text(id), fds, 2);
	fd_close(&fds[1]);
	if (ret_image)
		*ret_image = fds[0];
	else
		fd_close(&fds[0]);
}

void control_detach(struct control_peer *c, const char *id)
{
	char text[160];

	(void)snprintf(text, sizeof(text), "{'execute': 'block-detach', 'arguments': {'id': '%s'}}",
	               id);
	control_done(c, text, NULL, 0);
}

json_t *control_disk(struct control_peer *c, const char *id)
{
	char text[160];
	json_t *all, *one;

	(void)snprintf(text, sizeof(text), "{'execute': 'query-block', 'arguments': {'id': '%s'}}",
	               id);
	all = control_ok(c, text, NULL, 0);
	cr_assert_eq(json_array_size(all), 1);
	one = json_incref(json_array_get(all, 0));
	json_decref(all);
	return one;
}

bool control_disk_is(struct control_peer *c, const char *id, int file)
{
	json_t *disk = control_disk(c, id);
	const json_t *first = json_array_get(json_object_get(disk, "files"), 0);
	char dev[32], ino[32];
	struct stat st;
	bool is;

	cr_assert_eq(fstat(file, &st), 0);
	(void)snprintf(dev, sizeof(dev), "%u:%u", major(st.st_dev), minor(st.st_dev));
	(void)snprintf(ino, sizeof(ino), "%llu", (unsigned long long)st.st_ino);
	is = strcmp(json_string_value(json_object_get(first, "dev")), dev) == 0 &&
	     strcmp(json_string_value(json_object_get(first, "ino")), ino) == 0;
	json_decref(disk);
	return is;
}

size_t control_disks(struct control_peer *c)
{
	json_t *all = control_ok(c, "{'execute': 'query-block'}", NULL, 0);
	size_t n = json_array_size(all);

	json_decref(all);
	return n;
}
