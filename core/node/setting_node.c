/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setting_node.c - settings as a node lives with them: the copy on the loop, what the INI file says against them, and
 * what the plugins of the other members can do. The commands: setting_command.c.
 *
 * A value that the INI file gives is compared once, when this node has caught up with what was committed before it
 * started: earlier it does not know what is in force. A round of reads tells up to which index that is (thesis 6.4).
 * Not so a founder whose file says what the record says, in the life in which it founds: what was changed since, was
 * changed while it ran. The record only ever excuses: who joins or comes late has one too, and values may be newer.
 */
#include "core/node/internal.h"

#include <stdio.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/os/seeded.h"

#define PROTOCOL_CHECKS 1   /* the same of checks of each other's health */
#define PROTOCOL_SETTINGS 1 /* the minor version of the protocol from which on members know of settings */

struct setting_scope setting_scope(const struct node *node)
{
    return (struct setting_scope){.machines = node->setup.machines, .count = node->setup.machine_count};
}

/* ---- what the INI file says -------------------------------------------------------------------------------------- */

static uint64_t given_limit(const struct node_limits *limits, uint64_t row)
{
    const uint64_t values[] = {limits->sessions, limits->session_window, limits->session_bytes, limits->session_ttl_ms};

    return row < sizeof values / sizeof values[0] ? values[row] : 0;
}

bool setting_given(const struct node *node, const char *key, const struct setting_row *row, struct gavel_buffer *out)
{
    const struct node_machine *machine;
    const char *option, *line;
    char number[24];

    out->size = 0;
    if (row->machine == SETTING_OF_SESSION) {
        uint64_t value = given_limit(&node->setup.limits, row->row);

        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)value);
        return value && setting_canonical(row, gavel_text(number), out, NULL) == GAVEL_OK;
    }
    machine = &node->setup.machines[row->machine];
    option = key + strlen("statemachine.") + strlen(machine->name) + 1;
    line = machine->given ? machine->given : machine->settings;
    while (line && *line) {
        size_t length = strcspn(line, "\n");
        size_t size = strlen(option);

        if (length > size + 1 && line[size] == '=' && memcmp(line, option, size) == 0)
            return setting_canonical(row, gavel_bytes(line + size + 1, length - size - 1), out, NULL) == GAVEL_OK;
        line += length + (line[length] == '\n');
    }
    return false;
}

struct comparing {
    struct node *node;
    struct gavel_buffer force;
    struct gavel_buffer given;
    bool any; /* something is given at all */
    bool told; /* a difference was found */
};

/* Whether the INI file gives the key another value than is in force. */
static bool differs(struct comparing *comparing, const char *key, const struct setting_row *row)
{
    if (!setting_given(comparing->node, key, row, &comparing->given))
        return false;
    comparing->any = true;
    if (setting_in_force(comparing->node->settings, key, row, &comparing->force) != GAVEL_OK)
        return false;
    return !gavel_slice_equal(gavel_buffer_slice(&comparing->force), gavel_buffer_slice(&comparing->given));
}

static void compare(void *context, const char *key, const struct setting_row *row)
{
    struct comparing *comparing = context;
    const struct setting *item = settings_find(comparing->node->settings, gavel_text(key));
    char since[48] = "since it was founded";
    struct gavel_slice force, given;

    if (comparing->told || !differs(comparing, key, row))
        return;
    comparing->told = true;
    force = setting_shown(row, gavel_buffer_slice(&comparing->force));
    given = setting_shown(row, gavel_buffer_slice(&comparing->given));
    if (item && item->index)
        (void)snprintf(since, sizeof since, "since index %llu", (unsigned long long)item->index);
    node_fatal(comparing->node, 78,
               "%s is %.*s in the cluster, %s, and %.*s in this node's INI file: take the key out of the file, or "
               "give it the cluster's value; to change the cluster's: gavel settings set %s=%.*s",
               row->where, (int)force.size, (const char *)force.data, since, (int)given.size,
               (const char *)given.data, key, (int)given.size, (const char *)given.data);
}

static void look(void *context, const char *key, const struct setting_row *row)
{
    struct comparing *comparing = context;

    comparing->told |= differs(comparing, key, row);
}

/* Visits every setting. Whether the file gives any, and into *told, unless NULL, whether one was found to differ. */
static bool over_all(struct node *node, void (*visit)(void *, const char *, const struct setting_row *), bool *told)
{
    struct comparing comparing = {.node = node, .force = codec_buffer(0), .given = codec_buffer(0)};
    struct setting_scope scope = setting_scope(node);

    setting_each(&scope, visit, &comparing);
    gavel_buffer_free(&comparing.force);
    gavel_buffer_free(&comparing.given);
    if (told)
        *told = comparing.told;
    return comparing.any;
}

void settings_begin(struct node *node)
{
    if (node->ini_state == NODE_INI_UNSEEN) {
        bool differ;
        bool given = over_all(node, look, &differ) && !seeded_bug("settings-ini-ignored");
        bool excused = node->record_new && found_took_part(node) && !differ;

        node->ini_state = !given || excused ? NODE_INI_SEEN : NODE_INI_ASKS;
    }
    settings_ask(node);
}

void settings_ask(struct node *node)
{
    if (node->ini_state == NODE_INI_ASKS && node->raft)
        node->read_wanted = true;
}

void settings_barrier(struct node *node, uint64_t index)
{
    if (node->ini_state != NODE_INI_ASKS)
        return;
    node->ini_state = NODE_INI_WAITS;
    node->ini_index = index;
}

void settings_settle(struct node *node)
{
    if (node->ini_state != NODE_INI_WAITS || node->applied < node->ini_index || node->phase != NODE_RUNNING)
        return;
    node->ini_state = NODE_INI_SEEN;
    (void)over_all(node, compare, NULL);
}

/* ---- changes ---------------------------------------------------------------------------------------------------- */

struct telling {
    struct node *node;
    struct gavel_buffer given;
    uint64_t index;
};

static void tell(void *context, const char *key, const struct setting_row *row)
{
    struct telling *telling = context;
    struct node *node = telling->node;
    const struct setting *item = settings_find(node->settings, gavel_text(key));
    const char *const pairs[] = {"key", key, "value", item ? item->value : "", NULL};

    if (!item || item->index <= telling->index)
        return;
    node_log(node, GAVEL_LOG_INFO, "settings", "%s is %s from index %llu on", key, item->value,
             (unsigned long long)item->index);
    event_local(node, "settings_changed", key, pairs);
    if (setting_given(node, key, row, &telling->given) &&
        !gavel_slice_equal(gavel_buffer_slice(&telling->given), gavel_text(item->value)))
        node_log(node, GAVEL_LOG_WARN, "settings",
                 "%s is %.*s in this node's INI file, %s in the cluster: with that file it will not start again",
row->where,
                 (int)telling->given.size, (const char *)telling->given.data, item->value);
}

static void tell_versions(struct node *node, const struct settings *before)
{
    for (uint32_t i = 0; i < node->settings->machine_count; i++) {
        const struct setting_version *now = &node->settings->machines[i];
        const char *name = node->setup.machines[i].name;
        char key[SETTING_KEY_MAX + 1];
        char value[24];
        const char *const pairs[] = {"key", key, "value", value, NULL};

        if (before->machines[i].version == now->version || !before->machine_count)
            continue;
        (void)snprintf(key, sizeof key, "statemachine.%s.state_version", name);
        (void)snprintf(value, sizeof value, "%llu", (unsigned long long)now->version);
        node_log(node, GAVEL_LOG_INFO, "settings", "[statemachine.%s] acts as state version %s from index %llu on",
                 name,
                 value, (unsigned long long)now->index);
        event_local(node, "settings_changed", key, pairs);
    }
}

void settings_changed(struct node *node)
{
    struct settings before = *node->settings; /* its numbers; what it points to is not looked at */
    struct telling telling = {.node = node, .given = codec_buffer(0), .index = before.version};
    struct setting_scope scope = setting_scope(node);

    if (settings_copy(node->settings, apply_settings(node->apply)) != GAVEL_OK) {
        node_fatal(node, 70, "no memory for the settings of the cluster");
        return;
    }
    setting_each(&scope, tell, &telling);
    tell_versions(node, &before);
    gavel_buffer_free(&telling.given);
}

/* ---- what members can do ---------------------------------------------------------------------------------------- */

int32_t settings_abilities(struct node *node)
{
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, &node->abilities);

    gavel_put_map(out, node->setup.machine_count);
    for (uint32_t i = 0; i < node->setup.machine_count; i++) {
        const struct node_machine *machine = &node->setup.machines[i];

        gavel_put_key(out, machine->name);
        gavel_put_map(out, 3);
        gavel_put_key(out, "oldest");
        gavel_put_uint(out, setting_oldest(machine));
        gavel_put_key(out, "newest");
        gavel_put_uint(out, machine->operations->state_version);
        gavel_put_key(out, "configure");
        gavel_put_uint(out, machine->operations->configure != NULL);
        gavel_put_end(out);
    }
    gavel_put_end(out);
    return codec_writer_end(&writer, NULL);
}

void settings_learn(struct peer *peer, uint64_t protocol_minor, uint64_t disk_minor, struct gavel_slice machines)
{
    struct node *node = peer->node;

    memset(&peer->can, 0, sizeof peer->can);
    peer->can.told = true;
    peer->can.protocol_minor = protocol_minor;
    peer->can.disk_minor = disk_minor;
    peer->can.settings = protocol_minor >= PROTOCOL_SETTINGS;
    peer->can.checks = protocol_minor >= PROTOCOL_CHECKS;
    for (uint32_t i = 0; i < node->setup.machine_count; i++) {
        struct gavel_slice machine = codec_map_find(machines, node->setup.machines[i].name);

        peer->can.oldest[i] = codec_uint_or(codec_map_find(machine, "oldest"), 0);
        peer->can.newest[i] = codec_uint_or(codec_map_find(machine, "newest"), 0);
        peer->can.configure[i] = codec_uint_or(codec_map_find(machine, "configure"), 0) != 0;
    }
}
