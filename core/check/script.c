/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.c - a run of entries as a leader would have logged them. It follows from the seed and the tables alone, so two
 * processes have the same one.
 */
#include "core/check/gen.h"

#include "core/codec/value.h"
#include "plugins/serializers/json/js.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_BYTES (960u * 1024) /* the default of [raft] command_bytes */

/* What is needed while a script is made. */
struct maker {
    struct script *script;
    struct gen gen;
    void *memory;
    struct gavel_buffer document;
    struct gavel_buffer logged;
    uint64_t index, term, wall, tick;
};

static const char *const principals[] = {"", "", "alice", "CN=operator"};

/* The leader's work: check, defaults, the log's form. False: the table refuses. */
static bool log_form(struct maker *maker, const struct gavel_command *command)
{
    struct codec_arena arena = codec_arena(maker->memory, CODEC_CHECK_ARENA);
    struct gavel_error error;

    maker->logged.size = 0;
    if (codec_arguments_check(command->arguments, command->name, gavel_buffer_slice(&maker->document), &arena,
                              &maker->logged, &error) == GAVEL_OK)
        return true;
    maker->script->refused++;
    return false;
}

/* The clocks of an entry: wall may jump back, tick never does; terms grow. */
static void go_on(struct maker *maker)
{
    maker->index += kit_below(&maker->gen.random, 8) ? 1 : 3;
    maker->term += kit_below(&maker->gen.random, 50) == 0;
    maker->tick += kit_below(&maker->gen.random, 40);
    if (kit_below(&maker->gen.random, 100) == 0)
        maker->tick += 3600 * 1000;
    maker->wall += kit_below(&maker->gen.random, 60) ? kit_below(&maker->gen.random, 40) : 0;
    if (kit_below(&maker->gen.random, 60) == 0)
        maker->wall -= maker->wall > 20000 ? 20000 : 0;
}

static void append(struct maker *maker, const struct gavel_command *command)
{
    struct script *script = maker->script;
    struct entry *entry = &script->entries[script->count];
    unsigned char *copy;

    entry->read = (command->flags & GAVEL_READ) != 0;
    if (!entry->read)
        go_on(maker);
    copy = malloc(maker->logged.size);
    assert(copy);
    memcpy(copy, maker->logged.data, maker->logged.size);
    entry->command = command;
    entry->logged = gavel_bytes(copy, maker->logged.size);
    entry->index = maker->index;
    entry->term = maker->term;
    entry->wall_ms = maker->wall;
    entry->tick_ms = maker->tick;
    entry->principal =
        gavel_text(principals[kit_below(&maker->gen.random, sizeof principals / sizeof principals[0])]);
    script->writes += !entry->read;
    script->count++;
}

/* The example that the author gave: "key=color value=blue". */
static void example(struct maker *maker, const struct gavel_command *command)
{
    const char *pairs[32];
    char text[512];
    uint64_t count = 0;
    struct gavel_error error;

    if (command->example && (size_t)snprintf(text, sizeof text, "%s", command->example) >= sizeof text)
        return;
    for (char *at = command->example ? text : NULL; at && *at && count < 32;) {
        pairs[count++] = at;
        at = strchr(at, ' ');
        if (at)
            *at++ = 0;
    }
    maker->document.size = 0;
    if (codec_pairs(command->arguments, command->name, pairs, count, &js_serializer, NULL, &maker->document,
                    &error) != GAVEL_OK)
        return; /* values with blanks are for the command line's own parser */
    if (log_form(maker, command))
        append(maker, command);
}

static void chance(struct maker *maker, const struct gavel_command *command)
{
    struct codec_writer writer;
    struct gavel_error error;

    maker->document.size = 0;
    maker->gen.plain = kit_below(&maker->gen.random, 2);
    gen_arguments(&maker->gen, command->arguments, codec_writer_begin(&writer, &maker->document));
    if (codec_writer_end(&writer, &error) == GAVEL_OK && log_form(maker, command))
        append(maker, command);
}

void script_make(struct script *script, const char *what, uint64_t wanted)
{
    const struct gavel_statemachine *machine = &kit.plugin->operations.statemachine;
    struct maker maker = {.script = script, .gen = {.random = kit_random(what)}, .term = 1,
                          .wall = UINT64_C(1700000000000), .document = codec_buffer(0),
                          .logged = codec_buffer(ARGUMENTS_BYTES)};
    uint64_t tries = 0;

    maker.memory = malloc(CODEC_CHECK_ARENA);
    maker.gen.scratch = malloc(GEN_TEXT_MAX);
    memset(script, 0, sizeof *script);
    script->entries = calloc(wanted + machine->command_count, sizeof *script->entries);
    assert(maker.memory);
    assert(maker.gen.scratch);
    assert(script->entries);
    for (uint64_t i = 0; i < machine->command_count; i++)
        if (!(machine->commands[i].flags & GAVEL_INTERNAL))
            example(&maker, &machine->commands[i]);
    while (script->count < wanted && tries++ < 20 * wanted) {
        const struct gavel_command *command =
            &machine->commands[kit_below(&maker.gen.random, machine->command_count)];

        if (command->flags & GAVEL_INTERNAL)
            continue;
        /* Two writes for a read: what reads see is made by writes. */
        if (!(command->flags & GAVEL_READ) || kit_below(&maker.gen.random, 2))
            chance(&maker, command);
    }
    free(maker.memory);
    free(maker.gen.scratch);
    gavel_buffer_free(&maker.document);
    gavel_buffer_free(&maker.logged);
}

void script_free(struct script *script)
{
    for (uint64_t i = 0; i < script->count; i++)
        free((void *)(uintptr_t)script->entries[i].logged.data);
    free(script->entries);
    memset(script, 0, sizeof *script);
}
