/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - requests: which command is meant, whether it may run, who runs it. A write goes into the
 * leader's log, is sent on to the leader once, or waits here until there is one. A read is served here,
 * behind its barrier.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/field.h"
#include "core/codec/value.h"
#include "core/node/bytes.h"
#include "core/node/machine.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

/* ---- commands ------------------------------------------------------------------------------------------ */

static void add_rows(struct node *node, uint32_t number, const struct node_machine *machine)
{
    const char *at = (const char *)machine->operations->commands;

    for (uint64_t i = 0; i < machine->operations->command_count;
         i++, at += machine->operations->command_stride) {
        struct command_row *row = &node->commands[node->command_count++];

        row->command = (const struct gavel_command *)(const void *)at;
        row->number = number;
        row->name = gavel_text(row->command->name);
        row->machine = gavel_text(machine->name);
        (void)snprintf(row->owner, sizeof row->owner, "%s.%s", machine->name, row->command->name);
        for (uint32_t k = 0; k + 1 < node->command_count; k++)
            if (gavel_slice_equal(node->commands[k].name, row->name))
                row->ambiguous = node->commands[k].ambiguous = true;
    }
}

int32_t client_commands(struct node *node, struct gavel_error *error)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < node->setup.machine_count; i++)
        total += node->setup.machines[i].operations->command_count;
    node->commands = calloc(total ? total : 1, sizeof *node->commands);
    if (!node->commands)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the table of commands");
    for (uint32_t i = 0; i < node->setup.machine_count; i++)
        add_rows(node, i + 1, &node->setup.machines[i]);
    return GAVEL_OK;
}

/* Costs a comparison with every name, so only once it is clear that there is no such command. */
static void unknown_command(const struct node *node, struct gavel_slice machine, struct gavel_slice name,
                            struct gavel_error *error)
{
    struct codec_nearest nearest = {.wanted = name};
    char hint[160];

    for (uint32_t i = 0; i < node->command_count; i++)
        if ((!machine.size || gavel_slice_equal(machine, node->commands[i].machine)) &&
            !(node->commands[i].command->flags & GAVEL_INTERNAL))
            codec_nearest_offer(&nearest, node->commands[i].name);
    (void)gavel_fail(error, GAVEL_E_INVALID, "unknown command '%.*s'%s", (int)name.size,
                     name.data ? (const char *)name.data : "", codec_nearest_text(&nearest, hint, sizeof hint));
}

/* Find "set", "workflow.set", or "set" of machine "workflow". */
static const struct command_row *resolve(struct node *node, struct gavel_slice machine,
                                         struct gavel_slice name, uint64_t id, struct gavel_error *error)
{
    const char *dot = name.size ? memchr(name.data, '.', name.size) : NULL;
    bool machine_known = machine.size == 0;

    if (machine.size == 0 && dot) {
        uint64_t length = (uint64_t)(dot - (const char *)name.data);

        machine = gavel_bytes(name.data, length);
        name = gavel_bytes(dot + 1, name.size - length - 1);
        machine_known = false;
    }
    for (uint32_t i = 0; i < node->command_count; i++) {
        const struct command_row *row = &node->commands[i];

        if (machine.size && !gavel_slice_equal(machine, row->machine))
            continue;
        machine_known = true;
        if (row->command->flags & GAVEL_INTERNAL)
            continue;
        if (name.size ? !gavel_slice_equal(name, row->name) : row->command->id != id)
            continue;
        if (machine.size == 0 && !name.size && node->setup.machine_count > 1) {
            (void)gavel_fail(error, GAVEL_E_INVALID, "a command by its number has to name its machine");
            return NULL;
        }
        if (machine.size == 0 && row->ambiguous) {
            (void)gavel_fail(error, GAVEL_E_INVALID,
                             "several machines have a command '%.*s': say MACHINE.%.*s", (int)name.size,
                             (const char *)name.data, (int)name.size, (const char *)name.data);
            return NULL;
        }
        return row;
    }
    if (!machine_known)
        (void)gavel_fail(error, GAVEL_E_INVALID, "this cluster has no machine '%.*s'", (int)machine.size,
                         (const char *)machine.data);
    else
        unknown_command(node, machine, name, error);
    return NULL;
}

/* ---- replies ------------------------------------------------------------------------------------------- */

/*
 * Its result is more than a message may be here, or the serializer cannot write it: never in silence. A read has had no
 * effect. A write is done, and what says "not done" would have it done again: its index says that it is.
 */
static void reply_without_result(struct conn *conn, const struct origin *origin, const struct codec_reply *whole)
{
    static const char cannot[] = "is larger than a message of this connection may be";
    struct codec_reply reply = *whole;
    char text[128];

    COVER("node-reply-without-result");
    reply.result = gavel_bytes(NULL, 0);
    if (origin->reads) {
        reply.status = GAVEL_E_TOO_LARGE;
        (void)snprintf(text, sizeof text, "what was read %s", cannot);
    } else {
        reply.status = GAVEL_E_UNKNOWN;
        (void)snprintf(text, sizeof text, "it was done at index %llu, but its result %s",
                       (unsigned long long)reply.index, cannot);
    }
    reply.text = gavel_text(text);
    (void)conn_send(conn, CODEC_REPLY, &reply);
}

void client_reply(struct node *node, struct origin origin, struct codec_reply *reply)
{
    struct conn *conn = origin.conn ? conn_find(node, origin.conn) : NULL;
    struct trace_scope scope;

    trace_enter(node, &scope, trace_of(node, &origin));
    measure_answered(node, &origin, reply->status);
    trace_answered(node, &origin, reply->status, reply->index);
    if (!origin.conn && origin.id & NODE_ORIGIN_REBUILD)
        rebuild_answer(node, origin.id, reply);
    else if (!origin.conn && origin.id & NODE_ORIGIN_DECLARE)
        declare_answer(node, reply);
    else if (!origin.conn && origin.id)
        publish_answer(node, origin.id, reply);
    if (conn) {
        reply->id = origin.id;
        if (!conn_send(conn, CODEC_REPLY, reply) && conn->state == CONN_READY && reply->result.size)
            reply_without_result(conn, &origin, reply);
        conn_release(conn);
    }
    trace_leave(node, &scope);
}

const char *client_leader(struct node *node, struct codec_reply *reply, struct gavel_slice *addresses)
{
    const struct member *leader = node->leader ? directory_find(&node->directory, node->leader) : NULL;

    if (!leader)
        return NULL;
    reply->leader = gavel_text(leader->name);
    for (uint32_t i = 0; i < leader->address_count; i++)
        addresses[i] = gavel_text(leader->addresses[i]);
    reply->leader_addresses = (struct gavel_list){
        .items = addresses, .count = leader->address_count, .stride = sizeof addresses[0]};
    return leader->name;
}

void client_refuse(struct node *node, struct origin origin, int32_t status, const char *format, ...)
{
    char text[512];
    struct gavel_slice addresses[NODE_ADDRESSES_MAX];
    struct codec_reply reply = {.status = status};
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reply.text = gavel_text(text);
    if (status == GAVEL_E_NO_LEADER || status == GAVEL_E_NOT_LEADER)
        (void)client_leader(node, &reply, addresses);
    client_reply(node, origin, &reply);
}

/* ---- forwarding ---------------------------------------------------------------------------------------- */

static uint64_t remaining_ms(struct node *node, uint64_t deadline_ns)
{
    uint64_t now = node_now(node);

    return deadline_ns > now ? (deadline_ns - now) / NS_PER_MS + 1 : 1;
}

void client_forward(struct node *node, struct peer *peer, const struct codec_request *request,
                    struct origin origin, uint64_t deadline_ns)
{
    struct codec_request sent = *request;
    char traceparent[TRACE_PARENT_BYTES];
    struct forwarded *forwarded =
        node->forward_count < node->limits.proposals ? calloc(1, sizeof *forwarded) : NULL;
    struct trace_scope scope;
    bool sent_on;

    trace_request(node, &origin, SPAN_FORWARD, request, request->command);
    trace_note_peer(node, &origin, peer->name);
    if (trace_of(node, &origin)) {
        trace_format(trace_of(node, &origin), traceparent);
        sent.traceparent = gavel_text(traceparent);
    }
    origin.kind = origin.kind ? MEASURE_FORWARDED : MEASURE_NONE;
    sent.forwarded = 1;
    sent.remaining_ms = remaining_ms(node, deadline_ns);
    trace_enter(node, &scope, trace_of(node, &origin));
    sent_on = forwarded && peer_mark_sent(peer, &sent.id) && conn_send(peer->out, CODEC_REQUEST, &sent);
    trace_leave(node, &scope);
    if (!sent_on) {
        COVER("node-cannot-forward");
        free(forwarded);
        client_refuse(node, origin, GAVEL_E_BUSY,
                      "no more requests can be sent on to the leader %s now; nothing was done", peer->name);
        return;
    }
    forwarded->origin = origin;
    forwarded->peer = peer->id;
    forwarded->conn = peer->out->serial;
    forwarded->peer_id = sent.id;
    forwarded->deadline_ns = deadline_ns;
    os_list_push(&node->forwards, &forwarded->link);
    node->forward_count++;
}

static void forget_forward(struct node *node, struct forwarded *forwarded)
{
    os_list_remove(&forwarded->link);
    node->forward_count--;
    free(forwarded);
}

void client_forward_reply(struct peer *peer, struct codec_reply *reply)
{
    struct node *node = peer->node;
    struct forwarded *forwarded;

    os_list_each (forwarded, &node->forwards, struct forwarded, link) {
        if (forwarded->peer_id != reply->id || forwarded->peer != peer->id)
            continue;
        if (reply->status == GAVEL_E_NOT_LEADER)
            reply->status = GAVEL_E_NO_LEADER;
        client_reply(node, forwarded->origin, reply);
        forget_forward(node, forwarded);
        return;
    }
    node_observe(node, node->series.late_replies, 1);
}

bool client_forwarded_over(const struct node *node, uint64_t conn)
{
    const struct forwarded *forwarded;

    os_list_each (forwarded, &node->forwards, const struct forwarded, link)
        if (forwarded->conn == conn)
            return true;
    return false;
}

void client_forward_lost(struct node *node, uint64_t peer, uint64_t conn)
{
    struct os_list *at = node->forwards.next;

    while (at != &node->forwards) {
        struct forwarded *forwarded = os_container(at, struct forwarded, link);

        at = at->next;
        if (forwarded->peer != peer || (conn && forwarded->conn != conn))
            continue;
        client_refuse(node, forwarded->origin, GAVEL_E_UNKNOWN,
                      "the leader was lost before it answered; the write may or may not have been done");
        forget_forward(node, forwarded);
    }
}

/* ---- waiting for a leader ------------------------------------------------------------------------------ */

static void park(struct node *node, const struct codec_request *request, struct origin origin,
                 uint64_t deadline_ns)
{
    struct parked *parked;
    struct gavel_error error;

    node->out.size = 0;
    if (node->parked_count >= NODE_PARKED_MAX || node->parked_bytes >= NODE_PARKED_BYTES ||
        codec_message_encode(codec_msgpack(), NULL, CODEC_REQUEST, request, &node->out, &error) != GAVEL_OK) {
        client_refuse(node, origin, GAVEL_E_NO_LEADER, "there is no leader now, and no room to wait for one");
        return;
    }
    parked = malloc(sizeof *parked + node->out.size);
    if (!parked) {
        client_refuse(node, origin, GAVEL_E_NO_LEADER, "there is no leader now, and no room to wait for one");
        return;
    }
    *parked = (struct parked){.origin = origin, .deadline_ns = deadline_ns, .size = node->out.size};
    memcpy(parked->bytes, node->out.data, node->out.size);
    os_list_push(&node->parked, &parked->link);
    node->parked_count++;
    node->parked_bytes += parked->size;
}

static struct parked *unpark(struct node *node, struct parked *parked)
{
    os_list_remove(&parked->link);
    node->parked_count--;
    node->parked_bytes -= parked->size;
    return parked;
}

static void handle(struct conn *conn, const struct codec_request *request, struct origin origin,
                   uint64_t deadline_ns);

void client_leader_known(struct node *node)
{
    uint64_t rounds = node->parked_count; /* what parks itself again is not looked at twice */

    while (rounds-- && !os_list_empty(&node->parked)) {
        struct parked *parked = unpark(node, os_container(node->parked.next, struct parked, link));
        struct conn *conn = conn_find(node, parked->origin.conn);
        struct codec_arena arena = codec_arena(node->scratch, NODE_SCRATCH_BYTES);
        struct gavel_limits limits = codec_limits(NODE_MESSAGE_BYTES);
        struct gavel_error error;
        uint64_t type;
        void *message;

        if (conn && codec_message_decode(codec_msgpack(), NULL, gavel_bytes(parked->bytes, parked->size),
                                         &limits, &arena, &type, &message, &error) == GAVEL_OK)
            handle(conn, message, parked->origin, parked->deadline_ns);
        free(parked);
    }
}

void client_expire(struct node *node, uint64_t now)
{
    struct os_list *at = node->parked.next;

    while (at != &node->parked) {
        struct parked *parked = os_container(at, struct parked, link);

        at = at->next;
        if (parked->deadline_ns > now)
            continue;
        client_refuse(node, parked->origin, GAVEL_E_NO_LEADER,
                      "no leader was found in time: a majority of the members is needed; nothing was done");
        free(unpark(node, parked));
    }
    at = node->forwards.next;
    while (at != &node->forwards) {
        struct forwarded *forwarded = os_container(at, struct forwarded, link);

        at = at->next;
        if (forwarded->deadline_ns > now)
            continue;
        client_refuse(node, forwarded->origin, GAVEL_E_UNKNOWN,
                      "the leader did not answer in time; the write may or may not have been done");
        forget_forward(node, forwarded);
    }
}

/* ---- requests ------------------------------------------------------------------------------------------ */

bool client_leads(struct conn *conn, const struct codec_request *request, struct origin origin,
                  uint64_t deadline_ns)
{
    struct node *node = conn->node;
    struct peer *leader;

    if (node->raft && node->role == RAFT_LEADER)
        return true;
    if (request->forwarded || request->no_forward) {
        client_refuse(node, origin, GAVEL_E_NOT_LEADER, "%s does not lead; nothing was done",
                      node->setup.name);
        return false;
    }
    leader = node->raft && node->leader ? peer_find(node, node->leader) : NULL;
    if (leader && leader->out && leader->out->state == CONN_READY)
        client_forward(node, leader, request, origin, deadline_ns);
    else
        park(node, request, origin, deadline_ns);
    return false;
}

/* While leadership is handed over nothing is proposed: it waits here for whoever leads then. */
bool client_writes(struct conn *conn, const struct codec_request *request, struct origin origin, uint64_t deadline_ns)
{
    if (!client_leads(conn, request, origin, deadline_ns))
        return false;
    if (!raft_transferring(conn->node->raft))
        return true;
    park(conn->node, request, origin, deadline_ns);
    return false;
}

void client_add(struct node *node, const struct log_entry *entry, struct origin origin, uint64_t deadline_ns)
{
    int32_t status = propose_add(node, entry, origin, deadline_ns);

    if (status == GAVEL_E_BUSY) {
        COVER("node-busy");
        propose_flush(node);
        status = propose_add(node, entry, origin, deadline_ns);
    }
    if (status == GAVEL_E_BUSY)
        client_refuse(node, origin, GAVEL_E_BUSY, "the leader has as many writes under way as it may");
    else if (status == GAVEL_E_TOO_LARGE)
        client_refuse(node, origin, GAVEL_E_TOO_LARGE, "the command is too large for one entry of the log");
    else if (status != GAVEL_OK)
        client_refuse(node, origin, GAVEL_E_BUSY, "the leader is out of memory; nothing was done");
}

/*
 * Members with an older plugin apply what this one proposes, until the barrier of the next state version is in the log:
 * what they do not know is refused, or left out of the table that is checked against and filled in from.
 */
static int32_t table_in_force(struct node *node, const struct command_row *row, struct codec_arena *arena,
                              const struct gavel_fields **table, struct gavel_fields *cut, struct gavel_error *error)
{
    const struct node_machine *machine = &node->setup.machines[row->number - 1];
    uint64_t version = node->settings->machines[row->number - 1].version;
    const struct gavel_fields *all = row->command->arguments;
    struct gavel_field *rows;

    *table = all;
    if (version >= machine->operations->state_version || !machine->operations->since || seeded_bug("command-too-new"))
        return GAVEL_OK;
    if (machine_since(machine, row->command->id, 0) > version)
        return gavel_fail(error, GAVEL_E_STATE,
                          "%s came with state version %llu, and %llu is in force: give every member the new plugin, "
                          "then 'gavel settings upgrade %s'", row->owner,
                          (unsigned long long)machine_since(machine, row->command->id, 0),
                          (unsigned long long)version, machine->name);
    if (!all)
        return GAVEL_OK;
    rows = codec_arena_take(arena, all->count * sizeof *rows, 16);
    if (!rows)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the arguments of %s", row->owner);
    *cut = (struct gavel_fields){.rows = rows, .stride = sizeof *rows, .struct_size = all->struct_size};
    for (uint64_t i = 0; i < all->count; i++) {
        struct gavel_field copy;
        const struct gavel_field *field = codec_row(all, i, &copy);

        if (machine_since(machine, row->command->id, field->id) <= version)
            rows[cut->count++] = *field;
    }
    *table = cut;
    return GAVEL_OK;
}

/* The log form: the command's id, then the complete map of its arguments. */
static int32_t log_form(struct node *node, const struct command_row *row, struct gavel_slice arguments,
                        struct gavel_error *error)
{
    struct codec_arena arena = codec_arena(node->arguments, CODEC_CHECK_ARENA);
    const struct gavel_fields *table;
    struct gavel_fields cut;
    int32_t status = 0;

    node->body.size = 0;
    bytes_put32(&node->body, &status, (uint32_t)row->command->id);
    if (status != GAVEL_OK)
        return gavel_fail(error, status, "no memory for the arguments of %s", row->owner);
    status = table_in_force(node, row, &arena, &table, &cut, error);
    if (status == GAVEL_OK)
        status = codec_arguments_check(table, row->owner, arguments, &arena, &node->body, error);
    if (status == GAVEL_OK && node->body.size > node->limits.command_bytes)
        return gavel_fail(
            error, GAVEL_E_TOO_LARGE, "the arguments of %s take %llu bytes, over the limit of %llu",
            row->owner, (unsigned long long)node->body.size, (unsigned long long)node->limits.command_bytes);
    return status;
}

static void handle(struct conn *conn, const struct codec_request *request, struct origin origin,
                   uint64_t deadline_ns)
{
    struct node *node = conn->node;
    struct gavel_error error = {0};
    struct gavel_slice command = request->command;
    const struct command_row *row;
    struct log_entry entry = {.kind = LOG_COMMAND,
                              .session = request->session,
                              .sequence = request->sequence,
                              .acked = request->acked,
                              .principal = request->principal};
    struct trace_scope scope;
    int32_t status;

    if (hostcmd_is(request->machine, &command)) {
        origin.kind = MEASURE_ADMIN;
        origin.reads = true; /* what an administrator changes says little */
        node->look = NODE_LOOK_ALL;
        hostcmd_request(conn, request, command, origin, deadline_ns);
        return;
    }
    row = resolve(node, request->machine, request->command, request->command_id, &error);
    if (!row) {
        client_refuse(node, origin, GAVEL_E_INVALID, "%s", error.text);
        return;
    }
    origin.reads = row->command->flags & GAVEL_READ; /* wherever it is sent on to */
    if (!node->raft) {
        park(node, request, origin, deadline_ns);
        return;
    }
    if (!(row->command->flags & GAVEL_READ) && !client_writes(conn, request, origin, deadline_ns))
        return;
    status = log_form(node, row, request->arguments, &error);
    if (status != GAVEL_OK) {
        client_refuse(node, origin, status, "%s", error.text);
        return;
    }
    if (row->command->flags & GAVEL_READ && divergence_read(conn, request, origin, deadline_ns))
        return;
    if (row->command->flags & GAVEL_READ) {
        origin.kind = MEASURE_READ;
        trace_request(node, &origin, SPAN_READ, request, gavel_text(row->owner));
        trace_enter(node, &scope, trace_of(node, &origin));
        read_add(node, origin, row->number, gavel_buffer_slice(&node->body), request->read,
                 request->min_index, deadline_ns);
        trace_leave(node, &scope);
        return;
    }
    entry.machine = (uint16_t)row->number;
    entry.payload = gavel_buffer_slice(&node->body);
    trace_request(node, &origin, SPAN_REPLICATE, request, gavel_text(row->owner));
    trace_enter(node, &scope, trace_of(node, &origin));
    client_add(node, &entry, origin, deadline_ns);
    trace_leave(node, &scope);
}

void client_request(struct conn *conn, const struct codec_request *request)
{
    struct node *node = conn->node;
    struct origin origin = {
        .conn = conn->serial, .id = request->id, .arrived_ns = node_now(conn->node), .kind = MEASURE_WRITE};
    uint64_t wait_ms = request->remaining_ms ? request->remaining_ms : node->limits.request_ms;
    struct codec_request own = *request;

    if (wait_ms > NODE_REQUEST_MS_MAX)
        wait_ms = NODE_REQUEST_MS_MAX;
    if (conn->role != CODEC_ROLE_PEER) {
        own.forwarded = 0;
        own.principal =
            gavel_bytes(NULL, 0); /* nobody was authenticated: a name that one gives oneself is none */
    }
    if (node->tick_at > node_now(node) + NODE_TICK_NS)
        node->tick_at = node_now(node) + NODE_TICK_NS; /* it can time out: look more often from now on */
    conn->in_flight++;
    if (conn->in_flight >= node->limits.client_in_flight && !conn->paused && conn->role != CODEC_ROLE_PEER) {
        COVER("node-pauses-a-client");
        conn->paused = true;
        conn->transport->operations->pause(conn->transport->self, conn->handle, 1);
    }
    handle(conn, &own, origin, node_now(node) + wait_ms * NS_PER_MS);
}

void client_count(struct node *node, uint32_t machine, const unsigned char *form, uint64_t size)
{
    uint32_t id = size >= 4 ? bytes_load32(form) : 0;

    for (uint32_t i = 0; i < node->command_count && node->measures; i++)
        if (node->commands[i].number == machine && node->commands[i].command->id == id) {
            node_record(node, node->metric.operations, 1, "operation", node->commands[i].owner);
            return;
        }
}

void client_free(struct node *node)
{
    while (!os_list_empty(&node->parked))
        free(unpark(node, os_container(node->parked.next, struct parked, link)));
    while (!os_list_empty(&node->forwards))
        forget_forward(node, os_container(node->forwards.next, struct forwarded, link));
    free(node->commands);
}
