/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * strace.c: what strace(1) sees of a serving device: it opens nothing, while images are in a directory that is for root alone,
 * disks are read and written, and others come and go by command.
 */
#include "tests/lib/blk_rig.h"
#include "tests/lib/control_disk.h"
#include "tests/lib/proc.h"

#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct blk_rig rig;
static struct control_peer c;
static char seen[96], said[96]; /* files: what was traced; what strace says itself */
static char text[1 << 20];

static const char *read_all(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	cr_assert_geq(fd, 0);
	while (have < sizeof(text) - 1 && (n = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += (size_t)n;
	text[have] = '\0';
	return text;
}

static pid_t start_strace(void)
{
	char pid[12];
	pid_t tracer;

	(void)snprintf(seen, sizeof(seen), "%s/seen", rig.dir);
	(void)snprintf(said, sizeof(said), "%s/said", rig.dir);
	(void)snprintf(pid, sizeof(pid), "%d", (int)rig.device);
	tracer = fork();
	cr_assert_geq(tracer, 0);
	if (tracer == 0) {
		int err = open(said, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(err, STDERR_FILENO);
		/* recvmsg shows that it sees anything; ?: a name that it need not know. */
		(void)execlp("strace", "strace", "-f", "-o", seen, "-e",
		             "trace=?open,openat,?openat2,?creat,?open_by_handle_at,recvmsg", "-p",
		             pid, NULL);
		_exit(127);
	}
	return tracer;
}

/* Of all its threads. */
static bool is_traced(void)
{
	return strtol(proc_status(rig.device, "TracerPid"), NULL, 10) > 0;
}

static void stop_strace(pid_t tracer)
{
	cr_assert_eq(kill(tracer, SIGTERM), 0);
	cr_assert_eq(waitpid(tracer, NULL, 0), tracer);
}

static void end(void)
{
	control_close(&c);
	blk_rig_end(&rig);
}

/* Skips the test where it cannot be had. */
static pid_t attach(void)
{
	pid_t tracer = start_strace();
	int status;

	for (int i = 0; i < 3000 && !is_traced(); i++) {
		char why[200];

		vu_sleep_ms(10);
		if (waitpid(tracer, &status, WNOHANG) != tracer)
			continue;
		(void)snprintf(why, sizeof(why), "%s",
		               WIFEXITED(status) && WEXITSTATUS(status) == 127
		                   ? "there is no strace here"
		                   : read_all(said));
		end();
		cr_skip("%s", why);
	}
	cr_assert(is_traced(), "strace does not attach: %s", read_all(said));
	return tracer;
}

static void works(void)
{
	blk_rig_connect(&rig);
	blk_rig_rings(&rig);
	for (unsigned i = 0; i < 50; i++)
		cr_assert(blk_serves(&rig), "%s", blk_rig_log(&rig));
	cr_assert_eq(blk_flush(&rig), VIRTIO_BLK_S_OK);
	cr_assert_eq(blk_segment(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_OK);
	blk_rig_down(&rig);
	for (unsigned i = 0; i < 5; i++) {
		control_attach(&c, "more", NULL);
		control_refused(&c, "there is no disk 'none'",
		                "{'execute': 'block-detach', 'arguments': {'id': 'none'}}", NULL,
		                0);
		control_done(&c, "{'execute': 'query-block'}", NULL, 0);
		control_detach(&c, "more");
	}
}

static void opens_nothing(const char *io)
{
	static const char *const calls[] = {"open(", "openat(", "openat2(", "creat(",
	                                    "open_by_handle_at("};
	struct stat st;
	pid_t tracer;

	cr_assert(blk_rig_start(
	    &rig, &(struct blk_opt){
	              .place = "/var/tmp", .io = io, .control = true, .device_only = true}));
	control_connect(&c, rig.control);
	cr_assert_eq(stat(rig.dir, &st), 0);
	if (st.st_uid != 0) {
		end();
		cr_skip("only root has a directory for root alone");
	}
	cr_assert_eq(st.st_mode & 0777, 0700);
	cr_assert_neq(strtoul(proc_status(rig.device, "Uid"), NULL, 10), 0, "it is root");
	tracer = attach();
	works();
	stop_strace(tracer);
	(void)read_all(seen);
	cr_assert_not_null(strstr(text, "recvmsg("), "strace has seen nothing: %s", text);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		cr_assert_null(strstr(text, calls[i]), "%s", strstr(text, calls[i]));
	works();
	end();
}

Test(blk_strace, F1_F10_a_serving_device_opens_nothing, .timeout = 120)
{
	opens_nothing(NULL);
}

Test(blk_strace, nor_do_its_threads_where_there_is_no_io_uring, .timeout = 120)
{
	opens_nothing("threads");
}
