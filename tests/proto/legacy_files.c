/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legacy_files.c: OPEN and CREATE: what is opened, with which rights, and what never is. */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/rig.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static struct rig rig;

static void start(void)
{
	rig_start(&rig, NULL);
}

static void end(void)
{
	cr_assert_eq(rig_end(&rig), 0);
}

TestSuite(files, .init = start, .fini = end, .timeout = 30);

Test(files, a_descriptor_has_just_the_mode_asked_for)
{
	static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND,
	                            O_WRONLY | O_DSYNC};
	char text[8] = "";

	rig_write(&rig, "f", "text");
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		AUTO_CLOSE int fd = peer_open(rig.sock, "//f", modes[i]);

		cr_assert_geq(fd, 0);
		cr_assert_eq(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_DSYNC), modes[i]);
	}
	AUTO_CLOSE int fd = peer_open(rig.sock, "//f", O_RDONLY);

	cr_assert_eq(read(fd, text, sizeof(text)), 4);
	cr_assert_str_eq(text, "text");
	cr_assert_lt(write(fd, "x", 1), 0);
}

Test(files, truncation_on_open)
{
	rig_write(&rig, "f", "text");
	AUTO_CLOSE int fd = peer_open(rig.sock, "//f", O_WRONLY | O_TRUNC);

	cr_assert_geq(fd, 0);
	cr_assert_str_eq(rig_read(&rig, "f"), "");
}

Test(files, flags_that_create_or_escape_are_dropped)
{
	struct stat st;

	cr_assert_eq(peer_open(rig.sock, "//new", O_RDWR | O_CREAT), -ENOENT, "OPEN never creates");
	/* O_TMPFILE on a directory would make a file that nobody sees. */
	cr_assert_eq(peer_open(rig.sock, "/", O_RDWR | O_TMPFILE), -EISDIR);
	cr_assert_eq(stat(rig_path(&rig, "new"), &st), -1);
	rig_write(&rig, "f", "text");
	AUTO_CLOSE int fd = peer_open(rig.sock, "//f",
	                              O_RDONLY | O_PATH | O_DIRECT | O_ASYNC | O_NOFOLLOW | O_EXCL);

	cr_assert_geq(fd, 0);
	cr_assert_not(fcntl(fd, F_GETFL) & (O_PATH | O_DIRECT | O_ASYNC));
	cr_assert_eq(peer_open(rig.sock, "//f", O_ACCMODE), -EINVAL);
}

Test(files, a_directory_is_opened_for_reading_only)
{
	struct stat st;
	AUTO_CLOSE int fd = peer_open(rig.sock, "/", O_DIRECTORY);

	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert(S_ISDIR(st.st_mode));
	cr_assert_eq(peer_open(rig.sock, "/", O_WRONLY), -EISDIR);
	rig_write(&rig, "f", "");
	cr_assert_eq(peer_open(rig.sock, "//f", O_DIRECTORY), -ENOTDIR);
}

/* A FIFO would hang the helper for good, a device do what its driver does at open, a socket fail by
 * chance. */
Test(files, special_files_and_links_are_never_opened)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	rig_needs_root("device nodes");
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig_path(&rig, "sock"));
	cr_assert_eq(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(mkfifo(rig_path(&rig, "fifo"), 0666), 0);
	cr_assert_eq(mknod(rig_path(&rig, "null"), S_IFCHR | 0666, makedev(1, 3)), 0);
	cr_assert_eq(mknod(rig_path(&rig, "loop"), S_IFBLK | 0666, makedev(7, 0)), 0);
	cr_assert_eq(symlink("/etc/passwd", rig_path(&rig, "link")), 0);
	for (int mode = O_RDONLY; mode <= O_RDWR; mode++) {
		cr_assert_eq(peer_open(rig.sock, "//fifo", mode), -ENXIO);
		cr_assert_eq(peer_open(rig.sock, "//null", mode), -ENXIO);
		cr_assert_eq(peer_open(rig.sock, "//loop", mode), -ENXIO);
		cr_assert_eq(peer_open(rig.sock, "//sock", mode), -ENXIO);
		cr_assert_eq(peer_open(rig.sock, "//link", mode), -ELOOP);
		cr_assert_eq(peer_create(rig.sock, "//fifo", mode, 0644, 0, 0), -ENXIO);
		cr_assert_eq(peer_create(rig.sock, "//null", mode, 0644, 0, 0), -ENXIO);
		cr_assert_eq(peer_create(rig.sock, "//link", mode, 0644, 0, 0), -ELOOP);
	}
}

Test(files, create_makes_a_file_of_the_guests_user)
{
	struct stat st;
	AUTO_CLOSE int fd = peer_create(rig.sock, "//new", O_RDWR, 04751, 1000, 100);

	rig_needs_root("the writer keeps set-id bits");
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, "abc", 3), 3);
	cr_assert_eq(stat(rig_path(&rig, "new"), &st), 0);
	cr_assert_eq(st.st_uid, 1000);
	cr_assert_eq(st.st_gid, 100);
	cr_assert_eq(st.st_mode, S_IFREG | 04751);
	cr_assert_str_eq(rig_read(&rig, "new"), "abc");
}

Test(files, create_exclusively)
{
	rig_write(&rig, "f", "text");
	cr_assert_eq(peer_create(rig.sock, "//f", O_RDWR | O_EXCL, 0644, 0, 0), -EEXIST);
	cr_assert_str_eq(rig_read(&rig, "f"), "text");
}

Test(files, create_of_what_exists_opens_it_if_the_host_lets_that_user)
{
	int fd;

	rig_write(&rig, "f", "text");
	cr_assert_eq(chmod(rig_path(&rig, "f"), 0600), 0);
	cr_assert_eq(peer_create(rig.sock, "//f", O_RDWR | O_TRUNC, 0644, 1000, 1000), -EACCES);
	cr_assert_str_eq(rig_read(&rig, "f"), "text", "refused, yet truncated");
	fd = peer_create(rig.sock, "//f", O_RDWR, 0644, 0, 0);
	cr_assert_geq(fd, 0);
	fd_close(&fd);
	cr_assert_eq(chown(rig_path(&rig, "f"), 1000, 1000), 0);
	fd = peer_create(rig.sock, "//f", O_RDWR | O_TRUNC, 0644, 1000, 1000);
	cr_assert_geq(fd, 0);
	fd_close(&fd);
	cr_assert_str_eq(rig_read(&rig, "f"), "");
	cr_assert_eq(peer_create(rig.sock, "/", O_RDWR, 0644, 0, 0), -EISDIR);
}

Test(files, errors_of_names)
{
	char longer[600];

	rig_write(&rig, "f", "");
	cr_assert_eq(peer_open(rig.sock, "//none", O_RDONLY), -ENOENT);
	cr_assert_eq(peer_open(rig.sock, "//none/x", O_RDONLY), -ENOENT);
	cr_assert_eq(peer_open(rig.sock, "//f/x", O_RDONLY), -ENOTDIR);
	cr_assert_eq(peer_open(rig.sock, "", O_RDONLY), -ENOENT);
	memset(longer, 'n', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	cr_assert_eq(peer_open(rig.sock, longer, O_RDONLY), -ENAMETOOLONG);
	cr_assert_eq(peer_create(rig.sock, longer, O_RDWR, 0644, 0, 0), -ENAMETOOLONG);
}

/* The old helper passes paths to the kernel as they are, so PATH_MAX ends it; ours walks them in
 * steps. */
Test(files, a_path_far_beyond_path_max)
{
	char name[201], path[65536] = "";
	size_t used = 0;
	struct legacy_lstat_rep st;

	memset(name, 'd', 200);
	name[200] = '\0';
	for (int i = 0; i < 60; i++) {
		used += (size_t)snprintf(path + used, sizeof(path) - used, "/%s", name);
		cr_assert_eq(peer_mkdir(rig.sock, path, 0755, 0, 0), 0, "at depth %d", i);
	}
	cr_assert_gt(used, 12000);
	(void)snprintf(path + used, sizeof(path) - used, "/file");
	AUTO_CLOSE int fd = peer_create(rig.sock, path, O_RDWR, 0644, 0, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(peer_lstat(rig.sock, path, &st), 0);
	cr_assert(S_ISREG(st.mode));
	cr_assert_eq(peer_remove(rig.sock, path), 0);
	for (int i = 0; i < 60; i++) {
		*strrchr(path, '/') = '\0';
		cr_assert_eq(peer_remove(rig.sock, path), 0);
	}
}

Test(files, no_descriptor_stays_behind_in_the_helper)
{
	char before[32], path[32];
	struct legacy_lstat_rep st;

	cr_assert_eq(mkfifo(rig_path(&rig, "fifo"), 0666), 0);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
	(void)snprintf(before, sizeof(before), "%s", rig_proc(&rig, "FDSize"));
	for (int i = 0; i < 2000; i++) {
		int fd;

		(void)snprintf(path, sizeof(path), "/d%d", i % 3);
		(void)peer_mkdir(rig.sock, path, 0755, 0, 0);
		(void)snprintf(path, sizeof(path), "/d%d/f%d", i % 3, i % 5);
		fd = peer_create(rig.sock, path, O_RDWR, 0644, 0, 0);
		fd_close(&fd);
		cr_assert_eq(peer_open(rig.sock, "//fifo", O_RDWR), -ENXIO);
		cr_assert_eq(peer_setxattr(rig.sock, path, "user.a", "v"), 0);
		cr_assert_eq(peer_chmod(rig.sock, "//none/none", 0), -ENOENT);
	}
	/* A leak of one descriptor a round would have passed the limit of 1,024 or grown the table.
	 */
	cr_assert_str_eq(rig_proc(&rig, "FDSize"), before);
}
