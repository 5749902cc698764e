/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/cpus.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

static cpu_set_t all;

void cpus_init(void)
{
	/* More processors than the set has room for: then there is none to keep to. */
	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		CPU_ZERO(&all);
}

unsigned cpus_count(void)
{
	return (unsigned)CPU_COUNT(&all);
}

bool cpus_have(uint32_t cpu)
{
	return cpu < CPU_SETSIZE && CPU_ISSET(cpu, &all);
}

int cpus_keep_to(uint32_t cpu)
{
	cpu_set_t one;

	if (cpu != CPUS_ANY && !cpus_have(cpu))
		return -EINVAL;
	CPU_ZERO(&one);
	if (cpu != CPUS_ANY)
		CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), cpu != CPUS_ANY ? &one : &all) < 0 ? -errno : 0;
}

void cpus_load_open(struct cpus_load *l)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	struct statfs st;

	l->cpus = online > 0 ? (unsigned)online : 1;
	l->fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	/* A file that something else has put there may take its time to answer. */
	if (l->fd >= 0 && (fstatfs(l->fd, &st) < 0 || st.f_type != PROC_SUPER_MAGIC))
		fd_close(&l->fd);
}

void cpus_load_close(struct cpus_load *l)
{
	fd_close(&l->fd);
}

bool cpus_crowded(const struct cpus_load *l)
{
	char text[64];
	unsigned running = 0;
	ssize_t n;
	const char *c;

	if (l->fd < 0)
		return false;
	n = pread(l->fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* Three averages, then how many run or wait to run, a slash, and how many there are. */
	c = strchr(text, '/');
	if (!c)
		return false;
	while (c > text && c[-1] != ' ')
		c--;
	for (; *c >= '0' && *c <= '9' && running <= l->cpus; c++)
		running = running * 10 + (unsigned)(*c - '0');
	return running > l->cpus;
}
