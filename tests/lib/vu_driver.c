/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/vu_driver.h"

#include "common/cleanup.h"
#include "tests/lib/vu_packed.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static_assert(sizeof(struct vu_desc) == 16, "a descriptor as it lies in memory");
static_assert(sizeof(struct vu_used_elem) == 8, "a used element as it lies in memory");

int vu_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	cr_assert_geq(fd, 0);
	return fd;
}

uint64_t vu_event_take(int fd)
{
	uint64_t count = 0, bytes[32];
	ssize_t n;

	/* A socket gives eight bytes a signal, and is read until it is empty. */
	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		cr_assert_eq(n % 8, 0, "a signal has %zd bytes", n);
		count += n == 8 ? bytes[0] : (uint64_t)n / 8;
	}
	return count;
}

void vu_ring_clear(struct vu_ring *r)
{
	if (r->packed) {
		vu_packed_clear(r);
	} else {
		memset(r->desc, 0, sizeof(r->desc[0]) * r->size);
		memset(r->avail, 0, 6 + sizeof(r->avail->ring[0]) * r->size);
		memset(r->used, 0, 6 + sizeof(r->used->ring[0]) * r->size);
	}
	for (uint16_t i = 0; i < r->size; i++)
		r->next[i] = (uint16_t)(i + 1);
	r->free_head = 0;
	r->free_count = r->size;
	r->avail_idx = r->used_idx = r->kicked_idx = 0;
	(void)vu_event_take(r->call);
	(void)vu_event_take(r->err);
	(void)vu_event_take(r->kick);
}

void vu_ring_set_base(struct vu_ring *r, uint16_t base)
{
	cr_assert_null(r->packed);
	vu_ring_clear(r);
	r->avail->idx = r->used->idx = base;
	r->avail_idx = r->used_idx = r->kicked_idx = base;
	*r->used_event = *r->avail_event = base;
}

static void split_init(struct vu_ring *r)
{
	struct vu_front *f = r->f;
	uint16_t size = r->size;

	r->desc_gpa = vu_alloc(f, VU_LOW, sizeof(struct vu_desc) * size, 16);
	r->avail_gpa = vu_alloc(f, VU_LOW, 6 + 2ull * size, 2);
	r->used_gpa = vu_alloc(f, VU_LOW, 6 + 8ull * size, 4);
	r->desc = vu_at(f, r->desc_gpa, 16ull * size);
	r->avail = vu_at(f, r->avail_gpa, 6 + 2ull * size);
	r->used = vu_at(f, r->used_gpa, 6 + 8ull * size);
	r->used_event = &r->avail->ring[size];
	r->avail_event = (uint16_t *)(void *)&r->used->ring[size];
}

void vu_ring_init(struct vu_ring *r, struct vu_front *f, uint16_t index, uint16_t size)
{
	*r = (struct vu_ring){.f = f, .index = index, .size = size};
	r->event_idx = f->features & VU_F_EVENT_IDX;
	if (f->features & VU_F_RING_PACKED)
		vu_packed_init(r);
	else
		split_init(r);
	r->kick = vu_eventfd();
	r->call = r->call_sent = vu_eventfd();
	r->err = vu_eventfd();
	r->next = calloc(size, sizeof(r->next[0]));
	r->table = calloc(size, sizeof(r->table[0]));
	r->table_size = calloc(size, sizeof(r->table_size[0]));
	cr_assert(r->next && r->table && r->table_size);
	vu_ring_clear(r);
}

void vu_ring_use_sockets(struct vu_ring *r)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	cr_assert_eq(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	fd_close(&r->call);
	r->call = pair[0];
	r->call_sent = pair[1];
}

void vu_ring_end(struct vu_ring *r)
{
	if (r->call_sent != r->call)
		fd_close(&r->call_sent);
	fd_close(&r->kick);
	fd_close(&r->call);
	fd_close(&r->err);
	if (r->packed)
		vu_packed_end(r);
	free(r->next);
	free(r->table);
	free(r->table_size);
	*r = (struct vu_ring){.kick = -1, .call = -1, .err = -1, .call_sent = -1};
}

/* ---- telling the back end ---- */

static void tell_state(struct vu_ring *r, uint32_t request, uint32_t value)
{
	vu_set(r->f, request, &(struct vu_state){r->index, value}, sizeof(struct vu_state), -1);
}

static void tell_fd(struct vu_ring *r, uint32_t request, int fd)
{
	uint64_t index = fd < 0 ? r->index | VU_NO_FD : r->index;

	vu_set(r->f, request, &index, sizeof(index), fd);
}

void vu_tell_num(struct vu_ring *r)
{
	tell_state(r, VU_SET_VRING_NUM, r->size);
}

void vu_tell_base(struct vu_ring *r)
{
	tell_state(r, VU_SET_VRING_BASE, r->packed ? vu_packed_base(r) : r->avail_idx);
}

void vu_tell_addr(struct vu_ring *r)
{
	struct vu_addr a = {.index = r->index,
	                    .desc = vu_uva(r->f, r->desc_gpa),
	                    .used = vu_uva(r->f, r->used_gpa),
	                    .avail = vu_uva(r->f, r->avail_gpa)};

	vu_set(r->f, VU_SET_VRING_ADDR, &a, sizeof(a), -1);
}

void vu_tell_kick(struct vu_ring *r)
{
	tell_fd(r, VU_SET_VRING_KICK, r->kick);
}

void vu_tell_call(struct vu_ring *r)
{
	tell_fd(r, VU_SET_VRING_CALL, r->call_sent);
}

void vu_tell_err(struct vu_ring *r)
{
	tell_fd(r, VU_SET_VRING_ERR, r->err);
}

void vu_tell_enable(struct vu_ring *r, bool enable)
{
	tell_state(r, VU_SET_VRING_ENABLE, enable);
}

void vu_ring_start(struct vu_ring *r)
{
	vu_tell_num(r);
	vu_tell_base(r);
	vu_tell_addr(r);
	vu_tell_kick(r);
	vu_tell_call(r);
	vu_tell_err(r);
	vu_tell_enable(r, true);
}

uint32_t vu_ring_pause(struct vu_ring *r)
{
	struct vu_state s = {r->index, 0};
	uint8_t answer[4096];

	cr_assert(vu_send(r->f, VU_GET_VRING_BASE, 0, &s, sizeof(s), -1));
	cr_assert_eq(vu_reply(r->f, VU_GET_VRING_BASE, answer), sizeof(s));
	memcpy(&s, answer, sizeof(s));
	cr_assert_eq(s.index, r->index);
	if (!r->packed)
		cr_assert_leq(s.value, UINT16_MAX);
	return s.value;
}

uint16_t vu_ring_stop(struct vu_ring *r)
{
	return (uint16_t)vu_ring_pause(r);
}

void vu_ring_go_on(struct vu_ring *r, uint32_t base)
{
	vu_tell_num(r);
	tell_state(r, VU_SET_VRING_BASE, base);
	vu_tell_addr(r);
	vu_tell_kick(r);
	vu_tell_call(r);
	vu_tell_err(r);
	vu_tell_enable(r, true);
}

bool vu_ring_all_ended(const struct vu_ring *r, uint32_t base)
{
	return r->packed ? (base & UINT16_MAX) == base >> 16 : base == r->used->idx;
}

/* ---- requests ---- */

static uint16_t take_free(struct vu_ring *r)
{
	uint16_t i = r->free_head;

	cr_assert_gt(r->free_count, 0, "the test uses more descriptors than there are");
	r->free_head = r->next[i];
	r->free_count--;
	return i;
}

static struct vu_desc desc_of(const struct vu_sg *sg)
{
	return (struct vu_desc){.addr = sg->gpa, .len = sg->size, .flags = sg->flags};
}

/* Links the next descriptor to a chain. Return: the chain's head. */
static uint16_t link_one(struct vu_ring *r, uint16_t head, uint16_t *last, struct vu_desc d)
{
	uint16_t i = take_free(r);

	r->desc[i] = d;
	r->next[i] = VU_END;
	if (head != VU_END) {
		r->next[*last] = i;
		r->desc[*last].flags |= VU_DESC_NEXT;
		r->desc[*last].next = i;
	}
	*last = i;
	return head == VU_END ? i : head;
}

uint16_t vu_ring_add(struct vu_ring *r, const struct vu_sg *sg, unsigned count)
{
	uint16_t head = VU_END, last = VU_END;

	if (r->packed)
		return vu_packed_add(r, sg, count);
	for (unsigned i = 0; i < count; i++)
		head = link_one(r, head, &last, desc_of(&sg[i]));
	return head;
}

uint64_t vu_ring_table(struct vu_ring *r, uint16_t head, uint32_t entries)
{
	if (r->table_size[head] < entries) {
		r->table_size[head] = entries < 256 ? 256 : entries;
		r->table[head] = vu_alloc(r->f, VU_FAR, 16ull * r->table_size[head], 16);
	}
	return r->table[head];
}

uint16_t vu_ring_add_indirect(struct vu_ring *r, const struct vu_sg *sg, unsigned count,
                              unsigned direct)
{
	uint16_t head = VU_END, last = VU_END;
	struct vu_desc *entry;
	uint64_t table;

	if (r->packed) {
		cr_assert_eq(direct, 0, "no packed ring has such a chain");
		return vu_packed_add_indirect(r, sg, count);
	}
	for (unsigned i = 0; i < direct; i++)
		head = link_one(r, head, &last, desc_of(&sg[i]));
	head = link_one(r, head, &last, (struct vu_desc){.flags = VU_DESC_INDIRECT});
	count -= direct;
	sg += direct;
	table = vu_ring_table(r, head, count);
	entry = vu_at(r->f, table, 16ull * count);
	for (unsigned i = 0; i < count; i++) {
		entry[i] = desc_of(&sg[i]);
		if (i + 1 < count) {
			entry[i].flags |= VU_DESC_NEXT;
			entry[i].next = (uint16_t)(i + 1);
		}
	}
	r->desc[last].addr = table;
	r->desc[last].len = 16 * count;
	return head;
}

void vu_ring_free(struct vu_ring *r, uint16_t head)
{
	cr_assert_lt(head, r->size);
	if (r->packed) {
		vu_packed_free(r, head);
		return;
	}
	while (head != VU_END) {
		uint16_t next = r->next[head];

		r->next[head] = r->free_head;
		r->free_head = head;
		r->free_count++;
		head = next;
	}
}

void vu_ring_put(struct vu_ring *r, uint16_t head)
{
	if (r->packed) {
		vu_packed_put(r, head);
		return;
	}
	r->avail->ring[r->avail_idx % r->size] = head;
	r->avail_idx++;
}

void vu_ring_publish(struct vu_ring *r)
{
	if (r->packed)
		vu_packed_publish(r);
	else
		__atomic_store_n(&r->avail->idx, r->avail_idx, __ATOMIC_RELEASE);
}

void vu_ring_kick_anyway(struct vu_ring *r)
{
	uint64_t one = 1;

	r->kicks++;
	cr_assert_eq(write(r->kick, &one, sizeof(one)), sizeof(one));
}

static bool wants_kick(struct vu_ring *r)
{
	uint16_t old = r->kicked_idx, event;

	r->kicked_idx = r->avail_idx;
	event = __atomic_load_n(r->avail_event, __ATOMIC_RELAXED);
	if (r->event_idx)
		return (uint16_t)(r->avail_idx - event - 1) < (uint16_t)(r->avail_idx - old);
	return !(__atomic_load_n(&r->used->flags, __ATOMIC_RELAXED) & VU_NO_NOTIFY);
}

void vu_ring_kick(struct vu_ring *r)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (r->packed ? vu_packed_wants_kick(r) : wants_kick(r))
		vu_ring_kick_anyway(r);
}

void vu_ring_offer(struct vu_ring *r, uint16_t head)
{
	vu_ring_put(r, head);
	vu_ring_publish(r);
	vu_ring_kick(r);
}

static bool take_used(struct vu_ring *r, struct vu_used_elem *ret)
{
	uint16_t idx;

	if (r->packed)
		return vu_packed_take(r, ret);
	idx = __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE);
	if (idx == r->used_idx)
		return false;
	cr_assert_leq((uint16_t)(idx - r->used_idx), r->size, "used->idx jumps from %u to %u",
	              r->used_idx, idx);
	*ret = r->used->ring[r->used_idx % r->size];
	r->used_idx++;
	cr_assert_lt(ret->id, r->size, "the used element names descriptor %u", ret->id);
	return true;
}

bool vu_ring_ended(const struct vu_ring *r)
{
	if (r->packed)
		return vu_packed_ended(r);
	return __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) != r->used_idx;
}

bool vu_ring_used(struct vu_ring *r, int ms, struct vu_used_elem *ret)
{
	uint64_t until = vu_now_ms() + (uint64_t)ms;

	for (;;) {
		uint64_t now;

		if (take_used(r, ret))
			return true;
		if (ms == 0)
			return false;
		/* Say that the next one is waited for, and look once more. */
		if (r->packed)
			vu_packed_want(r);
		else
			__atomic_store_n(r->used_event, r->used_idx, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (take_used(r, ret))
			return true;
		now = vu_now_ms();
		if (now >= until || !vu_readable(r->call, (int)(until - now))) {
			if (!take_used(r, ret))
				return false;
			/* It may have come this very moment. */
			cr_assert(vu_readable(r->call, VU_PATIENCE_MS),
			          "a request ended, and no interrupt told of it");
			return true;
		}
		(void)vu_event_take(r->call);
	}
}

bool vu_ring_broken(struct vu_ring *r, int ms)
{
	return vu_readable(r->err, ms) && vu_event_take(r->err) > 0;
}
