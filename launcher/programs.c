/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/programs.h"

#include "common/cleanup.h"

#include <limits.h>
#include <string.h>

/* The directory this program was started from, or "" if that cannot be found out. */
static void own_directory(char *buffer, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", buffer, size - 1);
	char *slash;

	buffer[n > 0 ? n : 0] = '\0';
	slash = strrchr(buffer, '/');
	if (slash)
		*slash = '\0';
}

char *program_find(const char *dir, const char *name)
{
	char here[PATH_MAX];
	char *path = NULL;

	own_directory(here, sizeof(here));
	if (asprintf(&path, "%s/../%s/%s", here, dir, name) < 0)
		return NULL;
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	if (asprintf(&path, "%s/../libexec/%s", here, name) < 0)
		return NULL;
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return asprintf(&path, VIRTFS_LIBEXECDIR "/%s", name) < 0 ? NULL : path;
}
