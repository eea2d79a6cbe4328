/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forge.c - a state machine and an observer that are broken on purpose: refusals.sh compiles this file once for each
 * refusal of the loader, with -DFORGE_... naming what is wrong.
 */
#include <gavel/observer.h>
#include <gavel/statemachine.h>

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
#define FORGE_KIND GAVEL_KIND_STATEMACHINE
#endif
#ifndef FORGE_HEAD_SIZE
#define FORGE_HEAD_SIZE GAVEL_END(struct gavel_plugin, destroy)
#endif
#ifndef FORGE_SIZE
#define FORGE_SIZE GAVEL_END(struct gavel_statemachine, maintain)
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

static int32_t run(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
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
    {.command = {"one", 1, FORGE_COMMAND_FLAGS, NULL, run, "Do one thing", NULL}},
    {.command = {"two", FORGE_SECOND_ID, GAVEL_READ, NULL, run, "Look at it", "x=1"}},
};

static void state(void *self, struct gavel_machine_state *out)
{
    (void)self;
    out->entries = 0;
}

#ifdef FORGE_NO_DIGEST
#define FORGE_STATE (0 ? state : NULL)
#else
#define FORGE_STATE state
#endif

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

static const struct gavel_statemachine operations = {
    .size = FORGE_SIZE,
    .flags = GAVEL_BOUNDED,
    .state_version = 1,
    .commands = &commands[0].command,
    .command_count = 2,
    .command_stride = sizeof commands[0],
    .state = FORGE_STATE,
    .snapshot_begin = begin,
    .snapshot_next = next,
    .snapshot_end = end,
    .restore_begin = restore_begin,
    .restore_chunk = restore_chunk,
    .restore_end = restore_end,
};

/* An observer that wants log events without a function to take them. */
static const struct gavel_observer deaf = {.size = GAVEL_END(struct gavel_observer, flush), .wants = 1};

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

static const struct gavel_plugin plugin = {
    .size = FORGE_HEAD_SIZE,
    .abi_major = FORGE_MAJOR,
    .abi_minor = FORGE_MINOR,
    .kind = FORGE_KIND,
    .name = FORGE_NAME,
    .version = "1",
    .summary = "Forged",
    .options = &options,
    .operations = FORGE_KIND == GAVEL_KIND_OBSERVER ? (const void *)&deaf : (const void *)&operations,
    .check = check,
#ifndef FORGE_NO_CREATE
    .create = create,
#endif
    .destroy = destroy,
};

#ifdef FORGE_NO_ENTRY
GAVEL_PLUGIN(another)
#else
GAVEL_PLUGIN(forged)
#endif
{
    (void)create;
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
