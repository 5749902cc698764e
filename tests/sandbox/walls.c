/* SPDX-License-Identifier: GPL-2.0-or-later */
/* walls.c: what a serving helper still has, as the kernel tells it. */
#include "tests/lib/legacy_peer.h"
#include "tests/lib/rig.h"

#include "common/cleanup.h"
#include "common/parse.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static struct rig rig;

static void start(void)
{
	struct legacy_lstat_rep st;

	rig_start(&rig, NULL);
	cr_assert_eq(peer_lstat(rig.sock, "/", &st), 0);
}

static void end(void)
{
	cr_assert_eq(rig_end(&rig), 0);
}

TestSuite(walls, .init = start, .fini = end, .timeout = 30);

static const char *proc_path(const char *name)
{
	static char path[400];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)rig.helper, name);
	return path;
}

static bool in_namespaces(void)
{
	return !strstr(rig_log(&rig), "only chroot holds the export");
}

Test(walls, seven_capabilities_and_none_to_be_had)
{
	/* CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, SETGID 6, SETUID 7, MKNOD 27 */
	cr_assert_str_eq(rig_proc(&rig, "CapEff"), "00000000080000db");
	cr_assert_str_eq(rig_proc(&rig, "CapPrm"), "00000000080000db");
	cr_assert_str_eq(rig_proc(&rig, "CapInh"), "0000000000000000");
	cr_assert_str_eq(rig_proc(&rig, "CapBnd"), "0000000000000000");
	cr_assert_str_eq(rig_proc(&rig, "CapAmb"), "0000000000000000");
	cr_assert_str_eq(rig_proc(&rig, "NoNewPrivs"), "1");
}

Test(walls, a_filter_is_on)
{
	cr_assert_str_eq(rig_proc(&rig, "Seccomp"), "2");
	cr_assert_str_eq(rig_proc(&rig, "Seccomp_filters"), "1");
}

Test(walls, undumpable)
{
	struct stat st;

	/* proc(5): the files of an undumpable process belong to root; another user of its ids could
	 * not look in. */
	cr_assert_eq(stat(proc_path("environ"), &st), 0);
	cr_assert_eq(st.st_uid, 0);
	cr_assert_str_eq(rig_proc(&rig, "Threads"), "1");
}

static uint64_t limit_of(const char *name)
{
	char line[256];
	uint64_t n = UINT64_MAX;
	FILE *f = fopen(proc_path("limits"), "re");

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long long soft, hard;

		if (strncmp(line, name, strlen(name)) == 0 &&
		    sscanf(line + strlen(name), "%llu %llu", &soft, &hard) == 2)
			n = hard;
	}
	(void)fclose(f);
	return n;
}

Test(walls, limits)
{
	cr_assert_eq(limit_of("Max core file size"), 0);
	cr_assert_leq(limit_of("Max open files"), 1024);
	cr_assert_eq(limit_of("Max locked memory"), 0);
}

Test(walls, nothing_is_mounted_but_the_export)
{
	char line[1024];
	int mounts = 0;
	FILE *f;

	if (!in_namespaces())
		cr_skip_test("no mount namespaces here");
	f = fopen(proc_path("mountinfo"), "re");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f)) {
		cr_assert_not_null(strstr(line, " / "), "%s", line);
		cr_assert_not_null(strstr(line, "nosuid,nodev,noexec"), "%s", line);
		mounts++;
	}
	(void)fclose(f);
	cr_assert_eq(mounts, 1);
}

static void must_differ(const char *name)
{
	char ours[128] = "", its[128] = "", path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	cr_assert_gt(readlink(path, ours, sizeof(ours) - 1), 0);
	(void)snprintf(path, sizeof(path), "ns/%s", name);
	cr_assert_gt(readlink(proc_path(path), its, sizeof(its) - 1), 0);
	cr_assert_str_neq(ours, its, "the %s namespace is the host's", name);
}

Test(walls, namespaces_of_its_own)
{
	if (!in_namespaces())
		cr_skip_test("namespaces cannot be made here");
	must_differ("mnt");
	must_differ("net");
	must_differ("ipc");
	must_differ("uts");
}

Test(walls, every_descriptor_is_accounted_for)
{
	DIR *d = opendir(proc_path("fd"));
	struct dirent *e;
	int nulls = 0, sockets = 0, roots = 0, procs = 0, logs = 0;

	cr_assert_not_null(d);
	while ((e = readdir(d))) {
		char link[320], path[320];
		ssize_t n;

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "fd/%s", e->d_name);
		n = readlink(proc_path(path), link, sizeof(link) - 1);
		cr_assert_gt(n, 0);
		link[n] = '\0';
		if (strcmp(link, "/dev/null") == 0)
			nulls++;
		else if (strncmp(link, "socket:", 7) == 0)
			sockets++;
		else if (strcmp(link, "/") == 0)
			roots++;
		else if (strstr(link, "/fd") && strncmp(link, "/proc/", 6) == 0)
			procs++;
		else if (strstr(link, "memfd:stderr"))
			logs++;
		else
			cr_assert_fail("descriptor %s is %s", e->d_name, link);
	}
	(void)closedir(d);
	cr_assert_eq(nulls, 2, "standard input and output");
	cr_assert_eq(logs, 1, "standard error");
	cr_assert_eq(sockets, 1, "the peer");
	cr_assert_eq(roots, 1, "the export");
	cr_assert_eq(procs, 1, "/proc/self/fd");
}

Test(walls, little_memory)
{
	uint64_t kib = 0;
	char text[64];

	if (is_sanitized())
		cr_skip_test("a sanitizer's memory is its own");
	(void)snprintf(text, sizeof(text), "%s", rig_proc(&rig, "VmRSS"));
	*strchr(text, ' ') = '\0';
	cr_assert(parse_u64(text, UINT64_MAX, &kib));
	cr_assert_lt(kib, 4096, "%d KiB are resident", (int)kib);
}

Test(walls, soon_ready)
{
	double best = 1e9;

	if (is_sanitized())
		cr_skip_test("a sanitizer's start-up is its own");
	for (int i = 0; i < 5; i++) {
		static struct rig other;
		struct timespec a, b;
		struct legacy_lstat_rep st;
		double ms;

		(void)clock_gettime(CLOCK_MONOTONIC, &a);
		rig_start(&other, NULL);
		cr_assert_eq(peer_lstat(other.sock, "/", &st), 0);
		(void)clock_gettime(CLOCK_MONOTONIC, &b);
		cr_assert_eq(rig_end(&other), 0);
		ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
		best = ms < best ? ms : best;
	}
	cr_assert_lt(best, 20.0, "%.1f ms from fork to the first reply", best);
}

/*
 * A mount that the host makes inside the export later is seen, as a chrooted helper would see it.
 * Mounts propagate where systemd has made them shared; here a namespace of the test's own is, so
 * that no host's set-up decides.
 */
Test(walls, later_mounts_of_the_host_show)
{
	static struct rig host;
	struct legacy_lstat_rep st;

	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL), 0);
	rig_start(&host, NULL);
	cr_assert_eq(mkdir(rig_path(&host, "m"), 0755), 0);
	cr_assert_eq(peer_lstat(host.sock, "//m", &st), 0);
	cr_assert_eq(mount("none", rig_path(&host, "m"), "tmpfs", 0, NULL), 0);
	rig_write(&host, "m/f", "");
	cr_assert_eq(peer_lstat(host.sock, "//m//f", &st), 0);
	cr_assert_eq(umount(rig_path(&host, "m")), 0);
	cr_assert_eq(peer_lstat(host.sock, "//m//f", &st), -ENOENT);
	cr_assert_eq(rig_end(&host), 0);
}
