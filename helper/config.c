/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/config.h"

#include "common/options.h"
#include "common/parse.h"

#include <getopt.h>
#include <limits.h>
#include <string.h>

/* Of --max-nodes: the root and a file to begin with; as many as their table can number and still be reserved at once. */
#define NODES_LEAST 2
#define NODES_MOST  (16u << 20)
#define NODES_USUAL (2u << 20)

enum {
	OPT_PATH,
	OPT_FD,
	OPT_SOCKET,
	OPT_UID,
	OPT_GID,
	OPT_NODAEMON,
	OPT_READONLY,
	OPT_SANDBOX,
	OPT_SECCOMP,
	OPT_SUBIDS,
	OPT_UID_MAP,
	OPT_GID_MAP,
	OPT_WHOLE_HOST,
	OPT_READY_FD,
	OPT_MAX_NODES,
	OPT_FILE_HANDLES,
	OPT_LOG_LEVEL,
	OPT_SYSLOG,
	OPT_PRINT_CAPABILITIES,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option_row rows[] = {
    [OPT_PATH] = {"path", 'p', "DIR", "the directory to export (required)"},
    [OPT_FD] = {"fd", 'f', "N", "serve the connected stream socket that is descriptor N"},
    [OPT_SOCKET] = {"socket", 's', "PATH", "listen at PATH and serve the first who connects"},
    [OPT_UID] = {"uid", 'u', "N", "owner of the socket at PATH (with -s)"},
    [OPT_GID] = {"gid", 'g', "N", "group of the socket at PATH (with -s)"},
    [OPT_NODAEMON] = {"nodaemon", 'n', NULL, "stay in the foreground, log to standard error"},
    [OPT_READONLY] = {"readonly", 0, NULL, "refuse every change to the export"},
    [OPT_SANDBOX] = {"sandbox", 0, "MODE",
                     "namespace, chroot or none (default: the best to be had)"},
    [OPT_SECCOMP] = {"seccomp", 0, "MODE",
                     "what a system call that is not allowed does: kill (default), log or trap"},
    [OPT_SUBIDS] = {"subids", 0, NULL,
                    "not as root: act for the ids of /etc/subuid and /etc/subgid too"},
    [OPT_UID_MAP] = {"uid-map", 0,
                     ":IN:OUT:COUNT:", "guest's users IN and on are the host's OUT and on"},
    [OPT_GID_MAP] = {"gid-map", 0, ":IN:OUT:COUNT:", "the same of groups"},
    [OPT_WHOLE_HOST] = {"whole-host", 0, NULL, "let DIR be /"},
    [OPT_READY_FD] = {"ready-fd", 0, "N", "write a newline to descriptor N when ready"},
    [OPT_MAX_NODES] = {"max-nodes", 0, "N",
                       "files and directories a device may hold (default 2097152)"},
    [OPT_FILE_HANDLES] =
        {"inode-file-handles", 0, "MODE",
         "hold what is beyond the descriptors by file handle: prefer (default) or never"},
    [OPT_LOG_LEVEL] = {"log-level", 0, "LEVEL", "error, warning, info (default) or debug"},
    [OPT_SYSLOG] = {"syslog", 0, NULL, "log to the system log (default without -n)"},
    [OPT_PRINT_CAPABILITIES] = {"print-capabilities", 0, NULL,
                                "print what this build can do, as JSON"},
    [OPT_VERSION] = {"version", 0, NULL, "print the version"},
    [OPT_HELP] = {"help", 'h', NULL, "print this"},
};

static void print_help(void)
{
	(void)printf("Usage: virtfs-proxy-helper -p DIR (-f N | -s PATH -u UID -g GID) [options]\n"
	             "Serves the directory DIR to QEMU's -fsdev proxy.\n\n");
	options_help(rows, ARRAY_SIZE(rows));
}

static void print_capabilities(void)
{
	(void)printf("{\n"
	             "  \"type\": \"9p-proxy-helper\",\n"
	             "  \"version\": \"" VIRTFS_VERSION "\",\n"
	             "  \"dialects\": [\"legacy\", \"native\"],\n"
	             "  \"features\": [\"readonly\", \"sandbox\", \"rootless\", \"ready-fd\", "
	             "\"sd-notify\", \"syslog\", \"seccomp-modes\", \"inode-file-handles\"]\n"
	             "}\n");
}

/* Reads a number option; says what was wrong. */
static bool number(int option, const char *text, uint64_t max, uint64_t *ret)
{
	if (parse_u64(text, max, ret))
		return true;
	log_error("--%s '%s': must be a decimal number from 0 to %llu", rows[option].name, text,
	          (unsigned long long)max);
	return false;
}

static bool take_sandbox(const char *text, enum sandbox *ret)
{
	static const char *const modes[] = {[SANDBOX_NAMESPACE] = "namespace",
	                                    [SANDBOX_CHROOT] = "chroot",
	                                    [SANDBOX_NONE] = "none"};

	for (size_t i = SANDBOX_NAMESPACE; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(text, modes[i]) == 0) {
			*ret = (enum sandbox)i;
			return true;
		}
	}
	log_error("--sandbox '%s': must be namespace, chroot or none", text);
	return false;
}

static bool take_handles(const char *text, bool *ret)
{
	*ret = strcmp(text, "prefer") == 0;
	if (*ret || strcmp(text, "never") == 0)
		return true;
	log_error("--inode-file-handles '%s': must be prefer or never", text);
	return false;
}

static bool take_map(int option, const char *text, struct id_map *map)
{
	if (id_map_add(map, text))
		return true;
	log_error("--%s '%s': must be :IN:OUT:COUNT:, three numbers, without what another map has; "
	          "%d at the most",
	          rows[option].name, text, ID_RANGES_MAX);
	return false;
}

static bool take(struct config *c, int option, const char *value, bool *have_uid, bool *have_gid)
{
	uint64_t n = 0;

	switch (option) {
	case OPT_PATH:
		c->path = value;
		return true;
	case OPT_SOCKET:
		c->socket_path = value;
		return true;
	case OPT_FD:
		if (!number(option, value, INT_MAX, &n))
			return false;
		c->fd = (int)n;
		return true;
	case OPT_READY_FD:
		if (!number(option, value, INT_MAX, &n))
			return false;
		c->ready_fd = (int)n;
		return true;
	case OPT_MAX_NODES:
		if (!number(option, value, NODES_MOST, &n))
			return false;
		c->max_nodes = (uint32_t)n;
		return true;
	case OPT_FILE_HANDLES:
		return take_handles(value, &c->file_handles);
	case OPT_UID:
		if (!number(option, value, UINT32_MAX - 1, &n))
			return false;
		c->uid = (uid_t)n;
		*have_uid = true;
		return true;
	case OPT_GID:
		if (!number(option, value, UINT32_MAX - 1, &n))
			return false;
		c->gid = (gid_t)n;
		*have_gid = true;
		return true;
	case OPT_NODAEMON:
		c->foreground = true;
		return true;
	case OPT_READONLY:
		c->readonly = true;
		return true;
	case OPT_SANDBOX:
		return take_sandbox(value, &c->sandbox);
	case OPT_SECCOMP:
		return seccomp_mode_parse(value, &c->seccomp);
	case OPT_UID_MAP:
		return take_map(option, value, &c->ids.uids);
	case OPT_GID_MAP:
		return take_map(option, value, &c->ids.gids);
	case OPT_SUBIDS:
		c->ids.subids = true;
		return true;
	case OPT_WHOLE_HOST:
		c->whole_host = true;
		return true;
	case OPT_SYSLOG:
		c->syslog = true;
		return true;
	case OPT_LOG_LEVEL:
		if (log_level_from_name(value, &c->log_level))
			return true;
		log_error("--log-level '%s': must be error, warning, info or debug", value);
		return false;
	default:
		return false;
	}
}

/* The helper is 0 inside. */
static bool check_maps(const struct idmap_want *u)
{
	if (u->subids && u->uids.count + u->gids.count > 0)
		log_error("--subids and --uid-map or --gid-map exclude each other");
	else if (u->uids.count > 0 && !id_map_has(&u->uids, 0))
		log_error("--uid-map: must map user 0: it is what the helper runs as");
	else if (u->gids.count > 0 && !id_map_has(&u->gids, 0))
		log_error("--gid-map: must map group 0: it is what the helper runs as");
	else
		return true;
	return false;
}

static bool check(const struct config *c, bool have_uid, bool have_gid)
{
	if (!c->path) {
		log_error("-p is missing: give the directory to export");
	} else if (c->fd < 0 && !c->socket_path) {
		log_error("-f or -s is missing: give a connected socket or a path to listen at");
	} else if (c->fd >= 0 && c->socket_path) {
		log_error("-f and -s exclude each other");
	} else if (c->socket_path && !(have_uid && have_gid)) {
		log_error("-s needs -u and -g: the numeric owner and group of the socket");
	} else if (!c->socket_path && (have_uid || have_gid)) {
		log_error("-u and -g go with -s only");
	} else if (c->fd >= 0 && c->fd == c->ready_fd) {
		log_error("-f and --ready-fd must be two descriptors");
	} else if ((c->fd >= 0 && c->fd <= 2) || (c->ready_fd >= 0 && c->ready_fd <= 2)) {
		log_error("-f and --ready-fd must be 3 or above: 0 to 2 are the standard streams");
	} else if (c->max_nodes < NODES_LEAST) {
		log_error("--max-nodes %u: must be %d or more", c->max_nodes, NODES_LEAST);
	} else {
		return check_maps(&c->ids);
	}
	return false;
}

enum config_result config_parse(int argc, char **argv, struct config *ret)
{
	bool have_uid = false, have_gid = false;
	const char *value;
	int option;

	*ret = (struct config){.fd = -1,
	                       .ready_fd = -1,
	                       .max_nodes = NODES_USUAL,
	                       .file_handles = true,
	                       .log_level = LOG_LEVEL_INFO};
	while ((option = options_next(rows, ARRAY_SIZE(rows), argc, argv, &value)) != OPTIONS_END) {
		switch (option) {
		case OPT_HELP:
			print_help();
			return CONFIG_DONE;
		case OPT_VERSION:
			(void)printf("virtfs-proxy-helper " VIRTFS_VERSION "\n");
			return CONFIG_DONE;
		case OPT_PRINT_CAPABILITIES:
			print_capabilities();
			return CONFIG_DONE;
		default:
			if (option == OPTIONS_BAD ||
			    !take(ret, option, value, &have_uid, &have_gid)) {
				(void)fprintf(stderr, "Try 'virtfs-proxy-helper --help'.\n");
				return CONFIG_BAD;
			}
		}
	}
	if (optind < argc) {
		log_error("'%s': there are no arguments, only options; is a dash missing?",
		          argv[optind]);
		return CONFIG_BAD;
	}
	return check(ret, have_uid, have_gid) ? CONFIG_RUN : CONFIG_BAD;
}
