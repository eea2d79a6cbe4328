/* SPDX-License-Identifier: Apache-2.0 */
/*
 * saved.c - fuzz target: the file of a saved snapshot, as inspect and restore read it. The first byte chooses how much
 * of it is made right: checksums would keep a fuzzer out, so what is left are lies with a good seal. Whatever is
 * accepted can be walked to its end, and made into a data directory that a node would open.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/reset.h"
#include "core/node/saved.h"
#include "core/os/bytes.h"
#include "core/os/crc32c.h"
#include "core/os/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define HEAD_BYTES 64

struct sink {
    struct gavel_buffer bytes;
};

static int keep(void *ctx, const void *data, size_t size)
{
    struct sink *sink = ctx;

    return gavel_buffer_append(&sink->bytes, data, size) == GAVEL_OK ? 0 : -12;
}

/* Members as an honest node has them, so that what lies behind them is reached too. */
static void put_members(struct gavel_buffer *out)
{
    static struct members members;

    members = (struct members){.next_id = 2, .count = 1};
    members.items[0] = (struct member){.id = 1, .role = RAFT_VOTER, .priority = 1, .address_count = 1};
    (void)members_copy_text(members.items[0].name, NODE_NAME_MAX, gavel_text("n1"));
    (void)members_copy_text(members.items[0].addresses[0], NODE_URI_MAX, gavel_text("tcp://h:1"));
    assert(members_encode(&members, out) == GAVEL_OK);
}

/* A file whose frame is sound, around a founding record and a payload that are the input's. */
static struct gavel_buffer make(struct fuzz_input *input, bool members)
{
    struct sink sink = {.bytes = codec_buffer(0)};
    struct saved_writer *writer = calloc(1, sizeof *writer);
    struct saved_about about = {.node = "n1", .version = "1", .info = {.index = 5, .term = 2}};
    struct gavel_buffer meta = codec_buffer(0);
    struct gavel_slice payload;

    assert(writer);
    about.founding = fuzz_slice(input);
    if (members)
        put_members(&meta);
    else
        about.meta = fuzz_slice(input);
    if (members)
        about.meta = gavel_buffer_slice(&meta);
    payload = fuzz_take(input, input->size);
    about.info.bytes = payload.size;
    about.info.digest = crc32c(0, payload.data, payload.size);
    writer->write = keep;
    writer->ctx = &sink;
    if (saved_begin(writer, &about, NULL) == GAVEL_OK && saved_put(writer, payload.data, payload.size, NULL) == 0)
        assert(saved_end(writer, NULL) == GAVEL_OK);
    gavel_buffer_free(&meta);
    free(writer);
    return sink.bytes;
}

/* Make the head say what it says with a good seal. */
static void seal_head(uint8_t *data, uint64_t size)
{
    if (size < HEAD_BYTES)
        return;
    os_put32(data, 0x56535647u);
    os_put16(data + 4, 1);
    os_put64(data + 16, size);
    os_put32(data + 60, crc32c(0, data, 60));
}

static void store(struct os_mem *disk, struct gavel_slice bytes)
{
    struct os os = {.files = &os_mem_files, .files_self = disk};
    struct os_file *file;

    assert(os_open(&os, "file", OS_OPEN_WRITE | OS_OPEN_CREATE, &file) == 0);
    assert(bytes.size == 0 || os_pwrite(&os, file, bytes.data, bytes.size, 0, 0) == 0);
    os_close(&os, file);
}

static void read_it(struct os_mem *disk)
{
    struct os_mem_clock clock = {.seed = 1};
    struct os os = {.files = &os_mem_files, .files_self = disk, .clock = &os_mem_clock_ops, .clock_self = &clock};
    struct saved *saved = calloc(1, sizeof *saved);
    struct saved_contents *contents = calloc(1, sizeof *contents);
    struct gavel_error error = {0, ""};

    assert(saved);
    assert(contents);
    if (saved_open(saved, &os, "file", &error) == GAVEL_OK) {
        int32_t status = saved_check(saved, contents, &error);
        struct members members = {.next_id = saved->members.next_id + 1, .count = 1};
        struct reset_plan plan = {.os = &os,
                                  .dir = "new",
                                  .name = "n1",
                                  .cluster_id = {{1}},
                                  .member_id = saved->members.next_id,
                                  .members = &members,
                                  .segment_bytes = 2u << 20};

        members.items[0] = (struct member){.id = saved->members.next_id, .role = RAFT_VOTER, .priority = 1};
        (void)members_copy_text(members.items[0].name, NODE_NAME_MAX, gavel_text("n1"));
        assert(status != GAVEL_OK || contents->machine_count == saved->record.machine_count);
        if (status == GAVEL_OK && saved->members.next_id && saved->members.next_id < UINT64_MAX)
            assert(reset_from_snapshot(&plan, "file", saved->snapshot_at, 0, saved->about.founding, 1, &error) ==
                   GAVEL_OK);
        saved_close(saved);
    } else {
        assert(error.text[0]);
    }
    free(contents);
    free(saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint8_t choice = fuzz_u8(&input);
    struct os_mem *disk = os_mem_new();
    struct gavel_buffer made = codec_buffer(0);

    assert(disk);
    if (choice % 4 >= 2) {
        made = make(&input, choice % 4 == 3);
    } else if (input.size) {
        assert(gavel_buffer_append(&made, input.data, input.size) == GAVEL_OK);
        if (choice % 4 == 1)
            seal_head(made.data, made.size);
    }
    store(disk, gavel_buffer_slice(&made));
    read_it(disk);
    assert(os_mem_open_files(disk) == 0);
    gavel_buffer_free(&made);
    os_mem_free(disk);
    return 0;
}
