/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arguments.c - the arguments of a command: checked and completed once, by the leader; loaded as they are by
 * everybody when the entry is applied. Apply fills in nothing: a default that a newer build changed would part the
 * replicas.
 */
#include "core/codec/field_internal.h"
#include "core/codec/quick.h"
#include "core/os/seeded.h"

static const struct gavel_limits logged_limits = {GAVEL_END(struct gavel_limits, items), CODEC_MESSAGE_DEPTH,
                                                  CODEC_ARGUMENTS_BYTES, CODEC_MESSAGE_ITEMS};

int32_t codec_arguments_fill(const struct gavel_fields *fields, const char *owner, struct gavel_slice arguments,
                             void *object, struct codec_arena *arena, struct gavel_error *error)
{
    static const unsigned char empty_map[1] = {0x80};
    struct codec_read how = {.flags = CODEC_READ_DEFAULTS | CODEC_READ_REQUIRED | CODEC_READ_DOCUMENTS,
                             .noun = "argument",
                             .owner = owner};
    struct mp_reader reader;

    if (codec_value_type(arguments) == GAVEL_TOKEN_NIL)
        arguments = gavel_bytes(empty_map, sizeof empty_map);
    how.input = arguments;
    if (seeded_bug("codec-leader-fills-nothing") || seeded_bug("codec-defaults-at-apply"))
        how.flags &= ~CODEC_READ_DEFAULTS;
    if (seeded_bug("codec-documents-unsorted"))
        how.flags &= ~CODEC_READ_DOCUMENTS;
    return codec_fields_read(fields, mp_reader_init(&reader, arguments), &how, object, arena, error);
}

int32_t codec_arguments_check(const struct gavel_fields *fields, const char *owner, struct gavel_slice arguments,
                              struct codec_arena *arena, struct gavel_buffer *out, struct gavel_error *error)
{
    struct mp_writer writer;
    uint64_t before = out->size;
    uint64_t size = fields ? fields->struct_size : 8;
    void *object = codec_arena_take(arena, size, 16);
    int32_t status;

    if (!object)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "the arguments of %s do not fit into the memory set aside", owner);
    memset(object, 0, size);
    status = codec_arguments_fill(fields, owner, arguments, object, arena, error);
    if (status != GAVEL_OK)
        return status;
    codec_fields_write(fields, object, 0, mp_writer_init(&writer, out));
    status = mp_writer_end(&writer, error);
    if (status == GAVEL_OK && out->size - before > CODEC_ARGUMENTS_BYTES)
        status = gavel_fail(error, GAVEL_E_TOO_LARGE,
                            "the arguments of %s take %llu bytes; at most %llu fit into the log", owner,
                            (unsigned long long)(out->size - before), (unsigned long long)CODEC_ARGUMENTS_BYTES);
    if (status != GAVEL_OK)
        out->size = before;
    return status;
}

int32_t codec_arguments_load(const struct gavel_fields *fields, struct gavel_slice logged, void *object,
                             struct codec_arena *arena, struct gavel_error *error)
{
    struct codec_read how = {
        .flags = CODEC_READ_STRICT, .noun = "argument", .owner = "a logged command", .input = logged};
    struct mp_reader reader;
    int32_t status;

    if (seeded_bug("codec-apply-fills-defaults") || seeded_bug("codec-defaults-at-apply"))
        how.flags |= CODEC_READ_DEFAULTS;
    if (seeded_bug("codec-apply-skips-unknown"))
        how.flags |= CODEC_READ_UNKNOWN;
    if (how.flags == CODEC_READ_STRICT && codec_quick_arguments(fields, logged, &logged_limits, object))
        return GAVEL_OK;
    status = mp_scan(logged, &logged_limits, 0, error);
    if (status == GAVEL_OK)
        status = codec_fields_read(fields, mp_reader_init(&reader, logged), &how, object, arena, error);
    if (status == GAVEL_OK || status == GAVEL_E_VERSION)
        return status;
    /* Memory and the arena are this node's; everything else says that the bytes are no log form. */
    if (status != GAVEL_E_NO_MEMORY && !(status == GAVEL_E_TOO_LARGE && logged.size <= CODEC_ARGUMENTS_BYTES))
        status = GAVEL_E_CORRUPT;
    if (error)
        error->code = status;
    return status;
}
