/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.c - a machine with two state versions and options of the cluster, for the tests of settings and upgrades: one
 * source, DIAL_VERSION says which plugin it becomes.
 *
 * Version 1 turns the dial by what it is told. Version 2 turns it twice as far, counts the turns, and has the count in
 * its snapshot: another outcome of the same entry, and another form of the state. The plugin of version 2 acts as 1
 * until the barrier; that of version 1 knows of nothing else.
 */
#include <gavel/statemachine.h>

#ifndef DIAL_VERSION
#define DIAL_VERSION 2
#endif
#ifndef DIAL_OLDEST
#define DIAL_OLDEST 1
#endif

#define PASTE_TEXT(number) #number
#define TEXT(number) PASTE_TEXT(number)

struct options {
    uint64_t present;
    uint64_t limit;
    struct gavel_slice label;
    uint64_t local;
};

struct dial {
    const struct gavel_host *host;
    uint64_t limit;
    uint64_t label_size;
    char label[32];
    uint64_t version; /* it acts as this one */
    int64_t value;
    uint64_t turns; /* of version 2 */
};

static const struct gavel_field option_rows[] = {
    { .name = "limit", .id = 1, .type = GAVEL_UINT, .flags = GAVEL_REPLICATED,
      .offset = offsetof(struct options, limit), .fallback = "1000000", .min = 1, .max = 1000000, .help = "how far it "
                         "turns" },
    { .name = "label", .id = 2, .type = GAVEL_STRING, .flags = GAVEL_REPLICATED,
      .offset = offsetof(struct options, label), .max = 31, .fallback = "plain", .help = "what stands on it" },
    { .name = "local", .id = 3, .type = GAVEL_UINT, .offset = offsetof(struct options, local), .fallback = "0",
      .help = "not the cluster's" },
};
static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct options);

/* ---- commands ---------------------------------------------------------------------------------------------------- */

struct turn {
    uint64_t present;
    int64_t by;
    int64_t extra; /* since version 2 */
};

static const struct gavel_field turn_rows[] = {
    { .name = "by", .id = 1, .type = GAVEL_INT, .offset = offsetof(struct turn, by), .fallback = "1",
      .help = "how far" },
#if DIAL_VERSION >= 2
    { .name = "extra", .id = 2, .type = GAVEL_INT, .offset = offsetof(struct turn, extra), .fallback = "0",
      .help = "as far again" },
#endif
};
static const struct gavel_fields turn_fields = GAVEL_FIELDS(turn_rows, struct turn);

static int32_t run_turn(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct dial *self = context;
    const struct turn *turn = arguments;
    int64_t by = call->state_version >= 2 ? 2 * turn->by + turn->extra : turn->by;
    if (call->state_version < 2 && turn->present & 2)
        return gavel_fail(reply->error, GAVEL_E_LOCAL, "a turn of version %llu has an extra",
                          (unsigned long long)call->state_version);
    if (self->version != call->state_version)
        return gavel_fail(reply->error, GAVEL_E_LOCAL, "told to act as %llu, and asked to act as %llu",
                          (unsigned long long)self->version, (unsigned long long)call->state_version);
    if (self->value + by > (int64_t)self->limit)
        return gavel_fail(reply->error, GAVEL_E_INVALID, "the dial turns up to %llu", (unsigned long long)self->limit);
    self->value += by;
    self->turns += self->version >= 2;
    gavel_put_int(reply->out, self->value);
    return GAVEL_OK;
}

static int32_t run_look(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct dial *self = context;
    (void)arguments;
    gavel_put_map(reply->out, 5);
    gavel_put_key(reply->out, "value");
    gavel_put_int(reply->out, self->value);
    gavel_put_key(reply->out, "turns");
    gavel_put_uint(reply->out, self->turns);
    gavel_put_key(reply->out, "version");
    gavel_put_uint(reply->out, call->state_version);
    gavel_put_key(reply->out, "limit");
    gavel_put_uint(reply->out, self->limit);
    gavel_put_key(reply->out, "label");
    gavel_put_string(reply->out, gavel_bytes(self->label, self->label_size));
    gavel_put_end(reply->out);
    return GAVEL_OK;
}

#if DIAL_VERSION >= 2
static int32_t run_rest(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct dial *self = context;
    (void)call;
    (void)arguments;
    (void)reply;
    self->value = 0;
    return GAVEL_OK;
}
#endif

/* `turn` has had its extra, and `rest` been there, since version 2. */
static uint64_t since(uint64_t command, uint64_t field)
{
    return command == 3 || (command == 1 && field == 2) ? 2 : 0;
}

static const struct gavel_command commands[] = {
    { .name = "turn", .id = 1, .flags = GAVEL_WRITE, .arguments = &turn_fields, .run = run_turn, .help = "Turn it",
      .example = "by=2" },
    { .name = "look", .id = 2, .flags = GAVEL_READ, .run = run_look, .help = "Where it stands" },
#if DIAL_VERSION >= 2
    { .name = "rest", .id = 3, .flags = GAVEL_WRITE, .run = run_rest, .help = "Turn it back to where it began" },
#endif
};

static void tell_state(void *context, struct gavel_machine_state *state)
{
    struct dial *self = context;
    uint64_t words[3];
    words[0] = (uint64_t)self->value;
    words[1] = self->turns;
    words[2] = self->version;
    state->digest[0] = state->digest[1] = 0;
    gavel_digest_add(state->digest, gavel_text("dial"), gavel_bytes(words, sizeof words));
    state->entries = 1;
    state->changelog = 0;
}

/* ---- snapshot: the value, and from version 2 on the turns -------------------------------------------------------- */

static int32_t snapshot_begin(void *context, void **snapshot, struct gavel_error *error)
{
    (void)error;
    *snapshot = context;
    return GAVEL_OK;
}

static int32_t snapshot_next(void *context, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    struct dial *self = context;
    int32_t status = gavel_buffer_append(chunk, &self->value, sizeof self->value);
    (void)snapshot;
    (void)error;
    if (status == GAVEL_OK && self->version >= 2)
        status = gavel_buffer_append(chunk, &self->turns, sizeof self->turns);
    return status;
}

static void snapshot_end(void *context, void *snapshot)
{
    (void)context;
    (void)snapshot;
}

static int32_t restore_begin(void *context, uint64_t state_version, struct gavel_error *error)
{
    struct dial *self = context;
    if (state_version < DIAL_OLDEST || state_version > DIAL_VERSION)
        return gavel_fail(error, GAVEL_E_VERSION, "a snapshot of version %llu", (unsigned long long)state_version);
    self->version = state_version;
    self->value = 0;
    self->turns = 0;
    return GAVEL_OK;
}

static int32_t restore_chunk(void *context, struct gavel_slice chunk, struct gavel_error *error)
{
    struct dial *self = context;
    if (chunk.size != (self->version >= 2 ? 16 : 8))
        return gavel_fail(error, GAVEL_E_CORRUPT, "%llu bytes of a dial of version %llu",
                          (unsigned long long)chunk.size, (unsigned long long)self->version);
    memcpy(&self->value, chunk.data, sizeof self->value);
    if (self->version >= 2)
        memcpy(&self->turns, (const char *)chunk.data + 8, sizeof self->turns);
    return GAVEL_OK;
}

static int32_t restore_end(void *context, struct gavel_error *error)
{
    (void)context;
    (void)error;
    return GAVEL_OK;
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static int32_t act_as(void *context, uint64_t state_version, struct gavel_error *error)
{
    struct dial *self = context;
    (void)error;
    self->version = state_version;
    self->turns = 0; /* the new state: nothing was counted before */
    return GAVEL_OK;
}

static void take(struct dial *self, const struct options *options)
{
    self->limit = options->limit;
    self->label_size = options->label.size < sizeof self->label ? options->label.size : 0;
    memcpy(self->label, options->label.data ? options->label.data : "", (size_t)self->label_size);
}

static int32_t configure(void *context, const void *options, struct gavel_error *error)
{
    (void)error;
    take(context, options);
    return GAVEL_OK;
}

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

static int32_t check(const struct gavel_host *host, const void *options, struct gavel_error *error)
{
    const struct options *given = options;
    (void)host;
    if (gavel_slice_equal(given->label, gavel_text("wide")) && given->limit < 10)
        return gavel_fail(error, GAVEL_E_INVALID, "a wide label needs a limit of at least 10");
    return GAVEL_OK;
}

static int32_t create(const struct gavel_host *host, const void *options, void **instance, struct gavel_error *error)
{
    struct dial *self = host->heap->resize(host->heap->self, NULL, sizeof *self);
    if (!self)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a dial");
    memset(self, 0, sizeof *self);
    self->host = host;
    self->version = DIAL_OLDEST;
    take(self, options);
    *instance = self;
    return GAVEL_OK;
}

static void destroy(void *context)
{
    struct dial *self = context;
    if (self)
        (void)self->host->heap->resize(self->host->heap->self, self, 0);
}

static const struct gavel_statemachine operations = {
    .size = GAVEL_END(struct gavel_statemachine, since),
    .flags = GAVEL_BOUNDED,
    .state_version = DIAL_VERSION,
    .commands = commands,
    .command_count = sizeof commands / sizeof commands[0],
    .command_stride = sizeof commands[0],
    .state = tell_state,
    .snapshot_begin = snapshot_begin,
    .snapshot_next = snapshot_next,
    .snapshot_end = snapshot_end,
    .restore_begin = restore_begin,
    .restore_chunk = restore_chunk,
    .restore_end = restore_end,
    .state_version_oldest = DIAL_OLDEST,
    .act_as = act_as,
    .configure = configure,
    .since = since,
};

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_STATEMACHINE,
    .name = "dial",
    .version = TEXT(DIAL_VERSION) ".0",
    .summary = "A dial that turns, in two versions",
    .options = &option_fields,
    .operations = &operations,
    .check = check,
    .create = create,
    .destroy = destroy,
};

GAVEL_PLUGIN(dial)
{
    return &plugin;
}
