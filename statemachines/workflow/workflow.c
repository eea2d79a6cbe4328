/* SPDX-License-Identifier: Apache-2.0 */
/* workflow.c - the plugin: options, the table of commands, the steps that commands share, snapshot and restore. */
#include "workflow.h"

#include <assert.h>

#define WORKFLOW_MAGIC 0x676c5746u
#define SCRATCH_KEPT (64u << 10) /* a larger scratch buffer is given back after the command */

/* ---- options ----------------------------------------------------------------------------------------------------- */

static const struct gavel_field option_rows[] = {
    { .name = "key_bytes_max", .id = 1, .type = GAVEL_SIZE, .flags = GAVEL_REPLICATED,
      .offset = offsetof(struct workflow_options, key_bytes_max), .fallback = "1024", .min = 16, .max = STORE_KEY_MAX,
      .unit = "bytes", .help = "longest key" },
    { .name = "value_bytes_max", .id = 2, .type = GAVEL_SIZE, .flags = GAVEL_REPLICATED,
      .offset = offsetof(struct workflow_options, value_bytes_max), .fallback = "512KiB", .min = 64,
      .max = 960 << 10, .unit = "bytes", .help = "largest value, encoded" },
    { .name = "history_revisions", .id = 3, .type = GAVEL_UINT, .flags = GAVEL_REPLICATED,
      .offset = offsetof(struct workflow_options, history_revisions), .fallback = "10000", .min = 0,
      .max = INT64_C(1000000), .unit = "revisions", .help = "changes kept, for reads in the past" },
    { .name = "history_bytes", .id = 4, .type = GAVEL_SIZE, .flags = GAVEL_REPLICATED,
      .offset = offsetof(struct workflow_options, history_bytes), .fallback = "64MiB", .min = 0,
      .max = INT64_C(1) << 40, .unit = "bytes", .help = "replaced values kept, for reads in the past" },
};
static const struct gavel_fields options_fields = GAVEL_FIELDS(option_rows, struct workflow_options);

/* ---- steps of commands ------------------------------------------------------------------------------------------- */

struct workflow *workflow_of(void *self)
{
    struct workflow *workflow = self;
    assert(workflow->magic == WORKFLOW_MAGIC);
    return workflow;
}

static int32_t out_of_memory(struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_LOCAL, "no memory to apply a command");
}

int32_t workflow_begin(struct workflow *self, const struct gavel_call *call, struct gavel_error *error)
{
    self->staged_bytes = 0;
    if (store_begin(&self->store, call->index) == GAVEL_OK)
        return GAVEL_OK;
    return gavel_fail(error, GAVEL_E_LOCAL, "entry %llu comes after revision %llu was applied",
                      (unsigned long long)call->index, (unsigned long long)revision_index(self->store.last));
}

int32_t workflow_explain(struct workflow *self, int32_t status, struct gavel_error *error)
{
    if (status == GAVEL_E_NO_MEMORY)
        return out_of_memory(error);
    if (status == GAVEL_E_TOO_LARGE)
        return gavel_fail(error, status, "the new value has more than %llu bytes (value_bytes_max)",
                          (unsigned long long)self->options.value_bytes_max);
    if (status == GAVEL_E_CORRUPT)
        return gavel_fail(error, GAVEL_E_INVALID, "not a document");
    return status; /* it has its sentence */
}

int32_t workflow_missing(const char *name, struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_INVALID, "'%s' is missing", name);
}

struct gavel_buffer *workflow_scratch(struct workflow *self)
{
    self->scratch.size = 0;
    return &self->scratch;
}

int32_t workflow_stage(struct workflow *self, struct gavel_slice key, struct gavel_slice value, const char *event,
                       struct gavel_error *error)
{
    uint64_t at = self->store.staged_count;
    struct item *item;
    int32_t status;
    self->staged_bytes += value.size;
    if (self->staged_bytes > ENTRY_BYTES_MAX)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "the entry makes more than %u bytes of values", ENTRY_BYTES_MAX);
    status = store_stage(&self->store, key, value, &item);
    if (status == GAVEL_E_NO_MEMORY)
        return out_of_memory(error);
    if (status != GAVEL_OK)
        return gavel_fail(error, status, "more than %d changes in one entry", STORE_CHANGES_MAX);
    self->events[at] = event;
    return GAVEL_OK;
}

static void emit(const struct item *item, const char *type, struct gavel_reply *reply)
{
    struct gavel_event event = { .size = GAVEL_END(struct gavel_event, previous), .type = type,
                                 .key = item_key(item) };
    if (item->bytes[0] == RESERVED_BYTE)
        event.key = gavel_bytes(item->bytes + PREFIX_BYTES, item->key_size - PREFIX_BYTES);
    if (item->version)
        event.value = item_value(item);
    if (item->older && item->older->version)
        event.previous = item_value(item->older);
    reply->emit(reply->context, &event);
}

int32_t workflow_commit(struct workflow *self, struct gavel_reply *reply)
{
    uint64_t i;
    if (store_reserve(&self->store) != GAVEL_OK)
        return workflow_abort(self, out_of_memory(reply->error));
    for (i = 0; reply->emit && i < self->store.staged_count; i++)
        emit(self->store.staged[i], self->events[i], reply);
    return GAVEL_OK;
}

static void shrink_scratch(struct workflow *self)
{
    if (self->scratch.capacity > SCRATCH_KEPT)
        gavel_buffer_free(&self->scratch);
}

void workflow_apply(struct workflow *self)
{
    store_apply(&self->store);
    shrink_scratch(self);
}

int32_t workflow_abort(struct workflow *self, int32_t status)
{
    assert(status != GAVEL_OK);
    store_abort(&self->store);
    shrink_scratch(self);
    return status;
}

int32_t workflow_bound(const struct workflow *self, const struct gavel_call *call, uint64_t revision, uint64_t *bound,
                       struct gavel_error *error)
{
    *bound = UINT64_MAX;
    if (revision == 0)
        return GAVEL_OK;
    if (revision > call->index)
        return gavel_fail(error, GAVEL_E_INVALID, "revision %llu has not happened yet: the latest is %llu",
                          (unsigned long long)revision, (unsigned long long)call->index);
    *bound = revision_bound(revision);
    if (store_reaches(&self->store, *bound))
        return GAVEL_OK;
    return gavel_fail(error, GAVEL_E_COMPACTED, "revision %llu is compacted: the oldest is %llu",
                      (unsigned long long)revision, (unsigned long long)revision_index(self->store.trimmed));
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

void workflow_put_key(struct gavel_writer *out, struct gavel_slice key)
{
    if (document_utf8(key))
        gavel_put_string(out, key);
    else
        gavel_put_bytes(out, key);
}

void workflow_put_document(struct gavel_writer *out, struct gavel_slice document)
{
    assert(out->ops->msgpack); /* what a host hands to a machine makes MessagePack */
    if (document.data)
        out->ops->msgpack(out, document);
    else
        gavel_put_nil(out);
}

void workflow_put_number(struct gavel_writer *out, const char *name, uint64_t number)
{
    gavel_put_key(out, name);
    gavel_put_uint(out, number);
}

void workflow_put_item(struct gavel_writer *out, const struct item *item)
{
    gavel_put_map(out, 5);
    gavel_put_key(out, "key");
    workflow_put_key(out, item_key(item));
    gavel_put_key(out, "value");
    workflow_put_document(out, item_value(item));
    workflow_put_number(out, "create_revision", revision_index(item->create));
    workflow_put_number(out, "mod_revision", revision_index(item_modify(item)));
    workflow_put_number(out, "version", item->version);
    gavel_put_end(out);
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

#define COMPACT_ID 20

/*
 * Each write trims what it puts over the limits. Only after a limit was lowered by more than a write's worth is
 * there something left: then the leader asks for this, so that it happens at the same entry everywhere.
 */
static int32_t run_compact(void *context, const struct gavel_call *call, const void *arguments,
                           struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    (void)call;
    (void)arguments;
    return store_compact(&self->store) == GAVEL_OK ? GAVEL_OK : out_of_memory(reply->error);
}

static uint64_t maintain(void *context, uint64_t tick_ms, struct gavel_buffer *arguments)
{
    struct workflow *self = workflow_of(context);
    static const unsigned char none[] = { 0x80 };
    (void)tick_ms;
    if (!store_over(&self->store) || gavel_buffer_append(arguments, none, sizeof none) != GAVEL_OK)
        return 0;
    return COMPACT_ID;
}

#define READ(number, what, example_, help_) \
    { .name = #what, .id = (number), .flags = GAVEL_READ, .arguments = &what##_fields, .run = run_##what, \
      .help = help_, .example = example_ }
#define WRITE(number, what, example_, help_) \
    { .name = #what, .id = (number), .flags = GAVEL_WRITE, .arguments = &what##_fields, .run = run_##what, \
      .help = help_, .example = example_ }

static const struct gavel_command commands[] = {
    READ(1, get, "key=color", "Answer the value of a key and its revisions"),
    WRITE(2, set, "key=color value=blue", "Give a key a new value"),
    WRITE(3, delete, "key=color", "Take a key out"),
    WRITE(4, update, "key=user/7 patch='{\"name\":\"Ada\",\"phone\":null}'", "Merge a patch into the value of a key"),
    WRITE(5, incr, "key=visits by=2", "Add to a whole number in the value of a key, and answer it"),
    WRITE(6, cas, "key=color expect=blue value=green", "Give a key a new value if it still has the expected one"),
    WRITE(7, batch, "items='[{\"op\":\"set\",\"key\":\"a\",\"value\":1},{\"op\":\"delete\",\"key\":\"b\"}]'",
          "Do several changes in one entry, all or none"),
    READ(8, range, "from=a to=n limit=10", "Answer the keys between two, with their values"),
    READ(9, prefix, "prefix=user/", "Answer the keys that begin with something, with their values"),
    READ(10, keys, "prefix=user/", "Answer keys without their values"),
    READ(11, count, "prefix=user/", "Answer how many keys there are"),
    WRITE(12, start_workflow, "workflow_id=import data='{\"step\":1}'", "Start a workflow"),
    { .name = "stop_workflow", .id = 13, .flags = GAVEL_WRITE, .arguments = &workflow_fields, .run = run_stop_workflow,
      .help = "Stop a workflow; again gives the same answer", .example = "workflow_id=import" },
    WRITE(14, update_state, "workflow_id=import data='{\"step\":2}'", "Merge a patch into the state of a workflow"),
    { .name = "get_workflow", .id = 15, .flags = GAVEL_READ, .arguments = &workflow_fields, .run = run_get_workflow,
      .help = "Answer one workflow with its state", .example = "workflow_id=import" },
    READ(16, list_workflows, "status=running", "Answer the workflows, in the order of their names"),
    WRITE(17, register_node, "node_id=worker-1 data='{\"zone\":\"a\"}'", "Write down what is known of a node"),
    { .name = "deregister_node", .id = 18, .flags = GAVEL_WRITE, .arguments = &node_fields,
      .run = run_deregister_node, .help = "Forget a node", .example = "node_id=worker-1" },
    READ(19, list_nodes, "limit=10", "Answer the registered nodes, in the order of their names"),
    { .name = "compact", .id = COMPACT_ID, .flags = GAVEL_WRITE | GAVEL_INTERNAL, .run = run_compact,
      .help = "Trim the history after its limits were lowered" },
};

/* ---- state, snapshot, restore ------------------------------------------------------------------------------------ */

static void tell_state(void *context, struct gavel_machine_state *state)
{
    struct workflow *self = workflow_of(context);
    store_digest(&self->store, state->digest);
    state->entries = btree_count(&self->store.live);
    state->changelog = btree_count(&self->store.history);
}

static int32_t snapshot_begin(void *context, void **snapshot, struct gavel_error *error)
{
    struct workflow *self = workflow_of(context);
    struct store_snapshot *made;
    if (store_snapshot_begin(&self->store, &made) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to begin a snapshot");
    *snapshot = made;
    return GAVEL_OK;
}

/* [worker]: nothing of `context` is touched. */
static int32_t snapshot_next(void *context, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    int32_t status = store_snapshot_next(snapshot, chunk);
    (void)context;
    return status >= 0 ? status : gavel_fail(error, status, "no memory for a chunk of a snapshot");
}

static void snapshot_end(void *context, void *snapshot)
{
    store_snapshot_end(&workflow_of(context)->store, snapshot);
}

static int32_t restore_begin(void *context, uint64_t state_version, struct gavel_error *error)
{
    struct workflow *self = workflow_of(context);
    if (state_version != 1)
        return gavel_fail(error, GAVEL_E_VERSION, "a snapshot of state version %llu, this store knows only 1",
                          (unsigned long long)state_version);
    store_clear(&self->store);
    memset(&self->restore, 0, sizeof self->restore);
    return GAVEL_OK;
}

/* A snapshot may be damaged or forged: commands rely on documents, on names that are text, on the data of records. */
static int32_t check_restored(struct gavel_slice key, struct gavel_slice value)
{
    const unsigned char *bytes = key.data;
    if (bytes[0] == RESERVED_BYTE &&
        (key.size <= PREFIX_BYTES || key.size > PREFIX_BYTES + ID_BYTES_MAX || (bytes[1] != 'w' && bytes[1] != 'n') ||
         !document_utf8(gavel_bytes(bytes + PREFIX_BYTES, key.size - PREFIX_BYTES))))
        return GAVEL_E_CORRUPT;
    if (!value.data)
        return GAVEL_OK;
    if (document_check(value) != GAVEL_OK || (bytes[0] == RESERVED_BYTE && !document_find(value, "data").data))
        return GAVEL_E_CORRUPT;
    return GAVEL_OK;
}

static int32_t restore_chunk(void *context, struct gavel_slice chunk, struct gavel_error *error)
{
    struct workflow *self = workflow_of(context);
    int32_t status = store_restore_chunk(&self->store, &self->restore, chunk, check_restored, error);
    if (status != GAVEL_OK)
        store_clear(&self->store);
    return status;
}

static int32_t restore_end(void *context, struct gavel_error *error)
{
    struct workflow *self = workflow_of(context);
    int32_t status = store_restore_end(&self->restore, error);
    if (status != GAVEL_OK)
        store_clear(&self->store);
    return status;
}

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

static int32_t create(const struct gavel_host *host, const void *options, void **instance, struct gavel_error *error)
{
    struct workflow *self = host->heap->resize(host->heap->self, NULL, sizeof *self);
    struct store_limits limits;
    if (!self)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a store");
    memset(self, 0, sizeof *self);
    self->magic = WORKFLOW_MAGIC;
    self->host = host;
    memcpy(&self->options, options, sizeof self->options);
    self->scratch.heap = host->heap;
    self->scratch.limit = self->options.value_bytes_max;
    limits.history_revisions = self->options.history_revisions;
    limits.history_bytes = self->options.history_bytes;
    store_init(&self->store, host->heap, &limits);
    *instance = self;
    return GAVEL_OK;
}

/* Nothing is taken back of what is there: a longer value stays, and the history shrinks as if it had grown too long. */
static int32_t configure(void *context, const void *options, struct gavel_error *error)
{
    struct workflow *self = workflow_of(context);
    (void)error;
    memcpy(&self->options, options, sizeof self->options);
    gavel_buffer_free(&self->scratch); /* what it has room for is not held against the limit: the same on every node */
    self->scratch.limit = self->options.value_bytes_max;
    self->store.limits.history_revisions = self->options.history_revisions;
    self->store.limits.history_bytes = self->options.history_bytes;
    return GAVEL_OK;
}

static void destroy(void *context)
{
    struct workflow *self;
    const struct gavel_heap *heap;
    if (!context)
        return;
    self = workflow_of(context);
    heap = self->host->heap;
    store_free(&self->store);
    gavel_buffer_free(&self->scratch);
    self->magic = 0;
    (void)heap->resize(heap->self, self, 0);
}

static const struct gavel_statemachine operations = {
    .size = GAVEL_END(struct gavel_statemachine, configure),
    .flags = GAVEL_BOUNDED | GAVEL_CONCURRENT,
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
    .maintain = maintain,
    .configure = configure,
};

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_STATEMACHINE,
    .name = "workflow",
    .version = "0.1.0",
    .summary = "A key-value store with revisions, and workflows in it",
    .options = &options_fields,
    .operations = &operations,
    .create = create,
    .destroy = destroy,
};

GAVEL_PLUGIN(workflow)
{
    return &plugin;
}
