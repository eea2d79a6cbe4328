/* SPDX-License-Identifier: Apache-2.0 */
/* load_answer.c - what an answer means for its request, and what it says about the store. */
#include <assert.h>
#include <string.h>

#include "load_internal.h"
#include "oracle.h"

/* ---- what it means ------------------------------------------------------------------------------------- */

static void odd(struct load_slot *slot, const struct codec_reply *reply)
{
    sim_fail(slot->client->sim, "answer", "%s was answered %lld to what is in order: %.*s", slot->client->name,
             (long long)reply->status, (int)reply->text.size, reply->text.size ? (const char *)reply->text.data : "");
}

/* Results of the command itself: it was done, or looked at and refused, at its place in the log. */
static bool is_outcome(const struct load_slot *slot, const struct codec_reply *reply)
{
    uint8_t kind = slot->op == LOAD_NO_OP ? HISTORY_KIND_COUNT : slot->client->load->history.ops[slot->op].kind;

    switch (reply->status) {
    case GAVEL_OK: return true;
    case GAVEL_E_NOT_FOUND:
        return kind == HISTORY_GET || kind == HISTORY_PEEK || kind == HISTORY_DELETE || kind == HISTORY_UPDATE ||
               kind == HISTORY_STOP || kind == HISTORY_BATCH;
    case GAVEL_E_CONDITION: return kind == HISTORY_CAS || kind == HISTORY_CASREV;
    case GAVEL_E_EXISTS: return kind == HISTORY_START;
    case GAVEL_E_STATE: return kind == HISTORY_UPDATE;
    default: return false;
    }
}

enum load_verdict load_judge(struct load_slot *slot, const struct codec_reply *reply)
{
    if (is_outcome(slot, reply))
        return LOAD_DONE;
    switch (reply->status) {
    case GAVEL_E_UNKNOWN:
        return LOAD_UNSURE;
    case GAVEL_E_EXPIRED:
        if (!slot->session)
            odd(slot, reply);
        return LOAD_GONE;
    case GAVEL_E_COMPACTED:
        if (slot->what != LOAD_PAST && !(slot->what == LOAD_SCAN && slot->asked))
            odd(slot, reply);
        return LOAD_REFUSED;
    case GAVEL_E_BUSY:
    case GAVEL_E_NO_LEADER:
    case GAVEL_E_NOT_LEADER:
    case GAVEL_E_TIMEOUT:
    case GAVEL_E_NO_SPACE:
    case GAVEL_E_NO_MEMORY:
    case GAVEL_E_CLOSED:
    case GAVEL_E_IO:
        return LOAD_REFUSED;
    default:
        odd(slot, reply);
        return LOAD_REFUSED;
    }
}

/* ---- what it says -------------------------------------------------------------------------------------- */

void load_listen(struct gavel_slice result, struct load_said *said)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice value;

    memset(said, 0, sizeof *said);
    codec_walk_begin(&walk, result);
    while (codec_walk_next(&walk, &key, &value)) {
        struct gavel_slice name = codec_string_or(key, "");

        if (gavel_slice_equal(name, gavel_text("revision")) || gavel_slice_equal(name, gavel_text("mod_revision"))) {
            said->revision = codec_uint_or(value, 0);
        } else if (gavel_slice_equal(name, gavel_text("version"))) {
            said->version = codec_uint_or(value, 0);
            said->has_version = true;
        } else if (gavel_slice_equal(name, gavel_text("value"))) {
            said->value = value;
        } else if (gavel_slice_equal(name, gavel_text("data"))) {
            said->data = value;
        } else if (gavel_slice_equal(name, gavel_text("items"))) {
            said->items = value;
        } else if (gavel_slice_equal(name, gavel_text("after"))) {
            (void)codec_get_bytes(value, &said->after);
        } else if (gavel_slice_equal(name, gavel_text("key")) || gavel_slice_equal(name, gavel_text("workflow_id"))) {
            (void)codec_get_bytes(value, &said->key);
        } else if (gavel_slice_equal(name, gavel_text("status"))) {
            said->stopped = gavel_slice_equal(codec_string_or(value, ""), gavel_text("stopped"));
        }
    }
}

static void remember(struct load_key *key, uint64_t value, uint64_t revision)
{
    if (revision < key->revision)
        return;
    key->value = value;
    key->revision = revision;
}

void load_note_read(struct sim_load *load, struct load_key *key, struct history_op *op, const struct load_said *said)
{
    bool flow = key->class == LOAD_FLOW;

    if (!gavel_slice_equal(said->key, gavel_text(key->name)))
        sim_fail(load->sim, "answer", "%s was asked for, and another key was told of", key->name);
    op->seen = load_value(load, key, flow ? said->data : said->value);
    op->told = 1;
    op->version = (uint32_t)said->version;
    op->revision = said->revision;
    op->stopped = flow && said->stopped;
    load_fact(load, key, said->revision, op->seen);
    remember(key, op->seen, said->revision);
}

/* A write answers with the index of its entry, but for the stop of what was stopped before. */
static void check_revision(const struct load_slot *slot, const struct history_op *op, const struct load_said *said)
{
    struct sim *sim = slot->client->sim;

    if (op->kind == HISTORY_STOP ? said->revision > op->index : said->revision != op->index)
        sim_fail(sim, "answer", "a write at index %llu says that it made revision %llu", (unsigned long long)op->index,
                 (unsigned long long)said->revision);
}

static void note_batch(struct load_slot *slot, struct history_op *op, const struct load_said *said)
{
    struct sim_load *load = slot->client->load;

    check_revision(slot, op, said);
    if (codec_value_count(said->items) != op->item_count)
        sim_fail(load->sim, "answer", "a batch of %u items was answered with %llu", op->item_count,
                 (unsigned long long)codec_value_count(said->items));
    for (uint32_t i = 0; i < op->item_count; i++) {
        struct history_item *item = &load->history.items[op->item_first + i];
        struct load_key *key = load_key_named(load, gavel_text(load->history.keys[item->key]));
        struct load_said one;

        load_listen(codec_array_at(said->items, i), &one);
        item->version = (uint32_t)one.version;
        if (item->kind == HISTORY_ADD) {
            item->seen = load_value(load, key, one.value);
            item->told = 1;
        }
        load_fact(load, key, op->index,
                  item->kind == HISTORY_DELETE ? LOAD_DELETED : item->kind == HISTORY_ADD ? item->seen : item->value);
        if (item->kind == HISTORY_SET)
            remember(key, item->value, op->index);
    }
}

static void note_write(struct load_slot *slot, struct history_op *op, const struct load_said *said)
{
    struct sim_load *load = slot->client->load;

    if (op->kind == HISTORY_BATCH) {
        note_batch(slot, op, said);
        return;
    }
    check_revision(slot, op, said);
    op->version = said->has_version ? (uint32_t)said->version : HISTORY_NO_VERSION;
    if (op->kind == HISTORY_ADD) {
        op->seen = load_value(load, slot->key, said->value);
        op->told = 1;
        load_fact(load, slot->key, op->index, op->seen);
    } else if (op->kind == HISTORY_DELETE) {
        load_fact(load, slot->key, op->index, LOAD_DELETED);
        remember(slot->key, 0, op->index);
    } else if (op->kind != HISTORY_STOP) {
        load_fact(load, slot->key, op->index, op->value);
        remember(slot->key, op->value, op->index);
    }
}

/* ---- reads that need not be fresh ---------------------------------------------------------------------- */

void load_check_stale(const struct load_slot *slot, const struct codec_reply *reply)
{
    struct sim *sim = slot->client->sim;

    if (reply->read != CODEC_READ_STALE)
        sim_fail(sim, "answer", "a stale read was answered as another one");
    if (reply->index < slot->min_index)
        sim_fail(sim, "stale read", "it was to see index %llu, and was served at %llu",
                 (unsigned long long)slot->min_index, (unsigned long long)reply->index);
    if (reply->index < slot->floor)
        sim_fail(sim, "stale read", "the node had served a read at %llu before, and now one at %llu",
                 (unsigned long long)slot->floor, (unsigned long long)reply->index);
}

static void check_peek(struct load_slot *slot, struct history_op *op, const struct codec_reply *reply)
{
    if (slot->what == LOAD_PAST)
        op->index = slot->asked; /* it says what was there then */
    else
        load_check_stale(slot, reply);
}

void load_raise_floor(struct load_slot *slot, const struct codec_reply *reply)
{
    struct load_link *conn = slot->client->conn;

    if (conn && reply->index > conn->floor)
        conn->floor = reply->index;
}

/* ---- into the history ---------------------------------------------------------------------------------- */

static uint8_t outcome_of(const struct codec_reply *reply)
{
    return reply->status == GAVEL_E_NOT_FOUND   ? HISTORY_ABSENT
           : reply->status == GAVEL_E_CONDITION ? HISTORY_CONDITION
           : reply->status == GAVEL_E_EXISTS    ? HISTORY_EXISTS
           : reply->status == GAVEL_E_STATE     ? HISTORY_STATE
                                                : HISTORY_OK;
}

void load_count(struct sim_totals *totals, bool read, enum load_verdict verdict, const struct codec_reply *reply)
{
    if (verdict == LOAD_UNSURE)
        totals->unknown++;
    else if (verdict != LOAD_DONE)
        totals->refused++;
    else if (read)
        totals->reads++;
    else if (reply->status == GAVEL_OK)
        totals->acknowledged++;
}

void load_note(struct load_slot *slot, enum load_verdict verdict, const struct codec_reply *reply)
{
    struct sim_load *load = slot->client->load;
    struct history_op *op = &load->history.ops[slot->op];
    bool read = op->kind == HISTORY_GET || op->kind == HISTORY_PEEK;
    struct load_said said;

    load_count(&load->sim->totals, read, verdict, reply);
    op->returned = ++load->clock;
    op->outcome = verdict == LOAD_UNSURE ? HISTORY_UNKNOWN : HISTORY_FAILED;
    if (verdict != LOAD_DONE)
        return;
    if (slot->closed_session)
        sim_fail(load->sim, "session", "a write in session %llu was done after the session was closed",
                 (unsigned long long)slot->session);
    op->outcome = outcome_of(reply);
    op->index = reply->index;
    if (!read && !op->index)
        sim_fail(load->sim, "answer", "a write was answered without an index");
    if (!read && (op->outcome == HISTORY_OK || reply->index))
        sim_oracle_acknowledged(load->sim->oracle, reply->index);
    if (op->kind == HISTORY_PEEK)
        check_peek(slot, op, reply);
    if (read)
        load_raise_floor(slot, reply);
    if (op->outcome != HISTORY_OK)
        return;
    load_listen(reply->result, &said);
    if (read)
        load_note_read(load, slot->key, op, &said);
    else
        note_write(slot, op, &said);
}
