/* SPDX-License-Identifier: Apache-2.0 */
/* roster.c - sets of capabilities, and nodes that registered themselves; see roster.h. */
#include "core/node/roster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <gavel/statemachine.h>

#include "core/os/cover.h"
#include "core/os/seeded.h"

#define ROSTER_MAGIC 0x524f5354u

struct roster *roster_new(void)
{
    struct roster *roster = calloc(1, sizeof *roster);

    if (roster)
        roster->magic = ROSTER_MAGIC;
    return roster;
}

void roster_clear(struct roster *roster)
{
    assert(roster->magic == ROSTER_MAGIC);
    for (uint32_t i = 0; i < roster->count; i++)
        free(roster->nodes[i]);
    for (uint32_t i = 0; i < roster->member_count; i++)
        free(roster->members[i].set);
    roster->count = 0;
    roster->bytes = 0;
    roster->member_count = 0;
    roster->version = 0;
}

struct roster *roster_free(struct roster *roster)
{
    if (!roster)
        return NULL;
    roster_clear(roster);
    free(roster->nodes);
    roster->magic = 0;
    free(roster);
    return NULL;
}

/* ---- members ------------------------------------------------------------------------------------------- */

/* Position of the first member with an id of at least `id`. */
static uint32_t member_place(const struct roster *roster, uint64_t id)
{
    uint32_t at = 0;

    while (at < roster->member_count && roster->members[at].id < id)
        at++;
    return at;
}

const struct roster_member *roster_member(const struct roster *roster, uint64_t id)
{
    uint32_t at = member_place(roster, id);

    return at < roster->member_count && roster->members[at].id == id ? &roster->members[at] : NULL;
}

void roster_members(struct roster *roster, const struct members *members)
{
    uint32_t kept = 0;

    assert(roster->magic == ROSTER_MAGIC);
    for (uint32_t i = 0; i < roster->member_count; i++) {
        if (members_find(members, roster->members[i].id)) {
            roster->members[kept++] = roster->members[i];
            continue;
        }
        COVER("node-roster-member-goes");
        free(roster->members[i].set);
    }
    roster->member_count = kept;
}

const struct roster_node *roster_taken(const struct roster *roster, const struct members *members)
{
    for (uint32_t i = 0; i < members->count; i++) {
        const struct roster_node *node = roster_find(roster, gavel_text(members->items[i].name));

        if (node)
            return node;
    }
    return NULL;
}

static bool same_set(const uint8_t *set, uint64_t set_bytes, struct gavel_slice other)
{
    return set && set_bytes == other.size && memcmp(set, other.data, set_bytes) == 0;
}

int32_t roster_declare(struct roster *roster, uint64_t id, struct gavel_slice set, uint64_t index, bool *changed)
{
    uint32_t at = member_place(roster, id);
    struct roster_member *member = &roster->members[at];
    bool known = roster_member(roster, id) != NULL;
    uint8_t *copy;

    assert(roster->magic == ROSTER_MAGIC);
    *changed = !known || !same_set(member->set, member->set_bytes, set);
    if (!*changed)
        return GAVEL_OK;
    if (!known && roster->member_count == ROSTER_MEMBERS_MAX)
        return GAVEL_E_BUSY;
    copy = malloc(set.size ? set.size : 1);
    if (!copy)
        return GAVEL_E_LOCAL;
    memcpy(copy, set.data, set.size);
    if (known) {
        free(member->set);
    } else {
        memmove(member + 1, member, (roster->member_count - at) * sizeof *member);
        roster->member_count++;
    }
    *member = (struct roster_member){.id = id, .index = index, .set = copy, .set_bytes = set.size};
    roster->version = index;
    return GAVEL_OK;
}

/* ---- registered nodes ---------------------------------------------------------------------------------- */

static int compare_name(const struct roster_node *node, struct gavel_slice name)
{
    return gavel_slice_compare(gavel_text(node->name), name);
}

/* Position of the first one whose name is not below `name`. */
static uint32_t place_of(const struct roster *roster, struct gavel_slice name)
{
    uint32_t low = 0;
    uint32_t high = roster->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare_name(roster->nodes[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct roster_node *find(const struct roster *roster, struct gavel_slice name)
{
    uint32_t at = place_of(roster, name);

    assert(roster->magic == ROSTER_MAGIC);
    return at < roster->count && compare_name(roster->nodes[at], name) == 0 ? roster->nodes[at] : NULL;
}

const struct roster_node *roster_find(const struct roster *roster, struct gavel_slice name)
{
    return find(roster, name);
}

static uint64_t bytes_of(const struct roster_node *node)
{
    return strlen(node->name) + strlen(node->address) + node->set_bytes;
}

static int32_t put(struct roster *roster, struct roster_node *node)
{
    uint32_t at = place_of(roster, gavel_text(node->name));

    if (at < roster->count && compare_name(roster->nodes[at], gavel_text(node->name)) == 0) {
        roster->bytes += bytes_of(node) - bytes_of(roster->nodes[at]);
        free(roster->nodes[at]);
        roster->nodes[at] = node;
        return GAVEL_OK;
    }
    if (roster->count == roster->capacity) {
        uint32_t wanted = roster->capacity ? roster->capacity * 2 : 16;
        struct roster_node **grown = realloc(roster->nodes, wanted * sizeof *grown);

        if (!grown)
            return GAVEL_E_LOCAL;
        roster->nodes = grown;
        roster->capacity = wanted;
    }
    memmove(roster->nodes + at + 1, roster->nodes + at, (roster->count - at) * sizeof *roster->nodes);
    roster->nodes[at] = node;
    roster->count++;
    roster->bytes += bytes_of(node);
    return GAVEL_OK;
}

static struct roster_node *make(const struct roster_entry *entry)
{
    struct roster_node *node = calloc(1, sizeof *node + entry->set.size);

    if (!node)
        return NULL;
    (void)members_copy_text(node->name, sizeof node->name, entry->name);
    (void)members_copy_text(node->address, sizeof node->address, entry->address);
    node->ttl_ms = entry->ttl_ms;
    node->set_bytes = (uint32_t)entry->set.size;
    if (entry->set.size)
        memcpy(node->set, entry->set.data, entry->set.size);
    return node;
}

bool roster_entry_valid(const struct roster_entry *entry)
{
    return members_name_valid(entry->name) && (entry->address.size == 0 || members_address_valid(entry->address)) &&
           codec_capabilities_valid(entry->set);
}

static bool says_the_same(const struct roster_node *node, const struct roster_entry *entry)
{
    return node->ttl_ms == entry->ttl_ms && gavel_slice_equal(gavel_text(node->address), entry->address) &&
           same_set(node->set, node->set_bytes, entry->set);
}

int32_t roster_register(struct roster *roster, const struct roster_entry *entry, uint64_t index, uint64_t tick,
                        bool *changed)
{
    struct roster_node *known = find(roster, entry->name);
    struct roster_node *node;

    *changed = false;
    if (!known && roster->count >= ROSTER_NODES_MAX)
        return GAVEL_E_BUSY;
    if (roster->bytes - (known ? bytes_of(known) : 0) + entry->name.size + entry->address.size + entry->set.size >
        ROSTER_BYTES_MAX)
        return GAVEL_E_BUSY;
    roster->version = index;
    if (known && says_the_same(known, entry)) {
        known->tick = tick > known->tick ? tick : known->tick;
        return GAVEL_OK;
    }
    node = make(entry);
    if (!node)
        return GAVEL_E_LOCAL;
    node->index = index;
    node->since = known ? known->since : index;
    node->tick = tick;
    if (put(roster, node) != GAVEL_OK) {
        free(node);
        return GAVEL_E_LOCAL;
    }
    *changed = true;
    return GAVEL_OK;
}

bool roster_keep(struct roster *roster, struct gavel_slice name, uint64_t tick)
{
    struct roster_node *node = find(roster, name);

    if (node && tick > node->tick)
        node->tick = tick;
    return node != NULL;
}

static void take_out(struct roster *roster, uint32_t at)
{
    roster->bytes -= bytes_of(roster->nodes[at]);
    free(roster->nodes[at]);
    roster->count--;
    memmove(roster->nodes + at, roster->nodes + at + 1, (roster->count - at) * sizeof *roster->nodes);
}

bool roster_deregister(struct roster *roster, struct gavel_slice name, uint64_t index)
{
    if (!find(roster, name))
        return false;
    take_out(roster, place_of(roster, name));
    roster->version = index;
    return true;
}

static bool is_over(const struct roster_node *node, uint64_t tick)
{
    return tick >= node->tick && tick - node->tick > node->ttl_ms;
}

bool roster_is_over(const struct roster *roster, struct gavel_slice name, uint64_t seen, uint64_t tick)
{
    const struct roster_node *node = find(roster, name);

    /* A renewal that was ordered before this entry wins: the proposer could not know of it. */
    if (seeded_bug("node-expiry-blind"))
        return node != NULL;
    return node && node->tick <= seen && is_over(node, tick);
}

const struct roster_node *roster_due(const struct roster *roster, const char *after, uint64_t tick)
{
    uint32_t at = place_of(roster, gavel_text(after));

    assert(roster->magic == ROSTER_MAGIC);
    for (; at < roster->count; at++)
        if (is_over(roster->nodes[at], tick) && strcmp(roster->nodes[at]->name, after) != 0) {
            COVER("node-registration-expires");
            return roster->nodes[at];
        }
    return NULL;
}

bool roster_used(const struct roster *roster)
{
    return roster->version != 0 && !seeded_bug("roster-not-in-snapshot");
}

/* ---- copies, digests, snapshots ------------------------------------------------------------------------ */

static struct roster_node *duplicate(const struct roster_node *node)
{
    struct roster_node *copy = malloc(sizeof *copy + node->set_bytes);

    if (copy)
        memcpy(copy, node, sizeof *node + node->set_bytes);
    return copy;
}

static int32_t copy_members(struct roster *to, const struct roster *from)
{
    bool changed;

    for (uint32_t i = 0; i < to->member_count; i++)
        free(to->members[i].set);
    to->member_count = 0;
    for (uint32_t i = 0; i < from->member_count; i++)
        if (roster_declare(to, from->members[i].id, gavel_bytes(from->members[i].set, from->members[i].set_bytes),
                           from->members[i].index, &changed) != GAVEL_OK)
            return GAVEL_E_LOCAL;
    return GAVEL_OK;
}

/* Both are sorted: those that are gone go, those that say another thing are made anew, new ones come. */
static int32_t copy_nodes(struct roster *to, const struct roster *from)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < from->count; i++) {
        const struct roster_node *node = from->nodes[i];
        struct roster_node *copy;

        while (at < to->count && strcmp(to->nodes[at]->name, node->name) < 0)
            take_out(to, at);
        if (at < to->count && strcmp(to->nodes[at]->name, node->name) == 0 && to->nodes[at]->index == node->index) {
            to->nodes[at++]->tick = node->tick;
            continue;
        }
        copy = duplicate(node);
        if (!copy || put(to, copy) != GAVEL_OK) {
            free(copy);
            return GAVEL_E_LOCAL;
        }
        at++;
    }
    while (at < to->count)
        take_out(to, to->count - 1);
    return GAVEL_OK;
}

int32_t roster_copy(struct roster *to, const struct roster *from)
{
    assert(to->magic == ROSTER_MAGIC);
    assert(from->magic == ROSTER_MAGIC);
    if (copy_members(to, from) != GAVEL_OK || copy_nodes(to, from) != GAVEL_OK)
        return GAVEL_E_LOCAL;
    to->version = from->version;
    return GAVEL_OK;
}

/* The version is in it by what it is the newest of. */
void roster_digest(const struct roster *roster, uint64_t sum[2])
{
    for (uint32_t i = 0; i < roster->member_count; i++) {
        const struct roster_member *member = &roster->members[i];
        uint64_t key[2] = {member->id, member->index};

        gavel_digest_add(sum, gavel_bytes(key, sizeof key), gavel_bytes(member->set, member->set_bytes));
    }
    for (uint32_t i = 0; i < roster->count; i++) {
        const struct roster_node *node = roster->nodes[i];
        uint64_t fields[4] = {node->index, node->since, node->tick, node->ttl_ms};

        gavel_digest_add(sum, gavel_text(node->name), gavel_bytes(fields, sizeof fields));
        gavel_digest_add(sum, gavel_text(node->address), gavel_bytes(node->set, node->set_bytes));
    }
}

int32_t roster_save(const struct roster *roster, struct gavel_buffer *out)
{
    int32_t status = 0;

    bytes_put64(out, &status, roster->version);
    bytes_put32(out, &status, roster->member_count);
    for (uint32_t i = 0; i < roster->member_count; i++) {
        bytes_put64(out, &status, roster->members[i].id);
        bytes_put64(out, &status, roster->members[i].index);
        bytes_put_slice(out, &status, gavel_bytes(roster->members[i].set, roster->members[i].set_bytes));
    }
    bytes_put32(out, &status, roster->count);
    for (uint32_t i = 0; i < roster->count; i++) {
        const struct roster_node *node = roster->nodes[i];

        bytes_put_slice(out, &status, gavel_text(node->name));
        bytes_put_slice(out, &status, gavel_text(node->address));
        bytes_put64(out, &status, node->index);
        bytes_put64(out, &status, node->since);
        bytes_put64(out, &status, node->tick);
        bytes_put64(out, &status, node->ttl_ms);
        bytes_put_slice(out, &status, gavel_bytes(node->set, node->set_bytes));
    }
    return status;
}

static int32_t damaged(struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_CORRUPT, "the list of nodes in the snapshot cannot be read");
}

static int32_t no_memory(struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_LOCAL, "no memory for the list of nodes in the snapshot");
}

static int32_t load_member(struct roster *roster, struct bytes_cursor *cursor, struct gavel_error *error)
{
    uint64_t id = bytes_get64(cursor);
    uint64_t index = bytes_get64(cursor);
    struct gavel_slice set = bytes_get_slice(cursor);
    uint64_t version = roster->version;
    bool changed;
    int32_t status;

    if (cursor->bad || !codec_capabilities_valid(set) || index > version || roster_member(roster, id))
        return damaged(error);
    status = roster_declare(roster, id, set, index, &changed);
    roster->version = version;
    return status == GAVEL_OK ? status : no_memory(error);
}

static int32_t load_node(struct roster *roster, struct bytes_cursor *cursor, struct gavel_error *error)
{
    struct roster_entry entry = {.name = bytes_get_slice(cursor)};
    struct roster_node *node;
    uint64_t index, since, tick;

    entry.address = bytes_get_slice(cursor);
    index = bytes_get64(cursor);
    since = bytes_get64(cursor);
    tick = bytes_get64(cursor);
    entry.ttl_ms = bytes_get64(cursor);
    entry.set = bytes_get_slice(cursor);
    if (cursor->bad || !roster_entry_valid(&entry) || find(roster, entry.name) || index > roster->version)
        return damaged(error);
    node = make(&entry);
    if (!node)
        return no_memory(error);
    node->index = index;
    node->since = since;
    node->tick = tick;
    if (put(roster, node) == GAVEL_OK)
        return GAVEL_OK;
    free(node);
    return no_memory(error);
}

int32_t roster_load(struct roster *roster, struct bytes_cursor *cursor, struct gavel_error *error)
{
    int32_t status = GAVEL_OK;
    uint32_t count;

    roster->version = bytes_get64(cursor);
    count = bytes_get32(cursor);
    if (cursor->bad || count > ROSTER_MEMBERS_MAX)
        return damaged(error);
    for (uint32_t i = 0; i < count && status == GAVEL_OK; i++)
        status = load_member(roster, cursor, error);
    count = status == GAVEL_OK ? bytes_get32(cursor) : 0;
    if (status == GAVEL_OK && (cursor->bad || count > ROSTER_NODES_MAX))
        return damaged(error);
    for (uint32_t i = 0; i < count && status == GAVEL_OK; i++)
        status = load_node(roster, cursor, error);
    return status;
}
