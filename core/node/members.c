/* SPDX-License-Identifier: Apache-2.0 */
/* members.c - names and addresses of the members, as bytes and as a configuration; see members.h. */
#include "core/node/members.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/bytes.h"

#define MEMBERS_VERSION 2

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
        if (members->items[i].role != RAFT_LEAVING && strcmp(members->items[i].name, name) == 0)
            return &members->items[i];
    return NULL;
}

const struct member *members_at_address(const struct members *members, const char *address)
{
    for (uint32_t i = 0; i < members->count; i++)
        for (uint32_t a = 0; a < members->items[i].address_count; a++)
            if (members->items[i].role != RAFT_LEAVING && strcmp(members->items[i].addresses[a], address) == 0)
                return &members->items[i];
    return NULL;
}

bool members_name_valid(struct gavel_slice name)
{
    const char *text = name.data;

    for (uint64_t i = 0; i < name.size; i++)
        if (!isalnum((unsigned char)text[i]) && !memchr("._-", text[i], 3))
            return false;
    return name.size > 0 && name.size < NODE_NAME_MAX;
}

bool members_address_valid(struct gavel_slice address)
{
    const char *text = address.data;
    uint64_t scheme = 0;

    for (uint64_t i = 0; i < address.size; i++)
        if (!isgraph((unsigned char)text[i]) || text[i] == ',')
            return false;
    while (scheme < address.size && (isalnum((unsigned char)text[scheme]) || memchr("+-.", text[scheme], 3)))
        scheme++;
    return scheme > 0 && isalpha((unsigned char)text[0]) && address.size > scheme + 3 && address.size < NODE_URI_MAX &&
           memcmp(text + scheme, "://", 3) == 0;
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

void members_show_text(char *to, uint64_t size, struct gavel_slice text)
{
    struct gavel_error sentence;
    uint64_t bytes = text.size < size ? text.size : size - 1;

    assert(size <= sizeof sentence.text);
    (void)snprintf(sentence.text, sizeof sentence.text, "%.*s", (int)bytes, bytes ? (const char *)text.data : "");
    text = codec_sentence(&sentence); /* no longer than it was */
    memcpy(to, sentence.text, text.size + 1);
}

int32_t members_encode(const struct members *members, struct gavel_buffer *out)
{
    int32_t status = 0;

    bytes_put32(out, &status, MEMBERS_VERSION);
    bytes_put64(out, &status, members->version);
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
    members->version = bytes_get64(&cursor);
    members->next_id = bytes_get64(&cursor);
    members->count = bytes_get32(&cursor);
    if (cursor.bad || members->count > NODE_MEMBERS_MAX)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a member list of %u members", members->count);
    for (uint32_t i = 0; i < members->count; i++)
        if (!decode_member(&cursor, &members->items[i]))
            return gavel_fail(error, GAVEL_E_CORRUPT, "member %u of a member list cannot be read", i);
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];

        if (member->id >= members->next_id ||
            (member->role != RAFT_LEAVING && members_named(members, member->name) != member))
            return gavel_fail(error, GAVEL_E_CORRUPT, "member %u of a member list has the id or name of another", i);
    }
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

bool members_dress(const struct raft_configuration *configuration, const struct members *wanted,
                   const struct members *known, struct members *out)
{
    memset(out, 0, sizeof *out);
    out->next_id = wanted ? wanted->next_id : known->next_id;
    out->count = configuration->count;
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_member *naked = &configuration->members[i];
        const struct member *dressed = wanted ? members_find(wanted, naked->id) : NULL;

        if (!dressed)
            dressed = members_find(known, naked->id);
        if (!dressed)
            return false;
        out->items[i] = *dressed;
        out->items[i].role = naked->role;
        out->items[i].outgoing = naked->outgoing;
        out->items[i].priority = naked->priority;
    }
    return true;
}
