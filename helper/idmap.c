/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/idmap.h"

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"
#include "common/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* newuidmap PID and three numbers a range. */
#define MAP_ARGS    (3 + 3 * ID_RANGES_MAX)
#define NUMBER_SIZE 12

/* What is different for users and for groups. */
static const struct kind {
	const char *option, *file, *subids, *tool;
} kinds[] = {
    {"--uid-map", "uid_map", "/etc/subuid", "newuidmap"},
    {"--gid-map", "gid_map", "/etc/subgid", "newgidmap"},
};
#define KINDS ARRAY_SIZE(kinds)

static bool overlap(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count)
{
	return a < (uint64_t)b + b_count && b < (uint64_t)a + a_count;
}

static bool add_range(struct id_map *map, struct id_range r)
{
	/* The last number is no id. */
	if (r.count == 0 || map->count == ID_RANGES_MAX || UINT32_MAX - r.count < r.inside ||
	    UINT32_MAX - r.count < r.outside)
		return false;
	for (size_t i = 0; i < map->count; i++) {
		const struct id_range *o = &map->range[i];

		if (overlap(r.inside, r.count, o->inside, o->count) ||
		    overlap(r.outside, r.count, o->outside, o->count))
			return false;
	}
	map->range[map->count++] = r;
	return true;
}

/* Reads a number that ends at mark, and goes behind it. */
static bool next_number(const char **text, char mark, uint32_t *ret)
{
	const char *end = strchr(*text, mark);
	char digits[NUMBER_SIZE];
	uint64_t n = 0;

	if (!end || (size_t)(end - *text) >= sizeof(digits))
		return false;
	memcpy(digits, *text, (size_t)(end - *text));
	digits[end - *text] = '\0';
	if (!parse_u64(digits, UINT32_MAX, &n))
		return false;
	*ret = (uint32_t)n;
	*text = end + 1;
	return true;
}

bool id_map_add(struct id_map *map, const char *text)
{
	struct id_range r;

	if (*text++ != ':' || !next_number(&text, ':', &r.inside) ||
	    !next_number(&text, ':', &r.outside) || !next_number(&text, ':', &r.count) || *text)
		return false;
	return add_range(map, r);
}

bool id_map_has(const struct id_map *map, uint32_t inside)
{
	for (size_t i = 0; i < map->count; i++) {
		if (overlap(inside, 1, map->range[i].inside, map->range[i].count))
			return true;
	}
	return false;
}

bool idmap_wanted(const struct idmap_want *want)
{
	return geteuid() != 0 || want->subids || want->uids.count > 0 || want->gids.count > 0;
}

/* A line of subuid(5), "USER:FIRST:COUNT": takes it if it is this user's. Inside its ids are numbered from *next on. */
static void take_line(char *line, const char *name, uint32_t uid, struct id_map *map,
                      uint32_t *next)
{
	char *first = strchr(line, ':'), *count = first ? strchr(first + 1, ':') : NULL;
	uint64_t owner, from, n;
	bool ours;

	if (!count)
		return;
	*first++ = '\0';
	*count++ = '\0';
	count[strcspn(count, "\n")] = '\0';
	ours = (name && strcmp(line, name) == 0) ||
	       (parse_u64(line, UINT32_MAX, &owner) && owner == uid);
	if (ours && parse_u64(first, UINT32_MAX, &from) && parse_u64(count, UINT32_MAX, &n) &&
	    add_range(map, (struct id_range){*next, (uint32_t)from, (uint32_t)n}))
		*next += (uint32_t)n;
}

/* The user's own id as 0, and with subids the subordinate ones after it. */
static int usual_map(const struct kind *k, bool subids, uint32_t own, struct id_map *map)
{
	const struct passwd *user = subids ? getpwuid(getuid()) : NULL;
	uint32_t next = 1;
	char line[256];
	FILE *f;

	*map = (struct id_map){.count = 1, .range[0] = {.inside = 0, .outside = own, .count = 1}};
	if (!subids)
		return 0;
	f = fopen(k->subids, "re");
	if (!f) {
		log_error("--subids: %s: %s", k->subids, errno_name(errno));
		return -errno;
	}
	while (fgets(line, sizeof(line), f))
		take_line(line, user ? user->pw_name : NULL, getuid(), map, &next);
	(void)fclose(f);
	if (map->count > 1)
		return 0;
	log_error("--subids: %s has no line for user %u: add one, USER:FIRST:COUNT", k->subids,
	          (unsigned)getuid());
	return -ENOENT;
}

/* ---- writing the maps ---- */

static int write_file(pid_t pid, const char *name, const char *text, size_t size)
{
	char path[64];
	AUTO_CLOSE int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, size);
	if (n < 0)
		return -errno;
	/* The kernel takes such a file whole or not at all. */
	return (size_t)n == size ? 0 : -EIO;
}

/* All of a map is written by one write(2). */
static int write_map(pid_t pid, const struct kind *k, const struct id_map *map)
{
	char text[ID_RANGES_MAX * 3 * NUMBER_SIZE];
	size_t used = 0;

	for (size_t i = 0; i < map->count; i++) {
		const struct id_range *r = &map->range[i];

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%u %u %u\n", r->inside,
		                         r->outside, r->count);
	}
	return write_file(pid, k->file, text, used);
}

/* Becomes newuidmap(1) or newgidmap(1). Return: only on failure, the exit status. */
static int run_tool(pid_t pid, const struct kind *k, const struct id_map *map)
{
	char numbers[MAP_ARGS][NUMBER_SIZE];
	char *argv[MAP_ARGS + 1] = {numbers[0], numbers[1]};
	int keep[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
	size_t n = 2;

	(void)snprintf(numbers[0], NUMBER_SIZE, "%s", k->tool);
	(void)snprintf(numbers[1], NUMBER_SIZE, "%d", (int)pid);
	for (size_t i = 0; i < map->count; i++) {
		const uint32_t values[] = {map->range[i].inside, map->range[i].outside,
		                           map->range[i].count};

		for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
			(void)snprintf(numbers[n], NUMBER_SIZE, "%u", values[v]);
			argv[n] = numbers[n];
			n++;
		}
	}
	argv[n] = NULL;
	if (confine_close_others(keep, ARRAY_SIZE(keep)) == 0)
		(void)execvp(k->tool, argv);
	log_error("%s cannot be run (%s): install the package uidmap", k->tool, errno_name(errno));
	return EXIT_FAILURE;
}

/* This process's number as /proc has it: in a PID namespace getpid(2) tells another. */
static pid_t number_in_proc(void)
{
	char text[NUMBER_SIZE] = "";
	uint64_t n = 0;

	if (readlink("/proc/self", text, sizeof(text) - 1) < 0 || !parse_u64(text, INT32_MAX, &n))
		return getpid();
	return (pid_t)n;
}

/* A process that stays outside, and maps ids when the byte comes that says that the namespace is there. */
static int start_mapper(const struct kind *k, const struct id_map *map, int go, int go_end,
                        pid_t *ret_pid)
{
	pid_t target = number_in_proc();
	char byte;

	*ret_pid = fork();
	if (*ret_pid < 0)
		return -errno;
	if (*ret_pid > 0)
		return 0;
	(void)close(go_end);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || read(go, &byte, 1) != 1)
		_exit(EXIT_FAILURE);
	if (geteuid() == 0)
		_exit(write_map(target, k, map) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
	_exit(run_tool(target, k, map));
}

static int wait_for_mapper(const struct kind *k, pid_t pid)
{
	int status = 0;

	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	log_error("%s: the ids cannot be mapped so: they must be the user's own id, or stand in %s",
	          k->option, k->subids);
	return -EPERM;
}

static int make_namespace(void)
{
	int r = confine_unshare(CLONE_NEWUSER);

	if (r < 0)
		log_error("no user namespace is to be had (%s): an ordinary user needs one; "
		          "see user.max_user_namespaces, kernel.unprivileged_userns_clone and the "
		          "like, or start as root",
		          errno_name(r));
	return r;
}

/* With the help of processes outside, one a kind. */
static int enter_by_mappers(const struct id_map maps[KINDS])
{
	pid_t pids[KINDS] = {-1, -1};
	int ends[2], r = 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	for (size_t i = 0; r == 0 && i < KINDS; i++)
		r = start_mapper(&kinds[i], &maps[i], ends[0], ends[1], &pids[i]);
	if (r == 0)
		r = make_namespace();
	if (r == 0 && write(ends[1], "\n\n", KINDS) != KINDS)
		r = -errno;
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	for (size_t i = 0; i < KINDS; i++) {
		if (pids[i] > 0 && r < 0)
			(void)waitpid(pids[i], NULL, 0);
		else if (pids[i] > 0)
			r = wait_for_mapper(&kinds[i], pids[i]);
	}
	return r;
}

/* The user's own ids alone: that a process may map for itself, when it cannot change groups any more. */
static int enter_alone(const struct id_map maps[KINDS])
{
	int r = make_namespace();

	if (r < 0)
		return r;
	r = write_file(number_in_proc(), "setgroups", "deny", 4);
	for (size_t i = 0; r == 0 && i < KINDS; i++)
		r = write_map(number_in_proc(), &kinds[i], &maps[i]);
	if (r < 0)
		log_error("cannot map the user's own ids: %s", errno_name(r));
	return r;
}

int idmap_enter(const struct idmap_want *want)
{
	bool alone = !want->subids && want->uids.count == 0 && want->gids.count == 0;
	struct id_map maps[KINDS] = {want->uids, want->gids};
	const uint32_t own[KINDS] = {geteuid(), getegid()};
	int r = 0;

	for (size_t i = 0; r == 0 && i < KINDS; i++) {
		if (maps[i].count == 0)
			r = usual_map(&kinds[i], want->subids, own[i], &maps[i]);
	}
	if (r == 0)
		r = alone ? enter_alone(maps) : enter_by_mappers(maps);
	if (r < 0)
		return r;
	if (setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0)
		return 0;
	log_error("cannot become root of the user namespace: %s", errno_name(errno));
	return -errno;
}
