/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2.c: any bytes as the first ones of an image.
 *
 * Input: pad[1], file_size[8] and the bytes; if pad is odd there are zeros behind them up to the cluster size that they
 * say. Whatever they are: nothing beyond them is read, and what is taken is as qcow2_strange() wants it.
 *
 * Built with MAKE_SEEDS this writes first inputs instead: qcow2_seeds DIRECTORY.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/lib/qcow2_image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#ifdef MAKE_SEEDS

static uint8_t image[QCOW2_CLUSTER_MAX];

static const uint8_t names[96] = {0, 5, 'n', 'e', 'w'};
static const struct qcow2_extra extras[] = {{QCOW2_EXT_FEATURE_NAMES, 96, names},
                                            {0x12345678, 5, names}};
static const struct qcow2_plan plans[] = {
    {.version = 2, .cluster_bits = 9},
    {.version = 2, .cluster_bits = 9, .backing = "base", .backing_format = "raw"},
    {.version = 2, .cluster_bits = 9, .luks = true},
    {.cluster_bits = 9},
    {.cluster_bits = 9,
     .backing = "base",
     .backing_format = "qcow2",
     .bitmaps = true,
     .extra = extras,
     .extras = 2},
    {.cluster_bits = 9, QCOW2_PLAN_RAW, .data_file = "data"},
    {.cluster_bits = 9,
     .incompatible = QCOW2_DATA_FILE | QCOW2_COMPRESSION | QCOW2_DIRTY,
     .luks = true,
     .bitmaps = true},
    {.cluster_bits = 14, .incompatible = QCOW2_EXTENDED_L2},
    {.cluster_bits = 21, .backing = "b"},
};

static void write_seed(const char *dir, unsigned number, uint8_t pad, uint32_t cluster)
{
	char path[1024];
	uint8_t head[9] = {pad};
	FILE *f;

	put_be(head + 1, 64, 8 * (uint64_t)cluster);
	(void)snprintf(path, sizeof(path), "%s/plan-%u", dir, number);
	f = fopen(path, "we");
	CHECK(f && fwrite(head, 1, sizeof(head), f) == sizeof(head) &&
	      fwrite(image, 1, 512, f) == 512 && fclose(f) == 0);
}

int main(int argc, char **argv)
{
	if (argc != 2 || (mkdir(argv[1], 0755) < 0 && errno != EEXIST))
		return 1;
	for (unsigned i = 0; i < ARRAY_SIZE(plans); i++) {
		uint32_t cluster = qcow2_make(&plans[i], image);

		write_seed(argv[1], i, cluster > 512, cluster);
	}
	return 0;
}

#else

#include "common/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_over(data, size);
	bool pad = rd_u8(&r) & 1;
	uint64_t file_size = rd_be64(&r);
	size_t have = r.left, all = have;
	AUTO_FREE uint8_t *bytes = NULL;
	char text[2048];
	struct sbuf s = sbuf_over(text, sizeof(text));
	struct qcow2 q, again;
	enum qcow2_refusal refusal;

	if (pad && have >= 24) {
		struct rd bits = rd_over(r.at + 20, 4);
		uint32_t claimed = rd_be32(&bits);

		if (claimed <= 21 && (size_t)1 << claimed > all)
			all = (size_t)1 << claimed;
	}
	bytes = calloc(1, all ? all : 1);
	CHECK(bytes);
	if (have)
		memcpy(bytes, r.at, have);
	refusal = qcow2_parse(bytes, all, file_size, &q);
	CHECK(refusal == qcow2_parse(bytes, all, file_size, &again) && q.bad == again.bad);
	if (refusal == QCOW2_OK)
		CHECK(qcow2_strange(&q, bytes, file_size) == NULL);
	qcow2_explain(&q, refusal, &s);
	qcow2_dump(&q, &s);
	CHECK(strlen(text) == s.used && !strchr(text, '\n'));
	return 0;
}

#endif
