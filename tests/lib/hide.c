/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hide.c: run a command for which the kernel has not a system call (hidden.h). */
#include "tests/lib/hidden.h"

#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 3 || hide_by_name(argv[1]) < 0)
		return 125;
	(void)execvp(argv[2], argv + 2);
	return 127;
}
