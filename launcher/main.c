/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: virtfs(1) picks the subcommand. */
#include "common/log.h"
#include "launcher/commands.h"

#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
    {"serve", command_serve, "serve a directory by 9P over a Unix socket"},
    {"proxy", command_proxy,
     "run a command (QEMU up to 9.1) beside a helper that serves a directory"},
};

static void print_help(void)
{
	(void)printf("Usage: virtfs COMMAND [options]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		(void)printf("  %-10s %s\n", commands[i].name, commands[i].help);
	(void)printf("\nvirtfs COMMAND --help tells more; virtfs --version prints the version.\n");
}

int main(int argc, char **argv)
{
	log_init("virtfs", LOG_LEVEL_INFO);
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		print_help();
		return EXIT_SUCCESS;
	}
	if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
		(void)printf("virtfs " VIRTFS_VERSION "\n");
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; argc >= 2 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	log_error("'%s' is no command of virtfs; see virtfs --help", argc >= 2 ? argv[1] : "");
	return EXIT_FAILURE;
}
