/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - the commands that change and read one key, and batch, which does several changes in one entry. */
#include "workflow.h"

#include <assert.h>

#define KEY_ROW(owner, number, what) \
    { .name = "key", .id = (number), .type = GAVEL_BYTES, .flags = GAVEL_REQUIRED | GAVEL_KEY, \
      .offset = offsetof(owner, key), .min = 1, .max = STORE_KEY_MAX, .unit = "bytes", .help = what }
#define PATH_ROW(owner, number) \
    { .name = "path", .id = (number), .type = GAVEL_STRING, .offset = offsetof(owner, path), .min = 0, \
      .max = DOCUMENT_PATH_BYTES_MAX, .unit = "bytes", \
      .help = "where the number is: names and places in arrays, separated by dots; none: the value itself" }

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static int32_t check_key(const struct workflow *self, struct gavel_slice key, struct gavel_error *error)
{
    if (key.size > self->options.key_bytes_max)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "a key of %llu bytes: at most %llu are allowed (key_bytes_max)",
                          (unsigned long long)key.size, (unsigned long long)self->options.key_bytes_max);
    if (key.size == 0)
        return workflow_missing("key", error);
    if (*(const unsigned char *)key.data == RESERVED_BYTE)
        return gavel_fail(error, GAVEL_E_INVALID, "a key cannot begin with the byte ff, which is the store's own");
    return GAVEL_OK;
}

static int32_t check_value(const struct workflow *self, struct gavel_slice value, struct gavel_error *error)
{
    if (!value.data)
        return workflow_missing("value", error);
    if (value.size > self->options.value_bytes_max)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "a value of %llu bytes: at most %llu are allowed (value_bytes_max)",
                          (unsigned long long)value.size, (unsigned long long)self->options.value_bytes_max);
    return GAVEL_OK;
}

static int32_t not_found(struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_NOT_FOUND, "there is no such key");
}

static struct gavel_slice value_or_none(const struct item *item)
{
    return item ? item_value(item) : gavel_bytes(NULL, 0);
}

/* ---- changes, alone or in a batch -------------------------------------------------------------------------------- */

static int32_t stage_set(struct workflow *self, struct gavel_slice key, struct gavel_slice value,
                         struct gavel_error *error)
{
    int32_t status = check_key(self, key, error);
    if (status == GAVEL_OK)
        status = check_value(self, value, error);
    return status == GAVEL_OK ? workflow_stage(self, key, value, "set", error) : status;
}

static int32_t stage_delete(struct workflow *self, struct gavel_slice key, struct gavel_error *error)
{
    int32_t status = check_key(self, key, error);
    if (status != GAVEL_OK)
        return status;
    if (!store_find(&self->store, key))
        return not_found(error);
    return workflow_stage(self, key, gavel_bytes(NULL, 0), "delete", error);
}

static int32_t stage_update(struct workflow *self, struct gavel_slice key, struct gavel_slice patch,
                            struct gavel_error *error)
{
    struct gavel_buffer *made = workflow_scratch(self);
    int32_t status = patch.data ? check_key(self, key, error) : workflow_missing("patch", error);
    if (status != GAVEL_OK)
        return status;
    status = document_merge(value_or_none(store_find(&self->store, key)), patch, made);
    if (status != GAVEL_OK)
        return workflow_explain(self, status, error);
    return workflow_stage(self, key, gavel_buffer_slice(made), "set", error);
}

static int32_t stage_incr(struct workflow *self, struct gavel_slice key, struct gavel_slice path, int64_t by,
                          struct document_number *sum, struct gavel_error *error)
{
    struct gavel_buffer *made = workflow_scratch(self);
    int32_t status = check_key(self, key, error);
    if (status != GAVEL_OK)
        return status;
    status = document_add(value_or_none(store_find(&self->store, key)), path, by, made, sum, error);
    if (status == GAVEL_E_INVALID)
        return status;
    if (status != GAVEL_OK)
        return workflow_explain(self, status, error);
    return workflow_stage(self, key, gavel_buffer_slice(made), "set", error);
}

static void put_sum(struct gavel_writer *out, const struct document_number *sum)
{
    gavel_put_key(out, "value");
    if (sum->negative)
        gavel_put_int(out, (int64_t)sum->bits);
    else
        gavel_put_uint(out, sum->bits);
}

/* The end of every write of one key: {revision, version} and, for incr, the number. */
static int32_t finish(struct workflow *self, int32_t status, const struct document_number *sum,
                      struct gavel_reply *reply)
{
    const struct item *item;
    if (status != GAVEL_OK)
        return workflow_abort(self, status);
    status = workflow_commit(self, reply);
    if (status != GAVEL_OK)
        return status;
    item = self->store.staged[0];
    gavel_put_map(reply->out, sum ? 3 : 2);
    workflow_put_number(reply->out, "revision", revision_index(item_modify(item)));
    workflow_put_number(reply->out, "version", item->version);
    if (sum)
        put_sum(reply->out, sum);
    gavel_put_end(reply->out);
    workflow_apply(self);
    return GAVEL_OK;
}

/* ---- set, delete, update, incr ----------------------------------------------------------------------------------- */

struct set_arguments {
    uint64_t present;
    struct gavel_slice key;
    struct gavel_slice value;
};

static const struct gavel_field set_rows[] = {
    KEY_ROW(struct set_arguments, 1, "the key"),
    { .name = "value", .id = 2, .type = GAVEL_VALUE, .flags = GAVEL_REQUIRED,
      .offset = offsetof(struct set_arguments, value), .help = "its new value, a document" },
};
const struct gavel_fields set_fields = GAVEL_FIELDS(set_rows, struct set_arguments);

int32_t run_set(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct set_arguments *wanted = arguments;
    int32_t status = workflow_begin(self, call, reply->error);
    if (status == GAVEL_OK)
        status = stage_set(self, wanted->key, wanted->value, reply->error);
    return finish(self, status, NULL, reply);
}

struct delete_arguments {
    uint64_t present;
    struct gavel_slice key;
};

static const struct gavel_field delete_rows[] = { KEY_ROW(struct delete_arguments, 1, "the key") };
const struct gavel_fields delete_fields = GAVEL_FIELDS(delete_rows, struct delete_arguments);

int32_t run_delete(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct delete_arguments *wanted = arguments;
    int32_t status = workflow_begin(self, call, reply->error);
    if (status == GAVEL_OK)
        status = stage_delete(self, wanted->key, reply->error);
    return finish(self, status, NULL, reply);
}

struct update_arguments {
    uint64_t present;
    struct gavel_slice key;
    struct gavel_slice patch;
};

static const struct gavel_field update_rows[] = {
    KEY_ROW(struct update_arguments, 1, "the key; a missing one starts from an empty document"),
    { .name = "patch", .id = 2, .type = GAVEL_VALUE, .flags = GAVEL_REQUIRED,
      .offset = offsetof(struct update_arguments, patch),
      .help = "a JSON merge patch (RFC 7396): null takes a name out" },
};
const struct gavel_fields update_fields = GAVEL_FIELDS(update_rows, struct update_arguments);

int32_t run_update(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct update_arguments *wanted = arguments;
    int32_t status = workflow_begin(self, call, reply->error);
    if (status == GAVEL_OK)
        status = stage_update(self, wanted->key, wanted->patch, reply->error);
    return finish(self, status, NULL, reply);
}

struct incr_arguments {
    uint64_t present;
    struct gavel_slice key;
    struct gavel_slice path;
    int64_t by;
};

static const struct gavel_field incr_rows[] = {
    KEY_ROW(struct incr_arguments, 1, "the key; a missing one starts from nothing"),
    PATH_ROW(struct incr_arguments, 2),
    { .name = "by", .id = 3, .type = GAVEL_INT, .offset = offsetof(struct incr_arguments, by), .fallback = "1",
      .help = "what to add; may be negative" },
};
const struct gavel_fields incr_fields = GAVEL_FIELDS(incr_rows, struct incr_arguments);

int32_t run_incr(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct incr_arguments *wanted = arguments;
    struct document_number sum = { 0, 0 };
    int32_t status = workflow_begin(self, call, reply->error);
    if (status == GAVEL_OK)
        status = stage_incr(self, wanted->key, wanted->path, wanted->by, &sum, reply->error);
    return finish(self, status, &sum, reply);
}

/* ---- cas --------------------------------------------------------------------------------------------------------- */

struct cas_arguments {
    uint64_t present;
    struct gavel_slice key;
    struct gavel_slice expect;
    uint64_t revision;
    struct gavel_slice value;
};

enum { CAS_KEY, CAS_EXPECT, CAS_REVISION, CAS_VALUE };

static const struct gavel_field cas_rows[] = {
    [CAS_KEY] = KEY_ROW(struct cas_arguments, 1, "the key"),
    [CAS_EXPECT] = { .name = "expect", .id = 2, .type = GAVEL_VALUE, .offset = offsetof(struct cas_arguments, expect),
                     .help = "the value that it must have; either this or revision" },
    [CAS_REVISION] = { .name = "revision", .id = 3, .type = GAVEL_UINT,
                       .offset = offsetof(struct cas_arguments, revision),
                       .help = "the revision of its last change; 0: it must not exist" },
    [CAS_VALUE] = { .name = "value", .id = 4, .type = GAVEL_VALUE, .flags = GAVEL_REQUIRED,
                    .offset = offsetof(struct cas_arguments, value), .help = "its new value, a document" },
};
const struct gavel_fields cas_fields = GAVEL_FIELDS(cas_rows, struct cas_arguments);

/* Documents are canonical, so equal ones are equal bytes. */
static int32_t check_condition(const struct workflow *self, const struct cas_arguments *wanted,
                               struct gavel_error *error)
{
    const struct item *item = store_find(&self->store, wanted->key);
    uint64_t revision = item ? revision_index(item_modify(item)) : 0;
    if (gavel_present(wanted, CAS_EXPECT) == gavel_present(wanted, CAS_REVISION))
        return gavel_fail(error, GAVEL_E_INVALID, "either 'expect' or 'revision' is needed, and not both");
    if (gavel_present(wanted, CAS_REVISION) ? revision == wanted->revision
                                            : item && gavel_slice_equal(item_value(item), wanted->expect))
        return GAVEL_OK;
    if (!item)
        return gavel_fail(error, GAVEL_E_CONDITION, "the key does not exist");
    return gavel_fail(error, GAVEL_E_CONDITION, "the key has another value: it was changed at revision %llu",
                      (unsigned long long)revision);
}

int32_t run_cas(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct cas_arguments *wanted = arguments;
    int32_t status = workflow_begin(self, call, reply->error);
    if (status == GAVEL_OK)
        status = check_condition(self, wanted, reply->error);
    if (status == GAVEL_OK)
        status = stage_set(self, wanted->key, wanted->value, reply->error);
    return finish(self, status, NULL, reply);
}

/* ---- batch ------------------------------------------------------------------------------------------------------- */

struct batch_item {
    uint64_t present;
    uint64_t op;
    struct gavel_slice key;
    struct gavel_slice value;
    struct gavel_slice patch;
    struct gavel_slice path;
    int64_t by;
};

enum { ITEM_OP, ITEM_KEY, ITEM_VALUE, ITEM_PATCH, ITEM_PATH, ITEM_BY };
enum { OP_SET, OP_DELETE, OP_UPDATE, OP_INCR };
static const char *const ops[] = { "set", "delete", "update", "incr", NULL };

static const struct gavel_field batch_item_rows[] = {
    [ITEM_OP] = { .name = "op", .id = 1, .type = GAVEL_CHOICE, .flags = GAVEL_REQUIRED,
                  .offset = offsetof(struct batch_item, op), .choices = ops, .help = "what to do with the key" },
    [ITEM_KEY] = KEY_ROW(struct batch_item, 2, "the key"),
    [ITEM_VALUE] = { .name = "value", .id = 3, .type = GAVEL_VALUE, .offset = offsetof(struct batch_item, value),
                     .help = "of set: the new value" },
    [ITEM_PATCH] = { .name = "patch", .id = 4, .type = GAVEL_VALUE, .offset = offsetof(struct batch_item, patch),
                     .help = "of update: the merge patch" },
    [ITEM_PATH] = PATH_ROW(struct batch_item, 5),
    [ITEM_BY] = { .name = "by", .id = 6, .type = GAVEL_INT, .offset = offsetof(struct batch_item, by), .fallback = "1",
                  .help = "of incr: what to add" },
};
static const struct gavel_fields batch_item_fields = GAVEL_FIELDS(batch_item_rows, struct batch_item);

struct batch_arguments {
    uint64_t present;
    struct gavel_list items;
};

static const struct gavel_field batch_rows[] = {
    { .name = "items", .id = 1, .type = GAVEL_LIST, .flags = GAVEL_REQUIRED,
      .offset = offsetof(struct batch_arguments, items), .min = 1, .max = STORE_CHANGES_MAX, .unit = "items",
      .help = "the changes, done in order and all or none", .sub = &batch_item_fields },
};
const struct gavel_fields batch_fields = GAVEL_FIELDS(batch_rows, struct batch_arguments);

static int32_t stage_item(struct workflow *self, const struct batch_item *item, struct document_number *sum,
                          struct gavel_error *error)
{
    if (item->op == OP_SET && !gavel_present(item, ITEM_VALUE))
        return workflow_missing("value", error);
    if (item->op == OP_UPDATE && !gavel_present(item, ITEM_PATCH))
        return workflow_missing("patch", error);
    switch (item->op) {
    case OP_SET: return stage_set(self, item->key, item->value, error);
    case OP_DELETE: return stage_delete(self, item->key, error);
    case OP_UPDATE: return stage_update(self, item->key, item->patch, error);
    case OP_INCR: return stage_incr(self, item->key, item->path, item->by, sum, error);
    default: return gavel_fail(error, GAVEL_E_INVALID, "an unknown operation");
    }
}

int32_t run_batch(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct batch_arguments *wanted = arguments;
    struct document_number sums[STORE_CHANGES_MAX];
    const unsigned char *items = wanted->items.items;
    uint64_t i;
    int32_t status = workflow_begin(self, call, reply->error);

    memset(sums, 0, sizeof sums);
    for (i = 0; status == GAVEL_OK && i < wanted->items.count; i++) {
        struct batch_item item;
        assert(wanted->items.stride >= sizeof item);
        memcpy(&item, items + i * wanted->items.stride, sizeof item);
        status = stage_item(self, &item, &sums[i % STORE_CHANGES_MAX], reply->error);
        if (status != GAVEL_OK && status != GAVEL_E_LOCAL) {
            char where[64];
            (void)snprintf(where, sizeof where, "items[%llu]", (unsigned long long)i);
            (void)gavel_wrap(reply->error, where);
        }
    }
    if (status != GAVEL_OK)
        return workflow_abort(self, status);
    status = workflow_commit(self, reply);
    if (status != GAVEL_OK)
        return status;
    gavel_put_map(reply->out, 2);
    workflow_put_number(reply->out, "revision", call->index);
    gavel_put_key(reply->out, "items");
    gavel_put_array(reply->out, self->store.staged_count);
    for (i = 0; i < self->store.staged_count; i++) {
        struct batch_item item;
        memcpy(&item, items + i * wanted->items.stride, sizeof item);
        gavel_put_map(reply->out, item.op == OP_INCR ? 2 : 1);
        workflow_put_number(reply->out, "version", self->store.staged[i]->version);
        if (item.op == OP_INCR)
            put_sum(reply->out, &sums[i]);
        gavel_put_end(reply->out);
    }
    gavel_put_end(reply->out);
    gavel_put_end(reply->out);
    workflow_apply(self);
    return GAVEL_OK;
}

/* ---- get --------------------------------------------------------------------------------------------------------- */

struct get_arguments {
    uint64_t present;
    struct gavel_slice key;
    uint64_t revision;
};

static const struct gavel_field get_rows[] = {
    KEY_ROW(struct get_arguments, 1, "the key"),
    { .name = "revision", .id = 2, .type = GAVEL_UINT, .offset = offsetof(struct get_arguments, revision),
      .fallback = "0", .help = "read as of this revision; 0: now" },
};
const struct gavel_fields get_fields = GAVEL_FIELDS(get_rows, struct get_arguments);

int32_t run_get(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct get_arguments *wanted = arguments;
    const struct item *item;
    uint64_t bound;
    int32_t status = check_key(self, wanted->key, reply->error);
    if (status == GAVEL_OK)
        status = workflow_bound(self, call, wanted->revision, &bound, reply->error);
    if (status != GAVEL_OK)
        return status;
    item = bound == UINT64_MAX ? store_find(&self->store, wanted->key)
                               : store_find_at(&self->store, wanted->key, bound);
    if (!item)
        return not_found(reply->error);
    workflow_put_item(reply->out, item);
    return GAVEL_OK;
}
