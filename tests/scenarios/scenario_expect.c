/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/scenarios/scenario_expect.c - what a script may expect.
 *
 *   leader a | no leader
 *   role a follower|precandidate|candidate|leader       sees a b|-        a takes b for the leader
 *   term|commit|applied|last|last-term|durable|base|snapshot a N
 *   disk-term|disk-last|installs|diverged|recovery a N
 *   vote a b|- | served a N | done a N | failed a N     reads served; transfers that ended well, or not
 *   members a a b+old c/learner d/joining e/leaving+old
 *   state a b probe|replicate|snapshot | match a b N    what the leader a thinks of b
 *   message LINK TYPE | no message LINK TYPE            in the bag, out of its node
 *   accepted LINK | rejected LINK                       what the first append-answer there says
 *   same a b c                                          equal logs
 */
#include <stdio.h>
#include <string.h>

#include "scenario.h"

static void compare(struct script *s, const char *what, const char *node, uint64_t found, uint64_t expected)
{
    if (found != expected)
        world_fail(s->w, "%s of %s is %lu, expected %lu", what, node, found, expected);
}

static bool number_of(struct world_node *n, const char *what, uint64_t *found)
{
    struct raft_status t;
    raft_status(n->raft, &t);
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"term", t.term},
        {"commit", t.commit},
        {"applied", t.applied},
        {"last", t.last_index},
        {"last-term", t.last_term},
        {"durable", t.durable_index},
        {"base", t.base_index},
        {"snapshot", t.snapshot_index},
        {"disk-term", n->disk.term},
        {"disk-last", world_last(&n->disk.log)},
        {"installs", n->installs},
        {"diverged", n->diverged},
        {"recovery", n->recovery_reached},
        {"served", n->reads_served},
        {"done", n->transfers_done},
        {"failed", n->transfers_failed},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(numbers[i].name, what) == 0) {
            *found = numbers[i].value;
            return true;
        }
    }
    return false;
}

static void expect_members(struct script *s, char **v)
{
    const struct raft_configuration *c = raft_configuration(script_node(s, v[1])->raft);
    static const char *const roles[] = {"", "", "/learner", "/joining", "/leaving"};
    char word[32];
    uint32_t seen = 0;
    for (char **wanted = v + 2; *wanted; wanted++, seen++) {
        bool found = false;
        for (uint32_t i = 0; i < c->count && !found; i++) {
            const struct raft_member *m = &c->members[i];
            snprintf(word, sizeof word, "%c%s%s", (int)('a' + m->id - 1), roles[m->role], m->outgoing ? "+old" : "");
            found = strcmp(word, *wanted) == 0;
        }
        if (!found)
            world_fail(s->w, "%s has no member %s", v[1], *wanted);
    }
    compare(s, "the number of members", v[1], c->count, seen);
}

static void expect_progress(struct script *s, char **v)
{
    struct raft_progress_status p;
    static const char *const states[] = {"", "probe", "replicate", "snapshot"};
    int result = raft_progress(script_node(s, v[1])->raft, script_id(s, v[2]), &p);
    if (result != RAFT_OK)
        world_fail(s->w, "progress of %s at %s: %s", v[2], v[1], raft_error_text(result));
    if (strcmp(v[0], "match") == 0)
        compare(s, "the match of a peer", v[1], p.match, script_number(s, v[3]));
    else if (strcmp(states[p.state], v[3]) != 0)
        world_fail(s->w, "%s is in state %s at %s", v[2], states[p.state], v[1]);
}

static void expect_message(struct script *s, char **v, bool wanted)
{
    uint64_t from, to;
    script_link(s, v[1], &from, &to);
    bool found = script_find(s, from, to, script_type(s, v[2]), 0) != SIZE_MAX;
    if (found != wanted)
        world_fail(s->w, "there is %s message %s %s", found ? "a" : "no", v[1], v[2]);
}

static void expect_role(struct script *s, const char *node, const char *role)
{
    struct raft_status t;
    static const char *const roles[] = {"", "follower", "precandidate", "candidate", "leader"};
    raft_status(script_node(s, node)->raft, &t);
    if (strcmp(roles[t.role], role) != 0)
        world_fail(s->w, "%s is %s, expected %s", node, roles[t.role], role);
}

static void expect_same(struct script *s, char **v)
{
    const struct world_batches *one = &script_node(s, v[1])->log;
    uint64_t term;
    uint32_t chain;
    for (char **word = v + 2; *word; word++) {
        const struct world_batches *other = &script_node(s, *word)->log;
        compare(s, "the end of the log", *word, world_last(other), world_last(one));
        for (size_t i = 0; i < one->count; i++) {
            uint64_t last = one->items[i].first + one->items[i].count - 1;
            if (last >= other->base_index &&
                (!world_boundary(other, last, &term, &chain) || chain != one->items[i].chain))
                world_fail(s->w, "the logs of %s and %s differ at %lu", v[1], *word, last);
        }
    }
}

static void expect_answer(struct script *s, char **v)
{
    uint64_t from, to;
    script_link(s, v[1], &from, &to);
    size_t at = script_find(s, from, to, RAFT_APPEND_RESPONSE, 0);
    if (at == SIZE_MAX)
        world_fail(s->w, "there is no answer to an append %s", v[1]);
    bool rejected = s->w->bag[at].m.append_response.flags & RAFT_APPEND_REJECTED;
    if (rejected != (strcmp(v[0], "rejected") == 0))
        world_fail(s->w, "the append was %s", rejected ? "rejected" : "accepted");
}

static void expect_who(struct script *s, char **v)
{
    struct raft_status t;
    raft_status(script_node(s, v[1])->raft, &t);
    uint64_t wanted = v[2][0] == '-' ? 0 : script_id(s, v[2]);
    compare(s, v[0], v[1], strcmp(v[0], "vote") == 0 ? t.vote : t.leader, wanted);
}

void script_expect(struct script *s, char **v)
{
    uint64_t found;
    int words = 0;
    while (v[words])
        words++;
    s->expectations++;
    if (words < 2)
        world_fail(s->w, "expect what?");
    if (strcmp(v[0], "no") == 0 && strcmp(v[1], "leader") == 0) {
        if (world_leader(s->w))
            world_fail(s->w, "%c leads", (int)('a' + world_leader(s->w)->id - 1));
    } else if (strcmp(v[0], "no") == 0 && words == 4 && strcmp(v[1], "message") == 0) {
        expect_message(s, v + 1, false);
    } else if (strcmp(v[0], "message") == 0 && words == 3) {
        expect_message(s, v, true);
    } else if (strcmp(v[0], "accepted") == 0 || strcmp(v[0], "rejected") == 0) {
        expect_answer(s, v);
    } else if (strcmp(v[0], "leader") == 0) {
        expect_role(s, v[1], "leader");
    } else if (strcmp(v[0], "same") == 0) {
        expect_same(s, v);
    } else if (strcmp(v[0], "members") == 0) {
        expect_members(s, v);
    } else if (strcmp(v[0], "role") == 0 && words == 3) {
        expect_role(s, v[1], v[2]);
    } else if ((strcmp(v[0], "state") == 0 || strcmp(v[0], "match") == 0) && words == 4) {
        expect_progress(s, v);
    } else if ((strcmp(v[0], "vote") == 0 || strcmp(v[0], "sees") == 0) && words == 3) {
        expect_who(s, v);
    } else if (words == 3 && number_of(script_node(s, v[1]), v[0], &found)) {
        compare(s, v[0], v[1], found, script_number(s, v[2]));
    } else {
        world_fail(s->w, "there is nothing like that to expect: %s", v[0]);
    }
}
