/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wait.h: for what another process does in its own time. */
#ifndef VIRTFS_TESTS_LIB_WAIT_H
#define VIRTFS_TESTS_LIB_WAIT_H

#include <stdbool.h>
#include <time.h>

/* Far beyond what a busy machine with sanitizers needs: only what never comes takes so long. */
#define WAIT_MS 20000u

/** wait_more() - Sleep for a moment, a longer one the longer it took so far. Return: false once WAIT_MS are over. */
static inline bool wait_more(unsigned *waited_ms)
{
	unsigned ms = *waited_ms < 100 ? 1 : 10;

	*waited_ms += ms;
	(void)nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
	return *waited_ms < WAIT_MS;
}

/** WAIT_WHILE() - Until the condition, looked at again and again, no longer holds, or WAIT_MS are over: what came of it the caller
 * sees for itself. */
#define WAIT_WHILE(condition)                                \
	do {                                                 \
		unsigned waited_ms = 0;                      \
		while ((condition) && wait_more(&waited_ms)) \
			continue;                            \
	} while (0)

#endif
