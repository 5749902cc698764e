/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/complain.h"

#include "common/log.h"
#include "common/loop.h"

#include <stdarg.h>

static unsigned most = COMPLAIN_LINES;

void complain_rate(unsigned lines)
{
	most = lines;
}

void complain(struct complaints *c, const char *format, ...)
{
	uint64_t now = loop_now();
	char line[512];
	va_list args;

	if (c->since_ns == 0 || now - c->since_ns >= COMPLAIN_PERIOD_NS) {
		if (c->dropped > 0)
			log_warning("%u more warnings like those before were left out", c->dropped);
		*c = (struct complaints){.since_ns = now};
	}
	if (c->lines >= most) {
		c->dropped++;
		return;
	}
	c->lines++;
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	log_warning("%s", line);
}
