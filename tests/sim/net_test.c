/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_test.c - the simulated network by itself: each kind of fault is seen to do what it says and nothing else, by
 * counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "net_world.h"

/* ---- without faults ------------------------------------------------------------------------------------ */

static void test_messages_come_whole_once_and_in_order(void **state)
{
    struct world *world = world_new(1, NULL, 2, 0);
    struct line *there;
    struct line *line = pair(world, &there);
    uint64_t began = world->sim.now;
    uint64_t quiet = world->hosts[1].quiet;

    (void)state;
    for (uint32_t i = 1; i <= 1000; i++)
        assert_int_equal(say(line, RAFT_TYPE, i, 8 + i % 400), GAVEL_OK);
    assert_int_equal(there->count, 1); /* never from within send */
    run_ms(world, 1000);
    assert_exact(there, 1000);
    assert_true(there->last_at - began >= 50 * SIM_US);
    assert_true(world->hosts[1].quiet - quiet < 40); /* joined into runs */
    say_many(line, RAFT_TYPE, 1001, 5000);
    say_many(there, RAFT_TYPE, 1, 5000);
    run_ms(world, 1000);
    assert_exact(there, 6000);
    assert_exact(line, 5000);
    assert_int_equal(world->sent, 11002);
    assert_int_equal(world->sim.totals.events, 11002); /* each message, and no more */
    assert_int_equal(sim_net_in_flight(world->sim.net), 0);
    assert_int_equal(world->sim.totals.lost + world->sim.totals.duplicated + world->sim.totals.reordered, 0);
    run_ms(world, 60000); /* an idle connection stays: it is asked now and then */
    assert_true(line->open);
    assert_true(there->open);
    world_free(world);
}

static void test_large_messages_come_in_pieces(void **state)
{
    struct world *world = world_new(2, NULL, 2, 0);
    struct line *there;
    struct line *line = pair(world, &there);

    (void)state;
    for (uint32_t i = 1; i <= 8; i++) {
        assert_int_equal(say(line, RAFT_TYPE, i, 900000), GAVEL_OK);
        run_ms(world, 100);
    }
    assert_exact(there, 8);
    assert_int_equal(say(line, RAFT_TYPE, 9, (1 << 20) + 0), GAVEL_OK);
    run_ms(world, 1000);
    assert_exact(there, 9);
    world_free(world);
}

static void test_a_close_sends_what_is_queued(void **state)
{
    struct world *world = world_new(3, NULL, 2, 0);
    struct line *there;
    struct line *line = pair(world, &there);

    (void)state;
    for (uint32_t i = 1; i <= 100; i++)
        assert_int_equal(say(line, RAFT_TYPE, i, 100), GAVEL_OK);
    sim_transport.close(line->host->side, line->handle, GAVEL_CLOSE_NORMAL, gavel_text("enough"));
    assert_int_equal(line->closed, 0);
    assert_int_equal(say(line, RAFT_TYPE, 101, 100), GAVEL_E_CLOSED);
    run_ms(world, 500);
    assert_exact(there, 100);
    assert_int_equal(there->reason, GAVEL_CLOSE_NORMAL);
    assert_int_equal(there->closed, 1);
    assert_int_equal(line->reason, GAVEL_CLOSE_NORMAL);
    assert_int_equal(line->closed, 1);
    assert_int_equal(world->sim.totals.events, 102); /* messages; an end is none */

    line = pair(world, &there);
    sim_transport.close(there->host->side, there->handle, GAVEL_CLOSE_PROTOCOL, gavel_text("nonsense"));
    run_ms(world, 500);
    assert_int_equal(line->reason, GAVEL_CLOSE_PROTOCOL);
    assert_int_equal(there->reason, GAVEL_CLOSE_PROTOCOL);
    world_free(world);
}

static void test_back_pressure(void **state)
{
    struct world *world = world_new(4, NULL, 2, 0);
    struct line *there;
    struct line *line = pair(world, &there);
    uint32_t sent = 0;

    (void)state;
    sim_transport.pause(there->host->side, there->handle, 1);
    while (sent < 10000) {
        int32_t status = say(line, RAFT_TYPE, sent + 1, 1000);

        run_until(world, world->sim.now + 10 * SIM_US);
        if (status == GAVEL_E_BUSY)
            break;
        assert_int_equal(status, GAVEL_OK);
        sent++;
    }
    assert_true(sent > 1000);
    assert_true(sent < 2000); /* send_high, and what the systems hold */
    assert_true(sim_transport.queued(line->host->side, line->handle) >= 1 << 20);
    run_ms(world, 60000); /* not reading is no sign of death */
    assert_true(line->open);
    assert_int_equal(there->count, 1);
    assert_int_equal(line->drained, 0);
    sim_transport.pause(there->host->side, there->handle, 0);
    run_ms(world, 10000);
    assert_exact(there, sent);
    assert_int_equal(line->drained, 1);
    assert_int_equal(sim_transport.queued(line->host->side, line->handle), 0);
    world_free(world);
}

/* ---- dialling ------------------------------------------------------------------------------------------ */

static void test_dials(void **state)
{
    struct world *world = world_new(5, NULL, 3, 0);
    struct line *line;
    uint64_t began;

    (void)state;
    sim_transport.unlisten(world->hosts[1].side);
    line = dial(world, 0, 1);
    run_ms(world, 10);
    assert_int_equal(line->reason, GAVEL_CLOSE_REFUSED);
    assert_int_equal(line->closed, 1);

    world->hosts[2].refuses = true;
    line = dial(world, 0, 2);
    run_ms(world, 10);
    assert_int_equal(line->reason, GAVEL_CLOSE_LOST); /* closed before the hello */
    world->hosts[2].refuses = false;

    line = dial(world, 0, 7);
    run_ms(world, 10);
    assert_int_equal(line->reason, GAVEL_CLOSE_UNRESOLVED);

    for (uint32_t way = 0; way < 2; way++) { /* either direction is enough */
        sim_net_cut(world->sim.net, way ? 2 : 0, way ? 0 : 2, true);
        began = world->sim.now;
        line = dial(world, 0, 2);
        run_ms(world, 10000);
        assert_int_equal(line->reason, GAVEL_CLOSE_TIMEOUT);
        assert_int_equal(line->ended_at - began, 2000 * SIM_MS);
        sim_net_cut(world->sim.net, way ? 2 : 0, way ? 0 : 2, false);
        run_ms(world, 10000);
        if (world->hosts[2].line_count) /* whoever had accepted it is told, too */
            assert_false(world->hosts[2].lines[world->hosts[2].line_count - 1]->open);
    }
    world_free(world);
}

static void test_refusals_at_their_rate(void **state)
{
    struct sim_options options = {.refuse_ppm = 300000};
    struct world *world = world_new(6, &options, 2, 0);
    uint32_t refused = 0;

    (void)state;
    for (int i = 0; i < 60; i++) {
        struct line *line = dial(world, 0, 1);

        run_ms(world, 10);
        refused += line->reason == GAVEL_CLOSE_REFUSED;
        if (line->open) {
            sim_transport.close(line->host->side, line->handle, GAVEL_CLOSE_NORMAL, gavel_text("next"));
            run_ms(world, 10);
        }
    }
    assert_in_range(refused, 8, 30);
    sim_net_heal(world->sim.net);
    for (int i = 0; i < 4; i++) {
        struct line *line = dial(world, 0, 1);

        run_ms(world, 10);
        assert_true(line->open);
    }
    world_free(world);
}

/* ---- single messages ----------------------------------------------------------------------------------- */

struct arrivals {
    uint32_t missing;
    uint32_t twice;
    uint32_t overtaken; /* came after a later one */
};

static struct arrivals look(const struct line *line, uint32_t count)
{
    uint8_t *seen = calloc(count + 1u, 1);
    struct arrivals found = {0};
    uint32_t highest = 0;

    assert_non_null(seen);
    for (uint64_t i = 1; i < line->count; i++) {
        uint32_t number = line->order[i];

        assert_in_range(number, 1, count);
        found.twice += seen[number];
        found.overtaken += number < highest && !seen[number];
        seen[number] = 1;
        highest = number > highest ? number : highest;
    }
    for (uint32_t i = 1; i <= count; i++)
        found.missing += !seen[i];
    free(seen);
    return found;
}

static struct arrivals ten_thousand(const struct sim_options *options, uint32_t type, struct sim_totals *totals)
{
    struct world *world = world_new(7, options, 2, 0);
    struct line *there;
    struct line *line = pair(world, &there);
    struct arrivals found;

    say_many(line, type, 1, 10000);
    run_ms(world, 60000);
    assert_true(line->open);
    assert_true(there->open);
    found = look(there, 10000);
    *totals = world->sim.totals;
    assert_int_equal(sim_net_in_flight(world->sim.net), 0);
    world_free(world);
    return found;
}

static void test_messages_of_the_algorithm_are_lost(void **state)
{
    struct sim_options options = {.loss_ppm = 100000};
    struct sim_totals totals;
    struct arrivals found = ten_thousand(&options, RAFT_TYPE, &totals);

    (void)state;
    assert_in_range(found.missing, 800, 1200);
    assert_int_equal(found.missing, totals.lost);
    assert_int_equal(found.twice + found.overtaken, 0);
    found = ten_thousand(&options, CODEC_REQUEST, &totals); /* forwarded: it has a deadline */
    assert_in_range(found.missing, 800, 1200);
    found = ten_thousand(&options, CODEC_FOUND_ASK, &totals); /* relies on the transport, as it may */
    assert_int_equal(found.missing + found.twice + found.overtaken, 0);
}

static void test_messages_of_the_algorithm_come_twice(void **state)
{
    struct sim_options options = {.duplicate_ppm = 100000};
    struct sim_totals totals;
    struct arrivals found = ten_thousand(&options, RAFT_TYPE, &totals);

    (void)state;
    assert_int_equal(found.missing, 0);
    assert_in_range(found.twice, 800, 1200);
    assert_int_equal(found.twice, totals.duplicated);
    assert_true(found.overtaken < 100);
    found = ten_thousand(&options, CODEC_REQUEST, &totals); /* would be executed twice */
    assert_int_equal(found.missing + found.twice + found.overtaken, 0);
}

static void test_messages_of_the_algorithm_are_overtaken(void **state)
{
    struct sim_options options = {.reorder_ppm = 100000};
    struct sim_totals totals;
    struct arrivals found = ten_thousand(&options, RAFT_TYPE, &totals);

    (void)state;
    assert_int_equal(found.missing + found.twice, 0);
    assert_in_range(totals.reordered, 800, 1200);
    assert_in_range(found.overtaken, totals.reordered / 2, totals.reordered);
    found = ten_thousand(&options, CODEC_REPLY, &totals);
    assert_int_equal(found.missing + found.twice + found.overtaken, 0);
}

/* Of 40 links, one of two directions each, and a thousand messages, those that met what `met` counts. */
static void differ(const struct sim_options *options, uint64_t (*met)(const struct sim_totals *totals))
{
    uint32_t spared = 0;
    uint32_t few = 0;
    uint32_t many = 0;
    uint32_t one_way = 0;

    assert_int_equal(options->links_differ, 2);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world *world = world_new(seed, options, 2, 0);
        struct line *there;
        struct line *line = pair(world, &there);
        uint64_t before = met(&world->sim.totals);
        uint64_t out;
        uint64_t back;

        say_many(line, RAFT_TYPE, 1, 1000);
        out = met(&world->sim.totals) - before;
        say_many(there, RAFT_TYPE, 1, 1000);
        back = met(&world->sim.totals) - before - out;
        assert_true(out < 260); /* four times 50, and its chance */
        spared += !out;
        few += out && out < 25;
        many += out > 90;
        one_way += !out != !back;
        world_free(world);
    }
    assert_in_range(spared, 4, 18);
    assert_true(few >= 3);
    assert_true(many >= 3);
    assert_true(one_way >= 3);
}

static uint64_t lost(const struct sim_totals *totals) { return totals->lost; }
static uint64_t duplicated(const struct sim_totals *totals) { return totals->duplicated; }
static uint64_t reordered(const struct sim_totals *totals) { return totals->reordered; }
static uint64_t late(const struct sim_totals *totals) { return totals->late; }

/* Some links are spared, others have it often, and the way back is another link. */
static void test_links_differ(void **state)
{
    (void)state;
    differ(&(struct sim_options){.loss_ppm = 50000, .links_differ = 2}, lost);
    differ(&(struct sim_options){.duplicate_ppm = 50000, .links_differ = 2}, duplicated);
    differ(&(struct sim_options){.reorder_ppm = 50000, .links_differ = 2}, reordered);
    differ(&(struct sim_options){.delay_ppm = 50000, .delay_ms = 1, .links_differ = 2}, late);
}

static void test_late_messages_keep_their_order(void **state)
{
    struct sim_options options = {.delay_ppm = 50000, .delay_ms = 1000};
    struct world *world = world_new(8, &options, 2, 0);
    struct line *there;
    struct line *line = pair(world, &there);
    uint64_t began = world->sim.now;

    (void)state;
    say_many(line, RAFT_TYPE, 1, 3000);
    assert_true(there->count < 2999); /* one of them is under way for long */
    run_ms(world, 60000);
    assert_exact(there, 3000);
    assert_true(there->last_at - began > SIM_S / 2);
    world_free(world);
}

/* A late run holds up what is behind it once: a long queue does not wait as long again for each of its pieces. */
static void test_a_long_queue_is_late_once(void **state)
{
    struct sim_options options = {.delay_ppm = 1000000, .delay_ms = 500};

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *world = world_new(seed, &options, 2, 0);
        struct line *there;
        struct line *line = pair(world, &there);

        for (uint32_t i = 1; i <= 4; i++)
            assert_int_equal(say(line, RAFT_TYPE, i, 250000), GAVEL_OK);
        run_ms(world, 1);
        sim_net_heal(world->sim.net);
        run_ms(world, 700);
        assert_exact(there, 4);
        world_free(world);
    }
}

/* A client may rely on its connection: what goes wrong on it breaks it. */
static void test_clients_see_a_break_and_never_a_gap(void **state)
{
    struct sim_options options = {.loss_ppm = 20000, .duplicate_ppm = 100000, .reorder_ppm = 100000, .delay_ppm = 1000,
                                  .delay_ms = 20};
    struct world *world = world_new(9, &options, 1, 1);
    uint32_t broken = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct line *line = dial(world, 1, 0);
        struct line *there;

        run_ms(world, 100);
        assert_true(line->open);
        there = world->hosts[0].lines[world->hosts[0].line_count - 1];
        say_many(line, RAFT_TYPE, 0, 1000);
        run_ms(world, 1000);
        for (uint32_t k = 0; k < there->count; k++)
            assert_int_equal(there->order[k], k);
        assert_int_equal(line->open, there->count == 1000);
        broken += !line->open;
        if (!line->open)
            assert_int_equal(line->reason, GAVEL_CLOSE_LOST);
        else
            sim_transport.close(line->host->side, line->handle, GAVEL_CLOSE_NORMAL, gavel_text("done"));
        run_ms(world, 2000);
        assert_int_equal(line->closed, 1);
        assert_int_equal(there->closed, 1);
    }
    assert_in_range(broken, 8, 19); /* 1000 messages at 20000 / 16 ppm: 71 % */
    world_free(world);
}

/* ---- links --------------------------------------------------------------------------------------------- */

static void test_a_short_cut_loses_nothing(void **state)
{
    struct world *world = world_new(10, NULL, 3, 0);
    struct line *there;
    struct line *line = pair(world, &there);

    (void)state;
    sim_net_cut(world->sim.net, 0, 1, true);
    assert_true(sim_net_is_cut(world->sim.net, 0, 1));
    assert_false(sim_net_is_cut(world->sim.net, 1, 0));
    say_many(line, RAFT_TYPE, 1, 100);
    say_many(there, RAFT_TYPE, 1, 100);
    run_ms(world, 3000);
    assert_int_equal(there->count, 1);
    assert_exact(line, 100); /* one way only */
    sim_net_cut(world->sim.net, 0, 1, false);
    run_ms(world, 3000);
    assert_exact(there, 100);
    assert_true(line->open);
    assert_true(there->open);
    world_free(world);
}

static void test_a_long_cut_is_found_out_by_silence(void **state)
{
    struct world *world = world_new(11, NULL, 2, 0);
    struct line *there;
    struct line *line = pair(world, &there);
    uint64_t began = world->sim.now;

    (void)state;
    sim_net_cut(world->sim.net, 0, 1, true);
    sim_net_cut(world->sim.net, 1, 0, true);
    run_ms(world, 20000);
    assert_int_equal(line->reason, GAVEL_CLOSE_LOST);
    assert_int_equal(there->reason, GAVEL_CLOSE_LOST);
    assert_in_range(line->ended_at - began, 7 * SIM_S, 13 * SIM_S);
    assert_in_range(there->ended_at - began, 7 * SIM_S, 13 * SIM_S);

    /* Who still hears does not notice by silence, but by the end of the one who does not. */
    sim_net_heal(world->sim.net);
    line = pair(world, &there);
    sim_net_cut(world->sim.net, 0, 1, true);
    for (int i = 0; i < 200 && there->open; i++) {
        (void)say(there, RAFT_TYPE, 1, 100);
        run_ms(world, 100);
    }
    assert_int_equal(there->reason, GAVEL_CLOSE_LOST);
    run_ms(world, 100);
    assert_int_equal(line->reason, GAVEL_CLOSE_LOST);
    world_free(world);
}

static void test_a_clogged_link_moves_nothing_for_a_while(void **state)
{
    struct world *world = world_new(12, NULL, 3, 0);
    struct line *there;
    struct line *line = pair(world, &there);
    uint64_t until = world->sim.now + 3 * SIM_S;

    (void)state;
    assert_true(sim_net_clog(world->sim.net, 0, 1, until));
    say_many(line, RAFT_TYPE, 1, 100);
    say_many(there, RAFT_TYPE, 1, 100);
    run_ms(world, 2000);
    assert_int_equal(there->count, 1);
    assert_exact(line, 100);
    run_ms(world, 2000);
    assert_exact(there, 100);
    assert_true(sim_net_clog(world->sim.net, 0, 1, world->sim.now + 100 * SIM_S));
    assert_false(sim_net_clog(world->sim.net, 0, 2, world->sim.now + 100 * SIM_S)); /* nobody has dialled there */
    (void)say(line, RAFT_TYPE, 101, 100);
    run_ms(world, 10);
    sim_net_heal(world->sim.net);
    run_ms(world, 10);
    assert_exact(there, 101);
    world_free(world);
}

static void test_a_clogged_link_of_a_client(void **state)
{
    struct sim_random dice = sim_split(19, 1);
    uint32_t outward = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *world = world_new(seed, NULL, 3, 2);
        struct line *line = dial(world, 4, 1); /* the one connection of a client */
        struct line *there;
        bool went;

        (void)dial(world, 0, 2);
        run_ms(world, 100);
        there = world->hosts[1].lines[0];
        assert_true(sim_net_clog_client(world->sim.net, &dice, world->sim.now + (seed & 1 ? 3 : 100) * SIM_S));
        (void)say(line, RAFT_TYPE, 1, 100);
        (void)say(there, RAFT_TYPE, 1, 100);
        run_ms(world, 2000);
        went = there->count == 1;
        assert_int_equal(line->count, !went);
        outward += went;
        if (!(seed & 1))
            sim_net_heal(world->sim.net);
        run_ms(world, 2000);
        assert_int_equal(there->count, 1);
        assert_int_equal(line->count, 1);
        world_free(world);
    }
    assert_in_range(outward, 4, 16);
}

static void test_no_client_is_clogged_where_none_is_connected(void **state)
{
    struct sim_random dice = sim_split(19, 1);
    struct world *world = world_new(1, NULL, 2, 1);
    struct line *there;

    (void)state;
    (void)pair(world, &there);
    assert_false(sim_net_clog_client(world->sim.net, &dice, world->sim.now + SIM_S));
    world_free(world);
}

static void test_resets_in_the_middle(void **state)
{
    struct world *world = world_new(13, NULL, 2, 0);
    uint32_t cut = 0;
    uint32_t whole = 0;

    (void)state;
    for (int i = 0; i < 30; i++) {
        struct line *there;
        struct line *line = pair(world, &there);

        for (uint32_t k = 1; k <= 700; k++)
            (void)say(line, RAFT_TYPE, k, 300);
        run_until(world, world->sim.now + 10 * SIM_US);
        assert_true(sim_net_in_flight(world->sim.net) > 100000);
        sim_net_reset(world->sim.net, (uint32_t)i % 2);
        run_ms(world, 2000);
        assert_int_equal(line->reason, GAVEL_CLOSE_LOST);
        assert_int_equal(there->reason, GAVEL_CLOSE_LOST);
        assert_int_equal(line->closed, 1);
        assert_int_equal(there->closed, 1);
        for (uint32_t k = 0; k < there->count; k++)
            assert_int_equal(there->order[k], k);
        cut += there->count < 701;
        whole += there->count == 701;
        assert_int_equal(sim_net_in_flight(world->sim.net), 0);
    }
    assert_in_range(cut, 6, 24);
    assert_in_range(whole, 6, 24);
    assert_int_equal(world->sim.totals.resets, 30);
    assert_int_equal(world->sim.totals.cut_frames, cut);
    /* Nothing is under way: nothing is cut. */
    for (uint32_t i = 0; i < 30; i++) {
        struct line *there;

        (void)pair(world, &there);
        run_ms(world, 100);
        sim_net_reset(world->sim.net, i % 2);
        run_ms(world, 2000);
    }
    assert_int_equal(world->sim.totals.resets, 60);
    assert_int_equal(world->sim.totals.cut_frames, cut);
    world_free(world);
}

/* ---- processes ----------------------------------------------------------------------------------------- */

static void test_a_killed_process_is_known_dead(void **state)
{
    struct world *world = world_new(14, NULL, 2, 0);
    struct line *there;
    struct line *line = pair(world, &there);

    (void)state;
    for (int i = 0; i < 20; i++) {
        line = pair(world, &there);
        sim_net_kill(world->hosts[1].side, false);
        run_ms(world, 10);
        assert_int_equal(line->reason, GAVEL_CLOSE_LOST);
        assert_int_equal(there->closed, 0); /* nobody is there to be told */
        line = dial(world, 0, 1);
        run_ms(world, 10);
        assert_int_equal(line->reason, GAVEL_CLOSE_REFUSED);
        host_begin(&world->hosts[1], true);
    }
    world_free(world);
}

static void test_a_machine_without_power_is_silent(void **state)
{
    struct world *world = world_new(15, NULL, 2, 0);
    struct line *there;
    struct line *line = pair(world, &there);
    struct line *second = pair(world, &there);
    uint64_t began = world->sim.now;

    (void)state;
    sim_net_kill(world->hosts[1].side, true);
    run_ms(world, 5000);
    assert_true(line->open);
    assert_int_equal(dial(world, 0, 1)->reason, 0);
    run_ms(world, 3000);
    assert_int_equal(world->hosts[0].lines[2]->reason, GAVEL_CLOSE_TIMEOUT);
    run_ms(world, 10000);
    assert_int_equal(line->reason, GAVEL_CLOSE_LOST);
    assert_int_equal(second->reason, GAVEL_CLOSE_LOST);
    assert_in_range(line->ended_at - began, 7 * SIM_S, 13 * SIM_S);

    /* It comes back before anybody noticed: the first word to it is answered with a reset. */
    host_begin(&world->hosts[1], true);
    line = pair(world, &there);
    sim_net_kill(world->hosts[1].side, true);
    run_ms(world, 1000);
    host_begin(&world->hosts[1], true);
    run_ms(world, 1000);
    assert_true(line->open);
    (void)say(line, RAFT_TYPE, 1, 100);
    run_ms(world, 10);
    assert_int_equal(line->reason, GAVEL_CLOSE_LOST);
    world_free(world);
}

static void test_a_paused_process_hears_it_later(void **state)
{
    struct world *world = world_new(16, NULL, 3, 0);
    struct line *there;
    struct line *line = pair(world, &there);
    struct line *other;
    uint64_t calls;

    (void)state;
    sim_net_pause(world->hosts[1].side, true);
    calls = world->hosts[1].quiet;
    say_many(line, RAFT_TYPE, 1, 100);
    other = dial(world, 2, 1);
    run_ms(world, 1500);
    assert_int_equal(there->count, 1);
    assert_int_equal(world->hosts[1].quiet, calls);
    assert_false(other->open); /* the system answered, the process did not */
    assert_true(line->open);
    sim_net_pause(world->hosts[1].side, false);
    run_ms(world, 100);
    assert_exact(there, 100);
    assert_true(other->open);

    /* Longer than the others' patience; it learns of their going when it wakes. */
    sim_net_pause(world->hosts[1].side, true);
    run_ms(world, 20000);
    assert_int_equal(line->reason, GAVEL_CLOSE_LOST);
    assert_int_equal(there->closed, 0);
    sim_net_pause(world->hosts[1].side, false);
    run_ms(world, 100);
    assert_int_equal(there->closed, 1);
    assert_int_equal(there->reason, GAVEL_CLOSE_LOST);
    world_free(world);
}

/* ---- everything at once -------------------------------------------------------------------------------- */

static void one_turn(struct world *world, struct sim_random *dice, uint32_t *number)
{
    uint32_t a = (uint32_t)sim_below(dice, 5);
    uint32_t b = (uint32_t)sim_below(dice, 5);
    struct host *host = &world->hosts[sim_below(dice, 7)];
    struct sim_side *side = world->hosts[a].side;

    switch (sim_below(dice, 40)) {
    case 0: sim_net_cut(world->sim.net, a, b, true); break;
    case 1: sim_net_cut(world->sim.net, a, b, false); break;
    case 2: (void)sim_net_clog(world->sim.net, a, b, world->sim.now + sim_below(dice, SIM_S)); break;
    case 3: sim_net_reset(world->sim.net, a); break;
    case 4: sim_net_pause(side, true); break;
    case 5: case 6: sim_net_pause(side, false); break;
    case 7:
        if (sim_below(dice, 8))
            break;
        sim_net_kill(side, sim_draw(dice) & 1);
        for (uint32_t i = 0; i < world->hosts[a].line_count; i++)
            world->hosts[a].lines[i]->open = false;
        host_begin(&world->hosts[a], sim_draw(dice) & 1);
        break;
    case 8: case 9: case 10:
        if (host->line_count < CONNECTIONS / 2)
            (void)dial(world, (uint32_t)(host - world->hosts), b);
        break;
    default:
        for (uint32_t i = 0; i < host->line_count; i++) {
            struct line *line = host->lines[i];

            if (!line->open)
                continue;
            (void)say(line, RAFT_TYPE, ++*number, 8 + sim_magnitude(dice, 1, 100000));
            if (sim_below(dice, 200) == 0)
                sim_transport.close(host->side, line->handle, 1 + sim_below(dice, 8), gavel_text("by chance"));
            else if (sim_below(dice, 50) == 0)
                sim_transport.pause(host->side, line->handle, sim_draw(dice) & 1);
        }
    }
}

static uint64_t everything(uint64_t seed, uint64_t *delivered)
{
    struct sim_options options = {.loss_ppm = 20000, .duplicate_ppm = 20000, .reorder_ppm = 20000, .delay_ppm = 20000,
                                  .delay_ms = 100, .refuse_ppm = 50000, .link_us = 300};
    struct world *world = world_new(seed, &options, 5, 2);
    struct sim_random dice = sim_split(seed, 99);
    uint32_t number = 0;
    uint64_t hash;

    for (int i = 0; i < 3000; i++) {
        one_turn(world, &dice, &number);
        run_until(world, world->sim.now + sim_below(&dice, 20 * SIM_MS));
    }
    sim_net_heal(world->sim.net);
    for (uint32_t i = 0; i < 5; i++)
        sim_net_pause(world->hosts[i].side, false);
    for (uint32_t i = 0; i < 7; i++)
        for (uint32_t k = 0; k < world->hosts[i].line_count; k++)
            if (world->hosts[i].lines[k]->open)
                sim_transport.pause(world->hosts[i].side, world->hosts[i].lines[k]->handle, 0);
    run_ms(world, 60000);
    assert_int_equal(sim_net_in_flight(world->sim.net), 0);
    *delivered = 0;
    for (uint32_t i = 0; i < 7; i++)
        for (uint32_t k = 0; k < world->hosts[i].line_count; k++) {
            assert_true(world->hosts[i].lines[k]->closed <= 1);
            *delivered += world->hosts[i].lines[k]->count;
        }
    hash = gavel_mix(world->sim.trace_hash, &world->sim.totals, sizeof world->sim.totals);
    world_free(world);
    return hash;
}

static void test_the_same_seed_is_the_same_run(void **state)
{
    uint64_t hashes[20];
    uint64_t total = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t delivered;
        uint64_t again;

        hashes[seed - 1] = everything(seed, &delivered);
        assert_int_equal(hashes[seed - 1], everything(seed, &again));
        assert_int_equal(delivered, again);
        total += delivered;
        for (uint64_t k = 1; k < seed; k++)
            assert_int_not_equal(hashes[k - 1], hashes[seed - 1]);
    }
    assert_true(total > 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_come_whole_once_and_in_order),
        cmocka_unit_test(test_large_messages_come_in_pieces),
        cmocka_unit_test(test_a_close_sends_what_is_queued),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_dials),
        cmocka_unit_test(test_refusals_at_their_rate),
        cmocka_unit_test(test_messages_of_the_algorithm_are_lost),
        cmocka_unit_test(test_messages_of_the_algorithm_come_twice),
        cmocka_unit_test(test_messages_of_the_algorithm_are_overtaken),
        cmocka_unit_test(test_links_differ),
        cmocka_unit_test(test_late_messages_keep_their_order),
        cmocka_unit_test(test_a_long_queue_is_late_once),
        cmocka_unit_test(test_clients_see_a_break_and_never_a_gap),
        cmocka_unit_test(test_a_short_cut_loses_nothing),
        cmocka_unit_test(test_a_long_cut_is_found_out_by_silence),
        cmocka_unit_test(test_a_clogged_link_moves_nothing_for_a_while),
        cmocka_unit_test(test_a_clogged_link_of_a_client),
        cmocka_unit_test(test_no_client_is_clogged_where_none_is_connected),
        cmocka_unit_test(test_resets_in_the_middle),
        cmocka_unit_test(test_a_killed_process_is_known_dead),
        cmocka_unit_test(test_a_machine_without_power_is_silent),
        cmocka_unit_test(test_a_paused_process_hears_it_later),
        cmocka_unit_test(test_the_same_seed_is_the_same_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
