/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/images.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[128];

void images_start(void)
{
	const char *tmp = getenv("TMPDIR");

	(void)umask(022);
	(void)snprintf(dir, sizeof(dir), "%s/virtfs-images.XXXXXX", tmp ? tmp : "/tmp");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *at UNUSED)
{
	return remove(path);
}

void images_end(void)
{
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void images_make(const char *name, uint64_t size, const void *head, size_t head_size)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	if (head_size)
		cr_assert_eq(write(fd, head, head_size), (ssize_t)head_size);
	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	cr_assert_eq(close(fd), 0);
}

int images_open(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC);

	cr_assert_geq(fd, 0, "%s with flags 0x%x: %m", name, (unsigned)flags);
	return fd;
}

struct image_spec images_spec(const char *format, int fd, bool readonly)
{
	return (struct image_spec){.layer = {{.format = format, .fd = fd, .data_fd = -1}},
	                           .layers = 1,
	                           .readonly = readonly,
	                           .cache = DISK_WRITEBACK};
}

struct image *images_taken(const struct image_spec *spec)
{
	char text[IMAGE_WHY_MAX];
	struct sbuf why = sbuf_over(text, sizeof(text));
	struct image *im = NULL;
	int r = image_open(spec, &why, &im);

	cr_assert_eq(r, 0, "%s", text);
	cr_assert_str_eq(text, "");
	return im;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

void images_refused(const struct image_spec *spec, int error, const char *text)
{
	bool before[IMAGE_LAYERS_MAX][2];
	char said[IMAGE_WHY_MAX];
	struct sbuf why = sbuf_over(said, sizeof(said));
	struct image *im = NULL;
	int r;

	for (unsigned i = 0; i < IMAGE_LAYERS_MAX; i++) {
		before[i][0] = is_open(spec->layer[i].fd);
		before[i][1] = is_open(spec->layer[i].data_fd);
	}
	r = image_open(spec, &why, &im);
	cr_assert_eq(r, -error, "%d, not %d: %s", r, -error, said);
	cr_assert(strstr(said, text), "'%s' is not in: %s", text, said);
	cr_assert_null(strchr(said, '\n'));
	cr_assert_null(im);
	for (unsigned i = 0; i < IMAGE_LAYERS_MAX; i++) {
		cr_assert_eq(before[i][0], is_open(spec->layer[i].fd));
		cr_assert_eq(before[i][1], is_open(spec->layer[i].data_fd));
	}
}
