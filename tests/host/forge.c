/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forge.c - a plugin of any kind that is broken on purpose: refusals.sh compiles this file once for each refusal of the
 * loader, with -DFORGE_... naming what is wrong.
 */
#include <gavel/observer.h>
#include <gavel/serializer.h>
#include <gavel/statemachine.h>
#include <gavel/transport.h>

#include <stddef.h>

#ifndef FORGE_NAME
#define FORGE_NAME "forged"
#endif
#ifndef FORGE_MAJOR
#define FORGE_MAJOR GAVEL_ABI_MAJOR
#endif
#ifndef FORGE_MINOR
#define FORGE_MINOR GAVEL_ABI_MINOR
#endif
#ifndef FORGE_KIND
#define FORGE_KIND 3
#endif
#ifndef FORGE_HEAD_SIZE
#define FORGE_HEAD_SIZE GAVEL_END(struct gavel_plugin, destroy)
#endif
#ifndef FORGE_SIZE /* that of the kind's operations */
#define FORGE_SIZE \
    (FORGE_KIND == GAVEL_KIND_TRANSPORT    ? GAVEL_END(struct gavel_transport, respond) \
     : FORGE_KIND == GAVEL_KIND_SERIALIZER ? GAVEL_END(struct gavel_serializer, read_end) \
     : FORGE_KIND == GAVEL_KIND_OBSERVER   ? GAVEL_END(struct gavel_observer, flush) \
                                           : GAVEL_END(struct gavel_statemachine, maintain))
#endif
#ifndef FORGE_STRIDE
#define FORGE_STRIDE sizeof commands[0]
#endif
#ifndef FORGE_COUNT
#define FORGE_COUNT 2
#endif
#ifndef FORGE_ID
#define FORGE_ID 1
#endif
#ifndef FORGE_RUN
#define FORGE_RUN run
#endif
#ifndef FORGE_ARGUMENTS
#define FORGE_ARGUMENTS NULL
#endif
#ifndef FORGE_COMMAND_FLAGS
#define FORGE_COMMAND_FLAGS GAVEL_WRITE
#endif
#ifndef FORGE_SECOND_ID
#define FORGE_SECOND_ID 2
#endif

struct options {
    uint64_t present;
    uint64_t number;
};

static const struct gavel_field option_rows[] = {
    {.name = "number", .id = 1, .type = GAVEL_UINT, .offset = offsetof(struct options, number),
#ifdef FORGE_BAD_DEFAULT
     .fallback = "many",
#else
     .fallback = "7",
#endif
     .max = 9, .help = "A number"},
};
static const struct gavel_fields options = GAVEL_FIELDS(option_rows, struct options);

/* Arguments whose two rows have one id. */
__attribute__((unused)) static const struct gavel_field twice_rows[] = {
    {.name = "a", .id = 1, .type = GAVEL_UINT, .offset = offsetof(struct options, number), .help = "One"},
    {.name = "b", .id = 1, .type = GAVEL_UINT, .offset = offsetof(struct options, number), .help = "Two"},
};
__attribute__((unused)) static const struct gavel_fields twice = GAVEL_FIELDS(twice_rows, struct options);

__attribute__((unused)) static int32_t run(void *self, const struct gavel_call *call, const void *arguments,
                                           struct gavel_reply *reply)
{
    (void)self;
    (void)call;
    (void)arguments;
    (void)reply;
    return GAVEL_OK;
}

/* Rows with more behind them, as a newer minor would have: they are read by their stride. */
struct row {
    struct gavel_command command;
#ifdef FORGE_WIDE
    uint64_t newer[3];
#endif
};

static const struct row commands[] = {
    {.command = {"one", FORGE_ID, FORGE_COMMAND_FLAGS, FORGE_ARGUMENTS, FORGE_RUN, "Do one thing", NULL}},
    {.command = {"two", FORGE_SECOND_ID, GAVEL_READ, NULL, FORGE_RUN, "Look at it", "x=1"}},
};

static void state(void *self, struct gavel_machine_state *out)
{
    (void)self;
    out->entries = 0;
}

static int32_t begin(void *self, void **snapshot, struct gavel_error *error)
{
    (void)error;
    *snapshot = self;
    return GAVEL_OK;
}

static int32_t next(void *self, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    (void)self;
    (void)snapshot;
    (void)chunk;
    (void)error;
    return 0;
}

static void end(void *self, void *snapshot)
{
    (void)self;
    (void)snapshot;
}

static int32_t restore_begin(void *self, uint64_t version, struct gavel_error *error)
{
    (void)self;
    (void)version;
    (void)error;
    return GAVEL_OK;
}

static int32_t restore_chunk(void *self, struct gavel_slice chunk, struct gavel_error *error)
{
    (void)self;
    (void)chunk;
    (void)error;
    return GAVEL_OK;
}

static int32_t restore_end(void *self, struct gavel_error *error)
{
    (void)self;
    (void)error;
    return GAVEL_OK;
}

/* The tables are not constant: the entry function takes FORGE_OMIT, a member's name, out of the one of FORGE_KIND. */
static struct gavel_statemachine a_statemachine = {
    .size = FORGE_SIZE,
    .flags = GAVEL_BOUNDED,
    .state_version = 1,
    .commands = &commands[0].command,
    .command_count = FORGE_COUNT,
    .command_stride = FORGE_STRIDE,
    .state = state,
    .snapshot_begin = begin,
    .snapshot_next = next,
    .snapshot_end = end,
    .restore_begin = restore_begin,
    .restore_chunk = restore_chunk,
    .restore_end = restore_end,
};

/* An observer that wants FORGE_WANTS and has no function to take it; what it is never asked for cannot be missed. */
#ifndef FORGE_WANTS
#define FORGE_WANTS GAVEL_OBSERVE_LOGS
#endif
static struct gavel_observer an_observer = {.size = FORGE_SIZE, .wants = FORGE_WANTS};

/* Nothing of these is ever called: they are looked at and refused. */
static void nothing(void) {}
#define NOTHING(member) *(void (**)(void))(void *)&(member) = nothing

static struct gavel_transport a_transport = {.size = FORGE_SIZE, .schemes = "forged"};
static struct gavel_serializer a_serializer = {
    .size = FORGE_SIZE, .media_type = "application/forged", .writer_bytes = 8, .reader_bytes = 8};

__attribute__((unused)) static void fill(void)
{
    NOTHING(a_transport.prepare);
    NOTHING(a_transport.listen);
    NOTHING(a_transport.connect);
    NOTHING(a_transport.send);
    NOTHING(a_transport.queued);
    NOTHING(a_transport.pause);
    NOTHING(a_transport.close);
    NOTHING(a_transport.unlisten);
    NOTHING(a_serializer.write_begin);
    NOTHING(a_serializer.write_end);
    NOTHING(a_serializer.read_begin);
    NOTHING(a_serializer.read_end);
}

#if FORGE_KIND == 1
#define FORGE_TABLE a_transport
#elif FORGE_KIND == 2
#define FORGE_TABLE a_serializer
#elif FORGE_KIND == 4
#define FORGE_TABLE an_observer
#else
#define FORGE_TABLE a_statemachine
#endif

static int32_t check(const struct gavel_host *host, const void *object, struct gavel_error *error)
{
    const struct options *given = object;

    (void)host;
    if (given->number == 9)
        return gavel_fail(error, GAVEL_E_CONFIG, "number: 9 is taken already");
    return GAVEL_OK;
}

static int32_t create(const struct gavel_host *host, const void *object, void **self, struct gavel_error *error)
{
    (void)object;
    (void)error;
    *self = (void *)(uintptr_t)host;
    return GAVEL_OK;
}

static void destroy(void *self)
{
    (void)self;
}

static struct gavel_plugin plugin = {
    .size = FORGE_HEAD_SIZE,
    .abi_major = FORGE_MAJOR,
    .abi_minor = FORGE_MINOR,
    .kind = FORGE_KIND,
    .name = FORGE_NAME,
    .version = "1",
    .summary = "Forged",
    .options = &options,
    .operations = &FORGE_TABLE,
    .check = check,
    .create = create,
    .destroy = destroy,
};

#ifdef FORGE_NO_ENTRY
GAVEL_PLUGIN(another)
#else
GAVEL_PLUGIN(forged)
#endif
{
    fill();
    (void)a_statemachine;
    (void)an_observer;
    (void)a_transport;
    (void)a_serializer;
#ifdef FORGE_OMIT
    FORGE_TABLE.FORGE_OMIT = 0;
#endif
#ifdef FORGE_OMIT_HEAD
    plugin.FORGE_OMIT_HEAD = 0;
#endif
#ifdef FORGE_UNDEFINED
    extern void nowhere(void);
    nowhere();
#endif
#ifdef FORGE_NO_HEAD
    return plugin.size ? NULL : &plugin;
#else
    return &plugin;
#endif
}
