/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/userns.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/sbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>

#define MAP_SIZE 4096 /* the kernel takes a page at most, in one write */

/* What the child that writes the maps ends with. */
enum { MAPPED_ALL, MAPPED_OWN, MAPPED_NONE };

static bool write_file(pid_t pid, const char *name, const char *text)
{
	char path[64];
	AUTO_CLOSE int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* A map of every id that this process's own namespace has, to itself. */
static bool write_identity(pid_t pid, const char *name)
{
	unsigned long long inside, outside, count;
	char map[MAP_SIZE], path[64];
	struct sbuf s = sbuf_over(map, sizeof(map));
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/self/%s", name);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fscanf(f, "%llu %llu %llu", &inside, &outside, &count) == 3)
		sbuf_add(&s, "%llu %llu %llu\n", inside, inside, count);
	(void)fclose(f);
	return s.used > 0 && write_file(pid, name, map);
}

static bool write_own(pid_t pid, const char *name, unsigned id)
{
	char map[64];

	(void)snprintf(map, sizeof(map), "%u %u 1\n", id, id);
	return write_file(pid, name, map);
}

/* In a child, which is still where the new namespace's ids are given out. */
static int write_maps(pid_t pid)
{
	bool uids = write_identity(pid, "uid_map"), gids = uids && write_identity(pid, "gid_map");

	if (uids && gids)
		return MAPPED_ALL;
	/* Without rights: the kernel asks for setgroups(2) to be given up for this. */
	if (!uids && !write_own(pid, "uid_map", geteuid()))
		return MAPPED_NONE;
	return write_file(pid, "setgroups", "deny") && write_own(pid, "gid_map", getegid())
	           ? MAPPED_OWN
	           : MAPPED_NONE;
}

static pid_t start_mapper(int go, int other_end)
{
	pid_t parent = getpid(), pid = fork();
	char byte;

	if (pid != 0)
		return pid;
	(void)close(other_end);
	_exit(read(go, &byte, 1) == 1 ? write_maps(parent) : MAPPED_NONE);
}

static int mapper_end(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return MAPPED_NONE;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : MAPPED_NONE;
}

int userns_enter(bool *ret_all_ids)
{
	AUTO_CLOSE int wait_for = -1;
	AUTO_CLOSE int go = -1;
	int ends[2], r = 0;
	pid_t mapper;

	/* Once inside there is no way back: so what can be missing is looked at before. */
	if (access("/proc/self/uid_map", F_OK) < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	wait_for = ends[0];
	go = ends[1];
	mapper = start_mapper(wait_for, go);
	if (mapper < 0)
		return -errno;
	if (unshare(CLONE_NEWUSER) < 0)
		r = -errno;
	/* Ids that are not mapped at all are no reason to stop: they are worth no more than mapped ones. */
	if (r == 0 && write(go, "g", 1) != 1)
		log_warning("the ids of the user namespace stay unmapped");
	fd_close(&go);
	*ret_all_ids = mapper_end(mapper) == MAPPED_ALL && r == 0;
	return r;
}
