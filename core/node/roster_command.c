/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roster_command.c - the commands of the machine "gavel" about who there is: what a member declares, nodes that come
 * and go by themselves, and the lists. The leader checks and writes the entry; apply_roster.c lets it take effect.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/bytes.h"

#define TTL_MS 30000 /* of a registration that states none */

/* What a node of a list takes beside its texts in JSON, and a member with the largest set. */
static_assert(2 * ROSTER_BYTES_MAX + 128 * ROSTER_NODES_MAX + NODE_MEMBERS_MAX * (2 * CAPABILITY_SET_MAX + 2048) <=
                  NODE_MESSAGE_BYTES, "a list of all is one message");

/* ---- whether the cluster knows such entries ------------------------------------------------------------ */

/*
 * A member with a gaveld that does not know an entry stops at it. The first entry of the kind is held back until every
 * member has said that it does; from then on that is known, for none could have come past the first.
 */
static int32_t check_members(const struct node *node, struct gavel_error *error)
{
    const struct members *members = directory_now(&node->directory);

    for (uint32_t i = 0; members && i < members->count && node->roster->version == 0; i++) {
        const struct member *member = &members->items[i];
        const struct peer *peer = NULL;
        const struct peer *each;

        os_list_each (each, &node->peers, const struct peer, link)
            if (each->id == member->id)
                peer = each;
        if (member->id == node->member_id || (peer && peer->can.told && peer->can.settings))
            continue;
        if (peer && peer->can.told)
            return gavel_fail(error, GAVEL_E_STATE,
                              "the gaveld of %s is too old to know of capabilities and registered nodes; nothing was "
                              "done: update it first", member->name);
        return gavel_fail(error, GAVEL_E_STATE,
                          "whether the gaveld of %s knows of capabilities and registered nodes is not known before it "
                          "has answered once; nothing was done", member->name);
    }
    return GAVEL_OK;
}

static void propose(struct node *node, struct origin origin, uint64_t deadline_ns)
{
    struct log_entry entry = {.kind = LOG_HOST, .payload = gavel_buffer_slice(&node->body)};

    client_add(node, &entry, origin, deadline_ns);
}

/* ---- member_declare ------------------------------------------------------------------------------------ */

void declare_propose(struct node *node, uint64_t id, struct gavel_slice map, struct origin origin,
                     uint64_t deadline_ns)
{
    const struct member *member = members_find(directory_now(&node->directory), id);
    struct gavel_buffer set = codec_buffer(0);
    struct gavel_error error = {0};
    int32_t status = check_members(node, &error);

    if (status == GAVEL_OK && !member)
        status = gavel_fail(&error, GAVEL_E_NOT_FOUND, "no member has the id %llu", (unsigned long long)id);
    if (status == GAVEL_OK)
        status = codec_capabilities(map, &set, &error);
    if (status == GAVEL_OK) {
        node->body.size = 0;
        bytes_put32(&node->body, &status, APPLY_DECLARE);
        bytes_put64(&node->body, &status, id);
        bytes_put_slice(&node->body, &status, gavel_text(member->name));
        bytes_put_slice(&node->body, &status, gavel_buffer_slice(&set));
        if (status != GAVEL_OK)
            (void)gavel_fail(&error, GAVEL_E_BUSY, "the leader is out of memory; nothing was done");
    }
    gavel_buffer_free(&set);
    if (status != GAVEL_OK)
        client_refuse(node, origin, status, "%s", error.text);
    else
        propose(node, origin, deadline_ns);
}

void declare_command(struct conn *conn, const struct codec_request *request, struct origin origin,
                     uint64_t deadline_ns)
{
    struct node *node = conn->node;
    uint64_t id = codec_uint_or(codec_map_find(request->arguments, "id"), 0);

    /* Each speaks for itself; what an administrator wants to say stands in the INI file of the node. */
    if (conn->role != CODEC_ROLE_PEER || !conn->peer || id == 0 || id != conn->peer->id)
        client_refuse(node, origin, GAVEL_E_DENIED,
                      "a member declares its own capabilities: they are [capabilities] of its INI file");
    else if (client_leads(conn, request, origin, deadline_ns))
        declare_propose(node, id, codec_map_find(request->arguments, "capabilities"), origin, deadline_ns);
}

/* ---- node_register, node_deregister, node_keep --------------------------------------------------------- */

static int32_t read_name(struct gavel_slice arguments, const char *command, struct gavel_slice *name,
                         struct gavel_error *error)
{
    *name = codec_string_or(codec_map_find(arguments, "name"), "");
    if (members_name_valid(*name))
        return GAVEL_OK;
    return gavel_fail(error, GAVEL_E_INVALID,
                      "%s needs the name of a node: 1 to %d of A-Z, a-z, 0-9, '.', '_' and '-'", command,
                      NODE_NAME_MAX - 1);
}

static int32_t check_keys(struct gavel_slice arguments, const char *command, const char *known,
                          struct gavel_error *error)
{
    struct codec_walk walk;
    struct gavel_slice key, value;

    codec_walk_begin(&walk, arguments);
    while (codec_walk_next(&walk, &key, &value)) {
        char wanted[40];

        key = codec_string_or(key, "");
        (void)snprintf(wanted, sizeof wanted, " %.*s ", (int)(key.size < 36 ? key.size : 36), (const char *)key.data);
        if (!strstr(known, wanted))
            return gavel_fail(error, GAVEL_E_INVALID, "%s takes no '%.*s'", command,
                              (int)(key.size < 60 ? key.size : 60), (const char *)key.data);
    }
    return GAVEL_OK;
}

static int32_t read_ttl(struct gavel_slice value, uint64_t *ttl_ms, struct gavel_error *error)
{
    struct gavel_slice text = codec_string_or(value, "");

    *ttl_ms = codec_uint_or(value, value.data ? 0 : TTL_MS);
    if (text.size && codec_parse_duration(text, ttl_ms, NULL) != GAVEL_OK)
        *ttl_ms = 0;
    if (*ttl_ms >= ROSTER_TTL_MIN_MS && *ttl_ms <= ROSTER_TTL_MAX_MS)
        return GAVEL_OK;
    return gavel_fail(error, GAVEL_E_INVALID, "a time to live is 1 second to 24 hours: milliseconds, or a text as "
                      "\"30s\"");
}

/* Of the newest configuration, in force or not yet: one that comes later takes the node out by itself. */
static int32_t check_free(const struct node *node, struct gavel_slice name, struct gavel_error *error)
{
    const struct members *members = directory_now(&node->directory);

    for (uint32_t i = 0; i < members->count; i++)
        if (gavel_slice_equal(gavel_text(members->items[i].name), name))
            return gavel_fail(error, GAVEL_E_EXISTS, "a member of the cluster has the name '%.*s'", (int)name.size,
                              (const char *)name.data);
    return GAVEL_OK;
}

static int32_t write_register(struct node *node, struct gavel_slice arguments, struct gavel_error *error)
{
    struct gavel_slice address = codec_string_or(codec_map_find(arguments, "address"), "");
    struct gavel_slice map = codec_map_find(arguments, "capabilities");
    struct gavel_buffer set = codec_buffer(0);
    struct gavel_slice name;
    uint64_t ttl_ms = 0;
    int32_t status = check_keys(arguments, "node_register", " name address ttl capabilities ", error);

    if (status == GAVEL_OK)
        status = read_name(arguments, "node_register", &name, error);
    if (status == GAVEL_OK)
        status = check_free(node, name, error);
    if (status == GAVEL_OK && address.size && !members_address_valid(address))
        status = gavel_fail(error, GAVEL_E_INVALID, "'%.*s' is no address: it has to be like scheme://host:port",
                            (int)(address.size < 100 ? address.size : 100), (const char *)address.data);
    if (status == GAVEL_OK)
        status = read_ttl(codec_map_find(arguments, "ttl"), &ttl_ms, error);
    if (status == GAVEL_OK)
        status = codec_capabilities(map.data ? map : gavel_bytes("\x80", 1), &set, error);
    if (status == GAVEL_OK) {
        node->body.size = 0;
        bytes_put32(&node->body, &status, APPLY_NODE_REGISTER);
        bytes_put_slice(&node->body, &status, name);
        bytes_put_slice(&node->body, &status, address);
        bytes_put64(&node->body, &status, ttl_ms);
        bytes_put_slice(&node->body, &status, gavel_buffer_slice(&set));
        if (status != GAVEL_OK)
            (void)gavel_fail(error, GAVEL_E_BUSY, "the leader is out of memory; nothing was done");
    }
    gavel_buffer_free(&set);
    return status == GAVEL_OK ? GAVEL_OK : (int32_t)error->code;
}

/* Deregistering and signs of life: a name and nothing else. */
static int32_t write_named(struct node *node, struct gavel_slice arguments, const char *command, uint32_t kind,
                           struct gavel_error *error)
{
    struct gavel_slice name;
    int32_t status = check_keys(arguments, command, " name ", error);

    if (status == GAVEL_OK)
        status = read_name(arguments, command, &name, error);
    if (status != GAVEL_OK)
        return status;
    node->body.size = 0;
    bytes_put32(&node->body, &status, kind);
    bytes_put_slice(&node->body, &status, name);
    return status == GAVEL_OK ? GAVEL_OK
                              : gavel_fail(error, GAVEL_E_BUSY, "the leader is out of memory; nothing was done");
}

void roster_node_command(struct conn *conn, const struct codec_request *request, const char *command,
                         struct origin origin, uint64_t deadline_ns)
{
    struct node *node = conn->node;
    struct gavel_error error = {0};
    int32_t status;

    if (!client_leads(conn, request, origin, deadline_ns))
        return;
    status = check_members(node, &error);
    if (status != GAVEL_OK)
        ;
    else if (strcmp(command, "node_register") == 0)
        status = write_register(node, request->arguments, &error);
    else
        status = write_named(node, request->arguments, command,
                             strcmp(command, "node_keep") == 0 ? APPLY_NODE_KEEP : APPLY_NODE_DEREGISTER, &error);
    if (status != GAVEL_OK)
        client_refuse(node, origin, status, "%s", error.text);
    else
        propose(node, origin, deadline_ns);
}

/* ---- what runs out ------------------------------------------------------------------------------------- */

void roster_expire(struct node *node)
{
    const struct roster *roster = apply_roster(node->apply);

    /* Some each time; an expiry that is lost with its leader is proposed again by the next one. */
    for (int i = 0; i < 64; i++) {
        const struct roster_node *due = roster_due(roster, node->declare.expire_after, engine_tick(node));
        struct log_entry entry = {.kind = LOG_HOST};
        int32_t status = 0;

        if (!due) {
            node->declare.expire_after[0] = 0;
            return;
        }
        memcpy(node->declare.expire_after, due->name, sizeof due->name);
        node->body.size = 0;
        bytes_put32(&node->body, &status, APPLY_NODE_EXPIRE);
        bytes_put_slice(&node->body, &status, gavel_text(due->name));
        bytes_put64(&node->body, &status, due->tick);
        entry.payload = gavel_buffer_slice(&node->body);
        if (status != GAVEL_OK || propose_add(node, &entry, (struct origin){0}, UINT64_MAX) != GAVEL_OK)
            return;
    }
}

/* ---- lists --------------------------------------------------------------------------------------------- */

static void put_number(struct gavel_writer *out, const char *name, uint64_t value)
{
    gavel_put_key(out, name);
    gavel_put_uint(out, value);
}

void roster_put_capabilities(const struct node *node, uint64_t id, struct gavel_writer *out)
{
    const struct roster_member *member = roster_member(node->roster, id);

    gavel_put_key(out, "capabilities");
    if (member) {
        codec_put_value(out, gavel_bytes(member->set, member->set_bytes));
    } else {
        gavel_put_map(out, 0);
        gavel_put_end(out);
    }
}

void roster_put_nodes(const struct node *node, struct gavel_writer *out)
{
    uint64_t tick = node->applied_tick;

    gavel_put_array(out, node->roster->count);
    for (uint32_t i = 0; i < node->roster->count; i++) {
        const struct roster_node *each = node->roster->nodes[i];

        gavel_put_map(out, 6);
        gavel_put_key(out, "name");
        gavel_put_text(out, each->name);
        gavel_put_key(out, "address");
        gavel_put_text(out, each->address);
        put_number(out, "since", each->since);
        put_number(out, "ttl_ms", each->ttl_ms);
        put_number(out, "age_ms", tick > each->tick ? tick - each->tick : 0);
        gavel_put_key(out, "capabilities");
        codec_put_value(out, gavel_bytes(each->set, each->set_bytes));
        gavel_put_end(out);
    }
    gavel_put_end(out);
}
