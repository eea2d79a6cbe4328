/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counter.c - named counters: the smallest useful state machine, and the example to copy from. It is a struct, two
 * commands, a digest and a snapshot; durability, retries, membership, watches and the command line are the host's.
 *
 * The state is one sorted array of fixed size, so nothing is allocated in `run` and no command can run out of memory.
 */
#include <gavel/statemachine.h>

#define NAME_BYTES_MAX 48 /* makes a record of 64 bytes */
#define COUNTERS_MAX 1024 /* makes a state of 64 KiB: one snapshot chunk */

struct record {
    int64_t value;
    uint64_t name_size;
    unsigned char name[NAME_BYTES_MAX]; /* zeros behind the name */
};

struct counter {
    const struct gavel_host *host;
    uint64_t count;
    uint64_t digest[2];
    struct record records[COUNTERS_MAX]; /* sorted by name */
};

static struct gavel_slice name_of(const struct record *record)
{
    return gavel_bytes(record->name, record->name_size);
}

/* The record called `name`, or (*found is 0) the place where it would have to be. */
static struct record *find(struct counter *self, struct gavel_slice name, int *found)
{
    uint64_t low = 0;
    uint64_t high = self->count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (gavel_slice_compare(name_of(&self->records[middle]), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < self->count && gavel_slice_equal(name_of(&self->records[low]), name);
    return &self->records[low];
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

struct arguments {
    uint64_t present; /* begins every struct that a field table describes */
    struct gavel_slice name;
    int64_t by;
};

static const struct gavel_field rows[] = {
    { .name = "name", .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED | GAVEL_KEY,
      .offset = offsetof(struct arguments, name), .min = 1, .max = NAME_BYTES_MAX, .unit = "bytes",
      .help = "name of the counter" },
    { .name = "by", .id = 2, .type = GAVEL_INT, .offset = offsetof(struct arguments, by), .fallback = "1",
      .help = "what to add; may be negative" },
};
static const struct gavel_fields increment_fields = GAVEL_FIELDS(rows, struct arguments);
static const struct gavel_fields get_fields = { rows, 1, sizeof rows[0], sizeof(struct arguments) }; /* the name only */

/* What a watcher gets is MessagePack: 0xd3 and eight bytes, the biggest first, are a whole number. */
static void tell_watchers(const struct record *record, struct gavel_reply *reply)
{
    unsigned char value[9] = { 0xd3 };
    struct gavel_event event = { .size = GAVEL_END(struct gavel_event, previous), .type = "set",
                                 .key = name_of(record), .value = gavel_bytes(value, sizeof value) };
    int i;
    for (i = 1; i <= 8; i++)
        value[i] = (unsigned char)((uint64_t)record->value >> (64 - 8 * i));
    reply->emit(reply->context, &event);
}

static int32_t run_increment(void *context, const struct gavel_call *call, const void *arguments,
                             struct gavel_reply *reply)
{
    struct counter *self = context;
    const struct arguments *wanted = arguments;
    int found;
    struct record *record = find(self, wanted->name, &found);
    int64_t value;

    (void)call; /* the index, the cluster's time and a seed, for machines that want them */
    if (wanted->name.size == 0) /* the host asks for it when a command is taken, and no more in what the log has */
        return gavel_fail(reply->error, GAVEL_E_INVALID, "'name' is missing");
    if (!found && self->count == COUNTERS_MAX)
        return gavel_fail(reply->error, GAVEL_E_TOO_LARGE, "there are %d counters, and no more fit", COUNTERS_MAX);
    if (__builtin_add_overflow(found ? record->value : 0, wanted->by, &value))
        return gavel_fail(reply->error, GAVEL_E_INVALID, "the counter would leave the range of 64 bits");

    if (found) {
        gavel_digest_remove(self->digest, name_of(record), gavel_bytes(&record->value, sizeof record->value));
    } else {
        memmove(record + 1, record, (size_t)(self->records + self->count - record) * sizeof *record);
        memset(record, 0, sizeof *record);
        memcpy(record->name, wanted->name.data, wanted->name.size); /* the table bounds its size */
        record->name_size = wanted->name.size;
        self->count++;
    }
    record->value = value;
    gavel_digest_add(self->digest, name_of(record), gavel_bytes(&record->value, sizeof record->value));

    tell_watchers(record, reply);
    gavel_put_int(reply->out, value);
    return GAVEL_OK;
}

static int32_t run_get(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct counter *self = context;
    const struct arguments *wanted = arguments;
    int found;
    const struct record *record = find(self, wanted->name, &found);

    (void)call;
    if (!found)
        return gavel_fail(reply->error, GAVEL_E_NOT_FOUND, "there is no such counter");
    gavel_put_int(reply->out, record->value);
    return GAVEL_OK;
}

static const struct gavel_command commands[] = {
    { .name = "increment", .id = 1, .flags = GAVEL_WRITE, .arguments = &increment_fields, .run = run_increment,
      .help = "Add to a counter, which begins at 0, and answer its new value", .example = "name=visits by=2" },
    { .name = "get", .id = 2, .flags = GAVEL_READ, .arguments = &get_fields, .run = run_get,
      .help = "Answer the value of a counter", .example = "name=visits" },
};

/* ---- state, snapshot, restore ------------------------------------------------------------------------------------ */

static void tell_state(void *context, struct gavel_machine_state *state)
{
    struct counter *self = context;
    state->digest[0] = self->digest[0];
    state->digest[1] = self->digest[1];
    state->entries = self->count;
    state->changelog = 0;
}

/* Without GAVEL_CONCURRENT no command runs between begin and end: there is nothing to hold. */
static int32_t snapshot_begin(void *context, void **snapshot, struct gavel_error *error)
{
    (void)error;
    *snapshot = context;
    return GAVEL_OK;
}

static int32_t snapshot_next(void *context, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    struct counter *self = context;
    (void)snapshot;
    if (gavel_buffer_append(chunk, self->records, self->count * sizeof self->records[0]) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for %zu bytes of counters", sizeof self->records);
    return 0; /* that was all */
}

static void snapshot_end(void *context, void *snapshot)
{
    (void)context;
    (void)snapshot;
}

static int32_t restore_begin(void *context, uint64_t state_version, struct gavel_error *error)
{
    struct counter *self = context;
    if (state_version != 1)
        return gavel_fail(error, GAVEL_E_VERSION, "a snapshot of state version %llu, this counter knows only 1",
                          (unsigned long long)state_version);
    self->count = 0;
    self->digest[0] = self->digest[1] = 0;
    return GAVEL_OK;
}

/* A snapshot may be damaged or forged: everything that the commands rely on is checked before it is taken. */
static int32_t restore_chunk(void *context, struct gavel_slice chunk, struct gavel_error *error)
{
    static const unsigned char zeros[NAME_BYTES_MAX];
    struct counter *self = context;
    uint64_t at;

    for (at = 0; at + sizeof(struct record) <= chunk.size && self->count < COUNTERS_MAX; at += sizeof(struct record)) {
        struct record *record = &self->records[self->count];
        memcpy(record, (const unsigned char *)chunk.data + at, sizeof *record);
        if (record->name_size < 1 || record->name_size > NAME_BYTES_MAX ||
            memcmp(record->name + record->name_size, zeros, NAME_BYTES_MAX - record->name_size) != 0 ||
            (self->count > 0 && gavel_slice_compare(name_of(record - 1), name_of(record)) >= 0))
            return gavel_fail(error, GAVEL_E_CORRUPT, "counter %llu of the snapshot is damaged or out of order",
                              (unsigned long long)self->count);
        self->count++;
        gavel_digest_add(self->digest, name_of(record), gavel_bytes(&record->value, sizeof record->value));
    }
    if (at != chunk.size)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a snapshot chunk of counters has an impossible size");
    return GAVEL_OK;
}

static int32_t restore_end(void *context, struct gavel_error *error)
{
    (void)context;
    (void)error;
    return GAVEL_OK;
}

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

static int32_t create(const struct gavel_host *host, const void *options, void **instance, struct gavel_error *error)
{
    struct counter *self = host->heap->resize(host->heap->self, NULL, sizeof *self);
    (void)options;
    if (!self)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for %zu bytes of counters", sizeof *self);
    memset(self, 0, sizeof *self);
    self->host = host;
    *instance = self;
    return GAVEL_OK;
}

static void destroy(void *context)
{
    struct counter *self = context;
    if (self)
        (void)self->host->heap->resize(self->host->heap->self, self, 0);
}

static const struct gavel_statemachine operations = {
    .size = GAVEL_END(struct gavel_statemachine, maintain),
    .flags = GAVEL_BOUNDED,
    .state_version = 1,
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
};

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_STATEMACHINE,
    .name = "counter",
    .version = "0.1.0",
    .summary = "Named counters: the smallest useful state machine",
    .operations = &operations,
    .create = create,
    .destroy = destroy,
};

GAVEL_PLUGIN(counter)
{
    return &plugin;
}
