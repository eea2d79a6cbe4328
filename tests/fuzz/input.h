/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input.h - takes the bytes of one fuzz input apart: numbers and slices from its front, zeroes when it is used up; and
 * a hush over programs that talk.
 */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <fcntl.h>
#include <gavel/abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

static inline uint8_t fuzz_u8(struct fuzz_input *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

/* `bytes` (at most 8) of them, little-endian. */
static inline uint64_t fuzz_uint(struct fuzz_input *input, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)fuzz_u8(input) << 8 * i;
    return value;
}

/* At most `size` bytes, borrowed. */
static inline struct gavel_slice fuzz_take(struct fuzz_input *input, size_t size)
{
    struct gavel_slice slice;

    if (size > input->size)
        size = input->size;
    slice = gavel_bytes(input->data, size);
    input->data += size;
    input->size -= size;
    return slice;
}

/* A slice behind its length, which is two bytes. */
static inline struct gavel_slice fuzz_slice(struct fuzz_input *input)
{
    return fuzz_take(input, (size_t)fuzz_uint(input, 2));
}

/* The next text up to a NUL or the end, copied to `text`, cut to `room` with its NUL. */
static inline char *fuzz_text(struct fuzz_input *input, char *text, size_t room)
{
    size_t length = 0;

    while (input->size) {
        uint8_t byte = fuzz_u8(input);

        if (byte == 0)
            break;
        if (length + 1 < room)
            text[length++] = (char)byte;
    }
    text[length] = 0;
    return text;
}

/* What the code under test prints goes nowhere, while it is on. The descriptors stay: sanitizers talk through them. */
static inline void fuzz_hush(bool on)
{
    static FILE *nowhere;
    static FILE *out;
    static FILE *err;

    if (!nowhere) {
        nowhere = fdopen(open("/dev/null", O_WRONLY | O_CLOEXEC), "w");
        out = stdout;
        err = stderr;
        if (!nowhere)
            abort();
    }
    stdout = on ? nowhere : out;
    stderr = on ? nowhere : err;
}

#endif
