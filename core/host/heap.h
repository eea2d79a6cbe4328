/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap.h - the heap that plugins of this process share: the C library's.
 */
#ifndef CORE_HOST_HEAP_H
#define CORE_HOST_HEAP_H

#include <gavel/abi.h>

extern const struct gavel_heap host_heap;

#endif
