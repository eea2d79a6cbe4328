/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clean.h - the scope attribute for local memory: `os_autofree char *text = ...;` is freed when the scope ends.
 * Where ownership moves, use a reverse-order goto ladder instead.
 */
#ifndef CORE_OS_CLEAN_H
#define CORE_OS_CLEAN_H

#include <stdlib.h>

/* The clean-up of os_autofree; takes the address of the pointer. */
static inline void os_free_scope(void *pointer)
{
    void **held = pointer;

    free(*held);
}

#define os_autofree __attribute__((cleanup(os_free_scope)))

#endif
