/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seed.c - N nodes that know only addresses found one cluster, and never two.
 *
 *   look      each empty node dials every seed, and knows by the welcomes which empty nodes are there, by name and data
 *             directory. Whoever meets a node of a formed cluster founds nothing any more: it waits to be added.
 *   ask       who sees exactly N, itself the one with the lowest name, asks the others. They agree if they see the same
 *             N. That binds nobody yet: what they see may change.
 *   prepare   it draws the cluster's id, writes the founding record durably and sends it to the others, who write it
 *             durably too and say so. Nobody is a member by that, but whoever holds a record takes no other one: two
 *             foundings that have a node in common cannot both come to their end.
 *   found     when all N hold it, the founder, and nobody else, becomes a member; the others do when a member sends the
 *             record again. From there on it is as in found.c and join.c.
 *
 * A founder that comes back goes on with the record that it holds. If another of the N comes back empty, the record can
 * never be held by all: the founder replaces it with a new one, which those who hold the old one take, for it alone
 * could have made that count. If the founder itself comes back empty, nobody else can make the old record count either,
 * so they drop it for the new one, provided that nobody of the old N is out of sight: who joined would say so.
 */
#include "core/node/seed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/node/bytes.h"
#include "core/node/internal.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

#define AGAIN_NS UINT64_C(300000000) /* between two questions to one that has not agreed */

int32_t seed_new(struct node *node)
{
    if (!node->setup.discovers)
        return GAVEL_OK;
    node->scout = calloc(1, sizeof *node->scout);
    return node->scout ? GAVEL_OK : GAVEL_E_NO_MEMORY;
}

void seed_free(struct node *node)
{
    free(node->scout);
    node->scout = NULL;
}

/* ---- who is there -------------------------------------------------------------------------------------- */

static struct seed_candidate *candidate_named(struct node_seed *seed, const char *name)
{
    for (uint32_t i = 0; i < seed->count; i++)
        if (strcmp(seed->view[i].name, name) == 0)
            return &seed->view[i];
    return NULL;
}

/* Into its place by name; false: too many, or another node has its name. What is the same node by two ways is one. */
static bool put(struct node_seed *seed, struct node_seed *before, const char *name, uint64_t incarnation,
                struct peer *peer)
{
    struct seed_candidate *known = candidate_named(seed, name);
    struct seed_candidate one = {.incarnation = incarnation};
    uint32_t at = seed->count;

    if (known)
        return known->incarnation == incarnation;
    if (seed->count == NODE_MEMBERS_MAX)
        return false;
    known = candidate_named(before, name);
    if (known && known->incarnation == incarnation && known->peer == peer)
        one = *known;
    (void)members_copy_text(one.name, sizeof one.name, gavel_text(name));
    one.peer = peer;
    while (at > 0 && strcmp(seed->view[at - 1].name, name) > 0) {
        seed->view[at] = seed->view[at - 1];
        at--;
    }
    seed->view[at] = one;
    seed->count++;
    return true;
}

static bool is_there(const struct peer *peer)
{
    return peer->id == 0 && peer->blank && peer->out && peer->out->up && peer->out->name[0];
}

static uint64_t hash_of(const struct node *node)
{
    const struct node_seed *seed = node->scout;
    uint64_t hash = UINT64_C(0x9ae16a3b2f904a01) + node->setup.expect;

    for (uint32_t i = 0; i < seed->count; i++) {
        hash = gavel_mix(hash, seed->view[i].name, strlen(seed->view[i].name) + 1);
        hash = gavel_mix(hash, &seed->view[i].incarnation, sizeof seed->view[i].incarnation);
    }
    return hash;
}

static void tell(struct node *node)
{
    struct node_seed *seed = node->scout;
    char names[120] = "";

    for (uint32_t i = 0; i < seed->count; i++) {
        size_t used = strlen(names);

        (void)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", seed->view[i].name);
    }
    (void)snprintf(seed->said, sizeof seed->said,
                   "in no cluster: %u of the %u nodes of bootstrap_expect are there (%s)",
                   seed->count, node->setup.expect, names);
    node_log(node, seed->count > node->setup.expect ? GAVEL_LOG_ERROR : GAVEL_LOG_INFO, "cluster",
             "Founding: %u of %u nodes are there: %s%s", seed->count, node->setup.expect, names,
             seed->count > node->setup.expect
                 ? "; these are too many: bootstrap_expect has to be the number of all nodes that may found"
                 : "");
}

/* False: what is seen contradicts itself. */
static bool look(struct node *node)
{
    struct node_seed *before = node->scout;
    struct node_seed *seed = malloc(sizeof *seed);
    struct peer *peer;
    bool whole;
    uint64_t hash;

    if (!seed)
        return false; /* the next time, perhaps */
    seed->count = 0;
    whole = put(seed, before, node->setup.name, node->incarnation, NULL);
    os_list_each (peer, &node->peers, struct peer, link)
        if (is_there(peer))
            whole = put(seed, before, peer->out->name, peer->blank_incarnation, peer) && whole;
    before->count = seed->count;
    memcpy(before->view, seed->view, seed->count * sizeof seed->view[0]); /* of 36 KB, as a rule a few hundred bytes */
    free(seed);
    seed = before;
    hash = hash_of(node);
    if (hash == seed->hash)
        return whole;
    seed->hash = hash;
    seed->next_ns = 0;
    for (uint32_t i = 0; i < seed->count; i++)
        seed->view[i].granted = false;
    tell(node);
    return whole;
}

/* ---- the founder --------------------------------------------------------------------------------------- */

bool seed_is_founder(const struct node *node)
{
    return node->founding_members.count > 0 &&
           strcmp(node->founding_members.items[0].name, node->setup.name) == 0 &&
           node->founding_members.items[0].incarnation == node->incarnation;
}

/* One of those in the record has another data directory now: it will never say that it holds the record. */
static bool lost_one(struct node *node)
{
    for (uint32_t i = 1; i < node->founding_members.count; i++) {
        const struct member *member = &node->founding_members.items[i];
        const struct seed_candidate *seen = candidate_named(node->scout, member->name);

        if (seen && seen->incarnation != member->incarnation)
            return true;
    }
    return false;
}

static void id_bytes(uint64_t number, uint8_t raw[CODEC_ID_BYTES])
{
    memset(raw, 0, CODEC_ID_BYTES);
    bytes_store64(raw, number);
}

static void send_record(struct node *node, struct seed_candidate *candidate, const struct member *member)
{
    uint8_t incarnation[CODEC_ID_BYTES];
    struct codec_found_record record = {.record = gavel_buffer_slice(&node->record), .member_id = member->id,
                                        .prepare = 1};

    id_bytes(member->incarnation, incarnation);
    record.incarnation = gavel_bytes(incarnation, sizeof incarnation);
    if (peer_mark_sent(candidate->peer, &record.id) && conn_send(candidate->peer->out, CODEC_FOUND_RECORD, &record))
        candidate->record = record.id;
}

/* The record is durable here: have it held by all of them, then count. */
static void prepare(struct node *node)
{
    struct node_seed *seed = node->scout;
    bool again = seed->next_ns <= node_now(node);
    bool all = true;

    for (uint32_t i = 1; i < node->founding_members.count; i++) {
        const struct member *member = &node->founding_members.items[i];
        struct seed_candidate *candidate = candidate_named(seed, member->name);

        if (!candidate || candidate->incarnation != member->incarnation || !candidate->done)
            all = false;
        if (candidate && candidate->incarnation == member->incarnation && !candidate->done &&
            (again || !candidate->record))
            send_record(node, candidate, member);
    }
    if (again)
        seed->next_ns = node_now(node) + AGAIN_NS;
    if (all || (node->founding_members.count && seeded_bug("seed-founds-alone"))) {
        COVER("node-seed-founds");
        found_become(node, node->founding_members.items[0].id);
    }
}

static void ask_all(struct node *node)
{
    struct node_seed *seed = node->scout;
    uint8_t hash[CODEC_ID_BYTES];
    uint8_t incarnation[CODEC_ID_BYTES];
    struct codec_found_ask ask = {.name = gavel_text(node->setup.name)};

    if (seed->next_ns > node_now(node))
        return;
    seed->next_ns = node_now(node) + AGAIN_NS;
    id_bytes(seed->hash, hash);
    id_bytes(node->incarnation, incarnation);
    ask.members = gavel_bytes(hash, sizeof hash);
    ask.incarnation = gavel_bytes(incarnation, sizeof incarnation);
    for (uint32_t i = 0; i < seed->count; i++) {
        struct seed_candidate *candidate = &seed->view[i];

        if (candidate->peer && !candidate->granted && peer_mark_sent(candidate->peer, &ask.id) &&
            conn_send(candidate->peer->out, CODEC_FOUND_ASK, &ask))
            candidate->ask = ask.id;
    }
}

static void take_addresses(struct member *member, const struct node *node, const struct seed_candidate *candidate)
{
    struct gavel_slice own[NODE_ADDRESSES_MAX] = {{0}};
    const struct peer *peer = candidate->peer;

    for (uint32_t i = 0; i < candidate->address_count; i++)
        (void)members_copy_text(member->addresses[member->address_count++], NODE_URI_MAX,
                                gavel_text(candidate->addresses[i]));
    if (!peer)
        (void)found_addresses(node, own);
    for (uint32_t i = 0; !peer && i < NODE_ADDRESSES_MAX && own[i].data; i++)
        if (members_copy_text(member->addresses[member->address_count], NODE_URI_MAX, own[i]))
            member->address_count++;
    if (peer && member->address_count == 0 && peer->address_count)
        (void)members_copy_text(member->addresses[member->address_count++], NODE_URI_MAX,
                                gavel_text(peer->addresses[0]));
}

static void make_record(struct node *node)
{
    struct node_seed *seed = node->scout;
    struct members members = {.next_id = 1};

    os_random(node->os, node->cluster_id.bytes, sizeof node->cluster_id.bytes);
    for (uint32_t i = 0; i < seed->count; i++) {
        struct member *member = &members.items[members.count++];

        member->id = members.next_id++;
        member->role = RAFT_VOTER;
        member->incarnation = seed->view[i].incarnation;
        (void)members_copy_text(member->name, sizeof member->name, gavel_text(seed->view[i].name));
        take_addresses(member, node, &seed->view[i]);
        seed->view[i].record = 0;
        seed->view[i].done = false;
    }
    if (!found_make(node, &members))
        return;
    seed->preparing = true;
    seed->dropped = false;
    seed->caller = 0;
    found_save(node);
}

void seed_step(struct node *node)
{
    struct node_seed *seed = node->scout;
    bool whole;

    if (node->phase != NODE_FOUNDING || node->founding_saving || !node->setup.expect || seed->formed)
        return;
    whole = look(node);
    if (node->record.size && !seed->dropped) {
        if (!seed_is_founder(node))
            return; /* its founder goes on with it */
        if (!lost_one(node)) {
            prepare(node);
            return;
        }
        COVER("node-seed-starts-over");
    }
    if (!whole || seed->count != node->setup.expect || seed->view[0].peer)
        return;
    for (uint32_t i = 1; i < seed->count; i++)
        if (!seed->view[i].granted) {
            ask_all(node);
            return;
        }
    make_record(node);
}

void seed_met(struct conn *conn, const struct codec_welcome *welcome)
{
    struct node *node = conn->node;

    (void)members_copy_text(conn->name, sizeof conn->name, welcome->name);
    conn->peer->complained |= strcmp(conn->name, node->setup.name) == 0; /* one of the seeds is this node itself */
    if (!node->founded && welcome->founded && !seeded_bug("seed-ignores-formed"))
        node->scout->formed = true;
}

/* ---- messages ------------------------------------------------------------------------------------------ */

/* All of those in the record that is held are in sight, and empty: if anybody had joined, one of them would say so. */
static bool sees_all_of_it(struct node *node)
{
    for (uint32_t i = 0; i < node->founding_members.count; i++)
        if (!candidate_named(node->scout, node->founding_members.items[i].name))
            return false;
    return true;
}

/* Whether the record that is held does not stand against a new one of this founder. */
static bool may_drop(struct node *node, struct gavel_slice name, uint64_t incarnation)
{
    const struct member *founder = &node->founding_members.items[0];

    if (!node->record.size || node->scout->dropped)
        return true;
    if (!gavel_slice_equal(gavel_text(founder->name), name))
        return false;
    return founder->incarnation == incarnation || sees_all_of_it(node);
}

static uint64_t id_number(struct gavel_slice raw)
{
    return raw.size == CODEC_ID_BYTES ? bytes_load64(raw.data) : 0;
}

void seed_ask(struct conn *conn, const struct codec_found_ask *ask, struct codec_found_answer *answer)
{
    struct node *node = conn->node;
    struct node_seed *seed = node->scout;

    answer->state = CODEC_FOUND_DIFFERS;
    if (!node->setup.expect || seed->formed) {
        answer->text = gavel_text("it waits to be added to a cluster that is there already");
        return;
    }
    if (!look(node) || seed->hash != id_number(ask->members)) {
        answer->text = gavel_text("it sees other nodes, or expects another number of them");
        return;
    }
    if (!may_drop(node, ask->name, id_number(ask->incarnation))) {
        COVER("node-seed-keeps-its-word");
        answer->state = CODEC_FOUND_BUSY;
        answer->text = gavel_text("it holds the record of another founder, which has to come back, or it is emptied");
        return;
    }
    if (node->record.size && node->founding_members.items[0].incarnation != id_number(ask->incarnation))
        seed->dropped = true;
    answer->state = CODEC_FOUND_EMPTY;
}

void seed_answer(struct conn *conn, const struct codec_found_answer *answer)
{
    struct node *node = conn->node;
    struct seed_candidate *candidate = candidate_named(node->scout, conn->name);

    if (answer->state == CODEC_FOUND_FORMED) {
        node->scout->formed = true;
        return;
    }
    if (!candidate || !candidate->ask || candidate->ask != answer->id || answer->state != CODEC_FOUND_EMPTY ||
        id_number(answer->incarnation) != candidate->incarnation)
        return;
    candidate->granted = true;
    candidate->address_count = 0;
    for (uint64_t i = 0; i < answer->addresses.count && candidate->address_count < NODE_ADDRESSES_MAX; i++) {
        struct gavel_slice one;

        memcpy(&one, (const char *)answer->addresses.items + i * answer->addresses.stride, sizeof one);
        if (members_address_valid(one) &&
            members_copy_text(candidate->addresses[candidate->address_count], NODE_URI_MAX, one))
            candidate->address_count++;
    }
    seed_step(node);
}

/* Whether a record that was read in names this node, and comes from who made it. */
static bool is_ours(const struct node *node, const struct conn *conn)
{
    const struct member *self = members_named(&node->founding_members, node->setup.name);

    return self && self->incarnation == node->incarnation && node->founding_members.count &&
           strcmp(node->founding_members.items[0].name, conn->name) == 0;
}

static void answer_done(struct conn *conn, uint64_t id, int32_t status, const char *text)
{
    struct codec_found_done done = {.id = id, .status = status};

    if (text)
        done.text = gavel_text(text);
    (void)conn_send(conn, CODEC_FOUND_DONE, &done);
}

/* Take the record over from its bytes. What it does not fit is told, and what was held is in force again. */
static int32_t take(struct conn *conn, struct gavel_slice record, struct gavel_error *error)
{
    struct node *node = conn->node;
    struct gavel_error again;
    int32_t status = found_load(node, record, error);

    if (status == GAVEL_OK && is_ours(node, conn))
        return GAVEL_OK;
    if (status == GAVEL_OK)
        status = gavel_fail(error, GAVEL_E_DENIED, "the record is not of its sender, or names another data directory");
    if (node->record.size)
        (void)found_load(node, gavel_buffer_slice(&node->record), &again);
    else
        memset(&node->founding_members, 0, sizeof node->founding_members);
    return status;
}

void seed_record(struct conn *conn, const struct codec_found_record *message)
{
    struct node *node = conn->node;
    struct node_seed *seed = node->scout;
    bool held = node->record.size && gavel_slice_equal(gavel_buffer_slice(&node->record), message->record);
    struct gavel_error error = {0};
    struct members before = node->founding_members;
    int32_t status;

    if (node->founding_saving || node->founded || !node->setup.expect || seed->formed) {
        answer_done(conn, message->id, GAVEL_E_BUSY, "it does not take part in a founding now");
        return;
    }
    if (held && !seed->dropped) {
        answer_done(conn, message->id, GAVEL_OK, NULL);
        return;
    }
    status = held ? gavel_fail(&error, GAVEL_E_DENIED, "it has given up this record")
                  : take(conn, message->record, &error);
    if (status == GAVEL_OK && node->record.size && !seed->dropped &&
        (strcmp(before.items[0].name, node->founding_members.items[0].name) != 0 ||
         before.items[0].incarnation != node->founding_members.items[0].incarnation)) {
        status = gavel_fail(&error, GAVEL_E_DENIED, "it holds the record of another founder");
        node->founding_members = before;
        (void)found_load(node, gavel_buffer_slice(&node->record), &(struct gavel_error){0});
    }
    if (status == GAVEL_E_CONFIG || status == GAVEL_E_VERSION) {
        node_fatal(node, 78, "this node does not fit the cluster: %s", error.text);
        return;
    }
    if (status != GAVEL_OK) {
        answer_done(conn, message->id, status, error.text);
        return;
    }
    node->record.size = 0;
    if (gavel_buffer_append(&node->record, message->record.data, message->record.size) != GAVEL_OK) {
        node_fatal(node, 70, "no memory for the founding record");
        return;
    }
    seed->preparing = true;
    seed->dropped = false;
    seed->caller = conn->serial;
    seed->caller_id = message->id;
    found_save(node);
}

void seed_done(struct conn *conn, const struct codec_found_done *done)
{
    struct node *node = conn->node;
    struct seed_candidate *candidate = candidate_named(node->scout, conn->name);

    if (!candidate || !candidate->record || candidate->record != done->id || done->status != GAVEL_OK)
        return;
    candidate->done = true;
    seed_step(node);
}

void seed_saved(struct node *node)
{
    struct node_seed *seed = node->scout;
    struct conn *conn = seed->caller ? conn_find(node, seed->caller) : NULL;

    assert(seed->preparing);
    seed->preparing = false;
    node->founding_saving = false;
    seed->next_ns = 0;
    if (conn)
        answer_done(conn, seed->caller_id, GAVEL_OK, NULL);
    seed_step(node);
}
