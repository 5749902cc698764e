/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seeds.c: writes first inputs for the fuzz targets, three a line of each message table.
 *
 *	seeds TARGET DIRECTORY
 */
#include "tests/fuzz/fuzz.h"
#include "tests/lib/tables.h"
#include "wire/legacy.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static struct sample sample;
static uint64_t message[TABLE_STRUCT_MAX / 8];
static uint8_t bytes[1 << 18];

static void write_seed(const char *dir, const char *name, unsigned number, const void *data,
                       size_t size)
{
	char path[1024];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s-%u", dir, name, number);
	f = fopen(path, "we");
	CHECK(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

static void wire_seeds(const char *dir)
{
	for (size_t i = 0; i < table_row_count; i++) {
		const struct table_side *sides[2] = {&table_rows[i].req, &table_rows[i].rep};

		for (unsigned seed = 0; seed < 6; seed++) {
			struct wr w = wr_over(bytes, sizeof(bytes));

			sample_init(&sample, seed);
			sides[seed & 1]->sample(&sample, message);
			wr_u8(&w, (uint8_t)i);
			wr_u8(&w, seed & 1);
			CHECK(sides[seed & 1]->side->put(&w, message));
			write_seed(dir, table_rows[i].msg->name, seed, bytes, w.used);
		}
	}
}

static void path_seeds(const char *dir)
{
	static const char *const paths[] = {
	    "/", "//a//b", "/a/../b", "..", "/../../etc/passwd", "a/./b/", "/..."};

	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++)
		write_seed(dir, "path", i, paths[i], strlen(paths[i]));
}

static void put_request(struct wr *w, const struct wt_msg *msg, const void *request)
{
	static uint8_t payload[LEGACY_PAYLOAD_MAX];
	struct wr p = wr_over(payload, sizeof(payload));

	CHECK(msg->req.put(&p, request));
	legacy_header_put(w, &(struct legacy_header){msg->number, (uint32_t)p.used});
	wr_bytes(w, payload, p.used);
}

/* Connections: a file and a directory are made, then each request acts on them. */
static void session_seeds(const char *dir)
{
	const struct legacy_create_req make = {
	    .path = wt_str_of("//f"), .flags = 2, .mode = 0644, .uid = 1000, .gid = 1000};
	const struct legacy_mkdir_req make_dir = {.path = wt_str_of("//d"), .mode = 0755};

	for (size_t i = 0; i < legacy_table_count; i++) {
		for (unsigned seed = 0; seed < 3; seed++) {
			struct wr w = wr_over(bytes, sizeof(bytes));

			put_request(&w, wt_find(legacy_table, legacy_table_count, LEGACY_CREATE),
			            &make);
			put_request(&w, wt_find(legacy_table, legacy_table_count, LEGACY_MKDIR),
			            &make_dir);
			sample_init(&sample, seed);
			table_rows[i].req.sample(&sample, message);
			put_request(&w, &legacy_table[i], message);
			write_seed(dir, legacy_table[i].name, seed, bytes, w.used);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 3 || (mkdir(argv[2], 0755) < 0 && errno != EEXIST)) {
		(void)fprintf(stderr, "Usage: seeds wire|path|legacy_session DIRECTORY\n");
		return 1;
	}
	if (strcmp(argv[1], "wire") == 0)
		wire_seeds(argv[2]);
	else if (strcmp(argv[1], "path") == 0)
		path_seeds(argv[2]);
	else if (strcmp(argv[1], "legacy_session") == 0)
		session_seeds(argv[2]);
	else
		return 1;
	return 0;
}
