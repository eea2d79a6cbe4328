/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c.h - the CRC-32C (Castagnoli) of bytes: the checksum of every batch, frame, vote and snapshot.
 */
#ifndef CORE_OS_CRC32C_H
#define CORE_OS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* [any] Go on from `crc` (0 to begin) over `size` bytes; crc32c(crc32c(0, a), b) is the crc of a then b.
 * The crc of "123456789" is 0xe3069283. Uses the SSE4.2 instruction where the processor has it. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* [any] The portable table version of the same, for comparison in tests. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
