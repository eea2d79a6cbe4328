/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_serializer.c - the msgpack serializer with a layer around it that breaks one promise; see bad.sh.
 */
#include <gavel/serializer.h>

#include <stdlib.h>

const struct gavel_plugin *gavel_plugin_msgpack(void);

static const struct gavel_serializer *inner;
static struct gavel_serializer outer;
static struct gavel_plugin head;
static struct gavel_writer_ops writer_ops;
static const struct gavel_writer_ops *inner_writer;

static void put_uint(struct gavel_writer *writer, uint64_t value)
{
    inner_writer->uint(writer, (uint64_t)(double)(value >> 1) << 1 | (value & 1)); /* as a script would: 53 bits */
}

static int32_t write_begin(void *self, void *memory, struct gavel_buffer *out, struct gavel_writer **writer)
{
    int32_t status = inner->write_begin(self, memory, out, writer);

#ifdef BAD_NUMBERS
    if (status == GAVEL_OK) {
        inner_writer = (*writer)->ops;
        writer_ops = *inner_writer;
        writer_ops.uint = put_uint;
        (*writer)->ops = &writer_ops;
    }
#endif
    return status;
}

static int32_t write_end(void *self, struct gavel_writer *writer, struct gavel_error *error)
{
    int32_t status = inner->write_end(self, writer, error);

#ifdef BAD_RULES
    return GAVEL_OK;
#endif
    return status;
}

static int32_t read_begin(void *self, void *memory, struct gavel_slice input, const struct gavel_limits *limits,
                          struct gavel_reader **reader, struct gavel_error *error)
{
    struct gavel_limits mine = *limits;
    const unsigned char *bytes = input.data;
    int32_t status;

#ifdef BAD_DEPTH
    mine.depth += 2;
#endif
#ifdef BAD_ITEMS
    mine.items = UINT64_C(1) << 30;
#endif
#ifdef BAD_BOMB
    if (input.size > 4 && (bytes[0] & 0xf0) == 0xd0) {
        void *volatile announced = malloc((size_t)bytes[1] << 16 | (size_t)bytes[2] << 8);
        free(announced);
    }
#endif
#ifdef BAD_BEHIND
    if (bytes[input.size] == 0)
        mine.bytes++;
#endif
#ifdef BAD_MEMORY
    {
        char *volatile copy = malloc(16);
        *copy = 1;
        free(copy);
    }
#endif
#ifdef BAD_SQUARE
    for (volatile uint64_t i = 0; i < input.size * input.size / 1024; i++)
        ;
#endif
#ifdef BAD_LEAK
    void *volatile lost = malloc(8);
    (void)lost;
#endif
    status = inner->read_begin(self, memory, input, &mine, reader, error);
#ifdef BAD_SENTENCE
    if (status < 0)
        error->text[0] = 0;
#endif
    return status;
}

GAVEL_PLUGIN(bad)
{
    head = *gavel_plugin_msgpack();
    inner = head.operations;
    outer = *inner;
    outer.write_begin = write_begin;
    outer.write_end = write_end;
    outer.read_begin = read_begin;
    head.name = "bad";
    head.operations = &outer;
    return &head;
}
