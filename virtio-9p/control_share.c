/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-9p/control_share.h"

#include "common/log.h"

/* ---- query-share ---- */

static void query_share(struct control_call *call, const void *args UNUSED, void *context)
{
	struct share_info i;

	share_get_info(context, &i);
	control_return(call, json_pack("{s:s?, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "tag",
	                               i.tag, "transport", i.tag ? "vhost-user" : "socket",
	                               "helper", i.helper, "clients", (json_int_t)i.clients, "fids",
	                               (json_int_t)i.fids, "max-fids", (json_int_t)i.fids_max,
	                               "in-flight", (json_int_t)i.in_flight, "locks-waiting",
	                               (json_int_t)i.locks_waiting, "xattr-bytes",
	                               (json_int_t)i.xattr_held, "poll-us", (json_int_t)i.poll_us));
}

/* ---- share-set-limits ---- */

struct limits_args {
	uint64_t max_fids, poll_us;
};

static const struct control_arg limits_rows[] = {
    CONTROL_ARG_NUMBER(struct limits_args, max_fids, "max-fids", CONTROL_ABSENT(CONTROL_NOT_GIVEN),
                       1, CONFIG_FIDS_MOST,
                       "fids all clients together may have; those above it stay"),
    CONTROL_ARG_NUMBER(struct limits_args, poll_us, "poll-us", CONTROL_ABSENT(CONTROL_NOT_GIVEN), 0,
                       CONFIG_POLL_US_MOST, "how long to look for requests before sleeping"),
};

static void set_limits(struct control_call *call, const void *args, void *context)
{
	const struct limits_args *a = args;

	if (a->max_fids != CONTROL_NOT_GIVEN)
		share_set_max_fids(context, (uint32_t)a->max_fids);
	if (a->poll_us != CONTROL_NOT_GIVEN)
		share_set_poll_us(context, (uint32_t)a->poll_us);
	control_return(call, json_object());
}

/* ---- share-set-helper ---- */

struct helper_args {
	struct control_fd helper;
};

static const struct control_arg helper_rows[] = {
    CONTROL_ARG_FD(struct helper_args, helper, "helper", CONTROL_REQUIRED,
                   "the connected SOCK_SEQPACKET socket to a new virtfs-proxy-helper"),
};

static void helper_done(void *context, int error)
{
	struct control_call *call = context;

	if (error == 0)
		control_return(call, json_object());
	else
		control_error(call, CONTROL_GENERIC_ERROR, "the new helper does not answer: %s",
		              errno_name(error));
}

static void set_helper(struct control_call *call, const void *args, void *context)
{
	const struct helper_args *a = args;
	int r = share_set_helper(context, control_fd_take(call, a->helper), helper_done, call);

	if (r < 0)
		control_error(call, CONTROL_GENERIC_ERROR,
		              "argument 'helper': must be a connected Unix socket of type "
		              "SOCK_SEQPACKET (%s)",
		              errno_name(r));
}

/* ---- the table ---- */

static const struct control_command rows[] = {
    {.name = "query-share", .help = "the share as it is now", .run = query_share},
    {.name = "share-set-limits",
     .help = "change its limits; what is not given stays",
     CONTROL_ARGS(limits_rows, struct limits_args),
     .run = set_limits},
    {.name = "share-set-helper",
     .help = "go on with another helper; answered when that has answered",
     CONTROL_ARGS(helper_rows, struct helper_args),
     .run = set_helper},
};

int control_share_add(struct control *c, struct share *s)
{
	return control_add(
	    c, &(struct control_table){
	           .rows = rows, .count = ARRAY_SIZE(rows), .capability = "share", .context = s});
}

void control_share_event(struct control *c, const struct share *s, const char *name)
{
	struct share_info i;

	if (!c)
		return;
	share_get_info(s, &i);
	control_event(c, name, json_pack("{s:s?}", "tag", i.tag));
}
