/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft-core.c - the parts of core/raft one by one: the ring of batches against a plain array, arithmetic on
 * members, birth, bounds of effects, and messages that a hostile or broken peer might send.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/os/cover.h"
#include "core/raft/internal.h"

static uint64_t state = 1;

static uint64_t any(uint64_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

/* ---- the ring of batches ---- */

#define PLAIN_MAX 400

struct plain {
    uint64_t base;
    uint64_t base_term;
    struct raft_batch batches[PLAIN_MAX];
    uint32_t count;
};

static uint64_t plain_last(const struct plain *p)
{
    return p->count ? p->batches[p->count - 1].first + p->batches[p->count - 1].count - 1 : p->base;
}

static uint64_t plain_hint(const struct plain *p, uint64_t index, uint64_t term)
{
    for (uint32_t i = p->count; i-- > 0;)
        if (p->batches[i].first + p->batches[i].count - 1 <= index && p->batches[i].term <= term)
            return p->batches[i].first + p->batches[i].count - 1;
    return p->base;
}

static void compare(const struct raft_log *log, const struct plain *p)
{
    uint64_t bytes_before = log->base_bytes;
    assert_int_equal(raft_log_last(log), plain_last(p));
    assert_int_equal(log->used, p->count);
    for (uint32_t i = 0; i < p->count; i++) {
        const struct raft_batch *b = &p->batches[i];
        uint64_t end = b->first + b->count - 1, term;
        uint32_t at, chain;
        for (uint64_t index = b->first; index <= end; index++) {
            assert_true(raft_log_find(log, index, &at));
            assert_int_equal(at, i);
            assert_int_equal(raft_log_term(log, index), b->term);
            assert_int_equal(raft_log_boundary(log, index, &term, &chain), index == end);
            assert_int_equal(raft_log_floor(log, index), index == end ? end : b->first - 1);
        }
        assert_int_equal(raft_log_bytes(log, end), bytes_before + b->bytes);
        bytes_before += b->bytes;
    }
    assert_false(raft_log_find(log, p->base, &(uint32_t){0}));
    assert_false(raft_log_find(log, plain_last(p) + 1, &(uint32_t){0}));
    for (int i = 0; i < 20; i++) {
        uint64_t index = p->base + any(plain_last(p) - p->base + 3), term = any(30);
        uint64_t capped = index < plain_last(p) ? index : plain_last(p);
        assert_int_equal(raft_log_hint(log, index, term), plain_hint(p, capped, term));
    }
}

static void ring_is_an_array(void **unused)
{
    struct raft_slot slots[23];
    struct raft_log log = {.slots = slots, .capacity = 23};
    struct plain p = {0};
    uint64_t term = 1;
    (void)unused;
    for (int i = 0; i < 3000; i++) {
        uint64_t dice = any(10);
        if (dice < 6 && log.used < log.capacity) {
            term += any(4) == 0;
            struct raft_batch b = {.first = plain_last(&p) + 1, .term = term, .count = 1 + (uint32_t)any(4),
                                   .bytes = 1 + (uint32_t)any(100), .chain = (uint32_t)any(1000),
                                   .kind = RAFT_BATCH_COMMAND};
            raft_log_append(&log, &b);
            p.batches[p.count++] = b;
        } else if (dice < 8 && p.count > 0) {
            uint32_t keep = (uint32_t)any(p.count);
            raft_log_truncate(&log, p.batches[keep].first);
            p.count = keep;
        } else if (p.count > 0) {
            uint32_t gone = 1 + (uint32_t)any(p.count);
            p.base = p.batches[gone - 1].first + p.batches[gone - 1].count - 1;
            p.base_term = p.batches[gone - 1].term;
            raft_log_compact(&log, p.base);
            p.count -= gone;
            memmove(p.batches, p.batches + gone, p.count * sizeof p.batches[0]);
            assert_int_equal(log.base_term, p.base_term);
        }
        compare(&log, &p);
    }
}

static void room_forgets_only_what_a_snapshot_covers(void **unused)
{
    struct raft_slot slots[4];
    struct raft_log log = {.slots = slots, .capacity = 4};
    (void)unused;
    for (uint64_t i = 1; i <= 4; i++)
        raft_log_append(&log, &(struct raft_batch){.first = i, .term = 1, .count = 1, .bytes = 1});
    assert_false(raft_log_room(&log, 0));
    assert_true(raft_log_room(&log, 1));
    assert_int_equal(log.base_index, 1);
    assert_int_equal(raft_log_above(&log, 1), 3);
    assert_int_equal(raft_log_above(&log, 3), 1);
    assert_int_equal(raft_log_above(&log, 4), 0);
}

/* ---- members ---- */

static struct raft_configuration members(const char *voters, const char *learners)
{
    struct raft_configuration c = {0};
    for (; *voters; voters++)
        assert_true(raft_configuration_set(&c, (uint64_t)*voters, RAFT_VOTER, 0));
    for (; *learners; learners++)
        assert_true(raft_configuration_set(&c, (uint64_t)*learners, RAFT_LEARNER, 0));
    return c;
}

static void joint_and_back(void **unused)
{
    struct raft_configuration now = members("abc", "d"), target = members("ade", ""), next, after;
    (void)unused;
    assert_true(raft_configuration_enter(&now, &target, &next));
    assert_true(raft_configuration_joint(&next));
    assert_true(raft_configuration_valid(&next, 5));
    assert_false(raft_configuration_valid(&next, 4));
    for (const char *id = "abcde"; *id; id++)
        assert_true(raft_configuration_voter(&next, (uint64_t)*id));
    assert_int_equal(raft_configuration_find(&next, 'd')->outgoing, 0);
    assert_int_equal(raft_configuration_find(&next, 'b')->role, RAFT_LEAVING);
    raft_configuration_leave(&next, &after);
    assert_true(raft_configuration_equal(&after, &target));
    assert_false(raft_configuration_joint(&after));
}

static void same_voters_need_no_joint_state(void **unused)
{
    struct raft_configuration now = members("abc", "d"), target = members("cba", "ef"), next;
    (void)unused;
    assert_true(raft_configuration_enter(&now, &target, &next));
    assert_false(raft_configuration_joint(&next));
    assert_true(raft_configuration_equal(&next, &target));
    assert_false(raft_configuration_equal(&next, &now));
    /* a voter that becomes a learner is a change of voters */
    target = members("ab", "cd");
    assert_true(raft_configuration_enter(&now, &target, &next));
    assert_true(raft_configuration_joint(&next));
}

static void malformed_members_are_refused(void **unused)
{
    struct raft_configuration c = members("ab", ""), full = {0}, other = {0}, next;
    (void)unused;
    c.members[1].id = c.members[0].id;
    assert_false(raft_configuration_valid(&c, 32));
    c = members("ab", "");
    c.members[0].id = 0;
    assert_false(raft_configuration_valid(&c, 32));
    c = members("ab", "");
    c.members[0].role = 9;
    assert_false(raft_configuration_valid(&c, 32));
    c = members("ab", "");
    c.members[0].role = RAFT_LEAVING;
    assert_false(raft_configuration_valid(&c, 32));
    c = members("", "ab");
    assert_false(raft_configuration_valid(&c, 32));
    c = members("ab", "");
    c.count = RAFT_MEMBERS_MAX + 1;
    assert_false(raft_configuration_valid(&c, UINT32_MAX));
    for (uint64_t id = 1; id <= RAFT_MEMBERS_MAX; id++) {
        assert_true(raft_configuration_set(&full, id, RAFT_VOTER, 0));
        assert_true(raft_configuration_set(&other, id + 1, RAFT_VOTER, 0));
    }
    assert_false(raft_configuration_set(&full, 999, RAFT_VOTER, 0));
    assert_false(raft_configuration_enter(&full, &other, &next));
    assert_true(raft_configuration_set(&full, 7, RAFT_LEAVING, 0));
    assert_null(raft_configuration_find(&full, 7));
    assert_int_equal(full.count, RAFT_MEMBERS_MAX - 1);
}

/* ---- one core ---- */

struct core {
    void *memory;
    struct raft *raft;
    struct raft_effects effects;
    struct raft_options options;
    uint64_t now;
};

static int birth(struct core *c, const struct raft_recovered *recovered)
{
    size_t size = raft_size(&c->options);
    c->memory = test_malloc(size + 16);
    c->effects.capacity = raft_effects_max(&c->options);
    c->effects.items = test_calloc(c->effects.capacity, sizeof *c->effects.items);
    uintptr_t aligned = ((uintptr_t)c->memory + 15) & ~(uintptr_t)15;
    return raft_init((void *)aligned, size, &c->options, recovered, &c->raft);
}

static void death(struct core *c)
{
    test_free(c->memory);
    test_free(c->effects.items);
}

static int step(struct core *c, struct raft_event event)
{
    event.now = c->now;
    int result = raft_step(c->raft, &event, &c->effects);
    raft_check(c->raft);
    return result;
}

static void contradictions_are_refused_at_birth(void **unused)
{
    struct raft_configuration members_ok = members("abc", "");
    const struct raft_recovered good = {.configuration = &members_ok, .term = 3, .snapshot_index = 5,
                                        .snapshot_term = 2, .base_index = 4, .base_term = 2};
    struct raft_recovered bad[5] = {good, good, good, good, good};
    struct core c = {.options = {.self = 'a', .seed = 1, .batches_max = 8}};
    (void)unused;
    assert_int_equal(birth(&c, &good), RAFT_OK);
    death(&c);
    bad[0].base_index = 6;       /* the log begins above the snapshot */
    bad[1].snapshot_term = 4;    /* a snapshot from the future */
    bad[2].configuration = NULL;
    bad[3].base_index = 5;       /* the same place twice, with two chains */
    bad[3].base_chain = 1;
    bad[4].base_term = 3;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(birth(&c, &bad[i]), RAFT_E_INVALID);
        death(&c);
    }
    c.options.self = 0;
    assert_int_equal(birth(&c, &good), RAFT_E_INVALID);
    death(&c);
}

static void recovered_log_is_checked(void **unused)
{
    struct raft_configuration abc = members("abc", "");
    struct raft_recovered recovered = {.configuration = &abc, .term = 3};
    struct raft_batch b = {.first = 1, .term = 1, .count = 2, .bytes = 10, .kind = RAFT_BATCH_COMMAND};
    struct core c = {.options = {.self = 'a', .seed = 1, .batches_max = 2}};
    (void)unused;
    assert_int_equal(birth(&c, &recovered), RAFT_OK);
    assert_int_equal(step(&c, (struct raft_event){.type = RAFT_EVENT_TIME}), RAFT_E_INVALID); /* not started */
    assert_int_equal(raft_load(c.raft, &b, 1), RAFT_OK);
    assert_int_equal(raft_load(c.raft, &b, 1), RAFT_E_INVALID); /* again */
    b.first = 4;
    assert_int_equal(raft_load(c.raft, &b, 1), RAFT_E_INVALID); /* a gap */
    b.first = 3;
    b.term = 4;
    assert_int_equal(raft_load(c.raft, &b, 1), RAFT_E_INVALID); /* a term that was never voted in */
    b.term = 2;
    assert_int_equal(raft_load(c.raft, &b, 1), RAFT_OK);
    b.first = 5;
    assert_int_equal(raft_load(c.raft, &b, 1), RAFT_E_BUSY); /* more than fit, and no snapshot covers them */
    assert_int_equal(step(&c, (struct raft_event){.type = RAFT_EVENT_START}), RAFT_OK);
    assert_int_equal(step(&c, (struct raft_event){.type = RAFT_EVENT_START}), RAFT_E_INVALID);
    assert_int_equal(raft_load(c.raft, &b, 1), RAFT_E_INVALID); /* too late */
    death(&c);
}

static void a_log_that_ends_below_its_snapshot_is_refused(void **unused)
{
    struct raft_configuration abc = members("abc", "");
    struct raft_recovered recovered = {.configuration = &abc, .term = 3, .snapshot_index = 5, .snapshot_term = 1};
    struct raft_batch b = {.first = 1, .term = 1, .count = 2, .bytes = 10, .kind = RAFT_BATCH_COMMAND};
    struct core c = {.options = {.self = 'a', .seed = 1, .batches_max = 8}};
    (void)unused;
    assert_int_equal(birth(&c, &recovered), RAFT_OK);
    assert_int_equal(raft_load(c.raft, &b, 1), RAFT_OK);
    assert_int_equal(step(&c, (struct raft_event){.type = RAFT_EVENT_START}), RAFT_E_INVALID);
    death(&c);
}

static void every_code_has_a_text(void **unused)
{
    (void)unused;
    for (int code = RAFT_E_DIVERGED; code <= RAFT_OK; code++)
        assert_string_not_equal(raft_error_text(code), "unknown error");
    assert_string_equal(raft_error_text(1), "unknown error");
    assert_string_equal(raft_error_text(-99), "unknown error");
}

static void divergence_is_told_and_changes_nothing(void **unused)
{
    struct raft_configuration abc = members("abc", "");
    struct raft_recovered recovered = {.configuration = &abc, .term = 1, .snapshot_index = 4, .snapshot_term = 1,
                                       .snapshot_chain = 7, .base_index = 4, .base_term = 1, .base_chain = 7};
    struct core c = {.options = {.self = 'a', .seed = 1, .batches_max = 8}};
    struct raft_message m = {.type = RAFT_APPEND_REQUEST, .from = 'b', .to = 'a', .term = 2};
    struct raft_status s;
    (void)unused;
    assert_int_equal(birth(&c, &recovered), RAFT_OK);
    assert_int_equal(step(&c, (struct raft_event){.type = RAFT_EVENT_START}), RAFT_OK);
    m.append_request = (struct raft_append_request){.prev_index = 4, .last_index = 4, .prev_term = 1, .prev_chain = 8};
    assert_int_equal(step(&c, (struct raft_event){.type = RAFT_EVENT_RECEIVE, .message = &m}), RAFT_E_DIVERGED);
    m.append_request.prev_term = 2;
    m.append_request.prev_chain = 7;
    assert_int_equal(step(&c, (struct raft_event){.type = RAFT_EVENT_RECEIVE, .message = &m}), RAFT_E_DIVERGED);
    raft_status(c.raft, &s);
    assert_int_equal(s.last_index, 4);
    assert_int_equal(s.commit, 4);
    m.append_request.prev_term = 1;
    assert_int_equal(step(&c, (struct raft_event){.type = RAFT_EVENT_RECEIVE, .message = &m}), RAFT_OK);
    death(&c);
}

/* ---- hostile peers ---- */

static struct raft_configuration hostile_members[4];

static void hostile_batches(struct raft_message *m, struct raft_batch *batches)
{
    struct raft_append_request *a = &m->append_request;
    uint64_t first = a->prev_index + 1, term = a->prev_term;
    a->batch_count = (uint32_t)any(5);
    for (uint32_t i = 0; i < a->batch_count; i++) {
        term += any(3) == 0;
        batches[i] = (struct raft_batch){.first = first + (any(60) == 0),
                                         .term = term,
                                         .count = any(30) ? 1 : 2,
                                         .bytes = 10,
                                         .chain = (uint32_t)(first * 31 + term),
                                         .kind = 1 + (uint32_t)any(3)};
        if (batches[i].kind == RAFT_BATCH_CONFIGURATION && any(50))
            batches[i].configuration = &hostile_members[any(4)];
        first += batches[i].count;
    }
    a->batches = any(100) ? batches : NULL;
    a->last_index = any(50) ? first - 1 : any(20);
}

static void hostile_message(struct raft_message *m, struct raft_batch *batches, const struct raft_status *s)
{
    /* Every field small, so that they meet; the fields of all messages overlap in the union anyway. */
    uint64_t *words = (uint64_t *)(void *)&m->append_request;
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < sizeof m->append_response / sizeof *words; i++)
        words[i] = any(3) ? any(12) : any(2) ? s->last_index : s->term;
    m->type = (uint32_t)any(13);
    m->from = 'a' + any(5);
    m->to = any(100) ? 'a' : 'b';
    m->term = s->term + any(3) - (s->term > 0 && any(6) == 0);
    if (m->type == RAFT_APPEND_REQUEST) {
        m->append_request.prev_term = any(3) ? s->last_term : any(4);
        m->append_request.prev_index = any(3) ? s->last_index : any(12);
        m->append_request.prev_chain = any(3) ? s->last_chain : (uint32_t)(m->append_request.prev_index * 31);
        hostile_batches(m, batches);
    } else if (m->type == RAFT_PREVOTE_REQUEST || m->type == RAFT_VOTE_REQUEST) {
        m->vote_request.for_term = m->term + (m->type == RAFT_PREVOTE_REQUEST);
    } else if (m->type == RAFT_SNAPSHOT_REQUEST) {
        m->snapshot_request.total = 1 + any(4);
        m->snapshot_request.offset = any(4);
        m->snapshot_request.length = (uint32_t)any(3);
    } else if (m->type == RAFT_READ_RESPONSE || m->type == RAFT_VOTE_RESPONSE || m->type == RAFT_PREVOTE_RESPONSE) {
        m->vote_response.for_term = s->term + any(2);
        m->vote_response.flags = (uint32_t)any(2);
    }
}

/* What the node around the core would do; a vote, a truncation and an append count as written now or later. */
static void hostile_node(struct core *c, uint64_t *io)
{
    struct raft_event event = {0};
    for (uint32_t i = 0; i < c->effects.count; i++) {
        const struct raft_effect *e = &c->effects.items[i];
        *io = e->io ? e->io : *io;
        if (e->type == RAFT_EFFECT_APPLY)
            event = (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = e->range.last};
        else if (e->type == RAFT_EFFECT_STORE_CHUNK)
            event = (struct raft_event){.type = RAFT_EVENT_CHUNK_STORED,
                                        .chunk_stored = {e->chunk.index, e->chunk.digest,
                                                         e->chunk.offset + e->chunk.length, any(5) == 0}};
        else if (e->type == RAFT_EFFECT_INSTALL_SNAPSHOT)
            event = (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_INSTALLED,
                                        .snapshot_installed = {e->chunk.index, e->chunk.digest, &hostile_members[0],
                                                               any(5) == 0}};
    }
    if (event.type)
        step(c, event);
}

static void hostile_run(uint64_t seed)
{
    struct raft_recovered recovered = {.configuration = &hostile_members[0]};
    struct core c = {.options = {.self = 'a', .seed = seed, .batches_max = 64, .ios_max = 32}};
    struct raft_batch batches[8];
    struct raft_message m;
    struct raft_status s;
    uint64_t io = 0, reads = 0;
    state = seed;
    assert_int_equal(birth(&c, &recovered), RAFT_OK);
    step(&c, (struct raft_event){.type = RAFT_EVENT_START});
    for (int i = 0; i < 400; i++) {
        uint64_t dice = any(100);
        raft_status(c.raft, &s);
        c.now += any(20000000);
        if (dice < 70) {
            hostile_message(&m, batches, &s);
            step(&c, (struct raft_event){.type = RAFT_EVENT_RECEIVE, .message = &m});
        } else if (dice < 80) {
            step(&c, (struct raft_event){.type = RAFT_EVENT_TIME});
        } else if (dice < 90) {
            step(&c, (struct raft_event){.type = RAFT_EVENT_WRITTEN, .io = io + any(2)});
        } else if (dice < 94) {
            struct raft_batch b = {.first = s.last_index + 1, .term = s.term, .count = 1, .bytes = 5, .chain = 3,
                                   .kind = 1 + (uint32_t)any(2)};
            step(&c, (struct raft_event){.type = RAFT_EVENT_PROPOSE, .batch = b});
        } else if (dice < 96) {
            step(&c, (struct raft_event){.type = RAFT_EVENT_READ, .read = {++reads}});
        } else {
            step(&c, (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN, .index = s.applied});
            step(&c, (struct raft_event){.type = RAFT_EVENT_COMPACTED, .index = s.applied});
        }
        hostile_node(&c, &io);
    }
    death(&c);
}

/* Peers are authenticated, not trusted: whatever comes, the core refuses it or goes on, and its state stays sound. */
static void nothing_that_comes_in_breaks_it(void **unused)
{
    (void)unused;
    hostile_members[0] = members("abc", "");
    hostile_members[1] = members("abcd", "e");
    hostile_members[2] = members("bc", "a");
    hostile_members[3] = hostile_members[0];
    hostile_members[3].members[2].outgoing = 1;
    for (uint64_t seed = 1; seed <= 3000; seed++)
        hostile_run(seed);
}

/* A peer that sends the last term there is does not make the node run out of terms. */
static void terms_have_an_end(void **unused)
{
    (void)unused;
    struct raft_configuration three = members("abc", "");
    struct raft_recovered recovered = {.configuration = &three};
    struct core c = {.options = {.self = 'a', .seed = 1, .batches_max = 64, .ios_max = 32}};
    struct raft_message m = {.type = RAFT_TIMEOUT_NOW, .from = 'b', .to = 'a', .term = UINT64_MAX};
    struct raft_event event = {.type = RAFT_EVENT_RECEIVE, .message = &m};
    struct raft_status s;
    assert_int_equal(birth(&c, &recovered), RAFT_OK);
    step(&c, (struct raft_event){.type = RAFT_EVENT_START});
    assert_int_equal(step(&c, event), RAFT_E_INVALID);
    m.term = RAFT_TERM_MAX + 1;
    assert_int_equal(step(&c, event), RAFT_E_INVALID);
    m.term = RAFT_TERM_MAX;
    assert_int_equal(step(&c, event), RAFT_OK);
    raft_status(c.raft, &s);
    assert_int_equal(s.term, RAFT_TERM_MAX + 1); /* it stands for election, in the one behind */
    death(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_is_an_array),
        cmocka_unit_test(room_forgets_only_what_a_snapshot_covers),
        cmocka_unit_test(joint_and_back),
        cmocka_unit_test(same_voters_need_no_joint_state),
        cmocka_unit_test(malformed_members_are_refused),
        cmocka_unit_test(contradictions_are_refused_at_birth),
        cmocka_unit_test(recovered_log_is_checked),
        cmocka_unit_test(a_log_that_ends_below_its_snapshot_is_refused),
        cmocka_unit_test(every_code_has_a_text),
        cmocka_unit_test(divergence_is_told_and_changes_nothing),
        cmocka_unit_test(nothing_that_comes_in_breaks_it),
        cmocka_unit_test(terms_have_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
