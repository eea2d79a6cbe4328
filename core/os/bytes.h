/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes.h - little-endian numbers in byte arrays. The formats are little-endian and so is every machine that we run
 * on: this is the one place that says so.
 */
#ifndef CORE_OS_BYTES_H
#define CORE_OS_BYTES_H

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the formats are little-endian");
_Static_assert(sizeof(void *) == 8, "64-bit machines only");

static inline uint16_t os_get16(const void *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t os_get32(const void *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t os_get64(const void *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void os_put16(void *at, uint16_t value)
{
    memcpy(at, &value, sizeof value);
}

static inline void os_put32(void *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static inline void os_put64(void *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

#endif
