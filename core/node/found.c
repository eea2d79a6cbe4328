/* SPDX-License-Identifier: Apache-2.0 */
/*
 * found.c - how a cluster begins, once. The first member of the INI's list asks every other listed one; when
 * all have answered that they are empty it draws the cluster's id, writes the founding record durably, and
 * sends it to each. The record is the configuration at index 0 and holds what has to be the same everywhere.
 * An empty node that meets a formed cluster which does not know its data directory never votes: it waits to
 * be added, or it was wiped and says so.
 */
#include "core/node/internal.h"

#include <string.h>

#include "core/codec/value.h"
#include "core/node/bytes.h"
#include "core/node/record.h"

/* What all founders have to agree on: names in order. Addresses may differ from one side to another. */
void found_hash(struct node *node)
{
    uint64_t hash = UINT64_C(0x9ae16a3b2f90404f);

    for (uint32_t i = 0; i < node->setup.member_count; i++) {
        const char *name = node->setup.members[i].name;

        hash = gavel_mix(hash, name, strlen(name) + 1);
    }
    node->member_hash = hash;
}

bool found_took_part(const struct node *node)
{
    const struct member *self = members_find(&node->founding_members, node->member_id);

    return self && self->incarnation == node->incarnation;
}

/* ---- the record ---------------------------------------------------------------------------------------- */

static int32_t write_record(const struct node *node, const struct members *members, struct gavel_buffer *out)
{
    int32_t status = 0;

    bytes_put32(out, &status, RECORD_VERSION);
    bytes_put(out, &status, node->cluster_id.bytes, sizeof node->cluster_id.bytes);
    bytes_put64(out, &status, node->limits.sessions);
    bytes_put64(out, &status, node->limits.session_window);
    bytes_put64(out, &status, node->limits.session_bytes);
    bytes_put64(out, &status, node->limits.session_ttl_ms);
    bytes_put32(out, &status, node->setup.machine_count);
    for (uint32_t i = 0; i < node->setup.machine_count; i++) {
        const struct node_machine *machine = &node->setup.machines[i];

        bytes_put_slice(out, &status, gavel_text(machine->name));
        bytes_put_slice(out, &status, gavel_text(machine->plugin->name));
        bytes_put64(out, &status, machine->operations->state_version);
        bytes_put_slice(out, &status, gavel_text(machine->settings ? machine->settings : ""));
    }
    return status ? status : members_encode(members, out);
}

/* The options of one machine, "name=value" lines, into the settings. One without a value was not given. */
static int32_t read_options(const struct node *node, const struct node_machine *machine, struct gavel_slice lines,
                            struct settings *into, struct gavel_error *error)
{
    struct setting_scope scope = {.machines = node->setup.machines, .count = node->setup.machine_count};
    const char *at = lines.data;
    const char *end = at + lines.size;
    int32_t status = GAVEL_OK;

    while (at < end && status == GAVEL_OK) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        const char *equals;
        char key[SETTING_KEY_MAX + 1];

        line = line ? line : end;
        equals = memchr(at, '=', (size_t)(line - at));
        if (equals && equals + 1 < line) {
            (void)snprintf(key, sizeof key, "statemachine.%s.%.*s", machine->name, (int)(equals - at), at);
            status = setting_record(into, &scope, key, gavel_bytes(equals + 1, (uint64_t)(line - equals - 1)), error);
        }
        at = line + (line < end);
    }
    return status;
}

static int32_t read_machine(const struct node *node, uint32_t number, struct bytes_cursor *cursor,
                            struct settings *into, struct gavel_error *error)
{
    const struct node_machine *machine = &node->setup.machines[number];
    struct gavel_slice name = bytes_get_slice(cursor);
    struct gavel_slice plugin = bytes_get_slice(cursor);
    struct setting_version version = {.version = bytes_get64(cursor)};
    struct gavel_slice options = bytes_get_slice(cursor);

    if (!gavel_slice_equal(name, gavel_text(machine->name)))
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "the cluster has the machine [statemachine.%.*s] where this node's "
                          "configuration has [statemachine.%s]",
                          (int)name.size, (const char *)name.data, machine->name);
    if (!gavel_slice_equal(plugin, gavel_text(machine->plugin->name)))
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "[statemachine.%s] is of plugin '%.*s' in the cluster, of '%s' here", machine->name,
                          (int)plugin.size, (const char *)plugin.data, machine->plugin->name);
    into->machines[number] = version;
    /* A newer plugin may get by: a snapshot can begin behind the barrier. An older one never will. */
    if (version.version > machine->operations->state_version)
        return setting_fits(machine, version, error);
    return read_options(node, machine, options, into, error);
}

/* All of them in their order; where one side has more, the first one that the other side lacks is named. */
static int32_t read_machines(const struct node *node, uint32_t cluster, struct bytes_cursor *cursor,
                             struct settings *into, struct gavel_error *error)
{
    const struct node_setup *setup = &node->setup;

    into->machine_count = setup->machine_count;
    for (uint32_t i = 0; i < cluster && i < setup->machine_count; i++) {
        int32_t status = read_machine(node, i, cursor, into, error);

        if (status != GAVEL_OK)
            return status;
    }
    if (setup->machine_count > cluster)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "[statemachine.%s] is not in the cluster: its state machines were recorded when it was "
                          "founded",
                          setup->machines[cluster].name);
    if (setup->machine_count < cluster) {
        struct gavel_slice name = bytes_get_slice(cursor);

        return gavel_fail(error, GAVEL_E_CONFIG,
                          "the cluster has the machine [statemachine.%.*s], which this node's configuration has not",
                          (int)name.size, (const char *)name.data);
    }
    return GAVEL_OK;
}

static int32_t read_limits(const struct node *node, const uint64_t limits[4], struct settings *into,
                           struct gavel_error *error)
{
    static const char *const keys[4] = {"session.sessions", "session.window", "session.reply_bytes", "session.ttl"};
    struct setting_scope scope = {.machines = node->setup.machines, .count = node->setup.machine_count};
    int32_t status = GAVEL_OK;

    for (int i = 0; i < 4 && status == GAVEL_OK; i++) {
        char text[24];

        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)limits[i]);
        status = setting_record(into, &scope, keys[i], gavel_text(text), error);
    }
    return status;
}

/* What the record says of settings, with what this node can take of it. The cursor stands behind the cluster's id. */
static int32_t read_settings(struct node *node, struct bytes_cursor *cursor, struct settings *into,
                             struct gavel_error *error)
{
    uint64_t limits[4];
    uint32_t machines;
    int32_t status;

    for (int i = 0; i < 4; i++)
        limits[i] = bytes_get64(cursor);
    machines = bytes_get32(cursor);
    if (cursor->bad)
        return gavel_fail(error, GAVEL_E_CORRUPT, "the founding record is cut short");
    status = read_limits(node, limits, into, error);
    if (status == GAVEL_OK)
        status = read_machines(node, machines, cursor, into, error);
    return status;
}

int32_t found_load(struct node *node, struct gavel_slice record, struct gavel_error *error)
{
    struct bytes_cursor cursor = bytes_read(record);
    uint32_t version = bytes_get32(&cursor);
    const uint8_t *cluster = bytes_get(&cursor, sizeof node->cluster_id.bytes);
    struct settings *founding;
    int32_t status;

    if (!cluster)
        return gavel_fail(error, GAVEL_E_CORRUPT, "the founding record is cut short");
    if (version != RECORD_VERSION)
        return gavel_fail(error, GAVEL_E_VERSION, "the founding record has version %u; this gaveld reads %d",
                          version, RECORD_VERSION);
    founding = settings_new();
    if (!founding)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the founding record");
    status = read_settings(node, &cursor, founding, error);
    if (status == GAVEL_OK)
        status = members_decode(gavel_bytes(cursor.at, cursor.left), &node->founding_members, error);
    if (status == GAVEL_OK)
        status = apply_found(node->apply, founding, error);
    if (status == GAVEL_OK && settings_copy(node->settings, founding) != GAVEL_OK)
        status = gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the settings of the cluster");
    settings_free(founding);
    if (status == GAVEL_OK)
        memcpy(node->cluster_id.bytes, cluster, sizeof node->cluster_id.bytes);
    return status;
}

/* ---- becoming a member --------------------------------------------------------------------------------- */

static void saved(struct log_task *task);

/* One that is told to join founds nothing, whatever else its configuration says. */
static bool is_founder(const struct node *node)
{
    if (node->scout)
        return seed_is_founder(node);
    return node->setup.member_count > 0 && node->setup.join_count == 0 &&
           strcmp(node->setup.members[0].name, node->setup.name) == 0;
}

static void save_identity(struct node *node)
{
    node->task_identity = (struct log_task){.done = saved, .ctx = node};
    if (log_set_identity(node->log, &node->cluster_id, node->member_id, &node->task_identity) != GAVEL_OK)
        node_fatal(node, 74, "the identity of this node cannot be written");
}

static void saved(struct log_task *task)
{
    struct node *node = task->ctx;

    if (node->phase != NODE_FOUNDING)
        return; /* it has been stopped meanwhile: the next start goes on with what is on the disk */
    if (task->status != GAVEL_OK) {
        node_fatal(node, 74, "the founding cannot be written: %s", task->error.text);
        return;
    }
    if (task == &node->task_founding && node->scout && node->scout->preparing) {
        seed_saved(node);
        node_settle(node);
        return;
    }
    if (task == &node->task_founding) {
        save_identity(node);
        return;
    }
    if (directory_begin(&node->directory, 0, &node->founding_members) != GAVEL_OK) {
        node_fatal(node, 70, "no memory for the members");
        return;
    }
    node->founded = true;
    node->founding_saving = false;
    trace_end_plain(node, &node->spans.cluster, GAVEL_OK);
    node->waits[0] = 0;
    peers_sync(node);
    if (found_took_part(node))
        node_log(node, GAVEL_LOG_INFO, "cluster", "Cluster founded: %u members, this is member %llu",
                 node->founding_members.count, (unsigned long long)node->member_id);
    else
        node_log(node, GAVEL_LOG_INFO, "cluster", "Joined the cluster: this is member %llu",
                 (unsigned long long)node->member_id);
    /* Answer with the id that we have now, and let every later hello carry it: connections begin anew. The founder's
     * own stay: those it dialled get the record on them. */
    if (!is_founder(node) || node->record_taken || !members_find(&node->founding_members, node->member_id))
        conn_close_peers(node, "this node is a member now");
    recover_begin(node);
    node_settle(node);
}

void found_save(struct node *node)
{
    node->founding_saving = true;
    node->record_new = true;
    node->task_founding = (struct log_task){.done = saved, .ctx = node};
    if (log_set_founding(node->log, node->record.data, node->record.size, &node->task_founding) != GAVEL_OK)
        node_fatal(node, 74, "the founding record cannot be written");
}

void found_become(struct node *node, uint64_t id)
{
    node->member_id = id;
    node->founding_saving = true;
    save_identity(node);
}

/*
 * The record is durable, the identity is not. Whoever wrote the record meant this node, or it would not be here; the
 * log takes one founding record in its life, and others may hold the same one already. A founder finds itself in it;
 * one that joins does not, and is sent it again, with its id.
 */
static void found_resume(struct node *node)
{
    const struct member *self = members_named(&node->founding_members, node->setup.name);

    if (!self || self->incarnation != node->incarnation)
        return;
    found_become(node, self->id);
}

bool found_make(struct node *node, const struct members *members)
{
    struct gavel_error error = {0};
    int32_t status;

    node->record.size = 0;
    if (write_record(node, members, &node->record) != GAVEL_OK) {
        node_fatal(node, 70, "no memory for the founding record");
        return false;
    }
    status = found_load(node, gavel_buffer_slice(&node->record), &error);
    if (status != GAVEL_OK)
        node_fatal(node, node_exit_code(status), "the cluster cannot be founded: %s", error.text);
    return status == GAVEL_OK;
}

static void found_now(struct node *node)
{
    struct members members = {.next_id = 1};

    os_random(node->os, node->cluster_id.bytes, sizeof node->cluster_id.bytes);
    for (uint32_t i = 0; i < node->setup.member_count; i++) {
        const struct node_member *listed = &node->setup.members[i];
        struct peer *peer = peer_named(node, listed->name);
        struct member *member = &members.items[members.count++];

        member->id = members.next_id++;
        member->role = RAFT_VOTER;
        member->incarnation = peer ? peer->incarnation : node->incarnation;
        (void)members_copy_text(member->name, sizeof member->name, gavel_text(listed->name));
        for (uint32_t a = 0; a < listed->address_count && a < NODE_ADDRESSES_MAX; a++)
            if (members_copy_text(member->addresses[member->address_count], NODE_URI_MAX,
                                  gavel_text(listed->addresses[a])))
                member->address_count++;
        if (!peer)
            node->member_id = member->id;
    }
    if (found_make(node, &members))
        found_save(node);
}

void found_step(struct node *node)
{
    struct peer *peer;

    if (node->phase != NODE_FOUNDING || node->founding_saving)
        return;
    if (node->scout) {
        seed_step(node);
        return;
    }
    if (node->record.size) {
        found_resume(node);
        return;
    }
    if (!is_founder(node))
        return;
    os_list_each (peer, &node->peers, struct peer, link)
        if (!peer->empty)
            return;
    found_now(node);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static void id_bytes(uint64_t number, uint8_t raw[CODEC_ID_BYTES])
{
    memset(raw, 0, CODEC_ID_BYTES);
    bytes_store64(raw, number);
}

void found_peer_up(struct peer *peer)
{
    struct node *node = peer->node;
    uint8_t hash[CODEC_ID_BYTES];
    uint8_t incarnation[CODEC_ID_BYTES];

    if (node->scout) {
        seed_step(node);
        return;
    }
    if (node->phase == NODE_FOUNDING && is_founder(node) && !node->record.size && peer->blank && !peer->asked) {
        struct codec_found_ask ask = {.name = gavel_text(node->setup.name)};

        id_bytes(node->member_hash, hash);
        id_bytes(node->incarnation, incarnation);
        ask.members = gavel_bytes(hash, sizeof hash);
        ask.incarnation = gavel_bytes(incarnation, sizeof incarnation);
        peer->asked = peer_mark_sent(peer, &ask.id) && conn_send(peer->out, CODEC_FOUND_ASK, &ask);
    }
}

struct gavel_list found_addresses(const struct node *node, struct gavel_slice addresses[NODE_ADDRESSES_MAX])
{
    uint32_t count = 0;

    for (; count < node->setup.address_count && count < NODE_ADDRESSES_MAX; count++)
        addresses[count] = gavel_text(node->setup.addresses[count]);
    for (uint32_t i = 0; i < NODE_TRANSPORT_SLOTS && !node->setup.address_count; i++)
        for (uint32_t k = 0; k < 8 && node->listeners[i].transport && !node->listeners[i].transport->admin; k++)
            if (node->listeners[i].bound[k].size && count < NODE_ADDRESSES_MAX)
                addresses[count++] = node->listeners[i].bound[k];
    return (struct gavel_list){.items = addresses, .count = count, .stride = sizeof addresses[0]};
}

static void on_ask(struct conn *conn, const struct codec_found_ask *ask)
{
    struct node *node = conn->node;
    uint8_t hash[CODEC_ID_BYTES];
    uint8_t incarnation[CODEC_ID_BYTES];
    struct codec_found_answer answer = {.id = ask->id, .name = gavel_text(node->setup.name)};
    struct gavel_slice addresses[NODE_ADDRESSES_MAX];

    id_bytes(node->member_hash, hash);
    id_bytes(node->incarnation, incarnation);
    answer.incarnation = gavel_bytes(incarnation, sizeof incarnation);
    answer.state = CODEC_FOUND_EMPTY;
    if (node->scout && node->scout->preparing) {
        answer.state = CODEC_FOUND_BUSY;
    } else if (node->founded || node->founding_saving) {
        answer.state = CODEC_FOUND_FORMED;
        answer.cluster_id = gavel_bytes(node->cluster_id.bytes, sizeof node->cluster_id.bytes);
    } else if (node->scout) {
        answer.addresses = found_addresses(node, addresses);
        seed_ask(conn, ask, &answer);
    } else if (node->setup.join_count) {
        answer.state = CODEC_FOUND_DIFFERS;
        answer.text = gavel_text("it waits to be added to a cluster that is there already");
    } else if (!gavel_slice_equal(ask->members, gavel_bytes(hash, sizeof hash))) {
        answer.state = CODEC_FOUND_DIFFERS;
        answer.text = gavel_text("its configuration lists other members, or in another order");
    }
    (void)conn_send(conn, CODEC_FOUND_ANSWER, &answer);
}

static void on_answer(struct conn *conn, const struct codec_found_answer *answer)
{
    struct node *node = conn->node;
    struct peer *peer = conn->peer;

    if (node->phase != NODE_FOUNDING || node->founding_saving || !peer || !conn->dialled)
        return;
    if (node->scout) {
        seed_answer(conn, answer);
        return;
    }
    if (answer->state == CODEC_FOUND_EMPTY && answer->incarnation.size == CODEC_ID_BYTES) {
        peer->incarnation = bytes_load64(answer->incarnation.data);
        peer->empty = true;
        found_step(node);
        return;
    }
    if (!peer->complained)
        node_log(node, GAVEL_LOG_ERROR, "cluster", "%s does not take part in a founding: %s", peer->name,
                 answer->state == CODEC_FOUND_FORMED
                     ? "it belongs to a cluster already. If this node was part of it, its data directory was "
                       "lost: it "
                       "waits to be replaced, and does not vote"
                     : "its configuration lists other members, or in another order");
    peer->complained = true;
}

/* Which member this node becomes by a record, 0: none; it may be a founder, or one that was added since. */
static uint64_t meant_id(const struct node *node, const struct codec_found_record *message)
{
    const struct member *self = members_named(&node->founding_members, node->setup.name);
    uint8_t incarnation[CODEC_ID_BYTES];

    id_bytes(node->incarnation, incarnation);
    if (self && self->incarnation == node->incarnation)
        return self->id;
    if (gavel_slice_equal(message->incarnation, gavel_bytes(incarnation, sizeof incarnation)))
        return message->member_id;
    return 0;
}

static int32_t take_record(struct node *node, const struct codec_found_record *message, struct gavel_error *error)
{
    bool held = node->record.size > 0;
    int32_t status;

    if (held && (!gavel_slice_equal(gavel_buffer_slice(&node->record), message->record) ||
                 (node->scout && node->scout->dropped)))
        return gavel_fail(error, GAVEL_E_DENIED,
                          "the founding record of another cluster is in its data directory already");
    status = found_load(node, message->record, error);
    if (status != GAVEL_OK)
        return status;
    node->record_taken = true; /* also when the INI file lists this node first: the cluster was made by gavel recover */
    node->member_id = meant_id(node, message);
    if (node->member_id == 0)
        return gavel_fail(error, GAVEL_E_DENIED, "the record names another data directory for this node");
    if (held) {
        node->founding_saving = true;
        save_identity(node);
    } else if (gavel_buffer_append(&node->record, message->record.data, message->record.size) != GAVEL_OK) {
        node_fatal(node, 70, "no memory for the founding record");
    } else {
        found_save(node);
    }
    return GAVEL_OK;
}

static void on_record(struct conn *conn, const struct codec_found_record *message)
{
    struct node *node = conn->node;
    struct codec_found_done done = {.id = message->id};
    struct gavel_error error = {0};

    if (message->prepare && node->scout && node->phase == NODE_FOUNDING) {
        seed_record(conn, message);
        return;
    }
    if (node->founded || node->founding_saving || node->phase != NODE_FOUNDING || message->prepare) {
        done.status = node->founded ? GAVEL_OK : GAVEL_E_BUSY;
        (void)conn_send(conn, CODEC_FOUND_DONE, &done);
        return;
    }
    done.status = take_record(node, message, &error);
    if (done.status == GAVEL_OK)
        return;
    if (done.status == GAVEL_E_CONFIG || done.status == GAVEL_E_VERSION) {
        node_fatal(node, 78, "this node does not fit the cluster: %s", error.text);
        return;
    }
    memset(&node->cluster_id, 0, sizeof node->cluster_id);
    done.text = gavel_text(error.text);
    (void)conn_send(conn, CODEC_FOUND_DONE, &done);
    node_log(node, GAVEL_LOG_ERROR, "cluster", "Refused a founding record from %s: %s", conn->name, error.text);
}

void found_message(struct conn *conn, uint64_t type, void *message)
{
    const struct codec_found_done *done = message;

    switch (type) {
    case CODEC_FOUND_ASK: on_ask(conn, message); break;
    case CODEC_FOUND_ANSWER: on_answer(conn, message); break;
    case CODEC_FOUND_RECORD: on_record(conn, message); break;
    case CODEC_FOUND_DONE:
        if (conn->node->scout && conn->node->phase == NODE_FOUNDING)
            seed_done(conn, done);
        if (done->status != GAVEL_OK && done->status != GAVEL_E_BUSY)
            node_log(conn->node, GAVEL_LOG_ERROR, "cluster", "%s refused the founding: %.*s",
                     conn->peer ? conn->peer->name : conn->name, (int)done->text.size,
                     done->text.data ? (const char *)done->text.data : "");
        break;
    default: break;
    }
}
