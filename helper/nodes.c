/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/nodes.h"

#include "common/cleanup.h"
#include "helper/node.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define NONE UINT32_MAX

/* What is stored of a node that is no descriptor. */
struct slot {
	int fd; /* -1: a handle, or free */
	uint32_t generation;
	uint32_t newer, older; /* the list of idle descriptors, or of free slots (older) */
	uint16_t users;
	uint8_t kind;
	bool taken, released;
	bool moving;     /* a request walks this stream */
	bool has_handle; /* then it can be reopened */
	struct node_handle handle;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t stopped_moving;
	const struct export *x;
	struct slot *slots;
	uint32_t max, made, used, fds, max_fds;
	uint32_t free;           /* list by older */
	uint32_t newest, oldest; /* idle files with a descriptor */
} table = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .stopped_moving = PTHREAD_COND_INITIALIZER,
    .free = NONE,
    .newest = NONE,
    .oldest = NONE,
};

int nodes_init(const struct export *x, uint32_t max_nodes, uint32_t max_fds)
{
	table.x = x;
	/* Untouched pages cost nothing: room for all is reserved at once. */
	table.slots = calloc(max_nodes, sizeof(*table.slots));
	if (!table.slots)
		return -ENOMEM;
	node_handles_try(x);
	table.max = max_nodes;
	table.max_fds = max_fds;
	return 0;
}

/* ---- the list of idle descriptors; the lock is held ---- */

static void idle_add(uint32_t i)
{
	struct slot *s = &table.slots[i];

	s->newer = NONE;
	s->older = table.newest;
	if (table.newest != NONE)
		table.slots[table.newest].newer = i;
	table.newest = i;
	if (table.oldest == NONE)
		table.oldest = i;
}

static void idle_remove(uint32_t i)
{
	struct slot *s = &table.slots[i];

	if (s->newer != NONE)
		table.slots[s->newer].older = s->older;
	else
		table.newest = s->older;
	if (s->older != NONE)
		table.slots[s->older].newer = s->newer;
	else
		table.oldest = s->newer;
}

static bool is_idle(const struct slot *s)
{
	return s->taken && s->users == 0 && s->fd >= 0 && s->kind == NODE_FILE;
}

/* Makes the least used descriptor a handle. Return: 0, or -errno when none can be. */
static int shrink(void)
{
	for (uint32_t i = table.oldest; i != NONE; i = table.slots[i].newer) {
		struct slot *s = &table.slots[i];

		if (!s->has_handle && node_to_handle(table.x, s->fd, &s->handle) < 0)
			continue;
		s->has_handle = true;
		idle_remove(i);
		fd_close(&s->fd);
		table.fds--;
		return 0;
	}
	return -ENFILE;
}

/* Room for one descriptor more. */
static int make_room(void)
{
	return table.fds < table.max_fds ? 0 : shrink();
}

/* ---- numbers ---- */

static uint64_t number_of(uint32_t i)
{
	return (uint64_t)table.slots[i].generation << 32 | (i + 1);
}

static struct slot *find(uint64_t nid, uint32_t *ret_index)
{
	uint32_t i = (uint32_t)nid - 1;

	if ((uint32_t)nid == 0 || i >= table.made || !table.slots[i].taken ||
	    table.slots[i].released || table.slots[i].generation != nid >> 32)
		return NULL;
	*ret_index = i;
	return &table.slots[i];
}

static void free_slot(uint32_t i)
{
	struct slot *s = &table.slots[i];

	if (s->fd >= 0)
		table.fds--;
	fd_close(&s->fd);
	s->has_handle = false;
	s->taken = false;
	s->released = false;
	s->generation++;
	s->older = table.free;
	table.free = i;
	table.used--;
}

static int add_locked(int *fd, enum node_kind kind, uint64_t *ret_nid)
{
	uint32_t i = table.free;
	struct slot *s;
	int r = make_room();

	if (r < 0)
		return r;
	if (i == NONE) {
		if (table.made == table.max)
			return -ENFILE;
		i = table.made++;
	} else {
		table.free = table.slots[i].older;
	}
	s = &table.slots[i];
	s->fd = fd_steal(fd);
	s->kind = (uint8_t)kind;
	s->taken = true;
	s->users = 0;
	table.used++;
	table.fds++;
	if (kind == NODE_FILE)
		idle_add(i);
	*ret_nid = number_of(i);
	return 0;
}

int nodes_add(int fd, enum node_kind kind, uint64_t *ret_nid)
{
	int r;

	(void)pthread_mutex_lock(&table.lock);
	r = add_locked(&fd, kind, ret_nid);
	(void)pthread_mutex_unlock(&table.lock);
	fd_close(&fd);
	return r;
}

/* Gives a node that lives as a handle a descriptor again. */
static int reopen(struct slot *s)
{
	int r = make_room();

	if (r == 0)
		r = node_from_handle(&s->handle, &s->fd);
	if (r == 0)
		table.fds++;
	return r;
}

static int use_locked(uint64_t nid, enum node_kind kind, struct node_use *ret)
{
	struct slot *s = find(nid, &ret->index);
	int r = 0;

	if (!s || s->kind != kind || s->users == UINT16_MAX)
		return -EBADF;
	if (is_idle(s))
		idle_remove(ret->index);
	else if (s->fd < 0)
		r = reopen(s);
	if (r < 0)
		return r;
	s->users++;
	ret->fd = s->fd;
	return 0;
}

int nodes_use(uint64_t nid, enum node_kind kind, struct node_use *ret)
{
	int r;

	*ret = (struct node_use)NODE_USE_NONE;
	(void)pthread_mutex_lock(&table.lock);
	r = use_locked(nid, kind, ret);
	(void)pthread_mutex_unlock(&table.lock);
	return r;
}

void nodes_done(struct node_use *use)
{
	struct slot *s;

	if (use->fd < 0)
		return;
	use->fd = -1;
	(void)pthread_mutex_lock(&table.lock);
	s = &table.slots[use->index];
	if (--s->users == 0) {
		if (s->released)
			free_slot(use->index);
		else if (is_idle(s))
			idle_add(use->index);
	}
	(void)pthread_mutex_unlock(&table.lock);
}

void nodes_lock_stream(const struct node_use *use)
{
	(void)pthread_mutex_lock(&table.lock);
	while (table.slots[use->index].moving)
		(void)pthread_cond_wait(&table.stopped_moving, &table.lock);
	table.slots[use->index].moving = true;
	(void)pthread_mutex_unlock(&table.lock);
}

void nodes_unlock_stream(const struct node_use *use)
{
	(void)pthread_mutex_lock(&table.lock);
	table.slots[use->index].moving = false;
	(void)pthread_cond_broadcast(&table.stopped_moving);
	(void)pthread_mutex_unlock(&table.lock);
}

void nodes_release(uint64_t nid)
{
	uint32_t i = 0;
	struct slot *s;

	(void)pthread_mutex_lock(&table.lock);
	s = find(nid, &i);
	if (s && s->users > 0) {
		s->released = true;
	} else if (s) {
		if (is_idle(s))
			idle_remove(i);
		free_slot(i);
	}
	(void)pthread_mutex_unlock(&table.lock);
}

uint32_t nodes_most(void)
{
	return table.max;
}

void nodes_count(uint32_t *ret_nodes, uint32_t *ret_fds)
{
	(void)pthread_mutex_lock(&table.lock);
	*ret_nodes = table.used;
	*ret_fds = table.fds;
	(void)pthread_mutex_unlock(&table.lock);
}
