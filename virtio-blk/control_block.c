/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_block.c: disks that come and go while the device runs.
 *
 * All that a disk is made of comes in the one packet of block-attach. Its descriptors stay the packet's until image_open() and
 * disk_new() have taken them over; so a refusal, whyever, leaves none of them open here.
 */
#include "virtio-blk/control_block.h"

#include "common/log.h"
#include "virtio-blk/image.h"

#include <errno.h>
#include <sys/sysmacros.h>

#define ARG_ID(args) \
	CONTROL_ARG_TEXT(args, id, "id", CONTROL_REQUIRED, 1, DISK_ID_MAX, "the disk's name")

static const char *const formats[] = {"raw", "qcow2", NULL};
static const char *const caches[] = {[DISK_WRITEBACK] = "writeback",
                                     [DISK_WRITETHROUGH] = "writethrough",
                                     [DISK_NONE] = "none",
                                     NULL};

/* ---- block-attach ---- */

struct layer_args {
	unsigned format;
	struct control_fd file, data_file;
};

struct attach_args {
	const char *id, *serial;
	struct layer_args chain[IMAGE_LAYERS_MAX];
	size_t layers;
	bool no_backing, read_only, shared, discard;
	unsigned cache;
	uint64_t queues, queue_size;
	struct control_fd socket;
};

static const struct control_arg layer_rows[] = {
    CONTROL_ARG_CHOICE(struct layer_args, format, "format", CONTROL_REQUIRED, formats,
                       "of the file; it is never found out from its bytes"),
    CONTROL_ARG_FD(
        struct layer_args, file, "file", CONTROL_REQUIRED,
        "the file: reading and writing for the first of a disk that is written, else reading only"),
    CONTROL_ARG_FD(struct layer_args, data_file, "data-file", CONTROL_ABSENT(0),
                   "the external data file that a qcow2 header names"),
};

static const struct control_arg attach_rows[] = {
    CONTROL_ARG_TEXT(struct attach_args, id, "id", CONTROL_REQUIRED, 1, DISK_ID_MAX,
                     "the disk's name, of no other disk"),
    CONTROL_ARG_LIST(struct attach_args, chain, layers, "chain", 1, IMAGE_LAYERS_MAX, layer_rows,
                     "the image, then the file that backs it, and so on"),
    CONTROL_ARG_FD(struct attach_args, socket, "socket", CONTROL_REQUIRED,
                   "where the emulator connects: a stream socket, listening or connected"),
    CONTROL_ARG_BOOL(struct attach_args, read_only, "read-only", CONTROL_ABSENT(false),
                     "nothing is ever written"),
    CONTROL_ARG_BOOL(struct attach_args, shared, "shared", CONTROL_ABSENT(false),
                     "other disks may have the same files and write them, if they say so too"),
    CONTROL_ARG_BOOL(struct attach_args, no_backing, "no-backing", CONTROL_ABSENT(false),
                     "the last of the chain is read as if its header named no backing file"),
    CONTROL_ARG_CHOICE(struct attach_args, cache, "cache", CONTROL_ABSENT(DISK_WRITEBACK), caches,
                       "what writes pass through; the descriptors' flags must agree"),
    CONTROL_ARG_BOOL(struct attach_args, discard, "discard", CONTROL_ABSENT(false),
                     "offer DISCARD"),
    CONTROL_ARG_TEXT(struct attach_args, serial, "serial", CONTROL_ABSENT(0), 0, DISK_SERIAL_MAX,
                     "what the guest sees as its number; else the id's first bytes"),
    CONTROL_ARG_NUMBER(struct attach_args, queues, "queues", CONTROL_ABSENT(DISK_QUEUES), 1,
                       DISK_QUEUES_MAX, "at most so many"),
    CONTROL_ARG_NUMBER(struct attach_args, queue_size, "queue-size",
                       CONTROL_ABSENT(DISK_QUEUE_SIZE), 2, DISK_QUEUE_SIZE_MAX,
                       "entries of each, a power of two"),
};

static void refuse(struct control_call *call, const char *id, const char *why)
{
	control_error(call, CONTROL_GENERIC_ERROR, "disk '%s': %s", id, why);
}

/* The image of a call's descriptors, which are its own then. Return: NULL after the call was answered. */
static struct image *open_image(struct control_call *call, const struct attach_args *a)
{
	struct image_spec spec = {.layers = (unsigned)a->layers,
	                          .no_backing = a->no_backing,
	                          .readonly = a->read_only,
	                          .shared = a->shared,
	                          .cache = (enum disk_cache)a->cache};
	char text[IMAGE_WHY_MAX];
	struct sbuf why = sbuf_over(text, sizeof(text));
	struct image *image;

	for (size_t i = 0; i < a->layers; i++)
		spec.layer[i] =
		    (struct image_layer){.format = formats[a->chain[i].format],
		                         .fd = control_fd_look(call, a->chain[i].file),
		                         .data_fd = control_fd_look(call, a->chain[i].data_file)};
	if (image_open(&spec, &why, &image) < 0) {
		refuse(call, a->id, text);
		return NULL;
	}
	for (size_t i = 0; i < a->layers; i++) {
		control_fd_gone(call, a->chain[i].file);
		control_fd_gone(call, a->chain[i].data_file);
	}
	return image;
}

static void attach(struct control_call *call, const void *args, void *context)
{
	const struct attach_args *a = args;
	struct image *image = open_image(call, a);
	struct disk_spec spec = {.id = a->id,
	                         .image = image,
	                         .cache = (enum disk_cache)a->cache,
	                         .discard = a->discard,
	                         .serial = a->serial,
	                         .queues = (unsigned)a->queues,
	                         .queue_size = (unsigned)a->queue_size,
	                         .vhost_user_fd = control_fd_look(call, a->socket)};
	char text[IMAGE_WHY_MAX];
	struct sbuf why = sbuf_over(text, sizeof(text));
	struct disk *disk;

	if (!image)
		return;
	if (disk_new(context, &spec, &why, &disk) < 0) {
		image_close(image);
		refuse(call, a->id, text);
		return;
	}
	control_fd_gone(call, a->socket);
	control_return(call, json_object());
}

/* ---- the others: a disk that is there ---- */

/* For arguments that begin with an id. Return: NULL after the call was answered. */
static struct disk *find(struct control_call *call, const struct disk_host *disks, const char *id)
{
	struct disk *d = disk_find(disks, id);

	if (!d)
		control_error(call, CONTROL_DEVICE_NOT_FOUND,
		              "there is no disk '%s': query-block tells which there are", id);
	return d;
}

struct id_args {
	const char *id;
};

static const struct control_arg id_rows[] = {ARG_ID(struct id_args)};

static void detached(void *context)
{
	struct control_call *call = context;
	const struct id_args *a = control_call_args(call);

	control_call_event(call, "BLOCK_EXPORT_DELETED", json_pack("{s:s}", "id", a->id));
	control_return(call, json_object());
}

static void detach(struct control_call *call, const void *args, void *context)
{
	const struct id_args *a = args;
	struct disk *d = find(call, context, a->id);

	if (d)
		disk_close(d, detached, call);
}

struct resize_args {
	const char *id;
	uint64_t size;
};

static const struct control_arg resize_rows[] = {
    ARG_ID(struct resize_args),
    CONTROL_ARG_NUMBER(struct resize_args, size, "size", CONTROL_ABSENT(0), 0, INT64_MAX,
                       "bytes, no more than the image has; 0: as many as it has now"),
};

static json_t *number(uint64_t n)
{
	return json_integer(n < INT64_MAX ? (json_int_t)n : INT64_MAX);
}

static void resize(struct control_call *call, const void *args, void *context)
{
	const struct resize_args *a = args;
	struct disk *d = find(call, context, a->id);
	char text[IMAGE_WHY_MAX];
	struct sbuf why = sbuf_over(text, sizeof(text));
	struct disk_info i;

	if (!d)
		return;
	if (disk_resize(d, a->size, &why) < 0) {
		refuse(call, a->id, text);
		return;
	}
	disk_get_info(d, &i);
	control_return(call, json_pack("{s:o}", "size", number(i.size)));
}

/* ---- query-block, query-stats ---- */

static const struct control_arg which_rows[] = {
    CONTROL_ARG_TEXT(struct id_args, id, "id", CONTROL_ABSENT(0), 1, DISK_ID_MAX,
                     "of this disk alone"),
};

/* JSON's numbers end below what an inode's may be. */
static json_t *file_json(const struct image_file *f)
{
	char dev[32], ino[24];

	(void)snprintf(dev, sizeof(dev), "%u:%u", major(f->dev), minor(f->dev));
	(void)snprintf(ino, sizeof(ino), "%llu", (unsigned long long)f->ino);
	return json_pack("{s:I, s:b, s:s, s:b, s:s, s:s}", "layer", (json_int_t)f->layer,
	                 "data-file", f->is_data, "format", f->format, "writable", f->writable,
	                 "dev", dev, "ino", ino);
}

static json_t *info_json(const struct disk *d)
{
	json_t *files = json_array();
	struct image_file f;
	struct disk_info i;

	disk_get_info(d, &i);
	for (unsigned n = 0; image_file_at(i.image, n, &f); n++)
		(void)json_array_append_new(files, file_json(&f));
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:b, s:b, s:b, s:I, s:I, s:o, s:o}", "id",
	                 i.id, "serial", i.serial, "format", image_info(i.image)->format,
	                 "read-only", i.readonly, "discard", i.discard, "cache", caches[i.cache],
	                 "connected", i.connected, "listens", i.listens, "write-cache",
	                 i.write_cache, "queues", (json_int_t)i.queues, "block-size",
	                 (json_int_t)i.block_size, "size", number(i.size), "files", files);
}

static json_t *stats_json(const struct disk *d)
{
	struct disk_stats s;
	struct disk_info i;

	disk_get_info(d, &i);
	disk_get_stats(d, &s);
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "id", i.id,
	                 "reads", number(s.reads), "writes", number(s.writes), "flushes",
	                 number(s.flushes), "discards", number(s.discards), "write-zeroes",
	                 number(s.zeroes), "read-bytes", number(s.read_bytes), "written-bytes",
	                 number(s.written_bytes), "errors", number(s.errors), "refused",
	                 number(s.refused), "in-flight", (json_int_t)s.in_flight);
}

/* An array with what is to be told of each disk, or of the one that was asked for. */
static void tell(struct control_call *call, const struct disk_host *disks, const char *id,
                 json_t *(*json)(const struct disk *d))
{
	json_t *all;

	if (id && !find(call, disks, id))
		return;
	all = json_array();
	for (const struct disk *d = disk_next(disks, NULL); d; d = disk_next(disks, d)) {
		if (!id || d == disk_find(disks, id))
			(void)json_array_append_new(all, json(d));
	}
	control_return(call, all);
}

static void query_block(struct control_call *call, const void *args, void *context)
{
	tell(call, context, ((const struct id_args *)args)->id, info_json);
}

static void query_stats(struct control_call *call, const void *args, void *context)
{
	tell(call, context, ((const struct id_args *)args)->id, stats_json);
}

/* ---- the table ---- */

static const struct control_command rows[] = {
    {.name = "block-attach",
     .help = "offer an image to an emulator, as a virtio-blk device over vhost-user",
     CONTROL_ARGS(attach_rows, struct attach_args),
     .run = attach},
    {.name = "block-detach",
     .help = "end a disk; answered when its last request has ended and its descriptors are closed",
     CONTROL_ARGS(id_rows, struct id_args),
     .run = detach},
    {.name = "block-resize",
     .help = "tell the guest that its disk has another size",
     CONTROL_ARGS(resize_rows, struct resize_args),
     .run = resize},
    {.name = "query-block",
     .help = "the disks as they are now",
     CONTROL_ARGS(which_rows, struct id_args),
     .run = query_block},
    {.name = "query-stats",
     .help = "what the disks have done since they were attached",
     CONTROL_ARGS(which_rows, struct id_args),
     .run = query_stats},
};

int control_block_add(struct control *c, struct disk_host *disks)
{
	return control_add(c, &(struct control_table){.rows = rows,
	                                              .count = ARRAY_SIZE(rows),
	                                              .capability = "block",
	                                              .context = disks});
}

void control_block_event(struct control *c, const struct disk *d, const char *name)
{
	struct disk_info i;

	disk_get_info(d, &i);
	control_event(c, name, json_pack("{s:s}", "id", i.id));
}

void control_block_error(struct control *c, const struct disk *d, const struct disk_error *e)
{
	struct disk_info i;

	disk_get_info(d, &i);
	control_event(c, "BLOCK_IO_ERROR",
	              json_pack("{s:s, s:s, s:s, s:b, s:o}", "id", i.id, "operation", e->operation,
	                        "reason", e->error ? errno_name(e->error) : DISK_ENDS_TOO_SOON,
	                        "nospace", e->error == ENOSPC, "missed", number(e->missed)));
}
