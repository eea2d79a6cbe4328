/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c.c - CRC-32C: the processor's instruction where there is one, slice-by-8 tables elsewhere.
 *
 * The instruction gives a result each cycle, but only three cycles after it began: a long run is therefore taken as
 * three at once, side by side, which are joined at their ends (Gopal et al., "Fast CRC Computation for iSCSI Polynomial
 * Using CRC32 Instruction", Intel 2011).
 *
 * The polynomial is 0x1edc6f41, reflected 0x82f63b78. The tables (8 KiB) are filled before main, so that no thread
 * ever sees them half done.
 */
#include "core/os/crc32c.h"

#include <stdatomic.h>

#include "core/os/bytes.h"

#define POLYNOMIAL 0x82f63b78u

static uint32_t table[8][256];

__attribute__((constructor)) static void fill_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;

        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
        table[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        for (int slice = 1; slice < 8; slice++) {
            uint32_t before = table[slice - 1][byte];

            table[slice][byte] = (before >> 8) ^ table[0][before & 0xff];
        }
    }
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *at = data;

    crc = ~crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low = crc ^ os_get32(at);
        uint32_t high = os_get32(at + 4);

        crc = table[7][low & 0xff] ^ table[6][(low >> 8) & 0xff] ^ table[5][(low >> 16) & 0xff] ^
              table[4][low >> 24] ^ table[3][high & 0xff] ^ table[2][(high >> 8) & 0xff] ^
              table[1][(high >> 16) & 0xff] ^ table[0][high >> 24];
    }
    for (; size; size--)
        crc = (crc >> 8) ^ table[0][(crc ^ *at++) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)

#define SIDE 256 /* bytes of each of the three */

/* What so many zero bytes behind it make of a register, for each byte of the register. */
static uint32_t behind_side[4][256];

__attribute__((constructor)) static void fill_behind_side(void)
{
    for (uint32_t bit = 0; bit < 32; bit++) {
        uint32_t crc = UINT32_C(1) << bit;

        for (uint32_t i = 0; i < SIDE; i++) { /* fill_tables may not have run yet */
            for (int step = 0; step < 8; step++)
                crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
        }
        for (uint32_t byte = 0; byte < 256; byte++)
            if (byte >> bit % 8 & 1)
                behind_side[bit / 8][byte] ^= crc;
    }
}

static inline uint64_t pass_side(uint64_t crc)
{
    return behind_side[0][crc & 0xff] ^ behind_side[1][(crc >> 8) & 0xff] ^ behind_side[2][(crc >> 16) & 0xff] ^
           behind_side[3][(crc >> 24) & 0xff];
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_instruction(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint64_t wide = ~crc;

    for (; size && ((uintptr_t)at & 7); size--)
        wide = __builtin_ia32_crc32qi((uint32_t)wide, *at++);
    for (; size >= 3 * SIDE; size -= 3 * SIDE, at += 3 * SIDE) {
        uint64_t second = 0;
        uint64_t third = 0;

        for (uint32_t i = 0; i < SIDE; i += 8) {
            wide = __builtin_ia32_crc32di(wide, os_get64(at + i));
            second = __builtin_ia32_crc32di(second, os_get64(at + SIDE + i));
            third = __builtin_ia32_crc32di(third, os_get64(at + 2 * SIDE + i));
        }
        wide = pass_side(pass_side(wide) ^ second) ^ third;
    }
    for (; size >= 32; size -= 32, at += 32) {
        wide = __builtin_ia32_crc32di(wide, os_get64(at));
        wide = __builtin_ia32_crc32di(wide, os_get64(at + 8));
        wide = __builtin_ia32_crc32di(wide, os_get64(at + 16));
        wide = __builtin_ia32_crc32di(wide, os_get64(at + 24));
    }
    for (; size >= 8; size -= 8, at += 8)
        wide = __builtin_ia32_crc32di(wide, os_get64(at));
    for (; size; size--)
        wide = __builtin_ia32_crc32qi((uint32_t)wide, *at++);
    return ~(uint32_t)wide;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    static atomic_int kind; /* 0: not looked yet, 1: tables, 2: instruction */
    int known = atomic_load_explicit(&kind, memory_order_relaxed);

    if (!known) {
        known = __builtin_cpu_supports("sse4.2") ? 2 : 1;
        atomic_store_explicit(&kind, known, memory_order_relaxed);
    }
    return known == 2 ? crc32c_instruction(crc, data, size) : crc32c_portable(crc, data, size);
}

#else

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    return crc32c_portable(crc, data, size);
}

#endif
