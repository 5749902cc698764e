/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio-blk/image.h"

#include "common/cleanup.h"
#include "virtio-blk/image_fd.h"
#include "virtio-blk/image_gate.h"

#include <errno.h>
#include <string.h>

#define FILES_MAX (2 * IMAGE_LAYERS_MAX)

enum format { FORMAT_RAW, FORMAT_QCOW2, FORMAT_OTHER };

/* OTHER is known, to be told apart from a slip of the pen. */
static const struct {
	const char *name;
	enum format format;
} formats[] = {
    {"raw", FORMAT_RAW},     {"qcow2", FORMAT_QCOW2},     {"bochs", FORMAT_OTHER},
    {"cloop", FORMAT_OTHER}, {"cow", FORMAT_OTHER},       {"dmg", FORMAT_OTHER},
    {"luks", FORMAT_OTHER},  {"parallels", FORMAT_OTHER}, {"qcow", FORMAT_OTHER},
    {"qed", FORMAT_OTHER},   {"vdi", FORMAT_OTHER},       {"vhdx", FORMAT_OTHER},
    {"vmdk", FORMAT_OTHER},  {"vpc", FORMAT_OTHER},
};

#define FORMATS_SERVED "raw, or qcow2 read-only with a raw data file"
#define OTHERWISE      "convert it (qemu-img convert -O raw), or have qemu-storage-daemon serve it"

struct file {
	struct image_fd f;
	unsigned layer;
	bool is_data;
	const char *format;
};

struct image {
	struct image *next; /* of all that are open */
	bool shared;
	struct image_info info;
	struct file *served;
	uint64_t
	    header_size; /* of the disk as the header says, where another file is served; else 0 */
	unsigned files;
	struct file file[];
};

static struct image *images;

/* ---- what was said ---- */

static int find_format(const char *name, const char *whose, struct sbuf *why, const char **ret_name,
                       enum format *ret)
{
	if (!name || !*name)
		return image_refuse(why, ENOTSUP,
		                    "no format was said for %s: it is never found out from the "
		                    "image; say raw or qcow2",
		                    whose);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (strcmp(formats[i].name, name) != 0)
			continue;
		*ret_name = formats[i].name;
		*ret = formats[i].format;
		if (*ret != FORMAT_OTHER)
			return 0;
		return image_refuse(why, ENOTSUP, "%s is %s, which is not served: " OTHERWISE,
		                    whose, name);
	}
	sbuf_add(why, "%s is said to be ", whose);
	sbuf_add_quoted(why, name, strnlen(name, 32));
	return image_refuse(why, ENOTSUP,
	                    ", which is no format known here: " FORMATS_SERVED " is served");
}

static void name_file(struct file *f)
{
	struct sbuf s = sbuf_over(f->f.name, sizeof(f->f.name));

	sbuf_add(&s, "%s%s", f->is_data ? "the data file of " : "",
	         f->layer ? "backing file" : "the image");
	if (f->layer)
		sbuf_add(&s, " %u", f->layer);
}

static struct file *add_file(struct image *im, const struct image_spec *spec, unsigned layer,
                             bool is_data)
{
	struct file *f = &im->file[im->files++];

	*f = (struct file){.layer = layer, .is_data = is_data, .format = "raw"};
	f->f.fd = is_data ? spec->layer[layer].data_fd : spec->layer[layer].fd;
	f->f.writable = layer == 0 && !spec->readonly;
	name_file(f);
	return f;
}

/* ---- the descriptors ---- */

static int check_alone(const struct image *im, struct sbuf *why)
{
	for (unsigned i = 0; i < im->files; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (image_fd_same(&im->file[i].f, &im->file[k].f))
				return image_refuse(
				    why, EINVAL, "%s is the same file as %s: each must be another",
				    im->file[i].f.name, im->file[k].f.name);
		}
	}
	return 0;
}

static int check_clash(const struct image *im, const struct file *f, struct sbuf *why)
{
	for (const struct image *other = images; other; other = other->next) {
		for (unsigned i = 0; i < other->files; i++) {
			const struct image_fd *o = &other->file[i].f;

			if (o->fd == f->f.fd)
				return image_refuse(
				    why, EBUSY,
				    "descriptor %d, for %s, is another disk's: pass one of its own",
				    o->fd, f->f.name);
			if (!image_fd_same(o, &f->f) || (!o->writable && !f->f.writable) ||
			    (im->shared && other->shared))
				continue;
			return image_refuse(
			    why, EBUSY,
			    "%s is in use by another disk, and %s writes it: only disks that are "
			    "all "
			    "read-only, or all said to be shared, have a file in common",
			    f->f.name, o->writable ? "that" : "this");
		}
	}
	return 0;
}

static int check_files(const struct image_spec *spec, struct image *im, struct sbuf *why)
{
	int r = 0;

	for (unsigned i = 0; i < im->files && r == 0; i++)
		r = image_fd_check(&im->file[i].f, spec->cache, why);
	if (r == 0)
		r = check_alone(im, why);
	for (unsigned i = 0; i < im->files && r == 0; i++)
		r = check_clash(im, &im->file[i], why);
	return r;
}

/* ---- the whole ---- */

/* Lists the files of the layers and holds what was said of them against what there is. */
static int take_layers(const struct image_spec *spec, struct image *im, struct sbuf *why,
                       enum format *ret)
{
	if (spec->layers < 1 || spec->layers > IMAGE_LAYERS_MAX)
		return image_refuse(why, EINVAL, "%u layers: a chain has 1 to %u", spec->layers,
		                    IMAGE_LAYERS_MAX);
	for (unsigned i = 0; i < spec->layers; i++) {
		struct file *f = add_file(im, spec, i, false);
		int r = find_format(spec->layer[i].format, f->f.name, why, &f->format, &ret[i]);

		if (r < 0)
			return r;
		if (spec->layer[i].data_fd >= 0)
			(void)add_file(im, spec, i, true);
	}
	return 0;
}

static int check_raw(const struct image_spec *spec, unsigned layer, const struct file *f,
                     struct sbuf *why)
{
	if (spec->layer[layer].data_fd >= 0)
		return image_refuse(why, EINVAL,
		                    "%s is raw and so has no data file, but one was passed",
		                    f->f.name);
	if (layer + 1 < spec->layers)
		return image_refuse(why, EINVAL,
		                    "%s is raw and so has no backing file, but one was passed",
		                    f->f.name);
	return 0;
}

static struct file *find_file(struct image *im, unsigned layer, bool is_data)
{
	for (unsigned i = 0; i < im->files; i++) {
		if (im->file[i].layer == layer && im->file[i].is_data == is_data)
			return &im->file[i];
	}
	return NULL;
}

static int check_qcow2(const struct image_spec *spec, unsigned layer, struct image *im,
                       struct sbuf *why, struct image_header *ret)
{
	bool is_last = layer + 1 == spec->layers;
	const struct image_gate g = {.file = &find_file(im, layer, false)->f,
	                             .has_data = spec->layer[layer].data_fd >= 0,
	                             .backing_format =
	                                 is_last ? NULL : spec->layer[layer + 1].format,
	                             .no_backing = spec->no_backing};

	return image_gate(&g, why, ret);
}

/* What is served of a qcow2 image; the rest is refused. */
static int serve_qcow2(const struct image_spec *spec, const struct image_header *h,
                       struct image *im, struct sbuf *why)
{
	const char *name = im->file[0].f.name;

	if (h->is_encrypted)
		return image_refuse(why, ENOTSUP,
		                    "%s is encrypted, which is not served: " OTHERWISE, name);
	if (!h->is_raw)
		return image_refuse(
		    why, ENOTSUP,
		    "%s is qcow2 without a raw data file, which is not served: " OTHERWISE, name);
	if (!spec->readonly)
		return image_refuse(
		    why, ENOTSUP,
		    "%s is qcow2, which is not served but read-only: say so, or " OTHERWISE, name);
	im->served = find_file(im, 0, true);
	im->header_size = h->size;
	return 0;
}

/* Every layer comes through its gate before anything is said of what is served. */
static int check_formats(const struct image_spec *spec, struct image *im, const enum format *format,
                         struct sbuf *why)
{
	struct image_header top = {.size = 0}, other;
	int r = 0;

	for (unsigned i = 0; i < spec->layers && r == 0; i++) {
		if (format[i] == FORMAT_RAW)
			r = check_raw(spec, i, find_file(im, i, false), why);
		else
			r = check_qcow2(spec, i, im, why, i == 0 ? &top : &other);
	}
	im->served = &im->file[0];
	return r == 0 && format[0] != FORMAT_RAW ? serve_qcow2(spec, &top, im, why) : r;
}

int image_measure(struct image *im, struct sbuf *why)
{
	const char *name = im->served->f.name;
	uint64_t size = 0;
	int r = image_fd_size(&im->served->f, why, &size);

	if (r < 0)
		return r;
	if (im->header_size > size)
		return image_refuse(
		    why, EINVAL, "%s has %llu bytes, but the image %llu: it must have all of them",
		    name, (unsigned long long)size, (unsigned long long)im->header_size);
	/* A block device may be larger than what is on it. */
	if (im->served != &im->file[0])
		size = im->header_size;
	if (size == 0)
		return image_refuse(why, EINVAL,
		                    "the image is empty: a disk has at least one block");
	if (size % im->info.block_size != 0)
		return image_refuse(
		    why, EINVAL,
		    "the image has %llu bytes: a multiple of its block size, %u, can be served",
		    (unsigned long long)size, im->info.block_size);
	im->info.size = size;
	return 0;
}

static int measure_all(const struct image_spec *spec, struct image *im, struct sbuf *why)
{
	const struct image_fd *f = &im->served->f;
	struct image_blocks b;
	int r = image_fd_blocks(f, spec->cache == DISK_NONE, why, &b);

	if (r < 0)
		return r;
	im->info = (struct image_info){
	    .fd = f->fd,
	    .readonly = spec->readonly,
	    .is_block_device = f->is_block_device,
	    .direct = spec->cache == DISK_NONE,
	    .sync = spec->cache == DISK_WRITETHROUGH,
	    .format = im->file[0].format,
	    .layers = spec->layers,
	    .dev = f->dev,
	    .ino = f->ino,
	    .block_size = b.block_size,
	    .physical_block_size = b.physical_block_size,
	    .min_io = b.min_io,
	    .opt_io = b.opt_io,
	    .memory_align = b.memory_align,
	};
	return image_measure(im, why);
}

int image_open(const struct image_spec *spec, struct sbuf *why, struct image **ret)
{
	AUTO_FREE struct image *im = calloc(1, sizeof(*im) + FILES_MAX * sizeof(im->file[0]));
	enum format format[IMAGE_LAYERS_MAX] = {FORMAT_RAW};
	int r;

	if (!im)
		return image_refuse(why, ENOMEM, "no memory for an image");
	im->shared = spec->shared;
	r = take_layers(spec, im, why, format);
	if (r == 0)
		r = check_files(spec, im, why);
	if (r == 0)
		r = check_formats(spec, im, format, why);
	if (r == 0)
		r = measure_all(spec, im, why);
	if (r < 0)
		return r;
	im->next = images;
	images = im;
	*ret = im;
	im = NULL;
	return 0;
}

void image_close(struct image *im)
{
	if (!im)
		return;
	for (struct image **at = &images; *at; at = &(*at)->next) {
		if (*at == im) {
			*at = im->next;
			break;
		}
	}
	for (unsigned i = 0; i < im->files; i++)
		fd_close(&im->file[i].f.fd);
	free(im);
}

const struct image_info *image_info(const struct image *im)
{
	return &im->info;
}

bool image_file_at(const struct image *im, unsigned i, struct image_file *ret)
{
	const struct file *f = &im->file[i < im->files ? i : 0];

	*ret = (struct image_file){.layer = f->layer,
	                           .is_data = f->is_data,
	                           .writable = f->f.writable,
	                           .format = f->format,
	                           .dev = f->f.dev,
	                           .ino = f->f.ino};
	return i < im->files;
}
