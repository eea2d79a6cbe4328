/* SPDX-License-Identifier: Apache-2.0 */
/* members.c - names and addresses of the members, as bytes and as a configuration; see members.h. */
#include "core/node/members.h"

#include <string.h>

#include "core/node/bytes.h"

#define MEMBERS_VERSION 1

const struct member *members_find(const struct members *members, uint64_t id)
{
    for (uint32_t i = 0; i < members->count; i++)
        if (members->items[i].id == id)
            return &members->items[i];
    return NULL;
}

const struct member *members_named(const struct members *members, const char *name)
{
    for (uint32_t i = 0; i < members->count; i++)
        if (strcmp(members->items[i].name, name) == 0)
            return &members->items[i];
    return NULL;
}

bool members_copy_text(char *to, uint64_t size, struct gavel_slice text)
{
    if (text.size >= size || (text.size && memchr(text.data, 0, text.size)))
        return false;
    if (text.size)
        memcpy(to, text.data, text.size);
    to[text.size] = 0;
    return true;
}

int32_t members_encode(const struct members *members, struct gavel_buffer *out)
{
    int32_t status = 0;

    bytes_put32(out, &status, MEMBERS_VERSION);
    bytes_put64(out, &status, members->next_id);
    bytes_put32(out, &status, members->count);
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];

        bytes_put64(out, &status, member->id);
        bytes_put64(out, &status, member->incarnation);
        bytes_put32(out, &status, member->role);
        bytes_put32(out, &status, member->outgoing);
        bytes_put32(out, &status, member->priority);
        bytes_put_slice(out, &status, gavel_text(member->name));
        bytes_put32(out, &status, member->address_count);
        for (uint32_t a = 0; a < member->address_count; a++)
            bytes_put_slice(out, &status, gavel_text(member->addresses[a]));
    }
    return status;
}

static bool decode_member(struct bytes_cursor *cursor, struct member *member)
{
    member->id = bytes_get64(cursor);
    member->incarnation = bytes_get64(cursor);
    member->role = bytes_get32(cursor);
    member->outgoing = bytes_get32(cursor);
    member->priority = bytes_get32(cursor);
    if (!members_copy_text(member->name, sizeof member->name, bytes_get_slice(cursor)))
        return false;
    member->address_count = bytes_get32(cursor);
    if (member->address_count > NODE_ADDRESSES_MAX)
        return false;
    for (uint32_t a = 0; a < member->address_count; a++)
        if (!members_copy_text(member->addresses[a], sizeof member->addresses[a], bytes_get_slice(cursor)))
            return false;
    return !cursor->bad;
}

int32_t members_decode(struct gavel_slice bytes, struct members *members, struct gavel_error *error)
{
    struct bytes_cursor cursor = bytes_read(bytes);
    uint32_t version = bytes_get32(&cursor);
    struct raft_configuration configuration;

    if (version != MEMBERS_VERSION && !cursor.bad)
        return gavel_fail(error, GAVEL_E_VERSION, "a member list of version %u; this gaveld reads %d",
                          version, MEMBERS_VERSION);
    memset(members, 0, sizeof *members);
    members->next_id = bytes_get64(&cursor);
    members->count = bytes_get32(&cursor);
    if (cursor.bad || members->count > NODE_MEMBERS_MAX)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a member list of %u members", members->count);
    for (uint32_t i = 0; i < members->count; i++)
        if (!decode_member(&cursor, &members->items[i]))
            return gavel_fail(error, GAVEL_E_CORRUPT, "member %u of a member list cannot be read", i);
    members_configuration(members, &configuration);
    if (cursor.left || (members->count && !raft_configuration_valid(&configuration, RAFT_MEMBERS_MAX)))
        return gavel_fail(error, GAVEL_E_CORRUPT, "a member list contradicts itself");
    return GAVEL_OK;
}

void members_configuration(const struct members *members, struct raft_configuration *configuration)
{
    memset(configuration, 0, sizeof *configuration);
    configuration->count = members->count;
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];

        configuration->members[i] = (struct raft_member){.id = member->id,
                                                         .role = member->role,
                                                         .outgoing = member->outgoing,
                                                         .priority = member->priority};
    }
}

bool members_dress(const struct raft_configuration *configuration, const struct members *known,
                   struct members *out)
{
    memset(out, 0, sizeof *out);
    out->next_id = known->next_id;
    out->count = configuration->count;
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_member *naked = &configuration->members[i];
        const struct member *dressed = members_find(known, naked->id);

        if (!dressed)
            return false;
        out->items[i] = *dressed;
        out->items[i].role = naked->role;
        out->items[i].outgoing = naked->outgoing;
        out->items[i].priority = naked->priority;
    }
    return true;
}
