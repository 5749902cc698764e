/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/node.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "helper/path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A rename on the way makes openat2(2) give -EAGAIN where ".." is involved; ours has none, so this
 * is for safety. */
#define LOOKUP_TRIES 8

/* The longest relative path given to the kernel at once: PATH_MAX counts the NUL. */
#define STEP_MAX (PATH_MAX - 1)

static bool have_openat2 = true;

/* The name of a descriptor in the working directory, /proc/self/fd. */
struct fd_name {
	char text[12];
};

static struct fd_name fd_name(int fd)
{
	struct fd_name n;

	(void)snprintf(n.text, sizeof(n.text), "%d", fd);
	return n;
}

static int sys_openat2(int dir, const char *path, uint64_t flags)
{
	struct open_how how = {
	    .flags = flags,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	for (int i = 0; i < LOOKUP_TRIES; i++) {
		long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

void node_init(const struct export *x)
{
	int fd = sys_openat2(x->root, ".", O_PATH | O_CLOEXEC);

	have_openat2 = fd >= 0;
	if (!have_openat2)
		log_info("openat2 is not to be had (%s): paths are walked name by name",
		         errno_name(fd));
	fd_close(&fd);
}

/* Why a name was not opened as a directory, as openat2(2) would tell: of a link ELOOP, not ENOTDIR. */
static int no_directory(int dir, const char *name)
{
	int error = errno;
	struct stat st;

	if (error == ENOTDIR && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode))
		return -ELOOP;
	return -error;
}

/* Where openat2(2) is not to be had: the same walk, one name at a time. O_NOFOLLOW makes a link
 * fail as no directory. */
static int walk_names(int dir, char *path, int *ret_fd)
{
	AUTO_CLOSE int here = -1;

	for (char *name = path; name;) {
		char *slash = strchr(name, '/');
		int next;

		if (slash)
			*slash = '\0';
		next = openat(here >= 0 ? here : dir, name,
		              O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return no_directory(here >= 0 ? here : dir, name);
		fd_close(&here);
		here = next;
		name = slash ? slash + 1 : NULL;
	}
	*ret_fd = fd_steal(&here);
	return 0;
}

/* Opens a directory by a normalised path of at most STEP_MAX bytes. */
static int open_step(int dir, char *path, int *ret_fd)
{
	int fd;

	if (!have_openat2)
		return walk_names(dir, path, ret_fd);
	fd = sys_openat2(dir, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* Opens the directory part of a path, in as many steps as its length needs. */
static int open_parent(int root, struct path *path, int *ret_fd)
{
	AUTO_CLOSE int here = -1;
	size_t from = 0;

	path->text[path->parent] = '\0';
	while (from < path->parent) {
		size_t size = path->parent - from;
		int next = -1, r;

		if (size > STEP_MAX) {
			/* Cut at the last slash that leaves a step short enough; names are, so
			 * there is one. */
			size = STEP_MAX;
			while (path->text[from + size] != '/')
				size--;
			path->text[from + size] = '\0';
		}
		r = open_step(here >= 0 ? here : root, path->text + from, &next);
		if (r < 0)
			return r;
		fd_close(&here);
		here = next;
		from += size + 1;
	}
	*ret_fd = fd_steal(&here);
	return 0;
}

int place_find(const struct export *x, const struct wt_str *path, struct place *ret)
{
	struct path p;
	int r = path_take(path, &p);

	*ret = (struct place)PLACE_NONE;
	if (r < 0)
		return r;
	(void)snprintf(ret->name, sizeof(ret->name), "%s", p.size ? p.text + p.name : ".");
	if (p.parent == 0) {
		ret->dir = x->root;
		return 0;
	}
	r = open_parent(x->root, &p, &ret->owned);
	ret->dir = ret->owned;
	return r;
}

void place_close(struct place *p)
{
	fd_close(&p->owned);
	p->dir = -1;
}

int node_find(const struct place *p, int *ret_node)
{
	int fd = openat(p->dir, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_node = fd;
	return 0;
}

int node_at(const struct export *x, const struct wt_str *path, int *ret_node)
{
	AUTO_PLACE struct place place = PLACE_NONE;
	int r = place_find(x, path, &place);

	return r < 0 ? r : node_find(&place, ret_node);
}

static int type_gate(const struct export *x, int node, mode_t *ret_type)
{
	struct stat st;

	if (fstat(node, &st) < 0)
		return -errno;
	*ret_type = st.st_mode & S_IFMT;
	/* A "regular file" such as /proc/PID/mem, where the export has a procfs mounted in it. */
	if (*ret_type == S_IFREG && st.st_dev != x->dev && export_is_kernel_interface(node))
		return -EACCES;
	switch (*ret_type) {
	case S_IFREG:
	case S_IFDIR:
		return 0;
	case S_IFLNK:
		return -ELOOP;
	default:
		return -ENXIO;
	}
}

int node_reopen(const struct export *x, int node, int flags, int *ret_fd)
{
	mode_t type = 0;
	int r = type_gate(x, node, &type), fd;

	if (r < 0)
		return r;
	/* The name in /proc/self/fd is a magic link, so O_NOFOLLOW would refuse it; what it leads
	 * to is no link. */
	flags &= ~(O_NOFOLLOW | O_CREAT | O_EXCL);
	fd = openat(x->proc_fds, fd_name(node).text, flags | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && errno == EPERM && (flags & O_NOATIME))
		fd = openat(x->proc_fds, fd_name(node).text,
		            (flags & ~O_NOATIME) | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int node_create(const struct place *p, int flags, mode_t mode, int *ret_fd)
{
	int fd = openat(p->dir, p->name,
	                flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, mode);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int node_chmod(const struct export *x, int node, mode_t mode)
{
	struct stat st;

	if (fstat(node, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return -EOPNOTSUPP;
	return fchmodat(x->proc_fds, fd_name(node).text, mode, 0) < 0 ? -errno : 0;
}

int node_truncate(const struct export *x, int node, off_t length)
{
	mode_t type = 0;
	int r = type_gate(x, node, &type);

	if (r < 0)
		return r == -ENXIO ? -EINVAL : r;
	if (type == S_IFDIR)
		return -EISDIR;
	return truncate(fd_name(node).text, length) < 0 ? -errno : 0;
}

ssize_t node_getxattr(int node, const char *name, void *value, size_t size)
{
	ssize_t n = getxattr(fd_name(node).text, name, value, size);

	return n < 0 ? -errno : n;
}

ssize_t node_listxattr(int node, char *names, size_t size)
{
	ssize_t n = listxattr(fd_name(node).text, names, size);

	return n < 0 ? -errno : n;
}

int node_setxattr(int node, const char *name, const void *value, size_t size, int flags)
{
	return setxattr(fd_name(node).text, name, value, size, flags) < 0 ? -errno : 0;
}

int node_removexattr(int node, const char *name)
{
	return removexattr(fd_name(node).text, name) < 0 ? -errno : 0;
}

/* ---- of the native dialect ---- */

int node_child(int dir, const char *name, int *ret_node)
{
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_node = fd;
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Climbs from a directory to the top and looks whether the export's root is on the way. */
static int must_be_beneath(const struct export *x, int dir)
{
	AUTO_CLOSE int here = -1;
	struct stat root, st, up;

	if (fstat(x->root, &root) < 0 || fstat(dir, &st) < 0)
		return -errno;
	while (!same_file(&st, &root)) {
		int next = openat(here >= 0 ? here : dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (next < 0)
			return -errno;
		fd_close(&here);
		here = next;
		if (fstat(here, &up) < 0)
			return -errno;
		if (same_file(&st, &up))
			return -EXDEV;
		st = up;
	}
	return 0;
}

int node_parent(const struct export *x, int dir, int *ret_node)
{
	AUTO_CLOSE int up = -1;
	struct stat root, st;
	int r;

	if (fstat(x->root, &root) < 0 || fstat(dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	up = openat(dir, same_file(&st, &root) ? "." : "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (up < 0)
		return -errno;
	r = must_be_beneath(x, up);
	if (r < 0)
		return r;
	*ret_node = fd_steal(&up);
	return 0;
}

int node_path_of(const struct export *x, int fd, int *ret_node)
{
	int node = openat(x->proc_fds, fd_name(fd).text, O_PATH | O_CLOEXEC);

	if (node < 0)
		return -errno;
	*ret_node = node;
	return 0;
}

int node_attr(int node, struct wt_attr *ret)
{
	return node_attr_at(node, "", ret);
}

int node_attr_at(int dir, const char *name, struct wt_attr *ret)
{
	int flags = (*name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) | AT_NO_AUTOMOUNT;
	struct statx st;

	if (statx(dir, name, flags, WT_ATTR_STATX, &st) < 0)
		return -errno;
	wt_attr_of(&st, ret);
	return 0;
}

int node_utimes(const struct export *x, int node, const struct timespec times[2])
{
	return utimensat(x->proc_fds, fd_name(node).text, times, 0) < 0 ? -errno : 0;
}

int node_link(const struct export *x, int node, int dir, const char *name)
{
	struct stat root, st;

	/* Landlock, which looks first, has another errno for a directory whose parent is outside. */
	if (fstat(x->root, &root) == 0 && fstat(node, &st) == 0 && same_file(&root, &st))
		return -EPERM;
	/* The magic link is followed, to the object; the object, if it is a link, is not. */
	return linkat(x->proc_fds, fd_name(node).text, dir, name, AT_SYMLINK_FOLLOW) < 0 ? -errno
	                                                                                 : 0;
}
