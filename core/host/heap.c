/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap.c - realloc with one meaning for 0.
 */
#include "core/host/heap.h"

#include <stdlib.h>

static void *resize(void *self, void *old, uint64_t wanted)
{
    (void)self;
    if (wanted == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, wanted);
}

const struct gavel_heap host_heap = {.size = GAVEL_END(struct gavel_heap, resize), .self = NULL, .resize = resize};
