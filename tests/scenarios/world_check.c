/* SPDX-License-Identifier: Apache-2.0 */
/* tests/scenarios/world_check.c - what must hold between nodes. The names are those of thesis figure 3.2. */
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* Nothing of what a single step may leave behind. */
void world_check_step(struct world *w, struct world_node *n)
{
    struct raft_status s;
    raft_status(n->raft, &s);
    if (s.last_index != world_last(&n->log))
        world_fail(w, "node %lu: the core and its node disagree about the log: %lu, %lu", n->id, s.last_index,
                   world_last(&n->log));
    if (s.commit < n->committed)
        world_fail(w, "node %lu: the commit index went back", n->id);
    if (s.durable_index > world_last(&n->disk.log) && !n->installing.index)
        world_fail(w, "node %lu believes %lu to be durable, the disk ends at %lu", n->id, s.durable_index,
                   world_last(&n->disk.log));
    uint64_t term, disk_term;
    uint32_t chain, disk_chain;
    if (s.durable_index > n->log.base_index && world_boundary(&n->log, s.durable_index, &term, &chain) &&
        (!world_boundary(&n->disk.log, s.durable_index, &disk_term, &disk_chain) || chain != disk_chain))
        world_fail(w, "node %lu believes another entry %lu to be durable than the disk holds", n->id,
                   s.durable_index);
    if (s.role == RAFT_LEADER && n->disk.term < s.term)
        world_fail(w, "node %lu leads in a term that is not durable", n->id);
    if (s.role == RAFT_LEADER && n->recovering)
        world_fail(w, "node %lu leads although it is recovering", n->id);
}

static void record_vote(struct world *w, struct world_node *n, uint64_t term, uint64_t candidate)
{
    size_t i = n->id - 1;
    for (size_t k = 0; k < w->vote_count[i]; k++) {
        if (w->votes[i][k].term != term)
            continue;
        if (w->votes[i][k].vote != candidate)
            world_fail(w, "node %lu votes twice in term %lu: for %lu and %lu", n->id, term, w->votes[i][k].vote,
                       candidate);
        return;
    }
    void *more = realloc(w->votes[i], (w->vote_count[i] + 1) * sizeof *w->votes[i]);
    if (!more)
        abort();
    w->votes[i] = more;
    w->votes[i][w->vote_count[i]].term = term;
    w->votes[i][w->vote_count[i]].vote = candidate;
    w->vote_count[i]++;
}

/* A message is on its way out: its gate has opened, or it never had one. */
void world_check_leaving(struct world *w, struct world_node *n, const struct raft_message *m)
{
    struct raft_status s;
    raft_status(n->raft, &s);
    bool current = s.term == m->term && n->alive;
    switch (m->type) {
    case RAFT_VOTE_RESPONSE:
        if (!(m->vote_response.flags & RAFT_VOTE_GRANTED))
            break;
        if (n->recovering)
            world_fail(w, "node %lu votes although it is recovering", n->id);
        if (n->disk.term < m->term || (n->disk.term == m->term && n->disk.vote != m->to))
            world_fail(w, "a vote of node %lu leaves before it is durable", n->id);
        record_vote(w, n, m->term, m->to);
        break;
    case RAFT_PREVOTE_RESPONSE:
        if (m->vote_response.flags & RAFT_VOTE_GRANTED && n->recovering)
            world_fail(w, "node %lu would vote although it is recovering", n->id);
        break;
    case RAFT_VOTE_REQUEST:
        if (n->disk.term < m->term || (n->disk.term == m->term && n->disk.vote != n->id))
            world_fail(w, "a candidacy of node %lu leaves before its vote is durable", n->id);
        if (current && s.role == RAFT_CANDIDATE && world_last(&n->disk.log) < m->vote_request.last_index)
            world_fail(w, "a candidacy of node %lu names a log that is not durable", n->id);
        record_vote(w, n, m->term, n->id);
        break;
    case RAFT_APPEND_RESPONSE:
        if (m->append_response.flags & RAFT_APPEND_REJECTED)
            break;
        if (n->disk.term < m->term)
            world_fail(w, "an answer of node %lu leaves before its term is durable", n->id);
        if (current && !n->installing.index && world_last(&n->disk.log) < m->append_response.match)
            world_fail(w, "node %lu acknowledges %lu, its disk ends at %lu", n->id, m->append_response.match,
                       world_last(&n->disk.log));
        break;
    case RAFT_SNAPSHOT_RESPONSE:
        if (m->snapshot_response.status == RAFT_SNAPSHOT_INSTALLED && current && !n->installing.index &&
            world_last(&n->disk.log) < m->snapshot_response.match)
            world_fail(w, "node %lu acknowledges a snapshot of %lu, its disk ends at %lu", n->id,
                       m->snapshot_response.match, world_last(&n->disk.log));
        break;
    default:
        break;
    }
}

/* Log matching: whoever appends this index in this term appends the same batch behind the same prefix. */
void world_check_append(struct world *w, struct world_node *n, const struct raft_batch *batch)
{
    struct raft_status s;
    uint64_t term;
    uint32_t chain, held;
    raft_status(n->raft, &s);
    for (size_t i = 0; i < WORLD_NODES; i++) {
        struct world_node *other = &w->nodes[i];
        if (!other->exists || other == n)
            continue;
        for (size_t k = other->log.count; k-- > 0 && other->log.items[k].first >= batch->first;) {
            const struct raft_batch *b = &other->log.items[k];
            if (b->first == batch->first && b->term == batch->term && b->chain != batch->chain)
                world_fail(w, "nodes %lu and %lu hold different entries %lu of term %lu", n->id, other->id, b->first,
                           b->term);
        }
    }
    if (batch->first <= n->committed)
        world_fail(w, "node %lu overwrites the committed %lu", n->id, batch->first);
    uint64_t last = batch->first + batch->count - 1;
    if (last <= world_last(&w->ledger) && world_boundary(&n->log, n->committed, &term, &chain) &&
        world_boundary(&w->ledger, n->committed, &term, &held) && chain != held)
        world_fail(w, "node %lu goes on behind a log that is not the committed one", n->id);
}

static bool on_disk(struct world_node *n, uint64_t index, uint32_t chain)
{
    uint64_t term;
    uint32_t held;
    if (n->disk.snapshot.index >= index || n->disk.log.base_index >= index)
        return true;
    return world_boundary(&n->disk.log, index, &term, &held) && held == chain;
}

static void check_durable_majority(struct world *w, struct world_node *n, uint64_t index, uint32_t chain)
{
    const struct raft_configuration *c = raft_configuration(n->raft);
    for (int set = 0; set < 2; set++) {
        uint32_t voters = 0, hold = 0;
        for (uint32_t i = 0; i < c->count; i++) {
            const struct raft_member *member = &c->members[i];
            if (set == 0 ? member->role != RAFT_VOTER : !member->outgoing)
                continue;
            struct world_node *other = world_node(w, member->id);
            voters++;
            /* What a damaged node had acknowledged counts as long as the leader has not heard of the damage. */
            struct raft_progress_status p;
            bool believed = other->recovering && raft_progress(n->raft, member->id, &p) == RAFT_OK &&
                            !p.recovering && p.match >= index;
            hold += believed || (!other->recovering && on_disk(other, index, chain));
        }
        if (voters > 0 && hold <= voters / 2)
            world_fail(w, "node %lu commits %lu, durable on %u of %u %s voters", n->id, index, hold, voters,
                       set == 0 ? "new" : "old");
    }
}

/* State machine safety, and promise 1: committed means durable on a majority. */
void world_check_commit(struct world *w, struct world_node *n, uint64_t index)
{
    struct raft_status s;
    raft_status(n->raft, &s);
    uint64_t before = n->committed;
    uint64_t known = world_last(&w->ledger), term;
    uint32_t chain;
    n->committed = index;
    for (size_t i = 0; i < n->log.count; i++) {
        const struct raft_batch *b = &n->log.items[i];
        uint64_t last = b->first + b->count - 1;
        if (last <= before)
            continue;
        if (last > index)
            break;
        if (last <= known) {
            if (!world_boundary(&w->ledger, last, &term, &chain) || chain != b->chain)
                world_fail(w, "node %lu commits another entry %lu than was committed before", n->id, last);
            continue;
        }
        if (n->role != RAFT_LEADER) /* as it was before this step: it may step down in it */
            world_fail(w, "node %lu commits %lu, which no leader has", n->id, last);
        world_append(&w->ledger, b);
        w->committed[s.term] = last; /* do_role has looked whether the term has its place */
        known = last;
        if (last == index) {
            check_durable_majority(w, n, last, b->chain);
            if (b->term != s.term)
                world_fail(w, "node %lu commits %lu of term %lu by counting, in term %lu", n->id, last, b->term,
                           s.term);
        }
    }
    if (world_last(&n->log) < index)
        world_fail(w, "node %lu commits %lu beyond its log", n->id, index);
}

void world_check_snapshot(struct world *w, struct world_node *n, const struct world_snapshot *s)
{
    uint64_t term;
    uint32_t chain;
    if (!world_boundary(&w->ledger, s->index, &term, &chain) || chain != s->chain || term != s->term)
        world_fail(w, "node %lu installs a snapshot of %lu that was never committed so", n->id, s->index);
    if (s->index < n->committed)
        world_fail(w, "node %lu installs an old snapshot (%lu, committed is %lu)", n->id, s->index, n->committed);
}

void world_check_reads(struct world *w, struct world_node *n, uint64_t id, uint64_t index)
{
    if (id > n->reads_asked || id <= n->reads_served)
        world_fail(w, "node %lu serves reads that nobody asked for", n->id);
    for (uint64_t i = n->reads_served + 1; i <= id; i++)
        if (index < n->read_floor[i])
            world_fail(w, "node %lu serves a stale read: at %lu, when it was asked %lu was committed", n->id, index,
                       n->read_floor[i]);
    n->reads_served = id;
}

/* An entry reaches the disk after its term, and where the log on the disk ends. */
void world_check_written(struct world *w, struct world_node *n, const struct world_io *io)
{
    if (io->type == RAFT_EFFECT_WRITE_VOTE && io->term < n->disk.term)
        world_fail(w, "node %lu: the term on its disk goes back", n->id);
    if (io->type != RAFT_EFFECT_APPEND)
        return;
    for (size_t i = 0; i < io->batches.count; i++)
        if (io->batches.items[i].term > n->disk.term)
            world_fail(w, "node %lu: an entry of term %lu is on the disk before the term", n->id,
                       io->batches.items[i].term);
    if (io->batches.count > 0 && io->batches.items[0].first != world_last(&n->disk.log) + 1)
        world_fail(w, "node %lu: a gap in the log on its disk", n->id);
}

void world_check_converged(struct world *w)
{
    struct world_node *leader = world_leader(w);
    struct raft_status ls, s;
    if (!leader)
        world_fail(w, "there is no leader in the end");
    const struct raft_configuration *members = raft_configuration(leader->raft);
    raft_status(leader->raft, &ls);
    if (raft_configuration_joint(members))
        world_fail(w, "a joint configuration is in force in the end");
    if (ls.commit != ls.last_index)
        world_fail(w, "the leader %lu has committed %lu of %lu in the end", leader->id, ls.commit, ls.last_index);
    for (size_t i = 0; i < WORLD_NODES; i++) {
        struct world_node *n = &w->nodes[i];
        if (!n->exists || !n->alive || !raft_configuration_find(members, n->id))
            continue;
        raft_status(n->raft, &s);
        if (s.last_index != ls.last_index || s.last_chain != ls.last_chain || s.applied != ls.last_index)
            world_fail(w, "node %lu has not caught up in the end: last %lu applied %lu of %lu", n->id, s.last_index,
                       s.applied, ls.last_index);
        if (!raft_configuration_equal(raft_configuration(n->raft), members))
            world_fail(w, "node %lu has another configuration than its leader in the end", n->id);
        if (n->reads_served != n->reads_asked)
            world_fail(w, "node %lu has served %lu of %lu reads in the end", n->id, n->reads_served, n->reads_asked);
    }
}
