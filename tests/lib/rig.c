/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/rig.h"

#include "common/cleanup.h"
#include "common/usock.h"
#include "tests/lib/hidden.h"
#include "tests/lib/proc.h"
#include "tests/lib/wait.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ARGS_MAX 32

void (*rig_watch)(const void *bytes, size_t size, int fd);

void rig_dirs(struct rig *r)
{
	const char *tmp = getenv("TMPDIR");
	char canary[100];
	int fd;

	*r = (struct rig){.helper = -1, .sock = -1, .err = -1};
	(void)umask(022);
	(void)snprintf(r->dir, sizeof(r->dir), "%s/virtfs.XXXXXX", tmp ? tmp : "/tmp");
	cr_assert_not_null(mkdtemp(r->dir));
	(void)snprintf(r->export, sizeof(r->export), "%s/export", r->dir);
	(void)snprintf(r->outside, sizeof(r->outside), "%s/outside", r->dir);
	cr_assert_eq(mkdir(r->export, 0755), 0);
	cr_assert_eq(mkdir(r->outside, 0755), 0);
	(void)snprintf(canary, sizeof(canary), "%s/canary", r->outside);
	fd = open(canary, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, "canary", 6), 6);
	(void)close(fd);
}

int rig_log_file(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	/* A memfd's position is not locked: without this, what two processes write at once lands on the same place. */
	cr_assert_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	return fd;
}

pid_t rig_spawn(struct rig *r, const char *const *args, int pass_fd)
{
	const char *argv[ARGS_MAX] = {getenv("VIRTFS_HELPER")};
	size_t n = 1;
	pid_t pid;

	cr_assert_not_null(argv[0], "VIRTFS_HELPER must name the program under test");
	for (; args[n - 1]; n++) {
		cr_assert_lt(n, ARGS_MAX - 1);
		argv[n] = args[n - 1];
	}
	if (r->err < 0)
		r->err = rig_log_file();
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		static const gid_t groups[] = {4, 27};
		/* Opened now: another user may not reach where it was built. */
		int exe = open(argv[0], O_RDONLY | O_CLOEXEC);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)setgroups(ARRAY_SIZE(groups), groups); /* for the helper to drop */
		(void)dup2(r->err, STDERR_FILENO);
		if (pass_fd >= 0)
			(void)fcntl(pass_fd, F_SETFD, 0);
		if (r->user && (setresgid(r->user, r->user, r->user) < 0 ||
		                setresuid(r->user, r->user, r->user) < 0))
			_exit(126);
		rig_hide();
		(void)fexecve(exe, (char *const *)(uintptr_t)argv, environ);
		_exit(127);
	}
	return pid;
}

void rig_serve(struct rig *r, const char *const *more)
{
	const char *args[ARGS_MAX] = {"-n", "-p", NULL, "-f", NULL};
	const char *sandbox = getenv("VIRTFS_SANDBOX");
	char number[12];
	size_t n = 5;
	int pair[2];

	args[2] = r->export;
	args[4] = number;
	for (size_t i = 0; more && more[i]; i++) {
		cr_assert_lt(n + 3, ARGS_MAX);
		if (strcmp(more[i], "--sandbox") == 0)
			sandbox = NULL;
		args[n++] = more[i];
	}
	if (sandbox) {
		args[n++] = "--sandbox";
		args[n++] = sandbox;
	}
	if (r->user) {
		cr_assert_eq(chmod(r->dir, 0755), 0);
		cr_assert_eq(chown(r->export, r->user, r->user), 0);
	}
	cr_assert_eq(usock_pair(r->native ? SOCK_SEQPACKET : SOCK_STREAM, pair), 0);
	(void)snprintf(number, sizeof(number), "%d", pair[1]);
	r->helper = rig_spawn(r, args, pair[1]);
	fd_close(&pair[1]);
	r->sock = pair[0];
}

void rig_start(struct rig *r, const char *const *more)
{
	rig_dirs(r);
	rig_serve(r, more);
}

int rig_exit_status(pid_t pid)
{
	int status = 0;
	pid_t ended;

	WAIT_WHILE((ended = waitpid(pid, &status, WNOHANG)) != pid);
	if (ended != pid)
		(void)kill(pid, SIGKILL);
	cr_assert_eq(ended, pid, "the process does not end");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const char *sandbox_of_host(void)
{
	const char *sandbox = getenv("VIRTFS_SANDBOX");

	return sandbox && strcmp(sandbox, "namespace") != 0 ? sandbox : NULL;
}

void rig_mounts(void)
{
	if (!sandbox_of_host())
		return;
	cr_assert_eq(unshare(CLONE_NEWNS), 0, "%s", strerror(errno));
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
}

void rig_unmount(const char *path)
{
	if (!sandbox_of_host())
		(void)umount2(path, MNT_DETACH);
}

/* What rig_unmount() left mounted. */
static void unmount_rest(const char *dir)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (f && (m = getmntent(f))) {
		if (strncmp(m->mnt_dir, dir, strlen(dir)) == 0)
			(void)umount2(m->mnt_dir, MNT_DETACH);
	}
	if (f)
		(void)endmntent(f);
}

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *ftw UNUSED)
{
	return remove(path);
}

int rig_end(struct rig *r)
{
	int status = 0;

	fd_close(&r->sock);
	if (r->helper > 0)
		status = rig_exit_status(r->helper);
	(void)rig_log(r);
	if (sandbox_of_host())
		unmount_rest(r->dir);
	(void)nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	fd_close(&r->err);
	return status;
}

const char *rig_log(struct rig *r)
{
	ssize_t n = pread(r->err, r->log, sizeof(r->log) - 1, 0);

	r->log[n > 0 ? n : 0] = '\0';
	return r->log;
}

const char *rig_path(const struct rig *r, const char *name)
{
	static char paths[4][1024];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", r->export, name);
	return path;
}

void rig_write(const struct rig *r, const char *name, const char *text)
{
	FILE *f = fopen(rig_path(r, name), "we");

	cr_assert_not_null(f, "%s: %s", name, strerror(errno));
	(void)fputs(text, f);
	cr_assert_eq(fclose(f), 0);
}

const char *rig_read(const struct rig *r, const char *name)
{
	static char text[4096];
	FILE *f = fopen(rig_path(r, name), "re");

	cr_assert_not_null(f, "%s: %s", name, strerror(errno));
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	return text;
}

const char *rig_proc(const struct rig *r, const char *key)
{
	return proc_status(r->helper, key);
}

void rig_hide(void)
{
	const char *hide = getenv("VIRTFS_HIDE");

	if (hide && hide_by_name(hide) < 0)
		_exit(125);
}

const char *rig_filters(unsigned own)
{
	static char count[12];

	(void)snprintf(count, sizeof(count), "%u", own + (getenv("VIRTFS_HIDE") ? 1 : 0));
	return count;
}

void rig_needs_root(const char *why)
{
	if (geteuid() != 0 || getenv("VIRTFS_ROOTLESS"))
		cr_skip_test("rootless: %s", why);
}

void rig_needs_namespace(const char *why)
{
	const char *sandbox = sandbox_of_host();

	if (sandbox)
		cr_skip_test("--sandbox=%s: %s", sandbox, why);
}

void rig_differs_on(const char *kinds, const char *what)
{
	const char *kind = getenv("VIRTFS_FS");

	if (kind && strstr(kinds, kind))
		cr_skip_test("on %s: %s", kind, what);
}

bool is_sanitized(void)
{
	if (getenv("VIRTFS_SANITIZED"))
		return true;
#if defined(__SANITIZE_ADDRESS__)
	return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
	return true;
#else
	return false;
#endif
#else
	return false;
#endif
}
