/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-blk/image_gate.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "wire/qcow2.h"

#include <errno.h>
#include <string.h>

#define ALIGN      4096u /* of offset, size and memory: enough for O_DIRECT */
#define NAME_SHOWN 200u

/* The file's first bytes, as far as a header may reach. */
static int read_head(const struct image_fd *f, uint64_t file_size, uint8_t *buffer,
                     struct sbuf *why, size_t *ret)
{
	size_t wanted = file_size < QCOW2_CLUSTER_MAX ? (size_t)file_size : QCOW2_CLUSTER_MAX,
	       got = 0;

	while (got < wanted) {
		ssize_t n = pread(f->fd, buffer + got, QCOW2_CLUSTER_MAX - got, (off_t)got);

		if (n < 0)
			return image_refuse(why, errno, "%s: cannot be read: %s", f->name,
			                    errno_name(errno));
		if (n == 0)
			break;
		got += (size_t)n;
	}
	*ret = got;
	return 0;
}

static void add_name(struct sbuf *why, const struct wt_str *name)
{
	bool cut = name->size > NAME_SHOWN;

	sbuf_add_quoted(why, name->data, cut ? NAME_SHOWN : name->size);
	sbuf_add(why, "%s", cut ? "..." : "");
}

static int check_data(const struct image_gate *g, const struct qcow2 *q, struct sbuf *why)
{
	bool needs = q->header.incompatible_features & QCOW2_DATA_FILE;

	if (needs == g->has_data)
		return 0;
	if (!needs)
		return image_refuse(
		    why, EINVAL, "%s has no external data file, but one was passed: leave it out",
		    g->file->name);
	sbuf_add(why, "%s has its data in an external file", g->file->name);
	if (q->data_file.size > 0) {
		sbuf_add(why, ", ");
		add_name(why, &q->data_file);
	}
	return image_refuse(
	    why, EINVAL, ", which was not passed: a file is never opened by its name; pass it too");
}

static int check_backing(const struct image_gate *g, const struct qcow2 *q, struct sbuf *why)
{
	bool names = q->backing.size > 0;

	if (!names && g->backing_format)
		return image_refuse(why, EINVAL,
		                    "%s names no backing file, but one was passed: leave it out",
		                    g->file->name);
	if (names && !g->backing_format && !g->no_backing) {
		sbuf_add(why, "%s names the backing file ", g->file->name);
		add_name(why, &q->backing);
		return image_refuse(why, EINVAL,
		                    ", which was not passed: a file is never opened by its name; "
		                    "pass it too, or say that "
		                    "there is none");
	}
	if (!names || !g->backing_format || q->backing_format.size == 0)
		return 0;
	if (q->backing_format.size == strlen(g->backing_format) &&
	    memcmp(q->backing_format.data, g->backing_format, q->backing_format.size) == 0)
		return 0;
	sbuf_add(why, "%s says that its backing file is of format ", g->file->name);
	add_name(why, &q->backing_format);
	return image_refuse(why, EINVAL, ", but the one that was passed was said to be %s",
	                    g->backing_format);
}

static int check_header(const struct image_gate *g, const struct qcow2 *q, struct sbuf *why)
{
	int r = check_data(g, q, why);

	if (r == 0)
		r = check_backing(g, q, why);
	if (r == 0 && (q->header.incompatible_features & QCOW2_CORRUPT) && g->file->writable)
		r = image_refuse(why, EINVAL,
		                 "%s is marked as corrupt: repair it (qemu-img check -r all), or "
		                 "say that the disk is read-only",
		                 g->file->name);
	return r;
}

static void tell(const struct image_fd *f, const struct qcow2 *q)
{
	char text[1500];
	struct sbuf s = sbuf_over(text, sizeof(text));

	if (!log_wants(LOG_LEVEL_DEBUG))
		return;
	qcow2_dump(q, &s);
	log_debug("%s: %s", f->name, text);
}

int image_gate(const struct image_gate *g, struct sbuf *why, struct image_header *ret)
{
	AUTO_FREE uint8_t *buffer = aligned_alloc(ALIGN, QCOW2_CLUSTER_MAX);
	enum qcow2_refusal refusal;
	uint64_t file_size = 0;
	struct qcow2 q;
	size_t size = 0;
	int r;

	if (!buffer)
		return image_refuse(why, ENOMEM, "no memory for the header of %s", g->file->name);
	r = image_fd_size(g->file, why, &file_size);
	if (r == 0)
		r = read_head(g->file, file_size, buffer, why, &size);
	if (r < 0)
		return r;
	refusal = qcow2_parse(buffer, size, file_size, &q);
	if (refusal != QCOW2_OK) {
		sbuf_add(why, "%s is not a qcow2 image that can be used: ", g->file->name);
		qcow2_explain(&q, refusal, why);
		return -EINVAL;
	}
	tell(g->file, &q);
	*ret = (struct image_header){.size = q.header.size,
	                             .is_raw = q.header.autoclear_features & QCOW2_DATA_RAW,
	                             .is_encrypted = q.header.crypt_method != 0};
	return check_header(g, &q, why);
}
