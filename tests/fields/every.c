/* SPDX-License-Identifier: Apache-2.0 */
/*
 * every.c - a state machine whose tables hold every type and every flag, and texts that are hostile to roff, INI,
 * shells and JSON. products.sh builds it, once more with EXTRA, and looks for its rows in all that is made of tables.
 */
#include <gavel/statemachine.h>

#include <stddef.h>

struct inner {
    uint64_t present;
    struct gavel_slice cert;
    uint64_t strict;
};

struct every {
    uint64_t present;
    uint64_t flag;
    uint64_t count;
    int64_t offset;
    double ratio;
    uint64_t pause;
    uint64_t room;
    struct gavel_slice label;
    struct gavel_slice blob;
    struct gavel_slice document;
    uint64_t mode;
    struct inner tls;
    struct gavel_list names;
    struct gavel_slice password;
    uint64_t old_count;
    struct gavel_list rules;
    struct gavel_slice extra;
};

#define AT(type, member) offsetof(struct type, member)

static const char *const modes[] = {"slow", "fast", "Ar", NULL};

static const struct gavel_field inner_rows[] = {
    {.name = "cert", .id = 1, .type = GAVEL_STRING, .offset = AT(inner, cert), .max = 100, .fallback = "/etc/cert.pem",
     .help = "a certificate's file"},
    {.name = "strict", .id = 2, .type = GAVEL_BOOL, .offset = AT(inner, strict), .fallback = "yes",
     .help = "whether it must be valid"},
};
static const struct gavel_fields inner_fields = GAVEL_FIELDS(inner_rows, struct inner);

/* The rows that an INI section may hold and those of the command are the same but for the list of records. */
#define EVERY_ROWS \
    {.name = "flag", .id = 1, .type = GAVEL_BOOL, .offset = AT(every, flag), .fallback = "no", \
     .help = ".Sh IS NO SECTION: a leading dot, \\fBno bold\\fP, \\n(nx, a \"quote\" and 'another'"}, \
    {.name = "count", .id = 2, .type = GAVEL_UINT, .flags = GAVEL_RELOADABLE, .offset = AT(every, count), \
     .fallback = "7", .min = 1, .max = 1000, .unit = "pieces", .help = "'leading quote, --two-dashes and - a dash"}, \
    {.name = "offset", .id = 3, .type = GAVEL_INT, .flags = GAVEL_REPLICATED, .offset = AT(every, offset), \
     .fallback = "-5", .min = -10, .max = 10, .help = "may be below zero. A second sentence; with ~ and ^ and `"}, \
    {.name = "ratio", .id = 4, .type = GAVEL_REAL, .offset = AT(every, ratio), .fallback = "0.5", \
     .help = "100% of ${HOME} and $(HOME)"}, \
    {.name = "pause", .id = 5, .type = GAVEL_DURATION, .offset = AT(every, pause), .fallback = "90s", .min = 1000, \
     .max = 3600000, .help = "how long, caf\xc3\xa9 \xe2\x82\xac"}, \
    {.name = "room", .id = 6, .type = GAVEL_SIZE, .offset = AT(every, room), .fallback = "64KiB", .min = 1024, \
     .help = "bytes, at least some"}, \
    {.name = "label", .id = 7, .type = GAVEL_STRING, .flags = GAVEL_KEY, .offset = AT(every, label), \
     .fallback = "$" "{not_a_variable}", .min = 1, .max = 64, .help = "a text\nof two lines"}, \
    {.name = "blob", .id = 8, .type = GAVEL_BYTES, .offset = AT(every, blob), .min = 0, .max = 16, .help = "bytes"}, \
    {.name = "document", .id = 9, .type = GAVEL_VALUE, .offset = AT(every, document), .help = "any document"}, \
    {.name = "mode", .id = 10, .type = GAVEL_CHOICE, .offset = AT(every, mode), .choices = modes, .fallback = "fast", \
     .help = "how it goes"}, \
    {.name = "tls", .id = 11, .type = GAVEL_RECORD, .offset = AT(every, tls), .sub = &inner_fields, \
     .help = "how it is secured"}, \
    {.name = "names", .id = 12, .type = GAVEL_LIST, .element = GAVEL_STRING, .offset = AT(every, names), \
     .fallback = "a, b", .min = 1, .max = 8, .help = "some names"}, \
    {.name = "password", .id = 13, .type = GAVEL_STRING, .flags = GAVEL_SECRET, .offset = AT(every, password), \
     .fallback = "hunter2", .help = "a secret with a default"}, \
    {.name = "old_count", .id = 14, .type = GAVEL_UINT, .flags = GAVEL_DEPRECATED, .offset = AT(every, old_count), \
     .help = "use count"}

#ifdef EXTRA
#define EXTRA_ROWS \
    , {.name = "extra_option", .id = 16, .type = GAVEL_STRING, .offset = AT(every, extra), .fallback = "more", \
       .help = "added later"}
#else
#define EXTRA_ROWS
#endif

static const struct gavel_field option_rows[] = {EVERY_ROWS EXTRA_ROWS};
static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct every);

static const struct gavel_field argument_rows[] = {
    EVERY_ROWS,
    {.name = "rules", .id = 15, .type = GAVEL_LIST, .flags = GAVEL_REQUIRED, .offset = AT(every, rules),
     .sub = &inner_fields, .min = 1, .max = 4, .help = "records in a list"} EXTRA_ROWS,
};
static const struct gavel_fields argument_fields = GAVEL_FIELDS(argument_rows, struct every);

static int32_t run(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    (void)self;
    (void)call;
    (void)arguments;
    (void)reply;
    return GAVEL_OK;
}

static const struct gavel_command commands[] = {
    {.name = "touch", .id = 1, .flags = GAVEL_WRITE, .arguments = &argument_fields, .run = run,
     .help = "change every one of them. .br A line that begins with a dot",
     .example = "rules='[{\"cert\":\"a\\\\b\"}]' mode=slow"},
    {.name = "look", .id = 2, .flags = GAVEL_READ, .run = run, .help = "look at nothing"},
    {.name = "sweep", .id = 3, .flags = GAVEL_WRITE | GAVEL_INTERNAL, .run = run, .help = "asked for by itself"},
};

static void state(void *self, struct gavel_machine_state *out)
{
    (void)self;
    (void)out;
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

static const struct gavel_statemachine machine = {
    .size = GAVEL_END(struct gavel_statemachine, maintain),
    .flags = GAVEL_BOUNDED | GAVEL_CONCURRENT,
    .state_version = 3,
    .commands = commands,
    .command_count = sizeof commands / sizeof commands[0],
    .command_stride = sizeof commands[0],
    .state = state,
    .snapshot_begin = begin,
    .snapshot_next = next,
    .snapshot_end = end,
    .restore_begin = restore_begin,
    .restore_chunk = restore_chunk,
    .restore_end = restore_end,
};

static int one;

static int32_t create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    (void)host;
    (void)options;
    (void)error;
    *self = &one;
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
    .kind = GAVEL_KIND_STATEMACHINE,
    .name = "every",
    .version = "1.2.3",
    .summary = "One of everything",
    .options = &option_fields,
    .operations = &machine,
    .create = create,
    .destroy = destroy,
};

GAVEL_PLUGIN(every)
{
    return &plugin;
}
