/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store-bench.c - what the workflow store alone costs on one node: set and get at 100,000 keys of 256-byte values with
 * the history kept, the same while a snapshot is held, a snapshot, a restore, memory a key. No log, no network, no
 * sync.
 *
 *   store-bench [KEYS [PUTS]]
 */
#include <gavel/statemachine.h>

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define VALUE_BYTES 256
#define HISTORY "10000"

const struct gavel_plugin *gavel_plugin_workflow(void);

static uint64_t heap_bytes;

static void *resize(void *self, void *old, uint64_t wanted)
{
    void *memory;
    (void)self;
    heap_bytes -= old ? malloc_usable_size(old) + 8 : 0;
    if (!wanted) {
        free(old);
        return NULL;
    }
    memory = realloc(old, wanted);
    if (!memory)
        abort();
    heap_bytes += malloc_usable_size(memory) + 8;
    return memory;
}

static const struct gavel_heap heap = { GAVEL_END(struct gavel_heap, resize), NULL, resize };

/* Where answers go. */
static void put_count(struct gavel_writer *writer, uint64_t count) { (void)writer; (void)count; }
static void put_none(struct gavel_writer *writer) { (void)writer; }
static void put_key(struct gavel_writer *writer, struct gavel_slice name, uint64_t number)
{
    (void)writer;
    (void)name;
    (void)number;
}
static void put_sint(struct gavel_writer *writer, int64_t value) { (void)writer; (void)value; }
static void put_real(struct gavel_writer *writer, double value) { (void)writer; (void)value; }
static void put_slice(struct gavel_writer *writer, struct gavel_slice slice) { (void)writer; (void)slice; }
static const struct gavel_writer_ops ops = {
    GAVEL_END(struct gavel_writer_ops, msgpack), put_count, put_count, put_none, put_key, put_none, put_count,
    put_count, put_sint, put_real, put_slice, put_slice, put_slice,
};
static struct gavel_writer writer = { &ops };
static uint64_t events;
static void emit(void *context, const struct gavel_event *event)
{
    (void)context;
    events += event->value.size;
}

/* Processor time: what the machine costs, whoever else runs. */
static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void *instance;
static const struct gavel_statemachine *machine;
static struct gavel_host host;
static uint64_t entry_index;
static uint64_t chance = 1;

static uint64_t next_random(void)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return chance;
}

static void fail(const char *what, const struct gavel_error *error)
{
    fprintf(stderr, "%s: %s\n", what, error->text);
    exit(1);
}

static void set_size(const struct gavel_fields *fields, void *object, const char *name, uint64_t value)
{
    uint64_t i;
    for (i = 0; i < fields->count; i++)
        if (!strcmp(fields->rows[i].name, name))
            memcpy((char *)object + fields->rows[i].offset, &value, sizeof value);
}

static void open_machine(void)
{
    const struct gavel_plugin *plugin = gavel_plugin_workflow();
    static uint64_t options[16];
    struct gavel_error error;
    host.size = GAVEL_END(struct gavel_host, submit);
    host.heap = &heap;
    set_size(plugin->options, options, "key_bytes_max", 1024);
    set_size(plugin->options, options, "value_bytes_max", 512 << 10);
    set_size(plugin->options, options, "history_revisions", strtoull(HISTORY, NULL, 10));
    set_size(plugin->options, options, "history_bytes", 64 << 20);
    machine = plugin->operations;
    if (plugin->create(&host, options, &instance, &error) != GAVEL_OK)
        fail("create", &error);
}

/* Run command number `id` with a key and perhaps a value, or with a limit. */
static void run_with(uint64_t id, uint64_t number, const unsigned char *value, uint64_t value_size, uint64_t limit)
{
    const struct gavel_command *command = &machine->commands[id - 1];
    struct gavel_call call = { .size = GAVEL_END(struct gavel_call, machine), .wall_ms = 1 };
    struct gavel_error error;
    struct gavel_reply reply = { .size = GAVEL_END(struct gavel_reply, emit), .out = &writer, .error = &error,
                                 .emit = value ? emit : NULL };
    uint64_t arguments[16] = { 3 };
    char key[32];
    struct gavel_slice slice = gavel_bytes(key, (uint64_t)snprintf(key, sizeof key, "user/%010" PRIu64, number));
    memcpy((char *)arguments + command->arguments->rows[0].offset, &slice, sizeof slice);
    if (value) {
        slice = gavel_bytes(value, value_size);
        memcpy((char *)arguments + command->arguments->rows[1].offset, &slice, sizeof slice);
    }
    if (limit)
        set_size(command->arguments, arguments, "limit", limit);
    call.index = value ? ++entry_index : entry_index;
    if (command->run(instance, &call, arguments, &reply) != GAVEL_OK)
        fail(command->name, &error);
}

static void run(uint64_t id, uint64_t number, const unsigned char *value)
{
    run_with(id, number, value, VALUE_BYTES, 0);
}

static void puts_and_tell(const char *what, uint64_t keys, uint64_t count, int random)
{
    unsigned char value[VALUE_BYTES] = { 0xc5, 0, VALUE_BYTES - 3 };
    uint64_t begin = now_ns();
    uint64_t i;
    for (i = 0; i < count; i++) {
        memcpy(value + 3, &i, sizeof i);
        run(2, random ? next_random() % keys : i, value);
    }
    printf("%-44s %8.3f us\n", what, (double)(now_ns() - begin) / 1e3 / (double)count);
}

static void gets_and_tell(uint64_t keys, uint64_t count)
{
    uint64_t begin = now_ns();
    uint64_t i;
    for (i = 0; i < count; i++)
        run(1, next_random() % keys, NULL);
    printf("%-44s %8.3f us\n", "get, random key", (double)(now_ns() - begin) / 1e3 / (double)count);
}

/* What takes longest of the commands: the bound behind the flag GAVEL_BOUNDED. Range here begins at a random key. */
static void longest_and_tell(uint64_t keys)
{
    enum { LARGE = 512 << 10, ROUNDS = 200 };
    static unsigned char large[LARGE] = { 0xc6, 0, 7, 0xff, 0xfb };
    static const uint64_t limits[] = { 100, 1000 };
    uint64_t begin;
    uint64_t i;
    uint64_t j;
    for (j = 0; j < 2; j++) {
        begin = now_ns();
        for (i = 0; i < ROUNDS; i++)
            run_with(8, next_random() % keys, NULL, 0, limits[j]);
        printf("range of %-35" PRIu64 " %8.1f us\n", limits[j], (double)(now_ns() - begin) / 1e3 / ROUNDS);
    }
    begin = now_ns();
    for (i = 0; i < ROUNDS; i++)
        run_with(2, i % 4, large, LARGE, 0);
    printf("%-44s %8.1f us\n", "put of the largest value, 512 KiB", (double)(now_ns() - begin) / 1e3 / ROUNDS);
}

/* Write a snapshot, and restore the machine from it. */
static void snapshot_and_tell(void)
{
    static struct gavel_buffer chunks[65536];
    struct gavel_error error;
    void *held;
    uint64_t count = 0;
    uint64_t bytes = 0;
    uint64_t begin = now_ns();
    uint64_t i;
    int32_t status = 1;
    if (machine->snapshot_begin(instance, &held, &error) != GAVEL_OK)
        fail("snapshot", &error);
    printf("%-44s %8.3f us\n", "snapshot begin", (double)(now_ns() - begin) / 1e3);
    begin = now_ns();
    while (status == 1 && count < 65536) {
        chunks[count].heap = &heap;
        status = machine->snapshot_next(instance, held, &chunks[count], &error);
        bytes += chunks[count++].size;
    }
    printf("%-44s %8.1f ms, %" PRIu64 " chunks, %.1f MiB\n", "snapshot", (double)(now_ns() - begin) / 1e6, count,
           (double)bytes / 1048576);
    machine->snapshot_end(instance, held);
    begin = now_ns();
    if (machine->restore_begin(instance, 1, &error) != GAVEL_OK)
        fail("restore", &error);
    for (i = 0; i < count; i++) {
        if (machine->restore_chunk(instance, gavel_buffer_slice(&chunks[i]), &error) != GAVEL_OK)
            fail("restore", &error);
        gavel_buffer_free(&chunks[i]);
    }
    if (machine->restore_end(instance, &error) != GAVEL_OK)
        fail("restore", &error);
    printf("%-44s %8.1f ms\n", "restore", (double)(now_ns() - begin) / 1e6);
}

int main(int argc, char **argv)
{
    uint64_t keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    uint64_t before = heap_bytes;
    struct gavel_error error;
    void *held;

    if (keys == 0 || count == 0) {
        fprintf(stderr, "usage: store-bench [KEYS [PUTS]]\n");
        return 64;
    }
    printf("workflow store alone, %" PRIu64 " keys, values of %d bytes, history of " HISTORY " changes\n", keys,
           VALUE_BYTES);
    open_machine();
    puts_and_tell("first put, keys in order", keys, keys, 0);
    printf("%-44s %8.1f bytes (with a value of %d)\n", "memory a key", (double)(heap_bytes - before) / (double)keys,
           VALUE_BYTES);
    puts_and_tell("put, random key", keys, count, 1);
    gets_and_tell(keys, count);
    if (machine->snapshot_begin(instance, &held, &error) != GAVEL_OK)
        fail("snapshot", &error);
    puts_and_tell("put, random key, a snapshot held", keys, count / 10 + 1, 1);
    machine->snapshot_end(instance, held);
    puts_and_tell("put, random key, after it", keys, count / 10 + 1, 1);
    longest_and_tell(keys);
    snapshot_and_tell();
    gavel_plugin_workflow()->destroy(instance);
    if (heap_bytes != before)
        printf("%" PRIu64 " bytes were not given back\n", heap_bytes - before);
    return heap_bytes != before;
}
