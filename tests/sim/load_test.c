/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_test.c - each check of the simulator's clients, seen to fire: one client over a transport that keeps what is
 * sent, and answers made by hand, in which all is well, and then one thing is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/codec/value.h"
#include "core/log/batch.h"
#include "load_crafted.h"

/* ---- a client by hand ---------------------------------------------------------------------------------- */

static struct sim sim;
static struct sim_load *load;
static struct load_client *client;

/* What comes to the client. */
static void comes(uint64_t type, const void *message)
{
    static unsigned char memory[65536];
    struct gavel_buffer out = codec_buffer_fixed(memory, sizeof memory);
    struct gavel_error error = {0};

    if (codec_message_encode(codec_msgpack(), NULL, type, message, &out, &error) != GAVEL_OK)
        abort();
    client->events.message(client->events.context, cookie, gavel_buffer_slice(&out));
}

static int set_up(void **state)
{
    struct codec_welcome welcome = {.version_major = 1};

    (void)state;
    memset(&sim, 0, sizeof sim);
    sim.node_count = 1;
    sim.nodes[0].state = SIM_UP;
    (void)snprintf(sim.nodes[0].name, sizeof sim.nodes[0].name, "n1");
    sim.options = (struct sim_options){
        .nodes = 1, .clients = 1, .keys = 16, .rate = 100, .value_bytes = 40, .session_ttl_ms = 60000};
    sim.now = 1000 * SIM_S;
    committed = UINT64_MAX;
    undecided = false;
    load = sim_load_new(&sim);
    sim.load = load;
    client = &load->clients[0];
    client->watch.wanted = false;
    client->timer.run(&sim, &client->timer);
    client->events.connected(client->events.context, cookie, NULL);
    comes(CODEC_WELCOME, &welcome);
    assert_int_equal(client->state, LOAD_READY);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    load = sim_load_free(load);
    return 0;
}

/* Ask; the value of a write is the next unique one. */
static struct load_slot *ask(uint8_t kind, const char *name)
{
    struct load_slot *slot = load_client_slot(client);
    struct history_op *op = history_add(&load->history);

    slot->what = LOAD_COMMAND;
    slot->op = load->history.count - 1;
    slot->key = load_key_named(load, gavel_text(name));
    op->kind = kind;
    op->key = slot->key->number;
    if (kind == HISTORY_SET)
        op->value = ++load->values;
    load_begin(slot);
    return slot;
}

static struct load_slot *ask_in_session(uint64_t sequence)
{
    struct load_slot *slot = load_client_slot(client);
    struct history_op *op = history_add(&load->history);

    client->session = slot->session = 7;
    client->touched = sim.now;
    client->sequence = slot->sequence = sequence;
    slot->what = LOAD_COMMAND;
    slot->op = load->history.count - 1;
    slot->key = load_key_named(load, gavel_text("k0"));
    op->kind = HISTORY_SET;
    op->key = slot->key->number;
    op->value = ++load->values;
    load_begin(slot);
    return slot;
}

/* The bytes of a value, as the encoder makes them for a write of it. */
static struct gavel_slice document_of(uint64_t value)
{
    static struct load_bytes bytes;
    struct load_slot slot = {.client = client, .what = LOAD_COMMAND, .id = 1};
    struct codec_arena arena = codec_arena(load->arena, LOAD_ARENA_BYTES);
    struct gavel_limits limits = codec_limits(1u << 20);
    struct history_op *op = history_add(&load->history);
    struct gavel_error error = {0};
    uint64_t type;
    void *message;

    op->kind = HISTORY_SET;
    op->value = value;
    slot.op = load->history.count - 1;
    slot.key = &load->keys[0];
    load_encode(&slot, 0, false, &bytes);
    load->history.count--;
    if (codec_message_decode(codec_msgpack(), NULL, gavel_bytes(bytes.data, bytes.size), &limits, &arena, &type,
                             &message, &error) != GAVEL_OK)
        abort();
    return codec_map_find_number(((struct codec_request *)message)->arguments, 2);
}

static void answer(struct load_slot *slot, int64_t status, uint64_t index)
{
    struct codec_reply reply = {.id = slot->id, .status = status, .index = index};

    comes(CODEC_REPLY, &reply);
}

/* {revision, version}: as set and delete answer. */
static void answer_write(struct load_slot *slot, uint64_t index, uint64_t revision, uint64_t version)
{
    unsigned char memory[64];
    struct gavel_buffer out = codec_buffer_fixed(memory, sizeof memory);
    struct codec_writer writer;
    struct gavel_writer *w = codec_writer_begin(&writer, &out);
    struct codec_reply reply = {.id = slot->id, .index = index};

    gavel_put_map(w, 2);
    gavel_put_key(w, "revision");
    gavel_put_uint(w, revision);
    gavel_put_key(w, "version");
    gavel_put_uint(w, version);
    gavel_put_end(w);
    (void)codec_writer_end(&writer, NULL);
    reply.result = gavel_buffer_slice(&out);
    comes(CODEC_REPLY, &reply);
}

/* As get answers. */
static void answer_get(struct load_slot *slot, uint64_t index, uint64_t value, uint64_t revision, uint64_t version)
{
    static unsigned char memory[8192];
    struct gavel_buffer out = codec_buffer_fixed(memory, sizeof memory);
    struct codec_writer writer;
    struct gavel_writer *w = codec_writer_begin(&writer, &out);
    const struct history_op *op = &load->history.ops[slot->op];
    struct codec_reply reply = {
        .id = slot->id, .index = index, .read = op->kind == HISTORY_PEEK ? CODEC_READ_STALE : 0};

    gavel_put_map(w, 4);
    gavel_put_key(w, "key");
    gavel_put_text(w, slot->key->name);
    gavel_put_key(w, "value");
    codec_put_value(w, document_of(value));
    gavel_put_key(w, "mod_revision");
    gavel_put_uint(w, revision);
    gavel_put_key(w, "version");
    gavel_put_uint(w, version);
    gavel_put_end(w);
    (void)codec_writer_end(&writer, NULL);
    reply.result = gavel_buffer_slice(&out);
    comes(CODEC_REPLY, &reply);
}

/* A set that is acknowledged; returns its value. */
static uint64_t set(const char *name, uint64_t index, uint64_t version)
{
    answer_write(ask(HISTORY_SET, name), index, index, version);
    return load->values;
}

/* An event of a key that was set. */
static void event(uint64_t index, uint64_t ordinal, const char *name, uint64_t value)
{
    static unsigned char memory[8192];
    struct gavel_buffer out = codec_buffer_fixed(memory, sizeof memory);
    struct codec_writer writer;
    struct gavel_writer *w = codec_writer_begin(&writer, &out);
    struct codec_stream_event message = {.id = client->watch.id,
                                         .index = index,
                                         .ordinal = ordinal,
                                         .event = gavel_text("state_changed"),
                                         .key = gavel_text(name)};

    gavel_put_map(w, 2);
    gavel_put_key(w, "type");
    gavel_put_text(w, "set");
    gavel_put_key(w, "value");
    codec_put_value(w, document_of(value));
    gavel_put_end(w);
    (void)codec_writer_end(&writer, NULL);
    message.body = gavel_buffer_slice(&out);
    comes(CODEC_STREAM_EVENT, &message);
}

/* Begin a stream behind a revision. */
static void watch(uint64_t index, uint64_t ordinal)
{
    client->watch.wanted = true;
    client->watch.index = index;
    client->watch.ordinal = ordinal;
    client->watch.exact = false;
    load_watch_connected(client);
    client->watch.credit = 100;
}

static void stream_ends(uint64_t oldest_index, uint64_t oldest_ordinal)
{
    struct codec_stream_end end = {.id = client->watch.id,
                                   .status = GAVEL_E_COMPACTED,
                                   .oldest_index = oldest_index,
                                   .oldest_ordinal = oldest_ordinal};

    comes(CODEC_STREAM_END, &end);
}

#define fires(invariant, statement) \
    do { \
        if (setjmp(failed) == 0) { \
            statement; \
            fail_msg("nothing fired, wanted: %s", (invariant)); \
        } \
        if (strcmp(fired, (invariant)) != 0) \
            fail_msg("wanted: %s; fired: %s: %s", (invariant), fired, sentence); \
    } while (0)

#define holds(statement) \
    do { \
        if (setjmp(failed) == 0) { \
            statement; \
        } else { \
            fail_msg("%s fired: %s", fired, sentence); \
        } \
    } while (0)

/* ---- answers ------------------------------------------------------------------------------------------- */

static void answers_in_order_are_taken(void **state)
{
    static uint64_t value; /* static: it outlives a longjmp */

    (void)state;
    holds(value = set("k0", 5, 1); answer_get(ask(HISTORY_GET, "k0"), 5, value, 5, 1));
    holds(answer(ask(HISTORY_GET, "k1"), GAVEL_E_NOT_FOUND, 6));
    holds(answer(ask(HISTORY_SET, "k1"), GAVEL_E_BUSY, 0));
    holds(answer(ask(HISTORY_SET, "k1"), GAVEL_E_UNKNOWN, 0));
    holds(sim_load_check(load));
    assert_int_equal(load->history.ops[3].outcome, HISTORY_FAILED);
    assert_int_equal(load->history.ops[4].outcome, HISTORY_UNKNOWN);
}

static void odd_answers_are_seen(void **state)
{
    (void)state;
    fires("answer", answer(ask(HISTORY_SET, "k0"), GAVEL_E_INVALID, 0));
    fires("answer", answer(ask(HISTORY_SET, "k0"), GAVEL_E_NOT_FOUND, 0));
    fires("answer", answer(ask(HISTORY_GET, "k0"), GAVEL_E_EXPIRED, 0));
}

static void revision_is_the_index(void **state)
{
    (void)state;
    fires("answer", answer_write(ask(HISTORY_SET, "k0"), 5, 4, 1));
}

static void the_oracle_is_told(void **state)
{
    (void)state;
    committed = 5;
    holds(set("k0", 5, 1));
    fires("acknowledged", set("k1", 6, 1));
    holds(answer(ask(HISTORY_SET, "k2"), GAVEL_E_UNKNOWN, 0));
}

static void the_oracle_is_told_of_sessions(void **state)
{
    struct load_slot *slot = load_client_slot(client);

    (void)state;
    committed = 5;
    slot->what = LOAD_CLOSE;
    slot->session = 3;
    holds(load_begin(slot));
    fires("acknowledged", answer(slot, GAVEL_OK, 6));
}

static void a_lost_connection_is_unknown(void **state)
{
    (void)state;
    holds(ask(HISTORY_SET, "k0"));
    holds(load_hang_up(client, "test"));
    assert_int_equal(load->history.ops[0].outcome, HISTORY_UNKNOWN);
}

/* Each request that is sent, each answer that somebody waits for, each that is given up: once. */
static void what_counts(void **state)
{
    static struct load_slot *slot; /* static: it outlives a longjmp */
    struct codec_reply late = {.index = 5};

    (void)state;
    assert_int_equal(sim.totals.events, 1); /* the welcome; a connection that opens is none */
    holds(slot = ask(HISTORY_SET, "k0"); late.id = slot->id);
    assert_int_equal(sim.totals.events, 2);
    holds(answer(slot, GAVEL_E_UNKNOWN, 0));
    assert_int_equal(sim.totals.events, 3);
    holds(comes(CODEC_REPLY, &late)); /* twice */
    assert_int_equal(sim.totals.events, 3);
    holds(slot = ask_in_session(1); slot->timer.run(&sim, &slot->timer)); /* asked, and given up */
    assert_int_equal(sim.totals.events, 5);
    assert_int_equal(slot->state, LOAD_RETRY);
    holds(slot->timer.run(&sim, &slot->timer)); /* asked again */
    assert_int_equal(sim.totals.events, 6);
    holds(load_hang_up(client, "test"));
    assert_int_equal(slot->state, LOAD_RETRY);
    holds(slot->timer.run(&sim, &slot->timer)); /* there is nobody to ask */
    assert_int_equal(sim.totals.events, 6);
}

static void what_counts_of_a_watch(void **state)
{
    uint64_t before;

    (void)state;
    holds(set("k0", 5, 1); set("k1", 7, 1));
    before = sim.totals.events;
    holds(watch(0, 0));
    assert_int_equal(sim.totals.events, before + 1);
    holds(event(5, 1, "k0", 1));
    assert_int_equal(sim.totals.events, before + 2);
    holds(client->watch.timer.run(&sim, &client->watch.timer)); /* it allows more */
    assert_int_equal(sim.totals.events, before + 3);
    client->watch.id++;
    client->watch.open = false;
    holds(event(7, 1, "k1", 2)); /* of a stream that was given up */
    assert_int_equal(sim.totals.events, before + 3);
}

/* ---- what is told of the past -------------------------------------------------------------------------- */

static void one_revision_one_value(void **state)
{
    (void)state;
    holds(set("k0", 5, 1); set("k0", 6, 2));
    fires("one history", answer_get(ask(HISTORY_GET, "k0"), 6, 1, 6, 2));
}

static void one_value_one_revision(void **state)
{
    (void)state;
    holds(set("k0", 5, 1));
    fires("exactly once", answer_get(ask(HISTORY_GET, "k0"), 9, 1, 8, 2));
}

static void values_nobody_wrote(void **state)
{
    (void)state;
    fires("value", answer_get(ask(HISTORY_GET, "k0"), 9, 77, 8, 2));
}

static void failed_but_done(void **state)
{
    static uint64_t value; /* static: it outlives a longjmp */

    (void)state;
    holds(answer(ask(HISTORY_SET, "k0"), GAVEL_E_NO_LEADER, 0); value = load->values);
    holds(answer_get(ask(HISTORY_GET, "k0"), 9, value, 8, 1));
    fires("unknown is not failed", sim_load_check(load));
}

static void lost_write(void **state)
{
    (void)state;
    holds(set("k0", 5, 1));
    holds(answer(ask(HISTORY_GET, "k0"), GAVEL_E_NOT_FOUND, 6));
    fires("linearizable", sim_load_check(load));
}

static void what_is_not_decided_is_not_right(void **state)
{
    (void)state;
    holds(set("k0", 5, 1));
    holds(sim_load_check(load));
    undecided = true;
    fires("linearizable", sim_load_check(load));
}

static void reads_go_back(void **state)
{
    (void)state;
    holds(set("k0", 5, 1); set("k1", 9, 1));
    holds(answer_get(ask(HISTORY_GET, "k0"), 6, 1, 5, 1));
    fires("linearizable", sim_load_check(load));
}

static void stale_reads_go_back(void **state)
{
    (void)state;
    holds(set("k0", 5, 1));
    holds(answer_get(ask(HISTORY_PEEK, "k0"), 9, 1, 5, 1));
    fires("stale read", answer_get(ask(HISTORY_PEEK, "k0"), 8, 1, 5, 1));
}

static void stale_reads_miss_a_change(void **state)
{
    (void)state;
    holds(set("k0", 5, 1); set("k0", 6, 2));
    holds(answer_get(ask(HISTORY_PEEK, "k0"), 7, 1, 5, 1));
    fires("linearizable", sim_load_check(load));
}

static void stale_reads_below_what_was_asked(void **state)
{
    static struct load_slot *slot; /* static: it outlives a longjmp */

    (void)state;
    holds(set("k0", 5, 1));
    holds(slot = ask(HISTORY_PEEK, "k0"); slot->min_index = 6);
    fires("stale read", answer_get(slot, 5, 1, 5, 1));
}

static void delete_is_logged(uint64_t batch, uint64_t index)
{
    static const unsigned char arguments[] = {0x81, 1, 0xa2, 'k', '1'};
    struct log_entry entry = {.index = index, .kind = LOG_COMMAND};

    sim_load_logged(load, batch, &entry, "delete", gavel_bytes(arguments, sizeof arguments));
}

/* The first of those that are alike; not by what did not commit, was refused, or is another's. */
static void lost_writes_are_found_in_the_log(void **state)
{
    (void)state;
    holds(answer(ask(HISTORY_DELETE, "k1"), GAVEL_E_UNKNOWN, 0); answer(ask(HISTORY_DELETE, "k2"), GAVEL_E_UNKNOWN, 0));
    holds(answer(ask(HISTORY_DELETE, "k1"), GAVEL_E_UNKNOWN, 0));
    holds(answer(ask(HISTORY_DELETE, "k1"), GAVEL_E_NOT_FOUND, 5));
    holds(delete_is_logged(NOT_COMMITTED, 3); delete_is_logged(1, 3); delete_is_logged(2, 4); delete_is_logged(3, 5));
    holds(sim_load_refused(load, 4, 0); load_witnesses_ask(load));
    assert_int_equal(load->history.ops[0].index, 3);
    assert_int_equal(load->history.ops[1].index, 0);
    assert_int_equal(load->history.ops[2].index, 0);
    assert_int_equal(load->history.ops[3].index, 5);
    tear_down(state);
    set_up(state);
    holds(answer(ask(HISTORY_DELETE, "k1"), GAVEL_E_NOT_FOUND, 9)); /* answered at 9 as it had been at 7 */
    holds(delete_is_logged(1, 7); delete_is_logged(2, 9); sim_load_refused(load, 9, 7); load_witnesses_ask(load));
    assert_int_equal(load->history.ops[0].index, 7);
}

/* ---- ranges -------------------------------------------------------------------------------------------- */

static struct load_slot *scan(const char *from, const char *to, uint32_t limit)
{
    struct load_slot *slot = load_client_slot(client);

    slot->what = LOAD_SCAN;
    slot->key = load_key_named(load, gavel_text(from));
    slot->to = to ? load_key_named(load, gavel_text(to)) : NULL;
    slot->limit = limit;
    load_begin(slot);
    return slot;
}

struct row {
    const char *name;
    uint64_t value;
    uint64_t revision;
};

/* As range answers. */
static void answer_scan(struct load_slot *slot, uint64_t index, const struct row *rows, uint64_t count,
                        const char *after)
{
    static unsigned char memory[8192];
    struct gavel_buffer out = codec_buffer_fixed(memory, sizeof memory);
    struct codec_writer writer;
    struct gavel_writer *w = codec_writer_begin(&writer, &out);
    struct codec_reply reply = {.id = slot->id, .index = index, .read = slot->stale ? CODEC_READ_STALE : 0};

    gavel_put_map(w, after ? 3 : 2);
    gavel_put_key(w, "items");
    gavel_put_array(w, count);
    for (uint64_t i = 0; i < count; i++) {
        gavel_put_map(w, 4);
        gavel_put_key(w, "key");
        gavel_put_text(w, rows[i].name);
        gavel_put_key(w, "value");
        codec_put_value(w, document_of(rows[i].value));
        gavel_put_key(w, "mod_revision");
        gavel_put_uint(w, rows[i].revision);
        gavel_put_key(w, "version");
        gavel_put_uint(w, 1);
        gavel_put_end(w);
    }
    gavel_put_end(w);
    gavel_put_key(w, "revision");
    gavel_put_uint(w, slot->asked ? slot->asked : index);
    if (after) {
        gavel_put_key(w, "after");
        gavel_put_text(w, after);
    }
    gavel_put_end(w);
    (void)codec_writer_end(&writer, NULL);
    reply.result = gavel_buffer_slice(&out);
    comes(CODEC_REPLY, &reply);
}

/* k0, k1, k2 with values 1, 2, 3 of revisions 5, 6, 7. */
static void three_keys(void)
{
    (void)set("k0", 5, 1);
    (void)set("k1", 6, 1);
    (void)set("k2", 7, 1);
    for (uint32_t i = 0; i < 3; i++)
        load->keys[i].used = true;
}

static const struct row rows[] = {{"k0", 1, 5}, {"k1", 2, 6}, {"k2", 3, 7}};

static void ranges_in_order_are_taken(void **state)
{
    (void)state;
    holds(three_keys());
    holds(answer_scan(scan("k0", NULL, 8), 7, rows, 3, NULL));
    holds(answer_scan(scan("k0", "k2", 8), 7, rows, 2, NULL));
    holds(answer_scan(scan("k0", NULL, 1), 7, rows, 1, "k0"));
    holds(sim_load_check(load));
    assert_int_equal(load->history.count, 9);
}

static void ranges_with_what_was_not_asked(void **state)
{
    const struct row turned[] = {rows[1], rows[0]};

    (void)state;
    holds(three_keys());
    fires("answer", answer_scan(scan("k1", NULL, 8), 7, rows, 3, NULL));
    fires("answer", answer_scan(scan("k0", "k1", 8), 7, rows, 2, NULL));
    fires("answer", answer_scan(scan("k0", NULL, 2), 7, rows, 3, NULL));
    fires("answer", answer_scan(scan("k0", NULL, 8), 7, turned, 2, NULL));
}

/* Each key as it once was, but never all of them at once. */
static void a_range_of_two_moments(void **state)
{
    (void)state;
    holds(three_keys());
    holds(set("k0", 8, 2));
    holds(answer_scan(scan("k0", NULL, 8), 8, rows, 3, NULL));
    fires("linearizable", sim_load_check(load));
}

static void a_stale_range_of_two_moments(void **state)
{
    static struct load_slot *slot; /* static: it outlives a longjmp */

    (void)state;
    holds(three_keys());
    holds(set("k0", 8, 2); set("k1", 9, 2));
    holds(slot = scan("k0", NULL, 8); slot->stale = true);
    holds(answer_scan(slot, 8, rows, 3, NULL)); /* k1 as of 6 is right at 8, k0 as of 5 is not */
    fires("linearizable", sim_load_check(load));
}

static void a_range_without_a_key(void **state)
{
    const struct row two[] = {rows[0], rows[2]};

    (void)state;
    holds(three_keys());
    holds(answer_scan(scan("k0", NULL, 8), 7, two, 2, NULL));
    fires("linearizable", sim_load_check(load));
}

static void a_range_of_the_past_without_a_key(void **state)
{
    static struct load_slot *slot; /* static: it outlives a longjmp */

    (void)state;
    holds(three_keys());
    holds(slot = scan("k0", NULL, 8); slot->asked = 6);
    holds(answer_scan(slot, 7, rows, 1, NULL)); /* k1 was there at 6 */
    fires("linearizable", sim_load_check(load));
}

/* ---- sessions ------------------------------------------------------------------------------------------ */

/* An answered write that is sent again. */
static struct load_slot *probe(void)
{
    struct load_slot *slot = ask_in_session(1);

    slot->state = LOAD_PROBE;
    slot->first_index = 5;
    return slot;
}

static void answered_twice_but_not_the_same(void **state)
{
    struct codec_reply reply = {.index = 5, .duplicate = 1};
    static struct load_slot *slot; /* static: it outlives a longjmp */

    (void)state;
    holds(slot = probe(); slot->first_digest = UINT64_C(0xcbf29ce484222325); reply.id = slot->id;
          comes(CODEC_REPLY, &reply));
    fires("exactly once", slot = probe(); slot->first_digest = 1; reply.id = slot->id; comes(CODEC_REPLY, &reply));
    tear_down(state);
    set_up(state);
    fires("exactly once", answer(probe(), 0, 9));
}

static void expired_too_early(void **state)
{
    static struct load_slot *slot; /* static: it outlives a longjmp */

    (void)state;
    holds(slot = ask_in_session(1); sim.now += 61 * SIM_S; answer(slot, GAVEL_E_EXPIRED, 0));
    assert_int_equal(client->session, 0);
    assert_int_equal(load->history.ops[0].outcome, HISTORY_FAILED);
    fires("session", slot = ask_in_session(2); sim.now += 59 * SIM_S; answer(slot, GAVEL_E_EXPIRED, 0));
}

/* It may have been applied by the attempt whose answer was lost. */
static void expired_after_a_lost_answer_is_unknown(void **state)
{
    static struct load_slot *slot; /* static: it outlives a longjmp */

    (void)state;
    holds(slot = ask_in_session(1); answer(slot, GAVEL_E_UNKNOWN, 0));
    assert_int_equal(slot->state, LOAD_RETRY);
    holds(slot->timer.run(&sim, &slot->timer); sim.now += 100 * SIM_S; answer(slot, GAVEL_E_EXPIRED, 0));
    assert_int_equal(load->history.ops[0].outcome, HISTORY_UNKNOWN);
}

static void done_in_a_closed_session(void **state)
{
    static struct load_slot *slot; /* static: it outlives a longjmp */

    (void)state;
    holds(slot = ask_in_session(1); slot->closed_session = true);
    fires("session", answer_write(slot, 5, 5, 1));
}

static void acked_stays_below_what_is_open(void **state)
{
    (void)state;
    holds(ask_in_session(3));
    client->sequence = 9;
    assert_int_equal(load_acked(client, 7), 2);
    client->spare = 2;
    assert_int_equal(load_acked(client, 7), 1);
    assert_int_equal(load_acked(client, 6), 0);
}

/* ---- watches ------------------------------------------------------------------------------------------- */

static void events_in_order_are_taken(void **state)
{
    (void)state;
    holds(set("k0", 5, 1); set("k1", 7, 1); set("k0", 8, 2));
    holds(watch(0, 0); event(5, 1, "k0", 1); event(7, 1, "k1", 2); event(8, 1, "k0", 3));
    holds(watch(5, 1); event(7, 1, "k1", 2));
    holds(sim_load_check(load));
}

static void events_go_back(void **state)
{
    (void)state;
    holds(set("k0", 5, 1); set("k1", 7, 1); watch(0, 0); event(7, 1, "k1", 2));
    fires("watch", event(5, 1, "k0", 1));
}

static void an_ordinal_is_left_out(void **state)
{
    (void)state;
    holds(load->values = 9; watch(0, 0); event(5, 1, "k0", 1));
    fires("watch", event(5, 3, "k1", 2));
}

static void a_change_is_left_out(void **state)
{
    (void)state;
    holds(set("k0", 5, 1); set("k1", 7, 1); set("k0", 8, 2); watch(0, 0); event(5, 1, "k0", 1));
    holds(event(8, 1, "k0", 3));
    fires("watch", sim_load_check(load));
}

static void two_streams_differ(void **state)
{
    (void)state;
    holds(load->values = 9; watch(0, 0); event(5, 1, "k0", 1); event(6, 1, "k1", 2));
    holds(watch(0, 0); event(5, 1, "k0", 1));
    fires("watch", event(7, 1, "k0", 3));
}

static void more_events_than_allowed(void **state)
{
    (void)state;
    holds(load->values = 9; watch(0, 0); client->watch.credit = 1; event(5, 1, "k0", 1));
    client->watch.credit = 0;
    fires("watch", event(6, 1, "k1", 2));
}

static void an_event_of_another_value(void **state)
{
    (void)state;
    holds(set("k0", 5, 1); set("k0", 6, 2); watch(0, 0));
    fires("one history", event(5, 1, "k0", 2));
}

static void compacted_needs_a_reason(void **state)
{
    (void)state;
    holds(watch(5, 1); stream_ends(9, 1));
    holds(watch(9, 0); stream_ends(9, 1));
    fires("watch", watch(9, 1); stream_ends(9, 1));
}

#define one(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        one(answers_in_order_are_taken),
        one(odd_answers_are_seen),
        one(revision_is_the_index),
        one(the_oracle_is_told), one(the_oracle_is_told_of_sessions),
        one(a_lost_connection_is_unknown),
        one(what_counts),
        one(what_counts_of_a_watch),
        one(one_revision_one_value),
        one(one_value_one_revision),
        one(values_nobody_wrote),
        one(failed_but_done),
        one(lost_write),
        one(what_is_not_decided_is_not_right),
        one(reads_go_back),
        one(stale_reads_go_back),
        one(stale_reads_miss_a_change),
        one(stale_reads_below_what_was_asked),
        one(lost_writes_are_found_in_the_log),
        one(ranges_in_order_are_taken),
        one(ranges_with_what_was_not_asked),
        one(a_range_of_two_moments),
        one(a_stale_range_of_two_moments),
        one(a_range_without_a_key),
        one(a_range_of_the_past_without_a_key),
        one(answered_twice_but_not_the_same),
        one(expired_too_early),
        one(expired_after_a_lost_answer_is_unknown),
        one(done_in_a_closed_session),
        one(acked_stays_below_what_is_open),
        one(events_in_order_are_taken),
        one(events_go_back),
        one(an_ordinal_is_left_out),
        one(a_change_is_left_out),
        one(two_streams_differ),
        one(more_events_than_allowed),
        one(an_event_of_another_value),
        one(compacted_needs_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
