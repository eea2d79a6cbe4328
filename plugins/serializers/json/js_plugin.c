/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_plugin.c - the serializer plugin "json": js.h behind the ABI. It has no options and no state.
 */
#include "js.h"

static int32_t write_begin(void *self, void *memory, struct gavel_buffer *out, struct gavel_writer **writer)
{
    (void)self;
    *writer = js_writer_init(memory, out);
    return GAVEL_OK;
}

static int32_t write_end(void *self, struct gavel_writer *writer, struct gavel_error *error)
{
    (void)self;
    return js_writer_end((struct js_writer *)(void *)writer, error);
}

static int32_t read_begin(void *self, void *memory, struct gavel_slice input, const struct gavel_limits *limits,
                          struct gavel_reader **reader, struct gavel_error *error)
{
    struct js_reader *own = memory;
    int32_t status = js_reader_init(own, input, limits, error);

    (void)self;
    if (status == GAVEL_OK)
        *reader = &own->head;
    return status;
}

static void read_end(void *self, struct gavel_reader *reader)
{
    (void)self;
    js_reader_free((struct js_reader *)(void *)reader);
}

const struct gavel_serializer js_serializer = {
    .size = GAVEL_END(struct gavel_serializer, read_end),
    .media_type = "application/json",
    .preference = 100,
    .writer_bytes = sizeof(struct js_writer),
    .reader_bytes = sizeof(struct js_reader),
    .write_begin = write_begin,
    .write_end = write_end,
    .read_begin = read_begin,
    .read_end = read_end,
};

static int32_t create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    static unsigned char instance; /* there is nothing to hold; but NULL could be taken for "none" */

    (void)host;
    (void)options;
    (void)error;
    js_heap_install();
    *self = &instance;
    return GAVEL_OK;
}

static void destroy(void *self)
{
    (void)self;
}

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_SERIALIZER,
    .name = "json",
    .version = "1.0",
    .summary = "JSON with names for keys: for people who look at the wire, and clients without MessagePack",
    .operations = &js_serializer,
    .create = create,
    .destroy = destroy,
};

GAVEL_PLUGIN(json)
{
    return &plugin;
}
