/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change.c - commands that change the members. The leader works the wanted list out of the newest one, which is
 * committed and not joint, or there is a change in flight; core/raft gets there by itself, through a joint
 * configuration where voters change (thesis 4.3). Whatever is refused has changed nothing.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/os/seeded.h"

#define EDITS_MAX NODE_MEMBERS_MAX /* of one member_change: every member once */

struct edit {
    const struct edit_row *row;
    char name[NODE_NAME_MAX];
    uint32_t role;
    bool has_priority;
    uint32_t priority;
    uint32_t address_count;
    char addresses[NODE_ADDRESSES_MAX][NODE_URI_MAX];
};

struct edit_row {
    const char *command;
    const char *op;   /* in member_change */
    const char *keys; /* beside name and version, with blanks around each */
    int32_t (*apply)(struct members *members, const struct edit *edit, uint64_t *id, struct gavel_error *error);
};

/* ---- edits --------------------------------------------------------------------------------------------- */

/* The member that an edit is about. */
static struct member *named(struct members *members, const struct edit *edit, struct gavel_error *error)
{
    for (uint32_t i = 0; i < members->count; i++)
        if (strcmp(members->items[i].name, edit->name) == 0)
            return &members->items[i];
    (void)gavel_fail(error, GAVEL_E_NOT_FOUND, "no member has the name '%s'", edit->name);
    return NULL;
}

static void take_out(struct members *members, struct member *member)
{
    uint32_t at = (uint32_t)(member - members->items);

    members->count--;
    memmove(member, member + 1, (members->count - at) * sizeof *member);
}

/* Addresses are unique, so that nobody is taken for somebody else. */
static int32_t set_addresses(struct members *members, struct member *member, const struct edit *edit,
                             struct gavel_error *error)
{
    for (uint32_t i = 0; i < edit->address_count; i++) {
        const struct member *other = members_at_address(members, edit->addresses[i]);

        if (other && other != member && !seeded_bug("member-address-twice"))
            return gavel_fail(error, GAVEL_E_EXISTS, "the address %s is that of member '%s'", edit->addresses[i],
                              other->name);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(edit->addresses[i], edit->addresses[k]) == 0)
                return gavel_fail(error, GAVEL_E_EXISTS, "the address %s is given twice", edit->addresses[i]);
    }
    member->address_count = edit->address_count;
    memset(member->addresses, 0, sizeof member->addresses);
    memcpy(member->addresses, edit->addresses, edit->address_count * sizeof edit->addresses[0]);
    return GAVEL_OK;
}

/* A member that has not been in the cluster: with an id that nobody ever had. */
static struct member *put_new(struct members *members, const struct edit *edit, uint32_t role)
{
    struct member *member = &members->items[members->count++];

    memset(member, 0, sizeof *member);
    member->id = members->next_id++;
    if (seeded_bug("member-id-reused")) {
        member->id = 1;
        while (members_find(members, member->id) != member)
            member->id++;
    }
    member->role = role;
    member->priority = edit->priority;
    (void)members_copy_text(member->name, sizeof member->name, gavel_text(edit->name));
    return member;
}

static int32_t apply_add(struct members *members, const struct edit *edit, uint64_t *id, struct gavel_error *error)
{
    const struct member *same = members_named(members, edit->name);
    struct member *member;

    if (same)
        return gavel_fail(error, GAVEL_E_EXISTS, "a member has the name '%s' already, with id %llu", edit->name,
                          (unsigned long long)same->id);
    if (edit->address_count == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "a new member needs an address: say where '%s' listens", edit->name);
    if (members->count == NODE_MEMBERS_MAX)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "a cluster has at most %d members", NODE_MEMBERS_MAX);
    member = put_new(members, edit, edit->role);
    *id = member->id;
    return set_addresses(members, member, edit, error);
}

static int32_t apply_remove(struct members *members, const struct edit *edit, uint64_t *id, struct gavel_error *error)
{
    struct member *member = named(members, edit, error);

    (void)id;
    if (!member)
        return GAVEL_E_NOT_FOUND;
    if (members->count == 1)
        return gavel_fail(error, GAVEL_E_STATE, "'%s' is the last member: a cluster keeps at least one", edit->name);
    take_out(members, member);
    return GAVEL_OK;
}

static int32_t apply_promote(struct members *members, const struct edit *edit, uint64_t *id, struct gavel_error *error)
{
    struct member *member = named(members, edit, error);

    (void)id;
    if (!member)
        return GAVEL_E_NOT_FOUND;
    if (member->role == RAFT_VOTER)
        return gavel_fail(error, GAVEL_E_STATE, "'%s' is a voter already", edit->name);
    if (member->role == RAFT_JOINING)
        return gavel_fail(error, GAVEL_E_STATE, "'%s' becomes a voter by itself as soon as it has caught up",
                          edit->name);
    member->role = RAFT_JOINING;
    return GAVEL_OK;
}

static int32_t apply_demote(struct members *members, const struct edit *edit, uint64_t *id, struct gavel_error *error)
{
    struct member *member = named(members, edit, error);

    (void)id;
    if (!member)
        return GAVEL_E_NOT_FOUND;
    if (member->role == RAFT_LEARNER)
        return gavel_fail(error, GAVEL_E_STATE, "'%s' is a learner already", edit->name);
    member->role = RAFT_LEARNER;
    return GAVEL_OK;
}

static int32_t apply_replace(struct members *members, const struct edit *edit, uint64_t *id, struct gavel_error *error)
{
    struct member *member = named(members, edit, error);
    struct member old;

    if (!member)
        return GAVEL_E_NOT_FOUND;
    old = *member;
    take_out(members, member);
    member = put_new(members, edit, old.role == RAFT_LEARNER ? RAFT_LEARNER : RAFT_JOINING);
    if (!edit->has_priority)
        member->priority = old.priority;
    *id = member->id;
    if (edit->address_count)
        return set_addresses(members, member, edit, error);
    member->address_count = old.address_count;
    memcpy(member->addresses, old.addresses, sizeof member->addresses);
    return GAVEL_OK;
}

static int32_t apply_update(struct members *members, const struct edit *edit, uint64_t *id, struct gavel_error *error)
{
    struct member *member = named(members, edit, error);

    (void)id;
    if (!member)
        return GAVEL_E_NOT_FOUND;
    if (edit->address_count == 0 && !edit->has_priority)
        return gavel_fail(error, GAVEL_E_INVALID, "say which addresses or which priority '%s' shall have", edit->name);
    if (edit->has_priority)
        member->priority = edit->priority;
    return edit->address_count ? set_addresses(members, member, edit, error) : GAVEL_OK;
}

static const struct edit_row rows[] = {
    {"member_add", "add", " addresses role priority ", apply_add},
    {"member_remove", "remove", " ", apply_remove},
    {"member_promote", "promote", " ", apply_promote},
    {"member_demote", "demote", " ", apply_demote},
    {"member_replace", "replace", " addresses priority ", apply_replace},
    {"member_update", "update", " addresses priority ", apply_update},
};

#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* ---- reading a request --------------------------------------------------------------------------------- */

static int32_t add_address(struct edit *edit, struct gavel_slice address, struct gavel_error *error)
{
    if (!members_address_valid(address))
        return gavel_fail(error, GAVEL_E_INVALID, "'%.*s' is no address: it has to look like ws://host:port",
                          (int)(address.size < 200 ? address.size : 200), (const char *)address.data);
    if (edit->address_count == NODE_ADDRESSES_MAX)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "a member has at most %d addresses", NODE_ADDRESSES_MAX);
    (void)members_copy_text(edit->addresses[edit->address_count++], NODE_URI_MAX, address);
    return GAVEL_OK;
}

/* A list of strings, or one string with commas. */
static int32_t read_addresses(struct edit *edit, struct gavel_slice value, struct gavel_error *error)
{
    struct codec_walk walk;
    struct gavel_slice key, item, text;
    int32_t status = GAVEL_OK;

    if (codec_get_string(value, &text) == GAVEL_OK) {
        const char *at = text.data, *end = at + text.size;

        while (status == GAVEL_OK && at < end) {
            const char *comma = memchr(at, ',', (size_t)(end - at));
            const char *stop = comma ? comma : end;

            status = add_address(edit, gavel_bytes(at, (uint64_t)(stop - at)), error);
            at = comma ? comma + 1 : end;
        }
        return status;
    }
    if (codec_value_type(value) != GAVEL_TOKEN_ARRAY)
        return gavel_fail(error, GAVEL_E_INVALID, "addresses are a list of strings");
    codec_walk_begin(&walk, value);
    while (status == GAVEL_OK && codec_walk_next(&walk, &key, &item))
        status = codec_get_string(item, &text) == GAVEL_OK
                     ? add_address(edit, text, error)
                     : gavel_fail(error, GAVEL_E_INVALID, "addresses are a list of strings");
    return status;
}

static int32_t read_role(struct edit *edit, struct gavel_slice value, struct gavel_error *error)
{
    struct gavel_slice text = codec_string_or(value, "");

    if (gavel_slice_equal(text, gavel_text("voter")))
        edit->role = RAFT_JOINING; /* and a voter as soon as it has caught up */
    else if (gavel_slice_equal(text, gavel_text("learner")))
        edit->role = RAFT_LEARNER;
    else
        return gavel_fail(error, GAVEL_E_INVALID, "a role is voter or learner");
    return GAVEL_OK;
}

static bool takes(const struct edit_row *row, struct gavel_slice key)
{
    char padded[40];

    if (key.size > sizeof padded - 3)
        return false;
    (void)snprintf(padded, sizeof padded, " %.*s ", (int)key.size, (const char *)key.data);
    return strstr(row->keys, padded) || strcmp(padded, " name ") == 0 || strcmp(padded, " version ") == 0 ||
           strcmp(padded, " op ") == 0;
}

/* "7" too: what a command line hands over is text. */
static bool read_number(struct gavel_slice value, uint64_t *number)
{
    struct gavel_slice text;
    uint64_t sum = 0;

    if (codec_get_uint(value, number) == GAVEL_OK)
        return true;
    if (codec_get_string(value, &text) != GAVEL_OK || text.size == 0 || text.size > 18)
        return false;
    for (uint64_t i = 0; i < text.size; i++) {
        char digit = ((const char *)text.data)[i];

        if (digit < '0' || digit > '9')
            return false;
        sum = sum * 10 + (uint64_t)(digit - '0');
    }
    *number = sum;
    return true;
}

static int32_t read_key(struct edit *edit, struct gavel_slice name, struct gavel_slice value, struct gavel_error *error)
{
    uint64_t number;

    if (!takes(edit->row, name))
        return gavel_fail(error, GAVEL_E_INVALID, "%s takes no '%.*s'", edit->row->command,
                          (int)(name.size < 60 ? name.size : 60), (const char *)name.data);
    if (gavel_slice_equal(name, gavel_text("addresses")))
        return read_addresses(edit, value, error);
    if (gavel_slice_equal(name, gavel_text("role")))
        return read_role(edit, value, error);
    if (gavel_slice_equal(name, gavel_text("priority"))) {
        if (!read_number(value, &number) || number > 1000)
            return gavel_fail(error, GAVEL_E_INVALID,
                              "a priority is a number from 0 to 1000: 0 never leads, 1 is ordinary");
        edit->has_priority = true;
        edit->priority = raft_priority_of((uint32_t)number);
    }
    return GAVEL_OK;
}

static int32_t read_edit(const struct edit_row *row, struct gavel_slice map, struct edit *edit,
                         struct gavel_error *error)
{
    struct gavel_slice name = codec_string_or(codec_map_find(map, "name"), "");
    struct codec_walk walk;
    struct gavel_slice key, text, value;
    int32_t status = GAVEL_OK;

    memset(edit, 0, sizeof *edit);
    edit->row = row;
    edit->role = RAFT_JOINING;
    if (!members_name_valid(name))
        return gavel_fail(error, GAVEL_E_INVALID,
                          "%s needs the name of a member: 1 to %d of A-Z, a-z, 0-9, '.', '_' and '-'", row->command,
                          NODE_NAME_MAX - 1);
    (void)members_copy_text(edit->name, sizeof edit->name, name);
    codec_walk_begin(&walk, map);
    while (status == GAVEL_OK && codec_walk_next(&walk, &key, &value))
        status = codec_get_string(key, &text) == GAVEL_OK
                     ? read_key(edit, text, value, error)
                     : gavel_fail(error, GAVEL_E_INVALID, "%s takes its arguments by name", row->command);
    return status;
}

static const struct edit_row *row_for(const char *command, struct gavel_slice op)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (command ? strcmp(rows[i].command, command) == 0 : gavel_slice_equal(op, gavel_text(rows[i].op)))
            return &rows[i];
    return NULL;
}

/* ---- whether it may be --------------------------------------------------------------------------------- */

static uint32_t voters_of(const struct members *members)
{
    uint32_t voters = 0;

    for (uint32_t i = 0; i < members->count; i++)
        voters += members->items[i].role == RAFT_VOTER;
    return voters;
}

static bool may_any_lead(const struct members *members)
{
    for (uint32_t i = 0; i < members->count; i++)
        if (members->items[i].role == RAFT_VOTER && members->items[i].priority != RAFT_PRIORITY_NEVER)
            return true;
    return false;
}

static bool answers(const struct node *node, uint64_t id)
{
    struct raft_progress_status progress;

    if (id == node->member_id)
        return true;
    return raft_progress(node->raft, id, &progress) == RAFT_OK && progress.active && !progress.recovering;
}

/*
 * The voters that are left have to be able to agree, or the change could not even be completed. A majority of those
 * that are there now is needed too, but without that nobody would lead.
 */
static int32_t check_quorum(const struct node *node, const struct members *target, struct gavel_error *error)
{
    const struct members *now = directory_now(&node->directory);
    uint32_t voters = voters_of(target);
    uint32_t there = 0;
    char silent[256] = "";

    if (voters == 0)
        return gavel_fail(error, GAVEL_E_STATE,
                          voters_of(now) == 1 ? "the only voter cannot go: make another member a voter first"
                                              : "no voter would be left");
    if (!may_any_lead(target))
        return gavel_fail(error, GAVEL_E_STATE,
                          "no voter that may lead would be left: the priority of every one would be 0");
    for (uint32_t i = 0; i < target->count; i++) {
        const struct member *member = &target->items[i];
        size_t used = strlen(silent);

        if (member->role != RAFT_VOTER)
            continue;
        if (answers(node, member->id))
            there++;
        else
            (void)snprintf(silent + used, sizeof silent - used, "%s%s", used ? ", " : "", member->name);
    }
    if (there > voters / 2 || seeded_bug("member-quorum-removed"))
        return GAVEL_OK;
    return gavel_fail(error, GAVEL_E_STATE,
                      "%u of the %u voters that would be left do not answer (%s), and %u are needed to agree",
                      voters - there, voters, silent, voters / 2 + 1);
}

static bool is_wrong(const struct node *node, const struct member *member)
{
    const struct peer *peer = peer_find(node, member->id);
    struct raft_progress_status progress = {0};

    (void)raft_progress(node->raft, member->id, &progress);
    return peer && (peer->diverged || progress.fenced);
}

/* How many vote, or will when they have caught up: `wrong` ones, of whom the last is named, and `right` ones. */
static const char *count_states(const struct node *node, const struct members *members, uint32_t *wrong,
                                uint32_t *right)
{
    const char *name = "";

    *wrong = *right = 0;
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];

        if (member->role != RAFT_VOTER && member->role != RAFT_JOINING)
            continue;
        if (is_wrong(node, member))
            name = member->name;
        ++*(is_wrong(node, member) ? wrong : right);
    }
    return name;
}

/*
 * A majority is right, whatever it holds: if those that are fenced became one, their wrong state would be the truth.
 * Whoever makes that better may do so.
 */
static int32_t check_sound(const struct node *node, const struct members *target, struct gavel_error *error)
{
    uint32_t wrong, right, wrong_now, right_now;
    const char *name = count_states(node, target, &wrong, &right);

    (void)count_states(node, directory_now(&node->directory), &wrong_now, &right_now);
    if (wrong <= right || (wrong <= wrong_now && right >= right_now) || seeded_bug("member-fenced-majority"))
        return GAVEL_OK;
    return gavel_fail(error, GAVEL_E_STATE,
                      "%u of the %u voters would have a wrong state, which would become the right one: have it built "
                      "again first (gavel member rebuild %s)", wrong, wrong + right, name);
}

static bool in_flight(const struct node *node, const struct raft_status *status)
{
    return status->configuration_index > status->commit || raft_configuration_joint(raft_configuration(node->raft));
}

/* What holds for every change, before anybody looks at what is wanted. */
static int32_t check_ready(const struct node *node, struct gavel_slice version, struct gavel_error *error)
{
    struct raft_status status = engine_status(node);
    const struct members *now = directory_now(&node->directory);
    uint64_t expected;

    /* First: what was in flight under the leader before is over in a moment. */
    if (!status.own_term_committed && !seeded_bug("raft-change-too-early"))
        return gavel_fail(error, GAVEL_E_BUSY, "%s leads since a moment ago only; nothing was done: try again",
                          node->setup.name);
    if (in_flight(node, &status) && !seeded_bug("raft-change-in-flight"))
        return gavel_fail(error, GAVEL_E_STATE,
                          "another change of members is in flight; nothing was done: try again when it is over");
    if (status.transferring)
        return gavel_fail(error, GAVEL_E_BUSY, "leadership is being handed over; nothing was done: try again");
    if (!version.data || seeded_bug("member-version-ignored"))
        return GAVEL_OK;
    if (!read_number(version, &expected))
        return gavel_fail(error, GAVEL_E_INVALID, "a version is a number, that of member_list");
    if (expected != now->version)
        return gavel_fail(error, GAVEL_E_CONDITION,
                          "the members have changed since: they are of version %llu, not %llu; nothing was done",
                          (unsigned long long)now->version, (unsigned long long)expected);
    return GAVEL_OK;
}

/* ---- proposing ----------------------------------------------------------------------------------------- */

static int32_t refusal(const struct node *node, int status, struct gavel_error *error)
{
    switch (status) {
    case RAFT_E_NOT_LEADER:
        return gavel_fail(error, GAVEL_E_NOT_LEADER, "%s does not lead; nothing was done", node->setup.name);
    case RAFT_E_NOT_READY:
    case RAFT_E_BUSY:
        return gavel_fail(error, GAVEL_E_BUSY, "the leader cannot change the members now; nothing was done: try again");
    case RAFT_E_IN_FLIGHT:
        return gavel_fail(error, GAVEL_E_STATE, "another change of members is in flight");
    default:
        return gavel_fail(error, GAVEL_E_INVALID, "old and new members together are more than %d", NODE_MEMBERS_MAX);
    }
}

/* Into the log with it, in this moment or not at all: later, the list that it was made from may be another. */
static int32_t propose_members(struct node *node, const struct members *target, struct gavel_error *error)
{
    struct raft_configuration configuration;
    struct raft_event event = {.type = RAFT_EVENT_MEMBERSHIP,
                               .membership = {.target = &configuration, .anew = true}};
    uint64_t before = engine_status(node).configuration_index;
    int status;

    members_configuration(target, &configuration);
    status = engine_step(node, &event);
    if (status != RAFT_OK)
        return refusal(node, status, error);
    node->wanted = target;
    propose_special(node);
    node->wanted = NULL;
    if (engine_status(node).configuration_index == before)
        return gavel_fail(error, GAVEL_E_BUSY, "the leader's log takes nothing more now; nothing was done: try again");
    return GAVEL_OK;
}

bool change_incarnation(struct node *node, uint64_t id, uint64_t incarnation)
{
    struct members target = *directory_now(&node->directory);
    struct gavel_error error = {0};

    for (uint32_t i = 0; i < target.count; i++)
        if (target.items[i].id == id && target.items[i].incarnation == 0)
            target.items[i].incarnation = incarnation;
    return check_ready(node, gavel_bytes(NULL, 0), &error) == GAVEL_OK &&
           propose_members(node, &target, &error) == GAVEL_OK;
}

/* ---- the command --------------------------------------------------------------------------------------- */

static int32_t apply_edit(struct members *target, const struct edit_row *row, struct gavel_slice map, uint64_t *id,
                          struct gavel_error *error)
{
    struct edit edit;
    int32_t status = read_edit(row, map, &edit, error);

    return status == GAVEL_OK ? row->apply(target, &edit, id, error) : status;
}

static int32_t apply_edits(struct members *target, struct gavel_slice changes, uint64_t *id, struct gavel_error *error)
{
    struct codec_walk walk;
    struct gavel_slice key, map;
    uint64_t count = codec_value_count(changes);
    int32_t status = GAVEL_OK;

    if (codec_value_type(changes) != GAVEL_TOKEN_ARRAY || count == 0 || count > EDITS_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "member_change needs `changes`, a list of 1 to %d maps", EDITS_MAX);
    codec_walk_begin(&walk, changes);
    while (status == GAVEL_OK && codec_walk_next(&walk, &key, &map)) {
        struct gavel_slice op = codec_string_or(codec_map_find(map, "op"), "");
        const struct edit_row *row = row_for(NULL, op);

        status = row ? apply_edit(target, row, map, id, error)
                     : gavel_fail(error, GAVEL_E_INVALID,
                                  "each of `changes` needs an `op`: add, remove, promote, demote, replace or update");
    }
    return status;
}

static int32_t work_out(struct node *node, const char *command, struct gavel_slice arguments, struct members *target,
                        uint64_t *id, struct gavel_error *error)
{
    const struct edit_row *row = row_for(command, gavel_bytes(NULL, 0));
    int32_t status = check_ready(node, codec_map_find(arguments, "version"), error);

    if (status != GAVEL_OK)
        return status;
    *target = *directory_now(&node->directory);
    status = row ? apply_edit(target, row, arguments, id, error)
                 : apply_edits(target, codec_map_find(arguments, "changes"), id, error);
    if (status == GAVEL_OK)
        status = check_quorum(node, target, error);
    return status == GAVEL_OK ? check_sound(node, target, error) : status;
}

static struct trace_span trace_change(struct node *node, const char *command, struct gavel_slice traceparent)
{
    return trace_asked(node,
                       strcmp(command, "member_add") == 0      ? SPAN_ADD
                       : strcmp(command, "member_remove") == 0 ? SPAN_REMOVE
                                                               : SPAN_CHANGE,
                       traceparent);
}

void change_command(struct conn *conn, const struct codec_request *request, const char *command, struct origin origin,
                    uint64_t deadline_ns)
{
    if (client_leads(conn, request, origin, deadline_ns))
        change_ask(conn->node, command, request, origin, deadline_ns);
}

void change_ask(struct node *node, const char *command, const struct codec_request *request, struct origin origin,
                uint64_t deadline_ns)
{
    struct gavel_error error = {0};
    struct members target;
    uint64_t id = 0;
    int32_t status;

    change_settle(node);
    status = work_out(node, command, request->arguments, &target, &id, &error);
    if (status == GAVEL_OK) {
        node->spans.change = trace_change(node, command, request->traceparent);
        status = propose_members(node, &target, &error);
    }
    if (status != GAVEL_OK) {
        trace_end_plain(node, &node->spans.change, status);
        client_refuse(node, origin, status, "%s", error.text);
        return;
    }
    assert(!node->change.active);
    node->change.active = true;
    node->change.origin = origin;
    node->change.deadline_ns = deadline_ns;
    node->change.index = engine_status(node).configuration_index;
    node->change.id = id;
}

/* ---- its end ------------------------------------------------------------------------------------------- */

void change_lost(struct node *node, int32_t status, const char *why)
{
    assert(node->change.active);
    node->change.active = false;
    trace_end_numbers(node, &node->spans.change, status, "index", node->change.index, "member", node->change.id);
    client_refuse(node, node->change.origin, status, "%s", why);
}

/* The change that was asked for is in force, and committed. */
static void change_done(struct node *node)
{
    struct codec_reply reply = {.index = node->change.index};
    unsigned char bytes[64];
    struct gavel_buffer body = codec_buffer_fixed(bytes, sizeof bytes);
    struct codec_writer writer;
    struct gavel_writer *out;

    trace_end_numbers(node, &node->spans.change, GAVEL_OK, "index", node->change.index, "member", node->change.id);
    out = codec_writer_begin(&writer, &body);
    gavel_put_map(out, 2);
    gavel_put_key(out, "version");
    gavel_put_uint(out, directory_now(&node->directory)->version);
    gavel_put_key(out, "id");
    gavel_put_uint(out, node->change.id);
    gavel_put_end(out);
    (void)codec_writer_end(&writer, NULL);
    reply.result = gavel_buffer_slice(&body);
    node->change.active = false;
    client_reply(node, node->change.origin, &reply);
}

void change_settle(struct node *node)
{
    struct raft_status status;

    if (!node->change.active || !node->raft)
        return;
    status = engine_status(node);
    if (in_flight(node, &status))
        return;
    assert(status.configuration_index >= node->change.index);
    change_done(node);
}

void change_expire(struct node *node, uint64_t now)
{
    if (node->change.active && node->change.deadline_ns <= now)
        change_lost(node, GAVEL_E_UNKNOWN,
                    "time ran out before the change of members was decided; it may or may not be done");
}
