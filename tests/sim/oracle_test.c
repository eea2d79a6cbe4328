/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_test.c - each invariant of the oracle, seen to fire: a small world of crafted observations in which all is
 * well, and then one thing is not.
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
#include "core/log/log.h"

#include "oracle_crafted.h"

/* ---- the invariants ------------------------------------------------------------------------------------ */

static void two_leaders_of_a_term(void **state)
{
    (void)state;
    holds(elect(0, 1));
    holds((elect(0, 3), follow(1, 3)));
    fires("election safety", elect(1, 3));
}

static void elected_by_a_minority(void **state)
{
    (void)state;
    prevotes(0, 1);
    nodes[0].status.term = 1;
    nodes[0].status.vote = 1;
    nodes[0].status.role = RAFT_CANDIDATE;
    holds(look(0));
    nodes[0].status.role = RAFT_LEADER;
    fires("elected by a majority", look(0));
}

static void elected_without_its_own_vote_on_disk(void **state)
{
    struct oracle_view view = {.core = true, .configuration = &nodes[0].configuration, .vote_known = true,
                               .vote_term = {1, 1}, .vote = {1, 1}};

    (void)state;
    holds(elect(0, 1));
    view.status = nodes[0].status;
    holds(oracle_elected(oracle, &oracle->nodes[0], &view));
    view.vote[1] = 2;
    fires("persist before send", oracle_elected(oracle, &oracle->nodes[0], &view));
}

static void appends_of_who_was_not_elected(void **state)
{
    struct oracle_message sent = message(RAFT_APPEND_REQUEST, 2, 1, 1);

    (void)state;
    holds(elect(0, 1));
    fires("election safety", oracle_message_sent(oracle, &sent));
}

static void leader_drops_entries(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), append(0, 1, RAFT_BATCH_COMMAND), look(0)));
    fires("leader append-only", (truncate_to(0, 1), look(0)));
}

static void one_place_two_batches(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), look(0), follow(1, 1)));
    nodes[1].status.last_chain = 12345; /* another history before it */
    fires("log matching", (append(1, 1, RAFT_BATCH_NOOP), look(1)));
}

static void batch_before_its_leader_has_it(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), look(0), follow(1, 1), append(1, 1, RAFT_BATCH_NOOP), look(1)));
    append(1, 1, RAFT_BATCH_COMMAND);
    fires("log matching", look(1));
}

static void batch_of_a_term_without_a_leader(void **state)
{
    (void)state;
    oracle_term(oracle, 2)->candidates = 1;
    fires("log matching", (follow(2, 2), append(2, 2, RAFT_BATCH_NOOP), look(2)));
}

static void batch_that_nobody_made(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), append(0, 1, RAFT_BATCH_COMMAND), look(0), follow(1, 1)));
    append(1, 1, RAFT_BATCH_NOOP);
    nodes[1].log[0].count = 2; /* the same indexes, cut another way */
    nodes[1].status.last_index = 2;
    fires("log matching", look(1));
}

static void batch_out_of_its_place(void **state)
{
    struct oracle_node *node = &oracle->nodes[0];
    struct raft_batch batch = {.first = 5, .term = 1, .count = 1};

    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), look(0)));
    fires("log matching", oracle_log_push(oracle, node, &batch, true));
    batch.first = 2; /* found at a start */
    fires("log matching", oracle_log_push(oracle, node, &batch, false));
    nodes[0].status.last_index = 2; /* and there is no batch at 2 */
    fires("log matching", look(0));
}

static void leader_without_what_is_committed(void **state)
{
    (void)state;
    holds(committed_world(2));
    holds(follow(2, 1));
    fires("leader completeness", elect(2, 2));
}

static void commit_behind_a_later_leader(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), look(0), follow(1, 1), append(1, 1, RAFT_BATCH_NOOP)));
    holds((durable(0, 1), durable(1, 1), follow(2, 1), elect(2, 2)));
    fires("leader completeness", commit(0, 1));
}

static void two_commits_at_an_index(void **state)
{
    (void)state;
    holds(committed_world(2));
    holds((follow(2, 1), append(2, 1, RAFT_BATCH_NOOP), look(2)));
    oracle_term(oracle, 2)->candidates = 1;
    oracle_term(oracle, 2)->leader = 3;
    holds((follow(2, 2), append(2, 2, RAFT_BATCH_COMMAND), durable(2, 2)));
    fires("state-machine safety", commit(2, 2));
}

static void commit_of_what_is_not_there(void **state)
{
    (void)state;
    holds(committed_world(2));
    fires("state-machine safety", commit(2, 3));
}

static void snapshot_of_another_history(void **state)
{
    (void)state;
    holds(committed_world(3));
    holds(oracle_snapshot_is(oracle, &oracle->nodes[2], 2, nodes[0].log[1].chain));
    fires("state-machine safety", oracle_snapshot_is(oracle, &oracle->nodes[2], 2, 99));
    fires("state-machine safety", oracle_snapshot_is(oracle, &oracle->nodes[2], 4, 99)); /* not committed */
}

static void commit_without_a_quorum(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), durable(0, 1), follow(1, 1), append(1, 1, RAFT_BATCH_NOOP)));
    holds(look(1)); /* it has the entry, but not on its disk */
    fires("durable quorum", commit(0, 1));
}

static void commit_by_one_half_of_a_joint_quorum(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), durable(0, 1), follow(1, 1), append(1, 1, RAFT_BATCH_NOOP)));
    holds((durable(1, 1), commit(0, 1)));
    append(0, 1, RAFT_BATCH_CONFIGURATION);
    for (uint32_t i = 0; i < 3; i++)
        nodes[0].configuration.members[i] = (struct raft_member){.id = i + 1, .role = RAFT_LEAVING, .outgoing = 1};
    nodes[0].configuration.members[3] = (struct raft_member){.id = 4, .role = RAFT_VOTER};
    nodes[0].configuration.count = 4;
    nodes[0].changed = nodes[0].configuration;
    holds((durable(0, 2), append(1, 1, RAFT_BATCH_CONFIGURATION)));
    nodes[1].configuration = nodes[1].changed = nodes[0].configuration;
    holds((durable(1, 2), look(0)));
    append(0, 1, RAFT_BATCH_COMMAND); /* behind it only the joint quorum counts */
    append(1, 1, RAFT_BATCH_COMMAND);
    holds((durable(0, 3), durable(1, 3)));
    fires("durable quorum", commit(0, 3));
}

static void commit_of_an_earlier_term(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), durable(0, 1), follow(1, 1), append(1, 1, RAFT_BATCH_NOOP)));
    holds((durable(1, 1), elect(0, 2)));
    fires("commit of the own term", commit(0, 1));
}

static void acknowledged_early(void **state)
{
    (void)state;
    holds((committed_world(2), sim_oracle_acknowledged(oracle, 2)));
    fires("acknowledged", sim_oracle_acknowledged(oracle, 3));
}

static void term_goes_back(void **state)
{
    (void)state;
    holds(elect(0, 4));
    nodes[0].status.role = RAFT_FOLLOWER;
    fires("monotonic term", (nodes[0].status.term = 3, look(0)));
}

static void commit_goes_back(void **state)
{
    (void)state;
    holds(committed_world(2));
    fires("monotonic commit", commit(1, 1));
}

/* A new life begins at 0 and may end with less; but what it commits is what it, and anybody, had committed before. */
static void another_commit_after_a_restart(void **state)
{
    (void)state;
    holds(committed_world(2));
    oracle->nodes[1].seen = (struct raft_status){.self = 2};
    nodes[1].status.commit = 0;
    holds((look(1), commit(1, 1)));
    oracle->nodes[1].seen = (struct raft_status){.self = 2};
    nodes[1].status.commit = 0;
    holds((truncate_to(1, 1), look(1)));
    oracle_term(oracle, 2)->candidates = 1;
    oracle_term(oracle, 2)->leader = 2;
    holds((follow(1, 2), append(1, 2, RAFT_BATCH_COMMAND), look(1)));
    fires("state-machine safety", commit(1, 2));
}

static void two_votes(void **state)
{
    struct oracle_message grant = message(RAFT_VOTE_RESPONSE, 2, 0, 5);

    (void)state;
    grant.flags = RAFT_VOTE_GRANTED;
    holds((oracle_message_sent(oracle, &grant), oracle_message_sent(oracle, &grant)));
    grant = message(RAFT_VOTE_RESPONSE, 2, 1, 5);
    holds(oracle_message_sent(oracle, &grant)); /* refused */
    grant.flags = RAFT_VOTE_GRANTED;
    fires("one vote per term", oracle_message_sent(oracle, &grant));
}

static void candidate_votes_for_another(void **state)
{
    struct oracle_message sent = message(RAFT_VOTE_REQUEST, 2, 0, 5);

    (void)state;
    holds(oracle_message_sent(oracle, &sent));
    sent = message(RAFT_VOTE_RESPONSE, 2, 1, 5);
    sent.flags = RAFT_VOTE_GRANTED;
    fires("one vote per term", oracle_message_sent(oracle, &sent));
}

static void vote_changes(void **state)
{
    (void)state;
    oracle_term(oracle, 2)->candidates = 3;
    holds((nodes[2].status.term = 2, nodes[2].status.vote = 1, look(2)));
    fires("one vote per term", (nodes[2].status.vote = 2, look(2)));
}

static void stands_unwanted(void **state)
{
    (void)state;
    nodes[1].status.term = 1;
    nodes[1].status.vote = 2;
    nodes[1].status.role = RAFT_CANDIDATE;
    fires("pre-vote", look(1));
}

static void stands_when_told(void **state)
{
    struct oracle_message told = message(RAFT_TIMEOUT_NOW, 0, 1, 1);

    (void)state;
    holds((elect(0, 1), follow(1, 1), oracle_message_sent(oracle, &told)));
    nodes[1].status.term = 2;
    nodes[1].status.vote = 2;
    nodes[1].status.role = RAFT_CANDIDATE;
    holds(look(1));
}

static void term_without_a_candidate(void **state)
{
    (void)state;
    holds(elect(0, 1));
    fires("pre-vote", follow(1, 2));
}

/* ---- starts -------------------------------------------------------------------------------------------- */

/* n2 has promised what is committed, and its log is taken for recovered up to `last`. */
static uint32_t restarted(uint64_t last)
{
    struct oracle_node *node = &oracle->nodes[1];
    uint32_t promised = oracle_in_log(oracle, node, node->promised);

    while (node->count && oracle_last(&oracle->batches[node->log[node->head + node->count - 1]]) > last)
        node->count--;
    return promised;
}

static void start_without_what_was_promised(void **state)
{
    struct oracle_start start = {.start = LOG_START_TORN, .term = 1, .vote = 1, .last = 3, .text = ""};

    (void)state;
    holds(committed_world(3));
    holds(oracle_sound_recovery(oracle, &oracle->nodes[1], &start, restarted(3)));
    fires("sound recovery", oracle_sound_recovery(oracle, &oracle->nodes[1], &start, restarted(2)));
}

static void damage_that_is_none(void **state)
{
    struct oracle_start start = {.start = LOG_START_RECOVERING, .term = 1, .last = 3, .text = "", .damaged = true};

    (void)state;
    holds(committed_world(3));
    start.damaged = false;
    fires("sound recovery", oracle_sound_recovery(oracle, &oracle->nodes[1], &start, restarted(3)));
    start.damaged = true;
    holds(oracle_sound_recovery(oracle, &oracle->nodes[1], &start, restarted(2)));
    start.start = LOG_START_OK; /* and then it forgets that it recovers */
    fires("sound recovery", oracle_sound_recovery(oracle, &oracle->nodes[1], &start, restarted(2)));
}

static void everything_forgotten(void **state)
{
    struct oracle_start start = {.start = LOG_START_FRESH, .text = ""};

    (void)state;
    holds(oracle_sound_recovery(oracle, &oracle->nodes[2], &start, ORACLE_NONE));
    holds(committed_world(3));
    fires("sound recovery", oracle_sound_recovery(oracle, &oracle->nodes[1], &start, ORACLE_NONE));
}

static void term_forgotten(void **state)
{
    struct oracle_start start = {.start = LOG_START_OK, .term = 1, .last = 3, .text = ""};

    (void)state;
    holds(committed_world(3));
    oracle->nodes[1].sent_term = 2;
    fires("monotonic term", oracle_sound_recovery(oracle, &oracle->nodes[1], &start, restarted(3)));
    start.term = 2;
    oracle_one_vote(oracle, 1, 2, 2, 3);
    fires("one vote per term", oracle_sound_recovery(oracle, &oracle->nodes[1], &start, restarted(3)));
    start.vote = 3;
    holds(oracle_sound_recovery(oracle, &oracle->nodes[1], &start, restarted(3)));
}

static void recovered_too_early(void **state)
{
    (void)state;
    holds(committed_world(3));
    oracle->nodes[1].refetching = true;
    oracle->nodes[1].refetch = 3;
    truncate_to(1, 2);
    nodes[1].status.commit = 2;
    oracle->nodes[1].seen.commit = 0;
    nodes[1].status.recovering = true;
    holds(look(1));
    nodes[1].status.recovering = false;
    fires("end of recovery", look(1));
}

static void leaves_for_no_reason(void **state)
{
    struct oracle_node *node = &oracle->nodes[0];

    (void)state;
    oracle->state_version = 2;
    holds(oracle_sound_refusal(oracle, node, &(struct oracle_exit){.code = 65, .damaged = true, .said = ""}));
    holds(oracle_sound_refusal(oracle, node, &(struct oracle_exit){.code = 74, .disk_trouble = true, .said = ""}));
    holds(oracle_sound_refusal(oracle, node, &(struct oracle_exit){.code = 78, .plugin = 1, .said = ""}));
    fires("sound recovery",
          oracle_sound_refusal(oracle, node, &(struct oracle_exit){.code = 65, .disk_trouble = true, .said = ""}));
    fires("sound recovery",
          oracle_sound_refusal(oracle, node, &(struct oracle_exit){.code = 74, .damaged = true, .said = ""}));
    fires("sound recovery",
          oracle_sound_refusal(oracle, node, &(struct oracle_exit){.code = 78, .plugin = 2, .said = ""}));
    fires("sound recovery",
          oracle_sound_refusal(oracle, node,
                               &(struct oracle_exit){.code = 70, .damaged = true, .disk_trouble = true, .said = ""}));
}

/* ---- members ------------------------------------------------------------------------------------------- */

static void quorums_overlap(void **state)
{
    struct raft_configuration a, b;

    (void)state;
    voters(&a, 1, 3);
    voters(&b, 1, 4);
    assert_true(oracle_overlap(&a, &b)); /* one server more or less: always */
    voters(&b, 1, 5);
    assert_false(oracle_overlap(&a, &b)); /* two: {1, 2} against {3, 4, 5} */
    voters(&b, 2, 4);
    assert_false(oracle_overlap(&a, &b)); /* one taken for another: {1, 2} against {3, 4} */
    for (uint32_t i = 0; i < 3; i++)
        a.members[i].outgoing = 1;
    a.members[3] = (struct raft_member){.id = 4, .role = RAFT_VOTER};
    a.members[0].role = RAFT_LEAVING;
    a.count = 4; /* joint: 1, 2, 3 and 2, 3, 4 */
    assert_true(oracle_overlap(&a, &b));
    voters(&b, 1, 3);
    assert_true(oracle_overlap(&a, &b));
    voters(&a, 1, 24);
    voters(&b, 1, 25);
    assert_true(oracle_overlap(&a, &b)); /* 13 of 24 and 13 of 25 */
    voters(&b, 1, 26);
    assert_true(oracle_overlap(&a, &b)); /* 13 and 14 of 26 */
    voters(&b, 3, 26);
    assert_false(oracle_overlap(&a, &b)); /* 13 and 13 of 26 */
}

/* By all sets of nodes, as the definition says: at random, of up to seven members each. */
static bool overlap_by_sets(const struct raft_configuration *a, const struct raft_configuration *b)
{
    const struct raft_configuration *sides[2] = {a, b};

    for (uint32_t chosen = 0; chosen < 1u << 8; chosen++) {
        bool quorums = true;

        for (int k = 0; k < 2; k++) {
            uint32_t side = k ? ~chosen : chosen, have[2] = {0}, all[2] = {0};

            for (uint32_t i = 0; i < sides[k]->count; i++) {
                const struct raft_member *member = &sides[k]->members[i];
                bool in[2] = {member->role == RAFT_VOTER, member->outgoing != 0};

                for (int of = 0; of < 2; of++) {
                    all[of] += in[of];
                    have[of] += in[of] && (side >> member->id & 1);
                }
            }
            quorums = quorums && 2 * have[0] > all[0] && (all[1] == 0 || 2 * have[1] > all[1]);
        }
        if (quorums)
            return false;
    }
    return true;
}

static void random_members(struct raft_configuration *configuration, bool joint, uint32_t *dice)
{
    voters(configuration, 1, 0);
    for (uint64_t id = 1; id < 8; id++) {
        uint32_t drawn = (*dice = *dice * 1664525u + 1013904223u) >> 24;
        struct raft_member member = {.id = id, .role = drawn & 1 ? RAFT_VOTER : RAFT_LEARNER,
                                     .outgoing = joint && (drawn & 2)};

        if (drawn & 12)
            configuration->members[configuration->count++] = member;
    }
}

static void quorums_overlap_by_definition(void **state)
{
    struct raft_configuration a, b;
    uint32_t dice = 1, overlap = 0;

    (void)state;
    for (uint32_t i = 0; i < 4000; i++) {
        bool expected;

        random_members(&a, i & 1, &dice);
        random_members(&b, i & 2, &dice);
        expected = overlap_by_sets(&a, &b);
        overlap += expected;
        assert_int_equal(oracle_overlap(&a, &b), expected);
    }
    assert_in_range(overlap, 400, 3600);
}

static void change(uint32_t number, uint64_t first, uint64_t last)
{
    voters(&nodes[number].configuration, first, last);
    nodes[number].changed = nodes[number].configuration;
    append(number, nodes[number].status.term, RAFT_BATCH_CONFIGURATION);
}

static void change_without_overlap(void **state)
{
    (void)state;
    holds(committed_world(2));
    fires("overlapping configurations", (change(0, 2, 4), look(0)));
}

static void change_before_the_own_term(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), look(0)));
    fires("a change after the own term's commit", (change(0, 1, 4), look(0)));
}

static void two_changes(void **state)
{
    (void)state;
    holds(committed_world(2));
    holds((change(0, 1, 4), look(0)));
    fires("one change at a time", (change(0, 1, 3), look(0)));
}

static void joint_after_joint(void **state)
{
    (void)state;
    holds(committed_world(2));
    append(0, 1, RAFT_BATCH_CONFIGURATION);
    for (uint32_t i = 0; i < 3; i++)
        nodes[0].configuration.members[i].outgoing = 1;
    nodes[0].changed = nodes[0].configuration;
    holds(look(0));
    oracle->nodes[0].seen.configuration_index = 0; /* as if it had committed */
    append(0, 1, RAFT_BATCH_CONFIGURATION);
    fires("one change at a time", look(0));
}

/* A snapshot has brought it other members than had committed. */
static void another_configuration_than_committed(void **state)
{
    (void)state;
    holds(committed_world(2));
    oracle->committed_configuration = nodes[1].configuration;
    nodes[1].status.snapshot_index = 1;
    holds(look(1));
    voters(&oracle->committed_configuration, 1, 4);
    nodes[1].status.snapshot_index = 2;
    fires("the latest configuration is in force", look(1));
}

static void change_not_in_force(void **state)
{
    (void)state;
    holds(committed_world(2));
    holds((change(0, 1, 4), look(0)));
    append(1, 1, RAFT_BATCH_CONFIGURATION);
    nodes[1].status.configuration_index = 0; /* until it is committed: the bug */
    fires("the latest configuration is in force", look(1));
}

static void change_not_taken_back(void **state)
{
    (void)state;
    holds((follow(1, 0), elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), append(0, 1, RAFT_BATCH_COMMAND), look(0)));
    holds((follow(1, 1), append(1, 1, RAFT_BATCH_NOOP), durable(1, 1), durable(0, 2), commit(0, 1)));
    holds((change(0, 1, 4), look(0), append(1, 1, RAFT_BATCH_COMMAND), change(1, 1, 4), look(1)));
    holds((follow(2, 1), append(2, 1, RAFT_BATCH_NOOP), elect(2, 2), follow(1, 2)));
    truncate_to(1, 2); /* a newer leader's log has no such change */
    fires("the latest configuration is in force", look(1));
}

static void leaders_without_overlap(void **state)
{
    (void)state;
    holds((elect(0, 1), elect(1, 2)));
    voters(&nodes[2].configuration, 3, 3);
    nodes[2].status.configuration_index = 0;
    oracle->nodes[2].in_force = nodes[2].configuration;
    prevotes(2, 3);
    nodes[2].status.term = 3;
    nodes[2].status.vote = 3;
    nodes[2].status.role = RAFT_LEADER;
    fires("overlapping configurations", look(2));
}

static void removed_leader_stays(void **state)
{
    (void)state;
    holds(committed_world(2));
    holds((change(0, 2, 3), look(0))); /* in force at once: it leads on without a vote until that has committed */
    holds((durable(0, 3), look(0), append(1, 1, RAFT_BATCH_CONFIGURATION)));
    oracle->nodes[0].seen.commit = 2;
    nodes[0].status.commit = 3;
    nodes[0].unsound = 3; /* it waits for a voter that is rebuilt */
    struct oracle_view view = view_of(0);
    holds(oracle_configuration_follow(oracle, &oracle->nodes[0], &view));
    nodes[0].unsound = 0;
    fires("a removed leader steps down", oracle_configuration_follow(oracle, &oracle->nodes[0], &view));
}

/* The removal of n1 is in its log and in n2's, and on n1's disk. */
static void removal_under_way(void)
{
    committed_world(2);
    change(0, 2, 3);
    look(0);
    durable(0, 3);
    change(1, 2, 3);
    look(1);
    nodes[0].status.role = RAFT_FOLLOWER; /* it steps down as it commits */
}

static void removed_leader_commits_alone(void **state)
{
    (void)state;
    holds(removal_under_way());
    fires("durable quorum", commit(0, 3));
}

static void removed_leader_commits(void **state)
{
    (void)state;
    holds((removal_under_way(), follow(2, 1), append(2, 1, RAFT_BATCH_NOOP), append(2, 1, RAFT_BATCH_COMMAND)));
    holds((change(2, 2, 3), durable(1, 3), durable(2, 3), commit(0, 3)));
    assert_int_equal(oracle->committed_last, 3);
}

static void removed_leader_commits_an_earlier_term(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), durable(0, 1), follow(1, 1), append(1, 1, RAFT_BATCH_NOOP)));
    holds((durable(1, 1), elect(0, 2)));
    nodes[0].status.role = RAFT_FOLLOWER;
    fires("commit of the own term", commit(0, 1));
}

/* A leader that has just heard of a later term counted in its own. */
static void deposed_leader_commits(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), durable(0, 1), follow(1, 1), append(1, 1, RAFT_BATCH_NOOP)));
    holds(durable(1, 1));
    oracle_term(oracle, 2)->candidates = 4;
    nodes[0].status.role = RAFT_FOLLOWER;
    nodes[0].status.term = 2;
    nodes[0].status.vote = 0;
    holds(commit(0, 1));
}

static void follower_commits_first(void **state)
{
    (void)state;
    holds((elect(0, 1), append(0, 1, RAFT_BATCH_NOOP), durable(0, 1), follow(1, 1), append(1, 1, RAFT_BATCH_NOOP)));
    holds(durable(1, 1)); /* a quorum has it, and nobody can know that but the leader */
    fires("state-machine safety", commit(1, 1));
}

static void member_id_again(void **state)
{
    (void)state;
    nodes[2].status.self = 1;
    fires("member ids are never used again", look(2));
}

/* ---- machines ------------------------------------------------------------------------------------------ */

static void digests_differ(void **state)
{
    (void)state;
    holds((oracle_digest(oracle, &oracle->nodes[0], 5, 1), oracle_digest(oracle, &oracle->nodes[1], 5, 1)));
    fires("digest equality", oracle_digest(oracle, &oracle->nodes[2], 5, 2));
    holds((oracle_sample(oracle, &oracle->nodes[0], 1024, 1), oracle_sample(oracle, &oracle->nodes[1], 1024, 1)));
    fires("digest equality", oracle_sample(oracle, &oracle->nodes[2], 1024, 2));
}

/* A flipped state leads, and is no more. */
static void digests_count_again(void **state)
{
    (void)state;
    holds(oracle_digest(oracle, &oracle->nodes[0], 5, 1));
    holds(oracle_sample(oracle, &oracle->nodes[0], 1024, 1));
    sim.flip_spread = true;
    holds((oracle_digest(oracle, &oracle->nodes[1], 5, 2), oracle_sample(oracle, &oracle->nodes[1], 1024, 2)));
    sim.flip_spread = false;
    holds(sim_oracle_agree_again(oracle));
    holds((oracle_digest(oracle, &oracle->nodes[1], 5, 2), oracle_sample(oracle, &oracle->nodes[1], 1024, 2)));
    fires("digest equality", oracle_digest(oracle, &oracle->nodes[0], 5, 1));
    fires("digest equality", oracle_sample(oracle, &oracle->nodes[0], 1024, 1));
}

static void ticks_and_applied(void **state)
{
    (void)state;
    holds(committed_world(3));
    holds((oracle_applied(oracle, &oracle->nodes[0], 2, 50), oracle_applied(oracle, &oracle->nodes[0], 3, 60)));
    fires("monotonic applied", oracle_applied(oracle, &oracle->nodes[0], 2, 60));
    fires("tick never back", oracle_applied(oracle, &oracle->nodes[0], 3, 59));
    fires("tick never back", oracle_applied(oracle, &oracle->nodes[1], 2, 51));
    fires("state-machine safety", oracle_applied(oracle, &oracle->nodes[0], 4, 70));
    holds(oracle_tick_made(oracle, &oracle->nodes[0], 4, 60, 60));
    fires("tick never back", oracle_tick_made(oracle, &oracle->nodes[0], 4, 60, 59));
}

static void settings_differ(void **state)
{
    (void)state;
    holds((oracle_settings(oracle, &oracle->nodes[0], 5, 0, 1), oracle_settings(oracle, &oracle->nodes[1], 9, 9, 2)));
    holds((oracle_settings(oracle, &oracle->nodes[2], 12, 12, 3), oracle_settings(oracle, &oracle->nodes[0], 8, 0, 1)));
    holds(oracle_settings(oracle, &oracle->nodes[0], 11, 9, 2));
    fires("settings equality", oracle_settings(oracle, &oracle->nodes[1], 11, 9, 4)); /* another value */
    fires("settings equality", oracle_settings(oracle, &oracle->nodes[1], 11, 0, 1)); /* a change was missed */
    fires("settings equality", oracle_settings(oracle, &oracle->nodes[1], 8, 9, 2));  /* before its entry */
}

static void session_twice(void **state)
{
    (void)state;
    holds(oracle_session(oracle, &oracle->nodes[0], 10, 5, 1, false, 0));
    holds(oracle_session(oracle, &oracle->nodes[1], 10, 5, 1, false, 0));
    holds(oracle_session(oracle, &oracle->nodes[0], 12, 5, 1, true, 10));
    fires("exactly-once sessions", oracle_session(oracle, &oracle->nodes[0], 12, 5, 1, false, 0));
    fires("exactly-once sessions", oracle_session(oracle, &oracle->nodes[1], 14, 5, 1, true, 12));
}

static void read_of_what_is_old(void **state)
{
    struct oracle_message asks = message(RAFT_READ_REQUEST, 1, 0, 1), answers = message(RAFT_READ_RESPONSE, 0, 1, 1);

    (void)state;
    holds((committed_world(3), sim_oracle_acknowledged(oracle, 2), oracle_read_asked(oracle, &oracle->nodes[0], 1)));
    asks.read = answers.read = 99;
    holds((oracle_message_sent(oracle, &asks), sim_oracle_acknowledged(oracle, 3)));
    holds(oracle_read_served(oracle, &oracle->nodes[0], 1, 2));
    fires("reads are confirmed", oracle_read_served(oracle, &oracle->nodes[0], 1, 1));
    answers.index = 2;
    holds(oracle_message_sent(oracle, &answers));
    answers.index = 1;
    fires("reads are confirmed", oracle_message_sent(oracle, &answers));
    answers.flags = RAFT_READ_REFUSED;
    holds(oracle_message_sent(oracle, &answers));
}

static void default_not_logged(void **state)
{
    static const struct gavel_field rows[] = {
        {.name = "key", .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED},
        {.name = "by", .id = 3, .type = GAVEL_INT, .fallback = "1"},
    };
    static const struct gavel_fields fields = {rows, 2, sizeof rows[0], 64};
    static const unsigned char whole[] = {0x82, 1, 0xa1, 'k', 3, 1}, part[] = {0x81, 1, 0xa1, 'k'};

    (void)state;
    holds(oracle_complete(oracle, &oracle->nodes[0], 5, &fields, gavel_bytes(whole, sizeof whole)));
    fires("logged commands are complete",
          oracle_complete(oracle, &oracle->nodes[0], 5, &fields, gavel_bytes(part, sizeof part)));
}

static void over_a_bound(void **state)
{
    (void)state;
    holds(oracle_bound(oracle, &oracle->nodes[0], "things", 7, 7));
    fires("bounded resources", oracle_bound(oracle, &oracle->nodes[0], "things", 8, 7));
}

/* A long, lawful life: elections, a truncated tail, compaction, an installed snapshot, a change of members. */
static void a_lawful_life(void **state)
{
    (void)state;
    holds(committed_world(3));
    holds((append(0, 1, RAFT_BATCH_COMMAND), durable(0, 4))); /* only there: lost with the next leader */
    holds((elect(1, 2), append(1, 2, RAFT_BATCH_NOOP), durable(1, 4)));
    holds((follow(0, 2), truncate_to(0, 3), look(0), append(0, 2, RAFT_BATCH_NOOP), durable(0, 4)));
    holds((commit(1, 4), commit(0, 4)));
    nodes[0].status.base_index = nodes[0].status.snapshot_index = 4; /* compacted whole */
    holds((look(0), follow(2, 2)));
    nodes[2].status.base_index = nodes[2].status.snapshot_index = nodes[2].status.commit = 4;
    nodes[2].status.last_index = nodes[2].status.durable_index = 4;
    nodes[2].status.last_chain = nodes[0].log[3].chain;
    holds(look(2)); /* installed */
    holds((append(1, 2, RAFT_BATCH_COMMAND), durable(1, 5), append(2, 2, RAFT_BATCH_COMMAND), durable(2, 5)));
    holds((commit(1, 5), change(1, 1, 4), durable(1, 6), look(1)));
    holds((change(2, 1, 4), durable(2, 6), append(0, 2, RAFT_BATCH_COMMAND), change(0, 1, 4), durable(0, 6)));
    holds((commit(1, 6), elect(2, 3)));
    assert_int_equal(oracle->committed_last, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_leaders_of_a_term), TEST(elected_by_a_minority), TEST(elected_without_its_own_vote_on_disk),
        TEST(appends_of_who_was_not_elected), TEST(leader_drops_entries), TEST(one_place_two_batches),
        TEST(batch_before_its_leader_has_it), TEST(batch_of_a_term_without_a_leader), TEST(batch_that_nobody_made),
        TEST(batch_out_of_its_place), TEST(leader_without_what_is_committed), TEST(commit_behind_a_later_leader),
        TEST(two_commits_at_an_index), TEST(commit_of_what_is_not_there), TEST(snapshot_of_another_history),
        TEST(commit_without_a_quorum), TEST(commit_by_one_half_of_a_joint_quorum), TEST(commit_of_an_earlier_term),
        TEST(acknowledged_early), TEST(term_goes_back), TEST(commit_goes_back), TEST(another_commit_after_a_restart),
        TEST(two_votes), TEST(candidate_votes_for_another), TEST(vote_changes), TEST(stands_unwanted),
        TEST(stands_when_told), TEST(term_without_a_candidate), TEST(start_without_what_was_promised),
        TEST(damage_that_is_none), TEST(everything_forgotten), TEST(term_forgotten), TEST(recovered_too_early),
        TEST(leaves_for_no_reason), TEST(quorums_overlap), TEST(quorums_overlap_by_definition),
        TEST(change_without_overlap), TEST(change_before_the_own_term), TEST(two_changes), TEST(joint_after_joint),
        TEST(another_configuration_than_committed), TEST(change_not_in_force), TEST(change_not_taken_back),
        TEST(leaders_without_overlap), TEST(removed_leader_stays), TEST(removed_leader_commits_alone),
        TEST(removed_leader_commits), TEST(removed_leader_commits_an_earlier_term), TEST(deposed_leader_commits),
        TEST(follower_commits_first), TEST(member_id_again), TEST(digests_differ), TEST(digests_count_again),
        TEST(ticks_and_applied), TEST(settings_differ), TEST(session_twice), TEST(read_of_what_is_old),
        TEST(default_not_logged), TEST(over_a_bound), TEST(a_lawful_life),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
