/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/proc.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <string.h>
#include <unistd.h>

const char *proc_path(pid_t pid, const char *name)
{
	static char path[400];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return path;
}

/* The line of a file that starts so, without that and the spaces after it; NULL if there is none. */
static char *line_of(pid_t pid, const char *file, const char *start)
{
	static char line[256];
	FILE *f = fopen(proc_path(pid, file), "re");
	char *value = NULL;

	cr_assert_not_null(f, "the process is gone");
	while (!value && fgets(line, sizeof(line), f)) {
		if (strncmp(line, start, strlen(start)) != 0)
			continue;
		value = line + strlen(start);
		value += strspn(value, " \t");
		value[strcspn(value, "\n")] = '\0';
	}
	(void)fclose(f);
	return value;
}

const char *proc_status(pid_t pid, const char *key)
{
	char start[64];
	const char *value;

	(void)snprintf(start, sizeof(start), "%s:", key);
	value = line_of(pid, "status", start);
	return value ? value : "";
}

uint64_t proc_limit(pid_t pid, const char *name)
{
	const char *value = line_of(pid, "limits", name);
	unsigned long long soft, hard;

	cr_assert_not_null(value, "no limit is called '%s'", name);
	return sscanf(value, "%llu %llu", &soft, &hard) == 2 ? hard : UINT64_MAX;
}

bool proc_shares(pid_t pid, const char *space)
{
	char ours[128] = "", its[128] = "", name[64];

	(void)snprintf(name, sizeof(name), "ns/%s", space);
	cr_assert_gt(readlink(proc_path(getpid(), name), ours, sizeof(ours) - 1), 0);
	cr_assert_gt(readlink(proc_path(pid, name), its, sizeof(its) - 1), 0);
	return strcmp(ours, its) == 0;
}

void proc_mounts_one(pid_t pid)
{
	FILE *f = fopen(proc_path(pid, "mountinfo"), "re");
	char line[1024];
	int mounts = 0;

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f)) {
		cr_assert_not_null(strstr(line, " / "), "%s", line);
		cr_assert_not_null(strstr(line, "nosuid,nodev,noexec"), "%s", line);
		mounts++;
	}
	(void)fclose(f);
	cr_assert_eq(mounts, 1);
}

void proc_switches(pid_t pid, char *text, size_t room)
{
	DIR *d = opendir(proc_path(pid, "task"));
	struct dirent *e;
	size_t used = 0;

	cr_assert_not_null(d, "the process is gone");
	text[0] = '\0';
	while ((e = readdir(d))) {
		static const char *const keys[] = {
		    "Name:", "voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"};
		char file[300], name[64] = "";
		unsigned long count = 0;

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "task/%s/status", e->d_name);
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			const char *value = line_of(pid, file, keys[i]);

			cr_assert_not_null(value, "%s has no line %s", file, keys[i]);
			if (i == 0)
				(void)snprintf(name, sizeof(name), "%s", value);
			else
				count += strtoul(value, NULL, 10);
		}
		used += (size_t)snprintf(text + used, room - used, "%s %s %lu\n", e->d_name, name,
		                         count);
		cr_assert_lt(used, room, "more threads than the test has room for");
	}
	(void)closedir(d);
}

pid_t proc_child(pid_t parent, const char *name)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t found = -1;

	cr_assert_not_null(d);
	while (found < 0 && (e = readdir(d))) {
		char path[280], line[128], comm[64];
		long pid = strtol(e->d_name, NULL, 10);
		int of = -1;
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		f = pid > 0 ? fopen(path, "re") : NULL;
		if (!f)
			continue; /* no process, or one that has ended */
		if (fgets(line, sizeof(line), f) &&
		    sscanf(line, "%*d (%63[^)]) %*c %d", comm, &of) == 2 && of == parent &&
		    strncmp(comm, name, strlen(name)) == 0)
			found = (pid_t)pid;
		(void)fclose(f);
	}
	(void)closedir(d);
	return found;
}
