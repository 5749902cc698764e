/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vu_orders.h: the message sequences of front ends that exist, each as it was traced or read in its source.
 *
 * Each begins with a connected front end whose memory is laid out and not told yet. After vu_orders_start() the ring runs.
 */
#ifndef VIRTFS_TESTS_LIB_VU_ORDERS_H
#define VIRTFS_TESTS_LIB_VU_ORDERS_H

#include "tests/lib/vu_driver.h"

enum vu_order {
	VU_QEMU,     /* 11: ADD_MEM_REG, rings enabled by messages */
	VU_QEMU_OLD, /* without CONFIGURE_MEM_SLOTS: SET_MEM_TABLE */
	VU_UML,      /* Linux 6.1, arch/um/drivers/virtio_uml.c */
	VU_LIBKRUN,  /* the memory before the features */
	VU_OPENVMM,  /* config by words; addresses of its own above the guest's */
	VU_CROSVM,
	VU_ORDERS,
};

const char *vu_order_name(enum vu_order o);

/** vu_orders_greet() - All that it says before a driver is there; the ring is initialised, of the size it uses. */
void vu_orders_greet(enum vu_order o, struct vu_front *f, struct vu_ring *r);

/** vu_orders_start() - The driver is ready: the ring runs. May come again after vu_orders_stop(). */
void vu_orders_start(enum vu_order o, struct vu_front *f, struct vu_ring *r);

/** vu_orders_stop() - The driver is unbound, or the guest is reset; the ring is empty then. */
void vu_orders_stop(enum vu_order o, struct vu_front *f, struct vu_ring *r);

/** vu_orders_memory() - Guest memory with the addresses it would have there. */
void vu_orders_memory(enum vu_order o, struct vu_front *f);

#endif
