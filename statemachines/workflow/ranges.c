/* SPDX-License-Identifier: Apache-2.0 */
/* ranges.c - the commands that read many keys: range, prefix, keys, count. Answers are pages, bounded in every way. */
#include "workflow.h"

#include <assert.h>

#define EDGE_BYTES (STORE_KEY_MAX + 1)

/* Where a page begins and ends. */
struct page {
    struct gavel_slice from;
    struct gavel_slice to;    /* not included; data NULL: the end of the users' keys */
    struct gavel_slice after; /* begin behind this one; data NULL: at `from` */
    uint64_t limit;
    uint64_t bound;
    int names_only;
};

static const unsigned char reserved[] = { RESERVED_BYTE };

/* The first key that does not begin with `prefix` and is above all that do. `memory` has room for it. */
static struct gavel_slice end_of_prefix(struct gavel_slice prefix, unsigned char *memory)
{
    uint64_t size = prefix.size;
    assert(size <= EDGE_BYTES);
    if (size)
        memcpy(memory, prefix.data, size);
    while (size > 0 && memory[size - 1] == 0xff)
        size--;
    if (size == 0)
        return gavel_bytes(reserved, sizeof reserved);
    memory[size - 1]++;
    return gavel_bytes(memory, size);
}

static int ends(const struct page *page, struct gavel_slice key)
{
    return !key.data || *(const unsigned char *)key.data == RESERVED_BYTE ||
           (page->to.data && gavel_slice_compare(key, page->to) >= 0);
}

static void begin_scan(const struct workflow *self, const struct page *page, struct store_scan *scan)
{
    int behind = page->after.data && gavel_slice_compare(page->after, page->from) >= 0;
    store_scan_begin(scan, &self->store, behind ? page->after : page->from, page->bound);
    if (behind && scan->key.data && gavel_slice_equal(scan->key, page->after))
        store_scan_step(scan);
}

/* Collect the items of a page. */
static void collect(const struct workflow *self, const struct page *page, struct workflow_page *found)
{
    struct gavel_slice last = { NULL, 0 };
    struct store_scan scan;
    uint64_t bytes = 0;
    uint64_t looked_at = 0;

    found->count = 0;
    found->last = last;
    for (begin_scan(self, page, &scan); !ends(page, scan.key); store_scan_step(&scan)) {
        uint64_t size = scan.item ? scan.item->key_size + (page->names_only ? 0 : scan.item->value_size) : 0;
        if (looked_at == PAGE_LOOKED_AT_MAX || found->count == page->limit ||
            (found->count > 0 && bytes + size > PAGE_BYTES_MAX)) {
            found->last = last;
            return;
        }
        looked_at++;
        bytes += size;
        last = scan.key;
        if (scan.item)
            found->items[found->count++] = scan.item;
    }
}

/* Answer {"items": [...], "revision": n} and, when more follows, "after": the key to go on behind. */
static int32_t answer(const struct workflow *self, const struct gavel_call *call, const struct page *page,
                      uint64_t revision, struct gavel_writer *out)
{
    struct workflow_page found;
    uint64_t i;

    assert(page->limit <= PAGE_ITEMS_MAX);
    collect(self, page, &found);
    gavel_put_map(out, found.last.data ? 3 : 2);
    gavel_put_key(out, page->names_only ? "keys" : "items");
    gavel_put_array(out, found.count);
    for (i = 0; i < found.count; i++) {
        if (page->names_only)
            workflow_put_key(out, item_key(found.items[i]));
        else
            workflow_put_item(out, found.items[i]);
    }
    gavel_put_end(out);
    workflow_put_number(out, "revision", revision ? revision : call->index);
    if (found.last.data) {
        gavel_put_key(out, "after");
        workflow_put_key(out, found.last);
    }
    gavel_put_end(out);
    return GAVEL_OK;
}

#define EDGE_ROW(owner, member, number, what) \
    { .name = #member, .id = (number), .type = GAVEL_BYTES, .flags = GAVEL_KEY, .offset = offsetof(owner, member), \
      .min = 0, .max = STORE_KEY_MAX, .unit = "bytes", .help = what }
#define AFTER_ROW(owner, number) \
    { .name = "after", .id = (number), .type = GAVEL_BYTES, .offset = offsetof(owner, after), .min = 0, \
      .max = STORE_KEY_MAX, .unit = "bytes", .help = "go on behind this key: the 'after' of the answer before" }
#define LIMIT_ROW(owner, number) \
    { .name = "limit", .id = (number), .type = GAVEL_UINT, .offset = offsetof(owner, limit), \
      .fallback = PAGE_ITEMS_DEFAULT, .min = 1, .max = PAGE_ITEMS_MAX, .unit = "items", .help = "most items to answer" }
#define REVISION_ROW(owner, number) \
    { .name = "revision", .id = (number), .type = GAVEL_UINT, .offset = offsetof(owner, revision), .fallback = "0", \
      .help = "read as of this revision; 0: now" }

/* ---- range ------------------------------------------------------------------------------------------------------- */

struct range_arguments {
    uint64_t present;
    struct gavel_slice from;
    struct gavel_slice to;
    struct gavel_slice after;
    uint64_t limit;
    uint64_t revision;
};

static const struct gavel_field range_rows[] = {
    EDGE_ROW(struct range_arguments, from, 1, "the first key; none: from the first one there is"),
    EDGE_ROW(struct range_arguments, to, 2, "the key before which it ends; none: to the last one there is"),
    AFTER_ROW(struct range_arguments, 3),
    LIMIT_ROW(struct range_arguments, 4),
    REVISION_ROW(struct range_arguments, 5),
};
const struct gavel_fields range_fields = GAVEL_FIELDS(range_rows, struct range_arguments);

/* An edge that was not given, or is empty, bounds nothing. */
static struct gavel_slice edge(struct gavel_slice given)
{
    return given.size ? given : gavel_bytes(NULL, 0);
}

int32_t run_range(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct range_arguments *wanted = arguments;
    struct page page = { .from = edge(wanted->from), .to = edge(wanted->to), .after = edge(wanted->after),
                         .limit = wanted->limit };
    int32_t status = workflow_bound(self, call, wanted->revision, &page.bound, reply->error);
    return status == GAVEL_OK ? answer(self, call, &page, wanted->revision, reply->out) : status;
}

/* ---- prefix and keys --------------------------------------------------------------------------------------------- */

struct prefix_arguments {
    uint64_t present;
    struct gavel_slice prefix;
    struct gavel_slice after;
    uint64_t limit;
    uint64_t revision;
};

static const struct gavel_field prefix_rows[] = {
    { .name = "prefix", .id = 1, .type = GAVEL_BYTES, .flags = GAVEL_REQUIRED | GAVEL_KEY,
      .offset = offsetof(struct prefix_arguments, prefix), .min = 0, .max = STORE_KEY_MAX, .unit = "bytes",
      .help = "what the keys begin with" },
    AFTER_ROW(struct prefix_arguments, 2),
    LIMIT_ROW(struct prefix_arguments, 3),
    REVISION_ROW(struct prefix_arguments, 4),
};
const struct gavel_fields prefix_fields = GAVEL_FIELDS(prefix_rows, struct prefix_arguments);

static const struct gavel_field keys_rows[] = {
    EDGE_ROW(struct prefix_arguments, prefix, 1, "what the keys begin with; none: all keys"),
    AFTER_ROW(struct prefix_arguments, 2),
    LIMIT_ROW(struct prefix_arguments, 3),
    REVISION_ROW(struct prefix_arguments, 4),
};
const struct gavel_fields keys_fields = GAVEL_FIELDS(keys_rows, struct prefix_arguments);

static int32_t read_prefix(void *context, const struct gavel_call *call, const struct prefix_arguments *wanted,
                           struct gavel_reply *reply, int names_only)
{
    struct workflow *self = workflow_of(context);
    unsigned char memory[EDGE_BYTES];
    struct page page = { .from = edge(wanted->prefix), .to = end_of_prefix(wanted->prefix, memory),
                         .after = edge(wanted->after), .limit = wanted->limit, .names_only = names_only };
    int32_t status = workflow_bound(self, call, wanted->revision, &page.bound, reply->error);
    return status == GAVEL_OK ? answer(self, call, &page, wanted->revision, reply->out) : status;
}

int32_t run_prefix(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    return read_prefix(context, call, arguments, reply, 0);
}

int32_t run_keys(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    return read_prefix(context, call, arguments, reply, 1);
}

/* ---- count ------------------------------------------------------------------------------------------------------- */

struct count_arguments {
    uint64_t present;
    struct gavel_slice prefix;
};

static const struct gavel_field count_rows[] = {
    EDGE_ROW(struct count_arguments, prefix, 1, "what the keys begin with; none: all keys"),
};
const struct gavel_fields count_fields = GAVEL_FIELDS(count_rows, struct count_arguments);

int32_t run_count(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct workflow *self = workflow_of(context);
    const struct count_arguments *wanted = arguments;
    unsigned char memory[EDGE_BYTES];
    struct gavel_slice to = end_of_prefix(wanted->prefix, memory);
    if (wanted->prefix.size && *(const unsigned char *)wanted->prefix.data == RESERVED_BYTE)
        to = wanted->prefix; /* nothing of the users' begins so */
    gavel_put_map(reply->out, 2);
    workflow_put_number(reply->out, "count", store_count(&self->store, wanted->prefix, to));
    workflow_put_number(reply->out, "revision", call->index);
    gavel_put_end(reply->out);
    return GAVEL_OK;
}
