/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setting_command.c - the commands settings, settings_set and settings_upgrade of the machine "gavel". The leader
 * checks a change against the tables and the settings that it has applied, and says in the entry which ones these were:
 * where others are in force by then, the entry does nothing, so what was checked is what holds. Whatever is refused has
 * changed nothing.
 */
#include "core/node/internal.h"

#include <stdio.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/bytes.h"
#include "core/os/seeded.h"

#define NAMES_MAX 200 /* bytes of a list of members in a sentence */

/* ---- looking ---------------------------------------------------------------------------------------------------- */

struct showing {
    struct node *node;
    struct gavel_writer *out;
    uint64_t count;
    struct gavel_buffer force;
    struct gavel_buffer given;
};

static void put_text(struct gavel_writer *out, const char *key, const char *text)
{
    gavel_put_key(out, key);
    gavel_put_text(out, text);
}

static void put_number(struct gavel_writer *out, const char *key, uint64_t number)
{
    gavel_put_key(out, key);
    gavel_put_uint(out, number);
}

static void put_slice(struct gavel_writer *out, const char *key, struct gavel_slice text)
{
    gavel_put_key(out, key);
    gavel_put_string(out, text);
}

static void count(void *context, const char *key, const struct setting_row *row)
{
    (void)key;
    (void)row;
    ((struct showing *)context)->count++;
}

static void show(void *context, const char *key, const struct setting_row *row)
{
    struct showing *showing = context;
    struct node *node = showing->node;
    const struct setting *item = settings_find(node->settings, gavel_text(key));
    bool given = setting_given(node, key, row, &showing->given);
    bool changes = row->machine == SETTING_OF_SESSION || node->setup.machines[row->machine].operations->configure;
    struct gavel_field field;

    if (setting_in_force(node->settings, key, row, &showing->force) != GAVEL_OK)
        showing->force.size = 0;
    field = *codec_row(row->fields, row->row, &field);
    if (field.flags & GAVEL_SECRET) {
        given = false;
        changes = false;
    }
    gavel_put_map(showing->out, given ? 7 : 6);
    put_text(showing->out, "key", key);
    if (field.flags & GAVEL_SECRET)
        put_text(showing->out, "value", "***");
    else
        put_slice(showing->out, "value", gavel_buffer_slice(&showing->force));
    put_text(showing->out, "from", !item ? "default" : item->index ? "change" : "founding");
    put_number(showing->out, "index", item ? item->index : 0);
    put_text(showing->out, "ini", row->where);
    gavel_put_key(showing->out, "changeable");
    gavel_put_bool(showing->out, changes);
    if (given)
        put_slice(showing->out, "here", gavel_buffer_slice(&showing->given));
    gavel_put_end(showing->out);
}

/* What one member's plugin can act as; of one that does not answer it is not known. */
static void show_member(struct node *node, const struct member *member, uint32_t machine, struct gavel_writer *out)
{
    const struct node_machine *own = &node->setup.machines[machine];
    const struct peer *peer = peer_find(node, member->id);
    bool self = member->id == node->member_id;
    bool known = self || (peer && settings_known(peer));

    gavel_put_map(out, known ? 4 : 2);
    put_text(out, "name", member->name);
    gavel_put_key(out, "known");
    gavel_put_bool(out, known);
    if (known) {
        put_number(out, "oldest", self ? setting_oldest(own) : peer->can.oldest[machine]);
        put_number(out, "newest", self ? own->operations->state_version : peer->can.newest[machine]);
    }
    gavel_put_end(out);
}

static void show_machine(struct node *node, uint32_t i, struct gavel_writer *out)
{
    const struct node_machine *machine = &node->setup.machines[i];
    const struct members *members = directory_now(&node->directory);

    gavel_put_map(out, 5);
    put_text(out, "name", machine->name);
    put_text(out, "plugin", machine->plugin->name);
    put_number(out, "state_version", node->settings->machines[i].version);
    put_number(out, "index", node->settings->machines[i].index);
    gavel_put_key(out, "members");
    gavel_put_array(out, members ? members->count : 0);
    for (uint32_t k = 0; members && k < members->count; k++)
        show_member(node, &members->items[k], i, out);
    gavel_put_end(out);
    gavel_put_end(out);
}

void settings_show(struct node *node, struct gavel_writer *out)
{
    struct showing showing = {.node = node, .out = out, .force = codec_buffer(0), .given = codec_buffer(0)};
    struct setting_scope scope = setting_scope(node);

    if (node->founded)
        setting_each(&scope, count, &showing);
    gavel_put_map(out, 4);
    put_number(out, "version", node->settings->version);
    put_number(out, "applied", node->applied);
    gavel_put_key(out, "settings");
    gavel_put_array(out, showing.count);
    if (showing.count)
        setting_each(&scope, show, &showing);
    gavel_put_end(out);
    gavel_put_key(out, "machines");
    gavel_put_array(out, node->founded ? node->setup.machine_count : 0);
    for (uint32_t i = 0; node->founded && i < node->setup.machine_count; i++)
        show_machine(node, i, out);
    gavel_put_end(out);
    gavel_put_end(out);
    gavel_buffer_free(&showing.force);
    gavel_buffer_free(&showing.given);
}

/* ---- who can do it ---------------------------------------------------------------------------------------------- */

bool settings_known(const struct peer *peer)
{
    return peer->can.told && ((peer->out && peer->out->up) || peer->in);
}

static void add_name(char names[NAMES_MAX], const char *name)
{
    size_t used = strlen(names);

    (void)snprintf(names + used, NAMES_MAX - used, "%s%s", used ? ", " : "", name);
}

/* Members that are there and cannot do something go into one list, those that are away into another. */
static void ask_members(struct node *node, bool (*can)(const struct peer *peer, uint32_t machine, uint64_t version),
                        uint32_t machine, uint64_t version, char unable[NAMES_MAX], char away[NAMES_MAX])
{
    const struct members *members = directory_now(&node->directory);

    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];
        const struct peer *peer = peer_find(node, member->id);

        if (member->id == node->member_id || member->role == RAFT_LEAVING || seeded_bug("settings-members-unasked"))
            continue;
        if (!peer || !settings_known(peer))
            add_name(away, member->name);
        else if (!can(peer, machine, version))
            add_name(unable, member->name);
    }
}

static bool knows_settings(const struct peer *peer, uint32_t machine, uint64_t version)
{
    (void)machine;
    (void)version;
    return peer->can.settings;
}

static bool can_configure(const struct peer *peer, uint32_t machine, uint64_t version)
{
    (void)version;
    return peer->can.configure[machine];
}

static bool can_act(const struct peer *peer, uint32_t machine, uint64_t version)
{
    return peer->can.oldest[machine] <= version && version <= peer->can.newest[machine];
}

/* ---- settings_set ----------------------------------------------------------------------------------------------- */

/* A change in the making: the entry's payload, and the settings as they would be. */
struct change {
    struct node *node;
    struct settings *next;
    uint32_t count;
    uint64_t touched; /* a bit for each machine */
    bool same;        /* nothing would change */
};

static int32_t check_leader(struct node *node, struct gavel_slice version, struct gavel_error *error)
{
    struct gavel_slice text = codec_string_or(version, "");
    uint64_t expected = codec_uint_or(version, UINT64_MAX);

    if (!engine_status(node).own_term_committed)
        return gavel_fail(error, GAVEL_E_BUSY, "%s leads since a moment ago only; nothing was done: try again",
                          node->setup.name);
    if (!version.data)
        return GAVEL_OK;
    if (text.size && codec_parse_uint(text, &expected, NULL) != GAVEL_OK)
        expected = UINT64_MAX;
    if (expected == UINT64_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "a version is a number, that of settings");
    if (expected != node->settings->version && !seeded_bug("settings-version-ignored"))
        return gavel_fail(error, GAVEL_E_CONDITION,
                          "the settings have changed since: they are of version %llu, not %llu; nothing was done",
                          (unsigned long long)node->settings->version, (unsigned long long)expected);
    return GAVEL_OK;
}

/* Texts and plain values alike: {"session.ttl": "20m"}, {"session.sessions": 500}. */
static int32_t value_text(struct gavel_slice value, struct gavel_buffer *out, struct gavel_error *error)
{
    uint64_t type = codec_value_type(value);
    int32_t status;

    if (type == GAVEL_TOKEN_MAP || type == GAVEL_TOKEN_ARRAY || type == GAVEL_TOKEN_BYTES)
        return gavel_fail(error, GAVEL_E_INVALID, "a value is a text as in an INI file");
    if (type == GAVEL_TOKEN_STRING) {
        struct gavel_slice text = codec_string_or(value, "");

        status = gavel_buffer_append(out, text.data, text.size);
    } else {
        status = codec_value_text(value, 0, out);
    }
    for (uint64_t i = 0; status == GAVEL_OK && i < out->size; i++)
        if (out->data[i] < 0x20 || out->data[i] == 0x7f)
            return gavel_fail(error, GAVEL_E_INVALID, "a value has no control characters");
    return status == GAVEL_OK ? status : gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a setting");
}

static int32_t check_row(const struct change *change, struct gavel_slice key, const struct setting_row *row,
                         struct gavel_error *error)
{
    const struct node_machine *machine;
    struct gavel_field field;

    field = *codec_row(row->fields, row->row, &field);
    if (field.flags & GAVEL_SECRET)
        return gavel_fail(error, GAVEL_E_INVALID, "%s is secret: it cannot go through the log", row->where);
    if (row->machine == SETTING_OF_SESSION)
        return GAVEL_OK;
    machine = &change->node->setup.machines[row->machine];
    if (!machine->operations->configure)
        return gavel_fail(error, GAVEL_E_UNSUPPORTED,
                          "%.*s cannot be changed: the plugin '%s', version %s, takes its options when it starts only",
                          (int)key.size, (const char *)key.data, machine->plugin->name, machine->plugin->version);
    return GAVEL_OK;
}

static int32_t add_pair(struct change *change, struct gavel_slice key, struct gavel_slice value,
                        struct gavel_error *error)
{
    struct node *node = change->node;
    struct setting_scope scope = setting_scope(node);
    struct gavel_buffer given = codec_buffer(0);
    struct gavel_buffer text = codec_buffer(0);
    struct gavel_buffer force = codec_buffer(0);
    char name[SETTING_KEY_MAX + 1];
    struct setting_row row;
    int32_t status = setting_find_row(&scope, key, &row, error);

    if (status == GAVEL_OK)
        status = check_row(change, key, &row, error);
    if (status == GAVEL_OK) {
        status = value_text(value, &given, error);
        if (status == GAVEL_OK)
            status = setting_canonical(&row, gavel_buffer_slice(&given), &text, error);
        else
            (void)gavel_wrap(error, row.where);
    }
    if (status == GAVEL_OK) {
        (void)snprintf(name, sizeof name, "%.*s", (int)key.size, (const char *)key.data);
        if (setting_in_force(node->settings, name, &row, &force) != GAVEL_OK ||
            !gavel_slice_equal(gavel_buffer_slice(&force), gavel_buffer_slice(&text)))
            change->same = false;
        if (row.machine != SETTING_OF_SESSION)
            change->touched |= UINT64_C(1) << row.machine;
        if (settings_put(change->next, key, gavel_buffer_slice(&text), UINT64_MAX) != GAVEL_OK)
            status = gavel_fail(error, GAVEL_E_TOO_LARGE, "%s: the value is too long, or there are too many settings",
                                row.where);
    }
    gavel_buffer_free(&given);
    gavel_buffer_free(&text);
    gavel_buffer_free(&force);
    return status;
}

/* What the tables cannot say: the plugin looks at the options as they would be. */
static int32_t check_machines(struct change *change, struct gavel_error *error)
{
    struct node *node = change->node;
    struct setting_scope scope = setting_scope(node);
    int32_t status = GAVEL_OK;

    for (uint32_t i = 0; i < node->setup.machine_count && status == GAVEL_OK; i++) {
        const struct node_machine *machine = &node->setup.machines[i];
        struct setting_options options;
        char unable[NAMES_MAX] = "", away[NAMES_MAX] = "";

        if (!(change->touched >> i & 1))
            continue;
        ask_members(node, can_configure, i, 0, unable, away);
        if (unable[0])
            return gavel_fail(error, GAVEL_E_STATE,
                              "the plugin of [statemachine.%s] on %s cannot change its options while it runs; nothing "
                              "was done: give it the plugin of version %s first", machine->name, unable,
                              machine->plugin->version);
        status = setting_options_make(change->next, &scope, i, &options, error);
        if (status != GAVEL_OK)
            return status;
        if (machine->plugin->check && node->setup.host)
            status = machine->plugin->check(node->setup.host, options.object, error);
        setting_options_free(&options);
        if (status != GAVEL_OK)
            (void)gavel_wrap(error, machine->name);
    }
    return status;
}

static int32_t write_entry(struct change *change, struct gavel_error *error)
{
    struct node *node = change->node;
    int32_t status = 0;

    node->body.size = 0;
    bytes_put32(&node->body, &status, APPLY_SETTINGS);
    bytes_put64(&node->body, &status, node->settings->version);
    bytes_put32(&node->body, &status, change->count);
    for (uint32_t i = 0; i < change->next->count; i++) {
        if (change->next->items[i].index != UINT64_MAX)
            continue;
        bytes_put_slice(&node->body, &status, gavel_text(change->next->items[i].key));
        bytes_put_slice(&node->body, &status, gavel_text(change->next->items[i].value));
    }
    return status == 0 ? GAVEL_OK : gavel_fail(error, GAVEL_E_BUSY, "the leader is out of memory; nothing was done");
}

static int32_t work_out(struct change *change, struct gavel_slice arguments, struct gavel_error *error)
{
    char unable[NAMES_MAX] = "", away[NAMES_MAX] = "";
    struct codec_walk walk;
    struct gavel_slice key, value;
    int32_t status = check_leader(change->node, codec_map_find(arguments, "version"), error);

    codec_walk_begin(&walk, arguments);
    while (status == GAVEL_OK && codec_walk_next(&walk, &key, &value)) {
        key = codec_string_or(key, "");
        if (gavel_slice_equal(key, gavel_text("version")))
            continue;
        if (++change->count > SETTINGS_CHANGE_MAX)
            return gavel_fail(error, GAVEL_E_TOO_LARGE, "one change takes at most %d settings", SETTINGS_CHANGE_MAX);
        status = add_pair(change, key, value, error);
    }
    if (status != GAVEL_OK)
        return status;
    if (change->count == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "settings_set needs at least one setting, such as session.ttl=20m");
    ask_members(change->node, knows_settings, 0, 0, unable, away);
    if (unable[0])
        return gavel_fail(error, GAVEL_E_STATE,
                          "the gaveld of %s is too old to change settings; nothing was done: update it first", unable);
    status = check_machines(change, error);
    return status == GAVEL_OK ? write_entry(change, error) : status;
}

/* The entry is in node->body. */
static void propose(struct node *node, struct origin origin, uint64_t deadline_ns)
{
    struct log_entry entry = {.kind = LOG_HOST, .payload = gavel_buffer_slice(&node->body)};

    client_add(node, &entry, origin, deadline_ns);
}

static void reply_version(struct node *node, struct origin origin)
{
    unsigned char bytes[32];
    struct gavel_buffer body = codec_buffer_fixed(bytes, sizeof bytes);
    struct codec_reply reply = {.index = node->applied};
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, &body);

    gavel_put_map(out, 1);
    put_number(out, "version", node->settings->version);
    gavel_put_end(out);
    (void)codec_writer_end(&writer, NULL);
    reply.result = gavel_buffer_slice(&body);
    client_reply(node, origin, &reply);
}

static void set(struct node *node, const struct codec_request *request, struct origin origin, uint64_t deadline_ns)
{
    struct change change = {.node = node, .next = settings_new(), .same = true};
    struct gavel_error error = {0};
    int32_t status;

    if (!change.next || settings_copy(change.next, node->settings) != GAVEL_OK)
        status = gavel_fail(&error, GAVEL_E_BUSY, "the leader is out of memory; nothing was done");
    else
        status = work_out(&change, request->arguments, &error);
    if (status == GAVEL_OK && seeded_bug("settings-when-proposed"))
        (void)settings_copy(node->settings, change.next);
    settings_free(change.next);
    if (status != GAVEL_OK)
        client_refuse(node, origin, status, "%s", error.text);
    else if (change.same)
        reply_version(node, origin);
    else
        propose(node, origin, deadline_ns);
}

/* ---- settings_upgrade ------------------------------------------------------------------------------------------- */

struct upgrade {
    uint32_t machine; /* position */
    uint64_t version;
};

static int32_t find_machine(const struct node *node, struct gavel_slice name, uint32_t *machine,
                            struct gavel_error *error)
{
    struct codec_nearest nearest = {.wanted = name};
    char hint[160];

    for (uint32_t i = 0; i < node->setup.machine_count; i++) {
        if (gavel_slice_equal(name, gavel_text(node->setup.machines[i].name))) {
            *machine = i;
            return GAVEL_OK;
        }
        codec_nearest_offer(&nearest, gavel_text(node->setup.machines[i].name));
    }
    return gavel_fail(error, GAVEL_E_INVALID, "this cluster has no machine '%.*s'%s",
                      (int)(name.size < 64 ? name.size : 64), (const char *)name.data,
                      codec_nearest_text(&nearest, hint, sizeof hint));
}

/* Every member acts as the new version from the barrier on, so every one has to be asked, and to be there. */
static int32_t check_upgrade(struct node *node, const struct upgrade *upgrade, struct gavel_error *error)
{
    const struct node_machine *machine = &node->setup.machines[upgrade->machine];
    unsigned long long now = node->settings->machines[upgrade->machine].version;
    unsigned long long version = upgrade->version;
    char unable[NAMES_MAX] = "", away[NAMES_MAX] = "";

    if (version == now)
        return gavel_fail(error, GAVEL_E_STATE, "[statemachine.%s] has state version %llu already; nothing was done",
                          machine->name, now);
    if (version < now)
        return gavel_fail(error, GAVEL_E_STATE,
                          "[statemachine.%s] has state version %llu: there is no way back to %llu, for entries have "
                          "been applied as %llu; nothing was done", machine->name, now, version, now);
    if (version > machine->operations->state_version || version < setting_oldest(machine))
        add_name(unable, node->setup.name);
    ask_members(node, can_act, upgrade->machine, version, unable, away);
    if (unable[0])
        return gavel_fail(error, GAVEL_E_STATE,
                          "the plugin of [statemachine.%s] on %s does not know state version %llu; nothing was done: "
                          "give each of them the new plugin, one after the other, then try again", machine->name,
                          unable,
                          version);
    if (away[0])
        return gavel_fail(error, GAVEL_E_STATE,
                          "whether the plugin of [statemachine.%s] knows state version %llu is not known of %s, which "
                          "does not answer; nothing was done: start it, or take it out of the cluster", machine->name,
                          version, away);
    return GAVEL_OK;
}

static int32_t work_out_upgrade(struct node *node, struct gavel_slice machine, struct gavel_slice wanted,
                                struct gavel_slice if_version, struct gavel_error *error)
{
    struct upgrade upgrade = {0};
    struct gavel_slice text = codec_string_or(wanted, "");
    int32_t status = check_leader(node, if_version, error);

    if (status == GAVEL_OK)
        status = find_machine(node, machine, &upgrade.machine, error);
    if (status != GAVEL_OK)
        return status;
    upgrade.version = codec_uint_or(wanted, 0);
    if (text.size && codec_parse_uint(text, &upgrade.version, NULL) != GAVEL_OK)
        upgrade.version = 0;
    if (!wanted.data)
        upgrade.version = node->setup.machines[upgrade.machine].operations->state_version;
    if (upgrade.version == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "a state version is a number from 1 on");
    status = check_upgrade(node, &upgrade, error);
    if (status != GAVEL_OK)
        return status;
    node->body.size = 0;
    status = 0;
    bytes_put32(&node->body, &status, APPLY_UPGRADE);
    bytes_put64(&node->body, &status, node->settings->version);
    bytes_put32(&node->body, &status, upgrade.machine + 1);
    bytes_put64(&node->body, &status, upgrade.version);
    return status == 0 ? GAVEL_OK : gavel_fail(error, GAVEL_E_BUSY, "the leader is out of memory; nothing was done");
}

static void upgrade(struct node *node, struct gavel_slice machine, struct gavel_slice wanted,
                    struct gavel_slice if_version, struct origin origin, uint64_t deadline_ns)
{
    struct gavel_error error = {0};
    int32_t status = work_out_upgrade(node, machine, wanted, if_version, &error);

    if (status != GAVEL_OK)
        client_refuse(node, origin, status, "%s", error.text);
    else
        propose(node, origin, deadline_ns);
}

/* ---- the commands ----------------------------------------------------------------------------------------------- */

/* `set statemachine.NAME.state_version=N` is the upgrade, by its key; it stands alone. */
static bool names_state_version(struct gavel_slice arguments, struct gavel_slice *machine, struct gavel_slice *wanted)
{
    static const char before[] = "statemachine.", behind[] = ".state_version";
    const uint64_t least = sizeof before - 1 + sizeof behind - 1;
    struct codec_walk walk;
    struct gavel_slice key, value;

    codec_walk_begin(&walk, arguments);
    while (codec_walk_next(&walk, &key, &value)) {
        const char *text;

        key = codec_string_or(key, "");
        text = key.data;
        if (key.size <= least || memcmp(text, before, sizeof before - 1) != 0 ||
            memcmp(text + key.size - (sizeof behind - 1), behind, sizeof behind - 1) != 0)
            continue;
        *machine = gavel_bytes(text + sizeof before - 1, key.size - least);
        *wanted = value;
        return true;
    }
    return false;
}

void settings_set_command(struct conn *conn, const struct codec_request *request, struct origin origin,
                          uint64_t deadline_ns)
{
    struct node *node = conn->node;
    struct gavel_slice version = codec_map_find(request->arguments, "version");
    struct gavel_slice machine, wanted;

    if (!client_leads(conn, request, origin, deadline_ns))
        return;
    if (!names_state_version(request->arguments, &machine, &wanted))
        set(node, request, origin, deadline_ns);
    else if (codec_value_count(request->arguments) > 1u + (version.data != NULL))
        client_refuse(node, origin, GAVEL_E_INVALID, "a state version changes alone, in a change of its own");
    else
        upgrade(node, machine, wanted, version, origin, deadline_ns);
}

void settings_upgrade_command(struct conn *conn, const struct codec_request *request, struct origin origin,
                              uint64_t deadline_ns)
{
    struct gavel_slice arguments = request->arguments;

    if (client_leads(conn, request, origin, deadline_ns))
        upgrade(conn->node, codec_string_or(codec_map_find(arguments, "machine"), ""),
                codec_map_find(arguments, "state_version"), codec_map_find(arguments, "version"), origin, deadline_ns);
}
