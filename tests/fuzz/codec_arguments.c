/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_arguments.c - fuzz target: arguments of commands from a client (checked and completed) and from the log
 * (loaded as they are). What check lets through, load must take.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/codec/field.h"
#include "tests/fuzz/fuzz.h"

struct item {
    uint64_t present;
    struct gavel_slice key;
    int64_t by;
};

struct arguments {
    uint64_t present;
    struct gavel_slice key;
    struct gavel_slice value;
    uint64_t count;
    uint64_t mode;
    double ratio;
    uint64_t wait;
    struct gavel_list items;
    struct gavel_list names;
};

static const char *const modes[] = {"one", "two", NULL};

static const struct gavel_field item_rows[] = {
    {.name = "key", .id = 1, .type = GAVEL_BYTES, .flags = GAVEL_REQUIRED, .offset = offsetof(struct item, key)},
    {.name = "by", .id = 2, .type = GAVEL_INT, .offset = offsetof(struct item, by), .min = -9, .max = 9,
     .fallback = "1"},
};
static const struct gavel_fields item_fields = GAVEL_FIELDS(item_rows, struct item);

#define AT(member) .offset = offsetof(struct arguments, member)
static const struct gavel_field rows[] = {
    {.name = "key", .id = 1, .type = GAVEL_BYTES, AT(key), .max = 32},
    {.name = "value", .id = 2, .type = GAVEL_VALUE, AT(value)},
    {.name = "count", .id = 3, .type = GAVEL_UINT, AT(count), .fallback = "3"},
    {.name = "mode", .id = 4, .type = GAVEL_CHOICE, AT(mode), .choices = modes},
    {.name = "ratio", .id = 5, .type = GAVEL_REAL, AT(ratio)},
    {.name = "wait", .id = 6, .type = GAVEL_DURATION, AT(wait)},
    {.name = "items", .id = 7, .type = GAVEL_LIST, AT(items), .sub = &item_fields},
    {.name = "names", .id = 8, .type = GAVEL_LIST, AT(names), .element = GAVEL_STRING, .fallback = "a b"},
};
static const struct gavel_fields fields = GAVEL_FIELDS(rows, struct arguments);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(16) static unsigned char memory[1 << 16];
    struct gavel_limits limits = codec_limits(1 << 14);
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    struct gavel_slice input = gavel_bytes(data, size);
    struct gavel_buffer logged = codec_buffer(0);
    struct gavel_error error;
    struct arguments object;
    int32_t status;

    (void)codec_arguments_load(&fields, input, &object, &arena, &error);
    codec_arena_reset(&arena);
    if (codec_value_check(input, &limits, NULL) != GAVEL_OK)
        return 0;
    if (codec_arguments_check(&fields, "fuzz.command", input, &arena, &logged, &error) == GAVEL_OK) {
        codec_arena_reset(&arena);
        status = codec_arguments_load(&fields, gavel_buffer_slice(&logged), &object, &arena, &error);
        assert(status == GAVEL_OK);
        assert(gavel_present(&object, 2)); /* the default was logged */
    }
    gavel_buffer_free(&logged);
    return 0;
}
