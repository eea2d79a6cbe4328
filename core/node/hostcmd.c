/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostcmd.c - the commands of the machine "gavel", number 0: sessions, what a node says of itself, and what
 * administrators may ask of it. Those come through the socket in the data directory and nowhere else.
 */
#include "core/node/internal.h"

#include <string.h>

#include "core/codec/value.h"
#include "core/node/bytes.h"

struct asked {
    struct conn *conn;
    const struct codec_request *request;
    struct origin origin;
    uint64_t deadline_ns;
    const char *name; /* of the command */
};

struct host_command {
    const char *name;
    bool admin;
    void (*run)(struct node *node, const struct asked *asked);
};

bool hostcmd_is(struct gavel_slice machine, struct gavel_slice *command)
{
    static const char prefix[] = "gavel.";
    uint64_t length = sizeof prefix - 1;

    if (gavel_slice_equal(machine, gavel_text("gavel")))
        return true;
    if (machine.size || command->size <= length || memcmp(command->data, prefix, length) != 0)
        return false;
    *command = gavel_bytes((const char *)command->data + length, command->size - length);
    return true;
}

static void reply_body(struct node *node, const struct asked *asked, struct codec_writer *writer)
{
    struct codec_reply reply = {.index = node->applied};
    struct gavel_error error;

    if (codec_writer_end(writer, &error) != GAVEL_OK) {
        client_refuse(node, asked->origin, GAVEL_E_INTERNAL, "the answer cannot be written: %s", error.text);
        return;
    }
    reply.result = gavel_buffer_slice(&node->body);
    client_reply(node, asked->origin, &reply);
}

static struct gavel_writer *begin_body(struct node *node, struct codec_writer *writer)
{
    node->body.size = 0;
    return codec_writer_begin(writer, &node->body);
}

static void reply_ok(struct node *node, const struct asked *asked)
{
    struct codec_reply reply = {.index = node->applied};

    client_reply(node, asked->origin, &reply);
}

/* ---- sessions ------------------------------------------------------------------------------------------ */

static void session_entry(struct node *node, const struct asked *asked, uint32_t kind)
{
    uint8_t payload[4] = {0};
    struct log_entry entry = {.kind = LOG_HOST,
                              .session = asked->request->session,
                              .payload = gavel_bytes(payload, sizeof payload)};

    if (kind != APPLY_SESSION_REGISTER && entry.session == 0) {
        client_refuse(node, asked->origin, GAVEL_E_INVALID, "the request names no session");
        return;
    }
    if (!client_writes(asked->conn, asked->request, asked->origin, asked->deadline_ns))
        return;
    bytes_store32(payload, kind);
    client_add(node, &entry, asked->origin, asked->deadline_ns);
}

static void session_register_command(struct node *node, const struct asked *asked)
{
    session_entry(node, asked, APPLY_SESSION_REGISTER);
}

static void session_close_command(struct node *node, const struct asked *asked)
{
    session_entry(node, asked, APPLY_SESSION_CLOSE);
}

static void session_keep_command(struct node *node, const struct asked *asked)
{
    session_entry(node, asked, APPLY_SESSION_KEEP);
}

/* ---- looking ------------------------------------------------------------------------------------------- */

static void status_command(struct node *node, const struct asked *asked)
{
    struct codec_writer writer;

    node_status(node, begin_body(node, &writer));
    reply_body(node, asked, &writer);
}

static void describe_command(struct node *node, const struct asked *asked)
{
    struct codec_writer writer;

    status_describe(node, begin_body(node, &writer));
    reply_body(node, asked, &writer);
}

static void members_command(struct node *node, const struct asked *asked)
{
    struct codec_writer writer;

    status_members(node, begin_body(node, &writer));
    reply_body(node, asked, &writer);
}

static void member_list_command(struct node *node, const struct asked *asked)
{
    struct codec_writer writer;

    status_member_list(node, begin_body(node, &writer));
    reply_body(node, asked, &writer);
}

static void settings_command(struct node *node, const struct asked *asked)
{
    struct codec_writer writer;

    settings_show(node, begin_body(node, &writer));
    reply_body(node, asked, &writer);
}

static void settings_set(struct node *node, const struct asked *asked)
{
    (void)node;
    settings_set_command(asked->conn, asked->request, asked->origin, asked->deadline_ns);
}

static void settings_upgrade(struct node *node, const struct asked *asked)
{
    (void)node;
    settings_upgrade_command(asked->conn, asked->request, asked->origin, asked->deadline_ns);
}

static void member_command(struct node *node, const struct asked *asked)
{
    (void)node;
    change_command(asked->conn, asked->request, asked->name, asked->origin, asked->deadline_ns);
}

static void member_declare(struct node *node, const struct asked *asked)
{
    (void)node;
    declare_command(asked->conn, asked->request, asked->origin, asked->deadline_ns);
}

static void node_command(struct node *node, const struct asked *asked)
{
    (void)node;
    roster_node_command(asked->conn, asked->request, asked->name, asked->origin, asked->deadline_ns);
}

static void node_list_command(struct node *node, const struct asked *asked)
{
    struct codec_writer writer;

    roster_put_nodes(node, begin_body(node, &writer));
    reply_body(node, asked, &writer);
}

static void metrics_command(struct node *node, const struct asked *asked)
{
    struct codec_writer writer;

    if (!node->setup.callbacks.metrics) {
        client_refuse(node, asked->origin, GAVEL_E_UNSUPPORTED, "this host keeps no metrics");
        return;
    }
    node_gauges(node);
    node->setup.callbacks.metrics(node->setup.callbacks.context, begin_body(node, &writer));
    reply_body(node, asked, &writer);
}

/* ---- administration ------------------------------------------------------------------------------------ */

/* Whom it shall go to; 0 with an answer given when it cannot, or need not. */
static uint64_t transfer_target(struct node *node, const struct asked *asked, struct gavel_slice to)
{
    const struct members *members = directory_now(&node->directory);
    char name[NODE_NAME_MAX];
    const struct member *target = members && members_copy_text(name, sizeof name, to) ? members_named(members, name)
                                                                                      : NULL;

    if (!target)
        client_refuse(node, asked->origin, GAVEL_E_NOT_FOUND, "no member has the name '%.*s'",
                      (int)(to.size < NODE_NAME_MAX ? to.size : NODE_NAME_MAX), (const char *)to.data);
    else if (target->id == node->member_id)
        reply_ok(node, asked); /* it leads */
    else if (target->role != RAFT_VOTER)
        client_refuse(node, asked->origin, GAVEL_E_STATE, "'%s' is no voter: it cannot lead", target->name);
    else if (target->priority == RAFT_PRIORITY_NEVER)
        client_refuse(node, asked->origin, GAVEL_E_STATE,
                      "'%s' is not to lead: its priority is 0; gavel member update %s --priority 1 changes that",
                      target->name, target->name);
    else
        return target->id;
    return 0;
}

static void transfer_refused(struct node *node, const struct asked *asked, struct gavel_slice to)
{
    if (to.size)
        client_refuse(node, asked->origin, GAVEL_E_STATE,
                      "'%.*s' refetches a damaged log, or is fenced: it cannot lead now", (int)to.size,
                      (const char *)to.data);
    else
        client_refuse(node, asked->origin, GAVEL_E_STATE,
                      "no other voter could lead now: none answers, or they are fenced, or their disks hang, "
                      "or their priority is 0");
}

static void transfer_command(struct node *node, const struct asked *asked)
{
    struct gavel_slice to = codec_string_or(codec_map_find(asked->request->arguments, "to"), "");
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
    int status = RAFT_E_BUSY;

    if (!client_leads(asked->conn, asked->request, asked->origin, asked->deadline_ns))
        return;
    if (to.size) {
        event.transfer.target = transfer_target(node, asked, to);
        if (event.transfer.target == 0)
            return;
    }
    if (!node->transfer_asked) {
        propose_now(node);
        /* Before the step: it may end in the same one. */
        node->transfer_asked = true;
        node->transfer_origin = asked->origin;
        status = engine_step(node, &event);
        if (status != RAFT_OK) {
            node->transfer_asked = false;
            node->transfer_origin = (struct origin){0};
        }
    }
    if (status == RAFT_E_BUSY)
        client_refuse(node, asked->origin, GAVEL_E_STATE, "leadership is being handed over already");
    else if (status != RAFT_OK)
        transfer_refused(node, asked, to);
}

void hostcmd_transfer_ended(struct node *node, bool done)
{
    struct codec_reply reply = {0};
    struct origin origin = node->transfer_origin;

    node->transfer_origin = (struct origin){0};
    if (done)
        client_reply(node, origin, &reply);
    else
        client_refuse(node, origin, GAVEL_E_TIMEOUT, "the hand-over ran out of time; %s leads on",
                      node->setup.name);
}

void hostcmd_snapshot_answer(struct node *node, struct origin origin, int32_t status)
{
    struct codec_reply reply = {0};

    if (status == GAVEL_E_EXISTS)
        client_reply(node, origin, &reply); /* the newest snapshot holds everything already */
    else if (status == GAVEL_E_BUSY)
        client_refuse(node, origin, status, "another snapshot is under way");
    else if (status != GAVEL_OK)
        client_refuse(node, origin, status, "no snapshot can be taken now");
}

static void snapshot_command(struct node *node, const struct asked *asked)
{
    /* A wrong state is not kept, not even by hand. */
    if (node->fenced)
        client_refuse(node, asked->origin, GAVEL_E_STATE,
                      "the state of this node differs from the majority's: no snapshot is taken of it");
    else
        hostcmd_snapshot_answer(node, asked->origin, snapshot_want(node, asked->origin));
}

static void snapshot_open_command(struct node *node, const struct asked *asked)
{
    save_begin(node, asked->conn, asked->origin, asked->deadline_ns);
}

static void snapshot_read_command(struct node *node, const struct asked *asked)
{
    save_read(node, asked->conn, asked->request->arguments, asked->origin);
}

static void snapshot_close_command(struct node *node, const struct asked *asked)
{
    save_close(node, asked->conn, asked->request->arguments, asked->origin);
}

static void log_level_command(struct node *node, const struct asked *asked)
{
    struct gavel_error error = {0};
    struct gavel_slice arguments = asked->request->arguments;
    int32_t status;

    if (!node->setup.callbacks.log_level) {
        client_refuse(node, asked->origin, GAVEL_E_UNSUPPORTED, "this host has no log levels");
        return;
    }
    status = node->setup.callbacks.log_level(node->setup.callbacks.context,
                                             codec_string_or(codec_map_find(arguments, "module"), ""),
                                             codec_string_or(codec_map_find(arguments, "level"), ""), &error);
    if (status != GAVEL_OK)
        client_refuse(node, asked->origin, status, "%s", error.text);
    else
        reply_ok(node, asked);
}

static void log_levels_command(struct node *node, const struct asked *asked)
{
    struct codec_writer writer;

    if (!node->setup.callbacks.log_levels) {
        client_refuse(node, asked->origin, GAVEL_E_UNSUPPORTED, "this host has no log levels");
        return;
    }
    node->setup.callbacks.log_levels(node->setup.callbacks.context, begin_body(node, &writer));
    reply_body(node, asked, &writer);
}

static void stop_command(struct node *node, const struct asked *asked)
{
    if (!node->setup.callbacks.stop) {
        client_refuse(node, asked->origin, GAVEL_E_UNSUPPORTED, "this host cannot be stopped so");
        return;
    }
    reply_ok(node, asked);
    node->setup.callbacks.stop(node->setup.callbacks.context);
}

static void reload_command(struct node *node, const struct asked *asked)
{
    struct node_caller caller = {.conn = asked->origin.conn, .id = asked->origin.id};

    if (!node->setup.callbacks.reload)
        client_refuse(node, asked->origin, GAVEL_E_UNSUPPORTED, "this host has nothing to reload");
    else
        node->setup.callbacks.reload(node->setup.callbacks.context, caller);
}

static void rebuild_row(struct node *node, const struct asked *asked)
{
    (void)node;
    rebuild_command(asked->conn, asked->request, asked->name, asked->origin, asked->deadline_ns);
}

static const struct host_command host_commands[] = {
    {"session_register", false, session_register_command},
    {"session_close", false, session_close_command},
    {"session_keep", false, session_keep_command},
    {"status", false, status_command},
    {"describe", false, describe_command},
    {"members", false, members_command},
    {"metrics", false, metrics_command},
    {"member_list", false, member_list_command},
    {"settings", false, settings_command},
    {"settings_set", true, settings_set},
    {"settings_upgrade", true, settings_upgrade},
    {"member_add", true, member_command},
    {"member_remove", true, member_command},
    {"member_promote", true, member_command},
    {"member_demote", true, member_command},
    {"member_replace", true, member_command},
    {"member_update", true, member_command},
    {"member_change", true, member_command},
    {"member_declare", true, member_declare},
    {"node_register", false, node_command},
    {"node_keep", false, node_command},
    {"node_deregister", false, node_command},
    {"node_list", false, node_list_command},
    {"rebuild", true, rebuild_row},
    {"state_offer", false, rebuild_row},
    {"state_piece", false, rebuild_row},
    {"transfer", true, transfer_command},
    {"snapshot", true, snapshot_command},
    {"snapshot_open", true, snapshot_open_command},
    {"snapshot_read", true, snapshot_read_command},
    {"snapshot_close", true, snapshot_close_command},
    {"log_level", true, log_level_command},
    {"log_levels", true, log_levels_command},
    {"reload", true, reload_command},
    {"stop", true, stop_command},
};

/* A member that passes a request on has seen that it came from an administrator. */
static bool may_administer(const struct conn *conn, const struct codec_request *request)
{
    return conn->role == CODEC_ROLE_ADMIN || (conn->role == CODEC_ROLE_PEER && request->forwarded);
}

void hostcmd_request(struct conn *conn, const struct codec_request *request, struct gavel_slice command,
                     struct origin origin, uint64_t deadline_ns)
{
    struct node *node = conn->node;
    struct asked asked = {.conn = conn, .request = request, .origin = origin, .deadline_ns = deadline_ns};
    struct codec_nearest nearest = {.wanted = command};
    char hint[160];

    for (size_t i = 0; i < sizeof host_commands / sizeof host_commands[0]; i++) {
        const struct host_command *row = &host_commands[i];

        if (!gavel_slice_equal(command, gavel_text(row->name))) {
            codec_nearest_offer(&nearest, gavel_text(row->name));
            continue;
        }
        asked.name = row->name;
        if (row->admin && !may_administer(conn, request))
            client_refuse(
                node, origin, GAVEL_E_DENIED,
                "'%s' is for administrators, who connect through the socket admin.sock in the node's data "
                "directory",
                row->name);
        else
            row->run(node, &asked);
        return;
    }
    client_refuse(node, origin, GAVEL_E_INVALID, "unknown command 'gavel.%.*s'%s", (int)command.size,
                  (const char *)command.data, codec_nearest_text(&nearest, hint, sizeof hint));
}
