/* SPDX-License-Identifier: GPL-2.0-or-later */
/* in_userns.c: run a command as root of a user namespace with as many ids as an ordinary user's usually has. */
#include "helper/idmap.h"

#include <unistd.h>

#define MAP ":0:700000:65536:"

int main(int argc, char **argv)
{
	struct idmap_want want = {0};

	if (argc < 2 || !id_map_add(&want.uids, MAP) || !id_map_add(&want.gids, MAP) ||
	    idmap_enter(&want) < 0)
		return 125;
	(void)execvp(argv[1], argv + 1);
	return 127;
}
