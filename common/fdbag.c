/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/fdbag.h"

#include "common/cleanup.h"

int fdbag_take(struct fdbag *bag, size_t i)
{
	return i < bag->count ? fd_steal(&bag->fds[i]) : -1;
}

void fdbag_close(struct fdbag *bag)
{
	for (size_t i = 0; i < bag->count; i++)
		fd_close(&bag->fds[i]);
	bag->count = 0;
}
