/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/vring.h"

#include "common/compiler.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void vring_make(struct vring *v, unsigned size)
{
	v->fd = memfd_create("guest", MFD_CLOEXEC);
	BUG_ON(v->fd < 0 || ftruncate(v->fd, 2 * VRING_REGION) < 0);
	v->memory = mmap(NULL, 2 * VRING_REGION, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	BUG_ON(v->memory == MAP_FAILED);
	v->size = size;
}

void vring_free(struct vring *v)
{
	(void)munmap(v->memory, 2 * VRING_REGION);
	(void)close(v->fd);
}

struct guest_region vring_region(unsigned i)
{
	/* In the front end they do not touch. */
	return (struct guest_region){.gpa = VRING_GPA + i * VRING_REGION,
	                             .size = VRING_REGION,
	                             .uva = VRING_UVA + i * 0x10000000ull,
	                             .offset = i * VRING_REGION};
}

struct guest_map *vring_map(const struct vring *v)
{
	struct guest_map *empty, *one, *both;
	struct guest_region first = vring_region(0), second = vring_region(1);

	BUG_ON(guest_map_new(&empty) < 0 || guest_map_add(empty, &second, v->fd, &one) < 0 ||
	       guest_map_add(one, &first, v->fd, &both) < 0);
	guest_map_put(empty);
	guest_map_put(one);
	return both;
}

void *vring_at(const struct vring *v, uint64_t gpa)
{
	BUG_ON(gpa < VRING_GPA || gpa >= VRING_END);
	return v->memory + (gpa - VRING_GPA);
}

void vring_desc(const struct vring *v, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
                unsigned flags, unsigned next)
{
	const struct vring_desc_bytes d = {addr, len, (uint16_t)flags, (uint16_t)next};

	memcpy(vring_at(v, table + i * sizeof(d)), &d, sizeof(d));
}

uint16_t *vring_avail_flags(const struct vring *v)
{
	return vring_at(v, VRING_AVAIL);
}

uint16_t *vring_avail_idx(const struct vring *v)
{
	return vring_avail_flags(v) + 1;
}

uint16_t *vring_used_event(const struct vring *v)
{
	return vring_avail_flags(v) + 2 + v->size;
}

void vring_offer(const struct vring *v, unsigned head)
{
	uint16_t idx = *vring_avail_idx(v);

	vring_avail_flags(v)[2 + idx % v->size] = (uint16_t)head;
	__atomic_store_n(vring_avail_idx(v), (uint16_t)(idx + 1), __ATOMIC_SEQ_CST);
}

uint16_t vring_used_flags(const struct vring *v)
{
	return *(uint16_t *)vring_at(v, VRING_USED);
}

uint16_t *vring_used_idx(const struct vring *v)
{
	return (uint16_t *)vring_at(v, VRING_USED) + 1;
}

uint16_t vring_avail_event(const struct vring *v)
{
	return *(uint16_t *)vring_at(v, VRING_USED + 4 + 8ull * v->size);
}

uint32_t vring_used(const struct vring *v, unsigned i, uint32_t *ret_len)
{
	uint32_t element[2];

	memcpy(element, vring_at(v, VRING_USED + 4 + 8ull * (i % v->size)), sizeof(element));
	*ret_len = element[1];
	return element[0];
}
