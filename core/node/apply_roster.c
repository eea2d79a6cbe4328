/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply_roster.c - capabilities and registered nodes take effect, and are told to whoever watches: the same events at
 * the same revisions on every node. All of it is [apply].
 */
#include "core/node/apply_internal.h"

#include <assert.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

const struct roster *apply_roster(const struct apply *apply)
{
    return apply->roster;
}

static void stop(struct apply_run *run, int32_t status)
{
    if (run->status == 0)
        run->status = status;
}

static void stop_unknown(struct apply *apply, struct apply_run *run)
{
    stop(run, gavel_fail(&run->error, GAVEL_E_VERSION, "index %llu tells of a node in a form that this version of "
                         "gaveld does not know; install the version that the other members run, then start again",
                         (unsigned long long)apply->index));
}

static void stop_memory(struct apply_run *run)
{
    stop(run, gavel_fail(&run->error, GAVEL_E_LOCAL, "no memory for the list of nodes"));
}

/* ---- events -------------------------------------------------------------------------------------------- */

static void put_text(struct gavel_writer *out, const char *name, const char *value)
{
    gavel_put_key(out, name);
    gavel_put_text(out, value);
}

/* The value of an event is what a list shows, without what changes by itself. */
static void tell(struct apply *apply, struct apply_run *run, struct apply_record *record, const char *type,
                 const char *key, struct gavel_buffer *value)
{
    struct apply_record event = {.type = APPLY_RECORD_EVENT,
                                 .index = apply->index,
                                 .term = record->term,
                                 .ordinal = ++record->ordinal,
                                 .event = gavel_text(type),
                                 .a = gavel_text(key),
                                 .b = gavel_buffer_slice(value)};

    apply_put_event(run, &event);
    gavel_buffer_free(value);
    run->roster = true;
}

static void tell_member(struct apply *apply, struct apply_run *run, struct apply_record *record, uint64_t id,
                        const char *name)
{
    const struct roster_member *member = roster_member(apply->roster, id);
    struct gavel_buffer value = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, &value);

    gavel_put_map(out, 2);
    gavel_put_key(out, "id");
    gavel_put_uint(out, id);
    gavel_put_key(out, "capabilities");
    codec_put_value(out, gavel_bytes(member->set, member->set_bytes));
    gavel_put_end(out);
    if (codec_writer_end(&writer, NULL) == GAVEL_OK)
        tell(apply, run, record, "capabilities_changed", name, &value);
    else
        stop_memory(run);
}

static void tell_registered(struct apply *apply, struct apply_run *run, struct apply_record *record,
                            const struct roster_node *node)
{
    struct gavel_buffer value = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, &value);

    gavel_put_map(out, 3);
    put_text(out, "address", node->address);
    gavel_put_key(out, "ttl_ms");
    gavel_put_uint(out, node->ttl_ms);
    gavel_put_key(out, "capabilities");
    codec_put_value(out, gavel_bytes(node->set, node->set_bytes));
    gavel_put_end(out);
    if (codec_writer_end(&writer, NULL) == GAVEL_OK)
        tell(apply, run, record, "node_registered", node->name, &value);
    else
        stop_memory(run);
}

/* The node goes, for that reason. */
static void take_out(struct apply *apply, struct apply_run *run, struct apply_record *record, const char *name,
                     const char *reason)
{
    struct gavel_buffer value = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, &value);
    char key[NODE_NAME_MAX];

    (void)members_copy_text(key, sizeof key, gavel_text(name));
    gavel_put_map(out, 1);
    put_text(out, "reason", reason);
    gavel_put_end(out);
    (void)roster_deregister(apply->roster, gavel_text(key), apply->index);
    if (codec_writer_end(&writer, NULL) == GAVEL_OK)
        tell(apply, run, record, "node_deregistered", key, &value);
    else
        stop_memory(run);
}

/* ---- entries ------------------------------------------------------------------------------------------- */

void apply_config_entry(struct apply *apply, struct apply_run *run, const struct log_entry *entry, uint64_t term)
{
    struct apply_record record = {.term = term};
    const struct roster_node *taken;
    struct members members;
    struct gavel_error error;

    if (members_decode(entry->payload, &members, &error) != GAVEL_OK) {
        stop(run, gavel_fail(&run->error, GAVEL_E_VERSION, "index %llu: %s; install the version that the other members "
                             "run, then start again", (unsigned long long)apply->index, error.text));
        return;
    }
    roster_members(apply->roster, &members);
    run->roster = true;
    while ((taken = roster_taken(apply->roster, &members)) != NULL && run->status == 0) {
        COVER("node-registration-taken");
        take_out(apply, run, &record, taken->name, "a member has its name now");
    }
}

void apply_declare_entry(struct apply *apply, struct apply_run *run, struct bytes_cursor *cursor,
                         struct apply_record *record, struct gavel_error *error)
{
    uint64_t id = bytes_get64(cursor);
    struct gavel_slice name = bytes_get_slice(cursor);
    struct gavel_slice set = bytes_get_slice(cursor);
    char key[NODE_NAME_MAX];
    bool changed;

    if (cursor->bad || !members_name_valid(name) || !codec_capabilities_valid(set)) {
        stop_unknown(apply, run);
        return;
    }
    (void)members_copy_text(key, sizeof key, name);
    record->status = roster_declare(apply->roster, id, set, apply->index, &changed);
    if (record->status == GAVEL_E_BUSY)
        (void)gavel_fail(error, GAVEL_E_BUSY, "%d members have declared capabilities, which is as many as may be",
                         ROSTER_MEMBERS_MAX);
    else if (record->status == GAVEL_E_LOCAL)
        stop_memory(run);
    else if (changed)
        tell_member(apply, run, record, id, key);
}

/* The reply: since when it is there, and what it has to do to stay. */
static void reply_registered(struct apply *apply, struct apply_run *run, const struct roster_node *node)
{
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, &apply->result);

    gavel_put_map(out, 3);
    put_text(out, "name", node->name);
    gavel_put_key(out, "since");
    gavel_put_uint(out, node->since);
    gavel_put_key(out, "ttl_ms");
    gavel_put_uint(out, node->ttl_ms);
    gavel_put_end(out);
    if (codec_writer_end(&writer, NULL) != GAVEL_OK)
        stop_memory(run);
}

void apply_register_entry(struct apply *apply, struct apply_run *run, struct bytes_cursor *cursor,
                          struct apply_record *record, struct gavel_error *error)
{
    struct roster_entry entry = {.name = bytes_get_slice(cursor)};
    bool changed;

    entry.address = bytes_get_slice(cursor);
    entry.ttl_ms = bytes_get64(cursor);
    entry.set = bytes_get_slice(cursor);
    if (cursor->bad || !roster_entry_valid(&entry)) {
        stop_unknown(apply, run);
        return;
    }
    record->status = roster_register(apply->roster, &entry, apply->index, apply->tick, &changed);
    run->roster = true;
    if (record->status == GAVEL_E_BUSY)
        (void)gavel_fail(error, GAVEL_E_BUSY,
                         "%u nodes are registered, with %llu bytes of names, addresses and capabilities: there may be "
                         "%d with %u bytes", apply->roster->count, (unsigned long long)apply->roster->bytes,
                         ROSTER_NODES_MAX, ROSTER_BYTES_MAX);
    else if (record->status == GAVEL_E_LOCAL)
        stop_memory(run);
    if (record->status != GAVEL_OK)
        return;
    if (changed)
        tell_registered(apply, run, record, roster_find(apply->roster, entry.name));
    reply_registered(apply, run, roster_find(apply->roster, entry.name));
}

static void not_there(struct apply_record *record, struct gavel_slice name, struct gavel_error *error)
{
    record->status = gavel_fail(error, GAVEL_E_NOT_FOUND,
                                "no node is registered as '%.*s': it never was, was taken out, or its time ran out",
                                (int)(name.size < NODE_NAME_MAX ? name.size : NODE_NAME_MAX), (const char *)name.data);
}

void apply_node_entry(struct apply *apply, struct apply_run *run, struct bytes_cursor *cursor,
                      struct apply_record *record, struct gavel_error *error)
{
    struct gavel_slice name = bytes_get_slice(cursor);
    uint64_t seen = record->command == APPLY_NODE_EXPIRE ? bytes_get64(cursor) : 0;
    const struct roster_node *node;

    if (cursor->bad) {
        stop_unknown(apply, run);
        return;
    }
    node = roster_find(apply->roster, name);
    if (record->command == APPLY_NODE_EXPIRE) {
        if (roster_is_over(apply->roster, name, seen, apply->tick))
            take_out(apply, run, record, node->name, "its time ran out");
        else
            COVER("node-registration-renewed");
    } else if (!node) {
        not_there(record, name, error);
    } else if (record->command == APPLY_NODE_DEREGISTER) {
        take_out(apply, run, record, node->name, "it was deregistered");
    } else {
        (void)roster_keep(apply->roster, name, apply->tick);
        run->roster = true;
        reply_registered(apply, run, node);
    }
}
