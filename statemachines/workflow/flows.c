/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flows.c - the commands on workflows and nodes. A record is a document under a reserved key:
 *
 *   ff w ID   {data, started_ms, status, [stopped_ms,] updated_ms}     status: "running" or "stopped"
 *   ff n ID   {data, registered_ms}
 *
 * Times are the proposing leader's wall clock, for people.
 */
#include "workflow.h"

#include <assert.h>

static const unsigned char empty_map[] = { 0x80 };

/* ---- keys and records -------------------------------------------------------------------------------------------- */

struct record_key {
    unsigned char bytes[PREFIX_BYTES + ID_BYTES_MAX];
};

/* The key of a record; `id` is at most ID_BYTES_MAX, by the tables. */
static struct gavel_slice key_of(struct record_key *key, const char *prefix, struct gavel_slice id)
{
    assert(id.size <= ID_BYTES_MAX);
    memcpy(key->bytes, prefix, PREFIX_BYTES);
    if (id.size)
        memcpy(key->bytes + PREFIX_BYTES, id.data, id.size);
    return gavel_bytes(key->bytes, PREFIX_BYTES + id.size);
}

static struct gavel_slice id_of(const struct item *item)
{
    return gavel_bytes(item->bytes + PREFIX_BYTES, item->key_size - PREFIX_BYTES);
}

/* A workflow, as its record tells. */
struct flow {
    struct gavel_slice data;
    uint64_t running;
    uint64_t started_ms;
    uint64_t updated_ms;
    uint64_t stopped_ms; /* when it is not running */
};

static uint64_t is_running(struct gavel_slice record)
{
    return (uint64_t)gavel_slice_equal(document_string(document_find(record, "status")), gavel_text("running"));
}

static struct flow flow_of(const struct item *item)
{
    struct gavel_slice record = item_value(item);
    struct flow flow;
    flow.data = document_find(record, "data");
    flow.running = is_running(record);
    flow.started_ms = document_uint(document_find(record, "started_ms"), 0);
    flow.updated_ms = document_uint(document_find(record, "updated_ms"), 0);
    flow.stopped_ms = document_uint(document_find(record, "stopped_ms"), 0);
    return flow;
}

static int32_t put_member(struct gavel_buffer *made, const char *name, uint64_t number)
{
    int32_t status = document_put_string(made, gavel_text(name));
    return status == GAVEL_OK ? document_put_uint(made, number) : status;
}

/* Make the record of a workflow: its data merged with `patch` (data NULL: as it is), names in ascending order. */
static int32_t make_flow(struct gavel_buffer *made, const struct flow *flow, struct gavel_slice patch)
{
    int32_t status = document_put_map(made, flow->running ? 4 : 5);
    if (status == GAVEL_OK)
        status = document_put_string(made, gavel_text("data"));
    if (status == GAVEL_OK)
        status = patch.data ? document_merge(flow->data, patch, made)
                            : gavel_buffer_append(made, flow->data.data, flow->data.size);
    if (status == GAVEL_OK)
        status = put_member(made, "started_ms", flow->started_ms);
    if (status == GAVEL_OK)
        status = document_put_string(made, gavel_text("status"));
    if (status == GAVEL_OK)
        status = document_put_string(made, gavel_text(flow->running ? "running" : "stopped"));
    if (status == GAVEL_OK && !flow->running)
        status = put_member(made, "stopped_ms", flow->stopped_ms);
    return status == GAVEL_OK ? put_member(made, "updated_ms", flow->updated_ms) : status;
}

/* What every command on a workflow answers; `data` only where it is asked for. */
static void put_flow(struct gavel_writer *out, const struct item *item, int with_data)
{
    struct flow flow = flow_of(item);
    gavel_put_map(out, 6 + !flow.running + (with_data != 0));
    gavel_put_key(out, "workflow_id");
    gavel_put_string(out, id_of(item));
    gavel_put_key(out, "status");
    gavel_put_text(out, flow.running ? "running" : "stopped");
    workflow_put_number(out, "revision", revision_index(item_modify(item)));
    workflow_put_number(out, "version", item->version);
    workflow_put_number(out, "started_ms", flow.started_ms);
    workflow_put_number(out, "updated_ms", flow.updated_ms);
    if (!flow.running)
        workflow_put_number(out, "stopped_ms", flow.stopped_ms);
    if (with_data) {
        gavel_put_key(out, "data");
        workflow_put_document(out, flow.data);
    }
    gavel_put_end(out);
}

static int32_t no_flow(struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_NOT_FOUND, "there is no such workflow");
}

/* Write the record of a workflow under `key`, and answer it. */
static int32_t change_flow(struct workflow *self, const struct gavel_call *call, struct gavel_slice key,
                           const struct flow *flow, struct gavel_slice patch, const char *event,
                           struct gavel_reply *reply)
{
    struct gavel_buffer *made = workflow_scratch(self);
    int32_t status = workflow_begin(self, call, reply->error);
    if (status == GAVEL_OK)
        status = make_flow(made, flow, patch);
    if (status != GAVEL_OK)
        return workflow_abort(self, workflow_explain(self, status, reply->error));
    status = workflow_stage(self, key, gavel_buffer_slice(made), event, reply->error);
    if (status != GAVEL_OK)
        return workflow_abort(self, status);
    status = workflow_commit(self, reply);
    if (status != GAVEL_OK)
        return status;
    put_flow(reply->out, self->store.staged[0], 0);
    workflow_apply(self);
    return GAVEL_OK;
}

#define ID_ROW(owner, member, what) \
    { .name = #member, .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED | GAVEL_KEY, \
      .offset = offsetof(owner, member), .min = 1, .max = ID_BYTES_MAX, .unit = "bytes", .help = what }

/* ---- start, update, stop ----------------------------------------------------------------------------------------- */

struct flow_arguments {
    uint64_t present;
    struct gavel_slice workflow_id;
    struct gavel_slice data;
};

static const struct gavel_field start_workflow_rows[] = {
    ID_ROW(struct flow_arguments, workflow_id, "name of the workflow"),
    { .name = "data", .id = 2, .type = GAVEL_VALUE, .offset = offsetof(struct flow_arguments, data),
      .help = "its state to begin with, a document; none: an empty one" },
};
const struct gavel_fields start_workflow_fields = GAVEL_FIELDS(start_workflow_rows, struct flow_arguments);

static const struct gavel_field update_state_rows[] = {
    ID_ROW(struct flow_arguments, workflow_id, "name of the workflow"),
    { .name = "data", .id = 2, .type = GAVEL_VALUE, .flags = GAVEL_REQUIRED,
      .offset = offsetof(struct flow_arguments, data), .help = "a merge patch (RFC 7396) of its state" },
};
const struct gavel_fields update_state_fields = GAVEL_FIELDS(update_state_rows, struct flow_arguments);

/* Commands that need only the name: the first row of the others. */
const struct gavel_fields workflow_fields = { start_workflow_rows, 1, sizeof start_workflow_rows[0],
                                              sizeof(struct flow_arguments) };

int32_t run_start_workflow(void *context, const struct gavel_call *call, const void *arguments,
                           struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct flow_arguments *wanted = arguments;
    struct record_key memory;
    struct gavel_slice key = key_of(&memory, PREFIX_WORKFLOW, wanted->workflow_id);
    const struct item *item = store_find(&self->store, key);
    struct flow flow = { .data = gavel_bytes(empty_map, sizeof empty_map), .running = 1,
                         .started_ms = call->wall_ms, .updated_ms = call->wall_ms };

    if (wanted->workflow_id.size == 0)
        return workflow_missing("workflow_id", reply->error);
    if (item && flow_of(item).running)
        return gavel_fail(reply->error, GAVEL_E_EXISTS, "the workflow runs already, since revision %llu",
                          (unsigned long long)revision_index(item->create));
    if (wanted->data.data)
        flow.data = wanted->data;
    return change_flow(self, call, key, &flow, gavel_bytes(NULL, 0), "workflow_started", reply);
}

int32_t run_update_state(void *context, const struct gavel_call *call, const void *arguments,
                         struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct flow_arguments *wanted = arguments;
    struct record_key memory;
    struct gavel_slice key = key_of(&memory, PREFIX_WORKFLOW, wanted->workflow_id);
    const struct item *item = store_find(&self->store, key);
    struct flow flow;

    if (!item)
        return no_flow(reply->error);
    flow = flow_of(item);
    if (!flow.running)
        return gavel_fail(reply->error, GAVEL_E_STATE, "the workflow was stopped at revision %llu",
                          (unsigned long long)revision_index(item_modify(item)));
    flow.updated_ms = call->wall_ms;
    return change_flow(self, call, key, &flow, wanted->data, "workflow_updated", reply);
}

int32_t run_stop_workflow(void *context, const struct gavel_call *call, const void *arguments,
                          struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct flow_arguments *wanted = arguments;
    struct record_key memory;
    struct gavel_slice key = key_of(&memory, PREFIX_WORKFLOW, wanted->workflow_id);
    const struct item *item = store_find(&self->store, key);
    struct flow flow;

    if (!item)
        return no_flow(reply->error);
    flow = flow_of(item);
    if (!flow.running) { /* stopped before: the answer of that time, and no change */
        put_flow(reply->out, item, 0);
        return GAVEL_OK;
    }
    flow.running = 0;
    flow.updated_ms = flow.stopped_ms = call->wall_ms;
    return change_flow(self, call, key, &flow, gavel_bytes(NULL, 0), "workflow_stopped", reply);
}

int32_t run_get_workflow(void *context, const struct gavel_call *call, const void *arguments,
                         struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct flow_arguments *wanted = arguments;
    struct record_key memory;
    const struct item *item = store_find(&self->store, key_of(&memory, PREFIX_WORKFLOW, wanted->workflow_id));
    (void)call;
    if (!item)
        return no_flow(reply->error);
    put_flow(reply->out, item, 1);
    return GAVEL_OK;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

struct list_arguments {
    uint64_t present;
    uint64_t status;
    struct gavel_slice after;
    uint64_t limit;
};

enum { STATUS_ANY, STATUS_RUNNING, STATUS_STOPPED };
static const char *const statuses[] = { "any", "running", "stopped", NULL };

#define LIST_ROWS \
    { .name = "after", .id = 1, .type = GAVEL_STRING, .offset = offsetof(struct list_arguments, after), .min = 0, \
      .max = ID_BYTES_MAX, .unit = "bytes", .help = "go on behind this name: the 'after' of the answer before" }, \
    { .name = "limit", .id = 2, .type = GAVEL_UINT, .offset = offsetof(struct list_arguments, limit), \
      .fallback = PAGE_ITEMS_DEFAULT, .min = 1, .max = PAGE_ITEMS_MAX, .unit = "items", .help = "most items to answer" }

static const struct gavel_field list_workflows_rows[] = {
    LIST_ROWS,
    { .name = "status", .id = 3, .type = GAVEL_CHOICE, .offset = offsetof(struct list_arguments, status),
      .fallback = "any", .choices = statuses, .help = "only those with this status" },
};
const struct gavel_fields list_workflows_fields = GAVEL_FIELDS(list_workflows_rows, struct list_arguments);

static const struct gavel_field list_nodes_rows[] = { LIST_ROWS };
const struct gavel_fields list_nodes_fields = GAVEL_FIELDS(list_nodes_rows, struct list_arguments);

/* A walk over the records of one sort. */
static void begin_records(const struct workflow *self, const char *prefix, const struct list_arguments *wanted,
                          struct store_scan *scan)
{
    struct record_key memory;
    struct gavel_slice from = key_of(&memory, prefix, wanted->after);
    store_scan_begin(scan, &self->store, from, UINT64_MAX);
    if (wanted->after.size && scan->key.data && gavel_slice_equal(scan->key, from))
        store_scan_step(scan);
}

static int is_record(const struct store_scan *scan, const char *prefix)
{
    return scan->item && scan->key.size > PREFIX_BYTES && !memcmp(scan->key.data, prefix, PREFIX_BYTES);
}

static int is_wanted(const struct item *item, uint64_t status)
{
    return status == STATUS_ANY || is_running(item_value(item)) == (status == STATUS_RUNNING);
}

/* Collect the records of a page. */
static void collect(const struct workflow *self, const char *prefix, const struct list_arguments *wanted,
                    struct workflow_page *found)
{
    const struct item *last = NULL;
    struct store_scan scan;
    uint64_t bytes = 0;
    uint64_t looked_at = 0;

    found->count = 0;
    found->last = gavel_bytes(NULL, 0);
    for (begin_records(self, prefix, wanted, &scan); is_record(&scan, prefix); store_scan_step(&scan)) {
        uint64_t size = scan.item->key_size + scan.item->value_size;
        if (looked_at == PAGE_LOOKED_AT_MAX || found->count == wanted->limit ||
            (found->count > 0 && bytes + size > PAGE_BYTES_MAX)) {
            found->last = id_of(last);
            return;
        }
        looked_at++;
        last = scan.item;
        if (is_wanted(scan.item, wanted->status)) {
            found->items[found->count++] = scan.item;
            bytes += size;
        }
    }
}

static void put_node(struct gavel_writer *out, const struct item *item, int with_data);

static int32_t list(const struct workflow *self, const struct gavel_call *call, const char *prefix, const char *name,
                    const struct list_arguments *wanted, void (*put)(struct gavel_writer *, const struct item *, int),
                    struct gavel_writer *out)
{
    struct workflow_page found;
    uint64_t i;

    assert(wanted->limit <= PAGE_ITEMS_MAX);
    collect(self, prefix, wanted, &found);
    gavel_put_map(out, found.last.data ? 3 : 2);
    gavel_put_key(out, name);
    gavel_put_array(out, found.count);
    for (i = 0; i < found.count; i++)
        put(out, found.items[i], 1);
    gavel_put_end(out);
    workflow_put_number(out, "revision", call->index);
    if (found.last.data) {
        gavel_put_key(out, "after");
        gavel_put_string(out, found.last);
    }
    gavel_put_end(out);
    return GAVEL_OK;
}

int32_t run_list_workflows(void *context, const struct gavel_call *call, const void *arguments,
                           struct gavel_reply *reply)
{
    return list(workflow_of(context), call, PREFIX_WORKFLOW, "workflows", arguments, put_flow, reply->out);
}

int32_t run_list_nodes(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct list_arguments wanted = *(const struct list_arguments *)arguments;
    wanted.status = STATUS_ANY; /* no row of this table */
    return list(workflow_of(context), call, PREFIX_NODE, "nodes", &wanted, put_node, reply->out);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

struct node_arguments {
    uint64_t present;
    struct gavel_slice node_id;
    struct gavel_slice data;
};

static const struct gavel_field register_node_rows[] = {
    ID_ROW(struct node_arguments, node_id, "name of the node"),
    { .name = "data", .id = 2, .type = GAVEL_VALUE, .offset = offsetof(struct node_arguments, data),
      .help = "what is to be known of it, a document; none: an empty one" },
};
const struct gavel_fields register_node_fields = GAVEL_FIELDS(register_node_rows, struct node_arguments);
const struct gavel_fields node_fields = { register_node_rows, 1, sizeof register_node_rows[0],
                                          sizeof(struct node_arguments) };

static void put_node(struct gavel_writer *out, const struct item *item, int with_data)
{
    struct gavel_slice record = item_value(item);
    gavel_put_map(out, 4 + (with_data != 0));
    gavel_put_key(out, "node_id");
    gavel_put_string(out, id_of(item));
    workflow_put_number(out, "revision", revision_index(item_modify(item)));
    workflow_put_number(out, "version", item->version);
    workflow_put_number(out, "registered_ms", document_uint(document_find(record, "registered_ms"), 0));
    if (with_data) {
        gavel_put_key(out, "data");
        workflow_put_document(out, document_find(record, "data"));
    }
    gavel_put_end(out);
}

static int32_t make_node(struct gavel_buffer *made, struct gavel_slice data, uint64_t wall_ms)
{
    int32_t status = document_put_map(made, 2);
    if (status == GAVEL_OK)
        status = document_put_string(made, gavel_text("data"));
    if (status == GAVEL_OK)
        status = gavel_buffer_append(made, data.data, data.size);
    return status == GAVEL_OK ? put_member(made, "registered_ms", wall_ms) : status;
}

int32_t run_register_node(void *context, const struct gavel_call *call, const void *arguments,
                          struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct node_arguments *wanted = arguments;
    struct gavel_buffer *made = workflow_scratch(self);
    struct record_key memory;
    struct gavel_slice data = wanted->data.data ? wanted->data : gavel_bytes(empty_map, sizeof empty_map);
    int32_t status;

    if (wanted->node_id.size == 0)
        return workflow_missing("node_id", reply->error);
    status = workflow_begin(self, call, reply->error);
    if (status == GAVEL_OK)
        status = make_node(made, data, call->wall_ms);
    if (status != GAVEL_OK)
        return workflow_abort(self, workflow_explain(self, status, reply->error));
    status = workflow_stage(self, key_of(&memory, PREFIX_NODE, wanted->node_id), gavel_buffer_slice(made),
                            "node_registered", reply->error);
    if (status != GAVEL_OK)
        return workflow_abort(self, status);
    status = workflow_commit(self, reply);
    if (status != GAVEL_OK)
        return status;
    put_node(reply->out, self->store.staged[0], 0);
    workflow_apply(self);
    return GAVEL_OK;
}

int32_t run_deregister_node(void *context, const struct gavel_call *call, const void *arguments,
                            struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct node_arguments *wanted = arguments;
    struct record_key memory;
    struct gavel_slice key = key_of(&memory, PREFIX_NODE, wanted->node_id);
    int32_t status;

    if (!store_find(&self->store, key))
        return gavel_fail(reply->error, GAVEL_E_NOT_FOUND, "there is no such node");
    status = workflow_begin(self, call, reply->error);
    if (status == GAVEL_OK)
        status = workflow_stage(self, key, gavel_bytes(NULL, 0), "node_deregistered", reply->error);
    if (status != GAVEL_OK)
        return workflow_abort(self, status);
    status = workflow_commit(self, reply);
    if (status != GAVEL_OK)
        return status;
    gavel_put_map(reply->out, 2);
    gavel_put_key(reply->out, "node_id");
    gavel_put_string(reply->out, wanted->node_id);
    workflow_put_number(reply->out, "revision", call->index);
    gavel_put_end(reply->out);
    workflow_apply(self);
    return GAVEL_OK;
}
