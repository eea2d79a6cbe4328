/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_client.c - one client: it dials a node, says hello, follows hints to the leader or not; and the life of a
 * request: sent, answered or not, sent again within a session until its outcome is known, given up.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_internal.h"
#include "oracle.h"

#define ATTEMPTS_MAX 8          /* of one write within a session, while misfortune goes on */
#define GIVE_UP_NS (30 * SIM_S) /* and for how long */
#define TIMEOUTS_MAX 3          /* in a row, and the connection is given up */
#define PROBE_PPM 40000         /* answered writes in a session that are sent once more */
#define NODE_WAIT_MS UINT64_C(5000) /* what a node takes when it is not told */
#define MESSAGE_BYTES (4u << 20)

static const unsigned char hello[] = {0x84, 1, CODEC_HELLO, 2, CODEC_ROLE_CLIENT, 3, CODEC_PROTOCOL_MAJOR, 4, 0};

static void ended_attempt(struct load_slot *slot, enum load_verdict verdict, const struct codec_reply *reply);

/* ---- the connection ------------------------------------------------------------------------------------ */

static void redial_in(struct load_client *client, uint64_t most)
{
    sim_schedule(client->sim, &client->timer,
                 client->sim->now + SIM_MS + sim_below(&client->dice, most));
}

/* What was sent and not answered will not be answered any more. */
static void lost(struct load_client *client)
{
    client->conn = NULL;
    client->state = LOAD_DOWN;
    client->timeouts = 0;
    load_watch_lost(client);
    for (uint32_t i = 0; i < LOAD_SLOTS; i++)
        if (client->slots[i].state == LOAD_WAITING || client->slots[i].state == LOAD_PROBE)
            ended_attempt(&client->slots[i], LOAD_UNSURE, NULL);
}

void load_hang_up(struct load_client *client, const char *why)
{
    struct load_link *conn = client->conn;

    if (!conn)
        return;
    sim_trace(client->sim, NULL, "%s hangs up: %s", client->name, why);
    lost(client);
    conn->client = NULL;
    sim_transport.close(client->side, conn->handle, GAVEL_CLOSE_NORMAL, gavel_text(why));
    redial_in(client, 100 * SIM_MS);
}

bool load_send(struct load_client *client, const unsigned char *bytes, size_t size)
{
    struct gavel_slice part = gavel_bytes(bytes, size);

    if (client->state != LOAD_READY || sim_transport.send(client->side, client->conn->handle, &part, 1) != GAVEL_OK)
        return false;
    sim_acted(client->sim, NULL);
    return true;
}

/* The node it wants, or any that is part of the world. */
static uint32_t choose_node(struct load_client *client)
{
    struct sim *sim = client->sim;
    uint32_t count = 0;
    uint32_t at;

    if (client->aim < sim->node_count && sim->nodes[client->aim].state != SIM_ABSENT)
        return client->aim;
    for (uint32_t i = 0; i < sim->node_count; i++)
        count += sim->nodes[i].state != SIM_ABSENT;
    at = (uint32_t)sim_below(&client->dice, count);
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].state != SIM_ABSENT && at-- == 0)
            return i;
    return 0;
}

static void dial(struct sim *sim, struct sim_event *event)
{
    struct load_client *client = os_container(event, struct load_client, timer);
    struct load_link *conn;
    struct gavel_error error = {0};

    if (client->state == LOAD_DIALING || client->state == LOAD_GREETING) {
        client->aim = SIM_NODES_MAX;
        load_hang_up(client, "no welcome came");
        return;
    }
    if (client->state != LOAD_DOWN)
        return;
    conn = calloc(1, sizeof *conn);
    assert(conn);
    conn->client = client;
    conn->node = choose_node(client);
    client->aim = SIM_NODES_MAX;
    os_list_push(&client->load->links, &conn->link);
    client->conn = conn;
    client->state = LOAD_DIALING;
    if (sim_transport.connect(client->side, gavel_text(sim->nodes[conn->node].uri), conn, &conn->handle, &error) !=
        GAVEL_OK)
        sim_fail(sim, "load", "%s cannot dial: %s", client->name, error.text);
    sim_schedule(sim, event, sim->now + 3 * SIM_S);
}

static void *accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    (void)context;
    (void)connection;
    (void)peer;
    return NULL; /* a client does not listen */
}

static void connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    struct load_link *conn = cookie;
    struct gavel_slice part = gavel_bytes(hello, sizeof hello);

    (void)context;
    (void)peer;
    if (!conn->client)
        return;
    conn->client->state = LOAD_GREETING;
    (void)sim_transport.send(conn->client->side, conn->handle, &part, 1);
}

static void closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct load_client *client = context;
    struct load_link *conn = cookie;

    (void)why;
    if (conn->client) {
        sim_trace(client->sim, NULL, "%s lost its connection to n%u, %llu", client->name, conn->node + 1,
                  (unsigned long long)reason);
        lost(client);
        redial_in(client, 300 * SIM_MS);
    }
    os_list_remove(&conn->link);
    free(conn);
}

/* ---- sending ------------------------------------------------------------------------------------------- */

uint64_t load_acked(const struct load_client *client, uint64_t session)
{
    uint64_t acked = client->sequence;

    if (session != client->session)
        return 0;
    if (client->spare && client->spare - 1 < acked)
        acked = client->spare - 1;
    for (uint32_t i = 0; i < LOAD_SLOTS; i++) {
        const struct load_slot *slot = &client->slots[i];

        if (slot->state != LOAD_IDLE && slot->sequence && slot->session == session && slot->sequence - 1 < acked)
            acked = slot->sequence - 1;
    }
    return acked;
}

/* How long the node may take; 0: what it takes by itself. */
static uint64_t draw_wait(struct load_slot *slot)
{
    struct sim_random *dice = &slot->client->dice;
    uint64_t drawn = sim_below(dice, 100);

    if (drawn < 10 && !slot->last)
        return 5 + sim_below(dice, 50);
    if (drawn < 30)
        return 500;
    return drawn < 35 ? 0 : 5000;
}

static void send_it(struct load_slot *slot)
{
    struct load_client *client = slot->client;
    static struct load_bytes bytes;
    uint64_t wait_ms = draw_wait(slot);
    uint64_t patience =
        ((wait_ms ? wait_ms : NODE_WAIT_MS) + 100 + sim_below(&client->dice, 900)) * SIM_MS;

    slot->id = ++client->next_id;
    slot->floor = client->conn ? client->conn->floor : 0;
    if (slot->state != LOAD_PROBE)
        slot->state = LOAD_WAITING;
    slot->attempts++;
    slot->node_gives_up = client->sim->now + (wait_ms ? wait_ms : NODE_WAIT_MS) * SIM_MS * 11 / 10 + 2 * SIM_S;
    load_encode(slot, wait_ms, sim_chance(&client->dice, 50000), &bytes);
    if (!load_send(client, bytes.data, bytes.size)) {
        ended_attempt(slot, LOAD_REFUSED, NULL);
        return;
    }
    sim_schedule(client->sim, &slot->timer, client->sim->now + patience);
}

void load_begin(struct load_slot *slot)
{
    struct sim_load *load = slot->client->load;

    slot->began = load->sim->now;
    slot->attempts = 0;
    slot->unsure = false;
    slot->state = LOAD_WAITING;
    if (slot->op != LOAD_NO_OP)
        load->history.ops[slot->op].invoked = ++load->clock;
    else if (slot->what == LOAD_SCAN)
        slot->invoked = ++load->clock;
    sim_trace(load->sim, NULL, "%s asks %u, op %llu, session %llu.%llu", slot->client->name, slot->what,
              (unsigned long long)slot->op, (unsigned long long)slot->session, (unsigned long long)slot->sequence);
    send_it(slot);
}

static void retry_in(struct load_slot *slot, uint64_t most)
{
    slot->state = LOAD_RETRY;
    sim_schedule(slot->client->sim, &slot->timer,
                 slot->client->sim->now + SIM_MS + sim_below(&slot->client->dice, most));
}

/* ---- the end of an attempt, and of a request ----------------------------------------------------------- */

static void free_slot(struct load_slot *slot)
{
    sim_cancel(slot->client->sim, &slot->timer);
    slot->state = LOAD_IDLE;
    slot->op = LOAD_NO_OP;
    slot->key = slot->to = NULL;
    slot->stale = false;
    slot->session = slot->sequence = slot->min_index = slot->asked = 0;
    slot->last = slot->closed_session = false;
}

static void session_gone(struct load_client *client, uint64_t session)
{
    if (client->session == session)
        client->session = client->spare = client->sequence = 0;
}

static uint64_t digest_of(struct gavel_slice result)
{
    const unsigned char *at = result.data;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (uint64_t i = 0; i < result.size; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* An EXPIRED needs a reason: so much cluster time without a sign of the client, and no clock is faster than that. */
static void check_expired(const struct load_slot *slot)
{
    const struct load_client *client = slot->client;
    const struct sim *sim = client->sim;
    uint64_t fastest = 1000000 + sim->options.drift_ppm;
    uint64_t least = sim->options.session_ttl_ms * SIM_MS / fastest * 1000000;

    if (slot->session != client->session || slot->closed_session || !sim->options.session_ttl_ms)
        return;
    if (sim->now - client->touched < least)
        sim_fail(client->sim, "session", "session %llu of %s has expired %llu ms after it was used",
                 (unsigned long long)slot->session, client->name,
                 (unsigned long long)((sim->now - client->touched) / SIM_MS));
}

static void session_answer(struct load_slot *slot, enum load_verdict verdict, const struct codec_reply *reply)
{
    struct load_client *client = slot->client;

    if (verdict == LOAD_DONE)
        sim_oracle_acknowledged(client->sim->oracle, reply->index);
    if (slot->what == LOAD_OPEN && verdict == LOAD_DONE && !client->session) {
        client->session = codec_uint_or(codec_map_find(reply->result, "session"), 0);
        client->sequence = client->spare = 0;
        client->touched = slot->began;
        client->sim->totals.sessions++;
        if (client->session != reply->index)
            sim_fail(client->sim, "session", "the session %llu was registered at index %llu",
                     (unsigned long long)client->session, (unsigned long long)reply->index);
    } else if (slot->what == LOAD_CLOSE) {
        if (verdict == LOAD_DONE)
            client->closed = slot->session;
    }
}

/* The outcome is known, or never will be. */
static void ended(struct load_slot *slot, enum load_verdict verdict, const struct codec_reply *reply)
{
    struct load_client *client = slot->client;

    sim_trace(client->sim, NULL, "%s: op %llu ends with %u", client->name, (unsigned long long)slot->op, verdict);
    if (slot->op != LOAD_NO_OP)
        load_note(slot, verdict, reply);
    else if (slot->what == LOAD_SCAN)
        load_note_scan(slot, verdict, reply);
    else
        session_answer(slot, verdict, reply);
    if (verdict == LOAD_DONE && slot->session == client->session && slot->began > client->touched &&
        !(reply && reply->duplicate))
        client->touched = slot->began;
    if (verdict == LOAD_DONE && slot->sequence && slot->session == client->session &&
        sim_chance(&client->dice, PROBE_PPM) && client->state == LOAD_READY) {
        slot->state = LOAD_PROBE;
        slot->first_status = reply->status;
        slot->first_index = reply->index;
        slot->first_digest = digest_of(reply->result);
        slot->attempts = 0;
        send_it(slot);
        return;
    }
    /* The sequence of a write that was given up unsure counts as answered from now on: it is never executed later. */
    free_slot(slot);
}

/* Thesis 6.3: what was answered once is answered the same for ever. */
static void probed(struct load_slot *slot, enum load_verdict verdict, const struct codec_reply *reply)
{
    struct sim *sim = slot->client->sim;

    if (verdict == LOAD_DONE &&
        (reply->status != slot->first_status || reply->index != slot->first_index ||
         digest_of(reply->result) != slot->first_digest || !reply->duplicate))
        sim_fail(sim, "exactly once",
                 "sequence %llu of session %llu was answered %lld at index %llu, and then %lld at index %llu%s",
                 (unsigned long long)slot->sequence, (unsigned long long)slot->session, (long long)slot->first_status,
                 (unsigned long long)slot->first_index, (long long)reply->status, (unsigned long long)reply->index,
                 reply->duplicate ? ", another result" : ", not as a duplicate");
    if (verdict == LOAD_GONE) {
        check_expired(slot);
        session_gone(slot->client, slot->session);
    }
    free_slot(slot);
}

static bool may_go_on(const struct load_slot *slot)
{
    const struct load_client *client = slot->client;

    if (slot->last)
        return true;
    if (!slot->sequence)
        return false;
    return client->sim->phase == SIM_HEALED ||
           (slot->attempts < ATTEMPTS_MAX && client->sim->now - slot->began < GIVE_UP_NS);
}

static void ended_attempt(struct load_slot *slot, enum load_verdict verdict, const struct codec_reply *reply)
{
    sim_cancel(slot->client->sim, &slot->timer);
    if (slot->state == LOAD_PROBE) {
        probed(slot, verdict, reply);
        return;
    }
    if (verdict == LOAD_UNSURE)
        slot->unsure = true;
    if (!reply && slot->node_gives_up > slot->client->load->quiet_at)
        slot->client->load->quiet_at = slot->node_gives_up;
    if (verdict == LOAD_GONE) {
        check_expired(slot);
        session_gone(slot->client, slot->session);
        ended(slot, slot->unsure ? LOAD_UNSURE : LOAD_REFUSED, NULL);
    } else if (verdict == LOAD_DONE) {
        ended(slot, LOAD_DONE, reply);
    } else if (may_go_on(slot)) {
        retry_in(slot, 200 * SIM_MS);
    } else {
        ended(slot, slot->unsure ? LOAD_UNSURE : LOAD_REFUSED, NULL);
    }
}

static void slot_timer(struct sim *sim, struct sim_event *event)
{
    struct load_slot *slot = os_container(event, struct load_slot, timer);
    struct load_client *client = slot->client;

    if (slot->state == LOAD_RETRY) {
        if (client->state == LOAD_READY)
            send_it(slot);
        else
            retry_in(slot, 50 * SIM_MS);
        return;
    }
    assert(slot->state == LOAD_WAITING || slot->state == LOAD_PROBE);
    sim_acted(sim, NULL);
    sim_trace(client->sim, NULL, "%s waited too long for op %llu", client->name, (unsigned long long)slot->op);
    slot->id = 0; /* an answer that comes now is too late */
    ended_attempt(slot, LOAD_UNSURE, NULL);
    if (++client->timeouts >= TIMEOUTS_MAX)
        load_hang_up(client, "it does not answer");
}

/* ---- what comes ---------------------------------------------------------------------------------------- */

static void follow_hint(struct load_client *client, const struct codec_reply *reply)
{
    if (!sim_chance(&client->dice, 500000))
        return;
    if (!reply->leader.size) {
        load_hang_up(client, "it knows no leader"); /* as one that is cut off for good */
        return;
    }
    for (uint32_t i = 0; i < client->sim->node_count; i++)
        if (gavel_slice_equal(reply->leader, gavel_text(client->sim->nodes[i].name)))
            client->aim = i;
    if (client->aim != client->conn->node)
        load_hang_up(client, "it goes to the leader");
}

static void on_reply(struct load_client *client, const struct codec_reply *reply)
{
    struct load_slot *slot = NULL;

    for (uint32_t i = 0; i < LOAD_SLOTS; i++)
        if ((client->slots[i].state == LOAD_WAITING || client->slots[i].state == LOAD_PROBE) &&
            client->slots[i].id == reply->id)
            slot = &client->slots[i];
    if (!slot)
        return; /* too late, or it came twice */
    sim_acted(client->sim, NULL);
    client->timeouts = 0;
    if (reply->index > client->load->highest)
        client->load->highest = reply->index;
    ended_attempt(slot, load_judge(slot, reply), reply);
    if (client->state == LOAD_READY && (reply->status == GAVEL_E_NOT_LEADER || reply->status == GAVEL_E_NO_LEADER))
        follow_hint(client, reply);
}

static void on_welcome(struct load_client *client, const struct codec_welcome *welcome)
{
    sim_acted(client->sim, NULL);
    if (welcome->status != 0) {
        load_hang_up(client, "it is not welcome");
        return;
    }
    client->state = LOAD_READY;
    sim_cancel(client->sim, &client->timer);
    sim_trace(client->sim, NULL, "%s is welcome at n%u", client->name, client->conn->node + 1);
    load_watch_connected(client);
}

static void message(void *context, void *cookie, struct gavel_slice bytes)
{
    struct load_client *client = context;
    const struct load_link *conn = cookie;
    struct codec_arena arena = codec_arena(client->load->arena, LOAD_ARENA_BYTES);
    struct gavel_limits limits = codec_limits(MESSAGE_BYTES);
    struct gavel_error error = {0};
    uint64_t type;
    void *what;

    if (!conn->client)
        return; /* it has hung up */
    if (codec_message_decode(codec_msgpack(), NULL, bytes, &limits, &arena, &type, &what, &error) != GAVEL_OK)
        sim_fail(client->sim, "protocol", "%s cannot read what n%u says: %s", client->name, conn->node + 1, error.text);
    if (client->state == LOAD_GREETING && type == CODEC_WELCOME)
        on_welcome(client, what);
    else if (client->state == LOAD_READY && type == CODEC_REPLY)
        on_reply(client, what);
    else if (client->state == LOAD_READY && type == CODEC_STREAM_EVENT)
        load_watch_event(client, what);
    else if (client->state == LOAD_READY && type == CODEC_STREAM_END)
        load_watch_end(client, what);
    else if (type != CODEC_GOODBYE && type != CODEC_WELCOME)
        sim_fail(client->sim, "protocol", "n%u sent a %s to a client", conn->node + 1, codec_message_name(type));
}

static void quiet(void *context)
{
    (void)context;
}

static void drained(void *context, void *cookie)
{
    (void)context;
    (void)cookie;
}

/* ---- making -------------------------------------------------------------------------------------------- */

struct load_slot *load_client_slot(struct load_client *client)
{
    if (client->state != LOAD_READY)
        return NULL;
    for (uint32_t i = 0; i < LOAD_SLOTS; i++)
        if (client->slots[i].state == LOAD_IDLE)
            return &client->slots[i];
    return NULL;
}

void load_client_init(struct load_client *client, struct sim_load *load, uint32_t number)
{
    const struct gavel_transport_limits limits = {.size = GAVEL_END(struct gavel_transport_limits, connections),
                                                  .message_bytes = MESSAGE_BYTES,
                                                  .send_high = MESSAGE_BYTES,
                                                  .dial_ms = 2000,
                                                  .keepalive_ms = 5000,
                                                  .connections = 16};
    struct gavel_error error = {0};

    client->sim = load->sim;
    client->load = load;
    client->number = number;
    client->aim = SIM_NODES_MAX;
    (void)snprintf(client->name, sizeof client->name, "c%u", number + 1);
    client->dice = sim_stream(load->sim, SIM_STREAM_LOAD, number + UINT64_C(1));
    client->likes_sessions = sim_chance(&client->dice, 700000);
    client->side = sim_net_side(load->sim->net, NULL, client->name);
    client->events = (struct gavel_transport_events){.size = GAVEL_END(struct gavel_transport_events, http),
                                                     .context = client,
                                                     .accepted = accepted,
                                                     .connected = connected,
                                                     .message = message,
                                                     .quiet = quiet,
                                                     .drained = drained,
                                                     .closed = closed};
    if (sim_transport.prepare(client->side, &client->events, &limits, &error) != GAVEL_OK)
        sim_fail(load->sim, "load", "%s", error.text);
    for (uint32_t i = 0; i < LOAD_SLOTS; i++) {
        client->slots[i].client = client;
        client->slots[i].timer.run = slot_timer;
        free_slot(&client->slots[i]);
    }
    client->timer.run = dial;
    load_watch_init(client);
    redial_in(client, 500 * SIM_MS);
}
