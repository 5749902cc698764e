/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "seccomp/load.h"

#include "common/log.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp/mark.h"

#ifdef SECCOMP_RECORD /* of tests/sandbox/unused.py: each allowed call is told to a tracer */
#include "seccomp/record_device_filter.h"
#include "seccomp/record_helper_filter.h"
#else
#include "seccomp/device_filter.h" /* generated, as is */
#include "seccomp/helper_filter.h"
#endif

#define FILTER_MAX 1024

#define FILTER(array)                    \
	{                                \
		ARRAY_SIZE(array), array \
	}

static const struct {
	size_t size;
	const struct sock_filter *code;
} filters[] = {
    [SECCOMP_HELPER_ACCEPT] = FILTER(helper_accept),
    [SECCOMP_HELPER_NATIVE] = FILTER(helper_native),
    [SECCOMP_HELPER_SERVE] = FILTER(helper_serve),
    [SECCOMP_DEVICE_SERVE] = FILTER(device_serve),
    [SECCOMP_DEVICE_THREADS] = FILTER(device_threads),
    [SECCOMP_DEVICE_DISKS] = FILTER(device_disks),
};

static const struct {
	const char *name;
	uint32_t action;
} modes[] = {
    [SECCOMP_AS_BUILT] = {NULL, SECCOMP_DEFAULT},
    [SECCOMP_KILL] = {"kill", SECCOMP_RET_KILL_PROCESS},
    [SECCOMP_LOG] = {"log", SECCOMP_RET_LOG},
    [SECCOMP_TRAP] = {"trap", SECCOMP_RET_TRAP},
};

static bool caught;

bool seccomp_mode_parse(const char *text, enum seccomp_mode *ret)
{
	for (size_t i = SECCOMP_KILL; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i].name, text) != 0)
			continue;
		*ret = (enum seccomp_mode)i;
		return true;
	}
	log_error("--seccomp '%s': must be kill, log or trap", text);
	return false;
}

/* A signal's handler, but the signal comes of the very call: nothing of ours is half done, and a line takes write(2) alone. */
static void name_the_call(int number UNUSED, siginfo_t *info, void *context UNUSED)
{
	const char *name = "?";

	for (size_t i = 0; i < ARRAY_SIZE(syscall_names); i++) {
		if (syscall_names[i].number == info->si_syscall)
			name = syscall_names[i].name;
	}
	log_error("system call %d (%s) is not in the policy", info->si_syscall, name);
	_exit(128 + SIGSYS);
}

static int catch_traps(void)
{
	struct sigaction action = {.sa_sigaction = name_the_call, .sa_flags = SA_SIGINFO};

	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

int seccomp_load(enum seccomp_filter which, enum seccomp_mode mode)
{
	struct sock_filter code[FILTER_MAX];
	struct sock_fprog program = {.len = (unsigned short)filters[which].size, .filter = code};
	uint32_t others = modes[mode].action;
	int r = 0;

	if (filters[which].size > ARRAY_SIZE(code))
		return -E2BIG;
	for (size_t i = 0; i < filters[which].size; i++) {
		code[i] = filters[which].code[i];
		if (code[i].code == (BPF_RET | BPF_K) &&
		    code[i].k == (SECCOMP_RET_TRACE | SECCOMP_MARK))
			code[i].k = others;
	}
	/* The narrower of two filters finds that done, and could not do it. */
	if (others == SECCOMP_RET_TRAP && !caught)
		r = catch_traps();
	if (r < 0)
		return r;
	caught = true;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) <
	               0
	           ? -errno
	           : 0;
}

/*
 * LeakSanitizer stops its process by ptrace(2) when it ends, which no filter of ours allows. Leaks
 * are looked for where the same code runs without a filter: in the unit tests and the fuzz targets.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAVE_ADDRESS_SANITIZER
#endif

#ifdef HAVE_ADDRESS_SANITIZER
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif
